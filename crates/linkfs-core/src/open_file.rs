use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use linkfs_provider::{ByteCount, Offset};
use tokio::time::Instant;

use crate::block::{BLOCK_SIZE, Block};
use crate::content::Content;
use crate::listing::Listing;
use crate::node::Node;
use crate::read_pattern::ReadPattern;
use crate::{Error, Result};

/// How long a failure answers for the bytes it was about. When the kernel's read-ahead failed, the kernel
/// asks once more for the page that a reader waits for, at once: trying again then would double the time
/// that the reader's call takes, and it is not the reader who asked again.
const KERNEL_ASKS_AGAIN_WITHIN: Duration = Duration::from_millis(250);

/// An open file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub u64);

/// A file opened once: which content, and how this reader goes about it.
#[derive(Debug)]
pub(crate) struct OpenFile {
    content: Arc<Content>,
    pattern: Mutex<ReadPattern>,
    failures: Mutex<Vec<Failure>>,
}

/// A read that failed a moment ago.
#[derive(Debug)]
struct Failure {
    bytes: Range<u64>,
    at: Instant,
    error: Error,
}

impl OpenFile {
    pub(crate) fn new(content: Arc<Content>) -> OpenFile {
        OpenFile {
            content,
            pattern: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    pub(crate) async fn read(
        &self,
        offset: Offset,
        length: ByteCount,
        deadline: Instant,
    ) -> Result<ReadBytes> {
        if let Some(error) = self.take_failure(offset.0) {
            return Err(error);
        }
        let ahead = self.lock_pattern().observe(offset, length);
        let read = self.content.read(offset, length, ahead, deadline).await;
        let (bytes, waited) = read.inspect_err(|error| self.note_failure(offset, length, error))?;
        if waited {
            self.lock_pattern().had_to_wait();
        }
        Ok(bytes)
    }

    fn note_failure(&self, offset: Offset, length: ByteCount, error: &Error) {
        let mut failures = self.lock_failures();
        failures.retain(Failure::is_fresh);
        failures.push(Failure {
            bytes: offset.0..(offset + length).0,
            at: Instant::now(),
            error: error.clone(),
        });
    }

    /// The answer to a read from `offset` on that failed just now. It is given once.
    fn take_failure(&self, offset: u64) -> Option<Error> {
        let mut failures = self.lock_failures();
        let known = |failure: &Failure| failure.is_fresh() && failure.bytes.contains(&offset);
        let at = failures.iter().position(known)?;
        Some(failures.swap_remove(at).error)
    }

    fn lock_failures(&self) -> MutexGuard<'_, Vec<Failure>> {
        self.failures
            .lock()
            .expect("no panic while the failures are locked")
    }

    fn lock_pattern(&self) -> MutexGuard<'_, ReadPattern> {
        self.pattern
            .lock()
            .expect("no panic while the pattern is locked")
    }
}

impl Failure {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < KERNEL_ASKS_AGAIN_WITHIN
    }
}

/// What a handle stands for.
#[derive(Clone, Debug)]
pub(crate) enum Handle {
    File(Arc<OpenFile>),
    /// The listing as it was when the folder was opened: positions in it do not move.
    Folder(Arc<Node>, Arc<Listing>),
    /// The text of a control file or a shortcut, made when it was opened.
    Text(Bytes),
}

/// The open handles.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    open: Mutex<(u64, HashMap<HandleId, Handle>)>,
}

impl Handles {
    pub(crate) fn insert(&self, handle: Handle) -> HandleId {
        let mut open = self.lock();
        open.0 += 1;
        let id = HandleId(open.0);
        open.1.insert(id, handle);
        id
    }

    /// # Errors
    /// `BadHandle` when nothing is open under `id`.
    pub(crate) fn get(&self, id: HandleId) -> Result<Handle> {
        self.lock().1.get(&id).cloned().ok_or(Error::BadHandle)
    }

    pub(crate) fn remove(&self, id: HandleId) -> Option<Handle> {
        self.lock().1.remove(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().1.len()
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<HandleId, Handle>)> {
        self.open
            .lock()
            .expect("no panic while the handle table is locked")
    }
}

/// The bytes of a read, still in the blocks they came in.
#[derive(Debug, Default)]
pub struct ReadBytes {
    pieces: Vec<(Source, Range<usize>)>,
}

#[derive(Debug)]
enum Source {
    Block(Arc<Block>),
    Text(Bytes),
}

impl Source {
    fn bytes(&self) -> &[u8] {
        match self {
            Source::Block(block) => block.bytes(),
            Source::Text(text) => text,
        }
    }
}

impl ReadBytes {
    /// The part from `start` to `end` of a file, out of the consecutive blocks that cover it.
    pub(crate) fn of_blocks(blocks: Vec<Arc<Block>>, start: u64, end: u64) -> ReadBytes {
        let first = start / BLOCK_SIZE * BLOCK_SIZE;
        let pieces = blocks.into_iter().enumerate().map(|(number, block)| {
            let from = first + number as u64 * BLOCK_SIZE;
            let span =
                (start.max(from) - from) as usize..(end.min(from + BLOCK_SIZE) - from) as usize;
            (Source::Block(block), span)
        });
        ReadBytes {
            pieces: pieces.collect(),
        }
    }

    pub(crate) fn of_text(text: &Bytes, offset: Offset, length: ByteCount) -> ReadBytes {
        let start = (offset.0 as usize).min(text.len());
        let end = ((offset + length).0 as usize).min(text.len());
        ReadBytes {
            pieces: vec![(Source::Text(text.clone()), start..end)],
        }
    }

    /// The pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        self.pieces
            .iter()
            .map(|(source, span)| &source.bytes()[span.clone()])
    }

    /// How many bytes they are in all.
    pub fn length(&self) -> ByteCount {
        ByteCount(self.pieces.iter().map(|(_, span)| span.len() as u64).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Pool;

    fn check(start: u64, end: u64, pieces: &[(u8, usize)]) {
        let pool = Arc::new(Pool::default());
        let (first, last) = (start / BLOCK_SIZE, end.div_ceil(BLOCK_SIZE));
        let blocks = (first..last).map(|index| {
            let mut block = pool.take(BLOCK_SIZE as usize);
            block.fill(&vec![index as u8; BLOCK_SIZE as usize], BLOCK_SIZE as usize);
            Arc::new(block)
        });
        let bytes = ReadBytes::of_blocks(blocks.collect(), start, end);
        let seen: Vec<(u8, usize)> = bytes
            .pieces()
            .map(|piece| (piece[0], piece.len()))
            .collect();
        assert_eq!(seen, pieces);
        assert_eq!(bytes.length(), ByteCount(end - start));
    }

    #[test]
    fn pieces_cover_the_read_exactly() {
        let block = BLOCK_SIZE as usize;
        check(0, 10, &[(0, 10)]);
        check(5, BLOCK_SIZE, &[(0, block - 5)]);
        check(BLOCK_SIZE - 1, BLOCK_SIZE + 1, &[(0, 1), (1, 1)]);
        check(2 * BLOCK_SIZE, 4 * BLOCK_SIZE, &[(2, block), (3, block)]);
        check(
            BLOCK_SIZE + 7,
            3 * BLOCK_SIZE + 9,
            &[(1, block - 7), (2, block), (3, 9)],
        );
    }
}
