//! Names and what is known of them, with the tools that people use.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use linkfs_tests::run;

use crate::curl;
use crate::mount::{Attempt, Mount};
use crate::rig::Rig;

/// A command that looks at every file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tool {
    /// `ls -l` of the first folder.
    Ls,
    /// `find` over everything, asking each file's size.
    Find,
}

/// The list calls of the first folder, one after another on one connection.
pub(crate) fn limit(rig: &Rig) -> Duration {
    curl::transfer(rig.list_requests(), 1, rig.curl_start).took
}

/// In a mount that knows nothing.
pub(crate) fn cold(rig: &Rig, tool: Tool) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    mount.attempt(&rig.cloud, || tool.run(rig, mount.folder()))
}

/// In a mount where the same was done before.
pub(crate) fn again(rig: &Rig, tool: Tool) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    tool.run(rig, mount.folder());
    mount.attempt(&rig.cloud, || tool.run(rig, mount.folder()))
}

impl Tool {
    fn run(self, rig: &Rig, top: &Path) -> Duration {
        let stock = &rig.stock;
        let (mut command, lines) = match self {
            Tool::Ls => {
                let mut command = Command::new("ls");
                command.arg("-l").arg(top.join(stock.first_folder()));
                // One line more says how many blocks they take.
                (command, stock.files + 1)
            }
            Tool::Find => {
                let mut command = Command::new("find");
                command.arg(top).args(["-type", "f", "-size", "-1000k"]);
                (command, stock.count())
            }
        };
        let started = Instant::now();
        let shown = run(command.env("LC_ALL", "C")).success();
        let took = started.elapsed();
        assert_eq!(shown.lines().count(), lines, "{command:?}");
        took
    }
}
