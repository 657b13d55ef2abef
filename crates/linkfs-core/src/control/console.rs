use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;
use linkfs_provider::ByteCount;

use super::command::LONGEST_LINE;

/// Answers that nobody reads are dropped, the oldest first, beyond this.
const MOST_BYTES: usize = 1 << 20;
/// Programs cut what they write at multiples of this, and the kernel does too.
const BLOCK: usize = 4096;

/// What was written to one handle, and the answers until they are read. A handle is a stream: where its reader and
/// its writer believe to be in a file does not matter.
#[derive(Debug, Default)]
pub(crate) struct Console {
    unread: Mutex<Vec<u8>>,
    /// The beginning of a line whose rest is yet to be written.
    begun: Mutex<Vec<u8>>,
}

impl Console {
    /// The lines that a write completes. Its last one needs no line break, unless the write is whole blocks: then
    /// the line was cut off, and the next write goes on with it. Of a line that is too long, so much is kept that
    /// it is too long still.
    pub(crate) fn lines(&self, data: &[u8]) -> Vec<Vec<u8>> {
        let is_cut = !data.is_empty() && data.len().is_multiple_of(BLOCK);
        let mut begun = self.begun.lock().expect("no panic while it is locked");
        let mut text = std::mem::take(&mut *begun);
        text.extend_from_slice(data);
        let mut lines: Vec<_> = text
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        if is_cut {
            *begun = lines.pop().unwrap_or_default();
            begun.truncate(LONGEST_LINE + 1);
        }
        lines.retain(|line| !line.trim_ascii().is_empty());
        lines
    }

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
    fn a_line_may_come_in_several_writes_of_whole_blocks() {
        let lines = |writes: &[&[u8]]| {
            let console = Console::default();
            let lines = writes.iter().flat_map(|data| console.lines(data));
            lines.map(|line| line.len()).collect::<Vec<_>>()
        };
        let blocks = [b'x'; 3 * BLOCK];
        assert_eq!(lines(&[b"ab\n\n \r\nabc\n"]), [2, 3]);
        assert_eq!(lines(&[b"ab", b"abc"]), [2, 3], "no line break is needed");
        assert_eq!(lines(&[&blocks]), [0_usize; 0], "the line goes on");
        assert_eq!(lines(&[&blocks, b"ab\nabc"]), [3 * BLOCK + 2, 3]);
        assert_eq!(lines(&[&blocks, &blocks, b"\n"]), [6 * BLOCK]);
        let mut ended = blocks;
        ended[3 * BLOCK - 1] = b'\n';
        assert_eq!(lines(&[&ended, b"ab"]), [3 * BLOCK - 1, 2]);
        let many = vec![blocks.as_slice(); 40];
        let all = [many.as_slice(), &[b"\nab\n"]].concat();
        assert_eq!(lines(&all), [LONGEST_LINE + 1, 2], "memory has an end");
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
