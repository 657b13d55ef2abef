//! `linkfs drives [DRIVE]`

use anyhow::{Result, bail, ensure};
use linkfs_core::NodeId;
use serde::Serialize;

use crate::args::DrivesArgs;
use crate::config::Config;
use crate::setup::{Setup, Workers};
use crate::{browser, output, spaces};

/// A configured drive, asked for its top folder.
#[derive(Serialize)]
struct Asked<'a> {
    name: &'a str,
    plugin: &'a str,
    state: &'static str,
    reason: Option<String>,
}

pub(crate) fn run(setup: &Setup, args: &DrivesArgs) -> Result<()> {
    setup.start_log()?;
    let config = setup.config()?;
    if args.spaces || args.drive.is_some() {
        return spaces::run(setup, &config, args.drive.as_deref(), args.output.json);
    }
    config.require_drives()?;
    let drives = Workers::start()?.run(ask_all(setup, &config));
    if args.output.json {
        output::json(&drives)?;
    } else {
        let rows: Vec<_> = drives.iter().map(row).collect();
        output::text(&output::table(&rows, [false, false, false]))?;
    }
    let failing = drives.iter().filter(|drive| drive.reason.is_some()).count();
    ensure!(failing == 0, "{failing} of {} do not answer", drives.len());
    Ok(())
}

/// All at once: one that does not answer is waited for, and not for each drive again.
async fn ask_all<'a>(setup: &Setup, config: &'a Config) -> Vec<Asked<'a>> {
    let asking = config.drives.keys().map(|name| ask(setup, config, name));
    futures_util::future::join_all(asking).await
}

async fn ask<'a>(setup: &Setup, config: &'a Config, name: &'a str) -> Asked<'a> {
    let answer = list_top(setup, config, name).await;
    let reason = answer.err().map(|error| format!("{error:#}"));
    Asked {
        name,
        plugin: &config.drives[name].plugin,
        state: if reason.is_none() { "ok" } else { "failing" },
        reason,
    }
}

async fn list_top(setup: &Setup, config: &Config, name: &str) -> Result<()> {
    let opened = setup.open(config, name, config.mount.deadline).await?;
    let volume = browser::of_drive(config, &opened)?;
    let listed = browser::read_start(&volume, NodeId::ROOT).await;
    match listed {
        Ok(_) => Ok(()),
        Err(error) => bail!(browser::explain(&volume, &error)),
    }
}

fn row(drive: &Asked<'_>) -> [String; 3] {
    let state = match &drive.reason {
        None => drive.state.to_owned(),
        Some(reason) => format!("{}: {}", drive.state, output::shown(reason)),
    };
    [drive.name.to_owned(), drive.plugin.to_owned(), state]
}
