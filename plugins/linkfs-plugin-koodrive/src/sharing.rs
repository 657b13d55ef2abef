//! Making links for other people.
//!
//! The drive answers a new share with the share, or with a task that makes it and the share in a later
//! list. It has no call for one share: it is looked for in the list of all, which without an order asked
//! for is taken to begin with the newest. A share's audience can be changed in its members and not in its
//! kind, and its access code can be replaced and not taken off: both would need another share with another
//! address, which is for the caller to want.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use linkfs_provider::{
    Audience, ErrorKind, ItemId, PageToken, ProviderError, Result, Secret, Share, ShareCounters,
    ShareId, SharePage, SharePassword, ShareState, ShareTerms, Sharing, async_trait,
};
use linkfs_provider_http::{path, status, value};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::account::Account;
use crate::client::Call;
use crate::envelope::Envelope;
use crate::share_attempts::{Attempt, Attempts, Open, Stage};
use crate::share_fields::{self, FIRST_PAGE, Marked};
use crate::{item_answer, share_terms};

/// The largest page the drive gives.
const PAGE_SIZE: &str = "100";

/// How many pages are looked through for one share: far more than an account has.
const PAGES: usize = 1000;

/// How long a share is waited for that the drive makes by a task, and the longest pause between looks.
const PATIENCE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Leads the id of a share that is not there yet; its task follows.
const PENDING: &str = "pending:";

/// The shares of one account, made from one space.
#[derive(Debug)]
pub(crate) struct Shares {
    account: Arc<Account>,
    container: String,
    /// Carriers write times otherwise.
    is_carrier: bool,
    attempts: Attempts,
}

impl Shares {
    pub(crate) fn new(account: Arc<Account>, container: String, is_carrier: bool) -> Self {
        Shares {
            account,
            container,
            is_carrier,
            attempts: Attempts::default(),
        }
    }

    async fn make(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        share_terms::check_items(items)?;
        share_terms::check(terms)?;
        let attempt = self.attempts.begin(items, terms)?;
        match attempt.open().stage.clone() {
            Stage::Accepted(task) => return Ok(self.wait_for(attempt, &task).await),
            Stage::Sent => {
                if let Some(share) = self.look(attempt.open()).await? {
                    attempt.end();
                    return Ok(share);
                }
            }
            Stage::New | Stage::Made(..) => {}
        }
        self.send(attempt).await
    }

    async fn send(&self, mut attempt: Attempt<'_>) -> Result<Share> {
        let call = self.create(attempt.open());
        attempt.reach(Stage::Sent);
        let error = match self.account.call(&call).await {
            Ok(answer) => match self.made_in(&answer, attempt.open())? {
                Some(share) => {
                    attempt.end();
                    return Ok(share);
                }
                None => match share_fields::task_in(&answer) {
                    Some(task) => {
                        attempt.reach(Stage::Accepted(task.clone()));
                        return Ok(self.wait_for(attempt, &task).await);
                    }
                    None => broken("the answer has neither a share nor a task"),
                },
            },
            Err(error) => error,
        };
        if !may_be_made(error.kind) {
            attempt.end();
            return Err(error);
        }
        // Where the drive cannot be asked either, the attempt stays open.
        match until_found(|| self.look(attempt.open())).await {
            Ok(Some(share)) => {
                attempt.end();
                Ok(share)
            }
            Ok(None) | Err(_) => Err(error),
        }
    }

    /// The share that a task makes; pending when that takes too long.
    async fn wait_for(&self, attempt: Attempt<'_>, task: &str) -> Share {
        let look = || async {
            match self.look(attempt.open()).await {
                Err(error) if status::is_temporary(error.kind) => Ok(None),
                found => found,
            }
        };
        match until_found(look).await {
            Ok(Some(share)) => {
                attempt.end();
                share
            }
            Ok(None) => pending(attempt.open(), task),
            Err(error) => {
                debug!(%error, "a share under way cannot be looked for");
                pending(attempt.open(), task)
            }
        }
    }

    fn create(&self, open: &Open) -> Call {
        let comment = share_terms::comment(open.terms.note.as_deref(), Some(&open.nonce));
        let mut body = self.fields(open, &comment);
        body["scope"] = json!(share_terms::scope(&open.terms.audience));
        body["fileIds"] = json!(open.items);
        body["containerId"] = json!(self.container);
        Call::post("share", "/koodrive/ose/v1/share", &body).hiding(open.code.as_ref())
    }

    fn fields(&self, open: &Open, comment: &str) -> Value {
        let now = self.account.client().http.clock.now();
        share_terms::fields(
            &open.terms,
            open.code.as_ref(),
            comment,
            now,
            self.is_carrier,
        )
    }

    /// The share that was asked for, when the answer has it.
    fn made_in(&self, answer: &Envelope, asked: &Open) -> Result<Option<Share>> {
        let Some(fields) = share_fields::in_answer(answer) else {
            return Ok(None);
        };
        let now = self.account.client().http.clock.now();
        Ok(Some(completed(share_fields::read(fields, now)?, asked)))
    }

    /// Looks for a share that was asked for among the newest.
    async fn look(&self, asked: &Open) -> Result<Option<Share>> {
        let is_it = |marked: &Marked| marked.nonce.as_ref() == Some(&asked.nonce);
        let found = self.find(is_it, 1).await?;
        Ok(found.map(|marked| completed(marked, asked)))
    }

    /// The first share that fits, on this many pages.
    async fn find(
        &self,
        fits: impl Fn(&Marked) -> bool + Send + Sync,
        pages: usize,
    ) -> Result<Option<Marked>> {
        let mut after = None;
        for _ in 0..pages {
            let (shares, next) = self.page(after.as_ref()).await?;
            if let Some(found) = shares.into_iter().find(&fits) {
                return Ok(Some(found));
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        Ok(None)
    }

    async fn page(&self, after: Option<&PageToken>) -> Result<(Vec<Marked>, Option<PageToken>)> {
        let cursor = after.map_or(FIRST_PAGE, |token| &token.0);
        let call = Call::get("shares", "/koodrive/ose/v1/share");
        let call = call
            .with_query("pageSize", PAGE_SIZE)
            .with_query("pageCursor", cursor);
        let answer = self.account.call(&call).await?;
        let now = self.account.client().http.clock.now();
        let (shares, next) = share_fields::page(&answer, after, now)?;
        for Marked { share, nonce, .. } in &shares {
            if let Some(nonce) = nonce {
                self.attempts.found(nonce, &share.id);
            }
        }
        Ok((shares, next))
    }

    /// The drive's id of a share. One that was pending has got it meanwhile, or is pending still.
    async fn id_of(&self, share: &ShareId) -> Result<ShareId> {
        let Some(task) = share.0.strip_prefix(PENDING) else {
            return Ok(share.clone());
        };
        let open = self.attempts.of_task(task);
        let open = open.ok_or_else(|| {
            let message = "no such share is under way; when it was, it is in the list of shares";
            ProviderError::new(ErrorKind::NotFound, message)
        })?;
        if let Stage::Made(_, id) = open.stage {
            return Ok(id);
        }
        let is_it = |marked: &Marked| marked.nonce.as_ref() == Some(&open.nonce);
        match self.find(is_it, PAGES).await? {
            Some(marked) => Ok(marked.share.id),
            None => {
                let message = "the drive is still making this share";
                Err(ProviderError::new(ErrorKind::RateLimited, message).about_item())
            }
        }
    }

    async fn change(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        share_terms::check_change(terms)?;
        let id = self.id_of(share).await?;
        let is_it = |marked: &Marked| marked.share.id == id;
        let known = self.find(is_it, PAGES).await?;
        let Some(known) = known.filter(|known| known.share.state != ShareState::Closed) else {
            let message = "the drive has no such share";
            return Err(ProviderError::new(ErrorKind::NotFound, message));
        };
        check_against(&known.share, terms)?;
        let asked = Open {
            items: known.share.items.clone(),
            terms: terms.clone(),
            code: match (&terms.password, &known.share.password) {
                // Those who have the link keep what opens it.
                (SharePassword::Auto, Some(code)) => Some(code.clone()),
                (password, _) => share_terms::code(password)?,
            },
            nonce: known.nonce.clone().unwrap_or_default(),
            stage: Stage::Sent,
        };
        let comment = share_terms::comment(terms.note.as_deref(), known.nonce.as_deref());
        let path = format!("/koodrive/ose/v1/share/{}", path::segment(&id.0)?);
        let body = share_terms::changes(self.fields(&asked, &comment), terms, &known.share.terms);
        let call = Call::put("reshare", path, &body);
        let answer = self.account.call(&call.hiding(asked.code.as_ref())).await?;
        if let Some(share) = self.made_in(&answer, &asked)? {
            return Ok(with_known(share, known.share));
        }
        let changed = self.find(is_it, PAGES).await?;
        let changed = changed.ok_or_else(|| broken("the changed share is gone"))?;
        Ok(completed(changed, &asked))
    }

    /// Revokes a share; what the drive says is gone is revoked. Of a share under way that nobody here
    /// knows nothing is known to be gone.
    async fn revoke(&self, share: &ShareId) -> Result<()> {
        let id = self.id_of(share).await?;
        match self.cancel(&id).await {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    async fn cancel(&self, id: &ShareId) -> Result<()> {
        let body = json!({"shareIds": [id]});
        let call = Call::post("unshare", "/koodrive/ose/v1/share/cancel", &body);
        let answer = self.account.call(&call).await?;
        let entries = answer.field("subResponseList");
        let mut entries = entries.map_or(&[][..], value::elements).iter();
        let is_its = |entry: &&Map<String, Value>| {
            value::text_of(entry, "shareId").is_some_and(|told| told == id.0)
        };
        let entry = entries.by_ref().filter_map(Value::as_object).find(is_its);
        let entry = entry.ok_or_else(|| broken("the answer does not mention this share"))?;
        item_answer::check(entry, self.account.client())
    }
}

#[async_trait]
impl Sharing for Shares {
    async fn check(&self, terms: &ShareTerms) -> Result<()> {
        share_terms::check(terms)
    }

    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        let made = self.make(items, terms).await;
        made.map_err(|error| match items {
            [item] => error.during(format_args!("share item {item}")),
            items => error.during(format_args!("share {} items", items.len())),
        })
    }

    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        let changed = self.change(share, terms).await;
        changed.map_err(|error| error.during(format_args!("change share {}", share.0)))
    }

    async fn unshare(&self, share: &ShareId) -> Result<()> {
        let revoked = self.revoke(share).await;
        revoked.map_err(|error| error.during(format_args!("revoke share {}", share.0)))
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

/// What an open share cannot become without getting another address.
fn check_against(known: &Share, terms: &ShareTerms) -> Result<()> {
    let refused = |what: &str| {
        let message = format!("this drive cannot {what} of an open share: revoke it, share anew");
        Err(ProviderError::new(ErrorKind::Unsupported, message))
    };
    let scope = |audience: &Audience| share_terms::scope(audience);
    if scope(&known.terms.audience) != scope(&terms.audience) {
        return refused("change the audience");
    }
    if terms.password == SharePassword::None && known.password.is_some() {
        return refused("take off the access code");
    }
    match terms.audience == known.terms.audience {
        // Whom it is for may be nobody as far as the list tells, and stays as it is.
        true => Ok(()),
        false => share_terms::check_audience(&terms.audience),
    }
}

/// A share of ours. What the drive leaves out of it is as it was asked for.
fn completed(marked: Marked, asked: &Open) -> Share {
    let Marked { mut share, .. } = marked;
    if share.items.is_empty() {
        share.items.clone_from(&asked.items);
    }
    let code = share.password.or_else(|| asked.code.clone());
    let terms = &mut share.terms;
    terms.password = given(code.as_ref());
    share.password = code;
    let wanted = &asked.terms.audience;
    let is_same_kind = share_terms::scope(&terms.audience) == share_terms::scope(wanted);
    if is_same_kind && !share_terms::names_nobody(wanted) {
        terms.audience.clone_from(wanted);
    }
    if !marked.has_permissions {
        terms.permissions = asked.terms.permissions;
    }
    terms.valid_for = terms.valid_for.or(asked.terms.valid_for);
    let note = asked.terms.note.clone();
    terms.note = note.filter(|note| !note.is_empty());
    share
}

/// A share that was changed. What no change concerns is as it was where the answer leaves it out: the documents
/// show one without name, address and counters.
fn with_known(mut share: Share, known: Share) -> Share {
    if !share.url.contains("://") {
        share.url = known.url;
    }
    if share.name.is_empty() {
        share.name = known.name;
    }
    share.created = share.created.or(known.created);
    let counters = &mut share.counters;
    counters.views = counters.views.or(known.counters.views);
    counters.downloads = counters.downloads.or(known.counters.downloads);
    counters.saves = counters.saves.or(known.counters.saves);
    share
}

fn given(code: Option<&Secret<String>>) -> SharePassword {
    code.cloned()
        .map_or(SharePassword::None, SharePassword::Given)
}

/// What is known of a share that the drive makes still.
fn pending(open: &Open, task: &str) -> Share {
    Share {
        id: ShareId(format!("{PENDING}{task}")),
        name: String::new(),
        items: open.items.clone(),
        url: String::new(),
        terms: ShareTerms {
            password: given(open.code.as_ref()),
            ..open.terms.clone()
        },
        password: open.code.clone(),
        created: None,
        expires: None,
        state: ShareState::Pending,
        counters: ShareCounters::default(),
    }
}

/// Whether a share may be made though its call failed so: the answer, and not the call, was lost.
fn may_be_made(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::Broken)
}

/// Looks at once and after 1, 2, 4 and 8 seconds, as long as patience lasts.
async fn until_found<T, F>(look: impl Fn() -> F) -> Result<Option<T>>
where
    F: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_secs(1);
    loop {
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        if Instant::now() + pause > end {
            return Ok(None);
        }
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(2 * pause);
    }
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn looks_come_at_once_and_ever_later() {
        let start = Instant::now();
        let looks = Mutex::new(Vec::new());
        let look = || {
            looks.lock().unwrap().push(start.elapsed().as_secs());
            std::future::ready(Ok(None::<()>))
        };
        assert_eq!(until_found(look).await, Ok(None));
        assert_eq!(*looks.lock().unwrap(), [0, 1, 3, 7, 15, 23]);
    }
}
