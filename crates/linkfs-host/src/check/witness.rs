use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use crate::proxy::Proxy;

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
    /// Whether any of them has reached a host.
    pub(super) has_talked: bool,
    /// Why they may not reach others that they asked for.
    pub(super) forbidden: BTreeSet<String>,
}

impl Witness {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no panic while locked")
    }

    /// Takes down what came of a process's connections.
    pub(super) fn add_traffic(&self, proxy: &Proxy) {
        let mut seen = self.seen();
        seen.has_talked |= proxy.has_passed_any();
        seen.forbidden.extend(proxy.forbidden());
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
