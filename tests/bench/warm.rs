//! Memory for what is about to be read.

use std::hint::black_box;

/// What the kernel and both programs take beside the bytes.
const BESIDE: u64 = 256 << 20;

/// Has the machine make ready the memory that reading `bytes` will fill. The host of a virtual machine takes
/// back what lies free for a while and gives it again at the first touch, page by page: measured, filling such
/// memory took four to eight times as long as filling it again. Whoever reads first would pay for it.
pub(crate) fn warm_memory(bytes: u64) {
    let length = usize::try_from(bytes + BESIDE).expect("it fits into memory");
    drop(black_box(vec![1_u8; length]));
}
