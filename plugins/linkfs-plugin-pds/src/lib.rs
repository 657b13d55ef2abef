//! Alibaba Cloud Drive and Photo Service (PDS) as a linkfs provider.
//!
//! Somebody else's share link can be opened as well, and needs a login only when it asks for one:
//!
//! ```toml
//! [drives.theirs]
//! plugin = "pds"
//! share = "https://bj9.apps.aliyunpds.com/disk/s/9kQ2xYz1AbC"    # or the id alone, with `domain`
//! password = { env = "SHARE_PASSWORD" }
//! ```
//!
//! The map, from the outside in:
//! - `config` reads the settings and refuses contradictory ones;
//! - `drive` is the [`Provider`]: it asks `listing`, `links`, `usage` and
//!   `spaces` for requests and hands them the answers;
//! - `sharing` is the [`Sharing`](linkfs_provider::Sharing): `share_terms` says what the drive can
//!   honour, `share_link` reads what it tells, `share_attempts` remembers what it may have heard;
//! - `received` is the [`Provider`] of somebody else's share, which a `share_session` opens;
//! - `account` puts the authorization on a call and renews it when it is refused: refresh tokens work
//!   once, so the next one is on disk before it is used, and one process at a time renews; `browser`
//!   logs in with a person's help;
//! - `oauth` asks for tokens, with an `assertion` where there is no refresh token; `token` is what
//!   comes of it;
//! - `client` makes one HTTP call; `error_codes` reads the refusals.
//!
//! Never: a second try for anything but a refused login, a cache of listings or links, a byte of a
//! file.

mod account;
mod assertion;
mod browser;
mod client;
mod config;
mod drive;
mod error_codes;
mod item;
mod links;
mod listing;
mod oauth;
mod random;
mod received;
mod share_attempts;
mod share_link;
mod share_session;
mod share_terms;
mod sharing;
mod spaces;
mod token;
mod usage;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod drive_tests;
#[cfg(test)]
mod received_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod test_server;

use std::sync::Arc;

use linkfs_provider::{OpenFuture, Plugin, Provider, Settings};

use crate::drive::PdsDrive;
use crate::received::ReceivedShare;

/// The plugin: `plugin = "pds"`.
pub const PLUGIN: Plugin = Plugin {
    name: "pds",
    version: env!("CARGO_PKG_VERSION"),
    summary: "Alibaba Cloud PDS: the drives of a domain",
    hosts: &["*.aliyunpds.com"],
    open,
};

fn open(settings: Settings) -> OpenFuture {
    Box::pin(async move {
        let config = settings.parse::<config::Config>()?;
        let state_dir = &settings.state_dir;
        let drive: Arc<dyn Provider> = match config.is_share() {
            true => Arc::new(ReceivedShare::open(config.check_share()?, state_dir)?),
            false => Arc::new(PdsDrive::open(config.check()?, state_dir)?),
        };
        Ok(drive)
    })
}
