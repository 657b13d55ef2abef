use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::entity_tag::EntityTag;

#[test]
fn what_is_written_is_there_after_a_restart() {
    for size in [
        0,
        1,
        BLOCK_SIZE - 1,
        BLOCK_SIZE,
        BLOCK_SIZE + 1,
        3 * BLOCK_SIZE + 17,
    ] {
        let fixture = Fixture::new();
        let identity = identity("a", size);
        let file = fixture.cache.file(&identity).expect("a file");
        assert_eq!(file.is_complete(), size == 0);
        fill(&file);
        drop(file);
        let file = fixture.another().file(&identity).expect("a file");
        assert!(file.is_complete());
        assert_eq!(file.blocks_present(), identity.blocks());
        assert_eq!(file.bytes_present(), identity.size);
        assert!(
            look_at_all(&file)
                .iter()
                .all(|found| *found == FoundOnDisk::Found)
        );
        assert_eq!(look(&file, identity.blocks()), FoundOnDisk::Missing);
        assert_eq!(look(&file, u64::MAX), FoundOnDisk::Missing);
    }
}

#[test]
fn a_part_of_a_file_is_counted_exactly() {
    let fixture = Fixture::new();
    let identity = identity("a", 2 * BLOCK_SIZE + 17);
    let file = fixture.cache.file(&identity).expect("a file");
    assert_eq!(file.bytes_present(), ByteCount(0));
    assert!(file.write(2, &truth(&identity, 2)));
    assert_eq!(
        (file.blocks_present(), file.bytes_present()),
        (1, ByteCount(17))
    );
    assert!(file.write(0, &truth(&identity, 0)));
    assert!(file.write(0, &truth(&identity, 0)));
    assert_eq!(file.bytes_present(), ByteCount(BLOCK_SIZE + 17));
    assert!(!file.is_complete() && file.has(0) && !file.has(1));
    use FoundOnDisk::{Found, Missing};
    assert_eq!(look_at_all(&file), [Found, Missing, Found]);
}

#[test]
fn another_version_or_account_is_another_file() {
    let fixture = Fixture::new();
    let first = identity("a", BLOCK_SIZE);
    let _file = fixture.filled(&first);
    let others = [
        Identity {
            drive: "home".into(),
            ..first.clone()
        },
        Identity {
            item: "b".into(),
            ..first.clone()
        },
        Identity {
            version: Version("2".into()),
            ..first.clone()
        },
        Identity {
            size: ByteCount(BLOCK_SIZE - 1),
            ..first.clone()
        },
    ];
    for other in others {
        let file = fixture.cache.file(&other).expect("a file");
        assert_eq!(look(&file, 0), FoundOnDisk::Missing, "{other}");
    }
    assert_eq!(fixture.cache.stats().files, 5);
}

#[test]
fn only_the_owner_can_look_into_it() {
    let parent = TempDir::new().expect("a folder");
    let folder = parent.path().join("above/cache");
    let cache = open(&folder, NO_LIMIT);
    let _file = cache.file(&identity("a", 5)).expect("a file");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let names = fs::read_dir(&folder).expect("a folder");
    let modes: Vec<u32> = names
        .map(|entry| mode(&entry.expect("a name").path()))
        .collect();
    assert_eq!(modes, [0o600; 4], "data, map and two locks");
}

#[test]
fn a_folder_that_others_may_write_into_is_refused() {
    let folder = TempDir::new().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    let error = DiskCache::open(folder.path(), ByteCount(NO_LIMIT)).expect_err("refused");
    assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
}

#[test]
fn a_forgotten_file_takes_nothing_more_and_says_so() {
    let fixture = Fixture::new();
    let identity = identity("a", BLOCK_SIZE);
    let file = fixture.filled(&identity);
    let other = fixture.another().file(&identity).expect("a file");
    other.forget().expect("forgotten");
    let pinned = file.pin().expect_err("it would be lost with the last use");
    assert_eq!(pinned.kind(), std::io::ErrorKind::NotFound);
    assert!(file.note_tag(EntityTag::of("other")).is_err());
    let anew = fixture.cache.file(&identity).expect("a file");
    anew.pin().expect("pinned");
    assert!(anew.is_pinned() && !file.is_pinned());
}

/// Whoever read a block just before asks only now what it came under.
#[test]
fn a_forgotten_file_keeps_its_tag() {
    let fixture = Fixture::new();
    let file = fixture.filled(&identity("a", BLOCK_SIZE));
    let tag = EntityTag::of("first");
    assert!(file.note_tag(tag).expect("written down"));
    let other = fixture.another().file(file.identity()).expect("a file");
    assert_eq!(look(&file, 0), FoundOnDisk::Found);
    other.forget().expect("forgotten");
    assert_eq!(file.tag(), Some(tag));
}

#[test]
fn a_forgotten_file_is_gone_for_everyone_who_has_it_open() {
    let fixture = Fixture::new();
    let identity = identity("a", 2 * BLOCK_SIZE);
    let file = fixture.filled(&identity);
    let other = fixture.another().file(&identity).expect("a file");
    file.forget().expect("forgotten");
    assert_eq!(look_at_all(&file), [FoundOnDisk::Missing; 2]);
    assert_eq!(look_at_all(&other), [FoundOnDisk::Missing; 2]);
    for file in [&file, &other] {
        let is_kept = file.write(0, &truth(&identity, 0));
        assert!(!is_kept, "nothing more is kept of it");
    }
    assert!(!fixture.map(&identity).exists() && !fixture.data(&identity).exists());
    let stats = fixture.cache.stats();
    assert_eq!((stats.files, stats.used_bytes), (0, ByteCount(0)));
    let anew = fixture.cache.file(&identity).expect("a file");
    assert_eq!(look_at_all(&anew), [FoundOnDisk::Missing; 2]);
    file.forget().expect("forgotten again");
    fill(&anew);
    drop((file, other));
    assert_eq!(
        look_at_all(&anew),
        [FoundOnDisk::Found; 2],
        "the new file is not touched"
    );
}

#[test]
fn what_no_disk_can_hold_is_refused_and_does_not_stop_the_rest() {
    let fixture = Fixture::new();
    let endless = "x".repeat(100_000);
    for odd in [identity("a", u64::MAX), identity(&endless, 5)] {
        assert!(fixture.cache.file(&odd).is_err());
        assert_eq!(fixture.cache.stats().paused, None);
    }
    let long = identity(&"ß/\0\n".repeat(500), 5);
    let _file = fixture.filled(&long);
    let file = fixture.another().file(&long).expect("a file");
    assert_eq!(look(&file, 0), FoundOnDisk::Found);
}

#[test]
fn a_large_file_costs_a_bit_per_block_and_nothing_on_disk() {
    let fixture = Fixture::new();
    let identity = identity("large", 1 << 40);
    let file = fixture.cache.file(&identity).expect("a file");
    let last = identity.blocks() - 1;
    assert!(file.write(last, &truth(&identity, last)));
    drop(file);
    fixture.cache.evict();
    assert!(fixture.cache.stats().used_bytes.0 < 2 * BLOCK_SIZE);
    let file = fixture.cache.file(&identity).expect("a file");
    assert_eq!(
        (file.blocks_present(), look(&file, last)),
        (1, FoundOnDisk::Found)
    );
}
