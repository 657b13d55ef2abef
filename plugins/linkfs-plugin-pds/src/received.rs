use std::path::Path;
use std::sync::Arc;

use linkfs_provider::{
    About, Item, ItemId, Link, Login, Page, PageToken, Provider, Result, async_trait,
};
use serde_json::json;

use crate::account::Account;
use crate::browser::BrowserLogin;
use crate::config::{LinkTerms, ShareSetup};
use crate::item::{self, TOP};
use crate::share_session::ShareSession;
use crate::{links, listing};

/// What somebody else has shared, as a drive: its top holds what is shared.
#[derive(Debug)]
pub(crate) struct ReceivedShare {
    about: About,
    link_terms: LinkTerms,
    account: Arc<Account>,
    session: ShareSession,
    login: Option<BrowserLogin>,
}

impl ReceivedShare {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: ShareSetup, state_dir: &Path) -> Result<Self> {
        let account = Account::open(setup.endpoint, setup.auth, state_dir)?;
        let account = Arc::new(account);
        Ok(ReceivedShare {
            about: About {
                root: setup.root,
                links_per_call: 1,
                // As for a drive of one's own.
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            link_terms: setup.link_terms,
            session: ShareSession::new(&account, setup.share_id, setup.password),
            login: BrowserLogin::new(&account),
            account,
        })
    }

    async fn page(&self, folder: &ItemId, after: Option<&PageToken>, limit: u32) -> Result<Page> {
        let body = listing::body(self.session.holder(), folder, after, limit);
        listing::read(&self.session.call(listing::PATH, &body).await?, after)
    }

    async fn detail(&self, id: &ItemId) -> Result<Item> {
        if id.as_str() == TOP {
            // That it can be listed shows that it is there.
            self.page(id, None, 1).await?;
            return Ok(item::top(id));
        }
        let (holder, share) = self.session.holder();
        let body = json!({holder: share, "file_id": id.as_str()});
        let answer = self.session.call("/v2/file/get", &body).await?;
        item::asked_for(&answer, id)
    }

    async fn link(&self, file: &ItemId) -> Result<Link> {
        let body = links::body(self.session.holder(), file, &self.link_terms);
        let path = "/v2/file/get_share_link_download_url";
        let answer = self.session.call(path, &body).await?;
        let now = self.account.shared.client.http.clock.latest();
        links::read(&answer, &self.link_terms, now)
    }
}

#[async_trait]
impl Provider for ReceivedShare {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let page = self.page(folder, after, listing::PAGE_SIZE).await;
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

    fn login(&self) -> Option<&dyn Login> {
        self.login.as_ref().map(|login| login as &dyn Login)
    }
}
