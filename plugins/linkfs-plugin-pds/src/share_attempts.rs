//! Shares that were asked for without an answer. To ask again could make a second one, so each is
//! known by its mark, the nonce in its description, and looked for before it is asked for again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use linkfs_provider::{ItemId, Result, ShareTerms};

use crate::random;

/// How many are remembered: more than this are lost only on a drive that is lost.
const REMEMBERED: usize = 100;

/// Two ends that are given as a time are the same one when they are this close.
const SAME_END: Duration = Duration::from_secs(2);

/// The attempts that were dropped, or failed, without showing whether the drive heard them.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Vec<Asked>>);

/// One share asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) items: Vec<ItemId>,
    terms: ShareTerms,
    pub(crate) nonce: String,
    /// When it was first asked for, by the drive's clock.
    pub(crate) at: SystemTime,
}

/// A share being asked for. One that was sent and is dropped before its end is remembered.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    book: &'a Attempts,
    pub(crate) asked: Asked,
    /// Whether the drive may have heard it.
    pub(crate) is_sent: bool,
}

impl Attempts {
    /// Begins to ask for a share at the drive's time `now`, or takes up an attempt at the same one
    /// that was left.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no randomness.
    pub(crate) fn begin(
        &self,
        items: &[ItemId],
        terms: &ShareTerms,
        now: SystemTime,
    ) -> Result<Attempt<'_>> {
        let left = self.take(items, terms, now);
        let is_sent = left.is_some();
        let asked = match left {
            Some(asked) => asked,
            None => Asked {
                items: items.to_vec(),
                terms: terms.clone(),
                nonce: random::nonce()?,
                at: now,
            },
        };
        Ok(Attempt {
            book: self,
            asked,
            is_sent,
        })
    }

    fn take(&self, items: &[ItemId], terms: &ShareTerms, now: SystemTime) -> Option<Asked> {
        let mut book = self.book();
        let is_same = |asked: &Asked| asked.items == items && asked.is_for(terms, now);
        let index = book.iter().position(is_same)?;
        Some(book.remove(index))
    }

    fn book(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    /// Whether the same terms are wanted now. An end may be given as a time from now, which stays, or
    /// as a moment, which leaves less of it each time.
    fn is_for(&self, terms: &ShareTerms, now: SystemTime) -> bool {
        let is_same_end = match (self.terms.valid_for, terms.valid_for) {
            (Some(then), Some(left)) => {
                let ends = self.at.checked_add(then).zip(now.checked_add(left));
                then == left || ends.is_some_and(|(one, other)| is_close(one, other))
            }
            (then, left) => then == left,
        };
        let rest = ShareTerms {
            valid_for: self.terms.valid_for,
            ..terms.clone()
        };
        is_same_end && rest == self.terms
    }
}

fn is_close(one: SystemTime, other: SystemTime) -> bool {
    let apart = one.duration_since(other);
    apart.unwrap_or_else(|earlier| earlier.duration()) <= SAME_END
}

impl Attempt<'_> {
    /// The share is there, or the drive has refused it.
    pub(crate) fn end(mut self) {
        self.is_sent = false;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            return;
        }
        let mut book = self.book.book();
        if book.len() >= REMEMBERED {
            book.remove(0);
        }
        book.push(self.asked.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share_terms::tests::terms;

    const START: SystemTime = SystemTime::UNIX_EPOCH;

    /// The mark of an attempt that is left.
    fn left(book: &Attempts, item: &str, is_sent: bool) -> String {
        let mut attempt = book.begin(&[item.into()], &terms(), START).unwrap();
        attempt.is_sent |= is_sent;
        attempt.asked.nonce.clone()
    }

    #[test]
    fn an_attempt_that_was_left_is_taken_up_once() {
        let book = Attempts::default();
        let first = left(&book, "a", true);
        assert_ne!(left(&book, "b", true), first, "other items");
        let taken = book.begin(&["a".into()], &terms(), START).unwrap();
        assert!(taken.is_sent);
        assert_eq!(taken.asked.nonce, first);
        let beside = book.begin(&["a".into()], &terms(), START).unwrap();
        assert_ne!(beside.asked.nonce, first, "it is under way elsewhere");
        taken.end();
        assert_ne!(left(&book, "a", false), first);
    }

    #[test]
    fn what_was_never_sent_is_forgotten() {
        let book = Attempts::default();
        let first = left(&book, "a", false);
        assert_ne!(left(&book, "a", false), first);
    }

    #[test]
    fn the_same_end_may_be_a_time_or_a_moment() {
        let check = |left: u64, after: u64, is_same: bool| {
            let book = Attempts::default();
            let first = self::left(&book, "a", true);
            let now = START + Duration::from_secs(after);
            let mut wanted = terms();
            wanted.valid_for = Some(Duration::from_secs(left));
            let next = book.begin(&["a".into()], &wanted, now).unwrap();
            assert_eq!(next.asked.nonce == first, is_same, "{left} {after}");
        };
        let week = 7 * 86_400;
        check(week, 3600, true);
        check(week - 3600, 3600, true);
        check(week - 3600, 0, false);
        check(u64::MAX, 0, false);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let book = Attempts::default();
        let first = left(&book, "0", true);
        for index in 1..=REMEMBERED {
            left(&book, &index.to_string(), true);
        }
        assert_ne!(left(&book, "0", false), first);
    }
}
