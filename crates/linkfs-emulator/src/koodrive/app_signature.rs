use jiff::Timestamp;

use super::call::Call;
use super::emulator::Credentials;
use super::knobs::Knobs;
use crate::clock::parse_compact_date;
use crate::digest::{hex, hmac_sha256, sha256_hex};

const ALGORITHM: &str = "HMAC-SHA256";

/// Whether a call is signed by the app: the signature is rebuilt from what was received.
pub(crate) fn verifies(
    call: &Call,
    credentials: &Credentials,
    knobs: &Knobs,
    now: Timestamp,
) -> bool {
    let parts = call.header("authorization").and_then(Parts::parse);
    let date = call.header("x-date").unwrap_or_default();
    let (Some(parts), Some(signed_at)) = (parts, parse_compact_date(date)) else {
        return false;
    };
    let age = now.as_second() - signed_at.as_second();
    let is_in_time = (0..=knobs.app_date_max_age_s.cast_signed()).contains(&age);
    let names: Vec<&str> = parts.signed_headers.split(';').collect();
    let has_names = ["x-date", "x-user-id"]
        .iter()
        .all(|name| names.contains(name));
    let user = call.header("x-user-id").unwrap_or_default();
    parts.app_id == credentials.app_id
        && user == credentials.user_id
        && is_in_time
        && has_names
        && knobs.app_signs_host.allows(names.contains(&"host"))
        && signature_fits(call, credentials, knobs, &parts)
}

fn signature_fits(
    call: &Call,
    credentials: &Credentials,
    knobs: &Knobs,
    parts: &Parts<'_>,
) -> bool {
    let hash = sha256_hex(canonical_request(call, parts.signed_headers).as_bytes());
    let date = call.header("x-date").unwrap_or_default();
    [None, Some(date)].into_iter().any(|time_line| {
        knobs.app_time_line.allows(time_line.is_some())
            && signature(&credentials.app_secret, time_line, &hash) == parts.signature
    })
}

/// `HMAC-SHA256 AppId=..,SignedHeaders=..,Signature=..`
struct Parts<'a> {
    app_id: &'a str,
    signed_headers: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix(ALGORITHM)?.trim();
        let field = |name: &str| {
            let mut pairs = fields
                .split(',')
                .filter_map(|field| field.trim().split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some(Self {
            app_id: field("AppId")?,
            signed_headers: field("SignedHeaders")?,
            signature: field("Signature")?,
        })
    }
}

fn canonical_request(call: &Call, signed_headers: &str) -> String {
    let slash = if call.path.ends_with('/') { "" } else { "/" };
    let mut names: Vec<String> = signed_headers
        .split(';')
        .map(str::to_ascii_lowercase)
        .collect();
    names.sort();
    let headers: String = names
        .iter()
        .map(|name| format!("{name}:{}\n", call.header(name).unwrap_or_default().trim()))
        .collect();
    format!(
        "{}\n{}{slash}\n{}\n{headers}\n{signed_headers}\n{}",
        call.method,
        call.path,
        canonical_query(&call.query),
        sha256_hex(&call.raw_body)
    )
}

/// Pairs sorted by name; an empty value keeps its `=`.
fn canonical_query(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

fn signature(secret: &str, time_line: Option<&str>, request_hash: &str) -> String {
    let text = match time_line {
        Some(time) => format!("{ALGORITHM}\n{time}\n{request_hash}"),
        None => format!("{ALGORITHM}\n{request_hash}"),
    };
    hex(&hmac_sha256(secret.as_bytes(), text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, Method};

    use super::*;
    use crate::koodrive::Tolerance;

    const HASH: &str = "459b1a1db3afbfb36d6d67c0c5ba3a7737d2332ac53a2e3ab870473352acb400";
    const PLAIN: &str = "d66b200c7b5151673ed15473c2c8dae9d3a057368f5571682132dc32c0e4c4c6";
    const TIMED: &str = "2d3c8b6837ba8a772354b96eb6c4e6948c753c64c91090b48dfa9d0df860dd09";

    fn call(signature: &str) -> Call {
        let authorization = format!(
            "HMAC-SHA256 AppId=app-1,SignedHeaders=host;x-date;x-user-id,Signature={signature}"
        );
        let mut headers = HeaderMap::new();
        let mut add = |name: &'static str, value: &str| {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        };
        add("host", "intl.myhuaweicloud-koodrive.com");
        add("x-date", "20260105T080910Z");
        add("x-user-id", "u-42");
        add("authorization", &authorization);
        Call {
            method: Method::POST,
            path: "/koodrive/ose/v1/files/download".into(),
            query: String::new(),
            headers,
            raw_body: r#"{"containerId":"C1","fileIds":["F1"]}"#.into(),
            body: serde_json::Value::Null,
        }
    }

    fn credentials() -> Credentials {
        Credentials {
            app_id: "app-1".into(),
            app_secret: "app-secret-example".into(),
            user_id: "u-42".into(),
            ..Credentials::default()
        }
    }

    fn check(call: &Call, knobs: &Knobs, now: &str, expected: bool) {
        let now = now.parse().unwrap();
        assert_eq!(
            verifies(call, &credentials(), knobs, now),
            expected,
            "{now} {knobs:?}"
        );
    }

    #[test]
    fn the_documented_vectors_come_out() {
        let request = canonical_request(&call(PLAIN), "host;x-date;x-user-id");
        assert_eq!(sha256_hex(request.as_bytes()), HASH);
        assert_eq!(signature("app-secret-example", None, HASH), PLAIN);
        assert_eq!(
            signature("app-secret-example", Some("20260105T080910Z"), HASH),
            TIMED
        );
    }

    #[test]
    fn signatures_hold_for_fifteen_minutes_and_never_before_their_time() {
        let knobs = Knobs::default();
        check(&call(PLAIN), &knobs, "2026-01-05T08:09:10Z", true);
        check(&call(PLAIN), &knobs, "2026-01-05T08:24:10Z", true);
        check(&call(PLAIN), &knobs, "2026-01-05T08:24:11Z", false);
        check(&call(PLAIN), &knobs, "2026-01-05T08:09:09Z", false);
    }

    #[test]
    fn the_knobs_choose_between_the_readings() {
        let now = "2026-01-05T08:09:10Z";
        let knobs = |time_line, host| Knobs {
            app_time_line: time_line,
            app_signs_host: host,
            ..Knobs::default()
        };
        let either = Tolerance::Either;
        check(&call(TIMED), &knobs(either, either), now, true);
        check(
            &call(TIMED),
            &knobs(Tolerance::Forbidden, either),
            now,
            false,
        );
        check(
            &call(PLAIN),
            &knobs(Tolerance::Required, either),
            now,
            false,
        );
        check(
            &call(PLAIN),
            &knobs(either, Tolerance::Forbidden),
            now,
            false,
        );
    }

    #[test]
    fn a_changed_call_is_refused() {
        let now = "2026-01-05T08:09:10Z";
        let mut changed = call(PLAIN);
        changed.raw_body = r#"{"containerId":"C1","fileIds":["F2"]}"#.into();
        check(&changed, &Knobs::default(), now, false);
        let mut changed = call(PLAIN);
        changed.query = "a=1".into();
        check(&changed, &Knobs::default(), now, false);
    }

    #[test]
    fn queries_are_sorted_and_keep_empty_values() {
        assert_eq!(canonical_query("b=2&a&c="), "a=&b=2&c=");
    }
}
