use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use linkfs_provider::{ByteCount, Item, ItemId, ItemKind, Share, ShareId, Version, WebAddress};

use crate::block_cache::BlockCache;
use crate::{Drive, sharing, shortcut};

/// A node's inode number.
///
/// For an item it is a hash of the drive's name, the item's id and, for a file, the version of its
/// content: it does not change while the content does not, and a replaced file is a new node, so that
/// the pages the kernel keeps for an open file can never be mixed with those of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The top of the mount; the number that FUSE prescribes.
    pub const ROOT: NodeId = NodeId(1);
    /// The control folder.
    pub(crate) const CONTROL: NodeId = NodeId(2);
    /// Its status file.
    pub(crate) const STATUS: NodeId = NodeId(3);
    /// Its folder of open shares.
    pub(crate) const SHARES: NodeId = NodeId(4);
    /// Where commands are written.
    pub(crate) const CONSOLE: NodeId = NodeId(5);
    /// The folder of tasks.
    pub(crate) const TASKS: NodeId = NodeId(6);
    /// Numbers for monitoring.
    pub(crate) const METRICS: NodeId = NodeId(7);
    /// Items are numbered from here on.
    const FIRST_ITEM: u64 = 1024;
}

/// Folder or file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File,
}

/// What `stat` shows of a node.
#[derive(Clone, Debug)]
pub struct Attributes {
    /// The node.
    pub id: NodeId,
    /// Folder or file.
    pub kind: Kind,
    /// Length in bytes; zero for a folder.
    pub size: ByteCount,
    /// When the content was last changed.
    pub modified: SystemTime,
    /// Whether it belongs to the control folder, which is for its owner only.
    pub is_control: bool,
    /// For how long this may be answered from a cache.
    pub valid_for: Duration,
}

/// A name in a folder.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The file name, unique in its folder.
    pub name: Arc<str>,
    /// What it names.
    pub attributes: Attributes,
}

/// A file or folder as the kernel sees it.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) parent: NodeId,
    pub(crate) name: Arc<str>,
    pub(crate) what: What,
    /// Set when its bytes turned out to be others than the listing said: it cannot be opened any more.
    is_outdated: AtomicBool,
}

#[derive(Debug)]
pub(crate) enum What {
    /// The folder of all drives.
    Top,
    /// The control folder.
    Control,
    /// The control folder's `status`.
    Status,
    /// The control folder's `metrics`.
    Metrics,
    /// The control folder's `control`.
    Console,
    /// The control folder's `tasks`.
    Tasks,
    /// A task by its name, as a file in it.
    Task(String),
    /// The control folder's `shares`.
    Shares,
    /// An open share, as a file in it.
    Share {
        drive: Arc<Drive>,
        share: Arc<Share>,
    },
    /// An item of a drive.
    Item { drive: Arc<Drive>, item: Item },
}

impl Node {
    pub(crate) fn new(id: NodeId, parent: NodeId, name: &str, what: What) -> Arc<Node> {
        Arc::new(Node {
            id,
            parent,
            name: name.into(),
            what,
            is_outdated: AtomicBool::new(false),
        })
    }

    pub(crate) fn kind(&self) -> Kind {
        match &self.what {
            What::Top | What::Control | What::Shares | What::Tasks => Kind::Folder,
            What::Status | What::Metrics | What::Console | What::Task(_) | What::Share { .. } => {
                Kind::File
            }
            What::Item { item, .. } => match item.kind {
                ItemKind::Folder => Kind::Folder,
                ItemKind::File { .. } | ItemKind::WebDocument { .. } => Kind::File,
            },
        }
    }

    pub(crate) fn attributes(&self, valid_for: Duration) -> Attributes {
        let (size, modified) = match &self.what {
            What::Item { item, .. } => (shown_size(item), item.modified.or(item.created)),
            What::Share { drive, share } => {
                let text = sharing::share_text(drive.name(), share);
                (ByteCount(text.len() as u64), Some(sharing::end_of(share)))
            }
            _ => (ByteCount(0), None),
        };
        Attributes {
            id: self.id,
            kind: self.kind(),
            size,
            modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
            is_control: self.is_control(),
            valid_for,
        }
    }

    /// Whether it belongs to the control folder.
    pub(crate) fn is_control(&self) -> bool {
        !matches!(self.what, What::Top | What::Item { .. })
    }

    pub(crate) fn item(&self) -> Option<(&Arc<Drive>, &Item)> {
        match &self.what {
            What::Item { drive, item } => Some((drive, item)),
            _ => None,
        }
    }

    /// Whether a link can lead to its bytes.
    pub(crate) fn is_file_of_bytes(&self) -> bool {
        let item = self.item();
        item.is_some_and(|(_, item)| matches!(item.kind, ItemKind::File { .. }))
    }

    /// The page that the node leads to, when it is a web document.
    pub(crate) fn web_address(&self) -> Option<&WebAddress> {
        match &self.item()?.1.kind {
            ItemKind::WebDocument { address } => Some(address),
            ItemKind::Folder | ItemKind::File { .. } => None,
        }
    }

    /// About how many bytes it takes, with its place in the tables.
    fn memory(&self) -> u64 {
        let texts = match &self.what {
            What::Item { item, .. } => {
                let mime = item.mime.as_ref().map_or(0, |mime| of_text(mime));
                let hashes = item.hashes.iter();
                let hashes = hashes.map(|(name, value)| of_text(name) + of_text(value));
                let table = if item.hashes.is_empty() { 0 } else { OF_HASHES };
                let texts = [&item.id.0, &item.name, &item.version.0].map(|text| of_text(text));
                texts.iter().sum::<usize>() + mime + hashes.sum::<usize>() + table
            }
            _ => 0,
        };
        (size_of::<Node>() + of_text(&self.name) + texts + IN_TABLES) as u64
    }

    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::Acquire)
    }

    /// The number that this version of the item had until its bytes turned out to be others than listed.
    pub(crate) fn id_before(&self) -> Option<NodeId> {
        let (drive, item) = self.item()?;
        let before = drive.replacements_seen(&item.id).checked_sub(1)?;
        Some(id_after(drive, item, before))
    }

    pub(crate) fn mark_outdated(&self) {
        self.is_outdated.store(true, Ordering::Release);
    }

    fn is_share(&self, drive: &Drive, id: &ShareId) -> bool {
        match &self.what {
            What::Share {
                drive: known_drive,
                share: known,
            } => known_drive.name() == drive.name() && known.id == *id,
            _ => false,
        }
    }

    fn shows_same_bytes(&self, drive: &Drive, item: &Item) -> bool {
        self.item().is_some_and(|(known_drive, known)| {
            known_drive.name() == drive.name()
                && known.id == item.id
                && content_of(known) == content_of(item)
        })
    }
}

/// What a node takes in the table of nodes and in its folder's listing, which are three quarters full.
const IN_TABLES: usize = (size_of::<(NodeId, Arc<Node>)>() + size_of::<(Arc<str>, usize)>()) * 4
    / 3
    + size_of::<Arc<Node>>();
/// What a table of a few hashes takes beside their texts.
const OF_HASHES: usize = 11 * 2 * size_of::<String>();

/// A text on the heap, with the allocator's own.
fn of_text(text: &str) -> usize {
    match text.len() {
        0 => 0,
        length => (length + 8).next_multiple_of(16).max(32),
    }
}

/// Every node the kernel may ask for.
#[derive(Debug)]
pub(crate) struct Nodes {
    by_id: Mutex<HashMap<NodeId, Arc<Node>>>,
    /// What gives way to names in memory.
    cache: Arc<BlockCache>,
}

#[cfg(test)]
impl Default for Nodes {
    fn default() -> Nodes {
        let memory = crate::memory::Memory::new(ByteCount(1 << 20));
        Nodes::new(Arc::new(BlockCache::new(memory)))
    }
}

impl Nodes {
    pub(crate) fn new(cache: Arc<BlockCache>) -> Nodes {
        Nodes {
            by_id: Mutex::default(),
            cache,
        }
    }

    pub(crate) fn get(&self, id: NodeId) -> Option<Arc<Node>> {
        self.lock().get(&id).cloned()
    }

    pub(crate) fn insert(&self, node: Arc<Node>) {
        self.lock().insert(node.id, node);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The node of an item as just listed; the same number as before when the content is the same.
    pub(crate) fn put_item(
        &self,
        drive: &Arc<Drive>,
        item: Item,
        parent: NodeId,
        name: &str,
    ) -> Arc<Node> {
        let mut by_id = self.lock();
        let mut id = first_id(drive, &item);
        // Two of a million items share a hash once in thirty thousand mounts: the later one moves on.
        while by_id
            .get(&id)
            .is_some_and(|taken| !taken.shows_same_bytes(drive, &item))
        {
            id = NodeId(id.0.wrapping_add(1).max(NodeId::FIRST_ITEM));
        }
        let drive = drive.clone();
        let node = Node::new(id, parent, name, What::Item { drive, item });
        let before = by_id.insert(id, node.clone());
        drop(by_id);
        let fewer = before.map_or(0, |before| before.memory());
        self.cache.count_names(node.memory(), fewer);
        node
    }

    /// The node of a task; the same number as before for the same name.
    pub(crate) fn put_task(&self, name: &str) -> Arc<Node> {
        let is_same = |node: &Node| matches!(&node.what, What::Task(known) if known == name);
        let what = What::Task(name.to_owned());
        self.put_control(("task", name), is_same, |id| {
            Node::new(id, NodeId::TASKS, name, what)
        })
    }

    /// The folder that shows an item.
    pub(crate) fn folder_of(&self, drive: &Drive, item: &ItemId) -> Option<NodeId> {
        let by_id = self.lock();
        let mut folders = by_id.values().filter(|node| node.kind() == Kind::Folder);
        let found = folders.find(|node| {
            let shown = node.item();
            shown.is_some_and(|(known, shown)| known.name() == drive.name() && shown.id == *item)
        });
        found.map(|node| node.id)
    }

    /// The node of an open share as just listed; the same number as before for the same share.
    pub(crate) fn put_share(&self, drive: &Arc<Drive>, share: Arc<Share>, name: &str) -> Arc<Node> {
        let id = share.id.clone();
        let is_same = |node: &Node| node.is_share(drive, &id);
        let (key, drive) = (("share", drive.name(), &id), drive.clone());
        self.put_control(key, is_same, |id| {
            Node::new(id, NodeId::SHARES, name, What::Share { drive, share })
        })
    }

    /// A node of the control folder, with a number that follows from `key`.
    fn put_control(
        &self,
        key: impl Hash,
        is_same: impl Fn(&Node) -> bool,
        make: impl FnOnce(NodeId) -> Arc<Node>,
    ) -> Arc<Node> {
        let mut by_id = self.lock();
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let mut id = NodeId(hasher.finish().max(NodeId::FIRST_ITEM));
        while by_id.get(&id).is_some_and(|taken| !is_same(taken)) {
            id = NodeId(id.0.wrapping_add(1).max(NodeId::FIRST_ITEM));
        }
        let node = make(id);
        by_id.insert(id, node.clone());
        node
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<NodeId, Arc<Node>>> {
        self.by_id
            .lock()
            .expect("no panic while the node table is locked")
    }
}

fn first_id(drive: &Drive, item: &Item) -> NodeId {
    id_after(drive, item, drive.replacements_seen(&item.id))
}

/// The number of an item whose bytes turned out to be others than listed so many times.
fn id_after(drive: &Drive, item: &Item, replacements: u32) -> NodeId {
    let mut hasher = DefaultHasher::new();
    drive.name().hash(&mut hasher);
    item.id.hash(&mut hasher);
    let content = content_of(item);
    content.hash(&mut hasher);
    if matches!(content, Content::Version(_)) {
        replacements.hash(&mut hasher);
    }
    NodeId(hasher.finish().max(NodeId::FIRST_ITEM))
}

/// What tells one content of an item from another. A web document may change as often as it likes: the
/// file that is shown for it holds its address, and stays.
#[derive(PartialEq, Eq, Hash)]
enum Content<'a> {
    Names,
    Version(&'a Version),
    Address(&'a WebAddress),
}

fn content_of(item: &Item) -> Content<'_> {
    match &item.kind {
        ItemKind::Folder => Content::Names,
        ItemKind::File { .. } => Content::Version(&item.version),
        ItemKind::WebDocument { address } => Content::Address(address),
    }
}

fn shown_size(item: &Item) -> ByteCount {
    match &item.kind {
        ItemKind::Folder => ByteCount(0),
        ItemKind::File { size } => *size,
        ItemKind::WebDocument { address } => ByteCount(shortcut::text(address).len() as u64),
    }
}
