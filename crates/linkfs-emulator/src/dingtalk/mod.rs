//! DingTalk's storage, emulated: its API on one port, its object storage on several.
//!
//! Tokens of all forms, spaces and quotas, listings, single and batched questions, versions,
//! wiki nodes, download information with signed headers, permissions. Links name several data
//! ports; each checks the headers that were handed out. What the documents leave open or say twice
//! is in [`Knobs`], with the reading that is thought right as the default.
//!
//! Counters and faults know the calls as `token.app`, `token.corp`, `token.user`, `user.me`;
//! `space.list`, `space.mine`, `space.get`, `space.org`; `list`, `list.all`, `dentry.get`,
//! `dentry.batch`, `dentry.versions`, `thumbnails`, `search`; `download`, `download.drive`;
//! `permission.add` (`update`, `remove`, `query`, `scope`, `set_scope`), `open_info`;
//! `wiki.workspaces`, `wiki.mine`, `wiki.nodes`, `wiki.by_url`, `doc.dentry_id`,
//! `doc.dentry_uuid`; and the ports as `data.0`, `data.1`, ..., `redirect`.

mod accounts;
mod answer;
mod api;
mod data_port;
mod dentries;
mod dentry;
mod doc;
mod downloads;
mod drive;
mod emulator;
mod header_signature;
mod knobs;
mod link_book;
mod meter;
mod paging;
mod permissions;
mod redirect_target;
mod route;
mod spaces;
mod version_book;

use crate::call;

pub use answer::refusal;
pub use emulator::{Credentials, Emulator, Options};
pub use knobs::{
    DateStyle, EndOfList, ErrorStyle, Knobs, QuotaShape, StatedLife, ThrottleCode, TimeFormat,
};
pub use redirect_target::{Received, RedirectTarget};
