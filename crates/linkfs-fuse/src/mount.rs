use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use fuser::{Config, MountOption, Session, SessionACL};
use linkfs_core::Volume;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::filesystem::Adapter;
use crate::read_ahead;

/// What the mount table calls our mounts.
pub const FILE_SYSTEM_TYPE: &str = "fuse.linkfs";

/// Threads that take requests from the kernel. They never wait, so two are enough: a third and fourth
/// brought nothing on two cores.
const KERNEL_THREADS: usize = 2;

/// How to mount.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// What the mount table names as the source.
    pub source: String,
    /// Whether users other than the one who mounts may look into it.
    pub allow_other: bool,
}

/// A mount being served, by threads of its own until somebody unmounts it.
#[derive(Debug)]
pub struct Mounted {
    ended: oneshot::Receiver<io::Result<()>>,
}

impl Mounted {
    /// Waits until the mount is gone: unmounted by whomever.
    ///
    /// # Errors
    /// When the connection to the kernel broke.
    pub async fn ended(self) -> io::Result<()> {
        self.ended
            .await
            .unwrap_or_else(|_gone| Err(io::Error::other("the thread that served the mount died")))
    }
}

/// Mounts `volume` on the folder `dir` and serves it. Needs a running tokio runtime, which does the work
/// that has to wait.
///
/// # Errors
/// When the kernel or the mount helper refuses.
pub fn mount(volume: Arc<Volume>, dir: &Path, options: &MountOptions) -> io::Result<Mounted> {
    let adapter = Adapter::new(volume, Handle::current());
    let session = Session::new(adapter, dir, &config(options))?;
    if let Err(error) = read_ahead::enlarge(&dir.canonicalize()?) {
        tracing::info!(%error, "the kernel's read-ahead stays small: only root may enlarge it");
    }
    let (ending, ended) = oneshot::channel();
    thread::Builder::new()
        .name("linkfs-serve".into())
        .spawn(move || ending.send(session.run()))?;
    Ok(Mounted { ended })
}

fn config(options: &MountOptions) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(options.source.clone()),
        MountOption::Subtype("linkfs".into()),
        MountOption::DefaultPermissions,
        MountOption::NoAtime,
        MountOption::NoSuid,
        MountOption::NoDev,
    ];
    config.acl = if options.allow_other {
        SessionACL::All
    } else {
        SessionACL::Owner
    };
    config.n_threads = Some(KERNEL_THREADS);
    config.clone_fd = true;
    config
}
