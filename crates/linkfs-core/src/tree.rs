use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::block_cache::BlockCache;
use crate::listing::{self, Listing, Phase};
use crate::node::{Attributes, Node, NodeId, Nodes, What};
use crate::{Drive, Error, Result, control_folder};
use linkfs_provider::{Item, ItemId, ItemKind, Version};

/// How long a request waits for a fresh listing of a folder that has an older one: beyond this
/// the older one is better than a user who waits. With a short deadline the refresh fails before.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long after a failure that says nothing of a folder it is answered from memory, by the older listing or by
/// the failure, before the drive is asked again.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Attributes of an older listing, served because the drive does not answer, are asked again this soon.
const VALID_WHILE_UNREACHABLE: Duration = Duration::from_secs(1);

/// No path is that long: Linux takes 4,096 bytes.
const DEEPEST: usize = 2048;

/// Who keeps copies of names for as long as it was told that they hold, as the kernel does.
pub trait NameKeeper: Debug + Send + Sync {
    /// Forgets a name in a folder, and that there was none. It may wait for requests under way in that folder.
    fn forget(&self, folder: NodeId, name: &str);
}

/// The folders as far as they are known: nodes, and one listing for each folder that was looked into.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Arc<Nodes>,
    folders: Arc<Folders>,
    listing_ttl: Duration,
    keeper: OnceLock<Arc<dyn NameKeeper>>,
}

type Folders = Mutex<HashMap<NodeId, Folder>>;

/// What is known of one folder's names.
#[derive(Clone, Debug)]
struct Folder {
    newest: Arc<Listing>,
    /// The last complete one, while `newest` is not.
    complete: Option<Arc<Listing>>,
    /// The last complete one until the keeper has been told what `newest` changes in it, also when it was forgotten.
    copied: Option<Arc<Listing>>,
    /// Ends when the keeper has been told.
    telling: watch::Receiver<()>,
    /// What is known is not so.
    is_forgotten: bool,
}

impl Tree {
    /// A tree whose top is the root folder of `drive`.
    pub(crate) fn of_drive(
        drive: &Arc<Drive>,
        listing_ttl: Duration,
        cache: &Arc<BlockCache>,
    ) -> Tree {
        let tree = Tree::empty(listing_ttl, cache);
        let what = What::Item {
            drive: drive.clone(),
            item: root_item(drive),
        };
        tree.nodes
            .insert(Node::new(NodeId::ROOT, NodeId::ROOT, "", what));
        tree
    }

    /// A tree with one folder for each drive.
    pub(crate) fn of_drives(
        drives: &[Arc<Drive>],
        listing_ttl: Duration,
        cache: &Arc<BlockCache>,
    ) -> Tree {
        let tree = Tree::empty(listing_ttl, cache);
        tree.nodes
            .insert(Node::new(NodeId::ROOT, NodeId::ROOT, "", What::Top));
        let folders = drives
            .iter()
            .map(|drive| {
                tree.nodes
                    .put_item(drive, root_item(drive), NodeId::ROOT, drive.name())
            })
            .collect();
        let folder = Folder::of(Listing::of(folders, listing_ttl));
        tree.lock_folders().insert(NodeId::ROOT, folder);
        tree
    }

    /// Names take their memory from what `cache` has.
    fn empty(listing_ttl: Duration, cache: &Arc<BlockCache>) -> Tree {
        let nodes = Nodes::new(cache.clone());
        for node in control_folder::nodes() {
            nodes.insert(node);
        }
        Tree {
            nodes: Arc::new(nodes),
            folders: Arc::default(),
            listing_ttl,
            keeper: OnceLock::new(),
        }
    }

    /// From now on `keeper` is told of names that changed before their time was over. There is one.
    pub(crate) fn tell(&self, keeper: Arc<dyn NameKeeper>) {
        let _there_is_one_already = self.keeper.set(keeper);
    }

    /// The nodes from the folder that is shown of an item's drive to the item, which comes last.
    ///
    /// # Errors
    /// `Stale` for folders that were listed inside each other at different times.
    pub(crate) fn way_in_drive(&self, node: &Arc<Node>) -> Result<Vec<Arc<Node>>> {
        let mut way = Vec::new();
        let mut at = node.clone();
        while let Some((drive, item)) = at.item()
            && item.id != *drive.root()
        {
            way.push(at.clone());
            match self.nodes.get(at.parent) {
                Some(parent) if parent.id != at.id => at = parent,
                _ => break,
            }
            if way.len() > DEEPEST {
                let why = "its folders were moved on the drive; list them again";
                return Err(Error::Stale(why.into()));
            }
        }
        way.reverse();
        Ok(way)
    }

    pub(crate) fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    pub(crate) fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// # Errors
    /// `Stale` for a number that no node has (any more).
    pub(crate) fn node(&self, id: NodeId) -> Result<Arc<Node>> {
        self.nodes
            .get(id)
            .ok_or_else(|| Error::Stale("the file or folder is gone".into()))
    }

    /// The node called `name` in a folder, and how long a cache may say so.
    ///
    /// # Errors
    /// `NotFound` for a name that is not there, and whatever listing the folder gives.
    pub(crate) async fn lookup(&self, folder: &Arc<Node>, name: &str) -> Result<Attributes> {
        if folder.id == NodeId::ROOT && name == control_folder::NAME {
            let control = self.node(NodeId::CONTROL)?;
            return Ok(control.attributes(self.listing_ttl));
        }
        let listing = self.listing(folder).await?;
        let node = listing.find(name).await?.ok_or(Error::NotFound)?;
        Ok(node.attributes(self.validity(&listing)))
    }

    /// How long a cache may say that a folder lacks a name; zero when its listing is not known.
    pub(crate) fn misses_valid_for(&self, folder: NodeId) -> Duration {
        let newest = self.known_listing(folder);
        // A listing that is being made may hold the name yet.
        let complete = newest.filter(|listing| matches!(listing.phase(), Phase::Complete(_)));
        complete.map_or(Duration::ZERO, |listing| listing.valid_for())
    }

    /// A node as its folder's listing shows it now. A node that left its folder is shown as it was, like
    /// an open file that was deleted.
    ///
    /// # Errors
    /// Whatever listing the folder gives.
    pub(crate) async fn attributes(&self, node: &Arc<Node>) -> Result<Attributes> {
        if node.id == NodeId::ROOT || node.item().is_none() {
            return Ok(node.attributes(self.listing_ttl));
        }
        let parent = self.node(node.parent)?;
        let listing = match self.listing(&parent).await {
            Ok(listing) => listing,
            Err(Error::Drive(error)) if error.kind == linkfs_provider::ErrorKind::NotFound => {
                return Ok(node.attributes(Duration::ZERO));
            }
            Err(error) => return Err(error),
        };
        match listing.find(&node.name).await? {
            Some(current) if current.id == node.id => {
                Ok(current.attributes(self.validity(&listing)))
            }
            _ => Ok(node.attributes(Duration::ZERO)),
        }
    }

    /// The listing to answer from: one that is younger than its TTL, or one being made, or the last
    /// complete one when the drive cannot give a newer in time.
    ///
    /// # Errors
    /// `NotAFolder`, and whatever the drive says when there is no older listing to fall back on.
    pub(crate) async fn listing(&self, folder: &Arc<Node>) -> Result<Arc<Listing>> {
        let known = self.newest_or_start(folder)?;
        let Some(older) = known.older().await else {
            return Ok(known.newest);
        };
        let fresh = known.newest.complete();
        match tokio::time::timeout_at(known.newest.started() + PATIENCE, fresh).await {
            Ok(Ok(())) => Ok(known.newest),
            Err(_still_loading) => Ok(older),
            Ok(Err(error)) if takes_away(&error) => Err(error),
            Ok(Err(_says_nothing_of_the_folder)) => Ok(older),
        }
    }

    /// As [`Tree::listing`], for who opens the folder: once the end of the listing is read, the keeper has been told
    /// of it. Opening holds no lock that telling might wait for, as reading on and looking up do.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn listing_to_open(&self, folder: &Arc<Node>) -> Result<Arc<Listing>> {
        let listing = self.listing(folder).await?;
        let known = self.lock_folders().get(&folder.id).cloned();
        let changes_copies =
            |known: &Folder| Arc::ptr_eq(&known.newest, &listing) && known.copied.is_some();
        if let Some(known) = known.filter(changes_copies) {
            let patience = listing.started() + PATIENCE;
            let _in_time = tokio::time::timeout_at(patience, known.told()).await;
        }
        Ok(listing)
    }

    fn newest_or_start(&self, folder: &Arc<Node>) -> Result<Folder> {
        let (drive, item) = match &folder.what {
            What::Item { drive, item } if item.is_folder() => (drive, item),
            What::Top => {
                let known = self.lock_folders().get(&folder.id).cloned();
                return known.ok_or(Error::NotFound);
            }
            What::Control => {
                let inside = Listing::of(control_folder::inside(), self.listing_ttl);
                return Ok(Folder::of(inside));
            }
            _ => return Err(Error::NotAFolder),
        };
        let mut folders = self.lock_folders();
        let known = folders.get(&folder.id);
        if let Some(known) = known.filter(|known| known.is_current()) {
            return Ok(known.clone());
        }
        Ok(self.start(folder.id, drive, item, &mut folders))
    }

    /// Starts to list a folder. The last complete listing is kept beside the new one until that is complete and
    /// the keeper has been told.
    fn start(
        &self,
        folder: NodeId,
        drive: &Arc<Drive>,
        item: &Item,
        folders: &mut HashMap<NodeId, Folder>,
    ) -> Folder {
        let known = folders.get(&folder);
        let trusted = known.filter(|known| !known.is_forgotten);
        let complete = trusted.and_then(Folder::last_complete);
        let copied = known.and_then(Folder::last_copied);
        let newest = listing::start(
            self.nodes.clone(),
            drive.clone(),
            item.id.clone(),
            folder,
            self.listing_ttl,
        );
        let fresh = Folder {
            telling: self.tell_of(folder, newest.clone(), copied.clone()),
            newest,
            complete,
            copied,
            is_forgotten: false,
        };
        folders.insert(folder, fresh.clone());
        fresh
    }

    /// How long a cache may say what a listing says.
    pub(crate) fn validity(&self, listing: &Arc<Listing>) -> Duration {
        let left = listing.valid_for();
        match listing.phase() {
            Phase::Complete(_) if left.is_zero() => VALID_WHILE_UNREACHABLE,
            _ => left,
        }
    }

    /// The same for names that are read from an open folder: its listing may be an old one.
    pub(crate) fn names_valid_for(&self, folder: NodeId, listing: &Arc<Listing>) -> Duration {
        let is_replaced = |known: &Folder| {
            let is_other = !Arc::ptr_eq(&known.newest, listing);
            known.is_forgotten || is_other && matches!(known.newest.phase(), Phase::Complete(_))
        };
        match self.lock_folders().get(&folder).is_some_and(is_replaced) {
            true => Duration::ZERO,
            false => self.validity(listing),
        }
    }

    /// The listing of a folder that is there already, without asking for one.
    pub(crate) fn known_listing(&self, folder: NodeId) -> Option<Arc<Listing>> {
        let folders = self.lock_folders();
        let known = folders.get(&folder).filter(|known| !known.is_forgotten);
        known.map(|known| known.newest.clone())
    }

    /// The next look into the folder asks the drive, in this mount and in the next.
    pub(crate) fn forget_listing(&self, folder: NodeId) {
        let Some(node) = self.nodes.get(folder) else {
            return;
        };
        let Some((drive, item)) = node.item() else {
            return;
        };
        if let Some(known) = self.lock_folders().get_mut(&folder) {
            known.is_forgotten = true;
        }
        if let Some(saved) = &drive.saved_listings {
            saved.forget(&item.id);
        }
    }

    /// Asks the drive for a folder anew; whoever looks into it afterwards finds what it has now.
    ///
    /// # Errors
    /// `NotAFolder`, and what the drive says.
    pub(crate) async fn refresh(&self, folder: &Arc<Node>) -> Result<()> {
        let Some((drive, item)) = folder.item().filter(|(_, item)| item.is_folder()) else {
            // What no drive has is always as it is now.
            return self.listing(folder).await.map(drop);
        };
        if let Some(saved) = &drive.saved_listings {
            saved.forget(&item.id);
        }
        let fresh = {
            let mut folders = self.lock_folders();
            self.start(folder.id, drive, item, &mut folders)
        };
        fresh.newest.complete().await?;
        fresh.told().await;
        Ok(())
    }

    /// As [`Tree::refresh`], for the folder that shows an item, if it is known yet.
    ///
    /// # Errors
    /// What the drive says.
    pub(crate) async fn refresh_item(&self, drive: &Drive, folder: &ItemId) -> Result<()> {
        let known = self.nodes.folder_of(drive, folder);
        match known.and_then(|id| self.nodes.get(id)) {
            Some(node) => self.refresh(&node).await,
            None => {
                if let Some(saved) = &drive.saved_listings {
                    saved.forget(folder);
                }
                Ok(())
            }
        }
    }

    /// Tells the keeper what a listing changes once it has ended, on a thread that answers nobody: the keeper may
    /// wait for requests in that folder, whose answers must not wait for it in turn. The receiver ends after that.
    fn tell_of(
        &self,
        folder: NodeId,
        listing: Arc<Listing>,
        copied: Option<Arc<Listing>>,
    ) -> watch::Receiver<()> {
        let (told, telling) = watch::channel(());
        let Some(keeper) = self.keeper.get().cloned() else {
            return telling;
        };
        let folders = self.folders.clone();
        tokio::spawn(async move {
            let _until_told = told;
            let saved = listing.older().await;
            let is_complete = listing.complete().await.is_ok();
            let before = [copied, saved];
            if is_complete && before.iter().all(Option::is_none) {
                return;
            }
            let tell = {
                let listing = listing.clone();
                move || {
                    let before = before.iter().flatten();
                    for name in listing.changes(before.map(|before| &**before)) {
                        keeper.forget(folder, &name);
                    }
                }
            };
            let _unless_it_panicked = tokio::task::spawn_blocking(tell).await;
            if is_complete {
                drop_older(&mut lock(&folders), folder, &listing);
            }
        });
        telling
    }

    fn lock_folders(&self) -> MutexGuard<'_, HashMap<NodeId, Folder>> {
        lock(&self.folders)
    }
}

fn lock(folders: &Folders) -> MutexGuard<'_, HashMap<NodeId, Folder>> {
    folders
        .lock()
        .expect("no panic while the folder table is locked")
}

/// The keeper has been told of a complete listing: those before it are of no more use.
fn drop_older(folders: &mut HashMap<NodeId, Folder>, folder: NodeId, newest: &Arc<Listing>) {
    let known = folders.get_mut(&folder);
    if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.newest, newest)) {
        (known.complete, known.copied) = (None, None);
    }
}

impl Folder {
    /// A folder that is never listed anew.
    fn of(newest: Arc<Listing>) -> Folder {
        Folder {
            newest,
            complete: None,
            copied: None,
            telling: watch::channel(()).1,
            is_forgotten: false,
        }
    }

    /// The last complete listing before the newest: from memory, or else what an earlier mount saved.
    async fn older(&self) -> Option<Arc<Listing>> {
        match &self.complete {
            Some(complete) => Some(complete.clone()),
            None => self.newest.older().await,
        }
    }

    fn last_complete(&self) -> Option<Arc<Listing>> {
        match self.newest.phase() {
            Phase::Complete(_) => Some(self.newest.clone()),
            Phase::Loading | Phase::Failed(..) => {
                let saved = || self.newest.known_older();
                self.complete.clone().or_else(saved)
            }
        }
    }

    /// What the keeper may have copies of, when a new listing begins.
    fn last_copied(&self) -> Option<Arc<Listing>> {
        match self.newest.phase() {
            Phase::Complete(_) => Some(self.newest.clone()),
            Phase::Loading | Phase::Failed(..) => self.copied.clone(),
        }
    }

    fn is_current(&self) -> bool {
        let newest = &self.newest;
        let is_young = match newest.phase() {
            Phase::Loading => true,
            Phase::Complete(_) => !newest.valid_for().is_zero(),
            // A new login shows at once.
            Phase::Failed(at, error) => {
                let is_paused = !takes_away(&error) && !error.is_lapsed_login();
                is_paused && at.elapsed() < PAUSE_AFTER_FAILURE
            }
        };
        is_young && !self.is_forgotten
    }

    /// Waits until the keeper has been told what the newest listing changes.
    async fn told(&self) {
        let mut telling = self.telling.clone();
        // Nothing is ever sent: the sender goes when it is done.
        while telling.changed().await.is_ok() {}
    }
}

/// Whether a failed listing is the drive's word on the folder, which ends the names from before. Any other failure
/// leaves them: they lead to bytes in memory, and whatever is not there needs the drive.
fn takes_away(error: &Error) -> bool {
    !(error.is_passing() || error.is_lapsed_login() || error.is_broken_answer())
}

/// The root is known by its id alone: mounting asks nothing of the drive but its first listing.
fn root_item(drive: &Drive) -> Item {
    Item {
        id: drive.root().clone(),
        name: drive.name().to_owned(),
        kind: ItemKind::Folder,
        modified: None,
        created: None,
        version: Version(String::new()),
        hashes: Default::default(),
        mime: None,
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
