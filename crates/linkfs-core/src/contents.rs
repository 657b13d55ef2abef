use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use lru::LruCache;

use crate::Result;
use crate::content::Content;
use crate::node::NodeId;

/// Contents that nobody uses are remembered for their entity tags, without which what is cached of them is of
/// no use: so many, which is about as many as have a block in memory.
const MOST_IDLE: usize = 4096;
/// So many are looked at when there are too many. One that is in use moves on, so two make the table shrink.
const LOOKED_AT: usize = 2;

/// The contents of files that were opened lately.
#[derive(Debug)]
pub(crate) struct Contents<T = Content> {
    known: Mutex<LruCache<NodeId, Arc<T>>>,
    most_idle: usize,
    has_forgotten: AtomicBool,
}

impl<T> Contents<T> {
    pub(crate) fn new() -> Contents<T> {
        Contents::with_most(MOST_IDLE)
    }

    fn with_most(most_idle: usize) -> Contents<T> {
        Contents {
            known: Mutex::new(LruCache::unbounded()),
            most_idle,
            has_forgotten: AtomicBool::new(false),
        }
    }

    /// Whether a content that looks new may have been there before, under a tag that nobody knows any more.
    pub(crate) fn has_forgotten(&self) -> bool {
        self.has_forgotten.load(Ordering::Relaxed)
    }

    /// The content of a node, or a new one. What was used longest ago and is used by nobody now goes: `forget`
    /// is told, because bytes cached under a tag that is forgotten must not meet those of another.
    ///
    /// # Errors
    /// What `make` says.
    pub(crate) fn get(
        &self,
        node: NodeId,
        make: impl FnOnce() -> Result<Arc<T>>,
        forget: impl Fn(NodeId),
    ) -> Result<Arc<T>> {
        let mut known = self
            .known
            .lock()
            .expect("no panic while the contents are locked");
        if let Some(content) = known.get(&node) {
            return Ok(content.clone());
        }
        let content = make()?;
        known.put(node, content.clone());
        for _ in 0..LOOKED_AT {
            if known.len() <= self.most_idle {
                break;
            }
            match known.pop_lru() {
                Some((oldest, used)) if Arc::strong_count(&used) > 1 => {
                    known.put(oldest, used);
                }
                Some((oldest, _)) => {
                    self.has_forgotten.store(true, Ordering::Relaxed);
                    forget(oldest);
                }
                None => break,
            }
        }
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn what_nobody_uses_is_forgotten_the_oldest_first() {
        let contents = Contents::with_most(3);
        let forgotten = RefCell::new(Vec::new());
        let get = |node: u64| {
            let forget = |node: NodeId| forgotten.borrow_mut().push(node.0);
            contents.get(NodeId(node), || Ok(Arc::new(node)), forget)
        };
        let used = get(1).unwrap();
        assert!(!contents.has_forgotten());
        for node in [2, 3, 2, 4, 5] {
            get(node).unwrap();
        }
        assert_eq!(*forgotten.borrow(), [3, 2], "not what somebody uses");
        assert!(contents.has_forgotten());
        drop(used);
        for node in [6, 7, 8] {
            get(node).unwrap();
        }
        assert!(forgotten.borrow().contains(&1), "{forgotten:?}");
        assert_eq!(*get(8).unwrap(), 8);
        assert!(contents.known.lock().unwrap().len() <= 3);
    }
}
