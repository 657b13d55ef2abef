//! The disk cache as the read path uses it: nobody who reads waits for a write, and the kernel's threads wait
//! for no disk at all.

mod disk;

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::{fs, io};

use linkfs_provider::{ByteCount, Hashes};
use tokio::task::spawn_blocking;

use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::content_hash::ContentHash;
use crate::disk_cache::{CachedFile, FoundOnDisk, Verification, Verified};
use crate::disk_calls::DiskCalls;
use crate::entity_tag::EntityTag;
pub(crate) use disk::Disk;

/// A file that somebody writes to again and again is not passed through.
const MOST_VERIFICATIONS: usize = 3;

/// The cached blocks of one content.
#[derive(Debug)]
pub(crate) struct StoredFile {
    file: CachedFile,
    /// What the drive says of the whole.
    hashes: Hashes,
    /// The tag of its bytes, once it is known: it does not change any more.
    tag: OnceLock<EntityTag>,
    verifier: mpsc::SyncSender<Arc<StoredFile>>,
    /// It is in the verifier's queue.
    is_to_be_verified: AtomicBool,
    disk: Arc<DiskCalls>,
}

impl StoredFile {
    /// Whether the block around `offset` is there.
    pub(crate) fn has(&self, offset: u64) -> bool {
        self.file.has(offset / BLOCK_SIZE)
    }

    /// Fills `pieces`, each an empty block for a span that does not cross a block's bounds, up to the first that
    /// is not there; and the tag that they came under.
    pub(crate) async fn read(
        self: &Arc<Self>,
        pieces: Vec<(Range<u64>, Block)>,
        pool: &Arc<Pool>,
    ) -> (Vec<Arc<Block>>, Option<EntityTag>) {
        let (stored, pool) = (self.clone(), pool.clone());
        let read = move || {
            let filled = pieces
                .into_iter()
                .map_while(|(span, piece)| stored.read_piece(span, piece, &pool));
            (filled.map(Arc::new).collect(), stored.tag())
        };
        self.disk.run(read).await
    }

    fn read_piece(&self, span: Range<u64>, mut piece: Block, pool: &Arc<Pool>) -> Option<Block> {
        let index = span.start / BLOCK_SIZE;
        let start = index * BLOCK_SIZE;
        let length = (self.file.identity().size.0 - start).min(BLOCK_SIZE) as usize;
        let read = |block: &mut Block| {
            self.file.read(index, block.whole_mut(length)) == FoundOnDisk::Found
        };
        if span.end - span.start == length as u64 {
            return read(&mut piece).then_some(piece);
        }
        // The checksum is of the whole.
        let mut whole = pool.take(length);
        if !read(&mut whole) {
            return None;
        }
        let bytes = &whole.bytes()[(span.start - start) as usize..(span.end - start) as usize];
        piece.fill(bytes, bytes.len());
        Some(piece)
    }

    /// The tag that its bytes came under; to be asked for after they were read.
    fn tag(&self) -> Option<EntityTag> {
        let known = self.tag.get().copied();
        let tag = known.or_else(|| self.file.tag())?;
        Some(*self.tag.get_or_init(|| tag))
    }

    /// Whether bytes under `tag` belong among those that are there. To be asked before one is written.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub(crate) async fn note_tag(self: &Arc<Self>, tag: EntityTag) -> io::Result<bool> {
        if let Some(known) = self.tag.get() {
            return Ok(*known == tag);
        }
        let stored = self.clone();
        let note = spawn_blocking(move || stored.file.note_tag(tag));
        let is_the_same = note.await.expect("writing does not panic")?;
        if is_the_same {
            self.tag.get_or_init(|| tag);
        }
        Ok(is_the_same)
    }

    /// The file as it can be read without us, and the tag of its bytes; a complete one that cannot be yet is
    /// verified meanwhile.
    pub(crate) async fn passthrough_file(
        self: &Arc<Self>,
    ) -> Option<(fs::File, Option<EntityTag>)> {
        let stored = self.clone();
        let look = move || {
            let file = stored.trusted_file();
            if file.is_none() && stored.verified() != Verified::No {
                stored.verify_if_complete();
            }
            file.map(|file| (file, stored.tag()))
        };
        self.disk.run(look).await
    }

    /// Where the drive tells a hash, only the right one will do.
    fn trusted_file(&self) -> Option<fs::File> {
        let has_hash = ContentHash::of(&self.hashes).is_some();
        if has_hash && self.verified() != Verified::Yes {
            return None;
        }
        self.file.passthrough_file()
    }

    fn verify_if_complete(self: &Arc<Self>) {
        if self.file.is_complete() && !self.is_to_be_verified.swap(true, Ordering::AcqRel) {
            // Many wait already, or the thread died of a panic: the next opening queues it again.
            if self.verifier.try_send(self.clone()).is_err() {
                self.is_to_be_verified.store(false, Ordering::Release);
            }
        }
    }

    /// Checks a complete file against its own checksums and the drive's hash.
    fn verify(&self) {
        self.is_to_be_verified.store(false, Ordering::Release);
        if self.trusted_file().is_some() {
            return;
        }
        for _ in 0..MOST_VERIFICATIONS {
            match self.verify_once() {
                Ok(Verification::Changed) => {}
                Ok(_) => return,
                Err(error) => {
                    let identity = self.file.identity();
                    return tracing::debug!(%identity, %error, "not verified");
                }
            }
        }
    }

    fn verify_once(&self) -> io::Result<Verification> {
        let mut hash = ContentHash::of(&self.hashes);
        if hash.is_some() && self.verified() == Verified::Yes {
            // That was before it was changed.
            self.file.set_verified(Verified::Unknown)?;
        }
        let result = self.file.verify_all(|block| {
            if let Some(hash) = &mut hash {
                hash.update(block);
            }
        })?;
        if result == Verification::Right {
            self.note_hash(hash);
        }
        Ok(result)
    }

    fn note_hash(&self, hash: Option<ContentHash>) {
        let Some(hash) = hash else {
            return;
        };
        let identity = self.file.identity();
        let verified = match hash.matches() {
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

    pub(crate) fn is_complete(&self) -> bool {
        self.file.is_complete()
    }

    /// Writes the block that begins at `start`, waiting for the disk. Says whether it is there now.
    pub(crate) async fn write(self: &Arc<Self>, start: u64, bytes: Vec<u8>) -> bool {
        let stored = self.clone();
        let write = move || stored.write_now(start / BLOCK_SIZE, &bytes);
        spawn_blocking(write).await.expect("writing does not panic")
    }

    /// The last block to come makes the file complete, and a complete file is verified.
    fn write_now(self: &Arc<Self>, block: u64, bytes: &[u8]) -> bool {
        let is_kept = self.file.write(block, bytes);
        if is_kept {
            self.verify_if_complete();
        }
        is_kept
    }

    /// Deletes what is there: the bytes are others than the drive's.
    pub(crate) async fn forget(self: &Arc<Self>) {
        let stored = self.clone();
        let forgotten = spawn_blocking(move || stored.file.forget()).await;
        if let Err(error) = forgotten.expect("forgetting does not panic") {
            tracing::warn!(%error, "an outdated cached file could not be deleted");
        }
    }
}
