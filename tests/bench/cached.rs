//! A file that was read before, beside the same file on the local disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use linkfs_tests::eventually;

use crate::figures::median;
use crate::load::Load;
use crate::mount::{Attempt, Mount};
use crate::rig::{Rig, disk_folder};
use crate::scenario::timed;
use crate::stock::Check;
use crate::warm::warm_memory;

/// How often a file is read in one round; what a round costs is the cost of them all.
const READINGS: usize = 3;

/// The file on the local disk, none of its pages in memory.
pub(crate) fn limit(rig: &Rig, load: &Load, round: u64) -> Duration {
    let local = rig.write_locally();
    let top = local.path();
    usual_time(|| {
        drop_pages(top).expect("the disk is read");
        warm_memory(load.bytes(&rig.stock));
        timed(|| load.read(top, &rig.stock, round, Check::Pages))
    })
}

/// The file in a mount that has read all of it, none of its pages in memory.
pub(crate) fn linkfs(rig: &Rig, load: &Load, round: u64) -> Attempt {
    let disk = disk_folder();
    let mount = Mount::new(&rig.cloud, Some(disk.path()));
    let (top, stock) = (mount.folder(), &rig.stock);
    Load::Files { at_once: 1 }.read(top, stock, round, Check::Bytes);
    let path = top.join(stock.path(0));
    eventually("all of the file is kept", || {
        let cached = xattr::get(&path, "user.linkfs.cached").expect("the mount tells");
        cached.as_deref() == Some(b"100")
    });
    mount.attempt(&rig.cloud, || {
        usual_time(|| {
            drop_pages(disk.path()).expect("the cache is read");
            drop_pages(&path).expect("the file opens");
            warm_memory(load.bytes(stock));
            timed(|| load.read(top, stock, round, Check::Pages))
        })
    })
}

/// What reading takes: the disk of a virtual machine is now fast, now slow, so one reading says little.
fn usual_time(read: impl Fn() -> Duration) -> Duration {
    median((0..READINGS).map(|_| read()).collect())
}

/// Lets the kernel forget what it holds of a file, or of each below a folder. What is not written yet
/// is written first, because the kernel does not forget that.
fn drop_pages(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return fs::read_dir(path)?.try_for_each(|entry| drop_pages(&entry?.path()));
    }
    let file = File::open(path)?;
    // A file that only reads has nothing to write, whatever it answers.
    let _unwritten = file.sync_all();
    // SAFETY: plain numbers, and a descriptor that `file` keeps open.
    match unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) } {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(number)),
    }
}
