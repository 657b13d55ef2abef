use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use linkfs_provider::ByteCount;
use memmap2::MmapMut;

use crate::memory::Memory;

/// The unit of caching, in bytes: a file's blocks begin at its multiples, and none is longer. Measured against
/// 1 and 4 MiB: with a small budget 256 KiB gave the most sequential throughput.
pub const BLOCK_SIZE: u64 = 256 << 10;

/// Bytes of one version of one file: a whole block, or the part of one that a read asked for. Its memory goes
/// back to the pool.
#[derive(Debug)]
pub(crate) struct Block {
    /// There until the drop.
    buffer: Option<Buffer>,
    length: usize,
    pool: Arc<Pool>,
}

/// Whole buffers come from the kernel and go back to it: among the many small things on the heap they would leave
/// holes that nothing else fills. With 64 readers, a budget of 128 MiB took 220 MiB so.
#[derive(Debug)]
enum Buffer {
    Whole(MmapMut),
    Part(Box<[u8]>),
}

impl Buffer {
    /// # Panics
    /// When the kernel has no memory left, as any allocation does.
    fn new(length: usize) -> Buffer {
        if length as u64 > BLOCK_SIZE / 2 {
            let whole = MmapMut::map_anon(BLOCK_SIZE as usize);
            Buffer::Whole(whole.expect("the kernel has memory for a block"))
        } else {
            Buffer::Part(vec![0; length].into_boxed_slice())
        }
    }

    fn memory(&self) -> &[u8] {
        match self {
            Buffer::Whole(memory) => memory,
            Buffer::Part(memory) => memory,
        }
    }

    fn memory_mut(&mut self) -> &mut [u8] {
        match self {
            Buffer::Whole(memory) => memory,
            Buffer::Part(memory) => memory,
        }
    }
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        let buffer = self.buffer.as_ref().expect("there until the drop");
        &buffer.memory()[..self.length]
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

    fn memory_mut(&mut self) -> &mut [u8] {
        let buffer = self.buffer.as_mut().expect("there until the drop");
        buffer.memory_mut()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.pool.give_back(buffer);
        }
    }
}

/// Where blocks get their memory. Buffers are used again: fresh memory costs more here than the copy into it,
/// and what was used last is still in the processor's cache.
#[derive(Debug)]
pub(crate) struct Pool {
    /// Whole ones.
    free: Mutex<Vec<Buffer>>,
    memory: Arc<Memory>,
    in_blocks: AtomicU64,
    /// The most that blocks took at any time, and free buffers and names with them.
    peak: AtomicU64,
}

impl Pool {
    /// A pool that keeps as many buffers nobody uses as `memory` has room for.
    pub(crate) fn new(memory: Arc<Memory>) -> Arc<Pool> {
        Arc::new(Pool {
            free: Mutex::default(),
            memory,
            in_blocks: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        })
    }

    /// An empty block with room for `length` bytes. A short one (a small file, a small read) takes just that
    /// much memory; one of more than half a block takes a whole buffer, which can be used again.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Block {
        let is_long = length as u64 > BLOCK_SIZE / 2;
        let (recycled, free) = {
            let mut buffers = self.lock_free();
            let recycled = if is_long { buffers.pop() } else { None };
            (recycled, buffers.len() as u64)
        };
        let buffer = recycled.unwrap_or_else(|| Buffer::new(length));
        let capacity = buffer.memory().len() as u64;
        let in_blocks = self.in_blocks.fetch_add(capacity, Ordering::Relaxed) + capacity;
        let taken = in_blocks + free * BLOCK_SIZE + self.memory.names().0;
        self.peak.fetch_max(taken, Ordering::Relaxed);
        Block {
            buffer: Some(buffer),
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

    /// Memory of buffers between two uses.
    pub(crate) fn free(&self) -> ByteCount {
        ByteCount(self.lock_free().len() as u64 * BLOCK_SIZE)
    }

    fn give_back(&self, buffer: Buffer) {
        let capacity = buffer.memory().len() as u64;
        self.in_blocks.fetch_sub(capacity, Ordering::Relaxed);
        if !matches!(buffer, Buffer::Whole(_)) {
            return;
        }
        let mut free = self.lock_free();
        if (free.len() as u64) < self.memory.for_free_buffers() / BLOCK_SIZE {
            free.push(buffer);
        }
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Vec<Buffer>> {
        self.free.lock().expect("no panic while locked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_counted_while_somebody_holds_them_and_kept_up_to_a_limit() {
        let pool = Pool::new(Memory::new(ByteCount(32 * BLOCK_SIZE)));
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
}
