use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{Credential, Pass, value};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::client::{Call, Refusal};

/// How long a token of a share is asked for: as long as it is given.
const TOKEN_LIFE: Duration = Duration::from_secs(7200);

/// A token is renewed this long before it ends, so that no call meets its end on the way.
const MARGIN: Duration = Duration::from_secs(60);

/// Somebody's share, open: makes calls inside it, with a token that its password buys.
#[derive(Debug)]
pub(crate) struct ShareSession {
    door: Arc<Door>,
    credential: Credential<Option<ShareToken>>,
}

#[derive(Debug)]
struct Door {
    account: Arc<Account>,
    share_id: String,
    password: Option<Secret<String>>,
}

/// What opens the share for a while.
#[derive(Clone, Debug)]
struct ShareToken {
    text: Secret<String>,
    /// By the drive's clock, the margin taken off.
    ends: SystemTime,
}

impl ShareSession {
    pub(crate) fn new(
        account: &Arc<Account>,
        share_id: String,
        password: Option<Secret<String>>,
    ) -> Self {
        ShareSession {
            door: Arc::new(Door {
                account: account.clone(),
                share_id,
                password,
            }),
            credential: Credential::new(None),
        }
    }

    /// The share, as the bodies of calls name it.
    pub(crate) fn holder(&self) -> (&str, &str) {
        ("share_id", &self.door.share_id)
    }

    /// Makes a call inside the share; when its token is refused, gets a new one once and makes the call
    /// once more.
    ///
    /// # Errors
    /// Whatever the drive says; `LoginExpired` when the password does not open the share.
    pub(crate) async fn call(
        &self,
        path: &'static str,
        body: &Value,
    ) -> Result<Map<String, Value>> {
        let pass = self.pass().await?;
        match self.send(path, body, &pass).await {
            Err(refusal) if refusal.is_about_share => {
                let pass = self.renewed(pass.stamp).await?;
                let answer = self.send(path, body, &pass).await;
                answer.map_err(|refusal| refusal.error)
            }
            answer => answer.map_err(|refusal| refusal.error),
        }
    }

    async fn send(
        &self,
        path: &'static str,
        body: &Value,
        pass: &Pass<Option<ShareToken>>,
    ) -> Result<Map<String, Value>, Refusal> {
        let call = Call::json(path, body);
        let call = match &pass.value {
            Some(token) => call.inside(token.text.clone()),
            None => call,
        };
        self.door.account.ask(&call).await
    }

    async fn pass(&self) -> Result<Pass<Option<ShareToken>>> {
        let pass = self.credential.pass();
        let now = self.door.now();
        match &pass.value {
            Some(token) if now < token.ends => Ok(pass),
            _ => self.renewed(pass.stamp).await,
        }
    }

    async fn renewed(&self, stamp: u64) -> Result<Pass<Option<ShareToken>>> {
        let door = self.door.clone();
        let next = move |_old| async move { door.open().await.map(Some) };
        self.credential.renewed(stamp, next).await
    }
}

impl Door {
    async fn open(&self) -> Result<ShareToken> {
        let password = self.password.as_ref();
        let body = json!({
            "share_id": self.share_id,
            "share_pwd": password.map_or("", |password| password.expose()),
            "expire_sec": TOKEN_LIFE.as_secs(),
        });
        let call = Call::json("/v2/share_link/get_share_token", &body).hiding(password);
        let answer = self.account.call(&call).await.map_err(refused)?;
        let text = value::text_of(&answer, "share_token").ok_or_else(|| {
            let message = "open the share: the answer has no token";
            ProviderError::new(ErrorKind::Broken, message)
        })?;
        self.account.shared.client.http.redactor.learn(&text);
        let life = answer.get("expires_in").and_then(value::count);
        let life = life.map_or(TOKEN_LIFE, Duration::from_secs).min(TOKEN_LIFE);
        Ok(ShareToken {
            text: Secret::new(text),
            // Half of a short life is left to use it.
            ends: self.now() + (life - MARGIN.min(life / 2)),
        })
    }

    fn now(&self) -> SystemTime {
        self.account.shared.client.http.clock.now()
    }
}

/// What a refused password means: it stays refused until a person acts, and asking again and again
/// could close the share.
fn refused(error: ProviderError) -> ProviderError {
    match error.kind {
        ErrorKind::Denied => {
            let message =
                format!("the share does not open: check `password` (the drive said: {error})");
            ProviderError::new(ErrorKind::LoginExpired, message)
        }
        ErrorKind::NotFound => {
            let message = format!("the share is over, or never was (the drive said: {error})");
            ProviderError::new(ErrorKind::NotFound, message)
        }
        _ => error.during("open the share"),
    }
}
