use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use linkfs_provider::ItemId;
use lru::LruCache;

/// How many files' versions are remembered: about 3 MiB. A file beyond them is linked as it is now.
const MOST: NonZeroUsize = NonZeroUsize::new(20_000).expect("not zero");

/// Which version of each file was shown last, so that the bytes of that one are linked: a file that
/// changes between its listing and its link must not have other bytes than the size listed for it.
#[derive(Debug)]
pub(crate) struct KnownVersions(Mutex<LruCache<ItemId, u64>>);

impl Default for KnownVersions {
    fn default() -> Self {
        KnownVersions(Mutex::new(LruCache::new(MOST)))
    }
}

impl KnownVersions {
    /// Notes what was shown. Without a version, what was known before is no longer true.
    pub(crate) fn note(&self, file: &ItemId, version: Option<u64>) {
        match version {
            Some(version) => drop(self.lock().put(file.clone(), version)),
            None => self.forget(file),
        }
    }

    pub(crate) fn of(&self, file: &ItemId) -> Option<u64> {
        self.lock().get(file).copied()
    }

    pub(crate) fn forget(&self, file: &ItemId) {
        self.lock().pop(file);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<ItemId, u64>> {
        // The cache keeps itself whole, and nothing else is done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_shown_last_counts() {
        let (known, file) = (KnownVersions::default(), ItemId::from("5521"));
        assert_eq!(known.of(&file), None);
        known.note(&file, Some(2));
        known.note(&file, Some(3));
        assert_eq!(known.of(&file), Some(3));
        known.note(&file, None);
        assert_eq!(known.of(&file), None);
    }
}
