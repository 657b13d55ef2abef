//! A provider in a process of its own.
//!
//! - [`Launch`] says how the process is started; `child` starts and kills it;
//! - `hosts` are those that the drive's configuration names;
//! - `handshake` opens the drive with a new one; `output` is what a process says, line by line;
//! - `connection` is one running process: questions in, answers out, until it ends; its `stderr` goes to the log;
//! - `supervisor` sees to it that there is one: it starts, restarts and replaces it, after a `back_off`;
//! - `provider` is what linkfs sees of all that: a [`Provider`].

mod back_off;
mod child;
mod connection;
mod handshake;
mod hosts;
mod output;
mod provider;
mod stderr;
mod supervisor;

use std::io;
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::{ErrorKind, Provider, ProviderError, Redactor, Result, Settings};

use crate::proxy::ProxyAddress;
use crate::sandbox::{Program, Sandbox};
pub(crate) use child::{Pipes, PluginChild};
pub(crate) use connection::END_PATIENCE;
pub(crate) use handshake::HELLO_PATIENCE;
pub(crate) use hosts::configured as configured_hosts;
pub(crate) use output::{breach, read_line};
use provider::PluginProcess;
use supervisor::Supervisor;

/// How a plugin's process is started and watched.
#[derive(Debug)]
pub struct Launch {
    /// What the plugin is called in the configuration.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What the drive is opened with.
    pub settings: Settings,
    /// Takes the secrets of the settings out of what the plugin says.
    pub redactor: Redactor,
    /// How long the drive may take to be opened.
    pub patience: Duration,
    /// How long the plugin may say nothing at all while an answer is waited for, before it is taken for
    /// hung and ended. Calls that make shares have longer.
    pub silence: Duration,
}

impl Launch {
    /// Starts the process and opens the drive.
    ///
    /// # Errors
    /// What the plugin says; `Unavailable`, with the reason, when it cannot be started or fails before the
    /// drive is open.
    pub async fn open(self) -> Result<Arc<dyn Provider>> {
        let supervisor = Supervisor::new(Arc::new(self));
        let first = supervisor.connection().await?;
        Ok(Arc::new(PluginProcess::new(supervisor, &first)))
    }

    /// Starts the program, which reaches its drive through `proxy`.
    pub(crate) fn spawn(&self, proxy: &ProxyAddress) -> io::Result<Child> {
        let program = Program::at(&self.program, &self.arguments)?;
        Sandbox::new(program, &self.settings.state_dir, Some(proxy.clone())).spawn()
    }

    fn failure(&self, reason: &str) -> ProviderError {
        failure(&self.name, reason)
    }

    /// An error as it may be shown.
    pub(crate) fn cleaned(&self, error: ProviderError) -> ProviderError {
        ProviderError {
            message: self.redactor.hide(&error.message),
            ..error
        }
    }
}

fn failure(plugin: &str, reason: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unavailable, format!("plugin {plugin}: {reason}"))
}
