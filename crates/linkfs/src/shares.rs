//! `linkfs shares [DIR]`: the open shares of mounts, from the files in `.linkfs/shares`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::io::Errno;
use serde_json::Value;

use crate::args::SharesArgs;
use crate::mounted::{Failures, attribute, explain};
use crate::share::INFO;
use crate::{control, mount_table, output};

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
        // What was read before it failed is shown all the same: one drive of several may be down.
        if let Err(error) = read(&folder, &mut shares) {
            failures.tell(&folder, &error);
        }
    }
    if args.output.json {
        output::json(&shares)?;
    } else {
        show(&shares)?;
    }
    failures.result()
}

/// Adds the open shares of a mount, each as its attribute tells it.
fn read(mount: &Path, shares: &mut Vec<Value>) -> Result<()> {
    let folder = mount.join(".linkfs/shares");
    let (names, end) = names(&folder);
    for name in names {
        let path = folder.join(name);
        match attribute(&path, INFO) {
            Ok(info) => shares.push(share(&info)?),
            // It was revoked just now.
            Err(Errno::NOENT | Errno::STALE) => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    end.map_err(|error| match Errno::from_io_error(&error) {
        Some(errno) => explain(&folder, errno),
        None => error.into(),
    })
    .context("cannot list all its shares")
}

/// The names in a folder as far as it can be read, and how that ended.
fn names(folder: &Path) -> (Vec<OsString>, io::Result<()>) {
    let mut names = Vec::new();
    let end = fs::read_dir(folder).and_then(|files| {
        for file in files {
            names.push(file?.file_name());
        }
        Ok(())
    });
    (names, end)
}

fn share(info: &str) -> Result<Value> {
    let mut info: Value = serde_json::from_str(info).context(control::NO_SENSE)?;
    Ok(info["share"].take())
}

fn show(shares: &[Value]) -> Result<()> {
    let rows: Vec<_> = shares.iter().map(row).collect();
    if output::is_for_people() {
        return output::text(&output::table(&rows, [false; 4]));
    }
    let lines = rows.iter().map(|row| row.join("\t") + "\n");
    output::text(&lines.collect::<String>())
}

/// What a table shows of a share: its end, whom it is for, its address and its name.
fn row(share: &Value) -> [String; 4] {
    let cell = |value: &Value, none: &str| output::shown(value.as_str().unwrap_or(none));
    [
        cell(&share["expires"], "never"),
        cell(&share["terms"]["audience"], ""),
        cell(&share["url"], ""),
        cell(&share["name"], ""),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_for_a_terminal() {
        let share = json!({
            "name": "a\u{1b}b",
            "url": "https://example.test/x",
            "expires": null,
            "terms": {"audience": "anyone"},
        });
        let expected = ["never", "anyone", "https://example.test/x", "a?b"];
        assert_eq!(row(&share), expected);
    }
}
