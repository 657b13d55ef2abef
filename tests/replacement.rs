//! A file that is replaced while it is open: its node is spent, and its name leads to a new one.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use linkfs_emulator::{Action, LinkPolicy, ROOT_ID, Rule, Tree};
use linkfs_tests::{DriveKind, Mounted, eventually, mib, on_every_drive, shell, tree_with_file};

on_every_drive! {
    fn a_data_host_that_is_down_shows_in_the_status_until_it_is_back,
    // Its listings are kept for minutes, and its links lead to the version that was listed.
    except dingtalk:
    fn a_name_opened_anew_after_a_replacement_is_another_node_with_the_new_bytes,
    fn a_link_to_the_old_version_is_not_used_for_the_new_one,
    fn what_another_listing_finds_changed_is_seen_at_once,
}

fn read(file: &File, offset: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn a_name_opened_anew_after_a_replacement_is_another_node_with_the_new_bytes(kind: DriveKind) {
    let (tree, id) = tree_with_file("film.bin", 5, mib(64));
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let path = mount.path("film.bin");
    let old = File::open(&path).expect("it opens");
    assert!(read(&old, 0).is_ok_and(|bytes| bytes == tree.read(&id, 0, 4096).expect("the bytes")));

    // The listing is refreshed while the file is open, and says what it said before.
    let list = emulator.calls().list;
    let listings = emulator.counters().calls(list);
    eventually("the folder is listed again", || {
        fs::metadata(&path).expect("it is there");
        emulator.counters().calls(list) > listings
    });
    assert!(tree.replace_generated(&id, mib(64)));
    let stale = read(&old, mib(60)).expect_err("the old content is gone");
    assert_eq!(stale.raw_os_error(), Some(libc::ESTALE));

    let new = File::open(&path).expect("the name opens");
    let number = |file: &File| file.metadata().expect("it has attributes").ino();
    assert_ne!(number(&old), number(&new));
    for offset in [0, mib(60)] {
        let expected = tree.read(&id, offset, 4096).expect("the new bytes");
        assert!(
            read(&new, offset).expect("it reads") == expected,
            "at {offset}"
        );
    }
    // What is left of the old one is old.
    assert!(read(&old, mib(30)).is_err());
}

fn a_link_to_the_old_version_is_not_used_for_the_new_one(kind: DriveKind) {
    let (tree, id) = tree_with_file("film.bin", 6, mib(1));
    // Links to a version that was replaced are refused, as a store that keeps one object a version does.
    let links = LinkPolicy {
        key_per_revision: true,
        ..kind.links()
    };
    let emulator = kind.setup(tree.clone()).links(links).start();
    let mount = Mounted::builder(&*emulator).listing_ttl("0s").mount();
    let path = mount.path("film.bin");
    let old = fs::read(&path).expect("it reads");
    assert!(old == tree.read(&id, 0, old.len()).expect("the bytes"));
    assert!(tree.replace_generated(&id, mib(2)));
    emulator.counters().reset();
    let new = eventually_longer(&path, old.len());
    assert!(new == tree.read(&id, 0, new.len()).expect("the bytes"));
    let counts = emulator.counters().snapshot();
    assert!(
        counts.data_log.iter().all(|request| request.status == 206),
        "{:?}",
        counts.data_log
    );
}

/// The file's bytes, once it is longer than it was.
fn eventually_longer(path: &std::path::Path, length: usize) -> Vec<u8> {
    eventually("the new version is listed", || {
        fs::metadata(path).is_ok_and(|about| about.len() > length as u64)
    });
    fs::read(path).expect("it reads")
}

/// What the kernel keeps of a folder holds for minutes here, and the folder is listed anew before that is over: a
/// file in it turned out to be replaced.
fn what_another_listing_finds_changed_is_seen_at_once(kind: DriveKind) {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "folder");
    let film = tree.add_generated(&folder, "film.bin", 8, mib(64));
    let gone = tree.add_file(&folder, "gone.txt", "gone");
    let changed = tree.add_file(&folder, "changed.txt", "before");
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("10m").mount();
    let list = || shell(&mount.path("folder"), "ls", Path::new("")).success();
    let length = |name: &str| {
        let about = fs::metadata(mount.path(&format!("folder/{name}")));
        about.ok().map(|about| about.len())
    };
    let seen = || ["gone.txt", "changed.txt", "new.txt"].map(length);
    list();
    assert_eq!(seen(), [Some(4), Some(6), None]);
    let open = File::open(mount.path("folder/film.bin")).expect("it opens");
    read(&open, 0).expect("it reads");

    tree.add_file(&folder, "new.txt", "new");
    assert!(tree.remove(&gone));
    assert!(tree.replace_content(&changed, "after, and longer"));
    assert!(tree.replace_generated(&film, mib(64)));
    let stale = read(&open, mib(60)).expect_err("the old content is gone");
    assert_eq!(stale.raw_os_error(), Some(libc::ESTALE));
    let before = emulator.counters().calls(emulator.calls().list);
    assert_eq!(seen(), [Some(4), Some(6), None], "the kernel keeps it");
    assert_eq!(emulator.counters().calls(emulator.calls().list), before);

    assert_eq!(list(), "changed.txt\nfilm.bin\nnew.txt\n");
    assert_eq!(seen(), [None, Some(17), Some(3)]);
}

fn a_data_host_that_is_down_shows_in_the_status_until_it_is_back(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.bin", 7, 1000);
    let emulator = kind.start(tree);
    let mount = Mounted::builder(&*emulator).deadline("2s").mount();
    let down = Action::Status {
        code: 503,
        retry_after: None,
        body: None,
    };
    emulator.faults().add(Rule::on("data", down));
    let error = fs::read(mount.path("a.bin")).expect_err("the data host is down");
    assert_eq!(error.raw_os_error(), Some(libc::EHOSTDOWN));
    assert_eq!(mount.status()["drives"][0]["state"], "failing");
    emulator.faults().clear();
    assert_eq!(
        fs::read(mount.path("a.bin")).expect("it is back").len(),
        1000
    );
    assert_eq!(mount.status()["drives"][0]["state"], "ok");
}
