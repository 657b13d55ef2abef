use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use bytes::Bytes;

/// Where the bytes of one version of a file come from.
#[derive(Clone, Debug)]
pub enum Content {
    /// Computed from the seed and the offset, so any size costs nothing and any byte can be checked.
    Generated { seed: u64, size: u64 },
    /// Kept in memory.
    Bytes(Bytes),
    /// Read from a file on disk when asked for; `size` was taken when the tree was built.
    File { path: PathBuf, size: u64 },
}

impl Content {
    pub fn size(&self) -> u64 {
        match self {
            Content::Generated { size, .. } | Content::File { size, .. } => *size,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// `length` bytes from `offset`; the caller keeps inside the size.
    ///
    /// # Errors
    /// When the file on disk is gone or shorter than it was.
    pub fn read(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        match self {
            Content::Generated { seed, .. } => {
                let mut buffer = vec![0; length];
                generated_bytes(*seed, offset, &mut buffer);
                Ok(buffer.into())
            }
            Content::Bytes(bytes) => {
                let start = usize::try_from(offset).expect("in-memory content fits memory");
                Ok(bytes.slice(start..start + length))
            }
            Content::File { path, .. } => {
                let mut buffer = vec![0; length];
                File::open(path)?.read_exact_at(&mut buffer, offset)?;
                Ok(buffer.into())
            }
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Content::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content::Bytes(bytes.into())
    }
}

/// Fills `buffer` with the generated content of `seed` that begins at `offset`.
///
/// The content is a row of little-endian 8-byte words; word `i` is the `i`-th output of a
/// splitmix64 generator. It is counter-based: no byte depends on another, so ranges start anywhere.
pub fn generated_bytes(seed: u64, offset: u64, buffer: &mut [u8]) {
    let mut index = offset / 8;
    let skip = (offset % 8) as usize;
    let head = if skip == 0 {
        0
    } else {
        (8 - skip).min(buffer.len())
    };
    let (first, rest) = buffer.split_at_mut(head);
    if head > 0 {
        first.copy_from_slice(&word(seed, index)[skip..skip + head]);
        index += 1;
    }
    let mut words = rest.chunks_exact_mut(8);
    for target in &mut words {
        target.copy_from_slice(&word(seed, index));
        index += 1;
    }
    let tail = words.into_remainder();
    let length = tail.len();
    tail.copy_from_slice(&word(seed, index)[..length]);
}

/// The seed of a later revision of generated content; revision 1 has the seed itself.
pub fn revised_seed(seed: u64, revision: u64) -> u64 {
    seed ^ (revision - 1).wrapping_mul(0xd1b5_4a32_d192_ed03)
}

#[inline]
fn word(seed: u64, index: u64) -> [u8; 8] {
    let mut z = seed.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_agrees_with_the_whole() {
        let mut whole = vec![0; 100];
        generated_bytes(7, 0, &mut whole);
        for start in 0..40 {
            for end in start..60 {
                let mut part = vec![0; end - start];
                generated_bytes(7, start as u64, &mut part);
                assert_eq!(part, whole[start..end], "{start}..{end}");
            }
        }
    }

    #[test]
    fn the_words_are_those_of_splitmix64() {
        let mut bytes = [0; 8];
        generated_bytes(1_234_567, 0, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), 6_457_827_717_110_365_317);
    }

    #[test]
    fn revisions_differ_and_the_first_is_the_seed() {
        assert_eq!(revised_seed(9, 1), 9);
        assert_ne!(revised_seed(9, 2), revised_seed(9, 3));
    }
}
