//! Where linkfs writes.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use linkfs_provider::ByteCount;

use super::Line;
use crate::config::Config;
use crate::places;
use crate::setup::Setup;
use crate::units::Readable;

/// A disk cache that has no room for this share of its size is of little use.
const LEAST_SHARE: u64 = 10;
/// Listings and logs need little.
const LEAST_ROOM: ByteCount = ByteCount(256 << 20);

pub(super) fn look(setup: &Setup, config: &Config) -> Vec<Line> {
    let log = match setup.background_log() {
        Ok((_file, path)) => Line::ok("log", path.display().to_string()),
        Err(error) => Line::problem("log", format!("{error:#}"), "name another with --log-file"),
    };
    vec![cache(config), log]
}

fn cache(config: &Config) -> Line {
    let what = "cache";
    let advice = "name another folder in `directory` of the section [cache]";
    let folder = match config.cache_directory() {
        Ok(folder) => folder,
        Err(error) => return Line::problem(what, format!("{error:#}"), advice),
    };
    match try_out(&folder) {
        Err(error) => Line::problem(what, format!("{error:#}"), advice),
        Ok(room) => {
            let least = config
                .cache
                .size
                .map(|size| ByteCount(size.0 / LEAST_SHARE));
            let least = least.unwrap_or_default().max(LEAST_ROOM);
            let found = format!("{}, room for {}", folder.display(), Readable(room));
            match room < least {
                true => Line::warning(what, found, "make room on its file system"),
                false => Line::ok(what, found),
            }
        }
    }
}

/// Writes a file as a mount would; gives how much room there is.
fn try_out(folder: &Path) -> Result<ByteCount> {
    places::make_private(folder)?;
    let file = folder.join(format!(".doctor-{}", std::process::id()));
    let written = fs::write(&file, "x");
    let removed = fs::remove_file(&file);
    written
        .and(removed)
        .with_context(|| format!("cannot write to {}", folder.display()))?;
    let system = rustix::fs::statvfs(folder)?;
    Ok(ByteCount(system.f_bavail.saturating_mul(system.f_frsize)))
}
