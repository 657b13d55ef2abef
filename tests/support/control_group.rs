use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A control group with limited memory, of either version. Dropping it removes it, when it is empty.
#[derive(Debug)]
pub struct ControlGroup {
    folder: PathBuf,
    files: Files,
}

/// What the two versions call the same things.
#[derive(Clone, Copy, Debug)]
struct Files {
    limit: &'static str,
    /// The limit of memory and swap together, or of swap alone.
    swap_limit: &'static str,
    events: &'static str,
}

const VERSION_1: Files = Files {
    limit: "memory.limit_in_bytes",
    swap_limit: "memory.memsw.limit_in_bytes",
    events: "memory.oom_control",
};

const VERSION_2: Files = Files {
    limit: "memory.max",
    swap_limit: "memory.swap.max",
    events: "memory.events",
};

impl ControlGroup {
    /// A new group whose processes may take `bytes` together, the kernel's memory for them included. `None`
    /// where groups cannot be made, and then it says so.
    pub fn with_memory(name: &str, bytes: u64) -> Option<ControlGroup> {
        let group = find_parent().and_then(|(parent, files)| {
            let folder = parent.join(format!("linkfs-test-{name}-{}", std::process::id()));
            fs::create_dir(&folder).ok()?;
            let group = ControlGroup { folder, files };
            fs::write(group.folder.join(files.limit), bytes.to_string()).ok()?;
            let swap = if files.limit == VERSION_2.limit {
                0
            } else {
                bytes
            };
            let _there_may_be_no_swap =
                fs::write(group.folder.join(files.swap_limit), swap.to_string());
            Some(group)
        });
        if group.is_none() {
            eprintln!("SKIPPED: no control group with a limit of memory can be made here");
        }
        group
    }

    /// Makes `command` start in the group, and all that it starts.
    #[must_use]
    pub fn launch(&self, command: &Command) -> Command {
        let mut launcher = Command::new("sh");
        launcher
            .args(["-ec", r#"echo $$ > "$0"; exec "$@""#])
            .arg(self.folder.join("cgroup.procs"))
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => launcher.env(name, value),
                None => launcher.env_remove(name),
            };
        }
        launcher
    }

    /// How many of its processes were killed for want of memory.
    pub fn kills(&self) -> u64 {
        let text = self.read(self.files.events);
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        let count = count.expect("the kernel counts them");
        count.parse().expect("a number")
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.folder.join(file)).expect("the group's file is read")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        let _may_be_in_use = fs::remove_dir(&self.folder);
    }
}

/// A place for groups with limited memory, and how they are spoken to.
fn find_parent() -> Option<(PathBuf, Files)> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mut groups = mounts.lines().filter_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let (folder, kind, options) = (Path::new(words.get(1)?), words.get(2)?, words.get(3)?);
        let is_version_1 = *kind == "cgroup" && options.split(',').any(|word| word == "memory");
        let is_version_2 = *kind == "cgroup2" && offers_memory(folder);
        is_version_1
            .then_some(VERSION_1)
            .or(is_version_2.then_some(VERSION_2))
            .map(|files| (folder.to_owned(), files))
    });
    groups.next()
}

fn offers_memory(folder: &Path) -> bool {
    let _may_be_so_already = fs::write(folder.join("cgroup.subtree_control"), "+memory");
    let offered = fs::read_to_string(folder.join("cgroup.subtree_control"));
    offered.is_ok_and(|words| words.split_whitespace().any(|word| word == "memory"))
}
