//! Pinned files: fetched whole, kept on disk until they are unpinned.

use std::sync::Arc;

use linkfs_provider::{ByteCount, Offset};
use tokio::time::Instant;

use crate::block::BLOCK_SIZE;
use crate::content::{Content, Read};
use crate::open_file::ReaderId;
use crate::read_pattern::Advice;
use crate::stored::StoredFile;
use crate::{Error, Result};

/// Fetched ahead of what is written: enough for several connections, and little of what readers may take.
const AHEAD: ByteCount = ByteCount(8 << 20);

/// Keeps a file from being evicted, and fetches what is missing of it in the background.
///
/// # Errors
/// `NoDiskCache`.
pub(crate) async fn pin(content: Arc<Content>) -> Result<()> {
    let stored = content.stored().await;
    let stored = stored.ok_or_else(|| no_disk("there is none, or it takes nothing now"))?;
    stored
        .set_pinned(true)
        .await
        .map_err(|error| no_disk(&error.to_string()))?;
    tokio::spawn(fetch_whole(content, stored));
    Ok(())
}

/// Lets a file be evicted again.
///
/// # Errors
/// `NoAttribute` when it is not pinned, `NoDiskCache`.
pub(crate) async fn unpin(content: &Content) -> Result<()> {
    let stored = content.find_stored().await;
    let stored = stored.filter(|stored| stored.is_pinned());
    let unpinned = stored.ok_or(Error::NoAttribute)?.set_pinned(false).await;
    unpinned.map_err(|error| no_disk(&error.to_string()))
}

fn no_disk(why: &str) -> Error {
    Error::NoDiskCache(format!("the cache on disk cannot keep the file: {why}"))
}

/// Fetches the missing blocks one after another, as a reader of its own.
pub(crate) async fn fetch_whole(content: Arc<Content>, stored: Arc<StoredFile>) {
    if !stored.begin_fetching() {
        return;
    }
    let reader = ReaderId::new();
    content.open();
    let result = fetch_missing(&content, &stored, reader).await;
    content.close(reader);
    stored.end_fetching();
    if let Err(error) = result {
        tracing::warn!(node = content.node_id().0, %error, "a pinned file is not complete");
    }
}

async fn fetch_missing(
    content: &Arc<Content>,
    stored: &Arc<StoredFile>,
    reader: ReaderId,
) -> Result<()> {
    for start in (0..content.size()).step_by(BLOCK_SIZE as usize) {
        if stored.has(start) {
            continue;
        }
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
        let bytes: Vec<u8> = bytes.pieces().flatten().copied().collect();
        if !stored.write(start, bytes).await {
            return Err(no_disk("writing failed"));
        }
    }
    Ok(())
}
