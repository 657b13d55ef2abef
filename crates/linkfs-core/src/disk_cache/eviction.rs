//! Deleting what was used longest ago. One process at a time does it, and only to files that nobody has open.

use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::folder::{Folder, Role, is_at, open_if_there, parse_name, remove_if_there, try_lock};
use super::map_file;

/// Files named like ours that this version of the format has no use for may be another version's.
const UNKNOWN_MAY_STAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What an eviction is to reach.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Above this, files are deleted.
    pub(super) limit: u64,
    /// The file system is to have this much free.
    pub(super) reserve: u64,
    /// What will be written next: it must fit too.
    pub(super) incoming: u64,
    /// So much is to be deleted at any rate.
    pub(super) at_least: u64,
}

/// How it is afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) used: u64,
    pub(super) files: u64,
    pub(super) evicted_files: u64,
    pub(super) evicted_bytes: u64,
    /// Whether the file system has less free than it is to have.
    pub(super) is_short: bool,
    /// What the file system had free with nothing more in the cache than `used`.
    pub(super) free: u64,
}

/// What the folder has of one identity.
#[derive(Debug, Default)]
struct Found {
    map: Option<Metadata>,
    data: Option<Metadata>,
    unknown: Vec<(std::path::PathBuf, Metadata)>,
}

/// Cleans the folder and deletes until the goal is reached or nothing is left that may be deleted. `None` when
/// somebody else is at it.
pub(super) fn run(folder: &Folder, goal: &Goal) -> io::Result<Option<Outcome>> {
    let Some(_lock) = folder.try_lock_eviction()? else {
        return Ok(None);
    };
    let before = free(folder);
    let mut outcome = Outcome::default();
    let mut whole = Vec::new();
    for (stem, found) in scan(folder)? {
        for (path, metadata) in &found.unknown {
            if age(metadata) > UNKNOWN_MAY_STAY {
                note_failure(&stem, remove_if_there(path));
            }
        }
        match (found.map, found.data) {
            (Some(map), Some(data)) => {
                let bytes = allocated(&map) + allocated(&data);
                outcome.used += bytes;
                outcome.files += 1;
                whole.push((last_use(&map), stem, bytes));
            }
            (None, None) => {}
            (map, _) => note_failure(&stem, remove_leftover(folder, &stem, map.is_some())),
        }
    }
    whole.sort();
    let scanned = free(folder);
    let missing = goal.missing(&outcome, scanned);
    for (_, stem, bytes) in whole {
        if outcome.evicted_bytes >= missing {
            break;
        }
        match evict(folder, &stem) {
            Ok(true) => outcome.count(bytes),
            Ok(false) => {}
            Err(error) => note_failure(&stem, Err(error)),
        }
    }
    let left = free(folder);
    outcome.is_short = goal.shortage(left) > 0;
    // What others wrote while this looked may not have been seen.
    outcome.free = left.saturating_add(before.saturating_sub(scanned));
    Ok(Some(outcome))
}

impl Goal {
    /// How much has to go. A tenth of the limit or a quarter of the reserve more than needed, so that not every
    /// write evicts.
    fn missing(&self, outcome: &Outcome, free: u64) -> u64 {
        let wanted = outcome.used.saturating_add(self.incoming);
        let over = match wanted > self.limit {
            true => wanted - self.limit + self.limit / 10,
            false => 0,
        };
        let short = match self.shortage(free) {
            0 => 0,
            shortage => shortage.saturating_add(self.reserve / 4),
        };
        over.max(short).max(self.at_least)
    }

    /// How much less the file system has free than it is to have. Without a reserve it says itself when it is full.
    pub(super) fn shortage(&self, free: u64) -> u64 {
        match self.reserve {
            0 => 0,
            reserve => (reserve.saturating_add(self.incoming)).saturating_sub(free),
        }
    }
}

impl Outcome {
    fn count(&mut self, bytes: u64) {
        self.used -= bytes;
        self.files -= 1;
        self.evicted_files += 1;
        self.evicted_bytes += bytes;
    }
}

fn scan(folder: &Folder) -> io::Result<HashMap<String, Found>> {
    let mut all: HashMap<String, Found> = HashMap::new();
    for entry in fs::read_dir(&folder.path)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some((stem, role)) = parse_name(&name) else {
            continue;
        };
        // Gone since: another process deletes too.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        let found = all.entry(stem.to_owned()).or_default();
        match role {
            Role::Map => found.map = Some(metadata),
            Role::Data => found.data = Some(metadata),
            Role::Unknown => found.unknown.push((entry.path(), metadata)),
        }
    }
    Ok(all)
}

/// One of a pair whose other is gone. Files are made under the same lock, so it is none that is being made.
fn remove_leftover(folder: &Folder, stem: &str, is_map: bool) -> io::Result<()> {
    let _lock = folder.lock()?;
    let (path, other) = match is_map {
        true => (folder.map_path(stem), folder.data_path(stem)),
        false => (folder.data_path(stem), folder.map_path(stem)),
    };
    match fs::symlink_metadata(other) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => remove_if_there(&path),
        _ => Ok(()),
    }
}

/// Deletes a file unless somebody has it open, or pinned it; and none that is just being made in the place of a
/// damaged one.
fn evict(folder: &Folder, stem: &str) -> io::Result<bool> {
    let _lock = folder.lock()?;
    let path = folder.map_path(stem);
    let Some(map) = open_if_there(&path)? else {
        return Ok(false);
    };
    let Some(map) = try_lock(map)? else {
        return Ok(false);
    };
    let is_pinned = map_file::state_of_any(&map)?.is_some_and(|state| state.is_pinned);
    if is_pinned || !is_at(&map, &path)? {
        return Ok(false);
    }
    folder.remove_pair(stem)?;
    Ok(true)
}

/// A file that cannot be deleted must not keep the others from it.
fn note_failure(stem: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(stem, %error, "cached file not deleted");
    }
}

/// What a file takes on disk: it is sparse, its length says nothing.
fn allocated(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

fn last_use(map: &Metadata) -> SystemTime {
    map.modified().unwrap_or(SystemTime::UNIX_EPOCH)
}

fn age(metadata: &Metadata) -> Duration {
    last_use(metadata).elapsed().unwrap_or_default()
}

/// What the file system has left for us; everything when it does not tell.
pub(super) fn free(folder: &Folder) -> u64 {
    rustix::fs::statvfs(&folder.path).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// How large the file system is; nothing when it does not tell.
pub(super) fn capacity(folder: &Folder) -> u64 {
    rustix::fs::statvfs(&folder.path).map_or(0, |fs| fs.f_blocks.saturating_mul(fs.f_frsize))
}

/// How much the file system is to have free whatever the limit is: a twentieth of it, 1 GiB at most.
pub(super) fn default_reserve(folder: &Folder) -> u64 {
    (capacity(folder) / 20).min(1 << 30)
}
