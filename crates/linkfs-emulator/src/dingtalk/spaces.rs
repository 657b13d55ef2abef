use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::dentry::{id_value, time};
use super::drive::Drive;
use super::knobs::{Knobs, QuotaShape};

/// When the space was made; it is not in the tree.
const CREATED: &str = "2025-11-02T03:04:00Z";

/// `GET drive/spaces`
pub(crate) fn of_org(drive: &Drive, call: &Call) -> Outcome {
    if call.query("spaceType").as_deref() != Some("org") {
        return Err(Failure::parameter("spaceType"));
    }
    let size = call.query("maxResults").and_then(|size| size.parse().ok());
    let max = drive.knobs.get().page_size_max;
    if !size.is_some_and(|size: usize| (1..=max).contains(&size)) {
        return Err(Failure::parameter("maxResults"));
    }
    Ok(json!({"spaces": [drive_space(drive, "org")], "nextToken": ""}))
}

/// `GET drive/mySpaces`
pub(crate) fn mine(drive: &Drive) -> Outcome {
    Ok(drive_space(drive, "personal"))
}

/// `GET storage/spaces/{spaceId}`
pub(crate) fn get(drive: &Drive, space: &str) -> Outcome {
    drive.check_space(space)?;
    let knobs = drive.knobs.get();
    let user = &drive.accounts.credentials.union_id;
    let mut space = json!({
        "id": id_value(&knobs, drive.space.id.clone()),
        "corpId": drive.space.corp,
        "name": "Team files",
        "ownerType": "USER",
        "ownerId": user,
        "status": "NORMAL",
        "createTime": created(&knobs),
        "modifiedTime": created(&knobs),
        "creatorId": user,
        "modifierId": user,
        "capabilities": {"canSearch": true, "canRename": true, "canRecordRecentFile": true},
    });
    match knobs.quota_shape {
        QuotaShape::Partition => {
            space["partitions"] = json!([partition(drive, &knobs, "PRIVATE", true)]);
            space["quota"] = json!(knobs.quota_bytes);
            space["usedQuota"] = json!(drive.used_bytes());
        }
        QuotaShape::Organisation => {
            space["partitions"] = json!([partition(drive, &knobs, "SHARE", false)]);
        }
        QuotaShape::Flat => {
            space["quota"] = json!(knobs.quota_bytes);
            space["usedQuota"] = json!(drive.used_bytes());
        }
    }
    Ok(json!({"space": space}))
}

/// `GET storage/orgs/{corpId}`
pub(crate) fn org(drive: &Drive, corp: &str) -> Outcome {
    if corp != drive.space.corp {
        return Err(Failure::parameter("corpId"));
    }
    let partition = partition(drive, &drive.knobs.get(), "SHARE", true);
    Ok(json!({"org": {"corpId": corp, "partitions": [partition]}}))
}

fn partition(drive: &Drive, knobs: &Knobs, kind: &str, has_max: bool) -> Value {
    let mut quota = json!({"type": kind, "used": drive.used_bytes(), "reserved": 0});
    if has_max {
        quota["max"] = json!(knobs.quota_bytes);
    }
    json!({"partitionType": "PUBLIC_OSS_PARTITION", "quota": quota})
}

fn drive_space(drive: &Drive, kind: &str) -> Value {
    let knobs = drive.knobs.get();
    json!({
        "spaceId": id_value(&knobs, drive.space.id.clone()),
        "spaceName": "Team files",
        "spaceType": kind,
        "quota": knobs.quota_bytes,
        "usedQuota": drive.used_bytes(),
        "permissionMode": "acl",
        "createTime": created(&knobs),
        "modifyTime": created(&knobs),
    })
}

fn created(knobs: &Knobs) -> Value {
    time(knobs, CREATED.parse().expect("a timestamp"))
}
