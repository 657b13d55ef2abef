use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    command: String,
}

impl Outcome {
    /// What it wrote to stdout, provided that it succeeded.
    ///
    /// # Panics
    /// When it failed, with all it said.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.status.success(), "{} failed: {self:#?}", self.command);
        self.stdout
    }

    /// What it wrote to stderr, provided that it failed.
    ///
    /// # Panics
    /// When it succeeded.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(
            !self.status.success(),
            "{} succeeded: {self:#?}",
            self.command
        );
        self.stderr
    }

    /// Everything it wrote.
    pub fn output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a command to its end, without input.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn run(command: &mut Command) -> Outcome {
    run_with(command, Stdio::null())
}

/// Runs a command to its end with this input.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
pub fn run_with(command: &mut Command, input: Stdio) -> Outcome {
    let shown = format!("{command:?}");
    let started = command.stdin(input).output();
    let Output {
        status,
        stdout,
        stderr,
    } = started.unwrap_or_else(|error| panic!("{shown}: {error}"));
    Outcome {
        status,
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
        command: shown,
    }
}

/// Runs a line of shell in `folder`. The line may say `$1` for `argument`. A line that takes longer than
/// two minutes hangs, and is ended.
///
/// # Panics
/// When there is no bash.
#[track_caller]
pub fn shell(folder: &Path, line: &str, argument: &Path) -> Outcome {
    let mut command = Command::new("timeout");
    command
        .args([
            "--kill-after=5",
            "120",
            "bash",
            "-o",
            "pipefail",
            "-ec",
            line,
            "bash",
        ])
        .arg(argument)
        .env("LC_ALL", "C.UTF-8")
        .current_dir(folder);
    run(&mut command)
}

/// All bytes of a file, which the kernel does not keep: the next reading of it asks the mount again.
///
/// # Errors
/// Those of the calls.
pub fn read_and_forget(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    // SAFETY: plain numbers, and a descriptor that is open.
    let told = unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    assert_eq!(told, 0);
    Ok(bytes)
}

/// Looks until `what` has come about.
///
/// # Panics
/// When it has not after 20 s.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "20 s later, not yet: {what}");
        // A breath between two looks, for the machine's sake.
        thread::sleep(Duration::from_millis(10));
    }
}
