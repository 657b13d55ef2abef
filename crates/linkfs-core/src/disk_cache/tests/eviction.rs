use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::SystemTime;

use super::*;

/// What a filled file of one block takes: its data and a map.
const EACH: u64 = BLOCK_SIZE + 4096;

fn set_used(fixture: &Fixture, identity: &Identity, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    disk(&fixture.map(identity))
        .set_modified(time)
        .expect("set");
}

/// Files of one block each, closed, the first used longest ago.
fn files(fixture: &Fixture, count: u64) -> Vec<Identity> {
    let make = |number| {
        let identity = identity(&format!("file {number}"), BLOCK_SIZE);
        drop(fixture.filled(&identity));
        set_used(fixture, &identity, 1_000_000 + number);
        identity
    };
    (0..count).map(make).collect()
}

fn kept(fixture: &Fixture, files: &[Identity]) -> Vec<bool> {
    let is_there = |identity| {
        let (map, data) = (fixture.map(identity), fixture.data(identity));
        assert_eq!(map.exists(), data.exists(), "both or none");
        map.exists()
    };
    files.iter().map(is_there).collect()
}

/// A cache over the same folder with another limit; it evicts when it is opened.
fn reopen(fixture: &Fixture, limit: u64) -> DiskCache {
    open(fixture.folder.path(), limit)
}

#[test]
fn what_was_used_longest_ago_goes_first() {
    let fixture = Fixture::new();
    let files = files(&fixture, 6);
    let cache = reopen(&fixture, 4 * EACH);
    assert_eq!(
        kept(&fixture, &files),
        [false, false, false, true, true, true]
    );
    let stats = cache.stats();
    assert_eq!((stats.files, stats.evicted_files), (3, 3));
    assert_eq!(stats.used_bytes, ByteCount(3 * EACH));
    assert_eq!(stats.evicted_bytes, ByteCount(3 * EACH));
}

#[test]
fn opening_and_closing_a_file_is_a_use_of_it() {
    let fixture = Fixture::new();
    let files = files(&fixture, 3);
    let file = fixture.cache.file(&files[0]).expect("a file");
    assert!(kept_use(&fixture, &files[0]) > 2_000_000);
    set_used(&fixture, &files[0], 5);
    look(&file, 0);
    assert_eq!(kept_use(&fixture, &files[0]), 5, "reading does not write");
    drop(file);
    assert!(kept_use(&fixture, &files[0]) > 2_000_000);
    let _cache = reopen(&fixture, 2 * EACH);
    assert_eq!(kept(&fixture, &files), [true, false, false]);
}

fn kept_use(fixture: &Fixture, identity: &Identity) -> u64 {
    let used = fs::metadata(fixture.map(identity))
        .expect("a map")
        .modified();
    let since = used.expect("a time").duration_since(SystemTime::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

#[test]
fn open_and_pinned_files_stay() {
    let fixture = Fixture::new();
    let files = files(&fixture, 4);
    let open_file = fixture.cache.file(&files[0]).expect("a file");
    let pinned = fixture.cache.file(&files[1]).expect("a file");
    pinned.pin().expect("pinned");
    drop(pinned);
    for identity in &files[..2] {
        set_used(&fixture, identity, 5);
    }
    let cache = reopen(&fixture, 0);
    assert_eq!(kept(&fixture, &files), [true, true, false, false]);
    assert_eq!(look(&open_file, 0), FoundOnDisk::Found);
    drop(open_file);
    cache.evict();
    assert_eq!(kept(&fixture, &files), [false, true, false, false]);
    let pinned = fixture.another().file(&files[1]).expect("a file");
    assert!(pinned.is_pinned());
    pinned.unpin().expect("unpinned");
    drop(pinned);
    cache.evict();
    assert_eq!(kept(&fixture, &files), [false; 4]);
    assert_eq!(cache.stats().used_bytes, ByteCount(0));
}

#[test]
fn writing_stays_under_the_limit() {
    let limit = 20 * EACH;
    let fixture = Fixture::with_limit(limit);
    for number in 0..100 {
        drop(fixture.filled(&identity(&format!("file {number}"), BLOCK_SIZE)));
        let used = fixture.cache.stats().used_bytes;
        assert!(used.0 <= limit, "{used} bytes after {number} files");
    }
    let counted = fixture.cache.stats();
    fixture.cache.evict();
    let looked = fixture.cache.stats();
    assert_eq!(
        counted.used_bytes, looked.used_bytes,
        "the count is what is on disk"
    );
    assert_eq!(counted.files, looked.files);
    assert!(looked.evicted_files >= 80 && looked.files >= 15);
}

#[test]
fn a_file_larger_than_the_limit_is_cached_in_part() {
    let fixture = Fixture::with_limit(5 * BLOCK_SIZE);
    let identity = identity("large", 20 * BLOCK_SIZE);
    let file = fixture.cache.file(&identity).expect("a file");
    let written = (0..20).filter(|block| file.write(*block, &truth(&identity, *block)));
    assert_eq!(written.count(), 4);
    let stats = fixture.cache.stats();
    assert!(stats.paused.expect("paused").contains("the limit of"));
    assert!(stats.used_bytes.0 <= 5 * BLOCK_SIZE);
    assert_eq!(look(&file, 3), FoundOnDisk::Found);
    assert_eq!(look(&file, 4), FoundOnDisk::Missing);
}

#[test]
fn what_is_unpinned_or_closed_makes_room_at_once() {
    let fixture = Fixture::with_limit(4 * BLOCK_SIZE);
    let [pinned, open, next, last] =
        ["pinned", "open", "next", "last"].map(|item| identity(item, 2 * BLOCK_SIZE));
    let fill_in_part = |identity: &Identity| {
        let file = fixture.cache.file(identity)?;
        let written = (0..2).filter(|block| file.write(*block, &truth(identity, *block)));
        Ok::<_, std::io::Error>((written.count(), file))
    };
    fixture.filled(&pinned).pin().expect("pinned");
    let (written, open) = fill_in_part(&open).expect("a file");
    assert_eq!(written, 1);
    assert!(fixture.cache.stats().paused.is_some());
    assert!(fill_in_part(&next).is_err(), "it pauses");

    let file = fixture.cache.file(&pinned).expect("it is there");
    file.unpin().expect("unpinned");
    drop(file);
    assert_eq!(fixture.cache.stats().paused, None);
    let (written, next) = fill_in_part(&next).expect("a file");
    assert_eq!(written, 2);
    next.pin().expect("pinned");
    drop(next);

    let (written, last) = fill_in_part(&last).expect("a file");
    assert_eq!(written, 0);
    assert!(fixture.cache.stats().paused.is_some());
    drop(open);
    assert_eq!(fixture.cache.stats().paused, None);
    let block = truth(last.identity(), 0);
    assert!(last.write(0, &block));
}

#[test]
fn files_of_another_process_count() {
    let fixture = Fixture::with_limit(64 * EACH);
    let other = fixture.another();
    for number in 0..60 {
        let file = other.file(&identity(&format!("other {number}"), BLOCK_SIZE));
        fill(&file.expect("a file"));
    }
    for number in 0..20 {
        drop(fixture.filled(&identity(&format!("ours {number}"), BLOCK_SIZE)));
    }
    other.evict();
    assert!(
        other.stats().used_bytes.0 <= 64 * EACH,
        "{:?}",
        other.stats()
    );
}

#[test]
fn a_file_system_that_fills_up_is_made_room_on() {
    let fixture = Fixture::new();
    let files = files(&fixture, 3);
    let short_of_room = Rules {
        reserve: Some(u64::MAX / 2),
        ..rules(NO_LIMIT)
    };
    let cache = DiskCache::with_rules(fixture.folder.path(), short_of_room).expect("a cache");
    assert_eq!(kept(&fixture, &files), [false; 3]);
    assert!(cache.stats().paused.expect("paused").contains("free"));
    assert!(
        cache.file(&files[0]).is_err(),
        "nothing is made while it is short"
    );
}

#[test]
fn one_process_evicts_at_a_time() {
    let fixture = Fixture::new();
    let files = files(&fixture, 2);
    let lock = fixture.cache.shared.folder.try_lock_eviction();
    let lock = lock.expect("locked").expect("nobody else");
    let cache = reopen(&fixture, 0);
    assert_eq!(kept(&fixture, &files), [true; 2]);
    drop(lock);
    cache.evict();
    assert_eq!(kept(&fixture, &files), [false; 2]);
}

#[test]
fn what_is_left_over_is_cleaned_and_what_is_not_ours_stays() {
    let fixture = Fixture::new();
    let folder = fixture.folder.path();
    let whole = files(&fixture, 1);
    let [without_map, without_data] = ["x", "y"].map(|item| identity(item, 5));
    drop((fixture.filled(&without_map), fixture.filled(&without_data)));
    fs::remove_file(fixture.map(&without_map)).expect("deleted");
    fs::remove_file(fixture.data(&without_data)).expect("deleted");

    let stem = whole[0].stem();
    let two_days_ago = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
    let put = |name: &str, is_old: bool| {
        fs::write(folder.join(name), b"something").expect("written");
        if is_old {
            disk(&folder.join(name))
                .set_modified(two_days_ago)
                .expect("set");
        }
    };
    let old_unknown = format!("{stem}.map2");
    put(&old_unknown, true);
    let stay = [
        format!("{stem}.new"),
        "notes.txt".into(),
        "abc.data".into(),
        format!("{}.data", "g".repeat(40)),
        format!("{stem}0.data"),
        stem.clone(),
        stem.to_uppercase() + ".map",
    ];
    for (number, name) in stay.iter().enumerate() {
        put(name, number > 0);
    }
    fs::create_dir(folder.join(format!("{}.data", "0".repeat(40)))).expect("made");
    let cache = reopen(&fixture, NO_LIMIT);
    assert!(!fixture.data(&without_map).exists() && !fixture.map(&without_data).exists());
    assert!(!folder.join(&old_unknown).exists());
    for name in &stay {
        assert!(folder.join(name).exists(), "{name}");
    }
    assert_eq!(
        (kept(&fixture, &whole), cache.stats().files),
        (vec![true], 1)
    );
}

/// Else the files that a process is about to make in the place of damaged ones could be deleted in their stead.
#[test]
fn nothing_is_evicted_while_a_file_is_made() {
    let fixture = Fixture::new();
    let small = reopen(&fixture, 1);
    let made = files(&fixture, 1);
    let lock = fixture.cache.shared.folder.lock().expect("the lock");
    let inode = lock.metadata().expect("it is there").ino();
    thread::scope(|scope| {
        let evicting = scope.spawn(|| small.evict());
        while !has_waiter(inode) {
            assert!(!evicting.is_finished(), "it did not wait");
            thread::yield_now();
        }
        assert_eq!(kept(&fixture, &made), [true]);
        drop(lock);
    });
    assert_eq!(kept(&fixture, &made), [false]);
}

/// Whether somebody waits for a lock of the file.
fn has_waiter(inode: u64) -> bool {
    let locks = fs::read_to_string("/proc/locks").expect("the kernel tells");
    let inode = format!(":{inode} ");
    locks
        .lines()
        .any(|line| line.contains("->") && line.contains(&inode))
}
