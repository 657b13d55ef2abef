//! Fetches the secrets of a drive from where its configuration says they are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use linkfs_provider::Secret;
use serde_json::{Map, Value};

use crate::config::{Setting, SettingValue};
use crate::environment::{self, Environment};

/// The settings as a plugin gets them, every reference replaced by what it refers to.
pub(crate) fn resolve(
    settings: &BTreeMap<String, Setting>,
    environment: &Environment,
) -> Result<Secret<Map<String, Value>>> {
    let mut resolved = Map::new();
    for (key, setting) in settings {
        let value = value(&setting.value, environment)
            .with_context(|| format!("{}: cannot get `{key}`", setting.place))?;
        resolved.insert(key.clone(), value);
    }
    Ok(Secret::new(resolved))
}

fn value(value: &SettingValue, environment: &Environment) -> Result<Value> {
    let text = match value {
        SettingValue::Plain(value) => return Ok(value.expose().clone()),
        SettingValue::Environment(name) => from_environment(name, environment)?,
        SettingValue::File(path) => from_file(path)?,
        SettingValue::Command(command) => from_command(command)?,
    };
    Ok(Value::String(text.into_exposed()))
}

fn from_environment(name: &str, environment: &Environment) -> Result<Secret<String>> {
    let value = environment.get(name)?;
    let value = value.with_context(|| format!("the environment variable {name} is not set"))?;
    ensure!(
        !value.expose().is_empty(),
        "the environment variable {name} is empty"
    );
    Ok(value)
}

fn from_file(path: &Path) -> Result<Secret<String>> {
    let shown = path.display();
    let mut file = File::open(path).with_context(|| format!("cannot open {shown}"))?;
    let about = file
        .metadata()
        .with_context(|| format!("cannot stat {shown}"))?;
    ensure!(about.is_file(), "{shown} is not a file");
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        bail!("{shown} is open to other users (mode {mode:04o}): chmod 600 it");
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {shown}"))?;
    text(bytes).with_context(|| format!("{shown} holds no secret"))
}

fn from_command(command: &Secret<String>) -> Result<Secret<String>> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command.expose());
    environment::forget_handover(&mut shell);
    // Its complaints go to a person or nowhere: a log must not hold what a failing command prints.
    if !io::stderr().is_terminal() {
        shell.stderr(Stdio::null());
    }
    let output = shell
        .stdout(Stdio::piped())
        .output()
        .context("cannot run sh")?;
    let status = output.status;
    ensure!(
        status.success(),
        "its command failed ({status}); run it by hand to see why"
    );
    text(output.stdout).context("its command printed no secret")
}

/// A secret without the line break that editors and `echo` leave behind it.
fn text(bytes: Vec<u8>) -> Result<Secret<String>> {
    // The conversion's error would carry the bytes.
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("expected UTF-8 text");
    };
    let text = text.trim();
    ensure!(!text.is_empty(), "expected text, there is none");
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::fs::Permissions;

    use super::*;

    fn resolve_one(value: SettingValue) -> Result<String, String> {
        let place = "c.toml:1:1".to_owned();
        let settings = BTreeMap::from([("token".to_owned(), Setting { place, value })]);
        let environment = Environment::with("FROM_ENV", "s3cret-env");
        match resolve(&settings, &environment) {
            Ok(map) => Ok(map.expose()["token"].as_str().unwrap().to_owned()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    fn command(text: &str) -> Result<String, String> {
        resolve_one(SettingValue::Command(Secret::new(text.to_owned())))
    }

    fn file(content: &str, mode: u32) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        resolve_one(SettingValue::File(path))
    }

    fn refused(result: Result<String, String>, part: &str) {
        let message = result.unwrap_err();
        assert!(
            message.starts_with("c.toml:1:1: cannot get `token`: "),
            "{message}"
        );
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }

    #[test]
    fn a_secret_comes_from_where_it_is_kept() {
        let environment = |name: &str| resolve_one(SettingValue::Environment(name.to_owned()));
        assert_eq!(environment("FROM_ENV").unwrap(), "s3cret-env");
        assert_eq!(file("s3cret-file\n", 0o600).unwrap(), "s3cret-file");
        assert_eq!(file("s3cret-file", 0o400).unwrap(), "s3cret-file");
        assert_eq!(command("echo s3cret-command").unwrap(), "s3cret-command");
        let plain = SettingValue::Plain(Secret::new("s3cret".into()));
        assert_eq!(resolve_one(plain).unwrap(), "s3cret");
        refused(
            environment("NO_SUCH_VARIABLE"),
            "NO_SUCH_VARIABLE is not set",
        );
    }

    #[test]
    fn a_file_that_others_may_touch_is_refused() {
        for mode in [0o640, 0o604, 0o620, 0o601] {
            refused(file("s3cret", mode), "chmod 600");
        }
        refused(file("\n", 0o600), "expected text");
        refused(
            resolve_one(SettingValue::File("/no/such/file".into())),
            "/no/such/file",
        );
        refused(resolve_one(SettingValue::File("/".into())), "is not a file");
    }

    #[test]
    fn a_failing_command_is_named_without_its_output() {
        refused(command("echo s3cret; exit 3"), "exit status: 3");
        refused(command("true"), "expected text");
        refused(command("printf 's3cret\\377'"), "UTF-8");
    }
}
