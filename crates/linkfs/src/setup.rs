use std::fs::File;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use linkfs_core::{Drive, DriveOptions, SavedListings};
use linkfs_provider::{ItemId, Provider, Settings};
use tokio::runtime::{self, Runtime};

use crate::args::General;
use crate::config::Config;
use crate::environment::Environment;
use crate::plugins::{self, Opening};
use crate::{background, logging, places, secrets};

/// What every command starts from.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) environment: Environment,
    pub(crate) general: General,
}

impl Setup {
    pub(crate) fn config(&self) -> Result<Config> {
        Config::load(self.general.config.as_deref())
    }

    /// Starts the log. In the background stderr is the file already.
    pub(crate) fn start_log(&self) -> Result<()> {
        let named = self.general.log_file.as_deref();
        let named = named.filter(|_| !background::is_child());
        let file = named.map(logging::open_file).transpose()?;
        logging::start(self.general.verbose, file);
        Ok(())
    }

    /// Where a process in the background logs.
    pub(crate) fn background_log(&self) -> Result<(File, PathBuf)> {
        let path = match &self.general.log_file {
            Some(named) => std::path::absolute(named)?,
            None => {
                let path = places::log_file()?;
                places::make_private(path.parent().unwrap_or(Path::new("/")))?;
                path
            }
        };
        Ok((logging::open_file(&path)?, path))
    }

    /// Opens a configured drive.
    pub(crate) async fn open(
        &self,
        config: &Config,
        name: &str,
        deadline: Duration,
    ) -> Result<Opened> {
        let drive = config.drive(name)?;
        let settings = Settings {
            config: secrets::resolve(&drive.settings, &self.environment)?,
            state_dir: places::drive_state(name)?,
        };
        let explain = |place: &str| format!("{place}: cannot open drive \"{name}\"");
        let plugin = plugins::find(&drive.plugin).with_context(|| explain(&drive.plugin_place))?;
        let opening = Opening {
            secrets: drive.secrets_of(&settings),
            settings,
            in_process: drive.in_process,
            deadline,
            verbosity: self.general.verbose,
        };
        let provider = plugins::open(&drive.plugin, &plugin, opening).await;
        Ok(Opened {
            name: name.to_owned(),
            provider: provider.map_err(|error| {
                let place = drive.place_of(&error.to_string());
                error.context(explain(place))
            })?,
            deadline,
            allow_private_hosts: drive.allow_private_hosts,
            saving: None,
        })
    }
}

/// A drive whose provider answers.
pub(crate) struct Opened {
    pub(crate) name: String,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) deadline: Duration,
    pub(crate) allow_private_hosts: bool,
    pub(crate) saving: Option<Saving>,
}

/// Where the listings of a drive are kept for the next mount, and how they are told from others.
pub(crate) struct Saving {
    cache: PathBuf,
    identity: String,
}

impl Opened {
    /// The same drive, keeping its listings for the next mount as far as that can be done.
    pub(crate) fn saving_listings(mut self, config: &Config) -> Result<Opened> {
        let drive = config.drive(&self.name)?;
        let identity = drive.identity(&self.name, &self.provider.about().root);
        self.saving = match (config.cache_directory(), identity) {
            (Ok(cache), Some(identity)) => Some(Saving { cache, identity }),
            (Err(error), _) => {
                tracing::warn!("listings are not kept for the next mount: {error:#}");
                None
            }
            (Ok(_), None) => {
                let why = "a setting that may name its content comes from elsewhere";
                tracing::info!(drive = self.name, "its listings are not kept: {why}");
                None
            }
        };
        Ok(self)
    }

    /// The drive as a volume uses it, showing the folder `root` instead of its top.
    pub(crate) fn drive(&self, root: Option<ItemId>) -> Result<Arc<Drive>> {
        let options = DriveOptions {
            deadline: self.deadline,
            allow_private_hosts: self.allow_private_hosts,
            root,
            identity: self.saving.as_ref().map(|saving| saving.identity.clone()),
            saved_listings: self.saving.as_ref().map(Saving::listings),
        };
        Ok(Drive::new(&self.name, self.provider.clone(), options)?)
    }
}

impl Saving {
    fn listings(&self) -> Arc<SavedListings> {
        SavedListings::new(&self.cache, &self.identity)
    }
}

/// The threads that requests run on. Dropping them waits for nothing: a name being resolved may take
/// longer than anybody wants to wait for a program's end.
#[derive(Debug)]
pub(crate) struct Workers(Option<Runtime>);

impl Workers {
    pub(crate) fn start() -> Result<Workers> {
        let built = runtime::Builder::new_multi_thread().enable_all().build();
        Ok(Workers(Some(
            built.context("cannot start the worker threads")?,
        )))
    }

    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let runtime = self.0.as_ref().expect("it is taken in drop alone");
        runtime.block_on(work)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
