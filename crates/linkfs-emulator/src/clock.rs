use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

/// The drive's time: real time plus an offset that only tests and the control port change.
///
/// Links, tokens and `Date` headers follow it, so an hour passes in a test without waiting.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicI64>,
    frozen_at: Arc<Mutex<Option<Timestamp>>>,
}

impl Clock {
    /// The time as the drive sees it now.
    pub fn now(&self) -> Timestamp {
        let base = self
            .frozen_at
            .lock()
            .expect("clock lock")
            .unwrap_or_else(Timestamp::now);
        base + SignedDuration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Lets `by` pass at once.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).expect("less than 292 million years");
        self.offset_ms.fetch_add(by, Ordering::SeqCst);
    }

    /// Sets how far the drive's clock is ahead of real time (negative: behind), in milliseconds.
    pub fn set_offset_ms(&self, offset_ms: i64) {
        self.offset_ms.store(offset_ms, Ordering::SeqCst);
    }

    /// How far the drive's clock is ahead of real time, in milliseconds.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::SeqCst)
    }

    /// Stops the clock at `at`; [`Clock::advance`] still moves it.
    pub fn freeze(&self, at: Timestamp) {
        *self.frozen_at.lock().expect("clock lock") = Some(at);
        self.set_offset_ms(0);
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the form HTTP headers use.
pub(crate) fn http_date(at: Timestamp) -> String {
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&at)
        .expect("every timestamp of this century has an HTTP form")
}

/// `20260105T080910Z`, the form signatures use.
pub(crate) fn compact_date(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads the form written by [`compact_date`].
pub(crate) fn parse_compact_date(text: &str) -> Option<Timestamp> {
    let shape = text.len() == 16 && text.as_bytes()[8] == b'T' && text.ends_with('Z');
    let civil = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    if !shape {
        return None;
    }
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

/// `2026-01-02T03:05:00.120Z`, the form JSON answers use.
pub(crate) fn json_date(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    #[test]
    fn dates_have_the_forms_the_drive_uses() {
        let time = at("2026-01-05T08:09:10.120Z");
        assert_eq!(compact_date(time), "20260105T080910Z");
        assert_eq!(json_date(time), "2026-01-05T08:09:10.120Z");
        assert_eq!(
            json_date(at("2026-01-05T08:09:10Z")),
            "2026-01-05T08:09:10.000Z"
        );
        assert_eq!(http_date(time), "Mon, 05 Jan 2026 08:09:10 GMT");
    }

    #[test]
    fn compact_dates_read_back_and_others_do_not() {
        assert_eq!(
            parse_compact_date("20260105T080910Z"),
            Some(at("2026-01-05T08:09:10Z"))
        );
        assert_eq!(parse_compact_date("2026-01-05T08:09:10Z"), None);
        assert_eq!(parse_compact_date("260105T080910Z"), None);
    }

    #[test]
    fn the_clock_goes_where_it_is_told() {
        let clock = Clock::default();
        clock.freeze(at("2026-01-05T08:00:00Z"));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(clock.now(), at("2026-01-05T09:00:00Z"));
        clock.set_offset_ms(-1000);
        assert_eq!(clock.now(), at("2026-01-05T07:59:59Z"));
    }
}
