//! Keeps the folder of saved listings from growing for ever.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::private_file;

/// A listing that no mount has looked at for this long belongs to a folder that nobody visits, or to a
/// drive that is no longer configured.
const LONGEST_UNUSED: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// All listings together: about a million names.
const MOST_BYTES: u64 = 256 << 20;
/// What is being written for longer than this was left by a process that died.
const LONGEST_WRITE: Duration = Duration::from_secs(60 * 60);

/// A file below the folder of all listings. Its time is that of its last use.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    used: SystemTime,
    size: u64,
}

impl Found {
    fn of(entry: &DirEntry) -> io::Result<Found> {
        let about = entry.metadata()?;
        Ok(Found {
            path: entry.path(),
            used: about.modified()?,
            size: about.len(),
        })
    }

    fn is_temporary(&self) -> bool {
        self.path
            .as_os_str()
            .as_encoded_bytes()
            .ends_with(private_file::TEMPORARY.as_bytes())
    }

    /// What was used in the future was used just now.
    fn is_unused_for(&self, time: Duration, now: SystemTime) -> bool {
        now.duration_since(self.used).is_ok_and(|age| age > time)
    }
}

/// Removes the listings that have not been used for long, and of the others the longest unused ones, as
/// far as all of them take too much. What other mounts remove at the same time is removed.
pub(super) fn prune(listings: &Path, now: SystemTime) {
    let drives = folders_in(listings);
    let files = drives.iter().flat_map(|drive| files_in(drive)).collect();
    for path in superfluous(files, now) {
        if let Err(error) = private_file::remove(&path) {
            tracing::debug!(%error, path = %path.display(), "cannot remove a saved listing");
        }
    }
    for drive in drives {
        // It has listings still, or it goes with its last one.
        let _is_in_use = fs::remove_dir(drive);
    }
}

fn superfluous(mut files: Vec<Found>, now: SystemTime) -> Vec<PathBuf> {
    files.sort_by_key(|found| std::cmp::Reverse(found.used));
    let mut total = 0;
    files.retain(|found| match found.is_temporary() {
        true => found.is_unused_for(LONGEST_WRITE, now),
        false => {
            total += found.size;
            total > MOST_BYTES || found.is_unused_for(LONGEST_UNUSED, now)
        }
    });
    files.into_iter().map(|found| found.path).collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let folders = entries(folder).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders.map(|entry| entry.path()).collect()
}

fn files_in(folder: &Path) -> Vec<Found> {
    let files = entries(folder).filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    files.filter_map(|entry| Found::of(&entry).ok()).collect()
}

/// Those that can be read, none when the folder is not there.
fn entries(folder: &Path) -> impl Iterator<Item = DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;
    const MIB: u64 = 1 << 20;

    /// Of files with these names, days since their last use, and sizes in MiB, the ones that go.
    fn check(files: &[(&str, f64, u64)], expected: &[&str]) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * DAY);
        let found = files.iter().map(|(name, days, size)| Found {
            path: name.into(),
            used: now - Duration::from_secs(DAY).mul_f64(*days),
            size: size * MIB,
        });
        let mut gone = superfluous(found.collect(), now);
        gone.sort();
        let expected: Vec<_> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(gone, expected, "{files:?}");
    }

    #[test]
    fn what_is_not_used_for_a_month_goes() {
        check(
            &[("new", 0.0, 1), ("month", 29.9, 1), ("old", 30.1, 1)],
            &["old"],
        );
    }

    #[test]
    fn the_longest_unused_go_when_all_take_too_much() {
        check(&[("a", 3.0, 100), ("b", 1.0, 100), ("c", 2.0, 100)], &["a"]);
        check(&[("a", 1.0, 128), ("b", 2.0, 128)], &[]);
        check(&[("a", 1.0, 300), ("b", 2.0, 1)], &["a", "b"]);
    }

    #[test]
    fn what_is_being_written_stays_unless_its_writer_died() {
        check(&[("a.tmp", 0.01, 1), ("b.tmp", 0.1, 1)], &["b.tmp"]);
    }

    #[test]
    fn emptied_folders_go_and_a_missing_one_is_no_trouble() {
        let listings = tempfile::tempdir().unwrap();
        for drive in ["one", "two"] {
            fs::create_dir(listings.path().join(drive)).unwrap();
            fs::write(listings.path().join(drive).join("listing"), "").unwrap();
        }
        let kept = listings.path().join("one/listing");
        let now = SystemTime::now();
        let used = now - 2 * LONGEST_UNUSED;
        let old = fs::File::open(listings.path().join("two/listing")).unwrap();
        old.set_modified(used).unwrap();
        prune(listings.path(), now);
        assert!(kept.exists() && !listings.path().join("two").exists());
        prune(&listings.path().join("missing"), now);
    }
}
