use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use linkfs_emulator::{EmulatedDrive, Tree};
use linkfs_host::Launch;
use linkfs_provider::{
    Item, ItemId, Link, Plugin, Provider, Redactor, Result, Secret, Settings, ShareTerms,
};
use linkfs_tests::{Carriage, linkfs_binary};
use serde_json::{Map, Value};
use tempfile::TempDir;

/// No case takes longer than a few seconds, on a busy machine too.
const HANG: Duration = Duration::from_secs(60);

/// Starts a drive with this content, and tells how to open it.
pub(crate) type Start = fn(Tree) -> Rig;

/// A provider with its emulated drive.
pub(crate) struct Rig {
    pub(crate) drive: Box<dyn EmulatedDrive>,
    pub(crate) plugin: Plugin,
    /// Every way to log in; the first is the one that most people have.
    pub(crate) logins: Vec<Login>,
    /// What its shares are like; `None` for a drive that makes none.
    pub(crate) shares: Option<Shares>,
    /// How many spaces the account can open.
    pub(crate) spaces: usize,
    /// Where the provider keeps its tokens.
    pub(crate) state: TempDir,
}

/// One way to log in.
#[derive(Clone, Debug)]
pub(crate) struct Login {
    /// The keys of the drive's section, as the plugin gets them.
    pub(crate) config: Map<String, Value>,
    /// Keys of the configuration that nobody may see.
    pub(crate) secrets: &'static [&'static str],
    /// Whether an access token that is over is replaced without a person.
    pub(crate) renews: bool,
}

/// What the shares of a drive are like.
pub(crate) struct Shares {
    /// The emulator's names for the calls that make and change one.
    pub(crate) create: &'static str,
    pub(crate) change: &'static str,
    /// How many items one takes.
    pub(crate) items_max: usize,
    /// Whether an item has one share at most: sharing it again gives that one its new terms.
    pub(crate) one_per_item: bool,
    /// Terms that the drive honours, all of them, twice as long too.
    pub(crate) terms: ShareTerms,
    /// Terms that it does not, one in each.
    pub(crate) refused: Vec<ShareTerms>,
}

/// Runs a case; one that hangs fails.
///
/// # Panics
/// When the case does.
pub(crate) fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let ended = tokio::time::timeout(HANG, case).await;
        ended.expect("the case ends in time");
    });
}

impl Rig {
    pub(crate) fn new(drive: impl EmulatedDrive + 'static, plugin: Plugin) -> Self {
        Rig {
            drive: Box::new(drive),
            plugin,
            logins: Vec::new(),
            shares: None,
            spaces: 1,
            state: tempfile::tempdir().expect("a folder for tokens"),
        }
    }

    /// The provider with its first login.
    pub(crate) async fn open(&self) -> Arc<dyn Provider> {
        self.open_with(&self.logins[0]).await
    }

    pub(crate) async fn open_with(&self, login: &Login) -> Arc<dyn Provider> {
        let secrets = login.secrets.iter().map(|key| {
            let value = login.config[*key].as_str();
            Secret::new(value.expect("a secret is text").to_owned())
        });
        let settings = settings(login.config.clone(), self.state.path());
        let opened = open(&self.plugin, settings, secrets.collect()).await;
        opened.expect("the provider opens")
    }

    /// The id by which the provider knows a node of the tree.
    pub(crate) fn id(&self, node: &str) -> ItemId {
        ItemId(self.drive.wire_id(node))
    }

    pub(crate) fn ids(&self, nodes: &[String]) -> Vec<ItemId> {
        nodes.iter().map(|node| self.id(node)).collect()
    }

    /// How often the drive was asked for `name`, or for one of the calls whose names begin so.
    pub(crate) fn calls(&self, name: &str) -> u64 {
        let counts = self.drive.counters().snapshot();
        let is_named = |call: &str| {
            let rest = call.strip_prefix(name);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let calls = counts.calls.iter().filter(|(call, _)| is_named(call));
        calls.map(|(_, count)| count).sum()
    }
}

pub(crate) fn settings(config: Map<String, Value>, state_dir: &Path) -> Settings {
    Settings {
        config: Secret::new(config),
        state_dir: state_dir.to_owned(),
    }
}

/// Opens a drive with this run's carriage: in a process that the program starts, as it does for a mount, or
/// in this one. `secrets` are those of the settings' values that nobody may see.
pub(crate) async fn open(
    plugin: &Plugin,
    settings: Settings,
    secrets: Vec<Secret<String>>,
) -> Result<Arc<dyn Provider>> {
    match Carriage::of_this_run() {
        Carriage::InProcess => (plugin.open)(settings).await,
        Carriage::Process => {
            let launch = Launch {
                name: plugin.name.to_owned(),
                program: linkfs_binary(),
                // All that it can log is to be seen.
                arguments: ["-vvv", "plugin", plugin.name].map(Into::into).into(),
                settings,
                redactor: Redactor::new(secrets),
                patience: HANG,
                silence: HANG,
            };
            launch.open().await
        }
    }
}

/// What the drive's section of a configuration holds beyond the plugin's own keys is left out.
pub(crate) fn plugin_keys(config: Value) -> Map<String, Value> {
    let Value::Object(mut config) = config else {
        panic!("a drive's configuration is an object")
    };
    config.remove("plugin");
    config.remove("allow_private_hosts");
    config
}

/// All children of a folder, page by page.
pub(crate) async fn list_all(provider: &dyn Provider, folder: &ItemId) -> Vec<Item> {
    let mut items = Vec::new();
    let mut after = None;
    loop {
        let page = provider.list(folder, after.as_ref()).await;
        let page = page.expect("a page");
        items.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => return items,
        }
    }
}

/// The links of any number of files, in as few calls as the provider takes.
pub(crate) async fn links(provider: &dyn Provider, files: &[ItemId]) -> Vec<Result<Link>> {
    let mut links = Vec::new();
    for batch in files.chunks(provider.about().links_per_call) {
        let answers = provider.links(batch).await;
        assert_eq!(answers.len(), batch.len(), "one answer for each file");
        links.extend(answers);
    }
    links
}

/// The link of one file, or why there is none.
pub(crate) async fn link(provider: &dyn Provider, file: &ItemId) -> Result<Link> {
    links(provider, std::slice::from_ref(file)).await.remove(0)
}
