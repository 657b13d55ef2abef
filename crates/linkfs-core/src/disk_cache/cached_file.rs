use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use linkfs_provider::ByteCount;

use super::block_set::BlockSet;
use super::folder::{OpenPair, is_at};
use super::identity::Identity;
use super::map_file::MapFile;
use super::shared::Shared;
use super::state::{State, Verified};
use crate::entity_tag::EntityTag;

/// What a look for a block gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FoundOnDisk {
    /// The buffer holds it.
    Found,
    /// It is not there.
    Missing,
    /// It was there and damaged. It is dropped and counted; fetch it again.
    Bad,
}

/// The cached blocks of one version of one file, open. Any number of threads and processes may use it at once;
/// those that write the same block write the same bytes.
#[derive(Debug)]
pub(crate) struct CachedFile {
    pub(super) shared: Arc<Shared>,
    pub(super) identity: Identity,
    pub(super) map: MapFile,
    pub(super) data: File,
    /// The blocks known to be there. Others may write more; what looks missing is looked up in the map.
    present: Mutex<BlockSet>,
}

impl CachedFile {
    pub(super) fn open(shared: Arc<Shared>, identity: &Identity) -> io::Result<CachedFile> {
        let pair = open_or_make(&shared, identity)?;
        Ok(CachedFile::of(pair, shared, identity))
    }

    pub(super) fn find(shared: Arc<Shared>, identity: &Identity) -> io::Result<Option<CachedFile>> {
        let pair = shared.folder.open_pair(identity)?;
        Ok(pair.map(|pair| CachedFile::of(pair, shared, identity)))
    }

    fn of(pair: OpenPair, shared: Arc<Shared>, identity: &Identity) -> CachedFile {
        let file = CachedFile {
            present: Mutex::new(pair.map.present()),
            shared,
            identity: identity.clone(),
            map: pair.map,
            data: pair.data,
        };
        file.mark_used();
        file
    }

    /// Whose bytes these are.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether a block is there, as far as can be said without reading it.
    pub(crate) fn has(&self, block: u64) -> bool {
        if self.present().contains(block) {
            return true;
        }
        let is_there = self.map.record(block).is_some();
        self.present().set(block, is_there);
        is_there
    }

    /// Reads a block into a buffer of just its length, which holds nothing of use unless the block is found.
    pub(crate) fn read(&self, block: u64, buffer: &mut [u8]) -> FoundOnDisk {
        let mut seen = None;
        loop {
            let record = self.map.record(block);
            self.present().set(block, record.is_some());
            let Some(record) = record else {
                return FoundOnDisk::Missing;
            };
            let result = self.check(block, record, buffer);
            match result {
                Ok(()) => return FoundOnDisk::Found,
                // Another process may have filled the block anew after its old record was read.
                Err(_) if seen != Some(record) => seen = Some(record),
                Err(why) => {
                    self.quarantine(block, record, &why);
                    return FoundOnDisk::Bad;
                }
            }
        }
    }

    fn check(&self, block: u64, record: u64, buffer: &mut [u8]) -> Result<(), String> {
        self.data
            .read_exact_at(buffer, self.identity.range(block).start)
            .map_err(|error| format!("it cannot be read: {error}"))?;
        match self.map.seed.checksum(block, buffer) == record {
            true => Ok(()),
            false => Err("its bytes do not match their checksum".into()),
        }
    }

    /// Several readers may find the same block damaged at once: it is dropped, and counted, by one of them.
    fn quarantine(&self, block: u64, record: u64, why: &str) {
        let mut present = self.present();
        if self.map.record(block) != Some(record) {
            return;
        }
        present.set(block, false);
        let dropped = self.map.drop_record(block);
        drop(present);
        self.shared
            .tally
            .count_quarantined(&self.identity, block, why);
        if let Err(error) = dropped {
            self.shared.write_failed("dropping a block", &error);
        }
    }

    /// Keeps a block, all of it. Says whether it is there now: it is not when writing pauses, when there is no
    /// room, or when the disk refuses it.
    pub(crate) fn write(&self, block: u64, bytes: &[u8]) -> bool {
        if bytes.is_empty() || bytes.len() != self.identity.length(block) {
            debug_assert!(false, "{} bytes are no block {block}", bytes.len());
            return false;
        }
        let checksum = self.map.seed.checksum(block, bytes);
        let is_kept = self.map.record(block) == Some(checksum)
            || (!self.is_forgotten()
                && self.shared.make_room(bytes.len() as u64)
                && self.put(block, bytes, checksum));
        if is_kept {
            self.present().set(block, true);
        }
        is_kept
    }

    fn put(&self, block: u64, bytes: &[u8], checksum: u64) -> bool {
        let result = self.try_put(block, bytes, checksum);
        match &result {
            Ok(()) => self.shared.count_written(bytes.len() as u64),
            Err(error) => self.shared.write_failed("writing a block", error),
        }
        result.is_ok()
    }

    /// The data before its record: whoever dies in between leaves a missing block.
    fn try_put(&self, block: u64, bytes: &[u8], checksum: u64) -> io::Result<()> {
        if self.map.record(block).is_some() {
            self.map.drop_record(block)?;
        }
        self.data
            .write_all_at(bytes, self.identity.range(block).start)?;
        self.map.set_record(block, checksum)
    }

    /// How many blocks are there, as far as known here.
    #[cfg(test)]
    pub(crate) fn blocks_present(&self) -> u64 {
        self.present().count()
    }

    /// How many bytes are there, as far as known here.
    pub(crate) fn bytes_present(&self) -> ByteCount {
        let present = self.present();
        let (count, last) = (present.count(), self.identity.blocks().saturating_sub(1));
        let all = match present.contains(last) {
            true => (count - 1) * self.identity.range(0).end + self.identity.length(last) as u64,
            false => count * self.identity.range(0).end,
        };
        ByteCount(all)
    }

    /// Whether all blocks are there. Others' are found one by one, so it costs little to ask often.
    pub(crate) fn is_complete(&self) -> bool {
        loop {
            let Some(block) = self.present().first_missing() else {
                return true;
            };
            if !self.has(block) {
                return false;
            }
        }
    }

    /// Deletes the file: its bytes turned out to be others than the drive's. Everyone who has it open finds all
    /// its blocks missing, and writes nothing more to it.
    ///
    /// # Errors
    /// When the disk does not allow it.
    pub(crate) fn forget(&self) -> io::Result<()> {
        *self.present() = BlockSet::empty(self.identity.blocks());
        let lock = self.shared.folder.lock();
        // Whoever read a block just before still asks what it came under.
        let tag = self.map.state().ok().flatten().and_then(|state| state.tag);
        self.map.set_state(&State {
            is_forgotten: true,
            tag,
            ..State::default()
        })?;
        self.map.drop_all_records()?;
        // Even where the files cannot be deleted, nobody reads them.
        let _lock = lock?;
        let stem = self.identity.stem();
        if is_at(self.map.file(), &self.shared.folder.map_path(&stem))? {
            let taken =
                512 * (self.data.metadata()?.blocks() + self.map.file().metadata()?.blocks());
            self.shared.folder.remove_pair(&stem)?;
            self.shared.count_removed(taken);
        }
        Ok(())
    }

    fn is_forgotten(&self) -> bool {
        self.state().is_some_and(|state| state.is_forgotten)
    }

    /// Keeps the file from being evicted until it is unpinned, open or not.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn pin(&self) -> io::Result<()> {
        self.change_state(|state| state.is_pinned = true)
    }

    /// The opposite of [`CachedFile::pin`].
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn unpin(&self) -> io::Result<()> {
        self.change_state(|state| state.is_pinned = false)?;
        self.shared.tally.end_pause();
        Ok(())
    }

    /// Whether somebody pinned it.
    pub(crate) fn is_pinned(&self) -> bool {
        self.state().is_some_and(|state| state.is_pinned)
    }

    /// Whether the hash of the whole file was found to be the drive's. `No` when that cannot be read.
    pub(crate) fn verified(&self) -> Verified {
        self.state().map_or(Verified::No, |state| state.verified)
    }

    /// Writes down whether the hash of the whole file is the drive's.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn set_verified(&self, verified: Verified) -> io::Result<()> {
        self.change_state(|state| state.verified = verified)
    }

    /// The entity tag under which the bytes came, if one was written down. Whoever looks after reading a block
    /// has that block's.
    pub(crate) fn tag(&self) -> Option<EntityTag> {
        self.state()?.tag
    }

    /// Writes down the tag under which bytes come, before any of them is written, unless one stands there.
    /// Says whether it is the one that stands there now: bytes under another do not belong here.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub(crate) fn note_tag(&self, tag: EntityTag) -> io::Result<bool> {
        let mut is_the_same = false;
        self.change_state(|state| is_the_same = *state.tag.get_or_insert(tag) == tag)?;
        Ok(is_the_same)
    }

    /// `None` when it is damaged. What somebody is writing looks so, and is read again while nobody does.
    pub(super) fn state(&self) -> Option<State> {
        if let Some(state) = self.map.state().ok()? {
            return Some(state);
        }
        let _lock = self.shared.folder.lock().ok()?;
        self.map.state().ok()?
    }

    /// Under the folder's lock, because others change it too. A damaged state is refused: nobody knows what it
    /// said; and that of a forgotten file: nobody would read it.
    pub(super) fn change_state(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        let _lock = self.shared.folder.lock()?;
        let mut state = self.map.state()?.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                "the cached file's map is damaged",
            )
        })?;
        if state.is_forgotten {
            let message = "the cached file was deleted meanwhile";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        change(&mut state);
        self.map.set_state(&state)
    }

    /// The map's time of change is the file's last use. A disk that refuses it evicts a little wrongly.
    fn mark_used(&self) {
        let _refused = self.map.file().set_modified(SystemTime::now());
    }

    fn present(&self) -> MutexGuard<'_, BlockSet> {
        self.present
            .lock()
            .expect("no panic while the block set is locked")
    }
}

impl Drop for CachedFile {
    fn drop(&mut self) {
        self.mark_used();
        if self.shared.tally.is_paused() && !self.is_pinned() {
            // From now on it may be evicted. A lock that cannot be given up ends with the file, in a moment.
            let _refused = self.map.file().unlock();
            self.shared.tally.end_pause();
        }
    }
}

fn open_or_make(shared: &Shared, identity: &Identity) -> io::Result<OpenPair> {
    if let Some(pair) = shared.folder.open_pair(identity)? {
        return Ok(pair);
    }
    if !shared.make_room(1) {
        let message = "nothing is cached on disk at the moment";
        return Err(io::Error::new(io::ErrorKind::StorageFull, message));
    }
    let pair = shared
        .folder
        .make_pair(identity)
        .inspect_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {}
            _ => shared.write_failed("making a file", error),
        })?;
    if pair.is_new {
        shared.count_made();
    }
    Ok(pair)
}
