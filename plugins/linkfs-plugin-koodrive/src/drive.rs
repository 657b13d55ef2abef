use std::path::Path;
use std::sync::Arc;

use linkfs_provider::{
    About, ErrorKind, Item, ItemId, Link, Page, PageToken, Provider, Receiving, Result, Sharing,
    Space as Listed, Spaces, Usage, async_trait,
};
use linkfs_provider_http::path;

use crate::account::Account;
use crate::client::Call;
use crate::config::{Login, Space};
use crate::keep_alive::KeepAlive;
use crate::links::{self, Links};
use crate::receiving::Receiver;
use crate::sharing::Shares;
use crate::{item, listing, spaces, usage};

/// Names that the drive takes for a folder without its id: the top, and the safe box.
const NAMED_FOLDERS: [&str; 2] = ["root", "sbox"];

/// One space of one account.
#[derive(Debug)]
pub(crate) struct KooDrive {
    about: About,
    space: Space,
    account: Arc<Account>,
    shares: Shares,
    receiver: Receiver,
    _keep_alive: Option<KeepAlive>,
}

impl KooDrive {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(login: Login, space: Space, state_dir: &Path) -> Result<Self> {
        let is_session = login.is_session();
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
            receiver: Receiver::new(account.clone(), space.container.clone()),
            space,
            _keep_alive: is_session.then(|| KeepAlive::of(&account)),
            account,
        })
    }

    /// A page of a folder. A smart folder that the drive does not list is an empty one: as an error it
    /// would end every `find` and `cp -r` that comes by.
    async fn page(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let call = listing::call(&self.space, folder, after)?;
        let answer = self.account.call(&call).await;
        match answer.and_then(|answer| listing::read(&answer, after)) {
            Err(error) if error.kind == ErrorKind::Invalid => match self.is_smart(folder).await {
                true => Ok(Page::default()),
                false => Err(error),
            },
            listed => listed,
        }
    }

    /// Asked when the drive has refused to list a folder, and not before: it is one more call.
    async fn is_smart(&self, folder: &ItemId) -> bool {
        let item = self.detail(folder).await;
        item.is_ok_and(|item| item.version.0 == item::SMART_FOLDER)
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
        item::in_answer(&answer, id)
    }

    /// A folder with a name in the place of an id has no details. That it can be listed shows that
    /// it is there.
    async fn named_folder(&self, id: &ItemId) -> Result<Item> {
        let answer = self.account.call(&listing::probe(&self.space, id)?).await?;
        listing::read(&answer, None)?;
        Ok(item::folder(id))
    }

    async fn signed(&self, files: &[ItemId]) -> Result<Links> {
        let call = links::call(&self.space.container, files);
        let answer = self.account.call(&call).await?;
        links::read(&answer, self.account.client())
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
        let ask = |files: Vec<ItemId>| async move { self.signed(&files).await };
        let links = links::all(files, ask).await;
        let named = files.iter().zip(links);
        let of_file = |(id, link): (&ItemId, Result<Link>)| {
            link.map_err(|error| error.during(format_args!("link file {id}")))
        };
        named.map(of_file).collect()
    }

    async fn usage(&self) -> Result<Usage> {
        let container = &self.space.container;
        let usage = async {
            let answer = self.account.call(&usage::call(container)?).await?;
            usage::read(&answer, container, self.space.used_unit)
        };
        let usage = usage.await;
        usage.map_err(|error| error.during(format_args!("ask how full space {container} is")))
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(&self.shares)
    }

    fn receiving(&self) -> Option<&dyn Receiving> {
        Some(&self.receiver)
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
