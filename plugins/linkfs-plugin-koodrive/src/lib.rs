//! Huawei KooDrive as a linkfs provider.
//!
//! The map, from the outside in:
//! - `config` reads the settings and refuses contradictory ones;
//! - `drive` is the [`Provider`]: it asks `listing`, `links` and `usage` for
//!   requests and hands them the answers; `spaces` tells what else could be mounted;
//! - `sharing` makes links for other people: `share_terms` is what is asked, `share_fields` what is
//!   told, and `share_attempts` keeps one share from being made twice;
//! - `account` puts the authorization on a call and renews it when it is refused, with the requests of
//!   `login`, the `token` they give and the `token_store` that outlives the process;
//! - `client` makes one HTTP call; `envelope` reads the answer, `error_codes` the refusals.
//!
//! Never: a second try for anything but a refused login or an id missing from a batch, a cache of
//! listings or links, a byte of a file.

mod account;
mod app_signature;
mod client;
mod config;
mod drive;
mod envelope;
mod error_codes;
mod item;
mod item_answer;
mod keep_alive;
mod link_expiry;
mod links;
mod listing;
mod login;
mod random;
mod share_attempts;
mod share_fields;
mod share_terms;
mod sharing;
mod spaces;
mod token;
mod token_store;
mod usage;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod drive_tests;
#[cfg(test)]
mod test_server;

use std::sync::Arc;

use linkfs_provider::{OpenFuture, Plugin, Provider, Settings};

/// The plugin: `plugin = "koodrive"`.
pub const PLUGIN: Plugin = Plugin {
    name: "koodrive",
    summary: "Huawei KooDrive: personal and team spaces",
    open,
};

fn open(settings: Settings) -> OpenFuture {
    Box::pin(async move {
        let setup = settings.parse::<config::Config>()?.check()?;
        let drive = drive::KooDrive::open(setup, &settings.state_dir)?;
        Ok(Arc::new(drive) as Arc<dyn Provider>)
    })
}
