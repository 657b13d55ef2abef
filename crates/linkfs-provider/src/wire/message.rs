use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{About, Error, Outcome, Received, ShareTerms, exposed, exposed_if_any};
use crate::{ItemId, PageToken, Secret, ShareId, TaskId};

/// The plugin's first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Hello {
    /// The versions of the protocol that it speaks.
    pub protocols: Vec<u32>,
    /// Its name.
    pub name: String,
    /// Its own version, for people.
    pub version: String,
    /// The hosts it wants to talk to: `api.example.com`, `*.example.com`, with `:port` unless it is 443.
    /// Those that the drive's configuration names need not be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// What it is for, in one line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
}

/// The answer to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Configure {
    /// The version of the protocol to speak.
    pub protocol: u32,
    /// The drive's configuration, secrets included.
    #[serde(serialize_with = "exposed")]
    pub config: Secret<serde_json::Map<String, serde_json::Value>>,
    /// A folder of the drive's own, for what must outlive the process.
    pub state_dir: PathBuf,
}

/// The plugin's second line: what the drive is like, or why it cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Ready {
    /// What the drive is like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<About>,
    /// What it can do beside listing and linking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abilities: Vec<Ability>,
    /// Why it cannot be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Something that not every drive can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// `check-share`, `share`, `reshare`, `unshare`, `shares`.
    Sharing,
    /// `accept`, `save`, `pack`, `task`.
    Receiving,
    /// `spaces`.
    Spaces,
    /// `begin-login`, `finish-login`.
    Login,
    /// `recall`.
    Recall,
    /// One of a later version.
    #[cfg_attr(test, schemars(skip))]
    #[serde(other)]
    Unknown,
}

/// A line from linkfs once the drive is open.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum FromHost {
    /// Nobody waits for an answer any more.
    Cancel(Cancel),
    /// A question.
    Request(Request),
}

/// Nobody waits for the answer to this question any more. It has to be answered all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cancel {
    /// The question's number.
    pub cancel: u64,
}

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Request {
    /// Its number, to be repeated in the answer.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub call: Call,
}

/// What can be asked, and what is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// One page of a folder: a [`Page`](super::Page).
    List {
        /// The folder.
        folder: ItemId,
        /// Where the page starts; missing for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<PageToken>,
    },
    /// One item as it is now: an [`Item`](super::Item).
    Stat {
        /// The item.
        item: ItemId,
    },
    /// Links, in the order of the files: a list of [`Outcome`]s of [`Link`](super::Link)s.
    Links {
        /// The files.
        files: Vec<ItemId>,
    },
    /// Items that were listed by an earlier process: anything.
    Recall {
        /// The items.
        items: Vec<super::Item>,
    },
    /// How full the drive is: a [`Usage`](super::Usage).
    Usage,
    /// Whether shares with these terms could be made, without asking the drive: anything.
    CheckShare {
        /// The terms.
        terms: ShareTerms,
    },
    /// A new share of items: a [`Share`](super::Share).
    Share {
        /// The items.
        items: Vec<ItemId>,
        /// The terms.
        terms: ShareTerms,
    },
    /// New terms for an open share: a [`Share`](super::Share).
    Reshare {
        /// The share.
        share: ShareId,
        /// The terms.
        terms: ShareTerms,
    },
    /// Revokes a share: anything.
    Unshare {
        /// The share.
        share: ShareId,
    },
    /// One page of the account's shares: a [`SharePage`](super::SharePage).
    Shares {
        /// Where the page starts; missing for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<PageToken>,
    },
    /// Opens somebody's share: a [`Received`].
    Accept {
        /// Its address.
        #[serde(serialize_with = "exposed")]
        url: Secret<String>,
        /// Its access code.
        #[serde(
            default,
            serialize_with = "exposed_if_any",
            skip_serializing_if = "Option::is_none"
        )]
        password: Option<Secret<String>>,
    },
    /// Saves items of a received share: the id of a task.
    Save {
        /// The share.
        share: Received,
        /// The items.
        items: Vec<ItemId>,
        /// The folder to save into.
        into: ItemId,
    },
    /// Packs items of a received share into an archive: the id of a task.
    Pack {
        /// The share.
        share: Received,
        /// The items.
        items: Vec<ItemId>,
        /// The archive's name.
        name: String,
    },
    /// How far a task is: a [`Task`](super::Task).
    Task {
        /// The task.
        task: TaskId,
    },
    /// The spaces of the account: a list of [`Space`](super::Space)s.
    Spaces,
    /// Starts a login: a [`LoginStep`].
    BeginLogin,
    /// Ends it: anything.
    FinishLogin {
        /// What the person brought back.
        #[serde(serialize_with = "exposed")]
        code: Secret<String>,
    },
    /// One of a later version.
    #[cfg_attr(test, schemars(skip))]
    #[serde(other)]
    Unknown,
}

impl Call {
    /// Whether the drive may have to work on it for a while: what makes shares and takes those of others.
    pub fn may_take_long(&self) -> bool {
        matches!(
            self,
            Call::Share { .. }
                | Call::Reshare { .. }
                | Call::Unshare { .. }
                | Call::Shares { .. }
                | Call::Accept { .. }
                | Call::Save { .. }
                | Call::Pack { .. }
                | Call::FinishLogin { .. }
        )
    }

    /// What it is called on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Call::List { .. } => "list",
            Call::Stat { .. } => "stat",
            Call::Links { .. } => "links",
            Call::Recall { .. } => "recall",
            Call::Usage => "usage",
            Call::CheckShare { .. } => "check-share",
            Call::Share { .. } => "share",
            Call::Reshare { .. } => "reshare",
            Call::Unshare { .. } => "unshare",
            Call::Shares { .. } => "shares",
            Call::Accept { .. } => "accept",
            Call::Save { .. } => "save",
            Call::Pack { .. } => "pack",
            Call::Task { .. } => "task",
            Call::Spaces => "spaces",
            Call::BeginLogin => "begin-login",
            Call::FinishLogin { .. } => "finish-login",
            Call::Unknown => "unknown",
        }
    }
}

/// What a person has to do to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LoginStep {
    /// The page to open.
    #[serde(serialize_with = "exposed")]
    pub url: Secret<String>,
    /// What to do there and what to bring back.
    pub instructions: String,
}

/// An answer, its value not yet read. `Debug` shows no value: it may be a link.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Answer {
    /// The question's number.
    pub id: u64,
    /// What was asked for.
    #[cfg_attr(test, schemars(with = "serde_json::Value"))]
    #[serde(
        default,
        deserialize_with = "even_null",
        skip_serializing_if = "Option::is_none"
    )]
    pub ok: Option<Box<RawValue>>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// `"ok": null` is an answer; only a missing `ok` is none.
fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

impl Answer {
    /// An answer as it is sent.
    ///
    /// # Errors
    /// When `T` cannot be written as JSON.
    pub fn new<T: Serialize>(id: u64, outcome: Outcome<T>) -> serde_json::Result<Answer> {
        let (ok, error) = match outcome {
            Outcome::Ok(value) => (Some(serde_json::value::to_raw_value(&value)?), None),
            Outcome::Error(error) => (None, Some(error)),
        };
        Ok(Answer { id, ok, error })
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("id", &self.id)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl From<crate::LoginStep> for LoginStep {
    fn from(step: crate::LoginStep) -> Self {
        LoginStep {
            url: Secret::new(step.url),
            instructions: step.instructions,
        }
    }
}

impl From<LoginStep> for crate::LoginStep {
    fn from(step: LoginStep) -> Self {
        crate::LoginStep {
            url: step.url.into_exposed(),
            instructions: step.instructions,
        }
    }
}
