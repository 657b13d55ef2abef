//! Every item of a drive has one name in its folder, whatever it is called on the drive; what linkfs knows of
//! it is in attributes that no tool carries along.

use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt};
use std::path::Path;

use linkfs_emulator::{Action, Content, EmulatedDrive, NewNode, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    DriveKind, Home, Mounted, eventually, mib, on_every_drive, shell, tree_with_file,
};

// Those that wait for a listing to age are not for DingTalk, which wishes for five minutes.
on_every_drive! {
    fn an_odd_name_appears_once_and_opens_its_own_bytes,
    fn only_at_the_top_is_the_name_of_the_control_folder_taken,
    fn a_name_that_is_not_utf8_is_not_there,
    fn names_and_numbers_stay_when_siblings_come_and_go,
    fn the_end_of_a_page_does_not_decide_who_keeps_a_name,
    fn attributes_tell_what_the_drive_knows,
    fn the_error_attribute_says_why_and_what_to_do,
    fn attributes_that_are_not_there_are_refused_with_the_right_number,
    fn attributes_are_not_listed_and_not_set,
    fn copies_carry_no_attributes,
    fn the_control_folder_is_reachable_and_not_listed,
    except dingtalk:
    fn names_and_numbers_stay_when_a_folder_is_listed_again_and_in_another_mount,
    fn a_replaced_file_has_a_new_number_and_a_renamed_one_keeps_its_own,
    fn changes_on_the_drive_are_seen_after_the_listing_has_aged,
}

/// Adds an item with an id of the test's choosing, so that the digits in made-up names are known. `second`
/// orders the items by age. Without content it is a folder.
fn plant(tree: &Tree, parent: &str, id: &str, name: &str, second: u32, content: Option<Content>) {
    let created = format!("2026-03-01T10:{:02}:{:02}Z", second / 60, second % 60);
    tree.add(NewNode {
        parent: parent.into(),
        name: name.into(),
        id: Some(id.into()),
        created: Some(created.parse().expect("a time")),
        content,
        ..NewNode::default()
    });
}

/// Adds a file whose content names its id.
fn plant_file(tree: &Tree, parent: &str, id: &str, name: &str, second: u32) {
    plant(tree, parent, id, name, second, Some(content_of(id).into()));
}

fn content_of(id: &str) -> &str {
    id
}

/// The first digits of an id's SHA-256, which made-up names end with.
fn digits(wire_id: &str) -> String {
    let line = r#"printf %s "$1" | sha256sum | head -c 8"#;
    shell(Path::new("/"), line, Path::new(wire_id)).success()
}

/// The mount, with what has changed on the drive in sight before long. DingTalk's listings live for five
/// minutes whatever the mount says, so there it is mounted anew, by one who knows nothing of the last mount.
fn with_changes(kind: DriveKind, mount: Mounted) -> Mounted {
    match kind {
        DriveKind::DingTalk => mount.mount_again_after(Home::clear_saved_listings),
        DriveKind::KooDrive | DriveKind::Pds => mount,
    }
}

fn attribute(path: &Path, name: &str) -> Option<String> {
    let value = xattr::get(path, format!("user.linkfs.{name}"));
    let value = value.unwrap_or_else(|error| panic!("{name} of {}: {error}", path.display()));
    value.map(|value| String::from_utf8(value).expect("text"))
}

fn inode(path: &Path) -> u64 {
    let about = fs::symlink_metadata(path);
    about
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        .ino()
}

/// Names and inode numbers in a folder, by the items' ids.
fn items(folder: &Path) -> BTreeMap<String, (String, u64)> {
    let mut items = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is read") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name is text");
        let id = attribute(&entry.path(), "id").expect("an item has an id");
        assert_eq!(entry.ino(), inode(&entry.path()), "{name}");
        let before = items.insert(id.clone(), (name, entry.ino()));
        assert_eq!(before, None, "{id} appears twice");
    }
    items
}

/// Looks into the folder until the drive has been asked for it again, and again completely.
fn relist(emulator: &dyn EmulatedDrive, folder: &Path) {
    let list = emulator.calls().list;
    let before = emulator.counters().calls(list);
    eventually("the folder is listed again", || {
        fs::read_dir(folder).expect("the folder is read").count();
        emulator.counters().calls(list) > before
    });
}

/// Id, name on the drive and name in the mount, where `#` stands for the [`digits`] of the id.
fn odd_files() -> Vec<(&'static str, String, String)> {
    let kept = |id, name: &str| (id, name.to_owned(), name.to_owned());
    let changed = |id, name: &str, shown: &str| (id, name.to_owned(), shown.to_owned());
    vec![
        // The literal one is the older one: it keeps the name that the next would be given.
        kept("Oliteral", "a%2Fb.txt"),
        changed("Oslash", "a/b.txt", "a%2Fb (#).txt"),
        changed("Oslash2", "100%25/x", "100%2525%2Fx"),
        changed("Odot", ".", "%2E"),
        changed("Odots", "..", "%2E%2E"),
        changed("Oempty", "", "%00unnamed"),
        changed("Onul", "nul\0byte.txt", "nul%00byte.txt"),
        changed(
            "Olong",
            &"长".repeat(250),
            &format!("{}~#", "长".repeat(82)),
        ),
        changed(
            "Olongtxt",
            &format!("{}.txt", "名".repeat(250)),
            &format!("{}~#.txt", "名".repeat(80)),
        ),
        kept("Otwin1", "twin.txt"),
        changed("Otwin2", "twin.txt", "twin (#).txt"),
        changed("Otwin3", "twin.txt", "twin (#).txt"),
        changed("Octl", ".linkfs", ".linkfs (#)"),
        kept("Otrailing", "trailing  "),
        kept("Oleading", " leading"),
        kept("Odash", "-rf"),
        kept("Onewline", "new\nline"),
        kept("Otab", "tab\there"),
        kept("Oemoji", "emoji 🎉🐈.txt"),
        kept("Ocomposed", "\u{e9}.txt"),
        kept("Odecomposed", "e\u{301}.txt"),
        kept("Obackslash", "back\\slash"),
        kept("Ostar", "*"),
        kept("Oquote", "quo\"te'"),
        kept("Opercent", "100%.txt"),
        kept("Onumbered", "name (1).txt"),
        kept("Oescape", "red\u{1b}[31m"),
        kept("Odots3", "..."),
        kept("Oupper", "CASE.txt"),
        kept("Olower", "case.txt"),
    ]
}

/// [`odd_files`] at the top, with two of one age, a smart folder, and a folder `sub` with odd files of its own.
fn odd_tree() -> Tree {
    let tree = Tree::new();
    for (second, (id, name, _)) in (1..).zip(odd_files()) {
        plant_file(&tree, ROOT_ID, id, &name, second);
    }
    // Of one age: the smaller id is the older item, whatever came first.
    plant_file(&tree, ROOT_ID, "Osame2", "same.txt", 300);
    plant_file(&tree, ROOT_ID, "Osame1", "same.txt", 300);
    plant(&tree, ROOT_ID, "Osub", "sub", 400, None);
    plant_file(&tree, "Osub", "Osubctl", ".linkfs", 1);
    plant_file(&tree, "Osub", "Osubslash", "x/y", 2);
    tree.add(NewNode {
        parent: ROOT_ID.into(),
        name: "smart".into(),
        id: Some("Osmart".into()),
        type_code: Some(11),
        ..NewNode::default()
    });
    tree
}

fn an_odd_name_appears_once_and_opens_its_own_bytes(kind: DriveKind) {
    let tree = odd_tree();
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let mut expected = odd_files();
    expected.push(("Osame1", "same.txt".into(), "same.txt".into()));
    expected.push(("Osame2", "same.txt".into(), "same (#).txt".into()));
    for (id, _, shown) in &mut expected {
        if shown.contains('#') {
            *shown = shown.replace('#', &digits(&emulator.wire_id(id)));
        }
    }

    for (id, name, shown) in &expected {
        let path = mount.path(shown);
        let read = fs::read_to_string(&path);
        let read = read.unwrap_or_else(|error| panic!("{name:?} as {shown:?}: {error}"));
        assert_eq!(read, content_of(id), "{shown:?}");
        assert_eq!(attribute(&path, "id"), Some(emulator.wire_id(id)));
        assert_eq!(attribute(&path, "name").as_ref(), Some(name));
    }

    let mut shown: Vec<_> = expected.into_iter().map(|(_, _, shown)| shown).collect();
    shown.extend(["sub".into(), "smart".into()]);
    shown.sort();
    let listed = shell(mount.folder(), "ls -A1 --zero", Path::new("")).success();
    let mut listed: Vec<_> = listed.split_terminator('\0').collect();
    listed.sort_unstable();
    assert_eq!(listed, shown, "ls");
    let mut seen: Vec<_> = items(mount.folder())
        .into_values()
        .map(|(name, _)| name)
        .collect();
    seen.sort();
    assert_eq!(seen, shown, "readdir");
    let top = mount.folder().to_owned();
    // Two links would say that there is no folder in it, to walks that count on that.
    for path in [mount.path(&shown[0]), top] {
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1, "{path:?}");
    }
    let too_long = fs::metadata(mount.path(&"y".repeat(256))).map(drop);
    assert_eq!(linkfs_tests::errno(too_long), Err(libc::ENAMETOOLONG));
}

fn only_at_the_top_is_the_name_of_the_control_folder_taken(kind: DriveKind) {
    let tree = odd_tree();
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let seen = items(&mount.path("sub"));
    let names: Vec<_> = seen.values().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, [".linkfs", "x%2Fy"]);
    let file = mount.path("sub/.linkfs");
    assert_eq!(fs::read_to_string(file).expect("it reads"), "Osubctl");
    let file = mount.path("sub/x%2Fy");
    assert_eq!(fs::read_to_string(file).expect("it reads"), "Osubslash");
}

/// Only KooDrive has such folders.
#[test]
fn a_smart_folder_is_a_folder_that_is_empty_when_the_drive_does_not_list_it() {
    let emulator = DriveKind::KooDrive.start(odd_tree());
    let mount = Mounted::new(&*emulator);
    let smart = mount.path("smart");
    assert!(fs::metadata(&smart).expect("it is there").is_dir());
    assert_eq!(attribute(&smart, "id").as_deref(), Some("Osmart"));
    assert_eq!(attribute(&smart, "name").as_deref(), Some("smart"));
    assert_eq!(fs::read_dir(&smart).expect("it opens").count(), 0);
}

fn a_name_that_is_not_utf8_is_not_there(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 1);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let path = mount.folder().join(OsString::from_vec(vec![b'a', 0xff]));
    let error = fs::metadata(path).expect_err("no such file");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

fn names_and_numbers_stay_when_a_folder_is_listed_again_and_in_another_mount(kind: DriveKind) {
    let tree = odd_tree();
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let before = items(mount.folder());
    relist(&*emulator, mount.folder());
    assert_eq!(items(mount.folder()), before, "listed again");
    let other = Mounted::new(&*emulator);
    assert_eq!(items(other.folder()), before, "mounted again");
}

fn names_and_numbers_stay_when_siblings_come_and_go(kind: DriveKind) {
    let tree = odd_tree();
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let mut before = items(mount.folder());
    let id = |id: &str| emulator.wire_id(id);

    plant_file(&tree, ROOT_ID, "Onew", "new.txt", 500);
    plant_file(&tree, ROOT_ID, "Otwin4", "twin.txt", 501);
    assert!(tree.remove("Oemoji") && tree.remove("Odot"));
    let mount = with_changes(kind, mount);
    eventually("the new sibling is there", || {
        mount.path("new.txt").exists()
    });
    let mut after = items(mount.folder());
    assert!(after.remove(&id("Onew")).is_some() && after.remove(&id("Otwin4")).is_some());
    assert!(before.remove(&id("Oemoji")).is_some() && before.remove(&id("Odot")).is_some());
    assert_eq!(after, before);

    // The plain name goes to the oldest that is left; nobody else moves, and no number changes.
    assert!(tree.remove("Otwin1"));
    let mount = with_changes(kind, mount);
    eventually("the plain name has a new owner", || {
        attribute(&mount.path("twin.txt"), "id") == Some(id("Otwin2"))
    });
    let (_, number) = before[&id("Otwin2")];
    before.remove(&id("Otwin1"));
    before.insert(id("Otwin2"), ("twin.txt".into(), number));
    let mut after = items(mount.folder());
    after.retain(|id, _| before.contains_key(id));
    assert_eq!(after, before);
    assert_eq!(
        fs::read(mount.path("twin.txt")).expect("it reads"),
        b"Otwin2"
    );
}

/// Two files of one name and one age; the page of a listing ends between them.
fn the_end_of_a_page_does_not_decide_who_keeps_a_name(kind: DriveKind) {
    let tree = Tree::new();
    let emulator = kind.start(tree.clone());
    let page = emulator.calls().page_max as u32;
    for number in 0..page - 1 {
        plant_file(
            &tree,
            ROOT_ID,
            &format!("F{number}"),
            &format!("{number}.txt"),
            number,
        );
    }
    plant_file(&tree, ROOT_ID, "Osame2", "same.txt", 300);
    plant_file(&tree, ROOT_ID, "Osame1", "same.txt", 300);
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let before = items(mount.folder());
    assert_eq!(before.len() as u32, page + 1);
    let [first, second] = ["Osame1", "Osame2"].map(|id| emulator.wire_id(id));
    assert_eq!(before[&first].0, "same.txt");
    let shown = format!("same ({}).txt", digits(&second));
    assert_eq!(before[&second].0, shown);

    assert!(tree.remove("F0"));
    let mount = with_changes(kind, mount);
    eventually("the removed file is gone", || !mount.path("0.txt").exists());
    let after = items(mount.folder());
    assert_eq!(after[&first], before[&first]);
    assert_eq!(after[&second], before[&second]);
}

fn a_replaced_file_has_a_new_number_and_a_renamed_one_keeps_its_own(kind: DriveKind) {
    let tree = Tree::new();
    for name in ["replaced", "renamed", "moved", "untouched"] {
        plant_file(&tree, ROOT_ID, name, &format!("{name}.txt"), 1);
    }
    plant(&tree, ROOT_ID, "folder", "folder", 2, None);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let before = items(mount.folder());
    let id = |id: &str| emulator.wire_id(id);
    let open = fs::File::open(mount.path("renamed.txt")).expect("it opens");

    assert!(tree.replace_content("replaced", "other bytes"));
    assert!(tree.edit("renamed", |node| node.name = "new name.txt".into()));
    assert!(tree.move_to("moved", "folder"));
    eventually("the changes are seen", || {
        mount.path("new name.txt").exists()
            && !mount.path("moved.txt").exists()
            && inode(&mount.path("replaced.txt")) != before[&id("replaced")].1
    });
    let after = items(mount.folder());
    assert_eq!(after[&id("renamed")].1, before[&id("renamed")].1);
    assert_eq!(after[&id("untouched")], before[&id("untouched")]);
    assert_eq!(after[&id("folder")], before[&id("folder")]);
    assert_eq!(
        items(&mount.path("folder"))[&id("moved")].1,
        before[&id("moved")].1
    );
    let read = |name: &str| fs::read_to_string(mount.path(name)).expect("it reads");
    assert_eq!(read("replaced.txt"), "other bytes");
    assert_eq!(read("new name.txt"), "renamed");
    assert_eq!(read("folder/moved.txt"), "moved");
    assert_eq!(io::read_to_string(open).expect("it reads on"), "renamed");
}

fn changes_on_the_drive_are_seen_after_the_listing_has_aged(kind: DriveKind) {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "folder");
    let old = tree.add_file(&folder, "old.txt", "old");
    let gone = tree.add_file(&folder, "gone.txt", "gone");
    let changed = tree.add_file(&folder, "changed.txt", "before");
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let names = || {
        let listed = shell(&mount.path("folder"), "ls", Path::new(""));
        listed.success()
    };
    assert_eq!(names(), "changed.txt\ngone.txt\nold.txt\n");
    assert_eq!(
        fs::read(mount.path("folder/changed.txt")).unwrap(),
        b"before"
    );
    assert!(!mount.path("folder/new.txt").exists());

    tree.add_file(&folder, "new.txt", "new");
    eventually("a new file is seen", || {
        mount.path("folder/new.txt").exists()
    });
    assert!(tree.rename(&old, "renamed.txt"));
    eventually("a renamed file is seen", || {
        mount.path("folder/renamed.txt").exists()
    });
    assert!(!mount.path("folder/old.txt").exists());
    assert!(tree.remove(&gone));
    eventually("a removed file is gone", || {
        !mount.path("folder/gone.txt").exists()
    });
    assert!(tree.replace_content(&changed, "after, and longer"));
    eventually("a replaced file has its new length", || {
        fs::metadata(mount.path("folder/changed.txt"))
            .unwrap()
            .len()
            == 17
    });
    let read = fs::read_to_string(mount.path("folder/changed.txt"));
    assert_eq!(read.expect("it reads"), "after, and longer");
    assert_eq!(names(), "changed.txt\nnew.txt\nrenamed.txt\n");

    let inner = tree.add_folder(&folder, "inner");
    tree.add_file(&inner, "deep.txt", "deep");
    eventually("a new folder is seen with its file", || {
        mount.path("folder/inner/deep.txt").exists()
    });
    assert!(tree.purge(&folder));
    eventually("a removed folder is gone", || {
        !mount.path("folder").exists()
    });
}

fn attributes_tell_what_the_drive_knows(kind: DriveKind) {
    let (tree, id) = tree_with_file("big.bin", 3, mib(8));
    let note = tree.add_file(ROOT_ID, "note.txt", "note");
    let empty = tree.add_file(ROOT_ID, "empty.txt", "");
    let folder = tree.add_folder(ROOT_ID, "folder");
    let emulator = kind.start(tree.clone());
    let mount = Mounted::builder(&*emulator).listing_ttl("1s").mount();
    let big = mount.path("big.bin");
    let get = |path: &Path, name: &str| attribute(path, name);
    assert_eq!(get(&big, "id"), Some(emulator.wire_id(&id)));
    assert_eq!(get(&big, "name").as_deref(), Some("big.bin"));
    assert_eq!(get(&big, "drive").as_deref(), Some("work"));
    let mime = get(&mount.path("note.txt"), "mime");
    // DingTalk tells no media types.
    let expected = (kind != DriveKind::DingTalk).then_some("text/plain");
    assert_eq!(mime.as_deref(), expected);
    assert_eq!(
        get(&mount.path("empty.txt"), "id"),
        Some(emulator.wire_id(&empty))
    );
    assert_eq!(
        get(&mount.path("folder"), "id"),
        Some(emulator.wire_id(&folder))
    );
    assert_eq!(get(&mount.path("folder"), "version"), None);
    assert_eq!(get(&mount.path("folder"), "cached"), None);
    let root = match kind {
        DriveKind::KooDrive | DriveKind::Pds => "root",
        DriveKind::DingTalk => "0",
    };
    assert_eq!(get(mount.folder(), "id").as_deref(), Some(root));
    assert_eq!(get(mount.folder(), "drive").as_deref(), Some("work"));
    // Only PDS lists hashes; they are those of the bytes.
    let hash = get(&mount.path("note.txt"), "hash.sha1").map(|hash| hash.to_lowercase());
    let line = "sha1sum < note.txt | head -c 40";
    let sum = shell(mount.folder(), line, Path::new("")).success();
    assert_eq!(hash, (kind == DriveKind::Pds).then_some(sum));
    assert_eq!(get(&mount.path(".linkfs/status"), "id"), None);

    assert_eq!(get(&big, "cached").as_deref(), Some("0"));
    assert_eq!(
        get(&mount.path("empty.txt"), "cached").as_deref(),
        Some("100")
    );
    // A jump brings what was asked for, and little more.
    let mut piece = vec![0; 256 << 10];
    let file = fs::File::open(&big).expect("it opens");
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut piece, mib(6)).expect("it reads");
    let part: u32 = get(&big, "cached")
        .expect("a number")
        .parse()
        .expect("a number");
    assert!((3..20).contains(&part), "{part} % after a small read");
    assert_eq!(fs::read(&big).expect("it reads").len() as u64, mib(8));
    eventually("all of it is cached", || {
        get(&big, "cached").as_deref() == Some("100")
    });

    let version = get(&mount.path("note.txt"), "version").expect("a file has a version");
    assert!(tree.replace_content(&note, "another note"));
    let mount = with_changes(kind, mount);
    let path = mount.path("note.txt");
    eventually("the version has changed", || {
        let now = get(&path, "version").expect("a file has a version");
        now != version
    });
}

fn the_error_attribute_says_why_and_what_to_do(kind: DriveKind) {
    let (tree, id) = tree_with_file("a.bin", 3, 1000);
    tree.add_generated(ROOT_ID, "b.bin", 4, 1000);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let path = mount.path("a.bin");
    assert_eq!(attribute(&path, "error"), None);
    let (denied, words) = match kind {
        DriveKind::KooDrive => {
            let denied = Action::ItemError {
                code: 13_000_410,
                message: "no permission for this".into(),
            };
            (denied, ["13000410", "no permission for this"])
        }
        DriveKind::Pds => {
            let denied = Action::DriveError {
                code: 403,
                message: "ForbiddenNoPermission.File".into(),
            };
            (denied, ["403", "ForbiddenNoPermission.File"])
        }
        DriveKind::DingTalk => {
            let denied = linkfs_emulator::dingtalk::refusal("permissionDenied");
            (denied, ["permissionDenied", "refused by a fault rule"])
        }
    };
    let sign = emulator.calls().sign;
    emulator.faults().add(Rule::on(sign, denied).file(&id));
    let error = fs::read(&path).expect_err("the link is refused");
    assert_eq!(error.raw_os_error(), Some(libc::EACCES), "{error}");
    let told = attribute(&path, "error").expect("the failure is kept");
    for part in words.into_iter().chain(["ask for the right"]) {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(attribute(&mount.path("b.bin"), "error"), None);
    assert_eq!(fs::read(mount.path("b.bin")).expect("it reads").len(), 1000);
}

/// What getxattr(2) says for a buffer of `size` bytes.
fn getxattr(path: &Path, name: &str, size: usize) -> Result<usize, i32> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no NUL");
    let name = CString::new(name).expect("no NUL");
    let mut buffer = vec![0_u8; size];
    // SAFETY: two strings and a buffer that outlive the call, and the buffer's own length.
    let got = unsafe {
        libc::getxattr(
            path.as_ptr(),
            name.as_ptr(),
            buffer.as_mut_ptr().cast(),
            size,
        )
    };
    usize::try_from(got).map_err(|_| errno())
}

fn errno() -> i32 {
    io::Error::last_os_error()
        .raw_os_error()
        .unwrap_or_default()
}

fn attributes_that_are_not_there_are_refused_with_the_right_number(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 10);
    let folder = tree.add_folder(ROOT_ID, "folder");
    tree.add_file(&folder, "b.txt", "b");
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let calls = || emulator.counters().snapshot().calls;
    for path in [
        mount.path("a.txt"),
        mount.path("folder"),
        mount.folder().to_owned(),
    ] {
        fs::metadata(&path).expect("it is there");
        let before = calls();
        for name in [
            "user.comment",
            "user.linkfs.unheard-of",
            "user.linkfs",
            "user.mime_type",
        ] {
            assert_eq!(getxattr(&path, name, 100), Err(libc::ENODATA), "{name}");
        }
        for name in [
            "security.selinux",
            "security.capability",
            "trusted.overlay.opaque",
            "system.posix_acl_access",
            "system.nfs4_acl",
        ] {
            assert_eq!(getxattr(&path, name, 100), Err(libc::EOPNOTSUPP), "{name}");
        }
        assert_eq!(calls(), before, "attributes cost no call");
    }
    let path = mount.path("a.txt");
    let length = getxattr(&path, "user.linkfs.name", 0).expect("the length alone");
    assert_eq!(length, "a.txt".len());
    assert_eq!(getxattr(&path, "user.linkfs.name", length), Ok(length));
    assert_eq!(
        getxattr(&path, "user.linkfs.name", length - 1),
        Err(libc::ERANGE)
    );
}

fn attributes_are_not_listed_and_not_set(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 10);
    tree.add_folder(ROOT_ID, "folder");
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    for path in [
        mount.path("a.txt"),
        mount.path("folder"),
        mount.folder().to_owned(),
    ] {
        assert_eq!(xattr::list(&path).expect("it lists").count(), 0);
        let dumped = shell(mount.folder(), r#"getfattr -d -m - "$1""#, &path);
        assert_eq!(dumped.output(), "");
        for (name, number) in [
            ("user.linkfs.id", libc::EPERM),
            ("user.linkfs.cached", libc::EPERM),
            ("user.linkfs.unheard-of", libc::ENODATA),
            ("user.comment", libc::EROFS),
            ("trusted.x", libc::EOPNOTSUPP),
            ("security.x", libc::EOPNOTSUPP),
        ] {
            let set = xattr::set(&path, name, b"x").expect_err(name);
            assert_eq!(set.raw_os_error(), Some(number), "set {name}: {set}");
            let removed = xattr::remove(&path, name).expect_err(name);
            assert_eq!(
                removed.raw_os_error(),
                Some(number),
                "remove {name}: {removed}"
            );
        }
    }
}

fn copies_carry_no_attributes(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 10);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let copies = tempfile::tempdir().expect("a temporary folder");
    for line in [
        r#"cp -a a.txt "$1/cp.txt""#,
        r#"rsync -aX a.txt "$1/rsync.txt""#,
        r#"tar c --xattrs a.txt | tar x --xattrs -C "$1""#,
    ] {
        let said = shell(mount.folder(), line, copies.path());
        assert_eq!(said.output(), "", "{line}");
        said.success();
    }
    let dumped = shell(
        copies.path(),
        "getfattr -d -m - cp.txt rsync.txt a.txt",
        Path::new(""),
    );
    assert_eq!(dumped.success(), "");
}

fn the_control_folder_is_reachable_and_not_listed(kind: DriveKind) {
    let (tree, _) = tree_with_file("a.txt", 1, 10);
    let emulator = kind.start(tree.clone());
    let mount = Mounted::new(&*emulator);
    let found = shell(mount.folder(), "find . | sort", Path::new("")).success();
    assert_eq!(found, ".\n./a.txt\n");
    let mode = |name: &str| {
        let about = fs::metadata(mount.path(name)).expect("it is there");
        about.permissions().mode() & 0o7777
    };
    assert_eq!(mode(".linkfs"), 0o700);
    assert_eq!(mode(".linkfs/status"), 0o600);
    let listed = shell(mount.folder(), "ls .linkfs", Path::new("")).success();
    assert_eq!(listed, "control\nmetrics\nshares\nstatus\ntasks\n");
    assert_eq!(mount.status()["drives"][0]["name"], "work");
    // It is made anew for each reader, so its length is known only by reading it.
    let text = shell(mount.folder(), "cat .linkfs/status", Path::new("")).success();
    assert!(text.ends_with("}\n"), "{text}");
    for line in [
        "echo x > .linkfs/status",
        "echo x > .linkfs/new",
        "rm .linkfs/status",
        "rmdir .linkfs",
        "mv .linkfs other",
        "mv a.txt .linkfs/",
    ] {
        let said = shell(mount.folder(), line, Path::new("")).failure();
        assert!(said.contains("Read-only file system"), "{line}: {said}");
    }
}
