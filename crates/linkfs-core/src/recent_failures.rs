use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::open_file::ReaderId;

/// How long a failure answers for the bytes it was about. When the kernel's read-ahead failed, the kernel
/// asks once more for each page that a reader waits for, at once and on behalf of each reader in turn: trying
/// again for all of them would take each the time of all those before it, and it is not they who asked again.
const KERNEL_ASKS_AGAIN_WITHIN: Duration = Duration::from_millis(250);

/// The reads of one content that failed a moment ago, whoever made them: the kernel's pages are shared by all who
/// have it open.
#[derive(Debug, Default)]
pub(crate) struct RecentFailures(Mutex<Vec<Failure>>);

#[derive(Debug)]
struct Failure {
    bytes: Range<u64>,
    at: Instant,
    error: Error,
    /// The readers whom it has answered.
    answered: Vec<ReaderId>,
}

impl RecentFailures {
    pub(crate) fn note(&self, bytes: Range<u64>, error: &Error) {
        let mut failures = self.lock();
        failures.retain(Failure::is_fresh);
        failures.push(Failure {
            bytes,
            at: Instant::now(),
            error: error.clone(),
            answered: Vec::new(),
        });
    }

    /// The answer to a read from `offset` on that failed just now. It is given to each reader once, and only to
    /// those who may have waited for it: who came later asks for himself.
    pub(crate) fn take(&self, reader: ReaderId, opened: Instant, offset: u64) -> Option<Error> {
        let mut failures = self.lock();
        let failure = failures
            .iter_mut()
            .find(|failure| failure.answers(reader, opened, offset))?;
        failure.answered.push(reader);
        Some(failure.error.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.0
            .lock()
            .expect("no panic while the failures are locked")
    }
}

impl Failure {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < KERNEL_ASKS_AGAIN_WITHIN
    }

    fn answers(&self, reader: ReaderId, opened: Instant, offset: u64) -> bool {
        self.is_fresh()
            && opened <= self.at
            && self.bytes.contains(&offset)
            && !self.answered.contains(&reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ReaderId = ReaderId(1);
    const B: ReaderId = ReaderId(2);

    /// Failures of the bytes from 100 to 200, and when that was.
    fn failed() -> (RecentFailures, Instant) {
        let failures = RecentFailures::default();
        failures.note(100..200, &Error::NotFound);
        (failures, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_answers_each_reader_once() {
        let (failures, now) = failed();
        for reader in [A, B] {
            assert_eq!(failures.take(reader, now, 100), Some(Error::NotFound));
            assert_eq!(failures.take(reader, now, 100), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_answers_for_its_own_bytes_and_for_a_moment() {
        let (failures, now) = failed();
        assert_eq!(failures.take(A, now, 99), None);
        assert_eq!(failures.take(A, now, 200), None);
        tokio::time::advance(KERNEL_ASKS_AGAIN_WITHIN).await;
        assert_eq!(failures.take(A, now, 100), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_opened_later_asks_for_himself() {
        let (failures, now) = failed();
        let later = now + Duration::from_millis(1);
        assert_eq!(failures.take(A, later, 100), None);
        assert_eq!(failures.take(A, now, 199), Some(Error::NotFound));
    }
}
