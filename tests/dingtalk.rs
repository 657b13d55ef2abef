//! What DingTalk alone asks of a client: links with signed headers and several hosts, files in an
//! archive, documents that are web pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use linkfs_emulator::dingtalk::{Emulator, Knobs, Options};
use linkfs_emulator::{Action, NewNode, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    Home, Mounted, assert_at_rest, errno, mib, read_all, shell, tree_with_file, true_bytes, within,
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

/// What `user.linkfs.NAME` says of a file.
fn attribute(path: &Path, name: &str) -> String {
    let value = xattr::get(path, format!("user.linkfs.{name}")).expect("it is read");
    String::from_utf8(value.expect("it is there")).expect("text")
}

#[test]
fn an_online_document_is_a_link_to_its_page() {
    let tree = Tree::new();
    let add = |name: &str, text: &str, created: &str| {
        tree.add(NewNode {
            parent: ROOT_ID.into(),
            name: name.into(),
            content: Some(text.into()),
            created: Some(created.parse().expect("a time")),
            ..NewNode::default()
        })
    };
    let size = "what the drive counts as its size";
    let plan = add("Plan.adoc", size, "2026-01-02T03:04:05Z");
    let own = "a file that has just that name";
    let file = add("Plan.adoc.url", own, "2026-01-02T03:04:06Z");
    let emulator = start(&tree, Knobs::default());
    let mount = Mounted::new(&emulator);
    let path = mount.path("Plan.adoc.url");
    let listed = fs::read_dir(mount.folder()).expect("it lists").count();
    let before = emulator.counters().snapshot();

    let address = format!(
        "https://alidocs.dingtalk.com/i/nodes/{}",
        emulator.uuid(&plan)
    );
    let text = format!("[InternetShortcut]\r\nURL={address}\r\n");
    let about = fs::metadata(&path).expect("it is there");
    assert_eq!((about.is_file(), about.len()), (true, text.len() as u64));
    assert_eq!(read_all(&path), Ok(text.clone().into_bytes()));
    let mut middle = [0; 16];
    let opened = File::open(&path).expect("it opens");
    opened.read_exact_at(&mut middle, 1).expect("it reads");
    drop(opened);
    assert_eq!(&middle, b"InternetShortcut");
    let line = r#"cp Plan.adoc.url "$1"; cmp Plan.adoc.url "$1"; grep -l https: Plan.adoc.url; cat Plan.adoc.url"#;
    let told = shell(mount.folder(), line, &mount.home().path().join("copy")).success();
    assert_eq!(told, format!("Plan.adoc.url\n{text}"));
    for (name, value) in [
        ("url", address.as_str()),
        ("name", "Plan.adoc"),
        ("id", &plan),
        ("cached", "100"),
    ] {
        assert_eq!(attribute(&path, name), value, "{name}");
    }
    let written = fs::OpenOptions::new().write(true).open(&path);
    assert_eq!(errno(written).map(drop), Err(libc::EROFS));

    // The file of that name is there as well, with its own bytes and no page.
    let entries = fs::read_dir(mount.folder()).expect("it lists");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let other = paths
        .into_iter()
        .find(|other| *other != path)
        .expect("the file");
    assert_eq!((listed, attribute(&other, "id")), (2, file));
    let after = emulator.counters().snapshot();
    assert_eq!(after.calls.get("download"), before.calls.get("download"));
    assert_eq!(after.calls.get("list"), before.calls.get("list"));
    assert_eq!(read_all(&other), Ok(own.into()));
    // Without its headers the address of its bytes would be refused.
    assert_eq!(xattr::get(&other, "user.linkfs.url").expect("read"), None);
    assert_at_rest(&emulator, &mount);
}

#[test]
fn a_document_that_is_edited_is_the_same_link() {
    let tree = Tree::new();
    let plan = tree.add_file(ROOT_ID, "Plan.adoc", "a draft");
    let emulator = start(&tree, Knobs::default());
    let look = || {
        let mount = Mounted::new(&emulator);
        let about = fs::metadata(mount.path("Plan.adoc.url")).expect("it is there");
        (
            about.ino(),
            about.len(),
            attribute(&mount.path("Plan.adoc.url"), "version"),
        )
    };
    let first = look();
    assert!(tree.replace_content(&plan, "a longer draft"));
    let second = look();
    assert_eq!((first.0, first.1), (second.0, second.1));
    assert_ne!(first.2, second.2);
}

#[test]
fn a_document_is_shown_by_the_program_and_has_no_link() {
    let tree = Tree::new();
    let plan = tree.add_file(ROOT_ID, "Plan.adoc", "");
    let emulator = start(&tree, Knobs::default());
    let home = Home::new();
    home.configure(&Mounted::builder(&emulator).config());
    let path = "work:/Plan.adoc.url";
    let text = home.run_linkfs(&["cat", path]).success();
    assert!(text.contains(&emulator.uuid(&plan)), "{text}");
    let stat = home.run_linkfs(&["stat", "--json", path]).success();
    let stat: Value = serde_json::from_str(&stat).expect("JSON");
    assert_eq!(stat["size_bytes"], text.len(), "{stat}");
    let url = stat["url"].as_str().expect("an address");
    assert!(text.contains(&format!("URL={url}\r\n")), "{text}");
    let refused = home.run_linkfs(&["link", path]).failure();
    assert!(
        refused.contains("no bytes to link to") && refused.contains(url),
        "{refused}"
    );
    assert_eq!(emulator.counters().calls("download"), 0);
}
