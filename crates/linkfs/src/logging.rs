use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use anyhow::{Context, Result};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Starts the log: to `file`, or to stderr. `verbosity` is how often `-v` was given.
///
/// A mount in the background needs no file here: its stderr is the log already, so that the message
/// of a panic is in it too.
pub(crate) fn start(verbosity: u8, file: Option<File>) {
    let layer = tracing_subscriber::fmt::layer();
    let layer = match file {
        Some(file) => layer.with_ansi(false).with_writer(Mutex::new(file)).boxed(),
        None => layer
            .with_ansi(io::stderr().is_terminal())
            .with_writer(io::stderr)
            .boxed(),
    };
    let filtered = layer.with_filter(targets(verbosity));
    tracing_subscriber::registry().with(filtered).init();
}

/// Starts the log of a plugin's process: lines on stderr, which begin with their level. Whoever started the process
/// puts them into a log with times.
pub(crate) fn start_for_plugin(verbosity: u8) {
    let layer = tracing_subscriber::fmt::layer();
    let layer = layer.without_time().with_ansi(false);
    let filtered = layer
        .with_writer(io::stderr)
        .with_filter(targets(verbosity));
    tracing_subscriber::registry().with(filtered).init();
}

/// Opens a log file to append to. What is logged is nobody else's business: mode 0600.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.create(true).append(true).mode(0o600).open(path);
    opened.with_context(|| format!("cannot open the log file {}", path.display()))
}

/// Only our own crates get more than warnings: the HTTP libraries print addresses when asked for
/// details, and the query of an address is a key.
fn targets(verbosity: u8) -> Targets {
    let ours = match verbosity {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("linkfs", ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn details_are_for_our_own_crates_alone() {
        for (verbosity, target, level, shown) in [
            (0, "linkfs_core::read", Level::WARN, true),
            (0, "linkfs_core::read", Level::INFO, false),
            (1, "linkfs", Level::INFO, true),
            (2, "linkfs_plugin_koodrive", Level::DEBUG, true),
            (3, "linkfs_fuse", Level::TRACE, true),
            (9, "linkfs_fuse", Level::TRACE, true),
            (3, "hyper_util::client", Level::INFO, false),
            (3, "reqwest::connect", Level::WARN, true),
        ] {
            let enabled = targets(verbosity).would_enable(target, &level);
            assert_eq!(enabled, shown, "{verbosity} {target} {level}");
        }
    }
}
