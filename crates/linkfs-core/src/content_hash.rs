//! The hash of a whole file as a drive gives it, computed from the bytes.

use std::fmt;

use crc::{CRC_64_XZ, Crc, Table};
use linkfs_provider::Hashes;
use sha1::{Digest, Sha1};

/// The CRC-64 of object stores.
static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// A hash being computed, and what it should be.
pub(crate) struct ContentHash {
    expected: String,
    state: State,
}

enum State {
    Sha1(Box<Sha1>),
    Crc64(crc::Digest<'static, u64, Table<16>>),
}

impl ContentHash {
    /// The strongest of a drive's hashes that we can compute; `None` when there is none.
    pub(crate) fn of(hashes: &Hashes) -> Option<ContentHash> {
        let sha1 = || State::Sha1(Box::default());
        let crc64 = || State::Crc64(CRC64.digest());
        let known = |name: &str, state: fn() -> State| {
            let expected = hashes.get(name)?.clone();
            let state = state();
            Some(ContentHash { expected, state })
        };
        known("sha1", sha1).or_else(|| known("crc64", crc64))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Sha1(sha1) => sha1.update(bytes),
            State::Crc64(crc) => crc.update(bytes),
        }
    }

    /// Whether the bytes given are those that the drive means. Hex digits come in either case, CRC-64 as a
    /// decimal number.
    pub(crate) fn matches(self) -> bool {
        let computed = match self.state {
            State::Sha1(sha1) => sha1
                .finalize()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
            State::Crc64(crc) => crc.finalize().to_string(),
        };
        computed.eq_ignore_ascii_case(&self.expected)
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHash")
            .field("expected", &self.expected)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hashes: &[(&str, &str)], bytes: &[u8], expected: Option<bool>) {
        let hashes = hashes
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let hash = ContentHash::of(&hashes.collect());
        let result = hash.map(|mut hash| {
            bytes.chunks(3).for_each(|chunk| hash.update(chunk));
            hash.matches()
        });
        assert_eq!(result, expected, "{bytes:?}");
    }

    #[test]
    fn bytes_are_held_against_the_strongest_hash() {
        let (sha1, crc64) = (
            "F7C3BC1D808E04732ADF679965CCC34CA7AE3441",
            "11051210869376104954",
        );
        check(&[("sha1", sha1)], b"123456789", Some(true));
        check(&[("sha1", &sha1.to_lowercase())], b"123456789", Some(true));
        check(&[("sha1", sha1)], b"123456780", Some(false));
        check(&[("crc64", crc64)], b"123456789", Some(true));
        check(&[("crc64", crc64)], b"12345678", Some(false));
        check(&[("sha1", sha1), ("crc64", "0")], b"123456789", Some(true));
        check(&[("md5", "x")], b"123456789", None);
        check(&[], b"", None);
    }
}
