//! `linkfs save`: takes what somebody else shared into a folder of a mount. What it does is what a line in the
//! mount's control file does.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::args::SaveArgs;
use crate::mounted::{check_mounted, read_code, top_of};
use crate::{control, mount_table, output};

/// How often the mount is asked how far the drive is.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

pub(crate) fn save(args: &SaveArgs) -> Result<()> {
    let place = Place::of(&args.to)?;
    let line = line(args, &place)?;
    let task = place.command(&line)?;
    match args.no_wait {
        true => output::text(&format!("{}\n", output::shown(&task))),
        false => await_end(&place, &task),
    }
}

/// A folder of a mount of ours.
struct Place {
    control: PathBuf,
    tasks: PathBuf,
    /// From the top of the mount.
    path: String,
}

impl Place {
    fn of(folder: &Path) -> Result<Place> {
        let shown = output::shown(&folder.to_string_lossy());
        let inside = |error: anyhow::Error| anyhow!("{shown}: {error:#}");
        check_mounted(folder).map_err(inside)?;
        let name = mount_table::name_of(folder)?;
        let top = top_of(&name)?;
        let path = name.strip_prefix(top).map(Path::as_os_str);
        let path = path.ok().and_then(OsStr::to_str);
        let path = path.with_context(|| format!("{shown}: its name is no text"))?;
        let control = top.join(".linkfs");
        Ok(Place {
            path: format!("/{path}"),
            tasks: control.join("tasks"),
            control: control.join("control"),
        })
    }

    /// Writes a line of command; gives the name of the task that it began.
    fn command(&self, line: &str) -> Result<String> {
        let answer = control::command(&self.control, line)?;
        let task = answer.strip_prefix("task=");
        Ok(task.context(control::NO_SENSE)?.to_owned())
    }

    /// What a task's file says, as key and value.
    fn look(&self, task: &str) -> Result<Vec<(String, String)>> {
        let text = fs::read_to_string(self.tasks.join(task));
        let text = text.with_context(|| format!("cannot look at the task {task}"))?;
        let pair = |line: &str| {
            let (key, value) = line.split_once(": ")?;
            Some((key.to_owned(), value.to_owned()))
        };
        Ok(text.lines().filter_map(pair).collect())
    }
}

/// The line for the control file. The code comes from stdin: on the command line every user of this machine could
/// read it.
fn line(args: &SaveArgs, place: &Place) -> Result<String> {
    let mut line = format!(
        "save url={} to={}",
        quoted(&args.url)?,
        quoted(&place.path)?
    );
    if args.password.is_some() {
        line += &format!(" password={}", quoted(&read_code()?)?);
    }
    Ok(line + "\n")
}

fn quoted(text: &str) -> Result<String> {
    ensure!(
        !text.contains('\n'),
        "a command cannot have a line break in it"
    );
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    Ok(format!("\"{text}\""))
}

/// Waits until the drive has done it, and shows on a terminal how far it is.
fn await_end(place: &Place, task: &str) -> Result<()> {
    let is_shown = io::stderr().is_terminal();
    let result = loop {
        let known = place.look(task)?;
        let value = |key: &str| {
            let found = known.iter().find(|(known, _)| known == key);
            found.map_or("", |(_, value)| value.as_str())
        };
        match value("state") {
            "done" => break Ok(()),
            "failed" => break Err(anyhow!("{}", output::shown(value("reason")))),
            state if is_shown => progress(&format!("{state}, {} %", value("progress"))),
            _ => {}
        }
        thread::sleep(LOOK_AGAIN);
    };
    if is_shown {
        progress("");
    }
    result
}

/// Writes over what stood there. Nobody may be looking any more.
fn progress(line: &str) {
    let mut stderr = io::stderr();
    let _written = write!(stderr, "\r\x1b[K{line}").and_then(|()| stderr.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_one_word() {
        for (text, expected) in [
            ("/folder", r#""/folder""#),
            ("a, b", r#""a, b""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
        ] {
            assert_eq!(quoted(text).unwrap(), expected);
        }
        assert!(quoted("a\nb").is_err());
    }
}
