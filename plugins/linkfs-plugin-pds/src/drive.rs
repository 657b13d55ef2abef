use std::path::Path;
use std::sync::Arc;

use linkfs_provider::{
    About, Item, ItemId, Link, Login, Page, PageToken, Provider, Result, Sharing, Spaces, Usage,
    async_trait,
};
use serde_json::json;

use crate::account::Account;
use crate::browser::BrowserLogin;
use crate::client::Call;
use crate::config::{LinkTerms, Setup};
use crate::item::{self, TOP};
use crate::sharing::PdsSharing;
use crate::spaces::PdsSpaces;
use crate::{links, listing, usage};

/// One drive of one account.
#[derive(Debug)]
pub(crate) struct PdsDrive {
    about: About,
    drive_id: String,
    link_terms: LinkTerms,
    account: Arc<Account>,
    spaces: PdsSpaces,
    sharing: PdsSharing,
    login: Option<BrowserLogin>,
}

impl PdsDrive {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: Setup, state_dir: &Path) -> Result<Self> {
        let account = Account::open(setup.endpoint, setup.auth, state_dir)?;
        let account = Arc::new(account);
        Ok(PdsDrive {
            about: About {
                root: setup.root,
                links_per_call: 1,
                // The drive publishes no rates; its consumer sibling takes four listings a second.
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            sharing: PdsSharing::new(&account, &setup.drive_id, setup.share_address),
            drive_id: setup.drive_id,
            link_terms: setup.link_terms,
            spaces: PdsSpaces(account.clone()),
            login: BrowserLogin::new(&account),
            account,
        })
    }

    async fn page(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let call = listing::call(&self.drive_id, folder, after);
        listing::read(&self.account.call(&call).await?, after)
    }

    async fn detail(&self, id: &ItemId) -> Result<Item> {
        if id.as_str() == TOP {
            return self.top(id).await;
        }
        let body = json!({"drive_id": self.drive_id, "file_id": id.as_str()});
        let call = Call::json("/v2/file/get", &body);
        item::asked_for(&self.account.call(&call).await?, id)
    }

    /// The top has a name in the place of an id, and the drive may refuse to tell of it. That it can
    /// be listed shows that it is there.
    async fn top(&self, id: &ItemId) -> Result<Item> {
        let answer = self
            .account
            .call(&listing::probe(&self.drive_id, id))
            .await?;
        listing::elements(&answer)?;
        Ok(item::top(id))
    }

    async fn link(&self, file: &ItemId) -> Result<Link> {
        let call = links::call(&self.drive_id, file, &self.link_terms);
        let answer = self.account.call(&call).await?;
        let now = self.account.shared.client.http.clock.latest();
        links::read(&answer, &self.link_terms, now)
    }
}

#[async_trait]
impl Provider for PdsDrive {
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
        let mut links = Vec::new();
        for file in files {
            let link = self.link(file).await;
            links.push(link.map_err(|error| error.during(format_args!("link file {file}"))));
        }
        links
    }

    async fn usage(&self) -> Result<Usage> {
        let answer = self.account.call(&usage::call(&self.drive_id)).await;
        let usage = answer.and_then(|answer| usage::read(&answer));
        let drive = &self.drive_id;
        usage.map_err(|error| error.during(format_args!("ask how full drive {drive} is")))
    }

    fn login(&self) -> Option<&dyn Login> {
        self.login.as_ref().map(|login| login as &dyn Login)
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(&self.sharing)
    }

    fn spaces(&self) -> Option<&dyn Spaces> {
        Some(&self.spaces)
    }
}
