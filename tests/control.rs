//! `.linkfs/control` with the tools that people have: a line does what it says, and who wrote it learns how that
//! went. Tasks and metrics are shown beside it. What the drive has is asked of the drive, past the mount.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use linkfs_emulator::{Action, ROOT_ID, Rule, Tree, dingtalk, koodrive};
use linkfs_tests::{MountBuilder, Mounted, Outcome, eventually, is_mounted, run, shell};
use serde_json::Value;

const NOBODY: u32 = 65534;
/// Of shares that the tests make.
const CODE: &str = "Zx81kk02";
/// Of what somebody else shared.
const THEIR_CODE: &str = "Qw47mm19";

/// A KooDrive with `a.txt`, `folder/b.txt` and 20 files in `many`, mounted; names are kept for ten minutes.
/// Somebody else shares `report.bin` and the folder `sub`, which lie where nobody looks.
struct Scene {
    emulator: koodrive::Emulator,
    tree: Tree,
    mount: Mounted,
    folder: String,
    theirs: [String; 2],
}

impl Scene {
    fn new() -> Scene {
        Scene::with(|builder| builder)
    }

    fn with(change: impl FnOnce(MountBuilder) -> MountBuilder) -> Scene {
        let tree = Tree::new();
        tree.add_file(ROOT_ID, "a.txt", "some text");
        let folder = tree.add_folder(ROOT_ID, "folder");
        tree.add_file(&folder, "b.txt", "more text");
        let many = tree.add_folder(ROOT_ID, "many");
        for number in 0..20 {
            tree.add_file(&many, &format!("{number:02}.txt"), "text");
        }
        let theirs = tree.add_folder(ROOT_ID, "theirs");
        let report = tree.add_generated(&theirs, "report.bin", 7, 300_000);
        let sub = tree.add_folder(&theirs, "sub");
        tree.add_file(&sub, "c.txt", "their text");
        let options = koodrive::Options::with_tree(tree.clone());
        let emulator = koodrive::Emulator::start_blocking(options).expect("it starts");
        let mount = change(Mounted::builder(&emulator).listing_ttl("10m")).mount();
        Scene {
            emulator,
            tree,
            mount,
            folder,
            theirs: [report, sub],
        }
    }

    /// A line of shell in the mount.
    fn shell(&self, line: &str) -> Outcome {
        shell(self.mount.folder(), line, Path::new(""))
    }

    #[track_caller]
    fn run(&self, line: &str) -> String {
        self.shell(line).success()
    }

    #[track_caller]
    fn refused(&self, line: &str, errno_text: &str) {
        let said = self.shell(line).failure();
        assert!(said.contains(errno_text), "{line}: {said}");
    }

    fn open(&self) -> File {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).open(self.control());
        opened.expect("the control file opens")
    }

    fn control(&self) -> PathBuf {
        self.mount.path(".linkfs/control")
    }

    /// Writes a line: how that went, and what is answered.
    fn command(&self, line: &str) -> (Result<(), i32>, String) {
        tell(&mut self.open(), line)
    }

    /// Gives the answer to a line that does well.
    #[track_caller]
    fn ok(&self, line: &str) -> String {
        let (result, answer) = self.command(line);
        assert_eq!(result, Ok(()), "{line}: {answer}");
        answer
    }

    /// Takes what somebody else shared into `folder`; gives the task's name.
    #[track_caller]
    fn save(&self) -> String {
        let url = self.emulator.share_from_others(&self.theirs, THEIR_CODE);
        let answer = self.ok(&format!("save url={url} password={THEIR_CODE} to=folder"));
        task_in(&answer)
    }

    /// The lines of a task.
    fn task(&self, name: &str) -> String {
        let path = self.mount.path(&format!(".linkfs/tasks/{name}"));
        fs::read_to_string(path).expect("the task is shown")
    }

    fn await_task(&self, name: &str, state: &str) -> String {
        let line = format!("state: {state}\n");
        eventually(&line, || self.task(name).starts_with(&line));
        self.task(name)
    }

    /// A task takes so many looks.
    fn set_steps(&self, steps: u32) {
        self.emulator
            .knobs()
            .update(|knobs| knobs.task_steps = steps);
    }

    /// The open shares that the drive has.
    fn shares(&self) -> Vec<Value> {
        let mut command = Command::new("curl");
        let address = format!(
            "{}/koodrive/ose/v1/share?pageSize=100",
            self.emulator.endpoint()
        );
        let token = format!("Authorization: Bearer {}", self.emulator.token());
        let answer = run(command.args(["-sS", "-H", &token, &address])).success();
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["shareLinks"].as_array().expect("a list").clone()
    }

    #[track_caller]
    fn assert_saved(&self) {
        let report = fs::read(self.mount.path("folder/report.bin")).expect("it is there");
        let theirs = self.tree.read(&self.theirs[0], 0, 300_000);
        assert!(report == theirs.expect("known bytes")[..]);
        let text = fs::read_to_string(self.mount.path("folder/sub/c.txt"));
        assert_eq!(text.expect("it is there"), "their text");
    }

    /// Everything that was logged and is kept of tasks.
    fn traces(&self) -> String {
        let state = self.mount.home().path().join("state/linkfs");
        let kept = fs::read_dir(state.join("tasks")).map_or(String::new(), |files| {
            let files = files.map(|file| file.expect("an entry").path());
            files
                .map(|path| fs::read_to_string(path).expect("text"))
                .collect()
        });
        self.mount.home().log() + &kept
    }
}

fn tell(control: &mut File, line: &str) -> (Result<(), i32>, String) {
    let written = control.write_all(line.as_bytes());
    let result = written.map_err(|error| error.raw_os_error().expect("an errno"));
    let mut answer = String::new();
    control.read_to_string(&mut answer).expect("it answers");
    (result, answer)
}

fn task_in(answer: &str) -> String {
    let name = answer.trim_end().strip_prefix("ok task=");
    name.unwrap_or_else(|| panic!("no task: {answer}"))
        .to_owned()
}

#[test]
fn a_line_that_fails_fails_the_write() {
    let scene = Scene::new();
    for (line, errno_text, name) in [
        ("bad", "Invalid argument", "EINVAL"),
        ("share", "Invalid argument", "EINVAL"),
        ("share expires=soon a.txt", "Invalid argument", "EINVAL"),
        ("share missing.txt", "No such file or directory", "ENOENT"),
        ("share expire=7d a.txt", "Invalid argument", "EINVAL"),
        ("task", "Invalid argument", "EINVAL"),
        ("save url=x to=.linkfs/tasks", "Invalid argument", "EINVAL"),
        (
            "share .linkfs/status",
            "Operation not supported",
            "EOPNOTSUPP",
        ),
        ("unshare missing.txt", "No such file or directory", "ENOENT"),
        ("refresh a.txt", "Not a directory", "ENOTDIR"),
        ("refresh a.txt/b", "Not a directory", "ENOTDIR"),
        ("refresh ../x", "No such file or directory", "ENOENT"),
        ("task missing", "No such file or directory", "ENOENT"),
        ("save to=folder", "Invalid argument", "EINVAL"),
        (
            "save url=nonsense to=folder",
            "No such file or directory",
            "ENOENT",
        ),
        ("save url=x to=a.txt", "Not a directory", "ENOTDIR"),
        (
            "save url=x to=missing",
            "No such file or directory",
            "ENOENT",
        ),
    ] {
        let said = scene.shell(&format!("echo '{line}' > .linkfs/control"));
        assert_eq!(said.status.code(), Some(1), "{line}");
        assert!(said.stderr.contains(errno_text), "{line}: {said:?}");
        let (result, answer) = scene.command(line);
        assert!(result.is_err(), "{line}");
        let begin = format!("error {name} ");
        assert!(answer.starts_with(&begin), "{line}: {answer}");
        assert_eq!(answer.lines().count(), 1, "{answer}");
    }
    let said = scene.run("echo bad 2>/dev/null > .linkfs/control || echo $?");
    assert_eq!(said, "1\n");
    let words = xattr::get(scene.control(), "user.linkfs.error").expect("it is read");
    let words = String::from_utf8(words.expect("it is there")).expect("text");
    assert!(
        words.contains("unknown verb") && words.contains("help"),
        "{words}"
    );
    assert_eq!(scene.shares(), Vec::<Value>::new());
}

#[test]
fn the_handle_that_was_written_to_answers() {
    let scene = Scene::new();
    let open = "exec 3<>.linkfs/control; ";
    let said = scene.run(&format!("{open} echo help >&3; cat <&3"));
    assert!(
        said.contains("save url=URL") && said.ends_with("\nok\n"),
        "{said}"
    );
    let said = scene.run(&format!(
        "{open} echo bad >&3 || echo shares >&3; cat <&3; cat <&3"
    ));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("error EINVAL bad command: "), "{said}");
    assert_eq!(lines[1], "ok 0");
    // One write runs up to the first line that fails.
    let said = scene.run(&format!(
        "{open} printf 'shares\\nbad\\nshares\\n' | cat >&3 || cat <&3"
    ));
    assert_eq!(said.lines().count(), 2, "{said}");
    // Another handle has nothing to tell.
    assert_eq!(
        scene.run(&format!("{open} echo help >&3; cat .linkfs/control")),
        ""
    );
    assert_eq!(
        scene.run("cat .linkfs/control; stat -c '%a %s' .linkfs/control"),
        "600 0\n"
    );
}

#[test]
fn writers_at_once_get_their_own_answers() {
    let scene = Scene::new();
    let mut threads = Vec::new();
    for writer in 0..4 {
        let path = scene.control();
        threads.push(thread::spawn(move || {
            let mut answers = BTreeSet::new();
            for _ in 0..50 {
                let mut options = OpenOptions::new();
                let control = options.read(true).write(true).open(&path);
                let mut control = control.expect("it opens");
                let (result, answer) = tell(&mut control, &format!("share many/{writer:02}.txt\n"));
                assert_eq!(result, Ok(()), "{answer}");
                let (result, refusal) = tell(&mut control, &format!("verb{writer}\n"));
                assert_eq!(result, Err(libc::EINVAL));
                assert!(refusal.starts_with("error EINVAL") && refusal.lines().count() == 1);
                answers.insert(answer);
            }
            assert_eq!(answers.len(), 1, "one file, one answer: {answers:?}");
            answers.pop_first().expect("there is one")
        }));
    }
    let answers: BTreeSet<String> = threads
        .into_iter()
        .map(|thread| thread.join().expect("the writer ends"))
        .collect();
    assert_eq!(answers.len(), 4, "four files, four answers: {answers:?}");
    let shares = scene.shares();
    assert_eq!(shares.len(), 4);
    for share in shares {
        let url = share["linkUrl"].as_str().expect("an address");
        assert!(answers.iter().any(|answer| answer.contains(url)), "{url}");
    }
}

#[test]
fn any_tool_can_write_a_command() {
    let scene = Scene::new();
    for (number, line) in [
        "echo share many/NN.txt > .linkfs/control",
        "echo share many/NN.txt >> .linkfs/control",
        "printf 'share many/NN.txt' > .linkfs/control",
        "printf '\\r\\n\\n  \\nshare many/NN.txt\\r\\n\\n' > .linkfs/control",
        "echo share many/NN.txt | tee .linkfs/control",
        "echo share many/NN.txt | tee -a .linkfs/control",
        "echo share many/NN.txt | dd of=.linkfs/control status=none",
        "echo share many/NN.txt | dd of=.linkfs/control status=none conv=notrunc oflag=append",
        "echo share many/NN.txt | dd of=.linkfs/control status=none bs=64k conv=fsync",
        "echo share many/NN.txt | cat > .linkfs/control",
        "python3 -c 'with open(\".linkfs/control\", \"w\") as f: f.write(\"share many/NN.txt\\n\")'",
        "python3 -c 'open(\".linkfs/control\", \"ab\", 0).write(b\"share many/NN.txt\\n\")'",
        "sed -n 'w .linkfs/control' <<< 'share many/NN.txt'",
    ]
    .iter()
    .enumerate()
    {
        scene.run(&line.replace("NN", &format!("{number:02}")));
        assert_eq!(scene.shares().len(), number + 1, "{line}");
        let bad = line.replace("many/NN.txt", "many/missing.txt");
        let said = scene.shell(&bad).failure();
        assert!(said.contains("No such file or directory"), "{bad}: {said}");
    }
    let count = scene.shares().len();
    // Emptying and touching it is nothing; it stays what it is.
    scene.run(": > .linkfs/control; truncate -s 0 .linkfs/control; touch .linkfs/control");
    for line in [
        "chmod 666 .linkfs/control",
        "rm .linkfs/control",
        "mv .linkfs/control x",
        "echo x > .linkfs/status",
        "echo x > .linkfs/metrics",
        "echo x > .linkfs/new",
        "echo x > .linkfs/tasks/new",
    ] {
        scene.refused(line, "Read-only file system");
    }
    assert_eq!(scene.shares().len(), count);
}

#[test]
fn a_long_line_is_one_line_or_refused() {
    let scene = Scene::new();
    // Shells write in blocks of a few KiB: what they cut is put together again.
    let dots = |count: usize| format!("$(printf './%.0s' $(seq {count}))");
    for count in [2040, 2044, 2045, 6000, 30_000] {
        scene.run(&format!(
            "echo \"refresh {}folder\" > .linkfs/control",
            dots(count)
        ));
        scene.refused(
            &format!("echo \"refresh {}missing\" > .linkfs/control", dots(count)),
            "No such file or directory",
        );
    }
    for line in [
        format!("echo \"refresh {}folder\" > .linkfs/control", dots(50_000)),
        "head -c 100000 /dev/zero | tr '\\0' x > .linkfs/control".into(),
        "(echo -n 'share note='; head -c 100000 /dev/zero | tr '\\0' x; echo ' a.txt') \
         | dd of=.linkfs/control bs=1M iflag=fullblock status=none"
            .into(),
        "printf 'share \\xff\\xfe\\n' > .linkfs/control".into(),
    ] {
        scene.refused(&line, "Invalid argument");
    }
    let mut control = scene.open();
    let written = control.write_all(b"share \xff\n");
    assert_eq!(
        written.map_err(|error| error.raw_os_error()),
        Err(Some(libc::EINVAL))
    );
    let (result, answer) = tell(&mut control, "\n \n");
    assert_eq!(result, Ok(()));
    assert!(
        answer.starts_with("error EINVAL") && answer.contains("no text"),
        "{answer}"
    );
    assert_eq!(scene.shares(), Vec::<Value>::new());
}

#[test]
fn paths_that_name_one_file_are_one_path() {
    let scene = Scene::new();
    let answer = scene.ok(r#"share ["folder/b.txt", "./folder/b.txt", "/folder//b.txt"]"#);
    let shares = scene.shares();
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0]["files"].as_array().expect("a list").len(), 1);
    assert_eq!(scene.ok("share folder/b.txt"), answer, "it is the same");
    scene.run("setfattr -x user.linkfs.share folder/b.txt");
    assert_eq!(scene.shares().len(), 0);
}

#[test]
fn several_paths_are_one_share_and_its_code_is_nowhere_else() {
    let scene = Scene::with(|builder| builder.argument("-vvv"));
    let line = format!("share expires=3d password={CODE} [\"a.txt\", \"folder\"]");
    let answer = scene.ok(&line);
    let shares = scene.shares();
    assert_eq!(shares.len(), 1, "{shares:?}");
    assert_eq!(shares[0]["files"].as_array().expect("a list").len(), 2);
    assert_eq!(shares[0]["extractCode"], CODE);
    let url = shares[0]["linkUrl"].as_str().expect("an address");
    assert!(
        answer.starts_with("ok ") && answer.contains(url),
        "{answer}"
    );
    for (line, number) in [
        (line, libc::EEXIST),
        (
            format!("share password={CODE} expires=soon a.txt"),
            libc::EINVAL,
        ),
        (format!("share password=\"{CODE} a.txt"), libc::EINVAL),
        (
            format!("share password={CODE} [\"a.txt\", \"missing\"]"),
            libc::ENOENT,
        ),
        (
            format!("save url=x password={CODE} password={CODE} to=folder"),
            libc::EINVAL,
        ),
    ] {
        let (result, answer) = scene.command(&line);
        assert_eq!(result, Err(number), "{line}: {answer}");
        assert!(!answer.contains(CODE), "{answer}");
        let words = xattr::get(scene.control(), "user.linkfs.error").expect("it is read");
        let words = String::from_utf8(words.expect("it is there")).expect("text");
        assert!(!words.contains(CODE), "{words}");
    }
    assert_eq!(scene.shares().len(), 1);
    assert!(!scene.traces().contains(CODE));
    assert!(!scene.mount.status().to_string().contains(CODE));
}

#[test]
fn commands_list_and_revoke_shares() {
    let scene = Scene::new();
    assert_eq!(scene.ok("shares"), "ok 0\n");
    scene.ok("share /a.txt");
    scene.ok("share folder");
    let answer = scene.ok("shares\n");
    let lines: Vec<_> = answer.lines().collect();
    assert_eq!(lines.len(), 3, "{answer}");
    assert!(
        lines[0].starts_with("share ") && lines[0].ends_with(" a.txt"),
        "{answer}"
    );
    assert_eq!(lines[2], "ok 2");
    for share in scene.shares() {
        assert!(answer.contains(share["linkUrl"].as_str().expect("an address")));
    }
    assert_eq!(scene.ok("unshare a.txt"), "ok\n");
    assert_eq!(scene.shares().len(), 1);
    // Nothing is left to revoke, and that is what was wanted.
    assert_eq!(scene.ok("unshare a.txt"), "ok\n");
    assert_eq!(scene.run("ls .linkfs/shares"), "folder\n");
}

#[test]
fn refresh_shows_what_the_drive_has_now() {
    let scene = Scene::new();
    let exists = |name: &str| scene.mount.path(name).exists();
    assert!(exists("folder/b.txt") && !exists("folder/new.txt") && !exists("new.txt"));
    let before = fs::read_to_string(scene.mount.path("a.txt")).expect("it is read");
    assert_eq!(before, "some text");
    let a = scene.tree.id_at("a.txt").expect("it is there");
    let b = scene.tree.id_at("folder/b.txt").expect("it is there");
    scene.tree.add_file(ROOT_ID, "new.txt", "new");
    scene.tree.add_file(&scene.folder, "new.txt", "new");
    scene.tree.replace_content(&a, "other text");
    scene.tree.remove(&b);
    assert!(
        exists("folder/b.txt") && !exists("folder/new.txt"),
        "names are kept"
    );
    // A shell that stands in a folder stays there.
    let said =
        scene.run("cd folder; echo refresh folder > ../.linkfs/control; pwd -P; cat new.txt; ls");
    assert!(said.ends_with("/folder\nnewnew.txt\n"), "{said}");
    assert!(exists("folder/new.txt") && !exists("folder/b.txt"));
    assert!(!exists("new.txt"), "only what was asked for");
    scene.ok("refresh /");
    assert!(exists("new.txt"));
    let after = fs::read_to_string(scene.mount.path("a.txt")).expect("it is read");
    assert_eq!(after, "other text");
    scene.ok("refresh .linkfs");
}

/// The kernel keeps names from what it reads of a folder, and this one was opened before it changed.
#[test]
fn a_folder_read_on_after_a_refresh_brings_no_old_name_back() {
    let scene = Scene::new();
    let files = (0..3000).map(|number| {
        let name = format!("{number:04}");
        scene.tree.add_file(&scene.folder, &name, "text")
    });
    let ids: Vec<_> = files.collect();
    scene.ok("refresh folder");
    let mut open = fs::read_dir(scene.mount.path("folder")).expect("it opens");
    let first = open.next().expect("it is not empty");
    first.expect("it is read");
    assert!(scene.tree.remove(ids.last().expect("there are some")));
    scene.ok("refresh folder");
    let last = scene.mount.path("folder/2999");
    assert!(!last.exists());
    // It is read to its end as it was when it was opened.
    assert_eq!(open.count(), 3000);
    assert!(!last.exists());
}

#[test]
fn a_refresh_that_fails_takes_nothing_away() {
    let scene = Scene::with(|builder| builder.deadline("4s"));
    assert!(scene.mount.path("folder/b.txt").exists());
    let down = Action::Status {
        code: 503,
        retry_after: None,
        body: None,
    };
    scene.emulator.faults().add(Rule::on("list", down));
    let (result, answer) = scene.command("refresh folder");
    assert_eq!(result, Err(libc::EHOSTDOWN), "{answer}");
    assert_eq!(scene.run("ls folder"), "b.txt\n");
    scene.emulator.faults().clear();
    scene.tree.add_file(&scene.folder, "new.txt", "new");
    scene.ok("refresh folder");
    assert_eq!(
        scene.run("ls folder; cat folder/new.txt"),
        "b.txt\nnew.txt\nnew"
    );
}

/// The kernel locks the folder to forget a name, and so does who looks a name up.
#[test]
fn refreshing_and_looking_at_once_never_hang() {
    let scene = Scene::new();
    thread::scope(|scope| {
        for looker in 0..4 {
            let scene = &scene;
            scope.spawn(move || {
                for round in 0..1000 {
                    let name = format!("folder/{looker}-{}", round % 100);
                    let _may_be_there = fs::metadata(scene.mount.path(&name));
                    let entries = fs::read_dir(scene.mount.path("folder")).expect("it is there");
                    assert!(entries.count() > 0);
                }
            });
        }
        for round in 0..100 {
            let name = format!("{}-{round}", round % 4);
            scene.tree.add_file(&scene.folder, &name, "x");
            scene.ok("refresh folder");
            let path = scene.mount.path(&format!("folder/{name}"));
            assert!(path.exists(), "{name}");
        }
    });
}

#[test]
fn what_somebody_shared_is_saved_and_there_at_once() {
    let scene = Scene::new();
    // The kernel keeps that they are missing.
    for name in ["folder/report.bin", "folder/sub", "folder/sub/c.txt"] {
        assert!(!scene.mount.path(name).exists(), "{name}");
    }
    assert_eq!(
        scene.run("ls folder .linkfs/tasks"),
        ".linkfs/tasks:\n\nfolder:\nb.txt\n"
    );
    let task = scene.save();
    assert_eq!(scene.run("ls .linkfs/tasks"), format!("{task}\n"));
    let shown = scene.await_task(&task, "done");
    scene.assert_saved();
    for line in ["progress: 100", "to: folder", "drive: work"] {
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
    }
    assert_eq!(
        scene.ok(&format!("task {task}")),
        "ok state=done progress=100\n"
    );
    assert!(!scene.traces().contains(THEIR_CODE));
    assert_eq!(
        scene.run("stat -c '%a %U' .linkfs/tasks .linkfs/tasks/*"),
        "700 root\n600 root\n"
    );
    scene.refused("rm .linkfs/tasks/*", "Read-only file system");
}

#[test]
fn a_task_tells_how_far_it_is() {
    let scene = Scene::new();
    scene.set_steps(4);
    let task = scene.save();
    let shown = scene.await_task(&task, "running");
    assert!(
        !shown.contains("progress: 0\n") && !shown.contains("progress: 100\n"),
        "{shown}"
    );
    let answer = scene.ok(&format!("task {task}"));
    assert!(answer.starts_with("ok state=running progress="), "{answer}");
    assert!(!scene.mount.path("folder/report.bin").exists());
    scene.await_task(&task, "done");
    scene.assert_saved();
}

#[test]
fn a_task_that_fails_says_why() {
    let scene = Scene::new();
    scene.set_steps(1000);
    let partly = scene.save();
    scene.tree.remove(&scene.theirs[1]);
    scene.set_steps(0);
    let shown = scene.await_task(&partly, "failed");
    assert!(shown.contains("reason: 1 of 2 items failed\n"), "{shown}");
    // What did come is there.
    assert!(scene.mount.path("folder/report.bin").exists());
    scene.set_steps(1000);
    scene.tree.restore(&scene.theirs[1]);
    let last = scene.save();
    for theirs in &scene.theirs {
        scene.tree.remove(theirs);
    }
    scene.set_steps(0);
    let shown = scene.await_task(&last, "failed");
    assert!(shown.contains("reason: 2 of 2 items failed\n"), "{shown}");
}

#[test]
fn what_cannot_be_opened_is_not_saved() {
    let scene = Scene::with(|builder| builder.argument("-vvv"));
    let url = scene.emulator.share_from_others(&scene.theirs, THEIR_CODE);
    let empty = scene.tree.add_file(ROOT_ID, "soon gone", "x");
    let empty_url = scene
        .emulator
        .share_from_others(std::slice::from_ref(&empty), "");
    scene.tree.remove(&empty);
    for (line, number) in [
        (
            format!("save url={url} password={CODE} to=folder"),
            libc::EACCES,
        ),
        (format!("save url={url} to=folder"), libc::EACCES),
        (format!("save url={empty_url} to=folder"), libc::EINVAL),
        (format!("save url={url}nosuch to=folder"), libc::ENOENT),
    ] {
        let (result, answer) = scene.command(&line);
        assert_eq!(result, Err(number), "{line}: {answer}");
        assert!(
            answer.len() > "error EACCES ".len() + 10,
            "in words: {answer}"
        );
        assert!(!answer.contains(CODE), "{answer}");
    }
    assert_eq!(scene.run("ls .linkfs/tasks"), "");
    assert!(!scene.traces().contains(CODE));
}

#[test]
fn a_drive_that_takes_no_shares_says_so() {
    let tree = Tree::new();
    tree.add_folder(ROOT_ID, "folder");
    let emulator = dingtalk::Emulator::start_blocking(dingtalk::Options::with_tree(tree));
    let emulator = emulator.expect("it starts");
    let mount = Mounted::new(&emulator);
    let mut options = OpenOptions::new();
    let control = options
        .read(true)
        .write(true)
        .open(mount.path(".linkfs/control"));
    let mut control = control.expect("it opens");
    for line in [
        "save url=https://x.test/s to=folder",
        "pack url=https://x.test/s name=x.zip folder",
    ] {
        let (result, answer) = tell(&mut control, line);
        assert_eq!(result, Err(libc::EOPNOTSUPP), "{answer}");
        assert!(answer.contains("take what others shared"), "{answer}");
    }
}

#[test]
fn a_task_outlives_its_mount() {
    for ends in [
        (|mount: &Mounted| drop(mount.unmount().success())) as fn(&Mounted),
        |mount| mount.signal(libc::SIGKILL),
    ] {
        let mut scene = Scene::new();
        assert!(!scene.mount.path("folder/report.bin").exists());
        scene.set_steps(1000);
        let task = scene.save();
        ends(&scene.mount);
        scene.mount.wait_for_end();
        scene.mount = scene.mount.mount_again();
        assert!(!scene.task(&task).contains("done"));
        scene.set_steps(0);
        scene.await_task(&task, "done");
        scene.assert_saved();
        // And the next mount still shows it.
        scene.mount = scene.mount.mount_again();
        assert!(scene.task(&task).starts_with("state: done\n"));
    }
}

#[test]
fn mounts_that_share_a_state_folder_follow_the_same_task() {
    let scene = Scene::new();
    scene.set_steps(1000);
    let task = scene.save();
    let second = scene.mount.home().path().join("second");
    fs::create_dir(&second).expect("a folder");
    let linkfs = || scene.mount.home().linkfs();
    run(linkfs().args(["mount", "work"]).arg(&second)).success();
    assert!(is_mounted(&second) && !second.join("folder/report.bin").exists());
    scene.set_steps(0);
    let path = second.join(".linkfs/tasks").join(&task);
    let seen = || fs::read_to_string(&path).expect("it is shown");
    eventually("the second mount sees the end", || {
        seen().starts_with("state: done\n")
    });
    let is_there = second.join("folder/report.bin").exists();
    let unmounted = run(linkfs().arg("unmount").arg(&second));
    assert!(is_there);
    unmounted.success();
    scene.await_task(&task, "done");
    scene.assert_saved();
    let kept = scene.mount.home().path().join("state/linkfs/tasks");
    let files: Vec<_> = fs::read_dir(kept).expect("it is there").collect();
    assert_eq!(files.len(), 1, "{files:?}");
}

#[test]
fn an_archive_is_shown_in_its_task_alone() {
    let mut scene = Scene::with(|builder| builder.argument("-vvv"));
    let url = scene.emulator.share_from_others(&scene.theirs, THEIR_CODE);
    let line = format!("pack url={url} password={THEIR_CODE} name=x.zip folder");
    let task = task_in(&scene.ok(&line));
    let shown = scene.await_task(&task, "done");
    assert!(shown.contains("name: x.zip\n"), "{shown}");
    let address = |shown: &str| {
        let mut lines = shown.lines();
        let line = lines.find_map(|line| line.strip_prefix("url: "));
        line.map(str::to_owned)
    };
    let archive = address(&shown).expect("an address");
    let size = run(Command::new("curl").args([
        "-sSf",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download}",
        &archive,
    ]));
    assert!(size.success().parse::<u64>().expect("a number") > 0);
    let (_, query) = archive.split_once('?').expect("it is signed");
    for place in [
        scene.traces(),
        scene.mount.status().to_string(),
        scene.ok(&format!("task {task}")),
    ] {
        assert!(
            !place.contains(&archive) && !place.contains(query),
            "{place}"
        );
    }
    scene.mount = scene.mount.mount_again();
    eventually("the next mount asks for it", || {
        address(&scene.task(&task)).is_some()
    });
    assert!(!scene.traces().contains(query));
}

#[test]
fn the_control_folder_is_for_the_user_who_mounted_and_for_root() {
    let scene = Scene::with(|builder| builder.argument("--allow-other"));
    let task = scene.save();
    scene.await_task(&task, "done");
    run(Command::new("chmod")
        .arg("755")
        .arg(scene.mount.home().path()))
    .success();
    let as_nobody = format!("setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups ");
    scene.run(&format!("{as_nobody} cat folder/report.bin > /dev/null"));
    for line in [
        "ls .linkfs",
        "cat .linkfs/control",
        "bash -c 'echo help > .linkfs/control'",
        "bash -c 'echo help >> .linkfs/control'",
        "truncate -s 0 .linkfs/control",
        "cat .linkfs/status",
        "cat .linkfs/metrics",
        "ls .linkfs/shares",
        "ls .linkfs/tasks",
        &format!("cat .linkfs/tasks/{task}"),
        "stat .linkfs/control",
        "getfattr -n user.linkfs.error .linkfs/control",
    ] {
        scene.refused(&format!("{as_nobody} {line}"), "Permission denied");
        if !line.starts_with("getfattr") {
            scene.run(line);
        }
    }
    for (path, mode) in [
        ("", "700"),
        ("/shares", "700"),
        ("/tasks", "700"),
        ("/control", "600"),
        ("/status", "600"),
        ("/metrics", "600"),
    ] {
        let said = scene.run(&format!("stat -c '%a %u' .linkfs{path}"));
        assert_eq!(said, format!("{mode} 0\n"), "{path}");
    }
}

#[test]
fn metrics_are_the_numbers_of_the_status() {
    let scene = Scene::new();
    scene.ok("share a.txt");
    scene.run("cat a.txt folder/b.txt > /dev/null");
    // Looking changes nothing but what is open.
    let status = scene.mount.status();
    let text = fs::read_to_string(scene.mount.path(".linkfs/metrics")).expect("it is read");
    let drive = &status["drives"][0];
    let up = u64::from(drive["state"] == "ok");
    for (name, expected) in [
        ("linkfs_nodes", &status["nodes"]),
        (
            "linkfs_memory_bytes{kind=\"budget\"}",
            &status["memory"]["budget_bytes"],
        ),
        (
            "linkfs_memory_bytes{kind=\"cached\"}",
            &status["memory"]["cached_bytes"],
        ),
        (
            "linkfs_memory_bytes{kind=\"names\"}",
            &status["memory"]["name_bytes"],
        ),
        ("linkfs_drive_up{drive=\"work\"}", &up.into()),
        ("linkfs_drive_calls_total{drive=\"work\"}", &drive["calls"]),
        (
            "linkfs_drive_failed_calls_total{drive=\"work\"}",
            &drive["failed_calls"],
        ),
        ("linkfs_drive_links{drive=\"work\"}", &drive["links"]),
        (
            "linkfs_drive_shares_made_total{drive=\"work\"}",
            &drive["shares"]["made"],
        ),
    ] {
        let line = format!("{name} {expected}");
        assert!(text.lines().any(|shown| shown == line), "{line}:\n{text}");
    }
    assert_eq!(drive["shares"]["made"], 1);
}

/// Runs `linkfs save` with `input` on stdin.
fn linkfs_save(scene: &Scene, arguments: &[&str], input: &str) -> Outcome {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input.as_bytes()).expect("it is written");
    io::Seek::rewind(&mut file).expect("it is rewound");
    let mut command = scene.mount.home().linkfs();
    command.arg("save").args(arguments);
    command.current_dir(scene.mount.folder());
    linkfs_tests::run_with(&mut command, Stdio::from(file))
}

#[test]
fn linkfs_save_waits_for_the_end_and_says_how_it_went() {
    let scene = Scene::with(|builder| builder.argument("-vvv"));
    let odd = scene.tree.add_folder(ROOT_ID, "an \"odd\" \\ folder, it's");
    scene.ok("refresh /");
    let url = scene.emulator.share_from_others(&scene.theirs, THEIR_CODE);
    let code = format!("{THEIR_CODE}\n");
    let said = linkfs_save(&scene, &[&url, "--to", "folder", "--password", "-"], &code);
    assert!(said.stderr.is_empty(), "no terminal, no progress: {said:?}");
    said.success();
    scene.assert_saved();
    // By any way to the folder, whatever it is called.
    let path = scene.mount.path("an \"odd\" \\ folder, it's");
    let path = path.to_str().expect("text");
    linkfs_save(&scene, &[&url, "--to", path, "--password", "-"], &code).success();
    assert_eq!(scene.tree.children(&odd).len(), 2);

    let wrong = linkfs_save(&scene, &[&url, "--to", "folder", "--password", "-"], CODE);
    let said = wrong.failure();
    assert!(said.contains("code") && !said.contains(CODE), "{said}");
    for (arguments, why) in [
        (vec![url.as_str(), "--to", "a.txt"], "not a folder"),
        (vec![url.as_str(), "--to", "missing"], "No such file"),
        (vec![url.as_str(), "--to", "/"], "not on a mount of linkfs"),
        (vec![url.as_str(), "--to", ".linkfs"], "on no drive"),
        (vec!["two\nlines", "--to", "folder"], "line break"),
    ] {
        let said = linkfs_save(&scene, &arguments, "").failure();
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
    assert!(!scene.traces().contains(THEIR_CODE));

    scene.set_steps(1000);
    let arguments = [&url, "--to", "folder", "--password", "-", "--no-wait"];
    let task = linkfs_save(&scene, &arguments, &code).success();
    let shown = scene.task(task.trim_end());
    assert!(
        shown.contains("to: /folder\n") && !shown.contains("state: done"),
        "{shown}"
    );
    for theirs in &scene.theirs {
        scene.tree.remove(theirs);
    }
    scene.set_steps(0);
    scene.await_task(task.trim_end(), "failed");
    scene.tree.restore(&scene.theirs[0]);
    scene.set_steps(1000);
    let url = scene.emulator.share_from_others(&scene.theirs[..1], "");
    let waiting = thread::scope(|scope| {
        let waiting = scope.spawn(|| linkfs_save(&scene, &[&url, "--to", "folder"], ""));
        let begun = || scene.run("ls .linkfs/tasks").lines().count() == 4;
        eventually("it has begun", begun);
        scene.tree.remove(&scene.theirs[0]);
        scene.set_steps(0);
        waiting.join().expect("it ends")
    });
    let said = waiting.failure();
    assert!(said.contains("1 of 1 items failed"), "{said}");
}
