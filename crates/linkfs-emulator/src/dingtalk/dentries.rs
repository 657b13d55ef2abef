use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::dentry::{dentry, id_value, time};
use super::drive::Drive;
use super::knobs::Knobs;
use super::paging::{Page, PageRequest, Sort};
use crate::faults::Strike;
use crate::{Action, Node};

/// `GET storage/spaces/{spaceId}/dentries`
pub(crate) fn list(drive: &Drive, call: &Call, space: &str, strikes: &[Strike]) -> Outcome {
    drive.check_space(space)?;
    let parent = call.query("parentId").unwrap_or_default();
    if parent.is_empty() {
        return Err(Failure::parameter("parentId"));
    }
    let folder = drive.folder_or_file(&parent)?;
    if !folder.is_folder() {
        return Err(Failure::parameter("parentId"));
    }
    let sort = Sort::read(
        call.query("orderBy").as_deref(),
        call.query("order").as_deref(),
    )?;
    let size = number_parameter(call, "maxResults")?;
    let token = call.query("nextToken");
    let request = PageRequest::read(drive, size, token.as_deref(), sort)?;
    let knobs = drive.knobs.get();
    let wanted = |node: &Node| knobs.lists_deleted || !node.recycled;
    let page = Page::of_folder(&drive.cloud.tree, &folder.id, &request, &knobs, wanted);
    Ok(listing(drive, &knobs, &page.struck(&request, strikes)))
}

/// `POST storage/spaces/{spaceId}/dentries/listAll`: the whole space by the time of change.
pub(crate) fn list_all(drive: &Drive, call: &Call, space: &str, strikes: &[Strike]) -> Outcome {
    drive.check_space(space)?;
    let sort = Sort::read(None, call.text("option.order"))?;
    let size = call.number("option.maxResults");
    let request = PageRequest::read(drive, size, call.text("option.nextToken"), sort)?;
    let knobs = drive.knobs.get();
    let mut nodes = drive.cloud.tree.all();
    nodes.retain(|node| drive.is_living(&node.id));
    let page = Page::of_nodes(nodes.into_iter(), &request, &knobs);
    Ok(listing(drive, &knobs, &page.struck(&request, strikes)))
}

/// `POST storage/spaces/{spaceId}/dentries/{dentryId}/query`
pub(crate) fn get(drive: &Drive, space: &str, id: &str) -> Outcome {
    drive.check_space(space)?;
    let node = drive.dentry(id)?;
    Ok(json!({"dentry": dentry(drive, &drive.knobs.get(), &node)}))
}

/// `POST storage/spaces/{spaceId}/dentries/query`
pub(crate) fn batch(drive: &Drive, call: &Call, space: &str, strikes: &[Strike]) -> Outcome {
    let knobs = drive.knobs.get();
    let answer = |id: &str| {
        let node = drive.dentry(id)?;
        Ok(json!({"dentry": dentry(drive, &knobs, &node)}))
    };
    results(drive, call, space, strikes, answer)
}

/// `POST storage/spaces/{spaceId}/thumbnails/query`
pub(crate) fn thumbnails(drive: &Drive, call: &Call, space: &str, strikes: &[Strike]) -> Outcome {
    let answer = |id: &str| {
        let node = drive.dentry(id)?;
        if !node.mime.starts_with("image/") {
            return Err(Failure::new("operationNotSupported", "no picture"));
        }
        let url = format!("{}/thumbnail", drive.closed_host);
        Ok(json!({"thumbnail": {"url": url, "width": 200, "height": 150}}))
    };
    results(drive, call, space, strikes, answer)
}

/// `POST storage/dentries/search`: names that contain the key word, anywhere in the space.
pub(crate) fn search(drive: &Drive, call: &Call) -> Outcome {
    let word = call.text("keyword").unwrap_or_default().to_lowercase();
    if word.is_empty() {
        return Err(Failure::parameter("keyword"));
    }
    let sort = Sort::read(None, None)?;
    let size = call.number("option.maxResults");
    let request = PageRequest::read(drive, size, call.text("option.nextToken"), sort)?;
    let knobs = drive.knobs.get();
    let mut nodes = drive.cloud.tree.all();
    nodes.retain(|node| node.name.to_lowercase().contains(&word) && drive.is_living(&node.id));
    let page = Page::of_nodes(nodes.into_iter(), &request, &knobs);
    let items = page
        .nodes
        .iter()
        .map(|node| json!({"dentryUuid": super::drive::uuid(&node.id), "name": node.name}));
    let mut body = json!({"items": items.collect::<Vec<_>>()});
    page.put_token(&knobs, &mut body);
    Ok(body)
}

/// `GET storage/spaces/{spaceId}/dentries/{dentryId}/versions`, newest first.
pub(crate) fn versions(drive: &Drive, call: &Call, space: &str, id: &str) -> Outcome {
    drive.check_space(space)?;
    let node = drive.dentry(id)?;
    let knobs = drive.knobs.get();
    let template = dentry(drive, &knobs, &node);
    let max = knobs.versions_page_max;
    let size = number_parameter(call, "maxResults")?.map_or(Ok(max), usize::try_from);
    let size = size.ok().filter(|size| (1..=max).contains(size));
    let size = size.ok_or_else(|| Failure::parameter("maxResults"))?;
    let skipped = number_parameter(call, "nextToken")?.unwrap_or_default();
    let skipped = usize::try_from(skipped).map_err(|_| Failure::parameter("nextToken"))?;
    let versions = drive.versions.all(&node.id);
    let page = versions.iter().skip(skipped).take(size).map(|version| {
        let mut dentry = template.clone();
        dentry["version"] = json!(version.number);
        dentry["size"] = json!(version.content.size());
        dentry["modifiedTime"] = time(&knobs, version.modified);
        dentry
    });
    let page: Vec<Value> = page.collect();
    let end = skipped + page.len();
    let next = if end < versions.len() {
        end.to_string()
    } else {
        String::new()
    };
    Ok(json!({"dentries": page, "nextToken": next}))
}

fn listing(drive: &Drive, knobs: &Knobs, page: &Page) -> Value {
    let dentries = page.nodes.iter().map(|node| dentry(drive, knobs, node));
    let mut body = json!({"dentries": dentries.collect::<Vec<_>>()});
    page.put_token(knobs, &mut body);
    body
}

/// One entry for each id of a call, each with its own success or failure.
fn results(
    drive: &Drive,
    call: &Call,
    space: &str,
    strikes: &[Strike],
    answer: impl Fn(&str) -> Outcome,
) -> Outcome {
    drive.check_space(space)?;
    let ids = call.texts("dentryIds");
    let knobs = drive.knobs.get();
    if ids.is_empty() || ids.len() > knobs.batch_max {
        return Err(Failure::parameter("dentryIds"));
    }
    let mut items = Vec::new();
    for id in &ids {
        let struck = |action: &Action| {
            let tree_id = drive.tree_id(id);
            strikes
                .iter()
                .any(|strike| strike.action == *action && strike.concerns(&tree_id))
        };
        if struck(&Action::DropItem) {
            continue;
        }
        let outcome = item_error(strikes, &drive.tree_id(id)).map_or_else(|| answer(id), Err);
        let mut item = match outcome {
            Ok(fields) => fields,
            Err(failure) => json!({"errorCode": failure.code}),
        };
        item["success"] = json!(item.get("errorCode").is_none());
        item["spaceId"] = id_value(&knobs, space.into());
        item["dentryId"] = id_value(&knobs, id.clone());
        items.push(item);
    }
    if strikes
        .iter()
        .any(|strike| strike.action == Action::ReverseItems)
    {
        items.reverse();
    }
    Ok(json!({"resultItems": items}))
}

fn item_error(strikes: &[Strike], id: &str) -> Option<Failure> {
    strikes.iter().find_map(|strike| match &strike.action {
        Action::ItemError { message, .. } if strike.concerns(id) => {
            Some(Failure::new(message, "refused by a fault rule"))
        }
        _ => None,
    })
}

/// A whole number of the query; absent and empty are `None`.
fn number_parameter(call: &Call, name: &str) -> Result<Option<u64>, Failure> {
    let text = call.query(name).filter(|text| !text.is_empty());
    let number = text.map(|text| text.parse());
    number.transpose().map_err(|_| Failure::parameter(name))
}
