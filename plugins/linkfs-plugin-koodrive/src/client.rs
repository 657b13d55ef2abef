use std::error::Error;
use std::time::{Duration, Instant, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_LENGTH, DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;
use tracing::debug;

use crate::app_signature::{self, AppKey, Signed};
use crate::config::Identity;
use crate::drive_clock::DriveClock;
use crate::envelope::Envelope;
use crate::error_codes::{LoginVerdict, Said};
use crate::redactor::Redactor;
use crate::timestamp;

/// A backstop only: the caller's deadline is shorter.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer read. A page of 100 items has about 100 KiB.
const BODY_LIMIT: usize = 16 << 20;

/// What stays as it is in a path or query: RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

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
        }
    }

    pub(crate) fn post(name: &'static str, path: impl Into<String>, body: &Value) -> Self {
        Call {
            method: Method::POST,
            body: Secret::new(body.to_string()),
            ..Call::get(name, path)
        }
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

    fn url(&self, endpoint: &Url) -> Url {
        let mut url = endpoint.clone();
        let base = endpoint.path().trim_end_matches('/');
        url.set_path(&format!("{base}{}", self.path));
        let pairs = self.query.iter();
        let pairs = pairs.map(|(name, value)| format!("{name}={}", escaped(value)));
        let query = pairs.collect::<Vec<_>>().join("&");
        url.set_query((!query.is_empty()).then_some(&query));
        url
    }
}

/// An id as one segment of a path.
///
/// # Errors
/// `Invalid` for what would name another path.
pub(crate) fn segment(id: &str) -> Result<String> {
    if matches!(id, "" | "." | "..") {
        let message = "an id that is empty or made of dots cannot be asked for";
        return Err(ProviderError::new(ErrorKind::Invalid, message));
    }
    Ok(escaped(id))
}

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
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
    http: reqwest::Client,
    endpoint: Url,
    identity: Identity,
    pub(crate) clock: DriveClock,
    pub(crate) redactor: Redactor,
}

impl Client {
    pub(crate) fn new(endpoint: Url, identity: Identity, redactor: Redactor) -> Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TOTAL_TIMEOUT)
            .user_agent(concat!("linkfs/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                let message = format!("set up HTTP: {}", cause(&error.without_url()));
                ProviderError::new(ErrorKind::Invalid, message)
            })?;
        Ok(Client {
            http,
            endpoint,
            identity,
            clock: DriveClock::default(),
            redactor,
        })
    }

    /// Makes `call` once.
    pub(crate) async fn send(
        &self,
        call: &Call,
        authorization: &Authorization<'_>,
    ) -> Result<Envelope, Refusal> {
        let started = Instant::now();
        let sent = self.request(call, authorization).send().await;
        let status = sent
            .as_ref()
            .ok()
            .map(|response| response.status().as_u16());
        let answer = match sent {
            Ok(response) => self.read(response).await,
            Err(error) => Err(self.unanswered(error).into()),
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
        let url = call.url(&self.endpoint);
        let date = app_signature::date(self.clock.now());
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
        if call.method == Method::POST {
            request = request.header("Content-Type", "application/json");
            request = request.body(call.body.expose().clone());
        }
        request
    }

    async fn read(&self, mut response: Response) -> Result<Envelope, Refusal> {
        let date = header(response.headers(), DATE.as_str()).and_then(timestamp::http_date);
        if let Some(date) = date {
            self.clock.set(date, SystemTime::now());
        }
        let status = response.status().as_u16();
        let wait = self.retry_after(response.headers());
        let body = match self.body(&mut response).await {
            Ok(body) => body,
            // Without its body a failure is a failure still: the status says which.
            Err(_) if !response.status().is_success() => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        match Envelope::parse(&body) {
            Some(answer) if response.status().is_success() && answer.is_success() => Ok(answer),
            answer => Err(self.refusal(status, answer, wait)),
        }
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>> {
        let too_long = || {
            let message = format!("the answer is longer than {} MiB", BODY_LIMIT >> 20);
            ProviderError::new(ErrorKind::Broken, message)
        };
        let told = header(response.headers(), CONTENT_LENGTH.as_str());
        let told = told.and_then(|length| length.parse::<usize>().ok());
        if told.is_some_and(|length| length > BODY_LIMIT) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unanswered(e))? {
            if body.len() + chunk.len() > BODY_LIMIT {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn refusal(&self, status: u16, answer: Option<Envelope>, wait: Option<Duration>) -> Refusal {
        let code = answer.as_ref().and_then(Envelope::error_code);
        let told = answer.as_ref().and_then(Envelope::error_message);
        let said = Said {
            status,
            code: code.as_deref(),
            message: told.as_deref().unwrap_or(""),
        };
        let (kind, login) = match (&answer, status) {
            // A success that cannot be read, or that says nothing of why it is none.
            (None, 200..=299) => (ErrorKind::Broken, LoginVerdict::Fine),
            _ => said.kind(),
        };
        let message = match (&answer, status) {
            (None, 200..=299) => "the answer is not a JSON object".to_owned(),
            _ => self.words(said),
        };
        let is_temporary = matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
        Refusal {
            error: ProviderError::new(kind, message)
                .with_retry_after(wait.filter(|_| is_temporary)),
            login,
            is_told: answer.is_some(),
        }
    }

    /// What the drive said, for people: `HTTP 400, code 13000102: validDays out of range`.
    pub(crate) fn words(&self, said: Said<'_>) -> String {
        let status = (said.status != 200).then(|| format!("HTTP {}", said.status));
        let code = said
            .code
            .map(|code| format!("code {}", self.redactor.clean(code)));
        let lead = [status, code].into_iter().flatten();
        let lead = lead.collect::<Vec<_>>().join(", ");
        match self.redactor.clean(said.message) {
            message if message.is_empty() => lead,
            message => format!("{lead}: {message}"),
        }
    }

    /// How long the drive asks us to wait: seconds, or a time on its own clock.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let text = header(headers, RETRY_AFTER.as_str())?.trim();
        match text.parse() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => {
                let until = timestamp::http_date(text)?;
                Some(until.duration_since(self.clock.now()).unwrap_or_default())
            }
        }
    }

    fn unanswered(&self, error: reqwest::Error) -> ProviderError {
        let error = error.without_url();
        let host = self.endpoint.host_str().unwrap_or("");
        let what = match () {
            () if error.is_timeout() => format!("{host} did not answer in time"),
            () if error.is_connect() => format!("no connection to {host}"),
            () => format!("the connection to {host} broke"),
        };
        let cause = self.redactor.clean(&cause(&error));
        let kind = match error.is_builder() {
            true => ErrorKind::Invalid,
            false => ErrorKind::Unavailable,
        };
        ProviderError::new(kind, format!("{what}: {cause}"))
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

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The innermost reason: "Connection refused", not "error sending request".
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(call: Call, endpoint: &str, url: &str) {
        assert_eq!(call.url(&Url::parse(endpoint).unwrap()).as_str(), url);
    }

    #[test]
    fn ids_stay_inside_their_segment() {
        let path = |id: &str| format!("/files/{}/detail", segment(id).unwrap());
        check(
            Call::get("x", path("a/b?c")),
            "https://h",
            "https://h/files/a%2Fb%3Fc/detail",
        );
        check(
            Call::get("x", path("é%2F")),
            "https://h/",
            "https://h/files/%C3%A9%252F/detail",
        );
        for id in ["", ".", ".."] {
            assert_eq!(segment(id).unwrap_err().kind, ErrorKind::Invalid);
        }
    }

    #[test]
    fn queries_are_escaped_and_an_endpoint_may_have_a_path() {
        let call = Call::get("x", "/a")
            .with_query("q", "1 2&3")
            .with_query("e", "");
        check(
            call,
            "http://h:81/base",
            "http://h:81/base/a?q=1%202%263&e=",
        );
    }

    #[test]
    fn debug_text_of_a_call_holds_no_secret() {
        let body = serde_json::json!({"password": "s3cret"});
        let call = Call::post("login", "/a", &body);
        let call = call.with_header("x-session-id", Secret::new("s3cret".into()));
        let shown = format!("{call:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
