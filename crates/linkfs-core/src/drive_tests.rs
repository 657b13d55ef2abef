use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};

use linkfs_provider::{Item, Link, Result as Answer, async_trait};

use super::*;
use crate::health::LONGEST_PAUSE;

/// How a scripted drive answers a call.
#[derive(Clone, Copy, Debug)]
enum Say {
    Page,
    No(ErrorKind, Option<u64>),
    Nothing,
    /// After a second: no, with a pause of so many seconds.
    LateNo(u64),
}

use Say::{LateNo, No, Nothing, Page as Yes};

/// Answers by a script, and after its end with silence.
#[derive(Debug)]
struct Scripted {
    about: About,
    script: Mutex<VecDeque<Say>>,
    asked: AtomicUsize,
}

#[async_trait]
impl Provider for Scripted {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let say = self.script.lock().unwrap().pop_front().unwrap_or(Nothing);
        let no = |kind, pause: Option<u64>| {
            let error = ProviderError::new(kind, "no");
            Err(error.with_retry_after(pause.map(Duration::from_secs)))
        };
        match say {
            Yes => Ok(Page::default()),
            No(kind, pause) => no(kind, pause),
            Nothing => std::future::pending().await,
            LateNo(pause) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                no(ErrorKind::RateLimited, Some(pause))
            }
        }
    }

    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }

    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }
}

/// A drive with a deadline of 10 s that takes one call at a time.
struct Scene {
    drive: Arc<Drive>,
    provider: Arc<Scripted>,
}

impl Scene {
    fn new(script: &[Say]) -> Scene {
        let provider = Arc::new(Scripted {
            about: About {
                root: "0".into(),
                links_per_call: 1,
                calls_in_flight: 1,
                lists_oldest_first: false,
                listing_ttl: None,
            },
            script: Mutex::new(script.iter().copied().collect()),
            asked: AtomicUsize::new(0),
        });
        let options = DriveOptions {
            deadline: Duration::from_secs(10),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        let drive = Drive::new("test", provider.clone(), options).unwrap();
        Scene { drive, provider }
    }

    /// One call: whether it succeeded or with what kind of error it ended, `None` for no answer at all;
    /// after how many seconds; and how often the drive was asked for it.
    async fn call(&self) -> (Result<(), Option<ErrorKind>>, u64, usize) {
        let (started, before) = (Instant::now(), self.asked());
        let result = self.drive.list(self.drive.root(), None).await;
        let result = result.map(drop).map_err(|error| match error {
            Error::Drive(reason) => Some(reason.kind),
            _ => None,
        });
        let seconds = started.elapsed().as_secs();
        (result, seconds, self.asked() - before)
    }

    fn asked(&self) -> usize {
        self.provider.asked.load(Ordering::Relaxed)
    }
}

const BUSY: ErrorKind = ErrorKind::RateLimited;
const DOWN: ErrorKind = ErrorKind::Unavailable;

#[tokio::test(start_paused = true)]
async fn what_was_said_last_is_the_reason_and_not_the_silence_after_it() {
    for (script, kind) in [
        (&[][..], None),
        (&[Nothing, Nothing], None),
        (&[No(DOWN, None)], Some(DOWN)),
        (&[No(DOWN, None), No(BUSY, None), Nothing], Some(BUSY)),
        (&[Nothing, No(DOWN, None), Nothing], Some(DOWN)),
    ] {
        let scene = Scene::new(script);
        let (result, seconds, _) = scene.call().await;
        assert_eq!(result, Err(kind), "{script:?}");
        assert!(seconds <= 9, "{script:?}: {seconds} s");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_drive_cannot_do_is_no_failure_of_it() {
    let scene = Scene::new(&[
        No(ErrorKind::Unsupported, None),
        No(ErrorKind::LoginExpired, None),
    ]);
    assert_eq!(scene.call().await.0, Err(Some(ErrorKind::Unsupported)));
    let status = crate::status::of_drive(&scene.drive);
    assert_eq!((status.state, status.failed_calls), ("ok", 0));
    assert_eq!(scene.call().await.0, Err(Some(ErrorKind::LoginExpired)));
    let status = crate::status::of_drive(&scene.drive);
    assert_eq!((status.state, status.failed_calls), ("needs login", 1));
}

#[tokio::test(start_paused = true)]
async fn a_long_pause_holds_for_every_call_until_it_is_over() {
    for kind in [BUSY, DOWN] {
        let scene = Scene::new(&[No(kind, Some(60)), Yes]);
        assert_eq!(scene.call().await, (Err(Some(kind)), 0, 1));
        assert_eq!(scene.call().await, (Err(Some(kind)), 0, 0));
        tokio::time::advance(Duration::from_secs(45)).await;
        assert_eq!(scene.call().await, (Err(Some(kind)), 0, 0));
        let status = crate::status::of_drive(&scene.drive);
        assert_eq!(status.state, "limited");
        let left = status.limited_for_seconds.unwrap();
        assert!((14..=30).contains(&left), "{left}");
        // Up to a quarter comes on top.
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(scene.call().await, (Ok(()), 0, 1));
        assert_eq!(crate::status::of_drive(&scene.drive).state, "ok");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_is_waited_for_by_every_call() {
    let scene = Scene::new(&[LateNo(4), Yes, Yes]);
    let (first, second) = tokio::join!(scene.call(), scene.call());
    assert_eq!((first.0, second.0), (Ok(()), Ok(())));
    assert_eq!(scene.asked(), 3);
    assert!(first.1 >= 5 && second.1 >= 5, "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_its_turn_hears_of_a_pause() {
    let scene = Scene::new(&[LateNo(60)]);
    let (first, second) = tokio::join!(scene.call(), scene.call());
    assert_eq!((first.0, second.0), (Err(Some(BUSY)), Err(Some(BUSY))));
    assert_eq!(scene.asked(), 1);
    assert_eq!((first.1, second.1), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_our_own_guess_does_not_hold_up_others_for_long() {
    let script = [No(BUSY, None); 4];
    let scene = Scene::new(&[&script[..], &[Yes]].concat());
    let (result, _, asked) = scene.call().await;
    assert_eq!(result, Err(Some(BUSY)));
    assert!(asked < 5, "{asked}");
    let left = 4 - asked;
    let (result, _, asked) = scene.call().await;
    assert_eq!((result, asked), (Ok(()), left + 1));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_days_is_kept_for_an_hour() {
    let scene = Scene::new(&[No(BUSY, Some(u64::MAX)), Yes]);
    assert_eq!(scene.call().await.0, Err(Some(BUSY)));
    tokio::time::advance(LONGEST_PAUSE - Duration::from_secs(60)).await;
    assert_eq!(scene.call().await.2, 0);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(scene.call().await.0, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_explains_a_deadline_until_there_is_an_answer() {
    let scene = Scene::new(&[No(DOWN, None), Nothing, Yes]);
    let minute = Duration::from_secs(60);
    let explains = || scene.drive.refusal_within(minute).is_some();
    assert!(!explains());
    let _timed_out = tokio::time::timeout(Duration::from_secs(2), scene.call()).await;
    assert!(explains());
    scene.call().await.0.unwrap();
    assert!(!explains());
    let reason = ProviderError::new(DOWN, "503");
    scene.drive.note_data_refusal(&reason);
    assert!(explains());
    tokio::time::advance(minute).await;
    assert!(!explains(), "too long ago");
    scene.drive.note_data_refusal(&reason);
    scene.drive.note_data();
    assert!(!explains());
}

/// A drive that takes so many calls a second and refuses the others.
#[derive(Debug)]
struct Limited {
    about: About,
    per_second: usize,
    taken: Mutex<VecDeque<Instant>>,
    refused: AtomicUsize,
}

#[async_trait]
impl Provider for Limited {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        let is_taken = {
            let mut taken = self.taken.lock().unwrap();
            let now = Instant::now();
            let second = Duration::from_secs(1);
            taken.retain(|at| now - *at < second);
            let is_taken = taken.len() < self.per_second;
            taken.extend(is_taken.then_some(now));
            is_taken
        };
        tokio::time::sleep(Duration::from_millis(20)).await;
        if is_taken {
            return Ok(Page::default());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(ProviderError::new(BUSY, "slow down"))
    }

    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }

    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }
}

/// Callers who ask one call after the other, at a drive that takes `per_second`, for about five minutes.
async fn ask_a_limited_drive(callers: usize, per_second: usize) -> (usize, usize, Duration) {
    let provider = Arc::new(Limited {
        about: About {
            calls_in_flight: 4,
            ..Scene::new(&[]).provider.about.clone()
        },
        per_second,
        taken: Mutex::default(),
        refused: AtomicUsize::new(0),
    });
    let options = DriveOptions {
        deadline: Duration::from_secs(3600),
        allow_private_hosts: false,
        root: None,
        identity: None,
        saved_listings: None,
    };
    let drive = Drive::new("test", provider.clone(), options).unwrap();
    let calls_each = (300 * per_second).div_ceil(callers);
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let drive = drive.clone();
        tasks.spawn(async move {
            for _ in 0..calls_each {
                drive.list(drive.root(), None).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let refused = provider.refused.load(Ordering::Relaxed);
    (calls_each * callers, refused, started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn calls_are_made_at_a_rate_that_the_drive_takes() {
    for (callers, per_second) in [(1, 1), (20, 2), (1, 8), (50, 8), (100, 20), (8, 100)] {
        let (calls, refused, elapsed) = ask_a_limited_drive(callers, per_second).await;
        let row = format!("{callers} callers, {per_second}/s: {refused} of {calls}, {elapsed:?}");
        println!("{row}");
        assert!(refused > 0, "{row}: the rate grows until it is too much");
        assert!(refused * 100 <= calls * 10, "{row}");
        assert!(elapsed < Duration::from_secs(600), "{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_refusal_slows_a_drive_down_for_a_while() {
    let script = [vec![Yes; 100], vec![No(BUSY, Some(1))], vec![Yes; 400]].concat();
    let scene = Scene::new(&script);
    let seconds_for = async |calls: usize| {
        let started = Instant::now();
        for _ in 0..calls {
            scene.call().await.0.unwrap();
        }
        started.elapsed().as_secs_f64()
    };
    assert_eq!(seconds_for(100).await, 0.0);
    let pause = seconds_for(1).await;
    assert!((1.0..2.5).contains(&pause), "{pause}");
    let after = seconds_for(70).await;
    assert!(
        (0.5..1.0).contains(&after),
        "{after}: seven tenths of a hundred a second"
    );
    let grown = seconds_for(300).await;
    assert!(grown < 300.0 / 70.0, "{grown}");
}
