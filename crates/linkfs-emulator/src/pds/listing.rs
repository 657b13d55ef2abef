use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::drive::Drive;
use super::files::{Extras, item};
use super::knobs::Knobs;
use super::paging::{Marker, Page, PageRequest};
use super::share_visits;
use crate::call::Call;
use crate::faults::Strike;
use crate::{Action, Node};

/// `file/list`: one page of a folder.
pub(crate) fn list(drive: &Drive, call: &Call, strikes: &[Strike]) -> Outcome {
    let knobs = drive.knobs.get();
    let share = share_visits::visited(drive, call)?;
    let has_tree = share.is_some() || drive.names_the_tree(call)?;
    let parent = call
        .text("parent_file_id")
        .filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::missing("parent_file_id"))?;
    let extras = Extras::read(call)?;
    let now = drive.cloud.clock.now();
    let of = match &share {
        None => parent.into(),
        Some(share) => format!("{} {parent}", share.id),
    };
    let request = PageRequest::read(call, &knobs, &of, now)?;
    let filter = Filter::read(drive, call, &knobs)?;
    if !has_tree {
        return Ok(json!({"items": [], "next_marker": knobs.maybe("")}));
    }
    let wanted = |node: &Node| filter.takes(node);
    let page = match &share {
        Some(share) => share_visits::page(drive, share, parent, &request, &knobs, wanted)?,
        None => {
            let folder = drive.node(parent)?;
            if !folder.is_folder() {
                return Err(Failure::wrong_format("parent_file_id"));
            }
            Page::of_folder(&drive.cloud.tree, &folder.id, &request, &knobs, wanted)
        }
    };
    let page = strike(page, call, &request, strikes);
    Ok(answer(drive, &knobs, &page, &extras))
}

/// `file/scan`: every item of a drive.
pub(crate) fn scan(drive: &Drive, call: &Call, strikes: &[Strike]) -> Outcome {
    let knobs = drive.knobs.get();
    let has_tree = drive.names_the_tree(call)?;
    let extras = Extras::read(call)?;
    let request = PageRequest::read(call, &knobs, "scan", drive.cloud.clock.now())?;
    let filter = Filter::read(drive, call, &knobs)?;
    let all = drive.cloud.tree.all().into_iter();
    let here = all.filter(|node| {
        let is_there = || drive.node(&super::ids::file_id(&node.id)).is_ok();
        has_tree && filter.takes(node) && is_there()
    });
    let page = Page::of_nodes(&drive.cloud.tree, here, &request, &knobs);
    let page = strike(page, call, &request, strikes);
    Ok(answer(drive, &knobs, &page, &extras))
}

/// Which items a call wants to see.
struct Filter<'a> {
    drive: &'a Drive,
    wants_uploading: bool,
    lists_all: bool,
    is_folder: Option<bool>,
}

impl<'a> Filter<'a> {
    fn read(drive: &'a Drive, call: &Call, knobs: &Knobs) -> Result<Self, Failure> {
        let is_folder = match call.text("type").unwrap_or_default() {
            "" | "all" => None,
            "folder" => Some(true),
            "file" => Some(false),
            _ => return Err(Failure::wrong_format("type")),
        };
        let wants_uploading = match call.text("status").unwrap_or_default() {
            "" | "available" => false,
            "uploading" => true,
            _ => return Err(Failure::wrong_format("status")),
        };
        Ok(Self {
            drive,
            wants_uploading,
            lists_all: knobs.lists_uploading,
            is_folder,
        })
    }

    fn takes(&self, node: &Node) -> bool {
        let has_status =
            self.lists_all || self.wants_uploading == self.drive.is_uploading(&node.id);
        let has_kind = self.is_folder.is_none_or(|kind| kind == node.is_folder());
        !node.recycled && has_status && has_kind
    }
}

fn strike(mut page: Page, call: &Call, request: &PageRequest, strikes: &[Strike]) -> Page {
    let asked_with = call.text("marker").unwrap_or_default();
    for strike in strikes {
        match strike.action {
            Action::RepeatCursor if !asked_with.is_empty() => page.next = asked_with.into(),
            Action::EmptyPageWithCursor => {
                page.nodes.clear();
                page.next = Marker::respelled(asked_with).unwrap_or_else(|| request.start());
            }
            Action::ReverseItems => page.nodes.reverse(),
            Action::DropItem => page.nodes.retain(|node| !strike.concerns(&node.id)),
            _ => {}
        }
    }
    page
}

fn answer(drive: &Drive, knobs: &Knobs, page: &Page, extras: &Extras) -> Value {
    let show = |node: &Arc<Node>| item(drive, knobs, node, extras);
    let items: Vec<Value> = page.nodes.iter().map(show).collect();
    json!({"items": items, "next_marker": knobs.maybe(&page.next), "punished_file_count": 0})
}
