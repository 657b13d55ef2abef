//! What is known of one task, in memory and on disk.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use linkfs_provider::{ItemId, SignedUrl, Task, TaskId, TaskState};
use serde::{Deserialize, Serialize};

use crate::Drive;
use crate::digest::hex_digest;

/// How long an ended task is shown.
pub(super) const SHOWN_AFTER_END: Duration = Duration::from_secs(24 * 3600);

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
    pub(super) drive: String,
    pub(super) id: TaskId,
    /// The folder that something is saved into.
    pub(super) folder: Option<ItemId>,
    /// What it is about, for people: the folder's path or the archive's name.
    about: String,
    pub(super) started: u64,
    pub(super) ended: Option<u64>,
    state: Progress,
    pub(super) progress: u8,
    why: Option<String>,
    #[serde(skip)]
    archive: Option<SignedUrl>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    Waiting,
    Running,
    Done,
    Failed,
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
    pub(super) fn name(&self) -> String {
        let kind = match self.kind {
            TaskKind::Save => "save",
            TaskKind::Pack => "pack",
        };
        let digest = hex_digest(format!("{}\n{}", self.drive, self.id.0));
        format!("{kind}-{}", &digest[..8])
    }

    pub(super) fn update(&mut self, seen: Task) {
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
        self.archive = seen.archive;
        self.note_end();
    }

    pub(super) fn fail(&mut self, why: &str) {
        self.state = Progress::Failed;
        self.why = Some(why.to_owned());
        self.note_end();
    }

    /// Whether there is more to be learned of it: how it ends, or the address of an archive that an earlier mount
    /// has seen.
    pub(super) fn is_open(&self) -> bool {
        let is_packed = self.kind == TaskKind::Pack && self.state == Progress::Done;
        self.ended.is_none() || is_packed && self.archive.is_none()
    }

    pub(super) fn ended_long_ago(&self) -> bool {
        let since = self.ended.map(|ended| now().saturating_sub(ended));
        since.is_some_and(|age| age > SHOWN_AFTER_END.as_secs())
    }

    pub(super) fn age(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.started))
    }

    fn note_end(&mut self) {
        if matches!(self.state, Progress::Done | Progress::Failed) {
            self.ended.get_or_insert_with(now);
        }
    }

    pub(super) fn state_word(&self) -> &'static str {
        match self.state {
            Progress::Waiting => "waiting",
            Progress::Running => "running",
            Progress::Done => "done",
            Progress::Failed => "failed",
        }
    }

    /// What `cat` shows of it, one fact a line.
    pub(super) fn as_lines(&self) -> String {
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
            line("url", archive.expose());
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

pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
