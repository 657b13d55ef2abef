//! `linkfs plugin check`: whether a plugin does what every plugin has to do.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use linkfs_host::check::{Check, Finding, Outcome, Report};
use linkfs_host::{Found, Launch};
use linkfs_provider::Settings;
use serde::Serialize;

use crate::args::CheckArgs;
use crate::config::{Config, DriveConfig};
use crate::plugins::{self, Opening};
use crate::setup::{Setup, Workers};
use crate::{output, places, secrets};

/// How many calls the plugin's memory is watched for.
const CALLS: u32 = 100_000;
const QUICK_CALLS: u32 = 5_000;

/// The end of the report.
#[derive(Debug, Serialize)]
struct Grade<'a> {
    plugin: &'a str,
    version: &'a str,
    program: String,
    /// `conforms`, `conforms as far as checked`, `does not conform`.
    grade: &'static str,
    kept: usize,
    missing: usize,
    advised: usize,
    unchecked: usize,
    findings: &'a [Finding],
}

pub(super) fn run(setup: &Setup, args: &CheckArgs) -> Result<()> {
    setup.start_log()?;
    let launch = launch(setup, args)?;
    let program = launch.program.display().to_string();
    let check = Check {
        launch,
        names: args.expect.clone(),
        calls: if args.quick { QUICK_CALLS } else { CALLS },
        may_share: args.share,
    };
    let as_it_goes = |finding: &Finding| {
        if !args.output.json {
            // Nobody may be reading any more; the grade counts all the same.
            let _gone = output::text(&lines(finding));
        }
    };
    let report = Workers::start()?.run(check.run(as_it_goes));
    let grade = grade(&report, program);
    match args.output.json {
        true => output::json(&grade)?,
        false => output::text(&last_line(&grade))?,
    }
    ensure!(grade.missing == 0, "the plugin does not do all it has to");
    Ok(())
}

fn launch(setup: &Setup, args: &CheckArgs) -> Result<Launch> {
    let (name, found) = find(&args.plugin)?;
    let (drive, state_dir, deadline) = match args.settings.is_empty() {
        true => {
            let config = setup.config()?;
            let deadline = config.mount.deadline;
            match configured(config, &name, args.drive.as_deref())? {
                // Tokens that its plugin keeps there are renewed in one place alone.
                Some((drive, settings)) => (settings, places::drive_state(&drive)?, deadline),
                None => (
                    Config::drive_of(&name, &[])?,
                    places::check_state(&name)?,
                    deadline,
                ),
            }
        }
        false => {
            let drive = Config::drive_of(&name, &args.settings)?;
            let deadline = setup.config()?.mount.deadline;
            (drive, places::check_state(&name)?, deadline)
        }
    };
    let settings = Settings {
        config: secrets::resolve(&drive.settings, &setup.environment)?,
        state_dir,
    };
    let opening = Opening {
        secrets: drive.secrets_of(&settings),
        settings,
        in_process: false,
        deadline,
        verbosity: setup.general.verbose,
    };
    plugins::launch(&name, &found, opening)
}

/// The plugin that is meant: a path has a slash in it, as for a shell.
fn find(plugin: &str) -> Result<(String, Found<'static>)> {
    if !plugin.contains('/') {
        return Ok((plugin.to_owned(), plugins::find(plugin)?));
    }
    let path = Path::new(plugin);
    let program = path.canonicalize();
    let program: PathBuf = program.with_context(|| format!("cannot find {plugin}"))?;
    let file = path.file_name().and_then(|name| name.to_str());
    let file = file.with_context(|| format!("{plugin} has no name"))?;
    let name = file.strip_prefix(linkfs_host::PREFIX).unwrap_or(file);
    Ok((name.to_owned(), Found::Program(program)))
}

/// The configured drive that is meant, with its name; `None` when no drive uses the plugin.
fn configured(
    mut config: Config,
    plugin: &str,
    drive: Option<&str>,
) -> Result<Option<(String, DriveConfig)>> {
    if let Some(name) = drive {
        config.drive(name)?;
        return Ok(config.drives.remove_entry(name));
    }
    let mut using = config
        .drives
        .into_iter()
        .filter(|(_, drive)| drive.plugin == plugin);
    let Some(first) = using.next() else {
        return Ok(None);
    };
    let others: Vec<_> = using.map(|(name, _)| name).collect();
    if !others.is_empty() {
        let others = others.join(", ");
        bail!(
            "several drives use the plugin ({}, {others}): name one with --drive",
            first.0
        );
    }
    Ok(Some(first))
}

fn grade(report: &Report, program: String) -> Grade<'_> {
    let count = |is: fn(&Outcome) -> bool| {
        let outcomes = report.findings.iter().map(|finding| &finding.outcome);
        outcomes.filter(|outcome| is(outcome)).count()
    };
    let missing = count(|outcome| matches!(outcome, Outcome::Missing { .. }));
    let unchecked = count(|outcome| matches!(outcome, Outcome::Unchecked { .. }));
    Grade {
        plugin: &report.name,
        version: &report.version,
        program,
        grade: match (missing, unchecked) {
            (0, 0) => "conforms",
            (0, _) => "conforms as far as checked",
            _ => "does not conform",
        },
        kept: count(|outcome| matches!(outcome, Outcome::Kept)),
        missing,
        advised: count(|outcome| matches!(outcome, Outcome::Advice { .. })),
        unchecked,
        findings: &report.findings,
    }
}

fn lines(finding: &Finding) -> String {
    let Finding { promise, words, .. } = finding;
    let line = |state: &str| format!("{state:<9}  {promise:<15}  {words}\n");
    let more = |what: &str, text: &str| format!("{:13}{what:<10} {}\n", "", output::shown(text));
    match &finding.outcome {
        Outcome::Kept => line("ok"),
        Outcome::Missing { expected, came } => {
            line("missing") + &more("expected:", expected) + &more("came:", came)
        }
        Outcome::Advice { expected, came } => {
            line("advice") + &more("better:", expected) + &more("came:", came)
        }
        Outcome::Unchecked { why } => line("unchecked") + &more("because:", why),
    }
}

fn last_line(grade: &Grade<'_>) -> String {
    let Grade {
        plugin,
        version,
        grade,
        kept,
        missing,
        advised,
        unchecked,
        ..
    } = grade;
    let (plugin, version) = (output::shown(plugin), output::shown(version));
    format!(
        "{plugin} {version} {grade}: \
         {kept} kept, {missing} missing, {advised} advised, {unchecked} unchecked\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_promise_is_shown_with_what_came() {
        let finding = |outcome| Finding {
            promise: "stat",
            words: "it tells",
            outcome,
        };
        let missing = Outcome::Missing {
            expected: "a".into(),
            came: "b\x1b[2J".into(),
        };
        let shown = "\
missing    stat             it tells
             expected:  a
             came:      b?[2J
";
        assert_eq!(lines(&finding(missing.clone())), shown);
        let advice = Outcome::Advice {
            expected: "a".into(),
            came: "b".into(),
        };
        let shown = "\
advice     stat             it tells
             better:    a
             came:      b
";
        assert_eq!(lines(&finding(advice.clone())), shown);
        assert_eq!(
            lines(&finding(Outcome::Kept)),
            "ok         stat             it tells\n"
        );
        let report = |outcomes: Vec<Outcome>| Report {
            name: "p".into(),
            version: "1".into(),
            findings: outcomes.into_iter().map(finding).collect(),
        };
        let unchecked = Outcome::Unchecked { why: "c".into() };
        for (outcomes, line) in [
            (
                vec![Outcome::Kept],
                "p 1 conforms: 1 kept, 0 missing, 0 advised, 0 unchecked\n",
            ),
            (
                vec![Outcome::Kept, advice],
                "p 1 conforms: 1 kept, 0 missing, 1 advised, 0 unchecked\n",
            ),
            (
                vec![Outcome::Kept, unchecked.clone()],
                "p 1 conforms as far as checked: 1 kept, 0 missing, 0 advised, 1 unchecked\n",
            ),
            (
                vec![missing, unchecked],
                "p 1 does not conform: 0 kept, 1 missing, 0 advised, 1 unchecked\n",
            ),
        ] {
            assert_eq!(last_line(&grade(&report(outcomes), String::new())), line);
        }
    }
}
