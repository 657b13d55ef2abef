//! The map beside a data file: whose bytes they are, what is known of them as a whole, and one record per
//! block.
//!
//! | bytes | what |
//! | --- | --- |
//! | 8 | magic |
//! | 4, 4 | format version, block size |
//! | 8, n | length of the identity, the identity in full |
//! | 8 | checksum of all that |
//! | | up to a multiple of 128 |
//! | 128 | the [`State`], with its own checksum |
//! | 8 per block | the block's checksum; zero: the block is missing |
//!
//! Numbers are little-endian. State and records lie so that no write of one crosses a page: a process that is
//! killed leaves the old or the new one. Who reads while another process writes may see half of each: a state is
//! written under the folder's lock, and one that looks damaged is read again under it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::block_set::BlockSet;
use super::identity::{Identity, Seed};
use super::state::State;
use crate::block::BLOCK_SIZE;

const MAGIC: &[u8; 8] = b"linkfsbm";
const FORMAT_VERSION: u32 = 1;
const PREFIX_LENGTH: usize = 24;
/// A drive with longer ids than this is not cached.
const LONGEST_IDENTITY: usize = 64 << 10;
const RECORD_LENGTH: u64 = 8;
/// How many records are read at once.
const RECORDS_AT_ONCE: u64 = 8 << 10;

#[derive(Debug)]
pub(super) struct MapFile {
    file: File,
    pub(super) seed: Seed,
    state_at: u64,
    blocks: u64,
}

impl MapFile {
    /// Fills an empty file. The header comes last: a map without one is not used.
    pub(super) fn create(file: File, identity: &Identity) -> io::Result<MapFile> {
        let header = encode_header(identity)?;
        let map = MapFile::with_header(file, &header, identity.blocks());
        map.file.set_len(map.length())?;
        map.set_state(&State::default())?;
        map.file.write_all_at(&header, 0)?;
        Ok(map)
    }

    /// `None` when it is damaged, about to be deleted, or another file's.
    pub(super) fn open(file: File, identity: &Identity) -> io::Result<Option<MapFile>> {
        let expected = encode_header(identity)?;
        let Some(header) = read_header(&file)? else {
            return Ok(None);
        };
        if header != expected {
            return Ok(None);
        }
        let map = MapFile::with_header(file, &header, identity.blocks());
        let is_whole = map.file.metadata()?.len() == map.length();
        let is_of_use = map.state()?.is_some_and(|state| !state.is_forgotten);
        Ok((is_whole && is_of_use).then_some(map))
    }

    fn with_header(file: File, header: &[u8], blocks: u64) -> MapFile {
        let identity = &header[PREFIX_LENGTH..header.len() - 8];
        MapFile {
            file,
            seed: Seed::of(identity),
            state_at: (header.len() as u64).next_multiple_of(State::LENGTH as u64),
            blocks,
        }
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn length(&self) -> u64 {
        self.record_at(self.blocks)
    }

    fn record_at(&self, block: u64) -> u64 {
        self.state_at + State::LENGTH as u64 + block * RECORD_LENGTH
    }

    /// `None` when it is damaged.
    pub(super) fn state(&self) -> io::Result<Option<State>> {
        read_state(&self.file, self.state_at, self.seed)
    }

    pub(super) fn set_state(&self, state: &State) -> io::Result<()> {
        self.file
            .write_all_at(&state.encode(self.seed), self.state_at)
    }

    /// The checksum of a block that is there. What cannot be read is missing.
    pub(super) fn record(&self, block: u64) -> Option<u64> {
        if block >= self.blocks {
            return None;
        }
        let mut bytes = [0; RECORD_LENGTH as usize];
        self.file
            .read_exact_at(&mut bytes, self.record_at(block))
            .ok()?;
        Some(u64::from_le_bytes(bytes)).filter(|checksum| *checksum != 0)
    }

    pub(super) fn set_record(&self, block: u64, checksum: u64) -> io::Result<()> {
        debug_assert!(block < self.blocks);
        self.file
            .write_all_at(&checksum.to_le_bytes(), self.record_at(block))
    }

    pub(super) fn drop_record(&self, block: u64) -> io::Result<()> {
        self.set_record(block, 0)
    }

    /// Makes every block missing, for everyone who has the map open.
    pub(super) fn drop_all_records(&self) -> io::Result<()> {
        self.file.set_len(self.record_at(0))
    }

    /// The blocks that have a record.
    pub(super) fn present(&self) -> BlockSet {
        let mut set = BlockSet::empty(self.blocks);
        let mut first = 0;
        while first < self.blocks {
            let count = (self.blocks - first).min(RECORDS_AT_ONCE);
            let mut bytes = vec![0; (count * RECORD_LENGTH) as usize];
            if self
                .file
                .read_exact_at(&mut bytes, self.record_at(first))
                .is_err()
            {
                break;
            }
            let records = bytes.chunks_exact(RECORD_LENGTH as usize);
            for (block, record) in (first..).zip(records) {
                set.set(block, record.iter().any(|byte| *byte != 0));
            }
            first += count;
        }
        set
    }
}

/// The state in the map of whatever file. `None` when it is damaged.
pub(super) fn state_of_any(file: &File) -> io::Result<Option<State>> {
    let Some(header) = read_header(file)? else {
        return Ok(None);
    };
    let map = MapFile::with_header(file.try_clone()?, &header, 0);
    map.state()
}

fn encode_header(identity: &Identity) -> io::Result<Vec<u8>> {
    let identity = identity.encode();
    if identity.len() > LONGEST_IDENTITY {
        let message = format!("an identity of {} bytes is too long", identity.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let mut header = MAGIC.to_vec();
    header.extend(FORMAT_VERSION.to_le_bytes());
    header.extend((BLOCK_SIZE as u32).to_le_bytes());
    header.extend((identity.len() as u64).to_le_bytes());
    header.extend(identity);
    header.extend(header_checksum(&header).to_le_bytes());
    Ok(header)
}

fn header_checksum(header: &[u8]) -> u64 {
    Seed::of(MAGIC).checksum(0, header)
}

/// A header that is whole and of this format, up to its checksum.
fn read_header(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut prefix = [0; PREFIX_LENGTH];
    if !read_whole(file, &mut prefix, 0)? {
        return Ok(None);
    }
    let length = u64::from_le_bytes(prefix[16..].try_into().expect("8 bytes"));
    if !prefix.starts_with(MAGIC) || length > LONGEST_IDENTITY as u64 {
        return Ok(None);
    }
    let mut header = vec![0; PREFIX_LENGTH + length as usize + 8];
    if !read_whole(file, &mut header, 0)? {
        return Ok(None);
    }
    let (checked, checksum) = header.split_at(header.len() - 8);
    let is_right = checksum == header_checksum(checked).to_le_bytes()
        && prefix[8..12] == FORMAT_VERSION.to_le_bytes()
        && prefix[12..16] == (BLOCK_SIZE as u32).to_le_bytes();
    Ok(is_right.then_some(header))
}

fn read_state(file: &File, at: u64, seed: Seed) -> io::Result<Option<State>> {
    let mut bytes = [0; State::LENGTH];
    Ok(match read_whole(file, &mut bytes, at)? {
        true => State::decode(&bytes, seed),
        false => None,
    })
}

/// Whether the file is long enough for that.
fn read_whole(file: &File, bytes: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(bytes, at) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
