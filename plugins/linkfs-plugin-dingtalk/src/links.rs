use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ItemId, Link, ProviderError, Result, Secret, SignedUrl};
use linkfs_provider_http::{timestamp, value};
use serde_json::{Value, json};

use crate::client::{Call, Fields};
use crate::space::Space;

/// The one form of download that is documented.
const PROTOCOL: &str = "HEADER_SIGNATURE";

/// How long a signature made at the time it names is accepted by the object storage.
const SIGNATURE_LIFE: Duration = Duration::from_secs(15 * 60);

/// How long a link is taken to hold when nothing tells.
const DEFAULT: Duration = Duration::from_secs(300);

/// No signature of this kind holds for longer than a day.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Headers that belong to one connection, and those that our own request has to set.
const NOT_TO_REPLAY: [&str; 11] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Asks how to download one file, in the version that was shown.
///
/// # Errors
/// `Invalid` for an id that cannot stand in a path.
pub(crate) fn call(space: &Space, file: &ItemId, version: Option<u64>) -> Result<Call> {
    // Without the word the drive prefers addresses that only its own network reaches.
    let mut body = json!({"option": {"preferIntranet": false}});
    if let Some(version) = version {
        body["option"]["version"] = json!(version);
    }
    space.post_dentry("link", file, "/downloadInfos/query", &body)
}

/// The link in an answer that came at the drive's time `now`.
///
/// # Errors
/// `Unsupported` for another protocol; `Broken` without an address or with a header that no request
/// can repeat.
pub(crate) fn read(answer: &Fields, now: SystemTime) -> Result<Link> {
    let info = answer.get("headerSignatureInfo").and_then(Value::as_object);
    match value::text_of(answer, "protocol") {
        Some(protocol) if protocol != PROTOCOL => {
            let what = "download a file in the way that DingTalk offers for it";
            return Err(ProviderError::unsupported(what));
        }
        _ => {}
    }
    let info = info.unwrap_or(answer);
    let headers = headers(info)?;
    Ok(Link {
        valid_for: valid_for(info, &headers, now),
        urls: urls(info)?,
        headers,
    })
}

fn urls(info: &Fields) -> Result<Vec<SignedUrl>> {
    let urls = info.get("resourceUrls").map_or(&[][..], value::elements);
    let urls = urls.iter().filter_map(Value::as_str);
    let urls: Vec<SignedUrl> = urls.filter_map(|url| SignedUrl::new(url).ok()).collect();
    match urls.is_empty() {
        true => Err(broken("the answer has no address for this file")),
        false => Ok(urls),
    }
}

/// All of them, exactly as given: the signature is one of them and covers others.
fn headers(info: &Fields) -> Result<Vec<(String, Secret<String>)>> {
    let Some(headers) = info.get("headers").and_then(Value::as_object) else {
        return Ok(Vec::new());
    };
    let header = |(name, text): (&String, &Value)| {
        let text = value::text(text);
        let text = text.filter(|text| can_be_sent(name, text));
        let text = text.ok_or_else(|| broken("the link has a header that cannot be sent"))?;
        Ok((name.clone(), Secret::new(text)))
    };
    headers.iter().map(header).collect()
}

fn can_be_sent(name: &str, text: &str) -> bool {
    let name = name.to_ascii_lowercase();
    reqwest::header::HeaderName::try_from(&name).is_ok()
        && reqwest::header::HeaderValue::try_from(text).is_ok()
        && !NOT_TO_REPLAY.contains(&name.as_str())
}

/// What the answer says, counted from the time of the answer; else what the time of the signature
/// leaves of its usual life.
fn valid_for(info: &Fields, headers: &[(String, Secret<String>)], now: SystemTime) -> Duration {
    let told = info.get("expirationSeconds").and_then(value::count);
    match told.filter(|seconds| *seconds > 0) {
        Some(seconds) => Duration::from_secs(seconds).min(LONGEST),
        None => match signed_at(headers).and_then(|time| time.checked_add(SIGNATURE_LIFE)) {
            Some(end) => end.duration_since(now).unwrap_or_default().min(LONGEST),
            None => DEFAULT,
        },
    }
}

fn signed_at(headers: &[(String, Secret<String>)]) -> Option<SystemTime> {
    let mut headers = headers.iter();
    let (_, date) = headers.find(|(name, _)| name.eq_ignore_ascii_case("x-oss-date"))?;
    let date = date.expose();
    timestamp::http_date(date).or_else(|| timestamp::compact(date))
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(changes: Value) -> Fields {
        let mut info = json!({
            "resourceUrls": ["https://sg-a.example.test/y/1%2F2", "https://sg-b.example.test/y/1"],
            "headers": {"Authorization": "OSS AKEX:mZ0q1w2e3r4=",
                "x-oss-date": "Mon, 05 Jan 2026 08:09:10 GMT"},
            "expirationSeconds": 900, "region": "SINGAPORE",
            "internalResourceUrls": ["https://10.0.0.1/y/1"]});
        let fields = info.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.clone()
    }

    fn link(changes: Value) -> Result<Link> {
        let answer = json!({"protocol": PROTOCOL, "headerSignatureInfo": info(changes)});
        let now = timestamp::compact("20260105T080920Z").unwrap();
        read(answer.as_object().unwrap(), now)
    }

    fn check_life(changes: Value, seconds: u64) {
        let link = link(changes.clone()).unwrap();
        assert_eq!(link.valid_for, Duration::from_secs(seconds), "{changes}");
    }

    #[test]
    fn addresses_and_headers_are_passed_on_byte_for_byte() {
        let link = link(json!({})).unwrap();
        let urls: Vec<&str> = link.urls.iter().map(SignedUrl::expose).collect();
        let expected = [
            "https://sg-a.example.test/y/1%2F2",
            "https://sg-b.example.test/y/1",
        ];
        assert_eq!(urls, expected);
        let headers: Vec<(&str, &str)> = link
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect();
        let expected = [
            ("Authorization", "OSS AKEX:mZ0q1w2e3r4="),
            ("x-oss-date", "Mon, 05 Jan 2026 08:09:10 GMT"),
        ];
        assert_eq!(headers, expected);
        assert!(!format!("{link:?}").contains("mZ0q1w2e3r4"));
    }

    #[test]
    fn the_answer_tells_how_long_a_link_holds() {
        check_life(json!({}), 900);
        check_life(json!({"expirationSeconds": "60"}), 60);
        check_life(json!({"expirationSeconds": 999_999_999}), 86_400);
    }

    #[test]
    fn else_the_signature_does() {
        for none in [json!(null), json!(0), json!(-1)] {
            check_life(json!({"expirationSeconds": none}), 890);
            let compact = json!({"x-oss-date": "20260105T080910Z"});
            check_life(json!({"expirationSeconds": none, "headers": compact}), 890);
            let old = json!({"X-OSS-Date": "20260105T060910Z"});
            check_life(json!({"expirationSeconds": none, "headers": old}), 0);
            check_life(json!({"expirationSeconds": none, "headers": {}}), 300);
            let odd = json!({"x-oss-date": "today"});
            check_life(json!({"expirationSeconds": none, "headers": odd}), 300);
        }
    }

    #[test]
    fn the_fields_may_stand_at_the_top() {
        let link = read(&info(json!({})), SystemTime::now()).unwrap();
        assert_eq!((link.urls.len(), link.headers.len()), (2, 2));
    }

    #[test]
    fn another_protocol_is_unsupported() {
        let answer = json!({"protocol": "URL_SIGNATURE", "headerSignatureInfo": info(json!({}))});
        let error = read(answer.as_object().unwrap(), SystemTime::now()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
    }

    #[test]
    fn a_link_without_a_usable_address_is_broken() {
        for urls in [json!([]), json!(null), json!(["ftp://s3cret"])] {
            let error = link(json!({"resourceUrls": urls})).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken);
            assert!(!error.message.contains("s3cret"));
        }
        let one = link(json!({"resourceUrls": ["", "https://h/x"]})).unwrap();
        assert_eq!(one.urls[0].host(), "h");
    }

    #[test]
    fn headers_that_cannot_be_repeated_are_refused() {
        for (name, text) in [
            ("Authorization", "s3cret\r\nHost: x"),
            ("Transfer-Encoding", "s3cret"),
            ("Range", "bytes=0-1"),
            ("no name", "s3cret"),
            ("", "s3cret"),
        ] {
            let error = link(json!({"headers": {name: text}})).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{name}");
            assert!(!error.message.contains("s3cret"));
        }
    }
}
