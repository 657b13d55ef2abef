//! What sharing a file costs beside the drive's own work.

use std::path::Path;
use std::time::Duration;

use crate::curl::{self, Transfer};
use crate::figures::median;
use crate::mount::{Attempt, Mount, list};
use crate::rig::Rig;
use crate::scenario::timed;

/// Files that one side shares in a round.
const EACH: usize = 50;

/// A client that asks for a share of each file, one after another on a warm connection: the median.
pub(crate) fn limit(rig: &Rig, round: u64) -> Duration {
    let requests: Vec<_> = files(rig, 2 * round)
        .map(|index| rig.share_request(index))
        .collect();
    let mut transferred = curl::transfer(&requests, 1, rig.curl_start);
    assert_eq!(transferred.connections, 1, "curl keeps its connection");
    median(transferred.each.split_off(1))
}

/// `setfattr` of other files, without its start, in a mount that knows what is shared already: the median.
pub(crate) fn linkfs(rig: &Rig, round: u64) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    list(&mount.folder().join(rig.stock.first_folder())).expect("the folder is read");
    let mut files = files(rig, 2 * round + 1);
    let path = |index| mount.folder().join(rig.stock.path(index));
    share(&path(files.next().expect("there are some")));
    mount.attempt(&rig.cloud, || {
        median(files.map(|index| timed(|| share(&path(index)))).collect())
    })
}

fn share(path: &Path) {
    xattr::set(path, "user.linkfs.share", b"expires=7d").expect("it is shared");
}

/// Files that nobody has shared before.
fn files(rig: &Rig, turn: u64) -> std::ops::Range<usize> {
    let first = turn as usize * EACH;
    assert!(first + EACH <= rig.stock.count(), "too many rounds");
    first..first + EACH
}

impl Rig {
    fn share_request(&self, index: usize) -> Transfer {
        self.cloud.share_request(&self.id(index))
    }
}
