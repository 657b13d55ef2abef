//! `linkfs demo`: an emulated drive in this process, mounted. Nothing leaves the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use linkfs_core::{Layout, Volume, VolumeOptions};
use linkfs_emulator::koodrive::{Emulator, Options};
use linkfs_emulator::{ROOT_ID, Tree};
use linkfs_provider::{Secret, Settings};
use serde_json::{Map, Value};

use crate::args::DemoArgs;
use crate::config::{CacheConfig, MountConfig};
use crate::serve::{self, MountPoint};
use crate::setup::{self, Opened, Setup, Workers};
use crate::{background, output, places};

pub(crate) fn run(setup: &Setup, args: &DemoArgs) -> Result<()> {
    let folder = match &args.folder {
        Some(folder) => std::path::absolute(folder)?,
        None => places::home()?.join("linkfs-demo"),
    };
    if !args.foreground && !background::is_child() {
        background::start(
            &setup.environment,
            &BTreeSet::new(),
            setup.background_log()?,
        )?;
        return output::text(&what_to_try(&folder, ""));
    }
    setup.start_log()?;
    let made = MadeFolder::make(&folder)?;
    let point = MountPoint::prepare(&made.path)
        .with_context(|| format!("cannot mount on {}", folder.display()))?;
    let emulator = emulate(args.from.as_deref())?;
    let state = MadeFolder::private(places::run()?.join(format!("demo-{}", std::process::id())))?;
    let workers = Workers::start()?;
    workers.run(async {
        let volume = open_volume(&emulator, &state.path).await?;
        serve::serve(volume, &point, false, announce).await
    })
}

/// In the background it is the waiting command that speaks.
fn announce(folder: &Path) -> Result<()> {
    match background::is_child() {
        true => Ok(()),
        false => output::text(&what_to_try(folder, "Ctrl-C here, or ")),
    }
}

fn what_to_try(folder: &Path, other_way: &str) -> String {
    let folder = folder.display();
    format!(
        "An emulated KooDrive is mounted on {folder}. Try:

  ls -lR {folder}
  grep -r quarter {folder}/Reports | head
  sha256sum {folder}/Films/short.bin
  linkfs status {folder}

To end it: {other_way}linkfs unmount {folder}
"
    )
}

fn emulate(from: Option<&Path>) -> Result<Emulator> {
    let tree = match from {
        Some(folder) => Tree::from_folder(folder)
            .with_context(|| format!("cannot read {}", folder.display()))?,
        None => sample(),
    };
    let started = Emulator::start_blocking(Options::with_tree(tree));
    started.context("cannot start the emulated drive")
}

/// A few files of every size. The large ones are made up while they are read.
fn sample() -> Tree {
    let tree = Tree::new();
    let welcome = "This file came through a signed link of an emulated KooDrive.\n";
    tree.add_file(ROOT_ID, "Welcome.txt", welcome.as_bytes().to_vec());
    let reports = tree.add_folder(ROOT_ID, "Reports");
    for quarter in 1..=4 {
        let text = format!("Report of quarter {quarter}\n").repeat(1000);
        tree.add_file(&reports, &format!("2026-Q{quarter}.txt"), text.into_bytes());
    }
    let films = tree.add_folder(ROOT_ID, "Films");
    tree.add_generated(&films, "short.bin", 1, 16 << 20);
    tree.add_generated(&films, "long.bin", 2, 2 << 30);
    tree
}

async fn open_volume(emulator: &Emulator, state: &Path) -> Result<Arc<Volume>> {
    let mount = MountConfig::default();
    let mut config: Map<String, Value> = emulator
        .mount_config()
        .as_object()
        .cloned()
        .unwrap_or_default();
    config.remove("plugin");
    config.remove("allow_private_hosts");
    let settings = Settings {
        config: Secret::new(config),
        state_dir: state.to_owned(),
    };
    let opened = Opened {
        name: "demo".to_owned(),
        provider: setup::open_provider(&linkfs_plugin_koodrive::PLUGIN, settings, mount.deadline)
            .await?,
        deadline: mount.deadline,
        allow_private_hosts: true,
    };
    let options = VolumeOptions {
        memory: CacheConfig::default().memory,
        deadline: mount.deadline,
        listing_ttl: mount.listing_ttl,
        layout: Layout::OneDrive,
    };
    serve::open_volume(vec![opened.drive(None)?], options).await
}

/// A folder that the demo made, if it was not there before. It goes with the demo.
#[derive(Debug)]
struct MadeFolder {
    path: PathBuf,
    is_ours: bool,
}

impl MadeFolder {
    fn make(path: &Path) -> Result<MadeFolder> {
        let made = fs::create_dir(path);
        let is_ours = match made {
            Ok(()) => true,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => false,
            Err(error) => {
                let context = format!("cannot make the folder {}", path.display());
                return Err(error).context(context);
            }
        };
        Ok(MadeFolder {
            path: path.to_owned(),
            is_ours,
        })
    }

    fn private(path: PathBuf) -> Result<MadeFolder> {
        places::make_private(&path)?;
        Ok(MadeFolder {
            path,
            is_ours: true,
        })
    }
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        if self.is_ours {
            // Only when empty: what somebody has put there stays.
            let _ = fs::remove_dir(&self.path);
        }
    }
}
