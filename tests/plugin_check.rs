//! `linkfs plugin check`: a plugin that does all it has to gets full marks, and one with a flaw loses exactly
//! the promise that the flaw breaks.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use linkfs_emulator::{ROOT_ID, Tree};
use linkfs_tests::{DriveKind, Home, Mounted, Outcome, run};
use serde_json::Value;

/// Gives the first of so many bytes, or all of them.
async fn give(Path((kind, size)): Path<(String, usize)>, headers: HeaderMap) -> Response {
    match (kind.as_str(), headers.get("range")) {
        ("range", Some(range)) if range == "bytes=0-0" => {
            let range = [("content-range", format!("bytes 0-0/{size}"))];
            (StatusCode::PARTIAL_CONTENT, range, "x").into_response()
        }
        _ => "x".repeat(size).into_response(),
    }
}

/// The storage that the sample's links lead to; it ends with the test's process.
fn store() -> SocketAddr {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("a runtime").block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                .await
                .expect("a port");
            tell.send(listener.local_addr().expect("its address"))
                .expect("the test waits");
            let routes = Router::new().route("/{kind}/{size}", get(give));
            axum::serve(listener, routes).await.expect("it serves");
        });
    });
    told.recv().expect("it has started")
}

/// The sample plugin with a flaw, or without one for `sample`.
fn program(home: &Home, flaw: &str) -> PathBuf {
    let path = home.path().join(format!("linkfs-plugin-{flaw}"));
    fs::copy(env!("CARGO_BIN_EXE_linkfs-plugin-sample"), &path).expect("it is copied");
    path
}

/// A check of the sample with everything that can be checked.
fn sample_check(home: &Home, flaw: &str) -> Command {
    home.configure("[mount]\ndeadline = \"5s\"\n");
    let mut command = home.linkfs();
    command
        .args([
            "plugin", "check", "--quick", "--share", "--expect", " b\\ü?*",
        ])
        .args(["--expect", "c/d"])
        .arg(program(home, flaw))
        .arg(format!("store=http://{}", store()))
        .arg("token={ env = \"SAMPLE_TOKEN\" }")
        .env("SAMPLE_TOKEN", "canary-sample-token-5b1e");
    command
}

fn check(flaw: &str) -> (Value, Outcome) {
    let home = Home::new();
    let outcome = run(sample_check(&home, flaw).arg("--json"));
    let report = serde_json::from_str(&outcome.stdout);
    (
        report.unwrap_or_else(|error| panic!("{error}: {outcome:?}")),
        outcome,
    )
}

/// The promises with this outcome.
fn promises<'a>(report: &'a Value, outcome: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().expect("findings").iter();
    let with = findings.filter(|finding| finding["outcome"] == outcome);
    with.map(|finding| finding["promise"].as_str().expect("a name"))
        .collect()
}

#[test]
fn a_plugin_that_does_all_it_has_to_gets_full_marks() {
    let (report, outcome) = check("sample");
    assert!(outcome.status.success(), "{outcome:?}");
    assert_eq!(report["grade"], "conforms", "{report:#}");
    assert_eq!(promises(&report, "kept").len(), 34, "{report:#}");
    assert_eq!(
        (&report["plugin"], &report["version"]),
        (&"sample".into(), &"1.0".into())
    );
}

#[test]
fn so_does_one_that_comes_with_linkfs() {
    let tree = Tree::new();
    for (seed, name) in [(1, " a "), (2, "b\\c"), (3, "ü\u{301}?"), (4, "plain")] {
        tree.add_generated(ROOT_ID, name, seed, 1000 * seed);
    }
    let folder = tree.add_folder(ROOT_ID, "folder");
    tree.add_generated(&folder, "inside", 5, 7);
    let emulator = DriveKind::KooDrive.start(tree);
    let home = Home::new();
    home.configure(&Mounted::builder(&*emulator).config());
    let mut command = home.linkfs();
    let arguments = [
        "plugin", "check", "koodrive", "--quick", "--share", "--json",
    ];
    command.args(arguments).args([
        "--expect",
        " a ",
        "--expect",
        "b\\c",
        "--expect",
        "ü\u{301}?",
    ]);
    let outcome = run(&mut command);
    let report: Value = serde_json::from_str(&outcome.stdout).expect("a report");
    assert_eq!(report["grade"], "conforms", "{report:#}");
    assert!(outcome.status.success(), "{outcome:?}");
}

#[test]
fn what_is_missing_is_said_with_what_came_and_the_check_fails() {
    let home = Home::new();
    let outcome = run(&mut sample_check(&home, "knows"));
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    let shown = "\
missing    unknown-call     a call that it does not know is answered with unsupported
             expected:  the error unsupported
             came:      an answer as if it knew the call
";
    assert!(outcome.stdout.contains(shown), "{outcome:?}");
    assert!(outcome.stdout.contains("\nok         flood"), "{outcome:?}");
    let last = "sample 1.0 does not conform: 33 kept, 1 missing, 0 advised, 0 unchecked\n";
    assert!(outcome.stdout.ends_with(last), "{outcome:?}");
    assert!(!outcome.output().contains("canary"), "{outcome:?}");
}

#[test]
fn a_secret_is_not_taken_from_the_command_line() {
    let home = Home::new();
    home.configure("");
    let mut command = home.linkfs();
    command
        .args(["plugin", "check"])
        .arg(program(&home, "sample"))
        .arg("token=canary-token");
    let outcome = run(&mut command);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("`token` is a secret"),
        "{outcome:?}"
    );
    assert!(!outcome.stderr.contains("canary"), "{outcome:?}");
}

/// Flaws, and the one promise that each of them breaks.
macro_rules! flaws {
    ($($flaw:ident: $promise:literal,)*) => {
        $(#[test]
        fn $flaw() {
            loses(stringify!($flaw), $promise);
        })*
    };
}

fn loses(flaw: &str, promise: &str) {
    let (report, outcome) = check(flaw);
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert_eq!(promises(&report, "missing"), [promise], "{report:#}");
    assert!(!outcome.output().contains("canary"), "{outcome:?}");
}

/// What is good to have, and not asked of every plugin.
mod advised {
    use super::{check, promises};

    fn is_advised(flaw: &str, promise: &str) {
        let (report, outcome) = check(flaw);
        assert!(outcome.status.success(), "{outcome:?}");
        assert_eq!(report["grade"], "conforms", "{report:#}");
        assert_eq!(promises(&report, "advice"), [promise], "{report:#}");
        assert_eq!(promises(&report, "kept").len(), 33, "{report:#}");
    }

    #[test]
    fn lenient() {
        is_advised("lenient", "unknown-setting");
    }

    #[test]
    fn garbage() {
        is_advised("garbage", "garbage");
    }
}

/// The drive is not opened: nothing else can be checked.
mod before_the_drive_is_open {
    use super::loses;

    flaws! {
        dies: "hello",
        old: "protocol",
        closed: "opens",
        rootless: "about",
    }
}

mod flawed {
    use super::loses;

    flaws! {
        nameless: "name",
        untyped: "wrong-setting",
        sizeless: "list",
        endless: "pages",
        repeats: "ids",
        lossy: "names",
        differs: "stat",
        breaks: "not-found",
        uses: "usage",
        fewer: "links",
        reverses: "link-order",
        spreads: "link-failure",
        whole: "link-works",
        promises: "link-life",
        shrinks: "link-again",
        knows: "unknown-call",
        able: "abilities",
        strict: "unknown-field",
        cancelled: "cancel",
        drops: "flood",
        consents: "check-share",
        unlisted: "share",
        leaks: "memory",
        forgets: "restart",
        lingers: "end",
        undeclared: "hosts",
        doubles: "once",
        shows: "secrecy",
        tells: "secrecy",
    }
}
