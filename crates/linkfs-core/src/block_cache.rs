use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::ByteCount;
use lru::LruCache;
use tokio::sync::SetOnce;

use crate::Result;
use crate::block::{BLOCK_SIZE, Block, Pool};
use crate::node::NodeId;

/// Which block: a node is one version of one file, so its number and an index say it all.
type Key = (NodeId, u64);

/// A block being fetched; settled once, by the job that fetches it.
pub(crate) type Pending = Arc<SetOnce<Result<Arc<Block>>>>;

/// The blocks of all files, in memory, under one budget. A block is fetched by one job however many
/// readers want it.
#[derive(Debug)]
pub(crate) struct BlockCache {
    state: Mutex<State>,
    budget: u64,
    pub(crate) pool: Arc<Pool>,
}

#[derive(Debug)]
struct State {
    ready: LruCache<Key, Arc<Block>>,
    pending: HashMap<Key, Pending>,
    ready_bytes: u64,
    pending_bytes: u64,
}

/// A block that a reader asked for.
#[derive(Debug)]
pub(crate) enum Found {
    Ready(Arc<Block>),
    /// A job that was started before fetches it.
    Joined(Pending),
    /// It is in one of the runs that come with this answer.
    Claimed(Pending),
}

/// Consecutive blocks for one job to fetch.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) first: u64,
    pub(crate) blocks: Vec<Pending>,
}

/// What a reader wants of one file, in block indices.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) node: NodeId,
    /// Length of the file.
    pub(crate) size: u64,
    /// What the reader waits for.
    pub(crate) wanted: Range<u64>,
    /// Where fetching ahead ends; at least `wanted.end`.
    pub(crate) ahead_end: u64,
    /// How many blocks one job should fetch.
    pub(crate) run_length: u64,
}

/// Length of the block at `index` in a file of `size` bytes.
pub(crate) fn block_length(size: u64, index: u64) -> u64 {
    size.saturating_sub(index * BLOCK_SIZE).min(BLOCK_SIZE)
}

impl BlockCache {
    pub(crate) fn new(budget: ByteCount) -> BlockCache {
        BlockCache {
            state: Mutex::new(State {
                ready: LruCache::unbounded(),
                pending: HashMap::new(),
                ready_bytes: 0,
                pending_bytes: 0,
            }),
            budget: budget.0,
            pool: Arc::default(),
        }
    }

    pub(crate) fn budget(&self) -> ByteCount {
        ByteCount(self.budget)
    }

    /// Bytes of blocks that are there, and of blocks being fetched.
    pub(crate) fn used(&self) -> (ByteCount, ByteCount) {
        let state = self.lock();
        (ByteCount(state.ready_bytes), ByteCount(state.pending_bytes))
    }

    /// The wanted blocks as they are, and the runs that the caller must now start jobs for.
    pub(crate) fn plan(&self, wish: &Wish) -> (Vec<Found>, Vec<Run>) {
        let mut state = self.lock();
        let mut claimed = Vec::new();
        let found = wish
            .wanted
            .clone()
            .map(|index| {
                state.find((wish.node, index)).unwrap_or_else(|| {
                    claimed.push(index);
                    Found::Claimed(state.claim(wish, index))
                })
            })
            .collect();
        for index in self.worth_fetching_ahead(&state, wish, claimed.last().copied()) {
            state.claim(wish, index);
            claimed.push(index);
        }
        state.make_room(self.budget);
        (found, state.runs(wish, &claimed))
    }

    /// Whole runs only, so that requests do not crumble, and no more than half the budget in flight, so that
    /// what is fetched is still there when the reader arrives.
    fn worth_fetching_ahead(
        &self,
        state: &State,
        wish: &Wish,
        last_claimed: Option<u64>,
    ) -> Vec<u64> {
        let affordable = (self.budget / 2).saturating_sub(state.pending_bytes) / BLOCK_SIZE;
        let file_end = wish.size.div_ceil(BLOCK_SIZE);
        let missing: Vec<u64> = (wish.wanted.end..wish.ahead_end)
            .filter(|index| !state.knows((wish.node, *index)))
            .take(affordable as usize)
            .collect();
        let groups = missing.chunk_by(|a, b| a + 1 == *b);
        let worth_it = groups.filter(|group| {
            let (first, end) = (group[0], group[0] + group.len() as u64);
            last_claimed.is_some_and(|last| last + 1 == first)
                || end == file_end
                || end - first >= wish.run_length
        });
        worth_it.flatten().copied().collect()
    }

    /// Ends the fetching of one block, in one way or the other, and wakes those who wait for it.
    pub(crate) fn settle(
        &self,
        node: NodeId,
        index: u64,
        pending: &Pending,
        length: u64,
        result: Result<Arc<Block>>,
    ) {
        let mut state = self.lock();
        let is_ours = state
            .pending
            .get(&(node, index))
            .is_some_and(|known| Arc::ptr_eq(known, pending));
        if is_ours {
            state.pending.remove(&(node, index));
            state.pending_bytes -= length;
            if let Ok(block) = &result {
                state.ready_bytes += length;
                state.ready.put((node, index), block.clone());
                state.make_room(self.budget);
            }
        }
        drop(state);
        let _was_open = pending.set(result);
    }

    /// Drops every block of a node that is there. Those of jobs under way come later.
    pub(crate) fn forget(&self, node: NodeId) {
        let mut state = self.lock();
        let keys: Vec<Key> = state
            .ready
            .iter()
            .map(|(key, _)| *key)
            .filter(|key| key.0 == node)
            .collect();
        for key in keys {
            state.drop_ready(key);
        }
    }

    /// How many bytes of a node are here.
    pub(crate) fn bytes_of(&self, node: NodeId) -> ByteCount {
        let state = self.lock();
        let of_node = state.ready.iter().filter(|(key, _)| key.0 == node);
        ByteCount(of_node.map(|(_, block)| block.bytes().len() as u64).sum())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while the block cache is locked")
    }
}

impl State {
    fn knows(&self, key: Key) -> bool {
        self.ready.contains(&key) || self.pending.contains_key(&key)
    }

    fn find(&mut self, key: Key) -> Option<Found> {
        let ready = self.ready.get(&key).cloned().map(Found::Ready);
        ready.or_else(|| self.pending.get(&key).cloned().map(Found::Joined))
    }

    fn claim(&mut self, wish: &Wish, index: u64) -> Pending {
        let pending = Pending::default();
        self.pending.insert((wish.node, index), pending.clone());
        self.pending_bytes += block_length(wish.size, index);
        pending
    }

    /// Claimed blocks as runs of about `run_length`: never a crumb left over at the end of one.
    fn runs(&self, wish: &Wish, claimed: &[u64]) -> Vec<Run> {
        let mut runs = Vec::new();
        for group in claimed.chunk_by(|a, b| a + 1 == *b) {
            let count = (group.len() / wish.run_length as usize).max(1);
            for indices in group.chunks(group.len().div_ceil(count)) {
                let blocks = indices
                    .iter()
                    .map(|index| self.pending[&(wish.node, *index)].clone());
                runs.push(Run {
                    first: indices[0],
                    blocks: blocks.collect(),
                });
            }
        }
        runs
    }

    /// Drops the blocks used longest ago until everything fits.
    fn make_room(&mut self, budget: u64) {
        while self.ready_bytes + self.pending_bytes > budget {
            let Some((_, block)) = self.ready.pop_lru() else {
                return;
            };
            self.ready_bytes -= block.bytes().len() as u64;
        }
    }

    fn drop_ready(&mut self, key: Key) {
        if let Some(block) = self.ready.pop(&key) {
            self.ready_bytes -= block.bytes().len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    const NODE: NodeId = NodeId(5000);
    const BLOCKS: u64 = 100;

    fn cache(budget_blocks: u64) -> BlockCache {
        BlockCache::new(ByteCount(budget_blocks * BLOCK_SIZE))
    }

    fn wish(wanted: Range<u64>, ahead_end: u64, run_length: u64) -> Wish {
        let size = BLOCKS * BLOCK_SIZE;
        Wish {
            node: NODE,
            size,
            wanted,
            ahead_end,
            run_length,
        }
    }

    /// The runs of a plan as (first, length).
    fn plan(cache: &BlockCache, wish: &Wish) -> Vec<(u64, usize)> {
        let (_, runs) = cache.plan(wish);
        runs.iter()
            .map(|run| (run.first, run.blocks.len()))
            .collect()
    }

    fn fetch_all(cache: &BlockCache, wish: &Wish) {
        for run in cache.plan(wish).1 {
            for (number, pending) in run.blocks.iter().enumerate() {
                let index = run.first + number as u64;
                let length = block_length(wish.size, index);
                let mut block = cache.pool.take(length as usize);
                block.fill(&vec![index as u8; length as usize], length as usize);
                cache.settle(wish.node, index, pending, length, Ok(Arc::new(block)));
            }
        }
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
    fn a_crumb_at_the_end_of_the_file_is_worth_fetching() {
        let cache = cache(1000);
        fetch_all(&cache, &wish(98..99, 99, 4));
        assert_eq!(plan(&cache, &wish(98..99, 100, 4)), [(99, 1)]);
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
    fn fetching_ahead_takes_half_the_budget_at_most() {
        let cache = cache(10);
        let runs = plan(&cache, &wish(0..1, 50, 1));
        let blocks: usize = runs.iter().map(|(_, length)| length).sum();
        assert_eq!(blocks, 5);
    }

    #[test]
    fn a_failed_block_is_asked_for_again() {
        let cache = cache(10);
        let (_, runs) = cache.plan(&wish(0..1, 1, 1));
        cache.settle(
            NODE,
            0,
            &runs[0].blocks[0],
            BLOCK_SIZE,
            Err(Error::NotFound),
        );
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
}
