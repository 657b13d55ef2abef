use std::collections::HashSet;

use linkfs_provider::{ErrorKind, ItemId, PageToken, ProviderError, Result};
use linkfs_provider_http::value;

use crate::client::{Call, Fields};
use crate::dentry::{self, Dentry};
use crate::space::Space;

/// The largest page the drive gives.
const PAGE_SIZE: u32 = 50;

/// One page, with the versions that its items hide.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) dentries: Vec<Dentry>,
    pub(crate) next: Option<PageToken>,
}

/// Asks for a page of a folder, oldest children first: in the drive's own order, the newest change
/// first, files that change while they are listed are lost or come twice.
///
/// # Errors
/// `Invalid` for a space that cannot stand in a path.
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
    let call = space
        .get("list", "/dentries")?
        .with_query("parentId", folder.as_str())
        .with_query("maxResults", page_size.to_string())
        .with_query("orderBy", "CREATE_TIME")
        .with_query("order", "ASC");
    Ok(match after {
        Some(after) => call.with_query("nextToken", &after.0),
        None => call,
    })
}

/// The page in an answer to `call` with the token `after`.
///
/// # Errors
/// `Broken` when the answer has no list, an item makes no sense, or the token stands still.
pub(crate) fn read(answer: &Fields, after: Option<&PageToken>) -> Result<Page> {
    let next = value::text_of(answer, "nextToken").map(PageToken);
    if next.is_some() && next.as_ref() == after {
        return Err(broken("the next page is the same page again"));
    }
    // Some serialisers write an empty list as null or not at all; then the token shows that it is one.
    let elements = match answer.get("dentries") {
        Some(dentries) => value::elements(dentries),
        None if answer.contains_key("nextToken") => &[],
        None => return Err(broken("it has no list of files")),
    };
    let mut seen = HashSet::new();
    let mut dentries = Vec::new();
    for element in elements {
        let fields = element.as_object();
        let fields = fields.ok_or_else(|| broken("an item is no object"))?;
        let dentry = dentry::read(fields)?;
        dentries.extend(dentry.filter(|dentry| seen.insert(dentry.item.id.clone())));
    }
    Ok(Page { dentries, next })
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn page(answer: Value, after: Option<&str>) -> Result<Page> {
        let after = after.map(|token| PageToken(token.into()));
        read(answer.as_object().unwrap(), after.as_ref())
    }

    fn file(id: &str, status: &str) -> Value {
        json!({"id": id, "name": id, "type": "FILE", "size": 1, "status": status})
    }

    fn check(answer: Value, ids: &[&str], next: Option<&str>) {
        let page = page(answer.clone(), None).unwrap();
        let found: Vec<_> = page.dentries.iter().map(|d| d.item.id.as_str()).collect();
        assert_eq!(found, ids, "{answer}");
        let next = next.map(|token| PageToken(token.into()));
        assert_eq!(page.next, next, "{answer}");
    }

    #[test]
    fn the_token_tells_whether_more_follows() {
        let files = json!([file("a", "NORMAL")]);
        check(
            json!({"dentries": files, "nextToken": "bm"}),
            &["a"],
            Some("bm"),
        );
        check(json!({"dentries": files, "nextToken": ""}), &["a"], None);
        check(json!({"dentries": files, "nextToken": null}), &["a"], None);
        check(json!({"dentries": files}), &["a"], None);
        check(json!({"dentries": [], "nextToken": "bm"}), &[], Some("bm"));
    }

    #[test]
    fn deleted_items_and_repeats_are_dropped() {
        let files = json!([
            file("a", "NORMAL"),
            file("b", "DELETED"),
            file("a", "NORMAL"),
            file("c", "EXPIRED"),
            file("d", "NORMAL"),
        ]);
        check(json!({"dentries": files}), &["a", "d"], None);
    }

    #[test]
    fn an_empty_list_may_be_null_but_must_be_a_list() {
        check(json!({"dentries": null}), &[], None);
        check(json!({"nextToken": ""}), &[], None);
        assert!(page(json!({}), None).is_err());
        assert!(page(json!({"dentries": ["a"]}), None).is_err());
    }

    #[test]
    fn a_token_that_stands_still_is_broken() {
        let answer = json!({"dentries": [], "nextToken": "a"});
        assert!(page(answer.clone(), Some("b")).is_ok());
        assert_eq!(page(answer, Some("a")).unwrap_err().kind, ErrorKind::Broken);
    }
}
