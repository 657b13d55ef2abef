use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use linkfs_tests::{Foreground, Home, drive_section, eventually, is_at_rest, run};
use serde_json::Value;

use crate::cloud::{Cloud, Served};
use crate::usage::Usage;

/// The drive's name in the configuration.
const DRIVE: &str = "bench";

/// The memory for content that the targets are set for.
pub(crate) const MEMORY_MIB: u64 = 256;

/// A mount that knows nothing yet, made by the program. Dropping it unmounts.
#[derive(Debug)]
pub(crate) struct Mount {
    process: Foreground,
    folder: PathBuf,
    /// Goes after the process that lives in it.
    home: Home,
}

/// One try of linkfs: how long it took, and what it cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    pub(crate) took: Duration,
    pub(crate) served: Served,
    /// Processor time of the mount's process.
    pub(crate) cpu: Duration,
    /// Processor time of the drive.
    pub(crate) server_cpu: Duration,
    /// The most memory that the mount's process has had.
    pub(crate) peak: u64,
}

impl Attempt {
    /// One that has to do with no mount.
    pub(crate) fn of_time(took: Duration) -> Attempt {
        Attempt {
            took,
            served: Served::default(),
            cpu: Duration::ZERO,
            server_cpu: Duration::ZERO,
            peak: 0,
        }
    }
}

impl Mount {
    /// Mounts the drive; with `disk`, content is also kept there.
    ///
    /// # Panics
    /// When it cannot be mounted.
    pub(crate) fn new(cloud: &Cloud, disk: Option<&Path>) -> Mount {
        let home = Home::new();
        home.configure(&config(cloud, disk));
        let folder = home.path().join("drive");
        fs::create_dir(&folder).expect("the mount's folder is made");
        let mut command = home.linkfs();
        command.args(["mount", "--foreground", DRIVE]).arg(&folder);
        let process = Foreground::start(&mut command, &folder, &home.path().join("said"));
        let mount = Mount {
            process,
            folder,
            home,
        };
        // It is in the kernel's table a moment before it answers.
        mount.status();
        mount
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has `work` measured, which gives its own time.
    pub(crate) fn attempt(&self, cloud: &Cloud, work: impl FnOnce() -> Duration) -> Attempt {
        cloud.reset();
        let (before, server_before) = (self.usage(), cloud.usage());
        let took = work();
        // What was fetched ahead is part of the price.
        eventually("all is closed and fetched", || is_at_rest(&self.status()));
        let (after, server_after) = (self.usage(), cloud.usage());
        Attempt {
            took,
            served: cloud.served(),
            cpu: after.cpu - before.cpu,
            server_cpu: server_after.cpu - server_before.cpu,
            peak: after.peak,
        }
    }

    /// Has a file kept whole on disk.
    ///
    /// # Panics
    /// When that fails.
    pub(crate) fn pin(&self, file: &Path) {
        run(self.home.linkfs().arg("pin").arg(file)).success();
    }

    fn usage(&self) -> Usage {
        Usage::of(self.process.pid())
    }

    fn status(&self) -> Value {
        let text =
            fs::read(self.folder.join(".linkfs/status")).expect("the mount tells its status");
        serde_json::from_slice(&text).expect("the status is JSON")
    }
}

fn config(cloud: &Cloud, disk: Option<&Path>) -> String {
    let disk = disk.map_or(String::new(), |folder| {
        format!("directory = \"{}\"\nsize = \"20GiB\"\n", folder.display())
    });
    format!(
        "[cache]\nmemory = \"{MEMORY_MIB}MiB\"\n{disk}\n{}",
        drive_section(DRIVE, &cloud.drive)
    )
}

/// Reads a folder's names.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn list(folder: &Path) -> io::Result<usize> {
    let names: io::Result<Vec<_>> = fs::read_dir(folder)?.collect();
    Ok(names?.len())
}
