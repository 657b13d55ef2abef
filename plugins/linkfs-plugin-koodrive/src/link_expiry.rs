use std::time::{Duration, SystemTime};

use crate::timestamp;

/// How long a link is taken to hold when its address does not tell.
const DEFAULT: Duration = Duration::from_secs(600);

/// No signature of this family holds longer than seven days.
const LONGEST: Duration = Duration::from_secs(604_800);

/// Parameters that hold when a link was signed and for how many seconds.
const SIGNED_FOR: [(&str, &str); 3] = [
    ("x-amz-date", "x-amz-expires"),
    ("x-obs-date", "x-obs-expires"),
    ("x-oss-date", "x-oss-expires"),
];

/// How long the signed address `url` holds at the drive's time `now`; zero when it is over.
pub(crate) fn valid_for(url: &str, now: SystemTime) -> Duration {
    match expires(url) {
        Some(end) => end.duration_since(now).unwrap_or_default().min(LONGEST),
        None => DEFAULT,
    }
}

fn expires(url: &str) -> Option<SystemTime> {
    let signed_for = SIGNED_FOR.iter().find_map(|(date, seconds)| {
        let start = timestamp::compact(parameter(url, date)?)?;
        let seconds = parameter(url, seconds)?.parse().ok()?;
        start.checked_add(Duration::from_secs(seconds))
    });
    signed_for.or_else(|| {
        let seconds = parameter(url, "expires")?.parse().ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    })
}

/// A parameter of the query, its name in any case.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let query = url.split('#').next()?.split_once('?')?.1;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1767600550 seconds after 1970.
    const NOW: &str = "20260105T080910Z";

    fn check(query: &str, seconds: u64) {
        let now = timestamp::compact(NOW).unwrap();
        let url = format!("https://obs.data.example.test/9b1c?{query}");
        assert_eq!(
            valid_for(&url, now),
            Duration::from_secs(seconds),
            "{query}"
        );
    }

    #[test]
    fn the_signature_tells() {
        check(
            "response-content-disposition=attachment%3B%20filename%3D%22Expires%253D1.pdf%22\
             &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20260105T080910Z\
             &X-Amz-SignedHeaders=host&X-Amz-Expires=3600&X-Amz-Signature=3f0c",
            3600,
        );
        check("X-Amz-Date=20260105T080810Z&X-Amz-Expires=3600", 3540);
        check("x-amz-date=20260105T080910Z&X-AMZ-EXPIRES=60", 60);
        check("X-Obs-Date=20260105T080910Z&X-Obs-Expires=60", 60);
        check("x-oss-date=20260105T080910Z&x-oss-expires=60", 60);
        check("AccessKeyId=K&Expires=1767600650&Signature=s", 100);
    }

    #[test]
    fn what_is_over_is_zero_and_nothing_holds_for_ever() {
        check("X-Amz-Date=20260105T060910Z&X-Amz-Expires=3600", 0);
        check("Expires=1", 0);
        check(
            "X-Amz-Date=20260105T080910Z&X-Amz-Expires=99999999",
            604_800,
        );
        check("Expires=18446744073709551615", 600);
    }

    #[test]
    fn without_a_word_it_is_ten_minutes() {
        check("", 600);
        check("X-Amz-Expires=3600", 600);
        check("X-Amz-Date=today&X-Amz-Expires=3600", 600);
        check("X-Amz-Date=20260105T080910Z&X-Amz-Expires=-1", 600);
        check("Expires=soon", 600);
    }
}
