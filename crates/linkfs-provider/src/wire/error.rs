use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time;
use crate::{ProviderError, Result};

/// Why a call was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Error {
    /// What kind of refusal it is; linkfs decides by this alone.
    pub kind: ErrorKind,
    /// What was tried and what came back, in words for a person, without a secret.
    pub message: String,
    /// How long the drive asked to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Whether it says nothing about the account, only about one item.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub about_item: bool,
}

/// The kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The item is not there (any more).
    NotFound,
    /// The account may not do this.
    Denied,
    /// The login is over: a person must log in again.
    LoginExpired,
    /// Too many calls; later it will work.
    RateLimited,
    /// The drive cannot do this at all.
    Unsupported,
    /// The request is wrong and stays wrong.
    Invalid,
    /// The drive did not answer, or cannot right now.
    Unavailable,
    /// The drive's answer makes no sense; any kind that is not known counts as this one.
    #[serde(other)]
    Broken,
}

/// Success or refusal: `{"ok": ...}` or `{"error": {...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// What was asked for.
    Ok(T),
    /// Why not.
    Error(Error),
}

impl<T> Outcome<T> {
    /// The result of a call, as it is sent.
    pub fn of<M: Into<T>>(result: Result<M>) -> Self {
        match result {
            Ok(value) => Outcome::Ok(value.into()),
            Err(error) => Outcome::Error(error.into()),
        }
    }

    /// What was received, as the result of a call.
    ///
    /// # Errors
    /// The refusal; `Broken` for a value that cannot be.
    pub fn into_result<M: TryFrom<T, Error = ProviderError>>(self) -> Result<M> {
        match self {
            Outcome::Ok(value) => value.try_into(),
            Outcome::Error(error) => Err(error.into()),
        }
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        Error {
            kind: error.kind.into(),
            message: error.message,
            retry_after_ms: error.retry_after.map(time::from_duration),
            about_item: error.is_about_item,
        }
    }
}

impl From<Error> for ProviderError {
    fn from(error: Error) -> Self {
        ProviderError {
            kind: error.kind.into(),
            message: error.message,
            retry_after: error.retry_after_ms.map(Duration::from_millis),
            is_about_item: error.about_item,
        }
    }
}

impl From<crate::ErrorKind> for ErrorKind {
    fn from(kind: crate::ErrorKind) -> Self {
        match kind {
            crate::ErrorKind::NotFound => ErrorKind::NotFound,
            crate::ErrorKind::Denied => ErrorKind::Denied,
            crate::ErrorKind::LoginExpired => ErrorKind::LoginExpired,
            crate::ErrorKind::RateLimited => ErrorKind::RateLimited,
            crate::ErrorKind::Unsupported => ErrorKind::Unsupported,
            crate::ErrorKind::Invalid => ErrorKind::Invalid,
            crate::ErrorKind::Unavailable => ErrorKind::Unavailable,
            crate::ErrorKind::Broken => ErrorKind::Broken,
        }
    }
}

impl From<ErrorKind> for crate::ErrorKind {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => crate::ErrorKind::NotFound,
            ErrorKind::Denied => crate::ErrorKind::Denied,
            ErrorKind::LoginExpired => crate::ErrorKind::LoginExpired,
            ErrorKind::RateLimited => crate::ErrorKind::RateLimited,
            ErrorKind::Unsupported => crate::ErrorKind::Unsupported,
            ErrorKind::Invalid => crate::ErrorKind::Invalid,
            ErrorKind::Unavailable => crate::ErrorKind::Unavailable,
            ErrorKind::Broken => crate::ErrorKind::Broken,
        }
    }
}
