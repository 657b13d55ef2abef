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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Error;

    const NODE: NodeId = NodeId(5000);
    const BLOCKS: u64 = 100;
    const SIZE: u64 = BLOCKS * BLOCK_SIZE;

    /// A cache with room for so many blocks.
    fn cache(budget_blocks: u64) -> BlockCache {
        BlockCache::new(Memory::new(ByteCount(budget_blocks * BLOCK_SIZE)))
    }

    fn wish_of_bytes(wanted: Range<u64>, ahead_end: u64, run_length: u64) -> Wish {
        Wish {
            node: NODE,
            size: SIZE,
            wanted,
            ahead_end,
            run_length,
        }
    }

    /// A wish in blocks.
    fn wish(wanted: Range<u64>, ahead_end: u64, run_length: u64) -> Wish {
        wish_of_bytes(
            wanted.start * BLOCK_SIZE..wanted.end * BLOCK_SIZE,
            ahead_end * BLOCK_SIZE,
            run_length * BLOCK_SIZE,
        )
    }

    /// The runs of a plan as (first block, blocks).
    fn plan(cache: &BlockCache, wish: &Wish) -> Vec<(u64, usize)> {
        let (_, runs) = cache.plan(wish);
        runs.iter()
            .map(|run| (run.start / BLOCK_SIZE, run.slots.len()))
            .collect()
    }

    fn fetch(cache: &BlockCache, runs: Vec<Run>) {
        for run in runs {
            let mut start = run.start;
            for slot in run.slots {
                let mut block = cache.pool.take(slot.length as usize);
                let filling = vec![(start / BLOCK_SIZE) as u8; slot.length as usize];
                block.fill(&filling, slot.length as usize);
                cache.settle(NODE, start, &slot.pending, Ok(Arc::new(block)));
                start += slot.length;
            }
        }
    }

    fn fetch_all(cache: &BlockCache, wish: &Wish) {
        let (_, runs) = cache.plan(wish);
        fetch(cache, runs);
    }

    #[test]
    fn what_is_claimed_once_is_fetched_once() {
        let cache = cache(1000);
        assert_eq!(plan(&cache, &wish(0..2, 2, 4)), [(0, 2)]);
        assert_eq!(plan(&cache, &wish(0..2, 2, 4)), []);
        assert_eq!(plan(&cache, &wish(1..4, 4, 4)), [(2, 2)]);
    }

    #[test]
    fn fetching_ahead_comes_in_whole_runs() {
        let cache = cache(1000);
        assert_eq!(
            plan(&cache, &wish(0..1, 5, 4)),
            [(0, 5)],
            "joins what the reader waits for"
        );
        assert_eq!(
            plan(&cache, &wish(1..2, 8, 4)),
            [],
            "three blocks are a crumb"
        );
        assert_eq!(plan(&cache, &wish(1..2, 9, 4)), [(5, 4)]);
        assert_eq!(plan(&cache, &wish(2..3, 17, 4)), [(9, 4), (13, 4)]);
        assert_eq!(plan(&cache, &wish(98..99, 100, 4)), [(98, 2)]);
    }

    #[test]
    fn what_is_fetched_ahead_is_urgent_once_a_reader_waits_for_it() {
        let cache = cache(1000);
        let (_, runs) = cache.plan(&wish(0..1, 12, 4));
        let urgent = || {
            let urgent = runs.iter().map(|run| run.urgency.is_wanted());
            urgent.collect::<Vec<_>>()
        };
        assert_eq!(urgent(), [true, false, false]);
        cache.plan(&wish(0..1, 12, 4));
        assert_eq!(urgent(), [true, false, false], "nobody waits for the rest");
        cache.plan(&wish(5..6, 6, 4));
        assert_eq!(urgent(), [true, true, false]);
        cache.plan(&wish(3..9, 9, 4));
        assert_eq!(urgent(), [true; 3]);
    }

    #[test]
    fn a_crumb_at_the_end_of_the_file_is_worth_fetching() {
        let cache = cache(1000);
        fetch_all(&cache, &wish(98..99, 99, 4));
        assert_eq!(plan(&cache, &wish(98..99, 100, 4)), [(99, 1)]);
    }

    #[test]
    fn a_read_that_jumps_fetches_the_pages_it_asked_for() {
        let cache = cache(1000);
        let (from, to) = (BLOCK_SIZE - 8192, BLOCK_SIZE + 4096);
        let (found, runs) = cache.plan(&wish_of_bytes(from..to, to, 1 << 20));
        let lengths = |run: &Run| run.slots.iter().map(|slot| slot.length).collect::<Vec<_>>();
        assert_eq!(
            (found.len(), runs.len()),
            (2, 1),
            "no piece crosses a block's bounds"
        );
        assert_eq!((runs[0].start, lengths(&runs[0])), (from, vec![8192, 4096]));
        fetch(&cache, runs);
        let (found, runs) = cache.plan(&wish(0..2, 2, 4));
        let starts: Vec<_> = found.iter().map(|found| found.start).collect();
        assert_eq!(
            starts,
            [0, from, BLOCK_SIZE, to],
            "around the pieces there are"
        );
        let spans: Vec<_> = runs.iter().map(|run| (run.start, lengths(run))).collect();
        let rest = 2 * BLOCK_SIZE - to;
        assert_eq!(spans, [(0, vec![from]), (to, vec![rest])]);
    }

    #[test]
    fn a_block_is_whole_when_its_pieces_are() {
        let cache = cache(1000);
        let half = BLOCK_SIZE / 2;
        fetch_all(&cache, &wish_of_bytes(0..half, half, 1 << 20));
        assert!(cache.whole_block(NODE, SIZE, 0).is_none());
        fetch_all(&cache, &wish(0..1, 1, 4));
        let pieces = cache
            .whole_block(NODE, SIZE, 0)
            .expect("both halves are there");
        let bytes: usize = pieces.iter().map(|piece| piece.bytes().len()).sum();
        assert_eq!((pieces.len(), bytes as u64), (2, BLOCK_SIZE));
    }

    #[test]
    fn the_budget_holds_and_the_oldest_blocks_go_first() {
        let cache = cache(10);
        for first in [0, 4, 8] {
            fetch_all(&cache, &wish(first..first + 4, first + 4, 4));
        }
        let (ready, pending) = cache.used();
        assert_eq!((ready.0 / BLOCK_SIZE, pending.0), (10, 0));
        assert_eq!(plan(&cache, &wish(2..12, 12, 100)), []);
        assert_eq!(
            plan(&cache, &wish(0..2, 2, 4)),
            [(0, 2)],
            "the first two were dropped"
        );
    }

    #[test]
    fn blocks_being_read_are_not_dropped() {
        let cache = cache(4);
        fetch_all(&cache, &wish(0..2, 2, 4));
        let (held, _) = cache.plan(&wish(0..2, 2, 4));
        fetch_all(&cache, &wish(10..20, 20, 4));
        assert_eq!(plan(&cache, &wish(0..2, 2, 4)), []);
        drop(held);
        fetch_all(&cache, &wish(20..24, 24, 4));
        assert_eq!(plan(&cache, &wish(0..2, 2, 4)), [(0, 2)]);
    }

    #[test]
    fn fetching_ahead_takes_a_quarter_of_the_budget_at_most() {
        let cache = cache(40);
        let runs = plan(&cache, &wish(0..1, 50, 1));
        let blocks: usize = runs.iter().map(|(_, length)| length).sum();
        assert_eq!(blocks, 10);
    }

    #[test]
    fn what_a_reader_passed_is_kept_for_a_step_back_but_not_for_long() {
        let cache = cache(1000);
        fetch_all(&cache, &wish(0..100, 100, 100));
        for index in 0..100 {
            cache.pass(NODE, SIZE, index * BLOCK_SIZE..(index + 1) * BLOCK_SIZE);
        }
        let kept = PASSED_KEPT / BLOCK_SIZE + 2 * HEAD_OR_TAIL / BLOCK_SIZE;
        assert_eq!(cache.used().0, ByteCount(kept * BLOCK_SIZE));
        assert_eq!(plan(&cache, &wish(0..4, 4, 1)), [], "the head");
        assert_eq!(
            plan(&cache, &wish(92..100, 100, 1)),
            [],
            "a step back, and the tail"
        );
        assert_eq!(plan(&cache, &wish(4..5, 5, 1)), [(4, 1)]);
    }

    #[test]
    fn a_failed_block_is_asked_for_again() {
        let cache = cache(10);
        let (_, runs) = cache.plan(&wish(0..1, 1, 1));
        cache.settle(NODE, 0, &runs[0].slots[0].pending, Err(Error::NotFound));
        assert_eq!(cache.used(), (ByteCount(0), ByteCount(0)));
        assert_eq!(plan(&cache, &wish(0..1, 1, 1)), [(0, 1)]);
    }

    #[test]
    fn a_forgotten_node_leaves_no_bytes() {
        let cache = cache(10);
        fetch_all(&cache, &wish(0..3, 3, 4));
        assert_eq!(cache.bytes_of(NODE), ByteCount(3 * BLOCK_SIZE));
        cache.forget(NODE);
        assert_eq!(
            (cache.bytes_of(NODE), cache.used().0),
            (ByteCount(0), ByteCount(0))
        );
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read {
            start: u64,
            length: u64,
            ahead: u64,
            run: u64,
        },
        Settle {
            at: usize,
            is_ok: bool,
        },
        Pass {
            start: u64,
            length: u64,
        },
        Forget,
    }

    fn step() -> impl Strategy<Value = Step> {
        let page = 4096;
        let pages = SIZE / page;
        prop_oneof![
            4 => (0..pages, 1..300u64, 0..1000u64, 1..500u64).prop_map(move |(start, length, ahead, run)| {
                Step::Read { start: start * page, length: length * page, ahead: ahead * page, run: run * page }
            }),
            4 => (any::<usize>(), any::<bool>()).prop_map(|(at, is_ok)| Step::Settle { at, is_ok }),
            1 => (0..pages, 1..300u64).prop_map(move |(start, length)| {
                Step::Pass { start: start * page, length: length * page }
            }),
            1 => Just(Step::Forget),
        ]
    }

    /// Pieces never overlap, are counted to the byte, and every read is covered without a hole.
    fn check_invariants(cache: &BlockCache) {
        let state = cache.lock();
        let mut end = 0;
        let (mut ready, mut pending) = (0, 0);
        for (key, length) in &state.pieces {
            assert!(key.1 >= end && *length > 0, "overlap at {key:?}");
            end = key.1 + length;
            assert_eq!(
                key.1 / BLOCK_SIZE,
                (end - 1) / BLOCK_SIZE,
                "crosses a block's bounds"
            );
            match state.ready.peek(key) {
                Some(block) => {
                    assert_eq!(block.bytes().len() as u64, *length);
                    ready += block.memory_taken();
                }
                None => {
                    assert!(state.pending.contains_key(key));
                    pending += length;
                }
            }
        }
        assert_eq!((ready, pending), (state.ready_bytes, state.pending_bytes));
        assert_eq!(state.pieces.len(), state.ready.len() + state.pending.len());
    }

    fn check_covers(found: &[Found], wanted: &Range<u64>, cache: &BlockCache) {
        let state = cache.lock();
        let mut at = wanted.start;
        for Found { start, piece } in found {
            assert!(*start <= at, "a hole before {start}");
            let length = match piece {
                Piece::Ready(block) => block.bytes().len() as u64,
                Piece::Joined(_) | Piece::Claimed(_) => state.pieces[&(NODE, *start)],
            };
            at = start + length;
        }
        assert!(at >= wanted.end, "ends at {at} instead of {}", wanted.end);
    }

    proptest! {
        #[test]
        fn reads_are_covered_and_counts_are_exact_whatever_happens(steps in prop::collection::vec(step(), 1..80)) {
            let cache = cache(64);
            let mut open: Vec<(u64, Slot)> = Vec::new();
            for step in steps {
                match step {
                    Step::Read { start, length, ahead, run } => {
                        let wanted = start..SIZE.min(start + length);
                        let ahead_end = SIZE.min((wanted.end + ahead).max(wanted.end));
                        let (found, runs) = cache.plan(&wish_of_bytes(wanted.clone(), ahead_end, run));
                        check_covers(&found, &wanted, &cache);
                        for run in runs {
                            let mut at = run.start;
                            for slot in run.slots {
                                let length = slot.length;
                                open.push((at, slot));
                                at += length;
                            }
                        }
                    }
                    Step::Settle { at, is_ok } if !open.is_empty() => {
                        let (start, slot) = open.swap_remove(at % open.len());
                        let mut block = cache.pool.take(slot.length as usize);
                        block.fill(&vec![0; slot.length as usize], slot.length as usize);
                        let result = if is_ok { Ok(Arc::new(block)) } else { Err(Error::NotFound) };
                        cache.settle(NODE, start, &slot.pending, result);
                    }
                    Step::Settle { .. } => {}
                    Step::Pass { start, length } => cache.pass(NODE, SIZE, start..SIZE.min(start + length)),
                    Step::Forget => cache.forget(NODE),
                }
                check_invariants(&cache);
            }
        }
    }
}
