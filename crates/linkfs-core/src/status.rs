use std::sync::Arc;

use linkfs_provider::ProcessState;
use serde::Serialize;
use tokio::time::Instant;

use crate::disk_cache::DiskCacheStats;
use crate::{Drive, Error};

/// The state of a mount, for people and scripts: what `.linkfs/status` shows. It holds no secret.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The program's version.
    pub version: &'static str,
    /// The process that serves the mount.
    pub pid: u32,
    /// The drives.
    pub drives: Vec<DriveStatus>,
    /// What memory is taken for.
    pub memory: MemoryStatus,
    /// The cache on disk, if there is one.
    pub disk: Option<DiskCacheStats>,
    /// Why there is none although there should be one.
    pub disk_failure: Option<String>,
    /// Whether requests about shares are checked and written down, and nothing else.
    pub dry_run: bool,
    /// Open files and folders.
    pub open_handles: usize,
    /// Files and folders known.
    pub nodes: usize,
}

/// Gauges of the memory under the budget, in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryStatus {
    /// The budget.
    pub budget_bytes: u64,
    /// Blocks that are cached.
    pub cached_bytes: u64,
    /// Blocks asked for that have not come yet.
    pub pending_bytes: u64,
    /// What reads under way may hold until they are answered.
    pub reads_bytes: u64,
    /// Buffers of all blocks there are: cached, being filled, being read.
    pub block_bytes: u64,
    /// Buffers kept for their next use.
    pub free_bytes: u64,
    /// Names of files and folders, and what else the drive said of them.
    pub name_bytes: u64,
    /// The most that blocks, free buffers and names took at any time.
    pub peak_bytes: u64,
}

/// The state of one drive.
#[derive(Clone, Debug, Serialize)]
pub struct DriveStatus {
    /// The configured name.
    pub name: String,
    /// `ok`, `limited` (the drive asked for a pause), `needs login` or `failing`.
    pub state: &'static str,
    /// Why it is failing, in words.
    pub reason: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// How much longer the pause lasts.
    pub limited_for_seconds: Option<u64>,
    /// Provider calls made so far.
    pub calls: u64,
    /// Those of them that failed.
    pub failed_calls: u64,
    /// Links held.
    pub links: usize,
    /// Why its listings cannot be saved for the next mount, in words.
    pub unsaved_listings: Option<String>,
    /// Ranges asked for a second time, because the answer was late.
    pub second_requests: u64,
    /// The hosts that links led to lately.
    pub hosts: Vec<HostStatus>,
    /// How sharing goes, where the drive can share.
    pub shares: Option<ShareStatus>,
    /// The process of its plugin, where it has one.
    pub plugin: Option<ProcessState>,
}

/// The state of a drive whose login is over.
const NEEDS_LOGIN: &str = "needs login";

impl DriveStatus {
    /// Whether nothing more can be had from the drive before somebody logs in.
    pub fn needs_login(&self) -> bool {
        self.state == NEEDS_LOGIN
    }
}

/// How sharing goes.
#[derive(Clone, Debug, Serialize)]
pub struct ShareStatus {
    /// Shares made or changed so far.
    pub made: u64,
    /// Requests that wait for theirs.
    pub waiting: usize,
}

/// How a data host has answered lately.
#[derive(Clone, Debug, Serialize)]
pub struct HostStatus {
    /// Its name and port: addresses hold secrets.
    pub host: String,
    /// How often it failed; what was long ago counts less.
    pub failures: u32,
    /// How long its first byte takes, on average.
    pub first_byte_ms: Option<u64>,
    /// How much longer other hosts are asked instead.
    pub passed_over_for_seconds: Option<u64>,
}

pub(crate) fn of_drive(drive: &Arc<Drive>) -> DriveStatus {
    let health = drive.health();
    let pause = health
        .pause()
        .map(|pause| pause.until.saturating_duration_since(Instant::now()));
    let failure = health.failure.as_ref().or(health.data_failure.as_ref());
    let state = match (failure, pause) {
        (_, Some(_)) => "limited",
        (Some(error), None) if error.is_lapsed_login() => NEEDS_LOGIN,
        (Some(_), None) => "failing",
        (None, None) => "ok",
    };
    DriveStatus {
        name: drive.name().to_owned(),
        state,
        reason: failure.map(Error::to_string),
        advice: failure.map(|error| advice(drive, error)),
        limited_for_seconds: pause.map(|left| left.as_secs()),
        calls: health.calls,
        failed_calls: health.failed_calls,
        links: drive.links.len(),
        unsaved_listings: drive
            .saved_listings
            .as_ref()
            .and_then(|saved| saved.failure()),
        second_requests: drive.second_requests(),
        hosts: hosts(drive),
        shares: shares(drive),
        plugin: drive.provider().process().map(|process| process.state()),
    }
}

fn shares(drive: &Drive) -> Option<ShareStatus> {
    drive.provider().sharing()?;
    let (made, waiting) = drive.shares.counts();
    Some(ShareStatus { made, waiting })
}

fn hosts(drive: &Drive) -> Vec<HostStatus> {
    let now = Instant::now();
    let scores = drive.hosts.all().into_iter();
    let statuses = scores.map(|(host, score)| HostStatus {
        host: host.to_string(),
        failures: score.failures_at(now).round() as u32,
        first_byte_ms: score.speed(now).map(|time| time.as_millis() as u64),
        passed_over_for_seconds: score.passed_over_for(now).map(|left| left.as_secs()),
    });
    statuses.collect()
}

fn advice(drive: &Drive, error: &Error) -> String {
    match error.is_lapsed_login() {
        true => format!(
            "run `linkfs login {}`, which logs in or says where to put a new token",
            drive.name()
        ),
        false => error.advice().to_owned(),
    }
}
