use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ItemId, Link, ProviderError, Result, SignedUrl};
use linkfs_provider_http::{signed_url, timestamp, value};
use serde_json::{Map, Value, json};

use crate::client::Call;
use crate::config::LinkTerms;

/// Asks for the link of one file: a call signs no more.
pub(crate) fn call(drive_id: &str, file: &ItemId, terms: &LinkTerms) -> Call {
    let body = body(("drive_id", drive_id), file, terms);
    Call::json("/v2/file/get_download_url", &body)
}

/// What is asked of what holds the file, a drive or a share.
pub(crate) fn body((holder, id): (&str, &str), file: &ItemId, terms: &LinkTerms) -> Value {
    let mut body = json!({
        "file_id": file.as_str(),
        "expire_sec": terms.valid_for.as_secs(),
    });
    body[holder] = json!(id);
    body
}

/// The link in an answer that came at the drive's time `now`.
///
/// # Errors
/// `Broken` when there is no address to use.
pub(crate) fn read(
    answer: &Map<String, Value>,
    terms: &LinkTerms,
    now: SystemTime,
) -> Result<Link> {
    let mut urls: Vec<SignedUrl> = Vec::new();
    let told = terms
        .order
        .iter()
        .filter_map(|name| value::text_of(answer, name));
    for url in told.filter_map(|url| SignedUrl::new(url).ok()) {
        if !urls.contains(&url) {
            urls.push(url);
        }
    }
    if urls.is_empty() {
        let names = terms.order.join(", ");
        let message = format!("the answer has no address under {names}");
        return Err(ProviderError::new(ErrorKind::Broken, message));
    }
    Ok(Link {
        valid_for: valid_for(answer, &urls, terms, now),
        urls,
        headers: Vec::new(),
    })
}

/// Until the earliest end that is told, for all addresses at once; else as long as was asked for.
fn valid_for(
    answer: &Map<String, Value>,
    urls: &[SignedUrl],
    terms: &LinkTerms,
    now: SystemTime,
) -> Duration {
    let told = answer.get("expiration").and_then(timestamp::read);
    // What was signed just now is not over: such a time is an example, or badly written.
    let told = told.filter(|end| *end > now);
    let signed = urls
        .iter()
        .filter_map(|url| signed_url::expires(url.expose()));
    match signed.chain(told).min() {
        Some(end) => end.duration_since(now).unwrap_or_default(),
        None => terms.valid_for,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example's time: 2026-01-05T08:09:10Z.
    const NOW: Duration = Duration::from_secs(1_767_600_550);
    const URL: &str = "https://data.example.test/hz9%2F65a0?Expires=1767601450&Signature=q1w2%3D";

    fn link(answer: &Value, order: &[&'static str]) -> Result<Link> {
        let terms = LinkTerms {
            order: order.to_vec(),
            valid_for: Duration::from_secs(3600),
        };
        let now = SystemTime::UNIX_EPOCH + NOW;
        read(answer.as_object().unwrap(), &terms, now)
    }

    fn check_life(answer: Value, seconds: u64) {
        let link = link(&answer, &["url", "cdn_url"]).unwrap();
        assert_eq!(link.valid_for, Duration::from_secs(seconds), "{answer}");
    }

    fn check_urls(answer: &Value, order: &[&'static str], hosts: &[&str]) {
        let link = link(answer, order).unwrap();
        let found: Vec<&str> = link.urls.iter().map(SignedUrl::host).collect();
        assert_eq!(found, hosts, "{order:?}");
    }

    #[test]
    fn addresses_come_in_the_order_of_the_settings() {
        let answer = json!({"url": "https://a/x", "cdn_url": "https://b/x",
            "internal_url": "https://c/x"});
        check_urls(&answer, &["url", "cdn_url"], &["a", "b"]);
        check_urls(&answer, &["internal_url", "url"], &["c", "a"]);
        let same = json!({"url": "https://a/x", "cdn_url": "https://a/x", "internal_url": ""});
        check_urls(&same, &["internal_url", "cdn_url", "url"], &["a"]);
        let odd = json!({"url": "https://a/x", "cdn_url": "ftp://s3cret"});
        check_urls(&odd, &["cdn_url", "url"], &["a"]);
    }

    #[test]
    fn addresses_are_passed_through_byte_for_byte() {
        let link = link(&json!({"url": URL}), &["url"]).unwrap();
        assert_eq!(link.urls[0].expose(), URL);
    }

    #[test]
    fn the_earliest_end_counts() {
        check_life(json!({"url": URL}), 900);
        check_life(
            json!({"url": URL, "expiration": "2026-01-05T08:10:10.000Z"}),
            60,
        );
        check_life(
            json!({"url": URL, "expiration": "2026-01-05T18:10:10.000Z"}),
            900,
        );
        let later = "https://b/x?Expires=1767600650";
        check_life(json!({"url": URL, "cdn_url": later}), 100);
        let v4 = "https://a/x?x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date=20260105T080910Z&x-oss-expires=600";
        check_life(json!({"url": v4}), 600);
        check_life(
            json!({"url": "https://a/x?Expires=1767600560OSSAccessKeyId=K"}),
            10,
        );
        check_life(json!({"url": "https://a/x?Expires=1"}), 0);
    }

    #[test]
    fn a_time_that_is_none_is_ignored() {
        for expiration in [
            "2006-01-02T15:04:05.999Z07:00",
            "2006-01-02T15:04:05Z",
            "",
            "soon",
        ] {
            check_life(
                json!({"url": "https://a/x", "expiration": expiration}),
                3600,
            );
        }
    }

    #[test]
    fn an_answer_without_a_usable_address_is_broken() {
        for answer in [
            json!({}),
            json!({"url": ""}),
            json!({"url": "ftp://s3cret"}),
        ] {
            let error = link(&answer, &["url"]).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken);
            assert!(!error.message.contains("s3cret"));
        }
    }
}
