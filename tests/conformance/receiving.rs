//! What others shared, taken and mounted. The emulated drive lets somebody else share with the user.

use std::sync::Arc;

use linkfs_emulator::koodrive::{Emulator, Options};
use linkfs_emulator::{ROOT_ID, Tree};
use linkfs_provider::{ErrorKind, ItemId, Provider, Receiving, Secret, TaskState};
use serde_json::{Map, Value};

use crate::rig::{self, link, list_all, plugin_keys};

const CODE: &str = "Zx81kk02";
const BYTES: &str = "bytes of others";

/// A drive, what somebody else shares on it, and the share's address.
struct Others {
    drive: Emulator,
    folder: String,
    file: String,
    address: String,
}

fn others() -> Others {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "theirs");
    let file = tree.add_file(&folder, "inside.txt", BYTES);
    let drive = Emulator::start_blocking(Options::with_tree(tree)).expect("KooDrive starts");
    let address = drive.share_from_others(std::slice::from_ref(&folder), CODE);
    Others {
        drive,
        folder,
        file,
        address,
    }
}

impl Others {
    fn config(&self) -> Map<String, Value> {
        plugin_keys(self.drive.mount_config())
    }

    /// The share as a drive, opened with this code.
    async fn mounted(&self, code: &str) -> Arc<dyn Provider> {
        let mut config = self.config();
        config.remove("space");
        config.insert("share".into(), self.address.as_str().into());
        config.insert("password".into(), code.into());
        open(config).await
    }
}

async fn open(config: Map<String, Value>) -> Arc<dyn Provider> {
    let settings = rig::settings(config, &std::env::temp_dir().join("linkfs-never-written"));
    let opened = rig::open(&linkfs_plugin_koodrive::PLUGIN, settings, Vec::new()).await;
    opened.expect("the provider opens")
}

fn receiving(provider: &dyn Provider) -> &dyn Receiving {
    provider.receiving().expect("the provider takes shares")
}

async fn fetch(address: &str) -> Vec<u8> {
    let answer = reqwest::get(address).await.expect("the storage answers");
    assert_eq!(answer.status(), 200);
    answer.bytes().await.expect("a body").to_vec()
}

pub(crate) async fn a_received_share_is_saved_and_packed() {
    let others = others();
    let saved = others.drive.tree().add_folder(ROOT_ID, "saved");
    let provider = open(others.config()).await;
    let receiving = receiving(&*provider);
    let wrong = Secret::new("Zx81kk03".to_owned());
    let error = receiving.accept(&others.address, Some(&wrong)).await;
    assert_eq!(error.expect_err("a wrong code").kind, ErrorKind::Denied);
    let code = Secret::new(CODE.to_owned());
    let share = receiving.accept(&others.address, Some(&code)).await;
    let share = share.expect("a share");
    let top: Vec<&str> = share.top.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(top, [others.folder.as_str()]);
    // The drive forgets the visit before each: it is told again who visits.
    others.drive.end_visits();
    let items = [ItemId(others.file.clone())];
    let save = receiving.save(&share, &items, &ItemId(saved.clone())).await;
    others.drive.end_visits();
    let pack = receiving.pack(&share, &items, "all.zip").await;
    let mut states = Vec::new();
    for task in [save.expect("a task"), pack.expect("a task")] {
        let waiting = receiving.task(&task).await.expect("a state");
        assert_eq!(waiting.state, TaskState::Waiting);
        // A task is known by its name to whoever asks.
        let later = open(others.config()).await;
        let done = self::receiving(&*later).task(&task).await;
        states.push(done.expect("a state"));
    }
    assert!(states.iter().all(|task| task.state == TaskState::Done));
    assert_eq!(others.drive.tree().children(&saved).len(), 1);
    let archive = states.remove(1).archive.expect("an archive");
    assert_eq!(fetch(archive.expose()).await.len(), BYTES.len());
}

pub(crate) async fn a_received_share_is_a_drive_to_read() {
    let others = others();
    let provider = others.mounted(CODE).await;
    let root = provider.about().root.clone();
    let top = list_all(&*provider, &root).await;
    assert_eq!(top[0].name, "theirs");
    let inside = list_all(&*provider, &top[0].id).await;
    assert_eq!(inside[0].name, "inside.txt");
    let seen = provider.stat(&inside[0].id).await.expect("an item");
    assert_eq!(seen, inside[0]);
    others.drive.end_visits();
    let found = link(&*provider, &inside[0].id).await.expect("a link");
    assert_eq!(fetch(found.urls[0].expose()).await, BYTES.as_bytes());
    let outside = others.drive.tree().add_file(ROOT_ID, "outside", "x");
    let outside = ItemId(outside);
    let refused = link(&*provider, &outside).await.expect_err("not shared");
    assert_eq!(refused.kind, ErrorKind::NotFound);
    let refused = provider.stat(&outside).await.expect_err("not shared");
    assert_eq!(refused.kind, ErrorKind::NotFound);
    assert!(provider.sharing().is_none());
    let closed = others.mounted("Zx81kk03").await;
    let error = closed.list(&root, None).await.expect_err("a wrong code");
    assert_eq!(error.kind, ErrorKind::Denied);
}
