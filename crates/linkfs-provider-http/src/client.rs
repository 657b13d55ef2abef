use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use linkfs_provider::wire::REFUSAL_HEADER;
use linkfs_provider::{ErrorKind, ProviderError, Redactor, Result};
use reqwest::header::{CONTENT_LENGTH, DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::{Map, Value};

use crate::DriveClock;
use crate::path;
use crate::timestamp;

/// A backstop only: the caller's deadline is shorter.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer read. A page of 100 items has about 100 KiB.
const BODY_LIMIT: usize = 16 << 20;

/// Makes calls to one drive, one HTTP request each. Redirects are not followed: the authorization
/// stays with its host.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    endpoint: Url,
    /// The drive's time, as its answers tell it.
    pub clock: DriveClock,
    /// Knows the secrets that messages must not repeat.
    pub redactor: Redactor,
}

/// What came back: any status, the whole body. `Debug` shows the status alone.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How long the drive asks us to wait.
    pub retry_after: Option<Duration>,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Whether the status is one of success.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header's value, when it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, when it is a JSON object.
    pub fn object(&self) -> Option<Map<String, Value>> {
        serde_json::from_slice(&self.body).ok()
    }

    /// `error`, with the wait that the drive asks for where waiting helps.
    pub fn with_wait(&self, error: ProviderError) -> ProviderError {
        let is_temporary = crate::status::is_temporary(error.kind);
        error.with_retry_after(self.retry_after.filter(|_| is_temporary))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer(HTTP {}, ..)", self.status)
    }
}

impl Client {
    /// A client for the drive at `endpoint`.
    ///
    /// # Errors
    /// `Invalid` when no HTTP client can be set up.
    pub fn new(endpoint: Url, redactor: Redactor) -> Result<Self> {
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
            clock: DriveClock::default(),
            redactor,
        })
    }

    /// The address of `path`, which is percent-encoded and starts with `/`.
    pub fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.clone();
        let base = self.endpoint.path().trim_end_matches('/');
        url.set_path(&format!("{base}{path}"));
        let query = path::pairs(query);
        url.set_query((!query.is_empty()).then_some(&query));
        url
    }

    /// A request to an address made by [`Client::url`], to be completed and sent.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request of this client, reads the answer, and sets the clock by it.
    ///
    /// # Errors
    /// `Unavailable` when no answer came, `Broken` for one that is longer than 16 MiB. Whatever the
    /// status, an answer is no error here.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer> {
        let sent = request.send().await;
        let mut response = sent.map_err(|error| self.unanswered(error))?;
        if let Some(reason) = header(response.headers(), REFUSAL_HEADER) {
            return Err(not_let_out(response.status(), reason));
        }
        let date = header(response.headers(), DATE.as_str()).and_then(timestamp::http_date);
        if let Some(date) = date {
            self.clock.set(date, SystemTime::now());
        }
        let body = match self.body(&mut response).await {
            Ok(body) => body,
            // Without its body a failure is a failure still: the status says which.
            Err(_) if !response.status().is_success() => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(Answer {
            status: response.status().as_u16(),
            retry_after: self.retry_after(response.headers()),
            headers: response.headers().clone(),
            body,
        })
    }

    /// What the drive said, for people: `HTTP 400, code 13000102: validDays out of range`.
    pub fn words(&self, status: u16, code: Option<&str>, message: &str) -> String {
        let status = (status != 200).then(|| format!("HTTP {status}"));
        let code = code.map(|code| format!("code {}", self.redactor.clean(code)));
        let lead = [status, code].into_iter().flatten();
        let lead = lead.collect::<Vec<_>>().join(", ");
        match self.redactor.clean(message) {
            message if message.is_empty() => lead,
            message => format!("{lead}: {message}"),
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

/// Why the proxy that a plugin reaches the world through did not ask the drive.
fn not_let_out(status: StatusCode, reason: &str) -> ProviderError {
    let kind = match status {
        StatusCode::FORBIDDEN => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    ProviderError::new(kind, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: &str) -> Client {
        let endpoint = Url::parse(endpoint).unwrap();
        Client::new(endpoint, Redactor::default()).unwrap()
    }

    fn check(endpoint: &str, query: &[(&str, &str)], url: &str) {
        assert_eq!(client(endpoint).url("/a", query).as_str(), url);
    }

    #[test]
    fn queries_are_escaped_and_an_endpoint_may_have_a_path() {
        check("https://h", &[], "https://h/a");
        check("https://h/", &[("q", "1 2&3")], "https://h/a?q=1%202%263");
        check("http://h:81/base", &[("e", "")], "http://h:81/base/a?e=");
    }

    #[test]
    fn words_name_what_is_known() {
        let words = |status, code, message| client("https://h").words(status, code, message);
        assert_eq!(words(502, None, ""), "HTTP 502");
        assert_eq!(words(200, Some("7"), "no"), "code 7: no");
        assert_eq!(
            words(400, Some("7"), "at https://h/?sig=1"),
            "HTTP 400, code 7: at (address)"
        );
    }

    #[test]
    fn debug_text_of_an_answer_holds_nothing_of_it() {
        let answer = Answer {
            status: 200,
            retry_after: None,
            headers: HeaderMap::from_iter([(DATE, "s3cret".parse().unwrap())]),
            body: b"s3cret".to_vec(),
        };
        assert_eq!(format!("{answer:?}"), "Answer(HTTP 200, ..)");
    }
}
