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
