//! What linkfs and a plugin process say to each other: one JSON object a line, in UTF-8.
//!
//! The plugin speaks first, on its stdout; after that linkfs asks on the plugin's stdin, and the plugin
//! answers every question once, in any order:
//!
//! ```text
//! plugin  {"protocols":[1],"name":"pds","version":"0.1.0"}                              Hello
//! linkfs  {"protocol":1,"config":{...},"state_dir":"..."}                               Configure
//! plugin  {"about":{"root":"0"},"abilities":["sharing"]}                                Ready
//! linkfs  {"id":1,"call":"links","files":["a","b"]}                                     Request
//! plugin  {"id":1,"ok":[{"ok":{"urls":["..."],"valid_for_ms":900000}},{"error":{...}}]} Answer
//! linkfs  {"cancel":2}                                                                  Cancel
//! ```
//!
//! - Unknown fields are ignored and unknown calls answered with `unsupported`, so both sides may grow.
//! - A question that was cancelled is answered too, with anything.
//! - The end of stdin means stop. What the plugin writes to stderr goes into the log of linkfs.
//!
//! These types are the form of the messages and nothing else: names here outlive those of the contract,
//! which they are turned into and made of. Times are milliseconds from 1970 on, durations milliseconds.
//! `wire.schema.json` is the same form as a JSON Schema, and `tests/wire` has an example of every message.

mod about;
mod error;
mod item;
mod line;
mod link;
mod message;
#[cfg(test)]
mod schema;
mod sharing;
mod time;

pub use about::{About, Space, SpaceKind, Usage};
pub use error::{Error, ErrorKind, Outcome};
pub use item::{Item, ItemKind, Page};
pub use line::{line, read_line};
pub use link::Link;
pub use message::{
    Ability, Answer, Call, Cancel, Configure, FromHost, Hello, LoginStep, Ready, Request,
};
pub use sharing::{
    Audience, Permission, Received, Share, SharePage, SharePassword, ShareState, ShareTerms, Task,
    TaskState,
};

/// The version of the protocol. It changes only when messages of the old one would be misunderstood.
pub const PROTOCOL: u32 = 1;

/// The longest line that is read, in bytes: a page of 20,000 items takes a quarter of it.
pub const LONGEST_LINE: usize = 32 * 1024 * 1024;

/// The header by which a plugin's proxy says of an answer that it is its own, and why there is no other.
pub const REFUSAL_HEADER: &str = "linkfs-refusal";

use serde::{Serialize, Serializer};

use crate::Secret;

/// Writes a secret where it belongs: on the pipe between linkfs and the plugin.
fn exposed<T: Serialize, S: Serializer>(secret: &Secret<T>, to: S) -> Result<S::Ok, S::Error> {
    secret.expose().serialize(to)
}

/// The same for one that may be missing.
fn exposed_if_any<T: Serialize, S: Serializer>(
    secret: &Option<Secret<T>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(to)
}
