use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{ByteCount, WebAddress};

/// Names an item on its drive. Opaque: compared and sent back, never parsed outside its provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The item's id on its drive.
    pub id: ItemId,
    /// The name as the drive has it. It may be anything, `/` and duplicates included: presenting
    /// it as a file name is the caller's work.
    pub name: String,
    /// Folder, file with its size, or a document that is a web page.
    pub kind: ItemKind,
    /// When the content was last changed.
    #[serde(with = "unix_time")]
    pub modified: Option<SystemTime>,
    /// When the item was created. Decides which of two equal names stays as it is.
    #[serde(with = "unix_time")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// A time as whole seconds from 1970 on and the nanoseconds after them. serde's own form of a time
/// refuses what lies before 1970, and drives have such files.
mod unix_time {
    use std::time::{Duration, SystemTime};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    const NANOS_PER_SECOND: u32 = 1_000_000_000;

    pub(super) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(parts).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let Some((seconds, nanos)) = Option::<(i64, u32)>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let time = time(seconds, nanos).ok_or_else(|| D::Error::custom("a time out of range"))?;
        Ok(Some(time))
    }

    fn parts(time: SystemTime) -> (i64, u32) {
        let whole = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => (whole(after.as_secs()), after.subsec_nanos()),
            Err(error) => match (error.duration().as_secs(), error.duration().subsec_nanos()) {
                (seconds, 0) => (-whole(seconds), 0),
                (seconds, nanos) => (-1 - whole(seconds), NANOS_PER_SECOND - nanos),
            },
        }
    }

    fn time(seconds: i64, nanos: u32) -> Option<SystemTime> {
        let whole = Duration::from_secs(seconds.unsigned_abs());
        let start = match seconds < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(whole)?,
            false => SystemTime::UNIX_EPOCH.checked_add(whole)?,
        };
        start.checked_add(Duration::from_nanos(nanos.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_item_is_the_same_after_it_was_written_and_read() {
        let epoch = SystemTime::UNIX_EPOCH;
        let times = [
            None,
            Some(epoch),
            Some(epoch + Duration::new(1_767_323_100, 123_456_789)),
            Some(epoch - Duration::new(11_644_473_600, 0)),
            Some(epoch - Duration::new(0, 1)),
        ];
        for time in times {
            let address = WebAddress::new("https://docs.example/d/1").unwrap();
            for kind in [
                ItemKind::Folder,
                ItemKind::File { size: ByteCount(7) },
                ItemKind::WebDocument { address },
            ] {
                let item = Item {
                    id: "1".into(),
                    name: "a\0\u{fffd}/b".into(),
                    kind,
                    modified: time,
                    created: time,
                    version: Version("v".into()),
                    hashes: Hashes::from([("sha1".into(), "00".into())]),
                    mime: Some("text/plain".into()),
                };
                let text = serde_json::to_string(&item).unwrap();
                assert_eq!(serde_json::from_str::<Item>(&text).unwrap(), item, "{text}");
            }
        }
    }
}
