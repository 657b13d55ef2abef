//! What a signed address tells about itself.

use std::time::{Duration, SystemTime};

use crate::timestamp;

/// Parameters that hold when a link was signed and for how many seconds.
const SIGNED_FOR: [(&str, &str); 3] = [
    ("x-amz-date", "x-amz-expires"),
    ("x-obs-date", "x-obs-expires"),
    ("x-oss-date", "x-oss-expires"),
];

/// Parameters that hold when a link ends, in seconds since 1970.
const ENDS_AT: [&str; 2] = ["expires", "x-oss-expires"];

/// A smaller `x-oss-expires` counts from the signing, a larger one from 1970; as a time it would lie
/// in April 1970, as a duration be far over the seven days allowed.
const OSS_DURATION_BELOW: u64 = 10_000_000;

/// When the signature of `url` ends by the drive's clock, where the address tells: the earliest time
/// that can be read.
pub fn expires(url: &str) -> Option<SystemTime> {
    let signed_for = SIGNED_FOR.iter().filter_map(|(date, seconds)| {
        let start = timestamp::compact(parameter(url, date)?)?;
        start.checked_add(Duration::from_secs(number(url, seconds)?))
    });
    let ends_at = ENDS_AT.iter().filter_map(|name| {
        let seconds = number(url, name)?;
        let is_duration = name.starts_with("x-oss-") && seconds < OSS_DURATION_BELOW;
        let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        end.filter(|_| !is_duration)
    });
    signed_for.chain(ends_at).min()
}

/// A parameter of the query as it stands there, its name in any case.
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let query = url.split('#').next()?.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// The digits that a parameter starts with: some addresses forget the `&` behind it.
fn number(url: &str, name: &str) -> Option<u64> {
    let value = parameter(url, name)?;
    let end = value.find(|c: char| !c.is_ascii_digit());
    value[..end.unwrap_or(value.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from 1767600550, which is 20260105T080910Z.
    fn check(query: &str, seconds: Option<u64>) {
        let url = format!("https://obs.data.example.test/9b1c?{query}");
        let now = timestamp::compact("20260105T080910Z").unwrap();
        let found = expires(&url).map(|end| end.duration_since(now).unwrap_or_default());
        assert_eq!(found, seconds.map(Duration::from_secs), "{query}");
    }

    #[test]
    fn the_signature_tells() {
        check(
            "response-content-disposition=attachment%3B%20filename%3D%22Expires%253D1.pdf%22\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260105T080910Z\
             &X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature=3f0c",
            Some(3600),
        );
        check("X-Amz-Date=20260105T080810Z&X-Amz-Expires=3600", Some(3540));
        check("x-amz-date=20260105T080910Z&X-AMZ-EXPIRES=60", Some(60));
        check("X-Obs-Date=20260105T080910Z&X-Obs-Expires=60", Some(60));
        check("x-oss-date=20260105T080910Z&x-oss-expires=60", Some(60));
        check("AccessKeyId=K&Expires=1767600650&Signature=s", Some(100));
        check(
            "x-oss-signature-version=OSS2&x-oss-expires=1767600650",
            Some(100),
        );
        check("Expires=1767600650OSSAccessKeyId=K", Some(100));
    }

    #[test]
    fn the_earliest_time_counts() {
        let both = "x-oss-date=20260105T080910Z&x-oss-expires=60&Expires=1767600580";
        check(both, Some(30));
        check("X-Amz-Date=20260105T060910Z&X-Amz-Expires=3600", Some(0));
        check("Expires=1", Some(0));
    }

    #[test]
    fn what_cannot_be_read_tells_nothing() {
        check("", None);
        check("X-Amz-Expires=3600", None);
        check("x-oss-expires=600", None);
        check("X-Amz-Date=today&X-Amz-Expires=3600", None);
        check("X-Amz-Date=20260105T080910Z&X-Amz-Expires=-1", None);
        check("Expires=soon", None);
        check("Expires=18446744073709551615", None);
    }
}
