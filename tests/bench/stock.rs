use std::fmt;
use std::str::FromStr;

use linkfs_emulator::{Content, ROOT_ID, Tree, generated_bytes};

/// Files up to this size are generated when they are asked for.
const SMALL: u64 = 1 << 20;

/// A page of the kernel.
const PAGE: usize = 4096;

/// What the drive holds, by three numbers, so that every byte of it is known to both processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stock {
    /// Folders at the top; with none, the files are at the top.
    pub(crate) folders: usize,
    /// Files in each.
    pub(crate) files: usize,
    /// Bytes of each.
    pub(crate) size: u64,
}

impl Stock {
    /// Files of the whole drive.
    pub(crate) fn count(&self) -> usize {
        self.folders.max(1) * self.files
    }

    /// Where a file is, below the top.
    pub(crate) fn path(&self, index: usize) -> String {
        let name = file_name(index);
        match self.folders {
            0 => name,
            _ => format!("{}/{name}", folder_name(index / self.files)),
        }
    }

    /// The folder of the first file, below the top; empty for the top.
    pub(crate) fn first_folder(&self) -> String {
        match self.folders {
            0 => String::new(),
            _ => folder_name(0),
        }
    }

    /// The drive's content.
    pub(crate) fn tree(&self) -> Tree {
        let tree = Tree::new();
        let mut parent = ROOT_ID.to_owned();
        for index in 0..self.count() {
            if self.folders > 0 && index % self.files == 0 {
                parent = tree.add_folder(ROOT_ID, &folder_name(index / self.files));
            }
            tree.add_file(&parent, &file_name(index), self.content(index));
        }
        tree
    }

    /// The seed of a file's bytes.
    pub(crate) fn seed(index: usize) -> u64 {
        index as u64 + 1
    }

    /// Large files are made before the clock starts: a server does not compute what it serves.
    fn content(&self, index: usize) -> Content {
        let (seed, size) = (Stock::seed(index), self.size);
        if size <= SMALL {
            return Content::Generated { seed, size };
        }
        let mut bytes = vec![0; usize::try_from(size).expect("it fits into memory")];
        generated_bytes(seed, 0, &mut bytes);
        Content::from(bytes)
    }
}

fn folder_name(index: usize) -> String {
    format!("folder-{index:04}")
}

fn file_name(index: usize) -> String {
    format!("file-{index:07}.bin")
}

/// How thoroughly bytes are looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Check {
    /// The first word of every page: cheap enough to be done while the clock runs, and enough to
    /// notice pages that are missing, shifted or another's.
    Pages,
    /// Every byte.
    Bytes,
}

impl Check {
    /// Checks that `bytes` are those of file `index` from `offset`.
    ///
    /// # Panics
    /// When they are others.
    pub(crate) fn check(self, index: usize, offset: u64, bytes: &[u8]) {
        let looked_at = match self {
            Check::Pages => 8,
            Check::Bytes => PAGE,
        };
        let mut expected = [0; PAGE];
        let mut offset = offset;
        for page in bytes.chunks(PAGE) {
            let length = looked_at.min(page.len());
            generated_bytes(Stock::seed(index), offset, &mut expected[..length]);
            assert!(
                page[..length] == expected[..length],
                "wrong bytes in file {index} at {offset}"
            );
            offset += page.len() as u64;
        }
    }
}

impl fmt::Display for Stock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}x{}", self.folders, self.files, self.size)
    }
}

impl FromStr for Stock {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Result<Vec<u64>, _> = text.split('x').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([folders, files, size]) => Ok(Stock {
                folders: *folders as usize,
                files: *files as usize,
                size: *size,
            }),
            _ => Err(format!("{text} is not FOLDERSxFILESxSIZE")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: Stock = Stock {
        folders: 2,
        files: 3,
        size: 10_000,
    };

    #[test]
    fn the_drive_holds_what_the_numbers_say() {
        let tree = STOCK.tree();
        for index in 0..STOCK.count() {
            let id = tree.id_at(&STOCK.path(index)).expect("it is there");
            let bytes = tree.read(&id, 5, 9000).expect("it can be read");
            Check::Bytes.check(index, 5, &bytes);
        }
        assert_eq!(tree.total_size(), 60_000);
    }

    #[test]
    fn its_text_can_be_read_back() {
        assert_eq!(STOCK.to_string().parse(), Ok(STOCK));
        assert!("2x3".parse::<Stock>().is_err());
    }

    #[test]
    #[should_panic(expected = "wrong bytes in file 0 at 4096")]
    fn another_page_is_noticed_at_a_glance() {
        let mut bytes = [0; 2 * PAGE];
        generated_bytes(Stock::seed(0), 0, &mut bytes);
        bytes.copy_within(..PAGE, PAGE);
        Check::Pages.check(0, 0, &bytes);
    }

    #[test]
    #[should_panic(expected = "wrong bytes in file 0 at 0")]
    fn a_single_byte_is_noticed_by_the_whole_check() {
        let mut bytes = [0; PAGE];
        generated_bytes(Stock::seed(0), 0, &mut bytes);
        bytes[PAGE - 1] ^= 1;
        Check::Bytes.check(0, 0, &bytes);
    }
}
