//! The emulated PDS, seen by a plain HTTP client.

mod client;
mod items;
mod links;
mod shares;
mod tokens;
