use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::drive::Drive;
use super::ids::file_id;
use super::knobs::Knobs;
use super::{links, share_visits};
use crate::call::Call;
use crate::mime::suffix;
use crate::{Content, Node, ROOT_ID, Tree};

/// `file/get`
pub(crate) fn get(drive: &Drive, call: &Call) -> Outcome {
    let extras = Extras::read(call)?;
    let node = match share_visits::visited(drive, call)? {
        Some(share) => share_visits::node(drive, call, &share)?,
        None => drive.called_node(call)?,
    };
    Ok(item(drive, &drive.knobs.get(), &node, &extras))
}

/// `file/get_by_path`
pub(crate) fn get_by_path(drive: &Drive, call: &Call) -> Outcome {
    let knobs = drive.knobs.get();
    if !knobs.has_get_by_path {
        return Err(Failure::new(404, "NotFound", "The API is not found"));
    }
    let has_tree = drive.names_the_tree(call)?;
    let path = call
        .text("file_path")
        .filter(|path| path.starts_with('/'))
        .ok_or_else(|| Failure::missing("file_path"))?;
    let found = drive.cloud.tree.id_at(path).filter(|_| has_tree);
    let id = found.ok_or_else(|| Failure::gone("File"))?;
    let node = drive.node(&file_id(&id))?;
    Ok(item(drive, &knobs, &node, &Extras::default()))
}

/// What a call wants to see of each item beyond the usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    has_urls: bool,
    has_folder_sizes: bool,
    url_life_s: u64,
}

impl Extras {
    pub(crate) fn read(call: &Call) -> Result<Self, Failure> {
        let fields = call.text("fields").unwrap_or_default();
        let has = |name: &str| {
            let mut names = fields.split(',').map(str::trim);
            names.any(|field| field == name || field == "*")
        };
        let url_life_s = call.number("url_expire_sec").unwrap_or(900);
        if !(10..=14_400).contains(&url_life_s) {
            return Err(Failure::out_of_range("url_expire_sec"));
        }
        Ok(Self {
            has_urls: has("url"),
            has_folder_sizes: has("dir_size"),
            url_life_s,
        })
    }
}

/// An item of a listing, or the answer about one.
pub(crate) fn item(drive: &Drive, knobs: &Knobs, node: &Arc<Node>, extras: &Extras) -> Value {
    let status = if drive.is_uploading(&node.id) {
        "uploading"
    } else {
        "available"
    };
    let mut item = json!({
        "domain_id": drive.domain,
        "drive_id": knobs.drive_id(&drive.drive_id),
        "file_id": file_id(&node.id),
        "parent_file_id": node.parent.as_deref().map(file_id),
        "name": node.name,
        "type": if node.is_folder() { "folder" } else { "file" },
        "status": status,
        "hidden": false,
        "starred": false,
        "created_at": knobs.time(node.created),
        "updated_at": knobs.time(node.modified),
    });
    if node.id == ROOT_ID {
        item["name"] = json!("root");
    }
    if node.is_folder() {
        if extras.has_folder_sizes || knobs.folders_have_size {
            let held = Held::of(&drive.cloud.tree, &node.id);
            item["size"] = knobs.size(held.bytes);
            item["dir_size_info"] = json!({"file_count": held.files, "dir_count": held.folders});
        }
        return item;
    }
    let size = node.listed_size.unwrap_or_else(|| node.size());
    item["size"] = knobs.size(size);
    item["content_type"] = json!("application/oct-stream");
    item["mime_type"] = json!(node.mime);
    item["file_extension"] = json!(suffix(&node.name));
    item["category"] = json!(category(node));
    item["local_modified_at"] = knobs.time(node.modified);
    if !knobs.omits_revision {
        item["revision_id"] = json!(format!("r{:02}", node.revision));
    }
    if let Some(checksum) = drive.checksum(node) {
        knobs.put_checksum(&mut item, &checksum);
    }
    if extras.has_urls {
        let url = links::plain(drive, node, extras.url_life_s);
        item["download_url"] = json!(url);
        item["url"] = json!(url);
    }
    item
}

fn category(node: &Node) -> &'static str {
    let kind = node.mime.split('/').next().unwrap_or_default();
    match (kind, suffix(&node.name)) {
        ("image", _) => "image",
        ("video", _) => "video",
        ("audio", _) => "audio",
        (_, "zip" | "gz" | "tgz" | "rar" | "7z") => "zip",
        ("text", _) | (_, "pdf" | "doc" | "docx" | "xls" | "xlsx" | "ppt" | "pptx") => "doc",
        (_, "apk" | "exe") => "app",
        _ => "others",
    }
}

/// What is in a folder and all below it.
#[derive(Default)]
struct Held {
    bytes: u64,
    files: u64,
    folders: u64,
}

impl Held {
    fn of(tree: &Tree, folder: &str) -> Self {
        let mut held = Self::default();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for node in tree.children(&folder) {
                match node.content.as_ref().map(Content::size) {
                    _ if node.recycled => {}
                    Some(size) => {
                        held.bytes += size;
                        held.files += 1;
                    }
                    None => {
                        held.folders += 1;
                        open.push(node.id.clone());
                    }
                }
            }
        }
        held
    }
}
