use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkfs_provider::{
    ErrorKind, ItemId, PageToken, Result, Secret, Share, ShareId, SharePage, ShareTerms, Sharing,
    async_trait,
};
use serde_json::{Map, Value, json};
use tracing::debug;

use crate::account::Account;
use crate::client::Call;
use crate::listing;
use crate::share_attempts::{Asked, Attempts};
use crate::share_link::{self, Marked, ShareAddress};
use crate::share_terms;

/// A share that was asked for cannot be older than this by the drive's clock: what the two clocks may
/// be apart.
const CLOCKS_APART: Duration = Duration::from_secs(600);

/// The share links of one drive.
#[derive(Debug)]
pub(crate) struct PdsSharing {
    account: Arc<Account>,
    drive_id: String,
    address: Option<ShareAddress>,
    attempts: Attempts,
}

/// One page of shares, as they are told.
type MarkedPage = (Vec<Marked>, Option<PageToken>);

impl PdsSharing {
    pub(crate) fn new(
        account: &Arc<Account>,
        drive_id: &str,
        address: Option<ShareAddress>,
    ) -> Self {
        PdsSharing {
            account: account.clone(),
            drive_id: drive_id.to_owned(),
            address,
            attempts: Attempts::default(),
        }
    }

    async fn make(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        share_terms::check_items(items)?;
        share_terms::check(terms)?;
        if self.address.is_none() {
            return Err(share_link::no_address());
        }
        let mut attempt = self.attempts.begin(items, terms, self.now())?;
        if attempt.is_sent
            && let Some(share) = self.find(&attempt.asked).await?
        {
            attempt.end();
            return Ok(share);
        }
        attempt.is_sent = true;
        match self.create(&attempt.asked, terms).await {
            Ok(share) => {
                attempt.end();
                Ok(share)
            }
            Err(error) if is_unsure(error.kind) => match self.find(&attempt.asked).await {
                Ok(Some(share)) => {
                    attempt.end();
                    Ok(share)
                }
                Ok(None) => Err(error),
                Err(failure) => {
                    debug!(%failure, "whether the share was made is not known");
                    Err(error)
                }
            },
            Err(error) => {
                attempt.end();
                Err(error)
            }
        }
    }

    async fn create(&self, asked: &Asked, terms: &ShareTerms) -> Result<Share> {
        let password = share_terms::password(&terms.password)?;
        let description = share_terms::description(terms.note.as_deref(), &asked.nonce);
        let fields = share_terms::fields(terms, password.as_ref(), &description, self.now())?;
        let mut body = fields.clone();
        let ids: Vec<&str> = asked.items.iter().map(ItemId::as_str).collect();
        body.insert("drive_id".into(), json!(self.drive_id));
        body.insert("file_id_list".into(), json!(ids));
        let answer = self
            .call("/v2/share_link/create", &body, password.as_ref())
            .await?;
        self.read(&told(body, answer))
    }

    async fn change(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        share_terms::check(terms)?;
        let password = share_terms::password(&terms.password)?;
        let note = terms.note.as_deref().unwrap_or("");
        let mut body = share_terms::fields(terms, password.as_ref(), note, self.now())?;
        body.insert("share_id".into(), json!(share.0));
        let answer = self
            .call("/v2/share_link/update", &body, password.as_ref())
            .await?;
        let fields = told(body, answer);
        if share_link::names_items(&fields) {
            return self.read(&fields);
        }
        let body = json!({"share_id": share.0});
        let call = Call::json("/v2/share_link/get", &body);
        let whole = self.account.call(&call).await?;
        self.read(&told(fields, whole))
    }

    async fn cancel(&self, share: &ShareId) -> Result<()> {
        let body = json!({"share_id": share.0});
        let call = Call::json("/v2/share_link/cancel", &body);
        match self.account.call(&call).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// One page of this drive's shares, newest first.
    async fn page(&self, after: Option<&PageToken>) -> Result<MarkedPage> {
        let mut body = json!({
            "limit": listing::PAGE_SIZE,
            "order_by": "created_at",
            "order_direction": "DESC",
        });
        if let Some(after) = after {
            body["marker"] = json!(after.0);
        }
        let call = Call::json("/v2/share_link/list", &body);
        let answer = self.account.call(&call).await?;
        let (now, address) = (self.now(), self.address.as_ref());
        let shares = listing::elements(&answer)?.into_iter();
        let ours = shares.filter(|share| share_link::is_of(share, &self.drive_id));
        let read = ours.map(|share| share_link::read(share, address, now));
        Ok((read.collect::<Result<_>>()?, listing::next(&answer, after)?))
    }

    /// The share that was asked for, when the drive has made it.
    async fn find(&self, asked: &Asked) -> Result<Option<Share>> {
        let oldest = asked.at.checked_sub(CLOCKS_APART);
        let is_too_old = |share: &Share| match (share.created, oldest) {
            (Some(created), Some(oldest)) => created < oldest,
            _ => false,
        };
        let mut after = None;
        loop {
            let (page, next) = self.page(after.as_ref()).await?;
            let is_last = page.iter().any(|marked| is_too_old(&marked.share));
            let is_it = |marked: &Marked| {
                marked.nonce.as_ref() == Some(&asked.nonce)
                    && are_same(&marked.share.items, &asked.items)
            };
            if let Some(found) = page.into_iter().find(is_it) {
                return Ok(Some(found.share));
            }
            after = match next {
                Some(next) if !is_last => Some(next),
                _ => return Ok(None),
            };
        }
    }

    async fn call(
        &self,
        path: &'static str,
        body: &Map<String, Value>,
        password: Option<&Secret<String>>,
    ) -> Result<Map<String, Value>> {
        let call = Call::json(path, &Value::Object(body.clone())).hiding(password);
        self.account.call(&call).await
    }

    fn read(&self, fields: &Map<String, Value>) -> Result<Share> {
        let read = share_link::read(fields, self.address.as_ref(), self.now());
        read.map(|marked| marked.share)
    }

    fn now(&self) -> SystemTime {
        self.account.shared.client.http.clock.now()
    }
}

/// What is known of a share after a call: what was asked for, where the answer does not say it.
fn told(mut asked: Map<String, Value>, answer: Map<String, Value>) -> Map<String, Value> {
    let told = answer.into_iter().filter(|(_, value)| !value.is_null());
    asked.extend(told);
    asked
}

/// Whether two shares are of the same items, in whatever order.
fn are_same(some: &[ItemId], others: &[ItemId]) -> bool {
    let sorted = |items: &[ItemId]| {
        let mut items = items.to_vec();
        items.sort();
        items
    };
    sorted(some) == sorted(others)
}

/// Whether the drive may have done what it was asked for all the same.
fn is_unsure(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Broken)
}

#[async_trait]
impl Sharing for PdsSharing {
    async fn check(&self, terms: &ShareTerms) -> Result<()> {
        share_terms::check(terms)
    }

    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        let share = self.make(items, terms).await;
        share.map_err(|error| error.during("share"))
    }

    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        let changed = self.change(share, terms).await;
        changed.map_err(|error| error.during("change the share"))
    }

    async fn unshare(&self, share: &ShareId) -> Result<()> {
        let gone = self.cancel(share).await;
        gone.map_err(|error| error.during("revoke the share"))
    }

    async fn shares(&self, after: Option<&PageToken>) -> Result<SharePage> {
        let page = self.page(after).await;
        let (shares, next) = page.map_err(|error| error.during("list the shares"))?;
        Ok(SharePage {
            shares: shares.into_iter().map(|marked| marked.share).collect(),
            next,
        })
    }
}
