//! Files for nobody's eyes but ours.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Puts `bytes` in the place of `path`, whole or not at all, for nobody's eyes but ours.
///
/// # Errors
/// What the file system says.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let temporary = folder.join(temporary_name());
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Half of it may stand there on a full disk.
        let _may_not_be_there = fs::remove_file(&temporary);
    }
    written
}

/// # Errors
/// What the file system says; that there was none is none.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// Another in every process, container and moment: mounts that share a folder write side by side.
fn temporary_name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let (nanos, pid) = (now.unwrap_or_default().as_nanos(), std::process::id());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{pid}-{nanos}-{count}{TEMPORARY}")
}

/// Ends the names of files that are being written.
pub(crate) const TEMPORARY: &str = ".tmp";
