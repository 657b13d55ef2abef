//! `linkfs link DRIVE:/PATH`: the one command that shows a signed address, because it is asked to.

use std::collections::BTreeMap;

use anyhow::Result;
use linkfs_core::Lease;
use linkfs_provider::SignedUrl;
use serde::Serialize;

use crate::args::PathArgs;
use crate::browser::Browser;
use crate::output;
use crate::setup::Setup;

/// A link as programs get it.
#[derive(Serialize)]
struct Exposed<'a> {
    urls: Vec<&'a str>,
    headers: BTreeMap<&'a str, &'a str>,
    valid_for_seconds: u64,
}

pub(crate) fn run(setup: &Setup, args: &PathArgs) -> Result<()> {
    let browser = Browser::open(setup, &args.path.drive)?;
    let found = browser.resolve(&args.path)?;
    let lease = browser.workers.run(browser.volume.link(found.id));
    let lease = lease.map_err(|error| browser.explain(&args.path, &error))?;
    let link = expose(&lease);
    // With headers to be sent, the address alone would be refused.
    if args.output.json || !link.headers.is_empty() {
        return output::json(&link);
    }
    let best = link.urls.first().copied().unwrap_or_default();
    output::text(&format!("{best}\n"))
}

fn expose(lease: &Lease) -> Exposed<'_> {
    let headers = lease.link.headers.iter();
    Exposed {
        urls: lease.link.urls.iter().map(SignedUrl::expose).collect(),
        headers: headers
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
            .collect(),
        valid_for_seconds: lease.time_left().as_secs(),
    }
}
