use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::accounts::Accounts;
use super::answer::Failure;
use super::data::DataPorts;
use super::ids::tree_id;
use super::knobs::{CrcShape, Knobs, TimeShape};
use super::share_book::ShareBook;
use crate::call::Call;
use crate::checksums::{Checksum, Checksums};
use crate::clock::json_date;
use crate::object_store::ObjectStore;
use crate::{Cloud, Node, ROOT_ID, Setting};

/// The emulated drive as its API sees it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Drive(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cloud: Cloud,
    pub(crate) store: ObjectStore,
    pub(crate) ports: DataPorts,
    pub(crate) knobs: Setting<Knobs>,
    pub(crate) accounts: Accounts,
    pub(crate) checksums: Checksums,
    pub(crate) domain: String,
    /// The drive that holds the tree.
    pub(crate) drive_id: String,
    /// Files that somebody has begun to upload.
    pub(crate) uploading: Mutex<HashSet<String>>,
    pub(crate) shares: ShareBook,
}

impl Drive {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The node that a call names, `root` included.
    ///
    /// What is in the recycle bin or still being uploaded is not there.
    pub(crate) fn node(&self, file_id: &str) -> Result<Arc<Node>, Failure> {
        let gone = || Failure::gone("File");
        let id = tree_id(file_id).ok_or_else(gone)?;
        let node = self.cloud.tree.node(id).ok_or_else(gone)?;
        let line = self.cloud.tree.ancestry(id);
        let top = line.first().and_then(|top| top.parent.as_deref());
        let is_orphan = id != ROOT_ID && top != Some(ROOT_ID);
        let is_away = line.iter().any(|node| node.recycled);
        if is_orphan || is_away || self.is_uploading(id) {
            return Err(gone());
        }
        Ok(node)
    }

    pub(crate) fn is_uploading(&self, id: &str) -> bool {
        self.uploading.lock().expect("upload lock").contains(id)
    }

    /// The hashes of a file, unless it is too large.
    pub(crate) fn checksum(&self, node: &Node) -> Option<Checksum> {
        let max = self.knobs.get().hash_bytes_max;
        self.checksums.of(node, max)
    }

    /// Whether the drive that a call names holds the tree; the others hold nothing.
    ///
    /// # Errors
    /// When the call names no drive, or one that does not exist.
    pub(crate) fn names_the_tree(&self, call: &Call) -> Result<bool, Failure> {
        let id = call
            .text("drive_id")
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Failure::missing("drive_id"))?;
        self.is_tree_id(id)
    }

    pub(crate) fn is_tree_id(&self, id: &str) -> Result<bool, Failure> {
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::wrong_format("drive_id"));
        }
        if id == self.drive_id {
            return Ok(true);
        }
        let others = super::drives::other_ids(self);
        if others.iter().any(|other| other == id) {
            return Ok(false);
        }
        Err(Failure::gone("Drive"))
    }

    /// The node that a call is about, by `drive_id` and `file_id`.
    pub(crate) fn called_node(&self, call: &Call) -> Result<Arc<Node>, Failure> {
        let has_tree = self.names_the_tree(call)?;
        let id = call
            .text("file_id")
            .filter(|id| !id.is_empty())
            .ok_or_else(|| Failure::missing("file_id"))?;
        if !has_tree {
            return Err(Failure::gone("File"));
        }
        self.node(id)
    }
}

impl std::ops::Deref for Drive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Knobs {
    pub(crate) fn drive_id(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if self.ids_are_numbers => json!(number),
            _ => json!(id),
        }
    }

    pub(crate) fn size(&self, bytes: u64) -> Value {
        if self.sizes_are_text {
            json!(bytes.to_string())
        } else {
            json!(bytes)
        }
    }

    pub(crate) fn time(&self, at: Timestamp) -> Value {
        match self.time_shape {
            TimeShape::Utc => json!(json_date(at)),
            TimeShape::Offset => {
                let there = at + jiff::SignedDuration::from_hours(8);
                json!(json_date(there).replace('Z', "+08:00"))
            }
            TimeShape::Seconds => json!(at.as_second()),
            TimeShape::Milliseconds => json!(at.as_millisecond()),
        }
    }

    /// A text that may be absent.
    pub(crate) fn maybe(&self, text: &str) -> Value {
        if text.is_empty() && self.empty_is_null {
            Value::Null
        } else {
            json!(text)
        }
    }

    /// Adds the hashes to an item or a link.
    pub(crate) fn put_checksum(&self, body: &mut Value, checksum: &Checksum) {
        let sha1 = match self.hashes_are_wrong {
            true => checksum.sha1.chars().rev().collect(),
            false => checksum.sha1.clone(),
        };
        body["content_hash"] = json!(sha1);
        body["content_hash_name"] = json!("sha1");
        let crc64 = match self.crc_shape {
            CrcShape::Text => json!(checksum.crc64.to_string()),
            CrcShape::Number => json!(checksum.crc64),
            CrcShape::Rounded => json!(checksum.crc64 as f64),
            CrcShape::Absent => return,
        };
        body["crc64_hash"] = crc64;
    }
}

/// The files and folders a call is about, by the tree's ids, for fault rules that name one.
pub(crate) fn named_files(call: &Call) -> Vec<String> {
    let in_body = ["file_id", "parent_file_id"].map(|name| call.text(name).map(str::to_owned));
    let ids = in_body.into_iter().chain([call.query("file_id")]).flatten();
    let ids = ids.chain(call.texts("file_id_list"));
    ids.filter_map(|id| tree_id(&id).map(str::to_owned))
        .collect()
}
