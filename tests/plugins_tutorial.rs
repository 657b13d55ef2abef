//! The tutorial of PLUGINS.md, followed to the letter: its files are written, its lines typed into one shell, and
//! what it says that a shell shows is shown.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use linkfs_tests::{Home, is_mounted, linkfs_binary};

/// The port that the tutorial gives its web server. The one thing that is changed in it: another may have it.
const PORT: &str = "8017";

/// What the shell says when a block is done.
const DONE: &str = "--- that was it";

/// A fenced block, and what it is there for.
#[derive(Debug)]
enum Step {
    /// Lines to type.
    Type(String),
    /// What they show.
    See(String),
    /// A file to write; `~` is the home.
    Write { path: String, text: String },
}

fn tutorial() -> Vec<Step> {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PLUGINS.md");
    let document = fs::read_to_string(document).expect("PLUGINS.md");
    let mut sections = document.split("\n## ");
    let section = sections.find(|section| section.starts_with("A plugin in ten minutes\n"));
    let port = free_port().to_string();
    steps(&section.expect("the tutorial").replace(PORT, &port))
}

fn steps(section: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = section.lines();
    let mut before = "";
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            if !line.is_empty() {
                before = line;
            }
            continue;
        };
        let block = lines.by_ref().take_while(|line| *line != "```");
        let text: String = block.map(|line| format!("{line}\n")).collect();
        steps.push(match language {
            "sh" => Step::Type(text),
            "text" => Step::See(text),
            "python" | "toml" => Step::Write {
                path: named_file(before).to_owned(),
                text,
            },
            other => panic!("a block of {other:?} in the tutorial"),
        });
    }
    steps
}

/// "Write this to `PATH`:"
fn named_file(line: &str) -> &str {
    let path = line
        .strip_suffix("`:")
        .and_then(|line| line.rsplit('`').next());
    path.unwrap_or_else(|| panic!("no file is named in: {line}"))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("its address").port()
}

/// The reader of the tutorial: one shell in a fresh home.
struct Reader {
    home: Home,
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Reader {
    fn new() -> Reader {
        let home = Home::new();
        let mut shell = Command::new("bash")
            .arg("-e")
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", path_with_linkfs())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(home.path())
            // A group of its own, so that what the shell has started can be ended with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        Reader {
            input: shell.stdin.take().expect("a pipe"),
            output: BufReader::new(shell.stdout.take().expect("a pipe")),
            shell,
            home,
        }
    }

    /// What the shell shows until `lines` are done.
    fn type_in(&mut self, lines: &str) -> String {
        writeln!(self.input, "{lines}echo '{DONE}'").expect("the shell reads on");
        let mut shown = String::new();
        while !shown.ends_with(&format!("{DONE}\n")) {
            let length = self.output.read_line(&mut shown).expect("text");
            assert_ne!(length, 0, "it failed in:\n{lines}\nafter:\n{shown}");
        }
        shown.truncate(shown.len() - DONE.len() - 1);
        shown
    }

    fn write(&self, path: &str, text: &str) {
        let in_home = path.strip_prefix("~/").expect("a file in the home");
        fs::write(self.home.path().join(in_home), text).expect("it is written");
    }

    fn drive(&self) -> std::path::PathBuf {
        self.home.path().join("drive")
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _may_be_gone = Command::new("umount")
            .args(["-l", "-q"])
            .arg(self.drive())
            .status();
        // SAFETY: plain numbers; the shell is not collected yet, so its group is its own.
        unsafe { libc::kill(-(self.shell.id() as i32), libc::SIGKILL) };
        let _collected = self.shell.wait();
    }
}

/// `linkfs` is found as if it were installed.
fn path_with_linkfs() -> OsString {
    let installed = linkfs_binary();
    let installed = installed.parent().expect("its folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [installed].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).expect("folders without colons")
}

#[test]
fn the_tutorial_ends_with_a_mounted_drive() {
    let mut reader = Reader::new();
    let mut shown = String::new();
    let (mut seen, mut was_mounted) = (0, false);
    for step in tutorial() {
        match step {
            Step::Type(lines) => shown = reader.type_in(&lines),
            Step::See(expected) => {
                assert_eq!(shown, expected);
                seen += 1;
            }
            Step::Write { path, text } => reader.write(&path, &text),
        }
        was_mounted |= is_mounted(&reader.drive());
    }
    assert!(was_mounted && seen >= 4, "it showed something {seen} times");
    assert!(!is_mounted(&reader.drive()), "it is unmounted in the end");
}
