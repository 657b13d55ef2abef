use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;
use std::{io, thread};

use linkfs_provider::{ByteCount, Hashes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use super::StoredFile;
use crate::block::{BLOCK_SIZE, Block};
use crate::disk_cache::{
    CachedFile, DiskCache, DiskCacheStats, GIVE_ROOM, Identity, SEE_TO_THE_DISK,
};
use crate::disk_calls::DiskCalls;

/// The unit in which queued bytes are counted.
const PERMIT: u64 = 1 << 10;
/// How long a transfer waits for the disk to take what came before. A disk slower than that is not worth it:
/// the block is left out, and fetched again when somebody wants it.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long the end of a mount waits for what is queued.
const LAST_PATIENCE: Duration = Duration::from_secs(3);
/// So many files wait to be verified: each costs two descriptors, and cannot be evicted meanwhile.
const MOST_TO_VERIFY: usize = 64;
/// So many files are fetched whole at a time; the others wait for their turn.
const FETCHED_AT_ONCE: usize = 4;

/// The disk cache and the threads that write to it and verify what is complete.
#[derive(Debug)]
pub(crate) struct Disk {
    cache: DiskCache,
    queue: mpsc::Sender<Work>,
    verifier: mpsc::SyncSender<Arc<StoredFile>>,
    room: Arc<Semaphore>,
    /// How many permits `room` has in all.
    most_queued: u32,
    /// It was waited for in vain: until it has caught up, nobody waits again.
    is_behind: AtomicBool,
    calls: Arc<DiskCalls>,
    fetching: Semaphore,
}

/// What the writer's thread does.
#[derive(Debug)]
enum Work {
    Write(Write),
    /// Closing a file notes its last use, and may have to free what was deleted.
    Close(Arc<StoredFile>),
}

/// A block to write.
#[derive(Debug)]
struct Write {
    file: Arc<StoredFile>,
    block: u64,
    /// What makes it up, in order.
    pieces: Vec<Arc<Block>>,
    _room: OwnedSemaphorePermit,
}

impl Disk {
    /// Uses a folder for up to `limit` bytes of blocks. At most `queued` bytes wait to be written.
    ///
    /// # Errors
    /// When the folder cannot be used, or there can be no thread.
    pub(crate) fn open(
        directory: &Path,
        limit: ByteCount,
        queued: ByteCount,
    ) -> io::Result<Arc<Disk>> {
        let (queue, works) = mpsc::channel::<Work>();
        let (verifier, complete) = mpsc::sync_channel::<Arc<StoredFile>>(MOST_TO_VERIFY);
        let most_queued = (queued.0.max(BLOCK_SIZE) / PERMIT).min(1 << 28) as u32;
        let disk = Disk {
            cache: DiskCache::open(directory, limit)?,
            queue,
            verifier,
            room: Arc::new(Semaphore::new(most_queued as usize)),
            most_queued,
            is_behind: AtomicBool::new(false),
            calls: Arc::default(),
            fetching: Semaphore::new(FETCHED_AT_ONCE),
        };
        let thread = |name: &str| thread::Builder::new().name(name.into());
        thread("linkfs-disk").spawn(|| works.into_iter().for_each(Work::carry_out))?;
        thread("linkfs-verify").spawn(|| complete.into_iter().for_each(|file| file.verify()))?;
        Ok(Arc::new(disk))
    }

    /// Waits until what is queued is written, unless the disk is too slow.
    pub(crate) async fn settled(&self) {
        let all = self.room.acquire_many(self.most_queued);
        if tokio::time::timeout(LAST_PATIENCE, all).await.is_err() {
            tracing::info!("the disk is too slow to keep what was read last");
        }
    }

    /// Waits for the turn of a file to be fetched whole.
    pub(crate) async fn turn(&self) -> SemaphorePermit<'_> {
        let turn = self.fetching.acquire().await;
        turn.expect("the semaphore is never closed")
    }

    /// The cached file of a content; `None` when the disk does not give one.
    pub(crate) async fn file(
        self: &Arc<Self>,
        identity: Identity,
        hashes: Hashes,
    ) -> Option<Arc<StoredFile>> {
        let disk = self.clone();
        let opened = self.call(move || disk.cache.file(&identity)).await?;
        self.stored(opened, hashes)
    }

    /// The same, if something of it is cached.
    pub(crate) async fn find(
        self: &Arc<Self>,
        identity: Identity,
        hashes: Hashes,
    ) -> Option<Arc<StoredFile>> {
        let disk = self.clone();
        let found = self.call(move || disk.cache.find(&identity)).await?;
        self.stored(found.transpose()?, hashes)
    }

    /// Runs `work`, which waits for the disk, where nobody else waits; not at all while the disk hangs.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_hanging() {
            return None;
        }
        Some(self.calls.run(work).await)
    }

    /// Somebody waited in vain for a call to the disk.
    pub(crate) fn note_hanging(&self) {
        if self.calls.note_in_vain() {
            tracing::warn!("the cache's disk does not answer: reading goes on without it");
        }
    }

    /// Whether it is better done without.
    pub(crate) fn is_hanging(&self) -> bool {
        self.calls.is_hanging()
    }

    /// Closes a file, if this is its last use, without waiting for it.
    pub(crate) fn close(&self, file: Arc<StoredFile>) {
        // Without its thread, which died of a panic, it is closed here.
        let _closed = self.queue.send(Work::Close(file));
    }

    fn stored(&self, file: io::Result<CachedFile>, hashes: Hashes) -> Option<Arc<StoredFile>> {
        let file = file.inspect_err(|error| tracing::debug!(%error, "no cached file"));
        Some(Arc::new(StoredFile {
            file: file.ok()?,
            hashes,
            tag: OnceLock::new(),
            verifier: self.verifier.clone(),
            is_to_be_verified: AtomicBool::new(false),
            disk: self.calls.clone(),
        }))
    }

    /// Queues a block to be written, or leaves it out when the disk is too slow.
    pub(crate) async fn write(&self, file: &Arc<StoredFile>, block: u64, pieces: Vec<Arc<Block>>) {
        let bytes: usize = pieces.iter().map(|piece| piece.bytes().len()).sum();
        let room = (bytes as u64).div_ceil(PERMIT) as u32;
        let Some(room) = self.room_for(room).await else {
            return tracing::debug!(block, "the disk is too slow to keep a block");
        };
        let write = Write {
            file: file.clone(),
            block,
            pieces,
            _room: room,
        };
        // Without its thread, which died of a panic, nothing is kept; reading goes on.
        let _kept = self.queue.send(Work::Write(write));
    }

    async fn room_for(&self, permits: u32) -> Option<OwnedSemaphorePermit> {
        let room = self.room.clone();
        let room = match self.is_behind.load(Ordering::Relaxed) {
            true => room.try_acquire_many_owned(permits).ok(),
            false => {
                let room = room.acquire_many_owned(permits);
                let room = tokio::time::timeout(PATIENCE, room).await.ok();
                room.map(|room| room.expect("the semaphore is never closed"))
            }
        };
        self.is_behind.store(room.is_none(), Ordering::Relaxed);
        room
    }

    /// Why it does not keep all of a file of that size, and what to do about it.
    pub(crate) fn why_not(&self, size: u64) -> (String, &'static str) {
        let limit = self.cache.limit();
        if !self.can_hold(size) {
            let why = format!("its {size} bytes are more than the limit of {limit} bytes");
            return (why, GIVE_ROOM);
        }
        if self.is_hanging() {
            return ("its disk does not answer".into(), SEE_TO_THE_DISK);
        }
        let paused = self.cache.why_paused();
        paused.unwrap_or_else(|| ("it took nothing at that moment".into(), "try again"))
    }

    /// Whether a file of that size can be there whole.
    pub(crate) fn can_hold(&self, size: u64) -> bool {
        size <= self.cache.limit().0
    }

    pub(crate) fn stats(&self) -> DiskCacheStats {
        self.cache.stats()
    }
}

impl Work {
    fn carry_out(self) {
        match self {
            Work::Write(write) => write.carry_out(),
            Work::Close(file) => drop(file),
        }
    }
}

impl Write {
    fn carry_out(self) {
        let _is_kept = match self.pieces.as_slice() {
            [whole] => self.file.write_now(self.block, whole.bytes()),
            pieces => {
                let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.bytes()).collect();
                self.file.write_now(self.block, &bytes.concat())
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::{ItemId, Version};
    use tempfile::TempDir;
    use tokio::time::Instant;

    use super::*;
    use crate::block::Pool;
    use crate::memory::Memory;

    /// Room for two blocks on their way.
    fn disk(folder: &TempDir) -> Arc<Disk> {
        let (limit, queued) = (ByteCount(1 << 30), ByteCount(2 * BLOCK_SIZE));
        Disk::open(&folder.path().join("content"), limit, queued).expect("a disk")
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_disk_is_waited_for_once_and_again_when_it_has_caught_up() {
        let folder = TempDir::new().expect("a folder");
        let disk = disk(&folder);
        let block = (BLOCK_SIZE / PERMIT) as u32;
        let waited = async |expected: bool| {
            let before = Instant::now();
            let room = disk.room_for(block).await;
            assert_eq!(room.is_some(), expected);
            (room, before.elapsed())
        };
        let ((first, _), (second, _)) = (waited(true).await, waited(true).await);
        assert!(waited(false).await.1 >= PATIENCE);
        assert_eq!(waited(false).await.1, Duration::ZERO);
        drop(first);
        let (_third, _) = waited(true).await;
        assert!(waited(false).await.1 >= PATIENCE);
        drop(second);
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_done_without_until_a_call_returns() {
        let folder = TempDir::new().expect("a folder");
        let disk = disk(&folder);
        let (hang, until) = mpsc::channel::<()>();
        let hanging = disk.calls.run(move || until.recv());
        let in_vain = tokio::time::timeout(Duration::ZERO, hanging).await;
        assert!(in_vain.is_err());
        disk.note_hanging();
        assert_eq!(disk.call(|| 7).await, None);
        hang.send(()).expect("the call is under way");
        while disk.is_hanging() {
            tokio::task::yield_now().await;
        }
        assert_eq!(disk.call(|| 7).await, Some(7));
    }

    #[tokio::test]
    async fn what_is_queued_is_on_disk_when_it_has_settled() {
        let folder = TempDir::new().expect("a folder");
        let disk = disk(&folder);
        let identity = Identity {
            drive: "work".into(),
            item: ItemId("a".into()),
            version: Version("1".into()),
            size: ByteCount(20 * BLOCK_SIZE),
        };
        let file = disk.file(identity.clone(), Hashes::default()).await;
        let (file, pool) = (
            file.expect("a file"),
            Pool::new(Memory::new(ByteCount(1 << 20))),
        );
        for number in 0..20 {
            let mut piece = pool.take(BLOCK_SIZE as usize);
            piece.fill(&[number as u8; BLOCK_SIZE as usize], BLOCK_SIZE as usize);
            disk.write(&file, number, vec![Arc::new(piece)]).await;
        }
        disk.settled().await;
        assert_eq!(pool.in_blocks(), ByteCount(0), "nothing is on its way");
        let another = self::disk(&folder).find(identity, Hashes::default()).await;
        let another = another.expect("it is there");
        let there = (0..20).filter(|number| another.has(number * BLOCK_SIZE));
        assert_eq!(there.count(), 20);
    }
}
