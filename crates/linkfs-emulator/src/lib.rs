//! Cloud drives, emulated: the answers of their APIs and the object storage behind them.
//!
//! Each drive is written from the drive's own specification and shares no type with the plugin
//! that talks to it; one misreading shared by both would hide in both. What all drives share is
//! here: the content ([`Tree`], [`Content`]), the object store that checks signed links, a
//! [`Clock`] that tests move, [`Faults`] that make any call go wrong, [`Counters`] of everything
//! that was asked and served, and the [`control`] port that offers all of it over HTTP.

mod body;
mod call;
mod checksums;
mod clock;
mod cloud;
mod connection;
mod content;
pub mod control;
mod counters;
mod digest;
pub mod dingtalk;
mod emulated;
mod faults;
pub mod fixtures;
mod folder;
mod gate;
pub mod koodrive;
mod lies;
mod line;
mod link_policy;
mod mime;
mod object_store;
mod pacing;
pub mod pds;
mod range;
mod refusal;
mod server;
mod setting;
mod signed_url;
mod site;
mod tree;
mod web;

pub use clock::Clock;
pub use cloud::Cloud;
pub use content::{Content, generated_bytes, revised_seed};
pub use counters::{Counters, Counts, DataRequest, FileCounts};
pub use emulated::{CallNames, EmulatedDrive};
pub use faults::{Action, Faults, RetryAfter, Rule};
pub use link_policy::{LinkPolicy, LinkStyle};
pub use pacing::Pacing;
pub use setting::Setting;
pub use tree::{NewNode, Node, ROOT_ID, Tree};
pub use web::WebServer;
