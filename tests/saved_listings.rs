//! What one mount leaves for the next: the listings it made, kept in the cache folder.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use linkfs_emulator::{Action, EmulatedDrive, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    DriveKind, Home, MountBuilder, Mounted, eventually, on_every_drive, read_all, run, shell,
    true_bytes,
};

on_every_drive! {
    fn a_mount_within_the_ttl_of_the_last_asks_for_no_folder,
    fn a_mount_after_the_ttl_shows_the_drive_as_it_is,
    fn a_mount_of_a_drive_that_is_down_shows_the_folders_seen_before,
    fn a_drive_at_another_address_shows_none_of_the_old_names,
    fn a_saved_listing_that_is_cut_short_is_not_used,
    fn mounts_that_share_saved_listings_do_not_harm_each_other,
}

const HOUR_MS: u64 = 3_600_000;

struct Scene {
    emulator: Box<dyn EmulatedDrive>,
    tree: Tree,
    /// Of a file in the folder `seen`.
    file: String,
}

impl Scene {
    /// A file at the top, and the folders `seen` and `unseen` with files in them, twins among these.
    fn new(kind: DriveKind) -> Scene {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, "top.txt", "top");
        let seen = tree.add_folder(ROOT_ID, "seen");
        let file = tree.add_generated(&seen, "file.bin", 1, 100_000);
        for number in 0..120 {
            tree.add_generated(&seen, &format!("{}.bin", number / 2), number, 1000);
        }
        let unseen = tree.add_folder(ROOT_ID, "unseen");
        tree.add_file(&unseen, "secret.txt", "text");
        let emulator = kind.start(tree.clone());
        Scene {
            emulator,
            tree,
            file,
        }
    }

    fn builder(&self) -> MountBuilder {
        let builder = Mounted::builder(&*self.emulator);
        builder.deadline("4s").listing_ttl("10m")
    }

    fn listings(&self) -> u64 {
        let list = self.emulator.calls().list;
        self.emulator.counters().calls(list)
    }

    fn is_down(&self) {
        let down = Action::Status {
            code: 503,
            retry_after: None,
            body: None,
        };
        self.emulator.faults().add(Rule::on("any", down));
    }
}

/// Names and inode numbers at the top and in `seen`.
fn look(folder: &Path) -> String {
    shell(folder, "ls -1ai . seen | grep -v ' \\.\\.$'", Path::new("")).success()
}

/// Makes all saved listings of a home an hour older.
fn age(home: &Home) {
    let files = home.saved_listings();
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).expect("a saved listing");
        let (first, body) = text.split_once('\n').expect("two lines");
        let (format, _checksum) = first.rsplit_once(' ').expect("a format and a checksum");
        let mut body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let made = body["made_ms"].as_u64().expect("a time");
        body["made_ms"] = (made - HOUR_MS).into();
        fs::write(&file, body.to_string()).expect("written");
        let sum = shell(Path::new("/"), r#"sha256sum < "$1" | head -c 64"#, &file).success();
        fs::write(&file, format!("{format} {sum}\n{body}")).expect("written");
    }
}

fn a_mount_within_the_ttl_of_the_last_asks_for_no_folder(kind: DriveKind) {
    let scene = Scene::new(kind);
    // DingTalk's own five minutes are enough.
    let ttl = if kind == DriveKind::DingTalk {
        "30s"
    } else {
        "10m"
    };
    let mount = scene.builder().listing_ttl(ttl).mount();
    let before = look(mount.folder());
    assert!(before.lines().count() > 120, "{before}");
    assert!(scene.listings() > 1);
    let mount = mount.mount_again_after(|home| {
        for file in home.saved_listings() {
            let mode = |path: &Path| {
                fs::metadata(path)
                    .expect("it is there")
                    .permissions()
                    .mode()
            };
            assert_eq!(mode(&file) & 0o7777, 0o600);
            assert_eq!(mode(file.parent().expect("a folder")) & 0o7777, 0o700);
        }
        scene.emulator.counters().reset();
    });
    assert_eq!(look(mount.folder()), before);
    let bytes = read_all(&mount.path("seen/file.bin"));
    assert!(bytes == Ok(true_bytes(&scene.tree, &scene.file)));
    assert_eq!(
        scene.listings(),
        0,
        "{:?}",
        scene.emulator.counters().snapshot().calls
    );
}

fn a_mount_after_the_ttl_shows_the_drive_as_it_is(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.builder().mount();
    assert!(!look(mount.folder()).contains("new.txt"));
    scene.tree.add_file(ROOT_ID, "new.txt", "new");
    assert!(scene.tree.remove(&scene.file));
    let mount = mount.mount_again_after(age);
    let after = look(mount.folder());
    assert!(
        after.contains("new.txt") && !after.contains("file.bin"),
        "{after}"
    );
    let mount = mount.mount_again();
    assert_eq!(look(mount.folder()), after);
}

fn a_mount_of_a_drive_that_is_down_shows_the_folders_seen_before(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.builder().mount();
    let before = look(mount.folder());
    let mount = mount.mount_again_after(|home| {
        age(home);
        scene.is_down();
    });
    assert_eq!(look(mount.folder()), before);
    assert_eq!(read_all(&mount.path("seen/file.bin")), Err(libc::EHOSTDOWN));
    let unseen = fs::read_dir(mount.path("unseen")).and_then(Iterator::collect);
    let unseen: Result<Vec<_>, _> = unseen;
    let error = unseen.expect_err("nobody has looked there");
    assert_eq!(error.raw_os_error(), Some(libc::EHOSTDOWN));
    assert_eq!(mount.status()["drives"][0]["state"], "failing");

    scene.tree.add_file(ROOT_ID, "new.txt", "new");
    scene.emulator.faults().clear();
    eventually("the drive is shown as it is", || {
        mount.path("new.txt").exists()
    });
    assert_eq!(read_all(&mount.path("new.txt")), Ok(b"new".to_vec()));
    let bytes = read_all(&mount.path("seen/file.bin"));
    assert!(bytes == Ok(true_bytes(&scene.tree, &scene.file)));
}

fn a_drive_at_another_address_shows_none_of_the_old_names(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.builder().mount();
    look(mount.folder());
    let tree = Tree::new();
    tree.add_file(ROOT_ID, "other.txt", "other");
    let other = kind.start(tree);
    let mount = mount.mount_again_after(|home| {
        assert!(home.saved_listings().len() >= 2);
        let config = Mounted::builder(&*other).listing_ttl("10m").config();
        home.configure(&config);
    });
    let names = shell(mount.folder(), "find . -mindepth 1", Path::new("")).success();
    assert_eq!(names, "./other.txt\n");
    // And back again, what was saved there is as it was.
    scene.emulator.counters().reset();
    let mount = mount.mount_again_after(|home| drop(home.configure(&scene.builder().config())));
    assert!(look(mount.folder()).contains("top.txt"));
    assert_eq!(scene.listings(), 0);
}

fn a_saved_listing_that_is_cut_short_is_not_used(kind: DriveKind) {
    let scene = Scene::new(kind);
    let mount = scene.builder().mount();
    let before = look(mount.folder());
    let mount = mount.mount_again_after(|home| {
        for path in home.saved_listings() {
            let file = File::options().write(true).open(path).expect("it opens");
            let length = file.metadata().expect("it has a length").len();
            file.set_len(length / 2).expect("it is cut");
        }
        scene.emulator.counters().reset();
    });
    assert_eq!(look(mount.folder()), before);
    assert!(scene.listings() > 0);
}

fn mounts_that_share_saved_listings_do_not_harm_each_other(kind: DriveKind) {
    let scene = Scene::new(kind);
    // Both list again and again, and save what they list.
    let first = scene.builder().listing_ttl("0s").mount();
    let second = Second::mount(first.home());
    let line = "for round in $(seq 20); do ls -1i . seen; done | sort -u";
    let names = std::thread::scope(|scope| {
        let looking = [first.folder(), &second.0]
            .map(|folder| scope.spawn(move || shell(folder, line, Path::new("")).success()));
        looking.map(|look| look.join().expect("it does not panic"))
    });
    assert_eq!(names[0], names[1]);
    run(first.home().linkfs().arg("unmount").arg(&second.0)).success();
    scene.emulator.counters().reset();
    let third = first.mount_again_after(|home| drop(home.configure(&scene.builder().config())));
    let again = shell(third.folder(), line, Path::new("")).success();
    assert_eq!(again, names[0]);
    assert_eq!(scene.listings(), 0);
}

/// A second mount of the same home.
struct Second(PathBuf);

impl Second {
    fn mount(home: &Home) -> Second {
        let folder = home.path().join("second");
        fs::create_dir(&folder).expect("a folder");
        run(home.linkfs().args(["mount", "work"]).arg(&folder)).success();
        Second(folder)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        let mut umount = std::process::Command::new("umount");
        let _may_be_gone = umount.args(["-l", "-q"]).arg(&self.0).status();
    }
}

#[test]
fn one_folder_of_a_drive_is_mounted_again_without_asking_for_it() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.builder().mount();
    let home = mount.home();
    let below = home.path().join("below");
    fs::create_dir(&below).expect("a folder");
    let mount_below = || {
        run(home.linkfs().args(["mount", "work:/seen"]).arg(&below)).success();
        let names = shell(&below, "ls -1", Path::new("")).success();
        run(home.linkfs().arg("unmount").arg(&below)).success();
        names
    };
    let before = mount_below();
    assert_eq!(before.lines().count(), 121);
    scene.emulator.counters().reset();
    assert_eq!(mount_below(), before);
    assert_eq!(scene.listings(), 0);
}

#[test]
fn a_login_that_is_over_is_told_although_the_top_is_saved() {
    let scene = Scene::new(DriveKind::KooDrive);
    let mount = scene.builder().mount();
    look(mount.folder());
    mount.unmount().success();
    let home = mount.home();
    home.configure(&scene.builder().key("token", "of another".into()).config());
    let said = run(home.linkfs().args(["mount", "work"]).arg(mount.folder())).failure();
    assert!(said.contains("no longer accepted"), "{said}");
}

#[test]
fn the_configured_directory_is_used_and_one_that_cannot_be_is_told() {
    let scene = Scene::new(DriveKind::KooDrive);
    let config = |directory: &str| {
        let line = format!("[cache]\ndirectory = \"{directory}\"\n");
        scene.builder().config().replacen("[cache]\n", &line, 1)
    };
    let mount = scene.builder().mount();
    let mount = mount.mount_again_after(|home| drop(home.configure(&config("named"))));
    look(mount.folder());
    let named = mount.home().path().join("named/listings");
    assert_eq!(
        mount.status()["drives"][0]["unsaved_listings"],
        serde_json::Value::Null
    );
    let mount = mount.mount_again_after(|home| {
        assert_eq!(fs::read_dir(&named).expect("it is there").count(), 1);
        fs::write(home.path().join("file"), "").expect("a file");
        home.configure(&config("file"));
    });
    let shown = look(mount.folder());
    assert!(shown.contains("top.txt"), "{shown}");
    eventually("the status tells", || {
        let reason = &mount.status()["drives"][0]["unsaved_listings"];
        reason
            .as_str()
            .is_some_and(|reason| reason.contains("cannot save listings in"))
    });
    let warnings = mount.home().log();
    assert_eq!(
        warnings.matches("cannot save listings in").count(),
        1,
        "{warnings}"
    );
}
