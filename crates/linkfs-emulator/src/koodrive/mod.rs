//! KooDrive, emulated: its open API on one port, its object storage on another.
//!
//! Files: list, detail, path, search, download. Sessions, carrier sign-in, signed app calls.
//! Spaces and usage. Shares, visits of shares, share tasks. What the documents leave open or say
//! twice is in [`Knobs`], with the reading that is thought right as the default.

mod answer;
mod api;
mod app_signature;
mod auth;
mod downloads;
mod drive;
mod emulator;
mod files;
mod knobs;
mod listing;
mod paging;
mod route;
mod sessions;
mod share_book;
mod share_tasks;
mod share_visits;
mod shares;
mod spaces;

use crate::call;

pub use emulator::{Credentials, Emulator, Options};
pub use knobs::{ArrayShape, AuthScheme, Knobs, RefreshShape, ShareShape, Tolerance};
