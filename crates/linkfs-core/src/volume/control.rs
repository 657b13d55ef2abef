//! The files of the control folder, and what commands do.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use linkfs_provider::{ErrorKind, ItemId, Process, ProviderError, Received};
use tokio::time::Instant;

use super::Volume;
use crate::admission::FOREGROUND;
use crate::control::{Command, Console, HELP, TakeShare, metrics, misread_path};
use crate::drive::{Ask, Repeat};
use crate::node::{Node, NodeId, What};
use crate::open_file::{Handle, HandleId};
use crate::sharing::{self, Caller, OpenShares, SetMode, Target};
use crate::tasks::{TaskKind, TaskRecord, receiving};
use crate::{Drive, Error, NameKeeper, Result};

/// How long taking what somebody shared may take, up to the start of the task.
const DEADLINE: Duration = Duration::from_secs(120);
/// How long one call of that may take: the whole top of a share is read, page by page.
const CALL_TIME: Duration = Duration::from_secs(45);

/// What is answered when requests about shares are only rehearsed.
const REHEARSED: &str = "ok dry_run";

impl Volume {
    /// What opening a file of the control folder gives; nothing for any other.
    pub(super) fn open_control(&self, node: &Node) -> Result<Option<Handle>> {
        let text = match &node.what {
            What::Status => self.status_text(),
            What::Metrics => metrics(&self.status()),
            What::Share { drive, share } => sharing::share_text(drive.name(), share),
            What::Task(name) => {
                let shown = self.tasks.show(name);
                shown.ok_or_else(|| Error::Stale("the task is gone".into()))?
            }
            What::Console => return Ok(Some(Handle::Console(Arc::default()))),
            _ => return Ok(None),
        };
        Ok(Some(Handle::Text(Bytes::from(text))))
    }

    pub(super) fn task_nodes(&self) -> Vec<Arc<Node>> {
        let names = self.tasks.names();
        let nodes = self.tree.nodes();
        names.iter().map(|name| nodes.put_task(name)).collect()
    }

    pub(super) fn task_file(&self, name: &str) -> Result<Arc<Node>> {
        let is_known = self.tasks.show(name).is_some();
        let node = is_known.then(|| self.tree.nodes().put_task(name));
        node.ok_or(Error::NotFound)
    }

    /// From now on `keeper` is told of names that changed before their time was over. There is one.
    pub fn tell_of_changes(&self, keeper: Arc<dyn NameKeeper>) {
        self.tree.tell(keeper);
    }

    /// Whether commands are written to a node.
    pub fn is_console(&self, node: NodeId) -> bool {
        node == NodeId::CONSOLE
    }

    /// Runs commands, one a line, up to the first that fails. Their answers wait on the same handle: `ok ...`, or
    /// `error` with the name that `name_of` gives a failure, and what it was in words.
    ///
    /// # Errors
    /// `ReadOnly` for what is no console, and why a command failed.
    pub async fn write(
        &self,
        handle: HandleId,
        data: &[u8],
        caller: &Caller,
        name_of: fn(&Error) -> &'static str,
    ) -> Result<()> {
        let Handle::Console(console) = self.handles.get(handle)? else {
            return Err(Error::ReadOnly);
        };
        let last_start = Instant::now() + DEADLINE;
        for line in console.lines(data) {
            let result = match Instant::now() < last_start {
                true => self.run_command(&line, &console, caller).await,
                // Whoever writes can be woken by nothing else.
                false => Err(too_many()),
            };
            match &result {
                Ok(answer) => console.answer(answer),
                Err(error) => {
                    let (name, what) = (name_of(error), error.to_string());
                    console.answer(&format!("error {name} {}", what.replace('\n', " ")));
                }
            }
            self.note_share(NodeId::CONSOLE, result.map(drop))?;
        }
        Ok(())
    }

    async fn run_command(&self, line: &[u8], console: &Console, caller: &Caller) -> Result<String> {
        match Command::parse(line)? {
            Command::Help => Ok(format!("{HELP}\nok")),
            Command::Share { terms, paths } => {
                let terms = terms.expose().as_bytes();
                self.share_paths(terms, &paths, caller).await
            }
            Command::Unshare { path } => {
                let target = self.target_at(&path).await?;
                self.sharer.remove(&target, caller).await?;
                Ok(match self.sharer.only_rehearses() {
                    true => REHEARSED.into(),
                    false => "ok".into(),
                })
            }
            Command::Shares => self.list_shares(console).await,
            Command::Refresh { path } => {
                let folder = self.node_at(&path).await?;
                self.tree.refresh(&folder).await?;
                Ok("ok".into())
            }
            Command::Save(take) => self.save(&take).await,
            Command::Pack(take, name) => self.pack(&take, &name).await,
            Command::Task { name } => {
                let summary = self.tasks.summary(&name).ok_or(Error::NotFound)?;
                Ok(format!("ok {summary}"))
            }
            Command::Reload { drive } => {
                let drive = self.drive_called(&drive)?;
                process_of(drive)?.reload().await?;
                Ok("ok".into())
            }
            Command::Restart { drive } => {
                let drive = self.drive_called(&drive)?;
                process_of(drive)?.restart().await?;
                Ok("ok".into())
            }
        }
    }

    async fn share_paths(&self, terms: &[u8], paths: &[String], caller: &Caller) -> Result<String> {
        let mut targets = Vec::with_capacity(paths.len());
        let mut seen = HashSet::new();
        for path in paths {
            let target = self.target_at(path).await.map_err(|error| match error {
                Error::NotFound => misread_path(path).unwrap_or(Error::NotFound),
                other => other,
            })?;
            // Several spellings may name one file.
            if seen.insert((target.drive.name().to_owned(), target.item.clone())) {
                targets.push(target);
            }
        }
        let share = match targets.as_slice() {
            [only] => {
                self.sharer.set(only, terms, SetMode::Any, caller).await?;
                self.sharer.open_share(only)
            }
            several => self.sharer.share_together(several, terms, caller).await?,
        };
        Ok(match share {
            _ if self.sharer.only_rehearses() => REHEARSED.into(),
            Some(share) => format!("ok {}", sharing::share_words(&share)),
            // Somebody has revoked it by now.
            None => "ok".into(),
        })
    }

    /// Those that are known are told in any case, before a drive that cannot tell fails the command.
    async fn list_shares(&self, console: &Console) -> Result<String> {
        let OpenShares { files, failure } = self.open_shares().await;
        let lines = files.iter().filter_map(|file| match &file.what {
            What::Share { share, .. } => Some(format!(
                "share {} {}\n",
                sharing::share_words(share),
                file.name
            )),
            _ => None,
        });
        let lines: String = lines.collect();
        match failure {
            None => Ok(format!("{lines}ok {}", files.len())),
            Some(failure) => {
                if !lines.is_empty() {
                    console.answer(&lines);
                }
                Err(failure)
            }
        }
    }

    async fn save(&self, take: &TakeShare) -> Result<String> {
        let (drive, folder) = self.folder_at(&take.folder).await?;
        let deadline = Instant::now() + DEADLINE;
        let (received, items) = accept(&drive, take, deadline).await?;
        let receiving = receiving(&drive)?;
        let save = || receiving.save(&received, &items, &folder);
        let id = drive.ask(once("save a share", deadline), save).await?;
        let about = take.folder.clone();
        let record = TaskRecord::new(TaskKind::Save, &drive, id, Some(folder), about);
        let name = self.tasks.begin(record, &drive, &self.tree);
        Ok(format!("ok task={name}"))
    }

    async fn pack(&self, take: &TakeShare, name: &str) -> Result<String> {
        let (drive, _folder) = self.folder_at(&take.folder).await?;
        let deadline = Instant::now() + DEADLINE;
        let (received, items) = accept(&drive, take, deadline).await?;
        let receiving = receiving(&drive)?;
        let pack = || receiving.pack(&received, &items, name);
        let id = drive.ask(once("pack a share", deadline), pack).await?;
        let record = TaskRecord::new(TaskKind::Pack, &drive, id, None, name.to_owned());
        let name = self.tasks.begin(record, &drive, &self.tree);
        Ok(format!("ok task={name}"))
    }

    /// The drive with that name; the only one for no name.
    fn drive_called(&self, name: &str) -> Result<&Arc<Drive>> {
        match (name, self.drives.as_slice()) {
            ("", [only]) => Ok(only),
            ("", _) => Err(Error::BadCommand("expected the name of a drive".into())),
            (name, drives) => {
                let found = drives.iter().find(|drive| drive.name() == name);
                found.ok_or(Error::NotFound)
            }
        }
    }

    /// The node at a path as it is written in a command, with or without a slash before it.
    async fn node_at(&self, path: &str) -> Result<Arc<Node>> {
        let found = self.resolve(Path::new(path)).await?;
        self.tree.node(found.id)
    }

    async fn target_at(&self, path: &str) -> Result<Target> {
        let node = self.node_at(path).await?;
        self.target_to_share(node.id)
    }

    async fn folder_at(&self, path: &str) -> Result<(Arc<Drive>, ItemId)> {
        let node = self.node_at(path).await?;
        let (drive, item) = node.item().ok_or_else(|| {
            Error::BadCommand("that is on no drive; expected a folder of a drive".into())
        })?;
        match item.is_folder() {
            true => Ok((drive.clone(), item.id.clone())),
            false => Err(Error::NotAFolder),
        }
    }
}

fn process_of(drive: &Drive) -> Result<&dyn Process> {
    let process = drive.provider().process();
    process.ok_or_else(|| {
        let message = "the drive's plugin is no process of its own (in_process = true)";
        ProviderError::new(ErrorKind::Unsupported, message).into()
    })
}

fn too_many() -> Error {
    let message = "the commands before it in this write took too long; write the rest again";
    ProviderError::new(ErrorKind::RateLimited, message).into()
}

/// Opens what somebody shared, and names all that it holds.
async fn accept(
    drive: &Drive,
    take: &TakeShare,
    deadline: Instant,
) -> Result<(Received, Vec<ItemId>)> {
    let receiving = receiving(drive)?;
    let accept = || receiving.accept(&take.url, take.password.as_ref());
    let how = Ask {
        repeat: Repeat::Always,
        ..once("open a share", deadline)
    };
    let received = drive.ask(how, accept).await?;
    let items: Vec<_> = received.top.iter().map(|item| item.id.clone()).collect();
    match items.is_empty() {
        true => Err(Error::BadTerms("there is nothing in that share".into())),
        false => Ok((received, items)),
    }
}

/// A call that begins something: an answer that was lost must not begin it twice.
fn once(what: &str, deadline: Instant) -> Ask<'_> {
    Ask {
        what,
        deadline,
        outage_ends: deadline,
        patience: CALL_TIME,
        repeat: Repeat::WhenNotDone,
        urgency: &FOREGROUND,
    }
}
