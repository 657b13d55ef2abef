use std::fmt;

use serde_json::Value;

use crate::{Clock, Cloud, Counters, Faults, LinkPolicy, Pacing, Setting, Tree};

/// A running drive, whichever it is: what one test suite needs to drive all of them.
pub trait EmulatedDrive: fmt::Debug + Send + Sync {
    /// The name of the plugin that talks to this drive.
    fn plugin(&self) -> &'static str;

    /// The API's address, `http://127.0.0.1:PORT`.
    fn endpoint(&self) -> String;

    /// The addresses of the object store, the one that links lead to first at the front.
    fn data_endpoints(&self) -> Vec<String>;

    /// The control port's address; see [`crate::control`].
    fn control_endpoint(&self) -> String;

    /// The keys of a linkfs drive that uses this emulator.
    fn mount_config(&self) -> Value;

    /// What the calls are named in [`Counters`] and [`Faults`], and how much they take.
    fn calls(&self) -> CallNames;

    /// What stands below the API.
    fn cloud(&self) -> &Cloud;

    /// All access tokens end, as if their time were over; new ones are to be had.
    fn expire_tokens(&self);

    /// The id by which the API knows a node of the tree.
    fn wire_id(&self, id: &str) -> String {
        id.into()
    }

    /// The first address of the object store.
    fn data_endpoint(&self) -> String {
        self.data_endpoints().swap_remove(0)
    }

    fn tree(&self) -> &Tree {
        &self.cloud().tree
    }

    fn faults(&self) -> &Faults {
        &self.cloud().faults
    }

    fn counters(&self) -> &Counters {
        &self.cloud().counters
    }

    fn clock(&self) -> &Clock {
        &self.cloud().clock
    }

    fn pacing(&self) -> &Setting<Pacing> {
        &self.cloud().pacing
    }

    fn links(&self) -> &Setting<LinkPolicy> {
        &self.cloud().links
    }

    /// The object store refuses all links signed so far.
    fn revoke_links(&self) {
        self.cloud().revoke_links();
    }
}

/// The names of a drive's calls as they are counted and struck by faults, and their limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallNames {
    /// One page of a folder.
    pub list: &'static str,
    /// One file or folder.
    pub stat: &'static str,
    /// Links to files.
    pub sign: &'static str,
    /// A new access token; empty for a drive whose tokens are never renewed.
    pub token: &'static str,
    /// Space used and left.
    pub usage: &'static str,
    /// The most items on a page.
    pub page_max: usize,
    /// The most files of one signing call.
    pub sign_max: usize,
}
