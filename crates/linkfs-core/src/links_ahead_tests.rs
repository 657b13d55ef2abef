use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use linkfs_provider::{
    About, ByteCount, Item, ItemKind, Page, PageToken, Provider, Result as Answer, SignedUrl,
    Version, async_trait,
};

use super::*;
use crate::DriveOptions;
use crate::node::Nodes;

const BATCH: usize = 100;
/// How long the drive takes to sign, and a reader for a file.
const SIGNING: Duration = Duration::from_millis(200);
const READING: Duration = Duration::from_millis(10);

/// Signs slowly.
#[derive(Debug)]
struct Signer {
    about: About,
    calls: AtomicUsize,
    is_down: AtomicBool,
}

#[async_trait]
impl Provider for Signer {
    fn about(&self) -> &About {
        &self.about
    }
    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        Err(ProviderError::unsupported("list"))
    }
    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }
    async fn links(&self, files: &[ItemId]) -> Vec<Answer<Link>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(SIGNING).await;
        let sign = |file: &ItemId| {
            if self.is_down.load(Ordering::Relaxed) {
                return Err(ProviderError::new(ErrorKind::Denied, "no"));
            }
            Ok(Link {
                urls: vec![SignedUrl::new(format!("https://a.example/{file}")).unwrap()],
                headers: Vec::new(),
                valid_for: Duration::from_secs(900),
            })
        };
        files.iter().map(sign).collect()
    }
}

struct Scene {
    drive: Arc<Drive>,
    signer: Arc<Signer>,
    files: Vec<(NodeId, ItemId, Neighbourhood)>,
}

impl Scene {
    /// A folder of so many files on a drive that signs so many at once.
    fn new(files: usize, links_per_call: usize) -> Scene {
        let signer = Arc::new(Signer {
            about: About {
                root: "0".into(),
                links_per_call,
                calls_in_flight: 2,
                lists_oldest_first: false,
                listing_ttl: None,
            },
            calls: AtomicUsize::new(0),
            is_down: AtomicBool::new(false),
        });
        let options = DriveOptions {
            deadline: Duration::from_secs(30),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        let drive = Drive::new("test", signer.clone(), options).unwrap();
        let all = Nodes::default();
        let nodes: Vec<_> = (0..files)
            .map(|number| all.put_item(&drive, item(number), NodeId::ROOT, &number.to_string()))
            .collect();
        let listing = Listing::of(nodes.clone(), Duration::from_secs(60));
        let files = nodes.iter().map(|node| {
            let around = Neighbourhood {
                listing: listing.clone(),
                folder: NodeId::ROOT,
                name: node.name.clone(),
            };
            let (_, item) = node.item().unwrap();
            (node.id, item.id.clone(), around)
        });
        let files = files.collect();
        Scene {
            drive,
            signer,
            files,
        }
    }

    /// Reads a file; says whether it waited for its link.
    async fn read(&self, number: usize) -> bool {
        let (node, item, around) = &self.files[number];
        let started = Instant::now();
        let links = &self.drive.links;
        let signed = links.lease(&self.drive, (*node, item), Some(around)).await;
        signed.unwrap();
        let waited = !started.elapsed().is_zero();
        tokio::time::sleep(READING).await;
        waited
    }

    /// How many of these files were waited for.
    async fn read_all(&self, numbers: impl Iterator<Item = usize>) -> usize {
        let mut waited = 0;
        for number in numbers {
            waited += usize::from(self.read(number).await);
        }
        waited
    }

    fn calls(&self) -> usize {
        self.signer.calls.load(Ordering::Relaxed)
    }
}

fn item(number: usize) -> Item {
    Item {
        id: ItemId(number.to_string()),
        name: number.to_string(),
        kind: ItemKind::File {
            size: ByteCount(1000),
        },
        modified: None,
        created: None,
        version: Version("1".into()),
        hashes: Default::default(),
        mime: None,
    }
}

#[tokio::test(start_paused = true)]
async fn who_walks_through_a_folder_waits_for_the_first_link_alone() {
    for (files, calls) in [(500, 5), (501, 6), (100, 1), (130, 2), (1, 1)] {
        let scene = Scene::new(files, BATCH);
        assert_eq!(scene.read_all(0..files).await, 1, "{files}");
        assert_eq!(scene.calls(), calls, "{files}");
        assert_eq!(scene.read_all(0..files).await, 0, "{files}");
        assert_eq!(scene.calls(), calls, "{files}");
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_signed_ahead_for_a_walk_in_order_alone() {
    // A lone file, some near each other, and all of them from the last to the first.
    for (numbers, waits, calls) in [
        (vec![250], 1, 1),
        (vec![250, 330, 251, 331], 1, 1),
        (vec![0, 75, 76, 77], 1, 1),
        (vec![0, 75, 76, 77, 78], 1, 2),
        ((0..500).rev().collect(), 5, 5),
    ] {
        let scene = Scene::new(500, BATCH);
        let shown = format!("{:?}", &numbers[..numbers.len().min(5)]);
        assert_eq!(scene.read_all(numbers.into_iter()).await, waits, "{shown}");
        assert_eq!(scene.calls(), calls, "{shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_signs_one_link_a_call_signs_none_ahead() {
    let scene = Scene::new(20, 1);
    assert_eq!(scene.read_all(0..20).await, 20);
    assert_eq!(scene.calls(), 20);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_next_batch_is_signed_ahead() {
    let scene = Scene::new(500, BATCH);
    scene.read_all(0..80).await;
    assert_eq!(scene.calls(), 2);
    tokio::time::sleep(SIGNING).await;
    assert_eq!(scene.drive.links.len(), 2 * BATCH);
    scene.read_all(80..170).await;
    assert_eq!(scene.drive.links.len(), 2 * BATCH);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_signed_ahead_is_signed_when_it_is_wanted() {
    let scene = Scene::new(200, BATCH);
    scene.read_all(0..74).await;
    scene.signer.is_down.store(true, Ordering::Relaxed);
    assert_eq!(scene.read_all(74..100).await, 0);
    assert_eq!(scene.calls(), 2);
    scene.signer.is_down.store(false, Ordering::Relaxed);
    assert_eq!(scene.read_all(100..200).await, 1);
    assert_eq!(scene.calls(), 3);
}
