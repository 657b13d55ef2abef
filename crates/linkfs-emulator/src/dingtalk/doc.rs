use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::dentry::id_value;
use super::drive::{Drive, uuid};
use super::paging::{Page, PageRequest, Sort};
use crate::mime::suffix;
use crate::{Node, ROOT_ID};

/// What precedes a node's lasting id in its web address.
pub(crate) const NODE_ADDRESS: &str = "https://alidocs.dingtalk.com/i/nodes/";

/// `GET doc/dentries/{dentryUuid}/queryDentryId`
pub(crate) fn dentry_id(drive: &Drive, wanted: &str) -> Outcome {
    ids(drive, &*drive.by_uuid(wanted)?)
}

/// `GET doc/dentries/{dentryId}/queryDentryUuid`
pub(crate) fn dentry_uuid(drive: &Drive, call: &Call, id: &str) -> Outcome {
    drive.check_space(&call.query("spaceId").unwrap_or_default())?;
    ids(drive, &*drive.folder_or_file(id)?)
}

/// `GET wiki/workspaces`
pub(crate) fn workspaces(drive: &Drive) -> Outcome {
    Ok(json!({"workspaces": [workspace(drive)], "nextToken": ""}))
}

/// `GET wiki/mineWorkspaces`
pub(crate) fn my_workspace(drive: &Drive) -> Outcome {
    Ok(json!({"workspace": workspace(drive)}))
}

/// `GET wiki/nodes`
pub(crate) fn nodes(drive: &Drive, call: &Call) -> Outcome {
    let folder = drive.by_uuid(&call.query("parentNodeId").unwrap_or_default())?;
    let size = call.query("maxResults").map(|size| size.parse());
    let size = size.transpose();
    let size = size.map_err(|_| Failure::parameter("maxResults"))?;
    let sort = Sort::read(Some("CREATE_TIME"), Some("ASC"))?;
    let token = call.query("nextToken");
    let request = PageRequest::read(drive, size, token.as_deref(), sort)?;
    let knobs = drive.knobs.get();
    let tree = &drive.cloud.tree;
    let page = Page::of_folder(tree, &folder.id, &request, &knobs, |node| !node.recycled);
    let nodes = page.nodes.iter().map(|node| wiki_node(drive, node));
    let mut body = json!({"nodes": nodes.collect::<Vec<_>>()});
    page.put_token(&knobs, &mut body);
    Ok(body)
}

/// `POST wiki/nodes/queryByUrl`
pub(crate) fn node_by_url(drive: &Drive, call: &Call) -> Outcome {
    let url = call.text("url").unwrap_or_default();
    let uuid = url.strip_prefix(NODE_ADDRESS);
    let uuid = uuid.ok_or_else(|| Failure::parameter("url"))?;
    Ok(json!({"node": wiki_node(drive, &*drive.by_uuid(uuid)?)}))
}

fn ids(drive: &Drive, node: &Node) -> Outcome {
    let knobs = drive.knobs.get();
    Ok(json!({
        "dentryUuid": uuid(&node.id),
        "dentryId": id_value(&knobs, drive.wire_id(&node.id)),
        "spaceId": id_value(&knobs, drive.space.id.clone())}))
}

fn workspace(drive: &Drive) -> Value {
    json!({
        "workspaceId": format!("w{}", drive.space.id),
        "name": "Team files",
        "type": "TEAM",
        "rootNodeId": uuid(ROOT_ID),
        "url": format!("https://alidocs.dingtalk.com/i/spaces/w{}", drive.space.id)})
}

fn wiki_node(drive: &Drive, node: &Node) -> Value {
    let id = uuid(&node.id);
    let mut item = json!({
        "nodeId": id,
        "name": node.name,
        "type": if node.is_folder() { "FOLDER" } else { "FILE" },
        "category": if drive.is_online(node) { "ALIDOC" } else { "DOCUMENT" },
        "hasChildren": !drive.cloud.tree.children(&node.id).is_empty(),
        "createdTimestamp": node.created.as_millisecond(),
        "modifiedTimestamp": node.modified.as_millisecond(),
        "url": format!("{NODE_ADDRESS}{id}"),
        "workspaceId": format!("w{}", drive.space.id),
        "permissionRole": "OWNER",
    });
    if !node.is_folder() {
        item["extension"] = json!(suffix(&node.name));
        item["size"] = json!(node.size());
    }
    item
}
