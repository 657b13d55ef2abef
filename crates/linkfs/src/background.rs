//! Going to the background once ready.
//!
//! The command starts itself again and waits: the child does all the work, reports `ready` or what
//! went wrong over a pipe, which is its stdout until then, and stays. So a failure reaches the terminal
//! and the exit code, and a script that mounts can use the mount at once.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use anyhow::{Context, Result, bail};
use rustix::io::{Errno, FdFlags};

use crate::environment::{self, Environment};
use crate::output;

/// What the child writes when all is well. An error is any other text.
const READY: &str = "ready";

/// What a line of the child begins with that is for a person and ends nothing.
const WARNING: &str = "warning: ";

/// Whether this process is the one in the background.
pub(crate) fn is_child() -> bool {
    env::var_os(environment::BACKGROUND).is_some()
}

/// Starts this command again in the background, and returns when it is ready. Its environment lacks
/// the variables `secrets`, its log is `log`.
///
/// # Errors
/// What it reports, or that it died.
pub(crate) fn start(
    environment: &Environment,
    secrets: &BTreeSet<&str>,
    (log, log_path): (File, PathBuf),
) -> Result<()> {
    keep_descriptors().context("cannot keep inherited files from the mount's process")?;
    let (mut report, reporter) = io::pipe().context("cannot make a pipe")?;
    let mut command = environment::ourselves()?;
    let _memfd = environment.hand_over(secrets, &mut command)?;
    command
        .env(environment::BACKGROUND, "1")
        .stdin(Stdio::null())
        .stdout(reporter)
        .stderr(log);
    let child = command.spawn().context("cannot start in the background")?;
    // It holds our end of the pipe for writing; with it open the reading would never end.
    drop(command);
    let mut text = String::new();
    report
        .read_to_string(&mut text)
        .context("cannot hear from the background")?;
    let (warnings, report): (Vec<_>, Vec<_>) =
        text.lines().partition(|line| line.starts_with(WARNING));
    for warning in warnings {
        eprintln!("linkfs: {}", output::shown(warning));
    }
    match report.join("\n").trim_end() {
        READY => Ok(()),
        "" => died(child, &log_path),
        error => bail!("{}", error.to_owned()),
    }
}

/// Tells whoever mounts of something that does not keep the mount from being used. In the foreground
/// the log does.
pub(crate) fn warn(text: &str) {
    tracing::warn!("{text}");
    if is_child() {
        // One line, whatever a drive has said. Nobody there to be told is no failure.
        let _ = writeln!(io::stdout(), "{WARNING}{}", text.replace('\n', " "));
    }
}

/// Lets none of the files that our own caller left open go on to the child: a lock, or the end of a
/// pipe, would be held for as long as the mount lives.
fn keep_descriptors() -> io::Result<()> {
    // Collected first: the listing has a descriptor of its own, gone by then.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for number in open {
        // SAFETY: borrowed for one call that changes a flag; a number that is closed is refused.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        match rustix::io::fcntl_setfd(descriptor, FdFlags::CLOEXEC) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Tells the waiting command that all is well, and lets go of its terminal, its folder and its pipe.
/// Does nothing in the foreground.
///
/// # Errors
/// When nobody waits any more: then nobody wants the mount either.
pub(crate) fn ready() -> Result<()> {
    if !is_child() {
        return Ok(());
    }
    rustix::process::setsid().context("cannot leave the terminal")?;
    env::set_current_dir("/").context("cannot leave the working folder")?;
    let told = writeln!(io::stdout(), "{READY}").and_then(|()| io::stdout().flush());
    told.context("the command that waited for this mount is gone")?;
    let nowhere = File::options()
        .write(true)
        .open("/dev/null")
        .context("cannot open /dev/null")?;
    rustix::stdio::dup2_stdout(nowhere).context("cannot close the pipe")
}

/// Tells the waiting command what went wrong. Does nothing in the foreground, and nothing that matters
/// after [`ready`].
pub(crate) fn failed(error: &anyhow::Error) {
    if is_child() {
        // Nobody there to be told is no second failure.
        let _ = writeln!(io::stdout(), "{error:#}");
    }
}

fn died(mut child: Child, log: &Path) -> Result<()> {
    let status = child.wait().context("cannot wait for the background")?;
    let log = log.display();
    bail!("the mount's process ended before it was ready ({status}); {log} may say why");
}
