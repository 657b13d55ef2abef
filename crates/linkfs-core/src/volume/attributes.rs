//! What extended attributes tell, and what setting one does.

use std::sync::Arc;

use tokio::time::Instant;

use super::{DISK_PATIENCE, Volume};
use crate::attribute::{self, Attribute};
use crate::content::Content;
use crate::disk_cache::Verified;
use crate::node::{Kind, Node, NodeId, What};
use crate::sharing::{self, Caller, SetMode, ShareFact};
use crate::{Error, Result, pin};

impl Volume {
    /// The value of the extended attribute `name`.
    ///
    /// # Errors
    /// `NoAttribute`, `ForeignAttribute`, `Stale`.
    pub async fn attribute(&self, node: NodeId, name: &str) -> Result<String> {
        let attribute = attribute::parse(name)?;
        let node = self.tree.node(node)?;
        match attribute {
            Attribute::Error => self.last_failure(&node).ok_or(Error::NoAttribute),
            Attribute::Cached if node.web_address().is_some() => Ok("100".to_owned()),
            Attribute::Cached | Attribute::Verified | Attribute::Pin if node.is_file_of_bytes() => {
                self.local_attribute(attribute, &node).await
            }
            Attribute::Url | Attribute::Link if node.is_file_of_bytes() => {
                let lease = self.link(node.id).await?;
                match attribute {
                    Attribute::Link => Ok(lease.as_json().to_string()),
                    _ => lease.plain_address().ok_or(Error::NoAttribute),
                }
            }
            Attribute::Share(fact) => {
                if let What::Share { drive, share } = &node.what {
                    let shown = sharing::of_share_file(drive.name(), share, fact);
                    return shown.ok_or(Error::NoAttribute);
                }
                self.answer(node.id, "read a share", async {
                    let target = self.share_target(&node)?.ok_or(Error::NoAttribute)?;
                    let deadline = Instant::now() + self.deadline;
                    self.sharer.get(&target, fact, deadline).await
                })
                .await
            }
            listed => attribute::listed_value(listed, &node),
        }
    }

    /// Why a file last failed. When that made another node of it, it is asked for by its name all the same.
    fn last_failure(&self, node: &Node) -> Option<String> {
        let last = self.failures.last(node.id);
        last.or_else(|| self.failures.last(node.id_before()?))
    }

    /// The page of an online document.
    pub fn web_address(&self, node: NodeId) -> Option<String> {
        let node = self.tree.node(node).ok()?;
        node.web_address().map(ToString::to_string)
    }

    /// What is known here of a file's bytes.
    async fn local_attribute(&self, attribute: Attribute<'_>, node: &Arc<Node>) -> Result<String> {
        let content = self.content_of(node)?;
        let stored = tokio::time::timeout(DISK_PATIENCE, content.find_stored()).await;
        let stored = stored.unwrap_or_default();
        Ok(match attribute {
            Attribute::Pin => {
                let is_pinned = stored.is_some_and(|stored| stored.is_pinned());
                is_pinned
                    .then(|| "yes".to_owned())
                    .ok_or(Error::NoAttribute)?
            }
            Attribute::Verified => {
                let verified = stored.map_or(Verified::Unknown, |stored| stored.verified());
                verified.to_string()
            }
            _ => {
                let on_disk = stored.as_ref().map_or(0, |stored| stored.bytes_present().0);
                // A pinned file is waited for until it is kept; what is in memory is not.
                let here = match stored.is_some_and(|stored| stored.is_pinned()) {
                    true => on_disk,
                    false => self.cache.bytes_of(node.id).0.max(on_disk),
                };
                let percentage = (here * 100).checked_div(content.size());
                percentage.unwrap_or(100).to_string()
            }
        })
    }

    /// Sets the extended attribute `name`: pins a file, which is fetched and kept from now on; or shares a file
    /// or folder by the terms in `value`, which takes as long as the drive needs, up to two minutes.
    ///
    /// # Errors
    /// Why it cannot be set; `NoDiskCache` when nothing is kept on disk.
    pub async fn set_attribute(
        &self,
        node: NodeId,
        name: &str,
        value: &[u8],
        mode: SetMode,
        caller: &Caller,
    ) -> Result<()> {
        match attribute::parse(name) {
            Ok(Attribute::Share(ShareFact::Address)) => {
                let set = async {
                    let target = self.target_to_share(node)?;
                    self.sharer.set(&target, value, mode, caller).await
                };
                self.note_share(node, set.await)
            }
            Ok(Attribute::Pin) => {
                let Some(content) = self.content_to_pin(node)? else {
                    return Ok(());
                };
                self.answer(node, "pin", pin::pin(&content)).await?;
                // What fails from now on is why it is not complete.
                self.failures.forget(node);
                self.fetch_whole(content);
                Ok(())
            }
            _ => self.refuse_change(node, name),
        }
    }

    /// Removes the extended attribute `name`: a file that is no longer pinned may be evicted; a share is revoked.
    ///
    /// # Errors
    /// Why it cannot be removed; `NoAttribute` when the file is not pinned.
    pub async fn remove_attribute(&self, node: NodeId, name: &str, caller: &Caller) -> Result<()> {
        match attribute::parse(name) {
            Ok(Attribute::Share(ShareFact::Address)) => {
                let remove = async {
                    let target = self.target_to_share(node)?;
                    self.sharer.remove(&target, caller).await
                };
                self.note_share(node, remove.await)
            }
            Ok(Attribute::Pin) => {
                let content = self.content_to_pin(node)?.ok_or(Error::NoAttribute)?;
                self.answer(node, "unpin", pin::unpin(&content)).await
            }
            _ => self.refuse_change(node, name),
        }
    }

    /// What a pin would keep; nothing of a web document, all of which is in its listing.
    fn content_to_pin(&self, node: NodeId) -> Result<Option<Arc<Content>>> {
        let node = self.tree.node(node)?;
        match node.kind() {
            Kind::File if node.web_address().is_some() => Ok(None),
            Kind::File if !node.is_file_of_bytes() => Err(Error::FixedAttribute),
            _ => self.content_of(&node).map(Some),
        }
    }

    fn refuse_change(&self, node: NodeId, name: &str) -> Result<()> {
        let refused = Err(attribute::refuse_change(name));
        self.failures.note(node, &refused);
        refused
    }

    /// Fetches what is missing of a pinned file in the background.
    pub(super) fn fetch_whole(&self, content: Arc<Content>) {
        let failures = self.failures.clone();
        tokio::spawn(async move {
            let node = content.node_id();
            let result = pin::fetch_whole(content).await;
            failures.note(node, &result);
            if let Err(error) = result {
                tracing::warn!(node = node.0, %error, "a pinned file is not complete");
            }
        });
    }
}
