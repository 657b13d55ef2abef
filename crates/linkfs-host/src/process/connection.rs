use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use linkfs_provider::wire::{self, Ability, About, Answer, Call, Cancel, Hello, Request};
use linkfs_provider::{ErrorKind, ProviderError, Result};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::Launch;
use super::child::PluginChild;
use super::handshake::{self, Opened};
use super::output::{Output, breach};
use crate::proxy::Proxy;

/// How long a process may take to end after its stdin has, before it is killed.
pub(crate) const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long a call that waits for work of the drive's own may keep a plugin silent.
const LONG_SILENCE: Duration = Duration::from_secs(150);

/// A running plugin process whose drive is open: questions in, answers out.
#[derive(Debug)]
pub(super) struct Connection {
    launch: Arc<Launch>,
    child: PluginChild,
    /// Its only way out; there as long as the process.
    proxy: Proxy,
    pub(super) hello: Hello,
    pub(super) about: About,
    pub(super) abilities: Vec<Ability>,
    state: Mutex<State>,
    /// There is something to wait for, or nothing any more.
    changed: Arc<Notify>,
}

#[derive(Debug)]
struct State {
    last_id: u64,
    waiting: HashMap<u64, Waiting>,
    /// `None` once nothing more is to be asked.
    lines: Option<mpsc::UnboundedSender<Vec<u8>>>,
    /// Whether any question was answered, be it with an error.
    has_answered: bool,
    last_heard: Instant,
    /// Why the process is not used any more.
    end: Option<End>,
    /// When it is killed if it has not ended by itself; known once it should.
    kill_at: Option<Instant>,
}

/// A question that is not answered yet.
#[derive(Debug)]
struct Waiting {
    call: &'static str,
    since: Instant,
    /// How long the plugin may say nothing at all meanwhile.
    silence: Duration,
    /// `None` when nobody waits any more; the plugin owes the answer all the same.
    asker: Option<oneshot::Sender<Result<Box<RawValue>>>>,
}

impl Waiting {
    /// When the plugin counts as hung, having said something last at `last_heard`.
    fn hung_at(&self, last_heard: Instant) -> Instant {
        self.since.max(last_heard) + self.silence
    }
}

/// Why a process is not used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// We wanted it so.
    Wanted,
    /// It died, hung or broke the protocol; in words.
    Failed(String),
}

impl Connection {
    /// Starts a process and opens the drive with it.
    ///
    /// # Errors
    /// What the plugin says; `Unavailable` when it cannot be started, dies, or breaks the protocol.
    pub(super) async fn open(launch: Arc<Launch>) -> Result<Arc<Connection>> {
        let Opened {
            child,
            proxy,
            stdin,
            output,
            hello,
            about,
            abilities,
        } = handshake::open(&launch).await?;
        let (lines, waiting) = mpsc::unbounded_channel();
        let connection = Arc::new(Connection {
            child,
            proxy,
            hello,
            about,
            abilities,
            state: Mutex::new(State {
                last_id: 0,
                waiting: HashMap::new(),
                lines: Some(lines),
                has_answered: false,
                last_heard: Instant::now(),
                end: None,
                kill_at: None,
            }),
            changed: Arc::default(),
            launch,
        });
        tokio::spawn(write(stdin, waiting));
        tokio::spawn(read(connection.clone(), output));
        tokio::spawn(watch(
            Arc::downgrade(&connection),
            connection.changed.clone(),
        ));
        Ok(connection)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid
    }

    /// Asks, and waits for the answer. Dropped before that, it tells the plugin that nobody waits.
    ///
    /// # Errors
    /// What the plugin says, or `Unavailable` when its process ends before it answers.
    pub(super) async fn ask(&self, call: Call) -> Result<Box<RawValue>> {
        let (asker, answer) = oneshot::channel();
        let id = self.send(call, Some(asker))?;
        let mut unanswered = Unanswered {
            connection: self,
            id: Some(id),
        };
        let answer = answer.await;
        unanswered.id = None;
        answer.unwrap_or_else(|_| Err(self.failure("it ended")))
    }

    /// Tells something that has no answer worth waiting for.
    pub(super) fn tell(&self, call: Call) {
        // A process that is gone cannot be told anything.
        let _gone = self.send(call, None);
    }

    fn send(
        &self,
        call: Call,
        asker: Option<oneshot::Sender<Result<Box<RawValue>>>>,
    ) -> Result<u64> {
        let mut state = self.lock();
        let Some(lines) = &state.lines else {
            return Err(match &state.end {
                Some(End::Failed(reason)) => self.failure(reason),
                _ => self.failure("it was ended"),
            });
        };
        let id = state.last_id + 1;
        let name = call.name();
        let silence = match call.may_take_long() {
            true => self.launch.silence.max(LONG_SILENCE),
            false => self.launch.silence,
        };
        let text = written(&Request { id, call });
        // Before the plugin can have it: what its proxy refuses from now on may be for this call.
        let since = Instant::now();
        // Nobody takes it when the process is gone, which the reader notices.
        let _gone = lines.send(text);
        state.last_id = id;
        // A call that may take long may be slept for.
        let is_first = state
            .waiting
            .values()
            .all(|waiting| waiting.silence > silence);
        if is_first {
            self.changed.notify_one();
        }
        state.waiting.insert(
            id,
            Waiting {
                call: name,
                since,
                silence,
                asker,
            },
        );
        Ok(id)
    }

    /// Whether and why it is not used any more.
    pub(super) fn end(&self) -> Option<End> {
        self.lock().end.clone()
    }

    pub(super) fn has_answered(&self) -> bool {
        self.lock().has_answered
    }

    /// Takes no more questions, and lets the process end when it has answered those it has.
    pub(super) fn drain(&self) {
        let mut state = self.lock();
        state.end.get_or_insert(End::Wanted);
        if state.waiting.is_empty() {
            state.lines = None;
            self.changed.notify_one();
        }
    }

    /// Ends the process now.
    pub(super) fn stop(&self) {
        self.finish(End::Wanted);
    }

    fn fail(&self, reason: String) {
        tracing::warn!(
            plugin = self.launch.name,
            pid = self.pid(),
            reason,
            "a plugin failed"
        );
        self.finish(End::Failed(reason));
    }

    fn finish(&self, end: End) {
        let waiting = {
            let mut state = self.lock();
            state.lines = None;
            state.end.get_or_insert(end.clone());
            std::mem::take(&mut state.waiting)
        };
        self.child.kill();
        let reason = match &end {
            End::Wanted => "it was started anew",
            End::Failed(reason) => reason,
        };
        for asker in waiting.into_values().filter_map(|waiting| waiting.asker) {
            // Who has gone meanwhile needs no answer.
            let _gone = asker.send(Err(self.failure(reason)));
        }
    }

    /// An answer came.
    ///
    /// # Errors
    /// How it breaks the protocol.
    fn take(&self, text: &[u8]) -> Result<(), String> {
        let answer: Answer = serde_json::from_slice(text).map_err(|_| breach(text))?;
        let (waiting, is_last) = {
            let mut state = self.lock();
            state.last_heard = Instant::now();
            state.has_answered = true;
            let waiting = state.waiting.remove(&answer.id);
            let is_last = state.end.is_some() && state.waiting.is_empty();
            if is_last {
                // At once: a question in between would be cut off.
                state.lines = None;
            }
            (waiting, is_last)
        };
        let Some(waiting) = waiting else {
            return Err(format!(
                "it answered question {} that was not open",
                answer.id
            ));
        };
        let said = match (answer.ok, answer.error) {
            (_, Some(error)) => Err(self.explained(error.into(), waiting.since)),
            (Some(value), None) => Ok(value),
            (None, None) => {
                return Err(format!(
                    "its answer to `{}` has neither `ok` nor `error`",
                    waiting.call
                ));
            }
        };
        if let Some(asker) = waiting.asker {
            // Who has gone meanwhile needs no answer.
            let _gone = asker.send(said);
        }
        if is_last {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Nobody waits for an answer any more.
    fn abandon(&self, id: u64) {
        let mut state = self.lock();
        let Some(waiting) = state.waiting.get_mut(&id) else {
            return;
        };
        waiting.asker = None;
        if let Some(lines) = &state.lines {
            // Nobody takes it when the process is gone.
            let _gone = lines.send(written(&Cancel { cancel: id }));
        }
    }

    /// Ends the process when it hangs, or has not ended when it should have; gives the time to look again.
    fn look(&self) -> Option<Instant> {
        if let Some((call, silence)) = self.hung_call() {
            let seconds = silence.as_secs_f32();
            self.fail(format!(
                "it said nothing for {seconds} s, asked for `{call}`"
            ));
            return None;
        }
        let mut state = self.lock();
        if state.lines.is_some() {
            let last_heard = state.last_heard;
            let waiting = state.waiting.values();
            return waiting.map(|waiting| waiting.hung_at(last_heard)).min();
        }
        let kill_at = *state.kill_at.get_or_insert(Instant::now() + END_PATIENCE);
        if Instant::now() < kill_at {
            return Some(kill_at);
        }
        drop(state);
        self.stop();
        None
    }

    /// A call during which the plugin has said nothing at all for longer than it may, and for how long it may.
    fn hung_call(&self) -> Option<(&'static str, Duration)> {
        let state = self.lock();
        let now = Instant::now();
        let mut waiting = state.waiting.values();
        let hung = waiting.find(|waiting| waiting.hung_at(state.last_heard) <= now)?;
        Some((hung.call, hung.silence))
    }

    /// An error as it may be shown, with the reason why the drive could not be reached where that is known here
    /// alone.
    fn explained(&self, error: ProviderError, asked: Instant) -> ProviderError {
        let mut error = self.launch.cleaned(error);
        let refusal = match error.kind {
            ErrorKind::Unavailable => self.proxy.refusal_since(asked),
            _ => None,
        };
        if let Some(refusal) = refusal.filter(|refusal| !error.message.contains(refusal)) {
            error.message = format!("{} ({refusal})", error.message);
        }
        error
    }

    fn failure(&self, reason: &str) -> ProviderError {
        self.launch.failure(reason)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while locked")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// A question that is waited for.
struct Unanswered<'a> {
    connection: &'a Connection,
    id: Option<u64>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.connection.abandon(id);
        }
    }
}

fn written(message: &impl Serialize) -> Vec<u8> {
    wire::line(message).expect("questions have text keys and no failing parts")
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Takes answers until the process has no more.
async fn read(connection: Arc<Connection>, mut output: Output) {
    let reason = loop {
        match output.line().await {
            Err(reason) => break reason,
            Ok(text) => {
                if let Err(breach) = connection.take(&text) {
                    break breach;
                }
            }
        }
    };
    match connection.end() {
        Some(_) => connection.stop(),
        None => connection.fail(reason),
    }
}

/// Ends a process that hangs, and one that does not end when it should. It sleeps while there is nothing to
/// wait for.
async fn watch(connection: Weak<Connection>, changed: Arc<Notify>) {
    loop {
        let next = match connection.upgrade() {
            Some(connection) => connection.look(),
            None => return,
        };
        match next {
            None => changed.notified().await,
            Some(next) => {
                // Whichever comes first, it is looked again.
                let _either = tokio::time::timeout_at(next, changed.notified()).await;
            }
        }
    }
}
