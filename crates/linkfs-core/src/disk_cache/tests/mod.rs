//! Every kind of damage, and every use of one folder by several processes. Two caches in one process stand for
//! two processes: the locks belong to the opening of a file, not to the process.

mod damage;
mod eviction;
mod full_disk;
mod keeping;
mod killed;
mod model;
mod sharing;
mod trust;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linkfs_provider::{ByteCount, ItemId, Version};
use tempfile::TempDir;

use super::identity::{Identity, Seed};
use super::shared::Rules;
use super::state::State;
use super::{CachedFile, DiskCache, FoundOnDisk};
use crate::block::BLOCK_SIZE;

const NO_LIMIT: u64 = 1 << 40;
/// What the state takes of a map.
const STATE: u64 = State::LENGTH as u64;

fn rules(limit: u64) -> Rules {
    Rules {
        limit,
        reserve: Some(0),
        pause: Duration::from_secs(3600),
    }
}

/// A folder of its own with a cache in it.
struct Fixture {
    folder: TempDir,
    cache: DiskCache,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture::with_limit(NO_LIMIT)
    }

    fn with_limit(limit: u64) -> Fixture {
        let folder = TempDir::new().expect("a folder");
        let cache = open(folder.path(), limit);
        Fixture { folder, cache }
    }

    /// Another cache over the same folder, as another process would have.
    fn another(&self) -> DiskCache {
        open(self.folder.path(), NO_LIMIT)
    }

    fn filled(&self, identity: &Identity) -> CachedFile {
        let file = self.cache.file(identity).expect("a file");
        fill(&file);
        file
    }

    fn map(&self, identity: &Identity) -> PathBuf {
        self.cache.shared.folder.map_path(&identity.stem())
    }

    fn data(&self, identity: &Identity) -> PathBuf {
        self.cache.shared.folder.data_path(&identity.stem())
    }
}

fn open(folder: &Path, limit: u64) -> DiskCache {
    DiskCache::with_rules(folder, rules(limit)).expect("a cache")
}

fn identity(item: &str, size: u64) -> Identity {
    Identity {
        drive: "work".into(),
        item: ItemId(item.into()),
        version: Version("1".into()),
        size: ByteCount(size),
    }
}

/// What the drive has in a block: other bytes in every block of every file.
fn truth(identity: &Identity, block: u64) -> Vec<u8> {
    let length = identity.length(block);
    let seed = Seed::of(&identity.encode()).checksum(block, b"");
    let words = (0..length.div_ceil(8) as u64).flat_map(|word| {
        let mixed = (seed ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed.rotate_left(29).wrapping_mul(seed | 1).to_le_bytes()
    });
    words.take(length).collect()
}

fn fill(file: &CachedFile) {
    for block in 0..file.identity().blocks() {
        assert!(
            file.write(block, &truth(file.identity(), block)),
            "block {block} kept"
        );
    }
}

/// How a block is found. Wrong bytes end the test.
fn look(file: &CachedFile, block: u64) -> FoundOnDisk {
    let mut buffer = vec![7; file.identity().length(block)];
    let found = file.read(block, &mut buffer);
    if found == FoundOnDisk::Found {
        let is_right = buffer == truth(file.identity(), block);
        assert!(is_right, "wrong bytes in block {block}");
    }
    found
}

fn look_at_all(file: &CachedFile) -> Vec<FoundOnDisk> {
    (0..file.identity().blocks())
        .map(|block| look(file, block))
        .collect()
}

/// The disk, behind the cache's back.
fn disk(path: &Path) -> File {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("a file of the cache")
}

fn flip(path: &Path, at: u64, mask: u8) {
    let file = disk(path);
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("within the file");
    file.write_all_at(&[byte[0] ^ mask], at).expect("written");
}

/// Where the records start: they are the end of the map.
fn records_at(path: &Path, identity: &Identity) -> u64 {
    fs::metadata(path).expect("a map").len() - 8 * identity.blocks()
}
