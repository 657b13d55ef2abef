use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use crate::mounted::is_mounted;
use crate::tools::eventually;

/// A mount in the foreground: a child of the test, with all it says kept. Dropping it unmounts and ends it.
#[derive(Debug)]
pub struct Foreground {
    child: Child,
    folder: PathBuf,
    said: PathBuf,
}

impl Foreground {
    /// Starts `command`, which mounts on `folder` and stays; returns when the mount can be used. What it
    /// says goes to the file `said`.
    ///
    /// # Panics
    /// When it ends before it has mounted.
    #[track_caller]
    pub fn start(command: &mut Command, folder: &Path, said: &Path) -> Foreground {
        let output = File::create(said).expect("a file for the output");
        let errors = output.try_clone().expect("a second descriptor");
        let command = command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut mount = Foreground {
            child: command.spawn().expect("the program starts"),
            folder: folder.to_owned(),
            said: said.to_owned(),
        };
        eventually("the foreground mount is there", || {
            let ended = mount.child.try_wait().expect("a child of ours");
            assert_eq!(ended, None, "it ended: {}", mount.said());
            is_mounted(&mount.folder)
        });
        mount
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("its output is read")
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: plain numbers; the child is not collected while `self` lives, so its pid is its own.
        let sent = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(sent, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the foreground mount ends", || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        status.expect("it has ended")
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        let _may_be_gone = Command::new("umount")
            .args(["-l", "-q"])
            .arg(&self.folder)
            .status();
        let _may_have_ended = self.child.kill();
        let _collected = self.child.wait();
    }
}
