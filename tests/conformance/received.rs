//! Somebody's PDS share, opened as a drive by one who has its address and password and no login.

use std::path::Path;
use std::sync::Arc;

use linkfs_emulator::pds::{Emulator, Options, file_id};
use linkfs_emulator::{Action, ROOT_ID, Rule, Tree, generated_bytes};
use linkfs_provider::{ErrorKind, ItemId, Provider, Secret};
use serde_json::{Value, json};

use crate::rig;

/// Mounts' own drives know where a share is shown by its domain; here nothing is shown.
const ADDRESS: &str = "https://bj9.apps.aliyunpds.com/disk/s/";

const SIZE: usize = 1000;

/// A drive whose owner shares one folder with a file in it, and keeps another file.
struct Stage {
    owner: Emulator,
    folder: ItemId,
    file: ItemId,
    secret: ItemId,
    share: String,
}

fn stage() -> Stage {
    let tree = Tree::new();
    let folder = tree.add_folder(ROOT_ID, "shared");
    let file = tree.add_generated(&folder, "file", 7, SIZE as u64);
    let secret = tree.add_generated(ROOT_ID, "own", 8, 10);
    let owner = Emulator::start_blocking(Options::with_tree(tree)).expect("PDS starts");
    let share = owner.share(std::slice::from_ref(&folder), |share| {
        share.password = "fake-share-word".into();
    });
    let id = |id: &str| ItemId(file_id(id));
    Stage {
        folder: id(&folder),
        file: id(&file),
        secret: id(&secret),
        owner,
        share,
    }
}

impl Stage {
    async fn open(&self, more: Value) -> Arc<dyn Provider> {
        let mut config = json!({
            "share": format!("{ADDRESS}{}", self.share),
            "password": "fake-share-word",
            "endpoint": self.owner.endpoint(),
        });
        let fields = config.as_object_mut().expect("keys");
        fields.extend(more.as_object().expect("keys").clone());
        let password = fields["password"].as_str().expect("text").to_owned();
        let settings = rig::settings(fields.clone(), Path::new("/nonexistent/linkfs"));
        let secrets = vec![Secret::new(password)];
        let opened = rig::open(&linkfs_plugin_pds::PLUGIN, settings, secrets).await;
        opened.expect("the share opens")
    }
}

pub(crate) async fn what_is_shared_is_a_drive_and_nothing_else_is() {
    let stage = stage();
    let drive = stage.open(json!({})).await;
    let root = drive.about().root.clone();
    let names = async |folder: &ItemId| -> Vec<String> {
        let page = drive.list(folder, None).await.expect("a page");
        page.items.into_iter().map(|item| item.name).collect()
    };
    assert_eq!(names(&root).await, ["shared"]);
    assert_eq!(names(&stage.folder).await, ["file"]);
    let item = drive.stat(&stage.file).await.expect("the file is there");
    assert_eq!(item.size().0, SIZE as u64);
    let error = drive
        .stat(&stage.secret)
        .await
        .expect_err("it is not shared");
    assert_eq!(error.kind, ErrorKind::NotFound);
    let link = drive
        .links(std::slice::from_ref(&stage.file))
        .await
        .remove(0);
    let link = link.expect("a link");
    let fetched = reqwest::get(link.urls[0].expose())
        .await
        .expect("an answer");
    let mut bytes = vec![0; SIZE];
    generated_bytes(7, 0, &mut bytes);
    assert_eq!(fetched.bytes().await.expect("the bytes"), bytes);
    assert!(link.valid_for.as_secs() <= 600);
    let calls = stage.owner.counters().snapshot().calls;
    assert_eq!((calls["share.token"], calls.get("token")), (1, None));
}

pub(crate) async fn tokens_of_the_share_are_renewed() {
    let stage = stage();
    let drive = stage.open(json!({})).await;
    let root = drive.about().root.clone();
    drive.list(&root, None).await.expect("a page");
    stage.owner.expire_share_tokens();
    let link = drive
        .links(std::slice::from_ref(&stage.file))
        .await
        .remove(0);
    link.expect("a link");
    stage
        .owner
        .clock()
        .advance(std::time::Duration::from_secs(7200));
    drive.list(&root, None).await.expect("a page");
    assert_eq!(stage.owner.counters().calls("share.token"), 3);
}

pub(crate) async fn a_share_that_cannot_be_opened_says_why() {
    let stage = stage();
    let drive = stage.open(json!({"password": "canary-wrong-word"})).await;
    let root = drive.about().root.clone();
    let error = drive.list(&root, None).await.expect_err("a wrong password");
    assert_eq!(error.kind, ErrorKind::LoginExpired, "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    let drive = stage.open(json!({})).await;
    drive.list(&root, None).await.expect("a page");
    let throttle = Action::Status {
        code: 429,
        retry_after: Some(linkfs_emulator::RetryAfter::Seconds(7)),
        body: None,
    };
    stage
        .owner
        .faults()
        .add(Rule::on("list", throttle).times(1));
    let error = drive.list(&root, None).await.expect_err("it is throttled");
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(std::time::Duration::from_secs(7)));
    let other = stage.owner.share(&[], |share| share.is_cancelled = true);
    let over = stage.open(json!({"share": other})).await;
    let error = over.list(&root, None).await.expect_err("it is over");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}
