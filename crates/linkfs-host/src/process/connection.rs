use std::collections::HashMap;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use linkfs_provider::wire::{
    self, Ability, About, Answer, Call, Cancel, Configure, Hello, Ready, Request,
};
use linkfs_provider::{ErrorKind, ProviderError, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

use super::child::{Pipes, PluginChild};
use super::stderr::log;
use super::{Launch, hosts};
use crate::proxy::Proxy;

/// How long a plugin may take to say hello: that needs neither its configuration nor the network.
pub(crate) const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How long a process may take to end after its stdin has, before it is killed.
pub(crate) const END_PATIENCE: Duration = Duration::from_secs(2);
/// How long is waited to learn how a process ended that said nothing more.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);
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
        let failed = |reason: &str| failure(&launch.name, reason);
        let hosts = Arc::new(hosts::configured(&launch.settings));
        let proxy = Proxy::start(hosts.clone()).await;
        let proxy = proxy.map_err(|error| failed(&format!("it gets no proxy: {error}")))?;
        let spawn = {
            let (launch, way_out) = (launch.clone(), proxy.address().clone());
            move || launch.spawn(&way_out)
        };
        let started = PluginChild::start(spawn).await;
        let (child, pipes) = started.map_err(|error| {
            let program = launch.program.display();
            failed(&format!("cannot start {program}: {error}"))
        })?;
        let Pipes {
            mut stdin,
            stdout,
            stderr,
            mut ended,
        } = pipes;
        tokio::spawn(log(launch.clone(), child.pid, stderr));
        let mut stdout = BufReader::new(stdout);
        let hello = tokio::time::timeout(HELLO_PATIENCE, next(&mut stdout, &mut ended)).await;
        let hello: Hello = hello
            .unwrap_or_else(|_| {
                Err(format!(
                    "it said no hello within {} s",
                    HELLO_PATIENCE.as_secs()
                ))
            })
            .map_err(|reason| failed(&reason))?;
        if !hello.protocols.contains(&wire::PROTOCOL) {
            let spoken = &hello.protocols;
            let ours = wire::PROTOCOL;
            return Err(failed(&format!(
                "it speaks the protocols {spoken:?}, and linkfs {ours}"
            )));
        }
        for pattern in &hello.hosts {
            let allowed = hosts.allow_declared(pattern);
            allowed.map_err(|bad| failed(&format!("it wants to reach {bad}")))?;
        }
        let configure = Configure {
            protocol: wire::PROTOCOL,
            config: launch.settings.config.clone(),
            state_dir: launch.settings.state_dir.clone(),
        };
        // A plugin that is gone already is noticed by what comes next.
        let _gone = stdin.write_all(&line(&configure)).await;
        let ready: Ready = next(&mut stdout, &mut ended)
            .await
            .map_err(|reason| failed(&reason))?;
        if let Some(error) = ready.error {
            return Err(launch.cleaned(error.into()));
        }
        let about = ready.about.ok_or_else(|| {
            failed("it said neither what the drive is like nor why it cannot be opened")
        })?;
        let (lines, waiting) = mpsc::unbounded_channel();
        let connection = Arc::new(Connection {
            child,
            proxy,
            hello,
            about,
            abilities: ready.abilities,
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
        tokio::spawn(read(connection.clone(), stdout, ended));
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
        let text = line(&Request { id, call });
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
            self.lock().lines = None;
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
            let _gone = lines.send(line(&Cancel { cancel: id }));
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
        failure(&self.launch.name, reason)
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

pub(super) fn failure(plugin: &str, reason: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unavailable, format!("plugin {plugin}: {reason}"))
}

/// The next line as a message, or in words why there is none.
async fn next<T: DeserializeOwned>(
    stdout: &mut BufReader<ChildStdout>,
    ended: &mut oneshot::Receiver<ExitStatus>,
) -> Result<T, String> {
    match read_line(stdout).await? {
        Some(text) => serde_json::from_slice(&text).map_err(|_| breach(&text)),
        None => Err(how_it_ended(ended).await),
    }
}

/// What is wrong with a line; nothing of it is repeated, it may be anything.
pub(crate) fn breach(text: &[u8]) -> String {
    match std::str::from_utf8(text) {
        Err(_) => "it wrote a line that is not UTF-8".to_owned(),
        Ok(_) if serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err() => {
            "it wrote a line that is not JSON".to_owned()
        }
        Ok(_) => "it wrote a line that is no message of the protocol".to_owned(),
    }
}

async fn how_it_ended(ended: &mut oneshot::Receiver<ExitStatus>) -> String {
    match tokio::time::timeout(STATUS_PATIENCE, ended).await {
        Ok(Ok(status)) => format!("it ended ({status})"),
        _ => "it closed its stdout".to_owned(),
    }
}

/// The next line, `None` at the end; what stands there without an end is no line.
pub(crate) async fn read_line(
    stdout: &mut BufReader<ChildStdout>,
) -> Result<Option<Vec<u8>>, String> {
    let mut text = Vec::new();
    let longest = u64::try_from(wire::LONGEST_LINE).unwrap_or(u64::MAX);
    let read = stdout.take(longest).read_until(b'\n', &mut text).await;
    read.map_err(|error| format!("its stdout cannot be read: {error}"))?;
    match text.last() {
        Some(b'\n') => Ok(Some(text)),
        _ if text.len() < wire::LONGEST_LINE => Ok(None),
        _ => Err(format!(
            "it wrote a line of more than {} MiB",
            wire::LONGEST_LINE >> 20
        )),
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

/// Takes answers until the process has no more.
async fn read(
    connection: Arc<Connection>,
    mut stdout: BufReader<ChildStdout>,
    mut ended: oneshot::Receiver<ExitStatus>,
) {
    let reason = loop {
        match read_line(&mut stdout).await {
            Err(breach) => break breach,
            Ok(None) => break how_it_ended(&mut ended).await,
            Ok(Some(text)) => {
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

pub(crate) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut text =
        serde_json::to_vec(message).expect("messages have text keys and no failing parts");
    text.push(b'\n');
    text
}
