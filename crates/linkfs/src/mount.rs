//! `linkfs mount [DRIVE[:/PATH]] DIR`

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use linkfs_core::{Drive, Kind, Layout, SavedListings, ShareOptions, Volume, VolumeOptions};
use linkfs_provider::{ErrorKind, ItemId, ProviderError};

use crate::args::MountArgs;
use crate::config::Config;
use crate::drive_path::DrivePath;
use crate::serve::{self, MountPoint};
use crate::setup::{Opened, Setup, Workers};
use crate::{background, browser};

pub(crate) fn run(setup: &Setup, args: &MountArgs) -> Result<()> {
    let what = args.what().map_err(|message| anyhow!(message))?;
    let config = setup.config()?;
    let secrets = config.secret_variables();
    if !args.foreground && !background::is_child() {
        return background::start(&setup.environment, &secrets, setup.background_log()?);
    }
    setup.environment.hide(&secrets)?;
    setup.start_log()?;
    let point = MountPoint::prepare(args.folder()).with_context(|| hint(&config, args, &what))?;
    let workers = Workers::start()?;
    workers.run(async {
        if let Ok(cache) = config.cache_directory() {
            tokio::task::spawn_blocking(move || SavedListings::prune(&cache));
        }
        let volume = open_volume(setup, &config, args, what.as_ref()).await?;
        let allow_other = args.allow_other || config.mount.allow_other;
        serve::serve(volume, &point, allow_other, |_| Ok(())).await
    })
}

async fn open_volume(
    setup: &Setup,
    config: &Config,
    args: &MountArgs,
    what: Option<&DrivePath>,
) -> Result<Arc<Volume>> {
    let deadline = args.deadline.unwrap_or(config.mount.deadline);
    let drives = match what {
        Some(place) => vec![open_place(setup, config, place, deadline).await?],
        None => open_all(setup, config, deadline).await?,
    };
    let options = VolumeOptions {
        memory: args.memory.unwrap_or(config.cache.memory),
        deadline,
        listing_ttl: config.mount.listing_ttl,
        layout: match what {
            Some(_) => Layout::OneDrive,
            None => Layout::DriveFolders,
        },
        disk: config.disk()?,
        share: ShareOptions {
            top: what.map_or_else(String::new, |place| place.path.clone()),
            ..config.share()?
        },
    };
    serve::open_volume(drives, options).await
}

/// Opens every drive. One whose plugin cannot be had now is told of and left out, unless none is left then; one that
/// is configured wrongly keeps all from being mounted, while somebody is there to put it right.
async fn open_all(setup: &Setup, config: &Config, deadline: Duration) -> Result<Vec<Arc<Drive>>> {
    config.require_drives()?;
    let opening = config
        .drives
        .keys()
        .map(async |name| (name, setup.open(config, name, deadline).await));
    let mut drives = Vec::new();
    let mut failures = Vec::new();
    for (name, opened) in futures_util::future::join_all(opening).await {
        match opened {
            Ok(drive) => drives.push(drive.saving_listings(config)?.drive(None)?),
            Err(error) if is_unavailable(&error) => failures.push((name, error)),
            Err(error) => return Err(error),
        }
    }
    if drives.is_empty()
        && let Some((_, error)) = failures.pop()
    {
        return Err(error);
    }
    for (name, error) in failures {
        background::warn(&format!("drive \"{name}\" is left out: {error:#}"));
    }
    Ok(drives)
}

/// Whether a plugin failed to run, rather than to take its configuration.
fn is_unavailable(error: &anyhow::Error) -> bool {
    let provider = error.downcast_ref::<ProviderError>();
    provider.is_some_and(|error| error.kind == ErrorKind::Unavailable)
}

async fn open_place(
    setup: &Setup,
    config: &Config,
    place: &DrivePath,
    deadline: Duration,
) -> Result<Arc<Drive>> {
    let opened = setup.open(config, &place.drive, deadline).await?;
    let opened = opened.saving_listings(config)?;
    let root = match place.is_top() {
        true => None,
        false => Some(folder_id(config, &opened, place).await?),
    };
    opened.drive(root)
}

/// The id of the folder that is to be the top.
async fn folder_id(config: &Config, opened: &Opened, place: &DrivePath) -> Result<ItemId> {
    let volume = browser::of_drive(config, opened)?;
    let explain = |error| anyhow!("{place}: {}", browser::explain(&volume, &error));
    let found = volume
        .resolve(Path::new(&place.path))
        .await
        .map_err(explain)?;
    ensure!(found.kind == Kind::Folder, "{place} is not a folder");
    volume.settle().await;
    let id = volume
        .attribute(found.id, "user.linkfs.id")
        .await
        .map_err(explain)?;
    Ok(ItemId(id))
}

/// `linkfs mount work` names a drive where the folder belongs.
fn hint(config: &Config, args: &MountArgs, what: &Option<DrivePath>) -> String {
    let folder = args.folder().display();
    let place: Option<DrivePath> = folder.to_string().parse().ok();
    match place {
        Some(place) if what.is_none() && config.drives.contains_key(&place.drive) => {
            format!("cannot mount on {folder} (to mount that drive: `linkfs mount {place} DIR`)")
        }
        _ => format!("cannot mount on {folder}"),
    }
}
