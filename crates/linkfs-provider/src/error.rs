use std::fmt;
use std::time::Duration;

/// What a provider call gives.
pub type Result<T, E = ProviderError> = std::result::Result<T, E>;

/// Why a drive said no. The kind decides what happens next; the message is for people.
///
/// Messages must hold no secret: no token, no signed query, no access code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ProviderError {
    /// What kind of refusal it is; callers decide by this alone.
    pub kind: ErrorKind,
    /// What was tried, on what, and what came back, in words for a person.
    pub message: String,
    /// How long the drive asked us to wait, when it did.
    pub retry_after: Option<Duration>,
    /// Whether it is the state of one item and says nothing about the account: others need not wait
    /// for it, and to ask again in a moment is of no use.
    pub is_about_item: bool,
}

/// The kinds of refusal. Closed on purpose: every kind has one row in the errno table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The item is not there (any more).
    NotFound,
    /// The account may not do this.
    Denied,
    /// The login is over and could not be renewed: a person must log in again.
    LoginExpired,
    /// Too many calls; later it will work.
    RateLimited,
    /// The drive cannot do this at all.
    Unsupported,
    /// The request is wrong and stays wrong: bad terms, bad configuration.
    Invalid,
    /// The drive did not answer, or said that it cannot right now.
    Unavailable,
    /// The answer makes no sense: not the documented form, contradictory, short.
    Broken,
}

impl ProviderError {
    /// An error of `kind` with a message for people.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        ProviderError {
            kind,
            message: message.into(),
            retry_after: None,
            is_about_item: false,
        }
    }

    /// The drive has no such ability.
    pub fn unsupported(what: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("this drive cannot {what}"))
    }

    /// The same error with the wait the drive asked for.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// The same error, as one that is about one item alone.
    #[must_use]
    pub fn about_item(mut self) -> Self {
        self.is_about_item = true;
        self
    }

    /// The same error, its message led by what was being done: `"list folder 6f2: ..."`.
    #[must_use]
    pub fn during(mut self, action: impl fmt::Display) -> Self {
        self.message = format!("{action}: {}", self.message);
        self
    }
}
