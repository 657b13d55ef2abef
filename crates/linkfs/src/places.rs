//! Where the program keeps its files, as the XDG base directory rules say.

use std::env;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The configuration file that is read when no other is named.
pub(crate) fn config_file() -> Result<PathBuf> {
    Ok(base("XDG_CONFIG_HOME", ".config")?.join("linkfs/config.toml"))
}

/// Where a person's own plugins are.
pub(crate) fn plugins() -> Result<PathBuf> {
    Ok(base("XDG_CONFIG_HOME", ".config")?.join("linkfs/plugins"))
}

/// The log of mounts in the background.
pub(crate) fn log_file() -> Result<PathBuf> {
    Ok(state()?.join("linkfs.log"))
}

/// Where requests about shares are written down, when no other file is named.
pub(crate) fn share_audit() -> Result<PathBuf> {
    Ok(state()?.join("shares.log"))
}

/// Where tasks that drives work on are kept for the next mount.
pub(crate) fn tasks() -> Result<PathBuf> {
    Ok(state()?.join("tasks"))
}

/// Where one drive's plugin keeps what must outlive the process.
pub(crate) fn drive_state(drive: &str) -> Result<PathBuf> {
    Ok(state()?.join("drives").join(drive))
}

/// The same for a plugin that is checked with settings of no configured drive.
pub(crate) fn check_state(plugin: &str) -> Result<PathBuf> {
    Ok(state()?.join("checks").join(plugin))
}

/// Where what may be lost is kept from one mount to the next, when no other folder is named.
pub(crate) fn cache() -> Result<PathBuf> {
    Ok(base("XDG_CACHE_HOME", ".cache")?.join("linkfs"))
}

/// Where a mount notes which process serves it. Without a session's runtime folder (root, cron) the
/// state folder does: what a reboot leaves there is noticed to be stale.
pub(crate) fn run() -> Result<PathBuf> {
    match absolute("XDG_RUNTIME_DIR") {
        Some(folder) => Ok(folder.join("linkfs")),
        None => Ok(state()?.join("run")),
    }
}

/// `~/rest` inside the home folder; any other path as it is.
///
/// # Errors
/// For `~name`, which only a shell understands, and for no path at all.
pub(crate) fn expand_home(path: &str) -> Result<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => Ok(home()?.join(rest)),
        None if path == "~" => home(),
        None if path.is_empty() => bail!("an empty path names no file or folder"),
        None if path.starts_with('~') => bail!("only ~/ is understood, your own home folder"),
        None => Ok(PathBuf::from(path)),
    }
}

/// The home folder.
pub(crate) fn home() -> Result<PathBuf> {
    absolute("HOME").context("HOME is not set to an absolute path")
}

/// Makes a folder, and the folders above it, for nobody but us.
pub(crate) fn make_private(folder: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("cannot make the folder {}", folder.display()))
}

fn state() -> Result<PathBuf> {
    Ok(base("XDG_STATE_HOME", ".local/state")?.join("linkfs"))
}

fn base(variable: &str, in_home: &str) -> Result<PathBuf> {
    match absolute(variable) {
        Some(folder) => Ok(folder),
        None => Ok(home()?.join(in_home)),
    }
}

/// The XDG rules say that a relative path in these variables is to be ignored.
fn absolute(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os(variable)?);
    path.is_absolute().then_some(path)
}
