//! Being inside somebody's share.
//!
//! A share with an access code gives a token for the code, `kdstoken`, which all that follows carries. The
//! documents tell nothing of its life: when the drive refuses it, the code is verified again once. They do
//! not name the field either by which a visit tells that a code is needed; `needExtractCode` is assumed, and
//! without it a code is verified when there is one.
//!
//! How a visitor gets at the bytes of one file is not documented. There is the header
//! `x-hw-share-folder-id`, which "runs a call inside what somebody has shared", and there are the calls that
//! link and look at files. Assumed is that these work inside a share with its id in the header, the space
//! that the answer about its files names, and the `kdstoken` in the body.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use linkfs_provider::{ErrorKind, ItemId, Page, PageToken, ProviderError, Result, Secret};
use linkfs_provider_http::value;
use serde_json::{Value, json};

use crate::account::Account;
use crate::client::Call;
use crate::envelope::Envelope;
use crate::listing;
use crate::share_fields::FIRST_PAGE;

/// Stands for the top of a share, which has no id.
pub(crate) const TOP: &str = "root";

/// The largest page the drive gives.
const PAGE_SIZE: u32 = 100;

/// How a share is found and opened.
#[derive(Clone, Debug)]
pub(crate) struct Ticket {
    pub(crate) short_url: String,
    pub(crate) code: Option<Secret<String>>,
}

/// Somebody in a share.
#[derive(Debug)]
pub(crate) struct Visitor {
    account: Arc<Account>,
    ticket: Ticket,
    known: Mutex<Known>,
}

/// What is known of the share.
#[derive(Clone, Debug, Default)]
struct Known {
    is_open: bool,
    kdstoken: Option<Secret<String>>,
    share: Option<String>,
    container: Option<String>,
}

/// Where the shared files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) share: String,
    pub(crate) container: String,
}

impl Ticket {
    /// The short code in a share's address, or that code alone.
    ///
    /// # Errors
    /// `Invalid` for what holds none; the message does not repeat it.
    pub(crate) fn new(address: &str, code: Option<Secret<String>>) -> Result<Self> {
        let address = address.trim().trim_end_matches('/');
        let last = address.rsplit('/').next().unwrap_or("");
        let short_url = last.split('?').next().unwrap_or("");
        let is_code = |text: &str| {
            let is_letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
            !text.is_empty() && text.bytes().all(is_letter)
        };
        if !is_code(short_url) {
            let message = "this is no address of a share: it must end in the share's short code";
            return Err(ProviderError::new(ErrorKind::Invalid, message));
        }
        Ok(Ticket {
            short_url: short_url.to_owned(),
            code: code.filter(|code| !code.expose().is_empty()),
        })
    }
}

impl Visitor {
    pub(crate) fn new(account: Arc<Account>, ticket: Ticket) -> Self {
        Visitor {
            account,
            ticket,
            known: Mutex::default(),
        }
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Makes a call inside the share, made for the token there is; when that is refused, once more
    /// with another.
    ///
    /// # Errors
    /// `Denied` for a code that is missing or wrong, `NotFound` for a share that is over, and whatever
    /// the drive says.
    pub(crate) async fn call(
        &self,
        call: impl Fn(Option<&Secret<String>>) -> Result<Call> + Send + Sync,
    ) -> Result<Envelope> {
        let token = self.opened().await?;
        let first = call(token.as_ref())?.hiding(token.as_ref());
        match self.account.call(&first).await {
            Err(error) if self.ticket.code.is_some() && may_be_the_token(error.kind) => {
                let token = self.token_after(token.as_ref()).await?;
                let second = call(token.as_ref())?.hiding(token.as_ref());
                self.account.call(&second).await
            }
            answer => answer,
        }
    }

    /// A page of a folder in the share.
    ///
    /// # Errors
    /// As [`Visitor::call`].
    pub(crate) async fn page(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page> {
        let answer = self.list(folder, after, PAGE_SIZE).await?;
        listing::read(&answer, after)
    }

    /// Where the files are, which a list of them tells.
    ///
    /// # Errors
    /// As [`Visitor::call`]; `Broken` when the drive does not tell.
    pub(crate) async fn source(&self) -> Result<Source> {
        if let Some(source) = self.known_source() {
            return Ok(source);
        }
        self.list(&TOP.into(), None, 1).await?;
        let message = "the drive does not tell where the files of this share are";
        let silent = || ProviderError::new(ErrorKind::Broken, message);
        self.known_source().ok_or_else(silent)
    }

    fn known_source(&self) -> Option<Source> {
        let known = self.known();
        Some(Source {
            share: known.share.clone()?,
            container: known.container.clone()?,
        })
    }

    async fn list(
        &self,
        folder: &ItemId,
        after: Option<&PageToken>,
        page_size: u32,
    ) -> Result<Envelope> {
        let cursor = after.map_or(FIRST_PAGE, |token| &token.0);
        let call = |token: Option<&Secret<String>>| {
            // By name: of the three orders that there are, the one that work on files changes least.
            let mut body = json!({"shortUrl": self.ticket.short_url, "pageSize": page_size,
                "pageCursor": cursor, "sortType": 1, "sortDirection": 1});
            if folder.as_str() != TOP {
                body["parentFolder"] = json!(folder);
            }
            Ok(post("shared files", "files", body, token))
        };
        let answer = self.call(call).await?;
        self.learn_source(&answer);
        Ok(answer)
    }

    /// `link` tells both; the files tell their space as well.
    fn learn_source(&self, answer: &Envelope) {
        let of_link = |name| {
            let link = answer.field("link").and_then(Value::as_object);
            link.and_then(|link| value::text_of(link, name))
        };
        let of_file = || {
            let files = answer.field("files").map_or(&[][..], value::elements);
            let containers = files.first()?.get("containers")?;
            value::text(value::elements(containers).first()?)
        };
        let mut known = self.known();
        if let Some(share) = of_link("shareId") {
            known.share = Some(share);
        }
        if let Some(container) = of_link("containerId").or_else(of_file) {
            known.container = Some(container);
        }
    }

    /// The token to go on with. Opens the share first.
    async fn opened(&self) -> Result<Option<Secret<String>>> {
        let known = self.known().clone();
        if known.is_open {
            return Ok(known.kdstoken);
        }
        let visit = Call::get("visit share", "/koodrive/ose/v1/share/visit");
        let visit = visit.with_query("shortUrl", &self.ticket.short_url);
        let answer = self.account.call(&visit).await?;
        if answer
            .field("status")
            .is_some_and(|told| !value::is_zero(told))
        {
            let message = "the share is over";
            return Err(ProviderError::new(ErrorKind::NotFound, message));
        }
        let has_code = self.ticket.code.is_some();
        let wants_code = answer
            .field("needExtractCode")
            .map_or(has_code, value::flag);
        let token = match wants_code {
            true => Some(self.verified().await?),
            false => None,
        };
        let mut known = self.known();
        known.share = answer.field("shareId").and_then(value::text);
        known.kdstoken.clone_from(&token);
        known.is_open = true;
        Ok(token)
    }

    /// The token that replaces `refused`.
    async fn token_after(
        &self,
        refused: Option<&Secret<String>>,
    ) -> Result<Option<Secret<String>>> {
        let now = self.known().kdstoken.clone();
        if now.as_ref() != refused {
            return Ok(now);
        }
        let token = self.verified().await?;
        self.known().kdstoken = Some(token.clone());
        Ok(Some(token))
    }

    /// The token for the access code.
    async fn verified(&self) -> Result<Secret<String>> {
        let Some(code) = &self.ticket.code else {
            return Err(denied("the share asks for an access code"));
        };
        let body = json!({"shortUrl": self.ticket.short_url, "extractCode": code.expose()});
        let call = Call::post("verify code", "/koodrive/ose/v1/share/verify", &body);
        let answer = self.account.call(&call.hiding(Some(code))).await;
        let answer = answer.map_err(|error| match error.kind {
            ErrorKind::Invalid | ErrorKind::Denied => {
                denied(format!("the drive does not take the access code: {error}"))
            }
            _ => error,
        })?;
        let token = answer.field("kdstoken").and_then(value::text);
        let token = token.filter(|token| !token.is_empty()).map(Secret::new);
        token.ok_or_else(|| {
            let message = "the answer to the access code holds no token";
            ProviderError::new(ErrorKind::Broken, message)
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source {
    /// Makes a call on files one inside the share.
    pub(crate) fn enter(
        &self,
        name: &'static str,
        path: String,
        mut body: Value,
        token: Option<&Secret<String>>,
    ) -> Call {
        body["containerId"] = json!(self.container);
        if let Some(token) = token {
            body["kdstoken"] = json!(token.expose());
        }
        let share = Secret::new(self.share.clone());
        Call::post(name, path, &body).with_header("x-hw-share-folder-id", share)
    }
}

/// A call of the family that visitors have.
pub(crate) fn post(
    name: &'static str,
    what: &str,
    mut body: Value,
    token: Option<&Secret<String>>,
) -> Call {
    if let Some(token) = token {
        body["kdstoken"] = json!(token.expose());
    }
    Call::post(name, format!("/koodrive/ose/v1/share/{what}"), &body)
}

/// Whether a refusal may be about the token: it is documented for none.
fn may_be_the_token(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Denied | ErrorKind::Invalid)
}

fn denied(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Denied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, short_url: Option<&str>) {
        let ticket = Ticket::new(address, None).map(|ticket| ticket.short_url);
        assert_eq!(ticket.ok().as_deref(), short_url, "{address}");
    }

    #[test]
    fn an_address_ends_in_a_short_code() {
        let page = "https://console.example.test/cloudfile/#/sharelink/i/";
        check(&format!("{page}aB3dE5"), Some("aB3dE5"));
        check(&format!(" {page}aB3dE5/\n"), Some("aB3dE5"));
        check(&format!("{page}aB3dE5?from=mail"), Some("aB3dE5"));
        check("aB3dE5", Some("aB3dE5"));
        check("https://console.example.test", None);
        check("", None);
        check("a b", None);
    }

    #[test]
    fn what_is_no_address_is_not_repeated() {
        let error = Ticket::new("s3cret!", None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(!error.message.contains("s3cret"), "{error}");
    }
}
