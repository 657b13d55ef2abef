use std::collections::VecDeque;

use linkfs_provider::{
    About, ByteCount, Item, ItemId, ItemKind, Link, Page, PageToken, Provider, Received,
    Result as Answer, Secret, SignedUrl, TaskState, Version, async_trait,
};
use tempfile::TempDir;
use tokio::sync::Semaphore;

use super::record::{SHOWN_AFTER_END, now};
use super::*;
use crate::DriveOptions;
use crate::block_cache::BlockCache;
use crate::memory::Memory;
use crate::node::NodeId;

/// A drive whose task goes as its script says: by the last line from then on.
#[derive(Debug)]
struct FakeDrive {
    about: About,
    script: Mutex<VecDeque<Answer<Task>>>,
    looks: Mutex<Vec<Instant>>,
    /// What its root folder holds.
    files: Mutex<Vec<&'static str>>,
    /// Listing takes one of these.
    listings: Semaphore,
}

fn told(state: TaskState, progress: u8) -> Answer<Task> {
    Ok(Task {
        state,
        progress,
        archive: None,
    })
}

fn refused(kind: ErrorKind) -> Answer<Task> {
    Err(ProviderError::new(kind, "no"))
}

#[async_trait]
impl Provider for FakeDrive {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        self.listings.acquire().await.unwrap().forget();
        let item = |name: &&str| Item {
            id: ItemId::from(*name),
            name: (*name).to_owned(),
            kind: ItemKind::File { size: ByteCount(1) },
            modified: None,
            created: None,
            version: Version("1".into()),
            hashes: Default::default(),
            mime: None,
        };
        let items = self.files.lock().unwrap().iter().map(item).collect();
        Ok(Page { items, next: None })
    }

    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }

    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }

    fn receiving(&self) -> Option<&dyn Receiving> {
        Some(self)
    }
}

#[async_trait]
impl Receiving for FakeDrive {
    async fn accept(&self, _url: &str, _password: Option<&Secret<String>>) -> Answer<Received> {
        Err(ProviderError::unsupported("open a share"))
    }

    async fn save(&self, _share: &Received, _items: &[ItemId], _into: &ItemId) -> Answer<TaskId> {
        Err(ProviderError::unsupported("save"))
    }

    async fn pack(&self, _share: &Received, _items: &[ItemId], _name: &str) -> Answer<TaskId> {
        Err(ProviderError::unsupported("pack"))
    }

    async fn task(&self, _task: &TaskId) -> Answer<Task> {
        self.looks.lock().unwrap().push(Instant::now());
        let mut script = self.script.lock().unwrap();
        match script.len() {
            0 => told(TaskState::Running, 50),
            1 => script[0].clone(),
            _ => script.pop_front().unwrap(),
        }
    }
}

/// A drive, its tree, and the tasks kept in a folder.
struct Scene {
    provider: Arc<FakeDrive>,
    drive: Arc<Drive>,
    tree: Arc<Tree>,
    folder: TempDir,
    tasks: Arc<Tasks>,
}

impl Scene {
    fn new(script: impl IntoIterator<Item = Answer<Task>>) -> Scene {
        let provider = Arc::new(FakeDrive {
            about: About {
                root: "0".into(),
                links_per_call: 1,
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            script: Mutex::new(script.into_iter().collect()),
            looks: Mutex::default(),
            files: Mutex::default(),
            listings: Semaphore::new(100),
        });
        let options = DriveOptions {
            deadline: Duration::from_secs(10),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        let drive = Drive::new("work", provider.clone(), options).unwrap();
        let cache = Arc::new(BlockCache::new(Memory::new(ByteCount(1 << 20))));
        let tree = Tree::of_drive(&drive, Duration::from_secs(3600), &cache);
        let folder = tempfile::tempdir().unwrap();
        let tasks = Arc::new(Tasks::load(Some(folder.path().to_owned())));
        Scene {
            provider,
            drive,
            tree: Arc::new(tree),
            folder,
            tasks,
        }
    }

    fn record(&self, kind: TaskKind) -> TaskRecord {
        let folder = (kind == TaskKind::Save).then(|| "0".into());
        TaskRecord::new(kind, &self.drive, TaskId("1/2".into()), folder, "x".into())
    }

    fn begin(&self, kind: TaskKind) -> String {
        let record = self.record(kind);
        self.tasks.begin(record, &self.drive, &self.tree)
    }

    /// As the next mount does it.
    fn restart(&mut self) {
        self.tasks = Arc::new(Tasks::load(Some(self.folder.path().to_owned())));
        self.tasks
            .follow_all(std::slice::from_ref(&self.drive), &self.tree);
    }

    /// Writes down what another mount knows of a task.
    fn leave(&self, record: &TaskRecord) {
        write(&path_of(self.folder.path(), &record.name()), record).unwrap();
    }

    /// The lines of a task, once it has ended.
    async fn end_of(&self, name: &str) -> String {
        loop {
            let shown = self.tasks.show(name).unwrap();
            if shown.contains("state: done") || shown.contains("state: failed") {
                return shown;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The pauses between looks, in whole seconds.
    fn pauses(&self) -> Vec<u64> {
        let looks = self.provider.looks.lock().unwrap();
        let pauses = looks.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.map(|pause| pause.as_secs()).collect()
    }

    fn kept(&self, name: &str) -> String {
        fs::read_to_string(path_of(self.folder.path(), name)).unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_looks_grow_to_eight_seconds() {
    let running = (0..6).map(|step| told(TaskState::Running, step * 10));
    let scene = Scene::new(running.chain([told(TaskState::Done, 0)]));
    let name = scene.begin(TaskKind::Save);
    let shown = scene.end_of(&name).await;
    assert!(shown.contains("progress: 100\n"), "{shown}");
    assert_eq!(scene.pauses(), [1, 2, 4, 8, 8, 8]);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(scene.pauses().len(), 6, "an ended task is left alone");
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_asked_again_and_a_lost_task_ends() {
    for kind in [
        ErrorKind::Unavailable,
        ErrorKind::RateLimited,
        ErrorKind::LoginExpired,
        ErrorKind::Denied,
        ErrorKind::Broken,
        ErrorKind::Invalid,
    ] {
        let scene = Scene::new([refused(kind), told(TaskState::Done, 100)]);
        let shown = scene.end_of(&scene.begin(TaskKind::Save)).await;
        assert!(shown.starts_with("state: done\n"), "{kind:?}: {shown}");
    }
    for kind in [ErrorKind::NotFound, ErrorKind::Unsupported] {
        let scene = Scene::new([told(TaskState::Running, 40), refused(kind)]);
        let shown = scene.end_of(&scene.begin(TaskKind::Save)).await;
        assert!(shown.contains("reason: no\n"), "{kind:?}: {shown}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_why_and_is_kept() {
    let failed = TaskState::Failed("1 of 2 items\nfailed".into());
    let scene = Scene::new([told(failed, 50)]);
    let name = scene.begin(TaskKind::Save);
    let shown = scene.end_of(&name).await;
    let expected = "state: failed\nprogress: 50\nreason: 1 of 2 items failed\nto: x\ndrive: work\n";
    assert!(shown.starts_with(expected), "{shown}");
    assert!(Tasks::load(Some(scene.folder.path().to_owned())).show(&name) == Some(shown));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_end_within_a_week_has_failed() {
    let mut scene = Scene::new([told(TaskState::Running, 99)]);
    let mut record = scene.record(TaskKind::Save);
    record.started -= LONGEST_WORK.as_secs() + 60;
    scene.leave(&record);
    scene.restart();
    let shown = scene.end_of(&record.name()).await;
    assert!(shown.contains("within a week"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_next_mount_follows_what_has_not_ended_on_its_own_drives() {
    let mut scene = Scene::new([told(TaskState::Done, 100)]);
    let record = scene.record(TaskKind::Save);
    let mut other = record.clone();
    other.drive = "another".into();
    scene.leave(&record);
    scene.leave(&other);
    scene.restart();
    scene.end_of(&record.name()).await;
    let shown = scene.tasks.show(&other.name()).unwrap();
    assert!(shown.starts_with("state: waiting\n"), "{shown}");
    assert_eq!(scene.tasks.names().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_ended_task_is_forgotten_after_a_day() {
    let mut scene = Scene::new([]);
    let mut record = scene.record(TaskKind::Save);
    record.fail("no");
    let day = SHOWN_AFTER_END.as_secs();
    for (age, is_shown) in [(day - 60, true), (day + 60, false)] {
        record.ended = Some(now() - age);
        scene.leave(&record);
        scene.restart();
        assert_eq!(scene.tasks.show(&record.name()).is_some(), is_shown);
        assert_eq!(scene.tasks.names().len(), usize::from(is_shown));
        let path = path_of(scene.folder.path(), &record.name());
        assert_eq!(path.exists(), is_shown);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_task_is_left_alone() {
    let mut scene = Scene::new([]);
    let record = scene.record(TaskKind::Save);
    scene.leave(&record);
    let texts = ["", "{", "{\"kind\": \"dance\"}"];
    for (number, text) in texts.iter().enumerate() {
        fs::write(scene.folder.path().join(format!("{number}.json")), text).unwrap();
    }
    fs::create_dir(scene.folder.path().join("folder.json")).unwrap();
    scene.restart();
    assert_eq!(scene.tasks.names(), [record.name()]);
    for (number, text) in texts.iter().enumerate() {
        let kept = fs::read_to_string(scene.folder.path().join(format!("{number}.json")));
        assert_eq!(&kept.unwrap(), text);
    }
}

#[tokio::test(start_paused = true)]
async fn the_folder_is_listed_anew_before_the_end_can_be_seen() {
    let scene = Scene::new([told(TaskState::Done, 100)]);
    let root = scene.tree.node(NodeId::ROOT).unwrap();
    let before = scene.tree.listing(&root).await.unwrap();
    assert!(before.find("new").await.unwrap().is_none());
    scene.provider.files.lock().unwrap().push("new");
    let taken = scene.provider.listings.available_permits();
    scene.provider.listings.forget_permits(taken);
    let name = scene.begin(TaskKind::Save);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let shown = scene.tasks.summary(&name).unwrap();
    assert!(shown.starts_with("state=waiting"), "{shown}");
    scene.provider.listings.add_permits(100);
    scene.end_of(&name).await;
    let after = scene.tree.known_listing(NodeId::ROOT).unwrap();
    assert!(after.find("new").await.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn the_address_of_an_archive_is_shown_and_not_kept() {
    let address = "https://obs.example.test/x.zip?signature=fake";
    let done = Ok(Task {
        state: TaskState::Done,
        progress: 100,
        archive: Some(SignedUrl::new(address.to_owned()).unwrap()),
    });
    let mut scene = Scene::new([done]);
    let name = scene.begin(TaskKind::Pack);
    let shown = scene.end_of(&name).await;
    assert!(shown.contains(&format!("url: {address}\n")), "{shown}");
    assert!(!scene.kept(&name).contains("obs.example.test"));
    assert!(!format!("{:?}", scene.tasks).contains("signature"));
    // The next mount asks for it, once.
    scene.restart();
    assert!(!scene.tasks.show(&name).unwrap().contains("url:"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(scene.tasks.show(&name).unwrap().contains(address));
    assert_eq!(scene.provider.looks.lock().unwrap().len(), 2);
    // What a drive has forgotten has ended well all the same.
    *scene.provider.script.lock().unwrap() = VecDeque::from([refused(ErrorKind::NotFound)]);
    scene.restart();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let shown = scene.tasks.show(&name).unwrap();
    assert!(shown.starts_with("state: done\n"), "{shown}");
}
