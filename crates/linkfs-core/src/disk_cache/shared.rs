use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use super::eviction::{self, Goal};
use super::folder::Folder;
use super::tally::{Cause, DiskCacheStats, Tally};
use linkfs_provider::ByteCount;

/// How far a cache may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// What it may take on disk.
    pub(super) limit: u64,
    /// What the file system is to have free; `None`: by its size.
    pub(super) reserve: Option<u64>,
    /// How long nothing is written after a write has failed.
    pub(super) pause: Duration,
}

/// What the files of one cache have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: Folder,
    pub(super) tally: Tally,
    rules: Rules,
    reserve: u64,
    ledger: Mutex<Ledger>,
}

/// What is on disk, as far as known: what was found when it was last looked at, and what was written since.
#[derive(Debug, Default)]
struct Ledger {
    used: u64,
    files: u64,
    /// Written since it was last looked at. Other processes write too, and the file system has other users.
    unchecked: u64,
}

impl Shared {
    pub(super) fn open(directory: &Path, rules: Rules) -> io::Result<Shared> {
        let folder = Folder::open(directory)?;
        let reserve = rules
            .reserve
            .unwrap_or_else(|| eviction::default_reserve(&folder));
        let shared = Shared {
            folder,
            tally: Tally::default(),
            rules,
            reserve,
            ledger: Mutex::default(),
        };
        // Proves that the folder can be locked: where it cannot, processes would delete each other's files.
        drop(shared.folder.lock()?);
        shared.evict(0, 0);
        Ok(shared)
    }

    pub(super) fn stats(&self) -> DiskCacheStats {
        let ledger = self.lock();
        DiskCacheStats {
            used_bytes: ByteCount(ledger.used),
            limit_bytes: ByteCount(self.rules.limit),
            files: ledger.files,
            ..self.tally.stats()
        }
    }

    /// Whether so many bytes more may be written. Deletes what was used longest ago if that makes it so.
    pub(super) fn make_room(&self, bytes: u64) -> bool {
        if self.tally.is_paused() {
            return false;
        }
        let bytes = on_disk(bytes);
        if self.fits(bytes) && !self.is_due(bytes) {
            return true;
        }
        if self.evict(bytes, 0) && !self.fits(bytes) {
            let limit = self.rules.limit;
            self.pause(
                Cause::NothingMayGo,
                format!(
                    "the limit of {limit} bytes is reached, and everything cached is open or pinned"
                ),
            );
        }
        self.fits(bytes) && !self.tally.is_paused()
    }

    fn fits(&self, bytes: u64) -> bool {
        self.lock().used.saturating_add(bytes) <= self.rules.limit
    }

    /// Whether it is time to look at the disk again.
    fn is_due(&self, bytes: u64) -> bool {
        let often_enough = (self.reserve / 4).max(16 << 20).min(self.rules.limit / 16);
        self.lock().unchecked.saturating_add(bytes) > often_enough
    }

    pub(super) fn count_written(&self, bytes: u64) {
        let mut ledger = self.lock();
        ledger.used = ledger.used.saturating_add(on_disk(bytes));
        ledger.unchecked = ledger.unchecked.saturating_add(on_disk(bytes));
    }

    pub(super) fn count_made(&self) {
        self.lock().files += 1;
        self.count_written(1);
    }

    pub(super) fn count_removed(&self, bytes: u64) {
        let mut ledger = self.lock();
        ledger.used = ledger.used.saturating_sub(bytes);
        ledger.files = ledger.files.saturating_sub(1);
        drop(ledger);
        self.tally.end_pause();
    }

    /// A write did not succeed: there is no point in trying the next at once.
    pub(super) fn write_failed(&self, what: &str, error: &io::Error) {
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        if matches!(error.kind(), StorageFull | QuotaExceeded) {
            self.evict(0, self.rules.limit / 16);
        }
        self.pause(
            Cause::Refused,
            format!("{what} in {}: {error}", self.folder.path.display()),
        );
    }

    fn pause(&self, cause: Cause, reason: String) {
        self.tally.pause(cause, reason, self.rules.pause);
    }

    /// Says whether it was done: only one process does it at a time.
    pub(super) fn evict(&self, incoming: u64, at_least: u64) -> bool {
        let goal = Goal {
            limit: self.rules.limit,
            reserve: self.reserve,
            incoming,
            at_least,
        };
        match eviction::run(&self.folder, &goal) {
            Ok(Some(outcome)) => {
                *self.lock() = Ledger {
                    used: outcome.used,
                    files: outcome.files,
                    // While it is short of room, every write looks again.
                    unchecked: if outcome.is_short { u64::MAX } else { 0 },
                };
                self.tally
                    .count_evicted(outcome.evicted_files, outcome.evicted_bytes);
                if outcome.is_short {
                    let reserve = self.reserve;
                    self.pause(
                        Cause::NothingMayGo,
                        format!("the file system of the cache has less than {reserve} bytes free"),
                    );
                }
                true
            }
            Ok(None) => false,
            Err(error) => {
                self.pause(
                    Cause::Refused,
                    format!("looking at {}: {error}", self.folder.path.display()),
                );
                false
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.ledger
            .lock()
            .expect("no panic while the ledger is locked")
    }
}

/// What a write takes on disk: file systems give whole pages.
fn on_disk(bytes: u64) -> u64 {
    bytes.next_multiple_of(4096)
}
