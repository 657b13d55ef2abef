use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::{About, ErrorKind, ItemId, Page, PageToken, Provider, ProviderError, Usage};
use tokio::time::Instant;

use crate::admission::{Admission, BACKGROUND, FOREGROUND, Place, Urgency};
use crate::answer_times::AnswerTimes;
use crate::connection_rate::ConnectionRate;
use crate::fetch::Fetcher;
use crate::health::{Health, Pause};
use crate::host_scores::HostScores;
use crate::link_cache::LinkCache;
use crate::sharing::Shares;
use crate::{Error, Result, SavedListings, retry};

/// The share of a request's deadline that work done for it may take: the rest is left to report, in
/// words, why the work failed, instead of a bare time-out.
const WORK_SHARE: f64 = 0.9;
/// Of the calls that a drive takes at once, so many are never made for those for whom nobody waits.
const CALLS_KEPT: usize = 1;
/// Requests for ranges under way at the same time: as many as the kernel makes in the background, and more than any
/// line needs to be full. A data host that is asked by 500 connections from one address takes it for an attack.
const MOST_RANGES: usize = 64;
/// So many of them are never for what is fetched ahead.
const RANGES_KEPT: usize = 16;
/// One call may take this share of the work's time, so that a lost answer leaves room for another try.
const CALL_SHARE: f64 = 0.4;

/// How a drive is used.
#[derive(Clone, Debug)]
pub struct DriveOptions {
    /// How long a request may take before it ends with an error.
    pub deadline: Duration,
    /// Whether links may lead to loopback and private addresses.
    pub allow_private_hosts: bool,
    /// The folder to show instead of the provider's root.
    pub root: Option<ItemId>,
    /// What tells its content from any other drive's, without a secret; `None` when that cannot be said,
    /// and then nothing of it is kept on disk.
    pub identity: Option<String>,
    /// Where its listings are kept for the next mount; `None` to keep none.
    pub saved_listings: Option<Arc<SavedListings>>,
}

/// A provider under a configured name, with everything that is kept per account: links, limits, health.
pub struct Drive {
    name: String,
    provider: Arc<dyn Provider>,
    root: ItemId,
    work_time: Duration,
    calls: Arc<Admission>,
    /// To the data hosts.
    pub(crate) ranges: Arc<Admission>,
    pub(crate) fetcher: Fetcher,
    pub(crate) links: LinkCache,
    pub(crate) shares: Shares,
    pub(crate) saved_listings: Option<Arc<SavedListings>>,
    identity: Option<String>,
    pub(crate) hosts: Arc<HostScores>,
    health: Mutex<Health>,
    /// How often an item's bytes turned out to be others than its listing said.
    replacements: Mutex<HashMap<ItemId, u32>>,
    usage: Mutex<KnownUsage>,
    connection_rate: Mutex<ConnectionRate>,
    answer_times: Mutex<AnswerTimes>,
}

/// How the drive is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    /// What for, in words.
    pub(crate) what: &'a str,
    pub(crate) deadline: Instant,
    /// When a drive that cannot answer is given up; a pause that it asks for is waited out up to `deadline`.
    pub(crate) outage_ends: Instant,
    /// How long one call may take.
    pub(crate) patience: Duration,
    pub(crate) repeat: Repeat,
    pub(crate) urgency: &'a Urgency,
}

/// Which failed calls may be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Every one that may succeed later: to do twice what is asked does no harm.
    Always,
    /// Only one that the drive has put off, and so not done.
    WhenNotDone,
}

impl Repeat {
    fn allows(self, error: &Error) -> bool {
        match (self, error) {
            (Repeat::Always, _) => true,
            (Repeat::WhenNotDone, error) => is_put_off(error),
        }
    }
}

/// Whether the drive did nothing and asked to come back.
fn is_put_off(error: &Error) -> bool {
    match error {
        Error::Drive(error) => error.kind == ErrorKind::RateLimited || error.retry_after.is_some(),
        _ => false,
    }
}

/// Whether the drive said that it is asked too often, and not just for one item.
fn is_too_much(error: &Error) -> bool {
    match error {
        Error::Drive(error) => error.kind == ErrorKind::RateLimited && !error.is_about_item,
        _ => false,
    }
}

#[derive(Debug, Default)]
struct KnownUsage {
    usage: Option<Usage>,
    asked: Option<Instant>,
}

impl Drive {
    /// A drive called `name`, answered by `provider`.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up (no usable certificates).
    pub fn new(
        name: &str,
        provider: Arc<dyn Provider>,
        options: DriveOptions,
    ) -> Result<Arc<Drive>> {
        let work_time = options.deadline.mul_f64(WORK_SHARE);
        let about = provider.about();
        Ok(Arc::new(Drive {
            name: name.to_owned(),
            root: options.root.unwrap_or_else(|| about.root.clone()),
            calls: Admission::new(about.calls_in_flight, CALLS_KEPT),
            ranges: Admission::new(MOST_RANGES, RANGES_KEPT),
            fetcher: Fetcher::new(options.allow_private_hosts, work_time)?,
            links: LinkCache::default(),
            shares: Shares::new(about.calls_in_flight),
            saved_listings: options.saved_listings,
            identity: options.identity,
            hosts: Arc::default(),
            health: Mutex::default(),
            replacements: Mutex::default(),
            usage: Mutex::default(),
            connection_rate: Mutex::default(),
            answer_times: Mutex::default(),
            work_time,
            provider,
        }))
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells its content from any other drive's, if that can be said.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    pub(crate) fn root(&self) -> &ItemId {
        &self.root
    }

    pub(crate) fn about(&self) -> &About {
        self.provider.about()
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        &*self.provider
    }

    pub(crate) fn health(&self) -> Health {
        self.lock_health().clone()
    }

    /// How long work without progress may take.
    pub(crate) fn work_time(&self) -> Duration {
        self.work_time
    }

    /// How long one call may take.
    pub(crate) fn call_patience(&self) -> Duration {
        self.work_time.mul_f64(CALL_SHARE)
    }

    pub(crate) async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        self.call(&format!("list folder {folder}"), || {
            self.provider.list(folder, after)
        })
        .await
    }

    /// How often `item` was found replaced without its listing saying so: part of its files' node
    /// numbers, so that a file opened after that is another node than one opened before.
    pub(crate) fn replacements_seen(&self, item: &ItemId) -> u32 {
        let replacements = self.replacements.lock().expect("no panic while locked");
        replacements.get(item).copied().unwrap_or(0)
    }

    pub(crate) fn saw_replacement(&self, item: &ItemId) {
        let mut replacements = self.replacements.lock().expect("no panic while locked");
        *replacements.entry(item.clone()).or_default() += 1;
    }

    /// Asks the drive, again and again while that may help and the time for it lasts: the one place where
    /// provider calls are retried.
    ///
    /// # Errors
    /// What the drive said last, or `Deadline` when it never answered. A pause that lasts longer than there
    /// is time for is not waited for.
    pub(crate) async fn call<T, F>(&self, what: &str, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        self.call_until(Instant::now() + self.work_time, what, ask)
            .await
    }

    /// As [`Drive::call`], for work that has begun before.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn call_until<T, F>(
        &self,
        deadline: Instant,
        what: &str,
        ask: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        self.ask(self.usual(what, deadline), ask).await
    }

    /// How the drive is asked when somebody waits and to ask twice does no harm.
    pub(crate) fn usual<'a>(&self, what: &'a str, deadline: Instant) -> Ask<'a> {
        Ask {
            what,
            deadline,
            outage_ends: deadline,
            patience: self.call_patience(),
            repeat: Repeat::Always,
            urgency: &FOREGROUND,
        }
    }

    /// As [`Drive::call`], with everything said about how.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn ask<T, F>(&self, how: Ask<'_>, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let Ask { what, deadline, .. } = how;
        let mut said = None;
        for tries in 1.. {
            let turn = self.turn(&how).await;
            let turn = turn.map_err(|error| what_was_said(error, &mut said))?;
            let error = match self.call_once(&how, &ask).await {
                Ok(answer) => {
                    turn.went_well();
                    self.lock_health().note_answer();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let wait = retry::wait_before_retry(&passing_kind(&error), tries);
            let wait = wait.filter(|_| how.repeat.allows(&error));
            tracing::debug!(drive = self.name, call = what, %error, ?wait, "refused");
            match is_unsupported(&error) {
                true => self.lock_health().note_answer(),
                false => self.lock_health().note_failure(&error, wait, deadline),
            }
            if is_too_much(&error) {
                turn.was_too_much();
            }
            // Only now: the next in turn must know of the pause.
            drop(turn);
            let limit = match is_put_off(&error) {
                true => deadline,
                false => how.outage_ends,
            };
            let error = what_was_said(error, &mut said);
            let again = wait.map(|wait| Instant::now() + wait);
            let Some(again) = again.filter(|again| *again < limit) else {
                return Err(error);
            };
            tokio::time::sleep_until(again).await;
        }
        unreachable!("the loop ends by returning")
    }

    /// Waits until the drive may be asked: for the end of a pause, and for those who come before.
    async fn turn(&self, how: &Ask<'_>) -> Result<Place> {
        let deadline = how.deadline;
        loop {
            if let Some(pause) = self.pause() {
                if pause.until >= deadline {
                    return Err(pause.reason);
                }
                tokio::time::sleep_until(pause.until).await;
            }
            let place = tokio::time::timeout_at(deadline, self.calls.enter(how.urgency)).await;
            let place = place.map_err(|_elapsed| Error::Deadline {
                what: how.what.to_owned(),
                waited: self.work_time,
            })?;
            // One who was asking may have been told to pause.
            if self.pause().is_none() {
                return Ok(place);
            }
        }
    }

    fn pause(&self) -> Option<Pause> {
        self.lock_health().pause().cloned()
    }

    async fn call_once<T, F>(&self, how: &Ask<'_>, ask: &impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let Ask { what, deadline, .. } = *how;
        self.lock_health().calls += 1;
        let started = Instant::now();
        tracing::debug!(drive = self.name, call = what, "asking");
        match tokio::time::timeout_at(deadline.min(started + how.patience), ask()).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => Err(Error::Deadline {
                what: what.to_owned(),
                waited: started.elapsed(),
            }),
        }
    }

    /// Answers that were right one by one make no sense together.
    pub(crate) fn note_broken_answer(&self, error: &Error) {
        self.lock_health().note_failure(error, None, Instant::now());
    }

    /// What the drive or a data host said last, see [`Health::refusal_within`].
    pub(crate) fn refusal_within(&self, time: Duration) -> Option<Error> {
        self.lock_health().refusal_within(time)
    }

    /// A data host said no, or could not be reached; it may be asked again.
    pub(crate) fn note_data_refusal(&self, reason: &ProviderError) {
        self.lock_health().note_data_refusal(reason);
    }

    /// A transfer was given up.
    pub(crate) fn note_data_failure(&self, error: &Error) {
        self.lock_health().note_data_failure(error);
    }

    /// The data host answers.
    pub(crate) fn note_data(&self) {
        self.lock_health().note_data();
    }

    /// A connection to the data host gave `bytes` in `elapsed`.
    pub(crate) fn note_transfer(&self, bytes: u64, elapsed: Duration) {
        self.lock_rate().observe(bytes, elapsed);
    }

    /// How much one request should ask for when `ahead` bytes are to be fetched ahead.
    pub(crate) fn run_length(&self, ahead: u64) -> u64 {
        self.lock_rate().run_length(ahead)
    }

    /// How full the drive is as far as it is known: never waits. When the answer is older than
    /// `max_age`, a new one is asked for in the background.
    pub(crate) fn usage(self: &Arc<Self>, max_age: Duration) -> Option<Usage> {
        let mut known = self.lock_usage();
        if known.asked.is_none_or(|asked| asked.elapsed() >= max_age) {
            known.asked = Some(Instant::now());
            let drive = self.clone();
            tokio::spawn(async move { drive.learn_usage().await });
        }
        known.usage
    }

    /// Asks how full the drive is. A drive that does not say is shown without a limit.
    pub(crate) async fn learn_usage(&self) {
        self.lock_usage().asked = Some(Instant::now());
        let how = Ask {
            urgency: &BACKGROUND,
            ..self.usual("ask for the usage", Instant::now() + self.work_time)
        };
        let answer = self.ask(how, || self.provider.usage()).await;
        if let Ok(usage) = answer {
            self.lock_usage().usage = Some(usage);
        }
    }

    fn lock_usage(&self) -> MutexGuard<'_, KnownUsage> {
        self.usage.lock().expect("no panic while locked")
    }

    /// When a data host that has not begun to answer is to be asked a second time.
    pub(crate) fn ask_again_after(&self) -> Option<Duration> {
        self.lock_answer_times().ask_again_after()
    }

    /// A data host began to answer after `time`.
    pub(crate) fn note_answer(&self, time: Duration) {
        self.lock_answer_times().observe(time);
    }

    /// How often a data host was asked a second time.
    pub(crate) fn second_requests(&self) -> u64 {
        self.lock_answer_times().seconds()
    }

    /// Whether a data host may be asked a second time now; then it counts.
    pub(crate) fn take_second_request(&self) -> bool {
        self.lock_answer_times().take_second()
    }

    fn lock_answer_times(&self) -> MutexGuard<'_, AnswerTimes> {
        self.answer_times.lock().expect("no panic while locked")
    }

    fn lock_rate(&self) -> MutexGuard<'_, ConnectionRate> {
        self.connection_rate.lock().expect("no panic while locked")
    }

    fn lock_health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("no panic while locked")
    }
}

/// A silence after an answer takes nothing back: the answer stays the reason.
fn what_was_said(error: Error, said: &mut Option<Error>) -> Error {
    match error {
        Error::Deadline { .. } => said.clone().unwrap_or(error),
        error => said.insert(error).clone(),
    }
}

/// A drive that cannot do something has answered, and well.
fn is_unsupported(error: &Error) -> bool {
    matches!(error, Error::Drive(error) if error.kind == ErrorKind::Unsupported)
}

/// A call that never answered is retried like one that said it could not.
fn passing_kind(error: &Error) -> ProviderError {
    match error {
        Error::Drive(error) => error.clone(),
        other => ProviderError::new(ErrorKind::Unavailable, other.to_string()),
    }
}

impl std::fmt::Debug for Drive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drive")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
