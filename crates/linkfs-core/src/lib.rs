//! The drives as one tree: names, listings, links, blocks and reads.
//!
//! This crate knows no kernel and no process. The FUSE adapter turns kernel requests into calls on
//! [`Volume`]; providers are asked through `linkfs-provider`; bytes come by HTTP Range requests.
//!
//! Reading goes down through these modules, one step each:
//! `volume` (who asks) -> `open_file` (what is likely next) -> `content` (one version of one file)
//! -> `block_cache` (what is there) -> `link_cache` (how to get the rest) -> `fetch` (one range).

mod attribute;
mod block;
mod block_cache;
mod content;
mod control_folder;
mod drive;
mod error;
mod fetch;
mod hosts;
mod link_cache;
mod listing;
mod names;
mod node;
mod open_file;
mod range_job;
mod read_pattern;
mod retry;
mod shortcut;
mod status;
mod tree;
mod volume;

pub use block::BLOCK_SIZE;
pub use drive::{Drive, DriveOptions};
pub use error::{Error, Result};
pub use link_cache::Lease;
pub use node::{Attributes, Entry, Kind, NodeId};
pub use open_file::{HandleId, ReadBytes};
pub use status::{DriveStatus, Status};
pub use volume::{Layout, Opened, Volume, VolumeOptions, VolumeUsage};
