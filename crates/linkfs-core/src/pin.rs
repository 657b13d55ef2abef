//! Pinned files: fetched whole, kept on disk until they are unpinned.

use std::io;
use std::sync::Arc;

use linkfs_provider::{ByteCount, Offset};
use tokio::time::Instant;

use crate::block::BLOCK_SIZE;
use crate::content::{Content, Read};
use crate::disk_cache::SEE_TO_THE_DISK;
use crate::open_file::ReaderId;
use crate::read_pattern::Advice;
use crate::stored::StoredFile;
use crate::{Error, Result};

/// Fetched ahead of what is written: enough for several connections, and little of what readers may take.
const AHEAD: ByteCount = ByteCount(8 << 20);

/// Going over what is there already waits for nothing, and others want to run too.
const YIELD_EVERY: u64 = 64 * BLOCK_SIZE;

/// Keeps a file from being evicted.
///
/// # Errors
/// `NoDiskCache`.
pub(crate) async fn pin(content: &Content) -> Result<()> {
    let why_not = || content.why_not_stored();
    // Else it would drive out everything else, and fail in the end.
    if content
        .disk()
        .is_some_and(|disk| !disk.can_hold(content.size()))
    {
        return Err(why_not());
    }
    let stored = content.stored().await.ok_or_else(why_not)?;
    if stored.set_pinned(true).await.is_ok() {
        return Ok(());
    }
    // Another mount may have deleted it, because it held another version.
    content.leave_stored(&stored);
    let anew = content.stored().await.ok_or_else(why_not)?;
    let pinned = anew.set_pinned(true).await;
    pinned.map_err(refused)
}

/// Lets a file be evicted again.
///
/// # Errors
/// `NoAttribute` when it is not pinned, `NoDiskCache`.
pub(crate) async fn unpin(content: &Content) -> Result<()> {
    let stored = content.find_stored().await.ok_or(Error::NoAttribute)?;
    if !stored.is_pinned() {
        return Err(Error::NoAttribute);
    }
    let unpinned = stored.set_pinned(false).await;
    unpinned.map_err(refused)
}

fn refused(error: io::Error) -> Error {
    let (why, advice) = (error.to_string(), SEE_TO_THE_DISK);
    Error::NoDiskCache { why, advice }
}

/// Fetches the missing blocks of a pinned file one after another, as a reader of its own, when it is its turn
/// and nobody does so already.
///
/// # Errors
/// Why it is not complete.
pub(crate) async fn fetch_whole(content: Arc<Content>) -> Result<()> {
    // Whoever pins it anew while somebody still fetches counts on that one.
    match fetch_in_turn(&content).await? {
        State::Complete => Ok(()),
        State::Incomplete => fetch_in_turn(&content).await.map(drop),
    }
}

/// What there is of a pinned file.
enum State {
    Complete,
    Incomplete,
}

async fn fetch_in_turn(content: &Arc<Content>) -> Result<State> {
    let Some(disk) = content.disk().filter(|_| content.begin_fetching()) else {
        return Ok(State::Complete);
    };
    let turn = disk.turn().await;
    let reader = ReaderId::new();
    content.hold();
    let result = fetch_missing(content, reader).await;
    content.end_fetching();
    let state = match content.is_pinned_in_part() {
        true => State::Incomplete,
        false => State::Complete,
    };
    content.close(reader);
    drop(turn);
    result.map(|()| state)
}

async fn fetch_missing(content: &Arc<Content>, reader: ReaderId) -> Result<()> {
    for start in (0..content.size()).step_by(BLOCK_SIZE as usize) {
        if start.is_multiple_of(YIELD_EVERY) {
            tokio::task::yield_now().await;
        }
        // Anew for each block: it may have been unpinned, or turned out to be of another version.
        let Some(stored) = content.find_stored().await else {
            return Ok(());
        };
        if stored.has(start) {
            continue;
        }
        if !stored.is_pinned() {
            return Ok(());
        }
        fetch_block(content, &stored, reader, start).await?;
    }
    Ok(())
}

async fn fetch_block(
    content: &Arc<Content>,
    stored: &Arc<StoredFile>,
    reader: ReaderId,
    start: u64,
) -> Result<()> {
    let read = Read {
        reader,
        offset: Offset(start),
        length: ByteCount(BLOCK_SIZE),
        advice: Advice {
            ahead: AHEAD,
            goes_on: false,
        },
        deadline: Instant::now() + content.work_time(),
    };
    let (bytes, _) = content.read(read).await?;
    // The transfer has written it, unless it was in memory before or the disk was slow.
    let block = bytes.pieces().collect::<Vec<_>>().concat();
    drop(bytes);
    let is_same_version = match content.tag() {
        Some(tag) => stored.note_tag(tag).await,
        None => Ok(true),
    };
    let is_same_version = is_same_version.map_err(refused)?;
    if !is_same_version {
        content.forget_stored(stored).await;
        let (why, advice) = ("it holds another version".into(), "try again");
        return Err(Error::NoDiskCache { why, advice });
    }
    match stored.write(start, block).await {
        true => Ok(()),
        false => Err(content.why_not_stored()),
    }
}
