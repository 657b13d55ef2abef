use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Result;
use linkfs_provider::{ItemId, Secret, Settings};
use serde_json::json;
use toml::{Spanned, Value};

use super::source::Source;
use crate::places;

/// What is shorter is no secret worth the name, and taking it out of every text would leave nothing to read.
const SHORTEST_SECRET: usize = 4;

/// `[drives.NAME]`: which plugin, what linkfs itself must know, and the plugin's own settings.
#[derive(Debug)]
pub(crate) struct DriveConfig {
    /// Where it stands, as `file:line:column`, for errors.
    pub(crate) place: String,
    pub(crate) plugin: String,
    /// Where the plugin is named.
    pub(crate) plugin_place: String,
    /// Whether the drive's links may point to loopback and private addresses.
    pub(crate) allow_private_hosts: bool,
    /// Whether the plugin runs in linkfs' own process.
    pub(crate) in_process: bool,
    pub(crate) settings: BTreeMap<String, Setting>,
}

/// One of the plugin's own settings.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Where it stands, as `file:line:column`, for errors.
    pub(crate) place: String,
    pub(crate) value: SettingValue,
}

/// What a setting is, or where it comes from. `Debug` shows no value.
#[derive(Debug)]
pub(crate) enum SettingValue {
    /// It is written in the file; it may be a secret.
    Plain(Secret<serde_json::Value>),
    /// `{ env = "NAME" }`
    Environment(String),
    /// `{ file = "path" }`
    File(PathBuf),
    /// `{ command = "..." }`; what to run is hidden too, it may hold a password.
    Command(Secret<String>),
}

impl DriveConfig {
    /// The settings that are secrets, by their names, the token first.
    pub(crate) fn secret_settings(&self) -> Vec<(&str, &Setting)> {
        let settings = self.settings.iter();
        let secrets = settings.filter(|(key, setting)| setting.holds_secret(key));
        let mut secrets: Vec<_> = secrets
            .map(|(key, setting)| (key.as_str(), setting))
            .collect();
        secrets.sort_by_key(|(key, _)| !key.ends_with("token"));
        secrets
    }

    /// The values of `settings` that are secrets, or hold some.
    pub(crate) fn secrets_of(&self, settings: &Settings) -> Vec<Secret<String>> {
        let mut secrets = Vec::new();
        for (key, value) in settings.config.expose() {
            let written = self.settings.get(key);
            let is_secret = written.is_some_and(|setting| setting.holds_secret(key));
            collect_secrets(value, is_secret, &mut secrets);
        }
        secrets
    }

    /// What tells the content of this drive, named `name` and shown from `root` on, from any other's: no
    /// secret is in it. `None` when a value that may say which content it is comes from elsewhere, and so
    /// may be a secret or change without a trace.
    pub(crate) fn identity(&self, name: &str, root: &ItemId) -> Option<String> {
        let settings = self.settings.iter().filter(|(key, _)| !is_secret_name(key));
        let settings = settings.map(|(key, setting)| match &setting.value {
            SettingValue::Plain(value) => Some((key, without_secrets(value.expose()))),
            _ => None,
        });
        let settings: BTreeMap<_, _> = settings.collect::<Option<_>>()?;
        let identity =
            json!({"plugin": self.plugin, "drive": name, "root": root, "settings": settings});
        Some(identity.to_string())
    }

    /// Where the key stands that a plugin complains of, going by the names it quotes in backticks; the
    /// drive itself when it names none that is there.
    pub(crate) fn place_of(&self, complaint: &str) -> &str {
        let quoted = complaint.split('`').skip(1).step_by(2);
        let mut settings = quoted.filter_map(|key| self.settings.get(key));
        settings
            .next()
            .map_or(&self.place, |setting| &setting.place)
    }
}

impl Setting {
    /// Whether it is a secret: what comes from elsewhere does so because it is one.
    fn holds_secret(&self, key: &str) -> bool {
        !matches!(self.value, SettingValue::Plain(_)) || is_secret_name(key)
    }

    /// The environment variable it comes from, if it does.
    pub(super) fn variable(&self) -> Option<&str> {
        match &self.value {
            SettingValue::Environment(name) => Some(name),
            _ => None,
        }
    }
}

/// The table of a drive as it is written.
pub(super) type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

/// A drive with its name, checked.
pub(super) fn check(
    source: &Source<'_>,
    name: Spanned<String>,
    table: Spanned<Table>,
) -> Result<(String, DriveConfig)> {
    if !is_file_name(name.get_ref()) {
        let message = "expected a drive name that can be a folder's: \
                       not empty, no \"/\", no \".\" in front, no control characters";
        return Err(source.error(name.span(), message));
    }
    let mut drive = DriveConfig {
        place: source.place(name.span().start),
        plugin: String::new(),
        plugin_place: String::new(),
        allow_private_hosts: false,
        in_process: false,
        settings: BTreeMap::new(),
    };
    for (key, value) in table.into_inner() {
        match (key.get_ref().as_str(), value.get_ref()) {
            ("plugin", Value::String(plugin)) => {
                drive.plugin = plugin.clone();
                drive.plugin_place = source.place(value.span().start);
            }
            ("plugin", _) => {
                return Err(source.error(value.span(), "expected the name of a plugin, a string"));
            }
            ("allow_private_hosts", Value::Boolean(allow)) => drive.allow_private_hosts = *allow,
            ("in_process", Value::Boolean(fact)) => drive.in_process = *fact,
            ("allow_private_hosts" | "in_process", _) => {
                return Err(source.error(value.span(), "expected true or false"));
            }
            _ => {
                let setting = setting(source, key.get_ref(), value)?;
                drive.settings.insert(key.into_inner(), setting);
            }
        }
    }
    if drive.plugin.is_empty() {
        let message = format!(
            "drive \"{}\" has no plugin; expected a line such as plugin = \"koodrive\"",
            name.get_ref()
        );
        return Err(source.error(name.span(), &message));
    }
    Ok((name.into_inner(), drive))
}

/// A drive is shown as a folder of this name, and `.linkfs` is ours.
fn is_file_name(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= 255;
    fits && !name.starts_with('.') && !name.contains('/') && !name.contains(char::is_control)
}

fn setting(source: &Source<'_>, key: &str, value: Spanned<Value>) -> Result<Setting> {
    let span = value.span();
    let value = match value.into_inner() {
        Value::Table(table) if is_reference(&table) => {
            reference(source, &table).map_err(|message| source.error(span.clone(), &message))?
        }
        plain if !source.is_private && holds_secret(key, &plain) => {
            let message = format!(
                "`{key}` is a secret and others may read this file: chmod 600 it, or write \
                 {{ env = \"NAME\" }}, {{ file = \"path\" }} or {{ command = \"...\" }} instead"
            );
            return Err(source.error(span, &message));
        }
        plain => SettingValue::Plain(Secret::new(
            json(plain).map_err(|message| source.error(span.clone(), message))?,
        )),
    };
    let place = source.place(span.start);
    Ok(Setting { place, value })
}

/// Whether a table says where a value comes from; any other table is the plugin's.
fn is_reference(table: &toml::Table) -> bool {
    ["env", "file", "command"]
        .iter()
        .any(|key| table.contains_key(*key))
}

fn reference(source: &Source<'_>, table: &toml::Table) -> Result<SettingValue, String> {
    let expected =
        "expected exactly one of { env = \"NAME\" }, { file = \"path\" }, { command = \"...\" }";
    let mut entries = table.iter();
    let (Some((key, Value::String(text))), None) = (entries.next(), entries.next()) else {
        return Err(expected.to_owned());
    };
    match key.as_str() {
        "env" if text.is_empty() || text.contains(['=', '\0']) => {
            Err("expected the name of an environment variable".to_owned())
        }
        "env" => Ok(SettingValue::Environment(text.clone())),
        "file" => {
            let path = places::expand_home(text).map_err(|error| error.to_string())?;
            // Beside the configuration file, wherever the command is run.
            let folder = source.path.parent().unwrap_or(source.path);
            Ok(SettingValue::File(folder.join(path)))
        }
        "command" => Ok(SettingValue::Command(Secret::new(text.clone()))),
        _ => Err(expected.to_owned()),
    }
}

/// Whether a value is a secret, going by the name of its key.
fn holds_secret(key: &str, value: &Value) -> bool {
    match value {
        Value::String(_) => is_secret_name(key),
        Value::Table(table) => table.iter().any(|(key, value)| holds_secret(key, value)),
        Value::Array(values) => values.iter().any(|value| holds_secret(key, value)),
        _ => false,
    }
}

fn without_secrets(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => {
            let plain = fields.iter().filter(|(key, _)| !is_secret_name(key));
            let plain = plain.map(|(key, value)| (key.clone(), without_secrets(value)));
            serde_json::Value::Object(plain.collect())
        }
        serde_json::Value::Array(values) => values.iter().map(without_secrets).collect(),
        plain => plain.clone(),
    }
}

/// The texts in a value: all of them when it `is_secret`, otherwise those under the name of a secret.
fn collect_secrets(value: &serde_json::Value, is_secret: bool, into: &mut Vec<Secret<String>>) {
    match value {
        serde_json::Value::String(text) if is_secret && text.len() >= SHORTEST_SECRET => {
            into.push(Secret::new(text.clone()));
        }
        serde_json::Value::Array(values) => {
            for value in values {
                collect_secrets(value, is_secret, into);
            }
        }
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                collect_secrets(value, is_secret || is_secret_name(key), into);
            }
        }
        _ => {}
    }
}

fn is_secret_name(key: &str) -> bool {
    const ENDINGS: [&str; 7] = [
        "token",
        "password",
        "passphrase",
        "secret",
        "session_id",
        "private_key",
        "jwt_key",
    ];
    ENDINGS.iter().any(|ending| key.ends_with(ending))
}

/// The value as plugins get it. Their wire is JSON, which has no dates: those become text.
fn json(value: Value) -> Result<serde_json::Value, &'static str> {
    Ok(match value {
        Value::String(text) => text.into(),
        Value::Integer(number) => number.into(),
        Value::Float(number) => match serde_json::Number::from_f64(number) {
            Some(number) => number.into(),
            None => return Err("expected a finite number"),
        },
        Value::Boolean(fact) => fact.into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(values) => values
            .into_iter()
            .map(json)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Value::Table(table) => {
            let entries = table.into_iter();
            let entries = entries.map(|(key, value)| json(value).map(|value| (key, value)));
            serde_json::Value::Object(entries.collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<BTreeMap<String, DriveConfig>> {
        let path = Path::new("/etc/c.toml");
        let source = Source {
            path,
            text,
            is_private: true,
        };
        let drives: BTreeMap<Spanned<String>, Spanned<Table>> = toml::from_str(text)?;
        drives
            .into_iter()
            .map(|(name, table)| check(&source, name, table))
            .collect()
    }

    fn refused(text: &str, place: &str, part: &str) {
        let message = parse(text).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("/etc/c.toml:{place}: ")),
            "{message}"
        );
        assert!(
            message.contains(part) && !message.contains("s3cret"),
            "{message}"
        );
    }

    #[test]
    fn a_drive_needs_a_plugin_and_a_name_for_a_folder() {
        refused(
            "[work]\ntoken = \"s3cret\"",
            "1:2",
            "\"work\" has no plugin",
        );
        refused(
            "[work]\nplugin = [\"s3cret\"]",
            "2:10",
            "expected the name of a plugin",
        );
        refused(
            "[work]\nplugin = 'p'\nallow_private_hosts = \"s3cret\"",
            "3:23",
            "expected true or false",
        );
        for name in ["\"\"", "\"a/b\"", "\".linkfs\"", "\"a\\nb\""] {
            refused(
                &format!("[{name}]\nplugin = 'p'"),
                "1:2",
                "expected a drive name",
            );
        }
    }

    #[test]
    fn a_reference_has_exactly_one_key() {
        let part = "expected exactly one of";
        refused("[w]\nt = { env = 'A', file = 's3cret' }", "2:5", part);
        refused("[w]\nt = { command = 's3cret', x = 1 }", "2:5", part);
        refused("[w]\nt = { file = 1 }", "2:5", part);
        refused("[w]\nt = { env = '' }", "2:5", "environment variable");
    }

    #[test]
    fn a_relative_file_stands_beside_the_configuration() {
        for (file, expected) in [("token", "/etc/token"), ("/run/token", "/run/token")] {
            let drives = parse(&format!("[w]\nplugin = 'p'\nt = {{ file = '{file}' }}")).unwrap();
            match &drives["w"].settings["t"].value {
                SettingValue::File(path) => assert_eq!(path, Path::new(expected)),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn secrets_are_known_by_the_names_of_their_keys() {
        for (key, expected) in [
            ("token", true),
            ("refresh_token", true),
            ("app_secret", true),
            ("session_id", true),
            ("jwt_key", true),
            ("app_key", false),
            ("space", false),
            ("client_id", false),
            ("token_url", false),
        ] {
            assert_eq!(
                holds_secret(key, &Value::String(String::new())),
                expected,
                "{key}"
            );
        }
    }

    #[test]
    fn the_identity_of_a_drive_is_all_that_may_name_its_content_and_no_secret() {
        let identity = |name: &str, root: &str, text: &str| {
            let drives = parse(&format!("[w]\nplugin = 'p'\n{text}")).unwrap();
            drives["w"].identity(name, &root.into())
        };
        let text = "endpoint = 'e'\nspace = 'S'\ntoken = 's3cret'\nproxy = { url = 'u', password = 's3cret' }";
        let first = identity("w", "0", text).unwrap();
        for part in ["\"p\"", "\"w\"", "\"0\"", "\"e\"", "\"S\"", "\"u\""] {
            assert!(first.contains(part), "{first}");
        }
        assert!(!first.contains("s3cret"), "{first}");
        assert_eq!(
            identity("w", "0", &text.replace("s3cret", "other")),
            Some(first.clone())
        );
        assert_eq!(
            identity("w", "0", &text.replace("'s3cret'\n", "{ env = 'T' }\n")),
            Some(first.clone())
        );
        for (name, root, text) in [
            ("v", "0", text.to_owned()),
            ("w", "1", text.to_owned()),
            ("w", "0", text.replace("'e'", "'f'")),
            ("w", "0", text.replace("'S'", "'T'")),
            ("w", "0", text.replace("'u'", "'v'")),
        ] {
            assert_ne!(identity(name, root, &text).unwrap(), first, "{text}");
        }
        assert_eq!(identity("w", "0", "space = { env = 'SPACE' }"), None);
    }

    #[test]
    fn other_tables_and_lists_reach_the_plugin_as_they_are() {
        let drives =
            parse("[w]\nplugin = 'p'\nhosts = [1, 2.5]\nproxy = { url = 'u', on = true }").unwrap();
        let plain = |key: &str| match &drives["w"].settings[key].value {
            SettingValue::Plain(value) => value.expose().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(plain("hosts"), serde_json::json!([1, 2.5]));
        assert_eq!(plain("proxy"), serde_json::json!({"url": "u", "on": true}));
    }
}
