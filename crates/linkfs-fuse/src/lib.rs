//! The FUSE adapter: kernel requests in, replies out.
//!
//! Every request becomes one call on the [`Volume`](linkfs_core::Volume). Its future is polled once on the
//! kernel's thread: what is in memory is answered there and then, and only what has to wait moves to the
//! runtime, together with its reply. No kernel thread ever blocks.

mod answer;
mod attributes;
mod caller;
mod errno;
mod filesystem;
mod mount;
mod passthrough;
mod read_ahead;

pub use mount::{FILE_SYSTEM_TYPE, MountOptions, Mounted, mount};
