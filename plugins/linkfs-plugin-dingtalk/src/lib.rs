//! DingTalk storage as a linkfs provider.
//!
//! ```toml
//! [drives.team]
//! plugin = "dingtalk"
//! endpoint = "https://api.dingtalk.io"    # the international edition; else https://api.dingtalk.com
//! space = "854001"
//! root = "5500"                           # a folder's dentry id; else the whole space
//! union_id = "..."                        # the person with whose rights the app looks
//! app_key = "..."                         # or corp_id, client_id and client_secret; or token
//! app_secret = { env = "DINGTALK_SECRET" }
//! ```
//!
//! The app needs the permissions `Storage.File.Read` and `Storage.DownloadInfo.Read`, and
//! `Drive.Space.Read` to list a person's spaces; to share it needs `Storage.Permission.Read`,
//! `Storage.Permission.Write` and `Storage.Space.Read`. An online document
//! has no bytes to download: it is a web document, with the address of its page.
//!
//! The map, from the outside in:
//! - `config` reads the settings and refuses contradictory ones;
//! - `drive` is the [`Provider`]: it asks `listing`, `links` and `usage` for
//!   requests and hands them the answers; `spaces` tells what else could be mounted;
//! - `dentry` reads one file or folder, `known_versions` remembers which version of it was shown;
//! - `sharing` is the [`Sharing`](linkfs_provider::Sharing): `share_terms` says what the drive can
//!   honour, `permissions` asks and changes who may do what, `share_plan` says what has to change, and
//!   `share_book` keeps what was given;
//! - `account` puts the app's token on a call and gets a new one when it is refused, as `login` says,
//!   and keeps it in the `token_store`;
//! - `client` makes one HTTP call; `refusal` reads why one did not succeed, `timestamp` the times.
//!
//! Never: a second try for anything but a refused token or a version that is gone, a cache of listings
//! or links, a byte of a file.

mod account;
mod client;
mod config;
mod dentry;
mod drive;
mod known_versions;
mod links;
mod listing;
mod login;
mod permissions;
mod refusal;
mod share_book;
mod share_plan;
mod share_terms;
mod sharing;
mod space;
mod spaces;
mod timestamp;
mod token_store;
mod usage;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod drive_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod test_server;

use std::sync::Arc;

use linkfs_provider::{OpenFuture, Plugin, Provider, Settings};

/// The plugin: `plugin = "dingtalk"`.
pub const PLUGIN: Plugin = Plugin {
    name: "dingtalk",
    version: env!("CARGO_PKG_VERSION"),
    summary: "DingTalk storage: team and personal spaces",
    hosts: &["api.dingtalk.com", "oapi.dingtalk.com"],
    open,
};

fn open(settings: Settings) -> OpenFuture {
    Box::pin(async move {
        let setup = settings.parse::<config::Config>()?.check()?;
        let drive = drive::DingTalk::open(setup, &settings.state_dir)?;
        Ok(Arc::new(drive) as Arc<dyn Provider>)
    })
}
