//! How a listing comes by its names: from what an earlier mount has saved, and from the drive page by page.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, Item, ItemId, ItemKind, PageToken, ProviderError};

use super::{Listing, Phase};
use crate::control_folder;
use crate::names::Names;
use crate::node::{Node, NodeId, Nodes};
use crate::saved_listings::{Saved, Turn};
use crate::{Drive, Error, Result, SavedListings};

/// A drive that pages on and on is broken: this many pages of 100 are ten million items.
const MOST_PAGES: usize = 100_000;
/// And so is one whose pages bring nothing new this many times in a row, each with another token. Drives
/// that filter after paging give some empty pages; at 50 ms a page, these take 5 s.
const MOST_EMPTY_PAGES: usize = 100;

/// Starts to list a folder; the pages arrive in the listing that is returned at once. It is kept for
/// `ttl`, or longer where the drive wishes so. The first look into a folder is answered by what an earlier
/// mount has saved of it, while that is as young.
pub(crate) fn start(
    nodes: Arc<Nodes>,
    drive: Arc<Drive>,
    folder: ItemId,
    parent: NodeId,
    ttl: Duration,
) -> Arc<Listing> {
    let wished = drive.about().listing_ttl;
    let listing = Listing::new(wished.map_or(ttl, |wished| wished.max(ttl)));
    // Taken before the task starts: what is forgotten from now on must not be saved by it.
    let saving = Saving::begin(&drive, &folder);
    // Made before the task: one that is dropped before its first step must end the listing too.
    let unfinished = EndOnDrop(listing.clone());
    tokio::spawn(async move {
        let listing = &unfinished.0;
        let loader = || Loader::new(nodes.clone(), drive.clone(), folder.clone(), parent);
        let earlier = load_saved(&drive, &folder, saving.as_ref()).await;
        let older = earlier.map(|saved| {
            let age = saved.age(SystemTime::now());
            (loader().name_in_order(saved.items), age)
        });
        let older = match older {
            Some((nodes, age)) if age < listing.ttl => return listing.fill(nodes, age),
            older => older.map(|(nodes, age)| Listing::aged(nodes, listing.ttl, age)),
        };
        listing.set_older(older);
        let result = loader().load(listing).await;
        // Before anybody is told of the end: who has seen all of it can count on its being saved.
        if let Some(saving) = saving {
            saving.end(&folder, &result, listing);
        }
        listing.end(result);
    });
    listing
}

/// What an earlier mount has saved of a folder, if this is the first look into it.
async fn load_saved(drive: &Drive, folder: &ItemId, saving: Option<&Saving>) -> Option<Saved> {
    let saving = saving.filter(|saving| saving.turn.is_first)?;
    let saved = saving.listings.load(folder).await?;
    drive.provider().recall(&saved.items);
    Some(saved)
}

/// Keeps a listing for the next mount, once it is complete.
struct Saving {
    listings: Arc<SavedListings>,
    turn: Turn,
}

impl Saving {
    fn begin(drive: &Drive, folder: &ItemId) -> Option<Saving> {
        let listings = drive.saved_listings.clone()?;
        let turn = listings.begin(folder);
        Some(Saving { listings, turn })
    }

    fn end(self, folder: &ItemId, result: &Result<()>, listing: &Listing) {
        match result {
            Ok(()) => self.listings.save(folder, &self.turn, listing.all()),
            // The drive has answered: there is nothing to be shown, by this mount or the next.
            Err(Error::Drive(error))
                if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Denied) =>
            {
                self.listings.forget(folder);
            }
            Err(_) => {}
        }
    }
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
        let mut empty_pages = 0;
        for _ in 0..MOST_PAGES {
            let page = self.drive.list(&self.folder, after.as_ref()).await?;
            empty_pages = match self.take(page.items) {
                0 => empty_pages + 1,
                _ => 0,
            };
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
            if empty_pages == MOST_EMPTY_PAGES {
                break;
            }
            after = Some(next);
        }
        Err(self.broken("the drive's pages do not end"))
    }

    /// Keeps the items that no earlier page had, and says how many they are.
    fn take(&mut self, items: Vec<Item>) -> usize {
        let before = self.unnamed.len();
        let seen = &mut self.seen_items;
        let fresh = items
            .into_iter()
            .filter(|item| seen.insert(item.id.clone()));
        self.unnamed.extend(fresh);
        self.unnamed.len() - before
    }

    /// Names the items that can be, the oldest first: of two equal names the older one keeps it.
    fn name_items(&mut self, can_be: impl Fn(&Item) -> bool) -> Vec<Arc<Node>> {
        let unnamed = std::mem::take(&mut self.unnamed);
        let (mut items, later): (Vec<_>, _) = unnamed.into_iter().partition(can_be);
        self.unnamed = later;
        items.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
        self.name_in_order(items)
    }

    /// What was saved stands in the order in which it was named before.
    fn name_in_order(&mut self, items: Vec<Item>) -> Vec<Arc<Node>> {
        let named = items.into_iter().map(|item| {
            let name = match item.kind {
                ItemKind::WebDocument { .. } => self.names.give_shortcut(&item.name, &item.id),
                ItemKind::Folder | ItemKind::File { .. } => self.names.give(&item.name, &item.id),
            };
            self.nodes.put_item(&self.drive, item, self.parent, &name)
        });
        named.collect()
    }

    fn broken(&self, what: &str) -> Error {
        let message = format!("list folder {}: {what}", self.folder);
        let error = Error::Drive(ProviderError::new(ErrorKind::Broken, message));
        self.drive.note_broken_answer(&error);
        error
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::{
        About, Item, ItemKind, Link, Page, Provider, Result as Answer, Version, async_trait,
    };

    use super::*;
    use crate::DriveOptions;

    /// A drive whose only item comes after so many empty pages.
    #[derive(Debug)]
    struct EmptyPages(About, usize);

    #[async_trait]
    impl Provider for EmptyPages {
        fn about(&self) -> &About {
            &self.0
        }
        async fn list(&self, _folder: &ItemId, after: Option<&PageToken>) -> Answer<Page> {
            let page = after.map_or(0, |token| token.0.parse().expect("our own token"));
            Ok(match page == self.1 {
                true => Page {
                    items: vec![item()],
                    next: None,
                },
                false => Page {
                    items: Vec::new(),
                    next: Some(PageToken((page + 1).to_string())),
                },
            })
        }
        async fn stat(&self, _item: &ItemId) -> Answer<Item> {
            Err(ProviderError::unsupported("stat"))
        }
        async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
            Vec::new()
        }
    }

    fn item() -> Item {
        Item {
            id: "1".into(),
            name: "folder".into(),
            kind: ItemKind::Folder,
            modified: None,
            created: None,
            version: Version(String::new()),
            hashes: Default::default(),
            mime: None,
        }
    }

    fn drive(empty_pages: usize, wished: Option<u64>) -> Arc<Drive> {
        let about = About {
            root: "0".into(),
            links_per_call: 1,
            calls_in_flight: 1,
            lists_oldest_first: false,
            listing_ttl: wished.map(Duration::from_secs),
        };
        let provider = EmptyPages(about, empty_pages);
        let options = DriveOptions {
            deadline: Duration::from_secs(30),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        Drive::new("test", Arc::new(provider), options).unwrap()
    }

    fn listing(drive: &Arc<Drive>, configured: u64) -> Arc<Listing> {
        let (drive, ttl) = (drive.clone(), Duration::from_secs(configured));
        start(Arc::default(), drive, "0".into(), NodeId::ROOT, ttl)
    }

    async fn check(configured: u64, wished: Option<u64>, kept: u64) {
        let listing = listing(&drive(0, wished), configured);
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

    #[tokio::test]
    async fn some_empty_pages_are_gone_over_and_endless_ones_are_an_error() {
        for (empty_pages, is_whole) in [(1, true), (99, true), (100, false), (usize::MAX, false)] {
            let drive = drive(empty_pages, None);
            let listing = listing(&drive, 30);
            let ended = listing.complete().await;
            assert_eq!(drive.health().failure, ended.clone().err());
            match ended {
                Ok(()) => {
                    assert!(is_whole, "{empty_pages}");
                    assert!(listing.find("folder").await.unwrap().is_some());
                }
                Err(error) => {
                    assert!(!is_whole, "{empty_pages}: {error}");
                    let is_broken =
                        matches!(&error, Error::Drive(e) if e.kind == ErrorKind::Broken);
                    assert!(is_broken, "{error:?}");
                    assert!(error.to_string().contains("do not end"), "{error}");
                }
            }
        }
    }
}
