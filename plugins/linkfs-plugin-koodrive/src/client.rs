use std::time::Instant;

use linkfs_provider::{ProviderError, Result, Secret};
use linkfs_provider_http::Answer;
use reqwest::{Method, RequestBuilder, Url};
use serde_json::Value;
use tracing::debug;

use crate::app_signature::{self, AppKey, Signed};
use crate::config::Identity;
use crate::envelope::Envelope;
use crate::error_codes::{LoginVerdict, Said};

/// One question to the drive.
#[derive(Debug)]
pub(crate) struct Call {
    /// For logs.
    pub(crate) name: &'static str,
    method: Method,
    /// Below the endpoint, percent-encoded.
    path: String,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, Secret<String>)>,
    body: Secret<String>,
    /// What it tells the drive and the drive's own words must not repeat.
    secrets: Vec<Secret<String>>,
}

impl Call {
    pub(crate) fn get(name: &'static str, path: impl Into<String>) -> Self {
        Call {
            name,
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Secret::default(),
            secrets: Vec::new(),
        }
    }

    pub(crate) fn post(name: &'static str, path: impl Into<String>, body: &Value) -> Self {
        Call {
            method: Method::POST,
            body: Secret::new(body.to_string()),
            ..Call::get(name, path)
        }
    }

    pub(crate) fn put(name: &'static str, path: impl Into<String>, body: &Value) -> Self {
        Call {
            method: Method::PUT,
            ..Call::post(name, path, body)
        }
    }

    /// Keeps a secret of the body out of messages.
    #[must_use]
    pub(crate) fn hiding(mut self, secret: Option<&Secret<String>>) -> Self {
        let secret = secret.filter(|secret| !secret.expose().is_empty());
        self.secrets.extend(secret.cloned());
        self
    }

    #[must_use]
    pub(crate) fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: &'static str, value: Secret<String>) -> Self {
        self.headers.push((name, value));
        self
    }

    /// What the drive said of this call, without what the call told it in confidence.
    fn clean(&self, text: String) -> String {
        let hide = |text: String, secret: &Secret<String>| text.replace(secret.expose(), "?");
        self.secrets.iter().fold(text, hide)
    }
}

/// How a call is authorized.
#[derive(Debug)]
pub(crate) enum Authorization<'a> {
    /// Not at all: it is a login.
    None,
    /// By this header.
    Header(Secret<String>),
    /// By a signature over the call.
    Signed(&'a AppKey),
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ProviderError,
    pub(crate) login: LoginVerdict,
    /// Whether the drive itself said no, in its documented form.
    pub(crate) is_told: bool,
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Refusal {
            error,
            login: LoginVerdict::Fine,
            is_told: false,
        }
    }
}

/// Makes calls, one HTTP request each.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: linkfs_provider_http::Client,
    identity: Identity,
}

impl Client {
    pub(crate) fn new(http: linkfs_provider_http::Client, identity: Identity) -> Self {
        Client { http, identity }
    }

    /// Who calls, where the settings say so.
    pub(crate) fn user_id(&self) -> Option<&str> {
        let user_id = self.identity.user_id.as_deref();
        user_id.filter(|id| !id.is_empty())
    }

    /// Makes `call` once.
    pub(crate) async fn send(
        &self,
        call: &Call,
        authorization: &Authorization<'_>,
    ) -> Result<Envelope, Refusal> {
        let started = Instant::now();
        let sent = self.http.send(self.request(call, authorization)).await;
        let status = sent.as_ref().ok().map(|answer| answer.status);
        let answer = match sent {
            Ok(answer) => self.read(call, &answer),
            Err(error) => Err(error.into()),
        };
        let ms = started.elapsed().as_millis();
        debug!(
            call = call.name,
            status,
            ms,
            ok = answer.is_ok(),
            "koodrive"
        );
        answer
    }

    fn request(&self, call: &Call, authorization: &Authorization<'_>) -> RequestBuilder {
        let query: Vec<_> = call.query.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let url = self.http.url(&call.path, &query);
        let date = app_signature::date(self.http.clock.now());
        let authorization = match authorization {
            Authorization::None => None,
            Authorization::Header(header) => Some(header.clone()),
            Authorization::Signed(key) => Some(sign(key, call, &url, &date)),
        };
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(value) = authorization {
            request = request.header("Authorization", value.expose());
        }
        if let Some(user_id) = &self.identity.user_id {
            request = request.header("X-User-Id", user_id).header("X-Date", date);
        }
        if let Some(carrier) = &self.identity.carrier {
            request = request.header("X-Hw-Agentname", carrier);
        }
        if let Some(language) = &self.identity.language {
            request = request.header("language", language);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value.expose());
        }
        if call.method != Method::GET {
            request = request.header("Content-Type", "application/json");
            request = request.body(call.body.expose().clone());
        }
        request
    }

    fn read(&self, call: &Call, answer: &Answer) -> Result<Envelope, Refusal> {
        match Envelope::parse(answer.body()) {
            Some(read) if answer.is_success() && read.is_success() => Ok(read),
            read => Err(self.refusal(call, answer, read)),
        }
    }

    fn refusal(&self, call: &Call, answer: &Answer, read: Option<Envelope>) -> Refusal {
        let code = read.as_ref().and_then(Envelope::error_code);
        let code = code.map(|code| call.clean(code));
        let told = read.as_ref().and_then(Envelope::error_message);
        let told = told.map(|told| call.clean(told));
        let said = Said {
            status: answer.status,
            code: code.as_deref(),
            message: told.as_deref().unwrap_or(""),
        };
        let (kind, login) = said.kind();
        let message = match (&read, answer.is_success()) {
            (None, true) => "the answer is not a JSON object".to_owned(),
            _ => self.words(said),
        };
        Refusal {
            error: answer.with_wait(ProviderError::new(kind, message)),
            login,
            is_told: read.is_some(),
        }
    }

    /// What the drive said, for people.
    pub(crate) fn words(&self, said: Said<'_>) -> String {
        self.http.words(said.status, said.code, said.message)
    }
}

fn sign(key: &AppKey, call: &Call, url: &Url, date: &str) -> Secret<String> {
    // The port belongs to the host where it is not the scheme's own, as in the Host header.
    let host = match (url.host_str().unwrap_or(""), url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    key.header(&Signed {
        method: call.method.as_str(),
        host: &host,
        path: url.path(),
        query: url.query().unwrap_or(""),
        body: call.body.expose().as_bytes(),
        date,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_of_a_call_holds_no_secret() {
        let body = serde_json::json!({"password": "s3cret"});
        let call = Call::post("login", "/a", &body);
        let call = call.with_header("x-session-id", Secret::new("s3cret".into()));
        let shown = format!("{call:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
