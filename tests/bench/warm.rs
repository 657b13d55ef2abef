//! Memory for what is about to be read.

use std::hint::black_box;

use memmap2::{Advice, MmapMut};

/// What the kernel and both programs take beside the bytes.
const BESIDE: u64 = 256 << 20;

/// Has the machine make ready the memory that reading `bytes` will fill. The host of a virtual machine takes
/// back what lies free for a while and gives it again at the first touch: measured, the first 280 MB/s of such
/// memory were 6 GB/s the second time. Whoever reads first would pay for it. It takes back huge pages alone, so
/// it is these that are touched: small ones would come from between them, where nothing is missing.
///
/// # Panics
/// When there is not so much memory.
pub(crate) fn warm_memory(bytes: u64) {
    let length = usize::try_from(bytes + BESIDE).expect("it fits into memory");
    let mut memory = MmapMut::map_anon(length).expect("there is so much memory");
    // A kernel without them touches small ones, which is better than nothing.
    let _told = memory.advise(Advice::HugePage);
    memory.fill(1);
    black_box(&memory);
}
