use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};
use reqwest::StatusCode;
use tokio::time::Instant;

use crate::admission::{FOREGROUND, Place, Urgency};
use crate::block::{BLOCK_SIZE, Block, Row};
use crate::block_cache::{Run, Slot};
use crate::content::Content;
use crate::entity_tag::EntityTag;
use crate::fetch::{Body, FetchError, Range};
use crate::lease::Lease;
use crate::stored::StoredFile;
use crate::{Error, Result, retry};

/// A disk that takes longer is done without: the network is there.
const DISK_PATIENCE: Duration = Duration::from_secs(5);
/// So many pieces are read from the disk before they are handed on.
const READ_AT_ONCE: usize = 4;

/// Fetches consecutive pieces of one file, over as many links, urls and connections as it takes, and hands
/// on each piece as soon as it is full.
pub(crate) struct RangeJob {
    content: Arc<Content>,
    /// Where the piece being filled begins.
    next: u64,
    /// The pieces to settle, from `next` on.
    open: VecDeque<Slot>,
    urgency: Arc<Urgency>,
    /// Memory for the pieces from `next` on.
    row: Row,
    /// What has come of the piece at `next`. It is kept over a broken connection: reading goes on at the
    /// exact byte.
    filling: Option<Block>,
    /// Where blocks are kept on disk, if they are.
    stored: Option<Arc<StoredFile>>,
    trouble: Trouble,
}

/// What went wrong since the last byte came.
struct Trouble {
    since: Instant,
    tries: u32,
    was_refused: bool,
    was_wrong: bool,
    /// What was said last: it tells more than a silence after it.
    said: Option<ProviderError>,
}

impl Trouble {
    fn none() -> Trouble {
        Trouble {
            since: Instant::now(),
            tries: 0,
            was_refused: false,
            was_wrong: false,
            said: None,
        }
    }
}

impl RangeJob {
    pub(crate) fn new(content: Arc<Content>, run: Run) -> RangeJob {
        let length: u64 = run.slots.iter().map(|slot| slot.length).sum();
        RangeJob {
            row: content.pool().row(run.start..run.start + length),
            content,
            next: run.start,
            open: run.slots.into(),
            urgency: run.urgency,
            filling: None,
            stored: None,
            trouble: Trouble::none(),
        }
    }

    pub(crate) async fn run(mut self) {
        let opened = tokio::time::timeout(DISK_PATIENCE, self.content.stored()).await;
        self.stored = opened.unwrap_or_else(|_elapsed| {
            self.content.note_hanging_disk();
            None
        });
        while !self.open.is_empty() {
            if self.take_stored().await {
                continue;
            }
            if let Err(error) = self.go_on().await {
                tracing::debug!(node = self.content.node_id().0, offset = self.position(), %error, "range given up");
                self.content.drive().note_data_failure(&error);
                if self.content.check_unchanged().is_err() {
                    // Before anybody hears of it: who opens the file again must not find the old bytes.
                    self.forget_stored().await;
                }
                return self.fail(&error);
            }
        }
    }

    /// Takes what the disk has of the next pieces; says whether that was something.
    async fn take_stored(&mut self) -> bool {
        let Some(stored) = self.stored.clone().filter(|_| self.filling.is_none()) else {
            return false;
        };
        let spans: Vec<_> = self
            .spans()
            .take_while(|span| stored.has(span.start))
            .collect();
        if spans.is_empty() {
            return false;
        }
        let pieces = spans.into_iter().take(READ_AT_ONCE).map(|span| {
            let block = self.row.block(span.start, (span.end - span.start) as usize);
            (span, block)
        });
        let read = stored.read(pieces.collect(), self.content.pool());
        let Ok((pieces, tag)) = tokio::time::timeout(DISK_PATIENCE, read).await else {
            self.content.note_hanging_disk();
            self.stored = None;
            return false;
        };
        if pieces.is_empty() {
            return false;
        }
        if self.content.check_tag(tag).is_err() {
            self.forget_stored().await;
            return false;
        }
        for piece in pieces {
            self.settle_next(Ok(piece));
        }
        true
    }

    /// What comes now is kept only among bytes that came under the same tag.
    async fn check_stored(&mut self) {
        let (Some(stored), Some(tag)) = (&self.stored, self.content.tag()) else {
            return;
        };
        match tokio::time::timeout(DISK_PATIENCE, stored.note_tag(tag)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => self.forget_stored().await,
            Ok(Err(error)) => {
                tracing::debug!(%error, "nothing more is kept of a file");
                self.stored = None;
            }
            Err(_elapsed) => self.stored = None,
        }
    }

    /// Deletes what is on disk: it is of another version than what the drive gives now.
    async fn forget_stored(&mut self) {
        if let Some(stored) = self.stored.take() {
            let forgotten = self.content.forget_stored(&stored);
            let _in_time = tokio::time::timeout(DISK_PATIENCE, forgotten).await;
        }
    }

    /// The bytes of the open pieces.
    fn spans(&self) -> impl Iterator<Item = std::ops::Range<u64>> {
        self.open.iter().scan(self.next, |at, slot| {
            let start = *at;
            *at += slot.length;
            Some(start..*at)
        })
    }

    /// One link, one request, as far as it gets.
    async fn go_on(&mut self) -> Result<()> {
        let mut lease = self.lease().await?;
        let place = self.enter().await;
        if lease.is_due() {
            // It came to its end while this job waited for its turn.
            lease = self.lease().await?;
        }
        let mut url_index = lease.url_index();
        let asked = self.request(&lease, &mut url_index).await;
        drop(place);
        let Err(setback) = asked else {
            return Ok(());
        };
        let wait = self.decide(setback, &lease, url_index)?;
        let again = Instant::now() + wait;
        tokio::time::sleep_until(again).await;
        Ok(())
    }

    async fn lease(&self) -> Result<Arc<Lease>> {
        let lease = self.content.lease().await;
        lease.map_err(|error| self.gone_while_open(error))
    }

    /// Waits until this job may ask the data hosts.
    async fn enter(&mut self) -> Place {
        let started = Instant::now();
        let place = self.content.drive().ranges.enter(&self.urgency).await;
        // To wait for the others is no trouble.
        self.trouble.since += started.elapsed();
        place
    }

    /// An open file whose item the drive no longer knows is stale; `ENOENT` is for names, and that is what
    /// the next look at this one should find.
    fn gone_while_open(&self, error: Error) -> Error {
        match error {
            Error::Drive(reason) if reason.kind == ErrorKind::NotFound => self
                .content
                .mark_changed(&format!("it was removed: {reason}")),
            other => other,
        }
    }

    /// One request. `url_index` is the url to ask, and then the one that gave the answer.
    async fn request(&mut self, lease: &Lease, url_index: &mut usize) -> Result<(), FetchError> {
        let range = self.range();
        tracing::debug!(
            host = lease.link.urls[*url_index].host(),
            start = range.start,
            end = range.end,
            "range GET"
        );
        let drive = self.content.drive();
        let (mut body, answering) = self.ask(lease, *url_index, &range).await?;
        *url_index = answering;
        drive.note_data();
        self.content
            .check_tag(body.tag.as_deref().map(EntityTag::of))
            .map_err(FetchError::Changed)?;
        self.check_stored().await;
        let patience = self.content.work_time();
        let (started, length) = (Instant::now(), range.end - range.start);
        let mut block_since = (self.next, started);
        while let Some(chunk) = body.chunk().await? {
            self.trouble = Trouble::none();
            let before = self.next;
            self.take(&chunk);
            self.keep(before).await;
            if block_since.0 != self.next {
                block_since = (self.next, Instant::now());
            } else if block_since.1.elapsed() > patience {
                // What has come is kept: on a slow path nothing is lost by asking anew, on a stuck one
                // everything is won.
                return Err(FetchError::Silence("the data host only drips".into()));
            }
        }
        self.content
            .drive()
            .note_transfer(length, started.elapsed());
        Ok(())
    }

    /// The head of an answer, and the index of the url that gave it. A host that lets wait much longer than it
    /// uses to is asked a second time, at the next url where there is one, and who answers first is taken.
    async fn ask(
        &self,
        lease: &Lease,
        url_index: usize,
        range: &Range,
    ) -> Result<(Body, usize), FetchError> {
        let drive = self.content.drive();
        let started = Instant::now();
        let first = drive.fetcher.get(lease, url_index, range);
        let Some(patience) = drive.ask_again_after() else {
            let body = first.await?;
            drive.note_answer(started.elapsed());
            return Ok((body, url_index));
        };
        let has_second = AtomicBool::new(false);
        let next = (url_index + 1) % lease.link.urls.len();
        let second = async {
            tokio::time::sleep(patience).await;
            let place = drive.ranges.try_enter(&FOREGROUND);
            let Some(_place) = place.filter(|_| drive.take_second_request()) else {
                return std::future::pending().await;
            };
            has_second.store(true, Ordering::Relaxed);
            tracing::debug!(?patience, "asking a second time");
            let body = drive.fetcher.get(lease, next, range).await?;
            // What one mirror calls the file does not count against the other.
            let tag = body.tag.as_deref().map(EntityTag::of);
            match self.content.tag().zip(tag) {
                Some((known, tag)) if known != tag => Err(FetchError::Changed(String::new())),
                _ => Ok(body),
            }
        };
        let (body, is_second) = earlier(first, second, &has_second).await?;
        drive.note_answer(started.elapsed());
        if is_second && next != url_index {
            lease.url_answered(url_index, started.elapsed());
        }
        Ok((body, if is_second { next } else { url_index }))
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while let Some(slot) = self.open.front().filter(|_| !bytes.is_empty()) {
            let length = slot.length as usize;
            let row = &mut self.row;
            let filling = self
                .filling
                .get_or_insert_with(|| row.block(self.next, length));
            let taken = filling.fill(bytes, length);
            bytes = &bytes[taken..];
            if filling.bytes().len() == length {
                let block = self.filling.take().map(Arc::new);
                self.settle_next(Ok(block.expect("the piece was just filled")));
            }
        }
    }

    /// Keeps on disk what was filled from `start` on. Waits a little for a disk that is slower than the network.
    async fn keep(&self, start: u64) {
        let Some(stored) = &self.stored else {
            return;
        };
        let mut at = start;
        while at < self.next {
            self.content.keep(stored, at).await;
            at = (at / BLOCK_SIZE + 1) * BLOCK_SIZE;
        }
    }

    fn settle_next(&mut self, result: Result<Arc<Block>>) {
        if let Some(slot) = self.open.pop_front() {
            self.content.settle(self.next, &slot.pending, result);
            self.next += slot.length;
        }
    }

    fn fail(&mut self, error: &Error) {
        while !self.open.is_empty() {
            self.settle_next(Err(error.clone()));
        }
    }

    /// The exact byte reached.
    fn position(&self) -> u64 {
        let filled = self
            .filling
            .as_ref()
            .map_or(0, |block| block.bytes().len() as u64);
        self.next + filled
    }

    fn range(&self) -> Range {
        // Up to what the disk has.
        let missing = self.spans().enumerate().take_while(|(number, span)| {
            *number == 0
                || self
                    .stored
                    .as_ref()
                    .is_none_or(|stored| !stored.has(span.start))
        });
        Range {
            start: self.position(),
            end: missing.last().map_or(self.next, |(_, span)| span.end),
            total: self.content.size(),
        }
    }

    /// What to do about a setback: how long to wait before going on, or why not to.
    fn decide(
        &mut self,
        setback: FetchError,
        lease: &Arc<Lease>,
        url_index: usize,
    ) -> Result<Duration> {
        tracing::debug!(?setback, offset = self.position(), "range broken off");
        let first_refusal = !std::mem::replace(&mut self.trouble.was_refused, true);
        match setback {
            FetchError::Refused(_) if first_refusal => {
                self.content.refuse(lease);
                Ok(Duration::ZERO)
            }
            FetchError::Refused(StatusCode::NOT_FOUND | StatusCode::GONE) => Err(self
                .content
                .mark_changed("the file is gone from the drive's storage")),
            FetchError::Refused(status) => {
                let message = format!("the data host refuses a fresh link with {status}");
                Err(ProviderError::new(ErrorKind::Denied, message).into())
            }
            other => {
                // A refusal counts against a link that is fresh, and this one will not be after a wait.
                self.trouble.was_refused = false;
                self.decide_other(other, lease, url_index)
            }
        }
    }

    fn decide_other(
        &mut self,
        setback: FetchError,
        lease: &Arc<Lease>,
        url_index: usize,
    ) -> Result<Duration> {
        self.trouble.tries += 1;
        let was_silent = matches!(setback, FetchError::Silence(_));
        let reason = match setback {
            FetchError::Changed(what) => return Err(self.content.mark_changed(&what)),
            FetchError::Wrong(what) => {
                lease.give_up_url(url_index);
                if std::mem::replace(&mut self.trouble.was_wrong, true) {
                    return Err(Error::Corrupt(format!("wrong bytes refused: {what}")));
                }
                ProviderError::new(ErrorKind::Unavailable, what)
            }
            FetchError::Connection(what) | FetchError::Silence(what) => {
                lease.give_up_url(url_index);
                ProviderError::new(ErrorKind::Unavailable, what)
            }
            FetchError::Busy(reason) => reason,
            FetchError::Refused(_) => unreachable!("refusals are decided before"),
        };
        if !was_silent {
            self.content.drive().note_data_refusal(&reason);
            self.trouble.said = Some(reason.clone());
        }
        let wait = retry::wait_before_retry(&reason, self.trouble.tries);
        let patience = self.content.work_time();
        let waited = self.trouble.since.elapsed();
        wait.filter(|wait| waited + *wait < patience)
            .ok_or_else(|| match self.trouble.said.take() {
                None => Error::Deadline {
                    what: "read".into(),
                    waited,
                },
                Some(said) => said.during("read").into(),
            })
    }
}

impl Drop for RangeJob {
    /// A job that is dropped or panics must not leave readers waiting.
    fn drop(&mut self) {
        let reason = ProviderError::new(ErrorKind::Unavailable, "the transfer was given up");
        self.fail(&reason.into());
    }
}

/// What the first of two attempts to succeed gives, and whether that was the second. When both fail, the first
/// says why; a refusal needs no waiting for the other: it is about the link that both use.
async fn earlier<T>(
    first: impl Future<Output = Result<T, FetchError>>,
    second: impl Future<Output = Result<T, FetchError>>,
    has_second: &AtomicBool,
) -> Result<(T, bool), FetchError> {
    tokio::pin!(first, second);
    tokio::select! {
        biased;
        answer = &mut first => match answer {
            Ok(answer) => Ok((answer, false)),
            Err(FetchError::Refused(status)) => Err(FetchError::Refused(status)),
            Err(error) if has_second.load(Ordering::Relaxed) => {
                second.await.map(|answer| (answer, true)).map_err(|_| error)
            }
            Err(error) => Err(error),
        },
        answer = &mut second => match answer {
            Ok(answer) => Ok((answer, true)),
            Err(FetchError::Refused(status)) => Err(FetchError::Refused(status)),
            Err(_) => first.await.map(|answer| (answer, false)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const OK: Result<u8, FetchError> = Ok(7);

    fn lost() -> Result<u8, FetchError> {
        Err(FetchError::Connection("lost".into()))
    }

    fn refused() -> Result<u8, FetchError> {
        Err(FetchError::Refused(StatusCode::FORBIDDEN))
    }

    async fn check(
        first: impl Future<Output = Result<u8, FetchError>>,
        second: impl Future<Output = Result<u8, FetchError>>,
        has_second: bool,
        expected: &str,
    ) {
        let answer = earlier(first, second, &AtomicBool::new(has_second)).await;
        assert_eq!(format!("{answer:?}"), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_attempts_the_first_to_succeed_counts() {
        let later = async |answer| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            answer
        };
        check(ready(OK), pending(), false, "Ok((7, false))").await;
        check(pending(), ready(OK), true, "Ok((7, true))").await;
        check(ready(lost()), later(OK), true, "Ok((7, true))").await;
        check(later(OK), ready(lost()), true, "Ok((7, false))").await;
        check(ready(lost()), pending(), false, "Err(Connection(\"lost\"))").await;
        check(
            later(lost()),
            ready(lost()),
            true,
            "Err(Connection(\"lost\"))",
        )
        .await;
        check(pending(), ready(refused()), true, "Err(Refused(403))").await;
        check(ready(refused()), pending(), true, "Err(Refused(403))").await;
    }
}
