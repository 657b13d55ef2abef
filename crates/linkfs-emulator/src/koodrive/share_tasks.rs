use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Failure;
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::share_visits::check_inside;
use crate::{Content, NewNode, ROOT_ID, Tree};

const FILES_MAX: usize = 1000;
const PACK: u64 = 1;
const SAVE: u64 = 2;

/// Packing a share's files into an archive, or saving them to the user's own space.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    kind: u64,
    share: u64,
    files: Vec<String>,
    /// The folder to save to.
    target: Option<String>,
    created: Timestamp,
    /// Status questions it was asked; it moves on with each.
    questions: u32,
    ended: Option<Timestamp>,
    /// For each file whether it was there when the task came to it.
    done: Vec<bool>,
    new_ids: Vec<String>,
    url: String,
}

/// `POST share/tasks`
pub(crate) fn start(drive: &Drive, call: &Call) -> Outcome {
    if drive.knobs.get().requires_task_headers {
        let mut names = ["x-user-id", "x-date", "x-hw-agentname"].into_iter();
        if let Some(missing) = names.find(|name| call.header(name).is_none()) {
            return Err(Failure::parameter(missing));
        }
    }
    let kind = call
        .number("taskType")
        .filter(|kind| [PACK, SAVE].contains(kind));
    let kind = kind.ok_or_else(|| Failure::parameter("taskType"))?;
    let files = call.texts("fileIds");
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(Failure::parameter("fileIds"));
    }
    if kind == PACK && call.text("zipName").is_none_or(str::is_empty) {
        return Err(Failure::parameter("zipName"));
    }
    let target = if kind == SAVE {
        Some(read_target(drive, call)?)
    } else {
        None
    };
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = shared(&mut pages, call)?;
    share.check_visit(call.text("kdstoken"), now)?;
    share.check_container(call.text("containerId"))?;
    files
        .iter()
        .try_for_each(|id| check_inside(drive, &share.files, id))?;
    let share = share.number;
    let task = Task {
        kind,
        share,
        files,
        target,
        created: now,
        questions: 0,
        ended: None,
        done: Vec::new(),
        new_ids: Vec::new(),
        url: String::new(),
    };
    let number = pages.next_task();
    pages.tasks.insert(number, task);
    Ok(json!({"msg": "Success", "taskId": number.to_string()}))
}

/// `POST share/taskDetail`: each question moves the task on, from waiting over running to done
pub(crate) fn detail(drive: &Drive, call: &Call) -> Outcome {
    let steps = drive.knobs.get().task_steps;
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = shared(&mut pages, call)?.number;
    let number = call
        .number("taskId")
        .ok_or_else(|| Failure::parameter("taskId"))?;
    let task = pages
        .tasks
        .get_mut(&number)
        .filter(|task| task.share == share);
    let task = task.ok_or_else(Failure::gone)?;
    task.questions += 1;
    if task.questions >= steps && task.ended.is_none() {
        task.finish(drive, number, now);
    }
    let kind = task.kind;
    let has_just_ended = task.ended == Some(now) && task.questions == steps.max(1);
    let body = task.describe(drive, number, steps);
    if has_just_ended {
        let share = pages
            .shares
            .get_mut(&share)
            .expect("a task's share stays in the book");
        share.saves += u64::from(kind == SAVE);
        share.downloads += u64::from(kind == PACK);
    }
    Ok(body)
}

fn shared<'a>(
    pages: &'a mut super::share_book::Pages,
    call: &Call,
) -> Result<&'a mut super::share_book::Share, Failure> {
    let number = call
        .number("shareId")
        .ok_or_else(|| Failure::parameter("shareId"))?;
    pages.share(number)
}

fn read_target(drive: &Drive, call: &Call) -> Result<String, Failure> {
    let id = call
        .text("targetFileId.fileId")
        .ok_or_else(|| Failure::parameter("targetFileId"))?;
    drive.check_container(call.text("targetFileId.containerId"))?;
    let folder = drive.usable_node(id)?;
    if !folder.is_folder() {
        return Err(Failure::new(13_000_304, "target folder abnormal"));
    }
    Ok(folder.id.clone())
}

impl Task {
    fn finish(&mut self, drive: &Drive, number: u64, now: Timestamp) {
        let tree = &drive.cloud.tree;
        let is_there = |id: &String| drive.usable_node(id).is_ok();
        self.done = self.files.iter().map(is_there).collect();
        let there = self.files.iter().filter(|id| is_there(id));
        match &self.target {
            Some(target) => {
                let saved = self.files.iter().map(|id| match is_there(id) {
                    true => copy(tree, id, target),
                    false => String::new(),
                });
                self.new_ids = saved.collect();
            }
            None if !self.done.contains(&true) => {}
            None => {
                let sizes = there.filter_map(|id| Some(tree.node(id)?.size()));
                let content = Content::Generated {
                    seed: number,
                    size: sizes.sum(),
                };
                self.url = drive
                    .store
                    .link_to_loose(&format!("zip\n{number}"), content);
            }
        }
        self.ended = Some(now);
    }

    /// 1 all files, 2 some, 3 none.
    fn result(&self) -> u64 {
        match (self.done.contains(&true), self.done.contains(&false)) {
            (true, false) => 1,
            (true, true) => 2,
            (false, _) => 3,
        }
    }

    fn describe(&self, drive: &Drive, number: u64, steps: u32) -> Value {
        let is_done = self.ended.is_some();
        let status = match (is_done, self.questions) {
            (true, _) => 2,
            (false, 1) => 0,
            (false, _) => 1,
        };
        let progress = if is_done {
            100
        } else {
            100 * self.questions / steps.max(1)
        };
        let mut info = json!({
            "userId": drive.accounts.credentials.user_id,
            "taskId": number.to_string(),
            "taskType": self.kind,
            "taskStatus": status,
            "createTime": compact(self.created),
            "startTime": compact(self.created),
            "progress": progress,
        });
        if let Some(ended) = self.ended {
            info["taskResultCode"] = json!(self.result());
            info["endTime"] = json!(compact(ended));
            info["downloadUrl"] = json!(self.url);
        }
        let files = self.files.iter().enumerate().map(|(index, id)| {
            let new_id = self.new_ids.get(index).map_or("", String::as_str);
            // The documents give no status to what failed: here it never begins.
            let is_failed = self.done.get(index) == Some(&false);
            let status = if is_failed { 0 } else { status };
            json!({"fileId": id, "status": status.to_string(), "newFileId": new_id,
                "srcContainerId": drive.space.container})
        });
        json!({"jobInfo": info, "taskInfos": files.collect::<Vec<_>>()})
    }
}

/// Copies a file, or a folder with all it holds; gives the new id, empty for what is gone.
fn copy(tree: &Tree, id: &str, target: &str) -> String {
    let Some(node) = tree.node(id) else {
        return String::new();
    };
    // Taken before anything is added, so that a folder copied into itself ends.
    let children = tree.children(id);
    let new_id = tree.add(NewNode {
        parent: if target == "root" {
            ROOT_ID.into()
        } else {
            target.into()
        },
        name: node.name.clone(),
        content: node.content.clone(),
        type_code: node.type_code,
        ..NewNode::default()
    });
    for child in children.iter().filter(|child| !child.recycled) {
        copy(tree, &child.id, &new_id);
    }
    new_id
}

fn compact(at: Timestamp) -> String {
    at.strftime("%Y%m%d%H%M%S").to_string()
}
