//! Shares as files and attributes of a volume.

use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};
use tokio::time::Instant;

use super::Volume;
use crate::listing::Listing;
use crate::node::{Node, NodeId, What};
use crate::sharing::{Caller, OpenShares, Target};
use crate::{Error, Result};

impl Volume {
    /// Removes a name: of an open share, which revokes it.
    ///
    /// # Errors
    /// `ReadOnly` anywhere else, `NotFound`, and what the drive says.
    pub async fn remove_file(&self, parent: NodeId, name: &str, caller: &Caller) -> Result<()> {
        if parent != NodeId::SHARES {
            return Err(Error::ReadOnly);
        }
        let file = self
            .answer(parent, "revoke a share", self.share_file(name))
            .await?;
        let What::Share { drive, share } = &file.what else {
            return Err(Error::ReadOnly);
        };
        let result = self.sharer.revoke(drive, share, caller).await;
        self.note_share(file.id, result)
    }

    /// The open shares of all drives, as files.
    pub(super) async fn open_shares(&self) -> OpenShares {
        let deadline = Instant::now() + self.deadline;
        let nodes = self.tree.nodes();
        self.share_files.list(&self.drives, nodes, deadline).await
    }

    /// The folder of them. Whoever reads it learns in the end that a drive could not tell.
    pub(super) async fn share_listing(&self) -> Arc<Listing> {
        let OpenShares { files, failure } = self.open_shares().await;
        match failure {
            None => Listing::of(files, Duration::ZERO),
            Some(failure) => Listing::failing_after(files, failure),
        }
    }

    pub(super) async fn share_file(&self, name: &str) -> Result<Arc<Node>> {
        let deadline = Instant::now() + self.deadline;
        let nodes = self.tree.nodes();
        let files = &self.share_files;
        let file = files.find(name, &self.drives, nodes, deadline).await?;
        file.ok_or(Error::NotFound)
    }

    /// The item that a node shows, as what is to be shared; `None` for what no drive has.
    pub(super) fn share_target(&self, node: &Arc<Node>) -> Result<Option<Target>> {
        let Some((drive, item)) = node.item() else {
            return Ok(None);
        };
        let way = self.tree.way_in_drive(node)?;
        let path = |name: fn(&Node) -> &str| {
            let top = Some(self.shared_top.as_str()).filter(|top| !top.is_empty());
            let names = top.into_iter().chain(way.iter().map(|node| name(node)));
            names.collect::<Vec<_>>().join("/")
        };
        Ok(Some(Target {
            drive: drive.clone(),
            item: item.id.clone(),
            is_folder: item.is_folder(),
            path: path(|node| &node.name),
            path_on_drive: path(|node| node.item().map_or("", |(_, item)| &item.name)),
        }))
    }

    pub(super) fn target_to_share(&self, node: NodeId) -> Result<Target> {
        let target = self.share_target(&self.tree.node(node)?)?;
        target.ok_or_else(|| {
            let message = "this is on no drive, and shares are of files and folders of a drive";
            ProviderError::new(ErrorKind::Unsupported, message).into()
        })
    }

    /// Keeps why a request about a share failed; after a success older failures are of no interest.
    pub(super) fn note_share(&self, node: NodeId, result: Result<()>) -> Result<()> {
        let result = result.map_err(|error| self.in_full(node, error));
        match result {
            Ok(()) => self.failures.forget(node),
            Err(_) => self.failures.note(node, &result),
        }
        result
    }
}
