use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How far behind its rate the line may catch up: timers wake late by a millisecond or two, and what
/// they lose must not be lost to the line.
const SLACK: Duration = Duration::from_millis(5);

/// The line that all bodies of the data port share. Clones are the same line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// When all that was let pass is through.
    free_at: Arc<Mutex<Option<Instant>>>,
}

impl Line {
    /// Waits until it is the turn of `bytes` on a line of `rate` bytes a second.
    pub(crate) async fn pass(&self, bytes: u64, rate: u64) {
        let turn = self.take_turn(bytes, rate);
        sleep_until(turn).await;
    }

    fn take_turn(&self, bytes: u64, rate: u64) -> Instant {
        let mut free_at = self.free_at.lock().expect("line lock");
        let now = Instant::now();
        let turn = free_at.map_or(now, |free_at| free_at.max(now - SLACK));
        *free_at = Some(turn + Duration::from_secs_f64(bytes as f64 / rate as f64));
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_bodies_together_keep_the_rate() {
        let line = Line::default();
        let started = Instant::now();
        let bodies = (0..4).map(|_| async {
            for _ in 0..25 {
                line.pass(10_000, 1_000_000).await;
            }
        });
        join_all(bodies).await;
        // The last piece begins when the 99 before it are through.
        let expected = Duration::from_millis(990);
        let took = started.elapsed();
        assert!(took >= expected && took <= expected + SLACK, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_was_idle_saves_nothing_up() {
        let line = Line::default();
        line.pass(10_000, 1_000_000).await;
        tokio::time::advance(Duration::from_secs(60)).await;
        let started = Instant::now();
        for _ in 0..100 {
            line.pass(10_000, 1_000_000).await;
        }
        assert!(started.elapsed() >= Duration::from_millis(990) - SLACK);
    }
}
