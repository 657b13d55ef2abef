//! Processes that mount take turns from the last look at the folder to the note of who serves it: two that
//! began at once would both find it free, and then take each other's mount for their own.

use std::fs::File;

use anyhow::{Context, Result};

use crate::places;

/// This process's turn. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub(crate) struct MountLock {
    _folder: File,
}

impl MountLock {
    /// Waits for the turn, which takes others milliseconds: drives are asked before.
    ///
    /// The lock is the folder's where the notes are, so that no file is left.
    ///
    /// # Errors
    /// When there can be no such folder, or its file system has no locks.
    pub(crate) fn take() -> Result<MountLock> {
        let path = places::run()?;
        places::make_private(&path)?;
        let shown = path.display();
        let folder = File::open(&path).with_context(|| format!("cannot open {shown}"))?;
        let locked = folder.lock();
        locked.with_context(|| format!("cannot lock {shown}"))?;
        Ok(MountLock { _folder: folder })
    }
}
