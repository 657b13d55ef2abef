//! The program on the command line: what it prints, what it refuses, and how it ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};

use linkfs_emulator::{EmulatedDrive, ROOT_ID, Tree};
use linkfs_tests::{DriveKind, Home, Mounted, on_every_drive, run, shell};
use serde_json::Value;

// What is asked of a provider; the rest is the program's alone.
on_every_drive! {
    fn a_drive_is_read_without_a_mount,
}

/// An emulator with `a.txt`, and `deep file.bin` in the folder `sub`, and a home that knows it as `work`.
fn drive_at_home(kind: DriveKind) -> (Box<dyn EmulatedDrive>, Home) {
    let tree = Tree::new();
    tree.add_file(ROOT_ID, "a.txt", "hello");
    let folder = tree.add_folder(ROOT_ID, "sub");
    tree.add_generated(&folder, "deep file.bin", 9, 3_000_000);
    let emulator = kind.start(tree);
    let home = Home::new();
    home.configure(&Mounted::builder(&*emulator).config());
    (emulator, home)
}

fn json(home: &Home, arguments: &[&str]) -> Value {
    let text = home.run_linkfs(arguments).success();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"))
}

fn a_drive_is_read_without_a_mount(kind: DriveKind) {
    let (emulator, home) = drive_at_home(kind);
    assert_eq!(home.run_linkfs(&["ls", "work:/"]).success(), "a.txt\nsub\n");
    assert_eq!(
        home.run_linkfs(&["ls", "work:sub"]).success(),
        "deep file.bin\n"
    );
    assert_eq!(home.run_linkfs(&["cat", "work:/a.txt"]).success(), "hello");

    let id = emulator
        .tree()
        .id_at("/sub/deep file.bin")
        .expect("it is there");
    let expected = emulator.tree().read(&id, 0, 3_000_000).expect("its bytes");
    let output = home
        .linkfs()
        .args(["cat", "work:/sub/deep file.bin"])
        .output()
        .expect("it runs");
    assert!(
        output.stdout == expected[..],
        "{} bytes",
        output.stdout.len()
    );

    let listed = json(&home, &["ls", "--json", "work:/"]);
    assert_eq!(
        (&listed[0]["name"], &listed[0]["size_bytes"]),
        (&"a.txt".into(), &5.into())
    );
    let stat = json(&home, &["stat", "--json", "work:/sub/deep file.bin"]);
    assert_eq!(
        (&stat["id"], &stat["size_bytes"]),
        (&emulator.wire_id(&id).into(), &3_000_000.into())
    );
    let drives = json(&home, &["drives", "--json"]);
    assert_eq!(
        (&drives[0]["name"], &drives[0]["state"]),
        (&"work".into(), &"ok".into())
    );

    let link = json(&home, &["link", "--json", "work:/a.txt"]);
    let url = link["urls"][0].as_str().expect("an address");
    let hosts = emulator.data_endpoints();
    assert!(hosts.iter().any(|host| url.starts_with(host)));
    let left = &link["valid_for_seconds"];
    assert!(left.as_u64().is_some_and(|left| left > 800), "{left}");
    // The address alone is of use where it needs no headers.
    let plain = home.run_linkfs(&["link", "work:/a.txt"]).success();
    let needs_headers = link["headers"] != serde_json::json!({});
    assert_eq!(plain.starts_with('{'), needs_headers);
    assert_eq!(needs_headers, kind == DriveKind::DingTalk);
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let (_emulator, home) = drive_at_home(DriveKind::KooDrive);
    let line = r#""$1" cat "work:/sub/deep file.bin" | head -c 10 | wc -c"#;
    let mut command = std::process::Command::new("bash");
    command
        .args(["-o", "pipefail", "-ec", line, "bash"])
        .arg(linkfs_tests::linkfs_binary());
    home.furnish(&mut command);
    assert_eq!(linkfs_tests::run(&mut command).success().trim(), "10");
}

#[test]
fn failures_say_what_and_where_and_end_with_1() {
    let (_emulator, home) = drive_at_home(DriveKind::KooDrive);
    for (arguments, words) in [
        (
            &["cat", "work:/missing"][..],
            "work:/missing: no such file or folder",
        ),
        (&["cat", "work:/sub"], "work:/sub: is a folder"),
        (&["ls", "work:/a.txt/x"], "not a folder"),
        (&["link", "work:/sub"], "is a folder"),
        (&["ls", "home:/"], r#"no drive "home" (it has: work)"#),
        (
            &["mount", "work", "/nonexistent/folder"],
            "there is no such folder",
        ),
        (&["mount", "work", "/etc/hostname"], "it is not a folder"),
        (&["unmount", "/usr"], "nothing is mounted on /usr"),
        (&["unmount", "/proc"], "is mounted, but not by linkfs"),
        (&["status", "/usr"], "linkfs"),
    ] {
        let outcome = home.run_linkfs(arguments);
        assert_eq!(outcome.status.code(), Some(1), "{arguments:?}: {outcome:?}");
        assert!(
            outcome.stderr.contains(words),
            "{arguments:?}: {}",
            outcome.stderr
        );
        assert!(
            outcome.stderr.starts_with("linkfs: "),
            "{arguments:?}: {}",
            outcome.stderr
        );
    }
    assert_eq!(
        home.run_linkfs(&["mount"]).status.code(),
        Some(2),
        "wrong usage ends with 2"
    );
}

/// What a configuration is refused with, at which line.
fn check_config(text: &str, line: u32, words: &str) {
    let home = Home::new();
    let path = home.configure(text);
    let said = home.run_linkfs(&["drives"]).output();
    let place = format!("{}:{line}:", path.display());
    assert!(
        said.contains(&place) && said.contains(words),
        "{text:?}: expected line {line} and {words:?}: {said}"
    );
}

#[test]
fn a_bad_configuration_is_refused_with_file_line_and_what_was_expected() {
    check_config(
        "[cache]\nmemroy = \"1MiB\"\n",
        2,
        "expected one of `memory`",
    );
    check_config("[cache]\nmemory = \"lots\"\n", 2, "MiB");
    check_config("[cache]\ndirectory = \"\"\n", 2, "empty path");
    check_config("[cache]\ndirectory = \"~x/y\"\n", 2, "only ~/");
    check_config("[mount]\n\ndeadline = 30\n", 3, "\"30s\"");
    check_config("[muont]\n", 1, "`mount`");
    check_config(
        "[drives.work]\nendpoint = \"http://127.0.0.1:1\"\n",
        1,
        "plugin",
    );
    check_config("[drives.work]\nplugin = \"koodriv\"\n", 2, "koodrive");
    check_config(
        "\n[drives.work]\nplugin = \"koodrive\"\nspcae = \"x\"\n",
        4,
        "`space`",
    );
    check_config(
        "[drives.work]\nplugin = \"koodrive\"\ntoken = { enf = \"X\" }\n",
        3,
        "`token`: invalid type",
    );
    check_config("[drives.work\n", 1, "expected");
    check_config("[drives.\"a/b\"]\nplugin = \"koodrive\"\n", 1, "/");
}

#[test]
fn a_drive_that_does_not_answer_is_a_failure_of_the_command() {
    let (emulator, home) = drive_at_home(DriveKind::KooDrive);
    home.run_linkfs(&["drives"]).success();
    drop(emulator);
    let said = home.run_linkfs(&["drives"]);
    assert!(said.output().contains("failing"), "{said:?}");
    let why = said.failure();
    assert!(why.contains("1 of 1 do not answer"), "{why}");
}

#[test]
fn a_readable_configuration_may_hold_no_secret() {
    let (_emulator, home) = drive_at_home(DriveKind::KooDrive);
    let path = home.path().join("config.toml");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("the mode is set");
    let said = home.run_linkfs(&["ls", "work:/"]).failure();
    assert!(said.contains("chmod 600"), "{said}");
}

#[test]
fn a_demo_ends_with_a_mounted_folder() {
    let home = Home::new();
    let source = home.path().join("source");
    fs::create_dir(&source).expect("made");
    fs::write(source.join("file.txt"), "from the source").expect("written");
    let folder = home.path().join("demo");
    let (source, folder) = (
        source.to_str().expect("text"),
        folder.to_str().expect("text"),
    );
    let demo = |from: &str, folder: &str| {
        let mut command = home.linkfs();
        command.args(["demo", "--from", from, folder]);
        run(command.current_dir(home.path()))
    };
    let hidden = demo(source, source).failure();
    assert!(hidden.contains("would be hidden"), "{hidden}");
    // It is read after the process has left the folder that it was started in.
    let said = demo("source", folder).success();
    for expected in [
        format!("mounted on {folder}"),
        format!("diff -r {source} {folder}"),
        "linkfs unmount".to_owned(),
    ] {
        assert!(said.contains(&expected), "{said}");
    }
    let differences = shell(Path::new(folder), r#"diff -r . "$1""#, Path::new(source));
    let status = home.run_linkfs(&["status"]).success();
    home.run_linkfs(&["unmount", folder]).success();
    assert_eq!(differences.success(), "");
    assert!(status.contains(folder), "{status}");
}

/// A program that runs until the test lets go of it.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn an_emulated_drive_prints_the_configuration_that_mounts_it() {
    let home = Home::new();
    fs::write(home.path().join("inside.txt"), "inside").expect("written");
    let mut command = home.linkfs();
    command
        .args(["emulate", "koodrive", "--root"])
        .arg(home.path());
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let mut emulator = Running(child);
    let stdout = BufReader::new(emulator.0.stdout.take().expect("a pipe"));
    // The token is the last line of the section.
    let mut config = String::new();
    for line in stdout.lines() {
        config = format!("{config}{}\n", line.expect("text"));
        if config.contains("\ntoken = ") {
            break;
        }
    }
    home.configure(&config);
    assert_eq!(
        home.run_linkfs(&["cat", "emulated:/inside.txt"]).success(),
        "inside"
    );
}
