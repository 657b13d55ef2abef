//! What mounting takes of the kernel and of the package fuse3.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::{env, io};

use rustix::fs::StatVfsMountFlags;

use super::Line;
use crate::config::Config;

const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
const FUSE_CONF: &str = "/etc/fuse.conf";
/// Where the kernel's read-ahead of each mount is set.
const READ_AHEAD: &str = "/sys/class/bdi";
/// The first kernel that names processes by descriptors, as plugins are.
const OLDEST: (u32, u32) = (5, 3);
/// The first kernel that reads a cached file without asking us.
const PASSES_THROUGH: (u32, u32) = (6, 9);

pub(super) fn look(config: Option<&Config>) -> Vec<Line> {
    let is_root = rustix::process::geteuid().is_root();
    let release = rustix::system::uname();
    let release = release.release().to_string_lossy();
    let mut lines = vec![
        kernel(&release),
        device(OpenOptions::new().read(true).write(true).open(DEVICE).err()),
        helper(is_root, find(HELPER)),
    ];
    if config.is_some_and(|config| config.mount.allow_other) && !is_root {
        let text = fs::read_to_string(FUSE_CONF).unwrap_or_default();
        lines.push(allow_other(&text));
    }
    lines.push(read_ahead(is_root));
    if config.is_some_and(|config| config.cache.size.is_some()) {
        lines.push(passthrough(is_root, &release));
    }
    lines
}

fn kernel(release: &str) -> Line {
    match version(release) {
        Some(version) if version < OLDEST => {
            let (major, minor) = OLDEST;
            Line::problem(
                "kernel",
                release,
                format!("linkfs needs Linux {major}.{minor} at least"),
            )
        }
        _ => Line::ok("kernel", release),
    }
}

/// `6.12.3-amd64`
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn device(error: Option<io::Error>) -> Line {
    let Some(error) = error else {
        return Line::ok(DEVICE, "can be opened");
    };
    let advice = match error.kind() {
        ErrorKind::NotFound => {
            "load the module (modprobe fuse); a container needs --device /dev/fuse"
        }
        ErrorKind::PermissionDenied => {
            "let everybody open it (chmod 666 /dev/fuse), or mount as root"
        }
        _ => "load the module (modprobe fuse); a container needs the right to use the device",
    };
    Line::problem(DEVICE, error.to_string(), advice)
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut files = env::split_paths(&path).map(|folder| folder.join(program));
    files.find(|file| file.is_file())
}

/// Root mounts without it.
fn helper(is_root: bool, program: Option<PathBuf>) -> Line {
    let Some(program) = program else {
        return match is_root {
            true => Line::ok(HELPER, "is not there, and root does not need it"),
            false => Line::problem(HELPER, "is not there", "install the package fuse3"),
        };
    };
    let shown = program.display().to_string();
    let is_setuid = program
        .metadata()
        .is_ok_and(|about| about.uid() == 0 && about.mode() & 0o4000 != 0);
    match is_root || is_setuid {
        true => Line::ok(HELPER, shown),
        false => {
            let advice = format!("as root: chown root {shown} && chmod u+s {shown}");
            Line::problem(HELPER, format!("{shown} does not run as root"), advice)
        }
    }
}

fn allow_other(text: &str) -> Line {
    match text.lines().any(|line| line.trim() == "user_allow_other") {
        true => Line::ok("allow_other", format!("{FUSE_CONF} permits it")),
        false => {
            let found = format!("is configured, and {FUSE_CONF} does not permit it");
            let advice = format!("write the line user_allow_other into {FUSE_CONF}");
            Line::problem("allow_other", found, advice)
        }
    }
}

fn read_ahead(is_root: bool) -> Line {
    let what = "read-ahead";
    let sys = rustix::fs::statvfs(READ_AHEAD);
    match sys {
        _ if !is_root => Line::warning(
            what,
            "stays at 128 KiB",
            "long reads are faster where root mounts",
        ),
        Ok(sys) if !sys.f_flag.contains(StatVfsMountFlags::RDONLY) => {
            Line::ok(what, "can be set for each mount")
        }
        _ => Line::warning(
            what,
            format!("stays at 128 KiB: {READ_AHEAD} cannot be written to"),
            "long reads are faster where /sys is mounted for writing",
        ),
    }
}

fn passthrough(is_root: bool, release: &str) -> Line {
    let what = "passthrough";
    if version(release) < Some(PASSES_THROUGH) {
        let (major, minor) = PASSES_THROUGH;
        let advice = format!("Linux {major}.{minor} reads complete cached files by itself");
        return Line::warning(what, "this kernel has none", advice);
    }
    match is_root {
        true => Line::ok(what, "the kernel may read complete cached files by itself"),
        false => Line::warning(
            what,
            "only root may have it",
            "complete cached files are read faster where root mounts",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn check(line: Line, state: State, advice: &str) {
        assert_eq!(line.state, state, "{line:?}");
        let given = line.advice.clone().unwrap_or_default();
        assert!(given.contains(advice), "{line:?}");
    }

    #[test]
    fn each_lack_says_what_to_do() {
        use State::{Ok, Problem, Warning};
        check(kernel("6.1.0-amd64"), Ok, "");
        check(kernel("5.2.9"), Problem, "5.3");
        check(kernel("strange"), Ok, "");
        check(device(None), Ok, "");
        check(
            device(Some(ErrorKind::NotFound.into())),
            Problem,
            "modprobe",
        );
        check(
            device(Some(ErrorKind::PermissionDenied.into())),
            Problem,
            "chmod 666",
        );
        check(helper(false, None), Problem, "fuse3");
        check(helper(true, None), Ok, "");
        let program = PathBuf::from("/proc/self/exe");
        check(helper(false, Some(program.clone())), Problem, "chmod u+s");
        check(helper(true, Some(program)), Ok, "");
        check(
            allow_other("#user_allow_other\n"),
            Problem,
            "user_allow_other",
        );
        check(allow_other("mount_max = 9\n user_allow_other\n"), Ok, "");
        check(read_ahead(false), Warning, "root");
        check(passthrough(true, "6.9.1"), Ok, "");
        check(passthrough(true, "6.8.0"), Warning, "6.9");
        check(passthrough(false, "6.12.0"), Warning, "root");
    }
}
