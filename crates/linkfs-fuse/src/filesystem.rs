use std::cell::RefCell;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr,
    ReplyCreate, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl,
    ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use linkfs_core::{Entry, Error, HandleId, NodeId, Opened, ReadBytes, Result, SetMode, Volume};
use linkfs_provider::{ByteCount, Offset};
use tokio::runtime::Handle;

use crate::answer::answer;
use crate::attributes::{Owner, file_attributes, file_type};
use crate::caller;
use crate::errno::{self, errno};
use crate::passthrough::Passthrough;

/// Requests that the kernel may have under way in the background, its read-ahead above all; its own
/// default of 12 starves parallel readers.
const MAX_BACKGROUND: u16 = 64;
const CONGESTION_THRESHOLD: u16 = 48;
/// Files may be passed through from a file system that does not pass through itself.
const STACK_DEPTH: u32 = 1;
/// What `df` shows for a drive without a limit.
const UNLIMITED: ByteCount = ByteCount(1 << 50);
/// The unit of `df`'s figures.
const BLOCK: u32 = 4096;
/// As on other file systems, in bytes; longer names of a drive are shown shortened.
const LONGEST_NAME: u32 = 255;
/// A node number is never used for something else, so there is one generation.
const GENERATION: Generation = Generation(0);

/// The file system as fuser calls it.
#[derive(Debug)]
pub(crate) struct Adapter {
    volume: Arc<Volume>,
    runtime: Handle,
    owner: Owner,
    passthrough: Arc<Passthrough>,
}

impl Adapter {
    pub(crate) fn new(volume: Arc<Volume>, runtime: Handle) -> Adapter {
        Adapter {
            volume,
            runtime,
            owner: Owner::of_this_process(),
            passthrough: Arc::new(Passthrough::new()),
        }
    }
}

impl Filesystem for Adapter {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for capability in [
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_MAX_PAGES,
            // Forced, not "auto": every listing carries the attributes, and "auto" would ask for each again.
            InitFlags::FUSE_DO_READDIRPLUS,
        ] {
            if config.add_capabilities(capability).is_err() {
                tracing::info!(?capability, "the kernel lacks a capability");
            }
        }
        if config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
            && config.set_max_stack_depth(STACK_DEPTH).is_ok()
        {
            self.passthrough.allow();
        }
        // Each of these answers with the nearest value that it would take, and that is fine too.
        let _previous = config.set_max_background(MAX_BACKGROUND);
        let _previous = config.set_congestion_threshold(CONGESTION_THRESHOLD);
        if let Err(largest) = config.set_max_readahead(u32::MAX) {
            let _previous = config.set_max_readahead(largest);
        }
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let parent = NodeId(parent.0);
        let (volume, owner) = (self.volume.clone(), self.owner);
        if name.len() > LONGEST_NAME as usize {
            return reply.error(Errno::ENAMETOOLONG);
        }
        // Names on a drive are text; no other can be there.
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::ENOENT);
        };
        let looked_up = async move {
            let found = volume.lookup(parent, &name).await;
            let miss_valid_for = match found {
                Err(Error::NotFound) => volume.misses_valid_for(parent),
                _ => Duration::ZERO,
            };
            Ok((found, miss_valid_for))
        };
        answer(&self.runtime, looked_up, move |result| match result {
            Ok((Ok(found), _)) => {
                reply.entry(
                    &found.valid_for,
                    &file_attributes(&found, owner),
                    GENERATION,
                );
            }
            Ok((Err(Error::NotFound), valid_for)) if !valid_for.is_zero() => {
                reply.entry(&valid_for, &nothing(), GENERATION);
            }
            Ok((Err(error), _)) | Err(error) => reply.error(errno(&error)),
        });
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let (volume, owner) = (self.volume.clone(), self.owner);
        let attributes = async move { volume.attributes(NodeId(ino.0)).await };
        answer(&self.runtime, attributes, move |result| match result {
            Ok(found) => reply.attr(&found.valid_for, &file_attributes(&found, owner)),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn open(&self, _req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let is_console = self.volume.is_console(NodeId(ino.0));
        if flags.acc_mode() != OpenAccMode::O_RDONLY && !is_console {
            return reply.error(Errno::EROFS);
        }
        let (volume, passthrough) = (self.volume.clone(), self.passthrough.clone());
        let opened = async move { volume.open(NodeId(ino.0)).await };
        answer(&self.runtime, opened, move |result| match result {
            Ok(opened) => {
                let (handle, flags) = (FileHandle(opened.handle.0), open_flags(&opened));
                passthrough.open(ino, handle, opened.backing, flags, reply);
            }
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let volume = self.volume.clone();
        let length = ByteCount(size.into());
        let bytes = async move { volume.read(HandleId(fh.0), Offset(offset), length).await };
        answer(&self.runtime, bytes, move |result| match result {
            Ok(bytes) => reply_bytes(&bytes, reply),
            Err(error) => reply.error(errno(&error)),
        });
    }

    /// Nothing is held back that a close would have to wait for; after this answer the kernel asks no more.
    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.passthrough.close(ino);
        self.volume.close(HandleId(fh.0));
        reply.ok();
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let volume = self.volume.clone();
        let opened = async move { volume.open_folder(NodeId(ino.0)).await };
        answer(&self.runtime, opened, move |result| match result {
            Ok(opened) => reply.opened(FileHandle(opened.handle.0), open_flags(&opened)),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.read_folder(fh, offset, move |parent, result| match result {
            Ok(entries) => {
                for (position, entry) in numbered(offset, ino, parent, &entries) {
                    let (node, kind, name) = entry.plain();
                    if reply.add(INodeNo(node.0), position, kind, name) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let owner = self.owner;
        self.read_folder(fh, offset, move |parent, result| match result {
            Ok(entries) => {
                for (position, entry) in numbered(offset, ino, parent, &entries) {
                    let (node, _, name) = entry.plain();
                    let (valid_for, attributes) = match entry {
                        Line::Dots(..) => (Duration::ZERO, nothing()),
                        Line::Entry(entry) => {
                            let attributes = &entry.attributes;
                            (attributes.valid_for, file_attributes(attributes, owner))
                        }
                    };
                    if reply.add(
                        INodeNo(node.0),
                        position,
                        name,
                        &valid_for,
                        &attributes,
                        GENERATION,
                    ) {
                        break;
                    }
                }
                reply.ok();
            }
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.volume.close(HandleId(fh.0));
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let _context = self.runtime.enter();
        let usage = self.volume.usage();
        let total = usage.total.unwrap_or(usage.used + UNLIMITED);
        let blocks = total.0.div_ceil(BLOCK.into());
        let free = blocks.saturating_sub(usage.used.0.div_ceil(BLOCK.into()));
        // There is no count of files, which `df -i` shows as a dash.
        reply.statfs(blocks, free, free, 0, 0, BLOCK, LONGEST_NAME, BLOCK);
    }

    fn getxattr(&self, req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let (volume, name) = (self.volume.clone(), name.to_str().map(str::to_owned));
        let (uid, owner) = (req.uid(), self.owner);
        let value = async move {
            let name = name.ok_or(Error::NoAttribute)?;
            caller::check(uid, owner, &name)?;
            volume.attribute(NodeId(ino.0), &name).await
        };
        answer(&self.runtime, value, move |value| match value {
            Ok(value) if size == 0 => reply.size(value.len() as u32),
            Ok(value) if value.len() > size as usize => reply.error(Errno::ERANGE),
            Ok(value) => reply.data(value.as_bytes()),
            Err(error) => reply.error(errno(&error)),
        });
    }

    /// Ours are never listed: a tool that copies attributes must not copy a share.
    fn listxattr(&self, _req: &Request, _ino: INodeNo, size: u32, reply: ReplyXattr) {
        if size == 0 {
            reply.size(0);
        } else {
            reply.data(&[]);
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let (volume, name) = (self.volume.clone(), name.to_string_lossy().into_owned());
        if let Err(error) = caller::check(req.uid(), self.owner, &name) {
            return reply.error(errno(&error));
        }
        let (value, mode, caller) = (value.to_vec(), set_mode(flags), caller::of(req, &name));
        let set = async move {
            let node = NodeId(ino.0);
            volume
                .set_attribute(node, &name, &value, mode, &caller)
                .await
        };
        answer(&self.runtime, set, move |result| reply_done(result, reply));
    }

    fn removexattr(&self, req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (volume, name) = (self.volume.clone(), name.to_string_lossy().into_owned());
        if let Err(error) = caller::check(req.uid(), self.owner, &name) {
            return reply.error(errno(&error));
        }
        let caller = caller::of(req, &name);
        let removed = async move { volume.remove_attribute(NodeId(ino.0), &name, &caller).await };
        answer(&self.runtime, removed, move |result| {
            reply_done(result, reply)
        });
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // A shell empties what it redirects to, and a stream of commands is always empty.
        let keeps_owner = mode.is_none() && uid.is_none() && gid.is_none();
        if keeps_owner && self.volume.is_console(NodeId(ino.0)) {
            return self.getattr(req, ino, fh, reply);
        }
        reply.error(Errno::EROFS);
    }

    fn mknod(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _rdev: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EROFS);
    }

    fn mkdir(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EROFS);
    }

    /// Only in the folder of open shares, which is its owner's, can names be removed.
    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let (volume, caller) = (self.volume.clone(), caller::named(req));
        let Some(name) = name.to_str().map(str::to_owned) else {
            return reply.error(Errno::ENOENT);
        };
        let removed = async move { volume.remove_file(NodeId(parent.0), &name, &caller).await };
        answer(&self.runtime, removed, move |result| {
            reply_done(result, reply)
        });
    }

    fn rmdir(&self, _req: &Request, _parent: INodeNo, _name: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EROFS);
    }

    fn symlink(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _target: &Path,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EROFS);
    }

    fn rename(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    fn link(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _new_parent: INodeNo,
        _new_name: &OsStr,
        reply: ReplyEntry,
    ) {
        reply.error(Errno::EROFS);
    }

    fn create(
        &self,
        _req: &Request,
        _parent: INodeNo,
        _name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        reply.error(Errno::EROFS);
    }

    fn write(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (volume, caller, data) = (self.volume.clone(), caller::named(req), data.to_vec());
        let length = data.len() as u32;
        let written = async move {
            volume
                .write(HandleId(fh.0), &data, &caller, errno::name)
                .await
        };
        answer(&self.runtime, written, move |result| match result {
            Ok(()) => reply.written(length),
            Err(error) => reply.error(errno(&error)),
        });
    }

    fn fallocate(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: u64,
        _length: u64,
        _mode: i32,
        reply: ReplyEmpty,
    ) {
        reply.error(Errno::EROFS);
    }

    /// `lsattr` and its like: there are no such flags.
    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    /// Files have no holes; after this answer the kernel seeks by itself.
    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _offset: i64,
        _whence: i32,
        reply: ReplyLseek,
    ) {
        reply.error(Errno::ENOSYS);
    }
}

impl Adapter {
    /// Entries of an open folder from the kernel's `offset` on, and the folder above it.
    fn read_folder(
        &self,
        fh: FileHandle,
        offset: u64,
        reply: impl FnOnce(NodeId, Result<Vec<Entry>>) + Send + 'static,
    ) {
        let volume = self.volume.clone();
        let parent = volume.parent_of(HandleId(fh.0));
        let start = offset.saturating_sub(DOTS.len() as u64) as usize;
        let entries = async move { volume.read_folder(HandleId(fh.0), start).await };
        answer(&self.runtime, entries, move |result| match parent {
            Ok(parent) => reply(parent, result),
            Err(error) => reply(NodeId::ROOT, Err(error)),
        });
    }
}

/// The entries that every folder has, before its own.
const DOTS: [&str; 2] = [".", ".."];

/// One line of a folder as the kernel reads it.
enum Line<'a> {
    Dots(NodeId, &'static str),
    Entry(&'a Entry),
}

impl Line<'_> {
    fn plain(&self) -> (NodeId, fuser::FileType, &str) {
        match self {
            Line::Dots(node, name) => (*node, fuser::FileType::Directory, name),
            Line::Entry(entry) => (
                entry.attributes.id,
                file_type(entry.attributes.kind),
                &entry.name,
            ),
        }
    }
}

/// The lines from `offset` on, each with the offset of the line behind it.
fn numbered(
    offset: u64,
    folder: INodeNo,
    parent: NodeId,
    entries: &[Entry],
) -> impl Iterator<Item = (u64, Line<'_>)> {
    let dots = [NodeId(folder.0), parent].into_iter().zip(DOTS);
    let dots = dots.map(|(node, name)| Line::Dots(node, name));
    let lines = dots
        .skip(offset as usize)
        .chain(entries.iter().map(Line::Entry));
    lines.zip(offset + 1..).map(|(line, next)| (next, line))
}

/// What the flags of `setxattr` ask for.
fn set_mode(flags: i32) -> SetMode {
    match flags {
        create if create & libc::XATTR_CREATE != 0 => SetMode::Create,
        replace if replace & libc::XATTR_REPLACE != 0 => SetMode::Replace,
        _ => SetMode::Any,
    }
}

fn reply_done(result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(errno(&error)),
    }
}

fn open_flags(opened: &Opened) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    flags.set(FopenFlags::FOPEN_KEEP_CACHE, opened.keep_pages);
    flags.set(FopenFlags::FOPEN_DIRECT_IO, opened.bypass_pages);
    flags.set(FopenFlags::FOPEN_STREAM, opened.is_stream);
    // Or one who waits for a drive would keep all others from writing.
    flags.set(FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES, opened.is_stream);
    flags
}

/// One piece goes out of its block as it is; several are put together in a buffer that each thread keeps,
/// because fresh memory costs more than the copy.
fn reply_bytes(bytes: &ReadBytes, reply: ReplyData) {
    thread_local! {
        static GATHERED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    let mut pieces = bytes.pieces();
    match (pieces.next(), pieces.next()) {
        (None, _) => reply.data(&[]),
        (Some(only), None) => reply.data(only),
        _ => GATHERED.with_borrow_mut(|gathered| {
            gathered.clear();
            bytes
                .pieces()
                .for_each(|piece| gathered.extend_from_slice(piece));
            reply.data(gathered);
        }),
    }
}

/// Attributes of no node: number 0 says that the name does not exist.
fn nothing() -> fuser::FileAttr {
    fuser::FileAttr {
        ino: INodeNo(0),
        size: 0,
        blocks: 0,
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: fuser::FileType::RegularFile,
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}
