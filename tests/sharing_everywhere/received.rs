//! What somebody else shared, mounted as a drive.

use std::fs;
use std::path::Path;

use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree, koodrive, pds};
use linkfs_tests::{Mounted, Outcome, shell, true_bytes};
use serde_json::{Value, json};

const CODE: &str = "Zx81kk02";

/// A drive with something shared on it, and the keys that open that.
struct Shared {
    emulator: Box<dyn EmulatedDrive>,
    file: String,
    keys: Value,
}

/// `reports` is shared, with `deep/plan.bin` in it; `own.txt` is not.
fn tree() -> (Tree, String, String) {
    let tree = Tree::new();
    let shared = tree.add_folder(ROOT_ID, "reports");
    tree.add_file(&shared, "a.txt", "some text");
    let deep = tree.add_folder(&shared, "deep");
    let file = tree.add_generated(&deep, "plan.bin", 5, 3_000_000);
    tree.add_file(ROOT_ID, "own.txt", "not shared");
    (tree, shared, file)
}

fn on_koodrive() -> Shared {
    let (tree, folder, file) = tree();
    let emulator = koodrive::Emulator::start_blocking(koodrive::Options::with_tree(tree));
    let emulator = emulator.expect("it starts");
    let keys = json!({
        "plugin": "koodrive",
        "endpoint": emulator.endpoint(),
        "share": emulator.share_from_others(&[folder], CODE),
        "password": CODE,
        "token": emulator.token(),
        "allow_private_hosts": true,
    });
    Shared {
        emulator: Box::new(emulator),
        file,
        keys,
    }
}

fn on_pds() -> Shared {
    let (tree, folder, file) = tree();
    let emulator = pds::Emulator::start_blocking(pds::Options::with_tree(tree));
    let emulator = emulator.expect("it starts");
    let share = emulator.share(&[folder], |share| share.password = CODE.into());
    let keys = json!({
        "plugin": "pds",
        "endpoint": emulator.endpoint(),
        "share": format!("https://bj9.apps.example.test/disk/s/{share}"),
        "password": CODE,
        "allow_private_hosts": true,
    });
    Shared {
        emulator: Box::new(emulator),
        file,
        keys,
    }
}

impl Shared {
    fn mounted(&self) -> Mounted {
        let builder = Mounted::builder(&*self.emulator);
        builder.keys(self.keys.clone()).mount()
    }

    fn fail_to_mount(&self, key: &str, value: &str) -> Outcome {
        let builder = Mounted::builder(&*self.emulator).keys(self.keys.clone());
        builder.key(key, value.into()).fail_to_mount()
    }
}

fn check_is_a_drive(shared: &Shared) {
    let mount = shared.mounted();
    let run = |line: &str| shell(mount.folder(), line, Path::new(""));
    let found = run("find . -printf '%y %P\\n' | LC_ALL=C sort").success();
    assert_eq!(
        found,
        "d \nd reports\nd reports/deep\nf reports/a.txt\nf reports/deep/plan.bin\n"
    );
    assert_eq!(run("cat reports/a.txt").success(), "some text");
    let bytes = fs::read(mount.path("reports/deep/plan.bin")).expect("it is read");
    assert!(bytes == true_bytes(shared.emulator.tree(), &shared.file));
    for line in [
        "setfattr -n user.linkfs.share reports/a.txt",
        "setfattr -n user.linkfs.share reports",
        "getfattr -n user.linkfs.share reports/a.txt",
        "setfattr -x user.linkfs.share reports/a.txt",
    ] {
        let said = run(line).failure();
        assert!(said.contains("Operation not supported"), "{line}: {said}");
    }
}

fn check_wrong_password(shared: &Shared, words: &str) {
    let outcome = shared.fail_to_mount("password", "canary77");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains(words), "{outcome:?}");
    for code in ["canary77", CODE] {
        assert!(!outcome.output().contains(code), "{outcome:?}");
    }
}

#[test]
fn what_was_shared_on_koodrive_is_mounted_and_shared_no_further() {
    check_is_a_drive(&on_koodrive());
}

#[test]
fn what_was_shared_on_pds_is_mounted_and_shared_no_further() {
    check_is_a_drive(&on_pds());
}

#[test]
fn a_wrong_password_of_a_koodrive_share_is_told_when_it_is_mounted() {
    check_wrong_password(&on_koodrive(), "does not take the access code");
}

#[test]
fn a_wrong_password_of_a_pds_share_is_told_when_it_is_mounted() {
    check_wrong_password(&on_pds(), "password");
}
