use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use linkfs_provider::wire;
use tokio::io::BufReader;
use tokio::process::ChildStdout;
use tokio::sync::oneshot;

/// How long is waited to learn how a process ended that said nothing more.
const STATUS_PATIENCE: Duration = Duration::from_millis(500);

/// What a process says, and how it ended.
#[derive(Debug)]
pub(super) struct Output {
    stdout: BufReader<ChildStdout>,
    ended: oneshot::Receiver<ExitStatus>,
}

impl Output {
    pub(super) fn new(stdout: ChildStdout, ended: oneshot::Receiver<ExitStatus>) -> Output {
        Output {
            stdout: BufReader::new(stdout),
            ended,
        }
    }

    /// The next line, or in words why there is none.
    pub(super) async fn line(&mut self) -> Result<Vec<u8>, String> {
        match read_line(&mut self.stdout).await? {
            Some(text) => Ok(text),
            None => Err(self.how_it_ended().await),
        }
    }

    async fn how_it_ended(&mut self) -> String {
        match tokio::time::timeout(STATUS_PATIENCE, &mut self.ended).await {
            Ok(Ok(status)) => format!("it ended ({status})"),
            _ => "it closed its stdout".to_owned(),
        }
    }
}

/// The next line, `None` at the end, or in words what is wrong with it.
pub(crate) async fn read_line(
    stdout: &mut BufReader<ChildStdout>,
) -> Result<Option<Vec<u8>>, String> {
    let read = wire::read_line(stdout).await;
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => format!("it wrote {error}"),
        _ => format!("its stdout cannot be read: {error}"),
    })
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
