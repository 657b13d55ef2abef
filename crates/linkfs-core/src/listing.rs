mod loading;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::ItemId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::node::{Node, NodeId};
use crate::{Error, Result};
pub(crate) use loading::start;

/// So many names are compared under one lock: look-ups do not wait for the rest of a large folder.
const COMPARED_AT_ONCE: usize = 1024;

/// A batch ahead is looked for among so many times its files.
const MOST_PASSED_OVER: usize = 4;

/// One reading of a folder, page by page. Names are appended and never move, so an open folder can be
/// read by position while the pages come in.
#[derive(Debug)]
pub(crate) struct Listing {
    state: Mutex<State>,
    /// Counts changes of `state`, for those who wait for the next.
    progress: watch::Sender<u64>,
    started: Instant,
    /// How long it may be answered from.
    ttl: Duration,
}

#[derive(Debug)]
struct State {
    nodes: Vec<Arc<Node>>,
    by_name: HashMap<Arc<str>, usize>,
    phase: Phase,
    /// How old it was already when it was completed here: more than nothing for one that an earlier mount
    /// has saved.
    age: Duration,
    older: Older,
}

/// What an earlier mount has left of the folder, too old to be answered from while the drive answers.
#[derive(Clone, Debug)]
enum Older {
    /// It is still being looked for.
    Unknown,
    Known(Option<Arc<Listing>>),
}

#[derive(Clone, Debug)]
pub(crate) enum Phase {
    Loading,
    Complete(Instant),
    Failed(Instant, Error),
}

impl Listing {
    fn new(ttl: Duration) -> Arc<Listing> {
        Arc::new(Listing {
            state: Mutex::new(State {
                nodes: Vec::new(),
                by_name: HashMap::new(),
                phase: Phase::Loading,
                age: Duration::ZERO,
                older: Older::Unknown,
            }),
            progress: watch::Sender::new(0),
            started: Instant::now(),
            ttl,
        })
    }

    /// A listing that is complete from the start, for folders that no drive has.
    pub(crate) fn of(nodes: Vec<Arc<Node>>, ttl: Duration) -> Arc<Listing> {
        Listing::aged(nodes, ttl, Duration::ZERO)
    }

    /// One that fails after these names.
    pub(crate) fn failing_after(nodes: Vec<Arc<Node>>, error: Error) -> Arc<Listing> {
        let listing = Listing::new(Duration::ZERO);
        listing.append(nodes);
        listing.end(Err(error));
        listing
    }

    /// One that was completed that long ago.
    fn aged(nodes: Vec<Arc<Node>>, ttl: Duration, age: Duration) -> Arc<Listing> {
        let listing = Listing::new(ttl);
        listing.fill(nodes, age);
        listing
    }

    pub(crate) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// The node called `name`: as soon as it is known, or `None` when the listing ends without it.
    ///
    /// # Errors
    /// Why the listing failed, unless the name was on an earlier page.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<Arc<Node>>> {
        self.wait_until(|state| match state.by_name.get(name) {
            Some(&at) => Some(Ok(Some(state.nodes[at].clone()))),
            None => state.ended().map(|end| end.map(|()| None)),
        })
        .await
    }

    /// Up to `most` nodes from position `start` on, at least one unless the listing ends before.
    ///
    /// # Errors
    /// Why the listing failed, after the names it gave.
    pub(crate) async fn nodes_from(&self, start: usize, most: usize) -> Result<Vec<Arc<Node>>> {
        self.wait_until(|state| {
            let there = state.nodes.get(start..).unwrap_or_default();
            if !there.is_empty() {
                return Some(Ok(there.iter().take(most).cloned().collect()));
            }
            state.ended().map(|end| end.map(|()| Vec::new()))
        })
        .await
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// Why the listing failed.
    pub(crate) async fn complete(&self) -> Result<()> {
        self.wait_until(State::ended).await
    }

    /// What an earlier mount has left of the folder: as soon as that is known. A complete listing needs
    /// none.
    pub(crate) async fn older(&self) -> Option<Arc<Listing>> {
        self.wait_until(|state| match &state.older {
            Older::Known(older) => Some(older.clone()),
            Older::Unknown => state.ended().map(|_end| None),
        })
        .await
    }

    /// As [`Listing::older`], without waiting.
    pub(crate) fn known_older(&self) -> Option<Arc<Listing>> {
        match &self.lock().older {
            Older::Known(older) => older.clone(),
            Older::Unknown => None,
        }
    }

    /// How long the listing may still be answered from.
    pub(crate) fn valid_for(&self) -> Duration {
        let state = self.lock();
        match state.phase {
            Phase::Complete(at) => {
                let age = at.elapsed().saturating_add(state.age);
                self.ttl.saturating_sub(age)
            }
            Phase::Loading => self.ttl.saturating_sub(self.started.elapsed()),
            Phase::Failed(..) => Duration::ZERO,
        }
    }

    /// Up to `most` files that `wanted` accepts, from the one called `name` on and around.
    pub(crate) fn files_after(
        &self,
        name: &str,
        most: usize,
        wanted: impl Fn(NodeId) -> bool,
    ) -> Vec<(NodeId, ItemId)> {
        let state = self.lock();
        let Some(&at) = state.by_name.get(name) else {
            return Vec::new();
        };
        let (before, from) = state.nodes.split_at(at);
        from.iter()
            .chain(before)
            .filter_map(|node| node.item().map(|(_, item)| (node.id, item)))
            .filter(|(node, item)| item.size().0 > 0 && wanted(*node))
            .map(|(node, item)| (node, item.id.clone()))
            .take(most)
            .collect()
    }

    /// Where a name stands.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.lock().by_name.get(name).copied()
    }

    /// Up to `most` files behind position `at` that have no link, and the position behind the last of them; nothing
    /// as long as more than `enough` before them have one. Fewer than `most` only at the end of the folder.
    pub(crate) fn files_ahead(
        &self,
        at: usize,
        enough: usize,
        most: usize,
        has_link: impl Fn(usize, NodeId) -> bool,
    ) -> Option<(Vec<(NodeId, ItemId)>, usize)> {
        let state = self.lock();
        let end = state.nodes.len().min(at + 1 + most * MOST_PASSED_OVER);
        let mut with_link = 0;
        let mut files = Vec::new();
        for position in at + 1..end {
            let node = &state.nodes[position];
            let Some((_, item)) = node.item().filter(|(_, item)| item.size().0 > 0) else {
                continue;
            };
            if !has_link(position, node.id) {
                files.push((node.id, item.id.clone()));
            } else if files.is_empty() {
                with_link += 1;
            }
            if with_link > enough {
                return None;
            }
            if files.len() == most {
                return Some((files, position + 1));
            }
        }
        let is_whole = end == state.nodes.len() && matches!(state.phase, Phase::Complete(_));
        (is_whole && !files.is_empty()).then_some((files, end))
    }

    fn append(&self, nodes: Vec<Arc<Node>>) {
        let mut state = self.lock();
        for node in nodes {
            let at = state.nodes.len();
            state.by_name.insert(node.name.clone(), at);
            state.nodes.push(node);
        }
        drop(state);
        self.progress.send_modify(|count| *count += 1);
    }

    /// Completes the listing by what was known that long ago.
    fn fill(&self, nodes: Vec<Arc<Node>>, age: Duration) {
        self.lock().age = age;
        self.append(nodes);
        self.end(Ok(()));
    }

    fn set_older(&self, older: Option<Arc<Listing>>) {
        self.lock().older = Older::Known(older);
        self.progress.send_modify(|count| *count += 1);
    }

    fn end(&self, result: Result<()>) {
        let mut state = self.lock();
        match result {
            Ok(()) => {
                state.phase = Phase::Complete(Instant::now());
                state.older = Older::Known(None);
            }
            Err(error) => state.phase = Phase::Failed(Instant::now(), error),
        }
        drop(state);
        self.progress.send_modify(|count| *count += 1);
    }

    /// The names that lead elsewhere here than in one of those `before` it, and, if it is complete, those that it
    /// lacks. It has ended, and so have they.
    pub(crate) fn changes<'a>(
        &self,
        before: impl Iterator<Item = &'a Listing>,
    ) -> HashSet<Arc<str>> {
        let here = self.all();
        let mut before = before.peekable();
        if before.peek().is_none() {
            return here.iter().map(|node| node.name.clone()).collect();
        }
        let is_complete = matches!(self.phase(), Phase::Complete(_));
        let mut changed = HashSet::new();
        for before in before {
            before.add_others(&here, &mut changed);
            if is_complete {
                self.add_others(&before.all(), &mut changed);
            }
        }
        changed
    }

    /// Adds the names of those `nodes` that the names do not lead to here.
    fn add_others(&self, nodes: &[Arc<Node>], names: &mut HashSet<Arc<str>>) {
        for some in nodes.chunks(COMPARED_AT_ONCE) {
            let state = self.lock();
            let is_same = |at: &usize, node: &Node| state.nodes[*at].id == node.id;
            let others = some.iter().filter(|node| {
                let at = state.by_name.get(&node.name);
                !at.is_some_and(|at| is_same(at, node))
            });
            names.extend(others.map(|node| node.name.clone()));
        }
    }

    fn all(&self) -> Vec<Arc<Node>> {
        self.lock().nodes.clone()
    }

    async fn wait_until<T>(&self, look: impl Fn(&State) -> Option<T>) -> T {
        let mut progress = self.progress.subscribe();
        loop {
            progress.mark_unchanged();
            if let Some(found) = look(&self.lock()) {
                return found;
            }
            progress
                .changed()
                .await
                .expect("the sender lives as long as the listing");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while a listing is locked")
    }
}

impl State {
    fn ended(&self) -> Option<Result<()>> {
        match &self.phase {
            Phase::Loading => None,
            Phase::Complete(_) => Some(Ok(())),
            Phase::Failed(_, error) => Some(Err(error.clone())),
        }
    }
}
