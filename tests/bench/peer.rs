//! rclone, where it is installed: what another mount makes of the same files. It gets them from a plain web site,
//! without signing, with its own settings.

use std::process::{Command, Stdio};
use std::time::Duration;

use linkfs_tests::Foreground;
use tempfile::TempDir;

use crate::load::Load;
use crate::mount;
use crate::rig::Rig;
use crate::scenario::timed;
use crate::stock::Check;
use crate::warm::warm_memory;

/// Whether there is one.
pub(crate) fn is_installed() -> bool {
    let mut version = Command::new("rclone");
    version.arg("version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

/// How long it takes to read a load in a fresh mount whose folder was listed.
///
/// # Panics
/// When it does not mount, or gives wrong bytes.
pub(crate) fn read(rig: &Rig, load: &Load, round: u64) -> Duration {
    let home = TempDir::new().expect("a folder");
    let top = home.path().join("drive");
    std::fs::create_dir(&top).expect("the mount's folder is made");
    let mut command = Command::new("rclone");
    // With an empty name of the configuration none is read.
    command.args(["mount", ":http:", "--read-only", "--config", ""]);
    command.args(["--http-url", &rig.cloud.site]).arg(&top);
    let _mount = Foreground::start(&mut command, &top, &home.path().join("said"));
    let stock = &rig.stock;
    mount::list(&top.join(stock.first_folder())).expect("the folder is read");
    warm_memory(load.bytes(stock));
    timed(|| load.read(&top, stock, round, Check::Pages))
}
