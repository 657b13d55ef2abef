use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::dentry::{id_value, time};
use super::drive::Drive;
use super::knobs::{Knobs, QuotaShape};
use crate::digest::{hex, unhex};

/// When the space was made; it is not in the tree.
const CREATED: &str = "2025-11-02T03:04:00Z";

/// The operator's own space, which holds nothing.
const OWN: (&str, &str) = ("854777", "My files");

/// The further spaces of the organisation begin here.
const FIRST_OTHER: u32 = 900_001;

/// `GET drive/spaces`: the space of the tree, and the further ones.
pub(crate) fn of_org(drive: &Drive, call: &Call) -> Outcome {
    if call.query("spaceType").as_deref() != Some("org") {
        return Err(Failure::parameter("spaceType"));
    }
    let knobs = drive.knobs.get();
    let size = call.query("maxResults").and_then(|size| size.parse().ok());
    let size = size.filter(|size: &usize| (1..=knobs.page_size_max).contains(size));
    let size = size.ok_or_else(|| Failure::parameter("maxResults"))?;
    let skipped = skipped(call)?;
    let others = (FIRST_OTHER..).take(knobs.other_spaces as usize);
    let others =
        others.map(|id| drive_space(drive, &id.to_string(), &format!("Space {id}"), "org"));
    let tree = drive_space(drive, &drive.space.id, "Team files", "org");
    let all: Vec<Value> = std::iter::once(tree).chain(others).collect();
    let end = all.len().min(skipped + size);
    let page = all.get(skipped..end).unwrap_or_default();
    let next = if end < all.len() {
        hex(end.to_string().as_bytes())
    } else {
        String::new()
    };
    Ok(json!({"spaces": page, "nextToken": next}))
}

/// How many spaces were on the pages before, as the token of one says.
fn skipped(call: &Call) -> Result<usize, Failure> {
    let token = call.query("nextToken").unwrap_or_default();
    if token.is_empty() {
        return Ok(0);
    }
    let text = unhex(&token).and_then(|bytes| String::from_utf8(bytes).ok());
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| Failure::parameter("nextToken"))
}

/// `GET drive/mySpaces`
pub(crate) fn mine(drive: &Drive) -> Outcome {
    let (id, name) = OWN;
    Ok(drive_space(drive, id, name, "personal"))
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

fn drive_space(drive: &Drive, id: &str, name: &str, kind: &str) -> Value {
    let knobs = drive.knobs.get();
    let has_tree = id == drive.space.id;
    json!({
        "spaceId": id_value(&knobs, id.into()),
        "spaceName": name,
        "spaceType": kind,
        "quota": knobs.quota_bytes,
        "usedQuota": if has_tree { drive.used_bytes() } else { 0 },
        "permissionMode": "acl",
        "createTime": created(&knobs),
        "modifyTime": created(&knobs),
    })
}

fn created(knobs: &Knobs) -> Value {
    time(knobs, CREATED.parse().expect("a timestamp"))
}
