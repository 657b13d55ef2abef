use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::{ErrorKind, Item, ItemId, ItemKind, PageToken, ProviderError};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::control_folder;
use crate::names::Names;
use crate::node::{Node, NodeId, Nodes};
use crate::{Drive, Error, Result};

/// A drive that pages on and on is broken: this many pages of 100 are ten million items.
const MOST_PAGES: usize = 100_000;

/// One reading of a folder, page by page. Names are appended and never move, so an open folder can be
/// read by position while the pages come in.
#[derive(Debug)]
pub(crate) struct Listing {
    state: Mutex<State>,
    /// Counts changes of `state`, for those who wait for the next.
    progress: watch::Sender<u64>,
    started: Instant,
    /// How long it may be answered from.
    ttl: Duration,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Arc<Node>>,
    by_name: HashMap<Arc<str>, usize>,
    phase: Phase,
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Loading,
    Complete(Instant),
    Failed(Instant, Error),
}

impl Listing {
    fn new(ttl: Duration) -> Arc<Listing> {
        Arc::new(Listing {
            state: Mutex::new(State {
                nodes: Vec::new(),
                by_name: HashMap::new(),
                phase: Phase::Loading,
            }),
            progress: watch::Sender::new(0),
            started: Instant::now(),
            ttl,
        })
    }

    /// A listing that is complete from the start, for folders that no drive has.
    pub(crate) fn of(nodes: Vec<Arc<Node>>, ttl: Duration) -> Arc<Listing> {
        let listing = Listing::new(ttl);
        listing.append(nodes);
        listing.end(Ok(()));
        listing
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The node called `name`: as soon as it is known, or `None` when the listing ends without it.
    ///
    /// # Errors
    /// Why the listing failed, unless the name was on an earlier page.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Arc<Node>>> {
        self.wait_until(|state| match state.by_name.get(name) {
            Some(&at) => Some(Ok(Some(state.nodes[at].clone()))),
            None => state.ended().map(|end| end.map(|()| None)),
        })
        .await
    }

    /// Up to `most` nodes from position `start` on, at least one unless the listing ends before.
    ///
    /// # Errors
    /// Why the listing failed, after the names it gave.
    pub(crate) async fn nodes_from(&self, start: usize, most: usize) -> Result<Vec<Arc<Node>>> {
        self.wait_until(|state| {
            let there = state.nodes.get(start..).unwrap_or_default();
            if !there.is_empty() {
                return Some(Ok(there.iter().take(most).cloned().collect()));
            }
            state.ended().map(|end| end.map(|()| Vec::new()))
        })
        .await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the listing failed.
    pub(crate) async fn complete(&self) -> Result<()> {
        self.wait_until(State::ended).await
    }

    /// How long the listing may still be answered from.
    pub(crate) fn valid_for(&self) -> Duration {
        match self.lock().phase {
            Phase::Complete(at) => self.ttl.saturating_sub(at.elapsed()),
            Phase::Loading => self.ttl.saturating_sub(self.started.elapsed()),
            Phase::Failed(..) => Duration::ZERO,
        }
    }

    /// Up to `most` files that `wanted` accepts, from the one called `name` on and around.
    pub(crate) fn files_after(
        &self,
        name: &str,
        most: usize,
        wanted: impl Fn(NodeId) -> bool,
    ) -> Vec<(NodeId, ItemId)> {
        let state = self.lock();
        let Some(&at) = state.by_name.get(name) else {
            return Vec::new();
        };
        let (before, from) = state.nodes.split_at(at);
        from.iter()
            .chain(before)
            .filter_map(|node| node.item().map(|(_, item)| (node.id, item)))
            .filter(|(node, item)| item.size().0 > 0 && wanted(*node))
            .map(|(node, item)| (node, item.id.clone()))
            .take(most)
            .collect()
    }

    fn append(&self, nodes: Vec<Arc<Node>>) {
        let mut state = self.lock();
        for node in nodes {
            let at = state.nodes.len();
            state.by_name.insert(node.name.clone(), at);
            state.nodes.push(node);
        }
        drop(state);
        self.progress.send_modify(|count| *count += 1);
    }

    fn end(&self, result: Result<()>) {
        self.lock().phase = match result {
            Ok(()) => Phase::Complete(Instant::now()),
            Err(error) => Phase::Failed(Instant::now(), error),
        };
        self.progress.send_modify(|count| *count += 1);
    }

    async fn wait_until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        let mut progress = self.progress.subscribe();
        loop {
            progress.mark_unchanged();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            progress
                .changed()
                .await
                .expect("the sender lives as long as the listing");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while a listing is locked")
    }
}

impl State {
    fn ended(&self) -> Option<Result<()>> {
        match &self.phase {
            Phase::Loading => None,
            Phase::Complete(_) => Some(Ok(())),
            Phase::Failed(_, error) => Some(Err(error.clone())),
        }
    }
}

/// Starts to list a folder; the pages arrive in the listing that is returned at once. It is kept for
/// `ttl`, or longer where the drive wishes so.
pub(crate) fn start(
    nodes: Arc<Nodes>,
    drive: Arc<Drive>,
    folder: ItemId,
    parent: NodeId,
    ttl: Duration,
) -> Arc<Listing> {
    let wished = drive.about().listing_ttl;
    let listing = Listing::new(wished.map_or(ttl, |wished| wished.max(ttl)));
    // Made before the task: one that is dropped before its first step must end the listing too.
    let unfinished = EndOnDrop(listing.clone());
    tokio::spawn(async move {
        let mut loader = Loader::new(nodes, drive, folder, parent);
        let result = loader.load(&unfinished.0).await;
        unfinished.0.end(result);
    });
    listing
}

/// Ends a listing whose task was dropped or panicked, so that nobody waits for it in vain.
struct EndOnDrop(Arc<Listing>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        if matches!(self.0.phase(), Phase::Loading) {
            let reason = ProviderError::new(ErrorKind::Unavailable, "the listing was given up");
            self.0.end(Err(reason.into()));
        }
    }
}

struct Loader {
    nodes: Arc<Nodes>,
    drive: Arc<Drive>,
    folder: ItemId,
    parent: NodeId,
    names: Names,
    seen_items: HashSet<ItemId>,
    seen_pages: HashSet<PageToken>,
    /// Items that must wait for more pages, because an older one may still take their name.
    unnamed: Vec<Item>,
}

impl Loader {
    fn new(nodes: Arc<Nodes>, drive: Arc<Drive>, folder: ItemId, parent: NodeId) -> Loader {
        let mut names = Names::default();
        if parent == NodeId::ROOT {
            names.reserve(control_folder::NAME);
        }
        Loader {
            nodes,
            drive,
            folder,
            parent,
            names,
            seen_items: HashSet::new(),
            seen_pages: HashSet::new(),
            unnamed: Vec::new(),
        }
    }

    async fn load(&mut self, listing: &Listing) -> Result<()> {
        let oldest_first = self.drive.about().lists_oldest_first;
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page = self.drive.list(&self.folder, after.as_ref()).await?;
            let fresh = page
                .items
                .into_iter()
                .filter(|item| self.seen_items.insert(item.id.clone()));
            self.unnamed.extend(fresh);
            let Some(next) = page.next else {
                listing.append(self.name_items(|_| true));
                return Ok(());
            };
            if oldest_first {
                // The next page may hold items as old as the newest here, and with smaller ids.
                let newest = self.unnamed.iter().map(|item| item.created).max();
                listing.append(self.name_items(|item| Some(item.created) < newest));
            }
            if !self.seen_pages.insert(next.clone()) {
                return Err(self.broken("the drive gave the same page token twice"));
            }
            after = Some(next);
        }
        Err(self.broken("the drive's pages do not end"))
    }

    /// Names the items that can be, the oldest first: of two equal names the older one keeps it.
    fn name_items(&mut self, can_be: impl Fn(&Item) -> bool) -> Vec<Arc<Node>> {
        let unnamed = std::mem::take(&mut self.unnamed);
        let (mut items, later): (Vec<_>, _) = unnamed.into_iter().partition(can_be);
        self.unnamed = later;
        items.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        items
            .into_iter()
            .map(|item| {
                let name = match item.kind {
                    ItemKind::WebDocument { .. } => self.names.give_shortcut(&item.name, &item.id),
                    ItemKind::Folder | ItemKind::File { .. } => {
                        self.names.give(&item.name, &item.id)
                    }
                };
                self.nodes.put_item(&self.drive, item, self.parent, &name)
            })
            .collect()
    }

    fn broken(&self, what: &str) -> Error {
        let message = format!("list folder {}: {what}", self.folder);
        Error::Drive(ProviderError::new(ErrorKind::Broken, message))
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::{About, Item, Link, Page, Provider, Result as Answer, async_trait};

    use super::*;
    use crate::DriveOptions;

    #[derive(Debug)]
    struct EmptyDrive(About);

    #[async_trait]
    impl Provider for EmptyDrive {
        fn about(&self) -> &About {
            &self.0
        }
        async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
            Ok(Page::default())
        }
        async fn stat(&self, _item: &ItemId) -> Answer<Item> {
            Err(ProviderError::unsupported("stat"))
        }
        async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
            Vec::new()
        }
    }

    async fn check(configured: u64, wished: Option<u64>, kept: u64) {
        let provider = EmptyDrive(About {
            root: "0".into(),
            links_per_call: 1,
            calls_in_flight: 1,
            lists_oldest_first: false,
            listing_ttl: wished.map(Duration::from_secs),
        });
        let options = DriveOptions {
            deadline: Duration::from_secs(30),
            allow_private_hosts: false,
            root: None,
        };
        let drive = Drive::new("test", Arc::new(provider), options).unwrap();
        let ttl = Duration::from_secs(configured);
        let listing = start(Arc::default(), drive, "0".into(), NodeId::ROOT, ttl);
        listing.complete().await.unwrap();
        assert_eq!(listing.valid_for(), Duration::from_secs(kept));
        tokio::time::advance(Duration::from_secs(kept)).await;
        assert!(listing.valid_for().is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_is_kept_as_long_as_the_drive_wishes_or_the_mount_says() {
        check(30, None, 30).await;
        check(30, Some(300), 300).await;
        check(600, Some(300), 600).await;
    }
}
