//! What DingTalk alone asks of a client: links with signed headers and several hosts, files in an
//! archive, documents without bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use linkfs_emulator::dingtalk::{Emulator, Knobs, Options};
use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    Mounted, assert_at_rest, errno, mib, read_all, tree_with_file, true_bytes, within,
};
use serde_json::Value;

fn start(tree: &Tree, knobs: Knobs) -> Emulator {
    let options = Options {
        knobs,
        ..Options::with_tree(tree.clone())
    };
    Emulator::start_blocking(options).expect("the emulator starts")
}

#[test]
fn the_host_that_answers_is_found_and_kept() {
    let (tree, id) = tree_with_file("file.bin", 5, mib(24));
    let knobs = Knobs {
        closed_ports: BTreeSet::from([0]),
        ..Knobs::default()
    };
    let emulator = start(&tree, knobs);
    let mount = Mounted::builder(&emulator).deadline("6s").mount();
    // Longer than anybody waits.
    let slow = Rule::on("data.1", Action::Delay { ms: 120_000 });
    emulator.faults().add(slow);
    let path = mount.path("file.bin");
    let start = within(Duration::from_secs(20), move || {
        let file = File::open(&path).expect("it opens");
        let mut start = vec![0; 4096];
        errno(file.read_exact_at(&mut start, 0)).map(|()| (file, start))
    });
    let (file, start) = start.expect("it reads");
    let expected = tree.read(&id, 0, 4096).expect("known bytes");
    assert!(start == expected[..]);
    let seen = emulator.counters().snapshot().data_log.len();
    let mut end = vec![0; 4096];
    let at = mib(24) - 4096;
    file.read_exact_at(&mut end, at).expect("it reads");
    assert!(end == tree.read(&id, at, 4096).expect("known bytes")[..]);
    drop(file);
    assert!(read_all(&mount.path("file.bin")) == Ok(true_bytes(&tree, &id)));
    let log = emulator.counters().snapshot().data_log;
    let later: Vec<_> = log.iter().skip(seen).map(|request| &request.port).collect();
    assert!(
        !later.is_empty() && later.iter().all(|port| *port == "data.2"),
        "{later:?}"
    );
    let drive = &mount.status()["drives"][0];
    let hosts = drive["hosts"].as_array().expect("a list");
    let failed = |host: &&Value| host["failures"].as_u64() > Some(0);
    let (failed, good): (Vec<_>, Vec<_>) = hosts.iter().partition(failed);
    assert_eq!((failed.len(), good.len()), (2, 1), "{drive}");
    assert!(good[0]["first_byte_ms"].is_u64(), "{drive}");
    let is_passed_over = |host: &&Value| host["passed_over_for_seconds"].is_u64();
    assert!(failed.iter().all(is_passed_over), "{drive}");
    let names = hosts
        .iter()
        .map(|host| host["host"].as_str().expect("text"));
    for name in names {
        assert!(!name.contains(['/', '?', '@']), "{name}");
    }
    assert_at_rest(&emulator, &mount);
}

#[test]
fn the_headers_of_a_link_are_repeated_exactly() {
    let (tree, id) = tree_with_file("file.bin", 6, mib(6));
    let odd = [("x-oss-Odd", "a b;  c=\"d\""), ("X-Empty-ish", "-")];
    let extra = odd.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let knobs = Knobs {
        extra_headers: BTreeMap::from(extra),
        ..Knobs::default()
    };
    let emulator = start(&tree, knobs);
    let mount = Mounted::new(&emulator);
    assert!(read_all(&mount.path("file.bin")) == Ok(true_bytes(&tree, &id)));
    assert_eq!(emulator.counters().snapshot().data_errors, 0);
    assert_at_rest(&emulator, &mount);
}

#[test]
fn signed_headers_do_not_follow_a_redirect_to_another_host() {
    let (tree, id) = tree_with_file("file.bin", 7, mib(6));
    let emulator = start(&tree, Knobs::default());
    let mount = Mounted::new(&emulator);
    let target = emulator.redirect_target();
    let to = target.url_of(&id);
    emulator
        .faults()
        .add(Rule::on("data", Action::Redirect { to }));
    assert!(read_all(&mount.path("file.bin")) == Ok(true_bytes(&tree, &id)));
    assert!(!target.received().is_empty());
    for header in ["authorization", "x-oss-date", "x-acs-dingtalk-access-token"] {
        assert_eq!(target.requests_with(header), 0, "{header}");
    }
    assert_at_rest(&emulator, &mount);
}

#[test]
fn an_archived_file_is_busy_and_no_other_waits_for_it() {
    let (tree, cold) = tree_with_file("cold.bin", 8, mib(1));
    let warm = tree.add_generated(ROOT_ID, "warm.bin", 9, mib(1));
    let knobs = Knobs {
        archived: BTreeSet::from([cold.clone()]),
        thaw_calls: u32::MAX,
        ..Knobs::default()
    };
    let emulator = start(&tree, knobs);
    // Nothing that waits for a pause would end within the time below.
    let mount = Mounted::builder(&emulator).deadline("120s").mount();
    let path = mount.path("cold.bin");
    let busy = within(Duration::from_secs(20), move || read_all(&path));
    assert_eq!(busy, Err(libc::EBUSY));
    let words = xattr::get(mount.path("cold.bin"), "user.linkfs.error");
    let words = String::from_utf8(words.expect("it is read").expect("it is there")).expect("text");
    assert!(words.contains("thawed from the archive"), "{words}");
    let drive = &mount.status()["drives"][0];
    assert_eq!(drive["state"], "ok", "{drive}");
    let path = mount.path("warm.bin");
    let bytes = within(Duration::from_secs(20), move || read_all(&path));
    assert!(bytes == Ok(true_bytes(&tree, &warm)));
    // Thawed.
    emulator.knobs().update(|knobs| knobs.archived.clear());
    assert!(read_all(&mount.path("cold.bin")) == Ok(true_bytes(&tree, &cold)));
    assert_at_rest(&emulator, &mount);
}

#[test]
fn online_documents_are_shown_as_empty_files() {
    let tree = Tree::new();
    tree.add_file(ROOT_ID, "Plan.adoc", "what the drive counts as its size");
    tree.add_file(ROOT_ID, "plain.txt", "text");
    let emulator = start(&tree, Knobs::default());
    let mount = Mounted::new(&emulator);
    let entries = fs::read_dir(mount.folder()).expect("it lists");
    let names: BTreeSet<_> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    assert_eq!(names, ["Plan.adoc", "plain.txt"].map(str::to_owned).into());
    let about = fs::metadata(mount.path("Plan.adoc")).expect("it is there");
    assert!(about.is_file() && about.len() == 0, "{about:?}");
    assert_eq!(read_all(&mount.path("Plan.adoc")), Ok(Vec::new()));
    assert_eq!(read_all(&mount.path("plain.txt")), Ok(b"text".to_vec()));
    assert_at_rest(&emulator, &mount);
}
