//! The drive, in a process of its own.

use std::io;

use linkfs_emulator::koodrive;
use serde_json::json;

use crate::stock::Stock;

/// Serves until stdin ends; so it ends with whoever started it, however that ended.
///
/// # Panics
/// When there are no ports.
pub(crate) fn serve(stock: Stock) {
    let options = koodrive::Options::with_tree(stock.tree());
    let emulator = koodrive::Emulator::start_blocking(options).expect("the drive starts");
    println!(
        "{}",
        json!({
            "drive": emulator.mount_config(),
            "control": emulator.control_endpoint(),
            "site": emulator.serve_site().expect("there is a port more"),
        })
    );
    io::copy(&mut io::stdin(), &mut io::sink()).expect("stdin is read");
}
