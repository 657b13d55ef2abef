//! What is mounted where, from `/proc/self/mountinfo`: never asking the mount itself, whose process may
//! be dead or stuck.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The source that our mounts name.
pub(crate) const SOURCE: &str = "linkfs";

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) folder: PathBuf,
    /// `major:minor`; no two mounts of ours have the same.
    pub(crate) device: String,
    /// `ext4`, `fuse.linkfs`.
    pub(crate) kind: String,
    /// Whose it is, of one by FUSE.
    pub(crate) user: Option<u32>,
}

impl Mount {
    pub(crate) fn is_ours(&self) -> bool {
        self.kind == linkfs_fuse::FILE_SYSTEM_TYPE
    }
}

/// The mount on `folder`, the topmost when there are several.
pub(crate) fn at(folder: &Path) -> Result<Option<Mount>> {
    Ok(read()?.into_iter().rfind(|mount| mount.folder == folder))
}

/// Every mount of ours.
pub(crate) fn ours() -> Result<Vec<Mount>> {
    Ok(read()?.into_iter().filter(Mount::is_ours).collect())
}

/// The folder as the mount table would name it. Following symbolic links asks no file system about
/// the last folder, so this returns for a mount whose process is gone too.
pub(crate) fn name_of(folder: &Path) -> Result<PathBuf> {
    // A slash behind the last name would ask whether it is a folder.
    let folder: PathBuf = folder.components().collect();
    let name = fs::canonicalize(&folder).or_else(|_| std::path::absolute(&folder));
    name.with_context(|| format!("cannot resolve {}", folder.display()))
}

fn read() -> Result<Vec<Mount>> {
    let path = "/proc/self/mountinfo";
    let table = fs::read(path).with_context(|| format!("cannot read {path}"))?;
    Ok(table
        .split(|byte| *byte == b'\n')
        .filter_map(parse)
        .collect())
}

/// `36 35 98:0 /root /folder rw,noatime master:1 - ext4 /dev/root rw`; see proc_pid_mountinfo(5). The last word
/// has the file system's own options.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let device = words.nth(2)?;
    let folder = words.nth(1)?;
    let mut words = words.skip_while(|word| *word != b"-");
    let kind = words.nth(1)?;
    let options = text(words.last().unwrap_or_default());
    let mut options = options.split(',');
    Some(Mount {
        folder: PathBuf::from(unescape(folder)),
        device: text(device),
        kind: text(kind),
        user: options.find_map(|option| option.strip_prefix("user_id=")?.parse().ok()),
    })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// The kernel writes blank, tab, line break and backslash as a backslash and three octal digits.
fn unescape(word: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let escaped = match rest {
            [b'\\', digits @ ..] => digits.get(..3).and_then(octal),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[4..] } else { after };
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    u8::from_str_radix(digits, 8).ok()
}

/// Whether `path`, a text the kernel gave, lies in `folder` or is it.
pub(crate) fn contains(folder: &Path, path: &[u8]) -> bool {
    let rest = path.strip_prefix(folder.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Option<(&str, &str, &str, bool)>) {
        let mount = parse(line.as_bytes());
        let seen = mount.as_ref().map(|mount| {
            let folder = mount.folder.to_str().unwrap();
            (
                folder,
                mount.device.as_str(),
                mount.kind.as_str(),
                mount.is_ours(),
            )
        });
        assert_eq!(seen, expected, "{line}");
    }

    #[test]
    fn a_line_gives_folder_device_and_kind() {
        check(
            "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext4 /dev/root rw",
            Some(("/mnt2", "98:0", "ext4", false)),
        );
        check(
            "40 35 0:57 / /mnt/my\\040drive\\134x rw - fuse.linkfs linkfs rw,user_id=0",
            Some(("/mnt/my drive\\x", "0:57", "fuse.linkfs", true)),
        );
        check(
            "40 35 0:58 / /mnt/a rw - fuse linkfs rw",
            Some(("/mnt/a", "0:58", "fuse", false)),
        );
        check(
            "40 35 0:58 / /mnt/a rw - fuse.sshfs linkfs rw",
            Some(("/mnt/a", "0:58", "fuse.sshfs", false)),
        );
        check("", None);
        check("36 35 98:0 /mnt1", None);
    }

    #[test]
    fn a_fuse_mount_is_somebodys() {
        for (options, user) in [
            ("rw,user_id=1000,group_id=100", Some(1000)),
            ("rw,user_id=0", Some(0)),
            ("rw", None),
            ("rw,user_id=x", None),
        ] {
            let line = format!("40 35 0:58 / /mnt/a rw - fuse.linkfs linkfs {options}");
            assert_eq!(parse(line.as_bytes()).unwrap().user, user, "{options}");
        }
    }

    #[test]
    fn a_folder_contains_itself_and_what_is_below() {
        for (path, expected) in [
            ("/mnt/x", true),
            ("/mnt/x/a", true),
            ("/mnt/xy", false),
            ("/mnt", false),
        ] {
            assert_eq!(
                contains(Path::new("/mnt/x"), path.as_bytes()),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn the_root_of_this_machine_is_mounted_and_not_by_us() {
        let root = at(Path::new("/")).unwrap().unwrap();
        assert!(!root.is_ours());
    }
}
