use std::time::Instant;

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{Answer, path};
use reqwest::Method;
use serde_json::{Map, Value};
use tracing::debug;

use crate::error_codes::Said;

/// One question to the drive: `POST` with a JSON object, but for the login's form.
#[derive(Debug)]
pub(crate) struct Call {
    /// Below the endpoint; names the call in logs as well.
    path: &'static str,
    content_type: &'static str,
    body: Secret<String>,
    /// What it tells in confidence, so that the drive's own words must not repeat it.
    secrets: Vec<Secret<String>>,
    /// What opens the share that the call works in.
    share_token: Option<Secret<String>>,
}

impl Call {
    pub(crate) fn json(path: &'static str, body: &Value) -> Self {
        Call {
            path,
            content_type: "application/json; charset=utf-8",
            body: Secret::new(body.to_string()),
            secrets: Vec::new(),
            share_token: None,
        }
    }

    pub(crate) fn form(path: &'static str, fields: &[(&str, &str)]) -> Self {
        Call {
            path,
            content_type: "application/x-www-form-urlencoded",
            body: Secret::new(path::pairs(fields)),
            secrets: Vec::new(),
            share_token: None,
        }
    }

    /// Keeps a secret of the body out of messages.
    #[must_use]
    pub(crate) fn hiding(mut self, secret: Option<&Secret<String>>) -> Self {
        let secret = secret.filter(|secret| !secret.expose().is_empty());
        self.secrets.extend(secret.cloned());
        self
    }

    /// Works inside the share that this token opens.
    #[must_use]
    pub(crate) fn inside(mut self, share_token: Secret<String>) -> Self {
        self.share_token = Some(share_token);
        self
    }

    /// What the drive said of this call, without what the call told it in confidence.
    fn clean(&self, text: &str) -> String {
        let hide = |text: String, secret: &Secret<String>| text.replace(secret.expose(), "?");
        self.secrets.iter().fold(text.to_owned(), hide)
    }
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ProviderError,
    /// Whether a new login could turn it.
    pub(crate) is_about_login: bool,
    /// Whether a new token of the share could turn it.
    pub(crate) is_about_share: bool,
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Refusal {
            error,
            is_about_login: false,
            is_about_share: false,
        }
    }
}

/// Makes calls, one HTTP request each.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: linkfs_provider_http::Client,
}

impl Client {
    /// Makes `call` once; `access` is the access token.
    pub(crate) async fn send(
        &self,
        call: &Call,
        access: Option<&Secret<String>>,
    ) -> Result<Map<String, Value>, Refusal> {
        let started = Instant::now();
        let url = self.http.url(call.path, &[]);
        let mut request = self.http.request(Method::POST, url);
        request = request.header("Content-Type", call.content_type);
        if let Some(access) = access {
            request = request.header("Authorization", format!("Bearer {}", access.expose()));
        }
        if let Some(token) = &call.share_token {
            request = request.header("x-share-token", token.expose());
        }
        let sent = self.http.send(request.body(call.body.expose().clone()));
        let sent = sent.await;
        let status = sent.as_ref().ok().map(|answer| answer.status);
        let answer = match sent {
            Ok(answer) => self.read(call, &answer),
            Err(error) => Err(error.into()),
        };
        let ms = started.elapsed().as_millis();
        debug!(call = call.path, status, ms, ok = answer.is_ok(), "pds");
        answer
    }

    fn read(&self, call: &Call, answer: &Answer) -> Result<Map<String, Value>, Refusal> {
        let fields = answer.object();
        match (fields, answer.is_success()) {
            (Some(fields), true) => Ok(fields),
            // Done, and nothing to tell.
            (None, true) if answer.body().is_empty() && answer.status != 200 => Ok(Map::new()),
            (None, true) => {
                let message = "the answer is not a JSON object";
                Err(ProviderError::new(ErrorKind::Broken, message).into())
            }
            (fields, false) => Err(self.refusal(call, answer, fields.as_ref())),
        }
    }

    fn refusal(
        &self,
        call: &Call,
        answer: &Answer,
        fields: Option<&Map<String, Value>>,
    ) -> Refusal {
        let said = Said::read(answer, fields);
        let code = said.code.as_deref().map(|code| call.clean(code));
        let message = call.clean(&said.message);
        let mut words = self.http.words(said.status, code.as_deref(), &message);
        if let Some(id) = &said.request_id {
            // The drive's operators ask for it.
            words += &format!(" (request {})", self.http.redactor.clean(id));
        }
        Refusal {
            error: answer.with_wait(ProviderError::new(said.kind(), words)),
            is_about_login: said.is_about_login(),
            is_about_share: said.is_about_share(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_of_a_call_holds_no_secret() {
        let form = Call::form("/v2/oauth/token", &[("refresh_token", "s3cret")]);
        let json = Call::json("/v2/x", &serde_json::json!({"share_pwd": "s3cret"}));
        let shown = format!("{form:?} {json:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert_eq!(form.body.expose(), "refresh_token=s3cret");
    }
}
