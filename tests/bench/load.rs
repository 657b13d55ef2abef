use std::fs::File;
use std::io::{ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use linkfs_emulator::generated_bytes;

use crate::curl::Transfer;
use crate::rig::Rig;
use crate::stock::{Check, Stock};

/// As `cat` and `cp` read.
const BUFFER: usize = 1 << 20;

/// Random offsets are at pages.
const PAGE: u64 = 4096;

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Load {
    /// Every file from its begin to its end, so many at once: open, read, close.
    Files { at_once: usize },
    /// Pieces of the first file at random offsets that are multiples of 4 KiB, none of them twice. Each
    /// thread opens the file once.
    Ranges {
        at_once: usize,
        block: u64,
        count: usize,
    },
}

impl Load {
    /// Bytes that are asked for.
    pub(crate) fn bytes(&self, stock: &Stock) -> u64 {
        match self {
            Load::Files { .. } => stock.size * stock.count() as u64,
            Load::Ranges { block, count, .. } => block * *count as u64,
        }
    }

    /// How much that is, as people count it.
    pub(crate) fn amount(&self, stock: &Stock) -> (f64, &'static str) {
        match self {
            Load::Files { .. } if stock.count() > 100 => (stock.count() as f64, "files"),
            Load::Ranges { block, count, .. } if *block < BUFFER as u64 => (*count as f64, "reads"),
            _ => (self.bytes(stock) as f64 / 1e6, "MB"),
        }
    }

    fn at_once(&self) -> usize {
        match *self {
            Load::Files { at_once } | Load::Ranges { at_once, .. } => at_once,
        }
    }

    /// The same for curl, which has a signed link to each file.
    pub(crate) fn transfers(&self, rig: &Rig, round: u64) -> (Vec<Transfer>, usize) {
        let urls = rig.urls();
        let transfers = match *self {
            Load::Files { .. } => urls.iter().cloned().map(Transfer::get).collect(),
            Load::Ranges { block, count, .. } => offsets(block, count, rig.stock.size, round)
                .into_iter()
                .map(|offset| Transfer::range(urls[0].clone(), offset, block))
                .collect(),
        };
        (transfers, self.at_once())
    }

    /// Reads it below `top`, with a thread for each that reads at once.
    ///
    /// # Panics
    /// When a read fails or gives wrong bytes.
    pub(crate) fn read(&self, top: &Path, stock: &Stock, round: u64, check: Check) {
        match *self {
            Load::Files { at_once } => in_threads(at_once, stock.count(), |next| {
                let mut buffer = vec![0; BUFFER];
                while let Some(index) = next() {
                    let read = read_file(&top.join(stock.path(index)), &mut buffer, |at, bytes| {
                        check.check(index, at, bytes);
                    });
                    let path = stock.path(index);
                    let size = read.unwrap_or_else(|error| panic!("{path}: {error}"));
                    assert_eq!(size, stock.size, "{path}");
                }
            }),
            Load::Ranges {
                at_once,
                block,
                count,
            } => {
                let offsets = offsets(block, count, stock.size, round);
                in_threads(at_once, count, |next| {
                    let file = File::open(top.join(stock.path(0))).expect("the file opens");
                    let mut buffer = vec![0; block as usize];
                    while let Some(number) = next() {
                        let read = file.read_exact_at(&mut buffer, offsets[number]);
                        read.unwrap_or_else(|error| panic!("at {}: {error}", offsets[number]));
                        check.check(0, offsets[number], &buffer);
                    }
                });
            }
        }
    }
}

/// Runs `work` in threads that share the numbers below `count` between them.
fn in_threads(threads: usize, count: usize, work: impl Fn(&dyn Fn() -> Option<usize>) + Sync) {
    let given = AtomicUsize::new(0);
    let next = || {
        let number = given.fetch_add(1, Ordering::Relaxed);
        (number < count).then_some(number)
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&next));
        }
    });
}

fn read_file(path: &Path, buffer: &mut [u8], mut see: impl FnMut(u64, &[u8])) -> Result<u64> {
    let file = File::open(path)?;
    let mut at = 0;
    loop {
        match file.read_at(buffer, at) {
            Ok(0) => return Ok(at),
            Ok(length) => {
                see(at, &buffer[..length]);
                at += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Offsets in an order that looks random, the same for both sides of a round. The pieces do not overlap:
/// each lies somewhere in a part of the file that is its own, so nothing is read twice.
fn offsets(block: u64, count: usize, size: u64, round: u64) -> Vec<u64> {
    let mut random = random_words(round, 2 * count);
    let part = size / count as u64 / PAGE * PAGE;
    let places = (part - block) / PAGE + 1;
    let within = random.split_off(count);
    let mut offsets: Vec<_> = (0..)
        .zip(within)
        .map(|(number, word)| number * part + word % places * PAGE)
        .zip(random)
        .collect();
    offsets.sort_by_key(|(_, key)| *key);
    offsets.into_iter().map(|(offset, _)| offset).collect()
}

fn random_words(seed: u64, count: usize) -> Vec<u64> {
    let mut bytes = vec![0; count * 8];
    // Far from the seeds of the files.
    generated_bytes(seed + (1 << 40), 0, &mut bytes);
    let words = bytes.as_chunks().0.iter();
    words.map(|word| u64::from_le_bytes(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_at_pages_in_another_order_each_round_and_never_overlap() {
        let (block, count, size) = (2 * PAGE, 100, 1000 * PAGE);
        let mut first = offsets(block, count, size, 0);
        assert_eq!(first, offsets(block, count, size, 0));
        assert_ne!(first, offsets(block, count, size, 1));
        assert!(!first.is_sorted());
        first.sort();
        assert!(first.iter().all(|at| at % PAGE == 0));
        assert!(first.windows(2).all(|pair| pair[0] + block <= pair[1]));
        assert!(first[count - 1] + block <= size);
    }

    #[test]
    fn threads_share_the_numbers() {
        let sum = AtomicUsize::new(0);
        in_threads(3, 100, |next| {
            while let Some(number) = next() {
                sum.fetch_add(number, Ordering::Relaxed);
            }
        });
        assert_eq!(sum.into_inner(), 4950);
    }

    #[test]
    fn a_load_reads_what_lies_in_a_folder() {
        let stock = Stock {
            folders: 1,
            files: 3,
            size: 20_000,
        };
        let tree = stock.tree();
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join(stock.first_folder())).unwrap();
        for index in 0..3 {
            let path = stock.path(index);
            let bytes = tree.read(&tree.id_at(&path).unwrap(), 0, 20_000).unwrap();
            std::fs::write(top.path().join(path), bytes).unwrap();
        }
        let ranges = Load::Ranges {
            at_once: 2,
            block: 4096,
            count: 4,
        };
        for (load, bytes) in [(Load::Files { at_once: 2 }, 60_000), (ranges, 4 * 4096)] {
            load.read(top.path(), &stock, 0, Check::Bytes);
            assert_eq!(load.bytes(&stock), bytes);
        }
    }
}
