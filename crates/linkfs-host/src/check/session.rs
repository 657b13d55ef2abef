use std::collections::{HashMap, HashSet};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::wire::{self, Answer, Call, Configure, ErrorKind, Hello, Ready};
use linkfs_provider::{Redactor, Secret};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::findings::{Doubt, Tried, missing};
use super::witness::Witness;
use crate::Launch;
use crate::process::{self, END_PATIENCE, Pipes, PluginChild};
use crate::proxy::{AllowedHosts, Proxy};

/// Lines that wait to be looked at: more than are ever asked for at once.
const LINES_WAITING: usize = 1024;

/// What was asked for, not yet read, or why not.
pub(super) type Said = Result<Box<RawValue>, wire::Error>;

/// One process of the plugin, spoken to line by line.
#[derive(Debug)]
pub(super) struct Session {
    launch: Arc<Launch>,
    witness: Arc<Witness>,
    hosts: Arc<AllowedHosts>,
    proxy: Proxy,
    child: PluginChild,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Result<Vec<u8>, String>>,
    /// How it ended; `None` once that was told.
    ended: Option<oneshot::Receiver<ExitStatus>>,
    stderr: JoinHandle<()>,
    last_id: u64,
    open: HashSet<u64>,
    answers: HashMap<u64, Answer>,
    /// Whether there is no use in asking it anything more.
    is_over: bool,
}

impl Session {
    pub(super) async fn start(launch: &Arc<Launch>, witness: &Arc<Witness>) -> Tried<Session> {
        let program = launch.program.display();
        let unstarted = |error| missing("a program", format!("cannot start {program}: {error}"));
        let hosts = Arc::new(process::configured_hosts(&launch.settings));
        let proxy = Proxy::start_apart(hosts.clone()).await.map_err(unstarted)?;
        let spawn = {
            let (launch, way_out) = (launch.clone(), proxy.address().clone());
            move || launch.spawn(&way_out)
        };
        let (child, pipes) = PluginChild::start(spawn).await.map_err(unstarted)?;
        let Pipes {
            stdin,
            stdout,
            stderr,
            ended,
        } = pipes;
        let (taken, lines) = mpsc::channel(LINES_WAITING);
        tokio::spawn(read(stdout, taken));
        Ok(Session {
            launch: launch.clone(),
            witness: witness.clone(),
            hosts,
            proxy,
            child,
            stdin: Some(stdin),
            lines,
            ended: Some(ended),
            stderr: tokio::spawn(keep_stderr(stderr, witness.clone())),
            last_id: 0,
            open: HashSet::new(),
            answers: HashMap::new(),
            is_over: false,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid
    }

    /// Takes down what has come of its connections so far.
    pub(super) fn note_traffic(&self) {
        self.witness.add_traffic(&self.proxy);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The plugin's first line.
    pub(super) async fn hello(&mut self) -> Tried<Hello> {
        let line = self.line(process::HELLO_PATIENCE).await;
        let line = line.map_err(|came| missing("a line with its hello", came))?;
        let hello: Hello = parse(&line, "a hello")?;
        for pattern in &hello.hosts {
            // What is no pattern is told where hosts are the question.
            let _no_pattern = self.hosts.allow_declared(pattern);
        }
        Ok(hello)
    }

    /// Gives it the configuration, and takes its second line.
    pub(super) async fn configure(&mut self, config: Map<String, Value>) -> Tried<Ready> {
        let configure = Configure {
            protocol: wire::PROTOCOL,
            config: Secret::new(config),
            state_dir: self.launch.settings.state_dir.clone(),
        };
        // One that is gone already is noticed by what comes next.
        let _gone = self.write(&configure).await;
        let expected = "what the drive is like, or why it cannot be opened";
        let line = self.line(self.launch.patience).await;
        let line = line.map_err(|came| missing(expected, came))?;
        let ready: Ready = parse(&line, expected)?;
        if let Some(error) = &ready.error {
            self.witness.add_message(&error.message);
        }
        Ok(ready)
    }

    /// Asks, and waits for the answer.
    pub(super) async fn ask(&mut self, call: Call) -> Tried<Said> {
        let question = serde_json::to_value(call).expect("calls have text keys");
        let id = self.send(question).await?;
        self.answer(id).await
    }

    /// Asks for what has to be there.
    pub(super) async fn value<T: DeserializeOwned>(&mut self, call: Call) -> Tried<T> {
        let expected = format!("an answer to `{}`", call.name());
        match self.ask(call).await? {
            Ok(value) => parse(value.get().as_bytes(), &expected),
            Err(error) => Err(missing(expected, self.shown(&error))),
        }
    }

    /// Sends a question, which gets a number.
    pub(super) async fn send(&mut self, mut question: Value) -> Tried<u64> {
        self.last_id += 1;
        let id = self.last_id;
        question["id"] = id.into();
        self.open.insert(id);
        self.write(&question).await?;
        Ok(id)
    }

    /// Says that nobody waits for an answer.
    pub(super) async fn cancel(&mut self, id: u64) -> Tried {
        self.write(&json!({"cancel": id})).await
    }

    /// The answer to question `id`; those to others are kept for later.
    pub(super) async fn answer(&mut self, id: u64) -> Tried<Said> {
        loop {
            if let Some(answer) = self.answers.remove(&id) {
                return Ok(self.said(answer));
            }
            let line = self.line(self.launch.patience).await;
            let line = line.map_err(|came| missing("an answer", came))?;
            self.take(&line);
        }
    }

    /// Writes a line as it is.
    pub(super) async fn write_line(&mut self, line: &[u8]) -> Tried {
        let Some(stdin) = &mut self.stdin else {
            return Err(missing("a process that reads", "its stdin is closed"));
        };
        let written = timeout(self.launch.patience, stdin.write_all(line)).await;
        let came = match written {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("its stdin cannot be written to: {error}"),
            Err(_elapsed) => format!("it read nothing for {}", seconds(self.launch.patience)),
        };
        self.is_over = true;
        Err(missing("a process that reads", came))
    }

    /// Ends its stdin, and gives whether it ended in time.
    pub(super) async fn end(mut self) -> Tried {
        self.stdin = None;
        let waiting = async {
            // What it has to say still must not keep it from ending.
            while let Some(line) = self.lines.recv().await {
                if let Ok(line) = line {
                    self.take(&line);
                }
            }
            self.status().await
        };
        let is_in_time = timeout(END_PATIENCE, waiting).await.is_ok();
        self.child.kill();
        // Something that it started may hold the other end.
        let _late = timeout(END_PATIENCE, &mut self.stderr).await;
        match is_in_time {
            true => Ok(()),
            false => {
                let expected = format!("its end within {}", seconds(END_PATIENCE));
                Err(missing(expected, "it went on"))
            }
        }
    }

    /// Lets it end, and takes what it has to say still.
    pub(super) async fn discard(self) {
        // Whether it ends in time is tried where that is the question.
        let _whether = self.end().await;
    }

    /// An error for people, without what is secret.
    pub(super) fn shown(&self, error: &wire::Error) -> String {
        shown(&self.launch.redactor, error)
    }

    async fn write(&mut self, message: &impl Serialize) -> Tried {
        let line = wire::line(message).expect("messages have text keys");
        self.write_line(&line).await
    }

    /// The next line, or in words why there is none.
    async fn line(&mut self, patience: Duration) -> Result<Vec<u8>, String> {
        let came = match timeout(patience, self.lines.recv()).await {
            Ok(Some(Ok(line))) => return Ok(line),
            Ok(Some(Err(breach))) => breach,
            Ok(None) => match timeout(END_PATIENCE, self.status()).await {
                Ok(Some(status)) => format!("it ended ({status})"),
                _ => "it closed its stdout".to_owned(),
            },
            Err(_elapsed) => format!("it said nothing for {}", seconds(patience)),
        };
        self.is_over = true;
        Err(came)
    }

    /// Waits until it has ended.
    async fn status(&mut self) -> Option<ExitStatus> {
        let status = self.ended.as_mut()?.await.ok();
        self.ended = None;
        status
    }

    fn take(&mut self, line: &[u8]) {
        let breach = match serde_json::from_slice::<Answer>(line) {
            Err(_) => process::breach(line),
            Ok(answer) if !self.open.remove(&answer.id) => {
                format!("it answered question {} that was not open", answer.id)
            }
            Ok(answer) if answer.ok.is_none() && answer.error.is_none() => {
                format!("its answer to question {} is empty", answer.id)
            }
            Ok(answer) => {
                self.answers.insert(answer.id, answer);
                return;
            }
        };
        self.witness.add_breach(breach);
    }

    fn said(&self, answer: Answer) -> Said {
        match (answer.ok, answer.error) {
            (Some(value), None) => Ok(value),
            (_, Some(error)) => {
                self.witness.add_message(&error.message);
                Err(error)
            }
            (None, None) => unreachable!("`take` keeps none that is empty"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.note_traffic();
    }
}

pub(super) fn shown(redactor: &Redactor, error: &wire::Error) -> String {
    format!("{}: {}", kind(error.kind), redactor.clean(&error.message))
}

/// A kind of error as it stands on the wire.
pub(super) fn kind(kind: ErrorKind) -> String {
    let name = serde_json::to_value(kind).ok();
    let name = name.as_ref().and_then(Value::as_str);
    name.unwrap_or("unknown").to_owned()
}

pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f32())
}

/// A message of the protocol; what is wrong with another is told without its values, which may be links.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8], expected: &str) -> Result<T, Doubt> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        if !is_json {
            return missing(expected, process::breach(text));
        }
        let place = error.path().to_string();
        let reason = error.into_inner().to_string();
        let reason = match reason.split_once(", expected ") {
            Some((_value, rest)) => format!("expected {rest}"),
            None => reason,
        };
        missing(expected, format!("in `{place}`: {reason}"))
    })
}

async fn read(stdout: ChildStdout, lines: mpsc::Sender<Result<Vec<u8>, String>>) {
    let mut stdout = BufReader::new(stdout);
    while let Some(line) = process::read_line(&mut stdout).await.transpose() {
        let is_last = line.is_err();
        if lines.send(line).await.is_err() || is_last {
            return;
        }
    }
}

async fn keep_stderr(mut stderr: ChildStderr, witness: Arc<Witness>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = stderr.read(&mut bytes).await {
        witness.add_stderr(&bytes[..count]);
    }
}
