//! Times as drives write them.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::value;

/// The compact form of signatures: `20260105T080910Z`.
const COMPACT: &str = "%Y%m%dT%H%M%SZ";

/// In milliseconds this is March 1973, in seconds the year 5138: no drive means either.
const SECONDS_BELOW: u64 = 100_000_000_000;

/// A time as the drive writes it: RFC 3339, the same without a zone (then UTC, as documented), or
/// milliseconds since 1970 as a number or text; a number below 10^11 counts seconds. `None` for
/// anything else.
pub fn read(time: &Value) -> Option<SystemTime> {
    let text = value::text(time)?;
    if let Ok(number) = text.parse::<u64>() {
        let since_1970 = match number < SECONDS_BELOW {
            true => Duration::from_secs(number),
            false => Duration::from_millis(number),
        };
        return SystemTime::UNIX_EPOCH.checked_add(since_1970);
    }
    let zoned = text.parse::<Timestamp>().ok();
    let time = zoned.or_else(|| utc(text.parse().ok()?))?;
    Some(time.into())
}

/// Milliseconds since 1970.
pub fn ms(time: SystemTime) -> Option<i64> {
    Some(Timestamp::try_from(time).ok()?.as_millisecond())
}

/// Writes RFC 3339 with milliseconds: `2026-01-12T08:09:10.000Z`. `None` past the year 9999.
pub fn to_rfc3339(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    Some(time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

/// The time of an HTTP `Date` or `Retry-After` header.
pub fn http_date(text: &str) -> Option<SystemTime> {
    let zoned = jiff::fmt::rfc2822::parse(text).ok()?;
    Some(zoned.timestamp().into())
}

/// Reads the compact form.
pub fn compact(text: &str) -> Option<SystemTime> {
    utc(DateTime::strptime(COMPACT, text).ok()?).map(Into::into)
}

/// Writes the compact form.
pub fn to_compact(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
    time.strftime(COMPACT).to_string()
}

fn utc(time: DateTime) -> Option<Timestamp> {
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(value: Value, expected_ms: Option<i64>) {
        assert_eq!(read(&value).and_then(ms), expected_ms, "{value}");
    }

    #[test]
    fn times_are_read_in_every_documented_form() {
        let expected = Some(1_767_323_100_120);
        check(json!("2026-01-02T03:05:00.120Z"), expected);
        check(json!("2026-01-02T11:05:00.120+08:00"), expected);
        check(json!("2026-01-02T03:05:00.120"), expected);
        check(json!(1_767_323_100_120_u64), expected);
        check(json!("1767323100120"), expected);
        check(json!(1_767_323_100), Some(1_767_323_100_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for value in [
            json!(null),
            json!(""),
            json!("yesterday"),
            json!(-5),
            json!({}),
        ] {
            check(value, None);
        }
        check(json!(u64::MAX), None);
    }

    #[test]
    fn header_and_signature_forms() {
        let time = http_date("Mon, 05 Jan 2026 08:09:10 GMT").unwrap();
        assert_eq!(to_compact(time), "20260105T080910Z");
        let text = to_rfc3339(time).unwrap();
        assert_eq!(text, "2026-01-05T08:09:10.000Z");
        assert_eq!(read(&json!(text)), Some(time));
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(300_000_000_000);
        assert_eq!(to_rfc3339(late), None);
        assert_eq!(compact("20260105T080910Z"), Some(time));
        assert_eq!(compact("2026-01-05"), None);
        assert_eq!(http_date("soon"), None);
    }
}
