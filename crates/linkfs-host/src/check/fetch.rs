use std::time::{Duration, SystemTime};

use linkfs_provider::Link;
use reqwest::{Client, Response, Url, header, redirect};

/// Data hosts redirect rarely; linkfs itself follows no more.
const MOST_REDIRECTS: usize = 3;
/// How long the data host may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The head of an answer to a request for a file's first byte.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: u16,
    /// The file's whole size, when the answer is that first byte.
    pub(super) total: Option<u64>,
    /// The time by the data host's clock.
    pub(super) date: Option<SystemTime>,
}

/// Asks for the first byte at the link's best address.
///
/// # Errors
/// Why there is no answer, in words without the address.
pub(super) async fn first_byte(link: &Link) -> Result<Head, String> {
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(in_words)?;
    let hosts: Vec<_> = link.urls.iter().map(|url| url.host().to_owned()).collect();
    let mut url = link.urls[0].expose().to_owned();
    for _ in 0..=MOST_REDIRECTS {
        let mut request = client.get(&url).header(header::RANGE, "bytes=0-0");
        // What belongs to the signature is for the link's own hosts.
        if linkfs_provider::SignedUrl::new(&url).is_ok_and(|url| hosts.contains(&url.host().into()))
        {
            for (name, value) in &link.headers {
                request = request.header(name, value.expose());
            }
        }
        let answer = request.send().await.map_err(in_words)?;
        match next(&answer) {
            None => return Ok(head(&answer)),
            Some(next) => url = next,
        }
    }
    Err(format!("more than {MOST_REDIRECTS} redirects"))
}

fn next(answer: &Response) -> Option<String> {
    if !answer.status().is_redirection() {
        return None;
    }
    let location = answer.headers().get(header::LOCATION)?.to_str().ok()?;
    let next: Url = answer.url().join(location).ok()?;
    Some(next.into())
}

fn head(answer: &Response) -> Head {
    let text = |name| answer.headers().get(name)?.to_str().ok();
    let total = text(header::CONTENT_RANGE).and_then(|range| range.strip_prefix("bytes 0-0/"));
    let date = text(header::DATE).and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    Head {
        status: answer.status().as_u16(),
        total: total.and_then(|total| total.parse().ok()),
        date: date.map(|date| date.timestamp().into()),
    }
}

/// An error of the HTTP client without the address, which is a key.
fn in_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(reason) = cause {
        text += &format!(": {reason}");
        cause = reason.source();
    }
    text
}
