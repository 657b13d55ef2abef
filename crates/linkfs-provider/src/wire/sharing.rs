use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Item, exposed, exposed_if_any, time};
use crate::{ItemId, PageToken, Permissions, ProviderError, Secret, ShareId, SignedUrl};

/// For whom a share is made, for how long, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ShareTerms {
    /// How long the share stays open from now on; missing for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_for_ms: Option<u64>,
    /// The access code.
    pub password: SharePassword,
    /// Who may open it.
    pub audience: Audience,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// A note kept with the share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The access code of a share: `"none"`, `"auto"` or `{"given": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SharePassword {
    /// None is asked.
    None,
    /// Made up by the drive or the plugin.
    Auto,
    /// This one.
    Given(#[serde(serialize_with = "exposed")] Secret<String>),
}

/// Who may open a share: `"anyone"`, `"organization"` or `{"members": {...}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Audience {
    /// Whoever holds the link.
    Anyone,
    /// Everyone in the organization.
    Organization,
    /// These people, named by the drive's ids.
    Members {
        /// User ids.
        #[serde(default)]
        users: Vec<String>,
        /// Group ids.
        #[serde(default)]
        groups: Vec<String>,
        /// Department ids.
        #[serde(default)]
        departments: Vec<String>,
    },
}

/// One thing that may be done with shared items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Look at them in the browser.
    Preview,
    /// Download them.
    Download,
    /// Change them.
    Edit,
    /// Save a copy.
    Save,
}

/// A link for other people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Share {
    /// The share's id on its drive.
    pub id: ShareId,
    /// What the drive calls it.
    pub name: String,
    /// The shared items.
    pub items: Vec<ItemId>,
    /// The address to hand on.
    #[serde(serialize_with = "exposed")]
    pub url: Secret<String>,
    /// The access code.
    #[serde(
        default,
        serialize_with = "exposed_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub password: Option<Secret<String>>,
    /// The terms in force.
    pub terms: ShareTerms,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_ms: Option<i64>,
    /// When it ends; missing for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<i64>,
    /// Whether it can be opened now.
    pub state: ShareState,
    /// Visits, where the drive counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    /// Downloads, where the drive counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downloads: Option<u64>,
    /// Copies saved, where the drive counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saves: Option<u64>,
}

/// Whether a share can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ShareState {
    /// It can.
    Open,
    /// The drive makes it still.
    Pending,
    /// Its time is over.
    Expired,
    /// It was revoked, or the drive closed it.
    Closed,
}

/// One page of shares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SharePage {
    /// The shares, newest first.
    pub shares: Vec<Share>,
    /// Where the next page starts; missing when this was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<PageToken>,
}

/// Somebody's share, opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Received {
    /// The share's id on its drive.
    pub id: ShareId,
    /// What the plugin needs to work inside it.
    #[serde(serialize_with = "exposed")]
    pub token: Secret<String>,
    /// All that its top level holds.
    pub top: Vec<Item>,
}

/// How far an asynchronous task is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Task {
    /// What it is doing.
    pub state: TaskState,
    /// Why it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Per cent done.
    #[serde(default)]
    pub progress: u8,
    /// Where the archive can be fetched.
    #[serde(
        default,
        serialize_with = "exposed_if_any",
        skip_serializing_if = "Option::is_none"
    )]
    pub archive: Option<Secret<String>>,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    /// It waits for its turn.
    Waiting,
    /// It works.
    Running,
    /// It ended and did all of it.
    Done,
    /// It ended without doing all of it.
    Failed,
}

impl From<crate::ShareTerms> for ShareTerms {
    fn from(terms: crate::ShareTerms) -> Self {
        ShareTerms {
            valid_for_ms: terms.valid_for.map(time::from_duration),
            password: match terms.password {
                crate::SharePassword::None => SharePassword::None,
                crate::SharePassword::Auto => SharePassword::Auto,
                crate::SharePassword::Given(code) => SharePassword::Given(code),
            },
            audience: match terms.audience {
                crate::Audience::Anyone => Audience::Anyone,
                crate::Audience::Organization => Audience::Organization,
                crate::Audience::Members {
                    users,
                    groups,
                    departments,
                } => Audience::Members {
                    users,
                    groups,
                    departments,
                },
            },
            permissions: listed(terms.permissions),
            note: terms.note,
        }
    }
}

impl From<ShareTerms> for crate::ShareTerms {
    fn from(terms: ShareTerms) -> Self {
        crate::ShareTerms {
            valid_for: terms.valid_for_ms.map(Duration::from_millis),
            password: match terms.password {
                SharePassword::None => crate::SharePassword::None,
                SharePassword::Auto => crate::SharePassword::Auto,
                SharePassword::Given(code) => crate::SharePassword::Given(code),
            },
            audience: match terms.audience {
                Audience::Anyone => crate::Audience::Anyone,
                Audience::Organization => crate::Audience::Organization,
                Audience::Members {
                    users,
                    groups,
                    departments,
                } => crate::Audience::Members {
                    users,
                    groups,
                    departments,
                },
            },
            permissions: Permissions {
                preview: terms.permissions.contains(&Permission::Preview),
                download: terms.permissions.contains(&Permission::Download),
                edit: terms.permissions.contains(&Permission::Edit),
                save: terms.permissions.contains(&Permission::Save),
            },
            note: terms.note,
        }
    }
}

fn listed(permissions: Permissions) -> Vec<Permission> {
    let all = [
        (permissions.preview, Permission::Preview),
        (permissions.download, Permission::Download),
        (permissions.edit, Permission::Edit),
        (permissions.save, Permission::Save),
    ];
    let granted = all.into_iter().filter(|(granted, _)| *granted);
    granted.map(|(_, permission)| permission).collect()
}

impl From<crate::Share> for Share {
    fn from(share: crate::Share) -> Self {
        Share {
            id: share.id,
            name: share.name,
            items: share.items,
            url: Secret::new(share.url),
            password: share.password,
            terms: share.terms.into(),
            created_ms: share.created.map(time::from_time),
            expires_ms: share.expires.map(time::from_time),
            state: match share.state {
                crate::ShareState::Open => ShareState::Open,
                crate::ShareState::Pending => ShareState::Pending,
                crate::ShareState::Expired => ShareState::Expired,
                crate::ShareState::Closed => ShareState::Closed,
            },
            views: share.counters.views,
            downloads: share.counters.downloads,
            saves: share.counters.saves,
        }
    }
}

impl From<Share> for crate::Share {
    fn from(share: Share) -> Self {
        crate::Share {
            id: share.id,
            name: share.name,
            items: share.items,
            url: share.url.into_exposed(),
            password: share.password,
            terms: share.terms.into(),
            created: share.created_ms.and_then(time::to_time),
            expires: share.expires_ms.and_then(time::to_time),
            state: match share.state {
                ShareState::Open => crate::ShareState::Open,
                ShareState::Pending => crate::ShareState::Pending,
                ShareState::Expired => crate::ShareState::Expired,
                ShareState::Closed => crate::ShareState::Closed,
            },
            counters: crate::ShareCounters {
                views: share.views,
                downloads: share.downloads,
                saves: share.saves,
            },
        }
    }
}

impl From<crate::SharePage> for SharePage {
    fn from(page: crate::SharePage) -> Self {
        SharePage {
            shares: page.shares.into_iter().map(Share::from).collect(),
            next: page.next,
        }
    }
}

impl From<SharePage> for crate::SharePage {
    fn from(page: SharePage) -> Self {
        crate::SharePage {
            shares: page.shares.into_iter().map(crate::Share::from).collect(),
            next: page.next,
        }
    }
}

impl From<crate::Received> for Received {
    fn from(received: crate::Received) -> Self {
        Received {
            id: received.id,
            token: received.token,
            top: received.top.into_iter().map(Item::from).collect(),
        }
    }
}

impl TryFrom<Received> for crate::Received {
    type Error = ProviderError;

    fn try_from(received: Received) -> Result<Self, ProviderError> {
        let top = received.top.into_iter().map(crate::Item::try_from);
        Ok(crate::Received {
            id: received.id,
            token: received.token,
            top: top.collect::<Result<_, _>>()?,
        })
    }
}

impl From<crate::Task> for Task {
    fn from(task: crate::Task) -> Self {
        let (state, reason) = match task.state {
            crate::TaskState::Waiting => (TaskState::Waiting, None),
            crate::TaskState::Running => (TaskState::Running, None),
            crate::TaskState::Done => (TaskState::Done, None),
            crate::TaskState::Failed(reason) => (TaskState::Failed, Some(reason)),
        };
        let archive = task.archive;
        Task {
            state,
            reason,
            progress: task.progress,
            archive: archive.map(|url| Secret::new(url.expose().to_owned())),
        }
    }
}

impl TryFrom<Task> for crate::Task {
    type Error = ProviderError;

    fn try_from(task: Task) -> Result<Self, ProviderError> {
        let archive = task.archive.map(Secret::into_exposed);
        Ok(crate::Task {
            state: match task.state {
                TaskState::Waiting => crate::TaskState::Waiting,
                TaskState::Running => crate::TaskState::Running,
                TaskState::Done => crate::TaskState::Done,
                TaskState::Failed => crate::TaskState::Failed(task.reason.unwrap_or_default()),
            },
            progress: task.progress.min(100),
            archive: archive.map(SignedUrl::new).transpose()?,
        })
    }
}
