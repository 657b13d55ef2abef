use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::identity::Seed;
use crate::entity_tag::EntityTag;

/// Whether the hash of the whole file was found to be the one that the drive tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verified {
    /// Nobody has looked, or the drive tells no hash.
    #[default]
    Unknown,
    /// It is.
    Yes,
    /// It is another: the file is not for the kernel to read by itself.
    No,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verified::Unknown => "unknown",
            Verified::Yes => "yes",
            Verified::No => "no",
        })
    }
}

/// What is known of a file as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) verified: Verified,
    pub(super) is_pinned: bool,
    /// Nobody is to write to it any more: its bytes are not the drive's, and it is about to be deleted.
    pub(super) is_forgotten: bool,
    /// The entity tag under which the bytes came.
    pub(super) tag: Option<EntityTag>,
    /// How the data file looked when all its blocks were found right.
    pub(super) stamp: Option<Stamp>,
}

/// What changes when anybody changes a file through the file system. (Before Linux 6.13 a second change within
/// one tick of the kernel's clock does not.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    size: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stamp {
    pub(super) fn of(data: &Metadata) -> Stamp {
        let ns =
            |seconds, nanoseconds| i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds);
        Stamp {
            inode: data.ino(),
            size: data.size(),
            modified_ns: ns(data.mtime(), data.mtime_nsec()),
            changed_ns: ns(data.ctime(), data.ctime_nsec()),
        }
    }
}

const PINNED: u64 = 4;
const STAMPED: u64 = 8;
const FORGOTTEN: u64 = 16;
const TAGGED: u64 = 32;
/// Stands where a block's index stands in the checksum of a block.
const NO_BLOCK: u64 = u64::MAX;

impl State {
    pub(super) const LENGTH: usize = 128;
    const CHECKSUM_AT: usize = State::LENGTH - 8;

    pub(super) fn encode(&self, seed: Seed) -> [u8; State::LENGTH] {
        let mut flags = match self.verified {
            Verified::Unknown => 0,
            Verified::Yes => 1,
            Verified::No => 2,
        };
        if self.is_pinned {
            flags |= PINNED;
        }
        if self.is_forgotten {
            flags |= FORGOTTEN;
        }
        let mut bytes = [0; State::LENGTH];
        if let Some(stamp) = &self.stamp {
            flags |= STAMPED;
            bytes[8..16].copy_from_slice(&stamp.inode.to_le_bytes());
            bytes[16..24].copy_from_slice(&stamp.size.to_le_bytes());
            bytes[24..40].copy_from_slice(&stamp.modified_ns.to_le_bytes());
            bytes[40..56].copy_from_slice(&stamp.changed_ns.to_le_bytes());
        }
        if let Some(EntityTag(tag)) = self.tag {
            flags |= TAGGED;
            bytes[56..64].copy_from_slice(&tag.to_le_bytes());
        }
        bytes[..8].copy_from_slice(&u64::to_le_bytes(flags));
        let checksum = seed.checksum(NO_BLOCK, &bytes[..State::CHECKSUM_AT]);
        bytes[State::CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `None` when it is damaged.
    pub(super) fn decode(bytes: &[u8; State::LENGTH], seed: Seed) -> Option<State> {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let time =
            |at: usize| i128::from_le_bytes(bytes[at..at + 16].try_into().expect("16 bytes"));
        let checksum = seed.checksum(NO_BLOCK, &bytes[..State::CHECKSUM_AT]);
        if number(State::CHECKSUM_AT) != checksum {
            return None;
        }
        let flags = number(0);
        Some(State {
            verified: match flags & 3 {
                0 => Verified::Unknown,
                1 => Verified::Yes,
                _ => Verified::No,
            },
            is_pinned: flags & PINNED != 0,
            is_forgotten: flags & FORGOTTEN != 0,
            tag: (flags & TAGGED != 0).then(|| EntityTag(number(56))),
            stamp: (flags & STAMPED != 0).then(|| Stamp {
                inode: number(8),
                size: number(16),
                modified_ns: time(24),
                changed_ns: time(40),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_not_when_a_bit_flips() {
        let seed = Seed::of(b"some file");
        let stamp = Stamp {
            inode: u64::MAX,
            size: 5,
            modified_ns: -1,
            changed_ns: i128::from(i64::MAX) * 1_000_000_000,
        };
        for verified in [Verified::Unknown, Verified::Yes, Verified::No] {
            for (is_pinned, stamp) in [(false, None), (true, Some(stamp))] {
                let state = State {
                    verified,
                    is_pinned,
                    is_forgotten: !is_pinned,
                    tag: is_pinned.then_some(EntityTag(u64::MAX)),
                    stamp,
                };
                let bytes = state.encode(seed);
                assert_eq!(State::decode(&bytes, seed), Some(state));
                assert_eq!(State::decode(&bytes, Seed::of(b"another")), None);
                for bit in 0..State::LENGTH * 8 {
                    let mut damaged = bytes;
                    damaged[bit / 8] ^= 1 << (bit % 8);
                    assert_eq!(State::decode(&damaged, seed), None, "bit {bit}");
                }
            }
        }
    }
}
