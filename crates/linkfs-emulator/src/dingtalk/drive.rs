use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::accounts::Accounts;
use super::answer::Failure;
use super::knobs::Knobs;
use super::link_book::LinkBook;
use super::meter::Meter;
use super::permissions::PermissionBook;
use super::version_book::VersionBook;
use crate::digest::sha256_hex;
use crate::mime::suffix;
use crate::object_store::ObjectStore;
use crate::{Cloud, Node, ROOT_ID, Setting};

/// The id of a space's top folder.
pub(crate) const TOP: &str = "0";

/// Ends every id when ids are to be odd; none of it may stand in a path as it is.
const ODD_END: &str = "/+%=?";

/// The emulated drive as its API sees it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Drive(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cloud: Cloud,
    pub(crate) store: ObjectStore,
    pub(crate) links: LinkBook,
    pub(crate) knobs: Setting<Knobs>,
    pub(crate) accounts: Accounts,
    pub(crate) space: Space,
    pub(crate) meter: Meter,
    pub(crate) versions: VersionBook,
    pub(crate) permissions: PermissionBook,
    /// How often a link to an archived file was asked for.
    pub(crate) thaws: Mutex<HashMap<String, u32>>,
    /// Page tokens that were used.
    pub(crate) used_tokens: Mutex<HashSet<String>>,
    /// `http://host:port` of the data ports, best first.
    pub(crate) data_hosts: Vec<String>,
    /// Where nothing listens.
    pub(crate) closed_host: String,
}

/// The one space that the drive holds.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) id: String,
    pub(crate) corp: String,
}

impl Drive {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Refuses calls that are about another space.
    pub(crate) fn check_space(&self, space: &str) -> Result<(), Failure> {
        if space == self.space.id {
            return Ok(());
        }
        let text = format!("space {space} not found");
        Err(Failure::new("spaceNotExist", &text))
    }

    /// The id by which the API knows a node.
    pub(crate) fn wire_id(&self, id: &str) -> String {
        match id {
            ROOT_ID => TOP.into(),
            id if self.knobs.get().odd_ids => format!("{id}{ODD_END}"),
            id => id.into(),
        }
    }

    /// The id in the tree of what the API calls `wire_id`.
    pub(crate) fn tree_id(&self, wire_id: &str) -> String {
        if wire_id == TOP {
            return ROOT_ID.into();
        }
        let is_odd = self.knobs.get().odd_ids;
        let plain = wire_id.strip_suffix(ODD_END).filter(|_| is_odd);
        plain.unwrap_or(wire_id).into()
    }

    /// The file or folder with this id of the API; the top folder is none of them.
    pub(crate) fn dentry(&self, wire_id: &str) -> Result<Arc<Node>, Failure> {
        if wire_id == TOP {
            let text = "0 is not the id of a file";
            return Err(Failure::new("paramError.dentryId", text));
        }
        self.folder_or_file(wire_id)
    }

    /// As [`Drive::dentry`], with the top folder.
    pub(crate) fn folder_or_file(&self, wire_id: &str) -> Result<Arc<Node>, Failure> {
        let id = self.tree_id(wire_id);
        let no_dentry = || Failure::no_dentry(wire_id);
        // The top folder's own id is not known outside.
        if wire_id == ROOT_ID || !self.is_living(&id) {
            return Err(no_dentry());
        }
        let node = self.cloud.tree.node(&id).ok_or_else(no_dentry)?;
        if self.knobs.get().denied.contains(&id) {
            return Err(Failure::denied());
        }
        Ok(node)
    }

    /// The node with this lasting id.
    pub(crate) fn by_uuid(&self, wanted: &str) -> Result<Arc<Node>, Failure> {
        if wanted == uuid(ROOT_ID) {
            return self.folder_or_file(TOP);
        }
        let mut nodes = self.cloud.tree.all().into_iter();
        let node = nodes.find(|node| uuid(&node.id) == wanted);
        let node = node.ok_or_else(|| Failure::no_dentry(wanted))?;
        self.folder_or_file(&self.wire_id(&node.id))
    }

    /// Whether neither the node nor a folder above it is gone.
    pub(crate) fn is_living(&self, id: &str) -> bool {
        if id == ROOT_ID {
            return true;
        }
        let line = self.cloud.tree.ancestry(id);
        let top = line.first().and_then(|top| top.parent.as_deref());
        top == Some(ROOT_ID) && line.iter().all(|node| !node.recycled)
    }

    /// Whether a file is an online document, which has no bytes.
    pub(crate) fn is_online(&self, node: &Node) -> bool {
        !node.is_folder()
            && self
                .knobs
                .get()
                .online_suffixes
                .contains(suffix(&node.name))
    }

    pub(crate) fn used_bytes(&self) -> u64 {
        let known = self.knobs.get().used_bytes;
        known.unwrap_or_else(|| self.cloud.tree.total_size())
    }
}

impl std::ops::Deref for Drive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The id that a node keeps when it is moved.
pub(crate) fn uuid(id: &str) -> String {
    sha256_hex(format!("uuid\n{id}").as_bytes())[..32].into()
}
