//! `linkfs unmount`, and taking a mount away in general.

use std::env;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;

use crate::args::UnmountArgs;
use crate::busy;
use crate::daemon::Daemon;
use crate::mount_table::{self, Mount};

/// How a mount is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detach {
    /// Now, or not at all when somebody uses it.
    IfIdle,
    /// Out of sight now, for good when its last user has gone.
    Lazily,
}

/// Why a mount is still there.
#[derive(Debug)]
pub(crate) enum StillMounted {
    Busy,
    Failed(anyhow::Error),
}

/// `linkfs unmount DIR`
pub(crate) fn run(args: &UnmountArgs) -> Result<()> {
    let how = match args.lazy {
        true => Detach::Lazily,
        false => Detach::IfIdle,
    };
    let folder = mount_table::name_of(&args.folder)?;
    let mount = ours_at(&folder)?;
    // Standing in the mount, this process would keep it busy itself.
    env::set_current_dir("/").context("cannot leave the working folder")?;
    let daemon = Daemon::of(&mount);
    match detach(&folder, how) {
        Ok(()) => {}
        Err(StillMounted::Failed(error)) => return Err(error),
        Err(StillMounted::Busy) => bail!(busy_message(&folder)),
    }
    match daemon {
        // A lazily detached mount is served until its last user has gone.
        Some(daemon) if how == Detach::IfIdle => wait_for(&daemon),
        _ => Ok(()),
    }
}

/// What to say of a mount that cannot go because it is used.
pub(crate) fn busy_message(folder: &Path) -> String {
    let holders = busy::describe(&busy::holders(folder));
    let shown = folder.display();
    format!(
        "{shown} is busy: {holders}. End that, or detach it with `linkfs unmount --lazy {shown}`"
    )
}

/// Takes the mount on `folder` away: itself where it may, else with the help of `fusermount3`.
pub(crate) fn detach(folder: &Path, how: Detach) -> Result<(), StillMounted> {
    let flags = match how {
        Detach::IfIdle => UnmountFlags::NOFOLLOW,
        Detach::Lazily => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(folder, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(StillMounted::Busy),
        Err(Errno::PERM) => ask_fusermount(folder, how),
        Err(error) => {
            let error = anyhow::Error::new(io::Error::from(error));
            let error = error.context(format!("cannot unmount {}", folder.display()));
            Err(StillMounted::Failed(error))
        }
    }
}

/// Detaches a mount of ours on `folder` whose process has died. Gives whether there was one.
///
/// # Errors
/// When a mount of ours is there and alive: nobody would find it under a second one.
pub(crate) fn clear_dead_mount(folder: &Path) -> Result<bool> {
    let Some(mount) = mount_table::at(folder)?.filter(Mount::is_ours) else {
        return Ok(false);
    };
    let shown = folder.display();
    let first = format!("`linkfs unmount {shown}` first");
    if let Some(daemon) = Daemon::of(&mount) {
        bail!(
            "linkfs is mounted there already (pid {}): {first}",
            daemon.pid
        );
    }
    // What `stat` shows may be the kernel's memory of a dead mount; opening asks its process.
    let error = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotConnected => error,
        _ => bail!("linkfs is mounted there already: {first}"),
    };
    match detach(folder, Detach::Lazily) {
        Ok(()) => Ok(true),
        Err(StillMounted::Busy) => Err(error).context(format!("{shown} cannot be detached")),
        Err(StillMounted::Failed(error)) => Err(error),
    }
}

fn ours_at(folder: &Path) -> Result<Mount> {
    let shown = folder.display();
    match mount_table::at(folder)? {
        Some(mount) if mount.is_ours() => {
            let us = rustix::process::geteuid();
            let is_others = mount.user.is_some_and(|user| user != us.as_raw());
            ensure!(
                us.is_root() || !is_others,
                "{shown} is another user's mount: only that user or root can unmount it"
            );
            Ok(mount)
        }
        Some(mount) => bail!(
            "{shown} is mounted, but not by linkfs: it is {}",
            mount.kind
        ),
        None => match surrounding(folder)? {
            Some(above) => bail!("{shown} is no mount itself, it lies in {}", above.display()),
            None => bail!("nothing is mounted on {shown}"),
        },
    }
}

/// The mount of ours that `folder` lies in.
fn surrounding(folder: &Path) -> Result<Option<PathBuf>> {
    let ours = mount_table::ours()?.into_iter().map(|mount| mount.folder);
    Ok(ours.into_iter().find(|mount| folder.starts_with(mount)))
}

/// The program that FUSE installs for users, who may not unmount by themselves.
fn ask_fusermount(folder: &Path, how: Detach) -> Result<(), StillMounted> {
    let mut command = Command::new("fusermount3");
    command
        .args(["-u", "-q"])
        .env("LC_ALL", "C")
        .stdin(Stdio::null());
    if how == Detach::Lazily {
        command.arg("-z");
    }
    // `-q` silences the busy message alone, so anything it says is another failure.
    let output = command.arg("--").arg(folder).output();
    let output = output
        .context("cannot run fusermount3")
        .map_err(StillMounted::Failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    match said.trim() {
        said if said.is_empty() || said.contains("busy") => Err(StillMounted::Busy),
        said => Err(StillMounted::Failed(anyhow::anyhow!("{said}"))),
    }
}

fn wait_for(daemon: &Daemon) -> Result<()> {
    // It ends at once. Longer means that it is stuck, and the mount is gone all the same.
    if !daemon.wait(Duration::from_secs(10))? {
        eprintln!(
            "linkfs: unmounted, but its process (pid {}) is still there",
            daemon.pid
        );
    }
    Ok(())
}
