use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{ByteCount, WebAddress};

/// Names an item on its drive. Opaque: compared and sent back, never parsed outside its provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemId(pub String);

impl ItemId {
    /// The id as the drive writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for ItemId {
    fn from(id: &str) -> Self {
        ItemId(id.to_owned())
    }
}

/// Whatever the drive changes when the content changes: a revision id, a hash, or (mtime, size).
/// Two equal versions of one item have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub String);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Content hashes by their lower-case name (`sha1`, `crc64`), values as the drive writes them.
pub type Hashes = BTreeMap<String, String>;

/// A file or folder as the drive names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The item's id on its drive.
    pub id: ItemId,
    /// The name as the drive has it. It may be anything, `/` and duplicates included: presenting
    /// it as a file name is the caller's work.
    pub name: String,
    /// Folder, file with its size, or a document that is a web page.
    pub kind: ItemKind,
    /// When the content was last changed.
    pub modified: Option<SystemTime>,
    /// When the item was created. Decides which of two equal names stays as it is.
    pub created: Option<SystemTime>,
    /// The version of the content; for a folder anything constant.
    pub version: Version,
    /// Hashes of the content that the listing carries.
    pub hashes: Hashes,
    /// Media type, when the drive tells one.
    pub mime: Option<String>,
}

impl Item {
    /// Whether the item is a folder.
    pub fn is_folder(&self) -> bool {
        self.kind == ItemKind::Folder
    }

    /// How many bytes the drive has of the item: the size of a file, and none of anything else.
    pub fn size(&self) -> ByteCount {
        match self.kind {
            ItemKind::Folder | ItemKind::WebDocument { .. } => ByteCount(0),
            ItemKind::File { size } => size,
        }
    }
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// It has children and no bytes.
    Folder,
    /// It has `size` bytes.
    File {
        /// The length of the content, exactly: reads are checked against it.
        size: ByteCount,
    },
    /// It is a page to open in a browser, and has no bytes to fetch: no link is asked for it.
    WebDocument {
        /// The page.
        address: WebAddress,
    },
}

/// Where a listing goes on. Opaque, like an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageToken(pub String);

/// One page of a folder's children.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The children, in the drive's order. May be empty although more pages follow.
    pub items: Vec<Item>,
    /// Where the next page starts; `None` when this was the last.
    pub next: Option<PageToken>,
}
