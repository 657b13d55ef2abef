//! How long a drive's data hosts take to begin an answer, and when to ask once more: plain arithmetic.

use std::collections::VecDeque;
use std::time::Duration;

/// So many of the last answers are looked at: enough for one in a hundred to show.
const REMEMBERED: usize = 128;
/// Fewer than this say nothing about what is rare.
const FEWEST: usize = 32;
/// Sooner than this a second request cannot win anything that a reader would notice.
const SOONEST: Duration = Duration::from_millis(20);
/// An answer that is not this much slower than usual is not worth a second request.
const MUCH_SLOWER: u32 = 3;
/// One request in so many may be a second one: when everything is slow, asking more makes it slower.
const ONE_IN: u32 = 32;

/// The times of the last answers, and how many second requests they have earned.
#[derive(Debug, Default)]
pub(crate) struct AnswerTimes {
    last: VecDeque<Duration>,
    /// Answers since the last second request.
    since_second: u32,
    /// Second requests so far.
    seconds: u64,
}

impl AnswerTimes {
    /// An answer began after `time`.
    pub(crate) fn observe(&mut self, time: Duration) {
        self.last.push_back(time);
        if self.last.len() > REMEMBERED {
            self.last.pop_front();
        }
        self.since_second = self.since_second.saturating_add(1);
    }

    /// After how long without an answer a second request is worth it: when 99 in 100 have come, and
    /// much later than half of them. `None` while that is not known, and too soon after the last one.
    pub(crate) fn ask_again_after(&self) -> Option<Duration> {
        if self.last.len() < FEWEST || self.since_second < ONE_IN {
            return None;
        }
        let mut sorted: Vec<_> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        let slowest = sorted[(sorted.len() * 99).div_ceil(100) - 1];
        Some(slowest.max(median * MUCH_SLOWER).max(SOONEST))
    }

    /// How many second requests were made so far.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Whether a second request may be made now; then it counts. Many may be waiting for their time at once.
    pub(crate) fn take_second(&mut self) -> bool {
        let may = self.since_second >= ONE_IN;
        if may {
            self.since_second = 0;
            self.seconds += 1;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times_ms: impl IntoIterator<Item = u64>) -> Option<u128> {
        let mut times = AnswerTimes::default();
        for time in times_ms {
            times.observe(Duration::from_millis(time));
        }
        times.ask_again_after().map(|after| after.as_millis())
    }

    #[test]
    fn a_second_request_waits_for_what_is_rare() {
        assert_eq!(after([30; 31]), None, "too little is known");
        assert_eq!(after([30; 32]), Some(90));
        assert_eq!(after([1; 100]), Some(20), "nobody would notice");
        assert_eq!(
            after((0..128).map(|n| if n % 40 == 0 { 500 } else { 30 })),
            Some(500)
        );
        let one_in_128 = (0..128).map(|n| if n == 64 { 500 } else { 30 });
        assert_eq!(after(one_in_128), Some(90));
    }

    #[test]
    fn the_past_is_forgotten() {
        let slow_then_fast = std::iter::repeat_n(500, 128).chain(std::iter::repeat_n(30, 128));
        assert_eq!(after(slow_then_fast), Some(90));
    }

    #[test]
    fn second_requests_are_rare() {
        let mut times = AnswerTimes::default();
        (0..64).for_each(|_| times.observe(Duration::from_millis(30)));
        assert!(times.ask_again_after().is_some());
        assert!(times.take_second());
        assert!(!times.take_second(), "another that has waited as long");
        assert_eq!(times.seconds(), 1);
        (0..31).for_each(|_| times.observe(Duration::from_millis(30)));
        assert!(times.ask_again_after().is_none());
        times.observe(Duration::from_millis(30));
        assert!(times.ask_again_after().is_some());
    }
}
