use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

/// What the `Date` header leaves out.
const RESOLUTION: Duration = Duration::from_secs(1);

/// The drive's idea of now: the local clock, corrected by the `Date` header of the last answer.
///
/// The header counts whole seconds, so this clock may be up to a second (and the way of the answer)
/// behind the drive's, never ahead of it.
#[derive(Debug, Default)]
pub struct DriveClock {
    ahead_ns: AtomicI64,
}

impl DriveClock {
    /// Notes what the drive's clock showed at a local time.
    pub fn set(&self, drive: SystemTime, local: SystemTime) {
        let ahead = match drive.duration_since(local) {
            Ok(ahead) => nanos(ahead),
            Err(behind) => -nanos(behind.duration()),
        };
        self.ahead_ns.store(ahead, Ordering::Relaxed);
    }

    /// The drive's time now.
    pub fn now(&self) -> SystemTime {
        self.at(SystemTime::now())
    }

    /// The latest that the drive's clock may show now: for what must not be over there.
    pub fn latest(&self) -> SystemTime {
        self.now() + RESOLUTION
    }

    fn at(&self, local: SystemTime) -> SystemTime {
        let ahead = self.ahead_ns.load(Ordering::Relaxed);
        let shift = Duration::from_nanos(ahead.unsigned_abs());
        let corrected = if ahead < 0 {
            local.checked_sub(shift)
        } else {
            local.checked_add(shift)
        };
        corrected.unwrap_or(local)
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_local_clock_is_corrected_in_both_directions() {
        let clock = DriveClock::default();
        assert_eq!(clock.at(at(100)), at(100));
        clock.set(at(500), at(100));
        assert_eq!(clock.at(at(160)), at(560));
        clock.set(at(50), at(100));
        assert_eq!(clock.at(at(160)), at(110));
    }
}
