//! The memory of whole blocks: one stretch of addresses, in which the blocks of one transfer lie side by side,
//! so that a read across them can be answered as one slice.

use std::iter;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::ByteCount;
use memmap2::{Advice, MmapOptions, MmapRaw, UncheckedAdvice};

use crate::block::BLOCK_SIZE;
use crate::memory::Memory;

const FRAME: usize = BLOCK_SIZE as usize;
/// Addresses for so many times the memory that there may be: with holes, long rows still find a place.
const ADDRESSES: u64 = 2;
/// However small the budget.
const LEAST_FRAMES: usize = 64;

/// Frames, each of the size of a block. Their memory comes from the kernel at the first touch and goes back to it
/// when more lies idle than is to be kept. On the heap, among many small things, they would leave holes that
/// nothing else fills: with 64 readers, a budget of 128 MiB took 220 MiB so.
#[derive(Debug)]
pub(crate) struct Arena {
    map: MmapRaw,
    frames: Mutex<Frames>,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Frames {
    /// Which have an owner.
    is_taken: Vec<bool>,
    /// Which have memory that no block uses: what was used last is still in the processor's cache, and fresh
    /// memory costs more here than the copy into it.
    is_idle: Vec<bool>,
    /// How many of these are free, and how many wait for their owner to use them.
    idle: u64,
    waiting: u64,
    /// None below this one is free.
    lowest_free: usize,
}

/// The right to one frame of an arena. Until it is put to use it may have no memory.
#[derive(Debug)]
pub(crate) struct Frame {
    arena: Arc<Arena>,
    index: usize,
    is_used: bool,
}

impl Arena {
    /// Frames for what `memory` has room for; fewer where the process may not have so many addresses.
    ///
    /// # Panics
    /// When there are none at all.
    pub(crate) fn new(memory: Arc<Memory>) -> Arc<Arena> {
        let wanted = (memory.limit().0.saturating_mul(ADDRESSES) / BLOCK_SIZE) as usize;
        let map = map(wanted.max(LEAST_FRAMES)).expect("there are addresses for some blocks");
        let count = map.len() / FRAME;
        // A huge page would take memory for frames that nobody uses. A kernel without them cannot be told so.
        let _told = map.advise(Advice::NoHugePage);
        Arc::new(Arena {
            map,
            frames: Mutex::new(Frames {
                is_taken: vec![false; count],
                is_idle: vec![false; count],
                idle: 0,
                waiting: 0,
                lowest_free: 0,
            }),
            memory,
        })
    }

    /// Frames for `count` consecutive blocks: in one row, or in few where there is no room for that. Fewer
    /// when there are not so many.
    pub(crate) fn take(self: &Arc<Self>, count: usize) -> Vec<Frame> {
        let mut frames = self.lock();
        let mut taken = Vec::with_capacity(count);
        let mut row = count;
        while taken.len() < count && row > 0 {
            match frames.take_row(row.min(count - taken.len())) {
                Some(indices) => taken.extend(indices.map(|index| Frame {
                    arena: self.clone(),
                    index,
                    is_used: false,
                })),
                None => row /= 2,
            }
        }
        taken
    }

    /// Memory of free frames.
    pub(crate) fn idle(&self) -> ByteCount {
        ByteCount(self.lock().idle * BLOCK_SIZE)
    }

    /// Memory of taken frames that are not in use yet.
    pub(crate) fn waiting(&self) -> ByteCount {
        ByteCount(self.lock().waiting * BLOCK_SIZE)
    }

    /// Both slices as one, when the second begins where the first ends, within this arena.
    pub(crate) fn join<'a>(&'a self, first: &'a [u8], second: &'a [u8]) -> Option<&'a [u8]> {
        let base = self.map.as_ptr().addr();
        let start = first.as_ptr().addr().checked_sub(base)?;
        let length = first.len() + second.len();
        let is_one = first.as_ptr_range().end == second.as_ptr_range().start;
        if !is_one || start + length > self.map.len() {
            return None;
        }
        // SAFETY: these are the bytes of both slices, which are within the map and borrowed for as long.
        Some(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(start), length) })
    }

    fn release(&self, index: usize, is_used: bool) {
        let is_empty = is_used && !self.may_keep_another() && self.empty(index);
        let mut frames = self.lock();
        if is_used {
            frames.is_idle[index] = !is_empty;
        } else if frames.is_idle[index] {
            frames.waiting -= 1;
        }
        frames.set_free(index);
    }

    fn may_keep_another(&self) -> bool {
        (self.lock().idle + 1) * BLOCK_SIZE <= self.memory.for_free_buffers()
    }

    /// Gives the memory of a frame back to the kernel. Says whether it takes it.
    fn empty(&self, index: usize) -> bool {
        let (advice, start) = (UncheckedAdvice::DontNeed, index * FRAME);
        // SAFETY: the frame is still taken, by one that is being dropped, so nobody borrows its bytes.
        let given_back = unsafe { self.map.unchecked_advise_range(advice, start, FRAME) };
        given_back.is_ok()
    }

    fn lock(&self) -> MutexGuard<'_, Frames> {
        self.frames
            .lock()
            .expect("no panic while the frames are locked")
    }
}

/// Addresses for `frames` frames, or for as many as there may be.
fn map(frames: usize) -> Option<MmapRaw> {
    let counts = iter::successors(Some(frames), |count| Some(count / 2));
    let maps = counts.take_while(|count| *count > 0).map(|count| {
        let length = count.saturating_mul(FRAME);
        MmapOptions::new().len(length).no_reserve_swap().map_anon()
    });
    maps.flatten().map(MmapRaw::from).next()
}

impl Frames {
    /// The lowest row of `count` free frames, taken: low frames are used again and again, and have memory.
    fn take_row(&mut self, count: usize) -> Option<Range<usize>> {
        let mut start = self.lowest_free;
        let mut end = start;
        while end - start < count {
            let is_taken = *self.is_taken.get(end)?;
            end += 1;
            if is_taken {
                start = end;
            }
        }
        self.is_taken[start..end].fill(true);
        let with_memory = self.is_idle[start..end].iter().filter(|is_idle| **is_idle);
        let with_memory = with_memory.count() as u64;
        self.idle -= with_memory;
        self.waiting += with_memory;
        if start == self.lowest_free {
            self.lowest_free = end;
        }
        Some(start..end)
    }

    fn set_free(&mut self, index: usize) {
        self.is_taken[index] = false;
        self.idle += u64::from(self.is_idle[index]);
        self.lowest_free = self.lowest_free.min(index);
    }
}

impl Frame {
    /// From now on its memory is a block's, not idle.
    pub(crate) fn put_to_use(&mut self) {
        self.is_used = true;
        let mut frames = self.arena.lock();
        if std::mem::take(&mut frames.is_idle[self.index]) {
            frames.waiting -= 1;
        }
    }

    pub(crate) fn memory(&self) -> &[u8] {
        // SAFETY: the bytes are within the map, initialised by the kernel, and nobody else's while this frame
        // is taken; the borrow is this frame's.
        unsafe { std::slice::from_raw_parts(self.start(), FRAME) }
    }

    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed once.
        unsafe { std::slice::from_raw_parts_mut(self.start(), FRAME) }
    }

    fn start(&self) -> *mut u8 {
        // SAFETY: there are more frames in the map than the index.
        unsafe { self.arena.map.as_mut_ptr().add(self.index * FRAME) }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        self.arena.release(self.index, self.is_used);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;
    const FRAMES: usize = 64;

    /// An arena that keeps four of its frames idle.
    fn arena() -> Arc<Arena> {
        Arena::new(Memory::new(ByteCount(8 * MIB)))
    }

    fn indices(frames: &[Frame]) -> Vec<usize> {
        frames.iter().map(|frame| frame.index).collect()
    }

    #[test]
    fn a_run_lies_in_one_row_and_else_in_few() {
        let arena = arena();
        let (first, mut second) = (arena.take(3), arena.take(8));
        assert_eq!(indices(&first), [0, 1, 2]);
        assert_eq!(indices(&second), (3..11).collect::<Vec<_>>());
        drop(second.remove(2));
        assert_eq!(indices(&arena.take(2)), [11, 12], "5 alone is no row");
        let rest = arena.take(2 * FRAMES);
        assert_eq!(rest.len(), FRAMES - 3 - 7, "all that there are");
        assert!(arena.take(1).is_empty());
        drop(first);
        assert_eq!(indices(&arena.take(3)), [0, 1, 2]);
    }

    #[test]
    fn neighbours_are_joined_and_others_are_not() {
        let arena = arena();
        let mut frames = arena.take(3);
        for (frame, byte) in frames.iter_mut().zip(1..) {
            frame.put_to_use();
            frame.memory_mut().fill(byte);
        }
        let [first, second, third] = [0, 1, 2].map(|at: usize| frames[at].memory());
        let both = arena
            .join(&first[7..], second)
            .expect("they are neighbours");
        assert_eq!(both.len(), 2 * FRAME - 7);
        assert_eq!((both[0], both[FRAME - 7]), (1, 2));
        assert!(arena.join(both, &third[..9]).is_some());
        assert!(arena.join(first, third).is_none());
        assert!(arena.join(&first[..9], second).is_none());
        assert!(arena.join(second, first).is_none());
        let elsewhere = [0; 9];
        assert!(arena.join(&elsewhere, &elsewhere[9..]).is_none());
    }

    #[test]
    fn a_process_short_of_addresses_has_fewer_frames() {
        let map = map(usize::MAX / FRAME).expect("there are some");
        let frames = map.len() / FRAME;
        assert!((1000..usize::MAX / FRAME).contains(&frames), "{frames}");
    }

    #[test]
    fn memory_is_kept_up_to_a_limit_and_what_is_given_back_comes_fresh() {
        let arena = arena();
        let mut frames = arena.take(6);
        for frame in &mut frames {
            frame.put_to_use();
            frame.memory_mut().fill(9);
        }
        assert_eq!(arena.idle(), ByteCount(0));
        drop(frames);
        assert_eq!(arena.idle(), ByteCount(MIB));
        let mut again = arena.take(6);
        assert_eq!(
            (arena.idle(), arena.waiting()),
            (ByteCount(0), ByteCount(MIB))
        );
        drop(again.split_off(3));
        assert_eq!(arena.waiting(), ByteCount(3 * BLOCK_SIZE));
        again.extend(arena.take(3));
        again.iter_mut().for_each(Frame::put_to_use);
        assert_eq!(
            (arena.idle(), arena.waiting()),
            (ByteCount(0), ByteCount(0))
        );
        let first_bytes = again.iter().map(|frame| frame.memory()[0]);
        assert_eq!(first_bytes.collect::<Vec<_>>(), [9, 9, 9, 9, 0, 0]);
    }

    proptest! {
        #[test]
        fn no_frame_has_two_owners_and_none_is_lost(steps in prop::collection::vec((any::<bool>(), 0..40_usize), 1..100)) {
            let arena = arena();
            let mut held: Vec<Frame> = Vec::new();
            for (is_taking, number) in steps {
                if is_taking {
                    let free = FRAMES - held.len();
                    let taken = arena.take(number);
                    prop_assert_eq!(taken.len(), number.min(free));
                    held.extend(taken);
                } else if !held.is_empty() {
                    let at = number % held.len();
                    held[at].put_to_use();
                    held.swap_remove(at);
                }
                let mut owned = indices(&held);
                owned.sort_unstable();
                owned.dedup();
                prop_assert_eq!(owned.len(), held.len());
            }
            drop(held);
            prop_assert_eq!(arena.take(2 * FRAMES).len(), FRAMES);
        }
    }
}
