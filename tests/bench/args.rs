use std::path::PathBuf;

use crate::carriage;
use crate::stock::Stock;

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    Run(Options),
    /// Say what each scenario measures.
    List,
    /// Be the drive; the benchmark starts itself so.
    Serve(Stock),
    /// Be a plugin; the benchmark starts itself so.
    Plugin,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// Less of everything, for a look.
    pub(crate) is_quick: bool,
    pub(crate) rounds: usize,
    pub(crate) json: Option<PathBuf>,
    /// The scenarios to run; all without any.
    pub(crate) names: Vec<String>,
}

const USAGE: &str = "usage: bench [--quick] [--rounds N] [--json FILE] [NAME...] | --list";

/// Fewer rounds have no middle that can be trusted.
const ROUNDS: usize = 5;
const QUICK_ROUNDS: usize = 3;

/// Reads the command line.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Action, String> {
    let mut arguments = arguments;
    let (mut is_quick, mut rounds, mut json, mut names) = (false, None, None, Vec::new());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--serve" => return Ok(Action::Serve(value()?.parse()?)),
            carriage::OPTION => return Ok(Action::Plugin),
            "--list" => return Ok(Action::List),
            "--quick" => is_quick = true,
            "--json" => json = Some(PathBuf::from(value()?)),
            "--rounds" => rounds = Some(positive(&value()?)?),
            option if option.starts_with('-') => return Err(USAGE.into()),
            _ => names.push(argument),
        }
    }
    let usual = if is_quick { QUICK_ROUNDS } else { ROUNDS };
    Ok(Action::Run(Options {
        is_quick,
        rounds: rounds.unwrap_or(usual),
        json,
        names,
    }))
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{text} is no number of rounds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Action, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_and_names_may_be_mixed() {
        let expected = Options {
            is_quick: true,
            rounds: 7,
            json: Some("out.json".into()),
            names: vec!["seq-cold".into(), "small".into()],
        };
        let line = "seq-cold --quick --json out.json --rounds 7 small";
        assert_eq!(parse_line(line), Ok(Action::Run(expected)));
    }

    #[test]
    fn a_quick_run_has_fewer_rounds() {
        for (line, rounds) in [("", ROUNDS), ("--quick", QUICK_ROUNDS)] {
            let Ok(Action::Run(options)) = parse_line(line) else {
                panic!("{line} is a run");
            };
            assert_eq!(options.rounds, rounds, "{line}");
        }
    }

    #[test]
    fn mistakes_are_refused() {
        for line in [
            "--fast",
            "--json",
            "--rounds 0",
            "--rounds many",
            "--serve x",
        ] {
            assert!(parse_line(line).is_err(), "{line}");
        }
    }
}
