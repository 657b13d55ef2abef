//! What the drive tells of a task on a share's files.

use linkfs_provider::{
    ErrorKind, ProviderError, Result, ShareId, SignedUrl, Task, TaskId, TaskState,
};
use linkfs_provider_http::value;
use serde_json::{Map, Value};

use crate::envelope::Envelope;

/// How far a file of a task is that was done; the documents name 0, 1 and 2, and show 2 for it.
const FILE_DONE: &str = "2";

/// A task's name: the drive asks for its share as well.
pub(crate) fn id(share: &ShareId, task: &str) -> TaskId {
    TaskId(format!("{}/{task}", share.0))
}

/// The share and the drive's own name of a task.
///
/// # Errors
/// `NotFound` for what is no name of a task.
pub(crate) fn parts(task: &TaskId) -> Result<(ShareId, &str)> {
    let parts = task.0.split_once('/');
    let parts = parts.filter(|(share, task)| !share.is_empty() && !task.is_empty());
    let (share, task) = parts.ok_or_else(|| {
        let message = "this is no name of a task";
        ProviderError::new(ErrorKind::NotFound, message)
    })?;
    Ok((ShareId(share.to_owned()), task))
}

/// The task in an answer.
///
/// # Errors
/// `Broken` when the answer has none, or its state is unknown.
pub(crate) fn read(answer: &Envelope) -> Result<Task> {
    let info = answer.field("jobInfo").and_then(Value::as_object);
    let info = info.ok_or_else(|| broken("the answer has no task"))?;
    let state = state(info, answer)?;
    let url = value::text_of(info, "downloadUrl").map(SignedUrl::new);
    Ok(Task {
        progress: progress(info, &state),
        archive: url.transpose()?,
        state,
    })
}

fn state(info: &Map<String, Value>, answer: &Envelope) -> Result<TaskState> {
    let number = |name| info.get(name).and_then(value::count);
    match number("taskStatus") {
        Some(0) => Ok(TaskState::Waiting),
        Some(1) => Ok(TaskState::Running),
        Some(2) => Ok(match number("taskResultCode") {
            Some(2 | 3) => TaskState::Failed(failure(answer)),
            _ => TaskState::Done,
        }),
        Some(3) => Ok(TaskState::Failed("the task was cancelled".into())),
        _ => Err(broken("the task's state is unknown")),
    }
}

/// How many items a task has left undone, where the answer tells of each.
fn failure(answer: &Envelope) -> String {
    let items = answer.field("taskInfos").map_or(&[][..], value::elements);
    let items: Vec<_> = items.iter().filter_map(Value::as_object).collect();
    let is_failed =
        |item: &&&Map<String, Value>| value::text_of(item, "status").as_deref() != Some(FILE_DONE);
    match items.iter().filter(is_failed).count() {
        0 => "not all items could be taken".into(),
        failed => format!("{failed} of {} items failed", items.len()),
    }
}

fn progress(info: &Map<String, Value>, state: &TaskState) -> u8 {
    if *state == TaskState::Done {
        return 100;
    }
    let text = value::text_of(info, "progress").unwrap_or_default();
    let percent: f64 = text.trim_end_matches('%').trim().parse().unwrap_or(0.0);
    // A float becomes the nearest number there is.
    percent.min(100.0) as u8
}

fn broken(message: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn task(info: Value, items: Value) -> Result<Task> {
        let answer = json!({"code": 0, "jobInfo": info, "taskInfos": items});
        read(&Envelope::parse(answer.to_string().as_bytes()).unwrap())
    }

    fn check(info: Value, state: TaskState, progress: u8) {
        let read = task(info.clone(), json!([])).unwrap();
        assert_eq!((read.state, read.progress), (state, progress), "{info}");
    }

    #[test]
    fn a_task_of_the_documented_form_is_read() {
        let info = json!({"taskId": "1990000000000000777", "taskType": 1, "taskStatus": 2,
            "taskResultCode": 1, "progress": 100, "createTime": "20260105080910",
            "downloadUrl": "https://obs.data.example.test/zip/77?X-Amz-Signature=aa"});
        let items = json!([{"fileId": "Fq2Plan", "status": "2", "newFileId": ""}]);
        let read = task(info, items).unwrap();
        assert_eq!(read.state, TaskState::Done);
        assert_eq!(read.archive.unwrap().host(), "obs.data.example.test");
    }

    #[test]
    fn states_and_progress_may_be_text() {
        check(json!({"taskStatus": 0}), TaskState::Waiting, 0);
        check(
            json!({"taskStatus": "1", "progress": "50"}),
            TaskState::Running,
            50,
        );
        check(
            json!({"taskStatus": 1, "progress": "33.5%"}),
            TaskState::Running,
            33,
        );
        check(
            json!({"taskStatus": 1, "progress": 250}),
            TaskState::Running,
            100,
        );
        check(
            json!({"taskStatus": 2, "taskResultCode": "1"}),
            TaskState::Done,
            100,
        );
        let cancelled = TaskState::Failed("the task was cancelled".into());
        check(json!({"taskStatus": 3, "progress": 7}), cancelled, 7);
        for info in [json!({}), json!({"taskStatus": 9}), json!(null)] {
            assert_eq!(task(info, json!([])).unwrap_err().kind, ErrorKind::Broken);
        }
    }

    #[test]
    fn what_failed_is_counted() {
        let failed = |code: u8, items: Value| {
            let info = json!({"taskStatus": 2, "taskResultCode": code, "progress": 100});
            match task(info, items).unwrap().state {
                TaskState::Failed(why) => why,
                state => panic!("{state:?}"),
            }
        };
        let item = |status: &str| json!({"fileId": "a", "status": status});
        assert_eq!(
            failed(2, json!([item("2"), item("0"), item("2")])),
            "1 of 3 items failed"
        );
        assert_eq!(failed(3, item("1")), "1 of 1 items failed");
        assert_eq!(failed(3, json!(null)), "not all items could be taken");
    }

    #[test]
    fn a_task_is_named_with_its_share() {
        let task = id(&ShareId("7".into()), "8");
        assert_eq!(parts(&task).unwrap(), (ShareId("7".into()), "8"));
        for name in ["", "8", "/8", "7/"] {
            let error = parts(&TaskId(name.into())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::NotFound, "{name}");
        }
    }
}
