//! `linkfs emulate DRIVE --root FOLDER`

use anyhow::{Context, Result};
use linkfs_emulator::{EmulatedDrive, Tree};

use crate::args::EmulateArgs;
use crate::event::Signals;
use crate::output;
use crate::setup::{Setup, Workers};

pub(crate) fn run(setup: &Setup, args: &EmulateArgs) -> Result<()> {
    setup.start_log()?;
    let root = args.root.display();
    let tree = Tree::from_folder(&args.root).with_context(|| format!("cannot read {root}"))?;
    let workers = Workers::start()?;
    let emulator = args.drive.start(tree, args.port)?;
    workers.run(async {
        let mut signals = Signals::catch()?;
        output::text(&configuration(&*emulator)?)?;
        eprintln!(
            "linkfs: emulating until Ctrl-C; faults are set at {}",
            emulator.control_endpoint()
        );
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
