use std::sync::{Arc, Mutex, PoisonError};

use linkfs_provider::{ErrorKind, Login, LoginStep, ProviderError, Result, Secret, async_trait};
use linkfs_provider_http::{settings, signed_url};
use percent_encoding::percent_decode_str;

use crate::account::Account;
use crate::config::{App, AuthMode, BrowserTerms};
use crate::oauth::{self, Grant};
use crate::random;

/// A login in the browser, which brings back a code that buys the first tokens.
#[derive(Debug)]
pub(crate) struct BrowserLogin {
    account: Arc<Account>,
    /// What the page has to repeat: a code with another one belongs to somebody else's login.
    state: Mutex<Option<String>>,
}

impl BrowserLogin {
    /// The login of `account`, when its tokens come from one.
    pub(crate) fn new(account: &Arc<Account>) -> Option<Self> {
        let is_possible = matches!(account.shared.mode, AuthMode::Refresh { .. });
        is_possible.then(|| BrowserLogin {
            account: account.clone(),
            state: Mutex::default(),
        })
    }

    fn terms(&self) -> Result<(&App, &BrowserTerms, &str)> {
        let AuthMode::Refresh { app, browser, .. } = &self.account.shared.mode else {
            return Err(ProviderError::unsupported("log in with a browser"));
        };
        let redirect_uri = browser.redirect_uri.as_deref().ok_or_else(|| {
            settings::invalid(
                "`redirect_uri` is missing: put the address there that the application is registered with",
            )
        })?;
        Ok((app, browser, redirect_uri))
    }

    async fn exchange(&self, code: Secret<String>) -> Result<()> {
        let (app, _, redirect_uri) = self.terms()?;
        let begun = self
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let code = brought_back(code.expose(), begun.as_deref())?;
        let client = &self.account.shared.client;
        client.http.redactor.learn(code.expose());
        let grant = Grant::Code {
            code: &code,
            redirect_uri,
        };
        let token = oauth::token(client, app, &grant).await;
        let token = token.map_err(|refusal| match oauth::is_final(&refusal) {
            true => denied(format!(
                "the drive does not take the code: {}",
                refusal.error
            )),
            false => refusal.error,
        })?;
        self.account.log_in(token).await
    }
}

#[async_trait]
impl Login for BrowserLogin {
    async fn begin(&self) -> Result<LoginStep> {
        let (app, browser, redirect_uri) = self.terms()?;
        let state = random::text()?;
        let mut query = vec![
            ("client_id", app.client_id.as_str()),
            ("redirect_uri", redirect_uri),
            ("response_type", "code"),
            ("login_type", &browser.login_type),
            ("state", &state),
        ];
        if let Some(scope) = &browser.scope {
            query.push(("scope", scope));
        }
        let url = self
            .account
            .shared
            .client
            .http
            .url("/v2/oauth/authorize", &query);
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok(LoginStep {
            url: url.into(),
            instructions: format!(
                "Sign in and agree. The browser then goes to {redirect_uri}; bring back the address \
                 it shows, or the code in it."
            ),
        })
    }

    async fn finish(&self, code: Secret<String>) -> Result<()> {
        let done = self.exchange(code).await;
        done.map_err(|error| error.during("log in"))
    }
}

/// The code in what a person brought back: itself, or the address it stands in.
fn brought_back(text: &str, begun: Option<&str>) -> Result<Secret<String>> {
    let text = text.trim();
    let read = |name| signed_url::parameter(text, name).map(decoded);
    let Some(code) = read("code") else {
        return match text.is_empty() || text.contains("://") {
            true => Err(denied("there is no code in it")),
            false => Ok(Secret::new(text.to_owned())),
        };
    };
    match (read("state"), begun) {
        (Some(state), Some(begun)) if state != begun => {
            Err(denied("the code belongs to another login: begin again"))
        }
        _ => Ok(Secret::new(code)),
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn denied(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Denied, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, code: Result<&str, &str>) {
        let found = brought_back(text, Some("st-1"));
        let found = found.map(Secret::into_exposed);
        let found = found.map_err(|error| error.message);
        assert_eq!(found.as_deref().map_err(String::as_str), code, "{text}");
    }

    #[test]
    fn the_code_is_found_in_what_is_brought_back() {
        check(" c0de\n", Ok("c0de"));
        check(
            "https://app.example/cb?code=c0%2Bde&state=st-1",
            Ok("c0+de"),
        );
        check("https://app.example/cb?code=c0de", Ok("c0de"));
        let other = "https://app.example/cb?code=c0de&state=st-2";
        check(other, Err("the code belongs to another login: begin again"));
        check("", Err("there is no code in it"));
        check(
            "https://app.example/cb?error=denied",
            Err("there is no code in it"),
        );
    }
}
