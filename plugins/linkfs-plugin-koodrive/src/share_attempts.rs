//! Shares that were asked for and not answered with a share yet. To ask again could make a second one,
//! so each is known by a mark, the nonce in its comment, and looked for before it is asked for again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use linkfs_provider::{ItemId, Result, Secret, ShareId, ShareTerms};

use crate::{random, share_terms};

/// How many are remembered. One is open for seconds; this many never end only on a drive that is lost.
const REMEMBERED: usize = 100;

/// The attempts that are over for their callers and not for the drive.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Mutex<Vec<Open>>);

/// A share that is being made. One that is dropped before its end is remembered.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    book: &'a Attempts,
    open: Option<Open>,
}

/// One share asked for.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub(crate) items: Vec<ItemId>,
    pub(crate) terms: ShareTerms,
    pub(crate) code: Option<Secret<String>>,
    pub(crate) nonce: String,
    pub(crate) stage: Stage,
}

/// How far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was not sent.
    New,
    /// It was sent, and whether the drive heard it is not known.
    Sent,
    /// The drive makes it, by this task.
    Accepted(String),
    /// The task has made this share.
    Made(String, ShareId),
}

impl Attempts {
    /// Begins to make a share, or goes on where an earlier attempt at the same one was left.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no randomness.
    pub(crate) fn begin(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Attempt<'_>> {
        let open = match self.take(items, terms) {
            Some(open) => open,
            None => Open {
                items: items.to_vec(),
                terms: terms.clone(),
                code: share_terms::code(&terms.password)?,
                nonce: random::nonce()?,
                stage: Stage::New,
            },
        };
        Ok(Attempt {
            book: self,
            open: Some(open),
        })
    }

    fn take(&self, items: &[ItemId], terms: &ShareTerms) -> Option<Open> {
        let mut book = self.lock();
        let is_wanted = |open: &Open| {
            let is_open = !matches!(open.stage, Stage::Made(..));
            is_open && open.items == items && are_alike(&open.terms, terms)
        };
        let index = book.iter().position(is_wanted)?;
        Some(book.remove(index))
    }

    /// Notes that the share with this mark is there. Its task stays known, since callers have its name.
    pub(crate) fn found(&self, nonce: &str, share: &ShareId) {
        let mut book = self.lock();
        if let Some(open) = book.iter_mut().find(|open| open.nonce == nonce)
            && let Stage::Accepted(task) = &open.stage
        {
            open.stage = Stage::Made(task.clone(), share.clone());
        }
        book.retain(|open| open.nonce != nonce || open.stage != Stage::Sent);
    }

    /// The attempt that the drive works on by this task, or did.
    pub(crate) fn of_task(&self, task: &str) -> Option<Open> {
        let book = self.lock();
        let is_its = |open: &&Open| match &open.stage {
            Stage::Accepted(known) | Stage::Made(known, _) => known == task,
            Stage::New | Stage::Sent => false,
        };
        book.iter().find(is_its).cloned()
    }

    fn keep(&self, open: Open) {
        let mut book = self.lock();
        if book.len() >= REMEMBERED {
            book.remove(0);
        }
        book.push(open);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempt<'_> {
    pub(crate) fn open(&self) -> &Open {
        self.open
            .as_ref()
            .expect("an attempt is open until it ends")
    }

    pub(crate) fn reach(&mut self, stage: Stage) {
        let open = self.open.as_mut();
        open.expect("an attempt is open until it ends").stage = stage;
    }

    /// The share is there, or the drive has refused it.
    pub(crate) fn end(mut self) {
        self.open = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.open.take().filter(|open| open.stage != Stage::New) {
            self.book.keep(open);
        }
    }
}

/// Whether the same share is wanted: an end that is given as a time leaves less of it each time.
fn are_alike(one: &ShareTerms, other: &ShareTerms) -> bool {
    let in_days = |terms: &ShareTerms| {
        let timeless = ShareTerms {
            valid_for: None,
            ..terms.clone()
        };
        (share_terms::days(terms.valid_for), timeless)
    };
    in_days(one) == in_days(other)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linkfs_provider::{Audience, Permissions, SharePassword};

    use super::*;

    fn terms(hours: u64) -> ShareTerms {
        ShareTerms {
            valid_for: Some(Duration::from_secs(3600 * hours)),
            password: SharePassword::Auto,
            audience: Audience::Anyone,
            permissions: Permissions {
                preview: true,
                download: true,
                edit: false,
                save: false,
            },
            note: None,
        }
    }

    /// The mark of an attempt that is left at `stage`.
    fn left(book: &Attempts, item: &str, hours: u64, stage: Stage) -> String {
        let mut attempt = book.begin(&[item.into()], &terms(hours)).unwrap();
        attempt.reach(stage);
        attempt.open().nonce.clone()
    }

    #[test]
    fn an_attempt_without_an_end_is_gone_on_with() {
        let book = Attempts::default();
        let first = left(&book, "a", 40, Stage::Sent);
        assert_ne!(left(&book, "b", 40, Stage::Sent), first);
        assert_ne!(left(&book, "a", 72, Stage::Sent), first);
        let attempt = book.begin(&["a".into()], &terms(39)).unwrap();
        assert_eq!(attempt.open().nonce, first);
        assert!(attempt.open().code.is_some());
        let other = book.begin(&["a".into()], &terms(40)).unwrap();
        assert_ne!(other.open().nonce, first, "it is under way elsewhere");
        attempt.end();
        let next = book.begin(&["a".into()], &terms(40)).unwrap();
        assert_ne!(next.open().nonce, first);
    }

    #[test]
    fn what_was_never_sent_is_forgotten() {
        let book = Attempts::default();
        let first = left(&book, "a", 40, Stage::New);
        assert_ne!(left(&book, "a", 40, Stage::New), first);
    }

    #[test]
    fn a_share_that_is_found_is_not_asked_for_again_and_its_task_is_known() {
        let book = Attempts::default();
        let lost = left(&book, "a", 40, Stage::Sent);
        book.found(&lost, &ShareId("1".into()));
        assert_ne!(left(&book, "a", 40, Stage::New), lost);
        let slow = left(&book, "b", 40, Stage::Accepted("t".into()));
        assert_eq!(book.of_task("t").unwrap().nonce, slow);
        book.found(&slow, &ShareId("2".into()));
        assert_ne!(left(&book, "b", 40, Stage::New), slow);
        let made = Stage::Made("t".into(), ShareId("2".into()));
        assert_eq!(book.of_task("t").unwrap().stage, made);
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let book = Attempts::default();
        for index in 0..=REMEMBERED {
            left(
                &book,
                &index.to_string(),
                1,
                Stage::Accepted(index.to_string()),
            );
        }
        assert!(book.of_task("0").is_none());
        assert!(book.of_task("1").is_some());
    }
}
