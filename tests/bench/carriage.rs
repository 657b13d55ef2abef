//! What it costs that a plugin is a process of its own, beside the same plugin in this process.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linkfs_host::Launch;
use linkfs_provider::{
    About, ByteCount, ErrorKind, Item, ItemId, ItemKind, Link, Page, PageToken, Plugin, Provider,
    ProviderError, Redactor, Result, Settings, Usage, Version, async_trait, serve,
};
use tokio::runtime::Runtime;

use crate::figures::median;
use crate::mount::Attempt;

/// The argument with which the benchmark starts itself as a plugin.
pub(crate) const OPTION: &str = "--plugin";

/// How many calls a round makes of each kind.
const CALLS: usize = 2_000;
const LISTINGS: usize = 100;
const ITEMS: u64 = 1_000;

/// What is asked of the plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Question {
    /// The smallest there is.
    Usage,
    /// A page of a thousand files.
    List,
}

/// The median time of a call in this process.
pub(crate) fn limit(question: Question) -> Duration {
    ask(question, &|settings| (PLUGIN.open)(settings))
}

/// The same of a plugin in a process of its own.
pub(crate) fn linkfs(question: Question) -> Attempt {
    let took = ask(question, &|settings| Box::pin(launch(settings).open()));
    Attempt::of_time(took)
}

/// Serves the plugin to the benchmark that started this process.
pub(crate) fn serve_plugin() -> ExitCode {
    serve(&PLUGIN)
}

fn ask(question: Question, open: &dyn Fn(Settings) -> linkfs_provider::OpenFuture) -> Duration {
    let runtime = Runtime::new().expect("threads are started");
    let state = tempfile::tempdir().expect("a folder is made");
    let settings = Settings {
        config: Default::default(),
        state_dir: state.path().join("state"),
    };
    runtime.block_on(async {
        let provider = open(settings).await.expect("the plugin is opened");
        let calls = match question {
            Question::Usage => CALLS,
            Question::List => LISTINGS,
        };
        let mut times = Vec::with_capacity(calls);
        for _ in 0..calls {
            times.push(answered(&*provider, question).await);
        }
        median(times)
    })
}

async fn answered(provider: &dyn Provider, question: Question) -> Duration {
    let started = Instant::now();
    match question {
        Question::Usage => drop(provider.usage().await.expect("it answers")),
        Question::List => {
            let page = provider.list(&ItemId::from("0"), None).await;
            let page = page.expect("it answers");
            assert_eq!(page.items.len() as u64, ITEMS);
        }
    }
    started.elapsed()
}

fn launch(settings: Settings) -> Launch {
    Launch {
        name: PLUGIN.name.to_owned(),
        program: std::env::current_exe().expect("a program has a file"),
        arguments: vec![OPTION.to_owned()],
        settings,
        redactor: Redactor::default(),
        patience: Duration::from_secs(10),
        silence: Duration::from_secs(10),
    }
}

const PLUGIN: Plugin = Plugin {
    name: "memory",
    version: env!("CARGO_PKG_VERSION"),
    summary: "A folder of files that are nowhere",
    hosts: &[],
    open: |_settings| Box::pin(async { Ok(Arc::new(Memory::new()) as Arc<dyn Provider>) }),
};

/// A drive that knows everything by heart, so that nothing but the carriage takes time.
struct Memory {
    about: About,
    items: Vec<Item>,
}

impl Memory {
    fn new() -> Memory {
        let item = |index: u64| Item {
            id: ItemId(format!("f{index:08}c41a9be27d03")),
            name: format!("report of the year {index}.pdf"),
            kind: ItemKind::File {
                size: ByteCount(index << 10),
            },
            modified: Some(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + index)),
            created: Some(std::time::UNIX_EPOCH + Duration::from_secs(1_600_000_000 + index)),
            version: Version(format!("v{index}")),
            hashes: [("sha1".to_owned(), format!("{index:040x}"))].into(),
            mime: Some("application/pdf".to_owned()),
        };
        Memory {
            about: About {
                root: "0".into(),
                links_per_call: 100,
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            items: (0..ITEMS).map(item).collect(),
        }
    }
}

#[async_trait]
impl Provider for Memory {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Result<Page> {
        Ok(Page {
            items: self.items.clone(),
            next: None,
        })
    }

    async fn stat(&self, item: &ItemId) -> Result<Item> {
        let found = self.items.iter().find(|known| known.id == *item).cloned();
        found.ok_or_else(|| missing(item))
    }

    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
        files.iter().map(|file| Err(missing(file))).collect()
    }

    async fn usage(&self) -> Result<Usage> {
        Ok(Usage {
            total: None,
            used: ByteCount(0),
        })
    }
}

fn missing(item: &ItemId) -> ProviderError {
    ProviderError::new(ErrorKind::NotFound, format!("no bytes of {item}"))
}
