//! The configuration, and the plugins that its drives ask for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use linkfs_host::{Found, NoPlugin};

use super::Line;
use crate::config::{Config, DriveConfig};
use crate::plugins;

const WHAT: &str = "configuration";

pub(super) fn look(config: &Result<Config>) -> Vec<Line> {
    match config {
        Err(error) => {
            let advice = "mend the file; README has examples";
            vec![Line::problem(WHAT, format!("{error:#}"), advice)]
        }
        Ok(config) => {
            let drives = config.drives.iter();
            let drives = drives.map(|(name, drive)| plugin(name, drive));
            [file(config)].into_iter().chain(drives).collect()
        }
    }
}

fn file(config: &Config) -> Line {
    let path = config.path.display();
    let Ok(about) = fs::metadata(&config.path) else {
        let advice = "write one to mount a drive of your own, or try `linkfs demo`";
        return Line::warning(WHAT, format!("{path} is not there"), advice);
    };
    let mode = about.permissions().mode() & 0o777;
    match config.drives.len() {
        0 => Line::warning(
            WHAT,
            format!("{path} has no drive"),
            "write a section [drives.NAME]",
        ),
        _ if mode & 0o022 != 0 => Line::problem(
            WHAT,
            format!("others may change {path} (mode {mode:04o}), and so what is run"),
            format!("chmod go-w {path}"),
        ),
        count => Line::ok(WHAT, format!("{path}, mode {mode:04o}, drives: {count}")),
    }
}

fn plugin(name: &str, drive: &DriveConfig) -> Line {
    let what = format!("drive {name}");
    match plugins::find(&drive.plugin) {
        Ok(Found::BuiltIn(plugin)) => Line::ok(
            what,
            format!("plugin {}, which comes with linkfs", plugin.name),
        ),
        Ok(Found::Program(program)) => Line::ok(what, format!("plugin {}", program.display())),
        Err(error) => {
            let found = format!("{}: {error:#}", drive.plugin_place);
            let advice = match error.downcast_ref() {
                Some(NoPlugin::Unfit(unfit)) => unfit.remedy(),
                _ => "correct the name, or put the program linkfs-plugin-NAME into \
                      ~/.config/linkfs/plugins"
                    .to_owned(),
            };
            Line::problem(what, found, advice)
        }
    }
}
