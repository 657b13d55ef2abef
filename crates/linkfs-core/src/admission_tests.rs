use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;

type Waiting<'a> = Pin<Box<dyn Future<Output = Place> + 'a>>;

/// Polls one who waits; a place that it got comes out.
fn look(waiting: &mut Waiting<'_>) -> Option<Place> {
    match waiting
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(place) => Some(place),
        Poll::Pending => None,
    }
}

fn wait<'a>(admission: &'a Arc<Admission>, urgency: &'a Urgency) -> Waiting<'a> {
    let mut waiting: Waiting<'a> = Box::pin(admission.enter(urgency));
    assert!(look(&mut waiting).is_none(), "it had to wait for nobody");
    waiting
}

#[test]
fn the_last_places_are_not_for_the_background() {
    for (most, kept, for_background) in [(1, 1, 1), (2, 1, 1), (4, 1, 3), (64, 16, 48), (0, 0, 1)] {
        let admission = Admission::new(most, kept);
        let enter = |urgency| std::iter::from_fn(|| admission.try_enter(urgency)).collect();
        let background: Vec<Place> = enter(&BACKGROUND);
        assert_eq!(background.len(), for_background, "{most} {kept}");
        let foreground: Vec<Place> = enter(&FOREGROUND);
        let all = background.len() + foreground.len();
        assert_eq!(all, most.max(1), "{most} {kept}");
    }
}

/// Who comes in, in which order, when all wait for the only place, which is given back each time.
#[tokio::test(start_paused = true)]
async fn the_foreground_overtakes_the_background() {
    for (kinds, expected) in [
        ("bbf", "2f 0b 1b"),
        ("fbfb", "0f 2f 1b 3b"),
        ("ff", "0f 1f"),
        // One that somebody has come to wait for meanwhile.
        ("bwf", "1w 2f 0b"),
        ("fw", "0f 1w"),
    ] {
        let admission = Admission::new(1, 0);
        let mut place = admission.try_enter(&FOREGROUND);
        let later: Vec<Urgency> = kinds.chars().map(|_| Urgency::default()).collect();
        let urgencies = kinds.chars().zip(&later).map(|(kind, later)| match kind {
            'f' => &FOREGROUND,
            'b' => &BACKGROUND,
            _ => later,
        });
        let mut queue: Vec<_> = urgencies
            .enumerate()
            .map(|(number, urgency)| (number, wait(&admission, urgency)))
            .collect();
        later.iter().for_each(Urgency::want);
        let mut order = Vec::new();
        while !queue.is_empty() {
            // Those who have become urgent notice it.
            for (_, waiting) in &mut queue {
                assert!(look(waiting).is_none(), "{kinds}: two at once");
            }
            drop(place.take());
            let next = |(_, waiting): &mut (usize, Waiting<'_>)| {
                place = look(waiting);
                place.is_some()
            };
            let at = queue.iter_mut().position(next).expect("somebody is next");
            let (number, _) = queue.remove(at);
            order.push(format!("{number}{}", &kinds[number..=number]));
        }
        assert_eq!(order.join(" "), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_gives_its_place_back() {
    let admission = Admission::new(2, 1);
    let places = [(); 2].map(|()| admission.try_enter(&FOREGROUND));
    let first = wait(&admission, &FOREGROUND);
    let mut second = wait(&admission, &FOREGROUND);
    let third = wait(&admission, &BACKGROUND);
    assert_eq!(admission.waiting(), 3);
    drop(first);
    drop(places);
    let second = look(&mut second).expect("two places are free");
    assert_eq!(admission.waiting(), 1);
    drop(third);
    assert_eq!(admission.waiting(), 0);
    drop(second);
    let all: Vec<_> = std::iter::from_fn(|| admission.try_enter(&FOREGROUND)).collect();
    assert_eq!(all.len(), 2);
}

/// A place that comes free wakes who waits for it, in whichever task.
#[tokio::test(start_paused = true)]
async fn everybody_gets_a_turn() {
    let admission = Admission::new(3, 1);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300 {
        let admission = admission.clone();
        tasks.spawn(async move {
            let urgency = if number % 3 == 0 {
                &BACKGROUND
            } else {
                &FOREGROUND
            };
            let _place = admission.enter(urgency).await;
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        });
    }
    let started = Instant::now();
    tasks.join_all().await;
    let elapsed = started.elapsed().as_millis();
    // 200 in the foreground by threes, and then 100 by twos.
    assert!((1160..=1250).contains(&elapsed), "{elapsed} ms");
}
