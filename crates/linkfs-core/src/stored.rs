//! The disk cache as the read path uses it: nobody who reads waits for a write, and the kernel's threads wait
//! for no disk at all.

use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use std::{fs, io, thread};

use linkfs_provider::{ByteCount, Hashes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::content_hash::ContentHash;
use crate::disk_cache::{
    CachedFile, DiskCache, DiskCacheStats, FoundOnDisk, Identity, Verification, Verified,
};

/// The unit in which queued bytes are counted.
const PERMIT: u64 = 1 << 10;
/// How long a transfer waits for the disk to take what came before. A disk slower than that is not worth it:
/// the block is left out, and fetched again when somebody wants it.
const PATIENCE: Duration = Duration::from_millis(250);
/// So many pieces are read from the disk before they are handed on.
const READ_AT_ONCE: usize = 4;
/// A file that somebody writes to again and again is not passed through.
const MOST_VERIFICATIONS: usize = 3;

/// The disk cache and the thread that writes to it.
#[derive(Debug)]
pub(crate) struct Disk {
    cache: DiskCache,
    queue: mpsc::Sender<Write>,
    room: Arc<Semaphore>,
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

/// The cached blocks of one content.
#[derive(Debug)]
pub(crate) struct StoredFile {
    file: CachedFile,
    /// What the drive says of the whole.
    hashes: Hashes,
    /// Somebody verifies it, or that was of no use.
    was_verified: AtomicBool,
    /// Somebody fetches the whole of it.
    is_being_fetched: AtomicBool,
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
        let (queue, writes) = mpsc::channel::<Write>();
        let disk = Disk {
            cache: DiskCache::open(directory, limit)?,
            queue,
            room: Arc::new(Semaphore::new((queued.0.max(BLOCK_SIZE) / PERMIT) as usize)),
        };
        thread::Builder::new().name("linkfs-disk".into()).spawn({
            let cache = disk.cache.clone();
            move || {
                cache.evict();
                writes.into_iter().for_each(Write::carry_out);
            }
        })?;
        Ok(Arc::new(disk))
    }

    /// The cached file of a content; `None` when the disk does not give one.
    pub(crate) async fn file(
        self: &Arc<Self>,
        identity: Identity,
        hashes: Hashes,
    ) -> Option<Arc<StoredFile>> {
        let disk = self.clone();
        let opened = spawn_blocking(move || disk.cache.file(&identity)).await;
        Disk::stored(opened.expect("opening does not panic"), hashes)
    }

    /// The same, if something of it is cached.
    pub(crate) async fn find(
        self: &Arc<Self>,
        identity: Identity,
        hashes: Hashes,
    ) -> Option<Arc<StoredFile>> {
        let disk = self.clone();
        let found = spawn_blocking(move || disk.cache.find(&identity)).await;
        Disk::stored(found.expect("opening does not panic").transpose()?, hashes)
    }

    fn stored(file: io::Result<CachedFile>, hashes: Hashes) -> Option<Arc<StoredFile>> {
        let file = file.inspect_err(|error| tracing::debug!(%error, "no cached file"));
        Some(Arc::new(StoredFile {
            file: file.ok()?,
            hashes,
            was_verified: AtomicBool::new(false),
            is_being_fetched: AtomicBool::new(false),
        }))
    }

    /// Queues a block to be written, or leaves it out when the disk is too slow.
    pub(crate) async fn write(&self, file: &Arc<StoredFile>, block: u64, pieces: Vec<Arc<Block>>) {
        let bytes: usize = pieces.iter().map(|piece| piece.bytes().len()).sum();
        let room = (bytes as u64).div_ceil(PERMIT) as u32;
        let room = self.room.clone().acquire_many_owned(room);
        let Ok(room) = tokio::time::timeout(PATIENCE, room).await else {
            return tracing::debug!(block, "the disk is too slow to keep a block");
        };
        let write = Write {
            file: file.clone(),
            block,
            pieces,
            _room: room.expect("the semaphore is never closed"),
        };
        // Without its thread, which died of a panic, nothing is kept; reading goes on.
        let _kept = self.queue.send(write);
    }

    pub(crate) fn stats(&self) -> DiskCacheStats {
        self.cache.stats()
    }
}

impl Write {
    fn carry_out(self) {
        let _is_kept = match self.pieces.as_slice() {
            [whole] => self.file.write_now(self.block, whole.bytes()),
            pieces => {
                let bytes = pieces.iter().flat_map(|piece| piece.bytes());
                let bytes: Vec<u8> = bytes.copied().collect();
                self.file.write_now(self.block, &bytes)
            }
        };
    }
}

impl StoredFile {
    /// Whether the block around `offset` is there.
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.file.has(offset / BLOCK_SIZE)
    }

    /// The pieces at `spans`, none of which crosses a block's bounds, up to the first that is not there.
    pub(crate) async fn read(
        self: &Arc<Self>,
        spans: impl IntoIterator<Item = Range<u64>>,
        pool: &Arc<Pool>,
    ) -> Vec<Arc<Block>> {
        let spans: Vec<_> = spans.into_iter().take(READ_AT_ONCE).collect();
        let (stored, pool) = (self.clone(), pool.clone());
        let read = move || {
            let pieces = spans
                .into_iter()
                .map_while(|span| stored.read_piece(span, &pool));
            pieces.map(Arc::new).collect()
        };
        spawn_blocking(read).await.expect("reading does not panic")
    }

    fn read_piece(&self, span: Range<u64>, pool: &Arc<Pool>) -> Option<Block> {
        let index = span.start / BLOCK_SIZE;
        let start = index * BLOCK_SIZE;
        let length = (self.file.identity().size.0 - start).min(BLOCK_SIZE);
        let mut whole = pool.take(length as usize);
        if self.file.read(index, whole.bytes_mut()) != FoundOnDisk::Found {
            return None;
        }
        if span.end - span.start == length {
            return Some(whole);
        }
        let bytes = &whole.bytes()[(span.start - start) as usize..(span.end - start) as usize];
        let mut piece = pool.take(bytes.len());
        piece.fill(bytes, bytes.len());
        Some(piece)
    }

    /// The file as it can be read without us; a complete one that cannot be yet is verified meanwhile.
    pub(crate) async fn passthrough_file(self: &Arc<Self>) -> Option<fs::File> {
        let stored = self.clone();
        let look = move || {
            let file = stored.file.passthrough_file();
            if file.is_none() && stored.file.is_complete() {
                thread::spawn(move || stored.verify());
            }
            file
        };
        spawn_blocking(look).await.expect("looking does not panic")
    }

    /// Checks a complete file against its own checksums and the drive's hash.
    fn verify(&self) {
        if self.was_verified.swap(true, Ordering::AcqRel) {
            return;
        }
        for _ in 0..MOST_VERIFICATIONS {
            let mut hash = ContentHash::of(&self.hashes);
            let result = self.file.verify_all(|block| {
                if let Some(hash) = &mut hash {
                    hash.update(block);
                }
                ControlFlow::Continue(())
            });
            match result {
                Ok(Verification::Right) => return self.note_hash(hash),
                Ok(Verification::Changed) => {}
                // The blocks that are missing now are fetched and written, which leads here again.
                Ok(Verification::Incomplete { .. } | Verification::GivenUp) | Err(_) => break,
            }
        }
        self.was_verified.store(false, Ordering::Release);
    }

    fn note_hash(&self, hash: Option<ContentHash>) {
        let Some(hash) = hash else {
            return;
        };
        let identity = self.file.identity();
        let verified = match hash.is_right() {
            true => Verified::Yes,
            false => {
                tracing::warn!(%identity, "the bytes do not match the drive's hash");
                Verified::No
            }
        };
        if let Err(error) = self.file.set_verified(verified) {
            tracing::debug!(%identity, %error, "the verification is not written down");
        }
    }

    /// What is known of the whole file's hash.
    pub(crate) fn verified(&self) -> Verified {
        self.file.verified()
    }

    /// How many bytes are there.
    pub(crate) fn bytes_present(&self) -> ByteCount {
        self.file.bytes_present()
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.file.is_pinned()
    }

    /// Pins or unpins it.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) async fn set_pinned(self: &Arc<Self>, is_pinned: bool) -> io::Result<()> {
        let stored = self.clone();
        let write = move || match is_pinned {
            true => stored.file.pin(),
            false => stored.file.unpin(),
        };
        spawn_blocking(write).await.expect("pinning does not panic")
    }

    /// Whether the caller is the only one to fetch the whole file, until [`StoredFile::end_fetching`].
    pub(crate) fn begin_fetching(&self) -> bool {
        !self.is_being_fetched.swap(true, Ordering::AcqRel)
    }

    pub(crate) fn end_fetching(&self) {
        self.is_being_fetched.store(false, Ordering::Release);
    }

    /// Writes the block that begins at `start`, waiting for the disk. Says whether it is there now.
    pub(crate) async fn write(self: &Arc<Self>, start: u64, bytes: Vec<u8>) -> bool {
        let stored = self.clone();
        let write = move || stored.write_now(start / BLOCK_SIZE, &bytes);
        spawn_blocking(write).await.expect("writing does not panic")
    }

    /// The last block to come makes the file complete, and a complete file is verified.
    fn write_now(&self, block: u64, bytes: &[u8]) -> bool {
        let is_kept = self.file.write(block, bytes);
        if is_kept && self.file.is_complete() {
            self.verify();
        }
        is_kept
    }

    /// Deletes what is there: the bytes are others than the drive's.
    pub(crate) fn forget(self: &Arc<Self>) {
        let stored = self.clone();
        thread::spawn(move || {
            if let Err(error) = stored.file.forget() {
                tracing::warn!(%error, "an outdated cached file could not be deleted");
            }
        });
    }
}
