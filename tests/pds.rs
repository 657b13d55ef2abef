//! What PDS alone asks of a client: refresh tokens that work once, and two addresses for each file.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use linkfs_emulator::pds::{Emulator, Knobs, Options, Rotation, UrlShape};
use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    Foreground, Home, Mounted, assert_at_rest, eventually, mib, read_all, run, tree_with_file,
    true_bytes, within,
};
use serde_json::Value;

/// More files than a test has rounds: each read of a new one needs the API.
const FILES: usize = 120;

/// One account, and a home from which it can be mounted in several places. All share its state folder.
struct Scene {
    emulator: Emulator,
    home: Home,
}

impl Scene {
    fn new() -> Scene {
        let tree = Tree::new();
        for number in 0..FILES {
            tree.add_file(ROOT_ID, &name(number), name(number).as_str());
        }
        let options = Options {
            knobs: Knobs {
                rotation: Rotation::AtOnce,
                ..Knobs::default()
            },
            ..Options::with_tree(tree)
        };
        let emulator = Emulator::start_blocking(options).expect("the emulator starts");
        let home = Home::new();
        let builder = Mounted::builder(&emulator).listing_ttl("10ms");
        home.configure(&builder.config());
        Scene { emulator, home }
    }

    fn folder(&self, place: &str) -> PathBuf {
        let folder = self.home.path().join(place);
        fs::create_dir_all(&folder).expect("the mount's folder is made");
        folder
    }

    fn mount(&self, place: &str) -> Foreground {
        let folder = self.home.path().join(place);
        let mut command = self.home.linkfs();
        command.args(["mount", "-f", "work"]).arg(&folder);
        let said = self.home.path().join(format!("{place}.said"));
        Foreground::start(&mut command, &folder, &said)
    }

    fn tokens_asked(&self) -> u64 {
        self.emulator.counters().calls("token")
    }

    /// Lists and reads at `user`'s place until `stop`; every answer must be right.
    fn use_until(&self, user: &User, stop: &AtomicBool) {
        let folder = self.home.path().join(user.place);
        while !stop.load(Ordering::SeqCst) {
            let listed = fs::read_dir(&folder).expect("it lists").count();
            assert_eq!(listed, FILES);
            let round = user.rounds.fetch_add(1, Ordering::SeqCst);
            let name = name(round % FILES);
            let text = fs::read_to_string(folder.join(&name));
            assert_eq!(text.unwrap_or_else(|error| panic!("{name}: {error}")), name);
        }
    }

    /// `times` expiries while both mounts are used. Each is noticed and got over before the next.
    fn storm(&self, times: usize) {
        let stop = AtomicBool::new(false);
        let users = ["one", "other"].map(User::at);
        thread::scope(|scope| {
            let work = || {
                users
                    .iter()
                    .map(|user| scope.spawn(|| self.use_until(user, &stop)))
            };
            let working: Vec<_> = work().collect();
            for _ in 0..times {
                let before = self.tokens_asked();
                // New links have to be signed, with a token that holds.
                self.emulator.revoke_links();
                self.emulator.expire_tokens();
                eventually("the login is renewed", || {
                    self.tokens_asked() > before || working.iter().any(|user| user.is_finished())
                });
                let rounds = users.each_ref().map(User::rounds);
                eventually("both go on", || {
                    let now = users.each_ref().map(User::rounds);
                    let go_on = now.iter().zip(rounds).all(|(now, then)| *now > then + 1);
                    go_on || working.iter().any(|user| user.is_finished())
                });
            }
            stop.store(true, Ordering::SeqCst);
            for user in working {
                user.join().expect("every answer was right");
            }
        });
    }

    fn status(&self, place: &str) -> Value {
        let path = self.home.path().join(place).join(".linkfs/status");
        serde_json::from_slice(&fs::read(path).expect("the status is read")).expect("JSON")
    }
}

/// A program that works in one of the mounts.
struct User {
    place: &'static str,
    rounds: AtomicUsize,
}

impl User {
    fn at(place: &'static str) -> User {
        let rounds = AtomicUsize::new(0);
        User { place, rounds }
    }

    fn rounds(&self) -> usize {
        self.rounds.load(Ordering::SeqCst)
    }
}

fn name(number: usize) -> String {
    format!("{number:03}.txt")
}

#[test]
fn two_mounts_share_a_refresh_token_that_works_once() {
    let scene = Scene::new();
    scene.folder("one");
    scene.folder("other");
    let _one = scene.mount("one");
    let other = scene.mount("other");
    scene.storm(25);
    // Nothing is being renewed now: both have used what there is.
    for place in ["one", "other"] {
        fs::read_dir(scene.home.path().join(place)).expect("it lists");
    }
    other.signal(libc::SIGKILL);
    drop(other);
    let _other = scene.mount("other");
    scene.storm(25);
    let counts = scene.emulator.counters().snapshot();
    // One trade for each expiry, and none in vain.
    assert_eq!(counts.errors.get("token"), None, "{:?}", counts.errors);
    assert!(scene.tokens_asked() <= 53, "{}", scene.tokens_asked());
}

#[test]
fn a_mount_killed_while_it_asks_for_a_token_locks_nobody_out() {
    let scene = Scene::new();
    scene.folder("one");
    let folder = scene.folder("other");
    let _one = scene.mount("one");
    let other = scene.mount("other");
    let faults = scene.emulator.faults();
    // Held before the drive trades the token in.
    faults.add(Rule::on("token", Action::NeverAnswer).times(1));
    let before = scene.tokens_asked();
    scene.emulator.expire_tokens();
    let reading = thread::spawn(move || read_all(&folder.join(name(1))));
    eventually("a token is asked for", || scene.tokens_asked() > before);
    other.signal(libc::SIGKILL);
    assert!(reading.join().expect("it ends").is_err());
    drop(other);
    let path = scene.home.path().join("one").join(name(2));
    assert_eq!(read_all(&path), Ok(name(2).into_bytes()));
    let _other = scene.mount("other");
    let path = scene.home.path().join("other").join(name(3));
    assert_eq!(read_all(&path), Ok(name(3).into_bytes()));
}

#[test]
fn a_token_lost_with_the_process_that_got_it_needs_a_login() {
    let scene = Scene::new();
    scene.folder("one");
    let folder = scene.folder("other");
    let _one = scene.mount("one");
    let other = scene.mount("other");
    let faults = scene.emulator.faults();
    // The old token is spent, and the new one never arrives.
    faults.add(Rule::on("token", Action::StallBody { at: 9 }).times(1));
    scene.emulator.expire_tokens();
    let reading = thread::spawn(move || read_all(&folder.join(name(1))));
    eventually("the token is traded in", || faults.hits()[0].1 == 1);
    other.signal(libc::SIGKILL);
    assert!(reading.join().expect("it ends").is_err());
    drop(other);
    faults.clear();
    let path = scene.home.path().join("one").join(name(2));
    assert_eq!(read_all(&path), Err(libc::EACCES));
    let drive = scene.status("one")["drives"][0].clone();
    assert_eq!(drive["state"], "needs login", "{drive}");
    let advice = drive["advice"].to_string();
    assert!(advice.contains("`linkfs login work`"), "{advice}");
    // A drive mounted by its name says so at once.
    let mut command = scene.home.linkfs();
    command.args(["mount", "work"]).arg(scene.folder("third"));
    let said = run(&mut command).failure();
    assert!(said.contains("`linkfs login work`"), "{said}");
}

#[track_caller]
fn reads_with_one_dead_host(url: UrlShape, cdn_url: UrlShape) {
    let (tree, id) = tree_with_file("file.bin", 3, mib(20));
    let options = Options {
        knobs: Knobs {
            url,
            cdn_url,
            ..Knobs::default()
        },
        ..Options::with_tree(tree.clone())
    };
    let emulator = Emulator::start_blocking(options).expect("the emulator starts");
    let mount = Mounted::new(&emulator);
    let path = mount.path("file.bin");
    let bytes = within(Duration::from_secs(20), move || read_all(&path));
    assert!(bytes == Ok(true_bytes(&tree, &id)), "{url:?}, {cdn_url:?}");
    assert_at_rest(&emulator, &mount);
}

#[test]
fn one_of_two_hosts_may_be_dead() {
    reads_with_one_dead_host(UrlShape::Dead, UrlShape::Own);
    reads_with_one_dead_host(UrlShape::Own, UrlShape::Dead);
}

#[test]
fn a_host_that_breaks_off_is_left_for_the_other() {
    let (tree, id) = tree_with_file("file.bin", 3, mib(20));
    let emulator =
        Emulator::start_blocking(Options::with_tree(tree.clone())).expect("the emulator starts");
    let mount = Mounted::new(&emulator);
    let faults = emulator.faults();
    faults.add(Rule::on("data.url", Action::ResetBody { at: 100_003 }));
    assert!(read_all(&mount.path("file.bin")) == Ok(true_bytes(&tree, &id)));
    let log = emulator.counters().snapshot().data_log;
    assert!(log.iter().any(|request| request.port == "data.cdn"));
    assert_at_rest(&emulator, &mount);
}
