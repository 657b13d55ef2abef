use std::fmt;
use std::ops::Range;

use linkfs_provider::{ByteCount, ItemId, Version};
use sha2::{Digest, Sha256};
use twox_hash::XxHash3_64;

use crate::block::BLOCK_SIZE;

/// Which bytes a cached file holds: one version of one file on one drive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// The account on the drive; another account's item of the same id is another file.
    pub drive: String,
    /// The file.
    pub item: ItemId,
    /// The version of its content.
    pub version: Version,
    /// Its length.
    pub size: ByteCount,
}

impl Identity {
    /// How many blocks the file has.
    pub(crate) fn blocks(&self) -> u64 {
        self.size.0.div_ceil(BLOCK_SIZE)
    }

    /// The bytes of a block; empty behind the end of the file.
    pub(super) fn range(&self, block: u64) -> Range<u64> {
        let start = block.saturating_mul(BLOCK_SIZE).min(self.size.0);
        start..start.saturating_add(BLOCK_SIZE).min(self.size.0)
    }

    pub(super) fn length(&self, block: u64) -> usize {
        let range = self.range(block);
        (range.end - range.start) as usize
    }

    /// The identity in full, each part with its length, so that no two identities look the same.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.size.0.to_le_bytes().to_vec();
        for part in [&self.drive, &self.item.0, &self.version.0] {
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part.as_bytes());
        }
        bytes
    }

    /// What the names of its files start with: drives' ids may be anything, file names may not.
    pub(super) fn stem(&self) -> String {
        let digest = Sha256::digest(self.encode());
        digest[..STEM_LENGTH / 2]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// 160 bits: no two files of a cache share a name, and the map holds the identity in full anyway.
pub(super) const STEM_LENGTH: usize = 40;

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "version {} of {}:{}",
            self.version, self.drive, self.item
        )
    }
}

/// Makes the checksums of one file. They depend on the file's identity and on where the bytes belong, so that
/// right bytes in a wrong place do not pass.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(u64);

impl Seed {
    pub(super) fn of(identity: &[u8]) -> Seed {
        Seed(XxHash3_64::oneshot(identity))
    }

    /// Never zero, which stands for a missing block.
    pub(super) fn checksum(self, block: u64, bytes: &[u8]) -> u64 {
        XxHash3_64::oneshot_with_seed(self.0.wrapping_add(block), bytes).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(drive: &str, item: &str, version: &str, size: u64) -> Identity {
        Identity {
            drive: drive.into(),
            item: item.into(),
            version: Version(version.into()),
            size: ByteCount(size),
        }
    }

    #[test]
    fn different_identities_have_different_names() {
        let all = [
            identity("a", "bc", "d", 1),
            identity("ab", "c", "d", 1),
            identity("a", "b", "cd", 1),
            identity("a", "bc", "d", 2),
            identity("", "abc", "d", 1),
        ];
        let names: std::collections::HashSet<String> = all.iter().map(Identity::stem).collect();
        assert_eq!(names.len(), all.len());
        assert!(names.iter().all(|name| name.len() == STEM_LENGTH));
    }

    #[test]
    fn blocks_end_where_the_file_ends() {
        for (size, block, expected) in [
            (0, 0, 0..0),
            (1, 0, 0..1),
            (BLOCK_SIZE, 0, 0..BLOCK_SIZE),
            (BLOCK_SIZE, 1, BLOCK_SIZE..BLOCK_SIZE),
            (BLOCK_SIZE + 5, 1, BLOCK_SIZE..BLOCK_SIZE + 5),
            (BLOCK_SIZE + 5, u64::MAX, BLOCK_SIZE + 5..BLOCK_SIZE + 5),
        ] {
            assert_eq!(identity("d", "i", "v", size).range(block), expected);
        }
    }

    #[test]
    fn a_checksum_depends_on_the_bytes_the_place_and_the_file() {
        let seed = |version| Seed::of(&identity("d", "i", version, 9).encode());
        let checksum = seed("1").checksum(0, b"bytes");
        assert_eq!(checksum, seed("1").checksum(0, b"bytes"));
        assert_ne!(checksum, seed("1").checksum(0, b"bytez"));
        assert_ne!(checksum, seed("1").checksum(1, b"bytes"));
        assert_ne!(checksum, seed("2").checksum(0, b"bytes"));
    }
}
