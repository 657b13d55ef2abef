use std::time::Duration;

use tokio::time::Instant;

const SHORTEST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);

/// How soon a plugin whose process ended is started again: at once when it had answered something, and
/// later and later when one after the other ends before it answers.
#[derive(Debug, Default)]
pub(super) struct BackOff {
    /// How many have ended since one answered.
    ended: u32,
    until: Option<Instant>,
}

impl BackOff {
    /// A process ended.
    pub(super) fn note_end(&mut self, has_answered: bool) {
        if has_answered {
            self.ended = 0;
        }
        let wait = match self.ended {
            0 => Duration::ZERO,
            ended => SHORTEST
                .saturating_mul(1 << (ended - 1).min(16))
                .min(LONGEST),
        };
        self.ended = self.ended.saturating_add(1);
        self.until = Some(Instant::now() + wait);
    }

    /// How long there is to wait.
    pub(super) fn time_left(&self) -> Duration {
        let left = |until: Instant| until.saturating_duration_since(Instant::now());
        self.until.map(left).unwrap_or_default()
    }

    /// Somebody wants it started now.
    pub(super) fn forget(&mut self) {
        *self = BackOff::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_to_a_minute_while_nothing_is_answered() {
        let mut back_off = BackOff::default();
        assert_eq!(back_off.time_left(), Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..10 {
            back_off.note_end(false);
            waits.push(back_off.time_left().as_millis());
        }
        let expected = [
            0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
        ];
        assert_eq!(waits, expected);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(back_off.time_left(), Duration::from_secs(1));
        back_off.note_end(true);
        assert_eq!(back_off.time_left(), Duration::ZERO);
    }
}
