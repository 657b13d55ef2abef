use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crc::{CRC_64_XZ, Crc};
use sha1::{Digest, Sha1};

use crate::digest::hex;
use crate::{Content, Node};

/// The polynomial of ECMA-182, reflected, with all ones before and after.
static CRC64: Crc<u64> = Crc::<u64>::new(&CRC_64_XZ);

/// Bytes hashed at a time.
const CHUNK: u64 = 1 << 20;

/// The true hashes of contents, computed when first asked for. Clones share what is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checksums(Arc<Mutex<HashMap<(String, u64), Checksum>>>);

/// The hashes of one version of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checksum {
    /// Upper-case hexadecimal.
    pub(crate) sha1: String,
    pub(crate) crc64: u64,
}

impl Checksums {
    /// The hashes of a file's content as it is now; `None` for folders, for content of more than
    /// `max` bytes, which would take too long, and for what cannot be read.
    pub(crate) fn of(&self, node: &Node, max: u64) -> Option<Checksum> {
        let content = node
            .content
            .as_ref()
            .filter(|content| content.size() <= max)?;
        let key = (node.id.clone(), node.revision);
        if let Some(known) = self.0.lock().expect("checksum lock").get(&key) {
            return Some(known.clone());
        }
        let checksum = Checksum::of(content)?;
        let mut known = self.0.lock().expect("checksum lock");
        known.insert(key, checksum.clone());
        Some(checksum)
    }
}

impl Checksum {
    fn of(content: &Content) -> Option<Self> {
        let (mut sha1, mut crc64) = (Sha1::new(), CRC64.digest());
        let mut offset = 0;
        while offset < content.size() {
            let length = CHUNK.min(content.size() - offset);
            let bytes = content.read(offset, usize::try_from(length).ok()?).ok()?;
            sha1.update(&bytes);
            crc64.update(&bytes);
            offset += length;
        }
        Some(Self {
            sha1: hex(&sha1.finalize()).to_uppercase(),
            crc64: crc64.finalize(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ROOT_ID, Tree};

    #[test]
    fn the_hashes_are_the_published_ones() {
        let of = |text: &str| Checksum::of(&text.into()).unwrap();
        assert_eq!(of("123456789").crc64, 11_051_210_869_376_104_954);
        assert_eq!(of("").crc64, 0);
        assert_eq!(of("abc").sha1, "A9993E364706816ABA3E25717850C26C9CD0D89D");
        assert_eq!(of("").sha1, "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709");
    }

    #[test]
    fn a_new_revision_has_new_hashes_and_large_files_have_none() {
        let (tree, checksums) = (Tree::new(), Checksums::default());
        let id = tree.add_file(ROOT_ID, "a", "abc");
        let of = |max| checksums.of(&tree.node(&id).unwrap(), max);
        let old = of(3).unwrap();
        assert_eq!(of(2), None);
        assert!(tree.replace_content(&id, "abd"));
        assert_ne!(of(3).unwrap(), old);
    }
}
