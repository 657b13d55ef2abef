use std::sync::Mutex;

use jiff::{Timestamp, ToSpan};

use super::answer::Failure;
use super::dentry::china;
use super::knobs::{Knobs, ThrottleCode};

/// Counts calls against the limits of a second and of a month.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    second: i64,
    calls_in_second: u32,
    /// `2026-01`, by China's calendar.
    month: String,
    calls_in_month: u64,
}

impl Meter {
    /// Counts a call, or says which limit it meets. Refused calls do not count.
    pub(crate) fn admit(&self, knobs: &Knobs, now: Timestamp) -> Result<(), Failure> {
        let mut state = self.0.lock().expect("meter lock");
        state.turn(now);
        if knobs
            .calls_per_month
            .is_some_and(|limit| state.calls_in_month >= limit)
        {
            let code = "Forbidden.AccessDenied.ApiCountLimitForOrg";
            return Err(Failure::new(code, "the calls of this month are used up"));
        }
        if knobs
            .calls_per_second
            .is_some_and(|limit| state.calls_in_second >= limit)
        {
            let code = match knobs.throttle_code {
                ThrottleCode::Api => "Forbidden.AccessDenied.QpsLimitForApi",
                ThrottleCode::App => "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi",
            };
            let end = china(now + 1.second()).strftime("%Y-%m-%d %H:%M:%S");
            return Err(Failure::new(code, &format!("the limit ends at {end}")));
        }
        state.calls_in_second += 1;
        state.calls_in_month += 1;
        Ok(())
    }

    /// Calls of the month that `now` is in.
    pub(crate) fn calls_in_month(&self, now: Timestamp) -> u64 {
        let mut state = self.0.lock().expect("meter lock");
        state.turn(now);
        state.calls_in_month
    }

    pub(crate) fn set_calls_in_month(&self, now: Timestamp, calls: u64) {
        let mut state = self.0.lock().expect("meter lock");
        state.turn(now);
        state.calls_in_month = calls;
    }
}

impl State {
    fn turn(&mut self, now: Timestamp) {
        if self.second != now.as_second() {
            self.second = now.as_second();
            self.calls_in_second = 0;
        }
        let month = china(now).strftime("%Y-%m").to_string();
        if self.month != month {
            self.month = month;
            self.calls_in_month = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn a_second_and_a_month_end_and_start_again() {
        let meter = Meter::default();
        let knobs = Knobs {
            calls_per_second: Some(1),
            calls_per_month: Some(2),
            ..Knobs::default()
        };
        let code = |at| meter.admit(&knobs, at).map_err(|failure| failure.code);
        let january = at("2026-01-31T15:00:00Z");
        assert_eq!(code(january), Ok(()));
        assert!(code(january).unwrap_err().ends_with("QpsLimitForApi"));
        assert_eq!(code(january + 1.second()), Ok(()));
        assert!(
            code(january + 2.seconds())
                .unwrap_err()
                .ends_with("ApiCountLimitForOrg")
        );
        assert_eq!(
            code(at("2026-01-31T16:00:00Z")),
            Ok(()),
            "February in China"
        );
    }
}
