//! `linkfs stat DRIVE:/PATH`

use std::collections::BTreeMap;

use anyhow::Result;
use linkfs_core::{Attributes, Kind};
use serde::Serialize;

use crate::args::PathArgs;
use crate::browser::Browser;
use crate::setup::Setup;
use crate::units::Readable;
use crate::{ls, output};

/// The hashes that drives are known to list.
const HASHES: [&str; 5] = ["sha1", "sha256", "md5", "crc64", "etag"];

/// What is known of a file or folder.
#[derive(Serialize)]
struct Known {
    path: String,
    kind: &'static str,
    size_bytes: u64,
    modified: Option<String>,
    inode: u64,
    id: Option<String>,
    /// The name on the drive, where it is no file name as it stands.
    name: Option<String>,
    version: Option<String>,
    mime: Option<String>,
    /// The page of an online document.
    url: Option<String>,
    hashes: BTreeMap<&'static str, String>,
}

pub(crate) fn run(setup: &Setup, args: &PathArgs) -> Result<()> {
    let browser = Browser::open(setup, &args.path.drive)?;
    let found = browser.resolve(&args.path)?;
    let known = known(&browser, args.path.to_string(), &found);
    match args.output.json {
        true => output::json(&known),
        false => output::text(&lines(&known, &found)),
    }
}

fn known(browser: &Browser, path: String, found: &Attributes) -> Known {
    // What the drive does not tell is left out.
    let attribute = |name: &str| {
        let name = format!("user.linkfs.{name}");
        let value = browser.volume.attribute(found.id, &name);
        browser.workers.run(value).ok()
    };
    let hash = |name| Some((name, attribute(&format!("hash.{name}"))?));
    Known {
        kind: ls::kind(found.kind),
        size_bytes: found.size.0,
        modified: ls::modified(found).map(|time| time.to_string()),
        inode: found.id.0,
        id: attribute("id"),
        name: attribute("name").filter(|name| !path.ends_with(&format!("/{name}"))),
        version: attribute("version"),
        mime: attribute("mime"),
        // Not the attribute: of a file that is a link to its bytes, which nobody asked for.
        url: browser.volume.web_address(found.id),
        hashes: HASHES.into_iter().filter_map(hash).collect(),
        path,
    }
}

fn lines(known: &Known, found: &Attributes) -> String {
    let size = format!("{} ({} bytes)", Readable(found.size), known.size_bytes);
    let mut rows = vec![
        ("path", Some(known.path.clone())),
        ("kind", Some(known.kind.to_owned())),
    ];
    if found.kind == Kind::File {
        rows.push(("size", Some(size)));
    }
    rows.push(("modified", ls::modified(found).map(ls::local_time)));
    rows.push(("id", known.id.clone()));
    rows.push(("name", known.name.clone()));
    rows.push(("version", known.version.clone()));
    rows.push(("mime", known.mime.clone()));
    rows.push(("url", known.url.clone()));
    rows.extend(
        known
            .hashes
            .iter()
            .map(|(name, value)| (*name, Some(value.clone()))),
    );
    let rows: Vec<_> = rows
        .into_iter()
        .filter_map(|(key, value)| Some([key.to_owned(), output::shown(&value?)]))
        .collect();
    output::table(&rows, [false, false])
}
