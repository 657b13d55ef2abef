//! How fast one connection to a drive's data hosts is, and how much to ask of one at a time: plain arithmetic.

use std::time::Duration;

/// A request should keep its connection busy for about this long: many times the way to a server and back,
/// so that the way does not show, and short enough for several connections to share a window.
const BUSY_FOR: Duration = Duration::from_millis(200);
/// Below this the cost of a request shows.
const SHORTEST_RUN: u64 = 1 << 20;
/// Measured, 8 MiB ranges come within a few per cent of one endless body, and four of them fill a 32 MiB window.
const LONGEST_RUN: u64 = 8 << 20;
/// A window is spread over this many connections at least.
const CONNECTIONS: u64 = 4;
/// Shorter transfers say more about the way than about the rate.
const SHORTEST_SAMPLE: u64 = 256 << 10;
/// How much the newest transfer counts.
const WEIGHT: f64 = 0.2;

/// A moving average over the transfers of a drive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionRate {
    bytes_per_second: Option<f64>,
}

impl ConnectionRate {
    /// A connection gave `bytes` in `elapsed`.
    pub(crate) fn observe(&mut self, bytes: u64, elapsed: Duration) {
        if bytes < SHORTEST_SAMPLE || elapsed.is_zero() {
            return;
        }
        let rate = bytes as f64 / elapsed.as_secs_f64();
        self.bytes_per_second = Some(match self.bytes_per_second {
            Some(known) => known + WEIGHT * (rate - known),
            None => rate,
        });
    }

    /// How much one request should ask for when `ahead` bytes are to be fetched ahead: a slow connection is
    /// given little, so that many of them share the work, and a fast one is not cut into crumbs.
    pub(crate) fn run_length(&self, ahead: u64) -> u64 {
        let busy = self
            .bytes_per_second
            .map_or(u64::MAX, |rate| (rate * BUSY_FOR.as_secs_f64()) as u64);
        busy.min(ahead / CONNECTIONS)
            .clamp(SHORTEST_RUN, LONGEST_RUN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn after(transfers: &[(u64, u64)], ahead: u64) -> u64 {
        let mut rate = ConnectionRate::default();
        for (bytes, milliseconds) in transfers {
            rate.observe(*bytes, Duration::from_millis(*milliseconds));
        }
        rate.run_length(ahead)
    }

    #[test]
    fn a_window_is_spread_over_four_connections() {
        assert_eq!(after(&[], 0), MIB);
        assert_eq!(after(&[], 16 * MIB), 4 * MIB);
        assert_eq!(after(&[], 64 * MIB), 8 * MIB);
    }

    #[test]
    fn a_slow_connection_is_asked_for_little_and_a_fast_one_for_much() {
        assert_eq!(after(&[(10_000_000, 1000)], 32 * MIB), 2_000_000);
        assert_eq!(after(&[(1_000_000, 1000)], 32 * MIB), MIB);
        assert_eq!(after(&[(400_000_000, 1000)], 32 * MIB), 8 * MIB);
    }

    #[test]
    fn the_average_follows_and_short_transfers_do_not_count() {
        let slow_after_fast: Vec<_> = std::iter::once((8 * MIB, 20))
            .chain(std::iter::repeat_n((2 * MIB, 200), 40))
            .collect();
        let length = after(&slow_after_fast, 32 * MIB);
        assert!((2 * MIB..2 * MIB + MIB / 4).contains(&length), "{length}");
        assert_eq!(after(&[(4096, 200), (MIB, 0)], 32 * MIB), 8 * MIB);
    }
}
