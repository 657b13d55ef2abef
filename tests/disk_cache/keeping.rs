//! What is kept, and what that saves.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    DriveKind, Foreground, Home, Mounted, eventually, mib, on_every_drive, read_all, true_bytes,
};

use crate::scene::{BLOCK, SIZE, Scene, Second, attribute, cached, data_file};

on_every_drive! {
    fn a_second_read_after_a_remount_costs_nothing,
    fn a_file_cached_in_part_is_fetched_in_part,
    fn a_replaced_file_is_never_read_from_the_old_cache,
    fn what_is_cached_is_read_while_the_drive_is_down,
}

fn a_second_read_after_a_remount_costs_nothing(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.mount();
    scene.read(&mount);
    let mount = mount.mount_again_after(|_home| scene.emulator.counters().reset());
    assert_eq!(
        attribute(&mount.path("file.bin"), "cached").as_deref(),
        Some("100")
    );
    scene.read(&mount);
    assert_eq!((scene.data_requests(), scene.signings()), (0, 0));
}

fn a_file_cached_in_part_is_fetched_in_part(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.mount();
    for block in [7, 2] {
        // A reader of its own each time: nothing is fetched ahead for one that jumps.
        let file = File::open(mount.path("file.bin")).expect("it opens");
        let mut bytes = vec![0; BLOCK as usize];
        file.read_exact_at(&mut bytes, block * BLOCK)
            .expect("it reads");
    }
    let mut there = 0;
    let mount = mount.mount_again_after(|home| {
        there = 512 * data_file(home).metadata().expect("it is there").blocks();
        scene.emulator.counters().reset();
    });
    assert!((2 * BLOCK..SIZE).contains(&there), "{there} bytes");
    scene.read(&mount);
    assert_eq!(scene.bytes_asked_for(), SIZE - there);
}

fn a_replaced_file_is_never_read_from_the_old_cache(kind: DriveKind) {
    let mut scene = Scene::new(kind);
    let mount = scene.builder().listing_ttl("0s").mount();
    scene.read(&mount);
    assert!(scene.tree.replace_generated(&scene.file, SIZE));
    let before = std::mem::replace(&mut scene.bytes, true_bytes(&scene.tree, &scene.file));
    assert!(before != scene.bytes);
    let mount = mount.mount_again_after(|home| home.clear_saved_listings());
    scene.read(&mount);
    let mount = mount.mount_again();
    scene.read(&mount);
}

fn what_is_cached_is_read_while_the_drive_is_down(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.mount();
    scene.read(&mount);
    let mount = mount.mount_again_after(|_home| scene.is_down());
    scene.read(&mount);
}

/// The drive gives other bytes under the number of the version that is cached in part.
#[test]
fn bytes_under_another_tag_are_never_put_among_the_cached_ones() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let file = File::open(mount.path("file.bin")).expect("it opens");
    file.read_exact_at(&mut vec![0; BLOCK as usize], 0)
        .expect("it reads");
    drop(file);
    let etag = "\"of another version\"".to_owned();
    let mount = mount.mount_again_after(|_home| {
        let rule = Rule::on("data", Action::WrongEtag { etag });
        scene.emulator.faults().add(rule);
        scene.emulator.counters().reset();
    });
    let path = mount.path("file.bin");
    assert_eq!(read_all(&path), Err(libc::ESTALE));
    scene.emulator.counters().reset();
    scene.read(&mount);
    // The whole of it: nothing that was cached under the first tag was used.
    eventually("all of it is fetched", || scene.bytes_asked_for() >= SIZE);
    let mount = mount.mount_again_after(|_home| scene.emulator.counters().reset());
    scene.read(&mount);
    assert_eq!(scene.data_requests(), 0);
}

/// What was read under the new tag before anything of the cache was needed is no reason for an error.
#[test]
fn a_cache_of_another_tag_is_dropped_when_new_bytes_came_first() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.mount();
    let read = |mount: &Mounted, block: u64| {
        let file = File::open(mount.path("file.bin")).expect("it opens");
        let mut bytes = vec![0; BLOCK as usize];
        let read = file.read_exact_at(&mut bytes, block * BLOCK);
        read.expect("it reads");
        let at = (block * BLOCK) as usize;
        assert!(bytes == scene.bytes[at..at + BLOCK as usize]);
    };
    read(&mount, 8);
    let etag = "\"of another version\"".to_owned();
    let mount = mount.mount_again_after(|_home| {
        let rule = Rule::on("data", Action::WrongEtag { etag });
        scene.emulator.faults().add(rule);
    });
    read(&mount, 0);
    scene.emulator.counters().reset();
    scene.read(&mount);
    assert!(scene.bytes_asked_for() > SIZE / 2);
}

#[test]
fn two_mounts_share_what_is_cached() {
    let scene = Scene::new(DriveKind::Pds);
    let first = scene.mount();
    let second = Second::mount(first.home());
    let folders = [first.folder(), &second.0];
    std::thread::scope(|scope| {
        for folder in folders {
            scope
                .spawn(|| assert!(read_all(&folder.join("file.bin")).as_ref() == Ok(&scene.bytes)));
        }
    });
    assert!(scene.bytes_asked_for() <= 2 * SIZE);
    drop(second);
    let mount = first.mount_again_after(|_home| scene.emulator.counters().reset());
    scene.read(&mount);
    assert_eq!(scene.data_requests(), 0);
}

/// Two descriptors for each open file, and a program that starts with the right to few.
#[test]
fn many_cached_files_are_open_at_once() {
    const FILES: u64 = 300;
    let tree = Tree::new();
    for number in 0..FILES {
        tree.add_generated(ROOT_ID, &format!("{number}.bin"), number, 5000);
    }
    let emulator = DriveKind::KooDrive.start(tree);
    let home = Home::new();
    let builder = Mounted::builder(&*emulator).listing_ttl("10m");
    home.configure(&builder.disk("64MiB").config());
    let folder = home.path().join("drive");
    std::fs::create_dir(&folder).expect("a folder");
    let mount = || {
        let mut command = Command::new("bash");
        command
            .args(["-c", r#"ulimit -Sn 256; exec "$@""#, "bash"])
            .arg(linkfs_tests::linkfs_binary())
            .args(["mount", "-f", "work"])
            .arg(&folder);
        home.furnish(&mut command);
        Foreground::start(&mut command, &folder, &home.path().join("said"))
    };
    let path = |number: u64| folder.join(format!("{number}.bin"));
    let mut mounted = mount();
    (0..FILES).for_each(|number| drop(read_all(&path(number)).expect("it reads")));
    mounted.signal(libc::SIGTERM);
    assert!(mounted.wait().success());
    assert_eq!(cached(&home, "map").len(), FILES as usize);

    emulator.counters().reset();
    let mounted = mount();
    let open: Vec<File> = (0..FILES)
        .map(|number| File::open(path(number)).expect("it opens"))
        .collect();
    for file in &open {
        file.read_exact_at(&mut [0; 5000], 0).expect("it reads");
    }
    assert_eq!(emulator.counters().snapshot().data_requests, 0);
    let descriptors = || {
        let all = std::fs::read_dir(format!("/proc/{}/fd", mounted.pid()));
        all.expect("its descriptors").count() as u64
    };
    assert!(descriptors() > FILES);
    drop(open);
    eventually("they are given back", || descriptors() < FILES / 2);
}

#[test]
fn the_cache_stays_within_its_size() {
    let tree = Tree::new();
    for number in 0..10 {
        tree.add_generated(ROOT_ID, &format!("{number}.bin"), number, mib(1));
    }
    let emulator = DriveKind::KooDrive.start(tree.clone());
    let mount = Mounted::builder(&*emulator).disk("4MiB").mount();
    for number in 0..10 {
        let bytes = read_all(&mount.path(&format!("{number}.bin")));
        let id = tree.id_at(&format!("/{number}.bin")).expect("a file");
        assert!(bytes == Ok(true_bytes(&tree, &id)));
    }
    let mount = mount.mount_again();
    let disk = &mount.status()["disk"];
    let used = disk["used_bytes"].as_u64().expect("a number");
    assert!((1 << 20..=4 << 20).contains(&used), "{disk}");
    let shown = mount
        .home()
        .run_linkfs(&["status", mount.folder().to_str().expect("text")]);
    let shown = shown.success();
    assert!(
        shown.contains("disk cache: ") && shown.contains("of 4.0 MiB"),
        "{shown}"
    );
}
