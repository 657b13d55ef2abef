use std::collections::HashSet;

use linkfs_provider::{ErrorKind, Item, ItemId, Page, PageToken, ProviderError, Result};
use linkfs_provider_http::value;
use serde_json::{Map, Value, json};

use crate::client::Call;
use crate::item;

/// The largest page the drive gives.
pub(crate) const PAGE_SIZE: u32 = 100;

/// The call for all of them.
pub(crate) const PATH: &str = "/v2/file/list";

/// Asks for a page of a folder, oldest children first: that order is unaffected by renames, and new
/// files land on the last page.
pub(crate) fn call(drive_id: &str, folder: &ItemId, after: Option<&PageToken>) -> Call {
    let body = body(("drive_id", drive_id), folder, after, PAGE_SIZE);
    Call::json(PATH, &body)
}

/// Asks whether a folder is there, without asking for much of it.
pub(crate) fn probe(drive_id: &str, folder: &ItemId) -> Call {
    let body = body(("drive_id", drive_id), folder, None, 1);
    Call::json(PATH, &body)
}

/// What is asked of what holds the folder, a drive or a share.
pub(crate) fn body(
    (holder, id): (&str, &str),
    folder: &ItemId,
    after: Option<&PageToken>,
    limit: u32,
) -> Value {
    let mut body = json!({
        "parent_file_id": folder.as_str(),
        "limit": limit,
        "order_by": "created_at",
        "order_direction": "ASC",
    });
    body[holder] = json!(id);
    if let Some(after) = after {
        body["marker"] = json!(after.0);
    }
    body
}

/// The page in an answer to `call` with the marker `after`. Short and empty pages are legal: the
/// marker alone tells the end.
///
/// # Errors
/// `Broken` when an item makes no sense or the marker stands still.
pub(crate) fn read(answer: &Map<String, Value>, after: Option<&PageToken>) -> Result<Page> {
    Ok(Page {
        items: items(answer)?,
        next: next(answer, after)?,
    })
}

/// Where the next page of any listing starts; `after` is where this one did.
///
/// # Errors
/// `Broken` when the marker stands still.
pub(crate) fn next(
    answer: &Map<String, Value>,
    after: Option<&PageToken>,
) -> Result<Option<PageToken>> {
    let next = value::text_of(answer, "next_marker").map(PageToken);
    if next.is_some() && next.as_ref() == after {
        return Err(broken("the next page is the same page again"));
    }
    Ok(next)
}

/// The elements of any listing. A list that is missing is empty, when a marker says that it is a
/// listing at all.
///
/// # Errors
/// `Broken` for an element that is no object, or an answer that is no listing.
pub(crate) fn elements(answer: &Map<String, Value>) -> Result<Vec<&Map<String, Value>>> {
    let elements = match answer.get("items") {
        Some(items) => value::elements(items),
        None if answer.contains_key("next_marker") => &[],
        None => return Err(broken("it has no list of items")),
    };
    let elements = elements.iter().map(Value::as_object);
    let elements: Option<Vec<_>> = elements.collect();
    elements.ok_or_else(|| broken("an item is no object"))
}

fn items(answer: &Map<String, Value>) -> Result<Vec<Item>> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for fields in elements(answer)?
        .into_iter()
        .filter(|fields| item::is_there(fields))
    {
        let item = item::read(fields)?;
        if seen.insert(item.id.clone()) {
            items.push(item);
        }
    }
    Ok(items)
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(answer: &Value, after: Option<&str>) -> Result<Page> {
        let after = after.map(|token| PageToken(token.into()));
        read(answer.as_object().unwrap(), after.as_ref())
    }

    fn file(id: &str) -> Value {
        json!({"file_id": id, "name": id, "type": "file", "size": 1})
    }

    fn check(answer: Value, ids: &[&str], next: Option<&str>) {
        let page = page(&answer, None).unwrap();
        let found: Vec<&str> = page.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(found, ids, "{answer}");
        let found = page.next.as_ref().map(|token| token.0.as_str());
        assert_eq!(found, next, "{answer}");
    }

    #[test]
    fn the_marker_alone_tells_the_end() {
        check(
            json!({"items": [file("a")], "next_marker": "m"}),
            &["a"],
            Some("m"),
        );
        check(
            json!({"items": [file("a")], "next_marker": ""}),
            &["a"],
            None,
        );
        check(json!({"items": [], "next_marker": "m"}), &[], Some("m"));
        check(json!({"items": null, "next_marker": null}), &[], None);
        check(json!({"next_marker": ""}), &[], None);
        check(json!({"items": [file("a")]}), &["a"], None);
    }

    #[test]
    fn repeats_and_what_is_not_there_are_dropped() {
        let uploading = json!({"file_id": "u", "status": "uploading"});
        check(
            json!({"items": [file("a"), uploading, file("a")]}),
            &["a"],
            None,
        );
    }

    #[test]
    fn what_makes_no_sense_is_broken() {
        for answer in [
            json!({}),
            json!({"items": ["a"]}),
            json!({"items": [{"file_id": "a"}]}),
            json!({"items": [], "next_marker": "m"}),
        ] {
            let error = page(&answer, Some("m")).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{answer}");
        }
    }
}
