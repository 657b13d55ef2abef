use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use linkfs_provider::{ErrorKind, ItemId, ProcessState, ProviderError, Result};
use tokio::sync::SetOnce;

use super::back_off::BackOff;
use super::connection::{Connection, End};
use super::{Launch, failure};
use crate::sandbox;

/// Sees to it that there is a process to ask.
#[derive(Debug)]
pub(super) struct Supervisor {
    launch: Arc<Launch>,
    /// The folder that the first process showed, which is mounted.
    root: OnceLock<ItemId>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Arc<Connection>>,
    /// Which opening `current` is from.
    current_from: u64,
    /// The latest, while it is under way.
    opening: Option<Opening>,
    /// How many were begun; it is the number of the latest.
    openings: u64,
    back_off: BackOff,
    failures: u64,
    /// Why there is no process, or was none lately.
    last_failure: Option<ProviderError>,
}

/// One process is started, however many wait for it.
type Opening = Arc<SetOnce<Result<Arc<Connection>>>>;

impl Supervisor {
    pub(super) fn new(launch: Arc<Launch>) -> Arc<Supervisor> {
        Arc::new(Supervisor {
            launch,
            root: OnceLock::new(),
            state: Mutex::default(),
        })
    }

    /// A process to ask: the one that runs, or a new one.
    ///
    /// # Errors
    /// Why there is none, and when it makes sense to come back.
    pub(super) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>> {
        let opening = {
            let mut state = self.lock();
            state.notice_end();
            if let Some(current) = &state.current {
                return Ok(current.clone());
            }
            match &state.opening {
                Some(opening) => opening.clone(),
                None => {
                    state.may_start(&self.launch.name)?;
                    self.start(&mut state)
                }
            }
        };
        opening.wait().await.clone()
    }

    /// Ends the process, which fails the calls under way, and starts a new one.
    ///
    /// # Errors
    /// Why that cannot be opened.
    pub(super) async fn restart(self: &Arc<Self>) -> Result<()> {
        let opening = {
            let mut state = self.lock();
            state.notice_end();
            state.back_off.forget();
            if let Some(current) = state.current.take() {
                current.stop();
            }
            match &state.opening {
                Some(opening) => opening.clone(),
                None => self.start(&mut state),
            }
        };
        opening.wait().await.clone().map(drop)
    }

    /// Starts the program as it is now, and then lets the process before it end.
    ///
    /// # Errors
    /// Why the new one cannot be opened; the old one stays.
    pub(super) async fn reload(self: &Arc<Self>) -> Result<()> {
        let opening = {
            let mut state = self.lock();
            state.back_off.forget();
            self.start(&mut state)
        };
        opening.wait().await.clone().map(drop)
    }

    /// Starts a process on a task of its own: who waits for it may give up, and it goes on.
    fn start(self: &Arc<Self>, state: &mut State) -> Opening {
        let opening = Opening::default();
        state.opening = Some(opening.clone());
        state.openings += 1;
        let number = state.openings;
        let supervisor = self.clone();
        let started = opening.clone();
        tokio::spawn(async move {
            let opened = supervisor.open().await;
            let to_ask = supervisor.note_opened(number, opened);
            // It is set nowhere else.
            let _only_once = started.set(to_ask);
        });
        opening
    }

    async fn open(&self) -> Result<Arc<Connection>> {
        let patience = self.launch.patience;
        let opening = Connection::open(self.launch.clone());
        let opened = tokio::time::timeout(patience, opening).await;
        let connection = opened.unwrap_or_else(|_elapsed| {
            let seconds = patience.as_secs_f32();
            let reason = format!("it did not open the drive within {seconds} s");
            Err(self.launch.failure(&reason))
        })?;
        let shown = &connection.about.root;
        if self.root.get_or_init(|| shown.clone()) == shown {
            return Ok(connection);
        }
        connection.drain();
        let reason =
            "the plugin shows another folder of the drive now than the one that is mounted";
        Err(ProviderError::new(ErrorKind::Invalid, reason))
    }

    /// Takes what an opening gave, and gives the process to ask.
    fn note_opened(&self, number: u64, opened: Result<Arc<Connection>>) -> Result<Arc<Connection>> {
        let mut state = self.lock();
        state.notice_end();
        if number == state.openings {
            state.opening = None;
        }
        match opened {
            Ok(connection) => {
                tracing::info!(
                    plugin = connection.hello.name,
                    version = connection.hello.version,
                    pid = connection.pid(),
                    "a plugin runs"
                );
                Ok(state.newest(number, connection))
            }
            Err(error) => {
                // With an old process at work this is a reload that failed: nothing is the worse for it.
                if state.current.is_none() {
                    state.back_off.note_end(false);
                    state.note_failure(error.clone());
                }
                // Who opens the drive tells of the first.
                if self.root.get().is_some() {
                    tracing::warn!(
                        plugin = self.launch.name,
                        reason = error.message,
                        "a plugin was not started"
                    );
                }
                Err(error)
            }
        }
    }

    pub(super) fn state(&self) -> ProcessState {
        let mut state = self.lock();
        state.notice_end();
        let current = state.current.as_ref();
        ProcessState {
            name: current
                .map_or(&self.launch.name, |current| &current.hello.name)
                .clone(),
            version: current
                .map(|current| current.hello.version.clone())
                .unwrap_or_default(),
            program: self.launch.program.display().to_string(),
            pid: current.map(|current| current.pid()),
            failures: state.failures,
            last_failure: state
                .last_failure
                .as_ref()
                .map(|error| error.message.clone()),
            unconfined: sandbox::missing_pieces(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(current) = self.lock().current.take() {
            current.drain();
        }
    }
}

impl State {
    /// Of the current process and the one that opening `number` gave, the one whose opening began later. The
    /// other ends when it has answered what it was asked.
    fn newest(&mut self, number: u64, opened: Arc<Connection>) -> Arc<Connection> {
        match &self.current {
            Some(newer) if self.current_from > number => {
                opened.drain();
                newer.clone()
            }
            _ => {
                self.current_from = number;
                if let Some(old) = self.current.replace(opened.clone()) {
                    old.drain();
                }
                opened
            }
        }
    }

    /// Takes a process away that has ended.
    fn notice_end(&mut self) {
        let Some(end) = self.current.as_ref().and_then(|current| current.end()) else {
            return;
        };
        let Some(ended) = self.current.take() else {
            return;
        };
        if let End::Failed(reason) = end {
            self.back_off.note_end(ended.has_answered());
            self.note_failure(failure(&ended.hello.name, &reason));
        }
    }

    fn note_failure(&mut self, error: ProviderError) {
        self.failures += 1;
        self.last_failure = Some(error);
    }

    /// # Errors
    /// What the last process failed of, while it is too early for another.
    fn may_start(&self, plugin: &str) -> Result<()> {
        let wait = self.back_off.time_left();
        if wait.is_zero() {
            return Ok(());
        }
        let error = match &self.last_failure {
            Some(error) => error.clone(),
            None => failure(plugin, "it ended"),
        };
        let wait = (error.kind == ErrorKind::Unavailable).then_some(wait);
        Err(error.with_retry_after(wait))
    }
}
