use std::sync::atomic::{AtomicUsize, Ordering};

use linkfs_provider::{
    About, ByteCount, ErrorKind, Link, Page, PageToken, Provider, ProviderError, Result as Answer,
    async_trait,
};

use super::*;
use crate::DriveOptions;
use crate::memory::Memory;

const TTL: Duration = Duration::from_secs(30);

/// A drive with one folder, which it lists or refuses to.
#[derive(Debug)]
struct OneFolder {
    about: About,
    refusal: Mutex<Option<ErrorKind>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Provider for OneFolder {
    fn about(&self) -> &About {
        &self.about
    }
    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match *self.refusal.lock().unwrap() {
            Some(kind) => Err(ProviderError::new(kind, "no")),
            None => Ok(Page {
                items: vec![folder("inside")],
                next: None,
            }),
        }
    }
    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }
    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }
}

fn folder(name: &str) -> Item {
    Item {
        id: name.into(),
        name: name.to_owned(),
        kind: ItemKind::Folder,
        modified: None,
        created: None,
        version: Version(String::new()),
        hashes: Default::default(),
        mime: None,
    }
}

/// A tree whose top has the folder `inside`.
struct Scene {
    tree: Tree,
    drive: Arc<Drive>,
    provider: Arc<OneFolder>,
}

impl Scene {
    fn new() -> Scene {
        let provider = Arc::new(OneFolder {
            about: About {
                root: "0".into(),
                links_per_call: 1,
                calls_in_flight: 1,
                lists_oldest_first: false,
                listing_ttl: None,
            },
            refusal: Mutex::new(None),
            asked: AtomicUsize::new(0),
        });
        let options = DriveOptions {
            deadline: Duration::from_secs(10),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        let drive = Drive::new("test", provider.clone(), options).unwrap();
        let cache = Arc::new(BlockCache::new(Memory::new(ByteCount(1 << 20))));
        Scene {
            tree: Tree::of_drive(&drive, TTL, &cache),
            drive,
            provider,
        }
    }

    fn refuse(&self, kind: ErrorKind) {
        *self.provider.refusal.lock().unwrap() = Some(kind);
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::Relaxed)
    }

    async fn look(&self) -> Result<()> {
        let top = self.tree.node(NodeId::ROOT)?;
        self.tree.lookup(&top, "inside").await.map(drop)
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_listing_takes_names_away_if_it_is_about_the_folder() {
    for (kind, is_kept) in [
        (ErrorKind::Unavailable, true),
        (ErrorKind::RateLimited, true),
        (ErrorKind::LoginExpired, true),
        (ErrorKind::Broken, true),
        (ErrorKind::NotFound, false),
        (ErrorKind::Denied, false),
    ] {
        let scene = Scene::new();
        scene.look().await.unwrap();
        scene.refuse(kind);
        tokio::time::advance(TTL).await;
        let found = scene.look().await;
        assert_eq!(found.is_ok(), is_kept, "{kind:?}: {found:?}");
        let is_told = scene.drive.health().failure.is_some();
        assert_eq!(is_told, is_kept, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_answer_is_not_asked_for_again_at_once() {
    for is_known in [true, false] {
        let scene = Scene::new();
        if is_known {
            scene.look().await.unwrap();
            tokio::time::advance(TTL).await;
        }
        scene.refuse(ErrorKind::Broken);
        assert_eq!(scene.look().await.is_ok(), is_known);
        let asked = scene.asked();
        assert_eq!(scene.look().await.is_ok(), is_known);
        assert_eq!(scene.asked(), asked, "within the pause");
        tokio::time::advance(PAUSE_AFTER_FAILURE).await;
        assert_eq!(scene.look().await.is_ok(), is_known);
        assert!(scene.asked() > asked, "after it");
    }
}
