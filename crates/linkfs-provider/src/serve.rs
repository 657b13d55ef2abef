//! The plugin's side of the wire: a [`Plugin`] as a process of its own.

mod calls;
mod stdio;

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;

use crate::wire::{self, Ability, Configure, FromHost, Hello, Ready};
use crate::{ErrorKind, Plugin, Provider, ProviderError, Settings};
use calls::Calls;
use stdio::Stdio;

/// How many answers may wait to be written.
const ANSWERS_WAITING: usize = 64;

/// How long the last answers may take once stdin has ended: as long as a mount waits for one where nothing
/// else is configured. linkfs itself kills sooner what it has no use for.
const LAST_ANSWERS_PATIENCE: Duration = Duration::from_secs(30);

/// The `main` of a plugin program: serves `plugin` until linkfs has no more questions, and those it had are
/// answered.
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
        let served = runtime.block_on(async { speak(plugin, Stdio::take()?).await });
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

/// Says hello, opens the drive, answers the questions that come until stdin ends.
async fn speak(plugin: &Plugin, stdio: Stdio) -> io::Result<()> {
    let Stdio {
        from_host,
        mut to_host,
    } = stdio;
    let mut from_host = BufReader::new(from_host);
    write_line(&mut to_host, &wire::line(&hello(plugin))?).await?;
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
    write_line(&mut to_host, &wire::line(&ready)?).await?;
    let Ok(provider) = opened else {
        return Ok(());
    };
    let (answers, waiting) = mpsc::channel(ANSWERS_WAITING);
    // Two directions are two tasks: in one, both pipes could be full with each side waiting for the other.
    let mut writer = tokio::spawn(write(to_host, waiting));
    let calls = Calls::new(provider, answers);
    let heard = hear(&calls, &mut from_host).await;
    // Whoever pipes questions in wants the answers: the writer ends with the last call that could give one.
    drop(calls);
    let written = tokio::time::timeout(LAST_ANSWERS_PATIENCE, &mut writer).await;
    if written.is_err() {
        writer.abort();
    }
    heard
}

/// Starts what is asked for, until nothing more is.
async fn hear(calls: &Calls, from_host: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    while let Some(text) = wire::read_line(from_host).await? {
        take(calls, &text);
    }
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
        if write_line(&mut to, &line).await.is_err() {
            return;
        }
    }
}

/// Writes a line through: a file's is handed to a thread, and would be lost when the process ends first.
async fn write_line(to: &mut stdio::Writer, line: &[u8]) -> io::Result<()> {
    to.write_all(line).await?;
    to.flush().await
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use tokio::io::{AsyncReadExt, BufWriter};
    use tokio::time::Instant;

    use super::*;
    use crate::{
        About, ByteCount, Item, ItemId, Link, Page, PageToken, Result, Usage, async_trait,
    };

    const CONFIGURE: &str = r#"{"protocol":1,"config":{},"state_dir":"/nowhere"}"#;

    const SLOW: Plugin = Plugin {
        name: "slow",
        version: "1",
        summary: "",
        hosts: &[],
        open: |_settings| Box::pin(async { Ok(Arc::new(Slow(about())) as Arc<dyn Provider>) }),
    };

    const CLOSED: Plugin = Plugin {
        open: |_settings| {
            let error = ProviderError::new(ErrorKind::LoginExpired, "log in again");
            Box::pin(async { Err(error) })
        },
        ..SLOW
    };

    /// Tells in 10 s how full it is, and never what an item is.
    struct Slow(About);

    #[async_trait]
    impl Provider for Slow {
        fn about(&self) -> &About {
            &self.0
        }

        async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Result<Page> {
            Ok(Page::default())
        }

        async fn stat(&self, _item: &ItemId) -> Result<Item> {
            std::future::pending().await
        }

        async fn links(&self, _files: &[ItemId]) -> Vec<Result<Link>> {
            Vec::new()
        }

        async fn usage(&self) -> Result<Usage> {
            tokio::time::sleep(Duration::from_secs(10)).await;
            Ok(Usage {
                total: None,
                used: ByteCount(5),
            })
        }
    }

    fn about() -> About {
        About {
            root: "0".into(),
            links_per_call: 1,
            calls_in_flight: 1,
            lists_oldest_first: false,
            listing_ttl: None,
        }
    }

    /// What the plugin says after its hello when these lines and nothing more are piped into it. As with a
    /// file, nothing arrives that is not flushed.
    async fn said(plugin: &Plugin, lines: &[&str]) -> Vec<String> {
        let (to_host, mut from_plugin) = tokio::io::duplex(1 << 20);
        let input = lines.iter().map(|line| format!("{line}\n"));
        let stdio = Stdio {
            from_host: Box::new(Cursor::new(input.collect::<String>())),
            to_host: Box::new(BufWriter::with_capacity(1 << 20, to_host)),
        };
        speak(plugin, stdio).await.unwrap();
        let mut text = String::new();
        from_plugin.read_to_string(&mut text).await.unwrap();
        text.lines().skip(1).map(str::to_owned).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn questions_that_are_piped_in_are_all_answered() {
        let usage = [r#"{"id":1,"call":"usage"}"#, r#"{"id":2,"call":"usage"}"#];
        let mut said = said(&SLOW, &[CONFIGURE, usage[0], usage[1]]).await;
        let ready = said.remove(0);
        assert!(ready.starts_with(r#"{"about":{"root":"0""#), "{ready}");
        said.sort();
        let expected = [r#"{"id":1,"ok":{"used":5}}"#, r#"{"id":2,"ok":{"used":5}}"#];
        assert_eq!(said, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_end_keeps_no_process() {
        let (hangs, usage) = (
            r#"{"id":1,"call":"stat","item":"a"}"#,
            r#"{"id":2,"call":"usage"}"#,
        );
        let start = Instant::now();
        let said = said(&SLOW, &[CONFIGURE, hangs, usage]).await;
        assert_eq!(said[1..], [r#"{"id":2,"ok":{"used":5}}"#]);
        assert_eq!(start.elapsed().as_secs(), LAST_ANSWERS_PATIENCE.as_secs());
    }

    #[tokio::test]
    async fn why_a_drive_cannot_be_opened_is_written_through() {
        let said = said(&CLOSED, &[CONFIGURE]).await;
        let expected = r#"{"error":{"kind":"login-expired","message":"log in again"}}"#;
        assert_eq!(said, [expected]);
    }
}
