//! The plugin's side of the wire: a [`Plugin`] as a process of its own.

mod calls;
mod stdio;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::wire::{self, Ability, Configure, FromHost, Hello, Ready};
use crate::{ErrorKind, Plugin, Provider, ProviderError, Settings};
use calls::Calls;
use stdio::Stdio;

/// How many answers may wait to be written.
const ANSWERS_WAITING: usize = 64;

/// The `main` of a plugin program: serves `plugin` until linkfs has no more questions.
///
/// ```no_run
/// use std::process::ExitCode;
/// use linkfs_provider::{Plugin, serve};
///
/// # const PLUGIN: Plugin = Plugin { name: "x", version: "1", summary: "", hosts: &[], open: |_| todo!() };
/// fn main() -> ExitCode {
///     serve(&PLUGIN)
/// }
/// ```
pub fn serve(plugin: &Plugin) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let served = runtime.and_then(|runtime| {
        let served = runtime.block_on(speak(plugin));
        // A name being resolved is not waited for.
        runtime.shutdown_background();
        served
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", plugin.name);
            ExitCode::FAILURE
        }
    }
}

/// Says hello, opens the drive, answers questions until stdin ends.
async fn speak(plugin: &Plugin) -> io::Result<()> {
    let Stdio {
        from_host,
        mut to_host,
    } = Stdio::take()?;
    let mut from_host = BufReader::new(from_host);
    to_host.write_all(&wire::line(&hello(plugin))?).await?;
    let Some(first) = wire::read_line(&mut from_host).await? else {
        return Ok(());
    };
    let configure: Configure = serde_json::from_slice(&first).map_err(|_| {
        // The error's own text could show a piece of the configuration.
        io::Error::other("the first line is not a configuration")
    })?;
    let opened = open(plugin, configure).await;
    let ready = match &opened {
        Ok(provider) => ready(&**provider),
        Err(error) => Ready {
            error: Some(error.clone().into()),
            ..Ready::default()
        },
    };
    to_host.write_all(&wire::line(&ready)?).await?;
    let Ok(provider) = opened else {
        return Ok(());
    };
    let (answers, waiting) = mpsc::channel(ANSWERS_WAITING);
    // Two directions are two tasks: in one, both pipes could be full with each side waiting for the other.
    let writer = tokio::spawn(write(to_host, waiting));
    let calls = Calls::new(provider, answers);
    while let Some(text) = wire::read_line(&mut from_host).await? {
        take(&calls, &text);
    }
    writer.abort();
    Ok(())
}

fn hello(plugin: &Plugin) -> Hello {
    Hello {
        protocols: vec![wire::PROTOCOL],
        name: plugin.name.to_owned(),
        version: plugin.version.to_owned(),
        hosts: plugin.hosts.iter().map(|&host| host.to_owned()).collect(),
        summary: plugin.summary.to_owned(),
    }
}

async fn open(plugin: &Plugin, configure: Configure) -> crate::Result<Arc<dyn Provider>> {
    if configure.protocol != wire::PROTOCOL {
        let message = format!("protocol {} is not spoken here", configure.protocol);
        return Err(ProviderError::new(ErrorKind::Unsupported, message));
    }
    let settings = Settings {
        config: configure.config,
        state_dir: configure.state_dir,
    };
    (plugin.open)(settings).await
}

fn ready(provider: &dyn Provider) -> Ready {
    let abilities = [
        (provider.sharing().is_some(), Ability::Sharing),
        (provider.receiving().is_some(), Ability::Receiving),
        (provider.spaces().is_some(), Ability::Spaces),
        (provider.login().is_some(), Ability::Login),
        (true, Ability::Recall),
    ];
    let abilities = abilities.into_iter().filter(|(has, _)| *has);
    Ready {
        about: Some(provider.about().into()),
        abilities: abilities.map(|(_, ability)| ability).collect(),
        error: None,
    }
}

fn take(calls: &Calls, text: &[u8]) {
    match serde_json::from_slice(text) {
        Ok(FromHost::Cancel(cancel)) => calls.cancel(cancel.cancel),
        Ok(FromHost::Request(request)) => calls.start(request),
        Err(_) => calls.refuse(text),
    }
}

async fn write(mut to: stdio::Writer, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if to.write_all(&line).await.is_err() {
            return;
        }
    }
}
