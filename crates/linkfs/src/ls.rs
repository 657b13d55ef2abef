//! `linkfs ls DRIVE:/PATH`

use std::fmt::Write;
use std::time::SystemTime;

use anyhow::Result;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use linkfs_core::{Attributes, Entry, Kind};
use serde::Serialize;

use crate::args::PathArgs;
use crate::browser::Browser;
use crate::output;
use crate::setup::Setup;
use crate::units::Readable;

/// An entry as programs get it.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    kind: &'static str,
    size_bytes: u64,
    modified: Option<String>,
}

pub(crate) fn run(setup: &Setup, args: &PathArgs) -> Result<()> {
    let browser = Browser::open(setup, &args.path.drive)?;
    let found = browser.resolve(&args.path)?;
    let entries = match found.kind {
        Kind::Folder => browser.entries(found.id),
        Kind::File => Ok(vec![Entry {
            name: args.path.to_string().into(),
            attributes: found,
        }]),
    };
    let entries = entries.map_err(|error| browser.explain(&args.path, &error))?;
    if args.output.json {
        let listed: Vec<_> = entries.iter().map(listed).collect();
        output::json(&listed)
    } else if output::is_for_people() {
        output::text(&table(&entries))
    } else {
        output::text(&names(&entries))
    }
}

/// The word for a kind, the same in every command's output.
pub(crate) fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Folder => "folder",
        Kind::File => "file",
    }
}

/// When a drive says that something was changed; the epoch stands for its not saying so.
pub(crate) fn modified(attributes: &Attributes) -> Option<Timestamp> {
    let known = attributes.modified != SystemTime::UNIX_EPOCH;
    Timestamp::try_from(attributes.modified)
        .ok()
        .filter(|_| known)
}

/// A time on the reader's clock.
pub(crate) fn local_time(time: Timestamp) -> String {
    let local = time.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d %H:%M").to_string()
}

fn listed(entry: &Entry) -> Listed<'_> {
    Listed {
        name: &entry.name,
        kind: kind(entry.attributes.kind),
        size_bytes: entry.attributes.size.0,
        modified: modified(&entry.attributes).map(|time| time.to_string()),
    }
}

fn names(entries: &[Entry]) -> String {
    entries.iter().fold(String::new(), |mut text, entry| {
        let _ = writeln!(text, "{}", entry.name);
        text
    })
}

fn table(entries: &[Entry]) -> String {
    let rows: Vec<_> = entries.iter().map(row).collect();
    output::table(&rows, [true, false, false])
}

fn row(entry: &Entry) -> [String; 3] {
    let time = modified(&entry.attributes).map_or("-".to_owned(), local_time);
    let name = output::shown(&entry.name);
    match entry.attributes.kind {
        Kind::Folder => ["-".to_owned(), time, format!("{name}/")],
        Kind::File => [Readable(entry.attributes.size).to_string(), time, name],
    }
}
