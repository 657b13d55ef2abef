use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time;
use crate::{ByteCount, ItemId};

/// What a drive is like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct About {
    /// The folder that is mounted.
    pub root: ItemId,
    /// How many files one `links` call may name.
    #[serde(default = "one")]
    pub links_per_call: usize,
    /// How many calls may be under way at the same time.
    #[serde(default = "one")]
    pub calls_in_flight: usize,
    /// Whether `list` gives older children before younger ones.
    #[serde(default)]
    pub lists_oldest_first: bool,
    /// The least time that a listing should be answered from memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_ttl_ms: Option<u64>,
}

fn one() -> usize {
    1
}

/// How full the drive is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Usage {
    /// The whole capacity; missing when there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What is taken of it.
    pub used: u64,
}

/// What an account can open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Space {
    /// What the configuration names it by.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// Whose it is.
    pub kind: SpaceKind,
}

/// Whose a space is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SpaceKind {
    /// The account's own.
    Personal,
    /// A group's or an organization's.
    Team,
}

impl From<&crate::About> for About {
    fn from(about: &crate::About) -> Self {
        About {
            root: about.root.clone(),
            links_per_call: about.links_per_call,
            calls_in_flight: about.calls_in_flight,
            lists_oldest_first: about.lists_oldest_first,
            listing_ttl_ms: about.listing_ttl.map(time::from_duration),
        }
    }
}

impl From<About> for crate::About {
    fn from(about: About) -> Self {
        crate::About {
            root: about.root,
            links_per_call: about.links_per_call.max(1),
            calls_in_flight: about.calls_in_flight.max(1),
            lists_oldest_first: about.lists_oldest_first,
            listing_ttl: about.listing_ttl_ms.map(Duration::from_millis),
        }
    }
}

impl From<crate::Usage> for Usage {
    fn from(usage: crate::Usage) -> Self {
        Usage {
            total: usage.total.map(|bytes| bytes.0),
            used: usage.used.0,
        }
    }
}

impl From<Usage> for crate::Usage {
    fn from(usage: Usage) -> Self {
        crate::Usage {
            total: usage.total.map(ByteCount),
            used: ByteCount(usage.used),
        }
    }
}

impl From<crate::Space> for Space {
    fn from(space: crate::Space) -> Self {
        Space {
            id: space.id,
            name: space.name,
            kind: match space.kind {
                crate::SpaceKind::Personal => SpaceKind::Personal,
                crate::SpaceKind::Team => SpaceKind::Team,
            },
        }
    }
}

impl From<Space> for crate::Space {
    fn from(space: Space) -> Self {
        crate::Space {
            id: space.id,
            name: space.name,
            kind: match space.kind {
                SpaceKind::Personal => crate::SpaceKind::Personal,
                SpaceKind::Team => crate::SpaceKind::Team,
            },
        }
    }
}
