use std::io::Read;
use std::os::fd::AsFd;

use super::super::{Verification, Verified};
use super::*;
use crate::entity_tag::EntityTag;

const SIZE: u64 = 2 * BLOCK_SIZE + 17;

fn verify(file: &CachedFile) -> Verification {
    file.verify_all(|_| {}).expect("verified")
}

/// A complete file that was found right.
fn trusted(fixture: &Fixture) -> CachedFile {
    let file = fixture.filled(&identity("a", SIZE));
    assert!(
        file.passthrough_file().is_none(),
        "not before it was verified"
    );
    assert_eq!(verify(&file), Verification::Right);
    file
}

fn whole(identity: &Identity) -> Vec<u8> {
    (0..identity.blocks())
        .flat_map(|block| truth(identity, block))
        .collect()
}

#[test]
fn a_trusted_file_is_the_content_and_can_only_be_read() {
    let fixture = Fixture::new();
    let file = trusted(&fixture);
    let reopened = fixture.another().file(file.identity()).expect("a file");
    for file in [&file, &reopened] {
        let mut data = file.passthrough_file().expect("trusted");
        let flags = rustix::fs::fcntl_getfl(data.as_fd()).expect("flags");
        assert_eq!(
            flags & rustix::fs::OFlags::RWMODE,
            rustix::fs::OFlags::RDONLY
        );
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes).expect("read");
        assert!(bytes == whole(file.identity()));
    }
}

#[test]
fn an_empty_file_can_be_trusted() {
    let fixture = Fixture::new();
    let file = fixture.cache.file(&identity("empty", 0)).expect("a file");
    assert_eq!(verify(&file), Verification::Right);
    assert!(file.passthrough_file().is_some());
}

#[test]
fn verifying_shows_the_whole_content_in_order() {
    let fixture = Fixture::new();
    let file = fixture.filled(&identity("a", SIZE));
    let mut seen = Vec::new();
    let result = file.verify_all(|bytes| {
        seen.extend_from_slice(bytes);
    });
    assert_eq!(result.expect("verified"), Verification::Right);
    assert!(seen == whole(file.identity()));
}

#[test]
fn a_file_with_a_missing_or_damaged_block_is_not_trusted() {
    let fixture = Fixture::new();
    let identity = identity("a", SIZE);
    let file = fixture.cache.file(&identity).expect("a file");
    assert!(file.write(0, &truth(&identity, 0)) && file.write(2, &truth(&identity, 2)));
    assert_eq!(verify(&file), Verification::Incomplete { missing: 1 });
    fill(&file);
    flip(&fixture.data(&identity), 5, 1);
    assert_eq!(verify(&file), Verification::Incomplete { missing: 1 });
    assert!(!file.has(0) && file.passthrough_file().is_none());
    fill(&file);
    assert!(file.passthrough_file().is_none(), "filled and not verified");
    assert_eq!(verify(&file), Verification::Right);
    assert!(file.passthrough_file().is_some());
}

#[test]
fn a_file_changed_while_it_is_verified_is_not_trusted() {
    let fixture = Fixture::new();
    let file = fixture.filled(&identity("a", SIZE));
    let path = fixture.data(file.identity());
    let mut blocks = 0;
    let result = file.verify_all(|_| {
        blocks += 1;
        if blocks == 3 {
            flip(&path, 5, 1);
        }
    });
    assert_eq!(result.expect("verified"), Verification::Changed);
    assert!(file.passthrough_file().is_none());
}

/// What anybody can do to a data file.
type Change = fn(&Fixture, &Path);

#[test]
fn trust_ends_with_any_change_until_the_file_is_verified_again() {
    let changes: [(&str, Change); 7] = [
        ("a byte", |_, path| flip(path, 5, 1)),
        ("a byte, and back", |_, path| {
            flip(path, 5, 1);
            flip(path, 5, 1);
        }),
        ("a byte, with the old time", |_, path| {
            let before = fs::metadata(path)
                .expect("there")
                .modified()
                .expect("a time");
            flip(path, 5, 1);
            disk(path).set_modified(before).expect("set");
        }),
        ("a copy in its place", |fixture, path| {
            let aside = fixture.folder.path().join("aside");
            fs::copy(path, &aside).expect("copied");
            fs::rename(&aside, path).expect("renamed");
        }),
        ("shorter and longer", |_, path| {
            disk(path).set_len(5).expect("cut");
            disk(path).set_len(SIZE).expect("grown");
        }),
        ("longer", |_, path| {
            disk(path).set_len(SIZE + 1).expect("grown")
        }),
        ("deleted", |_, path| fs::remove_file(path).expect("deleted")),
    ];
    for (what, change) in changes {
        let fixture = Fixture::new();
        let file = trusted(&fixture);
        let identity = file.identity().clone();
        assert!(file.passthrough_file().is_some());
        change(&fixture, &fixture.data(&identity));
        assert!(file.passthrough_file().is_none(), "{what}, open");
        drop(file);
        let file = fixture.cache.file(&identity).expect("a file");
        assert!(file.passthrough_file().is_none(), "{what}, opened again");
        let _quarantined = look_at_all(&file);
        fill(&file);
        assert_eq!(verify(&file), Verification::Right, "{what}");
        let mut bytes = Vec::new();
        let mut data = file.passthrough_file().expect("trusted again");
        data.read_to_end(&mut bytes).expect("read");
        assert!(bytes == whole(&identity), "{what}");
    }
}

#[test]
fn a_block_found_bad_by_another_process_ends_trust() {
    let fixture = Fixture::new();
    let file = trusted(&fixture);
    let other = fixture.another().file(file.identity()).expect("a file");
    let map = fixture.map(file.identity());
    flip(&map, records_at(&map, file.identity()), 1);
    assert!(file.passthrough_file().is_some(), "the data is as it was");
    assert_eq!(look(&other, 0), FoundOnDisk::Bad);
    assert!(file.passthrough_file().is_none());
    assert_eq!(look(&file, 0), FoundOnDisk::Missing);
}

#[test]
fn what_is_not_the_drives_content_is_never_passed_through() {
    let fixture = Fixture::new();
    let file = trusted(&fixture);
    assert_eq!(file.verified(), Verified::Unknown);
    for (verified, may_pass) in [(Verified::Yes, true), (Verified::No, false)] {
        file.set_verified(verified).expect("written down");
        let reopened = fixture.another().file(file.identity()).expect("a file");
        for file in [&file, &reopened] {
            assert_eq!(file.verified(), verified);
            assert_eq!(file.passthrough_file().is_some(), may_pass);
        }
    }
    assert_eq!(verify(&file), Verification::Right);
    assert!(file.passthrough_file().is_none());
}

#[test]
fn a_forgotten_file_is_never_passed_through() {
    let fixture = Fixture::new();
    let file = trusted(&fixture);
    let other = fixture.another().file(file.identity()).expect("a file");
    file.forget().expect("forgotten");
    assert!(file.passthrough_file().is_none() && other.passthrough_file().is_none());
    assert_ne!(verify(&file), Verification::Right);
}

#[test]
fn a_file_has_the_first_tag_for_good_and_for_everybody() {
    let fixture = Fixture::new();
    let file = fixture.filled(&identity("a", SIZE));
    assert_eq!(file.tag(), None);
    let [first, second] = ["first", "second"].map(EntityTag::of);
    for (tag, is_the_same) in [(first, true), (second, false), (first, true)] {
        assert_eq!(file.note_tag(tag).expect("written down"), is_the_same);
    }
    file.pin().expect("written down");
    let another = fixture.another().file(file.identity()).expect("a file");
    assert_eq!(another.tag(), Some(first));
    assert!(!another.note_tag(second).expect("read"));
    another.forget().expect("deleted");
    let anew = fixture.another().file(file.identity()).expect("a file");
    assert_eq!(anew.tag(), None);
    assert!(anew.note_tag(second).expect("written down"));
}
