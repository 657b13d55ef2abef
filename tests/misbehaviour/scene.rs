use std::fs::{self, DirBuilder, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree};
use linkfs_tests::{
    DriveKind, Home, MountBuilder, Mounted, Outcome, drive_section, errno, eventually,
    linkfs_binary, read_all, run,
};
use serde_json::{Value, json};

use crate::storage::Storage;

/// How many files the drive has, and how long each is.
pub(crate) const FILES: u64 = 60;
pub(crate) const SIZE: u64 = 500_000;
/// The plugin's secret.
pub(crate) const TOKEN: &str = "fake-canary-token-5d1e";
/// How many files the other drive has.
const WELL_FILES: u64 = 40;
const WELL_SIZE: u64 = 100_000;

/// A mount of two drives: `odd`, whose plugin misbehaves when it is told to, and `well`.
pub(crate) struct Scene {
    pub(crate) mount: Mounted,
    pub(crate) storage: Storage,
    well: Box<dyn EmulatedDrive>,
    plugin: PathBuf,
    state: PathBuf,
    /// The next file of each drive that nobody has read.
    next: std::cell::Cell<u64>,
}

/// What the program of the plugin can be, see `tests/mischief/program.rs`.
pub(crate) const GOOD: &str = "1 well";

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::with(60_000, |builder| builder)
    }

    /// A mount whose odd drive gives links for so long, with further settings.
    pub(crate) fn with(valid_for_ms: u64, set: impl FnOnce(MountBuilder) -> MountBuilder) -> Scene {
        let tree = Tree::new();
        for file in 0..WELL_FILES {
            tree.add_generated(ROOT_ID, &format!("{file}.bin"), file, WELL_SIZE);
        }
        let well = DriveKind::KooDrive.start(tree);
        let storage = Storage::start(SIZE);
        let home = Home::new();
        let plugin = home
            .path()
            .join(".config/linkfs/plugins/linkfs-plugin-mischief");
        let state = home.path().join("state/linkfs/drives/odd");
        for folder in [plugin.parent().expect("a folder"), &state] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.expect("a folder of the home");
        }
        install(&plugin, GOOD);
        let keys = json!({"plugin": "mischief", "allow_private_hosts": true,
            "endpoint": storage.endpoint(), "files": FILES, "size": SIZE,
            "valid_for_ms": valid_for_ms, "token": TOKEN, "in_process": false});
        let builder = Mounted::builder(&*well)
            .drive("well")
            .sections(&drive_section("odd", &keys))
            .deadline("5s")
            .listing_ttl("60s")
            .argument("-vv");
        let mount = set(builder).mount_all(home);
        Scene {
            mount,
            storage,
            well,
            plugin,
            state,
            next: std::cell::Cell::new(0),
        }
    }

    /// From now on the plugin misbehaves like this.
    pub(crate) fn misbehave(&self, misdeed: &str) {
        // Whole or not at all: it may be looked at any time.
        let new = self.state.join("misbehave.new");
        fs::write(&new, misdeed).expect("it is written");
        fs::rename(new, self.state.join("misbehave")).expect("it is there");
    }

    pub(crate) fn behave(&self) {
        fs::remove_file(self.state.join("misbehave")).expect("it is removed");
    }

    /// Puts another version of the plugin's program in the place of the one there is.
    pub(crate) fn install(&self, what: &str) {
        install(&self.plugin, what);
    }

    /// Changes who may do what with the plugin's program.
    pub(crate) fn set_mode(&self, mode: u32) {
        let changed = fs::set_permissions(&self.plugin, fs::Permissions::from_mode(mode));
        changed.expect("its mode is set");
    }

    pub(crate) fn odd(&self, file: u64) -> PathBuf {
        self.mount.path(&format!("odd/file-{file}.bin"))
    }

    /// A file of the odd drive that nobody has read yet: it needs a link.
    pub(crate) fn fresh(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        assert!(self.next.get() < FILES, "all have been read");
        self.next.get()
    }

    #[track_caller]
    pub(crate) fn assert_odd_reads(&self, file: u64) {
        let read = read_all(&self.odd(file));
        assert!(read == Ok(self.storage.bytes(file)), "file {file}");
    }

    /// The other drive gives bytes that nobody has asked for yet.
    #[track_caller]
    pub(crate) fn assert_well_reads(&self) {
        let file = self.fresh() % WELL_FILES;
        let read = read_all(&self.mount.path(&format!("well/{file}.bin")));
        let id = self.well.tree().id_at(&format!("/{file}.bin"));
        let bytes = self
            .well
            .tree()
            .read(&id.expect("a file"), 0, WELL_SIZE as usize);
        assert!(read.as_deref() == Ok(&bytes.expect("its bytes")[..]));
    }

    /// Has the odd drive's folder listed anew; gives the error's number, and why in words.
    pub(crate) fn refresh(&self) -> Result<(), (i32, String)> {
        let control = self.mount.path(".linkfs/control");
        let control = File::options().read(true).write(true).open(control);
        let mut control = control.expect("the control file opens");
        errno(control.write_all(b"refresh odd\n")).map_err(|error| {
            let mut said = String::new();
            let read = control.read_to_string(&mut said);
            read.expect("the handle that was written to answers");
            (error, said)
        })
    }

    /// No process of the plugin has failed.
    #[track_caller]
    pub(crate) fn assert_no_failure(&self) {
        let status = self.status();
        assert_eq!(status["plugin"]["failures"], 0, "{status}");
    }

    /// What the status says of the odd drive.
    pub(crate) fn status(&self) -> Value {
        let status = self.mount.status();
        let drives = status["drives"].as_array().expect("drives");
        let odd = drives.iter().find(|drive| drive["name"] == "odd");
        odd.expect("the odd drive").clone()
    }

    /// The plugin's process, when there is one.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.status()["plugin"]["pid"]
            .as_u64()
            .map(|pid| pid as u32)
    }

    /// Ends the plugin's process as the kernel does.
    pub(crate) fn kill_plugin(&self) {
        let pid = self.pid().expect("it runs");
        // SAFETY: plain numbers.
        let sent = unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
        eventually("it is noticed", || self.pid() != Some(pid));
    }

    pub(crate) fn linkfs(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.mount.home().linkfs();
        run(command.args(arguments))
    }

    /// `linkfs plugin VERB DIR odd`.
    pub(crate) fn plugin_command(&self, verb: &str) -> Outcome {
        let folder = self.mount.folder().to_str().expect("text").to_owned();
        self.linkfs(&["plugin", verb, &folder, "odd"])
    }

    /// The most memory that the mount's process has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.mount.pid());
        let text = fs::read_to_string(path).expect("it runs");
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
        let peak: u64 = peak.and_then(|peak| peak.parse().ok()).expect("a number");
        peak << 10
    }

    /// Unmounts; nothing of it runs after that.
    #[track_caller]
    pub(crate) fn unmount(&self) {
        self.mount.unmount().success();
        let home = self.mount.home();
        eventually("no process is left", || home.processes().is_empty());
    }
}

/// Sets the flag that readers look at, so that they end although the test fails.
pub(crate) struct EndOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes the plugin's program with these words in it.
fn install(plugin: &std::path::Path, what: &str) {
    let built = linkfs_binary().with_file_name("linkfs-plugin-mischief");
    let mut program = fs::read(built).expect("the plugin is built");
    let mark = b"mischief-program ";
    let words = format!("mischief-program {what:<31}");
    let places: Vec<_> = (0..program.len() - words.len())
        .filter(|&place| program[place..].starts_with(mark))
        .collect();
    assert!(!places.is_empty(), "its words are in the program");
    for place in places {
        program[place..place + words.len()].copy_from_slice(words.as_bytes());
    }
    // A program that runs cannot be written to, and the name must always have one.
    let new = plugin.with_extension("new");
    let written = plugin.with_extension("written");
    fs::write(&written, program).expect("the program is written");
    // Another process copies it: a program that this one has open for writing, and with it each process that
    // is just being started from here, could not be executed.
    run(Command::new("cp").args([&written, &new])).success();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("its mode is set");
    fs::rename(new, plugin).expect("it is in place");
}
