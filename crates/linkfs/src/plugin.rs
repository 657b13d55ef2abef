//! `linkfs plugin`: the plugins there are, and the processes that they run in.

mod check;
mod new;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use serde::Serialize;

use crate::args::{OutputArgs, PluginCommand, PluginProcessArgs};
use crate::mounted::check_mounted;
use crate::setup::Setup;
use crate::{control, logging, output, plugins, status};

pub(crate) fn run(setup: &Setup, command: &PluginCommand) -> Result<()> {
    match command {
        PluginCommand::List(args) => list(args),
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Check(args) => check::run(setup, args),
        PluginCommand::Reload(args) => tell("reload", args),
        PluginCommand::Restart(args) => tell("restart", args),
        PluginCommand::Serve(_) => unreachable!("`main` serves before it takes anything"),
    }
}

/// Serves one of our own plugins on stdin and stdout.
///
/// # Errors
/// When there is no such plugin.
pub(crate) fn serve(arguments: &[String], verbosity: u8) -> Result<()> {
    let [name] = arguments else {
        bail!("expected the name of one plugin");
    };
    let plugin = plugins::BUILT_IN.iter().find(|plugin| plugin.name == name);
    let Some(plugin) = plugin else {
        bail!("linkfs has no plugin \"{name}\" (`linkfs plugin list` shows those there are)");
    };
    logging::start_for_plugin(verbosity);
    let served = linkfs_provider::serve(plugin);
    ensure!(served == ExitCode::SUCCESS, "it could not be served");
    Ok(())
}

/// A plugin in the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    /// What it is for; not known of a program before it is asked.
    summary: String,
    /// The file of a program.
    program: Option<String>,
}

fn list(args: &OutputArgs) -> Result<()> {
    let built_in = plugins::BUILT_IN.iter().map(|plugin| Listed {
        name: plugin.name.to_owned(),
        summary: plugin.summary.to_owned(),
        program: None,
    });
    let programs = linkfs_host::programs(&plugins::folders()?).into_iter();
    let programs = programs.map(|(name, path)| Listed {
        name,
        summary: String::new(),
        program: Some(path.display().to_string()),
    });
    let all: Vec<_> = built_in.chain(programs).collect();
    if args.json {
        return output::json(&all);
    }
    let rows: Vec<_> = all.iter().map(row).collect();
    output::text(&output::table(&rows, [false, false]))
}

fn row(plugin: &Listed) -> [String; 2] {
    let what = match &plugin.program {
        Some(program) => output::shown(program),
        None => format!("{} (comes with linkfs)", plugin.summary),
    };
    [output::shown(&plugin.name), what]
}

fn tell(verb: &str, args: &PluginProcessArgs) -> Result<()> {
    check_mounted(&args.folder)?;
    let drive = args.drive.as_deref().unwrap_or_default();
    ensure!(
        !drive.contains('\n'),
        "no drive has a line break in its name"
    );
    if !drive.is_empty() {
        check_drive(&args.folder, drive)?;
    }
    let line = format!("{verb} {drive}\n");
    control::command(&args.folder.join(".linkfs/control"), &line)?;
    Ok(())
}

/// The mount itself would say that there is no such file or folder.
fn check_drive(folder: &Path, drive: &str) -> Result<()> {
    let drives = status::drives(folder)?;
    ensure!(
        drives.iter().any(|name| name == drive),
        "the mount has no drive \"{}\" (it has: {})",
        output::shown(drive),
        drives.join(", ")
    );
    Ok(())
}
