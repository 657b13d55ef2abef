use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use linkfs_emulator::EmulatedDrive;
use serde_json::Value;

use crate::control_group::ControlGroup;
use crate::program::{Home, drive_section};
use crate::tools::{Outcome, run};

/// The name of the mounted drive in the configuration.
const DRIVE: &str = "work";

/// How to mount an emulated drive.
#[derive(Debug)]
pub struct MountBuilder {
    drive: String,
    keys: Value,
    deadline: String,
    listing_ttl: String,
    memory: String,
    disk: Option<String>,
    sections: String,
    arguments: Vec<String>,
    group: Option<Arc<ControlGroup>>,
}

/// An emulated drive mounted by the program in the background. Dropping it unmounts and ends the program.
#[derive(Debug)]
pub struct Mounted {
    home: Home,
    folder: PathBuf,
    daemon: OwnedFd,
    pid: u32,
}

impl MountBuilder {
    /// Requests end after this long.
    #[must_use]
    pub fn deadline(mut self, text: &str) -> Self {
        self.deadline = text.into();
        self
    }

    /// Listings are answered from memory this long.
    #[must_use]
    pub fn listing_ttl(mut self, text: &str) -> Self {
        self.listing_ttl = text.into();
        self
    }

    /// Memory for file content.
    #[must_use]
    pub fn memory(mut self, text: &str) -> Self {
        self.memory = text.into();
        self
    }

    /// Keeps file content on disk, up to this much.
    #[must_use]
    pub fn disk(mut self, size: &str) -> Self {
        self.disk = Some(size.into());
        self
    }

    /// A further key of the drive's section.
    #[must_use]
    pub fn key(mut self, name: &str, value: Value) -> Self {
        self.keys[name] = value;
        self
    }

    /// What the drive is called.
    #[must_use]
    pub fn drive(mut self, name: &str) -> Self {
        self.drive = name.into();
        self
    }

    /// All keys of the drive's section, in the place of the emulator's.
    #[must_use]
    pub fn keys(mut self, keys: Value) -> Self {
        self.keys = keys;
        self
    }

    /// Further sections of the configuration.
    #[must_use]
    pub fn sections(mut self, text: &str) -> Self {
        self.sections = text.into();
        self
    }

    /// A further argument of `linkfs mount`.
    #[must_use]
    pub fn argument(mut self, text: &str) -> Self {
        self.arguments.push(text.into());
        self
    }

    /// Runs the program in a control group.
    #[must_use]
    pub fn group(mut self, group: &Arc<ControlGroup>) -> Self {
        self.group = Some(group.clone());
        self
    }

    /// The configuration file's text.
    pub fn config(&self) -> String {
        let disk = self.disk.iter();
        let disk: String = disk.map(|size| format!("size = \"{size}\"\n")).collect();
        let general = format!(
            "[cache]\nmemory = \"{}\"\n{disk}\n[mount]\ndeadline = \"{}\"\nlisting_ttl = \"{}\"\n\n",
            self.memory, self.deadline, self.listing_ttl
        );
        general + &self.sections + "\n" + &drive_section(&self.drive, &self.keys)
    }

    /// Mounts, and returns when the mount can be used.
    ///
    /// # Panics
    /// When mounting fails.
    #[track_caller]
    pub fn mount(self) -> Mounted {
        let what = [self.drive.clone()];
        self.mount_what(Home::new(), &what)
    }

    /// Mounts all drives of the configuration, each as a folder, in this home.
    ///
    /// # Panics
    /// When mounting fails.
    #[track_caller]
    pub fn mount_all(self, home: Home) -> Mounted {
        self.mount_what(home, &[])
    }

    #[track_caller]
    fn mount_what(self, home: Home, what: &[String]) -> Mounted {
        home.configure(&self.config());
        let folder = home.path().join("drive");
        fs::create_dir(&folder).expect("the mount's folder is made");
        let command = mount_command(&home, what, &folder, &self.arguments);
        let command = match &self.group {
            Some(group) => group.launch(&command),
            None => command,
        };
        mount_in(home, folder, command)
    }

    /// Tries to mount; gives how that failed.
    ///
    /// # Panics
    /// When mounting succeeds.
    #[track_caller]
    pub fn fail_to_mount(self) -> Outcome {
        let home = Home::new();
        home.configure(&self.config());
        let folder = home.path().join("drive");
        fs::create_dir(&folder).expect("the mount's folder is made");
        let outcome = run(&mut mount_command(
            &home,
            &[self.drive],
            &folder,
            &self.arguments,
        ));
        assert!(!outcome.status.success(), "it mounted: {outcome:?}");
        outcome
    }
}

fn mount_command(home: &Home, what: &[String], folder: &Path, arguments: &[String]) -> Command {
    let mut command = home.linkfs();
    command.arg("mount").args(what).arg(folder).args(arguments);
    command
}

#[track_caller]
fn mount_in(home: Home, folder: PathBuf, mut command: Command) -> Mounted {
    run(&mut command).success();
    let status = fs::read(folder.join(".linkfs/status")).expect("the mount tells its status");
    let status: Value = serde_json::from_slice(&status).expect("the status is JSON");
    let pid = status["pid"]
        .as_u64()
        .expect("the status names the process") as u32;
    let daemon = open_process(pid).expect("the program runs");
    Mounted {
        home,
        folder,
        daemon,
        pid,
    }
}

impl Mounted {
    /// A builder with settings that suit most tests.
    pub fn builder(emulator: &dyn EmulatedDrive) -> MountBuilder {
        MountBuilder {
            drive: DRIVE.into(),
            keys: emulator.mount_config(),
            deadline: "20s".into(),
            listing_ttl: "30s".into(),
            memory: "64MiB".into(),
            disk: None,
            sections: String::new(),
            arguments: Vec::new(),
            group: None,
        }
    }

    /// `emulator`'s drive, mounted.
    #[track_caller]
    pub fn new(emulator: &dyn EmulatedDrive) -> Mounted {
        Mounted::builder(emulator).mount()
    }

    /// The mounted folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in it.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }

    /// The home it was mounted in.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The process that serves it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// What `.linkfs/status` says.
    pub fn status(&self) -> Value {
        let text = fs::read(self.path(".linkfs/status")).expect("the status is read");
        serde_json::from_slice(&text).expect("the status is JSON")
    }

    /// Runs `linkfs unmount`.
    #[track_caller]
    pub fn unmount(&self) -> Outcome {
        run(self.home.linkfs().arg("unmount").arg(&self.folder))
    }

    /// Sends a signal to the process that serves the mount.
    pub fn signal(&self, signal: i32) {
        // SAFETY: plain numbers, and a descriptor that `self` keeps open.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.daemon.as_raw_fd(),
                signal,
                std::ptr::null::<u8>(),
                0,
            )
        };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for the end of the process that serves the mount.
    ///
    /// # Panics
    /// When it still runs after 30 s.
    #[track_caller]
    pub fn wait_for_end(&self) {
        assert!(self.ends_within(30_000), "the process still runs");
    }

    fn ends_within(&self, milliseconds: i32) -> bool {
        let mut poll = libc::pollfd {
            fd: self.daemon.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one pollfd, and it outlives the call.
        unsafe { libc::poll(&raw mut poll, 1, milliseconds) == 1 }
    }

    /// Whether the folder is mounted, by the kernel's table.
    pub fn is_mounted(&self) -> bool {
        is_mounted(&self.folder)
    }

    /// Mounts again in the same place and home, after this mount was ended in whatever way.
    ///
    /// # Panics
    /// When mounting fails.
    #[track_caller]
    pub fn mount_again(self) -> Mounted {
        self.mount_again_after(|_home| ())
    }

    /// The same, with `change` done to the home in between, when the mount's process has ended.
    ///
    /// # Panics
    /// When mounting fails.
    #[track_caller]
    pub fn mount_again_after(mut self, change: impl FnOnce(&Home)) -> Mounted {
        let home = std::mem::take(&mut self.home);
        let folder = self.folder.clone();
        drop(self);
        change(&home);
        let command = mount_command(&home, &[DRIVE.to_owned()], &folder, &[]);
        mount_in(home, folder, command)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Whatever a test left behind: the mount goes first, so that the process finds its end.
        let _may_be_gone = Command::new("umount")
            .args(["-l", "-q"])
            .arg(&self.folder)
            .status();
        if !self.ends_within(5_000) {
            self.signal(libc::SIGKILL);
            let _ended = self.ends_within(5_000);
        }
    }
}

/// Whether something is mounted on `folder`, by the kernel's table, which asks nobody.
///
/// # Panics
/// When there is no such table.
pub fn is_mounted(folder: &Path) -> bool {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the mount table");
    table.contains(&format!(" {} ", folder.display()))
}

fn open_process(pid: u32) -> std::io::Result<OwnedFd> {
    // SAFETY: plain numbers; the descriptor that comes back is nobody else's.
    unsafe {
        let descriptor = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        if descriptor < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(OwnedFd::from_raw_fd(descriptor as i32))
    }
}
