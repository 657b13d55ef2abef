use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use linkfs_provider::{
    ErrorKind, ItemId, PageToken, ProviderError, Share, ShareId, ShareState, ShareTerms, Sharing,
};
use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::known::KnownShares;
use crate::admission::FOREGROUND;
use crate::drive::{Ask, Repeat};
use crate::{Drive, Error, Result};

/// How long a request that makes, changes or revokes a share may take. Longer than others, whatever is
/// configured for those: when many files are shared at once, drives ask for pauses of up to a minute.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// How long one call may take: a share that the drive makes asynchronously is waited for up to 30 s, and looked
/// for before and after.
const CALL_TIME: Duration = Duration::from_secs(45);
/// How long the list of shares is answered from memory.
pub(super) const LIST_AGE: Duration = Duration::from_secs(60);
/// As long as a share is being made, whoever looks wants to know when it is done.
const PENDING_AGE: Duration = Duration::from_secs(2);
/// A list that goes on for longer than a million shares is broken.
const MOST_PAGES: usize = 10_000;

/// The shares of one drive: what is known of them, and the calls about them.
#[derive(Debug)]
pub(crate) struct Shares {
    known: Mutex<KnownShares>,
    /// The list that is being read. A gate: held while the drive is asked, so that it is asked once for all who
    /// wait. Whoever gives up leaves the pages that came to the next.
    reading: tokio::sync::Mutex<Option<Reading>>,
    /// Who changes the shares of an item: one after the other, or two would make two.
    turns: Mutex<HashMap<ItemId, Arc<tokio::sync::Mutex<()>>>>,
    /// At most half of the calls that the drive takes at once are about shares, so that reading goes on while
    /// slow shares are made.
    lane: Semaphore,
    made: AtomicU64,
    waiting: AtomicUsize,
}

/// A list of shares as far as it was read.
#[derive(Debug)]
struct Reading {
    started: Instant,
    shares: Vec<Share>,
    after: Option<PageToken>,
    pages: usize,
}

/// A request that waits for its share, as long as it lives.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shares {
    /// The shares of a drive that takes so many calls at once.
    pub(crate) fn new(calls_in_flight: usize) -> Shares {
        Shares {
            known: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            turns: Mutex::default(),
            lane: Semaphore::new(calls_in_flight.div_ceil(2).max(1)),
            made: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
        }
    }

    /// How many were made or changed so far, and how many requests wait for theirs.
    pub(crate) fn counts(&self) -> (u64, usize) {
        (
            self.made.load(Ordering::Relaxed),
            self.waiting.load(Ordering::Relaxed),
        )
    }

    /// Counts a request until the answer is dropped.
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(&self.waiting)
    }

    /// Waits for those who change the shares of `item`.
    pub(super) async fn turn(&self, item: &ItemId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().expect("no panic while locked");
            // Those that nobody holds or waits for are of no use any more.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            turns.entry(item.clone()).or_default().clone()
        };
        turn.lock_owned().await
    }

    /// As [`Shares::turn`], for several items: in one order, so that two who wait for each other's cannot be.
    pub(super) async fn turns(&self, items: &[ItemId]) -> Vec<OwnedMutexGuard<()>> {
        let mut items = items.to_vec();
        items.sort();
        items.dedup();
        let mut turns = Vec::with_capacity(items.len());
        for item in &items {
            turns.push(self.turn(item).await);
        }
        turns
    }

    /// Makes sure that the shares are known as they were at most `age` ago.
    ///
    /// # Errors
    /// What the drive says.
    pub(super) async fn learn(
        &self,
        drive: &Drive,
        age: Duration,
        deadline: Instant,
    ) -> Result<()> {
        if self.lock().is_younger_than(age) {
            return Ok(());
        }
        let sharing = sharing(drive)?;
        let mut reading = self.reading.lock().await;
        if self.lock().is_younger_than(age) {
            return Ok(());
        }
        let is_of_use = |begun: &mut Reading| {
            begun.started.elapsed() < age && self.lock().is_sure_of(begun.started)
        };
        *reading = reading.take_if(is_of_use);
        let begun = reading.get_or_insert_with(Reading::new);
        let read = self.read_on(begun, drive, sharing, deadline).await;
        let complete = reading.take();
        if let Err(error) = read {
            self.lock().note_failure();
            return Err(error);
        }
        let complete = complete.expect("it was read just now");
        self.lock().replace(complete.started, complete.shares);
        Ok(())
    }

    async fn read_on(
        &self,
        reading: &mut Reading,
        drive: &Drive,
        sharing: &dyn Sharing,
        deadline: Instant,
    ) -> Result<()> {
        loop {
            let how = Ask {
                patience: drive.call_patience(),
                ..usual("list shares", drive, deadline)
            };
            let ask = || sharing.shares(reading.after.as_ref());
            let page = self.ask(drive, how, ask).await?;
            reading.shares.extend(page.shares);
            reading.pages += 1;
            match page.next {
                None => return Ok(()),
                Some(next)
                    if reading.after.as_ref() == Some(&next) || reading.pages >= MOST_PAGES =>
                {
                    let message = "list shares: the drive's pages do not end";
                    return Err(ProviderError::new(ErrorKind::Broken, message).into());
                }
                next => reading.after = next,
            }
        }
    }

    /// As [`Shares::learn`] for who wants to know of one item: more often while its share is being made.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn learn_of(
        &self,
        drive: &Drive,
        item: &ItemId,
        deadline: Instant,
    ) -> Result<()> {
        let open = self.lock().open_share_of(item);
        let is_pending = open.is_some_and(|share| share.state == ShareState::Pending);
        let age = if is_pending { PENDING_AGE } else { LIST_AGE };
        self.learn(drive, age, deadline).await
    }

    /// What is known.
    pub(super) fn lock(&self) -> MutexGuard<'_, KnownShares> {
        self.known
            .lock()
            .expect("no panic while the shares are locked")
    }

    /// Makes a share, of items of which the first is called `name`. It is asked for again only when the drive said
    /// that it did not make it: of an answer that was lost the provider alone can find out what became.
    ///
    /// # Errors
    /// What the drive says.
    pub(super) async fn share(
        &self,
        drive: &Drive,
        items: &[ItemId],
        name: &str,
        terms: &ShareTerms,
        deadline: Instant,
    ) -> Result<Arc<Share>> {
        let sharing = sharing(drive)?;
        let ask = || sharing.share(items, terms);
        let what = match items {
            [only] => format!("share {only}"),
            several => format!("share {} items", several.len()),
        };
        let how = Ask {
            repeat: Repeat::WhenNotDone,
            ..usual(&what, drive, deadline)
        };
        let share = self.ask_to_change(drive, how, ask).await?;
        let share = self.lock().put(foreseen(share, name));
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(share)
    }

    /// Gives an open share new terms.
    ///
    /// # Errors
    /// What the drive says.
    pub(super) async fn reshare(
        &self,
        drive: &Drive,
        share: &ShareId,
        terms: &ShareTerms,
        deadline: Instant,
    ) -> Result<()> {
        let sharing = sharing(drive)?;
        let ask = || sharing.reshare(share, terms);
        // Without its number: on some drives that opens a share.
        let how = usual("change a share", drive, deadline);
        let changed = self.ask_to_change(drive, how, ask).await?;
        let mut known = self.lock();
        if changed.id != *share {
            known.remove(share);
        }
        known.put(changed);
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Revokes a share; one that is gone already is revoked.
    ///
    /// # Errors
    /// What the drive says.
    pub(super) async fn unshare(
        &self,
        drive: &Drive,
        share: &ShareId,
        deadline: Instant,
    ) -> Result<()> {
        let sharing = sharing(drive)?;
        let ask = || sharing.unshare(share);
        let how = usual("revoke a share", drive, deadline);
        match self.ask_to_change(drive, how, ask).await {
            Ok(()) => {}
            Err(Error::Drive(error)) if error.kind == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.lock().remove(share);
        Ok(())
    }

    /// As [`Shares::ask`], for what changes something: when nobody can say whether it did, what was known before is
    /// of no use.
    async fn ask_to_change<T, F>(
        &self,
        drive: &Drive,
        how: Ask<'_>,
        ask: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let result = self.ask(drive, how, ask).await;
        if let Err(error) = &result
            && !is_plain_refusal(error)
        {
            self.lock().doubt();
        }
        result
    }

    async fn ask<T, F>(&self, drive: &Drive, how: Ask<'_>, ask: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let _permit = self.enter_lane(how.what, how.deadline).await?;
        // Waiting for the others is no outage.
        let outage_ends = how.deadline.min(Instant::now() + drive.work_time());
        let how = Ask { outage_ends, ..how };
        drive.ask(how, ask).await
    }

    async fn enter_lane(&self, what: &str, deadline: Instant) -> Result<SemaphorePermit<'_>> {
        let started = Instant::now();
        let permit = tokio::time::timeout_at(deadline, self.lane.acquire()).await;
        let permit = permit.map_err(|_elapsed| Error::Deadline {
            what: what.to_owned(),
            waited: started.elapsed(),
        })?;
        Ok(permit.expect("the semaphore is never closed"))
    }
}

impl Reading {
    fn new() -> Reading {
        Reading {
            started: Instant::now(),
            shares: Vec::new(),
            after: None,
            pages: 0,
        }
    }
}

/// Of a share that the drive still makes it may say no more than its number: what it will be is known all the same.
fn foreseen(mut share: Share, name: &str) -> Share {
    if share.state == ShareState::Pending {
        if share.name.is_empty() {
            share.name = name.to_owned();
        }
        let end = share.terms.valid_for.map(|time| SystemTime::now() + time);
        share.expires = share.expires.or(end);
    }
    share
}

/// Whether the drive has said that it did nothing.
fn is_plain_refusal(error: &Error) -> bool {
    let Error::Drive(error) = error else {
        return false;
    };
    matches!(
        error.kind,
        ErrorKind::RateLimited
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::Denied
            | ErrorKind::LoginExpired
    )
}

/// How a drive is asked about shares. One that is down is given up as early as for any other request.
fn usual<'a>(what: &'a str, drive: &Drive, deadline: Instant) -> Ask<'a> {
    Ask {
        what,
        deadline,
        outage_ends: deadline.min(Instant::now() + drive.work_time()),
        patience: CALL_TIME,
        repeat: Repeat::Always,
        urgency: &FOREGROUND,
    }
}

/// The drive's ability to share.
///
/// # Errors
/// `Unsupported` when it has none.
pub(super) fn sharing(drive: &Drive) -> Result<&dyn Sharing> {
    let sharing = drive.provider().sharing();
    sharing.ok_or_else(|| ProviderError::unsupported("make links for other people").into())
}
