use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use linkfs_provider::{ProviderError, Result, Secret};
use linkfs_provider_http::Answer;
use reqwest::{Method, RequestBuilder};
use serde_json::{Map, Value};
use tracing::debug;

use crate::refusal::{self, Reason};

/// The header that carries the app's token.
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";

/// The fields of a successful answer.
pub(crate) type Fields = Map<String, Value>;

/// One question to the drive.
#[derive(Debug)]
pub(crate) struct Call {
    /// For logs.
    name: &'static str,
    method: Method,
    /// Below the endpoint, percent-encoded.
    path: String,
    query: Vec<(&'static str, String)>,
    body: Secret<String>,
}

impl Call {
    pub(crate) fn get(name: &'static str, path: impl Into<String>) -> Self {
        Call {
            name,
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: Secret::default(),
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

    #[must_use]
    pub(crate) fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }
}

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: ProviderError,
    /// Whether the token was the reason: only a new one helps.
    pub(crate) is_about_token: bool,
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Refusal {
            error,
            is_about_token: false,
        }
    }
}

/// Makes calls, one HTTP request each, and counts them: the organisation pays for each from a
/// monthly quota.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) http: linkfs_provider_http::Client,
    calls: AtomicU64,
}

impl Client {
    pub(crate) fn new(http: linkfs_provider_http::Client) -> Self {
        Client {
            http,
            calls: AtomicU64::new(0),
        }
    }

    /// Makes `call` once. Only a login goes without `token`.
    pub(crate) async fn send(
        &self,
        call: &Call,
        token: Option<&Secret<String>>,
    ) -> Result<Fields, Refusal> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        let started = Instant::now();
        let sent = self.http.send(self.request(call, token)).await;
        let status = sent.as_ref().ok().map(|answer| answer.status);
        let answer = match sent {
            Ok(answer) => self.read(&answer),
            Err(error) => Err(error.into()),
        };
        let ms = started.elapsed().as_millis();
        let ok = answer.is_ok();
        debug!(call = call.name, status, ms, ok, calls, "dingtalk");
        answer
    }

    fn request(&self, call: &Call, token: Option<&Secret<String>>) -> RequestBuilder {
        let query: Vec<_> = call.query.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let url = self.http.url(&call.path, &query);
        let mut request = self.http.request(call.method.clone(), url);
        if let Some(token) = token {
            request = request.header(TOKEN_HEADER, token.expose());
        }
        if call.method != Method::GET {
            request = request.header("Content-Type", "application/json");
            request = request.body(call.body.expose().clone());
        }
        request
    }

    fn read(&self, answer: &Answer) -> Result<Fields, Refusal> {
        let fields = answer.object();
        match (Reason::of(answer, fields.as_ref()), fields) {
            (None, Some(fields)) => Ok(fields),
            (reason, fields) => {
                let reason = reason.unwrap_or(Reason::NoAnswer);
                let calls = self.calls.load(Ordering::Relaxed);
                let fields = fields.unwrap_or_default();
                Err(Refusal {
                    error: refusal::error(reason, answer, &fields, &self.http, calls),
                    is_about_token: reason == Reason::Token,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_text_of_a_call_holds_no_secret() {
        let body = serde_json::json!({"appSecret": "s3cret"});
        let shown = format!("{:?}", Call::post("log in", "/a", &body));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
