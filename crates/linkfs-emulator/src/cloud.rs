use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::line::Line;
use crate::{Clock, Counters, Faults, LinkPolicy, Pacing, Setting, Tree};

/// What every emulated drive stands on. Clones share it all.
#[derive(Clone, Debug, Default)]
pub struct Cloud {
    pub tree: Tree,
    pub clock: Clock,
    pub faults: Faults,
    pub counters: Counters,
    pub pacing: Setting<Pacing>,
    pub links: Setting<LinkPolicy>,
    /// What all bodies pass through when the pacing gives it a rate.
    pub(crate) line: Line,
    link_epoch: Arc<AtomicU64>,
}

impl Cloud {
    /// The object store refuses every link signed before this call.
    pub fn revoke_links(&self) {
        self.link_epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn link_epoch(&self) -> u64 {
        self.link_epoch.load(Ordering::SeqCst)
    }
}
