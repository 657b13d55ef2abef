use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use linkfs_provider::ByteCount;

use crate::arena::{Arena, Frame};
use crate::memory::Memory;

/// The unit of caching, in bytes: a file's blocks begin at its multiples, and none is longer. Measured against
/// 1 and 4 MiB: with a small budget 256 KiB gave the most sequential throughput.
pub const BLOCK_SIZE: u64 = 256 << 10;

/// A shorter transfer is not worth the parts of frames at its ends that stay empty.
const SHORTEST_ROW: u64 = 3 * BLOCK_SIZE;

/// Bytes of one version of one file: a whole block, or the part of one that a read asked for. Its memory goes
/// back to the pool.
#[derive(Debug)]
pub(crate) struct Block {
    buffer: Buffer,
    length: usize,
    pool: Arc<Pool>,
}

#[derive(Debug)]
enum Buffer {
    /// A frame from an offset on.
    Frame(Frame, usize),
    /// A small file, a small read.
    Part(Box<[u8]>),
}

impl Buffer {
    fn memory(&self) -> &[u8] {
        match self {
            Buffer::Frame(frame, start) => &frame.memory()[*start..],
            Buffer::Part(memory) => memory,
        }
    }

    fn memory_taken(&self) -> u64 {
        match self {
            Buffer::Frame(..) => BLOCK_SIZE,
            Buffer::Part(memory) => memory.len() as u64,
        }
    }
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer.memory()[..self.length]
    }

    /// What it takes of the budget, in bytes.
    pub(crate) fn memory_taken(&self) -> u64 {
        self.buffer.memory_taken()
    }

    /// The block as `length` bytes, for whoever fills it at once.
    pub(crate) fn whole_mut(&mut self, length: usize) -> &mut [u8] {
        self.length = length;
        &mut self.memory_mut()[..length]
    }

    /// Takes as many of `bytes` as are missing to `length`, and says how many those were.
    pub(crate) fn fill(&mut self, bytes: &[u8], length: usize) -> usize {
        let start = self.length;
        let taken = bytes.len().min(length - start);
        self.memory_mut()[start..start + taken].copy_from_slice(&bytes[..taken]);
        self.length += taken;
        taken
    }

    /// Bytes of this block and those of another behind them, when they lie side by side in memory.
    pub(crate) fn join<'a>(&'a self, first: &'a [u8], second: &'a [u8]) -> Option<&'a [u8]> {
        self.pool.arena.join(first, second)
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        match &mut self.buffer {
            Buffer::Frame(frame, start) => &mut frame.memory_mut()[*start..],
            Buffer::Part(memory) => memory,
        }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let taken = self.buffer.memory_taken();
        self.pool.in_blocks.fetch_sub(taken, Ordering::Relaxed);
    }
}

/// Where blocks get their memory.
#[derive(Debug)]
pub(crate) struct Pool {
    arena: Arc<Arena>,
    memory: Arc<Memory>,
    in_blocks: AtomicU64,
    /// The most that blocks took at any time, and idle frames and names with them.
    peak: AtomicU64,
}

/// Frames side by side for the pieces of one transfer.
#[derive(Debug)]
pub(crate) struct Row {
    pool: Arc<Pool>,
    frames: VecDeque<Frame>,
    /// The number of the block that the first of them is for.
    next: u64,
}

impl Row {
    /// An empty block for the piece of `length` bytes at `start`. Pieces are to be asked for in their order.
    pub(crate) fn block(&mut self, start: u64, length: usize) -> Block {
        let passed = (start / BLOCK_SIZE).saturating_sub(self.next);
        let passed = self.frames.len().min(passed as usize);
        self.frames.drain(..passed);
        self.next += passed as u64;
        if self.next != start / BLOCK_SIZE {
            return self.pool.take(length);
        }
        self.next += 1;
        match self.frames.pop_front() {
            Some(frame) => self.pool.block_in(frame, (start % BLOCK_SIZE) as usize),
            None => self.pool.take(length),
        }
    }
}

impl Pool {
    /// A pool that keeps as much memory nobody uses as `memory` has room for.
    pub(crate) fn new(memory: Arc<Memory>) -> Arc<Pool> {
        Arc::new(Pool {
            arena: Arena::new(memory.clone()),
            memory,
            in_blocks: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        })
    }

    /// An empty block with room for `length` bytes. A short one (a small file, a small read) takes just that
    /// much memory; one of more than half a block takes a frame.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Block {
        let is_long = length as u64 > BLOCK_SIZE / 2;
        match self.arena.take(usize::from(is_long)).pop() {
            Some(frame) => self.block_in(frame, 0),
            None => self.block(Buffer::Part(vec![0; length].into_boxed_slice())),
        }
    }

    /// Memory for the pieces that make up `span`, each within one block. It counts when it is used.
    pub(crate) fn row(self: &Arc<Self>, span: Range<u64>) -> Row {
        let next = span.start / BLOCK_SIZE;
        let is_long = span.end - span.start >= SHORTEST_ROW;
        let blocks = span.end.div_ceil(BLOCK_SIZE) - next;
        let count = if is_long { blocks as usize } else { 0 };
        Row {
            pool: self.clone(),
            frames: self.arena.take(count).into(),
            next,
        }
    }

    fn block_in(self: &Arc<Self>, mut frame: Frame, start: usize) -> Block {
        frame.put_to_use();
        self.block(Buffer::Frame(frame, start))
    }

    fn block(self: &Arc<Self>, buffer: Buffer) -> Block {
        let taken = buffer.memory_taken();
        let in_blocks = self.in_blocks.fetch_add(taken, Ordering::Relaxed) + taken;
        let idle = self.free() + self.arena.waiting();
        let in_all = in_blocks + idle.0 + self.memory.names().0;
        self.peak.fetch_max(in_all, Ordering::Relaxed);
        Block {
            buffer,
            length: 0,
            pool: self.clone(),
        }
    }

    /// Memory of all blocks there are, whoever holds them.
    pub(crate) fn in_blocks(&self) -> ByteCount {
        ByteCount(self.in_blocks.load(Ordering::Relaxed))
    }

    /// The most that blocks, free buffers and names took together at any time.
    pub(crate) fn peak(&self) -> ByteCount {
        ByteCount(self.peak.load(Ordering::Relaxed))
    }

    /// Memory of frames between two uses that nobody has taken yet.
    pub(crate) fn free(&self) -> ByteCount {
        self.arena.idle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_counted_while_somebody_holds_them_and_kept_up_to_a_limit() {
        let pool = Pool::new(Memory::new(ByteCount(16 * BLOCK_SIZE)));
        let whole: Vec<_> = (0..3).map(|_| pool.take(BLOCK_SIZE as usize)).collect();
        let part = pool.take(1000);
        assert_eq!(pool.in_blocks(), ByteCount(3 * BLOCK_SIZE + 1000));
        drop((whole, part));
        assert_eq!(pool.in_blocks(), ByteCount(0));
        assert_eq!(pool.free(), ByteCount(2 * BLOCK_SIZE));
        let again = pool.take(BLOCK_SIZE as usize);
        assert_eq!(
            (pool.free().0, pool.in_blocks().0),
            (BLOCK_SIZE, BLOCK_SIZE)
        );
        assert!(again.bytes().is_empty());
    }

    #[test]
    fn the_pieces_of_a_transfer_lie_side_by_side_where_they_do_in_the_file() {
        let pool = Pool::new(Memory::new(ByteCount(16 * BLOCK_SIZE)));
        let (start, end) = (5 * BLOCK_SIZE + 1000, 8 * BLOCK_SIZE + 2000);
        let mut row = pool.row(start..end);
        assert_eq!(pool.in_blocks(), ByteCount(0));
        let bounds = [start, 6 * BLOCK_SIZE, 7 * BLOCK_SIZE, 8 * BLOCK_SIZE, end];
        let blocks: Vec<_> = bounds
            .windows(2)
            .zip(1..)
            .map(|(span, byte)| {
                let length = (span[1] - span[0]) as usize;
                let mut block = row.block(span[0], length);
                assert_eq!(block.fill(&vec![byte; length + 1], length), length);
                block
            })
            .collect();
        assert_eq!(pool.in_blocks(), ByteCount(4 * BLOCK_SIZE));
        let all = blocks[1..].iter().fold(blocks[0].bytes(), |all, block| {
            block.join(all, block.bytes()).expect("side by side")
        });
        assert_eq!(all.len() as u64, end - start);
        for (span, byte) in bounds.windows(2).zip(1..) {
            let bytes = &all[(span[0] - start) as usize..(span[1] - start) as usize];
            assert!(bytes.iter().all(|there| *there == byte), "{byte}");
        }
        // One that was passed over, and one that the row has no frame for.
        let mut row = pool.row(0..3 * BLOCK_SIZE);
        let (last, beyond) = (row.block(2 * BLOCK_SIZE, 9), row.block(3 * BLOCK_SIZE, 9));
        assert!(last.join(last.bytes(), beyond.bytes()).is_none());
        assert_eq!(pool.in_blocks(), ByteCount(5 * BLOCK_SIZE + 9));
    }

    #[test]
    fn a_short_transfer_takes_what_it_needs() {
        let pool = Pool::new(Memory::new(ByteCount(16 * BLOCK_SIZE)));
        let mut row = pool.row(0..BLOCK_SIZE + 10);
        let blocks = [row.block(0, BLOCK_SIZE as usize), row.block(BLOCK_SIZE, 10)];
        assert_eq!(pool.in_blocks(), ByteCount(BLOCK_SIZE + 10));
        assert_eq!(blocks[1].memory_taken(), 10);
    }
}
