use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::drive::Drive;
use super::knobs::Knobs;
use super::links::{self, LinkTerms};
use super::paging::{Page, PageRequest};
use super::share_book::{Share, token_end};
use super::share_fields::{check_known, needed, text};
use crate::Node;
use crate::call::Call;

/// The header that a visitor's calls carry.
pub(crate) const TOKEN_HEADER: &str = "x-share-token";

const TOKEN_LIFE_MAX_S: u64 = 7200;

/// A link for a visitor is short-lived.
const LINK_LIFE_DEFAULT_S: u64 = 300;
const LINK_LIFE_MAX_S: u64 = 600;

/// `share_link/get_by_anonymous`
pub(crate) fn look(drive: &Drive, call: &Call) -> Outcome {
    check_known(call, &["share_id"])?;
    let knobs = drive.knobs.get();
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = pages.open_share(needed(call, "share_id")?, now)?;
    share.visits += 1;
    let expires = share.expires.map(|end| knobs.time(end));
    Ok(json!({
        "share_id": share.id,
        "share_name": share.name,
        "has_pwd": !share.password.is_empty(),
        "expiration": expires.unwrap_or_else(|| knobs.maybe("")),
        "expired": false,
        "creator_name": masked(&drive.accounts.credentials.user_name),
        "require_login": share.switches.require_login,
        "disable_preview": share.switches.disable_preview,
        "disable_save": share.switches.disable_save,
        "disable_download": share.switches.disable_download,
        "access_count": share.visits,
        "preview_count": share.previews,
        "save_count": share.saves,
        "download_count": share.downloads,
        "preview_limit": share.limits.preview,
        "save_limit": share.limits.save,
        "download_limit": share.limits.download,
    }))
}

/// `share_link/get_share_token`
pub(crate) fn token(drive: &Drive, call: &Call) -> Outcome {
    check_known(call, &["share_id", "share_pwd", "expire_sec"])?;
    let life_s = match call.field("expire_sec") {
        None => TOKEN_LIFE_MAX_S,
        Some(_) => call
            .number("expire_sec")
            .ok_or_else(|| Failure::wrong_format("expire_sec"))?,
    };
    if !(1..=TOKEN_LIFE_MAX_S).contains(&life_s) {
        return Err(Failure::out_of_range("expire_sec"));
    }
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = pages.open_share(needed(call, "share_id")?, now)?;
    if share.switches.require_login {
        let header = call.header("authorization");
        drive.accounts.admit(header, &drive.knobs.get(), now)?;
    }
    if text(call, "share_pwd")?.unwrap_or_default() != share.password {
        let text = "The password of the share is wrong";
        return Err(Failure::new(403, "ForbiddenNoPermission.SharePwd", text));
    }
    let id = share.id.clone();
    let secret = &drive.accounts.credentials.signing_secret;
    let token = pages.token(&id, secret, token_end(now, life_s));
    Ok(json!({"share_token": token, "expires_in": life_s}))
}

/// `file/get_share_link_download_url`
pub(crate) fn download(drive: &Drive, call: &Call) -> Outcome {
    check_known(call, &["share_id", "file_id", "expire_sec"])?;
    let terms = LinkTerms::read(call, LINK_LIFE_DEFAULT_S, LINK_LIFE_MAX_S)?;
    let share = visited(drive, call)?.ok_or_else(|| Failure::missing("share_id"))?;
    let node = node(drive, call, &share)?;
    let limit = share.limits.download;
    if share.switches.disable_download || (limit > 0 && share.downloads >= limit) {
        let text = "The share cannot be downloaded from";
        return Err(Failure::new(403, "ForbiddenNoPermission.ShareLink", text));
    }
    let link = links::of_node(drive, &node, &terms)?;
    drive.shares.pages().share(&share.id)?.downloads += 1;
    Ok(link)
}

/// The share that a call works inside, if it does: one that the token of the call opens.
pub(crate) fn visited(drive: &Drive, call: &Call) -> Result<Option<Share>, Failure> {
    let Some(id) = text(call, "share_id")?.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let now = drive.cloud.clock.now();
    let token = call.header(TOKEN_HEADER).unwrap_or_default();
    let mut pages = drive.shares.pages();
    pages.check_token(token, id, now)?;
    Ok(Some(pages.open_share(id, now)?.clone()))
}

/// The node that a visitor's call is about.
pub(crate) fn node(drive: &Drive, call: &Call, share: &Share) -> Result<Arc<Node>, Failure> {
    inside(drive, share, needed(call, "file_id")?)
}

/// One page of what a share holds, or of a folder in it.
pub(crate) fn page(
    drive: &Drive,
    share: &Share,
    parent: &str,
    request: &PageRequest,
    knobs: &Knobs,
    wanted: impl Fn(&Node) -> bool,
) -> Result<Page, Failure> {
    let tree = &drive.cloud.tree;
    if parent == "root" && !share.shares_all_files {
        let nodes = share.files.iter().filter_map(|id| tree.node(id));
        let nodes = nodes.filter(|node| wanted(node));
        return Ok(Page::of_nodes(tree, nodes, request, knobs));
    }
    let folder = inside(drive, share, parent)?;
    if !folder.is_folder() {
        return Err(Failure::wrong_format("parent_file_id"));
    }
    Ok(Page::of_folder(tree, &folder.id, request, knobs, wanted))
}

/// Only what is shared, or below it, is there for a visitor.
fn inside(drive: &Drive, share: &Share, file_id: &str) -> Result<Arc<Node>, Failure> {
    let node = drive.node(file_id)?;
    let line = drive.cloud.tree.ancestry(&node.id);
    let is_shared = line.iter().any(|node| share.files.contains(&node.id));
    match share.shares_all_files || is_shared {
        true => Ok(node),
        false => Err(Failure::gone("File")),
    }
}

/// A name as strangers see it.
fn masked(name: &str) -> Value {
    let (first, last) = (name.chars().next(), name.chars().last());
    let ends = first.zip(last);
    json!(ends.map_or_else(String::new, |(first, last)| format!("{first}***{last}")))
}
