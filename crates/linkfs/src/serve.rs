//! A mount from its beginning to its end: the folder is checked, the drives are asked once, then they
//! are mounted and served until somebody unmounts them or a signal says so.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use linkfs_core::{Drive, Entry, Layout, NodeId, Volume, VolumeOptions};
use linkfs_fuse::{MountOptions, Mounted};
use tokio::time::Instant;

use crate::daemon::Note;
use crate::event::{Event, Events, Signals};
use crate::mount_lock::MountLock;
use crate::mount_table::{self, Mount};
use crate::unmount::{self, Detach, StillMounted};
use crate::{background, browser, descriptors};

/// How long a mount waits to know how full its drives are: `df` would like to know, nobody needs to.
const USAGE_PATIENCE: Duration = Duration::from_secs(2);

/// How long a mount of several drives waits for the others once one has answered.
const LATECOMER_PATIENCE: Duration = Duration::from_secs(5);

/// A folder that can be mounted on.
#[derive(Debug)]
pub(crate) struct MountPoint(PathBuf);

impl MountPoint {
    /// Checks the folder; a mount of ours on it whose process has died is taken away first.
    pub(crate) fn prepare(folder: &Path) -> Result<MountPoint> {
        let name = mount_table::name_of(folder)?;
        if unmount::clear_dead_mount(&name)? {
            tracing::info!(folder = %name.display(), "detached a mount whose process had died");
        }
        let about = fs::metadata(&name).map_err(|error| match error.kind() {
            ErrorKind::NotFound => anyhow!("there is no such folder"),
            _ => error.into(),
        })?;
        ensure!(about.is_dir(), "it is not a folder");
        Ok(MountPoint(name))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }
}

/// The tree of `drives`, which have listed their tops: a token that is refused is found now, while
/// somebody is there to read it. Of several drives one is enough; the others are mounted as they are,
/// and come back when they answer. So is one whose top an earlier mount has saved.
pub(crate) async fn open_volume(
    drives: Vec<Arc<Drive>>,
    options: VolumeOptions,
) -> Result<Arc<Volume>> {
    let layout = options.layout;
    let volume = Volume::new(drives, options);
    let top = browser::read_start(&volume, NodeId::ROOT).await;
    let top = top.map_err(|error| anyhow!(browser::explain(&volume, &error)))?;
    let told = match layout {
        Layout::DriveFolders => await_one(&volume, &top).await?,
        Layout::OneDrive => BTreeSet::new(),
    };
    volume.follow_tasks();
    volume.learn_usage(USAGE_PATIENCE).await;
    tell_failures(&volume, layout, &told)?;
    Ok(volume)
}

/// Tells of the drives that do not answer although their tops could be listed, from what an earlier mount
/// has saved. A login that is over keeps the only drive from being mounted, as without anything saved.
fn tell_failures(volume: &Volume, layout: Layout, told: &BTreeSet<String>) -> Result<()> {
    for drive in volume.status().drives {
        let needs_login = drive.needs_login();
        let Some(reason) = drive.reason.filter(|_| !told.contains(&drive.name)) else {
            continue;
        };
        let advice = drive.advice.filter(|advice| !advice.is_empty());
        let reason = match advice {
            Some(advice) => format!("{reason}; {advice}"),
            None => reason,
        };
        if layout == Layout::OneDrive && needs_login {
            bail!(reason);
        }
        tell_failure(&drive.name, &reason);
    }
    Ok(())
}

fn tell_failure(drive: &str, reason: &str) {
    background::warn(&format!(
        "drive \"{drive}\": {reason} (mounted; it comes back when it answers)"
    ));
}

/// Waits until every drive has answered, or [`LATECOMER_PATIENCE`] after the first that did well. Tells of
/// the others, and gives their names.
async fn await_one(volume: &Arc<Volume>, drives: &[Entry]) -> Result<BTreeSet<String>> {
    let mut asking: FuturesUnordered<_> = drives
        .iter()
        .map(async |drive| {
            (
                drive,
                browser::read_start(volume, drive.attributes.id).await,
            )
        })
        .collect();
    let mut latest = None;
    let mut silent: BTreeSet<&str> = drives.iter().map(|drive| &*drive.name).collect();
    let mut failures = Vec::new();
    loop {
        let answer = match latest {
            None => asking.next().await,
            Some(latest) => tokio::time::timeout_at(latest, asking.next())
                .await
                .unwrap_or_default(),
        };
        let Some((drive, listed)) = answer else { break };
        silent.remove(&*drive.name);
        match listed {
            Ok(_) => {
                latest.get_or_insert_with(|| Instant::now() + LATECOMER_PATIENCE);
            }
            Err(error) => {
                failures.push((drive.name.to_string(), browser::explain(volume, &error)));
            }
        }
    }
    if latest.is_none() && !failures.is_empty() {
        let reasons = failures.iter();
        let reasons: Vec<_> = reasons
            .map(|(drive, reason)| format!("drive \"{drive}\": {reason}"))
            .collect();
        bail!(reasons.join("; "));
    }
    for (drive, reason) in &failures {
        tell_failure(drive, reason);
    }
    for name in &silent {
        background::warn(&format!("drive \"{name}\" does not answer yet (mounted)"));
    }
    let failed = failures.into_iter().map(|(drive, _)| drive);
    Ok(failed
        .chain(silent.into_iter().map(str::to_owned))
        .collect())
}

/// Mounts `volume` and serves it to its end. `announce` is told when it can be used; in the
/// background, whoever waits there is.
pub(crate) async fn serve(
    volume: Arc<Volume>,
    point: &MountPoint,
    allow_other: bool,
    announce: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let folder = point.folder();
    descriptors::raise_limit();
    // Caught before there is anything to clean up.
    let signals = Signals::catch()?;
    let options = MountOptions {
        source: mount_table::SOURCE.to_owned(),
        allow_other,
    };
    let (mounted, mount, _note) = mount(&volume, folder, &options)?;
    tracing::info!(folder = %folder.display(), "mounted");
    let told = match background::ready() {
        Ok(()) => announce(folder),
        failed => failed,
    };
    if let Err(error) = told {
        take_away(&mount, Detach::Lazily)?;
        return Err(error);
    }
    let ended = wait(Events::of(signals, mounted), &mount).await;
    tracing::info!(folder = %folder.display(), "unmounted");
    volume.settle().await;
    ended
}

/// Mounts, unless another process has done so while the drives were asked, and notes whose mount it is.
fn mount(
    volume: &Arc<Volume>,
    folder: &Path,
    options: &MountOptions,
) -> Result<(Mounted, Mount, Option<Note>)> {
    let cannot = || format!("cannot mount on {}", folder.display());
    let turn = MountLock::take();
    // Without it two that mount at the very same moment may miss each other, and that is all.
    let _turn = turn.inspect_err(|error| tracing::warn!("mounting without a lock: {error:#}"));
    unmount::clear_dead_mount(folder).with_context(cannot)?;
    let mounted = linkfs_fuse::mount(volume.clone(), folder, options)
        .with_context(|| cannot() + &device_trouble())?;
    let mount = mount_table::at(folder)?.with_context(|| {
        let shown = folder.display();
        format!("{shown} was unmounted as soon as it was mounted")
    })?;
    let note = leave_note(&mount);
    Ok((mounted, mount, note))
}

/// The usual reason why nothing at all can be mounted on a machine; empty when it is not that.
fn device_trouble() -> String {
    let device = "/dev/fuse";
    match File::options().read(true).write(true).open(device) {
        Ok(_) => String::new(),
        Err(error) => format!(" ({device} cannot be opened, which every mount needs: {error})"),
    }
}

/// Without the note `unmount` does not wait for this process's end, and that is all.
fn leave_note(mount: &Mount) -> Option<Note> {
    let note = Note::write(mount);
    note.inspect_err(|error| tracing::warn!("cannot note the process of this mount: {error:#}"))
        .ok()
}

/// The first signal unmounts if nobody uses the mount. The second does so in any case, but for a mount that something
/// else lies on, and ends.
async fn wait(mut events: Events, mount: &Mount) -> Result<()> {
    let mut was_asked = false;
    loop {
        match events.next().await {
            Event::Unmounted(ended) => return ended.context("the mount broke"),
            Event::Signal if was_asked => {
                take_away(mount, Detach::Lazily)?;
                return Ok(());
            }
            Event::Signal => {
                was_asked = true;
                take_away(mount, Detach::IfIdle).unwrap_or_else(|error| complain(&error));
            }
        }
    }
}

/// Takes our mount away, and none that somebody else has put on the folder.
fn take_away(mount: &Mount, how: Detach) -> Result<()> {
    let folder = &mount.folder;
    let Some(topmost) = mount_table::at(folder)? else {
        return Ok(());
    };
    let shown = folder.display();
    ensure!(
        topmost == *mount,
        "another mount lies on {shown}: unmount that first"
    );
    match unmount::detach(folder, how) {
        Ok(()) => Ok(()),
        Err(StillMounted::Busy) => bail!(unmount::busy_message(folder)),
        Err(StillMounted::Failed(error)) => Err(error),
    }
}

fn complain(error: &anyhow::Error) {
    tracing::warn!("{error:#}; a second signal ends it at once");
    if io::stderr().is_terminal() {
        eprintln!("linkfs: {error:#}. Ctrl-C again ends it at once");
    }
}
