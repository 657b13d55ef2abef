//! What commands print: for people on a terminal, plain or JSON for programs.

use std::io::{self, ErrorKind, IsTerminal, Write};

use anyhow::{Context, Result};
use serde::Serialize;

/// Whether a person reads it.
pub(crate) fn is_for_people() -> bool {
    io::stdout().is_terminal()
}

/// Writes to stdout. Gives whether anybody still reads: a reader that has seen enough (`| head`) is no
/// failure.
pub(crate) fn write(bytes: &[u8]) -> Result<bool> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to stdout"),
    }
}

/// Writes text that ends in a line break already.
pub(crate) fn text(text: &str) -> Result<()> {
    write(text.as_bytes()).map(|_anybody_reads| ())
}

/// Writes a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let written = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    text(&format!("{written}\n"))
}

/// A name that may come from anywhere, for a terminal: control characters could move its cursor or
/// set its title.
pub(crate) fn shown(name: &str) -> String {
    let visible = |c: char| if c.is_control() { '?' } else { c };
    name.chars().map(visible).collect()
}

/// Rows as aligned columns; a column of numbers is aligned to the right. The last is not padded.
pub(crate) fn table<const N: usize>(rows: &[[String; N]], right: [bool; N]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).zip(right);
        let cells = cells.map(|((cell, width), right)| match right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [["1 B", "a"], ["12.0 KiB", "bc"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows, [true, false]), "     1 B  a\n12.0 KiB  bc\n");
        assert_eq!(table(&rows, [false, false]), "1 B       a\n12.0 KiB  bc\n");
    }

    #[test]
    fn names_cannot_command_the_terminal() {
        assert_eq!(shown("a\x1b[2Jb\nü"), "a?[2Jb?ü");
    }
}
