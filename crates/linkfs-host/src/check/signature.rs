//! What a signed address tells of its end, read once more and apart from what plugins use for it: one
//! misreading would hide in both.

use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use reqwest::Url;

/// Larger numbers are seconds since 1970, smaller ones seconds from the signing on: the first such time lies
/// in 1973, and no signature holds for three years.
const FIRST_TIME: u64 = 100_000_000;

/// When the address ends by the clock of the drive, where its query says so: by the earliest of its ends.
pub(super) fn end(url: &str) -> Option<SystemTime> {
    let url = Url::parse(url).ok()?;
    let query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.to_lowercase(), value.into_owned()))
        .collect();
    let ends = query.iter().filter_map(|(name, value)| {
        let prefix = name.strip_suffix("expires")?;
        let digits = value
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(value.len());
        let seconds: u64 = value[..digits].parse().ok()?;
        let start = match seconds {
            FIRST_TIME.. => SystemTime::UNIX_EPOCH,
            _ => {
                let date = format!("{prefix}date");
                let (_, date) = query.iter().find(|(name, _)| *name == date)?;
                compact(date)?
            }
        };
        start.checked_add(Duration::from_secs(seconds))
    });
    ends.min()
}

/// `20260105T080910Z`.
fn compact(text: &str) -> Option<SystemTime> {
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let date = date.to_zoned(TimeZone::UTC).ok()?;
    Some(date.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from 20260105T080910Z, which is 1767600550.
    fn check(query: &str, expected: Option<u64>) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_600_550);
        let end = end(&format!("https://data.example.test/f?{query}"));
        let left = end.map(|end| end.duration_since(now).unwrap().as_secs());
        assert_eq!(left, expected, "{query}");
    }

    #[test]
    fn the_end_is_read_in_every_common_form() {
        check("X-Amz-Date=20260105T080910Z&X-Amz-Expires=3600", Some(3600));
        check("x-oss-expires=60&x-oss-date=20260105T080810Z", Some(0));
        check("X-Goog-Date=20260105T080911Z&X-Goog-Expires=60", Some(61));
        check("Expires=1767600650&Signature=s", Some(100));
        check(
            "x-oss-expires=1767600650&x-oss-signature-version=OSS2",
            Some(100),
        );
        check("Expires=1767600650OSSAccessKeyId=K", Some(100));
        check("X-Amz-Expires=3600", None);
        check("Signature=s", None);
        check("X-Amz-Date=20261305T080910Z&X-Amz-Expires=1", None);
    }
}
