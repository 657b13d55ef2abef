//! The script of the README, as it is printed there.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use linkfs_tests::{DriveKind, on_every_drive};

use crate::scene::{Open, Scene, new_terms, terms};

on_every_drive! {
    fn the_script_of_the_readme_shares_shows_changes_and_revokes,
}

/// What a shell says when a line is done.
const DONE: &str = "--- that was it";

/// The longest script that people type.
const LINES: usize = 12;

/// The block of shell in the README that shares `$FILE`.
fn script() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("the README");
    let mut blocks = readme.split("```sh\n").skip(1);
    let block = blocks.find(|block| block.split("```").next().unwrap_or("").contains("$FILE"));
    let block = block.expect("the README has the script");
    block.split("```").next().expect("its text").to_owned()
}

/// A shell to which a script is given line by line, so that there is a look at the drive between two lines.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(variables: &[(&str, &str)]) -> Shell {
        let mut command = Command::new("sh");
        command.envs(variables.iter().copied());
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell");
        Shell {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// What a line has printed when it is done.
    fn line(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}\necho '{DONE}'").expect("the shell reads on");
        let mut said = String::new();
        while !said.ends_with(&format!("{DONE}\n")) {
            let length = self.output.read_line(&mut said).expect("text");
            assert_ne!(length, 0, "the script ended at: {line}\n{said}");
        }
        said.truncate(said.len() - DONE.len() - 1);
        said
    }

    fn end(mut self) {
        drop(self.input);
        assert!(self.child.wait().expect("it ends").success());
    }
}

fn the_script_of_the_readme_shares_shows_changes_and_revokes(kind: DriveKind) {
    let script = script();
    assert!(script.lines().count() <= LINES, "{script}");
    let scene = Scene::new(kind);
    let mut shell = Shell::start(&[
        ("MOUNT", &scene.path("")),
        ("FILE", "folder/b.txt"),
        ("TERMS", terms(kind)),
        ("NEW_TERMS", new_terms(kind)),
    ]);
    let mut steps: Vec<(&str, String, Vec<Open>)> = Vec::new();
    for line in script.lines() {
        let said = shell.line(line);
        steps.push((line, said, scene.drive.open_shares()));
    }
    shell.end();
    let after = |comment: &str| {
        let step = steps.iter().find(|(line, ..)| line.contains(comment));
        let (_, said, open) = step.unwrap_or_else(|| panic!("no line has {comment}: {script}"));
        (said, open)
    };

    let (_, shared) = after("# share it");
    assert_eq!(shared.len(), 1, "{shared:?}");
    let share = &shared[0];
    assert_eq!(share.path, "folder/b.txt");
    match kind {
        DriveKind::KooDrive | DriveKind::Pds => assert_eq!(share.code, "Zx81kk02"),
        DriveKind::DingTalk => assert!(
            share
                .terms
                .starts_with("USER:u-17=DOWNLOADER USER:u-18=DOWNLOADER "),
            "{share:?}"
        ),
    }
    let (said, _) = after("# tell");
    let mut words = said.split_whitespace();
    assert!(
        words.next().is_some_and(|url| url.contains(&share.address)),
        "{said}"
    );
    assert_eq!(words.next().unwrap_or(""), share.code);
    let (said, open) = after("# every open share");
    assert!(said.contains(&share.address), "{said}");
    assert_eq!(open, shared);
    let (_, changed) = after("# new terms");
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(
        (&changed[0].path, &changed[0].address),
        (&share.path, &share.address)
    );
    assert_eq!(changed[0].code, share.code);
    assert_ne!(changed[0].terms, share.terms);
    if kind == DriveKind::DingTalk {
        assert!(
            changed[0]
                .terms
                .starts_with("USER:u-17=READER USER:u-18=READER ")
        );
    }
    let (_, left) = after("# revoke it");
    assert_eq!(*left, []);
}
