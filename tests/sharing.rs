//! Sharing with the tools that people have: `setfattr` makes a link, `getfattr` shows it, `setfattr -x` revokes
//! it. What the drive has is asked of the drive, past the mount.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use linkfs_emulator::{Action, ROOT_ID, RetryAfter, Rule, Tree, koodrive};
use linkfs_tests::{Home, MountBuilder, Mounted, Outcome, drive_section, run, shell};
use serde_json::{Value, json};

const SHARE: &str = "user.linkfs.share";
const NOBODY: u32 = 65534;

/// A KooDrive with `a.txt`, `folder/b.txt` and 20 files in `many`, mounted.
struct Scene {
    emulator: koodrive::Emulator,
    mount: Mounted,
    file: String,
    folder: String,
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|builder| builder)
    }

    fn emulator() -> koodrive::Emulator {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, "a.txt", "some text");
        let folder = tree.add_folder(ROOT_ID, "folder");
        tree.add_file(&folder, "b.txt", "more text");
        let many = tree.add_folder(ROOT_ID, "many");
        for number in 0..20 {
            tree.add_file(&many, &format!("{number:02}.txt"), "text");
        }
        let options = koodrive::Options::with_tree(tree);
        koodrive::Emulator::start_blocking(options).expect("it starts")
    }

    fn with(change: impl FnOnce(MountBuilder) -> MountBuilder) -> Scene {
        let emulator = Scene::emulator();
        let id = |path: &str| emulator.tree().id_at(path).expect("it is there");
        let (file, folder) = (id("/a.txt"), id("/folder"));
        let mount = change(Mounted::builder(&emulator)).mount();
        emulator.counters().reset();
        Scene {
            emulator,
            mount,
            file,
            folder,
        }
    }

    /// A line of shell in the mount.
    fn shell(&self, line: &str) -> Outcome {
        shell(self.mount.folder(), line, Path::new(""))
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        self.shell(line).success()
    }

    /// What fails says this.
    #[track_caller]
    fn refused(&self, line: &str, errno_text: &str) {
        let said = self.shell(line).failure();
        assert!(said.contains(errno_text), "{line}: {said}");
    }

    fn url(&self, path: &str) -> Option<String> {
        let value = xattr::get(self.mount.path(path), SHARE).expect("it is read");
        value.map(|value| String::from_utf8(value).expect("text"))
    }

    fn attribute(&self, path: &str, name: &str) -> String {
        let value = xattr::get(self.mount.path(path), name).expect("it is read");
        String::from_utf8(value.expect("it is there")).expect("text")
    }

    /// The open shares that the drive has.
    fn shares(&self) -> Vec<Value> {
        self.emulator.shares()
    }

    fn calls(&self, name: &str) -> u64 {
        self.emulator.counters().calls(name)
    }

    /// All calls about shares.
    fn share_calls(&self) -> u64 {
        let counts = self.emulator.counters().snapshot();
        let calls = counts.calls.iter();
        calls
            .filter(|(name, _)| name.starts_with("share"))
            .map(|(_, count)| count)
            .sum()
    }
}

fn files_of(share: &Value) -> Vec<&str> {
    let files = share["files"].as_array().expect("a list");
    files
        .iter()
        .map(|file| file["id"].as_str().expect("an id"))
        .collect()
}

#[test]
fn a_file_is_shared_read_changed_and_revoked() {
    let scene = Scene::new();
    assert_eq!(scene.url("a.txt"), None);
    scene.run(
        "setfattr -n user.linkfs.share -v 'expires=3d password=Zx81kk02 note=\"for you\"' a.txt",
    );
    let shares = scene.shares();
    assert_eq!(shares.len(), 1, "{shares:?}");
    assert_eq!(files_of(&shares[0]), [scene.file.as_str()]);
    assert_eq!(shares[0]["extractCode"], "Zx81kk02");
    let shown = scene.run("getfattr --only-values -n user.linkfs.share a.txt");
    assert_eq!(shown, shares[0]["linkUrl"].as_str().expect("an address"));
    let code = scene.run("getfattr --only-values -n user.linkfs.share.password a.txt");
    assert_eq!(code, "Zx81kk02");
    let info: Value =
        serde_json::from_str(&scene.attribute("a.txt", "user.linkfs.share.info")).expect("JSON");
    assert_eq!(info["share"]["id"], shares[0]["shareId"]);
    assert_eq!(info["share"]["terms"]["note"], "for you");

    scene.run("setfattr -n user.linkfs.share -v 'expires=20d' a.txt");
    let changed = scene.shares();
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0]["shareId"], shares[0]["shareId"]);
    assert_ne!(changed[0]["expireTime"], shares[0]["expireTime"]);
    assert_eq!(changed[0]["extractCode"], "Zx81kk02");
    assert!(
        changed[0]["comment"]
            .as_str()
            .expect("text")
            .contains("for you")
    );

    scene.run("setfattr -x user.linkfs.share a.txt");
    assert_eq!(scene.shares(), Vec::<Value>::new());
    scene.refused("getfattr -n user.linkfs.share a.txt", "No such attribute");
    scene.refused(
        "getfattr -n user.linkfs.share.password a.txt",
        "No such attribute",
    );
    // Nothing is left to revoke, and that is what was wanted.
    scene.run("setfattr -x user.linkfs.share a.txt");
}

#[test]
fn a_folder_is_shared_as_one() {
    let scene = Scene::new();
    scene.run("setfattr -n user.linkfs.share folder");
    let shares = scene.shares();
    assert_eq!(shares.len(), 1);
    assert_eq!(files_of(&shares[0]), [scene.folder.as_str()]);
    assert!(scene.url("folder").is_some());
    assert_eq!(scene.url("folder/b.txt"), None);
    scene.run("setfattr -x user.linkfs.share folder");
    assert_eq!(scene.shares(), Vec::<Value>::new());
}

#[test]
fn bad_terms_are_refused_before_the_wire_with_what_is_wrong() {
    let scene = Scene::new();
    for (terms, why) in [
        ("expires=soon", "at character 1"),
        ("password=auto when=now", "at character 15: unknown key"),
        ("audience=members", "needs users"),
        ("note=\\\"open", "a quote is not closed"),
        ("expires=400d", "365"),
    ] {
        let line = format!(
            "setfattr -n user.linkfs.share -v '{}' a.txt",
            terms.replace('\\', "")
        );
        scene.refused(&line, "Invalid argument");
        let said = scene.attribute("a.txt", "user.linkfs.error");
        assert!(said.contains(why), "{terms}: {said}");
    }
    assert_eq!(scene.share_calls(), 0, "not even the list was read");
    scene.run("setfattr -n user.linkfs.share a.txt");
    assert!(
        xattr::get(scene.mount.path("a.txt"), "user.linkfs.error")
            .expect("it is read")
            .is_none()
    );
}

#[test]
fn only_the_share_itself_can_be_set() {
    let scene = Scene::new();
    for name in ["share.password", "share.info", "id"] {
        scene.refused(
            &format!("setfattr -n user.linkfs.{name} -v x a.txt"),
            "Operation not permitted",
        );
        scene.refused(
            &format!("setfattr -x user.linkfs.{name} a.txt"),
            "Operation not permitted",
        );
        let said = scene.attribute("a.txt", "user.linkfs.error");
        assert!(said.contains("cannot be set"), "{said}");
    }
    scene.refused(
        "setfattr -n user.linkfs.share .linkfs",
        "Operation not supported",
    );
    let said = scene.attribute(".linkfs", "user.linkfs.error");
    assert!(said.contains("on no drive"), "{said}");
    assert_eq!(scene.share_calls(), 0);
}

#[test]
fn flags_of_the_system_call_are_kept() {
    let scene = Scene::new();
    let path = scene.mount.path("a.txt");
    let set = |flag| {
        let (path, name) = (c_text(&path), c_text(Path::new(SHARE)));
        // SAFETY: both are strings that end in NUL, and no value is given.
        let result =
            unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), std::ptr::null(), 0, flag) };
        match result {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error().raw_os_error()),
        }
    };
    assert_eq!(set(libc::XATTR_REPLACE), Err(Some(libc::ENODATA)));
    assert_eq!(scene.shares().len(), 0);
    assert_eq!(set(libc::XATTR_CREATE), Ok(()));
    assert_eq!(set(libc::XATTR_CREATE), Err(Some(libc::EEXIST)));
    assert_eq!(set(libc::XATTR_REPLACE), Ok(()));
    assert_eq!(scene.shares().len(), 1);
}

fn c_text(path: &Path) -> std::ffi::CString {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).expect("no NUL")
}

#[test]
fn many_files_are_shared_at_the_drives_pace() {
    let scene = Scene::new();
    let busy = Action::Status {
        code: 429,
        retry_after: Some(RetryAfter::Seconds(2)),
        body: None,
    };
    for nth in [4, 9] {
        scene
            .emulator
            .faults()
            .add(Rule::on("share.create", busy.clone()).nth(nth));
    }
    let started = SystemTime::now();
    scene.run("find many -type f -exec setfattr -n user.linkfs.share {} +");
    assert!(started.elapsed().expect("time goes on") >= Duration::from_secs(4));
    assert_eq!(scene.shares().len(), 20);
    assert_eq!(scene.calls("share.create"), 22);
    let status = scene.mount.status();
    assert_eq!(
        status["drives"][0]["shares"],
        json!({"made": 20, "waiting": 0})
    );
    // Again it costs nothing, and neither does reading all the links.
    scene.emulator.counters().reset();
    scene.run("find many -type f -exec setfattr -n user.linkfs.share {} +");
    let links = scene.run(
        "find many -type f -exec getfattr --only-values -n user.linkfs.share {} \\; -exec echo \\;",
    );
    assert_eq!(
        links
            .lines()
            .filter(|line| line.starts_with("http"))
            .count(),
        20,
        "{links}"
    );
    assert_eq!(scene.share_calls(), 0);
}

#[test]
fn open_shares_are_files_that_tell_and_revoke() {
    let scene = Scene::new();
    assert_eq!(scene.run("ls .linkfs/shares"), "");
    scene.run("setfattr -n user.linkfs.share -v 'expires=3d password=Zx81kk02' a.txt folder");
    assert_eq!(scene.run("ls .linkfs/shares"), "a.txt\nfolder\n");
    let text = scene.run("cat .linkfs/shares/a.txt");
    let url = scene.url("a.txt").expect("it is shared");
    for line in [
        format!("url: {url}"),
        "password: Zx81kk02".into(),
        "views: 0".into(),
        "drive: work".into(),
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    let about = fs::metadata(scene.mount.path(".linkfs/shares/a.txt")).expect("it is there");
    assert_eq!(about.len(), text.len() as u64);
    let left = about
        .modified()
        .expect("a time")
        .duration_since(SystemTime::now())
        .expect("to come");
    let day = Duration::from_secs(24 * 3600);
    assert!(left > 2 * day && left <= 3 * day, "{left:?}");
    assert_eq!(
        scene.run("stat -c '%a %U' .linkfs/shares/a.txt .linkfs/shares"),
        "600 root\n700 root\n"
    );

    scene.refused("touch .linkfs/shares/new", "Read-only");
    scene.refused("echo x > .linkfs/shares/a.txt", "Read-only");
    scene.refused("mv .linkfs/shares/a.txt .linkfs/shares/b", "Read-only");
    scene.refused("rm a.txt", "Read-only");
    scene.refused("rm .linkfs/status", "Read-only");
    assert_eq!(scene.shares().len(), 2);
    scene.run("rm .linkfs/shares/a.txt");
    assert_eq!(scene.shares().len(), 1);
    assert_eq!(scene.url("a.txt"), None);
    assert_eq!(scene.run("ls .linkfs/shares"), "folder\n");
    scene.refused("rm .linkfs/shares/a.txt", "No such file");
    scene.refused("cat .linkfs/shares/a.txt", "No such file");
    // The control folder stays out of sight.
    assert_eq!(scene.run("ls -A"), "a.txt\nfolder\nmany\n");
}

#[test]
fn shares_that_a_drive_cannot_tell_of_are_not_left_out_in_silence() {
    let start = |name: &str| {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, name, "some text");
        let options = koodrive::Options::with_tree(tree);
        koodrive::Emulator::start_blocking(options).expect("it starts")
    };
    let (well, ill) = (start("a.txt"), start("b.txt"));
    let builder = Mounted::builder(&well).drive("well").deadline("3s");
    let builder = builder.sections(&drive_section("ill", &ill.mount_config()));
    let mount = builder.mount_all(Home::new());
    let shell = |line: &str| shell(mount.folder(), line, Path::new(""));
    shell("setfattr -n user.linkfs.share well/a.txt ill/b.txt").success();
    assert_eq!(shell("ls .linkfs/shares").success(), "a.txt\nb.txt\n");

    let down = Action::Status {
        code: 503,
        retry_after: None,
        body: None,
    };
    ill.faults().add(Rule::on("any", down));
    // Whether that was done nobody knows, so that the list is asked for anew.
    shell("setfattr -x user.linkfs.share ill/b.txt").failure();
    let folder = shell("ls .linkfs/shares");
    assert_eq!(folder.stdout, "a.txt\nb.txt\n", "as they were last");
    assert!(folder.failure().contains("Host is down"));
    for arguments in [&["shares"][..], &["shares", "--json"]] {
        let top = mount.folder().to_str().expect("text");
        let outcome = mount.home().run_linkfs(&[arguments, &[top]].concat());
        assert!(outcome.stdout.contains("a.txt"), "{outcome:?}");
        let said = outcome.failure();
        assert!(said.contains("the shares of ill"), "{said}");
    }
    let line = "exec 3<>.linkfs/control; echo shares >&3 || { cat <&3; exit 1; }";
    let told = shell(line);
    assert!(told.stdout.contains(" a.txt\n"), "{told:?}");
    assert!(
        told.stdout.contains("error EHOSTDOWN the shares of ill"),
        "{told:?}"
    );
    assert!(told.failure().contains("Host is down"));

    ill.faults().clear();
    shell("rm .linkfs/shares/*").success();
    assert_eq!(shell("ls .linkfs/shares").success(), "");
    assert_eq!((well.shares().len(), ill.shares().len()), (0, 0));
}

#[test]
fn a_look_at_the_shares_is_whole_while_they_change() {
    let scene = Scene::new();
    scene.run("setfattr -n user.linkfs.share many/0*");
    let line = "for round in $(seq 1 20); do for file in .linkfs/shares/*; do \
                text=$(cat \"$file\" 2>/dev/null) || continue; \
                [[ $text == name:*url:*id:* ]] || { echo \"half: $text\"; exit 1; }; done; done & \
                setfattr -n user.linkfs.share many/1*; rm .linkfs/shares/0*; wait $!";
    scene.run(line);
    assert_eq!(scene.shares().len(), 10);
}

#[test]
fn shares_are_for_the_user_who_mounted_and_for_root() {
    let scene = Scene::with(|builder| builder.argument("--allow-other"));
    scene.run("setfattr -n user.linkfs.share a.txt");
    // The way to the mount is open to others.
    shell(
        scene.mount.home().path(),
        "chmod 755 . && setpriv --reuid=65534 --regid=65534 --clear-groups cat drive/a.txt",
        Path::new(""),
    )
    .success();
    let as_nobody = |line: &str| {
        let line = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {line}");
        scene.shell(&line)
    };
    scene.emulator.counters().reset();
    for line in [
        "getfattr -n user.linkfs.share a.txt",
        "getfattr -n user.linkfs.share.password a.txt",
        "getfattr -n user.linkfs.share.info a.txt",
        "setfattr -n user.linkfs.share a.txt",
        "setfattr -n user.linkfs.share folder",
        "setfattr -x user.linkfs.share a.txt",
        "ls .linkfs",
        "ls .linkfs/shares",
        "cat .linkfs/status",
        "rm .linkfs/shares/a.txt",
    ] {
        let said = as_nobody(line).failure();
        assert!(said.contains("Permission denied"), "{line}: {said}");
    }
    as_nobody("getfattr -n user.linkfs.id a.txt").success();
    assert_eq!(scene.share_calls(), 0);
    assert_eq!(scene.shares().len(), 1);
}

#[test]
fn what_the_configuration_forbids_is_refused_and_written_down() {
    let section = "[share]\nmax_expires = \"10d\"\ndeny = [\"folder/*\"]\naudit = \"audit.log\"\n";
    let scene = Scene::with(|builder| builder.sections(section));
    scene.refused(
        "setfattr -n user.linkfs.share -v expires=11d a.txt",
        "Operation not permitted",
    );
    let said = scene.attribute("a.txt", "user.linkfs.error");
    assert!(said.contains("max_expires"), "{said}");
    scene.refused(
        "setfattr -n user.linkfs.share folder/b.txt",
        "Operation not permitted",
    );
    scene.refused(
        "setfattr -n user.linkfs.share folder",
        "Operation not permitted",
    );
    assert_eq!(scene.share_calls(), 0);
    scene.run("setfattr -n user.linkfs.share -v password=Zx81kk02 a.txt");
    scene.run("rm .linkfs/shares/a.txt");
    let audit = fs::read_to_string(scene.mount.home().path().join("audit.log")).expect("an audit");
    assert!(!audit.contains("Zx81kk02"), "{audit}");
    let lines: Vec<Value> = audit
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            ["action", "path", "program", "result"].map(|key| line[key].as_str().expect("text"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ["share", "a.txt", "setfattr", "refused"],
            ["share", "folder/b.txt", "setfattr", "refused"],
            ["share", "folder", "setfattr", "refused"],
            ["share", "a.txt", "setfattr", "asked"],
            ["share", "a.txt", "setfattr", "shared"],
            ["unshare", "a.txt", "rm", "asked"],
            ["unshare", "a.txt", "rm", "revoked"],
        ]
    );
}

#[test]
fn what_is_forbidden_on_a_drive_is_forbidden_in_a_mount_of_its_folder() {
    let scene = Scene::with(|builder| builder.sections("[share]\ndeny = [\"folder/*\"]\n"));
    let below = scene.mount.home().path().join("below");
    fs::create_dir(&below).expect("a folder");
    let linkfs = || scene.mount.home().linkfs();
    run(linkfs().args(["mount", "work:/folder"]).arg(&below)).success();
    let tried = shell(&below, "setfattr -n user.linkfs.share b.txt", Path::new(""));
    run(linkfs().arg("unmount").arg(&below)).success();
    let said = tried.failure();
    assert!(said.contains("Operation not permitted"), "{said}");
    assert_eq!(scene.share_calls(), 0);
}

#[test]
fn a_rehearsal_shares_nothing() {
    let scene = Scene::with(|builder| builder.sections("[share]\ndry_run = true\n"));
    scene.run("setfattr -n user.linkfs.share a.txt");
    scene.refused(
        "setfattr -n user.linkfs.share -v expires=x a.txt",
        "Invalid argument",
    );
    scene.run("setfattr -x user.linkfs.share a.txt");
    assert_eq!(scene.share_calls(), 0);
    let audit = scene.mount.home().path().join("state/linkfs/shares.log");
    let audit = fs::read_to_string(audit).expect("an audit");
    assert_eq!(audit.matches("\"dry run\"").count(), 2, "{audit}");
}

#[test]
fn a_rehearsal_is_told_as_one_where_words_can_be_told() {
    let emulator = Scene::emulator();
    let mounted = |sections: &str| Mounted::builder(&emulator).sections(sections).mount();
    let first = mounted("");
    let shell_in = |mount: &Mounted, line: &str| shell(mount.folder(), line, Path::new(""));
    shell_in(&first, "setfattr -n user.linkfs.share a.txt").success();
    drop(first);
    let mount = mounted("[share]\ndry_run = true\n");
    let (open, other) = (mount.path("a.txt"), mount.path("folder"));
    let (open, other) = (open.to_str().expect("text"), other.to_str().expect("text"));
    for arguments in [
        &["share", other][..],
        &["share", "--expires", "1d", open],
        &["share", "--json", open],
        &["unshare", open],
    ] {
        let outcome = mount.home().run_linkfs(arguments);
        assert!(!outcome.stdout.contains("http"), "{outcome:?}");
        let said = outcome.failure();
        assert!(
            said.contains("nothing was") && said.contains("dry_run"),
            "{said}"
        );
    }
    for line in [
        "share a.txt",
        "share [\"a.txt\", \"folder\"]",
        "unshare a.txt",
    ] {
        let line = format!("exec 3<>.linkfs/control; echo '{line}' >&3 && cat <&3");
        assert_eq!(shell_in(&mount, &line).success(), "ok dry_run\n");
    }
    // Where none can, the answer is that of the request itself.
    shell_in(&mount, "rm .linkfs/shares/a.txt").success();
    assert_eq!(shell_in(&mount, "ls .linkfs/shares").success(), "a.txt\n");
    assert_eq!(emulator.shares().len(), 1);
}

#[test]
fn a_share_that_the_drive_makes_slowly_is_waited_for() {
    let scene = Scene::new();
    scene.emulator.knobs().update(|knobs| {
        knobs.share_shape = koodrive::ShareShape::TaskId;
        knobs.share_visible_after = 3;
    });
    scene.run("setfattr -n user.linkfs.share a.txt");
    assert_eq!(scene.calls("share.create"), 1);
    let url = scene.url("a.txt").expect("it is shared");
    assert!(url.starts_with("http"), "{url}");
    let shares = scene.shares();
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0]["linkUrl"], url);
}
