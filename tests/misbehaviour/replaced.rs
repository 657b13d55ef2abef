//! The plugin's program is replaced by another version while files are read.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use linkfs_tests::{errno, eventually, read_all, read_and_forget};
use serde_json::Value;

use crate::scene::{EndOnDrop, FILES, SIZE, Scene};

fn version(scene: &Scene) -> String {
    let version = scene.status()["plugin"]["version"].clone();
    version.as_str().unwrap_or_default().to_owned()
}

fn is_there(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Replaces the program again and again, by `take`, while all files are read by name and one that stays open.
fn check(take: impl Fn(&Scene)) {
    // Links live shortly, so that the plugin is asked all the time.
    let scene = Scene::with(1_000, |builder| builder.memory("16MiB").deadline("20s"));
    let (is_over, read) = (AtomicBool::new(false), AtomicU64::new(0));
    let open = File::open(scene.odd(0)).expect("it opens");
    let content = scene.storage.bytes(0);
    let paths: Vec<_> = (0..FILES).map(|file| (file, scene.odd(file))).collect();
    thread::scope(|scope| {
        let (is_over, read, storage) = (&is_over, &read, &scene.storage);
        let end = EndOnDrop(is_over);
        scope.spawn(move || {
            for turn in 0_u64.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let at = turn * 4099 % (SIZE - 100);
                let mut bytes = [0; 100];
                open.read_exact_at(&mut bytes, at).expect("it is open");
                assert!(bytes == content[at as usize..][..100]);
            }
        });
        for reader in 0..4 {
            let paths = &paths;
            scope.spawn(move || {
                for (file, path) in paths.iter().cycle().skip(reader * 13) {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let bytes = errno(read_and_forget(path));
                    assert!(
                        bytes == Ok(storage.bytes(*file)),
                        "file {file}: {:?}",
                        bytes.err()
                    );
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for number in 2..12 {
            let before = scene.pid();
            scene.install(&format!("{number} well"));
            take(&scene);
            assert_eq!(version(&scene), number.to_string());
            assert_ne!(scene.pid(), before);
            let done = read.load(Ordering::Relaxed);
            eventually("reading goes on", || {
                read.load(Ordering::Relaxed) > done + 4
            });
            eventually("the process before it has ended", || {
                before.is_some_and(|pid| !is_there(pid))
            });
        }
        drop(end);
    });
    scene.assert_no_failure();
    scene.unmount();
}

#[test]
fn a_new_version_is_taken_by_a_command_without_a_break() {
    check(|scene| {
        scene.plugin_command("reload").success();
    });
}

#[test]
fn a_new_version_is_taken_by_the_control_file_without_a_break() {
    check(|scene| {
        let control = scene.mount.path(".linkfs/control");
        fs::write(control, "reload odd\n").expect("it is taken");
    });
}

#[test]
fn a_restart_takes_a_new_version_too() {
    check(|scene| {
        scene.plugin_command("restart").success();
    });
}

#[test]
fn what_is_asked_before_a_reload_is_answered_by_the_process_before() {
    let scene = Scene::with(60_000, |builder| builder.deadline("30s"));
    scene.assert_odd_reads(0);
    scene.misbehave("hold-back");
    let path = scene.odd(scene.fresh());
    let calls = || scene.status()["calls"].as_u64();
    let before = calls();
    let reader = thread::spawn(move || read_all(&path));
    eventually("the reader's call is under way", || calls() > before);
    let old = scene.pid().expect("it runs");
    scene.install("2 well");
    scene.plugin_command("reload").success();
    assert_eq!(version(&scene), "2");
    assert!(is_there(old), "it is asked something still");
    scene.behave();
    let size = reader
        .join()
        .expect("it ends")
        .map(|bytes| bytes.len() as u64);
    assert_eq!(size, Ok(SIZE));
    eventually("it has answered all", || !is_there(old));
    scene.assert_no_failure();
    scene.unmount();
}

#[test]
fn a_new_version_that_cannot_open_the_drive_is_not_taken() {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    let old = scene.pid();
    for (what, reason) in [
        ("2 refuse", "this version cannot open the drive"),
        ("2 die", "it ended (exit status: 1)"),
        (
            "2 wrong-protocol",
            "it speaks the protocols [77], and linkfs 1",
        ),
    ] {
        scene.install(what);
        let said = scene.plugin_command("reload").failure();
        assert!(said.contains(reason), "{said}");
        assert_eq!((scene.pid(), version(&scene).as_str()), (old, "1"));
        scene.assert_odd_reads(scene.fresh());
    }
    scene.install("3 well");
    scene.plugin_command("reload").success();
    assert_eq!(version(&scene), "3");
    scene.assert_odd_reads(scene.fresh());
    scene.unmount();
}

#[test]
fn a_program_that_everybody_may_change_is_not_taken_and_not_started() {
    let scene = Scene::new();
    scene.assert_odd_reads(0);
    let old = scene.pid();
    let reason = "can be changed by everybody: chmod o-w it";
    scene.set_mode(0o777);
    let said = scene.plugin_command("reload").failure();
    assert!(said.contains(reason), "{said}");
    assert_eq!(scene.pid(), old);
    scene.assert_odd_reads(scene.fresh());

    scene.kill_plugin();
    let (error, said) = scene.refresh().expect_err("there is no process to ask");
    assert_eq!(error, libc::EHOSTDOWN);
    assert!(said.contains(reason), "{said}");
    let status = scene.status();
    assert_eq!(status["plugin"]["pid"], Value::Null);
    assert!(
        status["plugin"]["last_failure"]
            .to_string()
            .contains(reason)
    );
    assert!(scene.mount.home().log().contains(reason));

    scene.set_mode(0o755);
    scene.plugin_command("restart").success();
    scene.assert_odd_reads(scene.fresh());
    scene.unmount();
}

#[test]
fn a_drive_that_is_not_mounted_is_said_not_to_be() {
    let scene = Scene::new();
    let folder = scene.mount.folder().to_str().expect("text");
    for verb in ["reload", "restart"] {
        let said = scene.linkfs(&["plugin", verb, folder, "even"]).failure();
        let words = "the mount has no drive \"even\" (it has: ";
        assert!(said.contains(words) && said.contains("odd"), "{said}");
    }
    scene.unmount();
}
