//! A provider in a process of its own.
//!
//! - [`Launch`] says how the process is started; `child` starts and kills it;
//! - `connection` is one running process: questions in, answers out, until it ends; its `stderr` goes to the log;
//! - `supervisor` sees to it that there is one: it starts, restarts and replaces it, after a `back_off`;
//! - `provider` is what linkfs sees of all that: a [`Provider`].

mod back_off;
mod child;
mod connection;
mod provider;
mod stderr;
mod supervisor;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::{Provider, ProviderError, Redactor, Result, Settings};

use provider::PluginProcess;
use rustix::process::Signal;
use supervisor::Supervisor;

/// How a plugin's process is started and watched.
#[derive(Debug)]
pub struct Launch {
    /// What the plugin is called in the configuration.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// What the drive is opened with.
    pub settings: Settings,
    /// Takes the secrets of the settings out of what the plugin says.
    pub redactor: Redactor,
    /// How long the drive may take to be opened.
    pub patience: Duration,
    /// How long the plugin may say nothing at all while an answer is waited for, before it is taken for
    /// hung and ended.
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

    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .current_dir("/")
            // What it starts ends with it, see `child`.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let die_with_us = || {
            let signal = Some(Signal::KILL);
            Ok(rustix::process::set_parent_process_death_signal(signal)?)
        };
        // SAFETY: in the new process it makes one system call, and touches no memory of ours.
        unsafe { command.pre_exec(die_with_us) };
        command.spawn()
    }

    /// An error as it may be shown.
    fn cleaned(&self, error: ProviderError) -> ProviderError {
        ProviderError {
            message: self.redactor.hide(&error.message),
            ..error
        }
    }
}
