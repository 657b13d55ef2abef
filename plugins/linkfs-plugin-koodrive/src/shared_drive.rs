use std::path::Path;
use std::sync::Arc;

use linkfs_provider::{
    About, Item, ItemId, Link, Page, PageToken, Provider, ProviderError, Result, Secret,
    async_trait,
};
use linkfs_provider_http::path;
use serde_json::json;

use crate::account::Account;
use crate::config::Login;
use crate::item;
use crate::keep_alive::KeepAlive;
use crate::links::{self, Links};
use crate::visitor::{TOP, Ticket, Visitor};

/// What somebody shared, as a drive: its top is the top of the share, and nothing in it can be shared
/// on. See [`crate::visitor`] for what is assumed about its files.
#[derive(Debug)]
pub(crate) struct SharedDrive {
    about: About,
    visitor: Visitor,
    _keep_alive: Option<KeepAlive>,
}

impl SharedDrive {
    /// Opens the drive without asking the network.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(login: Login, ticket: Ticket, state_dir: &Path) -> Result<Self> {
        let is_session = login.is_session();
        let account = Arc::new(Account::open(login, state_dir)?);
        Ok(SharedDrive {
            about: About {
                root: TOP.into(),
                links_per_call: links::PER_CALL,
                calls_in_flight: 4,
                lists_oldest_first: false,
                listing_ttl: None,
            },
            _keep_alive: is_session.then(|| KeepAlive::of(&account)),
            visitor: Visitor::new(account, ticket),
        })
    }

    async fn detail(&self, id: &ItemId) -> Result<Item> {
        if id.as_str() == TOP {
            self.visitor.page(id, None).await?;
            return Ok(item::folder(id));
        }
        let source = self.visitor.source().await?;
        let path = format!(
            "/koodrive/ose/v1/files/{}/detail",
            path::segment(id.as_str())?
        );
        let call = |token: Option<&Secret<String>>| {
            Ok(source.enter("shared detail", path.clone(), json!({}), token))
        };
        item::in_answer(&self.visitor.call(call).await?, id)
    }

    async fn signed(&self, files: &[ItemId]) -> Result<Links> {
        let source = self.visitor.source().await?;
        let call = |token: Option<&Secret<String>>| {
            let body = json!({"fileIds": files});
            Ok(source.enter("shared links", links::PATH.into(), body, token))
        };
        let answer = self.visitor.call(call).await?;
        links::read(&answer, self.visitor.account().client())
    }
}

#[async_trait]
impl Provider for SharedDrive {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let page = self.visitor.page(folder, after).await;
        page.map_err(|error| error.during(format_args!("list shared folder {folder}")))
    }

    async fn stat(&self, item: &ItemId) -> Result<Item> {
        let found = self.detail(item).await;
        found.map_err(|error| error.during(format_args!("look at shared item {item}")))
    }

    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
        let ask = |files: Vec<ItemId>| async move { self.signed(&files).await };
        let links = links::all(files, ask).await;
        let named = files.iter().zip(links);
        let of_file = |(id, link): (&ItemId, Result<Link, ProviderError>)| {
            link.map_err(|error| error.during(format_args!("link shared file {id}")))
        };
        named.map(of_file).collect()
    }
}
