use serde_json::{Value, json};

use super::answer::{Failure, put};
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::files::{item, type_code};
use super::knobs::{ArrayShape, Knobs};
use super::paging::{Cursor, Page, PageRequest};
use crate::faults::Strike;
use crate::{Action, Node};

/// Codes of `fileType` that show as folders; a smart folder's content is not listed.
const SMART_FOLDER: u32 = 11;

/// `POST files/{type}` and `POST files/{groupId}/{type}`
pub(crate) fn list(
    drive: &Drive,
    call: &Call,
    kind: &str,
    group: Option<&str>,
    strikes: &[Strike],
) -> Outcome {
    drive.check_container(call.text("containerId"))?;
    check_group(drive, call, group)?;
    let knobs = drive.knobs.get();
    let request = PageRequest::read(call, &knobs)?;
    let mut page = match kind {
        "0" => folder_page(drive, call, &request, &knobs)?,
        "1" => {
            let all = drive.cloud.tree.all().into_iter();
            Page::of_nodes(all.filter(|node| node.recycled), &request, &knobs)
        }
        _ => return Err(Failure::parameter("type")),
    };
    let asked_with = call.text("pageInfo.pageCursor").unwrap_or_default();
    let mut next = cursor_text(page.next.as_ref());
    for strike in strikes {
        match strike.action {
            Action::RepeatCursor if !asked_with.is_empty() => next = asked_with.into(),
            Action::EmptyPageWithCursor => {
                page.nodes.clear();
                next = place_before(asked_with);
            }
            _ => {}
        }
    }
    let items = page
        .nodes
        .iter()
        .map(|node| item(drive, &knobs, node))
        .collect();
    Ok(wrap(&knobs, items, next))
}

/// The text of a cursor; empty at the end.
pub(crate) fn cursor_text(cursor: Option<&Cursor>) -> String {
    cursor.map(Cursor::encode).unwrap_or_default()
}

fn check_group(drive: &Drive, call: &Call, group: Option<&str>) -> Result<(), Failure> {
    let team_type = call.query("team_type").unwrap_or_default();
    match (group, drive.space.group.as_deref()) {
        (Some(asked), Some(group)) if asked == group && ["0", "2"].contains(&&*team_type) => Ok(()),
        (Some(asked), Some(group)) if asked == group => Err(Failure::parameter("team_type")),
        (None, None) => Ok(()),
        _ => Err(Failure::new(13_000_410, "no permission on the space")),
    }
}

fn folder_page(
    drive: &Drive,
    call: &Call,
    request: &PageRequest,
    knobs: &Knobs,
) -> Result<Page, Failure> {
    let parent = call
        .text("parentFileId")
        .ok_or_else(|| Failure::parameter("parentFileId"))?;
    if parent == "sbox" {
        return Ok(Page {
            nodes: Vec::new(),
            next: None,
        });
    }
    let folder = drive.living_node(parent)?;
    if folder.recycled {
        return Err(Failure::new(13_000_404, "parent is in the recycle bin"));
    }
    if !folder.is_folder() || folder.type_code == Some(SMART_FOLDER) {
        return Err(Failure::parameter("parentFileId"));
    }
    let type_filter = call.number("fileType");
    let name_filter = call.text("fileName").unwrap_or_default();
    let wanted = |node: &Node| {
        (knobs.lists_recycled || !node.recycled)
            && type_filter.is_none_or(|code| code == u64::from(type_code(node)))
            && node.name.contains(name_filter)
    };
    Ok(Page::of_folder(
        &drive.cloud.tree,
        &folder.id,
        request,
        knobs,
        wanted,
    ))
}

/// A cursor that goes on where the page that was asked for begins.
fn place_before(asked_with: &str) -> String {
    match Cursor::decode(asked_with) {
        Some(cursor) => cursor.respelled().encode(),
        None => Cursor::start().encode(),
    }
}

fn wrap(knobs: &Knobs, items: Vec<Value>, next: String) -> Value {
    let mut body = json!({"category": "drive#fileList"});
    let place = match knobs.list_array {
        ArrayShape::Files => "files",
        ArrayShape::FileList => "fileList",
        ArrayShape::DataFiles => "data.files",
        ArrayShape::DataFileList => "data.fileList",
        ArrayShape::Data => "data",
    };
    put(&mut body, place, Value::Array(items));
    if !next.is_empty() || knobs.ends_with_empty_cursor {
        // A cursor below `data` would take the place of items that are `data` itself.
        let is_in_the_way =
            knobs.list_array == ArrayShape::Data && knobs.list_cursor.starts_with("data");
        let place = if is_in_the_way {
            "nextCursor"
        } else {
            &knobs.list_cursor
        };
        put(&mut body, place, json!(next));
    }
    body
}
