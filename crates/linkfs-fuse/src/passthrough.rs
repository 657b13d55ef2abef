//! Files that the kernel reads by itself, from a file on disk that has all their bytes.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use fuser::{BackingId, FileHandle, FopenFlags, INodeNo, ReplyOpen};

/// Which open files the kernel reads in which way. It takes one way for all openings of a file at a time, and
/// one backing file for all that pass through.
#[derive(Debug)]
pub(crate) struct Passthrough {
    /// Cleared when the kernel refuses: it may lack the ability, or we the right.
    is_possible: AtomicBool,
    open: Mutex<HashMap<INodeNo, Ways>>,
}

/// How an open file is read, and how often it is open.
#[derive(Debug)]
struct Ways {
    openings: usize,
    backing: Option<Arc<BackingId>>,
}

impl Passthrough {
    pub(crate) fn new() -> Passthrough {
        Passthrough {
            is_possible: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    /// The kernel says that it can.
    pub(crate) fn allow(&self) {
        self.is_possible.store(true, Ordering::Relaxed);
    }

    /// Opens a file: past us, from `file`, if there is one and nobody has it open in another way.
    pub(crate) fn open(
        &self,
        node: INodeNo,
        handle: FileHandle,
        file: Option<File>,
        flags: FopenFlags,
        reply: ReplyOpen,
    ) {
        let mut open = self.lock();
        let ways = open.entry(node).or_insert_with(|| Ways {
            openings: 0,
            backing: file.and_then(|file| self.back(&file, &reply)),
        });
        ways.openings += 1;
        let backing = ways.backing.clone();
        drop(open);
        match backing {
            Some(backing) => reply.opened_passthrough(handle, FopenFlags::empty(), &backing),
            None => reply.opened(handle, flags),
        }
    }

    fn back(&self, file: &File, reply: &ReplyOpen) -> Option<Arc<BackingId>> {
        if !self.is_possible.load(Ordering::Relaxed) {
            return None;
        }
        match reply.open_backing(file) {
            Ok(backing) => Some(Arc::new(backing)),
            Err(error) => {
                tracing::info!(%error, "the kernel does not read cached files by itself");
                self.is_possible.store(false, Ordering::Relaxed);
                None
            }
        }
    }

    /// A file was closed; the last to do so ends the way it was read.
    pub(crate) fn close(&self, node: INodeNo) {
        let mut open = self.lock();
        let Some(ways) = open.get_mut(&node) else {
            return;
        };
        ways.openings -= 1;
        let ended = match ways.openings {
            0 => open.remove(&node),
            _ => None,
        };
        // The kernel is told, and lets go of the file, when nobody waits for the table any more.
        drop(open);
        drop(ended);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<INodeNo, Ways>> {
        self.open
            .lock()
            .expect("no panic while the open files are locked")
    }
}
