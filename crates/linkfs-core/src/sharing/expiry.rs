//! When a share ends, as people write it.

use std::time::{Duration, SystemTime};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

/// Longer than any drive keeps a share; beyond it the arithmetic of dates would end.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const EXPECTED: &str = "expires: expected a duration such as 7d, 12h or 90m, a date such as 2027-01-31, \
     2027-01-31T18:00 or 2027-01-31T18:00:00Z, or never";

/// When a share ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// So long after it was made or changed.
    In(Duration),
    /// Then.
    At(SystemTime),
    Never,
}

impl Expiry {
    /// How long it lasts from now; `None` for no end.
    ///
    /// # Errors
    /// In words, when it is over.
    pub(crate) fn valid_for(self, now: SystemTime) -> Result<Option<Duration>, String> {
        match self {
            Expiry::Never => Ok(None),
            Expiry::In(time) => Ok(Some(time)),
            Expiry::At(end) => match end.duration_since(now) {
                Ok(left) if !left.is_zero() => Ok(Some(left)),
                _ => Err("bad terms: expires: that time is over".to_owned()),
            },
        }
    }
}

/// Reads a duration, a date or `never`. A date without a zone is meant where this machine is, and one without
/// a time includes that day.
///
/// # Errors
/// What is expected, in words.
pub(super) fn parse(text: &str) -> Result<Expiry, String> {
    let expiry = match text {
        "never" => Some(Expiry::Never),
        text if text.contains('-') => parse_date(text, TimeZone::system()).map(Expiry::At),
        text => parse_duration(text).map(Expiry::In),
    };
    expiry.ok_or_else(|| EXPECTED.to_owned())
}

fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let unit_seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return None,
    };
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit_seconds)?;
    let time = Duration::from_secs(seconds);
    (!time.is_zero() && time <= LONGEST).then_some(time)
}

fn parse_date(text: &str, zone: TimeZone) -> Option<SystemTime> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.into());
    }
    let local = match text.contains('T') {
        true => text.parse::<DateTime>().ok()?,
        false => text.parse::<Date>().ok()?.checked_add(1.day()).ok()?.into(),
    };
    Some(zone.to_timestamp(local).ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600;

    #[test]
    fn durations_have_a_unit() {
        for (text, seconds) in [
            ("7d", Some(7 * 24 * HOUR)),
            ("12h", Some(12 * HOUR)),
            ("90m", Some(5400)),
            ("30s", Some(30)),
            ("2w", Some(14 * 24 * HOUR)),
            ("36500d", Some(36500 * 24 * HOUR)),
            ("36501d", None),
            ("0d", None),
            ("7", None),
            ("d", None),
            ("7 d", None),
            ("7days", None),
            ("99999999999999999999d", None),
            ("", None),
            ("soon", None),
        ] {
            let expected = seconds.map(|seconds| Expiry::In(Duration::from_secs(seconds)));
            assert_eq!(parse(text).ok(), expected, "{text}");
        }
        assert_eq!(parse("never"), Ok(Expiry::Never));
    }

    #[test]
    fn dates_are_meant_here_and_include_their_day() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("2027-01-31", Some("2027-01-31T22:00:00Z")),
            ("2027-01-31T18:00", Some("2027-01-31T16:00:00Z")),
            ("2027-01-31T18:00:00Z", Some("2027-01-31T18:00:00Z")),
            ("2027-01-31T18:00:00+09:00", Some("2027-01-31T09:00:00Z")),
            ("2027-02-30", None),
            ("2027-13-01", None),
            ("-7d", None),
            ("tomorrow-ish", None),
            ("9999-12-31", None),
        ] {
            let expected = expected.map(|time| time.parse::<Timestamp>().unwrap().into());
            assert_eq!(parse_date(text, zone.clone()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_over_is_refused() {
        let now = SystemTime::now();
        let second = Duration::from_secs(1);
        assert_eq!(Expiry::At(now + second).valid_for(now), Ok(Some(second)));
        assert!(Expiry::At(now).valid_for(now).is_err());
        assert!(Expiry::At(now - second).valid_for(now).is_err());
    }
}
