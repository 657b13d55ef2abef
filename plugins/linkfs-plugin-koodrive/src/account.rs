use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use linkfs_provider::Redactor;
use linkfs_provider::Result;
use linkfs_provider_http::Credential;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::client::{Authorization, Call, Client, Refusal};
use crate::config::{AuthMode, Login};
use crate::envelope::Envelope;
use crate::error_codes::LoginVerdict;
use crate::login;
use crate::token::{SchemeJoin, Token};
use crate::token_store::TokenStore;

/// One account: makes calls with its authorization, and renews that when the drive refuses it.
#[derive(Debug)]
pub(crate) struct Account {
    shared: Arc<Shared>,
    credential: Credential<Authority>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    mode: AuthMode,
    store: TokenStore,
    last_success: Mutex<Instant>,
}

/// What calls are authorized with.
#[derive(Clone, Debug)]
struct Authority {
    token: Option<Token>,
    join: SchemeJoin,
    /// Whether `join` is more than a setting: a call succeeded with it, or no other does better.
    is_join_known: bool,
}

/// What one call is authorized with.
type Pass = linkfs_provider_http::Pass<Authority>;

impl Account {
    /// Opens the account; the network is not asked.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(setup: Login, state_dir: &Path) -> Result<Self> {
        let redactor = Redactor::new(setup.auth.secrets());
        let owner = setup.auth.fingerprint(setup.endpoint.as_str());
        let http = linkfs_provider_http::Client::new(setup.endpoint, redactor)?;
        let client = Client::new(http, setup.identity);
        let store = TokenStore::new(state_dir, owner);
        let kept = match setup.auth {
            AuthMode::Session { .. } | AuthMode::Carrier { .. } => store.load(),
            AuthMode::Token { .. } | AuthMode::App(_) => None,
        };
        if let Some(kept) = &kept {
            learn(&client, kept);
        }
        let credential = Credential::new(Authority {
            token: kept.or_else(|| setup.auth.given(SystemTime::now())),
            join: setup.scheme_join,
            is_join_known: false,
        });
        let shared = Arc::new(Shared {
            client,
            mode: setup.auth,
            store,
            last_success: Mutex::new(Instant::now()),
        });
        Ok(Account { shared, credential })
    }

    /// The client, for what is known without a call.
    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// When a call last succeeded.
    pub(crate) fn last_success(&self) -> Instant {
        let last = self.shared.last_success.lock();
        *last.unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes `call`; when the drive refuses the login, renews that once and makes it once more.
    ///
    /// # Errors
    /// Whatever the drive says; `LoginExpired` when renewing did not help.
    pub(crate) async fn call(&self, call: &Call) -> Result<Envelope> {
        let pass = self.pass().await?;
        match self.send(call, &pass).await {
            Ok(answer) => Ok(answer),
            Err(refusal) if self.blames_login(&refusal, &pass) => {
                self.call_again(call, pass, refusal).await
            }
            Err(refusal) => Err(refusal.error),
        }
    }

    async fn call_again(&self, call: &Call, pass: Pass, refusal: Refusal) -> Result<Envelope> {
        if refusal.login == LoginVerdict::Refused
            && let Some(answer) = self.try_other_joins(call, &pass).await
        {
            return answer;
        }
        let pass = match self.shared.mode {
            // The refusal has set our clock by the drive's: the next signature may be better.
            AuthMode::App(_) => pass,
            AuthMode::Token { .. } if self.credential.pass().stamp == pass.stamp => {
                return Err(self.shared.mode.login_over(&refusal.error));
            }
            _ => self.renewed(pass.stamp).await?,
        };
        let mut answer = self.send(call, &pass).await;
        // What another process got may be as old as what was refused: then one is got here.
        let is_adopted = pass.value.token.as_ref().is_some_and(|t| t.is_adopted);
        let is_blamed = |refusal: &Refusal| self.blames_login(refusal, &pass);
        if is_adopted && answer.as_ref().is_err_and(is_blamed) {
            let renewed = self.renewed(pass.stamp).await?;
            answer = self.send(call, &renewed).await;
        }
        answer.map_err(|refusal| match refusal.login {
            LoginVerdict::Refused => self.shared.mode.login_over(&refusal.error),
            _ => refusal.error,
        })
    }

    /// Whether a new login could turn the refusal. One without a reason is worth a try only when the
    /// token is old.
    fn blames_login(&self, refusal: &Refusal, pass: &Pass) -> bool {
        let can_renew = !matches!(self.shared.mode, AuthMode::Token { .. } | AuthMode::App(_));
        let is_old = |token: &Token| token.is_past_half_life(SystemTime::now());
        match refusal.login {
            LoginVerdict::Refused => true,
            LoginVerdict::Unclear => can_renew && pass.value.token.as_ref().is_some_and(is_old),
            LoginVerdict::Fine => false,
        }
    }

    /// What to authorize the next call with: logs in first when there is no token, and renews one
    /// that is about to end.
    async fn pass(&self) -> Result<Pass> {
        let pass = self.credential.pass();
        if matches!(self.shared.mode, AuthMode::App(_)) {
            return Ok(pass);
        }
        match &pass.value.token {
            None => self.renewed(pass.stamp).await,
            // A token that is about to end holds still: without a new one the call may succeed.
            Some(token) if token.is_due(SystemTime::now()) => {
                let renewed = self.renewed(pass.stamp).await;
                Ok(renewed.unwrap_or(pass))
            }
            Some(_) => Ok(pass),
        }
    }

    /// The pass after the one with `stamp`.
    async fn renewed(&self, stamp: u64) -> Result<Pass> {
        let shared = self.shared.clone();
        let next = move |old: Authority| async move { shared.next(old).await };
        self.credential.renewed(stamp, next).await
    }

    async fn send(&self, call: &Call, pass: &Pass) -> Result<Envelope, Refusal> {
        let Shared { client, mode, .. } = &*self.shared;
        let authorization = match (mode, &pass.value.token) {
            (AuthMode::App(key), _) => Authorization::Signed(key),
            (_, Some(token)) => Authorization::Header(token.header(mode.scheme(), pass.value.join)),
            (_, None) => Authorization::None,
        };
        let answer = client.send(call, &authorization).await;
        if answer.is_ok() {
            self.shared.succeeded();
            // A late answer to an older pass says nothing of the present one.
            let know = |authority: &mut Authority| authority.is_join_known = true;
            self.credential.note(pass.stamp, know);
        }
        answer
    }

    /// Makes `call` with the other ways to join scheme and token, once in the account's life and
    /// only while none has succeeded. `None` when that changed nothing for this call.
    async fn try_other_joins(&self, call: &Call, pass: &Pass) -> Option<Result<Envelope>> {
        let token = pass.value.token.as_ref();
        let token = token.filter(|_| !pass.value.is_join_known)?;
        let _alone = self.credential.alone().await;
        let now = self.credential.pass();
        if now.stamp != pass.stamp || now.value.is_join_known {
            return None;
        }
        let header = |join| token.header(self.shared.mode.scheme(), join);
        let mut tried = vec![header(pass.value.join)];
        for join in SchemeJoin::ALL {
            if tried.contains(&header(join)) {
                continue;
            }
            tried.push(header(join));
            let authorization = Authorization::Header(header(join));
            match self.shared.client.send(call, &authorization).await {
                Err(refusal) if refusal.login == LoginVerdict::Refused => {}
                // The drive that cannot answer has not said what it thinks of the login.
                Err(refusal) if !refusal.is_told => return Some(Err(refusal.error)),
                answer => {
                    self.choose(now.value, join);
                    return Some(answer.map_err(|refusal| refusal.error));
                }
            }
        }
        let know = |authority: &mut Authority| authority.is_join_known = true;
        self.credential.note(pass.stamp, know);
        None
    }

    fn choose(&self, authority: Authority, join: SchemeJoin) {
        info!(?join, "the drive takes the token written this way");
        self.credential.replace(Authority {
            join,
            is_join_known: true,
            ..authority
        });
        self.shared.succeeded();
    }
}

impl Shared {
    fn succeeded(&self) {
        let last = self.last_success.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// What follows on `old`: used from now on, once it is kept, since what was used and then lost
    /// cannot be renewed.
    async fn next(&self, old: Authority) -> Result<Authority> {
        let token = self.next_token(old.token, old.join).await?;
        Ok(Authority {
            token: Some(token),
            ..old
        })
    }

    /// The token after `old`, or a newer one that another process has kept. A token is traded in
    /// once, so whoever does it holds the lock until the next one is kept.
    async fn next_token(&self, old: Option<Token>, join: SchemeJoin) -> Result<Token> {
        let lock = self.store.lock().await;
        let kept = self.kept_after(old.as_ref());
        if let Some(kept) = kept.as_ref().filter(|kept| !kept.is_due(SystemTime::now())) {
            return Ok(kept.clone());
        }
        let newest = kept.or(old);
        let token = login::next_token(&self.mode, &self.client, newest.as_ref(), join).await?;
        let token = Token {
            serial: newest.map_or(0, |token| token.serial) + 1,
            ..token
        };
        learn(&self.client, &token);
        // A few hundred bytes, at most every few minutes: not worth a thread of its own.
        if let Err(error) = lock.and_then(|lock| self.store.save(&lock, &token)) {
            warn!(%error, "the new token cannot be kept: the next start may need a new login");
        }
        Ok(token)
    }

    /// The kept token, when it is newer than `old`.
    fn kept_after(&self, old: Option<&Token>) -> Option<Token> {
        let is_newer = |kept: &Token| old.is_none_or(|old| kept.serial > old.serial);
        let kept = self.store.load().filter(is_newer)?;
        learn(&self.client, &kept);
        Some(kept)
    }
}

fn learn(client: &Client, token: &Token) {
    client.http.redactor.learn(token.bare());
    if let Some(refresh) = &token.refresh {
        client.http.redactor.learn(refresh.expose());
    }
}
