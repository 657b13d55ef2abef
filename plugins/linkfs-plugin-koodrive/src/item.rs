use std::time::SystemTime;

use linkfs_provider::{
    ByteCount, ErrorKind, Hashes, Item, ItemId, ItemKind, ProviderError, Result, Version,
};
use linkfs_provider_http::{timestamp, value};
use serde_json::{Map, Value};

use crate::envelope::Envelope;

/// The version of a smart folder: a saved search, which the drive may refuse to list.
pub(crate) const SMART_FOLDER: &str = "smart-folder";

/// An item in a listing or a detail answer.
///
/// # Errors
/// `Broken` for one without id, name, or (a file) its size: a made-up size would give wrong bytes.
pub(crate) fn read(fields: &Map<String, Value>) -> Result<Item> {
    let id = value::text_of(fields, "id").ok_or_else(|| broken("an item without id"))?;
    let name = fields.get("fileName").and_then(value::text);
    let name = name.ok_or_else(|| broken(format!("item {id} has no name")))?;
    let kind = kind(fields).ok_or_else(|| broken(format!("file {id} has no readable size")))?;
    let modified = fields.get("editedTime").and_then(timestamp::read);
    Ok(Item {
        version: version(fields, &kind, modified),
        id: id.as_str().into(),
        name,
        kind,
        modified,
        created: fields.get("createdTime").and_then(timestamp::read),
        hashes: Hashes::new(),
        mime: value::text_of(fields, "mimeType"),
    })
}

/// The item in the answer to a look at `id`, unless it lies in the recycle bin.
///
/// # Errors
/// `NotFound` for what is recycled, `Broken` for an answer that is about something else.
pub(crate) fn in_answer(answer: &Envelope, id: &ItemId) -> Result<Item> {
    let fields = answer.object_with("id");
    let fields = fields.ok_or_else(|| broken("it has no item"))?;
    if is_recycled(fields) {
        let message = "the item is in the recycle bin";
        return Err(ProviderError::new(ErrorKind::NotFound, message));
    }
    let item = read(fields)?;
    match item.id == *id {
        true => Ok(item),
        false => Err(broken("it is about another item")),
    }
}

/// A folder that has a name in the place of an id, and no details.
pub(crate) fn folder(id: &ItemId) -> Item {
    Item {
        id: id.clone(),
        name: id.to_string(),
        kind: ItemKind::Folder,
        modified: None,
        created: None,
        version: Version("folder".into()),
        hashes: Hashes::new(),
        mime: None,
    }
}

/// Whether the item lies in the recycle bin.
pub(crate) fn is_recycled(fields: &Map<String, Value>) -> bool {
    fields.get("recycled").is_some_and(value::flag)
}

fn kind(fields: &Map<String, Value>) -> Option<ItemKind> {
    if is_folder(fields) {
        return Some(ItemKind::Folder);
    }
    let size = fields.get("size").and_then(value::count)?;
    Some(ItemKind::File {
        size: ByteCount(size),
    })
}

/// Types 10 (folder) and 11 (smart folder); without a type the media type tells.
fn is_folder(fields: &Map<String, Value>) -> bool {
    match value::text_of(fields, "fileType") {
        Some(kind) => matches!(kind.as_str(), "10" | "11"),
        None => value::text_of(fields, "mimeType").is_some_and(|mime| mime.ends_with("folder")),
    }
}

/// The drive has no revision in its listings; time and size change when the content does. A time
/// that cannot be read still tells a change by its text.
fn version(fields: &Map<String, Value>, kind: &ItemKind, modified: Option<SystemTime>) -> Version {
    let ItemKind::File { size } = kind else {
        let is_smart = value::text_of(fields, "fileType").as_deref() == Some("11");
        return Version(if is_smart { SMART_FOLDER } else { "folder" }.into());
    };
    let edited = match modified.and_then(timestamp::ms) {
        Some(ms) => ms.to_string(),
        None => value::text_of(fields, "editedTime").unwrap_or_default(),
    };
    Version(format!("{edited}-{size}"))
}

fn broken(what: impl Into<String>) -> ProviderError {
    let what: String = what.into();
    ProviderError::new(
        ErrorKind::Broken,
        format!("the answer makes no sense: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(changes: Value) -> Map<String, Value> {
        let mut item = json!({"id": "Fq2Plan", "fileName": "plan.pdf", "fileType": "45",
            "mimeType": "application/pdf", "category": "drive#file", "size": 184320,
            "fileSuffix": "pdf", "createdTime": "2026-01-02T03:05:00.120Z",
            "editedTime": "2026-01-02T03:05:00.120Z", "parentFolder": ["root"], "recycled": false});
        let fields = item.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.clone()
    }

    fn check<T: PartialEq + std::fmt::Debug>(changes: Value, get: fn(Item) -> T, expected: T) {
        assert_eq!(
            get(read(&plan(changes.clone())).unwrap()),
            expected,
            "{changes}"
        );
    }

    #[test]
    fn a_file_is_read() {
        let item = read(&plan(json!({}))).unwrap();
        assert_eq!(
            (item.id.as_str(), item.name.as_str()),
            ("Fq2Plan", "plan.pdf")
        );
        assert_eq!(item.size(), ByteCount(184_320));
        assert_eq!(
            item.modified.and_then(timestamp::ms),
            Some(1_767_323_100_120)
        );
        assert_eq!(item.created, item.modified);
        assert_eq!(item.version.0, "1767323100120-184320");
        assert_eq!(item.mime.as_deref(), Some("application/pdf"));
        assert!(item.hashes.is_empty());
    }

    #[test]
    fn folders_are_told_by_type_else_by_media_type() {
        check(json!({"fileType": "10"}), |item| item.is_folder(), true);
        check(json!({"fileType": 11}), |item| item.is_folder(), true);
        check(
            json!({"fileType": 10, "size": null}),
            |item| item.version.0,
            "folder".into(),
        );
        let mime = "application/vnd.huawei-apps.folder";
        check(
            json!({"fileType": null, "mimeType": mime}),
            |item| item.is_folder(),
            true,
        );
        check(
            json!({"fileType": 45, "mimeType": mime}),
            |item| item.is_folder(),
            false,
        );
    }

    #[test]
    fn sizes_may_be_text_and_times_milliseconds() {
        check(
            json!({"size": "184320"}),
            |item| item.size(),
            ByteCount(184_320),
        );
        check(json!({"size": 0}), |item| item.size(), ByteCount(0));
        check(
            json!({"editedTime": 1_767_323_100_120_u64}),
            |item| item.version.0,
            "1767323100120-184320".into(),
        );
    }

    #[test]
    fn a_time_that_cannot_be_read_is_none_and_still_a_version() {
        let odd = json!({"editedTime": "05/01/2026"});
        check(odd.clone(), |item| item.modified, None);
        check(odd, |item| item.version.0, "05/01/2026-184320".into());
        check(
            json!({"editedTime": null}),
            |item| item.version.0,
            "-184320".into(),
        );
    }

    #[test]
    fn an_item_that_cannot_be_named_or_measured_is_broken() {
        for changes in [
            json!({"id": null}),
            json!({"id": ""}),
            json!({"fileName": null}),
            json!({"size": null}),
            json!({"size": -1}),
            json!({"size": "big"}),
        ] {
            let error = read(&plan(changes.clone())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{changes}");
        }
    }

    #[test]
    fn recycled_is_a_fact_in_any_spelling() {
        assert!(is_recycled(&plan(json!({"recycled": true}))));
        assert!(is_recycled(&plan(json!({"recycled": "true"}))));
        assert!(!is_recycled(&plan(json!({"recycled": null}))));
    }
}
