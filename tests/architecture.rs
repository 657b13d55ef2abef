//! The arrows between the crates point one way. Whoever turns one gets the reason here.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Which of our crates depends on which packages.
type Graph = BTreeMap<String, Vec<String>>;

/// A crate, what it must not depend on (a trailing `*` stands for anything), and why.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    (
        "linkfs-provider",
        "linkfs-*",
        "the contract knows nothing of those on either side of it",
    ),
    (
        "linkfs-provider-http",
        "linkfs-core",
        "what plugins share knows the contract only",
    ),
    (
        "linkfs-provider-http",
        "linkfs-fuse",
        "what plugins share knows the contract only",
    ),
    (
        "linkfs-provider-http",
        "linkfs-host",
        "what plugins share knows the contract only",
    ),
    (
        "linkfs-provider-http",
        "linkfs-emulator",
        "what plugins share knows the contract only",
    ),
    (
        "linkfs-provider-http",
        "linkfs-plugin-*",
        "what plugins share knows none of them",
    ),
    (
        "linkfs-core",
        "linkfs-provider-http",
        "how a drive is asked is the plugins' affair",
    ),
    (
        "linkfs-fuse",
        "linkfs-provider-http",
        "how a drive is asked is the plugins' affair",
    ),
    (
        "linkfs-host",
        "linkfs-provider-http",
        "how a drive is asked is the plugins' affair",
    ),
    (
        "linkfs-core",
        "fuser",
        "the core knows no kernel: it must work, and be tested, without one",
    ),
    (
        "linkfs-core",
        "linkfs-fuse",
        "the adapter is above the core",
    ),
    (
        "linkfs-core",
        "linkfs-host",
        "the core gets its providers handed in and knows no process",
    ),
    (
        "linkfs-core",
        "linkfs-plugin-*",
        "the core knows drives by the contract alone",
    ),
    (
        "linkfs-core",
        "linkfs-emulator",
        "what is emulated must not be compiled into the core",
    ),
    (
        "linkfs-fuse",
        "linkfs-host",
        "the adapter knows the volume only",
    ),
    (
        "linkfs-fuse",
        "linkfs-plugin-*",
        "the adapter knows the volume only",
    ),
    (
        "linkfs-fuse",
        "linkfs-emulator",
        "the adapter knows the volume only",
    ),
    (
        "linkfs-host",
        "linkfs-core",
        "the host opens providers and does not use them",
    ),
    (
        "linkfs-host",
        "linkfs-plugin-*",
        "the table of built-ins is the program's",
    ),
    (
        "linkfs-host",
        "linkfs-emulator",
        "the host opens providers, whatever they talk to",
    ),
    (
        "linkfs-plugin-*",
        "linkfs-core",
        "a plugin answers questions and does not ask who asks",
    ),
    ("linkfs-plugin-*", "linkfs-fuse", "a plugin knows no kernel"),
    (
        "linkfs-plugin-*",
        "linkfs-host",
        "a plugin does not know how it is run",
    ),
    (
        "linkfs-plugin-*",
        "linkfs-plugin-*",
        "each drive stands alone",
    ),
    (
        "linkfs-plugin-*",
        "linkfs-emulator",
        "one misreading of the drive's documents would hide in both",
    ),
    (
        "linkfs-emulator",
        "linkfs-*",
        "an emulator shares no type with what it tests",
    ),
];

/// Packages that only some of our crates may use.
const RESERVED: &[(&str, &[&str])] = &[
    ("fuser", &["linkfs-fuse"]),
    (
        "axum",
        &[
            "linkfs-emulator",
            "linkfs-plugin-koodrive (dev)",
            "linkfs-plugin-pds (dev)",
            "linkfs-plugin-dingtalk (dev)",
            "linkfs-tests (dev)",
        ],
    ),
    ("anyhow", &["linkfs"]),
];

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

fn violations(graph: &Graph) -> Vec<String> {
    let edges = graph
        .iter()
        .flat_map(|(from, targets)| targets.iter().map(move |to| (from, to)));
    let mut found = Vec::new();
    for (from, to) in edges {
        let (from_crate, target) = (from.trim_end_matches(" (dev)"), to.as_str());
        if from_crate == target {
            continue;
        }
        let rule = FORBIDDEN.iter().find(|(source, forbidden, _)| {
            matches(source, from_crate) && matches(forbidden, target)
        });
        if let Some((_, _, reason)) = rule {
            found.push(format!("{from} -> {to}: {reason}"));
        }
        let reserved = RESERVED.iter().find(|(package, _)| *package == target);
        if let Some((package, users)) = reserved
            && !users.contains(&from.as_str())
        {
            found.push(format!(
                "{from} -> {to}: {package} is for {} only",
                users.join(", ")
            ));
        }
    }
    found
}

/// The graph as the manifests have it. Dependencies of tests count too, under the crate's name with `(dev)`.
fn manifest_graph() -> Graph {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version=1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let mut graph = Graph::new();
    for package in metadata["packages"].as_array().expect("packages") {
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let suffix = if dependency["kind"] == "dev" {
                " (dev)"
            } else {
                ""
            };
            let from = format!("{}{suffix}", package["name"].as_str().expect("a name"));
            let to = dependency["name"].as_str().expect("a name").to_owned();
            graph.entry(from).or_default().push(to);
        }
    }
    graph
}

#[test]
fn every_arrow_points_down() {
    let graph = manifest_graph();
    assert!(
        graph["linkfs-fuse"].contains(&"fuser".to_owned()),
        "the graph is read: {graph:?}"
    );
    assert_eq!(violations(&graph), Vec::<String>::new());
}

#[test]
fn a_turned_arrow_is_found_and_explained() {
    for (from, to, reason) in [
        ("linkfs-core", "fuser", "knows no kernel"),
        ("linkfs-provider", "linkfs-core", "on either side"),
        ("linkfs-plugin-koodrive", "linkfs-emulator", "misreading"),
        (
            "linkfs-plugin-koodrive (dev)",
            "linkfs-emulator",
            "misreading",
        ),
        (
            "linkfs-emulator",
            "linkfs-plugin-koodrive",
            "shares no type",
        ),
        (
            "linkfs-plugin-pds",
            "linkfs-plugin-koodrive",
            "stands alone",
        ),
        ("linkfs-core", "linkfs-host", "knows no process"),
        ("linkfs-core", "linkfs-provider-http", "plugins' affair"),
        ("linkfs-emulator", "linkfs-provider-http", "shares no type"),
        ("linkfs-provider-http", "linkfs-core", "contract only"),
        ("linkfs", "fuser", "linkfs-fuse only"),
    ] {
        let mut graph = manifest_graph();
        graph.entry(from.into()).or_default().push(to.into());
        let found = violations(&graph);
        assert!(
            found.iter().any(|line| line.contains(reason)),
            "{from} -> {to}: {found:?}"
        );
    }
}
