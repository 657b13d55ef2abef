use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use lru::LruCache;

use crate::node::NodeId;
use crate::{Error, Result};

/// The last failures kept for `user.linkfs.error`.
const MOST_FAILURES: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");

/// The last failure of each node, for people to ask about. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Failures(Arc<Mutex<LruCache<NodeId, Error>>>);

impl Failures {
    pub(crate) fn new() -> Failures {
        Failures(Arc::new(Mutex::new(LruCache::new(MOST_FAILURES))))
    }

    /// Keeps a failure that a person should read about.
    pub(crate) fn note<T>(&self, node: NodeId, result: &Result<T>) {
        if let Err(error) = result
            && !error.is_routine()
        {
            tracing::debug!(node = node.0, %error, "request failed");
            self.lock().put(node, error.clone());
        }
    }

    /// The last one, in words, with what to do.
    pub(crate) fn last(&self, node: NodeId) -> Option<String> {
        let mut failures = self.lock();
        let error = failures.get(&node)?;
        Some(match error.advice() {
            "" => error.to_string(),
            advice => format!("{error}; {advice}"),
        })
    }

    /// What failed before is of no interest any more.
    pub(crate) fn forget(&self, node: NodeId) {
        self.lock().pop(&node);
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<NodeId, Error>> {
        self.0
            .lock()
            .expect("no panic while the failures are locked")
    }
}
