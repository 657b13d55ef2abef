use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Answer, Failure, Outcome};
use super::drive::Drive;
use super::ids::file_id;
use super::share_book::Share;
use super::share_fields::{
    OF_CHANGE, OF_NEW, check_known, check_terms_and, flag, needed, put_terms, text,
};
use crate::call::{Call, number};

const FILES_MAX: usize = 100;
const PAGE_MAX: u64 = 100;
const PAGE_DEFAULT: u64 = 100;

/// `share_link/create`
pub(crate) fn create(drive: &Drive, call: &Call) -> Outcome {
    check_terms_and(call, &OF_NEW)?;
    let has_tree = drive.names_the_tree(call)?;
    let shares_all_files = flag(call, "share_all_files")?.unwrap_or(false);
    let files = match shares_all_files {
        true => Vec::new(),
        false => files(drive, call, has_tree)?,
    };
    let user = &drive.accounts.credentials.user_id;
    if text(call, "user_id")?.is_some_and(|asked| asked != user) {
        return Err(Failure::new(403, "ForbiddenNoPermission.User", "not yours"));
    }
    let first = files.first().and_then(|id| drive.cloud.tree.node(id));
    let name = first.map(|node| node.name.chars().take(128).collect());
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let mut share = pages.draft(files, name.unwrap_or_default(), now);
    share.shares_all_files = shares_all_files;
    put_terms(&mut share, call, now)?;
    pages.shares.push(share.clone());
    Ok(link(drive, &share, now))
}

/// `share_link/get`
pub(crate) fn get(drive: &Drive, call: &Call) -> Outcome {
    check_known(call, &["share_id"])?;
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = pages.share(needed(call, "share_id")?)?;
    Ok(link(drive, share, now))
}

/// `share_link/update`
pub(crate) fn update(drive: &Drive, call: &Call) -> Outcome {
    check_terms_and(call, &OF_CHANGE)?;
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = pages.share(needed(call, "share_id")?)?;
    let mut changed = share.clone();
    match text(call, "status")? {
        None => {}
        Some("enabled") => changed.is_cancelled = false,
        Some("disabled") => changed.is_cancelled = true,
        Some(_) => return Err(Failure::wrong_format("status")),
    }
    if changed.is_cancelled && share.is_cancelled {
        return Err(Failure::gone("ShareLink"));
    }
    put_terms(&mut changed, call, now)?;
    changed.updated = now;
    *share = changed;
    let full = link(drive, share, now);
    match drive.knobs.get().share_update_tells_changes_only {
        true => Ok(changes_only(&full, call)),
        false => Ok(full),
    }
}

/// `share_link/cancel`
pub(crate) fn cancel(drive: &Drive, call: &Call) -> Result<Answer, Failure> {
    check_known(call, &["share_id"])?;
    let mut pages = drive.shares.pages();
    let share = pages.share(needed(call, "share_id")?)?;
    if share.is_cancelled {
        return Err(Failure::gone("ShareLink"));
    }
    share.is_cancelled = true;
    Ok(Answer::empty())
}

/// `share_link/list`
pub(crate) fn list(drive: &Drive, call: &Call) -> Outcome {
    let known = [
        "creator",
        "include_cancelled",
        "limit",
        "marker",
        "order_by",
        "order_direction",
    ];
    check_known(call, &known)?;
    let now = drive.cloud.clock.now();
    let user = &drive.accounts.credentials.user_id;
    let is_mine = text(call, "creator")?.is_none_or(|creator| creator == user);
    let shows_cancelled = flag(call, "include_cancelled")?.unwrap_or(false);
    let limit = page_size(call)?;
    let pages = drive.shares.pages();
    let mut shares: Vec<(usize, &Share)> = pages.shares.iter().enumerate().collect();
    sort(&mut shares, call)?;
    let start = start(&shares, call)?;
    let shown = shares[start..]
        .iter()
        .filter(|(_, share)| is_mine && (shows_cancelled || !share.is_cancelled));
    let mut shown: Vec<_> = shown.take(limit + 1).collect();
    let next = (shown.len() > limit).then(|| shown[limit - 1].0);
    shown.truncate(limit);
    let items: Vec<Value> = shown
        .iter()
        .map(|(_, share)| link(drive, share, now))
        .collect();
    let next = next.map_or_else(String::new, |serial| {
        URL_SAFE_NO_PAD.encode(format!("s{serial}"))
    });
    Ok(json!({"items": items, "next_marker": drive.knobs.get().maybe(&next)}))
}

/// A share as its owner sees it.
pub(crate) fn link(drive: &Drive, share: &Share, now: Timestamp) -> Value {
    let knobs = drive.knobs.get();
    let expires = share.expires.map(|end| knobs.time(end));
    let mut body = json!({
        "share_id": share.id,
        "share_name": share.name,
        "share_pwd": knobs.maybe(&share.password),
        "share_all_files": share.shares_all_files,
        "drive_id": knobs.drive_id(&drive.drive_id),
        "file_id_list": share.files.iter().map(|id| file_id(id)).collect::<Vec<_>>(),
        "description": knobs.maybe(&share.description),
        "expiration": expires.unwrap_or_else(|| knobs.maybe("")),
        "expired": share.is_expired(now),
        "status": if share.is_cancelled { "disabled" } else { "enabled" },
        "creator": drive.accounts.credentials.user_id,
        "created_at": knobs.time(share.created),
        "updated_at": knobs.time(share.updated),
        "access_count": share.visits,
        "preview_count": share.previews,
        "download_count": share.downloads,
        "save_count": share.saves,
        "report_count": 0,
        "video_preview_count": 0,
        "preview_limit": share.limits.preview,
        "save_limit": share.limits.save,
        "download_limit": share.limits.download,
        "disable_preview": share.switches.disable_preview,
        "disable_save": share.switches.disable_save,
        "disable_download": share.switches.disable_download,
        "office_editable": share.switches.office_editable,
    });
    if knobs.tells_share_url {
        let (domain, id) = (&drive.domain, &share.id);
        body["share_url"] = json!(format!("https://{domain}.example.test/s/{id}"));
    }
    body
}

/// The files of a new share, by the tree's ids: of one folder.
fn files(drive: &Drive, call: &Call, has_tree: bool) -> Result<Vec<String>, Failure> {
    const NAME: &str = "file_id_list";
    let ids = call.field(NAME).ok_or_else(|| Failure::missing(NAME))?;
    let ids = ids.as_array().ok_or_else(|| Failure::wrong_format(NAME))?;
    if !(1..=FILES_MAX).contains(&ids.len()) {
        return Err(Failure::out_of_range(NAME));
    }
    let mut nodes = Vec::new();
    for id in ids {
        let id = id.as_str().ok_or_else(|| Failure::wrong_format(NAME))?;
        if !has_tree {
            return Err(Failure::gone("File"));
        }
        nodes.push(drive.node(id)?);
    }
    let parent = &nodes[0].parent;
    if parent.is_none() || nodes.iter().any(|node| node.parent != *parent) {
        let text = "The files of a share must be of one folder";
        return Err(Failure::new(
            400,
            "InvalidParameterNotMatch.FileIdList",
            text,
        ));
    }
    Ok(nodes.iter().map(|node| node.id.clone()).collect())
}

fn page_size(call: &Call) -> Result<usize, Failure> {
    let asked = match call.field("limit") {
        None => PAGE_DEFAULT,
        Some(limit) => number(limit).ok_or_else(|| Failure::wrong_format("limit"))?,
    };
    match asked {
        0 => Ok(PAGE_DEFAULT as usize),
        1..=PAGE_MAX => Ok(asked as usize),
        _ => Err(Failure::out_of_range("limit")),
    }
}

fn sort(shares: &mut [(usize, &Share)], call: &Call) -> Result<(), Failure> {
    match text(call, "order_by")?.unwrap_or("created_at") {
        // They are entered in this order.
        "" | "created_at" => {}
        "updated_at" => shares.sort_by_key(|(_, share)| share.updated),
        "share_name" => shares.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name)),
        "description" => {
            shares.sort_by(|(_, one), (_, other)| one.description.cmp(&other.description));
        }
        _ => return Err(Failure::wrong_format("order_by")),
    }
    match text(call, "order_direction")?.unwrap_or("ASC") {
        "" | "ASC" => {}
        "DESC" => shares.reverse(),
        _ => return Err(Failure::wrong_format("order_direction")),
    }
    Ok(())
}

/// The marker names the last share that was shown, so that new ones do not shift the pages.
fn start(shares: &[(usize, &Share)], call: &Call) -> Result<usize, Failure> {
    let Some(marker) = text(call, "marker")?.filter(|marker| !marker.is_empty()) else {
        return Ok(0);
    };
    let bytes = URL_SAFE_NO_PAD.decode(marker).ok();
    let serial = bytes.and_then(|bytes| {
        String::from_utf8(bytes)
            .ok()?
            .strip_prefix('s')?
            .parse()
            .ok()
    });
    let at =
        serial.and_then(|wanted: usize| shares.iter().position(|(serial, _)| *serial == wanted));
    at.map(|at| at + 1).ok_or_else(|| {
        let text = "The input parameter marker is not valid";
        Failure::new(400, "InvalidParameterNotMatch.Marker", text)
    })
}

/// What the example of the documents shows of a change: the share's id, its state, and what was
/// changed.
fn changes_only(full: &Value, call: &Call) -> Value {
    let asked = call.body.as_object().into_iter().flatten();
    let names = asked.map(|(name, _)| name.as_str());
    let told = names.chain(["share_id", "status"]);
    told.map(|name| (name.to_owned(), full[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}
