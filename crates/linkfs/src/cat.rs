//! `linkfs cat DRIVE:/PATH`

use anyhow::Result;
use linkfs_core::{Error, HandleId};
use linkfs_provider::{ByteCount, Offset};

use crate::browser::Browser;
use crate::drive_path::DrivePath;
use crate::output;
use crate::setup::Setup;

/// As much as a pipe takes at once, and a few blocks for the reader to get ahead by.
const AT_ONCE: ByteCount = ByteCount(1 << 20);

pub(crate) fn run(setup: &Setup, file: &DrivePath) -> Result<()> {
    let browser = Browser::open(setup, &file.drive)?;
    let explain = |error: Error| browser.explain(file, &error);
    let found = browser.resolve(file)?;
    let opened = browser.workers.run(browser.volume.open(found.id));
    let handle = opened.map_err(explain)?.handle;
    let mut offset = Offset(0);
    while let Some(length) = copy(&browser, handle, offset, explain)? {
        offset = offset + length;
    }
    browser.volume.close(handle);
    Ok(())
}

/// Copies one piece to stdout. Gives its length, and nothing at the end of the file or when nobody reads.
fn copy(
    browser: &Browser,
    handle: HandleId,
    offset: Offset,
    explain: impl Fn(Error) -> anyhow::Error,
) -> Result<Option<ByteCount>> {
    let read = browser.volume.read(handle, offset, AT_ONCE);
    let bytes = browser.workers.run(read).map_err(explain)?;
    for piece in bytes.pieces() {
        if !output::write(piece)? {
            return Ok(None);
        }
    }
    Ok(Some(bytes.length()).filter(|length| length.0 > 0))
}
