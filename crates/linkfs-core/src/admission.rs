//! Who may ask next, of a drive or of its data hosts: so many at a time, those for whom somebody waits in a system
//! call before those who work ahead, and no faster than is good.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, SetOnce};
use tokio::time::Instant;

use crate::pace::Pace;

/// Whether somebody waits for a piece of work in a system call. Work that was begun ahead may come to be waited for;
/// it stays so.
#[derive(Debug, Default)]
pub(crate) struct Urgency(SetOnce<()>);

/// Somebody waits.
pub(crate) static FOREGROUND: Urgency = Urgency(SetOnce::const_new_with(()));
/// Nobody waits, and nobody will.
pub(crate) static BACKGROUND: Urgency = Urgency(SetOnce::const_new());

impl Urgency {
    /// From now on somebody waits.
    pub(crate) fn want(&self) {
        let _may_be_wanted_already = self.0.set(());
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.initialized()
    }

    async fn wanted(&self) {
        self.0.wait().await;
    }
}

/// The places of those who ask at the same time, and the queue for them.
#[derive(Debug)]
pub(crate) struct Admission {
    state: Mutex<State>,
    most: usize,
    /// So many places may be taken when one of the background comes in: the others are kept for those who wait.
    most_for_background: usize,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    pace: Pace,
    /// In the order of their turns.
    queue: BTreeMap<Turn, Arc<Notify>>,
    tickets: u64,
}

/// Those who are waited for come before the others, and each of them in the order in which they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    is_background: bool,
    ticket: u64,
}

/// The right to ask once. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    since: Instant,
}

/// What stands in the way of who is next.
enum Obstacle {
    /// All places are taken.
    Full,
    /// It is not time yet.
    Early(Instant),
}

impl Admission {
    /// `most` places, the last `kept` of which are not for the background unless there are no others.
    pub(crate) fn new(most: usize, kept: usize) -> Arc<Admission> {
        let most = most.max(1);
        Arc::new(Admission {
            state: Mutex::default(),
            most,
            most_for_background: most.saturating_sub(kept).max(1),
        })
    }

    /// A place, if nobody has to be waited for.
    pub(crate) fn try_enter(self: &Arc<Self>, urgency: &Urgency) -> Option<Place> {
        let mut state = self.lock();
        match state.queue.is_empty() {
            true => self.take(&mut state, !urgency.is_wanted()).ok(),
            false => None,
        }
    }

    /// A place, as soon as it is this one's turn.
    pub(crate) async fn enter(self: &Arc<Self>, urgency: &Urgency) -> Place {
        if let Some(place) = self.try_enter(urgency) {
            return place;
        }
        let mut queued = Queued::new(self, urgency);
        loop {
            let early = match queued.try_enter() {
                Ok(place) => return place,
                Err(Some(Obstacle::Early(until))) => Some(until),
                Err(_) => None,
            };
            let time = async {
                match early {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = queued.woken.notified() => {}
                () = time => {}
                () = urgency.wanted(), if queued.turn.is_background => queued.hurry(),
            }
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    fn take(self: &Arc<Self>, state: &mut State, is_background: bool) -> Result<Place, Obstacle> {
        let most = match is_background {
            true => self.most_for_background,
            false => self.most,
        };
        if state.taken >= most {
            return Err(Obstacle::Full);
        }
        let now = Instant::now();
        state.pace.begin(now).map_err(Obstacle::Early)?;
        state.taken += 1;
        Ok(Place {
            admission: self.clone(),
            since: now,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while the admission is locked")
    }
}

impl State {
    /// Has who is next look again.
    fn wake_next(&self) {
        if let Some((_, woken)) = self.queue.first_key_value() {
            woken.notify_one();
        }
    }
}

impl Place {
    /// The drive has done what it was asked.
    pub(crate) fn went_well(&self) {
        self.admission.lock().pace.went_well();
    }

    /// The drive has said that it is asked too much.
    pub(crate) fn was_too_much(&self) {
        self.admission.lock().pace.was_too_much(self.since);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.taken -= 1;
        state.wake_next();
    }
}

/// One who waits. Whoever gives up leaves the queue.
struct Queued<'a> {
    admission: &'a Arc<Admission>,
    turn: Turn,
    woken: Arc<Notify>,
}

impl<'a> Queued<'a> {
    fn new(admission: &'a Arc<Admission>, urgency: &Urgency) -> Queued<'a> {
        let mut state = admission.lock();
        state.tickets += 1;
        let turn = Turn {
            is_background: !urgency.is_wanted(),
            ticket: state.tickets,
        };
        let woken = Arc::<Notify>::default();
        state.queue.insert(turn, woken.clone());
        drop(state);
        Queued {
            admission,
            turn,
            woken,
        }
    }

    /// Only who is next may come in; nothing is known of what stands in the way of the others.
    fn try_enter(&self) -> Result<Place, Option<Obstacle>> {
        let mut state = self.admission.lock();
        let next = state.queue.first_key_value().map(|(turn, _)| *turn);
        if next != Some(self.turn) {
            return Err(None);
        }
        self.admission
            .take(&mut state, self.turn.is_background)
            .map_err(Some)
    }

    /// Somebody has come to wait for it.
    fn hurry(&mut self) {
        let mut state = self.admission.lock();
        state.queue.remove(&self.turn);
        self.turn.is_background = false;
        state.queue.insert(self.turn, self.woken.clone());
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        state.queue.remove(&self.turn);
        state.wake_next();
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
