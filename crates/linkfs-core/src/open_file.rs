use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use linkfs_provider::{ByteCount, Offset};
use tokio::time::Instant;

use crate::block::Block;
use crate::content::{Content, Read};
use crate::control::Console;
use crate::listing::Listing;
use crate::memory::Admission;
use crate::node::Node;
use crate::read_pattern::ReadPattern;
use crate::{Error, Result};

/// An open file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandleId(pub u64);

/// Who reads, among all who have something open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ReaderId(pub(crate) u64);

impl ReaderId {
    pub(crate) fn new() -> ReaderId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        ReaderId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A file opened once: which content, and how this reader goes about it.
#[derive(Debug)]
pub(crate) struct OpenFile {
    id: ReaderId,
    content: Arc<Content>,
    opened: Instant,
    pattern: Mutex<ReadPattern>,
}

impl OpenFile {
    pub(crate) fn new(content: Arc<Content>) -> OpenFile {
        OpenFile {
            id: ReaderId::new(),
            content,
            opened: Instant::now(),
            pattern: Mutex::default(),
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
        let failures = self.content.failures();
        if let Some(error) = failures.take(self.id, self.opened, offset.0) {
            return Err(error);
        }
        let advice = self.lock_pattern().observe(offset, length);
        let read = Read {
            reader: self.id,
            offset,
            length,
            advice,
            deadline,
        };
        let read = self.content.read(read).await;
        let asked = offset.0..(offset + length).0;
        let (bytes, waited) = read.inspect_err(|error| failures.note(asked, error))?;
        if waited {
            self.lock_pattern().had_to_wait(offset);
        }
        Ok(bytes)
    }

    /// Nobody reads it here any more.
    pub(crate) fn close(&self) {
        self.content.close(self.id);
    }

    fn lock_pattern(&self) -> MutexGuard<'_, ReadPattern> {
        self.pattern
            .lock()
            .expect("no panic while the pattern is locked")
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
    /// Commands are written to it and answers read from it.
    Console(Arc<Console>),
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

/// The bytes of a read, still in the blocks they came in. While it lives, its memory counts for this read.
#[derive(Debug, Default)]
pub struct ReadBytes {
    pieces: Vec<(Source, Range<usize>)>,
    _admission: Option<Admission>,
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

    fn join<'a>(&'a self, first: &'a [u8], second: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            Source::Block(block) => block.join(first, second),
            Source::Text(_) => None,
        }
    }
}

impl ReadBytes {
    /// The part from `start` to `end` of a file, out of the consecutive pieces that cover it, each with the
    /// offset at which it begins.
    pub(crate) fn of_blocks(
        blocks: Vec<(u64, Arc<Block>)>,
        start: u64,
        end: u64,
        admission: Option<Admission>,
    ) -> ReadBytes {
        let pieces = blocks.into_iter().map(|(from, block)| {
            let to = from + block.bytes().len() as u64;
            let span = (start.max(from) - from) as usize..(end.min(to) - from) as usize;
            (Source::Block(block), span)
        });
        ReadBytes {
            pieces: pieces.collect(),
            _admission: admission,
        }
    }

    pub(crate) fn of_text(text: &Bytes, offset: Offset, length: ByteCount) -> ReadBytes {
        let start = (offset.0 as usize).min(text.len());
        let end = ((offset + length).0 as usize).min(text.len());
        ReadBytes {
            pieces: vec![(Source::Text(text.clone()), start..end)],
            _admission: None,
        }
    }

    /// The pieces in order. Those that lie side by side in memory are one.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut pieces = self.pieces.iter().peekable();
        std::iter::from_fn(move || {
            let (source, span) = pieces.next()?;
            let mut piece = &source.bytes()[span.clone()];
            while let Some((next, span)) = pieces.peek()
                && let Some(both) = next.join(piece, &next.bytes()[span.clone()])
            {
                piece = both;
                pieces.next();
            }
            Some(piece)
        })
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
    use crate::memory::Memory;

    async fn check(start: u64, end: u64, blocks: &[(u64, usize)], pieces: &[(u8, usize)]) {
        let memory = Memory::new(ByteCount(1 << 20));
        let pool = Pool::new(memory.clone());
        let blocks = blocks.iter().enumerate().map(|(number, (from, length))| {
            let mut block = pool.take(*length);
            block.fill(&vec![number as u8; *length], *length);
            (*from, Arc::new(block))
        });
        let admission = Some(memory.admit(end - start).await);
        let bytes = ReadBytes::of_blocks(blocks.collect(), start, end, admission);
        let seen: Vec<(u8, usize)> = bytes
            .pieces()
            .map(|piece| (piece[0], piece.len()))
            .collect();
        assert_eq!(seen, pieces);
        assert_eq!(bytes.length(), ByteCount(end - start));
        assert!(memory.admitted() > ByteCount(0));
        drop(bytes);
        assert_eq!(memory.admitted(), ByteCount(0));
    }

    #[tokio::test]
    async fn pieces_cover_the_read_exactly() {
        check(0, 10, &[(0, 100)], &[(0, 10)]).await;
        check(5, 100, &[(0, 100)], &[(0, 95)]).await;
        check(99, 101, &[(0, 100), (100, 100)], &[(0, 1), (1, 1)]).await;
        check(
            7,
            209,
            &[(7, 93), (100, 100), (200, 50)],
            &[(0, 93), (1, 100), (2, 9)],
        )
        .await;
    }
}
