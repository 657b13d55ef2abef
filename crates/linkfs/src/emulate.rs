//! `linkfs emulate DRIVE --root FOLDER`

use std::net::SocketAddr;

use anyhow::{Context, Result};
use linkfs_emulator::Tree;
use linkfs_emulator::koodrive::{Emulator, Options};

use crate::args::{EmulateArgs, EmulatedDrive};
use crate::event::Signals;
use crate::output;
use crate::setup::{Setup, Workers};

pub(crate) fn run(setup: &Setup, args: &EmulateArgs) -> Result<()> {
    setup.start_log()?;
    let root = args.root.display();
    let tree = Tree::from_folder(&args.root).with_context(|| format!("cannot read {root}"))?;
    let workers = Workers::start()?;
    workers.run(async {
        let mut signals = Signals::catch()?;
        let emulator = match args.drive {
            EmulatedDrive::Koodrive => start_koodrive(tree, args.port).await?,
        };
        output::text(&configuration(&emulator)?)?;
        eprintln!(
            "linkfs: emulating until Ctrl-C; faults are set at {}",
            emulator.control_endpoint()
        );
        signals.next().await;
        Ok(())
    })
}

async fn start_koodrive(tree: Tree, port: Option<u16>) -> Result<Emulator> {
    let mut options = Options::with_tree(tree);
    if let Some(port) = port {
        options.api_address = SocketAddr::from(([127, 0, 0, 1], port));
    }
    let started = Emulator::start(options).await;
    started.context("cannot start the emulated drive")
}

/// The configuration that mounts the emulated drive.
fn configuration(emulator: &Emulator) -> Result<String> {
    let keys =
        toml::to_string(&emulator.mount_config()).context("cannot write the configuration")?;
    Ok(format!(
        "# A drive for linkfs. It holds a token: save it with mode 0600.\n[drives.emulated]\n{keys}"
    ))
}
