//! What `linkfs plugin new` writes, and the plugin that stands in `plugins/example-python`: each is mounted as it is.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use linkfs_emulator::WebServer;
use linkfs_tests::{Foreground, Home, linkfs_binary, run};
use tempfile::TempDir;

const HELLO: &str = "Hello from a web server.\n";

/// A home, and a web server with some files.
struct Scene {
    home: Home,
    files: TempDir,
    server: WebServer,
}

impl Scene {
    fn new() -> Scene {
        let files = tempfile::tempdir().expect("a temporary folder");
        fs::write(files.path().join("hello.txt"), HELLO).expect("it is written");
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = WebServer::start_blocking(files.path(), any_port).expect("it starts");
        let home = Home::new();
        let scene = Scene {
            home,
            files,
            server,
        };
        fs::create_dir_all(scene.plugins()).expect("it is made");
        scene
    }

    /// Where a person's own plugins are.
    fn plugins(&self) -> PathBuf {
        self.home.path().join(".config/linkfs/plugins")
    }

    fn address(&self, file: &str) -> String {
        format!("{}/{file}", self.server.endpoint())
    }

    fn configure(&self, drive: &str) {
        self.home.configure(&format!(
            "[drives.shelf]\nallow_private_hosts = true\n{drive}\n"
        ));
    }

    /// The drive of the configuration, mounted.
    fn mount(&self) -> (Foreground, PathBuf) {
        let folder = self.home.path().join("drive");
        fs::create_dir_all(&folder).expect("it is made");
        let mut command = self.home.linkfs();
        command.args(["mount", "-f", "-v", "shelf"]).arg(&folder);
        let said = self.home.path().join("said");
        (Foreground::start(&mut command, &folder, &said), folder)
    }

    #[track_caller]
    fn new_plugin(&self, language: &str, folder: &Path, source: Option<&Path>) -> String {
        let mut command = self.home.linkfs();
        command.args(["plugin", "new", "shelf", "--lang", language]);
        command.arg(folder);
        if let Some(source) = source {
            command.arg("--source").arg(source);
        }
        run(&mut command).success()
    }

    /// The plugin does what `linkfs plugin check` asks of every plugin.
    #[track_caller]
    fn conforms(&self, plugin: &str) {
        let check = ["plugin", "check", plugin, "--quick"];
        let said = self.home.run_linkfs(&check).success();
        assert!(said.contains(" conforms"), "{said}");
    }

    /// The plugin `shelf` gives the one file that every beginning has.
    #[track_caller]
    fn one_file_is_read(&self) {
        self.configure(&format!(
            "plugin = \"shelf\"\nurl = \"{}\"\nsize = {}",
            self.address("hello.txt"),
            HELLO.len()
        ));
        let (_mount, folder) = self.mount();
        let names = fs::read_dir(&folder).expect("it is listed");
        let names: Vec<_> = names
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["hello.txt"]);
        let text = fs::read_to_string(folder.join("hello.txt")).expect("it is read");
        assert_eq!(text, HELLO);
        let status = fs::read_to_string(folder.join(".linkfs/status")).expect("it is read");
        assert!(status.contains("linkfs-plugin-shelf"), "{status}");
        self.conforms("shelf");
        // A misspelt key is the plugin's to refuse, with what it wants.
        self.configure("plugin = \"shelf\"\nurll = \"x\"");
        let said = self.home.run_linkfs(&["ls", "shelf:/"]).failure();
        assert!(said.contains("url") && said.contains("size"), "{said}");
    }
}

#[test]
fn the_beginning_of_a_plugin_in_python_is_mounted_as_it_is() {
    let scene = Scene::new();
    let said = scene.new_plugin("python", &scene.plugins(), None);
    assert!(said.contains("install -D"), "{said}");
    scene.one_file_is_read();
}

#[test]
fn the_beginning_of_a_plugin_in_a_shell_is_mounted_as_it_is() {
    let scene = Scene::new();
    scene.new_plugin("sh", &scene.plugins(), None);
    scene.one_file_is_read();
}

/// Words that start a program, where a built-in command is not meant. A confined plugin could not.
#[test]
fn the_beginning_of_a_plugin_in_a_shell_starts_no_program() {
    let scene = Scene::new();
    scene.new_plugin("sh", &scene.plugins(), None);
    let program = scene.plugins().join("linkfs-plugin-shelf");
    let text = fs::read_to_string(&program).expect("it is read");
    let code: Vec<_> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect();
    assert!(!code.iter().any(|line| line.contains("$(")), "{code:#?}");
    // With nothing to be found on PATH it answers all the same.
    let url = r#"{"protocol":1,"config":{"size":3,"url":"http://x.test/a"},"state_dir":"/"}"#;
    let questions = [
        r#"{"id":1,"call":"list","folder":"root"}"#,
        r#"{"id":2,"call":"links","files":["file"]}"#,
        r#"{"id":3,"call":"links","files":["none"]}"#,
        r#"{"id":4,"call":"stat","item":"none"}"#,
        r#"{"cancel":4}"#,
        r#"{"id":5,"call":"fly"}"#,
    ];
    let input = format!("{url}\n{}\n", questions.join("\n"));
    let written = scene.home.path().join("questions");
    fs::write(&written, input).expect("it is written");
    let mut command = Command::new("sh");
    command.args(["-c", "PATH=/nonexistent exec /bin/sh \"$0\" < \"$1\""]);
    command.arg(&program).arg(&written);
    let answers = run(&mut command).success();
    let answers: Vec<serde_json::Value> = answers
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(answers.len(), 2 + 5, "{answers:#?}");
    assert_eq!(answers[2]["ok"]["items"][0]["name"], "a");
    assert_eq!(answers[3]["ok"][0]["ok"]["urls"][0], "http://x.test/a");
    assert_eq!(answers[4]["ok"][0]["error"]["kind"], "not-found");
    assert_eq!(answers[5]["error"]["kind"], "not-found");
    assert_eq!(answers[6]["error"]["kind"], "unsupported");
}

#[test]
fn the_beginning_of_a_plugin_in_rust_is_built_and_mounted_as_it_is() {
    let scene = Scene::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    scene.new_plugin("rust", scene.home.path(), Some(&source));
    let written = scene.home.path().join("linkfs-plugin-shelf");
    // The versions of our own dependencies are those that this machine has for sure.
    fs::copy(source.join("Cargo.lock"), written.join("Cargo.lock")).expect("it is copied");
    let target = linkfs_binary().with_file_name("plugin-beginnings");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "--manifest-path"]);
    cargo.arg(written.join("Cargo.toml"));
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    run(&mut cargo).success();
    let built = target.join("debug/linkfs-plugin-shelf");
    let installed = scene.plugins().join("linkfs-plugin-shelf");
    fs::copy(built, installed).expect("it is installed");
    scene.one_file_is_read();
}

#[test]
fn nothing_is_written_over_and_no_name_leads_elsewhere() {
    let scene = Scene::new();
    let folder = scene.plugins();
    scene.new_plugin("python", &folder, None);
    let program = folder.join("linkfs-plugin-shelf");
    let mode = fs::metadata(&program)
        .expect("it is there")
        .permissions()
        .mode();
    assert_ne!(mode & 0o100, 0);
    let before = fs::read(&program).expect("it is read");
    let folder = folder.to_str().expect("text");
    for (arguments, words) in [
        (&["shelf", "--lang", "sh", folder][..], "File exists"),
        (
            &["../x", "--lang", "sh", folder],
            "cannot be a plugin's name",
        ),
        (
            &["Shelf", "--lang", "sh", folder],
            "cannot be a plugin's name",
        ),
        (
            &["koodrive", "--lang", "sh", folder],
            "comes with linkfs and goes before others",
        ),
        (&["other", "--lang", "rust", folder], "--source"),
        (
            &["other", "--lang", "rust", "--source", "/usr", folder],
            "is not the source of linkfs",
        ),
    ] {
        let command = ["plugin", "new"].iter().chain(arguments);
        let command: Vec<_> = command.copied().collect();
        let said = scene.home.run_linkfs(&command).failure();
        assert!(said.contains(words), "{command:?}: {said}");
    }
    assert_eq!(fs::read(&program).expect("it is read"), before);
    assert_eq!(fs::read_dir(folder).expect("it is listed").count(), 1);
}

/// Puts the example where linkfs finds it.
fn install_example(scene: &Scene) {
    let example = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../plugins/example-python/linkfs-plugin-http-index");
    let installed = scene.plugins().join("linkfs-plugin-http-index");
    fs::copy(example, installed).expect("it is installed");
    let manifest = scene.address("index.json");
    scene.configure(&format!(
        "plugin = \"http-index\"\nmanifest = \"{manifest}\""
    ));
}

#[test]
fn the_example_mounts_an_index_of_addresses() {
    let scene = Scene::new();
    install_example(&scene);
    let index = serde_json::json!({"files": [
        {"name": "deep/er/hello.txt", "size": HELLO.len(), "url": "hello.txt",
         "modified": "2026-01-02T03:05:00Z", "version": 7, "sha1": "00ff"},
        {"name": "deep/same.txt", "size": HELLO.len(), "url": scene.address("hello.txt")},
        {"name": "empty", "size": 0, "url": "empty"},
    ]});
    let put = |name: &str, text: &str| {
        fs::write(scene.files.path().join(name), text).expect("it is written");
    };
    put("index.json", &index.to_string());
    put("empty", "");
    let (_mount, folder) = scene.mount();
    for path in ["deep/er/hello.txt", "deep/same.txt"] {
        let text = fs::read_to_string(folder.join(path)).expect("it is read");
        assert_eq!(text, HELLO, "{path}");
    }
    assert_eq!(fs::read(folder.join("empty")).expect("it is read"), b"");
    let names = fs::read_dir(folder.join("deep")).expect("it is listed");
    assert_eq!(names.count(), 2);
    let file = folder.join("deep/er/hello.txt");
    let modified = fs::metadata(&file).expect("it is there").modified();
    let modified = modified
        .expect("a time")
        .duration_since(std::time::UNIX_EPOCH);
    assert_eq!(modified.expect("after 1970").as_secs(), 1_767_323_100);
    for (attribute, value) in [("version", "7"), ("hash.sha1", "00ff")] {
        let attribute = format!("user.linkfs.{attribute}");
        let found = xattr::get(&file, &attribute).expect("it is read");
        assert_eq!(found.as_deref(), Some(value.as_bytes()), "{attribute}");
    }
    assert!(fs::metadata(folder.join("deep/none")).is_err());
    scene.conforms("http-index");
}

#[test]
fn the_example_says_what_is_wrong_with_an_index() {
    let scene = Scene::new();
    install_example(&scene);
    let index = scene.files.path().join("index.json");
    let said = || scene.home.run_linkfs(&["ls", "shelf:/"]).failure();
    assert!(said().contains("HTTP 404"), "{}", said());
    for text in [
        "no JSON",
        r#"{"files": [{"name": "a"}]}"#,
        r#"{"files": 7}"#,
    ] {
        fs::write(&index, text).expect("it is written");
        assert!(said().contains("not of the right form"), "{}", said());
    }
    fs::write(&index, r#"{"files": []}"#).expect("it is written");
    scene.home.run_linkfs(&["ls", "shelf:/"]).success();
    for key in [
        "manifset = \"https://x.test\"",
        "manifest = \"/etc/hostname\"",
    ] {
        scene.configure(&format!("plugin = \"http-index\"\n{key}"));
        assert!(said().contains("`manifest`"), "{}", said());
    }
}
