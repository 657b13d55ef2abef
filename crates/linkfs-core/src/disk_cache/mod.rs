//! Blocks of files on disk, kept over restarts and shared by every process that uses the same folder.
//!
//! A file has a sparse data file, whose bytes lie at their own offsets, and a map with a checksum per block
//! (`map_file.rs`). Nothing is synced while writing. The data is written before its checksum, so what a killed
//! process or a power cut leaves half done does not match, and is a missing block. That holds for every damage:
//! a reader gets right bytes or none.
//!
//! Processes agree by locks on files: who has a file open holds its map's lock together with others, who
//! evicts it takes the lock alone. Whoever makes, forgets or deletes a file, or writes what is known of it,
//! holds the folder's `lock`, whoever evicts the `eviction.lock`; they are taken in the order eviction, folder,
//! map.
//!
//! All calls wait for the disk.

mod block_set;
mod cached_file;
mod eviction;
mod folder;
mod identity;
mod map_file;
mod shared;
mod state;
mod tally;
mod verification;

#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::ByteCount;

pub(crate) use cached_file::{CachedFile, FoundOnDisk};
pub(crate) use identity::Identity;
pub(crate) use state::Verified;
pub use tally::DiskCacheStats;
pub(crate) use tally::{GIVE_ROOM, SEE_TO_THE_DISK};
pub(crate) use verification::Verification;

use shared::{Rules, Shared};

/// A full disk does not have room again within a moment, and a minute without caching costs more.
const PAUSE: Duration = Duration::from_secs(30);

/// A folder with blocks of files, under a limit.
#[derive(Clone, Debug)]
pub(crate) struct DiskCache {
    shared: Arc<Shared>,
}

impl DiskCache {
    /// Uses `directory`, and makes it if it is not there. What is cached in it may take `limit` on disk.
    ///
    /// # Errors
    /// When the folder cannot be made, others may write into it, or its file system has no locks.
    pub(crate) fn open(directory: &Path, limit: ByteCount) -> io::Result<DiskCache> {
        DiskCache::with_rules(
            directory,
            Rules {
                limit: limit.0,
                reserve: None,
                pause: PAUSE,
            },
        )
    }

    fn with_rules(directory: &Path, rules: Rules) -> io::Result<DiskCache> {
        let shared = Arc::new(Shared::open(directory, rules)?);
        Ok(DiskCache { shared })
    }

    /// The cached file of an identity, with the blocks that are there. While it is open it is not evicted.
    ///
    /// # Errors
    /// When there is no room for it or the disk does not allow it; the file then goes without a cache.
    pub(crate) fn file(&self, identity: &Identity) -> io::Result<CachedFile> {
        CachedFile::open(self.shared.clone(), identity)
    }

    /// The same, if something of it is cached.
    ///
    /// # Errors
    /// When the disk does not allow to look.
    pub(crate) fn find(&self, identity: &Identity) -> io::Result<Option<CachedFile>> {
        CachedFile::find(self.shared.clone(), identity)
    }

    /// Deletes what was used longest ago if the cache is over its limit, and what is left over from before.
    #[cfg(test)]
    pub(crate) fn evict(&self) {
        self.shared.evict(0, 0);
    }

    /// What it may take on disk.
    pub(crate) fn limit(&self) -> ByteCount {
        self.shared.limit()
    }

    /// Why nothing is being cached at the moment, and what to do about it.
    pub(crate) fn why_paused(&self) -> Option<(String, &'static str)> {
        self.shared.tally.why_paused()
    }

    /// How it is.
    pub(crate) fn stats(&self) -> DiskCacheStats {
        self.shared.stats()
    }
}
