use std::sync::Arc;

use serde_json::Value;

use super::answer::Failure;
use super::auth::Accounts;
use super::call::Call;
use super::knobs::Knobs;
use super::share_book::ShareBook;
use crate::object_store::ObjectStore;
use crate::{Cloud, Node, ROOT_ID, Setting};

/// The emulated drive as its API sees it. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Drive(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cloud: Cloud,
    pub(crate) store: ObjectStore,
    pub(crate) knobs: Setting<Knobs>,
    pub(crate) accounts: Accounts,
    pub(crate) space: Space,
    pub(crate) shares: ShareBook,
}

/// The one space that the drive holds.
#[derive(Clone, Debug)]
pub(crate) struct Space {
    pub(crate) container: String,
    /// A team's or department's space is listed under this id.
    pub(crate) group: Option<String>,
}

impl Drive {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// Refuses calls that are about another space.
    pub(crate) fn check_container(&self, container: Option<&str>) -> Result<(), Failure> {
        match container {
            None | Some("") => Err(Failure::parameter("containerId")),
            Some(id) if id.len() > 64 => Err(Failure::parameter("containerId")),
            Some(id) if id == self.space.container => Ok(()),
            Some(_) => Err(Failure::new(13_000_301, "space does not exist")),
        }
    }

    /// The node that a call names by id, `root` included, unless it or a folder above is gone.
    pub(crate) fn living_node(&self, id: &str) -> Result<Arc<Node>, Failure> {
        let id = if id == "root" { ROOT_ID } else { id };
        let node = self.cloud.tree.node(id).ok_or_else(Failure::gone)?;
        let line = self.cloud.tree.ancestry(id);
        let is_orphan =
            id != ROOT_ID && line.first().and_then(|top| top.parent.as_deref()) != Some(ROOT_ID);
        let above = &line[..line.len().saturating_sub(1)];
        if is_orphan || above.iter().any(|folder| folder.recycled) {
            return Err(Failure::gone());
        }
        Ok(node)
    }

    /// As [`Drive::living_node`], and not in the recycle bin itself.
    pub(crate) fn usable_node(&self, id: &str) -> Result<Arc<Node>, Failure> {
        let node = self.living_node(id)?;
        if node.recycled {
            return Err(Failure::new(13_000_306, "file is in the recycle bin"));
        }
        Ok(node)
    }
}

impl std::ops::Deref for Drive {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The files and folders a call is about, for fault rules that name one.
pub(crate) fn named_files(call: &Call, segments: &[String]) -> Vec<String> {
    let mut ids = call.texts("fileIds");
    ids.extend(call.text("parentFileId").map(str::to_owned));
    ids.extend(call.text("parentFolder").map(str::to_owned));
    ids.extend(call.query("fileId"));
    if let [_, files, id, detail] = segments
        && files == "files"
        && detail == "detail"
    {
        ids.push(id.clone());
    }
    for id in ids.clone() {
        if id == "root" {
            ids.push(ROOT_ID.into());
        }
    }
    ids
}

/// An answer's field, or the failure that takes the answer's place.
pub(crate) type Outcome = Result<Value, Failure>;
