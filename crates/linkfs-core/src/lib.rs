//! The drives as one tree: names, listings, links, blocks and reads.
//!
//! This crate knows no kernel and no process. The FUSE adapter turns kernel requests into calls on
//! [`Volume`]; providers are asked through `linkfs-provider`; bytes come by HTTP Range requests.
//!
//! Reading goes down through these modules, one step each:
//! `volume` (who asks) -> `open_file` (what is likely next) -> `content` (one version of one file)
//! -> `block_cache` (what is there) -> `link_cache` (how to get the rest) -> `fetch` (one range).

mod admission;
mod answer_times;
mod arena;
mod attribute;
mod block;
mod block_cache;
mod connection_rate;
mod content;
mod content_hash;
mod contents;
mod control;
mod control_folder;
mod digest;
mod disk_cache;
mod disk_calls;
mod drive;
mod entity_tag;
mod error;
mod failures;
mod fetch;
mod health;
mod host_scores;
mod hosts;
mod lease;
mod link_cache;
mod listing;
mod memory;
mod names;
mod node;
mod open_file;
mod pace;
mod pin;
mod prepared_link;
mod private_file;
mod range_job;
mod read_pattern;
mod recent_failures;
mod retry;
mod saved_listings;
mod sharing;
mod shortcut;
mod status;
mod stored;
mod tasks;
mod tree;
mod volume;
mod walk;

pub use attribute::is_for_owner;
pub use block::BLOCK_SIZE;
pub use disk_cache::DiskCacheStats;
pub use drive::{Drive, DriveOptions};
pub use error::{Error, Result};
pub use lease::Lease;
pub use node::{Attributes, Entry, Kind, NodeId};
pub use open_file::{HandleId, ReadBytes};
pub use saved_listings::SavedListings;
pub use sharing::{
    AudienceKind, AuditFile, Caller, DeniedPaths, SetMode, SharePolicy, parse_expiry,
    read_permissions,
};
pub use status::{DriveStatus, HostStatus, MemoryStatus, ShareStatus, Status};
pub use tree::NameKeeper;
pub use volume::{DiskOptions, Layout, Opened, ShareOptions, Volume, VolumeOptions, VolumeUsage};
