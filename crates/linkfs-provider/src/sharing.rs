//! Links for other people, and what other people shared.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::{Item, ItemId, PageToken, Result, Secret, SignedUrl, async_trait};

/// Names a share on its drive. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct ShareId(pub String);

/// Names an asynchronous task on its drive. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct TaskId(pub String);

/// Making links for other people.
///
/// A term the drive cannot honour is refused with `Invalid`, saying which; it is never dropped in
/// silence.
#[async_trait]
pub trait Sharing: Send + Sync {
    /// Whether the drive could make a share with these terms, without asking it.
    ///
    /// # Errors
    /// `Invalid` for a term the drive cannot honour.
    async fn check(&self, terms: &ShareTerms) -> Result<()>;

    /// Shares `items` together under one link. A share that the drive makes asynchronously is waited
    /// for; after a lost answer it is looked for before it would be made again.
    ///
    /// # Errors
    /// `Invalid` for a term the drive cannot honour, and whatever the drive says.
    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share>;

    /// Gives an open share new terms: all of them, also those that stay as they are.
    ///
    /// # Errors
    /// As [`Sharing::share`]; `Unsupported` where the drive cannot change a share so.
    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share>;

    /// Revokes a share. One that is gone already counts as revoked.
    ///
    /// # Errors
    /// Whatever the drive says.
    async fn unshare(&self, share: &ShareId) -> Result<()>;

    /// One page of the account's shares, newest first.
    ///
    /// # Errors
    /// Whatever the drive says.
    async fn shares(&self, after: Option<&PageToken>) -> Result<SharePage>;
}

/// Taking what others shared.
#[async_trait]
pub trait Receiving: Send + Sync {
    /// Opens somebody's share.
    ///
    /// # Errors
    /// `Denied` for a wrong password, `NotFound` for a share that is over.
    async fn accept(&self, url: &str, password: Option<&Secret<String>>) -> Result<Received>;

    /// Saves items of a received share into a folder of this account.
    ///
    /// # Errors
    /// Whatever the drive says.
    async fn save(&self, share: &Received, items: &[ItemId], into: &ItemId) -> Result<TaskId>;

    /// Packs items of a received share into one archive.
    ///
    /// # Errors
    /// `Unsupported` where the drive has no such task.
    async fn pack(&self, share: &Received, items: &[ItemId], name: &str) -> Result<TaskId>;

    /// How far a task is.
    ///
    /// # Errors
    /// `NotFound` when the drive knows no such task.
    async fn task(&self, task: &TaskId) -> Result<Task>;
}

/// For whom a share is made, for how long, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareTerms {
    /// How long the share stays open, counted from now; `None` for no end.
    pub valid_for: Option<Duration>,
    /// The access code.
    pub password: SharePassword,
    /// Who may open it.
    pub audience: Audience,
    /// What they may do.
    pub permissions: Permissions,
    /// A note kept with the share.
    pub note: Option<String>,
}

/// The access code of a share to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharePassword {
    /// None is asked.
    None,
    /// Made up by the drive or the provider.
    Auto,
    /// This one.
    Given(Secret<String>),
}

/// Who may open a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Whoever holds the link.
    Anyone,
    /// Everyone in the organization.
    Organization,
    /// These people, named by the drive's ids; at least one.
    Members {
        /// User ids.
        users: Vec<String>,
        /// Group ids.
        groups: Vec<String>,
        /// Department ids.
        departments: Vec<String>,
    },
}

/// What may be done with shared items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Look at them in the browser.
    pub preview: bool,
    /// Download them.
    pub download: bool,
    /// Change them.
    pub edit: bool,
    /// Save a copy to one's own drive.
    pub save: bool,
}

/// A link for other people, with its terms as the drive keeps them.
#[derive(Clone, Debug)]
pub struct Share {
    /// The share's id on its drive.
    pub id: ShareId,
    /// What the drive calls it, for people.
    pub name: String,
    /// The shared items.
    pub items: Vec<ItemId>,
    /// The address to hand on.
    pub url: String,
    /// The access code, when there is one.
    pub password: Option<Secret<String>>,
    /// The terms in force.
    pub terms: ShareTerms,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When it ends; `None` for never.
    pub expires: Option<SystemTime>,
    /// Whether it can be opened now.
    pub state: ShareState,
    /// How often it was used.
    pub counters: ShareCounters,
}

/// Whether a share can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareState {
    /// It can.
    Open,
    /// The drive makes it still; the address follows.
    Pending,
    /// Its time is over.
    Expired,
    /// It was revoked, or the drive closed it.
    Closed,
}

/// How often a share was used, where the drive counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShareCounters {
    /// Visits.
    pub views: Option<u64>,
    /// Downloads.
    pub downloads: Option<u64>,
    /// Copies saved.
    pub saves: Option<u64>,
}

/// One page of shares.
#[derive(Clone, Debug, Default)]
pub struct SharePage {
    /// The shares.
    pub shares: Vec<Share>,
    /// Where the next page starts; `None` when this was the last.
    pub next: Option<PageToken>,
}

/// Somebody's share, opened.
#[derive(Clone, Debug)]
pub struct Received {
    /// The share's id on its drive.
    pub id: ShareId,
    /// What the provider needs to work inside it; opaque.
    pub token: Secret<String>,
    /// All that its top level holds.
    pub top: Vec<Item>,
}

/// How far an asynchronous task is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// What it is doing.
    pub state: TaskState,
    /// Per cent done, 0 to 100.
    pub progress: u8,
    /// Where the archive can be fetched, once a packing task is done.
    pub archive: Option<SignedUrl>,
}

/// What a task is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// It waits for its turn.
    Waiting,
    /// It works.
    Running,
    /// It ended and did all of it.
    Done,
    /// It ended without doing all of it; why, in words.
    Failed(String),
}
