//! A drive's listings from one process to the next, by the trees that use them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use linkfs_provider::{
    About, ByteCount, ErrorKind, Item, Link, Page, PageToken, Provider, ProviderError,
    Result as Answer, async_trait,
};
use tempfile::TempDir;

use super::testing::item;
use super::*;
use crate::block_cache::BlockCache;
use crate::memory::Memory;
use crate::node::NodeId;
use crate::tree::Tree;
use crate::{Drive, DriveOptions, Error};

/// A drive with one folder, which answers or refuses.
#[derive(Debug)]
struct Cloud {
    about: About,
    folder: Mutex<Answer<Vec<Item>>>,
    listings: AtomicUsize,
    recalled: Mutex<Vec<Item>>,
}

#[async_trait]
impl Provider for Cloud {
    fn about(&self) -> &About {
        &self.about
    }
    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        self.listings.fetch_add(1, Ordering::Relaxed);
        let items = self.folder.lock().unwrap().clone()?;
        Ok(Page { items, next: None })
    }
    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }
    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }
    fn recall(&self, items: &[Item]) {
        self.recalled.lock().unwrap().extend_from_slice(items);
    }
}

/// A cloud, and a cache folder for the processes that use it one after the other.
struct Scene {
    cloud: Arc<Cloud>,
    cache: TempDir,
}

/// What a process knows.
struct Process {
    drive: Arc<Drive>,
    tree: Tree,
}

const TTL: Duration = Duration::from_secs(3600);

impl Scene {
    fn new(items: &[Item]) -> Scene {
        let about = About {
            root: "0".into(),
            links_per_call: 1,
            calls_in_flight: 1,
            lists_oldest_first: false,
            listing_ttl: None,
        };
        let cloud = Cloud {
            about,
            folder: Mutex::new(Ok(items.to_vec())),
            listings: AtomicUsize::default(),
            recalled: Mutex::default(),
        };
        Scene {
            cloud: Arc::new(cloud),
            cache: tempfile::tempdir().unwrap(),
        }
    }

    fn process(&self) -> Process {
        self.process_with(TTL, "identity")
    }

    fn process_with(&self, ttl: Duration, identity: &str) -> Process {
        let options = DriveOptions {
            deadline: Duration::from_secs(5),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: Some(SavedListings::new(self.cache.path(), identity)),
        };
        let drive = Drive::new("work", self.cloud.clone(), options).unwrap();
        let cache = Arc::new(BlockCache::new(Memory::new(ByteCount(1 << 20))));
        let tree = Tree::of_drive(&drive, ttl, &cache);
        Process { drive, tree }
    }

    /// What the drive answers from now on.
    fn now(&self, answer: Answer<Vec<Item>>) {
        *self.cloud.folder.lock().unwrap() = answer;
    }

    fn is_down(&self) {
        self.now(Err(ProviderError::new(ErrorKind::Unavailable, "down")));
    }

    /// How often the drive was asked for its folder.
    fn listings(&self) -> usize {
        self.cloud.listings.load(Ordering::Relaxed)
    }

    fn files(&self) -> Vec<PathBuf> {
        let drives = fs::read_dir(self.cache.path().join(FOLDER)).unwrap();
        let files = drives.flat_map(|drive| fs::read_dir(drive.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

impl Process {
    /// Names and numbers at the top, in their order.
    async fn look(&self) -> crate::Result<Vec<(String, NodeId)>> {
        let top = self.tree.node(NodeId::ROOT)?;
        let listing = self.tree.listing(&top).await?;
        listing.complete().await?;
        let nodes = listing.nodes_from(0, 100).await?;
        let shown = nodes.iter().map(|node| (node.name.to_string(), node.id));
        Ok(shown.collect())
    }

    async fn end(self) {
        self.saved().settled().await;
    }

    fn saved(&self) -> &Arc<SavedListings> {
        self.drive.saved_listings.as_ref().unwrap()
    }
}

fn twins() -> Vec<Item> {
    vec![item("3", "a/b"), item("2", "same"), item("1", "same")]
}

#[tokio::test]
async fn the_next_process_shows_the_same_names_and_numbers_without_asking() {
    let scene = Scene::new(&twins());
    let first = scene.process();
    let shown = first.look().await.unwrap();
    assert_eq!(shown.len(), 3);
    first.end().await;
    let second = scene.process();
    assert_eq!(second.look().await.unwrap(), shown);
    assert_eq!(scene.listings(), 1);
    let recalled = scene.cloud.recalled.lock().unwrap().clone();
    assert_eq!(recalled.len(), 3, "the provider knows what is shown");
}

#[tokio::test]
async fn a_listing_that_is_too_old_is_asked_for_again_and_replaced() {
    let scene = Scene::new(&[item("1", "old")]);
    let first = scene.process_with(Duration::ZERO, "identity");
    first.look().await.unwrap();
    first.end().await;
    scene.now(Ok(vec![item("2", "new")]));
    let second = scene.process_with(Duration::ZERO, "identity");
    assert_eq!(second.look().await.unwrap()[0].0, "new");
    second.end().await;
    scene.is_down();
    let third = scene.process();
    assert_eq!(third.look().await.unwrap()[0].0, "new");
}

#[tokio::test]
async fn the_time_that_a_listing_has_left_is_what_the_earlier_process_left_of_it() {
    let scene = Scene::new(&twins());
    let first = scene.process();
    first.look().await.unwrap();
    first.end().await;
    let path = scene.files().remove(0);
    let (drive, folder) = (hex_digest("identity"), "0".into());
    let subject = Subject {
        drive: &drive,
        folder: &folder,
    };
    let age = TTL / 2;
    let bytes = file::encode(subject, SystemTime::now() - age, vec![&item("1", "a")]);
    private_file::replace(&path, &bytes).unwrap();
    let second = scene.process();
    let top = second.tree.node(NodeId::ROOT).unwrap();
    let listing = second.tree.listing(&top).await.unwrap();
    listing.complete().await.unwrap();
    assert!(listing.valid_for() <= TTL - age && !listing.valid_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_drive_that_is_down_shows_what_an_earlier_process_saw() {
    let scene = Scene::new(&twins());
    let first = scene.process();
    let shown = first.look().await.unwrap();
    first.end().await;
    scene.is_down();
    let second = scene.process_with(Duration::ZERO, "identity");
    assert_eq!(second.look().await.unwrap(), shown);
    assert!(scene.listings() > 1, "it was asked");
    let stranger = scene.process_with(Duration::ZERO, "another");
    assert!(stranger.look().await.is_err());
}

#[tokio::test]
async fn a_folder_that_is_gone_is_not_shown_by_a_later_process() {
    let scene = Scene::new(&twins());
    let first = scene.process();
    first.look().await.unwrap();
    first.end().await;
    scene.now(Err(ProviderError::new(ErrorKind::NotFound, "gone")));
    let second = scene.process_with(Duration::ZERO, "identity");
    let error = second.look().await.unwrap_err();
    assert!(matches!(error, Error::Drive(error) if error.kind == ErrorKind::NotFound));
    second.end().await;
    assert_eq!(scene.files(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_was_forgotten_is_asked_for_by_this_process_and_the_next() {
    let scene = Scene::new(&[item("1", "old")]);
    let first = scene.process();
    first.look().await.unwrap();
    first.saved().settled().await;
    first.tree.forget_listing(NodeId::ROOT);
    scene.now(Ok(vec![item("2", "new")]));
    first.saved().settled().await;
    assert_eq!(scene.files(), Vec::<PathBuf>::new());
    let second = scene.process();
    assert_eq!(second.look().await.unwrap()[0].0, "new");
    assert_eq!(first.look().await.unwrap()[0].0, "new");
}

#[tokio::test]
async fn a_listing_that_started_before_its_folder_was_forgotten_is_not_saved() {
    let scene = Scene::new(&[]);
    let process = scene.process();
    let saved = process.saved();
    let folder = ItemId::from("0");
    let before = saved.begin(&folder);
    assert!(before.is_first && !saved.begin(&folder).is_first);
    saved.forget(&folder);
    saved.save(&folder, &before, Vec::new());
    saved.settled().await;
    assert!(saved.load(&folder).await.is_none());
    let after = saved.begin(&folder);
    assert!(!after.is_first);
    saved.save(&folder, &after, Vec::new());
    saved.settled().await;
    assert!(saved.load(&folder).await.is_some());
}

#[tokio::test]
async fn what_is_no_listing_is_removed_and_asked_for() {
    let scene = Scene::new(&twins());
    let first = scene.process();
    let shown = first.look().await.unwrap();
    first.end().await;
    let path = scene.files().remove(0);
    fs::write(&path, "linkfs listing 0\n").unwrap();
    let second = scene.process();
    let saved = second.saved();
    assert!(saved.load(&"0".into()).await.is_none());
    assert!(!path.exists());
    assert_eq!(second.look().await.unwrap(), shown);
    assert_eq!(scene.listings(), 2);
}

#[tokio::test]
async fn files_and_folders_are_for_their_owner_alone() {
    let scene = Scene::new(&twins());
    let process = scene.process();
    process.look().await.unwrap();
    process.end().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let file = scene.files().remove(0);
    let drive = file.parent().unwrap();
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(drive), 0o700);
    assert_eq!(mode(drive.parent().unwrap()), 0o700);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_and_does_no_harm() {
    let scene = Scene::new(&twins());
    // A file stands where the folder should.
    let listings = scene.cache.path().join(FOLDER);
    fs::write(&listings, "").unwrap();
    let process = scene.process();
    assert_eq!(process.look().await.unwrap().len(), 3);
    process.saved().settled().await;
    let failure = process.saved().failure().unwrap();
    assert!(failure.contains(listings.to_str().unwrap()), "{failure}");
    fs::remove_file(listings).unwrap();
    process.tree.forget_listing(NodeId::ROOT);
    process.look().await.unwrap();
    process.saved().settled().await;
    assert_eq!(process.saved().failure(), None);
}

/// Every part of the program waits for its own files on the same few threads.
#[test]
fn a_disk_that_hangs_takes_one_thread_for_writing_and_none_for_further_reading() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(2)
        .build()
        .unwrap();
    let cache = tempfile::tempdir().unwrap();
    let saved = SavedListings::new(cache.path(), "identity");
    let [a, b, c] = ["a", "b", "c"].map(ItemId::from);
    let hanging = saved.writing.lock().unwrap();
    runtime.block_on(async {
        for folder in [&a, &b, &c] {
            let turn = saved.begin(folder);
            saved.save(folder, &turn, Vec::new());
        }
        let other_work = tokio::task::spawn_blocking(|| 7);
        let patience = Duration::from_secs(60);
        let done = tokio::time::timeout(patience, other_work).await;
        assert_eq!(done.expect("there is a thread left").unwrap(), 7);
    });
    drop(hanging);
    runtime.block_on(async {
        saved.settled().await;
        assert!(saved.load(&b).await.is_some());

        // Who opens a pipe waits for its other end.
        let pipe = saved.path(&a);
        fs::remove_file(&pipe).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, mode).unwrap();
        let in_vain = tokio::time::timeout(Duration::ZERO, saved.load(&a)).await;
        assert!(in_vain.is_err());
        saved.loads.note_in_vain();
        assert!(saved.load(&b).await.is_none(), "there would be no thread");
        drop(File::options().write(true).open(&pipe).unwrap());
        while saved.loads.is_hanging() {
            tokio::task::yield_now().await;
        }
        assert!(saved.load(&b).await.is_some());
    });
}
