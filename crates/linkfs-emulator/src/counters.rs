use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::Serialize;

/// The last requests of the object store that are kept one by one.
const DATA_LOG_LENGTH: usize = 65_536;

/// What was asked and served since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls of the API by endpoint, refused ones included.
    pub calls: BTreeMap<String, u64>,
    /// Those of the calls that were answered with an error.
    pub errors: BTreeMap<String, u64>,
    /// Calls of the API refused for a missing, wrong or expired token or signature.
    pub unauthorized: u64,
    /// The ids of each signing call, in order.
    pub download_batches: Vec<Vec<String>>,
    /// Requests to the object store, refused ones included.
    pub data_requests: u64,
    /// Those answered with 4xx or 5xx.
    pub data_errors: u64,
    /// Bytes of bodies that were handed to the data connections. What a client has read is
    /// counted; of an abandoned body a few hundred KiB more may be.
    pub data_bytes: u64,
    /// By file id.
    pub files: BTreeMap<String, FileCounts>,
    /// Requests with a link past the end of its life.
    pub expired_links: u64,
    /// Requests with a link that was revoked while it should still have held.
    pub revoked_links: u64,
    /// Requests with a signature that never was right: altered, reordered or re-encoded.
    pub bad_signatures: u64,
    /// Things no client may do on the data port, in words, with how often.
    pub violations: BTreeMap<String, u64>,
    /// Bodies of the data port being sent now, and the most there were at once.
    pub open_streams: u64,
    pub max_streams: u64,
    /// The requests to the object store, oldest first.
    pub data_log: VecDeque<DataRequest>,
}

/// What happened to one file on the data port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileCounts {
    /// Links handed out.
    pub links: u64,
    pub requests: u64,
    pub bytes: u64,
}

/// One request to the object store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataRequest {
    /// The data port, by its name in fault rules.
    pub port: String,
    pub file: String,
    /// The range asked for, as it came; empty without one.
    pub range: String,
    pub status: u16,
}

/// Counts everything. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

impl Counters {
    /// A copy of the counts as they are now.
    pub fn snapshot(&self) -> Counts {
        self.counts().clone()
    }

    /// Starts all counts again at zero; bodies being sent stay open.
    pub fn reset(&self) {
        let mut counts = self.counts();
        let open_streams = counts.open_streams;
        *counts = Counts {
            open_streams,
            max_streams: open_streams,
            ..Counts::default()
        };
    }

    /// Calls of one endpoint.
    pub fn calls(&self, endpoint: &str) -> u64 {
        self.counts()
            .calls
            .get(endpoint)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn call(&self, endpoint: &str) {
        *self.counts().calls.entry(endpoint.into()).or_default() += 1;
    }

    pub(crate) fn error(&self, endpoint: &str) {
        *self.counts().errors.entry(endpoint.into()).or_default() += 1;
    }

    pub(crate) fn unauthorized(&self) {
        self.counts().unauthorized += 1;
    }

    pub(crate) fn download_batch(&self, ids: &[String]) {
        self.counts().download_batches.push(ids.to_vec());
    }

    pub(crate) fn link(&self, file: &str) {
        self.counts().files.entry(file.into()).or_default().links += 1;
    }

    pub(crate) fn violation(&self, what: &str) {
        *self.counts().violations.entry(what.into()).or_default() += 1;
    }

    pub(crate) fn expired_link(&self) {
        self.counts().expired_links += 1;
    }

    pub(crate) fn revoked_link(&self) {
        self.counts().revoked_links += 1;
    }

    pub(crate) fn bad_signature(&self) {
        self.counts().bad_signatures += 1;
    }

    pub(crate) fn data_request(&self, request: DataRequest) {
        let mut counts = self.counts();
        counts.data_requests += 1;
        counts.data_errors += u64::from(request.status >= 400);
        if !request.file.is_empty() {
            counts
                .files
                .entry(request.file.clone())
                .or_default()
                .requests += 1;
        }
        if counts.data_log.len() == DATA_LOG_LENGTH {
            counts.data_log.pop_front();
        }
        counts.data_log.push_back(request);
    }

    pub(crate) fn data_bytes(&self, file: &str, bytes: u64) {
        let mut counts = self.counts();
        counts.data_bytes += bytes;
        match counts.files.get_mut(file) {
            Some(file) => file.bytes += bytes,
            None => counts.files.entry(file.into()).or_default().bytes += bytes,
        }
    }

    /// Counts a body as open until the guard is dropped.
    pub(crate) fn open_stream(&self) -> OpenStream {
        let mut counts = self.counts();
        counts.open_streams += 1;
        counts.max_streams = counts.max_streams.max(counts.open_streams);
        OpenStream(self.clone())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().expect("counter lock")
    }
}

/// A body of the data port being sent.
#[derive(Debug)]
pub(crate) struct OpenStream(Counters);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.counts().open_streams -= 1;
    }
}
