//! A file that was read before, beside the same file on the local disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::figures::median;
use crate::load::Load;
use crate::mount::{Attempt, Mount};
use crate::rig::{Rig, disk_folder};
use crate::scenario::timed;
use crate::stock::Check;
use crate::warm::warm_memory;

/// How often each side reads in one round.
const READINGS: usize = 5;

/// What reading takes on the local disk, and in a mount that has read the file before, none of its pages in
/// memory. The disk of a virtual machine is now fast, now slow, for seconds: so they take turns.
pub(crate) fn in_turns(rig: &Rig, load: &Load, round: u64) -> (Option<Duration>, Attempt) {
    let stock = &rig.stock;
    let local = rig.write_locally();
    let disk = disk_folder();
    let mount = Mount::new(&rig.cloud, Some(disk.path()));
    let path = mount.folder().join(stock.path(0));
    Load::Files { at_once: 1 }.read(mount.folder(), stock, round, Check::Bytes);
    // A disk slower than the drive is given a part only; a pin sees to the rest.
    mount.pin(&path);
    let read = |top: &Path, files: &[&Path]| {
        for file in files {
            drop_pages(file).expect("what is read can be opened");
        }
        warm_memory(load.bytes(stock));
        timed(|| load.read(top, stock, round, Check::Pages))
    };
    let mut limits = Vec::new();
    let attempt = mount.attempt(&rig.cloud, || {
        let turns = (0..READINGS).map(|_| {
            limits.push(read(local.path(), &[local.path()]));
            read(mount.folder(), &[disk.path(), &path])
        });
        median(turns.collect())
    });
    (Some(median(limits)), attempt)
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
