use std::fs::File;
use std::io;

use super::cached_file::{CachedFile, FoundOnDisk};
use super::folder::open_for_reading;
use super::state::{Stamp, Verified};
use crate::block::BLOCK_SIZE;

/// What looking at a whole file gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// All blocks are there and right, and on disk: the file can be passed through from now on.
    Right,
    /// So many blocks are missing, those included that were found damaged.
    Incomplete {
        /// Blocks to fetch.
        missing: u64,
    },
    /// Somebody wrote to the file meanwhile: verify it once more.
    Changed,
}

impl CachedFile {
    /// Reads the whole file and checks every block, drops those that are damaged, and trusts the file if all are
    /// right. `each` gets the blocks in their order, for whoever computes the hash of the whole; it has seen
    /// the file only if the answer is `Right`.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn verify_all(&self, mut each: impl FnMut(&[u8])) -> io::Result<Verification> {
        let before = Stamp::of(&self.data.metadata()?);
        let mut missing = 0;
        let mut buffer = vec![0; BLOCK_SIZE as usize];
        for block in 0..self.identity.blocks() {
            let buffer = &mut buffer[..self.identity.length(block)];
            match self.read(block, buffer) {
                FoundOnDisk::Found => each(buffer),
                FoundOnDisk::Missing | FoundOnDisk::Bad => missing += 1,
            }
        }
        if missing > 0 {
            return Ok(Verification::Incomplete { missing });
        }
        self.trust(before)
    }

    /// The stamp must not be on disk before the data is.
    fn trust(&self, before: Stamp) -> io::Result<Verification> {
        self.data.sync_data()?;
        let data = self.data.metadata()?;
        if Stamp::of(&data) != before || data.len() != self.identity.size.0 {
            return Ok(Verification::Changed);
        }
        self.change_state(|state| state.stamp = Some(before))?;
        Ok(Verification::Right)
    }

    /// The data file, for reading it without checks. `None` unless it is complete, was verified, and nobody has
    /// changed it since; and for a file whose hash is not the drive's.
    pub(crate) fn passthrough_file(&self) -> Option<File> {
        let state = self.state()?;
        if state.is_forgotten || state.verified == Verified::No {
            return None;
        }
        // Looked up anew: another process may have found a block damaged.
        if self.map.present().count() != self.identity.blocks() {
            return None;
        }
        let path = self.shared.folder.data_path(&self.identity.stem());
        let data = open_for_reading(&path).ok()?;
        let stamp = Stamp::of(&data.metadata().ok()?);
        (state.stamp == Some(stamp)).then_some(data)
    }
}
