//! The linkfs plugin {{name}}. As it stands, its drive has one file: what lies at `url`, `size` bytes long.
//!
//! linkfs starts this program and asks it over stdin and stdout, which `serve` sees to. What is written to
//! stderr stands in the log of linkfs. PLUGINS.md of linkfs tells the rest.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::{
    About, ByteCount, ErrorKind, Hashes, Item, ItemId, ItemKind, Link, Page, PageToken, Plugin,
    Provider, ProviderError, Result, SignedUrl, Version, async_trait, serve,
};
use serde::Deserialize;

const PLUGIN: Plugin = Plugin {
    name: "{{name}}",
    version: env!("CARGO_PKG_VERSION"),
    summary: "One file at an address",
    // Hosts to talk to, such as "api.example.com". Those in the configuration need not be named.
    hosts: &[],
    open: |settings| {
        Box::pin(async move {
            let config = settings.parse::<Config>()?;
            Ok(Arc::new(Drive::new(config)) as Arc<dyn Provider>)
        })
    },
};

const ROOT: &str = "root";
const FILE: &str = "file";

fn main() -> ExitCode {
    serve(&PLUGIN)
}

/// The keys of the section `[drives.NAME]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    /// The address of a file.
    url: String,
    /// Its length in bytes.
    size: u64,
}

/// What linkfs asks. Replace the answers by those of your drive.
#[derive(Debug)]
struct Drive {
    about: About,
    config: Config,
}

impl Drive {
    fn new(config: Config) -> Drive {
        let about = About {
            root: ROOT.into(),
            links_per_call: 100,
            calls_in_flight: 4,
            lists_oldest_first: false,
            listing_ttl: None,
        };
        Drive { about, config }
    }

    fn file(&self) -> Item {
        let path = self.config.url.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let name = if name.is_empty() { "file" } else { name };
        let size = ByteCount(self.config.size);
        item(FILE, name, ItemKind::File { size })
    }

    fn link(&self, file: &ItemId) -> Result<Link> {
        if file.as_str() != FILE {
            return Err(not_found("file", file));
        }
        Ok(Link {
            urls: vec![SignedUrl::new(&self.config.url)?],
            headers: Vec::new(),
            valid_for: Duration::from_secs(15 * 60),
        })
    }
}

#[async_trait]
impl Provider for Drive {
    fn about(&self) -> &About {
        &self.about
    }

    /// What is in a folder.
    async fn list(&self, folder: &ItemId, _after: Option<&PageToken>) -> Result<Page> {
        match folder.as_str() {
            ROOT => Ok(Page {
                items: vec![self.file()],
                next: None,
            }),
            _ => Err(not_found("folder", folder)),
        }
    }

    /// One item as it is now.
    async fn stat(&self, id: &ItemId) -> Result<Item> {
        match id.as_str() {
            ROOT => Ok(item(ROOT, "", ItemKind::Folder)),
            FILE => Ok(self.file()),
            _ => Err(not_found("item", id)),
        }
    }

    /// Where the bytes of each file can be fetched, and for how long from now on.
    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
        files.iter().map(|file| self.link(file)).collect()
    }
}

fn item(id: &str, name: &str, kind: ItemKind) -> Item {
    Item {
        id: id.into(),
        name: name.to_owned(),
        kind,
        modified: None,
        created: None,
        // Whatever changes with the content.
        version: Version("1".to_owned()),
        hashes: Hashes::new(),
        mime: None,
    }
}

fn not_found(what: &str, id: &ItemId) -> ProviderError {
    ProviderError::new(ErrorKind::NotFound, format!("there is no {what} {id}"))
}
