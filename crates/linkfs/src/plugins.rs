//! The plugins there are, and how a drive is opened with one.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use linkfs_host::{Found, Launch};
use linkfs_provider::{Plugin, Provider, Redactor, Secret, Settings};

use crate::places;

/// The plugins that come with the program.
pub(crate) const BUILT_IN: &[Plugin] = &[
    linkfs_plugin_koodrive::PLUGIN,
    linkfs_plugin_pds::PLUGIN,
    linkfs_plugin_dingtalk::PLUGIN,
];

/// A plugin that says nothing at all for this share of a request's deadline is taken for hung, so that a new
/// one may answer before the deadline.
const SILENCE_SHARE: f64 = 0.5;

/// How a drive is opened.
pub(crate) struct Opening {
    pub(crate) settings: Settings,
    /// Those of the settings' values that nobody may see.
    pub(crate) secrets: Vec<Secret<String>>,
    /// Whether the plugin runs in this process.
    pub(crate) in_process: bool,
    /// How long opening the drive may take, and every request after that.
    pub(crate) deadline: Duration,
    /// How much is logged.
    pub(crate) verbosity: u8,
}

/// The plugin called `name`.
///
/// # Errors
/// When there is none.
pub(crate) fn find(name: &str) -> Result<Found<'static>> {
    Ok(linkfs_host::find(BUILT_IN, &folders()?, name)?)
}

/// Where programs are looked for that are plugins, the first before the others.
pub(crate) fn folders() -> Result<Vec<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).filter(|folder| folder.is_absolute());
    Ok([places::plugins()?].into_iter().chain(on_path).collect())
}

/// Opens the drive that `opening` describes.
///
/// # Errors
/// What the plugin says, or why it cannot be started.
pub(crate) async fn open(
    name: &str,
    found: &Found<'_>,
    opening: Opening,
) -> Result<Arc<dyn Provider>> {
    match found {
        Found::BuiltIn(plugin) if opening.in_process => {
            let opened = tokio::time::timeout(opening.deadline, (plugin.open)(opening.settings));
            let seconds = opening.deadline.as_secs_f32();
            Ok(opened
                .await
                .with_context(|| format!("no answer within {seconds} s"))??)
        }
        Found::Program(_) if opening.in_process => {
            bail!("`in_process` is for the plugins that come with linkfs")
        }
        _ => Ok(launch(name, found, opening)?.open().await?),
    }
}

/// How a plugin's process is started.
///
/// # Errors
/// When this program's own file is not known.
pub(crate) fn launch(name: &str, found: &Found<'_>, opening: Opening) -> Result<Launch> {
    let (program, arguments) = match found {
        Found::BuiltIn(_) => {
            let program = env::current_exe().context("cannot find this program's own file")?;
            let details = (0..opening.verbosity).map(|_| "-v");
            let arguments = details.chain(["plugin", name]).map(str::to_owned);
            (program, arguments.collect())
        }
        Found::Program(program) => (program.clone(), Vec::new()),
    };
    Ok(Launch {
        name: name.to_owned(),
        program,
        arguments,
        settings: opening.settings,
        redactor: Redactor::new(opening.secrets),
        patience: opening.deadline,
        silence: opening.deadline.mul_f64(SILENCE_SHARE),
    })
}
