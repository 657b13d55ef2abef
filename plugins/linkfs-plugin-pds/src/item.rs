use std::time::SystemTime;

use linkfs_provider::{
    ByteCount, ErrorKind, Hashes, Item, ItemId, ItemKind, ProviderError, Result, Version,
};
use linkfs_provider_http::{timestamp, value};
use serde_json::{Map, Value};

/// An item in a listing or on its own.
///
/// # Errors
/// `Broken` for one without id, name, type, or (a file) its size: a made-up size would give wrong
/// bytes.
pub(crate) fn read(fields: &Map<String, Value>) -> Result<Item> {
    let id = value::text_of(fields, "file_id").ok_or_else(|| broken("an item without id"))?;
    let name = fields.get("name").and_then(value::text);
    let name = name.ok_or_else(|| broken(format!("item {id} has no name")))?;
    let kind = kind(fields, &id)?;
    let modified = fields.get("updated_at").and_then(timestamp::read);
    let hashes = hashes(fields);
    Ok(Item {
        version: version(fields, &kind, modified),
        id: id.as_str().into(),
        name,
        kind,
        modified,
        created: fields.get("created_at").and_then(timestamp::read),
        hashes,
        mime: mime(fields),
    })
}

/// What the drive takes for a top folder in the place of an id.
pub(crate) const TOP: &str = "root";

/// The item that was asked for by its id.
///
/// # Errors
/// `NotFound` for one that is not there to be shown, `Broken` for another one and as [`read`].
pub(crate) fn asked_for(fields: &Map<String, Value>, id: &ItemId) -> Result<Item> {
    if !is_there(fields) {
        let message = "the item is in the recycle bin or not uploaded yet";
        return Err(ProviderError::new(ErrorKind::NotFound, message));
    }
    let item = read(fields)?;
    match item.id == *id {
        true => Ok(item),
        false => {
            let message = "the answer is about another item";
            Err(ProviderError::new(ErrorKind::Broken, message))
        }
    }
}

/// The top folder, of which the drive may refuse to tell.
pub(crate) fn top(id: &ItemId) -> Item {
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

/// Whether there is an item to show: not one still being uploaded, nor one in the recycle bin.
pub(crate) fn is_there(fields: &Map<String, Value>) -> bool {
    let is_uploading = value::text_of(fields, "status").as_deref() == Some("uploading");
    let is_trashed = fields.get("trashed").is_some_and(value::flag)
        || value::text_of(fields, "trashed_at").is_some();
    !is_uploading && !is_trashed
}

fn kind(fields: &Map<String, Value>, id: &str) -> Result<ItemKind> {
    match value::text_of(fields, "type").as_deref() {
        // A folder may have the size of what is below it: none of its own.
        Some("folder") => Ok(ItemKind::Folder),
        Some("file") => {
            let size = fields.get("size").and_then(value::count);
            let size = size.ok_or_else(|| broken(format!("file {id} has no readable size")))?;
            Ok(ItemKind::File {
                size: ByteCount(size),
            })
        }
        _ => Err(broken(format!("item {id} is neither file nor folder"))),
    }
}

/// The content hash under its own name, and CRC-64 when it is a whole number: some answers print it
/// rounded, and a rounded one would contradict good bytes.
fn hashes(fields: &Map<String, Value>) -> Hashes {
    let mut hashes = Hashes::new();
    if let Some(hash) = value::text_of(fields, "content_hash") {
        let name = value::text_of(fields, "content_hash_name");
        let name = name.map_or_else(|| "sha1".into(), |name| name.to_lowercase());
        hashes.insert(name, hash);
    }
    let crc = value::text_of(fields, "crc64_hash").filter(|crc| crc.parse::<u64>().is_ok());
    hashes.extend(crc.map(|crc| ("crc64".to_owned(), crc)));
    hashes
}

/// The revision; else the content's hash; else time and size, which change when the content does. A
/// time that cannot be read still tells a change by its text.
fn version(fields: &Map<String, Value>, kind: &ItemKind, modified: Option<SystemTime>) -> Version {
    let ItemKind::File { size } = kind else {
        return Version("folder".into());
    };
    let named = |name| value::text_of(fields, name);
    let version = named("revision_id").or_else(|| named("content_hash"));
    Version(
        version.unwrap_or_else(|| match modified.and_then(timestamp::ms) {
            Some(ms) => format!("{ms}-{size}"),
            None => format!("{}-{size}", named("updated_at").unwrap_or_default()),
        }),
    )
}

fn mime(fields: &Map<String, Value>) -> Option<String> {
    let told = ["mime_type", "content_type"];
    let mut told = told.iter().filter_map(|name| value::text_of(fields, name));
    // What the drive puts where it knows nothing, misspelt.
    told.find(|mime| mime != "application/oct-stream")
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

    fn hello(changes: Value) -> Map<String, Value> {
        let mut item = json!({"domain_id": "bj9", "drive_id": "1", "file_id": "65a0c1d2",
            "parent_file_id": "root", "name": "hello.txt", "type": "file", "size": 13,
            "content_type": "text/plain", "mime_type": "text/plain; charset=utf-8",
            "status": "available", "content_hash": "DC6E0833DD3A8F1D1921E0FC99DE85FF3FF16FF6",
            "content_hash_name": "SHA1", "crc64_hash": "11753179297691420888",
            "revision_id": "r01", "created_at": "2026-01-02T03:05:00.120Z",
            "updated_at": "2026-01-02T03:05:00.120Z"});
        let fields = item.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.clone()
    }

    fn check<T: PartialEq + std::fmt::Debug>(changes: Value, get: fn(Item) -> T, expected: T) {
        let item = read(&hello(changes.clone())).unwrap();
        assert_eq!(get(item), expected, "{changes}");
    }

    #[test]
    fn a_file_is_read() {
        let item = read(&hello(json!({}))).unwrap();
        assert_eq!(
            (item.id.as_str(), item.name.as_str()),
            ("65a0c1d2", "hello.txt")
        );
        assert_eq!(item.size(), ByteCount(13));
        assert_eq!(
            item.modified.and_then(timestamp::ms),
            Some(1_767_323_100_120)
        );
        assert_eq!(item.created, item.modified);
        assert_eq!(item.version.0, "r01");
        assert_eq!(item.mime.as_deref(), Some("text/plain; charset=utf-8"));
        assert_eq!(
            item.hashes["sha1"],
            "DC6E0833DD3A8F1D1921E0FC99DE85FF3FF16FF6"
        );
        assert_eq!(item.hashes["crc64"], "11753179297691420888");
    }

    #[test]
    fn a_folder_has_no_size_even_with_one() {
        let folder = json!({"type": "folder", "size": 4096});
        check(folder.clone(), |item| item.is_folder(), true);
        check(folder.clone(), |item| item.size(), ByteCount(0));
        check(folder, |item| item.version.0, "folder".into());
    }

    #[test]
    fn numbers_may_be_text_and_text_numbers() {
        check(json!({"size": "13"}), |item| item.size(), ByteCount(13));
        check(json!({"file_id": 7}), |item| item.id.0, "7".into());
        check(json!({"revision_id": 7}), |item| item.version.0, "7".into());
        let crc = |item: Item| item.hashes.get("crc64").cloned();
        let exact = json!({"crc64_hash": 11_753_179_297_691_420_888_u64});
        check(exact, crc, Some("11753179297691420888".into()));
        check(json!({"crc64_hash": 1.175_317_929_769_142e19}), crc, None);
        check(json!({"crc64_hash": ""}), crc, None);
    }

    #[test]
    fn the_version_is_the_best_there_is() {
        let version = |item: Item| item.version.0;
        check(
            json!({"revision_id": ""}),
            version,
            "DC6E0833DD3A8F1D1921E0FC99DE85FF3FF16FF6".into(),
        );
        let none = json!({"revision_id": null, "content_hash": null});
        check(none, version, "1767323100120-13".into());
        let odd = json!({"revision_id": null, "content_hash": null, "updated_at": "now"});
        check(odd, version, "now-13".into());
    }

    #[test]
    fn the_media_type_is_the_best_there_is() {
        let mime = |item: Item| item.mime;
        check(json!({"mime_type": ""}), mime, Some("text/plain".into()));
        let odd = json!({"mime_type": null, "content_type": "application/oct-stream"});
        check(odd, mime, None);
    }

    #[test]
    fn what_is_not_there_yet_or_any_more_is_told_apart() {
        for (changes, there) in [
            (json!({}), true),
            (
                json!({"status": null, "trashed": false, "trashed_at": ""}),
                true,
            ),
            (json!({"status": "uploading"}), false),
            (json!({"trashed": true}), false),
            (json!({"trashed_at": "2026-01-02T03:05:00.120Z"}), false),
        ] {
            assert_eq!(is_there(&hello(changes.clone())), there, "{changes}");
        }
    }

    #[test]
    fn an_item_without_what_matters_is_broken() {
        for changes in [
            json!({"file_id": ""}),
            json!({"name": null}),
            json!({"type": null}),
            json!({"size": null}),
            json!({"size": -1}),
        ] {
            let error = read(&hello(changes.clone())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{changes}");
        }
    }
}
