//! `linkfs doctor`: what keeps linkfs from working on this machine, and what to do about it.

mod configuration;
mod kernel;
mod mounts;
mod sandbox;
mod storage;

use anyhow::{Result, bail};
use serde::Serialize;

use crate::args::OutputArgs;
use crate::output;
use crate::setup::Setup;

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Line {
    what: String,
    state: State,
    /// What is there.
    found: String,
    /// What to do.
    advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Ok,
    /// It works, but not as well as it could.
    Warning,
    /// It does not work.
    Problem,
}

impl Line {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Line {
        Line {
            what: what.into(),
            state: State::Ok,
            found: found.into(),
            advice: None,
        }
    }

    fn warning(
        what: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Line {
        Line {
            state: State::Warning,
            advice: Some(advice.into()),
            ..Line::ok(what, found)
        }
    }

    fn problem(
        what: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Line {
        Line {
            state: State::Problem,
            ..Line::warning(what, found, advice)
        }
    }
}

pub(crate) fn run(setup: &Setup, args: &OutputArgs) -> Result<()> {
    setup.start_log()?;
    let config = setup.config();
    let mut lines = kernel::look(config.as_ref().ok());
    lines.extend(configuration::look(&config));
    if let Ok(config) = &config {
        lines.extend(storage::look(setup, config));
    }
    lines.extend(sandbox::look());
    lines.extend(mounts::look());
    match args.json {
        true => output::json(&lines)?,
        false => output::text(&for_people(&lines))?,
    }
    let problems = lines.iter().filter(|line| line.state == State::Problem);
    match problems.count() {
        0 => Ok(()),
        1 => bail!("there is a problem"),
        count => bail!("there are {count} problems"),
    }
}

fn for_people(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let state = match line.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Problem => "problem",
        };
        let (what, found) = (output::shown(&line.what), output::shown(&line.found));
        text += &format!("{state:<7}  {what:<14}  {found}\n");
        if let Some(advice) = &line.advice {
            text += &format!("{:25}{}\n", "", output::shown(advice));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_stands_below() {
        let lines = [
            Line::ok("kernel", "6.12"),
            Line::problem("/dev/fuse", "it is not there", "modprobe fuse"),
        ];
        let shown = "\
ok       kernel          6.12
problem  /dev/fuse       it is not there
                         modprobe fuse
";
        assert_eq!(for_people(&lines), shown);
    }
}
