//! How long it takes until a file begins to come.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::curl::{self, Transfer};
use crate::figures::median;
use crate::mount::{Attempt, Mount, list};
use crate::rig::Rig;
use crate::stock::Check;

/// The piece that is read: what a program reads to see what a file is.
const HEAD: u64 = 4096;

/// A client that knows nothing: one page of the folder, a link, the head of the file, one after another.
pub(crate) fn limit_of_cold(rig: &Rig) -> Duration {
    let steps = [
        rig.list_requests()[0].clone(),
        rig.sign_request(0),
        Transfer::range(rig.urls()[0].clone(), 0, HEAD),
    ];
    let transferred = curl::transfer(&steps, 1, rig.curl_start);
    transferred.each.iter().sum()
}

/// The first file of a mount that has not read anything yet.
pub(crate) fn cold(rig: &Rig) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    mount.attempt(&rig.cloud, || read_head(rig, mount.folder(), 0))
}

/// A client with signed links and a warm connection: the middle of the files behind the first.
pub(crate) fn limit_of_next(rig: &Rig) -> Duration {
    let heads = rig.urls().iter().cloned();
    let heads: Vec<_> = heads.map(|url| Transfer::range(url, 0, HEAD)).collect();
    let mut transferred = curl::transfer(&heads, 1, rig.curl_start);
    assert_eq!(transferred.connections, 1, "curl keeps its connection");
    median(transferred.each.split_off(1))
}

/// The same files in a folder that was listed, after the first was read.
pub(crate) fn next(rig: &Rig) -> Attempt {
    let mount = Mount::new(&rig.cloud, None);
    list(&mount.folder().join(rig.stock.first_folder())).expect("the folder is read");
    read_head(rig, mount.folder(), 0);
    mount.attempt(&rig.cloud, || {
        let next = 1..rig.stock.count();
        median(
            next.map(|index| read_head(rig, mount.folder(), index))
                .collect(),
        )
    })
}

fn read_head(rig: &Rig, top: &Path, index: usize) -> Duration {
    let path = top.join(rig.stock.path(index));
    let mut head = vec![0; HEAD as usize];
    let started = Instant::now();
    let file = File::open(path).expect("the file opens");
    file.read_exact_at(&mut head, 0).expect("it is read");
    let took = started.elapsed();
    Check::Bytes.check(index, 0, &head);
    took
}
