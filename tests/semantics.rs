//! SEMANTICS.md names the tests behind each promise; here each of them must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the project's folder")
        .to_owned()
}

/// Names of the functions that stand under a test attribute, or are named in an `on_every_drive!` block, below
/// `folder`.
fn tests_below(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source file");
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            for pair in lines.windows(2) {
                let is_test = pair[0] == "#[test]" || pair[0].starts_with("#[tokio::test");
                let name = pair[1].trim_start_matches("async ").strip_prefix("fn ");
                if let Some(name) = name.filter(|_| is_test) {
                    let end = name.find('(').unwrap_or(name.len());
                    found.insert(name[..end].to_owned());
                }
            }
            let blocks = text.split("on_every_drive! {").skip(1);
            let names =
                blocks.flat_map(|block| block.split('}').next().unwrap_or_default().lines());
            let names = names.filter_map(|line| line.trim().strip_prefix("fn ")?.strip_suffix(','));
            found.extend(names.map(str::to_owned));
        }
    }
}

/// The promises, each with the names that stand behind it.
fn promises(text: &str) -> Vec<(String, Vec<String>)> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("- "));
    lines
        .map(|line| {
            let is_test_name =
                |word: &&str| word.contains('_') && !word.contains(['.', ' ', '/', '*']);
            let quoted = line.split('`').skip(1).step_by(2).filter(is_test_name);
            let names = quoted
                .filter(|word| *word != "listing_ttl")
                .map(str::to_owned)
                .collect();
            (line.to_owned(), names)
        })
        .collect()
}

#[test]
fn every_promise_is_held_by_tests_that_exist() {
    let mut known = BTreeSet::new();
    for folder in ["crates", "plugins", "tests"] {
        tests_below(&project().join(folder), &mut known);
    }
    assert!(
        known.contains("every_promise_is_held_by_tests_that_exist"),
        "{known:?}"
    );
    let text = fs::read_to_string(project().join("SEMANTICS.md")).expect("the document");
    let promises = promises(&text);
    assert!(promises.len() > 20, "{promises:?}");
    for (promise, tests) in promises {
        assert!(!tests.is_empty(), "nothing holds: {promise}");
        for test in tests {
            assert!(
                known.contains(&test),
                "there is no test {test}, which should hold: {promise}"
            );
        }
    }
}

#[test]
fn a_promise_without_a_test_would_be_noticed() {
    let text = "# T\n\n- Held. `some_test` `listing_ttl`\n- Not held, for `user.linkfs.x`.\n";
    let names: Vec<usize> = promises(text)
        .iter()
        .map(|(_, tests)| tests.len())
        .collect();
    assert_eq!(names, [1, 0]);
}
