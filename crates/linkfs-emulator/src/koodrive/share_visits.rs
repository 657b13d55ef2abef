use serde_json::{Value, json};

use super::answer::Failure;
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::files::item;
use super::listing::cursor_text;
use super::paging::{Page, PageRequest};
use crate::digest::sha256_hex;

/// `GET share/visit`
pub(crate) fn visit(drive: &Drive, call: &Call) -> Outcome {
    let now = drive.cloud.clock.now();
    let mut pages = drive.shares.pages();
    let share = pages.visited(&short_url(call)?)?;
    share.views += 1;
    Ok(json!({"data": {
        "shareId": share.id(),
        "needExtractCode": !share.extract_code.is_empty(),
        "status": share.state(now)}}))
}

/// `GET share/userInfo`
pub(crate) fn user_info(drive: &Drive, call: &Call) -> Outcome {
    let mut pages = drive.shares.pages();
    let share = pages.visited(&short_url(call)?)?;
    let name = if share.is_foreign {
        "somebody else"
    } else {
        &drive.accounts.credentials.account
    };
    Ok(json!({"data": {"userName": name}}))
}

/// `POST share/verify`
pub(crate) fn verify(drive: &Drive, call: &Call) -> Outcome {
    let short_url = call
        .text("shortUrl")
        .ok_or_else(|| Failure::parameter("shortUrl"))?;
    let code = call
        .text("extractCode")
        .ok_or_else(|| Failure::parameter("extractCode"))?;
    let mut pages = drive.shares.pages();
    let share = pages.visited(short_url)?;
    if share.state(drive.cloud.clock.now()) != 0 {
        return Err(Failure::gone());
    }
    if code != share.extract_code {
        return Err(Failure::parameter("extractCode"));
    }
    share.verifications += 1;
    let text = format!("{}\n{}", share.number, share.verifications);
    let token = sha256_hex(text.as_bytes())[..20].to_owned();
    share.visit_tokens.insert(token.clone());
    Ok(json!({"kdstoken": token}))
}

/// `POST share/files`: what is shared, or a folder below it
pub(crate) fn files(drive: &Drive, call: &Call) -> Outcome {
    let knobs = drive.knobs.get();
    let request = PageRequest::read_flat(call, &knobs)?;
    let mut pages = drive.shares.pages();
    let share = pages.entered(call, drive.cloud.clock.now())?;
    let folder = call
        .text("parentFolder")
        .filter(|folder| !["", "root"].contains(folder));
    let page = match folder {
        None => {
            let nodes = share
                .files
                .iter()
                .filter_map(|id| drive.usable_node(id).ok());
            Page::of_nodes(nodes, &request, &knobs)
        }
        Some(folder) => {
            check_inside(drive, &share.files, folder)?;
            let is_there = |node: &crate::Node| !node.recycled;
            Page::of_folder(&drive.cloud.tree, folder, &request, &knobs, is_there)
        }
    };
    let file = |node| {
        let mut file = item(drive, &knobs, node);
        file["containers"] = json!([share.container]);
        file
    };
    let files: Vec<Value> = page.nodes.iter().map(file).collect();
    Ok(json!({
        "nextCursor": cursor_text(page.next.as_ref()),
        "files": files,
        "link": {"shareId": share.id(), "containerId": share.container},
    }))
}

/// What a call on files may be about.
#[derive(Debug)]
pub(crate) enum Place {
    /// The user's own space.
    Space,
    /// A share of these files, and what is below them.
    Share(Vec<String>),
}

impl Place {
    /// The documents say that `x-hw-share-folder-id` runs a call inside what somebody has shared, and no
    /// more. Here it holds the share's id; the call names the space that the files are in, and the
    /// visitor's `kdstoken` where the share has a code.
    pub(crate) fn of(drive: &Drive, call: &Call) -> Result<Self, Failure> {
        let container = call.text("containerId");
        let Some(id) = call.header("x-hw-share-folder-id") else {
            return drive.check_container(container).map(|()| Place::Space);
        };
        let mut pages = drive.shares.pages();
        let share = pages.share(id.parse().map_err(|_| Failure::gone())?)?;
        share.check_visit(call.text("kdstoken"), drive.cloud.clock.now())?;
        share.check_container(container)?;
        Ok(Place::Share(share.files.clone()))
    }

    /// Refuses what is not in this place.
    pub(crate) fn check(&self, drive: &Drive, id: &str) -> Result<(), Failure> {
        match self {
            Place::Space => Ok(()),
            Place::Share(files) => check_inside(drive, files, id),
        }
    }
}

/// Only what is shared or below it may be seen or taken.
pub(crate) fn check_inside(drive: &Drive, shared: &[String], id: &str) -> Result<(), Failure> {
    drive.usable_node(id)?;
    let line = drive.cloud.tree.ancestry(id);
    let is_inside = line.iter().any(|node| shared.contains(&node.id));
    if is_inside {
        Ok(())
    } else {
        Err(Failure::gone())
    }
}

fn short_url(call: &Call) -> Result<String, Failure> {
    call.query("shortUrl")
        .ok_or_else(|| Failure::parameter("shortUrl"))
}
