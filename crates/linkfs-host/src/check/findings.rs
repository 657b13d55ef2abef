use std::fmt;

use serde::Serialize;

use super::promises::{self, Promise};

/// What came out of trying one promise.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The promise's name.
    pub promise: &'static str,
    /// What it says.
    pub words: &'static str,
    /// Whether it is kept.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a promise is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It is.
    Kept,
    /// It is not.
    Missing {
        /// What should have come.
        expected: String,
        /// What did.
        came: String,
    },
    /// It is not, and that is well enough: it is advice.
    Advice {
        /// What would be better.
        expected: String,
        /// What came.
        came: String,
    },
    /// That cannot be told here.
    Unchecked {
        /// What it would take.
        why: String,
    },
}

/// What keeps a promise from being kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    Missing { expected: String, came: String },
    Unchecked { why: String },
}

pub(super) type Tried<T = ()> = Result<T, Doubt>;

/// Not kept.
pub(super) fn missing(expected: impl Into<String>, came: impl Into<String>) -> Doubt {
    Doubt::Missing {
        expected: expected.into(),
        came: came.into(),
    }
}

pub(super) fn unchecked(why: impl Into<String>) -> Doubt {
    Doubt::Unchecked { why: why.into() }
}

impl From<Tried> for Outcome {
    fn from(tried: Tried) -> Outcome {
        match tried {
            Ok(()) => Outcome::Kept,
            Err(Doubt::Missing { expected, came }) => Outcome::Missing { expected, came },
            Err(Doubt::Unchecked { why }) => Outcome::Unchecked { why },
        }
    }
}

/// What is known so far.
pub(super) struct Findings<'a> {
    tell: Box<dyn FnMut(&Finding) + 'a>,
    list: Vec<Finding>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(tell: impl FnMut(&Finding) + 'a) -> Self {
        Findings {
            tell: Box::new(tell),
            list: Vec::new(),
        }
    }

    /// Writes down how a promise was kept; gives whether it was.
    pub(super) fn note(&mut self, promise: &Promise, tried: Tried) -> bool {
        let outcome = match Outcome::from(tried) {
            Outcome::Missing { expected, came } if promise.is_advice => {
                Outcome::Advice { expected, came }
            }
            outcome => outcome,
        };
        let finding = Finding {
            promise: promise.name,
            words: promise.words,
            outcome,
        };
        (self.tell)(&finding);
        let is_kept = finding.outcome == Outcome::Kept;
        self.list.push(finding);
        is_kept
    }

    /// All findings; a promise that nothing was noted of could not be checked.
    pub(super) fn complete(mut self, why: &str) -> Vec<Finding> {
        for promise in promises::ALL {
            if !self.list.iter().any(|known| known.promise == promise.name) {
                self.note(promise, Err(unchecked(why)));
            }
        }
        self.list
    }
}

impl fmt::Debug for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
    }
}
