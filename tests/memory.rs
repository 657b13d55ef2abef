//! A mount keeps within its memory, whatever is read at once. The kernel watches: the program runs in a control
//! group that is ended when it takes more.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree};
use linkfs_tests::{ControlGroup, DriveKind, Mounted, assert_at_rest, mib};
use serde_json::Value;

/// The budget for names and file content ...
const BUDGET: u64 = mib(128);
/// ... and what the whole program may take: code, connections and all.
const LIMIT: u64 = BUDGET + mib(96);

const READERS: u64 = 64;
const OPEN_FILES: u64 = 500;
/// Together four times the budget.
const FILE_SIZE: u64 = mib(8) + 12_345;

/// Mounts in a group of its own, which must not end before the mount does.
fn mount(name: &str, emulator: &dyn EmulatedDrive) -> Option<(Arc<ControlGroup>, Mounted)> {
    let group = Arc::new(ControlGroup::with_memory(name, LIMIT)?);
    let builder = Mounted::builder(emulator).memory("128MiB").group(&group);
    Some((group, builder.deadline("60s").mount()))
}

/// One of the gauges of memory.
fn gauge(status: &Value, name: &str) -> u64 {
    let gauge = status["memory"][name].as_u64();
    gauge.unwrap_or_else(|| panic!("no gauge {name}: {status}"))
}

#[track_caller]
fn assert_within_budget(group: &ControlGroup, mount: &Mounted) {
    assert_eq!(group.kills(), 0, "the kernel ended it");
    let status = mount.status();
    let peak = gauge(&status, "peak_bytes");
    assert!(
        peak <= BUDGET,
        "{peak} bytes of names and content were held"
    );
}

#[test]
fn readers_open_files_and_a_walk_at_once_keep_within_the_memory() {
    let (folders, files) = (2000, 100);
    let tree = wide_tree(folders, files);
    let read: Vec<_> = (0..READERS)
        .map(|number| tree.add_generated(ROOT_ID, &format!("read {number}"), number, FILE_SIZE))
        .collect();
    for number in 0..OPEN_FILES {
        tree.add_generated(ROOT_ID, &format!("open {number}"), 1000 + number, 300_000);
    }
    let emulator = DriveKind::KooDrive.start(tree.clone());
    let Some((group, mount)) = mount("readers", &*emulator) else {
        return;
    };
    let open: Vec<_> = (0..OPEN_FILES)
        .map(|number| {
            let file = File::open(mount.path(&format!("open {number}"))).expect("it opens");
            file.read_exact_at(&mut [0], 150_000).expect("it reads");
            file
        })
        .collect();
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(walk(mount.folder()), folders * files));
        for (number, id) in read.iter().enumerate() {
            let (tree, path) = (&tree, mount.path(&format!("read {number}")));
            scope.spawn(move || check_bytes(tree, id, &File::open(path).expect("it opens")));
        }
    });
    assert!(mount.status()["open_handles"].as_u64() >= Some(OPEN_FILES));
    assert_within_budget(&group, &mount);
    drop(open);
    assert_at_rest(&*emulator, &mount);
    // What is left is cached for the next reader, and held by nobody.
    let status = mount.status();
    assert_eq!(
        gauge(&status, "block_bytes"),
        gauge(&status, "cached_bytes"),
        "{status}"
    );
    assert!(
        gauge(&status, "name_bytes") > folders * files * 256,
        "{status}"
    );
    assert_within_budget(&group, &mount);
}

/// Reads a file from its start to its end, and compares it with what the drive has.
#[track_caller]
fn check_bytes(tree: &Tree, id: &str, mut file: &File) {
    let mut piece = vec![0; 256 << 10];
    let mut at = 0;
    loop {
        let read = file.read(&mut piece).expect("it reads");
        if read == 0 {
            break;
        }
        let expected = tree.read(id, at, read).expect("its bytes are known");
        assert!(piece[..read] == expected, "other bytes from {at} on");
        at += read as u64;
    }
    assert_eq!(at, FILE_SIZE);
}

/// A folder of folders of files, so many in all.
fn wide_tree(folders: u64, files: u64) -> Tree {
    let tree = Tree::new();
    for folder in 0..folders {
        let id = tree.add_folder(ROOT_ID, &format!("folder {folder:04}"));
        for number in 0..files {
            let name = format!("a file with a name as people give them {number:02}.txt");
            tree.add_generated(&id, &name, number, 1000);
        }
    }
    tree
}

/// Reads the names of all folders below the top, and counts those in them.
fn walk(top: &Path) -> u64 {
    let mut seen = 0;
    for entry in fs::read_dir(top).expect("the top is read") {
        let entry = entry.expect("a name");
        if entry.file_type().expect("its kind").is_file() {
            continue;
        }
        for name in fs::read_dir(entry.path()).expect("a folder is read") {
            name.expect("a name");
            seen += 1;
        }
    }
    seen
}
