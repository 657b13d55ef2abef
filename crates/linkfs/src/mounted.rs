//! Files of a mount, as the commands about them see them: by their attributes.

use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::{getxattr, major, minor};
use rustix::io::Errno;
use serde::Deserialize;

use crate::control::NO_SENSE;
use crate::{mount_table, output};

/// Why the last request about a file failed.
pub(crate) const ERROR: &str = "user.linkfs.error";
/// The kernel takes no longer ones.
const LONGEST_VALUE: usize = 64 << 10;

/// What went wrong with single files: each is told at once, and the others are gone on with.
#[derive(Default)]
pub(crate) struct Failures(usize);

impl Failures {
    pub(crate) fn tell(&mut self, path: &Path, error: &anyhow::Error) {
        self.0 += 1;
        let path = output::shown(&path.to_string_lossy());
        let error = output::shown(&format!("{error:#}"));
        eprintln!("linkfs: {path}: {error}");
    }

    pub(crate) fn result(self) -> Result<()> {
        match self.0 {
            0 => Ok(()),
            1 => bail!("it failed for one file or folder"),
            count => bail!("it failed for {count} files or folders"),
        }
    }
}

/// Other file systems would take the attribute too, and mean nothing by it.
pub(crate) fn check_mounted(path: &Path) -> Result<()> {
    let device = fs::metadata(path)?.dev();
    let device = format!("{}:{}", major(device), minor(device));
    let ours = mount_table::ours()?;
    let is_ours = ours.iter().any(|mount| mount.device == device);
    ensure!(is_ours, "it is not on a mount of linkfs");
    Ok(())
}

/// The folder of ours that is mounted, in or on which a file is that is named as the mount table would.
pub(crate) fn top_of(name: &Path) -> Result<&Path> {
    let device = fs::metadata(name)?.dev();
    // The mount is where the device begins.
    let is_inside = |above: &&Path| fs::metadata(above).is_ok_and(|about| about.dev() == device);
    let top = name.ancestors().take_while(is_inside).last();
    top.context("a file is in its mount")
}

/// Whether the mount that a file is in only rehearses requests about shares.
pub(crate) fn only_rehearses(path: &Path) -> Result<bool> {
    let name = mount_table::name_of(path)?;
    let status = fs::read(top_of(&name)?.join(".linkfs/status"))?;
    let status: Status = serde_json::from_slice(&status).context(NO_SENSE)?;
    Ok(status.dry_run)
}

/// What of a mount's status is asked here.
#[derive(Deserialize)]
struct Status {
    dry_run: bool,
}

/// The mount's own words for a failure, if it has some.
pub(crate) fn explain(path: &Path, error: Errno) -> anyhow::Error {
    // Of these it keeps no words, and those it has are about something before.
    let is_plain = matches!(
        error,
        Errno::NOENT | Errno::NOTDIR | Errno::ISDIR | Errno::ROFS | Errno::NODATA
    );
    match attribute(path, ERROR) {
        Ok(words) if !is_plain => anyhow!(words),
        _ => error.into(),
    }
}

pub(crate) fn attribute(path: &Path, name: &str) -> Result<String, Errno> {
    let mut value = vec![0; LONGEST_VALUE];
    let length = getxattr(path, name, &mut *value)?;
    Ok(String::from_utf8_lossy(&value[..length]).into_owned())
}

/// The access code of a share, from stdin.
pub(crate) fn read_code() -> Result<String> {
    if io::stdin().is_terminal() {
        eprint!("Access code: ");
    }
    let mut line = String::new();
    io::stdin()
        .read_line(&mut line)
        .context("cannot read the access code from stdin")?;
    let code = line.trim_end_matches(['\r', '\n']);
    ensure!(!code.is_empty(), "there is no access code on stdin");
    Ok(code.to_owned())
}
