use jiff::tz::{TimeZone, offset};
use jiff::{Timestamp, Zoned};
use serde_json::{Value, json};

use super::drive::{Drive, uuid};
use super::knobs::{Knobs, TimeFormat};
use crate::Node;
use crate::mime::suffix;

/// The text that stands for an unreadable time.
const NO_TIME: &str = "sometime last week";

/// A file or folder as answers show it.
pub(crate) fn dentry(drive: &Drive, knobs: &Knobs, node: &Node) -> Value {
    drive.versions.note(node);
    let user = &drive.accounts.credentials.union_id;
    let kind = if node.is_folder() { "FOLDER" } else { "FILE" };
    let status = if node.recycled {
        "DELETED"
    } else if knobs.expired.contains(&node.id) {
        "EXPIRED"
    } else {
        "NORMAL"
    };
    let parent = node.parent.as_deref().unwrap_or_default();
    let mut dentry = json!({
        "id": id_value(knobs, drive.wire_id(&node.id)),
        "spaceId": id_value(knobs, drive.space.id.clone()),
        "parentId": id_value(knobs, drive.wire_id(parent)),
        "type": if knobs.lower_case_types { kind.to_lowercase() } else { kind.into() },
        "name": node.name,
        "path": path(drive, node),
        "version": node.revision,
        "uuid": uuid(&node.id),
        "status": status,
        "storageDriver": if drive.is_online(node) { "ALIDOC" } else { "DINGTALK" },
        "createTime": time(knobs, node.created),
        "modifiedTime": time(knobs, node.modified),
        "creatorId": user,
        "modifierId": user,
    });
    if !node.is_folder() {
        dentry["extension"] = json!(suffix(&node.name));
        dentry["size"] = json!(node.listed_size.unwrap_or_else(|| node.size()));
        dentry["category"] = json!("DOCUMENT");
        dentry["properties"] = json!({"readOnly": false});
    }
    // The place of the bytes; an online document has none.
    if !node.is_folder() && !drive.is_online(node) {
        dentry["partitionType"] = json!("PUBLIC_OSS_PARTITION");
    }
    dentry
}

/// An id, as text or as a number.
pub(crate) fn id_value(knobs: &Knobs, id: String) -> Value {
    match id.parse::<u64>() {
        Ok(number) if knobs.ids_are_numbers => json!(number),
        _ => json!(id),
    }
}

/// A time in the format of the day.
pub(crate) fn time(knobs: &Knobs, at: Timestamp) -> Value {
    match knobs.time_format {
        TimeFormat::Rfc3339 => json!(at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
        TimeFormat::Minutes => json!(at.strftime("%Y-%m-%dT%H:%MZ").to_string()),
        TimeFormat::ChinaText => {
            json!(china(at).strftime("%a %b %d %H:%M:%S CST %Y").to_string())
        }
        TimeFormat::Milliseconds => json!(at.as_millisecond()),
        TimeFormat::MillisecondsText => json!(at.as_millisecond().to_string()),
        TimeFormat::Unreadable => json!(NO_TIME),
    }
}

/// China's time, which the drive calls CST.
pub(crate) fn china(at: Timestamp) -> Zoned {
    at.to_zoned(TimeZone::fixed(offset(8)))
}

fn path(drive: &Drive, node: &Node) -> String {
    let line = drive.cloud.tree.ancestry(&node.id);
    line.iter().map(|node| format!("/{}", node.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(time_format: TimeFormat, expected: Value) {
        let knobs = Knobs {
            time_format,
            ..Knobs::default()
        };
        let at = "2026-05-28T01:37:16.250Z".parse().unwrap();
        assert_eq!(time(&knobs, at), expected);
    }

    #[test]
    fn times_have_the_forms_the_drive_uses() {
        check(TimeFormat::Rfc3339, json!("2026-05-28T01:37:16Z"));
        check(TimeFormat::Minutes, json!("2026-05-28T01:37Z"));
        check(TimeFormat::ChinaText, json!("Thu May 28 09:37:16 CST 2026"));
        check(TimeFormat::Milliseconds, json!(1_779_932_236_250_u64));
        check(TimeFormat::MillisecondsText, json!("1779932236250"));
    }
}
