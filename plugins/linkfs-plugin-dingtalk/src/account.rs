use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use linkfs_provider::Redactor;
use linkfs_provider::Result;
use linkfs_provider_http::Credential;
use reqwest::Url;
use tracing::warn;

use crate::client::{Call, Client, Fields, Refusal};
use crate::login::Login;
use crate::token_store::{Token, TokenStore};

/// One app's access: makes calls with its token, and gets a new one when the drive refuses it.
#[derive(Debug)]
pub(crate) struct Account {
    shared: Arc<Shared>,
    credential: Credential<Option<Token>>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    login: Login,
    store: TokenStore,
}

/// What one call is authorized with.
type Pass = linkfs_provider_http::Pass<Option<Token>>;

impl Account {
    /// Opens the account; the network is not asked.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub(crate) fn open(endpoint: Url, login: Login, state_dir: &Path) -> Result<Self> {
        let store = TokenStore::new(state_dir, login.fingerprint(endpoint.as_str()));
        let redactor = Redactor::new(login.secrets());
        let client = Client::new(linkfs_provider_http::Client::new(endpoint, redactor)?);
        let token = match &login {
            Login::Token { token } => Some(Token {
                access: token.clone(),
                issued: SystemTime::now(),
                life: None,
            }),
            Login::App { .. } | Login::Corp { .. } => store.load(),
        };
        if let Some(token) = &token {
            client.http.redactor.learn(token.access.expose());
        }
        Ok(Account {
            shared: Arc::new(Shared {
                client,
                login,
                store,
            }),
            credential: Credential::new(token),
        })
    }

    /// The client, for what is known without a call.
    pub(crate) fn client(&self) -> &Client {
        &self.shared.client
    }

    /// Makes `call`; when the drive refuses the token, gets a new one and makes it once more.
    ///
    /// # Errors
    /// Whatever the drive says; `LoginExpired` when a new token did not help.
    pub(crate) async fn call(&self, call: &Call) -> Result<Fields> {
        let pass = self.pass().await?;
        match self.send(call, &pass).await {
            Ok(answer) => Ok(answer),
            Err(refusal) if refusal.is_about_token => self.call_again(call, pass, refusal).await,
            Err(refusal) => Err(refusal.error),
        }
    }

    async fn call_again(&self, call: &Call, pass: Pass, refusal: Refusal) -> Result<Fields> {
        let login = &self.shared.login;
        if matches!(login, Login::Token { .. }) {
            return Err(login.over(&refusal.error));
        }
        let pass = self.renewed(pass.stamp).await?;
        let answer = self.send(call, &pass).await;
        answer.map_err(|refusal| match refusal.is_about_token {
            true => login.over(&refusal.error),
            false => refusal.error,
        })
    }

    /// What to authorize the next call with: logs in first when there is no token, and renews one
    /// that is about to end.
    async fn pass(&self) -> Result<Pass> {
        let pass = self.credential.pass();
        match &pass.value {
            None => self.renewed(pass.stamp).await,
            // A token that is about to end holds still: without a new one the call may succeed.
            Some(token) if token.is_due(SystemTime::now()) => {
                let renewed = self.renewed(pass.stamp).await;
                Ok(renewed.unwrap_or(pass))
            }
            Some(_) => Ok(pass),
        }
    }

    async fn renewed(&self, stamp: u64) -> Result<Pass> {
        let shared = self.shared.clone();
        let next = move |_old| async move { shared.next().await.map(Some) };
        self.credential.renewed(stamp, next).await
    }

    async fn send(&self, call: &Call, pass: &Pass) -> Result<Fields, Refusal> {
        let token = pass.value.as_ref().map(|token| &token.access);
        self.shared.client.send(call, token).await
    }
}

impl Shared {
    async fn next(&self) -> Result<Token> {
        let token = self.login.next_token(&self.client).await?;
        self.client.http.redactor.learn(token.access.expose());
        // A few hundred bytes, at most every few minutes: not worth a thread of its own.
        if let Err(error) = self.store.save(&token) {
            warn!(%error, "the new token cannot be kept: the next start needs another");
        }
        Ok(token)
    }
}
