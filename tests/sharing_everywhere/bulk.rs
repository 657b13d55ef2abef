//! Very many files shared by one command line.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use linkfs_emulator::{Action, ROOT_ID, RetryAfter, Rule, Tree, koodrive};
use linkfs_tests::{Mounted, eventually, run, shell};
use serde_json::json;

const FILES: usize = 500;

#[test]
fn five_hundred_files_are_shared_once_each_through_pauses_and_a_new_login() {
    let tree = Tree::new();
    let mut ids = BTreeSet::new();
    for part in 0..5 {
        let folder = tree.add_folder(ROOT_ID, &format!("part {part}"));
        for number in 0..FILES / 5 {
            ids.insert(tree.add_file(&folder, &format!("{number:03}.pdf"), "text"));
        }
        tree.add_file(&folder, "other.txt", "not shared");
    }
    let options = koodrive::Options::with_tree(tree);
    let session = options.credentials.session_id.clone();
    let emulator = koodrive::Emulator::start_blocking(options).expect("it starts");
    let mount = Mounted::builder(&emulator)
        .key("auth_mode", "session".into())
        .key("session_id", session.into())
        .mount();
    let busy = Action::Status {
        code: 429,
        retry_after: Some(RetryAfter::Seconds(1)),
        body: None,
    };
    let faults = emulator.faults();
    for nth in [150, 300] {
        faults.add(Rule::on("share.create", busy.clone()).nth(nth));
    }
    faults.add(Rule::on("share.create", Action::NeverAnswer).nth(200));
    let line = "find . -name '*.pdf' -exec setfattr -n user.linkfs.share -v 'expires=7d' {} +";
    let shares = || mount.status()["drives"][0]["shares"].clone();
    let outcome = thread::scope(|scope| {
        let sharing = scope.spawn(|| shell(mount.folder(), line, Path::new("")));
        // One call of the first 199 was refused; the 200th waits until somebody has looked.
        let half = json!({"made": 198, "waiting": 1});
        eventually("it is told how far they are", || shares() == half);
        // Only a call that has arrived can be let go on.
        eventually("the drive has the call", || faults.hits()[2].1 == 1);
        let status = run(mount.home().linkfs().arg("status").arg(mount.folder())).success();
        assert!(status.contains("shares: 198 made, 1 waiting"), "{status}");
        emulator.expire_tokens();
        faults.release();
        sharing.join().expect("it ends")
    });
    assert_eq!(outcome.output(), "");
    outcome.success();
    assert_eq!(shares(), json!({"made": FILES, "waiting": 0}));
    let shared: Vec<String> = emulator
        .shares()
        .iter()
        .map(|share| {
            let files = share["files"].as_array().expect("a list");
            assert_eq!(files.len(), 1);
            files[0]["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    assert_eq!(shared.len(), FILES);
    assert_eq!(shared.into_iter().collect::<BTreeSet<_>>(), ids);
    let counts = emulator.counters().snapshot();
    assert!(counts.unauthorized > 0, "{counts:?}");
    assert_eq!(counts.calls["session.refresh"], 1);
    assert_eq!(
        counts.calls["share.create"],
        FILES as u64 + counts.errors["share.create"]
    );
}
