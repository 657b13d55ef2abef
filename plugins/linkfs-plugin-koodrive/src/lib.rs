//! Huawei KooDrive as a linkfs provider.
//!
//! The map, from the outside in:
//! - `config` reads the settings and refuses contradictory ones;
//! - `drive` is the provider: it asks `listing`, `links` and `usage` for
//!   requests and hands them the answers; `spaces` tells what else could be mounted;
//! - `sharing` makes links for other people: `share_terms` is what is asked, `share_fields` what is
//!   told, and `share_attempts` keeps one share from being made twice;
//! - `visitor` is in somebody else's share: `receiving` takes from it, with `share_task` for what the
//!   drive does meanwhile, and `shared_drive` is the provider of it;
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
mod receiving;
mod share_attempts;
mod share_fields;
mod share_task;
mod share_terms;
mod shared_drive;
mod sharing;
mod spaces;
mod token;
mod token_store;
mod usage;
mod visitor;

#[cfg(test)]
mod account_tests;
#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod drive_tests;
#[cfg(test)]
mod receiving_tests;
#[cfg(test)]
mod sharing_tests;
#[cfg(test)]
mod test_server;

use std::sync::Arc;

use linkfs_provider::{OpenFuture, Plugin, Settings};

use crate::config::Place;
use crate::drive::KooDrive;
use crate::shared_drive::SharedDrive;

/// The plugin: `plugin = "koodrive"`.
pub const PLUGIN: Plugin = Plugin {
    name: "koodrive",
    version: env!("CARGO_PKG_VERSION"),
    summary: "Huawei KooDrive: personal and team spaces",
    hosts: &["*.myhuaweicloud-koodrive.com"],
    open,
};

fn open(settings: Settings) -> OpenFuture {
    Box::pin(async move {
        let setup = settings.parse::<config::Config>()?.check()?;
        let (login, state_dir) = (setup.login, &settings.state_dir);
        Ok(match setup.place {
            Place::Space(space) => Arc::new(KooDrive::open(login, space, state_dir)?) as _,
            Place::Share(ticket) => Arc::new(SharedDrive::open(login, ticket, state_dir)?) as _,
        })
    })
}
