//! Which of a link's hosts to ask first, by how they have answered lately.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// A host that failed is passed over this long, when there is another: the failure cost some reader
/// seconds, and trying again may cost them once more. Doubles with each failure in a row, up to
/// [`LONGEST_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_secs(30);
/// A host that is back is found within this time.
const LONGEST_BACKOFF: Duration = Duration::from_secs(600);
/// A failure counts half after this long: longer than the longest back-off, so that a host that is down
/// for good is not tried more and more often.
const FAILURES_HALVE_IN: Duration = Duration::from_secs(1800);
/// What is known of a host's speed is forgotten after this long without an answer, so that a slow host,
/// which nobody asks any more, gets another chance.
const SPEED_KNOWN_FOR: Duration = Duration::from_secs(300);
/// The newest first byte has this share in the average: about the last five count.
const NEWEST_SHARE: f64 = 0.3;
/// A host comes after another when its first byte takes this many times as long ...
const MUCH_SLOWER: u32 = 3;
/// ... and longer than this: below it, the provider knows better what is near.
const SLOW: Duration = Duration::from_millis(200);
/// A drive has a handful of hosts; one that makes up a name for every link must not fill the memory.
const MOST_HOSTS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// How the data hosts of one drive have answered lately.
#[derive(Debug)]
pub(crate) struct HostScores {
    hosts: Mutex<LruCache<Arc<str>, Score>>,
}

/// What is known of one host.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    /// Failures, the older the less they count, as of `last_failure`.
    failures: f64,
    last_failure: Option<Instant>,
    /// Asked only when there is no other until then.
    passed_over_until: Option<Instant>,
    /// Moving average of the time to the first byte.
    first_byte: Option<Duration>,
    last_success: Option<Instant>,
}

impl Default for HostScores {
    fn default() -> Self {
        HostScores {
            hosts: Mutex::new(LruCache::new(MOST_HOSTS)),
        }
    }
}

impl HostScores {
    /// Where in `hosts`, which the provider has put in its order, the best one stands.
    pub(crate) fn best(&self, hosts: &[String]) -> usize {
        let now = Instant::now();
        let known = self.lock();
        let score = |host: &String| known.peek(host.as_str()).cloned().unwrap_or_default();
        let scores: Vec<Score> = hosts.iter().map(score).collect();
        let usable = scores.iter().filter(|score| !score.is_passed_over(now));
        let fastest = usable.filter_map(|score| score.speed(now)).min();
        let rank = |at: &usize| {
            let score = &scores[*at];
            match score.passed_over_until.filter(|until| *until > now) {
                None => (score.is_much_slower(fastest, now), now),
                // Where all have failed, the one whose time comes first.
                Some(until) => (true, until),
            }
        };
        (0..hosts.len()).min_by_key(rank).unwrap_or_default()
    }

    /// A host answered as it should, its first byte after `first_byte`.
    pub(crate) fn answered(&self, host: String, first_byte: Duration) {
        let now = Instant::now();
        let mut hosts = self.lock();
        let score = hosts.get_or_insert_mut(host.into(), Score::default);
        let average = score.speed(now).map_or(first_byte, |known| {
            known.mul_f64(1.0 - NEWEST_SHARE) + first_byte.mul_f64(NEWEST_SHARE)
        });
        score.first_byte = Some(average);
        score.last_success = Some(now);
        score.passed_over_until = None;
        // One that answers now and then is not trusted at once.
        score.failures /= 2.0;
    }

    /// A host could not be reached, broke off, or sent what was not asked for.
    pub(crate) fn failed(&self, host: String) {
        let now = Instant::now();
        let mut hosts = self.lock();
        let score = hosts.get_or_insert_mut(host.into(), Score::default);
        // Requests that were under way together fail together: that is one failure.
        let is_new = !score.is_passed_over(now);
        score.failures = score.failures_at(now) + f64::from(u8::from(is_new));
        score.last_failure = Some(now);
        score.passed_over_until = Some(now + backoff(score.failures));
    }

    /// All hosts by name.
    pub(crate) fn all(&self) -> Vec<(Arc<str>, Score)> {
        let known = self.lock();
        let mut all: Vec<_> = known.iter().map(|(h, s)| (h.clone(), s.clone())).collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Arc<str>, Score>> {
        self.hosts.lock().expect("no panic while locked")
    }
}

impl Score {
    /// Failures, the older the less they count.
    pub(crate) fn failures_at(&self, now: Instant) -> f64 {
        let age = self.last_failure.map_or(Duration::ZERO, |at| now - at);
        self.failures * 0.5_f64.powf(age.div_duration_f64(FAILURES_HALVE_IN))
    }

    /// How long its first byte takes, when that is known from lately.
    pub(crate) fn speed(&self, now: Instant) -> Option<Duration> {
        let answered = self.last_success.filter(|at| now - *at < SPEED_KNOWN_FOR);
        answered.and(self.first_byte)
    }

    /// How much longer it is asked only when there is no other.
    pub(crate) fn passed_over_for(&self, now: Instant) -> Option<Duration> {
        let until = self.passed_over_until?;
        (until > now).then(|| until - now)
    }

    fn is_passed_over(&self, now: Instant) -> bool {
        self.passed_over_for(now).is_some()
    }

    fn is_much_slower(&self, fastest: Option<Duration>, now: Instant) -> bool {
        let speeds = self.speed(now).zip(fastest);
        speeds.is_some_and(|(own, fastest)| own > SLOW && own > fastest * MUCH_SLOWER)
    }
}

fn backoff(failures: f64) -> Duration {
    let doublings = (failures - 1.0).clamp(0.0, 16.0);
    FIRST_BACKOFF.mul_f64(doublings.exp2()).min(LONGEST_BACKOFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens to a host.
    #[derive(Clone, Copy)]
    enum Event {
        Fails(&'static str),
        Answers(&'static str, u64),
        Seconds(u64),
    }

    use Event::{Answers, Fails, Seconds};

    async fn scores_after(events: &[Event]) -> HostScores {
        let scores = HostScores::default();
        for event in events {
            match *event {
                Fails(host) => scores.failed(host.into()),
                Answers(host, ms) => scores.answered(host.into(), Duration::from_millis(ms)),
                Seconds(seconds) => tokio::time::advance(Duration::from_secs(seconds)).await,
            }
        }
        scores
    }

    /// The link's hosts are `a`, `b` and `c`, in this order.
    async fn check(events: &[Event], best: &str) {
        let hosts = ["a", "b", "c"].map(str::to_owned);
        let found = scores_after(events).await.best(&hosts);
        assert_eq!(hosts[found], best);
    }

    #[tokio::test(start_paused = true)]
    async fn the_providers_order_stands_where_nothing_speaks_against_it() {
        check(&[], "a").await;
        check(&[Answers("b", 10)], "a").await;
        check(&[Answers("a", 190), Answers("b", 10)], "a").await;
        check(&[Answers("a", 900), Answers("b", 301)], "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_failed_is_passed_over_and_tried_again() {
        check(&[Fails("a")], "b").await;
        check(&[Fails("a"), Fails("b")], "c").await;
        check(&[Fails("a"), Seconds(29)], "b").await;
        check(&[Fails("a"), Seconds(30)], "a").await;
        let twice = [Fails("a"), Seconds(30), Fails("a")];
        check(&[&twice[..], &[Seconds(57)]].concat(), "b").await;
        check(&[&twice[..], &[Seconds(60)]].concat(), "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_has_recovered_is_used_again() {
        let recovered = [Fails("a"), Answers("b", 20), Seconds(30), Answers("a", 20)];
        check(&recovered, "a").await;
        check(&[Fails("a"), Answers("a", 20)], "a").await;
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_have_failed_the_first_to_be_due_is_tried() {
        let step = Seconds(1);
        let all = [Fails("a"), step, Fails("b"), step, Fails("c"), step];
        check(&all, "a").await;
        check(&[&all[..], &[Fails("a")]].concat(), "b").await;
        check(&[Fails("c"), Seconds(1), Fails("a"), Fails("b")], "c").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_much_slower_host_comes_after_a_fast_one_for_a_while() {
        let slow = [Answers("a", 900), Answers("b", 290)];
        check(&slow, "b").await;
        // Nothing is known of the third: the provider has put it behind.
        check(&[&slow[..], &[Fails("b")]].concat(), "a").await;
        check(
            &[&slow[..], &[Seconds(299), Answers("b", 290)]].concat(),
            "b",
        )
        .await;
        check(
            &[&slow[..], &[Seconds(300), Answers("b", 290)]].concat(),
            "a",
        )
        .await;
        // One slow answer is not yet a slow host.
        check(
            &[Answers("a", 20), Answers("a", 600), Answers("b", 20)],
            "a",
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn requests_that_fail_together_are_one_failure() {
        let scores = scores_after(&[Fails("a"), Fails("a"), Fails("a"), Fails("a")]).await;
        let (_, score) = &scores.all()[0];
        assert_eq!(score.failures_at(Instant::now()), 1.0);
        assert_eq!(score.passed_over_for(Instant::now()), Some(FIRST_BACKOFF));
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_forgotten_in_time_and_halved_by_an_answer() {
        for (events, left) in [
            (vec![Fails("a"), Seconds(1800)], 0.5),
            (vec![Fails("a"), Seconds(3600)], 0.25),
            (vec![Fails("a"), Answers("a", 5)], 0.5),
        ] {
            let scores = scores_after(&events).await;
            let failures = scores.all()[0].1.failures_at(Instant::now());
            assert!((failures - left).abs() < 1e-9, "{failures}, not {left}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_stays_down_is_tried_every_ten_minutes_at_the_least() {
        let scores = HostScores::default();
        let mut waits = Vec::new();
        for _ in 0..20 {
            scores.failed("a".into());
            let wait = scores.all()[0].1.passed_over_for(Instant::now());
            waits.push(wait.expect("it is passed over"));
            tokio::time::advance(waits[waits.len() - 1]).await;
        }
        assert!(waits.is_sorted(), "{waits:?}");
        let last = waits[19];
        assert!(
            last > LONGEST_BACKOFF / 2 && last <= LONGEST_BACKOFF,
            "{last:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_hosts_do_not_fill_the_memory() {
        let scores = HostScores::default();
        for number in 0..1000 {
            scores.failed(format!("{number}.example:443"));
        }
        assert_eq!(scores.all().len(), MOST_HOSTS.get());
    }
}
