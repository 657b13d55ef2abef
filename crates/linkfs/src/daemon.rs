//! The process that serves a mount. It leaves a note of its pid, named by the mount's device, so that
//! `unmount` can wait for its end.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

use crate::mount_table::Mount;
use crate::places;

/// The note of this process. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Note {
    path: PathBuf,
    text: String,
}

impl Note {
    /// Writes down that this process serves `mount`.
    pub(crate) fn write(mount: &Mount) -> Result<Note> {
        let path = path(mount)?;
        places::make_private(path.parent().unwrap_or(&path))?;
        Note::write_to(path)
    }

    fn write_to(path: PathBuf) -> Result<Note> {
        let pid = std::process::id();
        let text = format!(
            "{pid} {}",
            started(pid).context("cannot read /proc/self/stat")?
        );
        fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Note { path, text })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        // The kernel gives a device's number away as soon as it is unmounted: while this process was ending,
        // another may have mounted under that number, and the note is its.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            // A note that stays is noticed to be stale by whoever reads it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A running process that serves a mount.
#[derive(Debug)]
pub(crate) struct Daemon {
    pub(crate) pid: u32,
    process: OwnedFd,
}

impl Daemon {
    /// The process that serves `mount`; `None` when it has ended or is another user's.
    pub(crate) fn of(mount: &Mount) -> Option<Daemon> {
        let note = fs::read_to_string(path(mount).ok()?).ok()?;
        let (pid, noted) = note.split_once(' ')?;
        let pid: u32 = pid.parse().ok()?;
        let raw = Pid::from_raw(i32::try_from(pid).ok()?)?;
        let process = rustix::process::pidfd_open(raw, PidfdFlags::empty()).ok()?;
        // A pid is used again, a pid with its start time is not. Asked for after the pidfd is open,
        // so that it is this process's.
        let daemon = (started(pid)? == noted).then_some(Daemon { pid, process })?;
        // It may have ended without anybody having collected it.
        let has_ended = daemon.wait(Duration::ZERO).ok()?;
        (!has_ended).then_some(daemon)
    }

    /// Waits for its end, at most so long. Gives whether it has ended.
    pub(crate) fn wait(&self, at_most: Duration) -> Result<bool> {
        let mut events = [PollFd::new(&self.process, PollFlags::IN)];
        let timeout = Timespec::try_from(at_most).context("the time is too long to wait")?;
        match rustix::event::poll(&mut events, Some(&timeout)) {
            Ok(ended) => Ok(ended > 0),
            Err(error) => {
                Err(io::Error::from(error)).context("cannot wait for the mount's process")
            }
        }
    }
}

fn path(mount: &Mount) -> Result<PathBuf> {
    Ok(places::run()?.join(format!("mount-{}", mount.device)))
}

/// When a process was started, in clock ticks since boot: the 22nd word of its `stat`. The second is
/// its name in brackets and may hold anything, so count from the last bracket.
fn started(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_goes_with_its_process_and_anothers_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mount-0:57");
        drop(Note::write_to(path.clone()).unwrap());
        assert!(!path.exists());

        let note = Note::write_to(path.clone()).unwrap();
        fs::write(&path, "1 2").unwrap();
        drop(note);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1 2");
    }

    #[test]
    fn a_process_has_a_start_time_of_digits() {
        let time = started(std::process::id()).unwrap();
        assert!(
            !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()),
            "{time}"
        );
        assert_eq!(started(u32::MAX), None);
    }
}
