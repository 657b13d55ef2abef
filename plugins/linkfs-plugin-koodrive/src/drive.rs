use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::{
    About, ErrorKind, Item, ItemId, ItemKind, Link, Page, PageToken, Provider, ProviderError,
    Result, Sharing, Space as Listed, Spaces, Usage, Version, async_trait,
};
use linkfs_provider_http::path;
use tracing::debug;

use crate::account::Account;
use crate::client::Call;
use crate::config::{AuthMode, Setup, Space};
use crate::envelope::Envelope;
use crate::keep_alive::KeepAlive;
use crate::links::{self, Links};
use crate::sharing::Shares;
use crate::{item, listing, login, spaces, usage};

/// Names that the drive takes for a folder without its id: the top, and the safe box.
const NAMED_FOLDERS: [&str; 2] = ["root", "sbox"];

/// One space of one account.
#[derive(Debug)]
pub(crate) struct KooDrive {
    about: About,
    space: Space,
    space_used_unit: u64,
    account: Arc<Account>,
    shares: Shares,
    _keep_alive: Option<KeepAlive>,
    /// Those that were shown so far.
    smart_folders: Mutex<HashSet<ItemId>>,
}

impl KooDrive {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: Setup, state_dir: &Path) -> Result<Self> {
        let is_session = setup.login.identity.carrier.is_none()
            && matches!(
                setup.login.auth,
                AuthMode::Token { .. } | AuthMode::Session { .. }
            );
        let Setup {
            space,
            login,
            space_used_unit,
        } = setup;
        let is_carrier = login.identity.carrier.is_some();
        let account = Arc::new(Account::open(login, state_dir)?);
        Ok(KooDrive {
            about: About {
                root: space.root.clone(),
                links_per_call: links::PER_CALL,
                // The drive publishes no rates; four at a time have to be enough.
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            shares: Shares::new(account.clone(), space.container.clone(), is_carrier),
            space,
            space_used_unit,
            _keep_alive: is_session.then(|| keep_alive(&account)),
            account,
            smart_folders: Mutex::default(),
        })
    }

    /// A page of a folder. A smart folder that the drive does not list is an empty one: as an error it
    /// would end every `find` and `cp -r` that comes by.
    async fn page(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let call = listing::call(&self.space, folder, after)?;
        let answer = self.account.call(&call).await;
        match answer.and_then(|answer| listing::read(&answer, after)) {
            Ok(page) => {
                self.note_smart_folders(&page.items);
                Ok(page)
            }
            Err(error)
                if error.kind == ErrorKind::Invalid
                    && self.lock_smart_folders().contains(folder) =>
            {
                Ok(Page::default())
            }
            Err(error) => Err(error),
        }
    }

    fn note_smart_folders(&self, items: &[Item]) {
        let is_smart = |item: &&Item| item.version.0 == item::SMART_FOLDER;
        let smart = items.iter().filter(is_smart);
        self.lock_smart_folders()
            .extend(smart.map(|item| item.id.clone()));
    }

    fn lock_smart_folders(&self) -> MutexGuard<'_, HashSet<ItemId>> {
        let smart_folders = self.smart_folders.lock();
        smart_folders.expect("no panic while the smart folders are locked")
    }

    async fn detail(&self, id: &ItemId) -> Result<Item> {
        if NAMED_FOLDERS.contains(&id.as_str()) {
            return self.named_folder(id).await;
        }
        let path = format!(
            "/koodrive/ose/v1/files/{}/detail",
            path::segment(id.as_str())?
        );
        let body = serde_json::json!({"containerId": self.space.container});
        let answer = self
            .account
            .call(&Call::post("detail", path, &body))
            .await?;
        item_in(&answer, id)
    }

    /// A folder with a name in the place of an id has no details. That it can be listed shows that
    /// it is there.
    async fn named_folder(&self, id: &ItemId) -> Result<Item> {
        let answer = self.account.call(&listing::probe(&self.space, id)?).await?;
        listing::read(&answer, None)?;
        Ok(Item {
            id: id.clone(),
            name: id.to_string(),
            kind: ItemKind::Folder,
            modified: None,
            created: None,
            version: Version("folder".into()),
            hashes: Default::default(),
            mime: None,
        })
    }

    async fn signed(&self, files: &[&ItemId]) -> Result<Links> {
        let answer = self
            .account
            .call(&links::call(&self.space.container, files))
            .await?;
        links::read(&answer, self.account.client())
    }

    /// The links of all `files`. One that a batch does not mention is asked for once more, alone; an
    /// answer that mentions none is no answer to this call, and a hundred more calls would not help.
    async fn all_signed(&self, files: &[&ItemId]) -> Result<Links> {
        let mut found = self.signed(files).await?;
        let answers_the_call = !found.is_empty();
        for id in files {
            if answers_the_call && !found.contains_key(*id) {
                let alone = self.signed(&[id]).await;
                let link = alone.and_then(|mut alone| {
                    alone
                        .remove(*id)
                        .unwrap_or_else(|| Err(links::unmentioned()))
                });
                found.insert((*id).clone(), link);
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl Provider for KooDrive {
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
        let mut distinct: Vec<&ItemId> = files.iter().collect();
        distinct.sort();
        distinct.dedup();
        let found = self.all_signed(&distinct).await;
        let link = |id: &ItemId| {
            let link = match &found {
                Ok(links) => links
                    .get(id)
                    .cloned()
                    .unwrap_or_else(|| Err(links::unmentioned())),
                Err(error) => Err(error.clone()),
            };
            link.map_err(|error| error.during(format_args!("link file {id}")))
        };
        files.iter().map(link).collect()
    }

    fn recall(&self, items: &[Item]) {
        self.note_smart_folders(items);
    }

    async fn usage(&self) -> Result<Usage> {
        let container = &self.space.container;
        let usage = async {
            let answer = self.account.call(&usage::call(container)?).await?;
            usage::read(&answer, container, self.space_used_unit)
        };
        let usage = usage.await;
        usage.map_err(|error| error.during(format_args!("ask how full space {container} is")))
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(&self.shares)
    }

    fn spaces(&self) -> Option<&dyn Spaces> {
        Some(self)
    }
}

#[async_trait]
impl Spaces for KooDrive {
    async fn spaces(&self) -> Result<Vec<Listed>> {
        let spaces = spaces::all(&self.account, self.space.team.as_ref()).await;
        spaces.map_err(|error| error.during("list the spaces"))
    }
}

/// The item in a detail answer, unless it lies in the recycle bin.
fn item_in(answer: &Envelope, id: &ItemId) -> Result<Item> {
    let fields = answer.object_with("id");
    let fields = fields.ok_or_else(|| broken("the answer has no item"))?;
    if item::is_recycled(fields) {
        let message = "the item is in the recycle bin";
        return Err(ProviderError::new(ErrorKind::NotFound, message));
    }
    let item = item::read(fields)?;
    match item.id == *id {
        true => Ok(item),
        false => Err(broken("the answer is about another item")),
    }
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}

fn keep_alive(account: &Arc<Account>) -> KeepAlive {
    let (seen, pinged) = (account.clone(), account.clone());
    KeepAlive::start(
        move || seen.last_success(),
        move || {
            let account = pinged.clone();
            async move {
                if let Err(error) = account.call(&login::who_am_i()).await {
                    debug!(%error, "the session was not kept alive");
                }
            }
        },
    )
}
