use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use linkfs_core::{Attributes, Entry, Error, HandleId, Layout, NodeId, Volume, VolumeOptions};

use crate::config::Config;
use crate::drive_path::DrivePath;
use crate::setup::{Opened, Setup, Workers};

/// One drive, looked at without a mount.
pub(crate) struct Browser {
    pub(crate) workers: Workers,
    pub(crate) volume: Arc<Volume>,
}

impl Browser {
    pub(crate) fn open(setup: &Setup, drive: &str) -> Result<Browser> {
        setup.start_log()?;
        let config = setup.config()?;
        let workers = Workers::start()?;
        let opened = workers.run(setup.open(&config, drive, config.mount.deadline))?;
        let volume = of_drive(&config, &opened)?;
        Ok(Browser { workers, volume })
    }

    pub(crate) fn resolve(&self, path: &DrivePath) -> Result<Attributes> {
        let found = self.workers.run(self.volume.resolve(Path::new(&path.path)));
        found.map_err(|error| self.explain(path, &error))
    }

    /// What is in a folder, by name.
    pub(crate) fn entries(&self, folder: NodeId) -> Result<Vec<Entry>, Error> {
        let mut entries = self.workers.run(read_folder(&self.volume, folder))?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// The error of a request for `path`, with what to do about it.
    pub(crate) fn explain(&self, path: &DrivePath, error: &Error) -> anyhow::Error {
        anyhow!("{path}: {}", explain(&self.volume, error))
    }
}

/// A volume with one drive at its top.
pub(crate) fn of_drive(config: &Config, opened: &Opened) -> Result<Arc<Volume>> {
    let options = VolumeOptions {
        memory: config.cache.memory,
        deadline: opened.deadline,
        listing_ttl: config.mount.listing_ttl,
        layout: Layout::OneDrive,
        disk: None,
        share: config.share()?,
    };
    Ok(Volume::new(vec![opened.drive(None)?], options))
}

/// Asks a drive for the first entries of a folder: whether it answers at all.
pub(crate) async fn read_start(volume: &Volume, folder: NodeId) -> Result<Vec<Entry>, Error> {
    let handle = volume.open_folder(folder).await?.handle;
    let entries = volume.read_folder(handle, 0).await;
    volume.close(handle);
    entries
}

async fn read_folder(volume: &Volume, folder: NodeId) -> Result<Vec<Entry>, Error> {
    let handle = volume.open_folder(folder).await?.handle;
    let entries = read_to_end(volume, handle).await;
    volume.close(handle);
    entries
}

async fn read_to_end(volume: &Volume, folder: HandleId) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    loop {
        let more = volume.read_folder(folder, entries.len()).await?;
        if more.is_empty() {
            return Ok(entries);
        }
        entries.extend(more);
    }
}

/// An error in words, with what to do about it where the drive is to blame.
pub(crate) fn explain(volume: &Volume, error: &Error) -> String {
    let reason = error.to_string();
    let mut drives = volume.status().drives.into_iter();
    let blamed = drives.find(|drive| drive.reason.as_ref() == Some(&reason));
    match blamed.and_then(|drive| drive.advice) {
        Some(advice) if !advice.is_empty() => format!("{reason}; {advice}"),
        _ => reason,
    }
}
