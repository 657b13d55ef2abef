use std::process::Command;

use super::super::Verification;
use super::*;

/// A small file system of its own, mounted over a folder.
struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// `None`, said loudly, when it cannot be mounted: that takes root.
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = TempDir::new().expect("a folder");
        let options = format!("size={bytes},mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "linkfs-test"])
            .arg(folder.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(SmallDisk { folder }),
            other => {
                eprintln!("SKIPPED: a full disk needs root to mount one: {other:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let mut mount = Command::new("mount");
        let status = mount.args(["-o", &options]).arg(self.path()).status();
        assert!(status.expect("mount runs").success(), "remounted {how}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn found(file: &CachedFile) -> usize {
    let all = look_at_all(file).into_iter();
    all.filter(|found| *found == FoundOnDisk::Found).count()
}

#[test]
fn a_full_disk_pauses_writing_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount(4 << 20) else {
        return;
    };
    let cache = open(disk.path(), NO_LIMIT);
    let old = identity("old", BLOCK_SIZE);
    fill(&cache.file(&old).expect("a file"));
    let large = identity("large", 40 * BLOCK_SIZE);
    let file = cache.file(&large).expect("a file");
    let kept = (0..40).take_while(|block| file.write(*block, &truth(&large, *block)));
    let kept = kept.count();
    assert!((10..16).contains(&kept), "{kept} blocks of 16");
    let stats = cache.stats();
    let reason = stats.paused.expect("paused");
    assert!(reason.contains("No space left on device"), "{reason}");
    assert_eq!(stats.evicted_files, 1, "what nobody had open made room");
    assert!(!file.write(39, &truth(&large, 39)), "paused");
    assert!(cache.file(&old).is_err(), "nothing is made while it pauses");
    assert_eq!(found(&file), kept);
    assert_eq!(
        cache.stats().quarantined,
        0,
        "what did not fit has no record"
    );

    let other = open(disk.path(), NO_LIMIT).file(&large).expect("a file");
    assert!(
        other.write(39, &truth(&large, 39)),
        "the room that was made can be used"
    );
    assert_eq!(found(&other), kept + 1);
}

/// The whole of the disk is less than what is written between two looks elsewhere.
#[test]
fn some_of_a_small_disk_is_left_free() {
    let Some(disk) = SmallDisk::mount(8 << 20) else {
        return;
    };
    let cache = DiskCache::open(disk.path(), ByteCount(1 << 30)).expect("a cache");
    let free = || super::super::eviction::free(&cache.shared.folder);
    let reserve = (8 << 20) / 20;
    let old = ["a", "b", "c", "d"].map(|item| identity(item, 2 * BLOCK_SIZE));
    old.iter()
        .for_each(|old| fill(&cache.file(old).expect("a file")));
    let large = identity("large", 40 * BLOCK_SIZE);
    let file = cache.file(&large).expect("a file");
    let written = (0..40).take_while(|block| {
        let is_kept = file.write(*block, &truth(&large, *block));
        assert!(free() >= reserve, "{} bytes are free", free());
        is_kept
    });
    assert!((28..31).contains(&written.count()), "all others gave way");
    let stats = cache.stats();
    assert_eq!((stats.files, stats.evicted_files), (1, 4));
    let reason = stats.paused.expect("paused");
    assert!(reason.contains("bytes free"), "{reason}");
}

#[test]
fn a_full_disk_costs_a_part_of_what_is_on_it() {
    let Some(disk) = SmallDisk::mount(8 << 20) else {
        return;
    };
    let cache = open(disk.path(), 1 << 30);
    for number in 0..16 {
        fill(
            &cache
                .file(&identity(&format!("old {number}"), BLOCK_SIZE))
                .expect("a file"),
        );
    }
    let large = identity("large", 40 * BLOCK_SIZE);
    let file = cache.file(&large).expect("a file");
    let kept = (0..40).take_while(|block| file.write(*block, &truth(&large, *block)));
    assert!(kept.count() > 10);
    let stats = cache.stats();
    assert!(stats.paused.expect("paused").contains("No space left"));
    assert_eq!(
        stats.evicted_files, 2,
        "a sixteenth of the disk, and not of the limit"
    );
}

#[test]
fn a_disk_without_any_room_leaves_files_without_a_cache() {
    let Some(disk) = SmallDisk::mount(1 << 20) else {
        return;
    };
    let cache = open(disk.path(), NO_LIMIT);
    let ballast = File::create(disk.path().join("ballast")).expect("made");
    let chunk = [7; 4096];
    let mut at = 0;
    while ballast.write_at(&chunk, at).is_ok_and(|length| length > 0) {
        at += 4096;
    }
    assert!(cache.file(&identity("a", BLOCK_SIZE)).is_err());
    assert!(
        cache
            .stats()
            .paused
            .expect("paused")
            .contains("No space left")
    );
    drop(ballast);
    fs::remove_file(disk.path().join("ballast")).expect("deleted");
    let cache = open(disk.path(), NO_LIMIT);
    fill(&cache.file(&identity("a", BLOCK_SIZE)).expect("a file"));
    assert_eq!(cache.stats().files, 1);
}

#[test]
fn a_disk_that_becomes_read_only_gives_what_it_has() {
    let Some(disk) = SmallDisk::mount(4 << 20) else {
        return;
    };
    let cache = open(disk.path(), NO_LIMIT);
    let identity = identity("a", 3 * BLOCK_SIZE);
    let file = cache.file(&identity).expect("a file");
    assert!(file.write(0, &truth(&identity, 0)) && file.write(1, &truth(&identity, 1)));
    let path = cache.shared.folder.data_path(&identity.stem());
    flip(&path, BLOCK_SIZE, 1);
    drop(file);
    disk.remount("ro");
    assert!(cache.file(&identity).is_err());
    assert!(DiskCache::open(disk.path(), ByteCount(NO_LIMIT)).is_err());
    disk.remount("rw");
    let file = cache.file(&identity).expect("a file");
    assert!(
        file.write(2, &truth(&identity, 2)),
        "nothing was paused by reading"
    );
    assert_eq!(look(&file, 1), FoundOnDisk::Bad);
    assert!(file.verify_all(|_| {}).expect("read") == Verification::Incomplete { missing: 1 });
}

/// What one process knows of the cache is old while another writes to it.
#[test]
fn processes_stay_within_the_limit_together() {
    let limit = 40 * BLOCK_SIZE;
    let Some(disk) = SmallDisk::mount(4 * limit) else {
        return;
    };
    let caches = [(); 3].map(|()| open(disk.path(), limit));
    let used = || 4 * limit - super::super::eviction::free(&caches[0].shared.folder);
    for number in 0..120 {
        // Thirty blocks in a row, of which the others hear nothing.
        let cache = &caches[number / 30 % 3];
        let identity = identity(&format!("file {number}"), BLOCK_SIZE);
        fill(&cache.file(&identity).expect("a file"));
        assert!(used() <= limit, "{} bytes at file {number}", used());
    }
    assert!(used() > limit / 2);
}
