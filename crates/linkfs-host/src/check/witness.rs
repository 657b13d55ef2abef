use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard};

/// More than this of what a plugin writes to stderr is not looked at.
const MOST_STDERR: usize = 16 << 20;

/// What was seen of all processes of a check.
#[derive(Debug, Default)]
pub(super) struct Witness(Mutex<Seen>);

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What they wrote to stderr.
    pub(super) stderr: Vec<u8>,
    /// The messages of their errors.
    pub(super) messages: Vec<String>,
    /// How they broke the rule of one answer for each call.
    pub(super) breaches: Vec<String>,
    /// Where their connections led.
    pub(super) peers: BTreeSet<SocketAddr>,
}

impl Witness {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic while locked")
    }

    pub(super) fn add_stderr(&self, bytes: &[u8]) {
        let stderr = &mut self.seen().stderr;
        let room = MOST_STDERR.saturating_sub(stderr.len());
        stderr.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    pub(super) fn add_message(&self, message: &str) {
        self.seen().messages.push(message.to_owned());
    }

    pub(super) fn add_breach(&self, breach: String) {
        self.seen().breaches.push(breach);
    }
}
