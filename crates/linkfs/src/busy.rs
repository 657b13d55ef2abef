//! Who keeps a mount busy: found by reading links and texts in `/proc`, never touching the mount.

use std::fmt;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

use crate::mount_table;

/// A process that keeps a mount from being unmounted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    pid: u32,
    name: String,
    hold: Hold,
}

#[derive(Debug, PartialEq, Eq)]
enum Hold {
    Open(PathBuf),
    Inside(PathBuf),
    Runs(PathBuf),
    Maps(PathBuf),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {}) ", self.name, self.pid)?;
        match &self.hold {
            Hold::Open(path) => write!(f, "has {} open", path.display()),
            Hold::Inside(path) => write!(f, "is in {}", path.display()),
            Hold::Runs(path) => write!(f, "runs {}", path.display()),
            Hold::Maps(path) => write!(f, "has {} mapped", path.display()),
        }
    }
}

/// The processes that hold something in `folder`, one line for each. Those of other users are seen by
/// root alone.
pub(crate) fn holders(folder: &Path) -> Vec<Holder> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let others = pids.filter(|pid| *pid != std::process::id());
    others.filter_map(|pid| holder(pid, folder)).collect()
}

/// The holders as a sentence for an error.
pub(crate) fn describe(holders: &[Holder]) -> String {
    // More lines than a person reads.
    const SHOWN: usize = 8;
    if holders.is_empty() {
        return unseen(geteuid().is_root()).to_owned();
    }
    let shown: Vec<_> = holders.iter().take(SHOWN).map(Holder::to_string).collect();
    let shown = shown.join("; ");
    match holders.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

/// Whoever sets an attribute holds nothing that `/proc` shows.
fn unseen(is_root: bool) -> &'static str {
    match is_root {
        true => "by a call that is under way, such as a share being made (try again)",
        false => {
            "by a call that is under way (try again), or by a process that cannot be seen from here (look as root)"
        }
    }
}

fn holder(pid: u32, folder: &Path) -> Option<Holder> {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let hold = open_file(&process, folder)
        .map(Hold::Open)
        .or_else(|| link(&process, "exe", folder).map(Hold::Runs))
        .or_else(|| link(&process, "cwd", folder).map(Hold::Inside))
        .or_else(|| link(&process, "root", folder).map(Hold::Inside))
        .or_else(|| mapped_file(&process, folder).map(Hold::Maps))?;
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let name = name.trim_end().to_owned();
    Some(Holder { pid, name, hold })
}

fn link(process: &Path, name: &str, folder: &Path) -> Option<PathBuf> {
    let target = fs::read_link(process.join(name)).ok()?;
    mount_table::contains(folder, target.as_os_str().as_bytes()).then_some(target)
}

fn open_file(process: &Path, folder: &Path) -> Option<PathBuf> {
    let descriptors = fs::read_dir(process.join("fd")).ok()?;
    let targets = descriptors.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let mut inside =
        targets.filter(|path| mount_table::contains(folder, path.as_os_str().as_bytes()));
    inside.next()
}

/// The sixth word of a line of `maps` and all behind it is the path; see proc_pid_maps(5).
fn mapped_file(process: &Path, folder: &Path) -> Option<PathBuf> {
    let maps = fs::read(process.join("maps")).ok()?;
    let mut paths = maps.split(|byte| *byte == b'\n').filter_map(|line| {
        let start = line.iter().position(|byte| *byte == b'/')?;
        Some(&line[start..])
    });
    let path = paths.find(|path| mount_table::contains(folder, path))?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_named_with_what_it_holds() {
        let folder = fs::canonicalize(tempfile::tempdir().unwrap().keep()).unwrap();
        let file = folder.join("a.txt");
        fs::write(&file, "").unwrap();
        // `cat` waits for its stdin, a pipe, with the file open at descriptor 3.
        let script = format!("cd /; exec 3<{}; read -r line", file.display());
        let mut opener = Command::new("sh")
            .arg("-c")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stayer = Command::new("cat")
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let opened = |pid| format!("sh (pid {pid}) has {} open", file.display());
        // The shell opens the file a moment after it has started: look until it has.
        let mut seen = String::new();
        while !seen.contains(&opened(opener.id())) && opener.try_wait().unwrap().is_none() {
            seen = describe(&holders(&folder));
        }
        assert!(seen.contains(&opened(opener.id())), "{seen}");
        let inside = format!("cat (pid {}) is in {}", stayer.id(), folder.display());
        assert!(seen.contains(&inside), "{seen}");
        for child in [&mut opener, &mut stayer] {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
        assert_eq!(holders(&folder), []);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_long_list_is_cut() {
        let holder = |pid| Holder {
            pid,
            name: "sh".into(),
            hold: Hold::Inside("/x".into()),
        };
        let ten: Vec<_> = (1..=10).map(holder).collect();
        assert_eq!(
            describe(&ten[..2]),
            "sh (pid 1) is in /x; sh (pid 2) is in /x"
        );
        assert!(describe(&ten).ends_with("sh (pid 8) is in /x; and 2 more"));
        assert!(unseen(false).contains("root") && !unseen(true).contains("root"));
        assert!(describe(&[]).contains("under way"));
    }
}
