use std::path::Path;
use std::time::Duration;

use linkfs_provider::{
    About, ErrorKind, Item, ItemId, ItemKind, Link, Page, PageToken, Provider, ProviderError,
    Result, Sharing, Space as Listed, Spaces, Usage, Version, async_trait,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::account::Account;
use crate::client::Fields;
use crate::config::Setup;
use crate::dentry::{self, Dentry};
use crate::known_versions::KnownVersions;
use crate::share_book::ShareBook;
use crate::space::{Space, TOP};
use crate::{links, listing, spaces, usage};

/// Calls are counted: the smallest edition has 10,000 a month, which is one in four minutes. One folder
/// that somebody looks at all the time costs 8,640 of them with this, and 86,400 with half a minute.
const LISTING_TTL: Duration = Duration::from_secs(300);

/// One space, seen by one person.
#[derive(Debug)]
pub(crate) struct DingTalk {
    about: About,
    pub(crate) space: Space,
    pub(crate) account: Account,
    versions: KnownVersions,
    /// What was shared.
    pub(crate) shares: ShareBook,
    /// Whose the space is, once it was asked for.
    pub(crate) organization: OnceCell<String>,
}

impl DingTalk {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: Setup, state_dir: &Path) -> Result<Self> {
        let organization = setup.login.organization().map(str::to_owned);
        Ok(DingTalk {
            about: About {
                root: setup.space.root.clone(),
                links_per_call: 1,
                // 20 calls a second are allowed, and each takes longer than a fifth of one.
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: Some(LISTING_TTL),
            },
            space: setup.space,
            account: Account::open(setup.endpoint, setup.login, state_dir)?,
            versions: KnownVersions::default(),
            shares: ShareBook::new(state_dir),
            organization: OnceCell::new_with(organization),
        })
    }

    async fn page(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let call = listing::call(&self.space, folder, after)?;
        let page = listing::read(&self.account.call(&call).await?, after)?;
        let items = page.dentries.into_iter();
        Ok(Page {
            items: items.map(|dentry| self.shown(dentry)).collect(),
            next: page.next,
        })
    }

    /// The item of a dentry that is about to be shown.
    fn shown(&self, dentry: Dentry) -> Item {
        if !dentry.item.is_folder() {
            self.versions.note(&dentry.item.id, dentry.version);
        }
        dentry.item
    }

    async fn detail(&self, id: &ItemId) -> Result<Item> {
        if id.as_str() == TOP {
            return self.top().await;
        }
        let body = json!({"option": {"withThumbnail": false}});
        let call = self.space.post_dentry("detail", id, "/query", &body)?;
        let dentry = dentry_in(&self.account.call(&call).await?, id)?;
        Ok(self.shown(dentry))
    }

    /// The top has no details. That it can be listed shows that it is there.
    async fn top(&self) -> Result<Item> {
        let top = ItemId::from(TOP);
        let call = listing::probe(&self.space, &top)?;
        listing::read(&self.account.call(&call).await?, None)?;
        Ok(Item {
            name: top.to_string(),
            id: top,
            kind: ItemKind::Folder,
            modified: None,
            created: None,
            version: Version("folder".into()),
            hashes: Default::default(),
            mime: None,
        })
    }

    async fn link(&self, file: &ItemId) -> Result<Link> {
        let version = self.versions.of(file);
        match self.link_version(file, version).await {
            // The version may be gone, or the drive may not know of versions: the newest is there.
            Err(error) if version.is_some() && error.kind == ErrorKind::Invalid => {
                self.versions.forget(file);
                self.link_version(file, None).await
            }
            answer => answer,
        }
    }

    async fn link_version(&self, file: &ItemId, version: Option<u64>) -> Result<Link> {
        let call = links::call(&self.space, file, version)?;
        let answer = self.account.call(&call).await?;
        // The answer has just set the clock by its own date.
        links::read(&answer, self.account.client().http.clock.now())
    }
}

#[async_trait]
impl Provider for DingTalk {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let page = self.page(folder, after).await;
        page.map_err(|error| error.during(format_args!("list folder {folder}")))
    }

    async fn stat(&self, item: &ItemId) -> Result<Item> {
        let found = self.detail(item).await;
        found.map_err(|error| error.during(format_args!("look at item {item}")))
    }

    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
        let mut links = Vec::with_capacity(files.len());
        for file in files {
            let link = self.link(file).await;
            links.push(link.map_err(|error| error.during(format_args!("link file {file}"))));
        }
        links
    }

    fn recall(&self, items: &[Item]) {
        for item in items.iter().filter(|item| !item.is_folder()) {
            self.versions
                .note(&item.id, dentry::count_in(&item.version));
        }
    }

    async fn usage(&self) -> Result<Usage> {
        let usage = async {
            let answer = self.account.call(&usage::call(&self.space)?).await?;
            usage::read(&answer)
        };
        let space = &self.space.id;
        let usage = usage.await;
        usage.map_err(|error| error.during(format_args!("ask how full space {space} is")))
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(self)
    }

    fn spaces(&self) -> Option<&dyn Spaces> {
        Some(self)
    }
}

#[async_trait]
impl Spaces for DingTalk {
    async fn spaces(&self) -> Result<Vec<Listed>> {
        let spaces = spaces::all(&self.account, &self.space).await;
        spaces.map_err(|error| error.during("list the spaces"))
    }
}

/// The dentry in a detail answer, unless it is deleted.
pub(crate) fn dentry_in(answer: &Fields, id: &ItemId) -> Result<Dentry> {
    let fields = answer.get("dentry").and_then(Value::as_object);
    let fields = fields.ok_or_else(|| broken("the answer has no item"))?;
    let Some(dentry) = dentry::read(fields)? else {
        let message = "the item is deleted";
        return Err(ProviderError::new(ErrorKind::NotFound, message));
    };
    match dentry.item.id == *id {
        true => Ok(dentry),
        false => Err(broken("the answer is about another item")),
    }
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}
