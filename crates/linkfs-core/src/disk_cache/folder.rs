use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::identity::{Identity, STEM_LENGTH};
use super::map_file::MapFile;

/// A file of a drive larger than this is not cached: the largest that ext4 can hold.
const LARGEST_FILE: u64 = 16 << 40;
/// Opening starts over this often when others delete the file in that moment.
const MOST_TRIES: usize = 16;

/// What the part of a name behind its stem says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Map,
    Data,
    /// Named like ours, and of no use to this version of the format.
    Unknown,
}

/// The folder of the cache. Everything goes by path, so that one which is deleted and made anew works again.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
}

/// An open file of the cache.
#[derive(Debug)]
pub(super) struct OpenPair {
    /// Locked, shared: nobody evicts it.
    pub(super) map: MapFile,
    pub(super) data: File,
    pub(super) is_new: bool,
}

impl Folder {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// When it cannot be made, is another user's, or others may write into it.
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let folder = Folder { path: path.into() };
        folder.make()?;
        let found = fs::metadata(path)?;
        let owner = rustix::process::geteuid().as_raw();
        if found.uid() != owner || found.mode() & 0o022 != 0 {
            let message = format!("others may write into {}", path.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        Ok(folder)
    }

    fn make(&self) -> io::Result<()> {
        if self.path.is_dir() {
            return Ok(());
        }
        if let Some(parent) = self.path.parent() {
            fs::create_dir_all(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn map_path(&self, stem: &str) -> PathBuf {
        self.path.join(format!("{stem}.map"))
    }

    pub(super) fn data_path(&self, stem: &str) -> PathBuf {
        self.path.join(format!("{stem}.data"))
    }

    /// Whoever makes, forgets or deletes a file, or writes what is known of it, holds this, for a moment.
    pub(super) fn lock(&self) -> io::Result<File> {
        self.make()?;
        let lock = open_file(&self.path.join("lock"), true)?;
        lock.lock()?;
        Ok(lock)
    }

    /// Whoever evicts holds this. `None` when somebody else does.
    pub(super) fn try_lock_eviction(&self) -> io::Result<Option<File>> {
        self.make()?;
        try_lock(open_file(&self.path.join("eviction.lock"), true)?)
    }

    /// Opens the files of an identity. `None` when there are none, or they are damaged.
    pub(super) fn open_pair(&self, identity: &Identity) -> io::Result<Option<OpenPair>> {
        match self.open_pair_as_seen(identity)? {
            // What somebody is writing looks damaged, so it is looked at again while nobody does.
            None if self.map_path(&identity.stem()).exists() => {
                let _lock = self.lock()?;
                self.open_pair_as_seen(identity)
            }
            pair => Ok(pair),
        }
    }

    fn open_pair_as_seen(&self, identity: &Identity) -> io::Result<Option<OpenPair>> {
        let stem = identity.stem();
        let Some(map) = self.open_locked_map(&stem)? else {
            return Ok(None);
        };
        let Some(data) = open_if_there(&self.data_path(&stem))? else {
            return Ok(None);
        };
        if data.metadata()?.len() != identity.size.0 {
            return Ok(None);
        }
        let pair = MapFile::open(map, identity)?.map(|map| OpenPair {
            map,
            data,
            is_new: false,
        });
        Ok(pair)
    }

    /// Makes the files of an identity, in the place of damaged ones.
    pub(super) fn make_pair(&self, identity: &Identity) -> io::Result<OpenPair> {
        if identity.size.0 > LARGEST_FILE {
            let message = format!("a file of {} bytes is not cached", identity.size);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let _lock = self.lock()?;
        // Another process may have made them while this one waited for the lock.
        match self.open_pair_as_seen(identity)? {
            Some(pair) => Ok(pair),
            None => self.make_pair_locked(identity, &identity.stem()),
        }
    }

    /// The map under its name, with a shared lock.
    fn open_locked_map(&self, stem: &str) -> io::Result<Option<File>> {
        let path = self.map_path(stem);
        for _ in 0..MOST_TRIES {
            let Some(map) = open_if_there(&path)? else {
                return Ok(None);
            };
            map.lock_shared()?;
            // Who evicts holds the lock alone, and what it locked is gone afterwards.
            if is_at(&map, &path)? {
                return Ok(Some(map));
            }
        }
        let message = format!("{} keeps being deleted", path.display());
        Err(io::Error::new(io::ErrorKind::ResourceBusy, message))
    }

    /// Data first: a map is never without it. Those who have the files of before open keep them.
    fn make_pair_locked(&self, identity: &Identity, stem: &str) -> io::Result<OpenPair> {
        self.remove_pair(stem)?;
        let data = create_file(&self.data_path(stem))?;
        data.set_len(identity.size.0)?;
        let map = create_file(&self.map_path(stem))?;
        map.lock_shared()?;
        Ok(OpenPair {
            map: MapFile::create(map, identity)?,
            data,
            is_new: true,
        })
    }

    /// Data first: what a killed process leaves behind is small.
    pub(super) fn remove_pair(&self, stem: &str) -> io::Result<()> {
        remove_if_there(&self.data_path(stem))?;
        remove_if_there(&self.map_path(stem))
    }
}

/// The stem and the role of a name that follows our naming.
pub(super) fn parse_name(name: &OsStr) -> Option<(&str, Role)> {
    let (stem, extension) = name.to_str()?.split_once('.')?;
    let is_hex = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if stem.len() != STEM_LENGTH || !stem.bytes().all(is_hex) {
        return None;
    }
    Some(match extension {
        "map" => (stem, Role::Map),
        "data" => (stem, Role::Data),
        _ => (stem, Role::Unknown),
    })
}

/// Whether `file` is what `path` names.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match open_file(path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // A folder, a socket or a link in the place of one of our files is as good as none.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) => Ok(None),
        Ok(file) if !file.metadata()?.is_file() => Ok(None),
        result => result.map(Some),
    }
}

/// The file, for reading only.
pub(super) fn open_for_reading(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}

fn open_file(path: &Path, may_create: bool) -> io::Result<File> {
    options().create(may_create).open(path)
}

fn create_file(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Not through links, and never waiting for the other end of a pipe.
fn options() -> OpenOptions {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(flags.bits() as i32);
    options
}

pub(super) fn try_lock(file: File) -> io::Result<Option<File>> {
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
