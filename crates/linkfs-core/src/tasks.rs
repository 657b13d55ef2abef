//! Work that a drive does on its own: saving or packing what somebody shared. Each task is followed until it ends,
//! and kept in a folder of its own so that the next mount follows it too.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use linkfs_provider::{ErrorKind, ItemId, ProviderError, Receiving, Task, TaskId, TaskState};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::digest::hex_digest;
use crate::tree::Tree;
use crate::{Drive, Error, Result, private_file};

/// The first and the longest pause between two looks at a task: drives take seconds for little and hours for much.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A task that has not ended by then never does.
const LONGEST_WORK: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long an ended task is shown.
const SHOWN_AFTER_END: Duration = Duration::from_secs(24 * 3600);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a task is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TaskKind {
    Save,
    Pack,
}

/// A task as it is kept on disk. The address of an archive is a key to it and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TaskRecord {
    kind: TaskKind,
    drive: String,
    id: TaskId,
    /// The folder that something is saved into.
    folder: Option<ItemId>,
    /// What it is about, for people: the folder's path or the archive's name.
    about: String,
    started: u64,
    ended: Option<u64>,
    state: Progress,
    progress: u8,
    why: Option<String>,
    #[serde(skip)]
    archive: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Waiting,
    Running,
    Done,
    Failed,
}

/// The tasks of all drives, by their names.
#[derive(Debug)]
pub(crate) struct Tasks {
    known: Mutex<BTreeMap<String, TaskRecord>>,
    directory: Option<PathBuf>,
}

impl TaskRecord {
    pub(crate) fn new(
        kind: TaskKind,
        drive: &Drive,
        id: TaskId,
        folder: Option<ItemId>,
        about: String,
    ) -> TaskRecord {
        TaskRecord {
            kind,
            drive: drive.name().to_owned(),
            id,
            folder,
            about,
            started: now(),
            ended: None,
            state: Progress::Waiting,
            progress: 0,
            why: None,
            archive: None,
        }
    }

    /// What its file is called: short, and the same in every mount.
    fn name(&self) -> String {
        let kind = match self.kind {
            TaskKind::Save => "save",
            TaskKind::Pack => "pack",
        };
        let digest = hex_digest(format!("{}\n{}", self.drive, self.id.0));
        format!("{kind}-{}", &digest[..8])
    }

    fn update(&mut self, seen: Task) {
        (self.state, self.why) = match seen.state {
            TaskState::Waiting => (Progress::Waiting, None),
            TaskState::Running => (Progress::Running, None),
            TaskState::Done => (Progress::Done, None),
            TaskState::Failed(why) => (Progress::Failed, Some(why)),
        };
        self.progress = match self.state {
            Progress::Done => 100,
            _ => seen.progress.min(100),
        };
        self.archive = seen.archive.map(|url| url.expose().to_owned());
        self.note_end();
    }

    fn fail(&mut self, why: String) {
        self.state = Progress::Failed;
        self.why = Some(why);
        self.note_end();
    }

    fn note_end(&mut self) {
        if matches!(self.state, Progress::Done | Progress::Failed) {
            self.ended.get_or_insert_with(now);
        }
    }

    fn state_word(&self) -> &'static str {
        match self.state {
            Progress::Waiting => "waiting",
            Progress::Running => "running",
            Progress::Done => "done",
            Progress::Failed => "failed",
        }
    }

    /// What `cat` shows of it, one fact a line.
    fn as_lines(&self) -> String {
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}: {}", value.replace(char::is_control, " "));
        };
        line("state", self.state_word());
        line("progress", &self.progress.to_string());
        if let Some(why) = &self.why {
            line("reason", why);
        }
        if let Some(archive) = &self.archive {
            line("url", archive);
        }
        match self.kind {
            TaskKind::Save => line("to", &self.about),
            TaskKind::Pack => line("name", &self.about),
        }
        line("drive", &self.drive);
        if let Ok(started) = Timestamp::from_second(self.started as i64) {
            line("started", &started.to_string());
        }
        text
    }
}

impl Tasks {
    /// The tasks that earlier mounts have left in `directory`.
    pub(crate) fn load(directory: Option<PathBuf>) -> Tasks {
        let records = directory.as_deref().map(read_all).unwrap_or_default();
        let records = records.into_iter().map(|record| (record.name(), record));
        Tasks {
            known: Mutex::new(records.collect()),
            directory,
        }
    }

    /// Follows every task that has not ended. Needs a runtime.
    pub(crate) fn follow_all(self: &Arc<Self>, drives: &[Arc<Drive>], tree: &Arc<Tree>) {
        let open: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, record)| record.ended.is_none())
            .map(|(name, record)| (name.clone(), record.drive.clone()))
            .collect();
        for (name, drive) in open {
            if let Some(drive) = drives.iter().find(|known| known.name() == drive) {
                self.follow(name, drive, tree);
            }
        }
    }

    /// Keeps a task that was begun, and follows it. Gives its name.
    pub(crate) fn begin(
        self: &Arc<Self>,
        record: TaskRecord,
        drive: &Arc<Drive>,
        tree: &Arc<Tree>,
    ) -> String {
        let name = record.name();
        self.lock().insert(name.clone(), record);
        self.keep(&name);
        self.follow(name.clone(), drive, tree);
        name
    }

    /// The names of all tasks, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// What is known of a task, as lines.
    pub(crate) fn show(&self, name: &str) -> Option<String> {
        self.lock().get(name).map(TaskRecord::as_lines)
    }

    /// Its state and progress, as words of an answer.
    pub(crate) fn summary(&self, name: &str) -> Option<String> {
        let known = self.lock();
        let record = known.get(name)?;
        Some(format!(
            "state={} progress={}",
            record.state_word(),
            record.progress
        ))
    }

    fn follow(self: &Arc<Self>, name: String, drive: &Arc<Drive>, tree: &Arc<Tree>) {
        let (tasks, drive, tree) = (self.clone(), drive.clone(), tree.clone());
        tokio::spawn(async move {
            let mut pause = FIRST_PAUSE;
            while tasks.look(&name, &drive, &tree).await {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Asks the drive how far a task is. Gives whether to ask again.
    async fn look(&self, name: &str, drive: &Arc<Drive>, tree: &Tree) -> bool {
        let Some(mut record) = self.lock().get(name).cloned() else {
            return false;
        };
        let seen = match receiving(drive) {
            Ok(receiving) => {
                let deadline = Instant::now() + PATIENCE;
                let ask = || receiving.task(&record.id);
                drive.call_until(deadline, "look at a task", ask).await
            }
            Err(error) => Err(error),
        };
        let before = record.clone();
        match seen {
            Ok(seen) => record.update(seen),
            Err(Error::Drive(error))
                if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unsupported) =>
            {
                record.fail(error.to_string());
            }
            // Whatever else it is, it may pass.
            Err(error) => tracing::debug!(task = name, %error, "cannot look at a task"),
        }
        let age = Duration::from_secs(now().saturating_sub(record.started));
        if record.ended.is_none() && age > LONGEST_WORK {
            record.fail("it did not end within a week".to_owned());
        }
        let goes_on = record.ended.is_none();
        if !goes_on && let Some(folder) = &record.folder {
            // Before anybody can see that it has ended: who looks then must find what it brought.
            tree.forget_folder(drive, folder);
        }
        if record != before {
            self.lock().insert(name.to_owned(), record);
            self.keep(name);
        }
        goes_on
    }

    /// Writes a task down for the next mount. One that cannot be is followed by this one alone.
    fn keep(&self, name: &str) {
        let Some(directory) = &self.directory else {
            return;
        };
        let record = self.lock().get(name).cloned();
        let path = directory.join(format!("{name}.json"));
        let written = record.map_or(Ok(()), |record| write(&path, &record));
        if let Err(error) = written {
            tracing::warn!(task = name, %error, "cannot keep a task for the next mount");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, TaskRecord>> {
        self.known
            .lock()
            .expect("no panic while the tasks are locked")
    }
}

/// The drive's ability to take what others shared.
///
/// # Errors
/// `Unsupported` when it has none.
pub(crate) fn receiving(drive: &Drive) -> Result<&dyn Receiving> {
    let receiving = drive.provider().receiving();
    receiving.ok_or_else(|| ProviderError::unsupported("take what others shared").into())
}

/// The tasks in a folder; those that ended long ago are removed, and what is no task is left alone.
fn read_all(directory: &Path) -> Vec<TaskRecord> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut records = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let record: Option<TaskRecord> = fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let Some(record) = record else {
            tracing::warn!(path = %path.display(), "this is no task");
            continue;
        };
        let since_end = record.ended.map(|ended| now().saturating_sub(ended));
        if since_end.is_some_and(|age| age > SHOWN_AFTER_END.as_secs()) {
            let _another_mount_was_first = fs::remove_file(&path);
        } else {
            records.push(record);
        }
    }
    records
}

fn write(path: &Path, record: &TaskRecord) -> io::Result<()> {
    private_file::replace(path, &serde_json::to_vec_pretty(record)?)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
