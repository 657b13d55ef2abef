//! Files that are kept on disk for good.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use linkfs_emulator::{Action, EmulatedDrive, Pacing, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    DriveKind, Mounted, Outcome, eventually, mib, on_every_drive, read_all, run, true_bytes,
};

use crate::scene::{BLOCK, SIZE, Scene, Second, attribute};

on_every_drive! {
    fn a_pinned_file_is_fetched_whole_and_read_while_the_drive_is_down,
}

const PIN: &str = "user.linkfs.pin";

#[track_caller]
fn pin(path: &Path) {
    xattr::set(path, PIN, b"yes").expect("it is pinned");
}

#[track_caller]
fn await_complete(path: &Path) {
    eventually("all of it is there", || {
        attribute(path, "cached").as_deref() == Some("100")
    });
}

fn a_pinned_file_is_fetched_whole_and_read_while_the_drive_is_down(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.mount();
    let path = mount.path("file.bin");
    assert_eq!(attribute(&path, "pin"), None);
    pin(&path);
    assert_eq!(attribute(&path, "pin").as_deref(), Some("yes"));
    await_complete(&path);
    let mount = mount.mount_again_after(|_home| scene.is_down());
    assert_eq!(attribute(&path, "pin").as_deref(), Some("yes"));
    scene.read(&mount);
    xattr::remove(&path, PIN).expect("it is unpinned");
    assert_eq!(attribute(&path, "pin"), None);
    let again = linkfs_tests::errno(xattr::remove(&path, PIN));
    assert_eq!(again, Err(libc::ENODATA));
}

/// Ten files of a MiB, and room for four.
struct Crowd {
    emulator: Box<dyn EmulatedDrive>,
    tree: Tree,
}

impl Crowd {
    fn new() -> Crowd {
        let tree = Tree::new();
        let folder = tree.add_folder(ROOT_ID, "folder");
        let below = tree.add_folder(&folder, "below");
        for number in 0..10 {
            let parent = if number < 2 { &below } else { &folder };
            tree.add_generated(parent, &format!("{number}.bin"), number, mib(1));
        }
        let emulator = DriveKind::KooDrive.start(tree.clone());
        Crowd { emulator, tree }
    }

    fn mount(&self) -> Mounted {
        let builder = Mounted::builder(&*self.emulator);
        builder.listing_ttl("10m").disk("4MiB").mount()
    }

    fn read_all(&self, mount: &Mounted) {
        for node in self.tree.all() {
            if !node.is_folder() {
                let place = match node.name.as_str() {
                    "0.bin" | "1.bin" => format!("folder/below/{}", node.name),
                    name => format!("folder/{name}"),
                };
                let bytes = read_all(&mount.path(&place));
                assert!(bytes == Ok(true_bytes(&self.tree, &node.id)), "{place}");
            }
        }
    }
}

fn linkfs(mount: &Mounted, command: &str, path: &str) -> Outcome {
    let mut linkfs = mount.home().linkfs();
    run(linkfs.arg(command).arg(mount.path(path)))
}

#[test]
fn what_is_pinned_is_not_evicted_and_what_is_unpinned_may_be() {
    let crowd = Crowd::new();
    let mount = crowd.mount();
    linkfs(&mount, "pin", "folder/below").success();
    for number in 0..2 {
        let path = mount.path(&format!("folder/below/{number}.bin"));
        assert_eq!(attribute(&path, "cached").as_deref(), Some("100"));
        assert_eq!(attribute(&path, "pin").as_deref(), Some("yes"));
    }
    crowd.read_all(&mount);
    let mount = mount.mount_again_after(|_home| crowd.emulator.counters().reset());
    for number in 0..2 {
        let path = mount.path(&format!("folder/below/{number}.bin"));
        assert!(read_all(&path).is_ok());
    }
    let requests = || crowd.emulator.counters().snapshot().data_requests;
    assert_eq!(requests(), 0);
    linkfs(&mount, "unpin", "folder").success();
    let mount = mount.mount_again();
    crowd.read_all(&mount);
    let mount = mount.mount_again_after(|_home| crowd.emulator.counters().reset());
    assert!(read_all(&mount.path("folder/below/0.bin")).is_ok());
    assert!(requests() > 0, "it was evicted");
}

/// All of an online document is in its listing.
#[test]
fn a_folder_with_an_online_document_is_pinned() {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "folder");
    tree.add_file(&folder, "Plan.adoc", "what the drive counts as its size");
    tree.add_generated(&folder, "file.bin", 1, mib(1));
    let emulator = DriveKind::DingTalk.start(tree);
    let mount = Mounted::builder(&*emulator).disk("4MiB").mount();
    let document = mount.path("folder/Plan.adoc.url");
    linkfs(&mount, "pin", "folder").success();
    let file = mount.path("folder/file.bin");
    assert_eq!(attribute(&file, "pin").as_deref(), Some("yes"));
    assert_eq!(attribute(&document, "cached").as_deref(), Some("100"));
    for name in ["pin", "verified"] {
        assert_eq!(attribute(&document, name), None, "{name}");
    }
    linkfs(&mount, "unpin", "folder").success();
    assert_eq!(attribute(&file, "pin"), None);
}

#[test]
fn files_of_linkfs_have_nothing_to_pin() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let control = mount.path(".linkfs/control");
    for name in ["pin", "verified", "cached"] {
        assert_eq!(attribute(&control, name), None, "{name}");
    }
    let pinned = linkfs_tests::errno(xattr::set(&control, PIN, b"yes"));
    assert_eq!(pinned, Err(libc::EPERM));
    let folder = linkfs_tests::errno(xattr::set(mount.folder(), PIN, b"yes"));
    assert_eq!(folder, Err(libc::EISDIR));
}

#[test]
fn more_than_there_is_room_for_cannot_be_pinned() {
    let crowd = Crowd::new();
    let mount = crowd.mount();
    let outcome = linkfs(&mount, "pin", "folder");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("limit of 4194304 bytes"),
        "{outcome:?}"
    );
    crowd.read_all(&mount);
}

#[test]
fn a_file_larger_than_the_cache_is_not_begun_with() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.builder().disk("2MiB").mount();
    let outcome = linkfs(&mount, "pin", "file.bin");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    let why = format!("its {SIZE} bytes are more than the limit of 2097152 bytes");
    for words in [&why, "`size` under [cache]"] {
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
    assert_eq!(attribute(&mount.path("file.bin"), "pin"), None);
    assert_eq!(scene.data_requests(), 0);
}

#[test]
fn without_a_disk_cache_nothing_can_be_pinned() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = Mounted::new(&*scene.emulator);
    let path = mount.path("file.bin");
    let refused = linkfs_tests::errno(xattr::set(&path, PIN, b"yes"));
    assert_eq!(refused, Err(libc::EOPNOTSUPP));
    let words = attribute(&path, "error").expect("words");
    assert!(words.contains("`size` under [cache]"), "{words}");
    let outcome = linkfs(&mount, "pin", "file.bin");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("`size` under [cache]"),
        "{outcome:?}"
    );
}

#[test]
fn what_cannot_be_pinned_is_told_and_the_rest_is_pinned() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let elsewhere = mount.home().path().join("config.toml");
    let mut command = mount.home().linkfs();
    command
        .arg("pin")
        .args([&elsewhere, &mount.path("missing"), &mount.path("file.bin")]);
    let outcome = run(&mut command);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("not on a mount of linkfs"),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains("No such file"), "{outcome:?}");
    assert_eq!(xattr::get(&elsewhere, PIN).expect("it answers"), None);
    scene.emulator.counters().reset();
    await_complete(&mount.path("file.bin"));
    assert_eq!(
        scene.data_requests(),
        0,
        "it was there when the command ended"
    );
}

#[test]
fn a_pinned_file_that_is_incomplete_is_gone_on_with_when_it_is_opened() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let path = mount.path("file.bin");
    // The first blocks come, and then nothing more.
    let fault = Action::StallBody { at: 2 * BLOCK };
    scene.emulator.faults().add(Rule::on("data", fault));
    let mut command = mount.home().linkfs();
    run(command.args(["pin", "--no-wait"]).arg(&path)).success();
    eventually("something is there", || {
        attribute(&path, "cached").is_some_and(|percentage| percentage != "0")
    });
    let mount = mount.mount_again_after(|_home| {
        scene.emulator.faults().clear();
        scene.emulator.counters().reset();
    });
    assert_ne!(attribute(&path, "cached").as_deref(), Some("100"));
    assert_eq!(scene.data_requests(), 0);
    drop(File::open(&path).expect("it opens"));
    await_complete(&path);
    assert!(scene.bytes_asked_for() < SIZE);
    scene.read(&mount);
}

/// A mount that hears of other bytes under the same version deletes what is cached, whoever has it open.
#[test]
fn a_file_that_another_mount_deleted_is_pinned_all_the_same() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let path = mount.path("file.bin");
    let open = File::open(&path).expect("it opens");
    let mut bytes = vec![0; BLOCK as usize];
    open.read_exact_at(&mut bytes, 0).expect("it reads");
    eventually("a block is kept", || {
        attribute(&path, "cached").is_some_and(|percentage| percentage != "0")
    });
    let etag = "\"of another version\"".to_owned();
    let fault = Rule::on("data", Action::WrongEtag { etag });
    scene.emulator.faults().add(fault);
    let other = Second::mount(mount.home());
    let file = File::open(other.0.join("file.bin")).expect("it opens");
    let read = file.read_exact_at(&mut bytes, 8 * BLOCK);
    read.expect("it reads");
    drop((file, other));
    scene.emulator.faults().clear();
    pin(&path);
    await_complete(&path);
    drop(open);
    let _mount = mount.mount_again_after(|_home| scene.is_down());
    assert_eq!(attribute(&path, "pin").as_deref(), Some("yes"));
    assert_eq!(attribute(&path, "cached").as_deref(), Some("100"));
}

#[test]
fn a_drive_that_is_down_is_why_a_file_is_not_complete() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.builder().deadline("2s").mount();
    std::fs::metadata(mount.path("file.bin")).expect("it is known");
    scene.is_down();
    let outcome = linkfs(&mount, "pin", "file.bin");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("0 % is there"), "{outcome:?}");
    scene.emulator.faults().clear();
    linkfs(&mount, "pin", "file.bin").success();
    mount.unmount().success();
}

/// What reads a file beside its being fetched takes no bytes twice.
#[test]
fn a_file_is_read_while_it_is_fetched_for_good() {
    let scene = Scene::new(DriveKind::KooDrive);
    scene.emulator.pacing().set(Pacing {
        rate_per_stream: 4 << 20,
        ..Pacing::default()
    });
    let mount = scene.mount();
    pin(&mount.path("file.bin"));
    scene.read(&mount);
    await_complete(&mount.path("file.bin"));
    assert_eq!(scene.bytes_asked_for(), SIZE);
}
