use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use linkfs_provider::Redactor;
use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{Credential, TokenFile, TokenLock, settings};
use reqwest::Url;
use serde_json::{Map, Value};
use tracing::error;

use crate::client::{Call, Client, Refusal};
use crate::config::{App, AuthMode};
use crate::oauth::{self, Grant};
use crate::token::Token;

/// One account: makes calls with its authorization, and renews that when the drive refuses it.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) shared: Arc<Shared>,
    credential: Credential<Option<Token>>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Client,
    pub(crate) mode: AuthMode,
    file: TokenFile,
}

/// What one call is authorized with.
type Pass = linkfs_provider_http::Pass<Option<Token>>;

impl Account {
    /// Opens the account; the network is not asked.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(endpoint: Url, mode: AuthMode, state_dir: &Path) -> Result<Self> {
        let owner = mode.fingerprint(endpoint.as_str());
        let redactor = Redactor::new(mode.secrets());
        let client = Client {
            http: linkfs_provider_http::Client::new(endpoint, redactor)?,
        };
        let file = TokenFile::new(state_dir, owner);
        let shared = Shared { client, mode, file };
        let token = match &shared.mode {
            AuthMode::Token(token) => Some(Token::given(token.clone())),
            AuthMode::Refresh { .. } => shared.kept(),
            AuthMode::Jwt { .. } | AuthMode::Nobody => None,
        };
        Ok(Account {
            shared: Arc::new(shared),
            credential: Credential::new(token),
        })
    }

    /// Makes `call`; when the drive refuses the login, renews that once and makes it once more.
    ///
    /// # Errors
    /// Whatever the drive says; `LoginExpired` when renewing did not help.
    pub(crate) async fn call(&self, call: &Call) -> Result<Map<String, Value>> {
        let answer = self.ask(call).await;
        answer.map_err(|refusal| refusal.error)
    }

    /// As [`Account::call`], for who has to know more of a refusal.
    ///
    /// # Errors
    /// As [`Account::call`].
    pub(crate) async fn ask(&self, call: &Call) -> Result<Map<String, Value>, Refusal> {
        let pass = self.pass().await?;
        let refusal = match self.send(call, &pass).await {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal,
        };
        if !refusal.is_about_login || !self.can_renew() {
            return Err(self.final_word(refusal));
        }
        let mut renewed = self.renewed(pass.stamp).await?;
        let mut answer = self.send(call, &renewed).await;
        // What another process got may be as old as what was refused: then one is got here.
        let is_adopted = renewed.value.as_ref().is_some_and(|token| token.is_adopted);
        if is_adopted && answer.as_ref().is_err_and(|refusal| refusal.is_about_login) {
            renewed = self.renewed(renewed.stamp).await?;
            answer = self.send(call, &renewed).await;
        }
        answer.map_err(|refusal| self.final_word(refusal))
    }

    /// Uses the token of a new login from now on, once it is kept.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be kept.
    pub(crate) async fn log_in(&self, token: Token) -> Result<()> {
        let lock = self.shared.lock().await?;
        let newest = self.shared.newest(self.credential.pass().value);
        // A running mount may hold a newer token than the file, which may be gone: the time is past
        // whatever it counted up to. Not the drive's time, which is told in whole seconds.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0));
        let next = newest.map_or(0, |token| token.serial) + 1;
        let token = Token {
            serial: next.max(now),
            ..token
        };
        self.shared.keep(&lock, &token)?;
        self.credential.replace(Some(token));
        Ok(())
    }

    async fn send(&self, call: &Call, pass: &Pass) -> Result<Map<String, Value>, Refusal> {
        let access = pass.value.as_ref().map(|token| &token.access);
        self.shared.client.send(call, access).await
    }

    fn can_renew(&self) -> bool {
        !matches!(self.shared.mode, AuthMode::Token(_) | AuthMode::Nobody)
    }

    fn final_word(&self, refusal: Refusal) -> Refusal {
        match refusal.is_about_login {
            true => self.shared.mode.login_over(&refusal.error).into(),
            false => refusal,
        }
    }

    /// What to authorize the next call with: logs in first when there is no token, and renews one
    /// that is about to end.
    async fn pass(&self) -> Result<Pass> {
        let pass = self.credential.pass();
        let now = self.shared.client.http.clock.now();
        match &pass.value {
            None if !self.can_renew() => Ok(pass),
            None => self.renewed(pass.stamp).await,
            // A token that is about to end holds still: without a new one the call may succeed.
            Some(token) if token.is_due(now) => {
                let renewed = self.renewed(pass.stamp).await;
                let is_over = token.expires.is_some_and(|end| end <= now);
                match renewed {
                    Err(failure) if is_over => Err(failure),
                    renewed => Ok(renewed.unwrap_or(pass)),
                }
            }
            Some(_) => Ok(pass),
        }
    }

    /// The pass after the one with `stamp`.
    async fn renewed(&self, stamp: u64) -> Result<Pass> {
        if let Some(pass) = self.found(stamp).await {
            return Ok(pass);
        }
        let shared = self.shared.clone();
        let next = move |old| async move { shared.next(old).await.map(Some) };
        self.credential.renewed(stamp, next).await
    }

    /// A newer token that another process has got meanwhile: a login on the command line ends the
    /// failure of a mount at once.
    async fn found(&self, stamp: u64) -> Option<Pass> {
        if !matches!(self.shared.mode, AuthMode::Refresh { .. }) {
            return None;
        }
        let _alone = self.credential.alone().await;
        let pass = self.credential.pass();
        if pass.stamp != stamp {
            return Some(pass);
        }
        let kept = self.shared.kept_after(pass.value.as_ref())?;
        if kept.is_due(self.shared.client.http.clock.now()) {
            return None;
        }
        self.credential.replace(Some(kept));
        Some(self.credential.pass())
    }
}

impl Shared {
    /// What follows on `old`, found out by one process at a time.
    async fn next(&self, old: Option<Token>) -> Result<Token> {
        match &self.mode {
            AuthMode::Token(_) | AuthMode::Nobody => Err(self.mode.login_over(
                &ProviderError::new(ErrorKind::LoginExpired, "it was refused"),
            )),
            AuthMode::Jwt { app, key, claims } => {
                let token = oauth::token_for_assertion(&self.client, app, key, claims).await;
                token.map_err(|refusal| self.login_error(refusal))
            }
            AuthMode::Refresh { app, first, .. } => self.refreshed(app, first.as_ref(), old).await,
        }
    }

    /// The token that a refresh token buys. That works once, so whoever does it holds the lock, uses
    /// the newest one there is, and has the next on disk before anybody uses it.
    async fn refreshed(
        &self,
        app: &App,
        first: Option<&Secret<String>>,
        old: Option<Token>,
    ) -> Result<Token> {
        let lock = self.lock().await?;
        if let Some(kept) = self.kept_after(old.as_ref())
            && !kept.is_due(self.client.http.clock.now())
        {
            return Ok(kept);
        }
        let newest = self.newest(old);
        let refresh = newest.as_ref().and_then(|token| token.refresh.as_ref());
        let Some(refresh) = refresh.or(first) else {
            let message = "nobody has logged in yet: run `linkfs login DRIVE`";
            return Err(ProviderError::new(ErrorKind::LoginExpired, message));
        };
        if let Some(newest) = &newest {
            // Shows that the next one can be kept, before this one is spent.
            self.keep(&lock, newest)?;
        }
        let token = oauth::token(&self.client, app, &Grant::Refresh(refresh)).await;
        let token = token.map_err(|refusal| self.login_error(refusal))?;
        let token = Token {
            // A drive that does not rotate the refresh token need not repeat it.
            refresh: token.refresh.or_else(|| Some(refresh.clone())),
            serial: newest.as_ref().map_or(0, |token| token.serial) + 1,
            ..token
        };
        if let Err(failure) = self.keep(&lock, &token) {
            // The one before is spent: not to use this one would end the login now, and not only
            // with this process.
            error!(%failure, "the next start will need `linkfs login DRIVE`");
        }
        Ok(token)
    }

    async fn lock(&self) -> Result<TokenLock> {
        self.file.lock().await.map_err(|error| cannot_keep(&error))
    }

    fn keep(&self, lock: &TokenLock, token: &Token) -> Result<()> {
        // A few hundred bytes, once an hour: not worth a thread of its own.
        let kept = self.file.save(lock, token.fields());
        kept.map_err(|error| cannot_keep(&error))
    }

    fn kept(&self) -> Option<Token> {
        let token = Token::read(&self.file.load()?)?;
        oauth::learn(&self.client, &token);
        Some(token)
    }

    /// The kept token, when it is newer than `old`.
    fn kept_after(&self, old: Option<&Token>) -> Option<Token> {
        let is_newer = |kept: &Token| old.is_none_or(|old| kept.serial > old.serial);
        self.kept().filter(is_newer)
    }

    /// The newer of `old` and the kept token.
    fn newest(&self, old: Option<Token>) -> Option<Token> {
        self.kept_after(old.as_ref()).or(old)
    }

    /// What a refused login means: a drive that cannot answer now may do so later; everything else
    /// it says stays so until a person acts.
    fn login_error(&self, refusal: Refusal) -> ProviderError {
        match oauth::is_final(&refusal) {
            true => self.mode.login_over(&refusal.error),
            false => refusal.error.during("renew the login"),
        }
    }
}

impl AuthMode {
    /// Every secret of the settings, as a message could hold it.
    fn secrets(&self) -> Vec<Secret<String>> {
        let app_secret = match self {
            AuthMode::Refresh { app, .. } | AuthMode::Jwt { app, .. } => app.client_secret.clone(),
            AuthMode::Token(_) | AuthMode::Nobody => None,
        };
        let own = match self {
            AuthMode::Token(token) => Some(token.clone()),
            AuthMode::Refresh { first, .. } => first.clone(),
            AuthMode::Jwt { .. } | AuthMode::Nobody => None,
        };
        app_secret.into_iter().chain(own).collect()
    }

    /// A name for these credentials that gives none of them away: a new refresh token in the settings
    /// makes another account of it.
    fn fingerprint(&self, endpoint: &str) -> String {
        let (mode, client_id, first) = match self {
            AuthMode::Nobody => ("nobody", "", ""),
            AuthMode::Token(_) => ("token", "", ""),
            AuthMode::Jwt { app, .. } => ("jwt", app.client_id.as_str(), ""),
            AuthMode::Refresh { app, first, .. } => {
                let first = first.as_ref().map_or("", |first| first.expose());
                ("refresh", app.client_id.as_str(), first)
            }
        };
        settings::fingerprint(&[endpoint, mode, client_id, first])
    }

    /// What a person has to do when the login is over, with what the drive said.
    fn login_over(&self, said: &ProviderError) -> ProviderError {
        let advice = match self {
            AuthMode::Nobody => {
                "the share asks for a login: set `client_id` and `refresh_token`, or another login"
            }
            AuthMode::Token(_) => "the token in `token` is no longer accepted: put a new one there",
            AuthMode::Refresh { .. } => {
                "the login is over: run `linkfs login DRIVE`, or put a new token into \
                 `refresh_token`"
            }
            AuthMode::Jwt { .. } => {
                "the drive refuses the signed login: check `client_id`, `domain` and the `jwt_` \
                 settings"
            }
        };
        let message = format!("{advice} (the drive said: {said})");
        ProviderError::new(ErrorKind::LoginExpired, message)
    }
}

fn cannot_keep(error: &std::io::Error) -> ProviderError {
    let message = format!("the login is not renewed, because it could not be kept: {error}");
    ProviderError::new(ErrorKind::Unavailable, message)
}
