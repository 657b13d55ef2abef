//! `linkfs shares [DIR]`: the open shares of mounts, from the files in `.linkfs/shares`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::args::SharesArgs;
use crate::mounted::Failures;
use crate::{mount_table, output};

/// One share by what its file says: a fact a line.
type Share = BTreeMap<String, String>;

/// What a table shows of each.
const COLUMNS: [&str; 4] = ["expires", "audience", "url", "name"];

pub(crate) fn run(args: &SharesArgs) -> Result<()> {
    let folders = match &args.folder {
        Some(folder) => vec![mount_table::name_of(folder)?],
        None => mount_table::ours()?
            .into_iter()
            .map(|mount| mount.folder)
            .collect(),
    };
    let mut failures = Failures::default();
    let mut shares = Vec::new();
    for folder in folders {
        match read(&folder) {
            Ok(found) => shares.extend(found),
            Err(error) => failures.tell(&folder, &error),
        }
    }
    if args.output.json {
        output::json(&shares)?;
    } else {
        show(&shares)?;
    }
    failures.result()
}

fn read(mount: &Path) -> Result<Vec<Share>> {
    let folder = mount.join(".linkfs/shares");
    let files = fs::read_dir(&folder).context("cannot list its shares")?;
    let mut shares = Vec::new();
    for file in files {
        let path = file.context("cannot list its shares")?.path();
        match fs::read_to_string(&path) {
            Ok(text) => shares.push(parse(&text)),
            // It was revoked just now.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    Ok(shares)
}

fn parse(text: &str) -> Share {
    let facts = text.lines().filter_map(|line| line.split_once(": "));
    facts
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

fn show(shares: &[Share]) -> Result<()> {
    let value = |share: &Share, key: &str| share.get(key).map_or("", String::as_str).to_owned();
    let rows: Vec<[String; 4]> = shares
        .iter()
        .map(|share| COLUMNS.map(|key| output::shown(&value(share, key))))
        .collect();
    if output::is_for_people() {
        return output::text(&output::table(&rows, [false; 4]));
    }
    let lines = rows.iter().map(|row| row.join("\t") + "\n");
    output::text(&lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_may_hold_what_stands_between_key_and_value() {
        let share = parse("name: a: b\nurl: https://example.test/x\n");
        assert_eq!(share["name"], "a: b");
        assert_eq!(share["url"], "https://example.test/x");
    }
}
