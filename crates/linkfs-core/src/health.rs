//! How a drive and its data hosts have answered lately.

use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};
use tokio::time::Instant;

use crate::Error;

/// A drive that asks for a longer pause is asked after this whether it still means it.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// What is known of one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    /// The error of the last call, if it failed.
    pub(crate) failure: Option<Error>,
    /// Why bytes could not be had from the data host, until some arrive again.
    pub(crate) data_failure: Option<Error>,
    pause: Option<Pause>,
    /// What the drive said last, and when, unless it has answered since.
    call_refusal: Option<(Instant, Error)>,
    /// The same of the data hosts.
    data_refusal: Option<(Instant, Error)>,
}

/// The drive asked for it, and nobody asks the drive before it is over: the limit is the account's.
#[derive(Clone, Debug)]
pub(crate) struct Pause {
    pub(crate) until: Instant,
    /// In which words the drive asked for it.
    pub(crate) reason: Error,
}

impl Health {
    /// A call succeeded.
    pub(crate) fn note_answer(&mut self) {
        self.failure = None;
        self.call_refusal = None;
    }

    /// A call failed. It may be made again after `wait`, and would be before `deadline`.
    pub(crate) fn note_failure(
        &mut self,
        error: &Error,
        wait: Option<Duration>,
        deadline: Instant,
    ) {
        self.failed_calls += 1;
        if !concerns_all_items(error) {
            return;
        }
        self.failure = Some(error.clone());
        let Error::Drive(reason) = error else {
            return;
        };
        let now = Instant::now();
        self.call_refusal = Some((now, error.clone()));
        let is_told = reason.retry_after.is_some();
        let is_limit = is_told || reason.kind == ErrorKind::RateLimited;
        let until = wait
            .filter(|_| is_limit)
            .map(|wait| now + wait.min(LONGEST_PAUSE))
            // What is only our guess holds nobody up who might be luckier.
            .filter(|until| is_told || *until < deadline);
        let Some(until) = until else {
            return;
        };
        if self.pause.as_ref().is_none_or(|known| known.until < until) {
            let reason = error.clone();
            self.pause = Some(Pause { until, reason });
        }
    }

    /// The pause that is not over yet.
    pub(crate) fn pause(&self) -> Option<&Pause> {
        let pause = self.pause.as_ref();
        pause.filter(|pause| pause.until > Instant::now())
    }

    /// Bytes come from the data host.
    pub(crate) fn note_data(&mut self) {
        self.data_failure = None;
        self.data_refusal = None;
    }

    /// A data host said no, or could not be reached; it may be asked again.
    pub(crate) fn note_data_refusal(&mut self, reason: &ProviderError) {
        let reason = Error::Drive(reason.clone().during("read"));
        self.data_refusal = Some((Instant::now(), reason));
    }

    /// A transfer was given up.
    pub(crate) fn note_data_failure(&mut self, error: &Error) {
        if concerns_all_items(error) && error.is_passing() {
            self.data_failure = Some(error.clone());
        }
    }

    /// What the drive or a data host said last, unless that is longer ago than `time`, or was followed by
    /// a success.
    pub(crate) fn refusal_within(&self, time: Duration) -> Option<Error> {
        let refusals = [&self.data_refusal, &self.call_refusal];
        let recent = refusals.into_iter().flatten();
        let recent = recent.filter(|(at, error)| at.elapsed() < time && error.is_passing());
        recent
            .max_by_key(|(at, _)| *at)
            .map(|(_, error)| error.clone())
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
