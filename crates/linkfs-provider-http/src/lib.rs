//! What the plugins of HTTP drives have in common.
//!
//! Small pieces, and no framework: a plugin keeps its own calls, envelopes and error codes, and takes
//! from here what every drive needs in the same form.
//! - [`settings`]: addresses and secrets of the configuration, checked;
//! - [`Client`]: one HTTP request, one bounded [`Answer`], errors without addresses;
//! - [`status`]: what an HTTP status means when the drive has no code of its own;
//! - [`DriveClock`], [`timestamp`], [`signed_url`]: the drive's time, and times as drives write them;
//! - [`path`]: ids in addresses;
//! - [`value`]: fields of JSON answers, read tolerantly;
//! - [`Credential`]: what calls are authorized with, renewed once however many are refused;
//! - [`TokenFile`]: the tokens that must outlive the process.

#![deny(missing_docs)]

mod client;
mod credential;
mod drive_clock;
pub mod path;
pub mod settings;
pub mod signed_url;
pub mod status;
pub mod timestamp;
mod token_file;
pub mod value;

pub use client::{Answer, Client};
pub use credential::{Credential, Pass};
pub use drive_clock::DriveClock;
pub use token_file::{TokenFile, TokenLock};
