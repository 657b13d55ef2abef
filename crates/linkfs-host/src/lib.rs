//! Finds the plugin that a drive asks for, and runs it confined, in a process of its own.
//!
//! The host knows plugins by name alone: which ones exist is the program's table, what they do is
//! theirs.

#![deny(missing_docs)]

pub mod check;
mod find;
mod network;
mod process;
pub mod proxy;
pub mod sandbox;
mod suggestion;

pub use find::{Found, NoPlugin, PREFIX, find, programs};
pub use network::Network;
pub use process::Launch;
