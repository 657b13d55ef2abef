//! The arithmetic of a benchmark.

use std::time::Duration;

/// The middle one; of an even number the mean of the two in the middle.
///
/// # Panics
/// When there is none.
pub(crate) fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    let middle = times.len() / 2;
    match times.len() % 2 {
        0 => (times[middle - 1] + times[middle]) / 2,
        _ => times[middle],
    }
}

/// What a scenario is to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    /// At least so much of the limit's speed.
    Speed(f64),
    /// At most so many times the limit's time.
    Time(f64),
    /// At most so much longer than the limit.
    Beyond(Duration),
    /// At most so long.
    Within(Duration),
    /// None for the time.
    Any,
}

impl Target {
    /// The number that is held against the target: of speeds, of times, or in seconds.
    pub(crate) fn ratio(self, limit: Option<Duration>, linkfs: Duration) -> f64 {
        let limit = limit.map_or(f64::NAN, |limit| limit.as_secs_f64());
        let linkfs = linkfs.as_secs_f64();
        match self {
            Target::Speed(_) | Target::Any => limit / linkfs,
            Target::Time(_) => linkfs / limit,
            Target::Beyond(_) => linkfs - limit,
            Target::Within(_) => linkfs,
        }
    }

    pub(crate) fn is_met(self, ratio: f64) -> bool {
        match self {
            Target::Speed(least) => ratio >= least,
            Target::Time(most) => ratio <= most,
            Target::Beyond(most) | Target::Within(most) => ratio <= most.as_secs_f64(),
            Target::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_median_is_in_the_middle() {
        for (times, expected) in [
            (vec![7], 7),
            (vec![9, 1, 5], 5),
            (vec![40, 10, 20, 30], 25),
            (vec![1000, 1, 2, 3, 2], 2),
        ] {
            let times = times.into_iter().map(ms).collect();
            assert_eq!(median(times), ms(expected));
        }
    }

    #[test]
    fn ratios_are_of_speeds_times_or_seconds() {
        for (target, expected, is_met) in [
            (Target::Speed(0.5), 0.5, true),
            (Target::Speed(0.51), 0.5, false),
            (Target::Time(2.0), 2.0, true),
            (Target::Time(1.5), 2.0, false),
            (Target::Beyond(ms(100)), 0.1, true),
            (Target::Beyond(ms(99)), 0.1, false),
            (Target::Within(ms(200)), 0.2, true),
            (Target::Within(ms(199)), 0.2, false),
        ] {
            let ratio = target.ratio(Some(ms(100)), ms(200));
            assert!((ratio - expected).abs() < 1e-9, "{target:?}: {ratio}");
            assert_eq!(target.is_met(ratio), is_met, "{target:?}");
        }
    }

    #[test]
    fn without_a_limit_only_the_time_itself_counts() {
        assert!(Target::Within(ms(5)).is_met(Target::Within(ms(5)).ratio(None, ms(4))));
        assert!(!Target::Speed(0.5).is_met(Target::Speed(0.5).ratio(None, ms(4))));
    }
}
