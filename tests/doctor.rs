//! `linkfs doctor`: what is wrong is found and said with what to do, as far as it can be brought about here.

use linkfs_tests::{Home, Outcome};
use serde_json::Value;

fn doctor(home: &Home) -> (Vec<Value>, Outcome) {
    let outcome = home.run_linkfs(&["doctor", "--json"]);
    let lines = serde_json::from_str(&outcome.stdout);
    (
        lines.unwrap_or_else(|error| panic!("{error}: {outcome:?}")),
        outcome,
    )
}

fn line<'a>(lines: &'a [Value], what: &str) -> &'a Value {
    let found = lines.iter().find(|line| line["what"] == what);
    found.unwrap_or_else(|| panic!("no line {what}: {lines:#?}"))
}

/// What is wrong with one thing.
fn problem(configuration: &str, what: &str, found: &str, advice: &str) {
    let home = Home::new();
    home.configure(configuration);
    let (lines, outcome) = doctor(&home);
    let line = line(&lines, what);
    assert_eq!(line["state"], "problem", "{line}");
    let says = |key: &str, part: &str| line[key].as_str().is_some_and(|text| text.contains(part));
    assert!(says("found", found), "{line}");
    assert!(says("advice", advice), "{line}");
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(!outcome.output().contains("canary"), "{outcome:?}");
}

#[test]
fn a_home_in_order_has_no_problem_of_its_own() {
    let home = Home::new();
    home.configure("[drives.work]\nplugin = \"koodrive\"\nspace = \"S\"\n");
    let (lines, _) = doctor(&home);
    for what in ["configuration", "drive work", "cache", "log"] {
        let line = line(&lines, what);
        assert_eq!(line["state"], "ok", "{line}");
    }
    for what in [
        "kernel",
        "/dev/fuse",
        "fusermount3",
        "read-ahead",
        "sandbox",
        "mounts",
    ] {
        line(&lines, what);
    }
    let text = home.run_linkfs(&["doctor"]).stdout;
    assert!(
        text.contains("\nok       drive work      plugin koodrive, "),
        "{text}"
    );
}

#[test]
fn a_bad_configuration_is_a_problem_with_its_place() {
    let text = "[drives.work]\nplugin = \"koodrive\"\ntoken = canary\n";
    problem(text, "configuration", "config.toml:3:9", "mend the file");
}

#[test]
fn a_missing_plugin_is_a_problem() {
    let text = "[drives.work]\nplugin = \"kodrive\"\n";
    problem(
        text,
        "drive work",
        "did you mean \"koodrive\"?",
        "linkfs-plugin-NAME",
    );
}

#[test]
fn a_cache_that_cannot_be_written_is_a_problem() {
    // Root may write anywhere, but not below a file.
    let text = "[cache]\ndirectory = \"config.toml/cache\"\n";
    problem(text, "cache", "config.toml/cache", "`directory`");
}
