use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::drive::Drive;
use super::paging::{limit, marker_text, plain_marker};
use crate::call::Call;

/// The further drives begin here, the group drives after them.
const FIRST_OTHER: u32 = 1001;
const FIRST_GROUP: u32 = 5001;

/// The ids of the drives that hold nothing.
pub(crate) fn other_ids(drive: &Drive) -> Vec<String> {
    let knobs = drive.knobs.get();
    let others = (0..knobs.other_drives).map(|index| FIRST_OTHER + index);
    let groups = (0..knobs.group_drives).map(|index| FIRST_GROUP + index);
    others.chain(groups).map(|id| id.to_string()).collect()
}

/// `drive/list_my_drives` and, for administrators, `drive/list`
pub(crate) fn mine(drive: &Drive, call: &Call) -> Outcome {
    let others = drive.knobs.get().other_drives;
    let others = (0..others).map(|index| (FIRST_OTHER + index).to_string());
    let ids = std::iter::once(drive.drive_id.clone()).chain(others);
    page(drive, call, ids.collect())
}

/// `drive/list_my_group_drive`
pub(crate) fn groups(drive: &Drive, call: &Call) -> Outcome {
    let count = drive.knobs.get().group_drives;
    let ids = (0..count).map(|index| (FIRST_GROUP + index).to_string());
    page(drive, call, ids.collect())
}

/// `drive/get`
pub(crate) fn get(drive: &Drive, call: &Call) -> Outcome {
    drive.names_the_tree(call)?;
    Ok(drive_item(drive, call.text("drive_id").unwrap_or_default()))
}

/// `drive/get_default_drive`
pub(crate) fn default(drive: &Drive) -> Outcome {
    Ok(drive_item(drive, &drive.drive_id))
}

/// `domain/get_quota`
pub(crate) fn quota(drive: &Drive) -> Outcome {
    let knobs = drive.knobs.get();
    Ok(json!({
        "size_quota": knobs.size(knobs.total_size),
        "size_used": knobs.size(used(drive)),
        "user_count_quota": 50,
        "user_count_used": 3,
    }))
}

/// `user/get`
pub(crate) fn user(drive: &Drive, call: &Call) -> Outcome {
    let credentials = &drive.accounts.credentials;
    let asked = call.text("user_id").unwrap_or(&credentials.user_id);
    if asked != credentials.user_id {
        return Err(Failure::gone("User"));
    }
    Ok(json!({
        "domain_id": drive.domain,
        "user_id": credentials.user_id,
        "user_name": credentials.user_name,
        "nick_name": credentials.user_name,
        "avatar": "", "email": "lin@example.test", "phone": "",
        "role": "user", "status": "enabled",
        "default_drive_id": drive.knobs.get().drive_id(&drive.drive_id),
        "created_at": "2025-11-02T03:04:05.000Z",
        "updated_at": "2025-11-02T03:04:05.000Z",
    }))
}

fn page(drive: &Drive, call: &Call, ids: Vec<String>) -> Outcome {
    let knobs = drive.knobs.get();
    let limit = limit(call, 100, 100)?;
    let start = plain_marker(call)?;
    let end = ids.len().min(start + limit);
    let items = ids.get(start..end).unwrap_or_default();
    let items: Vec<Value> = items.iter().map(|id| drive_item(drive, id)).collect();
    let next = if end < ids.len() {
        marker_text(end)
    } else {
        String::new()
    };
    Ok(json!({"items": items, "next_marker": knobs.maybe(&next)}))
}

fn drive_item(drive: &Drive, id: &str) -> Value {
    let knobs = drive.knobs.get();
    let has_tree = id == drive.drive_id;
    let is_group = id.parse().is_ok_and(|id: u32| id >= FIRST_GROUP) && !has_tree;
    let used = if has_tree { used(drive) } else { 0 };
    json!({
        "domain_id": drive.domain,
        "drive_id": knobs.drive_id(id),
        "drive_name": if has_tree { "Default".into() } else { format!("Drive {id}") },
        "drive_type": "normal",
        "owner": if is_group { "g100" } else { &drive.accounts.credentials.user_id },
        "owner_type": if is_group { "group" } else { "user" },
        "creator": "system",
        "description": "",
        "status": "enabled",
        "total_size": knobs.size(knobs.total_size),
        "used_size": knobs.size(used),
        "created_at": "2025-11-02T03:04:05.000Z",
    })
}

fn used(drive: &Drive) -> u64 {
    let used = drive.knobs.get().used_bytes;
    used.unwrap_or_else(|| drive.cloud.tree.total_size())
}
