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
    /// Held while looking at the disk: whoever needs room waits until another has made it.
    looking: Mutex<()>,
    ledger: Mutex<Ledger>,
}

/// After so much was written the disk is looked at again, at the latest.
const LOOK_AFTER: u64 = 256 << 20;

/// What is on disk, as far as known: what was found when it was last looked at, and what was written since.
#[derive(Debug, Default)]
struct Ledger {
    used: u64,
    files: u64,
    /// Written since it was last looked at.
    unchecked: u64,
    last_look: Option<Look>,
}

/// What was found.
#[derive(Clone, Copy, Debug)]
struct Look {
    used: u64,
    /// What the file system had free.
    free: u64,
}

impl Ledger {
    /// The most that the cache may take now, with that much free: whoever has written to the file system may have
    /// written to the cache.
    fn most_used(&self, free: u64) -> u64 {
        self.last_look.map_or(u64::MAX, |look| {
            let by_anybody = look.used.saturating_add(look.free.saturating_sub(free));
            by_anybody.max(self.used)
        })
    }
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
            looking: Mutex::default(),
            ledger: Mutex::default(),
        };
        // Proves that the folder can be locked: where it cannot, processes would delete each other's files.
        drop(shared.folder.lock()?);
        shared.evict(0, 0);
        Ok(shared)
    }

    pub(super) fn limit(&self) -> ByteCount {
        ByteCount(self.rules.limit)
    }

    pub(super) fn stats(&self) -> DiskCacheStats {
        let ledger = self.lock();
        DiskCacheStats {
            used_bytes: ByteCount(ledger.used),
            limit_bytes: self.limit(),
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
        let is_known_to_fit = || self.fits(bytes) && !self.is_due(bytes);
        if is_known_to_fit() {
            return true;
        }
        let _looking = self.take_turn();
        if is_known_to_fit() {
            return true;
        }
        if !self.evict(bytes, 0) {
            return self.fits(bytes) && !self.tally.is_paused();
        }
        // Just looked at: what others write from now on counts the next time.
        let fits = self.lock().used.saturating_add(bytes) <= self.rules.limit;
        if !fits {
            let limit = self.rules.limit;
            let reason = format!(
                "the limit of {limit} bytes is reached, and everything cached is open or pinned"
            );
            self.pause(Cause::LimitReached, reason);
        }
        fits && !self.tally.is_paused()
    }

    fn fits(&self, bytes: u64) -> bool {
        let free = eviction::free(&self.folder);
        let most_used = self.lock().most_used(free);
        most_used.saturating_add(bytes) <= self.rules.limit
            && self.goal(bytes, 0).shortage(free) == 0
    }

    /// Whether it is time to look at the disk again, whatever is known.
    fn is_due(&self, bytes: u64) -> bool {
        let often_enough = LOOK_AFTER.min(self.rules.limit / 16);
        self.lock().unchecked.saturating_add(bytes) > often_enough
    }

    fn goal(&self, incoming: u64, at_least: u64) -> Goal {
        Goal {
            limit: self.rules.limit,
            reserve: self.reserve,
            incoming,
            at_least,
        }
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
            let _looking = self.take_turn();
            let most = eviction::capacity(&self.folder).min(self.rules.limit);
            self.evict(0, most / 16);
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
        match eviction::run(&self.folder, &self.goal(incoming, at_least)) {
            Ok(Some(outcome)) => {
                *self.lock() = Ledger {
                    used: outcome.used,
                    files: outcome.files,
                    unchecked: 0,
                    last_look: Some(Look {
                        used: outcome.used,
                        free: outcome.free,
                    }),
                };
                self.tally
                    .count_evicted(outcome.evicted_files, outcome.evicted_bytes);
                if outcome.is_short {
                    let reserve = self.reserve;
                    self.pause(
                        Cause::ShortOfRoom,
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

    fn take_turn(&self) -> MutexGuard<'_, ()> {
        self.looking.lock().expect("no panic while looking")
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
