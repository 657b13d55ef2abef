//! `linkfs demo`: emulated drives in this process, mounted. Nothing leaves the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use linkfs_core::{Drive, Layout, ShareOptions, Volume, VolumeOptions};
use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree};
use linkfs_provider::{Secret, Settings};
use serde_json::{Map, Value};

use crate::args::DemoArgs;
use crate::config::{CacheConfig, MountConfig};
use crate::emulated::Kind;
use crate::plugins::{self, Opening};
use crate::serve::{self, MountPoint};
use crate::setup::{Opened, Setup, Workers};
use crate::{background, mount_table, output, places};

pub(crate) fn run(setup: &Setup, args: &DemoArgs) -> Result<()> {
    let folder = match &args.folder {
        Some(folder) => std::path::absolute(folder)?,
        None => places::home()?.join("linkfs-demo"),
    };
    let from = args.from.as_deref().map(|from| source(from, &folder));
    let from = from.transpose()?;
    if !args.foreground && !background::is_child() {
        background::start(
            &setup.environment,
            &BTreeSet::new(),
            setup.background_log()?,
        )?;
        return output::text(&what_to_try(&folder, from.as_deref(), ""));
    }
    setup.start_log()?;
    let made = MadeFolder::make(&folder)?;
    let point = MountPoint::prepare(&made.path)
        .with_context(|| format!("cannot mount on {}", folder.display()))?;
    let emulators = emulate(from.as_deref())?;
    let state = StateFolder::make()?;
    let workers = Workers::start()?;
    workers.run(async {
        let volume = open_volume(&emulators, &state.path).await?;
        let announce = |folder: &Path| announce(folder, from.as_deref());
        serve::serve(volume, &point, false, announce).await
    })
}

/// The folder that the files come from, and not out of the mount itself.
fn source(from: &Path, folder: &Path) -> Result<PathBuf> {
    let shown = from.display();
    let source = fs::canonicalize(from).with_context(|| format!("cannot read {shown}"))?;
    // Where it is not there yet, it is made beside what is.
    let folder = mount_table::name_of(folder)?;
    ensure!(
        !source.starts_with(&folder),
        "{shown} would be hidden by the mount on {}: name another folder",
        folder.display()
    );
    Ok(source)
}

/// In the background it is the waiting command that speaks.
fn announce(folder: &Path, from: Option<&Path>) -> Result<()> {
    match background::is_child() {
        true => Ok(()),
        false => output::text(&what_to_try(folder, from, "Ctrl-C here, or ")),
    }
}

fn what_to_try(folder: &Path, from: Option<&Path>, other_way: &str) -> String {
    let folder = folder.display();
    let (what, tries) = match from {
        Some(from) => (
            "An emulated KooDrive with your files is",
            format!("  ls -lR {folder}\n  diff -r {} {folder}", from.display()),
        ),
        None => (
            "An emulated KooDrive, PDS and DingTalk are",
            format!(
                "  ls -lR {folder}\n  grep -r quarter {folder}/koodrive/Reports | head\n  \
                 sha256sum {folder}/*/Films/short.bin\n  \
                 getfattr -n user.linkfs.hash.sha1 {folder}/pds/Welcome.txt\n  \
                 setfattr -n user.linkfs.share -v expires=3d {folder}/koodrive/Welcome.txt\n  \
                 linkfs shares {folder}"
            ),
        ),
    };
    format!(
        "{what} mounted on {folder}. Try:

{tries}
  linkfs status {folder}

To end it: {other_way}linkfs unmount {folder}
"
    )
}

/// One drive with the files of a folder, or one of each kind with made-up files.
fn emulate(from: Option<&Path>) -> Result<Vec<Box<dyn EmulatedDrive>>> {
    match from {
        Some(folder) => {
            let tree = Tree::from_folder(folder)
                .with_context(|| format!("cannot read {}", folder.display()))?;
            Ok(vec![Kind::Koodrive.start(tree, None)?])
        }
        None => Kind::ALL
            .iter()
            .map(|kind| kind.start(sample(), None))
            .collect(),
    }
}

/// A few files of every size. The large ones are made up while they are read.
fn sample() -> Tree {
    let tree = Tree::new();
    let welcome = "This file came through a signed link of an emulated drive.\n";
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

async fn open_volume(emulators: &[Box<dyn EmulatedDrive>], state: &Path) -> Result<Arc<Volume>> {
    let mut drives = Vec::new();
    for emulator in emulators {
        drives.push(open_drive(&**emulator, state).await?);
    }
    let mount = MountConfig::default();
    let options = VolumeOptions {
        memory: CacheConfig::default().memory,
        deadline: mount.deadline,
        listing_ttl: mount.listing_ttl,
        layout: match drives.len() {
            1 => Layout::OneDrive,
            _ => Layout::DriveFolders,
        },
        disk: None,
        share: ShareOptions::default(),
    };
    serve::open_volume(drives, options).await
}

/// A drive named like its plugin.
async fn open_drive(emulator: &dyn EmulatedDrive, state: &Path) -> Result<Arc<Drive>> {
    let name = emulator.plugin();
    let config = emulator.mount_config();
    let mut config: Map<String, Value> = config.as_object().cloned().unwrap_or_default();
    config.remove("plugin");
    config.remove("allow_private_hosts");
    let settings = Settings {
        config: Secret::new(config),
        state_dir: state.join(name),
    };
    let deadline = MountConfig::default().deadline;
    let opening = Opening {
        settings,
        // What an emulator asks for is no secret.
        secrets: Vec::new(),
        in_process: false,
        deadline,
        verbosity: 0,
    };
    let opened = Opened {
        name: name.to_owned(),
        provider: plugins::open(name, &plugins::find(name)?, opening).await?,
        deadline,
        allow_private_hosts: true,
        saving: None,
    };
    opened.drive(None)
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
}

impl Drop for MadeFolder {
    fn drop(&mut self) {
        if self.is_ours {
            // Only when empty: what somebody has put there stays.
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// Where the demo's plugins keep their tokens, which are worth nothing without its emulators.
#[derive(Debug)]
struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    fn make() -> Result<StateFolder> {
        let path = places::run()?.join(format!("demo-{}", std::process::id()));
        places::make_private(&path)?;
        Ok(StateFolder { path })
    }
}

impl Drop for StateFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, folder = %self.path.display(), "the demo's state stays behind");
        }
    }
}
