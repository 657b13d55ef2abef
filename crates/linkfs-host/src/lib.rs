//! Opens the provider that a drive asks for.
//!
//! The host knows plugins by name alone: which ones exist is the program's table, what they do is
//! theirs.

#![deny(missing_docs)]

mod suggestion;

use std::sync::Arc;

use linkfs_provider::{ErrorKind, Plugin, Provider, ProviderError, Result, Settings};

/// Opens the provider of a drive configured with `plugin = "name"`, in this process.
///
/// # Errors
/// `Invalid` when no plugin has that name, naming those that exist; otherwise whatever the plugin
/// says about its settings or its login.
pub async fn open_drive(
    plugins: &[Plugin],
    name: &str,
    settings: Settings,
) -> Result<Arc<dyn Provider>> {
    match plugins.iter().find(|plugin| plugin.name == name) {
        Some(plugin) => (plugin.open)(settings).await,
        None => Err(unknown_plugin(plugins, name)),
    }
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

    async fn check(name: &str, kind: ErrorKind, message: &str) {
        let settings = Settings {
            config: Default::default(),
            state_dir: Default::default(),
        };
        let error = open_drive(PLUGINS, name, settings).await.err().unwrap();
        assert_eq!((error.kind, error.message.as_str()), (kind, message));
    }

    #[tokio::test]
    async fn a_known_plugin_answers_for_itself() {
        check("koodrive", ErrorKind::LoginExpired, "log in").await;
    }

    #[tokio::test]
    async fn an_unknown_plugin_is_refused_with_the_known_ones() {
        let kind = ErrorKind::Invalid;
        let message = "no plugin is named \"webdav\" (there is: dingtalk, koodrive)";
        check("webdav", kind, message).await;
        let message = "no plugin is named \"kodrive\"; did you mean \"koodrive\"? \
                       (there is: dingtalk, koodrive)";
        check("kodrive", kind, message).await;
    }
}
