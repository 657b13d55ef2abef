use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::Result;
use linkfs_provider::wire::{self, Ability, About, Configure, Hello, Ready};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

use super::child::{Pipes, PluginChild};
use super::output::{Output, breach};
use super::stderr::log;
use super::{Launch, hosts};
use crate::proxy::{AllowedHosts, Proxy};

/// How long a plugin may take to say hello: that needs neither its configuration nor the network.
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_secs(10);

/// A process that has opened its drive, and is asked nothing yet.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) child: PluginChild,
    pub(super) proxy: Proxy,
    pub(super) stdin: ChildStdin,
    pub(super) output: Output,
    pub(super) hello: Hello,
    pub(super) about: About,
    pub(super) abilities: Vec<Ability>,
}

/// Starts a process and opens the drive with it.
///
/// # Errors
/// What the plugin says; `Unavailable` when it cannot be started, dies, or breaks the protocol.
pub(super) async fn open(launch: &Arc<Launch>) -> Result<Opened> {
    let failed = |reason: String| launch.failure(&reason);
    let hosts = Arc::new(hosts::configured(&launch.settings));
    let proxy = Proxy::start_apart(hosts.clone()).await;
    let proxy = proxy.map_err(|error| failed(format!("it gets no proxy: {error}")))?;
    let (child, pipes) = start(launch, &proxy).await.map_err(failed)?;
    let Pipes {
        mut stdin,
        stdout,
        stderr,
        ended,
    } = pipes;
    tokio::spawn(log(launch.clone(), child.pid, stderr));
    let mut output = Output::new(stdout, ended);
    let hello = hello(&mut output, &hosts).await.map_err(failed)?;
    configure(launch, &mut stdin).await.map_err(failed)?;
    let ready: Ready = next(&mut output).await.map_err(failed)?;
    if let Some(error) = ready.error {
        return Err(launch.cleaned(error.into()));
    }
    let about = ready.about.ok_or_else(|| {
        launch.failure("it said neither what the drive is like nor why it cannot be opened")
    })?;
    Ok(Opened {
        child,
        proxy,
        stdin,
        output,
        hello,
        about,
        abilities: ready.abilities,
    })
}

async fn start(launch: &Arc<Launch>, proxy: &Proxy) -> Result<(PluginChild, Pipes), String> {
    let (starting, way_out) = (launch.clone(), proxy.address().clone());
    let started = PluginChild::start(move || starting.spawn(&way_out)).await;
    started.map_err(|error| {
        let program = launch.program.display();
        format!("cannot start {program}: {error}")
    })
}

/// Waits for its hello, and lets it reach the `hosts` that it declares there.
async fn hello(output: &mut Output, hosts: &AllowedHosts) -> Result<Hello, String> {
    let said = tokio::time::timeout(HELLO_PATIENCE, next(output)).await;
    let hello: Hello = said.unwrap_or_else(|_elapsed| {
        let seconds = HELLO_PATIENCE.as_secs();
        Err(format!("it said no hello within {seconds} s"))
    })?;
    if !hello.protocols.contains(&wire::PROTOCOL) {
        let (spoken, ours) = (&hello.protocols, wire::PROTOCOL);
        return Err(format!(
            "it speaks the protocols {spoken:?}, and linkfs {ours}"
        ));
    }
    for pattern in &hello.hosts {
        let allowed = hosts.allow_declared(pattern);
        allowed.map_err(|bad| format!("it wants to reach {bad}"))?;
    }
    Ok(hello)
}

async fn configure(launch: &Launch, stdin: &mut ChildStdin) -> Result<(), String> {
    let configure = Configure {
        protocol: wire::PROTOCOL,
        config: launch.settings.config.clone(),
        state_dir: launch.settings.state_dir.clone(),
    };
    let line = wire::line(&configure).map_err(|error| {
        let folder = configure.state_dir.display();
        format!("it cannot be told of its folder {folder}: {error}")
    })?;
    // A plugin that is gone already is noticed by what comes next.
    let _gone = stdin.write_all(&line).await;
    Ok(())
}

/// The next line as a message, or in words why there is none.
async fn next<T: DeserializeOwned>(output: &mut Output) -> Result<T, String> {
    let text = output.line().await?;
    serde_json::from_slice(&text).map_err(|_| breach(&text))
}
