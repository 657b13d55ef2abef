//! The configuration file: which drives there are and how they are mounted.
//!
//! An error names file, line, column and what was expected. It never shows a piece of the file, which
//! may hold a token.

mod drive;
mod share;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use linkfs_core::{AuditFile, DiskOptions, ShareOptions};
use linkfs_provider::ByteCount;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

use crate::{places, units};
pub(crate) use drive::{DriveConfig, Setting, SettingValue};
use source::Source;

/// The variable that names the file when `--config` does not.
const VARIABLE: &str = "LINKFS_CONFIG";

/// A configuration that was read and checked. Secrets that stand elsewhere are not fetched yet.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file it was read from, or would have been.
    pub(crate) path: PathBuf,
    pub(crate) cache: CacheConfig,
    pub(crate) mount: MountConfig,
    share: share::ShareConfig,
    pub(crate) drives: BTreeMap<String, DriveConfig>,
}

/// `[cache]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(crate) struct CacheConfig {
    /// The most that all file content held in memory may take.
    #[serde(deserialize_with = "units::memory")]
    pub(crate) memory: ByteCount,
    /// Where what may be lost is kept from one mount to the next, as it is written.
    #[serde(deserialize_with = "path")]
    directory: Option<String>,
    /// The most that file content kept on disk may take; without it none is.
    #[serde(deserialize_with = "units::disk")]
    pub(crate) size: Option<ByteCount>,
}

/// A path that [`places::expand_home`] understands, as it is written.
fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let path = String::deserialize(deserializer)?;
    match places::expand_home(&path) {
        Ok(_) => Ok(Some(path)),
        Err(error) => Err(D::Error::custom(error)),
    }
}

/// `[mount]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "a table")]
pub(crate) struct MountConfig {
    /// After this long a request ends, with an error if it must.
    #[serde(deserialize_with = "units::deadline")]
    pub(crate) deadline: Duration,
    /// How old a folder's listing may be before it is fetched again.
    #[serde(deserialize_with = "units::duration")]
    pub(crate) listing_ttl: Duration,
    /// Whether other users may enter the mount.
    pub(crate) allow_other: bool,
}

impl Default for CacheConfig {
    fn default() -> Self {
        // Room for the blocks of a few dozen files that are read at the same time.
        let memory = ByteCount(512 << 20);
        CacheConfig {
            memory,
            directory: None,
            size: None,
        }
    }
}

impl Default for MountConfig {
    fn default() -> Self {
        MountConfig {
            // Long enough for a slow drive and a second try, short enough that nobody takes a
            // program that waits for one that hangs.
            deadline: Duration::from_secs(30),
            listing_ttl: Duration::from_secs(30),
            allow_other: false,
        }
    }
}

/// The file as it is written; drives keep positions, because plugins refuse their keys later.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Sections {
    #[serde(default)]
    cache: CacheConfig,
    #[serde(default)]
    mount: MountConfig,
    share: Option<Spanned<share::Table>>,
    #[serde(default)]
    drives: BTreeMap<Spanned<String>, Spanned<drive::Table>>,
}

impl Config {
    /// Reads the file that `--config` names, or `LINKFS_CONFIG`, or the one in its usual place. The
    /// last may be missing, and then there are no drives.
    pub(crate) fn load(named: Option<&Path>) -> Result<Config> {
        let variable = env::var_os(VARIABLE).filter(|value| !value.is_empty());
        let named = match named {
            Some(path) => Some(path.to_owned()),
            None => variable.map(PathBuf::from),
        };
        let must_exist = named.is_some();
        let path = std::path::absolute(named.map_or_else(places::config_file, Ok)?)?;
        match File::open(&path) {
            Ok(file) => read(&path, file),
            Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => {
                Ok(Config::empty(path))
            }
            Err(error) => Err(error).with_context(|| format!("cannot open {}", path.display())),
        }
    }

    /// The drive named `name`.
    pub(crate) fn drive(&self, name: &str) -> Result<&DriveConfig> {
        if let Some(drive) = self.drives.get(name) {
            return Ok(drive);
        }
        self.require_drives()?;
        let known: Vec<_> = self.drives.keys().map(String::as_str).collect();
        let (path, known) = (self.path.display(), known.join(", "));
        bail!("{path} has no drive \"{name}\" (it has: {known})");
    }

    /// A drive of these settings, in no file; each value is TOML or, if it is not, text.
    ///
    /// # Errors
    /// For a secret: everybody can read the command line.
    pub(crate) fn drive_of(plugin: &str, settings: &[(String, String)]) -> Result<DriveConfig> {
        let mut table = toml::Table::new();
        for (key, value) in settings {
            let value = toml::from_str::<toml::Table>(&format!("value = {value}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| toml::Value::String(value.clone()));
            table.insert(key.clone(), value);
        }
        table.insert("plugin".to_owned(), plugin.into());
        let drives = toml::Table::from_iter([("check".to_owned(), toml::Value::Table(table))]);
        let text = toml::Table::from_iter([("drives".to_owned(), toml::Value::Table(drives))]);
        let mut config = parse(&Source {
            path: Path::new("command line"),
            text: &text.to_string(),
            is_private: true,
        })?;
        let drive = config.drives.remove("check");
        let drive = drive.context("the settings make no drive")?;
        for (key, setting) in drive.secret_settings() {
            if matches!(setting.value, SettingValue::Plain(_)) {
                bail!(
                    "`{key}` is a secret, and everybody can read the command line: \
                     write {key}='{{ env = \"NAME\" }}'"
                );
            }
        }
        Ok(drive)
    }

    /// The folder of what may be lost: the one that is named, or the usual one.
    pub(crate) fn cache_directory(&self) -> Result<PathBuf> {
        let Some(named) = &self.cache.directory else {
            return places::cache();
        };
        // Beside the configuration file, wherever the command is run.
        let beside = self.path.parent().unwrap_or(&self.path);
        Ok(beside.join(places::expand_home(named)?))
    }

    /// Where file content is kept on disk, if it is to be.
    pub(crate) fn disk(&self) -> Result<Option<DiskOptions>> {
        let Some(size) = self.cache.size else {
            return Ok(None);
        };
        let directory = self.cache_directory()?.join("content");
        Ok(Some(DiskOptions { directory, size }))
    }

    /// What may be shared, and where that is written down: where it is said, or else among our own files, and
    /// then nothing depends on it.
    pub(crate) fn share(&self) -> Result<ShareOptions> {
        let audit = match &self.share.audit {
            Some(named) => {
                let beside = self.path.parent().unwrap_or(&self.path);
                let path = beside.join(places::expand_home(named)?);
                let is_required = true;
                Some(AuditFile { path, is_required })
            }
            None => places::share_audit().ok().map(|path| AuditFile {
                path,
                is_required: false,
            }),
        };
        Ok(ShareOptions {
            policy: self.share.policy.clone(),
            audit,
            tasks: places::tasks().ok(),
            top: String::new(),
        })
    }

    /// Fails when no drive is configured, and says how one gets there.
    pub(crate) fn require_drives(&self) -> Result<()> {
        if self.drives.is_empty() {
            let path = self.path.display();
            bail!(
                "no drive is configured; write a section [drives.NAME] into {path}, \
                 or try `linkfs demo`, which needs no account"
            );
        }
        Ok(())
    }

    /// The environment variables that hold secrets of some drive.
    pub(crate) fn secret_variables(&self) -> BTreeSet<&str> {
        let settings = self
            .drives
            .values()
            .flat_map(|drive| drive.settings.values());
        settings.filter_map(Setting::variable).collect()
    }

    fn empty(path: PathBuf) -> Config {
        Config {
            path,
            cache: CacheConfig::default(),
            mount: MountConfig::default(),
            share: share::ShareConfig::default(),
            drives: BTreeMap::new(),
        }
    }
}

fn read(path: &Path, mut file: File) -> Result<Config> {
    let mut bytes = Vec::new();
    let cannot_read = || format!("cannot read {}", path.display());
    file.read_to_end(&mut bytes).with_context(cannot_read)?;
    let mode = file
        .metadata()
        .with_context(cannot_read)?
        .permissions()
        .mode();
    let text = String::from_utf8(bytes)
        .with_context(|| format!("{}: expected UTF-8 text", path.display()))?;
    parse(&Source {
        path,
        text: &text,
        is_private: mode & 0o044 == 0,
    })
}

fn parse(source: &Source<'_>) -> Result<Config> {
    let sections: Sections =
        toml::from_str(source.text).map_err(|error| source.syntax_error(&error))?;
    let share = match sections.share {
        None => share::ShareConfig::default(),
        Some(table) => {
            let span = table.span();
            let checked = table.into_inner().check();
            checked.map_err(|why| source.error(span, &why))?
        }
    };
    let drives = sections.drives.into_iter();
    Ok(Config {
        path: source.path.to_owned(),
        cache: sections.cache,
        mount: sections.mount,
        share,
        drives: drives
            .map(|(name, table)| drive::check(source, name, table))
            .collect::<Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &str, is_private: bool) -> Result<Config> {
        let path = Path::new("/c.toml");
        parse(&Source {
            path,
            text,
            is_private,
        })
    }

    fn check(text: &str, expected: &str) {
        let message = parse_text(text, true)
            .err()
            .map(|error| format!("{error:#}"));
        assert_eq!(message.as_deref(), Some(expected), "{text}");
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = parse_text("", false).unwrap();
        assert_eq!(config.cache.memory, ByteCount(512 << 20));
        assert_eq!(config.mount.deadline, Duration::from_secs(30));
        assert!(!config.mount.allow_other && config.drives.is_empty());
    }

    #[test]
    fn every_section_is_read() {
        let text = r#"
            [cache]
            memory = "64MiB"
            directory = "cache"
            [mount]
            deadline = "5s"
            listing_ttl = "2m"
            allow_other = true
            [drives.work]
            plugin = "koodrive"
            allow_private_hosts = true
            space = "S"
            token = { env = "KOODRIVE_TOKEN" }
            [drives.team]
            plugin = "dingtalk"
            app_secret = { file = "~/secret" }
        "#;
        let config = parse_text(text, false).unwrap();
        assert_eq!(config.cache.memory, ByteCount(64 << 20));
        assert_eq!(config.cache_directory().unwrap(), Path::new("/cache"));
        assert_eq!(config.mount.deadline, Duration::from_secs(5));
        assert_eq!(config.mount.listing_ttl, Duration::from_secs(120));
        assert!(config.mount.allow_other);
        let work = config.drive("work").unwrap();
        assert_eq!(work.plugin, "koodrive");
        assert!(work.allow_private_hosts && !config.drives["team"].allow_private_hosts);
        let keys: Vec<_> = work.settings.keys().map(String::as_str).collect();
        assert_eq!(keys, ["space", "token"]);
        let variables: Vec<_> = config.secret_variables().into_iter().collect();
        assert_eq!(variables, ["KOODRIVE_TOKEN"]);
    }

    #[test]
    fn a_size_of_0_keeps_no_content_on_disk() {
        let disk = |size: &str| {
            let config = parse_text(&format!("[cache]\ndirectory = '/c'\nsize = {size}"), true);
            config.unwrap().disk().unwrap()
        };
        assert!(disk("0").is_none() && disk("\"0\"").is_none() && disk("'0GiB'").is_none());
        assert_eq!(disk("\"1MiB\"").unwrap().size, ByteCount(1 << 20));
        check(
            "[cache]\nsize = \"4KiB\"",
            "/c.toml:2:8: expected at least 1MiB, or 0 for none",
        );
    }

    #[test]
    fn settings_on_the_command_line_are_toml_or_text() {
        let settings = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(k, v)| (k.to_string(), v.to_string()))
                .collect();
            Config::drive_of("p", &pairs)
        };
        let drive = settings(&[
            ("url", "https://x.test/?a=b"),
            ("count", "3"),
            ("text", "'3'"),
            ("token", "{ env = 'T' }"),
        ]);
        let drive = drive.unwrap();
        let plain = |key: &str| match &drive.settings[key].value {
            SettingValue::Plain(value) => value.expose().clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(drive.plugin, "p");
        assert_eq!(plain("url"), "https://x.test/?a=b");
        assert_eq!((plain("count"), plain("text")), (3.into(), "3".into()));
        let variable = &drive.settings["token"].value;
        assert!(matches!(variable, SettingValue::Environment(name) if name == "T"));
        let refused = settings(&[("token", "s3cret")]).unwrap_err().to_string();
        assert!(refused.contains("`token` is a secret"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        check(
            "[cach]",
            "/c.toml:1:2: unknown key `cach`, expected one of `cache`, `mount`, `share`, `drives`",
        );
        check(
            "\n[cache]\n memroy = 1",
            "/c.toml:3:2: unknown key `memroy`, expected one of `memory`, `directory`, `size`",
        );
        check(
            "[cache]\nmemory = \"lots\"",
            "/c.toml:2:10: expected a size such as \"512MiB\", \"1GB\" or a number of bytes",
        );
        check(
            "[mount]\ndeadline = 30",
            "/c.toml:2:12: invalid type, expected a duration such as \"30s\", \"5m\", \"2h\" or \"500ms\"",
        );
        check(
            "cache = \"s3cret\"",
            "/c.toml:1:9: invalid type, expected a table",
        );
        check(
            "[drives]\nwork = \"s3cret\"",
            "/c.toml:2:8: invalid type, expected a table",
        );
        check(
            "[mount]\nallow_other = \"s3cret\"",
            "/c.toml:2:15: invalid type, expected a boolean",
        );
    }

    #[test]
    fn a_mistake_about_sharing_is_named_with_its_place() {
        check(
            "[share]\nmax_expire = \"7d\"",
            "/c.toml:2:1: unknown key `max_expire`, expected one of `expires`, `password`, `audience`, `allow`, \
             `note`, `max_expires`, `require_password`, `audiences`, `deny`, `dry_run`, `audit`",
        );
        check(
            "[share]\nexpires = \"soon\"",
            "/c.toml:2:11: expires: expected a duration such as 7d, 12h or 90m, a date such as 2027-01-31, \
             2027-01-31T18:00 or 2027-01-31T18:00:00Z, or never",
        );
        check(
            "\n[share]\nexpires = \"9d\"\nmax_expires = \"8d\"",
            "/c.toml:2:1: expires is longer than max_expires",
        );
        let config = parse_text("[share]\naudit = \"shares.log\"", true).unwrap();
        let audit = config.share().unwrap().audit.unwrap();
        assert_eq!(audit.path, Path::new("/shares.log"));
        assert!(audit.is_required);
        let usual = parse_text("", true).unwrap().share().unwrap().audit;
        assert!(usual.is_none_or(|audit| !audit.is_required));
    }

    #[test]
    fn a_broken_line_is_named_and_never_shown() {
        for text in [
            "[drives.work]\ntoken = s3cret",
            "[drives.work]\ntoken = \"s3cret",
            "[drives.work]\ns3cret",
        ] {
            let message = format!("{:#}", parse_text(text, true).unwrap_err());
            assert!(message.starts_with("/c.toml:2:"), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        }
    }

    #[test]
    fn a_missing_drive_is_named_beside_the_known_ones() {
        let config = parse_text("[drives.a]\nplugin='p'\n[drives.b]\nplugin='p'", true).unwrap();
        let message = config.drive("c").unwrap_err().to_string();
        assert_eq!(message, "/c.toml has no drive \"c\" (it has: a, b)");
        let message = parse_text("", true)
            .unwrap()
            .drive("c")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("/c.toml") && message.contains("linkfs demo"),
            "{message}"
        );
    }

    #[test]
    fn a_secret_in_a_file_that_others_may_read_is_refused() {
        let text = "[drives.work]\nplugin = \"koodrive\"\ntoken = \"s3cret\"";
        let message = format!("{:#}", parse_text(text, false).unwrap_err());
        assert!(message.starts_with("/c.toml:3:9: "), "{message}");
        assert!(
            message.contains("chmod 600") && !message.contains("s3cret"),
            "{message}"
        );
        let config = parse_text(text, true).unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
    }
}
