//! Whether and when a failed call is tried again: asked here, decided by kind, for the whole program.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};

/// First wait after a drive that could not answer; doubles up to [`LONGEST_OUTAGE_WAIT`].
const FIRST_OUTAGE_WAIT: Duration = Duration::from_millis(100);
/// Long enough not to hammer a drive that is down, short enough that a request with the default
/// deadline of 30 s tries about ten times.
const LONGEST_OUTAGE_WAIT: Duration = Duration::from_secs(4);
/// First wait after "too many calls" without a time given; doubles up to [`LONGEST_RATE_WAIT`].
const FIRST_RATE_WAIT: Duration = Duration::from_secs(1);
const LONGEST_RATE_WAIT: Duration = Duration::from_secs(8);
/// Longer than any request waits; what a drive asks for beyond it would overflow the clock's arithmetic.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// How long to wait before try number `tries + 1`; `None` when another try is of no use.
/// Up to a quarter is added at random, so that many waiters do not come back in one moment.
pub(crate) fn wait_before_retry(error: &ProviderError, tries: u32) -> Option<Duration> {
    if error.is_about_item {
        return None;
    }
    let wait = match error.kind {
        ErrorKind::RateLimited => {
            let guess = doubling(FIRST_RATE_WAIT, tries, LONGEST_RATE_WAIT);
            error.retry_after.unwrap_or(guess)
        }
        ErrorKind::Unavailable => {
            let guess = doubling(FIRST_OUTAGE_WAIT, tries, LONGEST_OUTAGE_WAIT);
            error.retry_after.unwrap_or(guess)
        }
        // One odd answer may be a gateway's hiccup; two are the drive's opinion.
        ErrorKind::Broken if tries <= 1 => FIRST_OUTAGE_WAIT,
        ErrorKind::Broken
        | ErrorKind::NotFound
        | ErrorKind::Denied
        | ErrorKind::LoginExpired
        | ErrorKind::Unsupported
        | ErrorKind::Invalid => return None,
    };
    let wait = wait.min(LONGEST_WAIT);
    Some(wait + wait.mul_f64(0.25 * random_fraction()))
}

fn doubling(first: Duration, tries: u32, longest: Duration) -> Duration {
    let doublings = tries.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

/// From 0 to 1. Hash keys of the standard library are random per process and differ per call.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_one_item_is_not_waited_for() {
        for kind in [ErrorKind::RateLimited, ErrorKind::Unavailable] {
            let error = ProviderError::new(kind, "").about_item();
            assert_eq!(wait_before_retry(&error, 1), None);
        }
    }

    fn check(kind: ErrorKind, retry_after: Option<u64>, tries: u32, wait_ms: Option<u64>) {
        let error =
            ProviderError::new(kind, "").with_retry_after(retry_after.map(Duration::from_secs));
        match (
            wait_before_retry(&error, tries),
            wait_ms.map(Duration::from_millis),
        ) {
            (None, None) => {}
            (Some(wait), Some(least)) => {
                assert!(
                    wait >= least && wait <= least.mul_f64(1.26),
                    "{kind:?} {tries}: {wait:?}"
                );
            }
            other => panic!("{kind:?} {tries}: {other:?}"),
        }
    }

    #[test]
    fn waits_double_up_to_a_limit() {
        check(ErrorKind::Unavailable, None, 1, Some(100));
        check(ErrorKind::Unavailable, None, 2, Some(200));
        check(ErrorKind::Unavailable, None, 4, Some(800));
        check(ErrorKind::Unavailable, None, 40, Some(4000));
        check(ErrorKind::RateLimited, None, 1, Some(1000));
        check(ErrorKind::RateLimited, None, 9, Some(8000));
    }

    #[test]
    fn the_wait_asked_for_is_kept() {
        check(ErrorKind::RateLimited, Some(20), 1, Some(20_000));
        check(ErrorKind::Unavailable, Some(3), 5, Some(3000));
        check(ErrorKind::RateLimited, Some(u64::MAX), 1, Some(86_400_000));
    }

    #[test]
    fn what_stays_wrong_is_not_tried_again() {
        check(ErrorKind::Broken, None, 1, Some(100));
        check(ErrorKind::Broken, None, 2, None);
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Denied,
            ErrorKind::LoginExpired,
            ErrorKind::Unsupported,
            ErrorKind::Invalid,
        ] {
            check(kind, Some(1), 1, None);
        }
    }
}
