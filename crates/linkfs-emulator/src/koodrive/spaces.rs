use serde_json::{Value, json};

use super::answer::Failure;
use super::call::Call;
use super::drive::{Drive, Outcome};
use crate::ROOT_ID;

/// `GET v1|v2/space/{owner}`: the owner's spaces of the type that is asked for.
pub(crate) fn spaces(drive: &Drive, call: &Call, owner: &str) -> Outcome {
    if owner != owner_id(drive) && owner != drive.accounts.credentials.user_id {
        return Err(Failure::new(13_000_410, "no permission on the space"));
    }
    let kind = call.query("type");
    let kind = kind.filter(|kind| ["0", "1", "2"].contains(&kind.as_str()));
    let kind = kind.ok_or_else(|| Failure::parameter("type"))?;
    let asked = call.query("containerId");
    if asked.is_some_and(|id| id != drive.space.container) {
        return Err(Failure::new(13_000_301, "space does not exist"));
    }
    let space = space(drive);
    let is_meant = owner == owner_id(drive) && space["type"] == kind.as_str();
    Ok(json!({"data": Vec::from_iter(is_meant.then_some(space))}))
}

/// `GET space/container/{containerId}`
pub(crate) fn container(drive: &Drive, id: &str) -> Outcome {
    drive.check_container(Some(id))?;
    let mut space = space(drive);
    space["createTime"] = json!("2025-11-02T03:04:05.000Z");
    space["updateTime"] = json!("2025-11-02T03:04:05.000Z");
    Ok(json!({"data": space}))
}

/// `GET space/usage/overview`
pub(crate) fn usage(drive: &Drive) -> Outcome {
    let knobs = drive.knobs.get();
    let gigabytes: i64 = knobs.capacity.parse().unwrap_or(0);
    let kilobytes = gigabytes * (1 << 20) + knobs.capacity_kb.unwrap_or(0).cast_signed();
    let used = used_bytes(drive) / 1024;
    Ok(json!({"data": {
        "totalAllocation": kilobytes.to_string(), "totalCapacity": kilobytes.to_string(),
        "totalUsed": used.to_string(), "quota": knobs.capacity}}))
}

/// `GET service/quotaUsed`
pub(crate) fn quota(drive: &Drive) -> Outcome {
    let knobs = drive.knobs.get();
    let used = used_bytes(drive) / knobs.used_unit.max(1);
    Ok(json!({"data": {"spaceCapacity": knobs.capacity, "spaceUsed": used.to_string()}}))
}

fn space(drive: &Drive) -> Value {
    let knobs = drive.knobs.get();
    let used = used_bytes(drive) / knobs.used_unit.max(1);
    let user = &drive.accounts.credentials.user_id;
    let mut space = json!({
        "type": if drive.space.group.is_some() { "2" } else { "1" },
        "status": "0",
        "ownerId": owner_id(drive),
        "containerId": drive.space.container,
        "bizRootFileId": ROOT_ID,
        "bizSboxFileId": "FsBox1",
        "rootFileId": ROOT_ID,
        "capacity": knobs.capacity,
        "spaceUsed": used.to_string(),
        "tenantId": "t-01",
        "creator": user,
        "modifier": user,
    });
    if let Some(kilobytes) = knobs.capacity_kb {
        space["capacityKb"] = json!(kilobytes.to_string());
    }
    space
}

fn owner_id(drive: &Drive) -> &str {
    drive
        .space
        .group
        .as_deref()
        .unwrap_or(&drive.accounts.credentials.user_id)
}

fn used_bytes(drive: &Drive) -> u64 {
    drive
        .knobs
        .get()
        .used_bytes
        .unwrap_or_else(|| drive.cloud.tree.total_size())
}
