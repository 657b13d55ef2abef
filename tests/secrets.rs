//! Whatever happens, no token, password or signed query is shown: not in the log at its most talkative, in no
//! message, no attribute, no status and nowhere in `/proc`.
//!
//! Every secret here has the word `CANARY` in it. An emulated drive that lets these secrets in, and nothing
//! else, shows that they were used.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use linkfs_emulator::koodrive::{Credentials, Emulator, Options};
use linkfs_emulator::{Action, ROOT_ID, Rule, Tree};
use linkfs_tests::{DriveKind, on_every_drive, tree_with_file};
use linkfs_tests::{Foreground, Home, Mounted, Outcome, drive_section, eventually, run};
use serde_json::json;

const TOKEN: &str = "CANARY-token-8d1f";
const SESSION_ID: &str = "CANARY-session-77aa";
const ACCOUNT: &str = "CANARY-account-31";
const PASSWORD: &str = "CANARY password 90!";
const APP_SECRET: &str = "CANARY-app-secret-c4";
const ACCESS_KEY: &str = "CANARYACCESSKEY";

/// The names whose values are looked at on every file; those we do not know are refused.
const ATTRIBUTES: [&str; 12] = [
    "id",
    "name",
    "drive",
    "version",
    "mime",
    "hash.sha1",
    "hash.etag",
    "cached",
    "error",
    "share",
    "share.info",
    "share.password",
];

/// How a drive is logged in to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Token,
    Session,
    Carrier,
    App,
}

/// Where the secrets of a drive are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Environment,
    File,
    Command,
    Config,
}

/// A drive that goes wrong in many ways, a home to mount it in, and all that was ever said.
struct Scene {
    emulator: Option<Emulator>,
    home: Home,
    variables: Vec<(String, String)>,
    /// What was said or shown, and where.
    seen: Vec<(String, String)>,
}

impl Scene {
    fn new(mode: Mode, kept: Kept) -> Scene {
        let options = Options {
            tree: tree(),
            credentials: Credentials {
                token: TOKEN.into(),
                session_id: SESSION_ID.into(),
                account: ACCOUNT.into(),
                password: PASSWORD.into(),
                app_secret: APP_SECRET.into(),
                access_key: ACCESS_KEY.into(),
                signing_secret: "CANARY-signing-secret".into(),
                captcha: "CANARY-captcha".into(),
                auth_code: "CANARY-code".into(),
                ..Credentials::default()
            },
            ..Options::default()
        };
        let emulator = Emulator::start_blocking(options).expect("the emulator starts");
        script_faults(&emulator, mode);
        let mut scene = Scene {
            emulator: Some(emulator),
            home: Home::new(),
            variables: Vec::new(),
            seen: Vec::new(),
        };
        let config = scene.config(mode, kept);
        scene.home.configure(&config);
        fs::create_dir(scene.folder()).expect("the mount's folder is made");
        scene
    }

    fn config(&mut self, mode: Mode, kept: Kept) -> String {
        let emulator = self.emulator();
        let (carrier, user) = {
            let credentials = emulator.credentials();
            (credentials.carrier.clone(), credentials.user_id.clone())
        };
        let ready = Mounted::builder(emulator).deadline("2s").config();
        let mut text: String = ready
            .lines()
            .filter(|line| !line.starts_with("token"))
            .map(|line| format!("{line}\n"))
            .collect();
        match mode {
            Mode::Token => text += &self.keep("token", TOKEN, kept),
            Mode::Session => {
                text += "auth_mode = \"session\"\n";
                text += &self.keep("token", TOKEN, kept);
                text += &self.keep("session_id", SESSION_ID, kept);
            }
            Mode::Carrier => {
                text += &format!("auth_mode = \"carrier\"\ncarrier = \"{carrier}\"\n");
                text += &self.keep("account", ACCOUNT, kept);
                text += &self.keep("password", PASSWORD, kept);
            }
            Mode::App => {
                let app = self.emulator().credentials().app_id.clone();
                text += &format!("auth_mode = \"app\"\napp_id = \"{app}\"\nuser_id = \"{user}\"\n");
                text += &self.keep("app_secret", APP_SECRET, kept);
            }
        }
        text
    }

    /// Puts a secret where it is to be kept, and gives the line of the configuration that says so.
    fn keep(&mut self, key: &str, secret: &str, kept: Kept) -> String {
        let file = self.home.path().join(format!("kept-{key}"));
        if matches!(kept, Kept::File | Kept::Command) {
            write_private(&file, secret);
        }
        match kept {
            Kept::Environment => {
                let variable = format!("T_{}", key.to_uppercase());
                self.variables.push((variable.clone(), secret.into()));
                format!("{key} = {{ env = \"{variable}\" }}\n")
            }
            Kept::File => format!("{key} = {{ file = \"kept-{key}\" }}\n"),
            Kept::Command => format!("{key} = {{ command = \"cat {}\" }}\n", file.display()),
            Kept::Config => format!("{key} = \"{secret}\"\n"),
        }
    }

    fn emulator(&self) -> &Emulator {
        self.emulator.as_ref().expect("it runs")
    }

    fn folder(&self) -> PathBuf {
        self.home.path().join("drive")
    }

    /// The program at its most talkative, with the variables that hold secrets.
    fn linkfs(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.linkfs();
        command
            .arg("-vvv")
            .args(arguments)
            .env("RUST_BACKTRACE", "full")
            .env("RUST_LOG", "trace")
            .envs(self.variables.iter().cloned());
        command
    }

    /// Runs the program and keeps what it says.
    fn run(&mut self, arguments: &[&str]) -> Outcome {
        let outcome = run(&mut self.linkfs(arguments));
        self.seen.push((arguments.join(" "), outcome.output()));
        outcome
    }

    /// Runs every command that shows something of a drive.
    fn run_commands(&mut self) {
        let folder = self.folder();
        let folder = folder.to_str().expect("text");
        let lines = [
            vec!["ls", "work:/"],
            vec!["ls", "work:/good", "--json"],
            vec!["stat", "work:/good/a.bin"],
            vec!["stat", "work:/good/a.bin", "--json"],
            vec!["cat", "work:/good/text"],
            vec!["cat", "work:/link-denied/a.bin"],
            vec!["ls", "work:/list-error"],
            vec!["drives"],
            vec!["drives", "--json"],
            vec!["status"],
            vec!["status", "--json"],
            vec!["status", folder],
            vec!["status", folder, "--json"],
        ];
        let scene = &*self;
        let said = thread::scope(|scope| {
            let running = lines.map(|line| {
                let shown = line.join(" ");
                (
                    shown,
                    scope.spawn(move || run(&mut scene.linkfs(&line)).output()),
                )
            });
            running.map(|(line, running)| (line, running.join().expect("no panic")))
        });
        self.seen.extend(said);
    }

    /// Looks at everything that the mount and its process show.
    fn look(&mut self, pid: u32) {
        let folder = self.folder();
        let status = fs::read_to_string(folder.join(".linkfs/status"));
        let status = status.expect("the status is read");
        assert!(status.contains("\"drives\""), "{status}");
        self.seen.push(("status".into(), status));
        let mut paths = vec![folder.clone()];
        // The late ones are to stay unknown until then.
        for (name, _) in FOLDERS.iter().filter(|(name, _)| !is_late(name)) {
            paths.push(folder.join(name));
            // Where nothing can be listed there is no file to look at, and asking takes its time.
            paths.extend((!name.starts_with("list")).then(|| folder.join(name).join("a.bin")));
        }
        for path in paths {
            for name in ATTRIBUTES {
                let value = xattr::get(&path, format!("user.linkfs.{name}"));
                let Ok(Some(value)) = value else {
                    continue;
                };
                let value = String::from_utf8_lossy(&value).into_owned();
                let place = format!("{name} of {}", path.display());
                self.seen.push((place, value));
            }
        }
        let process = PathBuf::from(format!("/proc/{pid}"));
        for name in ["cmdline", "environ", "comm"] {
            let text = fs::read(process.join(name)).expect("it is the process of root");
            assert!(!text.is_empty(), "{name}");
            let text = String::from_utf8_lossy(&text).into_owned();
            self.seen.push((format!("{name} of the process"), text));
        }
        let descriptors = fs::read_dir(process.join("fd")).expect("its descriptors");
        for entry in descriptors.flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy().into_owned();
            assert!(!target.contains("memfd"), "{target} is open still");
        }
    }

    /// Adds what lies in the home: logs above all. Where a secret is kept on purpose only its mode is looked
    /// at.
    fn look_at_files(&mut self) {
        for path in files_below(self.home.path()) {
            let name = path.file_name().expect("a name").to_string_lossy();
            if name == "config.toml" || name.starts_with("kept-") || name == "token.json" {
                let mode = fs::metadata(&path).expect("it is there").permissions();
                assert_eq!(mode.mode() & 0o077, 0, "{}", path.display());
                continue;
            }
            let text = fs::read(&path).expect("it is read");
            let text = String::from_utf8_lossy(&text).into_owned();
            self.seen.push((path.display().to_string(), text));
        }
    }

    /// Tokens that the drive gave in the meantime, as they are kept for the next start.
    fn renewed_tokens(&self) -> Vec<String> {
        let path = self.home.path().join("state/linkfs/drives/work/token.json");
        let Ok(text) = fs::read(path) else {
            return Vec::new();
        };
        let kept: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let tokens = ["access_token", "refresh_token"].map(|name| kept[name].as_str());
        let tokens = tokens.into_iter().flatten();
        // Without the scheme word, which is no secret.
        tokens
            .map(|token| token.rsplit(' ').next().expect("a word").to_owned())
            .collect()
    }

    #[track_caller]
    fn assert_clean(&self, more: &[String]) {
        assert_clean(&self.seen, more);
    }

    /// Everything of a mount's life, from the first listing to a drive that is gone.
    fn live(&mut self, pid: u32) {
        let folder = self.folder();
        self.read_what_goes_well();
        self.read_what_goes_wrong();
        self.look(pid);

        let before = self.emulator().counters().snapshot().unauthorized;
        self.emulator().expire_tokens();
        // With a session this renews the token; a ready token is over.
        let _depends_on_the_mode = fs::read_dir(folder.join("late-1")).map(Iterator::count);
        self.emulator().revoke_tokens();
        let _depends_on_the_mode = fs::read_dir(folder.join("late-2")).map(Iterator::count);
        let after = self.emulator().counters().snapshot().unauthorized;
        let has_tokens = self.home.path().join("config.toml");
        let has_tokens = !fs::read_to_string(has_tokens).unwrap().contains("\"app\"");
        assert_eq!(
            after > before,
            has_tokens,
            "{before} refusals, then {after}"
        );
        self.run_commands();
        self.look(pid);
    }

    fn read_what_goes_well(&mut self) {
        let folder = self.folder();
        let names = fs::read_dir(&folder)
            .expect("the drive lists its top")
            .count();
        assert_eq!(names, FOLDERS.len());
        let read = fs::read(folder.join("good/a.bin")).expect("it reads");
        assert_eq!(read.len(), 300_000);
        let counts = self.emulator().counters().snapshot();
        assert!(
            counts.data_requests > 0 && counts.unauthorized == 0,
            "{counts:?}"
        );
    }

    /// Runs into every fault of the script.
    fn read_what_goes_wrong(&mut self) {
        let folder = self.folder();
        let faulty = FOLDERS
            .iter()
            .filter(|(name, _)| *name != "good" && !is_late(name));
        thread::scope(|scope| {
            // All at once: some of them fail only when the deadline is over.
            for (name, is_readable) in faulty {
                let path = folder.join(name).join("a.bin");
                scope.spawn(move || {
                    let read = fs::read(path).map(|bytes| bytes.len());
                    assert_eq!(read.is_ok(), *is_readable, "{name}: {read:?}");
                });
            }
        });
        for (rule, hits) in self.emulator().faults().hits() {
            assert!(hits > 0, "never struck: {rule:?}");
        }
    }
}

/// Folders with a file `a.bin` each, and whether that can be read although something goes wrong.
const FOLDERS: [(&str, bool); 19] = [
    ("good", true),
    ("list-error", false),
    ("list-garbage", false),
    ("list-status", false),
    ("list-closed", false),
    ("link-denied", false),
    ("link-missing", false),
    ("link-garbage", false),
    ("link-refused", false),
    ("data-refused-once", true),
    ("data-closed", false),
    ("data-redirected", false),
    ("data-redirected-home", false),
    ("data-cut", true),
    ("data-other-total", false),
    ("data-garbage", false),
    ("late-1", true),
    ("late-2", true),
    ("late-3", true),
];

fn is_late(name: &str) -> bool {
    name.starts_with("late")
}

fn tree() -> Tree {
    let tree = Tree::new();
    for (number, (name, _)) in (1..).zip(FOLDERS) {
        let folder = tree.add_folder(ROOT_ID, name);
        tree.add_generated(&folder, "a.bin", number, 300_000);
        if name == "good" {
            tree.add_file(&folder, "text", "some text");
        }
    }
    tree
}

/// A drive that repeats the secrets it was told in whatever it says.
fn script_faults(emulator: &Emulator, mode: Mode) {
    let tree = emulator.tree();
    let id = |path: &str| tree.id_at(path).expect("it is in the tree");
    let secret = match mode {
        Mode::Token => TOKEN.to_owned(),
        Mode::Session => format!("{TOKEN} of {SESSION_ID}"),
        Mode::Carrier => PASSWORD.to_owned(),
        Mode::App => APP_SECRET.to_owned(),
    };
    let gossip = format!(
        "{secret} is wrong, \
         see http://h/x?X-Amz-Credential={ACCESS_KEY}&X-Amz-Signature=CANARY"
    );
    let told = |code| Action::DriveError {
        code,
        message: gossip.clone(),
    };
    let status = |code| Action::Status {
        code,
        retry_after: None,
        body: Some(gossip.clone()),
    };
    let garbage = || Action::Garbage {
        body: Some(gossip.clone()),
    };
    let redirect = |host: &str| Action::Redirect {
        to: format!("http://{host}/x?X-Amz-Credential={ACCESS_KEY}&X-Amz-Signature=CANARY"),
    };
    for (call, name, action) in [
        ("list", "list-error", told(13_000_410)),
        ("list", "list-garbage", garbage()),
        ("list", "list-status", status(503)),
        ("list", "list-closed", Action::CloseConnection),
        ("data", "data-closed", Action::CloseConnection),
        // Nobody listens there: the error of the HTTP library knows the address.
        ("data", "data-redirected", redirect("127.0.0.1:1")),
        (
            "data",
            "data-redirected-home",
            redirect("no-such-host.invalid"),
        ),
        ("data", "data-other-total", Action::WrongTotal { by: 1 }),
        ("data", "data-garbage", garbage()),
        ("download", "link-missing", Action::DropItem),
        ("download", "link-garbage", garbage()),
        ("download", "link-refused", status(500)),
    ] {
        let file = match call {
            "list" => id(name),
            _ => id(&format!("{name}/a.bin")),
        };
        emulator.faults().add(Rule::on(call, action).file(&file));
    }
    let denied = Action::ItemError {
        code: 13_000_410,
        message: gossip.clone(),
    };
    let file = id("link-denied/a.bin");
    emulator
        .faults()
        .add(Rule::on("download", denied).file(&file));
    let file = id("data-refused-once/a.bin");
    emulator
        .faults()
        .add(Rule::on("data", status(403)).file(&file).times(1));
    let file = id("data-cut/a.bin");
    let cut = Rule::on("data", Action::CutBody { at: 1000 });
    emulator.faults().add(cut.file(&file).times(1));
}

fn write_private(path: &Path, text: &str) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.expect("the secret is kept");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is read");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

/// Nothing of what was seen holds a secret, in part or whole, or the query of a signed address.
#[track_caller]
fn assert_clean(seen: &[(String, String)], more: &[String]) {
    let mut marks = vec!["canary".to_owned(), "x-amz-".into(), "signature=".into()];
    marks.extend(more.iter().map(|mark| mark.to_lowercase()));
    for (place, text) in seen {
        let text = text.to_lowercase();
        for mark in &marks {
            let at = text.find(mark.as_str());
            let around = at.map(|at| {
                let start = text.floor_char_boundary(at.saturating_sub(200));
                let end = text.ceil_char_boundary((at + 200).min(text.len()));
                &text[start..end]
            });
            assert_eq!(around, None, "{mark} is shown in {place}");
        }
    }
}

/// One drive from its first use to its end, mounted in the background with its secrets kept as told.
#[track_caller]
fn check_background(mode: Mode, kept: Kept) {
    let mut scene = Scene::new(mode, kept);
    let folder = scene.folder();
    let target = folder.to_str().expect("text").to_owned();
    scene.run_commands();
    let shown = scene
        .seen
        .iter()
        .find(|(line, _)| line == "cat work:/good/text");
    assert!(shown.expect("it ran").1.contains("some text"), "{shown:?}");

    scene.run(&["mount", "work", &target]).success();
    let mount = Guard(folder.clone());
    let status = fs::read(folder.join(".linkfs/status")).expect("the status is read");
    let status: serde_json::Value = serde_json::from_slice(&status).expect("JSON");
    let pid = status["pid"].as_u64().expect("a pid") as u32;
    scene.live(pid);

    scene.emulator.take().expect("it runs").stop();
    let _nobody_answers = fs::read_dir(folder.join("late-3")).map(Iterator::count);
    scene.run_commands();
    scene.look(pid);
    scene.run(&["unmount", &target]).success();
    drop(mount);
    let renewed = scene.renewed_tokens();
    let renews = matches!(mode, Mode::Session | Mode::Carrier);
    assert_eq!(!renewed.is_empty(), renews, "{mode:?}");
    assert_talkative(&scene.home.log());
    scene.look_at_files();
    scene.assert_clean(&renewed);
}

/// The log was not just empty.
#[track_caller]
fn assert_talkative(log: &str) {
    for part in ["range GET", "koodrive", "refused", "mounted"] {
        assert!(log.contains(part), "no {part:?} in: {log}");
    }
}

/// Takes a mount away if a test failed to.
struct Guard(PathBuf);

impl Drop for Guard {
    fn drop(&mut self) {
        let mut umount = Command::new("umount");
        let _may_be_gone = umount.args(["-l", "-q"]).arg(&self.0).status();
    }
}

#[test]
fn a_token_of_the_environment_is_never_shown() {
    check_background(Mode::Token, Kept::Environment);
}

#[test]
fn a_token_in_a_file_is_never_shown() {
    check_background(Mode::Token, Kept::File);
}

#[test]
fn a_token_of_a_command_is_never_shown() {
    check_background(Mode::Token, Kept::Command);
}

#[test]
fn a_token_in_the_configuration_is_never_shown() {
    check_background(Mode::Token, Kept::Config);
}

#[test]
fn a_session_and_its_renewed_tokens_are_never_shown() {
    check_background(Mode::Session, Kept::Environment);
}

#[test]
fn a_password_is_never_shown() {
    check_background(Mode::Carrier, Kept::File);
}

#[test]
fn the_secret_of_an_app_is_never_shown() {
    check_background(Mode::App, Kept::Command);
}

#[test]
fn a_foreground_mount_shows_no_secret_either() {
    let mut scene = Scene::new(Mode::Token, Kept::Environment);
    let folder = scene.folder();
    let said = scene.home.path().join("said");
    let mut command = scene.linkfs(&["mount", "-f", "work"]);
    let mut mount = Foreground::start(command.arg(&folder), &folder, &said);
    scene.live(mount.pid());
    mount.signal(libc::SIGTERM);
    assert!(mount.wait().success(), "{}", mount.said());
    assert_talkative(&mount.said());
    scene.look_at_files();
    scene.assert_clean(&[]);
}

#[test]
fn a_mount_that_is_ended_while_it_reads_shows_no_secret() {
    let mut scene = Scene::new(Mode::Token, Kept::Environment);
    let slow = Action::SlowBody {
        bytes_per_second: 1000,
    };
    let file = scene.emulator().tree().id_at("good/a.bin").expect("a file");
    scene
        .emulator()
        .faults()
        .add(Rule::on("data", slow).file(&file));
    let folder = scene.folder();
    let log = scene.home.path().join("named.log");
    let said = scene.home.path().join("said");
    let mut command = scene.linkfs(&["mount", "-f", "--log-file"]);
    let mut mount = Foreground::start(
        command.args([&log, Path::new("work"), &folder]),
        &folder,
        &said,
    );
    let path = folder.join("good/a.bin");
    let reader = thread::spawn(move || {
        let mut file = File::open(path)?;
        io::copy(&mut file, &mut io::sink())
    });
    let counters = scene.emulator().counters().clone();
    eventually("the read is under way", || {
        counters.snapshot().open_streams > 0
    });
    mount.signal(libc::SIGTERM);
    eventually("it complains of the reader", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("busy"))
    });
    mount.signal(libc::SIGTERM);
    assert!(mount.wait().success(), "{}", mount.said());
    let read = reader.join().expect("no panic");
    assert!(read.is_err(), "{read:?}");
    scene.look_at_files();
    scene.assert_clean(&[]);
}

#[test]
fn only_link_prints_a_link() {
    let mut scene = Scene::new(Mode::Token, Kept::Environment);
    for line in [
        ["link", "work:/good/a.bin"].as_slice(),
        &["link", "work:/good/a.bin", "--json"],
    ] {
        let outcome = run(&mut scene.linkfs(line));
        // The marks of a secret are there: where a link is shown, the other tests see it.
        assert!(outcome.stdout.contains("X-Amz-Signature="), "{outcome:?}");
        assert!(outcome.stdout.contains(ACCESS_KEY), "{outcome:?}");
        assert!(!outcome.stdout.contains(TOKEN), "{outcome:?}");
        scene.seen.push(("link".into(), outcome.stderr.clone()));
        outcome.success();
    }
    let outcome = scene.run(&["link", "work:/link-denied/a.bin"]);
    outcome.failure();
    scene.assert_clean(&[]);
}

#[test]
fn a_mistake_in_the_configuration_is_told_without_the_secret() {
    let mut scene = Scene::new(Mode::Token, Kept::Environment);
    let section = drive_section("work", &json!({"plugin": "koodrive", "space": "S"}));
    let target = scene.folder();
    let target = target.to_str().expect("text").to_owned();
    let drive = |line: &str| format!("{section}{line}\n");
    let mut configs: Vec<String> = [
        "token = CANARY",
        "token = \"CANARY",
        "token = 'CANARY\nspace = 1",
        "token \"CANARY\"",
        "token = \"CANARY\" \"CANARY\"",
        "token = \"CANARY\\q\"",
        "token = { env = \"CANARY",
        "token = [\"CANARY\"]",
        "token = { value = \"CANARY\" }",
        "token = { env = \"A\", file = \"CANARY\" }",
        "token = { command = \"echo CANARY; echo CANARY >&2; exit 3\" }",
        "token = { command = \"printf 'CANARY\\\\377'\" }",
        "token = \"CANARY\"\ntoken = \"CANARY\"",
        "token = \"CANARY\\nCANARY\"",
        "tokn = \"CANARY\"",
        "token = \"x\"\npassword = \"CANARY\"",
        "token = \"x\"\nauth_mode = \"CANARY\"",
        "token = \"x\"\nscheme_join = \"CANARY\"",
        "token = \"x\"\nteam_type = \"CANARY\"",
        "token = \"x\"\nspace_used_unit = \"CANARY\"",
        "token = \"x\"\nsign_time_line = \"CANARY\"",
        "token = \"x\"\nendpoint = \"http://user:CANARY@127.0.0.1:1\"",
        "token = \"x\"\nendpoint = \"http://127.0.0.1:1/?token=CANARY\"",
        "token = \"x\"\nendpoint = \"CANARY\"",
        "token = \"x\"\nallow_private_hosts = \"CANARY\"",
        "auth_mode = \"session\"\ntoken = \"CANARY\"",
        "auth_mode = \"carrier\"\npassword = \"CANARY\"",
        "auth_mode = \"app\"\napp_secret = \"CANARY\"",
    ]
    .into_iter()
    .map(drive)
    .collect();
    configs.extend([
        "[cache]\nmemory = \"CANARY\"\n".to_owned(),
        "[mount]\ndeadline = \"CANARY\"\n".to_owned(),
        "[mount]\nlisting_ttl = [\"CANARY\"]\n".to_owned(),
        "[mount]\nallow_other = \"CANARY\"\n".to_owned(),
        "drives = \"CANARY\"\n".to_owned(),
        "[drives]\nwork = \"CANARY\"\n".to_owned(),
    ]);
    let mut messages = BTreeSet::new();
    for config in configs {
        assert!(config.contains("CANARY"));
        scene.home.configure(&config);
        for line in [
            ["mount", "work", &target].as_slice(),
            &["mount", "-f", "work", &target],
            &["ls", "work:/"],
        ] {
            let outcome = scene.run(line);
            let said = outcome.failure();
            assert!(said.contains("linkfs: "), "{config}: {said}");
            messages.insert(said);
        }
        // This one fails for some mistakes and tells of the others in its table.
        scene.run(&["drives", "--json"]);
    }
    assert!(
        messages.len() > 20,
        "the mistakes are told apart: {messages:#?}"
    );
    scene.look_at_files();
    scene.assert_clean(&[]);
}

#[test]
fn a_secret_that_cannot_be_used_is_not_shown() {
    let mut scene = Scene::new(Mode::Token, Kept::Environment);
    let home = scene.home.path().to_owned();
    let section = drive_section("work", &json!({"plugin": "koodrive", "space": "S"}));

    scene
        .home
        .configure(&format!("{section}token = {{ env = \"T_ODD\" }}\n"));
    for odd in [b"CANARY\xff".as_slice(), b"CANARY\nCANARY"] {
        let mut command = scene.linkfs(&["ls", "work:/"]);
        command.env("T_ODD", OsString::from_vec(odd.to_vec()));
        let outcome = run(&mut command);
        scene
            .seen
            .push(("an odd variable".into(), outcome.output()));
        outcome.failure();
    }

    // A file that others may read, and a configuration that others may read.
    let file = home.join("kept-token");
    write_private(&file, TOKEN);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode is set");
    scene
        .home
        .configure(&format!("{section}token = {{ file = \"kept-token\" }}\n"));
    let said = scene.run(&["ls", "work:/"]).failure();
    assert!(said.contains("chmod 600"), "{said}");
    fs::remove_file(&file).expect("it is removed");

    let config = scene
        .home
        .configure(&format!("{section}token = \"{TOKEN}\"\n"));
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).expect("its mode is set");
    let said = scene.run(&["ls", "work:/"]).failure();
    assert!(said.contains("chmod 600"), "{said}");
    scene.assert_clean(&[]);
}

/// The environment that a process was started with stays readable for as long as it lives.
#[test]
fn the_environment_of_a_mount_keeps_all_but_the_secrets() {
    let scene = Scene::new(Mode::Session, Kept::Environment);
    let folder = scene.folder();
    let said = scene.home.path().join("said");
    let mut command = scene.linkfs(&["mount", "-f", "work"]);
    command.arg(&folder).env("T_PLAIN", "kept");
    let mount = Foreground::start(&mut command, &folder, &said);
    let mut environment = String::new();
    let file = File::open(format!("/proc/{}/environ", mount.pid()));
    let read = file.and_then(|mut file| file.read_to_string(&mut environment));
    read.expect("it is the process of root");
    assert!(environment.contains("T_PLAIN=kept"), "{environment}");
    assert!(!environment.contains("T_TOKEN"), "{environment}");
    assert!(!environment.contains("T_SESSION_ID"), "{environment}");
    fs::read(folder.join("good/a.bin")).expect("the secrets are known all the same");
}

on_every_drive! {
    fn a_drive_that_repeats_our_secrets_gets_them_printed_nowhere,
}

/// What a drive is logged in to with, by its configuration.
fn configured_secrets(keys: &serde_json::Value) -> Vec<String> {
    let is_secret = |key: &str| key.ends_with("token") || key.ends_with("secret");
    let keys = keys.as_object().expect("an object of keys");
    keys.iter()
        .filter(|(key, _)| is_secret(key))
        .map(|(_, value)| value.as_str().expect("a secret is text").to_owned())
        .collect()
}

fn a_drive_that_repeats_our_secrets_gets_them_printed_nowhere(kind: DriveKind) {
    let (tree, id) = tree_with_file("a.bin", 3, 300_000);
    let emulator = kind.start(tree);
    let builder = Mounted::builder(&*emulator)
        .listing_ttl("0s")
        .deadline("3s");
    let mount = builder.argument("-vvv").mount();
    let mut secrets = configured_secrets(&emulator.mount_config());
    assert!(
        !secrets.is_empty(),
        "the drive is logged in to with something"
    );
    let repeated = secrets.join(" ");

    let mut shown = String::new();
    let mut note = |result: io::Result<usize>| shown += &format!("{result:?}\n");
    note(fs::read(mount.path("a.bin")).map(|bytes| bytes.len()));
    let names = emulator.calls();
    for call in [names.list, names.sign, "data"] {
        let body = Some(repeated.clone());
        for action in [
            Action::Garbage { body: body.clone() },
            Action::Status {
                code: 500,
                retry_after: None,
                body: body.clone(),
            },
            Action::Status {
                code: 403,
                retry_after: None,
                body,
            },
        ] {
            emulator.faults().add(Rule::on(call, action).times(2));
            emulator.revoke_links();
            emulator.expire_tokens();
            note(fs::read_dir(mount.folder()).map(Iterator::count));
            note(fs::read(mount.path("a.bin")).map(|bytes| bytes.len()));
            emulator.faults().clear();
        }
    }
    assert!(
        emulator.counters().snapshot().files[&id].bytes >= 300_000,
        "it was read"
    );

    shown += &mount.home().log();
    assert!(
        shown.contains("range GET") && shown.contains("asking"),
        "the log is at its most talkative"
    );
    shown += &mount.status().to_string();
    for name in ATTRIBUTES {
        let value = xattr::get(mount.path("a.bin"), format!("user.linkfs.{name}"));
        shown += &format!(
            "{:?}\n",
            value.map(|value| value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        );
    }
    for file in ["cmdline", "environ"] {
        let bytes = fs::read(format!("/proc/{}/{file}", mount.pid())).expect("our own process");
        shown += &String::from_utf8_lossy(&bytes);
    }
    // Marks of a signed address or header, whichever drive's.
    secrets
        .extend(["X-Amz-", "ignature=", "OSSAccessKeyId", "x-oss-", "OSS AK"].map(str::to_owned));
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret} is shown: {shown}");
    }
}
