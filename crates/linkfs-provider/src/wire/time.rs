//! Times and durations as whole milliseconds.

use std::time::{Duration, SystemTime};

pub(super) fn from_time(time: SystemTime) -> i64 {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

/// `None` for a time that this machine cannot tell.
pub(super) fn to_time(millis: i64) -> Option<SystemTime> {
    let duration = Duration::from_millis(millis.unsigned_abs());
    match millis < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(duration),
        false => SystemTime::UNIX_EPOCH.checked_add(duration),
    }
}

pub(super) fn from_duration(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_as_it_was_in_milliseconds() {
        for millis in [0, 1, -1, 1_767_323_100_123, -11_644_473_600_000] {
            let time = to_time(millis).unwrap();
            assert_eq!(from_time(time), millis);
        }
    }
}
