//! A mount begins and ends cleanly, however it ends, for root and for others.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use linkfs_emulator::{Action, EmulatedDrive, ROOT_ID, Rule, Tree};
use linkfs_tests::{
    Carriage, DriveKind, Foreground, Home, MountBuilder, Mounted, Outcome, eventually, is_mounted,
    linkfs_binary, on_every_drive, run,
};

// What depends on what a drive keeps in the home, and on its connections; the rest is the program's alone.
on_every_drive! {
    fn unmount_leaves_nothing,
    fn a_killed_program_leaves_a_mount_that_answers_and_can_be_replaced,
    fn a_drive_can_be_mounted_twice_at_once,
    fn handles_and_descriptors_are_given_back,
    fn a_signal_ends_a_foreground_mount_and_leaves_nothing,
    fn a_signal_ends_a_background_mount_and_leaves_nothing,
    fn a_busy_mount_is_not_unmounted_and_the_holder_is_named,
}

/// A user who is not root, and whom the machine knows by name, as `fusermount3` wants it.
const NOBODY: u32 = 65534;

/// A home from which one emulated drive can be mounted on the folder `drive` in it.
struct Scene {
    emulator: Box<dyn EmulatedDrive>,
    home: Home,
}

impl Scene {
    fn new() -> Scene {
        Scene::of(DriveKind::KooDrive)
    }

    fn of(kind: DriveKind) -> Scene {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, "a.txt", "some text");
        let folder = tree.add_folder(ROOT_ID, "folder");
        tree.add_file(&folder, "b.txt", "more text");
        let emulator = kind.start(tree);
        let home = Home::new();
        fs::create_dir(home.path().join("drive")).expect("the mount's folder is made");
        fs::create_dir(home.path().join("tmp")).expect("a folder for temporary files");
        let scene = Scene { emulator, home };
        scene.home.configure(&scene.builder().config());
        scene
    }

    fn builder(&self) -> MountBuilder {
        Mounted::builder(&*self.emulator)
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("drive")
    }

    /// The program, keeping its temporary files in the home.
    fn linkfs(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.linkfs();
        command
            .args(arguments)
            .env("TMPDIR", self.home.path().join("tmp"));
        command
    }

    fn try_mount(&self, what: &str, folder: &Path) -> Outcome {
        run(self.linkfs(&["mount", what]).arg(folder))
    }

    #[track_caller]
    fn mount(&self) {
        self.try_mount("work", &self.folder()).success();
    }

    fn try_unmount(&self) -> Outcome {
        run(self.linkfs(&["unmount"]).arg(self.folder()))
    }

    fn foreground(&self) -> Foreground {
        let mut command = self.linkfs(&["mount", "-f", "work"]);
        let said = self.home.path().join("said");
        let folder = self.folder();
        Foreground::start(command.arg(&folder), &folder, &said)
    }

    fn read(&self) -> std::io::Result<String> {
        fs::read_to_string(self.folder().join("a.txt"))
    }

    /// The process that serves the mount, by what the mount says.
    fn pid(&self) -> u32 {
        self.status()["pid"].as_u64().expect("a pid") as u32
    }

    /// The process that serves the mount, and the drive's plugin's where it has one.
    fn processes_at_work(&self) -> Vec<PathBuf> {
        let plugin = self.status()["drives"][0]["plugin"]["pid"].as_u64();
        assert_eq!(
            plugin.is_some(),
            Carriage::of_this_run() == Carriage::Process
        );
        let pids = [u64::from(self.pid())].into_iter().chain(plugin);
        pids.map(|pid| PathBuf::from(format!("/proc/{pid}")))
            .collect()
    }

    fn status(&self) -> serde_json::Value {
        let status = fs::read(self.folder().join(".linkfs/status")).expect("the status is read");
        serde_json::from_slice(&status).expect("JSON")
    }

    /// Neither mount nor process, neither notes nor temporary files are left. A login that the drive renews is
    /// kept for the next mount, and so is the log.
    #[track_caller]
    fn assert_nothing_left(&self) {
        assert!(!is_mounted(&self.folder()), "it is mounted");
        eventually("no process is left", || self.home.processes().is_empty());
        let mut left = files_below(&self.home.path().join("tmp"));
        left.extend(files_below(&self.home.path().join("run")));
        left.extend(files_below(&self.home.path().join("state")));
        let kept = [
            "linkfs.log",
            "drives/work/token.json",
            "drives/work/token.lock",
        ];
        let kept = kept.map(|name| self.home.path().join("state/linkfs").join(name));
        left.retain(|path| !kept.contains(path));
        assert_eq!(left, Vec::<PathBuf>::new());
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // Whatever a failed test left; several mounts may lie on each other.
        while is_mounted(&self.folder()) {
            let detached = Command::new("umount").arg("-l").arg(self.folder()).status();
            if !detached.is_ok_and(|status| status.success()) {
                return;
            }
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// A shell that holds a file open until it is let go.
struct Holder(Child);

impl Holder {
    fn of(path: &Path) -> Holder {
        let mut command = Command::new("bash");
        command
            .args(["-c", r#"exec 3<"$1"; echo ready; read -r _"#, "bash"])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("bash starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it tells");
        assert_eq!(line, "ready\n");
        Holder(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _collected = self.0.wait();
    }
}

#[track_caller]
fn assert_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: plain numbers.
    let sent = unsafe { libc::kill(pid as i32, signal) };
    assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
}

fn unmount_leaves_nothing(kind: DriveKind) {
    let scene = Scene::of(kind);
    scene.mount();
    assert_eq!(scene.read().expect("it reads"), "some text");
    assert_ne!(scene.home.processes(), Vec::<String>::new());
    scene.try_unmount().success();
    // The process has ended already: `unmount` waits for it.
    assert_eq!(scene.home.processes(), Vec::<String>::new());
    scene.assert_nothing_left();
    let said = scene.try_unmount().failure();
    assert_says(&said, &["nothing is mounted on"]);
    // It can be mounted again, and by a path that is written otherwise.
    scene.mount();
    let odd = scene.folder().join("folder/../../drive/");
    run(scene.linkfs(&["umount"]).arg(odd)).success();
    scene.assert_nothing_left();
}

fn a_killed_program_leaves_a_mount_that_answers_and_can_be_replaced(kind: DriveKind) {
    let scene = Scene::of(kind);
    scene.mount();
    let holder = Holder::of(&scene.folder().join("a.txt"));
    kill(scene.pid(), libc::SIGKILL);
    eventually("the mount has noticed", || {
        let error = fs::read_dir(scene.folder()).err();
        error.and_then(|error| error.raw_os_error()) == Some(libc::ENOTCONN)
    });
    assert!(is_mounted(&scene.folder()));
    let said = run(scene.linkfs(&["status"]).arg(scene.folder())).failure();
    assert_says(&said, &["does not answer"]);

    scene.mount();
    assert_eq!(scene.read().expect("it reads"), "some text");
    drop(holder);
    scene.try_unmount().success();
    // The old mount is not below the new one.
    assert!(!is_mounted(&scene.folder()));

    scene.mount();
    kill(scene.pid(), libc::SIGKILL);
    eventually("the program is gone", || scene.home.processes().is_empty());
    scene.try_unmount().success();
    assert!(!is_mounted(&scene.folder()));
}

fn a_signal_ends_a_foreground_mount_and_leaves_nothing(kind: DriveKind) {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let scene = Scene::of(kind);
        let mut mount = scene.foreground();
        assert_eq!(scene.read().expect("it reads"), "some text");
        mount.signal(signal);
        assert!(mount.wait().success(), "{}", mount.said());
        assert_eq!(mount.said(), "", "signal {signal}");
        scene.assert_nothing_left();
    }
}

fn a_signal_ends_a_background_mount_and_leaves_nothing(kind: DriveKind) {
    let scene = Scene::of(kind);
    scene.mount();
    kill(scene.pid(), libc::SIGTERM);
    eventually("it is unmounted", || !is_mounted(&scene.folder()));
    scene.assert_nothing_left();
}

#[test]
fn the_first_signal_spares_a_used_mount_and_the_second_does_not() {
    let scene = Scene::new();
    let mut mount = scene.foreground();
    let holder = Holder::of(&scene.folder().join("a.txt"));
    mount.signal(libc::SIGTERM);
    let pid = format!("pid {}", holder.pid());
    eventually("it complains", || mount.said().contains(&pid));
    assert_says(&mount.said(), &["busy", "a.txt", "second signal"]);
    assert_eq!(scene.read().expect("it still serves"), "some text");
    mount.signal(libc::SIGTERM);
    assert!(mount.wait().success(), "{}", mount.said());
    drop(holder);
    scene.assert_nothing_left();
}

fn a_busy_mount_is_not_unmounted_and_the_holder_is_named(kind: DriveKind) {
    let scene = Scene::of(kind);
    scene.mount();
    let file = scene.folder().join("folder/b.txt");
    let holder = Holder::of(&file);
    let said = scene.try_unmount().failure();
    let pid = format!("bash (pid {})", holder.pid());
    assert_says(
        &said,
        &["busy", &pid, file.to_str().expect("text"), "--lazy"],
    );
    assert_eq!(scene.read().expect("it still serves"), "some text");
    drop(holder);
    scene.try_unmount().success();
    scene.assert_nothing_left();
}

#[test]
fn a_lazy_unmount_serves_the_last_user_to_the_end() {
    let scene = Scene::new();
    scene.mount();
    let file = File::open(scene.folder().join("a.txt")).expect("it opens");
    run(scene.linkfs(&["unmount", "--lazy"]).arg(scene.folder())).success();
    assert!(!is_mounted(&scene.folder()));
    let read = std::io::read_to_string(file);
    assert_eq!(read.expect("it is served still"), "some text");
    scene.assert_nothing_left();
}

#[test]
fn an_unmount_by_others_ends_the_program() {
    for tool in [["umount"].as_slice(), &["fusermount3", "-u"]] {
        let scene = Scene::new();
        scene.mount();
        run(Command::new(tool[0]).args(&tool[1..]).arg(scene.folder())).success();
        scene.assert_nothing_left();
        let mut mount = scene.foreground();
        run(Command::new(tool[0]).args(&tool[1..]).arg(scene.folder())).success();
        assert!(mount.wait().success(), "{}", mount.said());
        scene.assert_nothing_left();
    }
}

#[test]
fn a_mount_is_not_covered_by_another() {
    let scene = Scene::new();
    scene.mount();
    let pid = format!("pid {}", scene.pid());
    let said = scene.try_mount("work", &scene.folder()).failure();
    assert_says(
        &said,
        &["linkfs is mounted there already", &pid, "linkfs unmount"],
    );
    let said = run(scene.linkfs(&["mount", "-f", "work"]).arg(scene.folder())).failure();
    assert_says(&said, &["linkfs is mounted there already"]);
    assert_eq!(scene.read().expect("it serves"), "some text");
    scene.try_unmount().success();
    scene.assert_nothing_left();
}

#[test]
fn one_of_two_mounts_at_once_is_refused() {
    let scene = Scene::new();
    let faults = scene.emulator.faults();
    faults.add(Rule::on("list", Action::NeverAnswer));
    let start = || {
        let mut command = scene.linkfs(&["mount", "work"]);
        let command = command.arg(scene.folder()).stdin(Stdio::null());
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the program starts")
    };
    let both = [start(), start()];
    // Each has found the folder free by then.
    eventually("both ask the drive", || {
        scene.emulator.counters().calls("list") >= 2
    });
    faults.clear();
    let both = both.map(|mount| mount.wait_with_output().expect("it ends"));
    let (made, refused): (Vec<_>, Vec<_>) = both.iter().partition(|output| output.status.success());
    assert_eq!((made.len(), refused.len()), (1, 1), "{both:?}");
    let pid = format!("pid {}", scene.pid());
    assert_says(
        &String::from_utf8_lossy(&refused[0].stderr),
        &["cannot mount on", "linkfs is mounted there already", &pid],
    );
    assert_eq!(scene.read().expect("it serves"), "some text");
    scene.try_unmount().success();
    scene.assert_nothing_left();
}

#[test]
fn a_signal_spares_what_was_mounted_over_a_mount() {
    let scene = Scene::new();
    let mut mount = scene.foreground();
    let folder = scene.folder();
    run(Command::new("mount")
        .args(["-t", "tmpfs", "cover"])
        .arg(&folder))
    .success();
    fs::write(folder.join("other.txt"), "of another").expect("it is written");
    mount.signal(libc::SIGTERM);
    eventually("it complains", || {
        mount.said().contains("another mount lies on")
    });
    let read = fs::read_to_string(folder.join("other.txt"));
    assert_eq!(read.expect("it is there still"), "of another");
    run(Command::new("umount").arg(&folder)).success();
    assert_eq!(scene.read().expect("it still serves"), "some text");
    mount.signal(libc::SIGTERM);
    assert!(mount.wait().success(), "{}", mount.said());
    scene.assert_nothing_left();
}

fn a_drive_can_be_mounted_twice_at_once(kind: DriveKind) {
    let scene = Scene::of(kind);
    let other = Mounted::new(&*scene.emulator);
    scene.mount();
    let second = scene.home.path().join("second");
    fs::create_dir(&second).expect("a folder");
    scene.try_mount("work:/folder", &second).success();
    assert_eq!(scene.read().expect("it reads"), "some text");
    assert_eq!(
        fs::read(other.path("a.txt")).expect("it reads"),
        b"some text"
    );
    assert_eq!(
        fs::read(second.join("b.txt")).expect("it reads"),
        b"more text"
    );
    run(scene.linkfs(&["unmount"]).arg(&second)).success();
    assert_eq!(scene.read().expect("it serves still"), "some text");
    scene.try_unmount().success();
    assert_eq!(
        fs::read(other.path("a.txt")).expect("it reads"),
        b"some text"
    );
    scene.assert_nothing_left();
}

/// Runs `linkfs mount` in the background and in the foreground, and expects the same words of both.
#[track_caller]
fn assert_refused(scene: &Scene, what: &str, folder: &Path, parts: &[&str]) {
    for is_foreground in [false, true] {
        let mut command = scene.linkfs(&["mount", what]);
        command.arg(folder).args(is_foreground.then_some("-f"));
        let outcome = run(&mut command);
        assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
        let said = outcome.failure();
        assert!(said.starts_with("linkfs: "), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_says(&said, parts);
        assert!(!is_mounted(folder));
        scene.assert_nothing_left();
    }
}

#[test]
fn a_mount_that_cannot_be_says_why_before_it_goes_to_the_background() {
    let scene = Scene::new();
    let folder = scene.folder();
    let missing = scene.home.path().join("missing");
    let file = scene.home.path().join("file");
    fs::write(&file, "").expect("a file");
    let no_folder = ["cannot mount on", "there is no such folder"];
    assert_refused(&scene, "work", &missing, &no_folder);
    assert_refused(&scene, "work", &file, &["cannot mount on", "not a folder"]);
    assert_refused(&scene, "werk", &folder, &["no drive \"werk\"", "work"]);
    assert_refused(
        &scene,
        "work:/nowhere",
        &folder,
        &["work:/nowhere", "no such file"],
    );
    assert_refused(
        &scene,
        "work:/a.txt",
        &folder,
        &["work:/a.txt is not a folder"],
    );

    let wrong_token = scene.builder().key("token", "of another".into()).config();
    scene.home.configure(&wrong_token);
    assert_refused(&scene, "work", &folder, &["token", "no longer accepted"]);

    let wrong_space = scene.builder().key("space", "elsewhere".into()).config();
    scene.home.configure(&wrong_space);
    assert_refused(
        &scene,
        "work",
        &folder,
        &["13000301", "space does not exist"],
    );

    let nobody_there = scene.builder().key("endpoint", "http://127.0.0.1:1".into());
    scene.home.configure(&nobody_there.deadline("3s").config());
    assert_refused(&scene, "work", &folder, &["127.0.0.1", "refused"]);

    // A plugin in a process of its own gets no tunnel there, and does not learn why: linkfs itself knows.
    let nobody_there = scene
        .builder()
        .key("endpoint", "https://127.0.0.1:1".into());
    scene.home.configure(&nobody_there.deadline("3s").config());
    assert_refused(&scene, "work", &folder, &["127.0.0.1", "refused"]);

    let unknown_key = scene.builder().key("tokn", "x".into()).config();
    scene.home.configure(&unknown_key);
    assert_refused(&scene, "work", &folder, &["config.toml", "tokn"]);

    scene
        .home
        .configure("[drives.work]\nplugin = \"koodrve\"\n");
    assert_refused(&scene, "work", &folder, &["koodrve", "koodrive"]);

    fs::remove_file(scene.home.path().join("config.toml")).expect("it is removed");
    assert_refused(&scene, "work", &folder, &["config.toml"]);
}

/// A script reads the output of `$(...)` to its end: nothing that stays may hold the pipe.
#[test]
fn a_plugin_that_does_not_run_keeps_no_other_drive_from_being_mounted() {
    let scene = Scene::new();
    let program = scene
        .home
        .path()
        .join(".config/linkfs/plugins/linkfs-plugin-odd");
    fs::create_dir_all(program.parent().expect("a folder")).expect("it is made");
    fs::write(&program, "#!/bin/sh\nexit 3\n").expect("it is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is a program");
    let odd = "[drives.odd]\nplugin = \"odd\"\n";
    scene.home.configure(&(scene.builder().config() + odd));
    let outcome = run(scene.home.linkfs().arg("mount").arg(scene.folder()));
    assert!(outcome.status.success(), "{outcome:?}");
    for words in [
        "\"odd\" is left out",
        "plugin odd: it ended (exit status: 3)",
    ] {
        assert!(
            outcome.output().contains(words),
            "no {words:?} in {outcome:?}"
        );
    }
    let read = fs::read_to_string(scene.folder().join("work/a.txt"));
    assert_eq!(read.expect("it reads"), "some text");

    // Alone it is an error.
    scene.home.configure(odd);
    let other = scene.home.path().join("other");
    fs::create_dir(&other).expect("a folder");
    let said = run(scene.home.linkfs().arg("mount").arg(&other)).failure();
    assert!(
        said.contains("plugin odd: it ended (exit status: 3)"),
        "{said}"
    );
}

#[test]
fn a_script_that_captures_the_output_goes_on() {
    let scene = Scene::new();
    let script = r#"
        exec 7> >(cat > /dev/null 2>&1)
        said=$("$1" mount work "$2" 2>&1)
        echo "said <$said>" "$(cat "$2/a.txt")"
        readlink /proc/$$/fd/7
    "#;
    let mut command = Command::new("timeout");
    scene.home.furnish(&mut command);
    command
        .args(["20", "bash", "-ec", script, "bash"])
        .arg(linkfs_binary())
        .arg(scene.folder());
    let said = run(&mut command).success();
    let (said, inherited) = said.split_once('\n').expect("two lines");
    assert_eq!(said, "said <> some text");
    let inherited = Path::new(inherited.trim_end());

    let process = PathBuf::from(format!("/proc/{}", scene.pid()));
    let target = |name: &str| fs::read_link(process.join(name)).expect("a link");
    assert_eq!(target("fd/0"), Path::new("/dev/null"));
    assert_eq!(target("fd/1"), Path::new("/dev/null"));
    assert!(target("fd/2").ends_with("state/linkfs/linkfs.log"));
    assert_eq!(target("cwd"), Path::new("/"));
    for process in scene.processes_at_work() {
        let files = fs::read_dir(process.join("fd")).expect("its descriptors");
        let mut files = files.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let holder = process.display();
        assert!(
            !files.any(|file| file == inherited),
            "{holder} has a pipe of the caller"
        );
    }
    let stat = fs::read_to_string(process.join("stat")).expect("its state");
    let (_, words) = stat.rsplit_once(") ").expect("a name");
    // State, parent, group, session.
    let session = words.split(' ').nth(3).expect("a session");
    assert_eq!(session, scene.pid().to_string());

    scene.try_unmount().success();
    scene.assert_nothing_left();
}

fn handles_and_descriptors_are_given_back(kind: DriveKind) {
    let tree = Tree::new();
    for number in 0..50 {
        tree.add_generated(ROOT_ID, &format!("{number}.bin"), number, 100_000);
    }
    let emulator = kind.start(tree);
    let mount = Mounted::new(&*emulator);
    let use_all = || {
        let files: Vec<_> = (0..50)
            .map(|number| File::open(mount.path(&format!("{number}.bin"))).expect("it opens"))
            .collect();
        let folders: Vec<_> = (0..50)
            .map(|_| fs::read_dir(mount.folder()).expect("it opens"))
            .collect();
        for file in &files {
            let mut byte = [0];
            std::os::unix::fs::FileExt::read_exact_at(file, &mut byte, 70_000).expect("it reads");
        }
        // A folder is open from the first look into it.
        assert!(mount.status()["open_handles"].as_u64() >= Some(100));
        drop((files, folders));
        eventually("every handle is given back", || {
            mount.status()["open_handles"] == 0
        });
    };
    let descriptors = || {
        let open = fs::read_dir(format!("/proc/{}/fd", mount.pid()));
        open.expect("its descriptors").count()
    };
    use_all();
    let before = descriptors();
    for _ in 0..5 {
        use_all();
    }
    // Connections to the drive come and go; files would be 50 in each round.
    let after = descriptors();
    assert!(after < before + 25, "{before} descriptors, then {after}");
}

/// The program as `user` runs it, with a home that belongs to them.
fn give_home_to_nobody(scene: &Scene) -> PathBuf {
    let binary = scene.home.path().join("linkfs");
    fs::copy(linkfs_binary(), &binary).expect("the program is copied");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).expect("its mode is set");
    for name in ["", "drive", "tmp", "config.toml"] {
        chown(scene.home.path().join(name), Some(NOBODY), Some(NOBODY)).expect("it is given");
    }
    binary
}

/// The mount is made through `fusermount3`. What that needs of the machine is a device that is open to all;
/// where it is not, one is put in its place for this test's processes alone.
#[test]
fn a_user_mounts_reads_and_unmounts() {
    let scene = Scene::new();
    let binary = give_home_to_nobody(&scene);
    let script = r#"
        home=$1 linkfs=$2 drive=$1/drive
        mknod "$home/fuse" c 10 229
        chmod 666 "$home/fuse"
        mount --bind "$home/fuse" /dev/fuse
        trap 'umount -l -q "$drive" || true' EXIT
        user='setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all'

        $user "$linkfs" mount work "$drive"
        grep -c " $drive fuse.linkfs " /proc/mounts
        $user cat "$drive/a.txt"; echo
        $user stat -c '%u %g %A' "$drive/a.txt" "$drive/folder"
        $user "$linkfs" status "$drive" | grep -o 'work: ok'
        cat "$drive/a.txt" 2>&1 || echo "root is refused"
        $user "$linkfs" mount work "$drive" 2>&1 || echo "mounted once"

        $user bash -c 'exec 3<"$1/a.txt"; "$2" unmount "$1"; exit $?' bash "$drive" "$linkfs" 2>&1 || echo "busy"
        $user "$linkfs" unmount "$drive"
        grep -c " $drive fuse" /proc/mounts || true
        $user "$linkfs" mount work "$drive" --allow-other 2>&1 || echo "not allowed"
        grep -c " $drive fuse" /proc/mounts || true

        $user "$linkfs" mount work "$drive" -f & pid=$!
        until grep -q " $drive fuse.linkfs " /proc/mounts; do kill -0 $pid; done
        kill -TERM $pid
        wait $pid
        grep -c " $drive fuse" /proc/mounts || true
    "#;
    let mut command = Command::new("timeout");
    scene.home.furnish(&mut command);
    command
        .args(["60", "unshare", "--mount", "--propagation", "private"])
        .args(["bash", "-ec", script, "bash"])
        .arg(scene.home.path())
        .arg(binary)
        .env("TMPDIR", scene.home.path().join("tmp"));
    let said = run(&mut command);
    let mut lines = said.stdout.lines();
    let mut next = || {
        lines
            .next()
            .unwrap_or_else(|| panic!("it stopped: {said:#?}"))
    };
    assert_eq!(next(), "1", "mounted");
    assert_eq!(next(), "some text");
    assert_eq!(next(), "65534 65534 -rw-r--r--");
    assert_eq!(next(), "65534 65534 drwxr-xr-x");
    assert_eq!(next(), "work: ok");
    assert_says(next(), &["Permission denied"]);
    assert_eq!(next(), "root is refused");
    assert_says(next(), &["linkfs is mounted there already"]);
    assert_eq!(next(), "mounted once");
    assert_says(next(), &["is busy", "a.txt open", "--lazy"]);
    assert_eq!(next(), "busy");
    assert_eq!(next(), "0", "unmounted");
    assert_says(next(), &["user_allow_other", "/etc/fuse.conf"]);
    assert_eq!(next(), "not allowed");
    assert_eq!(next(), "0", "refused");
    assert_eq!(next(), "0", "ended by a signal");
    said.success();
    scene.assert_nothing_left();
}

/// Runs a line of shell as somebody else.
fn as_nobody(scene: &Scene, line: &str, arguments: &[&Path]) -> Outcome {
    let mut command = Command::new("setpriv");
    scene.home.furnish(&mut command);
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .args(["bash", "-c", line, "bash"])
        .args(arguments)
        .current_dir("/");
    run(&mut command)
}

#[test]
fn a_mount_of_root_is_closed_to_others_unless_they_are_let_in() {
    let scene = Scene::new();
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(scene.home.path(), open).expect("others may pass");
    let folder = scene.folder();
    scene.mount();
    for line in [
        r#"cat "$1/a.txt""#,
        r#"ls "$1""#,
        r#"cat "$1/.linkfs/status""#,
    ] {
        let said = as_nobody(&scene, line, &[&folder]).failure();
        assert_says(&said, &["Permission denied"]);
    }
    scene.try_unmount().success();

    run(scene
        .linkfs(&["mount", "--allow-other", "work"])
        .arg(&folder))
    .success();
    let read = as_nobody(&scene, r#"cat "$1/a.txt"; ls "$1/folder""#, &[&folder]);
    assert_eq!(read.success(), "some textb.txt\n");
    for line in [
        r#"cat "$1/.linkfs/status""#,
        r#"ls "$1/.linkfs""#,
        r#"setfattr -n user.linkfs.id -v x "$1/a.txt""#,
    ] {
        let said = as_nobody(&scene, line, &[&folder]).failure();
        assert_says(&said, &["Permission denied"]);
    }
    let own = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o755)).expect("its mode is set");
    let binary = own.path().join("linkfs");
    fs::copy(linkfs_binary(), &binary).expect("the program is copied");
    let said = as_nobody(&scene, r#""$2" unmount "$1""#, &[&folder, &binary]).failure();
    assert_says(&said, &["another user's mount"]);
    let said = as_nobody(&scene, r#""$2" status "$1""#, &[&folder, &binary]).failure();
    assert_says(&said, &["another user's mount"]);
    assert!(is_mounted(&folder), "others cannot take it away");
    scene.try_unmount().success();
    scene.assert_nothing_left();
}
