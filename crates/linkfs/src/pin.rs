//! `linkfs pin` and `linkfs unpin`: which files of a mount are kept on disk for good.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{XattrFlags, removexattr, setxattr};
use rustix::io::Errno;

use crate::args::{PinArgs, UnpinArgs};
use crate::mounted::{ERROR, Failures, attribute, check_mounted, explain};

const PIN: &str = "user.linkfs.pin";
/// How much of a file is there, in per cent.
const CACHED: &str = "user.linkfs.cached";
/// How often the mount is asked how far it is.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

pub(crate) fn pin(args: &PinArgs) -> Result<()> {
    let mut failures = Failures::default();
    let mut pinned = Vec::new();
    for file in files_of(&args.paths, &mut failures) {
        match setxattr(&file.path, PIN, b"yes", XattrFlags::empty()) {
            Ok(()) => pinned.push(file),
            Err(error) => failures.tell(&file.path, &explain(&file.path, error)),
        }
    }
    if !args.no_wait {
        await_all(&pinned, &mut failures);
    }
    failures.result()
}

pub(crate) fn unpin(args: &UnpinArgs) -> Result<()> {
    let mut failures = Failures::default();
    for file in files_of(&args.paths, &mut failures) {
        match removexattr(&file.path, PIN) {
            // It was not pinned.
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => failures.tell(&file.path, &explain(&file.path, error)),
        }
    }
    failures.result()
}

/// A file of a mount of ours.
struct MountedFile {
    path: PathBuf,
    size: u64,
}

/// The files that `paths` name, and those in the folders that they name.
fn files_of(paths: &[PathBuf], failures: &mut Failures) -> Vec<MountedFile> {
    let mut files = Vec::new();
    for path in paths {
        match check_mounted(path) {
            Ok(()) => collect(path, &mut files, failures),
            Err(error) => failures.tell(path, &error),
        }
    }
    files
}

fn collect(path: &Path, files: &mut Vec<MountedFile>, failures: &mut Failures) {
    let found = fs::metadata(path).and_then(|about| match about.is_dir() {
        true => fs::read_dir(path)?.collect::<io::Result<Vec<_>>>(),
        false => {
            let (path, size) = (path.to_owned(), about.len());
            files.push(MountedFile { path, size });
            Ok(Vec::new())
        }
    });
    match found {
        Ok(entries) => entries
            .iter()
            .for_each(|entry| collect(&entry.path(), files, failures)),
        Err(error) => failures.tell(path, &error.into()),
    }
}

/// Waits until each file is there or was given up, and shows how far that is.
fn await_all(files: &[MountedFile], failures: &mut Failures) {
    let all: u64 = files.iter().map(|file| file.size).sum();
    let mut progress = Progress::new(files.len(), all);
    let mut before = 0;
    for (number, file) in files.iter().enumerate() {
        let done = loop {
            match percentage(&file.path) {
                Ok(100) => break Ok(()),
                Ok(percentage) => {
                    progress.show(number, before + file.size / 100 * percentage);
                }
                Err(error) => break Err(error),
            }
            thread::sleep(LOOK_AGAIN);
        };
        before += file.size;
        if let Err(error) = done {
            progress.clear();
            failures.tell(&file.path, &error);
        }
    }
    progress.clear();
}

/// How much of a pinned file is there.
///
/// # Errors
/// When it is not pinned any more, or fetching it has failed.
fn percentage(path: &Path) -> Result<u64> {
    let text = attribute(path, CACHED)?;
    let percentage = text.parse().context("the mount's answer makes no sense")?;
    if percentage == 100 {
        return Ok(100);
    }
    match attribute(path, PIN) {
        Err(Errno::NODATA) => bail!("it was replaced on the drive or unpinned meanwhile"),
        result => result?,
    };
    match attribute(path, ERROR) {
        Ok(words) => {
            bail!("{percentage} % is there: {words} (it stays pinned: opening it goes on)")
        }
        Err(Errno::NODATA) => Ok(percentage),
        Err(error) => Err(error.into()),
    }
}

/// A line that says how far it is, on a terminal.
struct Progress {
    is_shown: bool,
    files: usize,
    bytes: u64,
}

impl Progress {
    fn new(files: usize, bytes: u64) -> Progress {
        Progress {
            is_shown: io::stderr().is_terminal(),
            files,
            bytes,
        }
    }

    fn show(&mut self, files: usize, bytes: u64) {
        if self.is_shown {
            let percentage = (bytes * 100).checked_div(self.bytes).unwrap_or(100);
            self.write(&format!("{percentage} %, {files} of {} files", self.files));
        }
    }

    fn clear(&mut self) {
        if self.is_shown {
            self.write("");
        }
    }

    /// Writes over what stood there. Nobody may be looking any more.
    fn write(&mut self, line: &str) {
        let mut stderr = io::stderr();
        let _written = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
    }
}
