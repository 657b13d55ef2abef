//! `linkfs emulate DRIVE --root FOLDER`, and `linkfs emulate web`

use anyhow::{Context, Result};
use linkfs_emulator::{EmulatedDrive, Tree, WebServer};

use crate::args::EmulateArgs;
use crate::emulated::{self, Kind, What};
use crate::event::Signals;
use crate::output;
use crate::setup::{Setup, Workers};

pub(crate) fn run(setup: &Setup, args: &EmulateArgs) -> Result<()> {
    setup.start_log()?;
    match args.what {
        What::Drive(kind) => drive(kind, args),
        What::Web => web(args),
    }
}

fn drive(kind: Kind, args: &EmulateArgs) -> Result<()> {
    let tree = Tree::from_folder(&args.root).with_context(|| cannot_read(args))?;
    let emulator = kind.start(tree, args.port)?;
    let faults = emulator.control_endpoint();
    until_signal(
        &configuration(&*emulator)?,
        &format!("emulating until Ctrl-C; faults are set at {faults}"),
    )
}

fn web(args: &EmulateArgs) -> Result<()> {
    let server = WebServer::start_blocking(&args.root, emulated::address(args.port));
    let server = server.with_context(|| cannot_read(args))?;
    until_signal(&format!("{}\n", server.endpoint()), "serving until Ctrl-C")
}

fn cannot_read(args: &EmulateArgs) -> String {
    format!("cannot serve {}", args.root.display())
}

/// Says what there is, and stays.
fn until_signal(what: &str, explanation: &str) -> Result<()> {
    let workers = Workers::start()?;
    workers.run(async {
        let mut signals = Signals::catch()?;
        output::text(what)?;
        eprintln!("linkfs: {explanation}");
        signals.next().await;
        Ok(())
    })
}

/// The configuration that mounts the emulated drive.
fn configuration(emulator: &dyn EmulatedDrive) -> Result<String> {
    let keys =
        toml::to_string(&emulator.mount_config()).context("cannot write the configuration")?;
    Ok(format!(
        "# A drive for linkfs. It holds a secret: save it with mode 0600.\n[drives.emulated]\n{keys}"
    ))
}
