use std::sync::{Arc, Mutex};

/// The unit of caching, in bytes. Measured against 1 and 4 MiB: with a small budget 256 KiB gave the most
/// sequential throughput, and a random read fetches no more than this beyond what it asked for.
pub const BLOCK_SIZE: u64 = 256 << 10;

/// Free buffers kept for reuse: fresh memory costs more here than the copy into it, and what was used
/// last is still in the processor's cache.
const MOST_FREE: usize = 32;

/// Up to [`BLOCK_SIZE`] bytes of one version of one file. Its memory goes back to the pool.
#[derive(Debug)]
pub(crate) struct Block {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl Block {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A block being filled accepts this many bytes more before it holds `length`.
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

/// Buffers waiting for their next use.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// An empty block with room for `length` bytes. A short one (a small file, a file's end) takes just
    /// that much memory.
    pub(crate) fn take(self: &Arc<Self>, length: usize) -> Block {
        let recycled = if length as u64 == BLOCK_SIZE {
            self.free.lock().expect("no panic while locked").pop()
        } else {
            None
        };
        Block {
            bytes: recycled.unwrap_or_else(|| Vec::with_capacity(length)),
            pool: self.clone(),
        }
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() as u64 != BLOCK_SIZE {
            return;
        }
        let mut free = self.free.lock().expect("no panic while locked");
        if free.len() < MOST_FREE {
            buffer.clear();
            free.push(buffer);
        }
    }
}
