use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::{ErrorKind, Provider, ProviderError, Result, Secret};

/// A provider as delivered: the one value a plugin crate exports.
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// The name that a drive's `plugin = "..."` asks for.
    pub name: &'static str,
    /// Its own version, for people.
    pub version: &'static str,
    /// One line for `linkfs plugin list`.
    pub summary: &'static str,
    /// The hosts it talks to, apart from those that the configuration names: `api.example.com`,
    /// `*.example.com`, with `:port` unless it is 443.
    pub hosts: &'static [&'static str],
    /// Opens the drive that `Settings` describe. Reads and checks the settings, and may log in.
    pub open: fn(Settings) -> OpenFuture,
}

/// A provider being opened.
pub type OpenFuture = Pin<Box<dyn Future<Output = Result<Arc<dyn Provider>>> + Send>>;

/// What a provider is opened with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The drive's configuration, without the keys that linkfs itself reads; secrets are resolved.
    pub config: Secret<serde_json::Map<String, serde_json::Value>>,
    /// A folder of the drive's own, mode 0700, for tokens that must outlive the process. It is
    /// made when the provider first writes to it.
    pub state_dir: PathBuf,
}

impl Settings {
    /// The configuration as the plugin's own type, which should deny unknown fields.
    ///
    /// # Errors
    /// `Invalid`, naming the key in backticks and saying what was expected of it; never with a value,
    /// since a misplaced secret must not reach the terminal.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let config = serde_json::Value::Object(self.config.expose().clone());
        serde_path_to_error::deserialize(config).map_err(|error| {
            let message = match error.path().iter().next() {
                None => without_values(error.inner()),
                // serde has named an unknown key already.
                Some(_) if error.inner().to_string().starts_with("unknown field") => {
                    error.inner().to_string()
                }
                Some(_) => format!("`{}`: {}", error.path(), without_values(error.inner())),
            };
            ProviderError::new(ErrorKind::Invalid, message)
        })
    }
}

/// serde quotes a value that is wrong (`invalid type: string "hunter2", expected u32`,
/// ``unknown variant `hunter2` ``): cut it out.
fn without_values(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some((what, expected)) = text.split_once(", expected ") else {
        return text;
    };
    match what.split_once([':', '`']) {
        Some((kind, _value))
            if kind.starts_with("invalid ") || kind.starts_with("unknown variant") =>
        {
            format!("{}, expected {expected}", kind.trim_end())
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the parsing is tested")]
    struct Config {
        space: String,
        retries: Option<u32>,
        mode: Option<Mode>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Fast,
    }

    fn check(config: serde_json::Value, message: &str) {
        let serde_json::Value::Object(config) = config else {
            panic!("not an object")
        };
        let settings = Settings {
            config: Secret::new(config),
            state_dir: PathBuf::new(),
        };
        let error = settings.parse::<Config>().unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert_eq!(error.message, message);
    }

    #[test]
    fn errors_name_the_key_and_never_a_value() {
        check(
            serde_json::json!({"space": "S", "spcae": "s3cret"}),
            "unknown field `spcae`, expected one of `space`, `retries`, `mode`",
        );
        check(serde_json::json!({}), "missing field `space`");
        check(
            serde_json::json!({"space": "S", "retries": "s3cret"}),
            "`retries`: invalid type, expected u32",
        );
        check(
            serde_json::json!({"space": "S", "mode": "s3cret"}),
            "`mode`: unknown variant, expected `fast`",
        );
    }
}
