//! How fast a drive may be asked, learned from its refusals: plain arithmetic.

use std::time::Duration;

use tokio::time::Instant;

/// What was sent is counted over this time: drives count by the second.
const WINDOW: Duration = Duration::from_secs(1);
/// After a refusal so much of what was being sent is sent.
const AFTER_REFUSAL: f64 = 0.7;
/// What the drives here stand a second, as far as is known. A refusal at fewer is the doing of others on the account,
/// or of what the pause is for, and says less of the rate.
const LEAST_BEFORE_REFUSAL: f64 = 8.0;
/// Slower than this the pauses that a drive asks for do better.
const SLOWEST: f64 = 0.5;
/// Added to the rate for each call that goes well: 2 % in a second, so that a drive's limit is met again after about
/// twenty, and the refusal that this costs is one of a hundred calls.
const STEP: f64 = 0.02;
/// Beyond the rate that was refused before, that limit has gone, and the rate grows by this factor for each call.
const BEYOND: f64 = 1.05;
/// A moment without calls is made up for, up to this much: timers are not exact.
const SLACK: Duration = Duration::from_millis(100);

/// No limit until the drive says that it is asked too much; then so many calls a second, growing while it goes well.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    limit: Option<Limit>,
    window: Option<Window>,
}

#[derive(Debug)]
struct Limit {
    per_second: f64,
    /// What was being sent when the drive refused.
    refused_at: f64,
    /// When the next call may begin.
    next: Instant,
    since: Instant,
    /// Whether a call went well since.
    is_tried: bool,
}

/// The calls begun in this window and in the one before.
#[derive(Debug)]
struct Window {
    since: Instant,
    calls: u32,
    before: u32,
}

impl Pace {
    /// A call begins now; or when it may.
    pub(crate) fn begin(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(limit) = &mut self.limit {
            if limit.next > now {
                return Err(limit.next);
            }
            let earliest = now.checked_sub(SLACK).unwrap_or(now);
            let interval = Duration::from_secs_f64(1.0 / limit.per_second);
            limit.next = limit.next.max(earliest) + interval;
        }
        self.count(now);
        Ok(())
    }

    /// A call went well.
    pub(crate) fn went_well(&mut self) {
        if let Some(limit) = &mut self.limit {
            limit.is_tried = true;
            limit.per_second = match limit.per_second < limit.refused_at {
                true => limit.per_second + STEP,
                false => limit.per_second * BEYOND,
            };
        }
    }

    /// A call that began at `since` was refused. Of several under way together the first tells all; and a drive that
    /// takes nothing at all, however slowly, says nothing of a rate.
    pub(crate) fn was_too_much(&mut self, since: Instant) {
        let now = Instant::now();
        let sent = self.sent(now);
        let refused_at = match &self.limit {
            Some(limit) if since < limit.since || !limit.is_tried => return,
            Some(limit) => limit.per_second.min(sent.max(LEAST_BEFORE_REFUSAL)),
            None => sent.max(LEAST_BEFORE_REFUSAL),
        };
        let per_second = (refused_at * AFTER_REFUSAL).max(SLOWEST);
        tracing::debug!(sent, per_second, "the drive is asked more slowly");
        self.limit = Some(Limit {
            per_second,
            refused_at,
            next: now,
            since: now,
            is_tried: false,
        });
    }

    fn count(&mut self, now: Instant) {
        let fresh = |before| Window {
            since: now,
            calls: 0,
            before,
        };
        let window = self.window.get_or_insert_with(|| fresh(0));
        let age = now - window.since;
        if age >= 2 * WINDOW {
            *window = fresh(0);
        } else if age >= WINDOW {
            *window = fresh(window.calls);
        }
        window.calls += 1;
    }

    /// Calls begun in about the last second.
    fn sent(&self, now: Instant) -> f64 {
        let Some(window) = &self.window else {
            return 0.0;
        };
        let age = (now - window.since).as_secs_f64() / WINDOW.as_secs_f64();
        match age {
            old if old >= 2.0 => 0.0,
            old if old >= 1.0 => f64::from(window.calls) * (2.0 - old),
            age => f64::from(window.calls) + f64::from(window.before) * (1.0 - age),
        }
    }
}
