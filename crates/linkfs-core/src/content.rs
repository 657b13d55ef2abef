use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use linkfs_provider::{ByteCount, Item, ItemKind, Offset, Version};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::block_cache::{BlockCache, Found, Pending, Piece, Wish};
use crate::disk_cache::{GIVE_ROOM, Identity};
use crate::entity_tag::EntityTag;
use crate::lease::Lease;
use crate::link_cache::Neighbourhood;
use crate::node::{Node, NodeId};
use crate::open_file::{ReadBytes, ReaderId};
use crate::range_job::RangeJob;
use crate::read_pattern::Advice;
use crate::recent_failures::RecentFailures;
use crate::stored::{Disk, StoredFile};
use crate::tree::Tree;
use crate::{Drive, Error, Result};

/// What is asked for at least, whatever the file system's unit: the kernel's pages.
const PAGE: u64 = 4 << 10;

/// One read of a content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Read {
    pub(crate) reader: ReaderId,
    pub(crate) offset: Offset,
    pub(crate) length: ByteCount,
    pub(crate) advice: Advice,
    pub(crate) deadline: Instant,
}

/// One version of one file, shared by everyone who has it open. Its bytes never mix with another version's:
/// the length is pinned when it is opened, the entity tag when the first answer comes.
#[derive(Debug)]
pub(crate) struct Content {
    node: Arc<Node>,
    drive: Arc<Drive>,
    item: Item,
    tree: Arc<Tree>,
    cache: Arc<BlockCache>,
    disk: Option<Arc<Disk>>,
    tag: OnceLock<EntityTag>,
    change: OnceLock<Error>,
    failures: RecentFailures,
    readers: Mutex<Readers>,
    /// Somebody fetches the whole of it.
    is_being_fetched: AtomicBool,
}

/// Who has a content open, and what is being fetched for them. Under one lock, so that the last to close
/// cannot end the jobs of one who opens in that moment.
#[derive(Debug, Default)]
struct Readers {
    openings: usize,
    may_find_others_pages: bool,
    jobs: Vec<AbortHandle>,
    /// Its blocks on disk, while somebody has it open: they cost two descriptors.
    stored: Option<Arc<StoredFile>>,
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
        disk: Option<Arc<Disk>>,
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
            disk,
            tag: OnceLock::new(),
            change: OnceLock::new(),
            failures: RecentFailures::default(),
            readers: Mutex::default(),
            is_being_fetched: AtomicBool::new(false),
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

    pub(crate) fn failures(&self) -> &RecentFailures {
        &self.failures
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

    /// Counts an opening by the kernel. Says whether the pages that it has of the node are of this content.
    pub(crate) fn open(&self) -> bool {
        self.hold();
        !std::mem::take(&mut self.lock_readers().may_find_others_pages)
    }

    /// Counts an opening of our own.
    pub(crate) fn hold(&self) {
        self.lock_readers().openings += 1;
    }

    /// It may have been open before, when nobody remembers its tag: the kernel's pages are not to be trusted.
    pub(crate) fn distrust_pages(&self) {
        self.lock_readers().may_find_others_pages = true;
    }

    /// The last to close ends what is still being fetched ahead.
    pub(crate) fn close(&self, reader: ReaderId) {
        self.cache.memory().forget_reader(reader);
        let mut readers = self.lock_readers();
        readers.openings -= 1;
        if readers.openings > 0 {
            return;
        }
        readers.jobs.drain(..).for_each(|job| job.abort());
        let stored = readers.stored.take();
        drop(readers);
        if let (Some(disk), Some(stored)) = (&self.disk, stored) {
            disk.close(stored);
        }
    }

    /// The disk was waited for in vain.
    pub(crate) fn note_hanging_disk(&self) {
        if let Some(disk) = &self.disk {
            disk.note_hanging();
        }
    }

    /// The file on disk, if all of it is there and the kernel may read it without us.
    pub(crate) async fn passthrough_file(&self) -> Option<fs::File> {
        let (file, tag) = self.find_stored().await?.passthrough_file().await?;
        self.check_tag(tag).is_ok().then_some(file)
    }

    /// Whether its blocks are kept on disk for good, and some are missing.
    pub(crate) fn is_pinned_in_part(&self) -> bool {
        let stored = self.known_stored();
        stored.is_some_and(|stored| stored.is_pinned() && !stored.is_complete())
    }

    /// Whether the caller is the only one to fetch the whole of it, until [`Content::end_fetching`].
    pub(crate) fn begin_fetching(&self) -> bool {
        !self.is_being_fetched.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_fetching(&self) {
        self.is_being_fetched.store(false, Ordering::Release);
    }

    pub(crate) fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    /// Why [`Content::stored`] gave nothing, or a block was not kept.
    pub(crate) fn why_not_stored(&self) -> Error {
        let (why, advice) = match &self.disk {
            None => ("there is none".into(), GIVE_ROOM),
            Some(_) if self.drive.identity().is_none() => (
                "what the drive is comes from outside the configuration".into(),
                "put its space, address and the like into the configuration itself",
            ),
            Some(disk) => disk.why_not(self.size()),
        };
        Error::NoDiskCache { why, advice }
    }

    /// Where its blocks are kept on disk, if some are.
    pub(crate) async fn find_stored(&self) -> Option<Arc<StoredFile>> {
        let disk = self.usable_disk()?;
        if let Some(known) = self.known_stored() {
            return Some(known);
        }
        let found = disk.find(self.identity()?, self.item.hashes.clone());
        Some(self.note_stored(found.await?))
    }

    /// Where its blocks are kept on disk, if they can be.
    pub(crate) async fn stored(&self) -> Option<Arc<StoredFile>> {
        let disk = self.usable_disk()?;
        if let Some(known) = self.known_stored() {
            return Some(known);
        }
        let opened = disk.file(self.identity()?, self.item.hashes.clone());
        Some(self.note_stored(opened.await?))
    }

    fn usable_disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref().filter(|disk| !disk.is_hanging())
    }

    fn known_stored(&self) -> Option<Arc<StoredFile>> {
        self.lock_readers().stored.clone()
    }

    /// Keeps the file open as long as the content is.
    fn note_stored(&self, opened: Arc<StoredFile>) -> Arc<StoredFile> {
        let mut readers = self.lock_readers();
        match readers.openings {
            0 => opened,
            _ => readers.stored.get_or_insert(opened).clone(),
        }
    }

    /// A hash says more of which version it is than any number that a drive makes up.
    fn identity(&self) -> Option<Identity> {
        let hashes = self.item.hashes.iter();
        let hashes = hashes.map(|(name, value)| format!(" {name}:{value}"));
        let version = format!("{}{}", self.item.version, hashes.collect::<String>());
        Some(Identity {
            drive: self.drive.identity()?.to_owned(),
            item: self.item.id.clone(),
            version: Version(version),
            size: self.item.size(),
        })
    }

    /// Keeps the block around `offset` on disk, if all of it is in memory.
    pub(crate) async fn keep(&self, stored: &Arc<StoredFile>, offset: u64) {
        let index = offset / BLOCK_SIZE;
        let pieces = self.cache.whole_block(self.node.id, self.size(), index);
        if let (Some(disk), Some(pieces)) = (&self.disk, pieces) {
            disk.write(stored, index, pieces).await;
        }
    }

    /// The bytes of a read, as many as the file has. The flag says whether the reader had to wait for them.
    ///
    /// # Errors
    /// `Stale` when the content changed, `Deadline`, and why the bytes could not be had.
    pub(crate) async fn read(self: &Arc<Self>, read: Read) -> Result<(ReadBytes, bool)> {
        let (start, end) = (
            read.offset.0,
            (read.offset + read.length).0.min(self.size()),
        );
        if start >= end {
            return Ok((ReadBytes::default(), false));
        }
        let wish = self.wish(start..end, &read);
        // Pieces of whole blocks come out of the cache at both ends.
        let most_held = (end - start) + 2 * BLOCK_SIZE;
        let memory = self.cache.memory();
        let admission = match memory.try_admit(most_held) {
            Some(admission) => admission,
            None => {
                // Those before it may be waiting for a dead server. What is here needs no more room.
                if let Some(blocks) = self.cache.present(self.node.id, wish.wanted.clone()) {
                    self.check_unchanged()?;
                    return Ok((ReadBytes::of_blocks(blocks, start, end, None), false));
                }
                let admitted = tokio::time::timeout_at(read.deadline, memory.admit(most_held));
                admitted.await.map_err(|_elapsed| self.too_late())?
            }
        };
        let mut may_plan_again = true;
        loop {
            let found = self.plan(&wish)?;
            match self.collect(found, read.deadline).await {
                Ok((blocks, waited)) => {
                    // The kernel has the pages, and a large read at a random place is not soon repeated.
                    if read.advice.goes_on || end - start >= BLOCK_SIZE {
                        self.cache.pass(self.node.id, self.size(), start..end);
                    }
                    let bytes = ReadBytes::of_blocks(blocks, start, end, Some(admission));
                    return Ok((bytes, waited));
                }
                // Another reader's job gave up, perhaps just after this reader joined it: start an own one.
                // Once is enough, whosever job it is then: that one began when this reader was waiting already.
                Err(Missing {
                    error,
                    had_joined: true,
                }) if may_plan_again
                    && error.is_passing()
                    && has_time(read.deadline, self.work_time()) =>
                {
                    tracing::debug!(node = self.node.id.0, %error, "planning again");
                    may_plan_again = false;
                }
                Err(missing) => return Err(missing.error),
            }
        }
    }

    fn wish(&self, wanted: Range<u64>, read: &Read) -> Wish {
        let page_end = wanted.end.next_multiple_of(PAGE).min(self.size());
        let wanted = wanted.start / PAGE * PAGE..page_end;
        let ahead = match read.advice.ahead.0 {
            0 => 0,
            ahead => ahead.min(self.cache.memory().share_of(read.reader)),
        };
        let ahead_end = match ahead {
            0 => wanted.end,
            ahead => (wanted.end.saturating_add(ahead)).next_multiple_of(BLOCK_SIZE),
        };
        Wish {
            node: self.node.id,
            size: self.size(),
            ahead_end: ahead_end.min(self.size()),
            run_length: self.drive.run_length(ahead),
            wanted,
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
    ) -> Result<(Vec<(u64, Arc<Block>)>, bool), Missing> {
        let mut waited = false;
        let mut blocks = Vec::with_capacity(found.len());
        // The last first: a job settles its pieces in their order, so that one wait is for all of them.
        for Found { start, piece } in found.into_iter().rev() {
            let (pending, had_joined) = match piece {
                Piece::Ready(block) => {
                    blocks.push((start, block));
                    continue;
                }
                Piece::Joined(pending) => (pending, true),
                Piece::Claimed(pending) => (pending, false),
            };
            waited = true;
            let settled = tokio::time::timeout_at(deadline, pending.wait()).await;
            let settled = settled
                .map_err(|_elapsed| self.too_late())
                .and_then(Clone::clone);
            let block = settled.map_err(|error| Missing { error, had_joined })?;
            blocks.push((start, block));
        }
        blocks.reverse();
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
                folder: self.node.parent,
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
    pub(crate) fn check_tag(&self, tag: Option<EntityTag>) -> Result<(), String> {
        let Some(tag) = tag else {
            return Ok(());
        };
        if *self.tag.get_or_init(|| tag) == tag {
            Ok(())
        } else {
            Err("the content was replaced while it was being read".into())
        }
    }

    /// The tag of all bytes that were given out, once there was one.
    pub(crate) fn tag(&self) -> Option<EntityTag> {
        self.tag.get().copied()
    }

    /// Deletes what is on disk; the next look finds nothing, or what is written then.
    pub(crate) async fn forget_stored(&self, stored: &Arc<StoredFile>) {
        self.leave_stored(stored);
        stored.forget().await;
    }

    /// Whoever needs the file on disk from now on opens it anew.
    pub(crate) fn leave_stored(&self, stored: &Arc<StoredFile>) {
        let is_the_same = |known: &mut Arc<StoredFile>| Arc::ptr_eq(known, stored);
        self.lock_readers().stored.take_if(is_the_same);
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

    /// Ends the fetching of one piece. Bytes of a content that has changed go to those who asked before
    /// and are not kept.
    pub(crate) fn settle(&self, start: u64, pending: &Pending, result: Result<Arc<Block>>) {
        self.cache.settle(self.node.id, start, pending, result);
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
