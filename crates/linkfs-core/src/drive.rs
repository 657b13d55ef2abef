use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::{About, ErrorKind, ItemId, Page, PageToken, Provider, ProviderError, Usage};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fetch::Fetcher;
use crate::host_scores::HostScores;
use crate::link_cache::LinkCache;
use crate::{Error, Result, retry};

/// The share of a request's deadline that work done for it may take: the rest is left to report, in
/// words, why the work failed, instead of a bare time-out.
const WORK_SHARE: f64 = 0.9;
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
}

/// A provider under a configured name, with everything that is kept per account: links, limits, health.
pub struct Drive {
    name: String,
    provider: Arc<dyn Provider>,
    root: ItemId,
    work_time: Duration,
    calls: Semaphore,
    pub(crate) fetcher: Fetcher,
    pub(crate) links: LinkCache,
    pub(crate) hosts: Arc<HostScores>,
    health: Mutex<Health>,
    /// How often an item's bytes turned out to be others than its listing said.
    replacements: Mutex<HashMap<ItemId, u32>>,
    usage: Mutex<KnownUsage>,
}

/// How the drive has answered lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    /// The error of the last call, if it failed.
    pub(crate) failure: Option<Error>,
    /// Why bytes could not be had from the data host, until some arrive again.
    pub(crate) data_failure: Option<Error>,
    /// The drive asked for a pause until then.
    pub(crate) limited_until: Option<Instant>,
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
            calls: Semaphore::new(about.calls_in_flight.max(1)),
            fetcher: Fetcher::new(options.allow_private_hosts, work_time)?,
            links: LinkCache::default(),
            hosts: Arc::default(),
            health: Mutex::default(),
            replacements: Mutex::default(),
            usage: Mutex::default(),
            work_time,
            provider,
        }))
    }

    /// The configured name.
    pub fn name(&self) -> &str {
        &self.name
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
    /// What the drive said last, or `Deadline` when it never answered.
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
        for tries in 1.. {
            let error = match self.call_once(what, deadline, &ask).await {
                Ok(answer) => {
                    self.lock_health().failure = None;
                    return Ok(answer);
                }
                Err(error) => error,
            };
            let wait = retry::wait_before_retry(&passing_kind(&error), tries);
            let again = wait
                .map(|wait| Instant::now() + wait)
                .filter(|again| *again < deadline);
            self.note_failure(what, &error, again);
            let Some(again) = again else {
                return Err(error);
            };
            tokio::time::sleep_until(again).await;
        }
        unreachable!("the loop ends by returning")
    }

    async fn call_once<T, F>(
        &self,
        what: &str,
        deadline: Instant,
        ask: &impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let limited_until = self.health().limited_until;
        if let Some(until) = limited_until {
            tokio::time::sleep_until(until.min(deadline)).await;
        }
        let late = |waited| Error::Deadline {
            what: what.to_owned(),
            waited,
        };
        let permit = tokio::time::timeout_at(deadline, self.calls.acquire()).await;
        let _permit = permit
            .map_err(|_elapsed| late(self.work_time))?
            .expect("the semaphore is never closed");
        self.lock_health().calls += 1;
        let patience = self.work_time.mul_f64(CALL_SHARE);
        let started = Instant::now();
        tracing::debug!(drive = self.name, call = what, "asking");
        match tokio::time::timeout_at(deadline.min(started + patience), ask()).await {
            Ok(answer) => Ok(answer?),
            Err(_elapsed) => Err(late(started.elapsed())),
        }
    }

    fn note_failure(&self, what: &str, error: &Error, again: Option<Instant>) {
        tracing::debug!(drive = self.name, call = what, %error, again = again.is_some(), "refused");
        let mut health = self.lock_health();
        health.failed_calls += 1;
        if matches!(error, Error::Drive(e) if e.is_about_item) {
            return;
        }
        let is_rate_limit = matches!(error, Error::Drive(e) if e.kind == ErrorKind::RateLimited);
        if is_rate_limit {
            // The limit is the account's: nobody else need find out by asking.
            health.limited_until = health.limited_until.max(again);
        }
        if concerns_all_items(error) {
            health.failure = Some(error.clone());
        }
    }

    /// A transfer was given up.
    pub(crate) fn note_data_failure(&self, error: &Error) {
        if concerns_all_items(error) && error.is_passing() {
            self.lock_health().data_failure = Some(error.clone());
        }
    }

    /// The data host answers.
    pub(crate) fn note_data(&self) {
        self.lock_health().data_failure = None;
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
        let answer = self
            .call("ask for the usage", || self.provider.usage())
            .await;
        if let Ok(usage) = answer {
            self.lock_usage().usage = Some(usage);
        }
    }

    fn lock_usage(&self) -> MutexGuard<'_, KnownUsage> {
        self.usage.lock().expect("no panic while locked")
    }

    fn lock_health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().expect("no panic while locked")
    }
}

/// Whether a failure tells something of the drive; the others are about one item or one ability.
fn concerns_all_items(error: &Error) -> bool {
    match error {
        Error::Drive(error) if error.is_about_item => false,
        Error::Drive(error) => match error.kind {
            ErrorKind::LoginExpired
            | ErrorKind::RateLimited
            | ErrorKind::Unavailable
            | ErrorKind::Broken => true,
            ErrorKind::NotFound
            | ErrorKind::Denied
            | ErrorKind::Unsupported
            | ErrorKind::Invalid => false,
        },
        _ => true,
    }
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
