use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::knobs::Knobs;
use super::listing::cursor_text;
use super::paging::{Page, PageRequest};
use super::share_visits::Place;
use crate::clock::json_date;
use crate::mime::suffix;
use crate::{Node, ROOT_ID};

/// `POST files/{fileId}/detail`
pub(crate) fn detail(drive: &Drive, call: &Call, file: &str) -> Outcome {
    Place::of(drive, call)?.check(drive, file)?;
    let node = drive.living_node(file)?;
    let knobs = drive.knobs.get();
    let item = item(drive, &knobs, &node);
    Ok(if knobs.detail_under_data {
        json!({"data": item})
    } else {
        item
    })
}

/// `GET files/path`
pub(crate) fn path(drive: &Drive, call: &Call) -> Outcome {
    drive.check_container(call.query("containerId").as_deref())?;
    let id = call
        .query("fileId")
        .ok_or_else(|| Failure::parameter("fileId"))?;
    let (ids, names) = paths(drive, &drive.living_node(&id)?.id);
    Ok(json!({"fileIdPath": ids, "namePath": names}))
}

/// `POST files/search`: names that contain the key word, anywhere in the space.
pub(crate) fn search(drive: &Drive, call: &Call) -> Outcome {
    drive.check_container(call.text("containerId"))?;
    let knobs = drive.knobs.get();
    let word = call
        .text("fileName")
        .or(call.text("keyword"))
        .unwrap_or_default()
        .to_lowercase();
    let request = PageRequest::read(call, &knobs)?;
    let mut found = drive.cloud.tree.all();
    found.retain(|node| {
        node.name.to_lowercase().contains(&word) && drive.usable_node(&node.id).is_ok()
    });
    let total = found.len();
    let page = Page::of_nodes(found.into_iter(), &request, &knobs);
    let files: Vec<Value> = page
        .nodes
        .iter()
        .map(|node| found_item(drive, node))
        .collect();
    Ok(json!({"files": files, "total": total, "nextPageCursor": cursor_text(page.next.as_ref())}))
}

/// An item of a listing or a detail answer.
pub(crate) fn item(drive: &Drive, knobs: &Knobs, node: &Arc<Node>) -> Value {
    let parent = match node.parent.as_deref() {
        Some(ROOT_ID) if !knobs.names_root_id => "root",
        Some(parent) => parent,
        None => "",
    };
    let size = node.listed_size.unwrap_or_else(|| node.size());
    let size = if knobs.sizes_are_text {
        json!(size.to_string())
    } else {
        json!(size)
    };
    let mut item = json!({
        "id": node.id,
        "fileName": node.name,
        "fileType": type_code(node).to_string(),
        "mimeType": node.mime,
        "category": "drive#file",
        "size": size,
        "createdTime": time(knobs, node.created),
        "editedTime": time(knobs, node.modified),
        "parentFolder": if parent.is_empty() { json!([]) } else { json!([parent]) },
        "containers": [drive.space.container],
        "recycled": node.recycled,
        "favorite": false,
        "owners": [{"userId": drive.accounts.credentials.user_id}],
    });
    if !node.is_folder() {
        item["fileSuffix"] = json!(suffix(&node.name));
    }
    item
}

/// The answer of a call on files, as the knobs want it.
pub(crate) fn answer(knobs: &Knobs, outcome: Outcome) -> Answer {
    match outcome {
        Err(failure) => failure.answer(knobs.failure_status),
        Ok(fields) if knobs.omits_code => Answer::json(&fields),
        Ok(fields) if knobs.code_is_text => {
            let mut body = json!({"code": "0", "msg": "success"});
            super::answer::extend(&mut body, fields);
            Answer::json(&body)
        }
        Ok(fields) => Answer::success(fields),
    }
}

/// The documented code of a file's type.
pub(crate) fn type_code(node: &Node) -> u32 {
    if let Some(code) = node.type_code {
        return code;
    }
    if node.is_folder() {
        return 10;
    }
    match suffix(&node.name).to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" | "png" | "gif" | "svg" => 15,
        "mp4" | "mkv" | "mov" => 20,
        "doc" | "docx" => 26,
        "xls" | "xlsx" | "csv" => 27,
        "ppt" | "pptx" => 28,
        "mp3" | "wav" | "flac" => 30,
        "zip" | "gz" | "tgz" | "rar" | "7z" => 35,
        "apk" | "exe" => 40,
        _ => 45,
    }
}

/// Searches say sizes as text and have fields of their own.
fn found_item(drive: &Drive, node: &Arc<Node>) -> Value {
    let (ids, names) = paths(drive, &node.id);
    json!({
        "id": node.id,
        "fileName": node.name,
        "fileSuffix": suffix(&node.name),
        "fileType": type_code(node).to_string(),
        "size": node.size().to_string(),
        "updateTime": json_date(node.modified),
        "namePath": names,
        "idPath": ids,
        "containerId": drive.space.container,
        "containerType": "1",
        "favorite": false,
    })
}

fn paths(drive: &Drive, id: &str) -> (String, String) {
    let mut ids = format!("/{ROOT_ID}");
    let mut names = String::from("/My space");
    for node in drive.cloud.tree.ancestry(id) {
        ids = format!("{ids}/{}", node.id);
        names = format!("{names}/{}", node.name);
    }
    (ids, names)
}

fn time(knobs: &Knobs, at: Timestamp) -> Value {
    if knobs.times_in_ms {
        return json!(at.as_millisecond());
    }
    json!(json_date(at))
}
