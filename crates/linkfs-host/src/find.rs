use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use linkfs_provider::Plugin;

use crate::sandbox::Unfit;
use crate::suggestion;

/// What the file of a plugin program is called, before the plugin's name.
pub const PREFIX: &str = "linkfs-plugin-";

/// What a drive's `plugin = "..."` names.
#[derive(Debug)]
pub enum Found<'a> {
    /// One that comes with linkfs.
    BuiltIn(&'a Plugin),
    /// A program, `linkfs-plugin-NAME`.
    Program(PathBuf),
}

/// Why a drive has no plugin.
#[derive(Debug, PartialEq, Eq)]
pub enum NoPlugin {
    /// None has the name; in words, with those that there are.
    Unknown(String),
    /// A file has it that is not run.
    Unfit(Unfit),
}

impl fmt::Display for NoPlugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoPlugin::Unknown(words) => f.write_str(words),
            NoPlugin::Unfit(unfit) => write!(f, "the plugin {unfit}"),
        }
    }
}

impl Error for NoPlugin {}

/// The plugin called `name`: one of `built_in`, or else the first program of that name in `folders`.
///
/// # Errors
/// When there is none, naming those that there are; and for a program that is not run as it is, which every
/// start looks at again.
pub fn find<'a>(
    built_in: &'a [Plugin],
    folders: &[PathBuf],
    name: &str,
) -> Result<Found<'a>, NoPlugin> {
    if let Some(plugin) = built_in.iter().find(|plugin| plugin.name == name) {
        return Ok(Found::BuiltIn(plugin));
    }
    let mut programs = programs(folders);
    if let Some(program) = programs.remove(name) {
        return match unfit(&program) {
            None => Ok(Found::Program(program)),
            Some(unfit) => Err(NoPlugin::Unfit(unfit)),
        };
    }
    let mut files = files(folders).filter(|(plugin, _)| plugin == name);
    if let Some(unfit) = files.find_map(|(_, file)| unfit(&file)) {
        return Err(NoPlugin::Unfit(unfit));
    }
    let built_in = built_in.iter().map(|plugin| plugin.name);
    let known = built_in.chain(programs.keys().map(String::as_str));
    Err(NoPlugin::Unknown(unknown(known, name)))
}

/// The plugin programs in `folders`, by the names of their plugins. Of two with one name the first counts.
pub fn programs(folders: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for (plugin, file) in files(folders).filter(|(_, file)| is_executable(file)) {
        found.entry(plugin).or_insert(file);
    }
    found
}

/// The files in `folders` that are named like programs of plugins, with the names of these.
fn files(folders: &[PathBuf]) -> impl Iterator<Item = (String, PathBuf)> {
    // A folder that is not there has no plugins.
    let folders = folders.iter().filter_map(|folder| folder.read_dir().ok());
    folders.flatten().flatten().filter_map(|file| {
        let name = file.file_name();
        let plugin = name.to_str()?.strip_prefix(PREFIX)?;
        let is_one = !plugin.is_empty() && file.path().is_file();
        is_one.then(|| (plugin.to_owned(), file.path()))
    })
}

fn is_executable(path: &Path) -> bool {
    let about = path.metadata();
    about.is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}

/// What keeps a file from being run, as far as it can be looked at: who starts it says the rest.
fn unfit(path: &Path) -> Option<Unfit> {
    Unfit::of(path, &path.metadata().ok()?)
}

fn unknown<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> String {
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    known.dedup();
    let guess = match suggestion::closest(name, &known) {
        Some(close) => format!("; did you mean \"{close}\"?"),
        None => String::new(),
    };
    format!(
        "no plugin is named \"{name}\"{guess} (there is: {})",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use linkfs_provider::{ErrorKind, ProviderError};

    use super::*;

    const PLUGINS: &[Plugin] = &[plugin("koodrive"), plugin("dingtalk")];

    const fn plugin(name: &'static str) -> Plugin {
        Plugin {
            name,
            version: "",
            summary: "",
            hosts: &[],
            open: |_| {
                Box::pin(async { Err(ProviderError::new(ErrorKind::LoginExpired, "log in")) })
            },
        }
    }

    fn put(folder: &Path, name: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn what_comes_with_linkfs_goes_before_programs_and_the_first_folder_before_the_second() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let folders = [
            PathBuf::from("/nonexistent"),
            first.path().to_owned(),
            second.path().to_owned(),
        ];
        put(first.path(), "linkfs-plugin-koodrive", 0o755);
        let shelf = put(first.path(), "linkfs-plugin-shelf", 0o755);
        put(second.path(), "linkfs-plugin-shelf", 0o755);
        put(first.path(), "linkfs-plugin-notes", 0o644);
        let notes = put(second.path(), "linkfs-plugin-notes", 0o755);
        let found = |name: &str| find(PLUGINS, &folders, name);
        assert!(
            matches!(found("koodrive"), Ok(Found::BuiltIn(plugin)) if plugin.name == "koodrive")
        );
        assert!(matches!(found("shelf"), Ok(Found::Program(path)) if path == shelf));
        // A file that cannot be executed is no program.
        assert!(matches!(found("notes"), Ok(Found::Program(path)) if path == notes));
        assert_eq!(
            found("none").unwrap_err().to_string(),
            "no plugin is named \"none\" (there is: dingtalk, koodrive, notes, shelf)"
        );
    }

    #[test]
    fn a_program_that_is_not_run_as_it_is_says_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, flaw, change) in [
            (0o757, "can be changed by everybody", "o-w"),
            (0o644, "cannot be executed", "+x"),
        ] {
            let program = put(folder.path(), "linkfs-plugin-shelf", mode);
            let program = program.display();
            let error = find(PLUGINS, &[folder.path().to_owned()], "shelf").unwrap_err();
            let words = format!("the plugin {program} {flaw}: chmod {change} it");
            assert_eq!(error.to_string(), words);
            let NoPlugin::Unfit(unfit) = error else {
                panic!("{error:?}");
            };
            assert_eq!(unfit.remedy(), format!("chmod {change} {program}"));
        }
    }

    #[test]
    fn an_unknown_plugin_is_refused_with_the_known_ones() {
        for (name, message) in [
            (
                "webdav",
                "no plugin is named \"webdav\" (there is: dingtalk, koodrive)",
            ),
            (
                "kodrive",
                "no plugin is named \"kodrive\"; did you mean \"koodrive\"? (there is: dingtalk, koodrive)",
            ),
        ] {
            let error = find(PLUGINS, &[], name).unwrap_err();
            assert_eq!(error, NoPlugin::Unknown(message.to_owned()));
        }
    }
}
