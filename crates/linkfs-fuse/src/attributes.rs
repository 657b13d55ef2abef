use std::time::SystemTime;

use fuser::{FileAttr, FileType, INodeNo};
use linkfs_core::{Attributes, Kind};

/// Who the files are shown to belong to: the user who mounted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Owner {
    pub(crate) fn of_this_process() -> Owner {
        // SAFETY: these two calls take nothing and cannot fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        Owner { uid, gid }
    }
}

pub(crate) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::Folder => FileType::Directory,
        Kind::File => FileType::RegularFile,
    }
}

/// What `stat` shows. Files are writable by their owner, though their contents are not: with mode 0444 the
/// kernel would refuse to set attributes, which is how files are shared.
pub(crate) fn file_attributes(attributes: &Attributes, owner: Owner) -> FileAttr {
    let size = attributes.size.0;
    let perm = match (attributes.kind, attributes.is_control) {
        (Kind::Folder, false) => 0o755,
        (Kind::Folder, true) => 0o700,
        (Kind::File, false) => 0o644,
        (Kind::File, true) => 0o600,
    };
    FileAttr {
        ino: INodeNo(attributes.id.0),
        size,
        blocks: size.div_ceil(512),
        atime: attributes.modified,
        mtime: attributes.modified,
        ctime: attributes.modified,
        crtime: SystemTime::UNIX_EPOCH,
        kind: file_type(attributes.kind),
        perm,
        // Of a folder it says that nobody has counted what is in it: some walks look for no folder in one with two.
        nlink: 1,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
