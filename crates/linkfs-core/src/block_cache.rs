use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::ByteCount;
use lru::LruCache;
use tokio::sync::SetOnce;

use crate::Result;
use crate::admission::Urgency;
use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::memory::Memory;
use crate::node::NodeId;
use crate::status::MemoryStatus;

/// Where a piece begins: a node is one version of one file, so its number and an offset say it all.
type Key = (NodeId, u64);

/// What a reader that goes on has passed is kept for a step back, up to this much for all readers together.
/// The kernel's page cache has it too.
const PASSED_KEPT: u64 = 16 << 20;
/// Heads and tails are looked at again: media and archives keep their tables there.
const HEAD_OR_TAIL: u64 = 1 << 20;

/// A piece being fetched; settled once, by the job that fetches it.
pub(crate) type Pending = Arc<SetOnce<Result<Arc<Block>>>>;

/// One of them, and whether somebody waits for the job that fetches it.
#[derive(Debug)]
struct UnderWay {
    pending: Pending,
    /// Its job's, as soon as there is one.
    urgency: Option<Arc<Urgency>>,
}

/// The pieces of all files that are in memory or on their way. A piece is a whole block or a part of one;
/// pieces of a file never overlap, and each is fetched by one job however many readers want it.
#[derive(Debug)]
pub(crate) struct BlockCache {
    state: Mutex<State>,
    memory: Arc<Memory>,
    pub(crate) pool: Arc<Pool>,
}

#[derive(Debug)]
struct State {
    /// Length of every piece, ready or pending.
    pieces: BTreeMap<Key, u64>,
    ready: LruCache<Key, Arc<Block>>,
    pending: HashMap<Key, UnderWay>,
    /// Pieces that their reader has passed, the oldest first.
    passed: VecDeque<(Key, u64)>,
    /// What pieces that are ready take of the budget.
    ready_bytes: u64,
    /// Length of the pending ones.
    pending_bytes: u64,
    passed_bytes: u64,
}

/// A piece that a reader asked for.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it begins in the file.
    pub(crate) start: u64,
    pub(crate) piece: Piece,
}

#[derive(Debug)]
pub(crate) enum Piece {
    Ready(Arc<Block>),
    /// A job that was started before fetches it.
    Joined(Pending),
    /// It is in one of the runs that come with this answer.
    Claimed(Pending),
}

/// Consecutive pieces for one job to fetch.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) slots: Vec<Slot>,
    /// Whether somebody waits for one of them; a reader may come to.
    pub(crate) urgency: Arc<Urgency>,
}

/// One of the pieces.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) length: u64,
    pub(crate) pending: Pending,
}

/// What a reader wants of one file, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) node: NodeId,
    /// Length of the file.
    pub(crate) size: u64,
    /// What the reader waits for; not empty, and within the file.
    pub(crate) wanted: Range<u64>,
    /// Where fetching ahead ends; at least `wanted.end`.
    pub(crate) ahead_end: u64,
    /// How much one job should fetch.
    pub(crate) run_length: u64,
}

impl BlockCache {
    pub(crate) fn new(memory: Arc<Memory>) -> BlockCache {
        BlockCache {
            state: Mutex::new(State {
                pieces: BTreeMap::new(),
                ready: LruCache::unbounded(),
                pending: HashMap::new(),
                passed: VecDeque::new(),
                ready_bytes: 0,
                pending_bytes: 0,
                passed_bytes: 0,
            }),
            pool: Pool::new(memory.clone()),
            memory,
        }
    }

    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// What memory is taken for.
    pub(crate) fn status(&self) -> MemoryStatus {
        let (ready, pending) = self.used();
        MemoryStatus {
            budget_bytes: self.memory.limit().0,
            cached_bytes: ready.0,
            pending_bytes: pending.0,
            reads_bytes: self.memory.admitted().0,
            block_bytes: self.pool.in_blocks().0,
            free_bytes: self.pool.free().0,
            name_bytes: self.memory.names().0,
            peak_bytes: self.pool.peak().0,
        }
    }

    /// Memory of pieces that are there, and bytes of pieces being fetched.
    fn used(&self) -> (ByteCount, ByteCount) {
        let state = self.lock();
        (ByteCount(state.ready_bytes), ByteCount(state.pending_bytes))
    }

    /// The wanted pieces as they are, and the runs that the caller must now start jobs for.
    pub(crate) fn plan(&self, wish: &Wish) -> (Vec<Found>, Vec<Run>) {
        let mut state = self.lock();
        let mut claimed = Vec::new();
        let mut found = Vec::new();
        for part in state.parts(wish.node, wish.wanted.clone()) {
            match part {
                Part::Known(start) => found.extend(state.find((wish.node, start))),
                Part::Gap(gap) => {
                    for span in cut(gap) {
                        let piece = Piece::Claimed(state.claim(wish.node, &span));
                        let start = span.start;
                        found.push(Found { start, piece });
                        claimed.push(span);
                    }
                }
            }
        }
        if wish.ahead_end > wish.wanted.end {
            for span in self.worth_fetching_ahead(&state, wish, claimed.last()) {
                state.claim(wish.node, &span);
                claimed.push(span);
            }
        }
        if !claimed.is_empty() {
            self.make_room(&mut state);
        }
        (found, state.runs(wish, claimed))
    }

    /// Whole runs only, so that requests do not crumble, and no more in flight than is set aside for it, so
    /// that what is fetched is still there when the reader arrives.
    fn worth_fetching_ahead(
        &self,
        state: &State,
        wish: &Wish,
        last_claimed: Option<&Range<u64>>,
    ) -> Vec<Range<u64>> {
        let mut affordable = self.memory.for_ahead().saturating_sub(state.pending_bytes);
        let parts = state.parts(wish.node, wish.wanted.end..wish.ahead_end);
        let mut worth_it = Vec::new();
        for gap in parts.into_iter().filter_map(Part::gap) {
            let end = gap.end.min(gap.start.saturating_add(affordable));
            let joins = last_claimed.is_some_and(|last| last.end == gap.start);
            let is_enough = joins || end == wish.size || end - gap.start >= wish.run_length;
            let spans = cut(gap.start..end);
            // A piece cut short by the budget would be a crumb for good.
            let whole =
                spans.filter(|span| span.end.is_multiple_of(BLOCK_SIZE) || span.end == gap.end);
            if is_enough {
                let spans: Vec<_> = whole.collect();
                affordable -= spans.iter().map(length_of).sum::<u64>();
                worth_it.extend(spans);
            }
        }
        worth_it
    }

    /// Ends the fetching of one piece, in one way or the other, and wakes those who wait for it.
    pub(crate) fn settle(
        &self,
        node: NodeId,
        start: u64,
        pending: &Pending,
        result: Result<Arc<Block>>,
    ) {
        let key = (node, start);
        let mut state = self.lock();
        let is_ours = state
            .pending
            .get(&key)
            .is_some_and(|known| Arc::ptr_eq(&known.pending, pending));
        if is_ours {
            state.settle(key, &result);
            self.make_room(&mut state);
        }
        drop(state);
        let _was_open = pending.set(result);
    }

    /// A reader has passed the pieces that end within `span`, and will hardly come back to them.
    pub(crate) fn pass(&self, node: NodeId, size: u64, span: Range<u64>) {
        let mut state = self.lock();
        state.pass(node, size, span);
    }

    /// The pieces that make up the block at `index`, when all of it is there.
    pub(crate) fn whole_block(
        &self,
        node: NodeId,
        size: u64,
        index: u64,
    ) -> Option<Vec<Arc<Block>>> {
        let start = index * BLOCK_SIZE;
        let pieces = self.present(node, start..size.min(start + BLOCK_SIZE))?;
        Some(pieces.into_iter().map(|(_, block)| block).collect())
    }

    /// The pieces that make up `span`, each with its start, when all of it is there.
    pub(crate) fn present(&self, node: NodeId, span: Range<u64>) -> Option<Vec<(u64, Arc<Block>)>> {
        let state = self.lock();
        let pieces = state.parts(node, span).into_iter().map(|part| match part {
            Part::Known(start) => Some((start, state.ready.peek(&(node, start))?.clone())),
            Part::Gap(_) => None,
        });
        pieces.collect()
    }

    /// Drops every piece of a node that is there. Those of jobs under way come later.
    pub(crate) fn forget(&self, node: NodeId) {
        let mut state = self.lock();
        let keys: Vec<Key> = state.keys_of(node).map(|(key, _)| *key).collect();
        for key in keys {
            state.drop_ready(key);
        }
    }

    /// How many bytes of a node are here.
    pub(crate) fn bytes_of(&self, node: NodeId) -> ByteCount {
        let state = self.lock();
        let ready = state
            .keys_of(node)
            .filter(|(key, _)| !state.pending.contains_key(key));
        ByteCount(ready.map(|(_, length)| length).sum())
    }

    /// Names take `more` bytes and no longer `fewer`: pieces give way to them.
    pub(crate) fn count_names(&self, more: u64, fewer: u64) {
        if self.memory.count_names(more, fewer) {
            self.make_room(&mut self.lock());
        }
    }

    /// Drops the pieces used longest ago until everything fits; those that somebody is reading stay.
    fn make_room(&self, state: &mut State) {
        let taken = self.pool.in_blocks().0 + self.pool.free().0 + state.pending_bytes;
        let mut excess = taken.saturating_sub(self.memory.for_blocks());
        for _ in 0..state.ready.len() {
            if excess == 0 {
                return;
            }
            let Some((key, block)) = state.ready.pop_lru() else {
                return;
            };
            if Arc::strong_count(&block) > 1 {
                state.ready.put(key, block);
            } else {
                state.pieces.remove(&key);
                state.ready_bytes -= block.memory_taken();
                excess = excess.saturating_sub(block.memory_taken());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while the block cache is locked")
    }
}

/// A stretch of a file: a piece by its start, or bytes of which nothing is known.
enum Part {
    Known(u64),
    Gap(Range<u64>),
}

impl Part {
    fn gap(self) -> Option<Range<u64>> {
        match self {
            Part::Known(_) => None,
            Part::Gap(gap) => Some(gap),
        }
    }
}

impl State {
    fn keys_of(&self, node: NodeId) -> impl Iterator<Item = (&Key, &u64)> {
        self.pieces.range((node, 0)..=(node, u64::MAX))
    }

    /// What is known of a span, in order and without holes.
    fn parts(&self, node: NodeId, span: Range<u64>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = span.start;
        let before = self.pieces.range((node, 0)..=(node, at)).next_back();
        if let Some(((_, start), length)) =
            before.filter(|((_, start), length)| start + *length > at)
        {
            parts.push(Part::Known(*start));
            at = start + length;
        }
        if at < span.end {
            for ((_, start), length) in self.pieces.range((node, at)..(node, span.end)) {
                if at < *start {
                    parts.push(Part::Gap(at..*start));
                }
                parts.push(Part::Known(*start));
                at = start + length;
            }
        }
        if at < span.end {
            parts.push(Part::Gap(at..span.end));
        }
        parts
    }

    fn find(&mut self, key: Key) -> Option<Found> {
        let ready = self.ready.get(&key).cloned().map(Piece::Ready);
        let join = |under_way: &UnderWay| {
            if let Some(urgency) = &under_way.urgency {
                urgency.want();
            }
            Piece::Joined(under_way.pending.clone())
        };
        let piece = ready.or_else(|| self.pending.get(&key).map(join));
        let start = key.1;
        piece.map(|piece| Found { start, piece })
    }

    fn claim(&mut self, node: NodeId, span: &Range<u64>) -> Pending {
        let pending = Pending::default();
        let key = (node, span.start);
        self.pieces.insert(key, length_of(span));
        let under_way = UnderWay {
            pending: pending.clone(),
            urgency: None,
        };
        self.pending.insert(key, under_way);
        self.pending_bytes += length_of(span);
        pending
    }

    fn settle(&mut self, key: Key, result: &Result<Arc<Block>>) {
        self.pending.remove(&key);
        let length = self.pieces[&key];
        self.pending_bytes -= length;
        match result {
            Ok(block) => {
                self.ready_bytes += block.memory_taken();
                self.ready.put(key, block.clone());
            }
            Err(_) => {
                self.pieces.remove(&key);
            }
        }
    }

    /// Claimed spans as runs of about `run_length`: never a crumb left over at the end of one.
    fn runs(&mut self, wish: &Wish, claimed: Vec<Range<u64>>) -> Vec<Run> {
        let mut runs = Vec::new();
        for group in claimed.chunk_by(|a, b| a.end == b.start) {
            let bytes = group.iter().map(length_of).sum::<u64>();
            let share = bytes.div_ceil((bytes / wish.run_length).max(1));
            let number_of = |span: &Range<u64>| (span.start - group[0].start) / share;
            for spans in group.chunk_by(|a, b| number_of(a) == number_of(b)) {
                let urgency = Arc::<Urgency>::default();
                if spans[0].start < wish.wanted.end {
                    urgency.want();
                }
                let slots = spans.iter().map(|span| Slot {
                    length: length_of(span),
                    pending: self.give_to_job((wish.node, span.start), &urgency),
                });
                runs.push(Run {
                    start: spans[0].start,
                    slots: slots.collect(),
                    urgency,
                });
            }
        }
        runs
    }

    /// A claimed piece is fetched by the job of this urgency.
    fn give_to_job(&mut self, key: Key, urgency: &Arc<Urgency>) -> Pending {
        let under_way = self.pending.get_mut(&key);
        let under_way = under_way.expect("what is claimed is pending");
        under_way.urgency = Some(urgency.clone());
        under_way.pending.clone()
    }

    fn pass(&mut self, node: NodeId, size: u64, span: Range<u64>) {
        let is_kept = |start, end| start < HEAD_OR_TAIL || end + HEAD_OR_TAIL > size;
        let passed: Vec<_> = self
            .pieces
            .range((node, span.start.saturating_sub(BLOCK_SIZE))..(node, span.end))
            .map(|(key, length)| (*key, *length))
            .filter(|((_, start), length)| {
                let end = start + length;
                end > span.start && end <= span.end && !is_kept(*start, end)
            })
            .collect();
        for (key, length) in passed {
            self.passed.push_back((key, length));
            self.passed_bytes += length;
        }
        while self.passed_bytes > PASSED_KEPT {
            let Some((key, length)) = self.passed.pop_front() else {
                return;
            };
            self.passed_bytes -= length;
            self.drop_ready(key);
        }
    }

    fn drop_ready(&mut self, key: Key) {
        if let Some(block) = self.ready.pop(&key) {
            self.pieces.remove(&key);
            self.ready_bytes -= block.memory_taken();
        }
    }
}

/// A span in pieces that do not cross the bounds of blocks.
fn cut(span: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = span.start;
    std::iter::from_fn(move || {
        let start = at;
        at = span.end.min((start / BLOCK_SIZE + 1) * BLOCK_SIZE);
        (start < span.end).then_some(start..at)
    })
}

fn length_of(span: &Range<u64>) -> u64 {
    span.end - span.start
}

#[cfg(test)]
#[path = "block_cache_tests.rs"]
mod tests;
