use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use linkfs_provider::{ErrorKind, Plugin, ProviderError, Result};

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

/// The plugin called `name`: one of `built_in`, or else the first program of that name in `folders`.
///
/// # Errors
/// `Invalid` when there is none, naming those that there are; and for a program that others may change.
pub fn find<'a>(built_in: &'a [Plugin], folders: &[PathBuf], name: &str) -> Result<Found<'a>> {
    if let Some(plugin) = built_in.iter().find(|plugin| plugin.name == name) {
        return Ok(Found::BuiltIn(plugin));
    }
    let programs = programs(folders);
    match programs.get(name) {
        Some(program) => check_owner(program).map(|()| Found::Program(program.clone())),
        None => {
            let built_in = built_in.iter().map(|plugin| plugin.name);
            Err(unknown(
                built_in.chain(programs.keys().map(String::as_str)),
                name,
            ))
        }
    }
}

/// The plugin programs in `folders`, by the names of their plugins. Of two with one name the first counts.
pub fn programs(folders: &[PathBuf]) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in folders {
        // A folder that is not there has no plugins.
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for file in files {
            let name = file.file_name();
            let plugin = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
            if let Some(plugin) = plugin.filter(|plugin| !plugin.is_empty())
                && is_program(&file.path())
            {
                found
                    .entry(plugin.to_owned())
                    .or_insert_with(|| file.path());
            }
        }
    }
    found
}

fn is_program(path: &Path) -> bool {
    let about = path.metadata();
    about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

/// What everybody may write to is not run with somebody's tokens.
fn check_owner(program: &Path) -> Result<()> {
    let about = program.metadata();
    match about {
        Ok(about) if about.permissions().mode() & 0o002 == 0 => Ok(()),
        Ok(_) => {
            let message = format!(
                "the plugin {} can be changed by everybody: chmod o-w it",
                program.display()
            );
            Err(ProviderError::new(ErrorKind::Invalid, message))
        }
        Err(error) => {
            let message = format!("cannot look at the plugin {}: {error}", program.display());
            Err(ProviderError::new(ErrorKind::Invalid, message))
        }
    }
}

fn unknown<'a>(known: impl Iterator<Item = &'a str>, name: &str) -> ProviderError {
    let mut known: Vec<_> = known.collect();
    known.sort_unstable();
    known.dedup();
    let guess = match suggestion::closest(name, &known) {
        Some(close) => format!("; did you mean \"{close}\"?"),
        None => String::new(),
    };
    let message = format!(
        "no plugin is named \"{name}\"{guess} (there is: {})",
        known.join(", ")
    );
    ProviderError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

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
        put(second.path(), "linkfs-plugin-notes", 0o644);
        let found = |name: &str| find(PLUGINS, &folders, name);
        assert!(
            matches!(found("koodrive"), Ok(Found::BuiltIn(plugin)) if plugin.name == "koodrive")
        );
        assert!(matches!(found("shelf"), Ok(Found::Program(path)) if path == shelf));
        // A file that cannot be executed is no program.
        assert_eq!(
            found("notes").unwrap_err().message,
            "no plugin is named \"notes\" (there is: dingtalk, koodrive, shelf)"
        );
    }

    #[test]
    fn a_program_that_everybody_may_change_is_not_run() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "linkfs-plugin-shelf", 0o757);
        let error = find(PLUGINS, &[folder.path().to_owned()], "shelf").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains("chmod o-w"), "{}", error.message);
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
            assert_eq!(
                (error.kind, error.message.as_str()),
                (ErrorKind::Invalid, message)
            );
        }
    }
}
