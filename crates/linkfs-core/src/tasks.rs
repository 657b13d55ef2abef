//! Work that a drive does on its own: saving or packing what somebody shared. Each task is followed until it ends,
//! and kept in a folder of its own so that the next mount follows it too.

mod record;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError, Receiving, Task, TaskId};
use tokio::time::Instant;

use crate::admission::BACKGROUND;
use crate::drive::Ask;
use crate::tree::Tree;
use crate::{Drive, Error, Result, private_file};

pub(crate) use record::{TaskKind, TaskRecord};

/// The first and the longest pause between two looks at a task: drives take seconds for little and hours for much.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// A task that has not ended by then never does.
const LONGEST_WORK: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tasks of all drives, by their names.
#[derive(Debug)]
pub(crate) struct Tasks {
    known: Mutex<BTreeMap<String, TaskRecord>>,
    directory: Option<PathBuf>,
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

    /// Follows every task of which there is more to be learned. Needs a runtime.
    pub(crate) fn follow_all(self: &Arc<Self>, drives: &[Arc<Drive>], tree: &Arc<Tree>) {
        let open: Vec<_> = self
            .lock()
            .iter()
            .filter(|(_, record)| record.is_open())
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
        self.shown().keys().cloned().collect()
    }

    /// What is known of a task, as lines.
    pub(crate) fn show(&self, name: &str) -> Option<String> {
        self.shown().get(name).map(TaskRecord::as_lines)
    }

    /// Its state and progress, as words of an answer.
    pub(crate) fn summary(&self, name: &str) -> Option<String> {
        let known = self.shown();
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
            while tasks.look(&name, &drive, &tree).await == Outlook::GoesOn {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Asks the drive how far a task is.
    async fn look(&self, name: &str, drive: &Drive, tree: &Tree) -> Outlook {
        let Some(before) = self.lock().get(name).cloned() else {
            return Outlook::Ended;
        };
        let mut record = before.clone();
        let outlook = match ask(drive, &record.id).await {
            Ok(seen) => {
                record.update(seen);
                match record.ended {
                    Some(_) => Outlook::Ended,
                    None => Outlook::GoesOn,
                }
            }
            Err(error) if is_final(&error) => {
                // Of one that has ended it is no news that the drive forgets it.
                if record.ended.is_none() {
                    record.fail(&error.to_string());
                }
                Outlook::Ended
            }
            Err(error) => {
                tracing::debug!(task = name, %error, "cannot look at a task");
                Outlook::GoesOn
            }
        };
        let outlook = match outlook {
            Outlook::GoesOn if record.age() > LONGEST_WORK => {
                record.fail("it did not end within a week");
                Outlook::Ended
            }
            outlook => outlook,
        };
        // Before anybody can see that it has ended: who looks then must find what it brought.
        if outlook == Outlook::Ended && !show_what_came(&record, drive, tree).await {
            return Outlook::GoesOn;
        }
        if record != before {
            self.lock().insert(name.to_owned(), record);
            self.keep(name);
        }
        outlook
    }

    /// Writes a task down for the next mount. One that cannot be is followed by this one alone.
    fn keep(&self, name: &str) {
        let Some(directory) = &self.directory else {
            return;
        };
        let record = self.lock().get(name).cloned();
        let path = path_of(directory, name);
        let written = record.map_or(Ok(()), |record| write(&path, &record));
        if let Err(error) = written {
            tracing::warn!(task = name, %error, "cannot keep a task for the next mount");
        }
    }

    /// All tasks but those that ended long ago, which are forgotten.
    fn shown(&self) -> MutexGuard<'_, BTreeMap<String, TaskRecord>> {
        let mut known = self.lock();
        let old = known.extract_if(.., |_, record| record.ended_long_ago());
        for (name, _) in old {
            if let Some(directory) = &self.directory {
                let _another_mount_was_first = fs::remove_file(path_of(directory, &name));
            }
        }
        known
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

/// Whether a task is worth another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlook {
    GoesOn,
    Ended,
}

async fn ask(drive: &Drive, task: &TaskId) -> Result<Task> {
    let receiving = receiving(drive)?;
    let deadline = Instant::now() + PATIENCE;
    let how = Ask {
        urgency: &BACKGROUND,
        ..drive.usual("look at a task", deadline)
    };
    drive.ask(how, || receiving.task(task)).await
}

/// Whether a task is lost; whatever else the drive says may pass.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Drive(error) => {
            matches!(error.kind, ErrorKind::NotFound | ErrorKind::Unsupported)
        }
        _ => false,
    }
}

/// Has what a task saved shown in its folder. Gives whether that is worth no further try.
async fn show_what_came(record: &TaskRecord, drive: &Drive, tree: &Tree) -> bool {
    let Some(folder) = &record.folder else {
        return true;
    };
    match tree.refresh_item(drive, folder).await {
        Err(error) if error.is_passing() && record.age() <= LONGEST_WORK => false,
        Err(error) => {
            tracing::warn!(%error, "cannot list the folder that a task saved into");
            true
        }
        Ok(()) => true,
    }
}

/// The tasks in a folder. What is no task is left alone.
fn read_all(directory: &Path) -> Vec<TaskRecord> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut records = Vec::new();
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        match read(&path) {
            Ok(record) => records.push(record),
            Err(error) => tracing::warn!(path = %path.display(), %error, "this is no task"),
        }
    }
    records
}

fn path_of(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.json"))
}

fn read(path: &Path) -> io::Result<TaskRecord> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn write(path: &Path, record: &TaskRecord) -> io::Result<()> {
    private_file::replace(path, &serde_json::to_vec_pretty(record)?)
}

#[cfg(test)]
mod tests;
