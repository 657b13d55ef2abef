use linkfs_provider::{
    ByteCount, ErrorKind, Hashes, Item, ItemKind, ProviderError, Result, Version, WebAddress,
};
use linkfs_provider_http::{path, timestamp as plain_time, value};

use crate::client::Fields;
use crate::timestamp;

/// What precedes an item's lasting id in the address of its page; the same for both editions.
const PAGES: &str = "https://alidocs.dingtalk.com/i/nodes/";

/// A file or folder as the drive tells it.
#[derive(Clone, Debug)]
pub(crate) struct Dentry {
    pub(crate) item: Item,
    /// Counts the contents of a file; a link can be asked for one of them.
    pub(crate) version: Option<u64>,
}

/// A dentry in a listing or in an answer about it alone; `None` for one that is deleted or over.
///
/// # Errors
/// `Broken` for one without id, name, or (a file) its size: a made-up size would give wrong bytes.
pub(crate) fn read(fields: &Fields) -> Result<Option<Dentry>> {
    let status = value::text_of(fields, "status");
    if status.is_some_and(|status| !status.eq_ignore_ascii_case("NORMAL")) {
        return Ok(None);
    }
    let id = value::text_of(fields, "id").ok_or_else(|| broken("an item without id"))?;
    let name = fields.get("name").and_then(value::text);
    let name = name.ok_or_else(|| broken(&format!("item {id} has no name")))?;
    let kind = kind(fields).ok_or_else(|| broken(&format!("file {id} has no readable size")))?;
    let modified = fields.get("modifiedTime").and_then(timestamp::read);
    let version = fields.get("version").and_then(value::count);
    let item = Item {
        version: content_version(fields, &kind),
        id: id.as_str().into(),
        name: if is_online(fields) {
            with_extension(name, fields)
        } else {
            name
        },
        kind,
        modified,
        created: fields.get("createTime").and_then(timestamp::read),
        hashes: Hashes::new(),
        mime: None,
    };
    let version = version.filter(|_| matches!(item.kind, ItemKind::File { .. }));
    Ok(Some(Dentry { item, version }))
}

fn kind(fields: &Fields) -> Option<ItemKind> {
    if is(fields, "type", "FOLDER") {
        return Some(ItemKind::Folder);
    }
    if is_online(fields) {
        // Without the id there is no page to tell of, and still nothing to download.
        let empty = ItemKind::File { size: ByteCount(0) };
        return Some(page(fields).map_or(empty, |address| ItemKind::WebDocument { address }));
    }
    let size = fields.get("size").and_then(value::count)?;
    Some(ItemKind::File {
        size: ByteCount(size),
    })
}

/// The page that shows an item, by the id that it keeps when it is moved.
fn page(fields: &Fields) -> Option<WebAddress> {
    let address = page_of(&value::text_of(fields, "uuid")?).ok()?;
    WebAddress::new(address).ok()
}

/// The address of the page of an item with this lasting id.
///
/// # Errors
/// `Invalid` for an id that cannot stand in an address.
pub(crate) fn page_of(uuid: &str) -> Result<String> {
    Ok(format!("{PAGES}{}", path::segment(uuid)?))
}

/// Whether the file is an online document: it has a page to open and no bytes to download, whatever
/// size the drive gives it. Recordings may be either.
fn is_online(fields: &Fields) -> bool {
    let has_size = fields.get("size").and_then(value::count).is_some();
    !is(fields, "type", "FOLDER")
        && (is(fields, "storageDriver", "ALIDOC")
            || (is(fields, "storageDriver", "SHANJI") && !has_size))
}

/// Names hold their extension already; only online documents are seen without.
fn with_extension(name: String, fields: &Fields) -> String {
    match value::text_of(fields, "extension") {
        Some(extension) if !name.ends_with(&format!(".{extension}")) => {
            format!("{name}.{extension}")
        }
        _ => name,
    }
}

/// The count of contents, with size and time for the sake of a drive that forgets to count. A time
/// that cannot be read still tells a change by its text.
fn content_version(fields: &Fields, kind: &ItemKind) -> Version {
    let size = match kind {
        ItemKind::Folder => return Version("folder".into()),
        ItemKind::File { size } => *size,
        ItemKind::WebDocument { .. } => ByteCount(0),
    };
    let time = fields.get("modifiedTime").and_then(timestamp::read);
    let time = match time.and_then(plain_time::ms) {
        Some(ms) => ms.to_string(),
        None => value::text_of(fields, "modifiedTime").unwrap_or_default(),
    };
    let count = value::text_of(fields, "version").unwrap_or_default();
    Version(format!("{count}-{size}-{time}"))
}

/// The count of contents in what [`content_version`] made, where the drive had told one.
pub(crate) fn count_in(version: &Version) -> Option<u64> {
    let (count, _size_and_time) = version.0.split_once('-')?;
    count.parse().ok()
}

fn is(fields: &Fields, name: &str, word: &str) -> bool {
    value::text_of(fields, name).is_some_and(|text| text.eq_ignore_ascii_case(word))
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hello(changes: Value) -> Fields {
        let mut fields = json!({"id": "5521", "spaceId": "854001", "parentId": "0", "type": "FILE",
            "name": "hello.txt", "extension": "txt", "size": 13, "path": "/hello.txt", "version": 2,
            "uuid": "Bn77Qx", "status": "NORMAL", "storageDriver": "DINGTALK",
            "createTime": "Fri Jan 02 11:05:00 CST 2026", "modifiedTime": "2026-01-02T03:05:00Z"});
        let fields = fields.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.clone()
    }

    fn item(changes: Value) -> Item {
        let dentry = read(&hello(changes)).unwrap();
        dentry.expect("a dentry that is there").item
    }

    #[test]
    fn a_file_is_read() {
        let dentry = read(&hello(json!({}))).unwrap().unwrap();
        assert_eq!(dentry.version, Some(2));
        let item = dentry.item;
        assert_eq!(
            (item.id.as_str(), item.name.as_str()),
            ("5521", "hello.txt")
        );
        assert_eq!(item.size(), ByteCount(13));
        let ms = item.modified.and_then(plain_time::ms);
        assert_eq!(ms, Some(1_767_323_100_000));
        assert_eq!(item.created, item.modified);
        assert_eq!(item.version.0, "2-13-1767323100000");
        assert_eq!(count_in(&item.version), Some(2));
    }

    #[test]
    fn a_version_without_a_count_tells_none() {
        for changes in [json!({"version": null}), json!({"type": "folder"})] {
            assert_eq!(count_in(&item(changes).version), None);
        }
    }

    #[test]
    fn types_come_in_any_case_and_ids_and_sizes_as_text() {
        let folder = json!({"type": "folder", "size": null, "id": 5500});
        let folder = read(&hello(folder)).unwrap().unwrap();
        assert!(folder.item.is_folder());
        assert_eq!((folder.item.id.as_str(), folder.version), ("5500", None));
        assert_eq!(folder.item.version.0, "folder");
        assert_eq!(
            item(json!({"type": "file", "size": "13"})).size(),
            ByteCount(13)
        );
        assert!(!item(json!({"type": null})).is_folder());
    }

    #[test]
    fn a_change_of_any_kind_is_another_version() {
        let first = item(json!({})).version;
        for changes in [
            json!({"version": 3}),
            json!({"size": 14}),
            json!({"modifiedTime": "2026-01-02T03:06:00Z"}),
            json!({"modifiedTime": "some day"}),
        ] {
            assert_ne!(item(changes.clone()).version, first, "{changes}");
        }
        let spelt = json!({"modifiedTime": "Fri Jan 02 11:05:00 CST 2026"});
        assert_eq!(item(spelt).version, first);
    }

    #[test]
    fn online_documents_are_pages_with_their_extension() {
        let page = |id: &str| ItemKind::WebDocument {
            address: WebAddress::new(format!("https://alidocs.dingtalk.com/i/nodes/{id}")).unwrap(),
        };
        for driver in ["ALIDOC", "alidoc", "SHANJI"] {
            let changes = json!({"storageDriver": driver, "name": "Plan", "extension": "adoc",
                "size": null});
            let document = item(changes);
            assert_eq!(document.name, "Plan.adoc");
            assert_eq!(document.kind, page("Bn77Qx"));
        }
        let named = json!({"storageDriver": "ALIDOC", "name": "Plan.adoc", "extension": "adoc",
            "size": 4096});
        assert_eq!(item(named.clone()).name, "Plan.adoc");
        assert_eq!(item(named).kind, page("Bn77Qx"));
        let odd = json!({"storageDriver": "ALIDOC", "uuid": "a/b?c\r\nd"});
        assert_eq!(item(odd).kind, page("a%2Fb%3Fc%0D%0Ad"));
        for uuid in [json!(null), json!(""), json!("..")] {
            let document = item(json!({"storageDriver": "ALIDOC", "uuid": uuid}));
            assert_eq!(document.kind, ItemKind::File { size: ByteCount(0) });
        }
        let folder = json!({"storageDriver": "ALIDOC", "type": "FOLDER", "name": "a"});
        assert!(item(folder).is_folder());
    }

    #[test]
    fn what_is_deleted_or_over_is_not_shown() {
        for status in ["DELETED", "EXPIRED", "deleted"] {
            assert!(read(&hello(json!({"status": status}))).unwrap().is_none());
        }
        assert!(read(&hello(json!({"status": "normal"}))).unwrap().is_some());
        assert!(read(&hello(json!({"status": null}))).unwrap().is_some());
    }

    #[test]
    fn an_item_that_cannot_be_named_or_measured_is_broken() {
        for changes in [
            json!({"id": null}),
            json!({"id": ""}),
            json!({"name": null}),
            json!({"size": null}),
            json!({"size": -1}),
            json!({"size": "big"}),
        ] {
            let error = read(&hello(changes.clone())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{changes}");
        }
    }
}
