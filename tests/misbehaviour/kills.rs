//! The plugin's process is killed again and again while files are read.

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use linkfs_emulator::{LinkPolicy, ROOT_ID, Tree};
use linkfs_tests::{DriveKind, Mounted, eventually, read_and_forget, true_bytes};

use crate::scene::EndOnDrop;

const KILLS: usize = 200;
const READERS: usize = 8;
const FILES: u64 = 64;
const SIZE: u64 = 500_000;

/// The plugin's process.
fn plugin(mount: &Mounted) -> Option<u64> {
    mount.status()["drives"][0]["plugin"]["pid"].as_u64()
}

#[test]
fn readers_do_not_notice_that_the_plugin_is_killed_again_and_again() {
    let tree = Tree::new();
    let files: Vec<_> = (0..FILES)
        .map(|file| tree.add_generated(ROOT_ID, &format!("{file}.bin"), file, SIZE))
        .collect();
    let kind = DriveKind::KooDrive;
    // A link is needed again and again, and so is the plugin.
    let links = LinkPolicy {
        life_s: 2,
        ..kind.links()
    };
    let drive = kind.setup(tree).links(links).start();
    let contents: Vec<_> = files
        .iter()
        .map(|file| true_bytes(drive.tree(), file))
        .collect();
    let mount = Mounted::builder(&*drive)
        .key("in_process", false.into())
        // Less than there is to read: files are fetched again and again.
        .memory("16MiB")
        .listing_ttl("100ms")
        .deadline("30s")
        .mount();
    let (is_over, read) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (mount, contents, is_over, read) = (&mount, &contents, &is_over, &read);
            scope.spawn(move || {
                for turn in 0.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let file = (turn * 7 + reader * 11) % contents.len();
                    let bytes = read_and_forget(&mount.path(&format!("{file}.bin")));
                    let bytes = bytes.unwrap_or_else(|error| panic!("{file}.bin: {error}"));
                    assert!(bytes == contents[file], "{file}.bin has other bytes");
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ended = EndOnDrop(&is_over);
        for _ in 0..KILLS {
            eventually("the plugin runs", || plugin(&mount).is_some());
            let pid = plugin(&mount).expect("it runs");
            // SAFETY: plain numbers.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
            // Each process answers something: one that never does is started again later and later.
            let refreshed = fs::write(mount.path(".linkfs/control"), "refresh /\n");
            refreshed.expect("the call waits for the next process");
        }
        drop(ended);
    });
    let plugin = &mount.status()["drives"][0]["plugin"];
    assert!(
        plugin["failures"].as_u64() >= Some(KILLS as u64),
        "{plugin}"
    );
    let failure = plugin["last_failure"].as_str().unwrap_or_default();
    assert!(failure.contains("signal: 9"), "{plugin}");
    assert!(drive.counters().snapshot().violations.is_empty());
    assert!(read.into_inner() > KILLS as u64);
}
