use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};

/// What a volume operation gives.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the volume says no. The adapter turns each variant into one errno, in one table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such name in a folder: routine.
    #[error("no such file or folder")]
    NotFound,
    /// The node was replaced, or its bytes changed while it was open.
    #[error("{0}")]
    Stale(String),
    /// Names and contents cannot be changed through the mount.
    #[error("the drive is mounted for reading and sharing; names and contents cannot be changed")]
    ReadOnly,
    /// A handle that is not open.
    #[error("no such open file")]
    BadHandle,
    /// A folder was needed.
    #[error("not a folder")]
    NotAFolder,
    /// A file was needed.
    #[error("is a folder")]
    IsAFolder,
    /// The deadline passed without an answer.
    #[error("{what}: no answer within {} s; the drive or the network is slow or down", .waited.as_secs_f32())]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
    },
    /// The bytes or answers are provably wrong.
    #[error("{0}")]
    Corrupt(String),
    /// One of our attributes that this node does not have, or an unknown `user.*` name.
    #[error("no such attribute")]
    NoAttribute,
    /// An attribute of a namespace that a drive does not have.
    #[error("attributes of this namespace are not supported")]
    ForeignAttribute,
    /// An attribute that can be read and not written.
    #[error("this attribute cannot be set or removed")]
    FixedAttribute,
    /// A command that cannot be read.
    #[error("bad command: {0}")]
    BadCommand(String),
    /// Terms of a share that cannot be read, or can never be met.
    #[error("{0}")]
    BadTerms(String),
    /// The configuration does not allow it.
    #[error("{0}")]
    Forbidden(String),
    /// The share is there already and stays as it is.
    #[error("{0}")]
    AlreadyShared(String),
    /// Somebody else's: shares are for the user who mounted.
    #[error("shares are for the user who mounted, and for root")]
    NotOwner,
    /// The cache on disk cannot do it, or there is none.
    #[error("the cache on disk cannot keep the file: {why}")]
    NoDiskCache {
        /// What keeps it from that, in words.
        why: String,
        /// What the person can do about it.
        advice: &'static str,
    },
    /// The drive said no.
    #[error("{0}")]
    Drive(#[from] ProviderError),
}

impl Error {
    /// Whether the same request may succeed in a moment, so that a copy from before is worth having.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Error::Deadline { .. } => true,
            Error::Drive(error) => {
                matches!(error.kind, ErrorKind::RateLimited | ErrorKind::Unavailable)
            }
            _ => false,
        }
    }

    /// Whether the drive waits for a person to log in.
    pub(crate) fn is_lapsed_login(&self) -> bool {
        matches!(self, Error::Drive(error) if error.kind == ErrorKind::LoginExpired)
    }

    /// Whether the drive's answer made no sense.
    pub(crate) fn is_broken_answer(&self) -> bool {
        matches!(self, Error::Drive(error) if error.kind == ErrorKind::Broken)
    }

    /// Whether a person should read about it: a missing name is no failure.
    pub(crate) fn is_routine(&self) -> bool {
        matches!(
            self,
            Error::NotFound
                | Error::ReadOnly
                | Error::NotAFolder
                | Error::IsAFolder
                | Error::NoAttribute
                | Error::ForeignAttribute
                | Error::NotOwner
        )
    }

    /// What the person can do about it.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            Error::Stale(_) => "open the file again to read it as it is now",
            Error::Deadline { .. } => "try again; `linkfs status` shows how the drive answers",
            Error::Corrupt(_) => {
                "the wrong bytes were not delivered; try again, and tell the drive's operator if it stays"
            }
            Error::BadCommand(_) => "write `help` to .linkfs/control and read the answer there",
            Error::FixedAttribute => "user.linkfs.share and user.linkfs.pin can",
            Error::BadTerms(_) => {
                "terms are words such as expires=7d password=auto audience=org allow=preview,download"
            }
            Error::Forbidden(_) => "see [share] in the configuration",
            Error::AlreadyShared(_) => {
                "revoke it with `setfattr -x user.linkfs.share` to share it anew"
            }
            Error::NoDiskCache { advice, .. } => advice,
            Error::Drive(error) => match error.kind {
                ErrorKind::NotFound => "the item is gone from the drive; list the folder again",
                ErrorKind::Denied => "ask for the right to it on the drive",
                ErrorKind::LoginExpired => {
                    "log in with `linkfs login`, or put a new token into the configuration and mount again"
                }
                ErrorKind::RateLimited if error.is_about_item => "try again later",
                ErrorKind::RateLimited => "the drive asks for a pause; try again later",
                ErrorKind::Unavailable => "try again; check the network and the drive's address",
                ErrorKind::Unsupported => "the drive cannot do this",
                ErrorKind::Invalid => "correct the request or the configuration",
                ErrorKind::Broken => "the drive's answer made no sense; try again",
            },
            _ => "",
        }
    }
}
