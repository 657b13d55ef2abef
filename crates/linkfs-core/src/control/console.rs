use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use linkfs_provider::ByteCount;

/// Answers that nobody reads are dropped, the oldest first, beyond this.
const MOST_BYTES: usize = 1 << 20;

/// The answers to what was written to one handle, until they are read. A handle is a stream: where its reader and
/// its writer believe to be in a file does not matter.
#[derive(Debug, Default)]
pub(crate) struct Console {
    unread: Mutex<Vec<u8>>,
}

impl Console {
    /// Adds an answer of one line or several.
    pub(crate) fn answer(&self, text: &str) {
        let mut unread = self.lock();
        unread.extend_from_slice(text.trim_end_matches('\n').as_bytes());
        unread.push(b'\n');
        let excess = unread.len().saturating_sub(MOST_BYTES);
        if excess > 0 {
            let rest = unread[excess..].iter().position(|byte| *byte == b'\n');
            let end = rest.map_or(unread.len(), |line| excess + line + 1);
            unread.drain(..end);
        }
    }

    /// The next bytes of the answers; none when all were read.
    pub(crate) fn read(&self, length: ByteCount) -> Bytes {
        let mut unread = self.lock();
        let length = unread.len().min(length.0 as usize);
        unread.drain(..length).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.unread
            .lock()
            .expect("no panic while the answers are locked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_once_and_in_order() {
        let console = Console::default();
        console.answer("ok");
        console.answer("ok a\n");
        assert_eq!(console.read(ByteCount(4)), "ok\no");
        assert_eq!(console.read(ByteCount(100)), "k a\n");
        assert_eq!(console.read(ByteCount(100)), "");
    }

    #[test]
    fn answers_that_nobody_reads_are_dropped_by_whole_lines() {
        let console = Console::default();
        for _ in 0..3 {
            console.answer(&"x".repeat(MOST_BYTES / 2 - 10));
        }
        let read = console.read(ByteCount(u64::MAX));
        assert_eq!(read.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(read.len() % (MOST_BYTES / 2 - 9), 0);
    }
}
