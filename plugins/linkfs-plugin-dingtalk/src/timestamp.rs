use std::sync::Once;
use std::time::SystemTime;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use linkfs_provider_http::timestamp;
use serde_json::Value;
use tracing::warn;

/// What the drive calls CST: China's time, never the one of Chicago.
const CHINA: Offset = Offset::constant(8);

/// The form in which a throttle's text names its end: `2026-01-05 16:09:11`.
const IN_TEXT: &str = "%Y-%m-%d %H:%M:%S";

/// A time as the drive writes it: RFC 3339, the same without seconds, Java's `Thu May 28 09:37:16 CST
/// 2026`, or milliseconds since 1970. `None` for anything else.
pub(crate) fn read(time: &Value) -> Option<SystemTime> {
    let found = timestamp::read(time).or_else(|| java(time.as_str()?));
    if found.is_none() && !time.is_null() {
        static FIRST: Once = Once::new();
        FIRST.call_once(|| warn!("the drive writes times in an unknown form: they are not shown"));
    }
    found
}

/// The first time of a free text, on China's clock.
pub(crate) fn in_text(text: &str) -> Option<SystemTime> {
    const LENGTH: usize = "2026-01-05 16:09:11".len();
    let starts = text.char_indices().map(|(at, _)| at);
    let pieces = starts.filter_map(|at| text.get(at..at + LENGTH));
    // Blanks before it would be skipped, and as many digits be missing at its end.
    let mut pieces = pieces.filter(|piece| piece.starts_with(|c: char| c.is_ascii_digit()));
    let time = pieces.find_map(|piece| DateTime::strptime(IN_TEXT, piece).ok())?;
    at(time, CHINA)
}

fn java(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let [_weekday, month, day, time, zone, year] = words.as_slice() else {
        return None;
    };
    let offset = match *zone {
        "CST" | "GMT+08:00" => CHINA,
        "UTC" | "GMT" => Offset::UTC,
        _ => return None,
    };
    let text = format!("{month} {day} {time} {year}");
    at(DateTime::strptime("%b %d %H:%M:%S %Y", text).ok()?, offset)
}

fn at(time: DateTime, offset: Offset) -> Option<SystemTime> {
    Some(offset.to_timestamp(time).ok()?.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(time: Value, expected_ms: Option<i64>) {
        assert_eq!(read(&time).and_then(timestamp::ms), expected_ms, "{time}");
    }

    #[test]
    fn times_are_read_in_every_listed_form() {
        check(json!("2026-01-02T03:05:00Z"), Some(1_767_323_100_000));
        check(json!("2026-01-02T03:05Z"), Some(1_767_323_100_000));
        check(
            json!("Fri Jan 02 11:05:00 CST 2026"),
            Some(1_767_323_100_000),
        );
        check(
            json!("Fri Jan 02 03:05:00 UTC 2026"),
            Some(1_767_323_100_000),
        );
        check(json!(1_767_323_100_000_u64), Some(1_767_323_100_000));
        check(json!("1767323100000"), Some(1_767_323_100_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for time in [
            json!(null),
            json!(""),
            json!("yesterday"),
            json!("Fri Foo 02 11:05:00 CST 2026"),
            json!("Fri Jan 02 11:05:00 XYZ 2026"),
            json!(-1),
            json!([]),
        ] {
            check(time, None);
        }
    }

    #[test]
    fn the_end_of_a_throttle_is_fished_out_of_its_text() {
        let ms = |text| in_text(text).and_then(timestamp::ms);
        let end = Some(1_767_600_551_000);
        assert_eq!(ms("limit ends at 2026-01-05 16:09:11"), end);
        assert_eq!(ms("限流到 2026-01-05 16:09:11。"), end);
        assert_eq!(ms("too many calls"), None);
        assert_eq!(ms("2026-13-05 16:09:11"), None);
    }
}
