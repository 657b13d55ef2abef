//! A login that ends, a drive that is away: what is said, what goes on, and how all comes back.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Stdio;

use linkfs_emulator::{ROOT_ID, Tree, dingtalk, koodrive, pds};
use linkfs_tests::{
    Foreground, Home, Mounted, Outcome, drive_section, errno, eventually, mib, read_all, run,
    true_bytes,
};
use serde_json::Value;

/// Two files and what the drive calls the first.
fn tree() -> (Tree, String) {
    let tree = Tree::new();
    let id = tree.add_generated(ROOT_ID, "seen.bin", 4, mib(3));
    tree.add_file(ROOT_ID, "new.txt", "not looked at before");
    (tree, id)
}

fn pds_of(tree: &Tree) -> pds::Emulator {
    pds::Emulator::start_blocking(pds::Options::with_tree(tree.clone())).expect("it starts")
}

fn koodrive_of(tree: &Tree) -> koodrive::Emulator {
    koodrive::Emulator::start_blocking(koodrive::Options::with_tree(tree.clone()))
        .expect("it starts")
}

/// `linkfs login work` with `pasted` on its stdin. Gives how it ended.
fn log_in(home: &Home, drive: &str, pasted: &str) -> Outcome {
    let file = home.path().join("pasted");
    File::create(&file)
        .and_then(|mut file| writeln!(file, "{pasted}"))
        .expect("it is written");
    let mut command = std::process::Command::new("bash");
    home.furnish(&mut command);
    command
        .args(["-c", r#"exec "$1" login "$2" <"$3""#, "bash"])
        .arg(linkfs_tests::linkfs_binary())
        .arg(drive)
        .arg(&file);
    run(&mut command)
}

#[test]
fn a_lapsed_login_is_told_and_a_new_one_revives_the_mount() {
    let (tree, id) = tree();
    let emulator = pds_of(&tree);
    let redirect = emulator.credentials().redirect_uri.clone();
    let mount = Mounted::builder(&emulator)
        .key("redirect_uri", redirect.clone().into())
        .listing_ttl("10ms")
        .mount();
    let seen = mount.path("seen.bin");
    let bytes = true_bytes(&tree, &id);
    assert!(read_all(&seen) == Ok(bytes.clone()));

    emulator.revoke_tokens();
    assert_eq!(read_all(&mount.path("new.txt")), Err(libc::EACCES));
    let drive = mount.status()["drives"][0].clone();
    assert_eq!(drive["state"], "needs login", "{drive}");
    let advice = drive["advice"].to_string();
    assert!(advice.contains("`linkfs login work`"), "{advice}");
    let shown = run(mount.home().linkfs().arg("status").arg(mount.folder())).success();
    assert!(shown.contains("`linkfs login work`"), "{shown}");
    // What is in memory needs no login.
    assert!(read_all(&seen) == Ok(bytes.clone()));

    // A code that the drive does not take changes nothing, and is not repeated.
    let refused = log_in(mount.home(), "work", "s3cret-wrong-code");
    assert!(!refused.output().contains("s3cret"), "{refused:?}");
    let said = refused.failure();
    assert!(said.contains("does not take the code"), "{said}");
    assert_eq!(read_all(&mount.path("new.txt")), Err(libc::EACCES));

    let nothing = log_in(mount.home(), "work", "").failure();
    assert!(nothing.contains("nothing was pasted"), "{nothing}");

    let code = emulator.credentials().auth_code.clone();
    let told = log_in(mount.home(), "work", &format!("{redirect}?code={code}"));
    assert!(!told.output().contains(&code), "{told:?}");
    let told = told.success();
    assert!(told.contains("/v2/oauth/authorize?"), "{told}");
    assert!(told.contains("logged in to \"work\""), "{told}");

    // The same mount goes on.
    let text = b"not looked at before".to_vec();
    assert_eq!(read_all(&mount.path("new.txt")), Ok(text));
    eventually("the drive is well", || {
        mount.status()["drives"][0]["state"] == "ok"
    });
    tree.add_file(ROOT_ID, "later.txt", "listed after the login");
    eventually("the folder is listed anew", || {
        mount.path("later.txt").exists()
    });
}

#[test]
fn a_drive_with_a_token_is_told_where_a_new_one_goes() {
    let (tree, _) = tree();
    let emulator = koodrive_of(&tree);
    let home = Home::new();
    home.configure(&Mounted::builder(&emulator).config());
    let told = log_in(&home, "work", "").success();
    assert!(told.contains("needs no login"), "{told}");
    emulator.expire_tokens();
    let refused = log_in(&home, "work", "");
    assert!(!refused.output().contains(emulator.token()), "{refused:?}");
    let said = refused.failure();
    assert!(
        said.contains("config.toml:") && said.contains("put a new `token`"),
        "{said}"
    );
    let unknown = log_in(&home, "nowhere", "").failure();
    assert!(unknown.contains("no drive \"nowhere\""), "{unknown}");
}

#[test]
fn drives_and_the_spaces_of_their_accounts_are_listed() {
    let (tree, _) = tree();
    let (koodrive, pds) = (koodrive_of(&tree), pds_of(&tree));
    let dingtalk = dingtalk::Emulator::start_blocking(dingtalk::Options::with_tree(tree));
    let dingtalk = dingtalk.expect("it starts");
    pds.knobs().update(|knobs| knobs.group_drives = 1);
    let home = Home::new();
    let drives = [
        drive_section("files", &koodrive.mount_config()),
        drive_section("photos", &pds.mount_config()),
        drive_section("team", &dingtalk.mount_config()),
    ];
    home.configure(&drives.concat());
    let listed = home.run_linkfs(&["drives"]).success();
    let well = "files   koodrive  ok\nphotos  pds       ok\nteam    dingtalk  ok\n";
    assert_eq!(listed, well);
    for (drive, in_use, kinds) in [
        ("files", koodrive.space(), ["personal"].as_slice()),
        ("photos", pds.drive_id(), &["personal", "team"]),
        ("team", dingtalk.space(), &["personal", "team"]),
    ] {
        let spaces = home.run_linkfs(&["drives", drive, "--json"]).success();
        let spaces: Value = serde_json::from_str(&spaces).expect("JSON");
        let spaces = spaces.as_array().expect("a list");
        assert!(
            spaces.iter().any(|space| space["id"] == in_use),
            "{spaces:?}"
        );
        let found: BTreeSet<_> = spaces.iter().map(|space| space["kind"].as_str()).collect();
        assert!(
            found.into_iter().flatten().eq(kinds.iter().copied()),
            "{spaces:?}"
        );
    }
    let all = home.run_linkfs(&["drives", "--spaces"]).success();
    let drives: Vec<_> = all
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        drives,
        ["files", "photos", "photos", "team", "team"],
        "{all}"
    );
}

/// Three drives of which one answers: the second is not there yet, the third refuses its token.
struct Scene {
    tree: Tree,
    id: String,
    _well: koodrive::Emulator,
    absent: SocketAddr,
    home: Home,
}

impl Scene {
    fn new() -> Scene {
        let (tree, id) = tree();
        let (well, refused) = (koodrive_of(&tree), pds_of(&tree));
        // Nobody listens there for now.
        let port = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let absent = port.local_addr().expect("it has an address");
        drop(port);
        let mut away = well.mount_config();
        away["endpoint"] = format!("http://{absent}").into();
        let mut bad = well.mount_config();
        bad["token"] = "s3cret-old".into();
        drop(refused);
        let sections = [
            "[mount]\ndeadline = \"3s\"\nlisting_ttl = \"10ms\"\n".to_owned(),
            drive_section("away", &away),
            drive_section("refused", &bad),
            drive_section("well", &well.mount_config()),
        ];
        let home = Home::new();
        home.configure(&sections.concat());
        fs::create_dir(home.path().join("all")).expect("the mount's folder is made");
        Scene {
            tree,
            id,
            _well: well,
            absent,
            home,
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join("all").join(below)
    }
}

#[test]
fn one_drive_that_is_down_does_not_keep_the_others_from_being_mounted() {
    let scene = Scene::new();
    let mut command = scene.home.linkfs();
    command.args(["mount", "-f"]).arg(scene.path(""));
    let said = scene.home.path().join("said");
    let mount = Foreground::start(&mut command, &scene.home.path().join("all"), &said);
    let names = fs::read_dir(scene.path("")).expect("it lists").count();
    assert_eq!(names, 3);
    let bytes = true_bytes(&scene.tree, &scene.id);
    assert!(read_all(&scene.path("well/seen.bin")) == Ok(bytes.clone()));
    let list = |name: &str| errno(fs::read_dir(scene.path(name)).and_then(Iterator::collect));
    let listed: Result<Vec<_>, i32> = list("refused").map(|all: Vec<fs::DirEntry>| all);
    assert_eq!(listed.map(|all| all.len()), Err(libc::EACCES));
    let listed: Result<Vec<_>, i32> = list("away").map(|all: Vec<fs::DirEntry>| all);
    assert_eq!(listed.map(|all| all.len()), Err(libc::EHOSTDOWN));
    // It says so while somebody looks, and shows no token.
    let told = mount.said();
    assert!(told.contains("refused") && told.contains("away"), "{told}");
    assert!(!told.contains("s3cret"), "{told}");

    let options = koodrive::Options {
        api_address: scene.absent,
        ..koodrive::Options::with_tree(scene.tree.clone())
    };
    let _back = koodrive::Emulator::start_blocking(options).expect("its port is still free");
    eventually("the drive is back", || scene.path("away/seen.bin").exists());
    let file = File::open(scene.path("away/seen.bin")).expect("it opens");
    let mut start = vec![0; 4096];
    file.read_exact_at(&mut start, 0).expect("it reads");
    assert!(start == bytes[..4096]);
}

#[test]
fn a_drive_mounted_by_its_name_must_answer() {
    let scene = Scene::new();
    for (drive, words) in [("away", "connect"), ("refused", "`linkfs login refused`")] {
        let mut command = scene.home.linkfs();
        let command = command.args(["mount", drive]).arg(scene.path(""));
        let outcome = run(command.stdin(Stdio::null()));
        assert!(!outcome.output().contains("s3cret"), "{outcome:?}");
        let said = outcome.failure();
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_mount_of_all_drives_needs_one_that_answers() {
    let scene = Scene::new();
    let config = fs::read_to_string(scene.home.path().join("config.toml")).expect("it is read");
    let without = config.split("[drives.well]").next().expect("the others");
    scene.home.configure(without);
    let mut command = scene.home.linkfs();
    let said = run(command.arg("mount").arg(scene.path(""))).failure();
    for drive in ["away", "refused"] {
        assert!(said.contains(&format!("drive \"{drive}\": ")), "{said}");
    }
}

#[test]
fn a_mount_in_the_background_says_which_drives_are_down() {
    let scene = Scene::new();
    let mut command = scene.home.linkfs();
    let outcome = run(command.arg("mount").arg(scene.path("")));
    let (told, ok) = (outcome.output(), outcome.status.success());
    let well = read_all(&scene.path("well/new.txt"));
    run(scene.home.linkfs().arg("unmount").arg(scene.path(""))).success();
    assert!(ok && well.is_ok(), "{told}");
    for words in [
        "drive \"refused\": ",
        "drive \"away\": ",
        "`linkfs login refused`",
    ] {
        assert!(told.contains(words), "{told}");
    }
}
