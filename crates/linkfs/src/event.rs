use std::io;

use anyhow::{Context, Result};
use linkfs_fuse::Mounted;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;

/// What can wake a program that serves a mount.
#[derive(Debug)]
pub(crate) enum Event {
    /// Somebody wants it to end: SIGINT, SIGTERM or SIGHUP.
    Signal,
    /// The mount is gone, taken away by whomever.
    Unmounted(io::Result<()>),
}

/// The signals that end a mount.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(crate) fn catch() -> Result<Signals> {
        let catch = |kind| signal(kind).context("cannot catch signals");
        Ok(Signals {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

/// Everything that can happen to a mount.
#[derive(Debug)]
pub(crate) struct Events {
    signals: Signals,
    ended: JoinHandle<io::Result<()>>,
}

impl Events {
    pub(crate) fn of(signals: Signals, mounted: Mounted) -> Events {
        let ended = tokio::spawn(mounted.ended());
        Events { signals, ended }
    }

    /// Waits for the next one. Not to be called again after [`Event::Unmounted`].
    pub(crate) async fn next(&mut self) -> Event {
        tokio::select! {
            () = self.signals.next() => Event::Signal,
            ended = &mut self.ended => Event::Unmounted(ended.unwrap_or_else(|error| Err(error.into()))),
        }
    }
}
