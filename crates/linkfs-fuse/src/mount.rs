use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use fuser::{BackgroundSession, Config, INodeNo, MountOption, Notifier, Session, SessionACL};
use linkfs_core::{NameKeeper, NodeId, Volume};
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
    let adapter = Adapter::new(volume.clone(), Handle::current());
    let session = Session::new(adapter, dir, &config(options))?;
    volume.tell_of_changes(Arc::new(KernelNames(session.notifier())));
    if let Err(error) = read_ahead::enlarge(&dir.canonicalize()?) {
        tracing::info!(%error, "the kernel's read-ahead stays small: only root may enlarge it");
    }
    let (ending, ended) = oneshot::channel();
    let serving = keep_mounted(session.spawn()?);
    thread::Builder::new()
        .name("linkfs-ending".into())
        .spawn(move || ending.send(join(serving)))?;
    Ok(Mounted { ended })
}

/// The names that the kernel keeps.
#[derive(Debug)]
struct KernelNames(Notifier);

impl NameKeeper for KernelNames {
    /// The kernel locks the folder for it, which a request under way in that folder holds until it is answered.
    fn forget(&self, folder: NodeId, name: &str) {
        if let Err(error) = self.0.inval_entry(INodeNo(folder.0), OsStr::new(name)) {
            tracing::debug!(folder = folder.0, %error, "the kernel keeps a name");
        }
    }
}

/// The thread that serves the session, without what would unmount it at its end. fuser 0.18 unmounts by
/// path, and takes a connection that is gone for one that is there (`is_mounted` reads POLLERR the wrong
/// way round): after somebody else's `umount` it would take away whatever lies below on that path.
fn keep_mounted(mut session: BackgroundSession) -> JoinHandle<io::Result<()>> {
    let nothing = thread::spawn(|| Ok(()));
    let serving = std::mem::replace(&mut session.guard, nothing);
    std::mem::forget(session);
    serving
}

fn join(serving: JoinHandle<io::Result<()>>) -> io::Result<()> {
    let panicked = |_payload| Err(io::Error::other("the thread that served the mount died"));
    serving.join().unwrap_or_else(panicked)
}

fn config(options: &MountOptions) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(options.source.clone()),
        // As `Subtype` it would be dropped when root mounts, and the table would say just `fuse`.
        MountOption::CUSTOM("subtype=linkfs".into()),
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
