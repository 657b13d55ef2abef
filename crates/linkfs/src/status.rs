//! `linkfs status [DIR]`: what a mount says of itself in `.linkfs/status`, for people.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use linkfs_provider::ByteCount;
use serde::{Deserialize, Serialize};

use crate::args::StatusArgs;
use crate::daemon::Daemon;
use crate::mount_table::{self, Mount};
use crate::output;
use crate::units::Readable;

/// A mount answers this from memory; one that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(5);

/// What we show of a mount's status. The file may hold more.
#[derive(Deserialize)]
struct Status {
    version: String,
    pid: u32,
    drives: Vec<Drive>,
    memory: Memory,
    disk: Option<Disk>,
    disk_failure: Option<String>,
    #[serde(default)]
    dry_run: bool,
    open_handles: usize,
}

#[derive(Deserialize)]
struct Memory {
    budget_bytes: u64,
    block_bytes: u64,
    free_bytes: u64,
}

#[derive(Deserialize)]
struct Disk {
    used_bytes: u64,
    limit_bytes: u64,
    files: u64,
    quarantined: u64,
    paused: Option<String>,
}

#[derive(Deserialize)]
struct Drive {
    name: String,
    state: String,
    reason: Option<String>,
    advice: Option<String>,
    limited_for_seconds: Option<u64>,
    calls: u64,
    failed_calls: u64,
    shares: Option<Shares>,
    plugin: Option<Plugin>,
}

#[derive(Deserialize)]
struct Plugin {
    name: String,
    version: String,
    pid: Option<u32>,
    failures: u64,
    last_failure: Option<String>,
    /// What the kernel does not hold it to, in words.
    unconfined: Vec<String>,
}

#[derive(Deserialize)]
struct Shares {
    made: u64,
    waiting: u64,
}

/// A mount in the list of all.
#[derive(Serialize)]
pub(crate) struct Listed {
    folder: String,
    pub(crate) state: &'static str,
    pid: Option<u32>,
    /// What it says of itself, or why it says nothing.
    status: Option<serde_json::Value>,
    reason: Option<String>,
}

pub(crate) fn run(args: &StatusArgs) -> Result<()> {
    match &args.folder {
        Some(folder) => show_one(folder, args.output.json),
        None => show_all(args.output.json),
    }
}

/// The names of the drives that are mounted on `folder`.
pub(crate) fn drives(folder: &Path) -> Result<Vec<String>> {
    let text = read(folder).context("the mount does not answer")?;
    let status: Status = serde_json::from_str(&text).context("its status makes no sense")?;
    Ok(status.drives.into_iter().map(|drive| drive.name).collect())
}

fn show_one(folder: &Path, json: bool) -> Result<()> {
    let name = mount_table::name_of(folder)?;
    let shown = name.display();
    match mount_table::at(&name)? {
        Some(mount) if mount.is_ours() => {}
        _ => bail!("{shown} is no mount of linkfs (`linkfs status` lists them)"),
    }
    let text = read(&name).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => anyhow!("{shown} is another user's mount"),
        _ => anyhow!(error).context(format!("{shown} does not answer")),
    })?;
    if json {
        return output::text(&text);
    }
    let status: Status = serde_json::from_str(&text).context("its status makes no sense")?;
    output::text(&for_people(&name, &status))
}

fn show_all(json: bool) -> Result<()> {
    let mounts: Vec<_> = mount_table::ours()?.iter().map(listed).collect();
    if json {
        return output::json(&mounts);
    }
    let rows: Vec<_> = mounts.iter().map(row).collect();
    if rows.is_empty() && output::is_for_people() {
        return output::text("nothing is mounted\n");
    }
    output::text(&output::table(&rows, [false, false, false]))
}

pub(crate) fn listed(mount: &Mount) -> Listed {
    let answer = read(&mount.folder);
    let status = answer
        .as_ref()
        .ok()
        .and_then(|text| serde_json::from_str(text).ok());
    Listed {
        folder: mount.folder.display().to_string(),
        state: match &answer {
            Ok(_) => "ok",
            Err(error) => silence(error),
        },
        pid: Daemon::of(mount).map(|daemon| daemon.pid),
        status,
        reason: answer.err().map(|error| error.to_string()),
    }
}

/// Why a mount says nothing, in a word.
fn silence(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotConnected => "dead",
        io::ErrorKind::PermissionDenied => "private",
        io::ErrorKind::TimedOut => "stuck",
        _ => "failing",
    }
}

pub(crate) fn row(mount: &Listed) -> [String; 3] {
    let folder = output::shown(&mount.folder);
    let more = match mount.state {
        "ok" => drive_states(mount.status.as_ref()),
        "dead" => format!("its process has ended: linkfs unmount {folder}"),
        "private" => "another user's".to_owned(),
        "stuck" => format!("it does not answer: linkfs unmount --lazy {folder}"),
        _ => mount.reason.clone().unwrap_or_default(),
    };
    [folder, mount.state.to_owned(), more]
}

fn drive_states(status: Option<&serde_json::Value>) -> String {
    let status = status.and_then(|status| Status::deserialize(status).ok());
    let drives = status.map(|status| status.drives).unwrap_or_default();
    let states = drives
        .iter()
        .map(|drive| format!("{} {}", drive.name, drive.state));
    states.collect::<Vec<_>>().join(", ")
}

fn for_people(folder: &Path, status: &Status) -> String {
    let mut text = String::new();
    let (used, budget) = (
        ByteCount(status.memory.block_bytes + status.memory.free_bytes),
        ByteCount(status.memory.budget_bytes),
    );
    let _ = writeln!(
        text,
        "{}: linkfs {}, pid {}, {} open, memory {} of {}",
        folder.display(),
        status.version,
        status.pid,
        status.open_handles,
        Readable(used),
        Readable(budget)
    );
    if let Some(disk) = &status.disk {
        describe_disk(&mut text, disk);
    }
    if let Some(failure) = &status.disk_failure {
        let _ = writeln!(text, "  {}", output::shown(failure));
    }
    if status.dry_run {
        text.push_str("  sharing is only rehearsed: dry_run in [share]\n");
    }
    for drive in &status.drives {
        let Drive {
            name,
            state,
            calls,
            failed_calls,
            ..
        } = drive;
        let _ = writeln!(
            text,
            "  {name}: {state}, {calls} calls, {failed_calls} failed"
        );
        if let Some(seconds) = drive.limited_for_seconds {
            let _ = writeln!(text, "    the drive asked for a pause of {seconds} s more");
        }
        if let Some(Shares { made, waiting }) = drive.shares
            && made + waiting > 0
        {
            let _ = writeln!(text, "    shares: {made} made, {waiting} waiting");
        }
        if let Some(plugin) = &drive.plugin {
            describe_plugin(&mut text, plugin);
        }
        for line in [&drive.reason, &drive.advice].into_iter().flatten() {
            let _ = writeln!(text, "    {}", output::shown(line));
        }
    }
    text
}

fn describe_plugin(text: &mut String, plugin: &Plugin) {
    let [name, version] = [&plugin.name, &plugin.version].map(|text| output::shown(text));
    let _ = match plugin.pid {
        Some(pid) => writeln!(text, "    plugin {name} {version}, pid {pid}"),
        None => writeln!(text, "    plugin {name}, not running"),
    };
    if let Some(failure) = &plugin.last_failure {
        let (failures, failure) = (plugin.failures, output::shown(failure));
        let _ = writeln!(text, "    it failed {failures} times, the last: {failure}");
    }
    for piece in &plugin.unconfined {
        let _ = writeln!(text, "    unconfined: {}", output::shown(piece));
    }
}

fn describe_disk(text: &mut String, disk: &Disk) {
    let (used, limit) = (ByteCount(disk.used_bytes), ByteCount(disk.limit_bytes));
    let (used, limit) = (Readable(used), Readable(limit));
    let files = disk.files;
    let _ = write!(text, "  disk cache: {used} of {limit}, {files} files");
    if disk.quarantined > 0 {
        let _ = write!(text, ", {} damaged blocks dropped", disk.quarantined);
    }
    text.push('\n');
    if let Some(reason) = &disk.paused {
        let _ = writeln!(text, "    it takes nothing now: {}", output::shown(reason));
    }
}

/// Reads the status file on a thread of its own: a stuck mount keeps whoever asks it.
fn read(folder: &Path) -> io::Result<String> {
    let path = folder.join(".linkfs/status");
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        // Nobody may be waiting any more.
        let _ = sender.send(fs::read_to_string(path));
    });
    let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer within 5 s");
    answer
        .recv_timeout(PATIENCE)
        .unwrap_or_else(|_| Err(late()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_drive_is_shown_with_what_to_do() {
        let status = serde_json::json!({
            "version": "0.1.0", "pid": 7, "open_handles": 3, "nodes": 12,
            "memory": {"budget_bytes": 2097152, "block_bytes": 1000, "free_bytes": 24, "peak_bytes": 2048},
            "disk": {"used_bytes": 1024, "limit_bytes": 1048576, "files": 3, "quarantined": 2,
                     "quarantined_blocks": ["block 1"], "paused": "the disk is full"},
            "disk_failure": null,
            "drives": [
                {"name": "work", "state": "ok", "reason": null, "advice": null,
                 "limited_for_seconds": null, "calls": 5, "failed_calls": 0, "links": 2,
                 "plugin": {"name": "pds", "version": "0.1", "program": "/p", "pid": 12, "failures": 2,
                            "last_failure": "plugin pds: it ended",
                            "unconfined": ["no Landlock: it reads", "no filter: it runs"]}},
                {"name": "team", "state": "limited", "reason": "too many calls", "advice": "try later",
                 "limited_for_seconds": 30, "calls": 9, "failed_calls": 1, "links": 0,
                 "shares": {"made": 120, "waiting": 1},
                 "plugin": {"name": "koodrive", "version": "", "program": "/p", "pid": null, "failures": 0,
                            "last_failure": null, "unconfined": []}},
            ],
        });
        let parsed = Status::deserialize(&status).unwrap();
        let expected = "\
/mnt/x: linkfs 0.1.0, pid 7, 3 open, memory 1.0 KiB of 2.0 MiB
  disk cache: 1.0 KiB of 1.0 MiB, 3 files, 2 damaged blocks dropped
    it takes nothing now: the disk is full
  work: ok, 5 calls, 0 failed
    plugin pds 0.1, pid 12
    it failed 2 times, the last: plugin pds: it ended
    unconfined: no Landlock: it reads
    unconfined: no filter: it runs
  team: limited, 9 calls, 1 failed
    the drive asked for a pause of 30 s more
    shares: 120 made, 1 waiting
    plugin koodrive, not running
    too many calls
    try later
";
        assert_eq!(for_people(Path::new("/mnt/x"), &parsed), expected);
        assert_eq!(drive_states(Some(&status)), "work ok, team limited");
    }
}
