//! Finds the plugin that a drive asks for.
//!
//! The host knows plugins by name alone: which ones exist is the program's table, what they do is
//! theirs. Every provider is opened in this process.

#![deny(missing_docs)]

pub mod proxy;
pub mod sandbox;
mod suggestion;

use linkfs_provider::{ErrorKind, Plugin, ProviderError, Result};

/// The plugin of a drive configured with `plugin = "name"`.
///
/// # Errors
/// `Invalid` when no plugin has that name, naming those that exist.
pub fn find_plugin<'a>(plugins: &'a [Plugin], name: &str) -> Result<&'a Plugin> {
    let found = plugins.iter().find(|plugin| plugin.name == name);
    found.ok_or_else(|| unknown_plugin(plugins, name))
}

fn unknown_plugin(plugins: &[Plugin], name: &str) -> ProviderError {
    let mut known: Vec<_> = plugins.iter().map(|plugin| plugin.name).collect();
    known.sort_unstable();
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
    use super::*;

    const PLUGINS: &[Plugin] = &[plugin("koodrive"), plugin("dingtalk")];

    const fn plugin(name: &'static str) -> Plugin {
        Plugin {
            name,
            summary: "",
            open: |_| {
                Box::pin(async { Err(ProviderError::new(ErrorKind::LoginExpired, "log in")) })
            },
        }
    }

    #[test]
    fn a_known_plugin_is_found() {
        assert_eq!(find_plugin(PLUGINS, "koodrive").unwrap().name, "koodrive");
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
            let error = find_plugin(PLUGINS, name).unwrap_err();
            assert_eq!(
                (error.kind, error.message.as_str()),
                (ErrorKind::Invalid, message)
            );
        }
    }
}
