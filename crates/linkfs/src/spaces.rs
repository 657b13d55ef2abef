//! `linkfs drives DRIVE`: which spaces the drive's account can open, for the configuration.

use anyhow::{Context, Result, bail};
use linkfs_provider::{Space, SpaceKind};
use serde::Serialize;

use crate::config::Config;
use crate::output;
use crate::setup::{Setup, Workers};

/// A space as programs get it.
#[derive(Serialize)]
struct Listed<'a> {
    drive: &'a str,
    id: String,
    name: String,
    kind: &'static str,
}

/// The spaces of one drive's account, or of every drive's that can tell.
pub(crate) fn run(setup: &Setup, config: &Config, drive: Option<&str>, json: bool) -> Result<()> {
    config.require_drives()?;
    let workers = Workers::start()?;
    let names: Vec<&str> = match drive {
        Some(name) => vec![name],
        None => config.drives.keys().map(String::as_str).collect(),
    };
    let asking = names.iter().map(|name| ask(setup, config, name));
    let answers = workers.run(futures_util::future::join_all(asking));
    let mut listed = Vec::new();
    for (name, answer) in names.into_iter().zip(answers) {
        match answer.with_context(|| format!("drive \"{name}\""))? {
            Some(spaces) => listed.extend(spaces.into_iter().map(|space| of_drive(name, space))),
            None if drive.is_none() => {}
            None => {
                let plugin = &config.drives[name].plugin;
                bail!("drive \"{name}\": the plugin {plugin} cannot list an account's spaces");
            }
        }
    }
    if json {
        return output::json(&listed);
    }
    let rows: Vec<_> = listed.into_iter().map(row).collect();
    output::text(&output::table(&rows, [false; 4]))
}

/// The spaces; `None` where the plugin cannot tell.
async fn ask(setup: &Setup, config: &Config, name: &str) -> Result<Option<Vec<Space>>> {
    let deadline = config.mount.deadline;
    let opened = setup.open(config, name, deadline).await?;
    let Some(spaces) = opened.provider.spaces() else {
        return Ok(None);
    };
    let answer = tokio::time::timeout(deadline, spaces.spaces()).await;
    let answer = answer.with_context(|| format!("no answer within {} s", deadline.as_secs_f32()));
    Ok(Some(answer??))
}

fn of_drive(drive: &str, space: Space) -> Listed<'_> {
    Listed {
        drive,
        id: space.id,
        name: space.name,
        kind: match space.kind {
            SpaceKind::Personal => "personal",
            SpaceKind::Team => "team",
        },
    }
}

fn row(space: Listed<'_>) -> [String; 4] {
    let [id, name] = [&space.id, &space.name].map(|text| output::shown(text));
    [space.drive.to_owned(), id, space.kind.to_owned(), name]
}
