use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use linkfs_provider::ByteCount;
use serde::Serialize;

use super::identity::Identity;

/// So many damaged blocks are remembered by name.
const MOST_REMEMBERED: usize = 32;

/// The state of the cache on disk, for people and scripts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskCacheStats {
    /// What the cache takes on disk.
    pub used_bytes: ByteCount,
    /// What it may take.
    pub limit_bytes: ByteCount,
    /// Files of which something is cached.
    pub files: u64,
    /// Blocks that were found damaged, and fetched again.
    pub quarantined: u64,
    /// The latest of them, in words.
    pub quarantined_blocks: Vec<String>,
    /// Files deleted to make room.
    pub evicted_files: u64,
    /// What they took on disk.
    pub evicted_bytes: ByteCount,
    /// Why nothing is being cached at the moment.
    pub paused: Option<String>,
}

/// What happened, for the status, and whether writing pauses.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    quarantined: u64,
    remembered: VecDeque<String>,
    evicted_files: u64,
    evicted_bytes: u64,
    pause: Option<Pause>,
}

/// Why writing pauses, and what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The limit is reached, and all that is cached is open or pinned. What is closed or unpinned may go, so the
    /// pause ends with that.
    LimitReached,
    /// The file system has too little free; for the rest as before.
    ShortOfRoom,
    /// The disk refused something. Only time can tell.
    Refused,
}

/// What to do when the limit is what keeps a file from being cached.
pub(crate) const GIVE_ROOM: &str = "give it room by `size` under [cache] in the configuration";
/// What to do when the disk is.
pub(crate) const SEE_TO_THE_DISK: &str =
    "see that its disk has room and can be written to; `directory` under [cache] can name another";

#[derive(Debug)]
struct Pause {
    until: Instant,
    cause: Cause,
    reason: String,
}

impl Tally {
    pub(super) fn count_quarantined(&self, identity: &Identity, block: u64, why: &str) {
        let range = identity.range(block);
        let words = format!(
            "block {block} (bytes {} to {}) of {identity}: {why}",
            range.start, range.end
        );
        tracing::warn!(words, "cached block dropped");
        let mut counts = self.lock();
        counts.quarantined += 1;
        if counts.remembered.len() == MOST_REMEMBERED {
            counts.remembered.pop_front();
        }
        counts.remembered.push_back(words);
    }

    pub(super) fn count_evicted(&self, files: u64, bytes: u64) {
        let mut counts = self.lock();
        counts.evicted_files += files;
        counts.evicted_bytes += bytes;
    }

    /// Nothing is written for so long, unless its cause ends before.
    pub(super) fn pause(&self, cause: Cause, reason: String, time: Duration) {
        tracing::warn!(reason, seconds = time.as_secs(), "caching on disk pauses");
        let until = Instant::now() + time;
        self.lock().pause = Some(Pause {
            until,
            cause,
            reason,
        });
    }

    /// Something may go that was open or pinned.
    pub(super) fn end_pause(&self) {
        let mut counts = self.lock();
        let pause = counts.pause.take();
        counts.pause = pause.filter(|pause| pause.cause == Cause::Refused);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.lock().pause().is_some()
    }

    /// Why nothing is written, and what to do about it.
    pub(super) fn why_paused(&self) -> Option<(String, &'static str)> {
        let counts = self.lock();
        let pause = counts.pause()?;
        let advice = match pause.cause {
            Cause::LimitReached => GIVE_ROOM,
            Cause::ShortOfRoom | Cause::Refused => SEE_TO_THE_DISK,
        };
        Some((pause.reason.clone(), advice))
    }

    /// What is counted here; the rest is the caller's.
    pub(super) fn stats(&self) -> DiskCacheStats {
        let counts = self.lock();
        DiskCacheStats {
            quarantined: counts.quarantined,
            quarantined_blocks: counts.remembered.iter().cloned().collect(),
            evicted_files: counts.evicted_files,
            evicted_bytes: ByteCount(counts.evicted_bytes),
            paused: counts.pause().map(|pause| pause.reason.clone()),
            ..DiskCacheStats::default()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("no panic while the tally is locked")
    }
}

impl Counts {
    fn pause(&self) -> Option<&Pause> {
        let pause = self.pause.as_ref();
        pause.filter(|pause| Instant::now() < pause.until)
    }
}
