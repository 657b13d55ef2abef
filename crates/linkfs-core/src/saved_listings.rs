//! Complete listings, kept on disk from one mount to the next.
//!
//! Each folder of each drive has a file of its own. It is read when the folder is first looked into, and
//! never again in the same process: from then on memory knows better, so nothing that a fresh listing
//! lacks can come back. What is written or removed is the latest wish for each folder, in a thread that
//! may wait for the disk.

mod file;
mod prune;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use linkfs_provider::ItemId;

use crate::digest::hex_digest;
use crate::disk_calls::DiskCalls;
use crate::node::Node;
use crate::private_file;
pub(crate) use file::Saved;
use file::Subject;

/// The folder of all listings, in the cache folder.
const FOLDER: &str = "listings";
/// A disk that takes longer to give a listing is slower than the drive.
const LOAD_PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of a mount waits for what is still to be written.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// The saved listings of one drive. Several processes may have the same ones.
#[derive(Debug)]
pub struct SavedListings {
    folder: PathBuf,
    /// A digest of what tells this drive's content from any other's.
    drive: String,
    state: Mutex<State>,
    /// Held while the disk is written to: never together with anything else but `state`.
    writing: Mutex<()>,
    loads: Arc<DiskCalls>,
}

#[derive(Debug, Default)]
struct State {
    /// The folders that this process has looked into, with how often each was forgotten.
    known: HashMap<ItemId, u32>,
    wishes: HashMap<ItemId, Wish>,
    /// A thread sees to the wishes. One is enough: on a disk that hangs, more would only hang with it.
    is_settling: bool,
    /// Why the last writing failed, until one succeeds.
    failure: Option<String>,
}

/// What is to be on disk for a folder.
#[derive(Debug)]
enum Wish {
    Written {
        nodes: Vec<Arc<Node>>,
        made: SystemTime,
    },
    Removed,
}

/// Taken by a listing when it starts: whether it may begin with what is on disk, and what it needs to be
/// saved in the end.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) is_first: bool,
    forgotten: u32,
}

impl SavedListings {
    /// The listings kept in `cache` of the drive that `identity` tells from all others. No secret may be
    /// in it, and it must be another for another account, space or address. Nothing is read or made yet.
    pub fn new(cache: &Path, identity: &str) -> Arc<SavedListings> {
        let drive = hex_digest(identity);
        Arc::new(SavedListings {
            folder: cache.join(FOLDER).join(&drive),
            drive,
            state: Mutex::default(),
            writing: Mutex::default(),
            loads: Arc::default(),
        })
    }

    /// Removes the listings of all drives in `cache` that nobody has used for a month, and those that
    /// take more than 256 MiB together with newer ones. Waits for the disk.
    pub fn prune(cache: &Path) {
        prune::prune(&cache.join(FOLDER), SystemTime::now());
    }

    /// A listing of `folder` starts.
    pub(crate) fn begin(&self, folder: &ItemId) -> Turn {
        let known = &mut self.lock().known;
        let forgotten = known.get(folder).copied();
        known.entry(folder.clone()).or_default();
        Turn {
            is_first: forgotten.is_none(),
            forgotten: forgotten.unwrap_or_default(),
        }
    }

    /// The listing of `folder` that is on disk, for one whose turn is the first.
    pub(crate) async fn load(self: &Arc<Self>, folder: &ItemId) -> Option<Saved> {
        if self.loads.is_hanging() {
            return None;
        }
        let (this, folder) = (self.clone(), folder.clone());
        let reading = self.loads.run(move || this.read(&folder));
        let read = tokio::time::timeout(LOAD_PATIENCE, reading).await;
        if read.is_err() && self.loads.note_in_vain() {
            let folder = self.folder.display();
            tracing::warn!("the disk does not answer: listings in {folder} are done without");
        }
        read.ok()?
    }

    /// A listing that has just been completed replaces the one on disk, unless the folder was forgotten
    /// since it started.
    pub(crate) fn save(self: &Arc<Self>, folder: &ItemId, turn: &Turn, nodes: Vec<Arc<Node>>) {
        let state = self.lock();
        if state.known.get(folder) != Some(&turn.forgotten) {
            return;
        }
        let made = SystemTime::now();
        self.wish(state, folder, Wish::Written { nodes, made });
    }

    /// What is known of `folder` is not so: neither what is on disk, nor what a listing that is under way
    /// will say.
    pub(crate) fn forget(self: &Arc<Self>, folder: &ItemId) {
        let mut state = self.lock();
        *state.known.entry(folder.clone()).or_default() += 1;
        self.wish(state, folder, Wish::Removed);
    }

    /// Why listings cannot be saved at the moment, in words.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    /// Waits until all is written, for so long as is reasonable when a program ends.
    pub(crate) async fn settled(self: &Arc<Self>) {
        let this = self.clone();
        let writing = tokio::task::spawn_blocking(move || this.settle());
        if tokio::time::timeout(SETTLE_PATIENCE, writing)
            .await
            .is_err()
        {
            tracing::warn!(folder = %self.folder.display(), "the disk is slow: not every listing is saved");
        }
    }

    fn wish(self: &Arc<Self>, mut state: MutexGuard<'_, State>, folder: &ItemId, wish: Wish) {
        state.wishes.insert(folder.clone(), wish);
        if !std::mem::replace(&mut state.is_settling, true) {
            let this = self.clone();
            tokio::task::spawn_blocking(move || this.settle());
        }
    }

    /// Brings the disk to what is wished.
    fn settle(&self) {
        let _writing = self.writing.lock().expect("no panic while writing");
        while let Some((folder, wish)) = self.next_wish() {
            let done = self.fulfil(&folder, &wish);
            self.note(done);
        }
    }

    fn next_wish(&self) -> Option<(ItemId, Wish)> {
        let mut state = self.lock();
        let folder = state.wishes.keys().next().cloned();
        state.is_settling = folder.is_some();
        state.wishes.remove_entry(&folder?)
    }

    fn fulfil(&self, folder: &ItemId, wish: &Wish) -> io::Result<()> {
        let path = self.path(folder);
        match wish {
            Wish::Removed => private_file::remove(&path),
            Wish::Written { nodes, made } => {
                let items = nodes.iter().filter_map(|node| node.item());
                let items = items.map(|(_, item)| item).collect();
                private_file::replace(&path, &file::encode(self.subject(folder), *made, items))
            }
        }
    }

    fn note(&self, done: io::Result<()>) {
        let failure = &mut self.lock().failure;
        let Err(error) = done else {
            *failure = None;
            return;
        };
        let folder = self.folder.display();
        let reason = format!("cannot save listings in {folder}: {error}");
        if failure.is_none() {
            tracing::warn!("{reason}; the next mount will ask the drive");
        }
        *failure = Some(reason);
    }

    fn read(&self, folder: &ItemId) -> Option<Saved> {
        let path = self.path(folder);
        let bytes = std::fs::read(&path).ok()?;
        let saved = file::decode(&bytes, self.subject(folder));
        match &saved {
            Some(_) => note_use(&path),
            None => {
                tracing::debug!(path = %path.display(), "no listing of this program: removed");
                // What cannot be removed is written over.
                let _may_stay = private_file::remove(&path);
            }
        }
        saved
    }

    fn path(&self, folder: &ItemId) -> PathBuf {
        self.folder.join(hex_digest(folder.as_str()))
    }

    fn subject<'a>(&'a self, folder: &'a ItemId) -> Subject<'a> {
        Subject {
            drive: &self.drive,
            folder,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while the wishes are locked")
    }
}

/// The file's time says when it was used last. That it cannot be set makes it go sooner, no more.
fn note_use(path: &Path) {
    let file = File::options().append(true).open(path);
    let _may_stay = file.and_then(|file| file.set_modified(SystemTime::now()));
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
