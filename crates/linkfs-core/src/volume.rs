mod attributes;
mod control;
mod shares;

use std::fs::File;
use std::future::Future;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use linkfs_provider::{ByteCount, ErrorKind, ItemKind, Offset, ProviderError, WebAddress};
use tokio::time::Instant;

use crate::block_cache::BlockCache;
use crate::content::Content;
use crate::contents::Contents;
use crate::failures::Failures;
use crate::listing::Listing;
use crate::memory::Memory;
use crate::node::{Attributes, Entry, Kind, Node, NodeId, What};
use crate::open_file::{Handle, HandleId, Handles, OpenFile, ReadBytes};
use crate::sharing::{AuditFile, ShareFiles, SharePolicy, Sharer};
use crate::shortcut;
use crate::status::{self, Status};
use crate::stored::Disk;
use crate::tasks::Tasks;
use crate::tree::Tree;
use crate::{Drive, Error, Lease, Result};

/// How old the answer to `df` may be before a new one is asked for in the background.
const USAGE_MAX_AGE: Duration = Duration::from_secs(60);
/// How long opening a file waits for the disk cache to say what it has.
const DISK_PATIENCE: Duration = Duration::from_secs(1);
/// A refusal explains a request that ends within so many deadlines after it: a request takes one, and the
/// kernel asks once more for what it has read ahead in vain.
const REFUSAL_EXPLAINS: f64 = 1.25;
/// Entries handed over at once when a folder is read.
const ENTRIES_AT_ONCE: usize = 1024;

/// How a volume behaves.
#[derive(Clone, Debug)]
pub struct VolumeOptions {
    /// Bytes that names and file content may take in memory.
    pub memory: ByteCount,
    /// How long any request may take.
    pub deadline: Duration,
    /// How long a folder's listing is answered from memory.
    pub listing_ttl: Duration,
    /// What the top of the tree is.
    pub layout: Layout,
    /// Where file content is kept on disk, if it is.
    pub disk: Option<DiskOptions>,
    /// What may be shared.
    pub share: ShareOptions,
}

/// How files and folders are shared.
#[derive(Clone, Debug, Default)]
pub struct ShareOptions {
    /// What is allowed.
    pub policy: SharePolicy,
    /// Where it is written down, if it is.
    pub audit: Option<AuditFile>,
    /// Where tasks of drives are kept for the next mount, if they are.
    pub tasks: Option<PathBuf>,
    /// Where the folder that is shown is on its drive, for the paths that are denied and written down; empty
    /// for the drive's own top.
    pub top: String,
}

/// The disk cache of a volume.
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// The folder, which other mounts may use too.
    pub directory: PathBuf,
    /// Bytes that it may take on disk.
    pub size: ByteCount,
}

/// What the top of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The root folder of the only drive.
    OneDrive,
    /// A folder for each drive.
    DriveFolders,
}

/// The drives as one tree: everything the adapter and the command line ask for.
///
/// Every operation ends within the deadline, in a result or in one [`Error`].
#[derive(Debug)]
pub struct Volume {
    drives: Vec<Arc<Drive>>,
    tree: Arc<Tree>,
    cache: Arc<BlockCache>,
    disk: Option<Arc<Disk>>,
    /// Why there is no disk although there should be one.
    disk_failure: Option<String>,
    contents: Contents,
    handles: Handles,
    failures: Failures,
    sharer: Sharer,
    share_files: ShareFiles,
    tasks: Arc<Tasks>,
    /// See [`ShareOptions::top`].
    shared_top: String,
    deadline: Duration,
}

/// A file or folder just opened.
#[derive(Debug)]
pub struct Opened {
    /// What to read and close it by.
    pub handle: HandleId,
    /// Whether pages that the kernel has of this node are of the same content.
    pub keep_pages: bool,
    /// Whether reads must not go through the kernel's pages at all: the length is known only now.
    pub bypass_pages: bool,
    /// Whether there are no positions in it, so that reading and writing go on side by side.
    pub is_stream: bool,
    /// A file on disk with all its bytes, checked, that the kernel may read by itself.
    pub backing: Option<File>,
}

/// What `df` shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeUsage {
    /// All drives together; `None` when one has no limit or has not told yet.
    pub total: Option<ByteCount>,
    /// What is taken of it.
    pub used: ByteCount,
}

impl Volume {
    /// The tree of `drives`. Nothing is asked of them yet.
    pub fn new(drives: Vec<Arc<Drive>>, options: VolumeOptions) -> Arc<Volume> {
        let memory = Memory::new(options.memory);
        let (disk, disk_failure) = open_disk(options.disk.as_ref(), &memory);
        let cache = Arc::new(BlockCache::new(memory));
        let tree = match (options.layout, drives.as_slice()) {
            (Layout::OneDrive, [only]) => Tree::of_drive(only, options.listing_ttl, &cache),
            _ => Tree::of_drives(&drives, options.listing_ttl, &cache),
        };
        Arc::new(Volume {
            tree: Arc::new(tree),
            cache,
            disk,
            disk_failure,
            contents: Contents::new(),
            handles: Handles::default(),
            failures: Failures::new(),
            sharer: Sharer::new(options.share.policy, options.share.audit),
            shared_top: options.share.top.trim_matches('/').to_owned(),
            share_files: ShareFiles::default(),
            tasks: Arc::new(Tasks::load(options.share.tasks)),
            deadline: options.deadline,
            drives,
        })
    }

    /// The node called `name` in the folder `parent`.
    ///
    /// # Errors
    /// `NotFound`, `NotAFolder`, `Deadline`, and what the drive says.
    pub async fn lookup(&self, parent: NodeId, name: &str) -> Result<Attributes> {
        self.answer(parent, "look up a name", async {
            let parent = self.tree.node(parent)?;
            match parent.what {
                What::Shares => {
                    return Ok(self.share_file(name).await?.attributes(Duration::ZERO));
                }
                What::Tasks => return Ok(self.task_file(name)?.attributes(Duration::ZERO)),
                _ => {}
            }
            self.tree.lookup(&parent, name).await
        })
        .await
    }

    /// For how long a cache may say that `parent` lacks a name.
    pub fn misses_valid_for(&self, parent: NodeId) -> Duration {
        self.tree.misses_valid_for(parent)
    }

    /// What `stat` shows.
    ///
    /// # Errors
    /// `Stale` for a node that is gone, `Deadline`, and what the drive says.
    pub async fn attributes(&self, node: NodeId) -> Result<Attributes> {
        self.answer(node, "stat", async {
            let node = self.tree.node(node)?;
            if matches!(node.what, What::Share { .. } | What::Task(_)) {
                return Ok(node.attributes(Duration::ZERO));
            }
            self.tree.attributes(&node).await
        })
        .await
    }

    /// The node at a path from the top, for the command line.
    ///
    /// # Errors
    /// As [`Volume::lookup`].
    pub async fn resolve(&self, path: &Path) -> Result<Attributes> {
        let mut at = self.attributes(NodeId::ROOT).await?;
        for component in path.components() {
            match component {
                Component::Normal(name) => {
                    let name = name.to_str().ok_or(Error::NotFound)?;
                    at = self.lookup(at.id, name).await?;
                }
                Component::RootDir | Component::CurDir => {}
                Component::ParentDir | Component::Prefix(_) => return Err(Error::NotFound),
            }
        }
        Ok(at)
    }

    /// Opens a folder; its names keep their positions until it is closed.
    ///
    /// # Errors
    /// `NotAFolder`, `Deadline`, and what the drive says.
    pub async fn open_folder(&self, node: NodeId) -> Result<Opened> {
        self.answer(node, "open a folder", async {
            let node = self.tree.node(node)?;
            let listing = match node.what {
                What::Shares => self.share_listing().await,
                What::Tasks => Listing::of(self.task_nodes(), Duration::ZERO),
                _ => self.tree.listing_to_open(&node).await?,
            };
            Ok(Opened {
                handle: self.handles.insert(Handle::Folder(node, listing)),
                keep_pages: false,
                bypass_pages: false,
                is_stream: false,
                backing: None,
            })
        })
        .await
    }

    /// Names from position `start` on, in an order that does not change; none after the last.
    ///
    /// # Errors
    /// `BadHandle`, `Deadline`, and what the drive says.
    pub async fn read_folder(&self, folder: HandleId, start: usize) -> Result<Vec<Entry>> {
        let Handle::Folder(node, listing) = self.handles.get(folder)? else {
            return Err(Error::NotAFolder);
        };
        self.answer(node.id, "read a folder", async {
            let nodes = listing.nodes_from(start, ENTRIES_AT_ONCE).await?;
            let valid_for = match node.what {
                What::Shares | What::Tasks => Duration::ZERO,
                _ => self.tree.names_valid_for(node.id, &listing),
            };
            let entry = |node: Arc<Node>| Entry {
                name: node.name.clone(),
                attributes: node.attributes(valid_for),
            };
            Ok(nodes.into_iter().map(entry).collect())
        })
        .await
    }

    /// The folder that an open folder is in.
    ///
    /// # Errors
    /// `BadHandle`.
    pub fn parent_of(&self, folder: HandleId) -> Result<NodeId> {
        match self.handles.get(folder)? {
            Handle::Folder(node, _) => Ok(node.parent),
            _ => Err(Error::NotAFolder),
        }
    }

    /// Opens a file, pinning its length and version.
    ///
    /// # Errors
    /// `IsAFolder`; `Stale` when the file was replaced, so that the name must be looked up again.
    pub async fn open(&self, node: NodeId) -> Result<Opened> {
        let node = self.tree.node(node)?;
        if let Some(handle) = self.open_control(&node)? {
            return Ok(Opened {
                is_stream: matches!(handle, Handle::Console(_)),
                handle: self.handles.insert(handle),
                keep_pages: false,
                bypass_pages: true,
                backing: None,
            });
        }
        if let Some(address) = node.web_address() {
            return Ok(self.open_text(shortcut::text(address)));
        }
        if node.kind() == Kind::Folder {
            return Err(Error::IsAFolder);
        }
        if node.is_outdated() {
            return Err(Error::Stale("the file was replaced on the drive".into()));
        }
        let content = self.content_of(&node)?;
        let keep_pages = content.open();
        let looked = tokio::time::timeout(DISK_PATIENCE, content.passthrough_file()).await;
        let backing = looked.unwrap_or_else(|_elapsed| {
            content.note_hanging_disk();
            None
        });
        if content.is_pinned_in_part() {
            self.fetch_whole(content.clone());
        }
        Ok(Opened {
            handle: self
                .handles
                .insert(Handle::File(Arc::new(OpenFile::new(content)))),
            // A node is one version, so all pages of it are the content's, as long as it is remembered. And
            // dropping them, even where there are none, would make this opener wait for those that others are
            // reading, and nothing could wake it.
            keep_pages,
            bypass_pages: false,
            is_stream: false,
            backing,
        })
    }

    fn open_text(&self, text: String) -> Opened {
        Opened {
            handle: self.handles.insert(Handle::Text(Bytes::from(text))),
            keep_pages: false,
            bypass_pages: false,
            is_stream: false,
            backing: None,
        }
    }

    fn content_of(&self, node: &Arc<Node>) -> Result<Arc<Content>> {
        let make = || {
            let content = Content::of(
                node.clone(),
                self.tree.clone(),
                self.cache.clone(),
                self.disk.clone(),
            )?;
            if self.contents.has_forgotten() {
                content.distrust_pages();
            }
            Ok(content)
        };
        let forget = |node| self.cache.forget(node);
        let content = self.contents.get(node.id, make, forget)?;
        // The number of a content that changed is spent, whatever a listing that was under way then says: the
        // next look at the name finds another.
        content.check_unchanged()?;
        Ok(content)
    }

    /// Bytes of an open file: all of `length`, but for the file's end.
    ///
    /// # Errors
    /// `BadHandle`; `Stale` when the bytes changed; `Corrupt` when wrong ones were refused; `Deadline`; and
    /// what the drive says.
    pub async fn read(
        &self,
        file: HandleId,
        offset: Offset,
        length: ByteCount,
    ) -> Result<ReadBytes> {
        let deadline = Instant::now() + self.deadline;
        match self.handles.get(file)? {
            Handle::Text(text) => Ok(ReadBytes::of_text(&text, offset, length)),
            Handle::Console(console) => {
                let next = console.read(length);
                Ok(ReadBytes::of_text(&next, Offset(0), length))
            }
            Handle::Folder(..) => Err(Error::IsAFolder),
            Handle::File(open) => {
                let result = open.read(offset, length, deadline).await;
                let node = open.content().node_id();
                let result = result.map_err(|error| self.in_full(node, error));
                self.failures.note(node, &result);
                result
            }
        }
    }

    /// Closes a file or folder.
    pub fn close(&self, handle: HandleId) {
        if let Some(Handle::File(open)) = self.handles.remove(handle) {
            open.close();
        }
    }

    /// A link to a file's bytes.
    ///
    /// # Errors
    /// `IsAFolder`, `Deadline`, and what the drive says; `Unsupported` for a web document.
    pub async fn link(&self, node: NodeId) -> Result<Arc<Lease>> {
        self.answer(node, "sign a link", async {
            let node = self.tree.node(node)?;
            let (drive, item) = node.item().ok_or(Error::IsAFolder)?;
            match &item.kind {
                ItemKind::File { .. } => {}
                ItemKind::Folder => return Err(Error::IsAFolder),
                ItemKind::WebDocument { address } => return Err(no_link(address)),
            }
            drive.links.lease(drive, (node.id, &item.id), None).await
        })
        .await
    }

    /// Asks the drives how full they are, so that the first `df` knows, for at most `patience`.
    pub async fn learn_usage(&self, patience: Duration) {
        let drives = self.drives.clone();
        let asking: Vec<_> = drives
            .into_iter()
            .map(|drive| tokio::spawn(async move { drive.learn_usage().await }))
            .collect();
        let all = async {
            for asked in asking {
                let _answered = asked.await;
            }
        };
        let _in_time = tokio::time::timeout(patience, all).await;
    }

    /// Goes on following the tasks that earlier mounts have left. Needs a runtime.
    pub fn follow_tasks(&self) {
        self.tasks.follow_all(&self.drives, &self.tree);
    }

    /// Waits until the listings and the content fetched so far are saved for the next mount: to be called
    /// when this one ends.
    pub async fn settle(&self) {
        if let Some(disk) = &self.disk {
            disk.settled().await;
        }
        for saved in self
            .drives
            .iter()
            .filter_map(|drive| drive.saved_listings.as_ref())
        {
            saved.settled().await;
        }
    }

    /// What `df` shows: from memory, refreshed in the background.
    pub fn usage(&self) -> VolumeUsage {
        let known: Vec<_> = self
            .drives
            .iter()
            .map(|drive| drive.usage(USAGE_MAX_AGE))
            .collect();
        let total = known
            .iter()
            .map(|usage| usage.as_ref().and_then(|usage| usage.total));
        VolumeUsage {
            total: total.sum::<Option<ByteCount>>(),
            used: known.iter().flatten().map(|usage| usage.used).sum(),
        }
    }

    /// The state of the mount.
    pub fn status(&self) -> Status {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            drives: self.drives.iter().map(status::of_drive).collect(),
            memory: self.cache.status(),
            disk: self.disk.as_ref().map(|disk| disk.stats()),
            disk_failure: self.disk_failure.clone(),
            dry_run: self.sharer.only_rehearses(),
            open_handles: self.handles.len(),
            nodes: self.tree.node_count(),
        }
    }

    fn status_text(&self) -> String {
        let text = serde_json::to_string_pretty(&self.status()).expect("the status is plain data");
        text + "\n"
    }

    /// Runs an operation on `node` under the deadline, and keeps its failure for `user.linkfs.error`.
    async fn answer<T>(
        &self,
        node: NodeId,
        what: &str,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let result = tokio::time::timeout(self.deadline, work).await;
        let result = result.unwrap_or_else(|_elapsed| {
            Err(Error::Deadline {
                what: what.to_owned(),
                waited: self.deadline,
            })
        });
        let result = result.map_err(|error| self.in_full(node, error));
        self.failures.note(node, &result);
        result
    }

    /// A deadline that came while the drive or its data host kept saying no: that is the reason, and it
    /// tells more. Steps that each made some progress reach the deadline before their own time is up.
    fn in_full(&self, node: NodeId, error: Error) -> Error {
        let Error::Deadline { .. } = error else {
            return error;
        };
        let node = self.tree.node(node).ok();
        let refusal = node
            .as_ref()
            .and_then(|node| node.item())
            .and_then(|(drive, _)| drive.refusal_within(self.deadline.mul_f64(REFUSAL_EXPLAINS)));
        refusal.unwrap_or(error)
    }
}

/// A disk cache that cannot be used is done without.
fn open_disk(
    options: Option<&DiskOptions>,
    memory: &Memory,
) -> (Option<Arc<Disk>>, Option<String>) {
    let Some(options) = options else {
        return (None, None);
    };
    match Disk::open(&options.directory, options.size, memory.for_disk()) {
        Ok(disk) => (Some(disk), None),
        Err(error) => {
            let folder = options.directory.display();
            let failure = format!("nothing is cached on disk: {folder}: {error}");
            tracing::warn!("{failure}");
            (None, Some(failure))
        }
    }
}

fn no_link(address: &WebAddress) -> Error {
    let message = format!("an online document has no bytes to link to: open {address}");
    Error::Drive(ProviderError::new(ErrorKind::Unsupported, message))
}
