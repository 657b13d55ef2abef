//! Alibaba PDS, emulated: its HTTP API on one port, its object storage (OSS) on three others.
//!
//! Tokens that rotate, drives, listings, items, download links, share links and their visitors,
//! quotas, users. What the documents
//! leave open or say twice is in [`Knobs`], with the reading that is thought right as the default.
//!
//! The file ids of the API are the tree's ids made long, see [`file_id`]; counters and fault rules
//! know the tree's. The object store answers on the addresses of `url` (fault rules call it
//! `data.url`), of `cdn_url` (`data.cdn`) and of `internal_url` (`data.internal`); a rule on `data`
//! concerns all three.
//!
//! [`crate::Action::DriveError`] and [`crate::Action::ItemError`] carry a number; here it is the
//! HTTP status, and the message, unless empty, is the drive's error code, such as `NotFound.File`.
//! A status of 502 or 504 without a body is a failure of the gateway: headers alone say what it is.
//!
//! Counters and faults know the calls of share links as `share.create`, `share.get`, `share.list`,
//! `share.update`, `share.cancel`; those of visitors as `share.look`, `share.token` and
//! `share.download`, and as `list` and `get` like any others.
//!
//! A link lasts as long as its call asks, but never longer than [`crate::LinkPolicy::life_s`];
//! [`crate::LinkPolicy::style`] is not used, [`Knobs::signature`] is.

mod accounts;
mod answer;
mod api;
mod batch;
mod data;
mod drive;
mod drives;
mod emulator;
mod files;
mod ids;
mod knobs;
mod links;
mod listing;
mod oauth;
mod oss_link;
mod paging;
mod share_book;
mod share_fields;
mod share_links;
mod share_visits;

pub use emulator::{Credentials, Emulator, Options};
pub use ids::file_id;
pub use knobs::{
    CrcShape, ErrorShape, ExpirationShape, Knobs, Rotation, Signature, TimeShape, UrlShape,
};
pub use share_book::{Limits, Share, Switches};
