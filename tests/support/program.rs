use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::carriage::Carriage;
use crate::tools::{Outcome, run};

/// The program under test, beside the test's own executable.
pub fn linkfs_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // Tests lie in the folder `deps`, programs beside it.
    let mut folders = test.ancestors().skip(1);
    let built = folders
        .find(|folder| !folder.ends_with("deps"))
        .expect("they lie in the target folder")
        .join("linkfs");
    assert!(
        built.is_file(),
        "{} is missing: run scripts/test, which builds it",
        built.display()
    );
    built
}

/// A user's home with a configuration: everything the program reads and writes stays in it.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
}

impl Home {
    /// An empty home.
    pub fn new() -> Home {
        let folder = tempfile::Builder::new()
            .prefix("linkfs-test-")
            .tempdir()
            .expect("a temporary folder");
        Home { folder }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the configuration, for its owner only.
    pub fn configure(&self, text: &str) -> PathBuf {
        let path = self.path().join("config.toml");
        let mut options = fs::OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        std::io::Write::write_all(&mut file.expect("the configuration opens"), text.as_bytes())
            .expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode is set");
        path
    }

    /// The program in this home, ready for arguments.
    pub fn linkfs(&self) -> Command {
        let mut command = Command::new(linkfs_binary());
        self.furnish(&mut command);
        command
    }

    /// Gives a command this home's environment.
    pub fn furnish(&self, command: &mut Command) {
        command
            .env("HOME", self.path())
            .env("LINKFS_CONFIG", self.path().join("config.toml"))
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env("XDG_RUNTIME_DIR", self.path().join("run"))
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env_remove("XDG_CONFIG_HOME");
    }

    /// The files in which mounts of this home have saved listings.
    ///
    /// # Panics
    /// When they cannot be looked for.
    pub fn saved_listings(&self) -> Vec<PathBuf> {
        let Ok(drives) = fs::read_dir(self.path().join("cache/linkfs/listings")) else {
            return Vec::new();
        };
        let files = drives.flat_map(|drive| {
            let drive = drive.expect("an entry").path();
            fs::read_dir(drive).expect("the listings of a drive")
        });
        files.map(|file| file.expect("an entry").path()).collect()
    }

    /// The folder in which mounts of this home cache content.
    pub fn cached_content(&self) -> PathBuf {
        self.path().join("cache/linkfs/content")
    }

    /// What earlier mounts have saved is not there.
    ///
    /// # Panics
    /// When it cannot be removed.
    pub fn clear_saved_listings(&self) {
        for file in self.saved_listings() {
            fs::remove_file(file).expect("it is removed");
        }
    }

    /// Runs the program to its end.
    pub fn run_linkfs(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.linkfs();
        command.args(arguments);
        run(&mut command)
    }

    /// The living processes that name this home in their arguments.
    ///
    /// # Panics
    /// When they cannot be looked for.
    pub fn processes(&self) -> Vec<String> {
        let mark = self.path().to_str().expect("text");
        let processes = fs::read_dir("/proc").expect("/proc");
        let lines = processes.filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
        lines
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(mark))
            .collect()
    }

    /// What mounts in the background have logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("state/linkfs/linkfs.log")).unwrap_or_default()
    }
}

impl Default for Home {
    fn default() -> Self {
        Home::new()
    }
}

/// The section of a drive with this run's carriage, from the keys that an emulator names.
pub fn drive_section(name: &str, keys: &Value) -> String {
    let mut text = format!("[drives.{name}]\n");
    for (key, value) in keys.as_object().expect("an object of keys") {
        // Strings, numbers and booleans are written alike in JSON and TOML.
        writeln!(text, "{key} = {value}").expect("writing to a String cannot fail");
    }
    // A test of the carriage itself says which it wants.
    let is_told = keys.get("in_process").is_some();
    if Carriage::of_this_run() == Carriage::InProcess && !is_told {
        text += "in_process = true\n";
    }
    text
}
