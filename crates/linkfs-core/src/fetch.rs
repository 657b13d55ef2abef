//! One range of one file, by one GET, with every check that an answer must pass.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use linkfs_provider::{ErrorKind, ProviderError};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Response, StatusCode, Url, header};
use tokio::time::Instant;

use crate::hosts::{self, PublicOnly};
use crate::lease::Lease;
use crate::{Error, Result};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Data hosts redirect rarely; more than this is a loop.
const MOST_REDIRECTS: usize = 3;

/// The HTTP client for the bytes of one drive.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: reqwest::Client,
    allow_private_hosts: bool,
    /// A connection that gives nothing for this long is taken for broken.
    stall_timeout: Duration,
}

/// Which bytes are wanted, and what is known of the whole.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub(crate) start: u64,
    /// One past the last byte; more than `start`.
    pub(crate) end: u64,
    /// Length of the whole file.
    pub(crate) total: u64,
}

/// Why a range could not be had, by what has to be done about it.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// The data host does not take the link (any more).
    Refused(StatusCode),
    /// The file is not as long, or not as its tag says, as when it was opened.
    Changed(String),
    /// The answer is provably not what was asked for.
    Wrong(String),
    /// No connection, or it broke.
    Connection(String),
    /// No answer, or it stopped in the middle, and the connection is still there.
    Silence(String),
    /// The data host asks for a pause.
    Busy(ProviderError),
}

/// An answer whose head passed the checks; the bytes follow.
#[derive(Debug)]
pub(crate) struct Body {
    response: Response,
    left: u64,
    stall_timeout: Duration,
    /// The entity tag, when the data host gives one.
    pub(crate) tag: Option<String>,
}

impl Fetcher {
    pub(crate) fn new(allow_private_hosts: bool, work_time: Duration) -> Result<Fetcher> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("linkfs/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT.min(work_time / 2))
            .tcp_nodelay(true)
            // A proxy would resolve names in our place, and nobody would check where links lead.
            .no_proxy();
        if !allow_private_hosts {
            builder = builder.dns_resolver(PublicOnly);
        }
        let client = builder.build().map_err(|error| {
            let message = format!("set up the HTTP client: {}", in_words(error));
            Error::Drive(ProviderError::new(ErrorKind::Unavailable, message))
        })?;
        Ok(Fetcher {
            client,
            allow_private_hosts,
            stall_timeout: work_time / 3,
        })
    }

    /// Asks for a range at one of the link's urls.
    pub(crate) async fn get(
        &self,
        lease: &Lease,
        url_index: usize,
        range: &Range,
    ) -> Result<Body, FetchError> {
        let started = Instant::now();
        let response = self.follow(lease, url_index, range).await?;
        if response.status().is_server_error() {
            lease.give_up_url(url_index);
        }
        check_status(&response, range)?;
        check_range(&response, range)?;
        lease.url_answered(url_index, started.elapsed());
        let tag = response.headers().get(header::ETAG);
        Ok(Body {
            left: range.end - range.start,
            tag: tag.and_then(|tag| tag.to_str().ok()).map(str::to_owned),
            stall_timeout: self.stall_timeout,
            response,
        })
    }

    async fn follow(
        &self,
        lease: &Lease,
        url_index: usize,
        range: &Range,
    ) -> Result<Response, FetchError> {
        let link = lease.prepared().map_err(FetchError::Wrong)?;
        let mut url = link.urls[url_index].clone();
        for _ in 0..=MOST_REDIRECTS {
            if !self.allow_private_hosts && !url.host_str().is_some_and(hosts::is_public_host) {
                return Err(FetchError::Wrong(
                    "the link leads to a private address, which `allow_private_hosts = true` would permit".into(),
                ));
            }
            let headers = if link.is_own_host(&url) {
                link.headers.clone()
            } else {
                HeaderMap::new()
            };
            let last_byte = range.end - 1;
            let asked = self
                .client
                .get(url.clone())
                .headers(headers)
                .header(header::RANGE, format!("bytes={}-{last_byte}", range.start));
            let answer = tokio::time::timeout(self.stall_timeout, asked.send()).await;
            let response = answer
                .map_err(|_elapsed| FetchError::Silence("no answer from the data host".into()))?
                .map_err(|error| FetchError::Connection(in_words(error)))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            url = redirect_target(response.headers(), &url)?;
        }
        Err(FetchError::Wrong(format!(
            "more than {MOST_REDIRECTS} redirects"
        )))
    }
}

impl Body {
    /// The next bytes; `None` after the last byte of the range.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        if self.left == 0 {
            return Ok(None);
        }
        let next = tokio::time::timeout(self.stall_timeout, self.response.chunk()).await;
        let chunk = next
            .map_err(|_elapsed| FetchError::Silence("the data host stopped sending".into()))?
            .map_err(|error| FetchError::Connection(in_words(error)))?
            .ok_or_else(|| FetchError::Connection("the answer ended too early".into()))?;
        self.left = self
            .left
            .checked_sub(chunk.len() as u64)
            .ok_or_else(|| FetchError::Wrong("the answer is longer than the range".into()))?;
        Ok(Some(chunk))
    }
}

fn redirect_target(headers: &HeaderMap, from: &Url) -> Result<Url, FetchError> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = location
        .and_then(|location| from.join(location).ok())
        .ok_or_else(|| FetchError::Wrong("a redirect without a usable target".into()))?;
    let is_downgrade = from.scheme() == "https" && target.scheme() != "https";
    if is_downgrade || !matches!(target.scheme(), "http" | "https") {
        return Err(FetchError::Wrong("a redirect away from https".into()));
    }
    Ok(target)
}

fn check_status(response: &Response, range: &Range) -> Result<(), FetchError> {
    let status = response.status();
    match status {
        StatusCode::PARTIAL_CONTENT => Ok(()),
        // Some stores answer a range that goes beyond the end of the file so.
        StatusCode::OK if is_other_file(response, range) => Err(FetchError::Changed(
            "the data host gives a whole file of another length".into(),
        )),
        StatusCode::OK => Err(FetchError::Wrong(
            "200 with the whole file to a request for a range".into(),
        )),
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::GONE
        | StatusCode::NOT_FOUND => Err(FetchError::Refused(status)),
        StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE => Err(
            FetchError::Changed(format!("the data host answers {status}")),
        ),
        StatusCode::TOO_MANY_REQUESTS => Err(busy(ErrorKind::RateLimited, response)),
        status if status.is_server_error() => Err(busy(ErrorKind::Unavailable, response)),
        status => Err(FetchError::Wrong(format!("the data host answers {status}"))),
    }
}

/// Whether an answer is a file, which has an entity tag, and is not as long as the one that was opened. Without
/// the tag it may be anything: a page that asks for a login.
fn is_other_file(response: &Response, range: &Range) -> bool {
    let is_file = response.headers().contains_key(header::ETAG);
    let length = response.content_length();
    is_file && length.is_some_and(|length| length != range.total)
}

fn busy(kind: ErrorKind, response: &Response) -> FetchError {
    let pause = retry_after(response.headers(), SystemTime::now());
    let message = format!("the data host answers {}", response.status());
    FetchError::Busy(ProviderError::new(kind, message).with_retry_after(pause))
}

/// How long the data host asks to wait: seconds, or a time by its own clock, which its answer shows.
fn retry_after(headers: &HeaderMap, local_now: SystemTime) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let told = text(header::RETRY_AFTER)?.trim();
    if let Ok(seconds) = told.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = httpdate::parse_http_date(told).ok()?;
    let its_now = text(header::DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let now = its_now.unwrap_or(local_now);
    Some(until.duration_since(now).unwrap_or_default())
}

fn check_range(response: &Response, range: &Range) -> Result<(), FetchError> {
    let text = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    if let Some(encoding) =
        text(header::CONTENT_ENCODING).filter(|encoding| *encoding != "identity")
    {
        return Err(FetchError::Wrong(format!(
            "the answer is encoded ({encoding})"
        )));
    }
    let sent = text(header::CONTENT_RANGE).unwrap_or_default();
    let (start, last, total) = parse_content_range(sent)
        .ok_or_else(|| FetchError::Wrong("no usable Content-Range".into()))?;
    if total != range.total {
        let message = format!(
            "the file has {total} bytes now, and had {} when it was opened",
            range.total
        );
        return Err(FetchError::Changed(message));
    }
    if start != range.start || last + 1 != range.end {
        let (wanted_start, wanted_last) = (range.start, range.end - 1);
        let message =
            format!("bytes {start}-{last} in answer to a request for {wanted_start}-{wanted_last}");
        return Err(FetchError::Wrong(message));
    }
    match response.content_length() {
        Some(length) if length != range.end - range.start => Err(FetchError::Wrong(format!(
            "a body of {length} bytes does not match its Content-Range"
        ))),
        _ => Ok(()),
    }
}

/// First byte, last byte and total of `bytes a-b/total`.
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (span, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, last) = span.split_once('-')?;
    let (start, last, total) = (start.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (start <= last && last < total).then_some((start, last, total))
}

/// What happened, without the address: its query is a key.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        words = format!("{words}: {inner}");
        cause = inner.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_range_is_read_or_refused() {
        for (text, expected) in [
            ("bytes 0-9/10", Some((0, 9, 10))),
            ("bytes 5-5/6", Some((5, 5, 6))),
            ("bytes 9-0/10", None),
            ("bytes 0-10/10", None),
            ("bytes */10", None),
            ("bytes 0-9/*", None),
            ("0-9/10", None),
            ("", None),
        ] {
            assert_eq!(parse_content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn a_redirect_never_leaves_https() {
        let target = |from: &str, to: &'static str| {
            let headers = HeaderMap::from_iter([(header::LOCATION, HeaderValue::from_static(to))]);
            redirect_target(&headers, &Url::parse(from).unwrap()).map(String::from)
        };
        for (from, to, expected) in [
            ("https://a/x", "https://b/y", "https://b/y"),
            ("https://a/x", "/y", "https://a/y"),
            ("https://a/x", "//b/y", "https://b/y"),
            ("http://a/x", "http://b/y", "http://b/y"),
            ("http://a/x", "https://b/y", "https://b/y"),
        ] {
            assert_eq!(target(from, to).unwrap(), expected, "{from} to {to}");
        }
        for to in [
            "http://a/x",
            "http://b/y",
            "ftp://a/x",
            "file:///x",
            "data:,x",
        ] {
            assert!(target("https://a/x", to).is_err(), "{to}");
        }
        assert!(redirect_target(&HeaderMap::new(), &Url::parse("http://a").unwrap()).is_err());
    }

    #[test]
    fn a_pause_is_told_in_seconds_or_as_a_time_of_the_hosts_clock() {
        let clock = "Mon, 05 Jan 2026 08:09:10 GMT";
        let soon = "Mon, 05 Jan 2026 08:09:40 GMT";
        let local_now = httpdate::parse_http_date("Mon, 05 Jan 2026 08:09:30 GMT").unwrap();
        for (told, date, expected) in [
            (Some("7"), None, Some(7)),
            (Some(" 0 "), Some(clock), Some(0)),
            (Some(soon), Some(clock), Some(30)),
            (Some(soon), None, Some(10)),
            (Some(clock), Some(soon), Some(0)),
            (Some("later"), Some(clock), None),
            (None, Some(clock), None),
        ] {
            let mut headers = HeaderMap::new();
            let told = told.map(|text| (header::RETRY_AFTER, text));
            let date = date.map(|text| (header::DATE, text));
            for (name, text) in told.into_iter().chain(date) {
                headers.insert(name, HeaderValue::from_static(text));
            }
            let pause = retry_after(&headers, local_now);
            assert_eq!(pause, expected.map(Duration::from_secs), "{headers:?}");
        }
    }
}
