use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use linkfs_provider::ByteCount;

/// The unit of caching, in bytes: a file's blocks begin at its multiples, and none is longer. Measured against
/// 1 and 4 MiB: with a small budget 256 KiB gave the most sequential throughput.
pub const BLOCK_SIZE: u64 = 256 << 10;

/// Bytes of one version of one file: a whole block, or the part of one that a read asked for. Its memory goes
/// back to the pool.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for whoever fills it at once; its memory stays as large as it is.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes as many of `bytes` as are missing to `length`, and says how many those were.
    pub(crate) fn fill(&mut self, bytes: &[u8], length: usize) -> usize {
        let taken = bytes.len().min(length - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..taken]);
        taken
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

/// Where blocks get their memory. Buffers are used again: fresh memory costs more here than the copy into it,
/// and what was used last is still in the processor's cache.
#[derive(Debug)]
pub(crate) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
    most_free: usize,
    in_blocks: AtomicU64,
    /// The most that blocks took at any time, and free buffers with them.
    peak: AtomicU64,
}

impl Pool {
    /// A pool that keeps up to `most_free` bytes of buffers nobody uses.
    pub(crate) fn new(most_free: ByteCount) -> Arc<Pool> {
        Arc::new(Pool {
            free: Mutex::default(),
            most_free: (most_free.0 / BLOCK_SIZE) as usize,
            in_blocks: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        })
    }

    /// An empty block with room for `length` bytes. A short one (a small file, a small read) takes just that
    /// much memory; one of more than half a block takes a whole buffer, which can be used again.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Block {
        let is_long = length as u64 > BLOCK_SIZE / 2;
        let room = if is_long { BLOCK_SIZE as usize } else { length };
        let (recycled, free) = {
            let mut buffers = self.lock_free();
            let recycled = if is_long { buffers.pop() } else { None };
            (recycled, buffers.len() as u64)
        };
        let bytes = recycled.unwrap_or_else(|| Vec::with_capacity(room));
        let capacity = bytes.capacity() as u64;
        let in_blocks = self.in_blocks.fetch_add(capacity, Ordering::Relaxed) + capacity;
        self.peak
            .fetch_max(in_blocks + free * BLOCK_SIZE, Ordering::Relaxed);
        Block {
            bytes,
            pool: self.clone(),
        }
    }

    /// Memory of all blocks there are, whoever holds them.
    pub(crate) fn in_blocks(&self) -> ByteCount {
        ByteCount(self.in_blocks.load(Ordering::Relaxed))
    }

    /// The most that blocks and free buffers took together at any time.
    pub(crate) fn peak(&self) -> ByteCount {
        ByteCount(self.peak.load(Ordering::Relaxed))
    }

    /// Memory of buffers between two uses.
    pub(crate) fn free(&self) -> ByteCount {
        ByteCount(self.lock_free().len() as u64 * BLOCK_SIZE)
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity() as u64;
        self.in_blocks.fetch_sub(capacity, Ordering::Relaxed);
        if capacity != BLOCK_SIZE {
            return;
        }
        let mut free = self.lock_free();
        if free.len() < self.most_free {
            buffer.clear();
            free.push(buffer);
        }
    }

    fn lock_free(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        self.free.lock().expect("no panic while locked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_counted_while_somebody_holds_them_and_kept_up_to_a_limit() {
        let pool = Pool::new(ByteCount(2 * BLOCK_SIZE));
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
