use std::collections::HashSet;

use linkfs_provider::{ErrorKind, Item, ItemId, Page, PageToken, ProviderError, Result};
use linkfs_provider_http::{path, value};
use serde_json::{Value, json};

use crate::client::Call;
use crate::config::Space;
use crate::envelope::Envelope;
use crate::item;

/// The largest page the drive gives.
const PAGE_SIZE: u32 = 100;

/// Where the items may stand, in this order; the last only as an array.
const ARRAYS: [&str; 4] = ["files", "fileList", "data.files", "data.fileList"];

/// Where the cursor may stand, in this order.
const CURSORS: [&str; 5] = [
    "nextCursor",
    "nextPageCursor",
    "pageInfo.pageCursor",
    "data.nextCursor",
    "data.nextPageCursor",
];

/// Asks for a page of a folder, oldest children first: that order is unaffected by renames, and new
/// files land on the last page.
///
/// # Errors
/// `Invalid` for a group that cannot stand in a path.
pub(crate) fn call(space: &Space, folder: &ItemId, after: Option<&PageToken>) -> Result<Call> {
    page_call(space, folder, after, PAGE_SIZE)
}

/// Asks whether a folder is there, without asking for much of it.
///
/// # Errors
/// As [`call`].
pub(crate) fn probe(space: &Space, folder: &ItemId) -> Result<Call> {
    page_call(space, folder, None, 1)
}

fn page_call(
    space: &Space,
    folder: &ItemId,
    after: Option<&PageToken>,
    page_size: u32,
) -> Result<Call> {
    let mut body = json!({
        "containerId": space.container,
        "parentFileId": folder.as_str(),
        "pageInfo": {"pageSize": page_size},
        "sortInfo": {"sortType": 3, "sortDirection": 1},
    });
    if let Some(after) = after {
        body["pageInfo"]["pageCursor"] = json!(after.0);
    }
    let Some(team) = &space.team else {
        return Ok(Call::post("list", "/koodrive/ose/v1/files/0", &body));
    };
    let path = format!("/koodrive/ose/v1/files/{}/0", path::segment(&team.group)?);
    Ok(Call::post("list", path, &body).with_query("team_type", team.kind.to_string()))
}

/// The page in an answer to `call` with the cursor `after`.
///
/// # Errors
/// `Broken` when the answer has no list, an item makes no sense, or the cursor stands still.
pub(crate) fn read(answer: &Envelope, after: Option<&PageToken>) -> Result<Page> {
    let next = next(answer);
    if next.is_some() && next.as_ref() == after {
        return Err(broken("the next page is the same page again"));
    }
    Ok(Page {
        items: items(answer)?,
        next,
    })
}

fn items(answer: &Envelope) -> Result<Vec<Item>> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for element in array(answer)? {
        let fields = element.as_object();
        let fields = fields.ok_or_else(|| broken("an item is no object"))?;
        if item::is_recycled(fields) {
            continue;
        }
        let item = item::read(fields)?;
        if seen.insert(item.id.clone()) {
            items.push(item);
        }
    }
    Ok(items)
}

fn array(answer: &Envelope) -> Result<&[Value]> {
    if let Some(array) = ARRAYS.iter().find_map(|path| answer.at(path)) {
        return Ok(value::elements(array));
    }
    if let Some(Value::Array(array)) = answer.at("data") {
        return Ok(array);
    }
    // Some serialisers write an empty list as null or not at all; then the rest must say that it is
    // a list of files.
    let is_empty_list = answer.names("files")
        || answer.names("fileList")
        || answer.field("category").and_then(Value::as_str) == Some("drive#fileList");
    match is_empty_list {
        true => Ok(&[]),
        false => Err(broken("it has no list of files")),
    }
}

fn next(answer: &Envelope) -> Option<PageToken> {
    let cursor = CURSORS.iter().find_map(|path| answer.at(path))?;
    let cursor = value::text(cursor).filter(|text| !text.is_empty())?;
    Some(PageToken(cursor))
}

fn broken(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Broken,
        format!("the answer makes no sense: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(answer: Value, after: Option<&str>) -> Result<Page> {
        let answer = Envelope::parse(answer.to_string().as_bytes()).unwrap();
        read(&answer, after.map(|token| PageToken(token.into())).as_ref())
    }

    fn file(id: &str) -> Value {
        json!({"id": id, "fileName": id, "fileType": "45", "size": 1})
    }

    fn check(answer: Value, ids: &[&str], next: Option<&str>) {
        let page = page(answer.clone(), None).unwrap();
        let found: Vec<&str> = page.items.iter().map(|item| item.id.as_str()).collect();
        assert_eq!(found, ids, "{answer}");
        assert_eq!(
            page.next,
            next.map(|token| PageToken(token.into())),
            "{answer}"
        );
    }

    #[test]
    fn a_page_of_the_documented_form_is_read() {
        let answer = json!({"code": 0, "msg": "success", "category": "drive#fileList",
            "nextCursor": "c2_00f1", "files": [
            {"id": "Fq1Reports", "fileName": "Reports", "fileType": "10", "size": 0,
             "mimeType": "application/vnd.huawei-apps.folder", "parentFolder": ["root"],
             "createdTime": "2026-01-02T03:04:05.000Z", "editedTime": "2026-01-03T03:04:05.000Z"},
            {"id": "Fq2Plan", "fileName": "plan.pdf", "fileType": "45", "size": 184320,
             "createdTime": "2026-01-02T03:05:00.120Z", "editedTime": "2026-01-02T03:05:00.120Z"}]});
        check(answer, &["Fq1Reports", "Fq2Plan"], Some("c2_00f1"));
    }

    #[test]
    fn items_are_found_wherever_they_stand() {
        check(json!({"files": [file("a")]}), &["a"], None);
        check(json!({"fileList": [file("a")]}), &["a"], None);
        check(json!({"data": {"files": [file("a")]}}), &["a"], None);
        check(json!({"data": {"fileList": [file("a")]}}), &["a"], None);
        check(json!({"data": [file("a")]}), &["a"], None);
        check(json!({"files": file("a")}), &["a"], None);
        check(
            json!({"files": null, "data": {"files": [file("a")]}}),
            &["a"],
            None,
        );
    }

    #[test]
    fn an_empty_list_may_be_null_but_must_be_a_list() {
        check(json!({"files": []}), &[], None);
        check(json!({"files": null}), &[], None);
        check(json!({"code": 0, "category": "drive#fileList"}), &[], None);
        let error = page(json!({"code": 0, "msg": "success"}), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
    }

    #[test]
    fn cursors_are_found_wherever_they_stand() {
        let empty: [&str; 0] = [];
        check(json!({"files": [], "nextCursor": "a"}), &empty, Some("a"));
        check(json!({"files": [], "nextPageCursor": 7}), &empty, Some("7"));
        check(
            json!({"files": [], "pageInfo": {"pageCursor": "a"}}),
            &empty,
            Some("a"),
        );
        check(
            json!({"data": {"files": [], "nextCursor": "a"}}),
            &empty,
            Some("a"),
        );
        check(
            json!({"data": {"files": [], "nextPageCursor": "a"}}),
            &empty,
            Some("a"),
        );
        check(json!({"files": [], "nextCursor": ""}), &empty, None);
        check(json!({"files": [], "nextCursor": null}), &empty, None);
    }

    #[test]
    fn recycled_items_and_repeats_are_dropped() {
        let recycled = json!({"id": "b", "recycled": true});
        let files = json!([file("a"), recycled, file("a"), file("c")]);
        check(json!({"files": files}), &["a", "c"], None);
    }

    #[test]
    fn a_cursor_that_stands_still_is_broken() {
        let answer = json!({"files": [], "nextCursor": "a"});
        assert!(page(answer.clone(), Some("b")).is_ok());
        assert_eq!(page(answer, Some("a")).unwrap_err().kind, ErrorKind::Broken);
    }

    #[test]
    fn an_item_without_a_name_is_broken() {
        let error = page(json!({"files": [{"id": "a", "size": 1}]}), None).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
        assert!(page(json!({"files": ["a"]}), None).is_err());
    }
}
