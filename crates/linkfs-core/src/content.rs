use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use linkfs_provider::{ByteCount, Item, ItemKind, Offset};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::block_cache::{BlockCache, Found, Pending, Wish, block_length};
use crate::link_cache::{Lease, Neighbourhood};
use crate::node::{Node, NodeId};
use crate::open_file::ReadBytes;
use crate::range_job::RangeJob;
use crate::tree::Tree;
use crate::{Drive, Error, Result};

/// One job fetches at least this much when there is more to fetch: below it, the cost of a request shows.
const SHORTEST_RUN: u64 = 1 << 20;
/// And at most this much: measured, 8 MiB ranges come within a few per cent of one endless body, and four
/// of them fill a 32 MiB window.
const LONGEST_RUN: u64 = 8 << 20;

/// One version of one file, shared by everyone who has it open. Its bytes never mix with another version's:
/// the length is pinned when it is opened, the entity tag when the first answer comes.
#[derive(Debug)]
pub(crate) struct Content {
    node: Arc<Node>,
    drive: Arc<Drive>,
    item: Item,
    tree: Arc<Tree>,
    cache: Arc<BlockCache>,
    tag: OnceLock<String>,
    change: OnceLock<Error>,
    readers: Mutex<Readers>,
}

/// Who has a content open, and what is being fetched for them. Under one lock, so that the last to close
/// cannot end the jobs of one who opens in that moment.
#[derive(Debug, Default)]
struct Readers {
    openings: usize,
    was_opened: bool,
    jobs: Vec<AbortHandle>,
}

impl Content {
    /// The content of a file node.
    ///
    /// # Errors
    /// `IsAFolder` for a node that has no bytes on a drive.
    pub(crate) fn of(
        node: Arc<Node>,
        tree: Arc<Tree>,
        cache: Arc<BlockCache>,
    ) -> Result<Arc<Content>> {
        let (drive, item) = node.item().ok_or(Error::IsAFolder)?;
        match item.kind {
            ItemKind::File { .. } => {}
            ItemKind::Folder | ItemKind::WebDocument { .. } => return Err(Error::IsAFolder),
        }
        let (drive, item) = (drive.clone(), item.clone());
        Ok(Arc::new(Content {
            node,
            drive,
            item,
            tree,
            cache,
            tag: OnceLock::new(),
            change: OnceLock::new(),
            readers: Mutex::default(),
        }))
    }

    pub(crate) fn node_id(&self) -> NodeId {
        self.node.id
    }

    pub(crate) fn size(&self) -> u64 {
        self.item.size().0
    }

    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.cache.pool
    }

    pub(crate) fn drive(&self) -> &Drive {
        &self.drive
    }

    pub(crate) fn work_time(&self) -> Duration {
        self.drive.work_time()
    }

    /// # Errors
    /// `Stale` when the content turned out to be another than the listing said.
    pub(crate) fn check_unchanged(&self) -> Result<()> {
        self.change
            .get()
            .map_or(Ok(()), |change| Err(change.clone()))
    }

    /// Counts an opening; says whether it was open before, so that the kernel's pages are of this version.
    pub(crate) fn open(&self) -> bool {
        let mut readers = self.lock_readers();
        readers.openings += 1;
        std::mem::replace(&mut readers.was_opened, true)
    }

    /// The last to close ends what is still being fetched ahead.
    pub(crate) fn close(&self) {
        let mut readers = self.lock_readers();
        readers.openings -= 1;
        if readers.openings == 0 {
            readers.jobs.drain(..).for_each(|job| job.abort());
        }
    }

    /// Bytes from `offset` on, as many of `length` as the file has; `ahead` bytes behind them are fetched too.
    /// The flag says whether the reader had to wait.
    ///
    /// # Errors
    /// `Stale` when the content changed, `Deadline`, and why the bytes could not be had.
    pub(crate) async fn read(
        self: &Arc<Self>,
        offset: Offset,
        length: ByteCount,
        ahead: ByteCount,
        deadline: Instant,
    ) -> Result<(ReadBytes, bool)> {
        let end = (offset + length).0.min(self.size());
        if offset.0 >= end {
            return Ok((ReadBytes::default(), false));
        }
        let wish = self.wish(offset.0, end, ahead.0);
        let mut may_plan_again = true;
        loop {
            let found = self.plan(&wish)?;
            match self.collect(found, deadline).await {
                Ok((blocks, waited)) => {
                    return Ok((ReadBytes::of_blocks(blocks, offset.0, end), waited));
                }
                // Another reader's job gave up, perhaps just after this reader joined it: start an own one.
                // Once is enough, whosever job it is then: that one began when this reader was waiting already.
                Err(Missing {
                    error,
                    had_joined: true,
                }) if may_plan_again
                    && error.is_passing()
                    && has_time(deadline, self.work_time()) =>
                {
                    tracing::debug!(node = self.node.id.0, %error, "planning again");
                    may_plan_again = false;
                }
                Err(missing) => return Err(missing.error),
            }
        }
    }

    fn wish(&self, start: u64, end: u64, ahead: u64) -> Wish {
        let ahead_end = end.saturating_add(ahead).min(self.size());
        let run = (ahead / 4).clamp(SHORTEST_RUN, LONGEST_RUN);
        Wish {
            node: self.node.id,
            size: self.size(),
            wanted: start / BLOCK_SIZE..end.div_ceil(BLOCK_SIZE),
            ahead_end: ahead_end.div_ceil(BLOCK_SIZE),
            run_length: run / BLOCK_SIZE,
        }
    }

    fn plan(self: &Arc<Self>, wish: &Wish) -> Result<Vec<Found>> {
        self.check_unchanged()?;
        let (found, runs) = self.cache.plan(wish);
        if !runs.is_empty() {
            let jobs = &mut self.lock_readers().jobs;
            jobs.retain(|job| !job.is_finished());
            jobs.extend(runs.into_iter().map(|run| {
                let job = RangeJob::new(self.clone(), run);
                tokio::spawn(job.run()).abort_handle()
            }));
        }
        Ok(found)
    }

    async fn collect(
        &self,
        found: Vec<Found>,
        deadline: Instant,
    ) -> Result<(Vec<Arc<Block>>, bool), Missing> {
        let mut waited = false;
        let mut blocks = Vec::with_capacity(found.len());
        for block in found {
            let (pending, had_joined) = match block {
                Found::Ready(block) => {
                    blocks.push(block);
                    continue;
                }
                Found::Joined(pending) => (pending, true),
                Found::Claimed(pending) => (pending, false),
            };
            waited = true;
            let settled = tokio::time::timeout_at(deadline, pending.wait()).await;
            let settled = settled
                .map_err(|_elapsed| self.too_late())
                .and_then(Clone::clone);
            blocks.push(settled.map_err(|error| Missing { error, had_joined })?);
        }
        Ok((blocks, waited))
    }

    fn too_late(&self) -> Error {
        Error::Deadline {
            what: "read".into(),
            waited: self.work_time(),
        }
    }

    /// A link for this file; signing one brings along the files around it.
    pub(crate) async fn lease(&self) -> Result<Arc<Lease>> {
        let around = self
            .tree
            .known_listing(self.node.parent)
            .map(|listing| Neighbourhood {
                listing,
                name: self.node.name.clone(),
            });
        self.drive
            .links
            .lease(&self.drive, (self.node.id, &self.item.id), around.as_ref())
            .await
    }

    pub(crate) fn refuse(&self, lease: &Arc<Lease>) {
        self.drive.links.refuse(self.node.id, lease);
    }

    /// Pins the first entity tag; any other later is another content.
    pub(crate) fn check_tag(&self, tag: Option<&str>) -> Result<(), String> {
        let Some(tag) = tag else {
            return Ok(());
        };
        if self.tag.get_or_init(|| tag.to_owned()) == tag {
            Ok(())
        } else {
            Err("the content was replaced while it was being read".into())
        }
    }

    /// The content is not what the listing said: nothing of it is given out any more, and the next look into
    /// its folder asks the drive and finds a new node.
    pub(crate) fn mark_changed(&self, what: &str) -> Error {
        let error = Error::Stale(format!("the file changed on the drive: {what}"));
        if self.change.set(error.clone()).is_ok() {
            tracing::info!(
                node = self.node.id.0,
                drive = self.drive.name(),
                what,
                "content changed"
            );
            self.node.mark_outdated();
            self.drive.saw_replacement(&self.item.id);
            self.tree.forget_listing(self.node.parent);
            self.cache.forget(self.node.id);
        }
        error
    }

    /// Ends the fetching of one block. Bytes of a content that has changed go to those who asked before
    /// and are not kept.
    pub(crate) fn settle(&self, index: u64, pending: &Pending, result: Result<Arc<Block>>) {
        let length = block_length(self.size(), index);
        self.cache
            .settle(self.node.id, index, pending, length, result);
        if self.check_unchanged().is_err() {
            self.cache.forget(self.node.id);
        }
    }

    fn lock_readers(&self) -> std::sync::MutexGuard<'_, Readers> {
        self.readers
            .lock()
            .expect("no panic while the readers are locked")
    }
}

/// A block that could not be had.
struct Missing {
    error: Error,
    /// The job that was to fetch it had been started before it was asked for.
    had_joined: bool,
}

/// Whether there is time enough left for another job to get anywhere.
fn has_time(deadline: Instant, work_time: Duration) -> bool {
    deadline.saturating_duration_since(Instant::now()) > work_time.mul_f64(0.25)
}
