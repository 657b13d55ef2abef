use std::time::{Duration, SystemTime};

use linkfs_provider_http::signed_url;

/// How long a link is taken to hold when its address does not tell.
const DEFAULT: Duration = Duration::from_secs(600);

/// No signature of this family holds longer than seven days.
const LONGEST: Duration = Duration::from_secs(604_800);

/// How long the signed address `url` holds at the drive's time `now`; zero when it is over.
pub(crate) fn valid_for(url: &str, now: SystemTime) -> Duration {
    match signed_url::expires(url) {
        Some(end) => end.duration_since(now).unwrap_or_default().min(LONGEST),
        None => DEFAULT,
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider_http::timestamp;

    use super::*;

    fn check(query: &str, seconds: u64) {
        let now = timestamp::compact("20260105T080910Z").unwrap();
        let url = format!("https://obs.data.example.test/9b1c?{query}");
        assert_eq!(
            valid_for(&url, now),
            Duration::from_secs(seconds),
            "{query}"
        );
    }

    #[test]
    fn the_signature_tells_but_nothing_holds_for_ever() {
        check("X-Amz-Date=20260105T080810Z&X-Amz-Expires=3600", 3540);
        check("X-Amz-Date=20260105T060910Z&X-Amz-Expires=3600", 0);
        check(
            "X-Amz-Date=20260105T080910Z&X-Amz-Expires=99999999",
            604_800,
        );
    }

    #[test]
    fn without_a_word_it_is_ten_minutes() {
        check("", 600);
        check("Expires=soon", 600);
    }
}
