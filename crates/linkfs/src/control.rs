//! Commands to a mount, by its control file.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// What is said of an answer that is none.
pub(crate) const NO_SENSE: &str = "the mount's answer makes no sense";

/// Writes a line to the control file `control` of a mount, and gives what it answers after `ok`.
///
/// # Errors
/// What the mount says.
pub(crate) fn command(control: &Path, line: &str) -> Result<String> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).open(control);
    let mut control = opened
        .with_context(|| format!("cannot open {}, which takes commands", control.display()))?;
    let written = control.write_all(line.as_bytes());
    let mut answer = String::new();
    control.read_to_string(&mut answer)?;
    let answer = answer.trim_end();
    let (word, rest) = answer.split_once(' ').unwrap_or((answer, ""));
    match (written, word) {
        (Ok(()), "ok") => Ok(rest.to_owned()),
        // `error ERRNO words`
        (Err(_), "error") => {
            let words = rest.split_once(' ').map_or(rest, |(_, words)| words);
            bail!(words.to_owned())
        }
        (written, _) => {
            written?;
            bail!(NO_SENSE)
        }
    }
}
