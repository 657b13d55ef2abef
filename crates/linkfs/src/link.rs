//! `linkfs link DRIVE:/PATH`: it shows a signed address because it is asked to.

use anyhow::Result;

use crate::args::PathArgs;
use crate::browser::Browser;
use crate::output;
use crate::setup::Setup;

pub(crate) fn run(setup: &Setup, args: &PathArgs) -> Result<()> {
    let browser = Browser::open(setup, &args.path.drive)?;
    let found = browser.resolve(&args.path)?;
    let lease = browser.workers.run(browser.volume.link(found.id));
    let lease = lease.map_err(|error| browser.explain(&args.path, &error))?;
    // With headers to be sent, the address alone would be refused.
    match lease.plain_address().filter(|_| !args.output.json) {
        Some(address) => output::text(&format!("{address}\n")),
        None => output::json(&lease.as_json()),
    }
}
