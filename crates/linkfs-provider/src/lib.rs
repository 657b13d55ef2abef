//! The contract between linkfs and a cloud drive.
//!
//! A [`Provider`] is one account on one drive, answering questions: it lists, stats, signs and shares,
//! and never carries file bytes. The caller reads the bytes itself, with HTTP Range requests on the
//! [`Link`]s that the provider hands out.
//!
//! Who does what:
//! - the *provider* asks the drive once per call, turns its answer into the types of this crate, and
//!   its errors into [`ErrorKind`]s; it logs in and refreshes its own tokens;
//! - the *caller* decides about retries, deadlines, caching and concurrency, all by [`ErrorKind`].
//!
//! A plugin crate exports one [`Plugin`] value, and that is all the rest of linkfs knows of it. It runs as
//! a process of its own, which [`serve`] is the `main` of; what is said there is in [`wire`].

#![deny(missing_docs)]

mod error;
mod item;
mod link;
mod plugin;
mod process;
mod provider;
mod public_address;
mod redactor;
mod secret;
mod serve;
mod sharing;
mod space;
mod units;
mod web_address;
pub mod wire;

pub use async_trait::async_trait;
pub use error::{ErrorKind, ProviderError, Result};
pub use item::{Hashes, Item, ItemId, ItemKind, Page, PageToken, Version};
pub use link::{Link, SignedUrl};
pub use plugin::{OpenFuture, Plugin, Settings};
pub use process::{Process, ProcessState};
pub use provider::{About, Login, LoginStep, Provider, Usage};
pub use public_address::is_public_address;
pub use redactor::Redactor;
pub use secret::Secret;
pub use serve::serve;
pub use sharing::{
    Audience, Permissions, Received, Receiving, Share, ShareCounters, ShareId, SharePage,
    SharePassword, ShareState, ShareTerms, Sharing, Task, TaskId, TaskState,
};
pub use space::{Space, SpaceKind, Spaces};
pub use units::{ByteCount, Offset};
pub use web_address::WebAddress;
