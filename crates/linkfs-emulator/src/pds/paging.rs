use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Failure;
use super::knobs::Knobs;
use crate::call::{Call, number};
use crate::{Node, Tree};

/// Where a listing goes on. It names the last item that was shown by its sort key, not by its
/// index, so items that come and go meanwhile neither hide nor repeat others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Marker {
    /// What is listed; a marker of another listing is refused.
    of: String,
    key: Key,
    serial: u64,
    issued_s: i64,
    is_past_empty_page: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Nanoseconds(i64),
    Bytes(u64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OrderBy {
    Created,
    Updated,
    Size,
    Name,
}

/// What a call says about the page it wants.
#[derive(Debug)]
pub(crate) struct PageRequest {
    limit: usize,
    of: String,
    order_by: OrderBy,
    is_descending: bool,
    after: Option<Marker>,
    now: Timestamp,
}

/// One page and the way to the next; empty at the end.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) next: String,
}

/// The size of a page, from `limit`.
pub(crate) fn limit(call: &Call, default: usize, max: usize) -> Result<usize, Failure> {
    let Some(limit) = call.field("limit") else {
        return Ok(default);
    };
    let limit = number(limit).and_then(|limit| usize::try_from(limit).ok());
    limit
        .filter(|limit| (1..=max).contains(limit))
        .ok_or_else(|| Failure::out_of_range("limit"))
}

/// A marker of a list that never changes: the index it goes on from.
pub(crate) fn marker_text(index: usize) -> String {
    URL_SAFE_NO_PAD.encode(format!("i{index}"))
}

/// Reads a marker made by [`marker_text`]; 0 without one.
pub(crate) fn plain_marker(call: &Call) -> Result<usize, Failure> {
    let text = call.text("marker").unwrap_or_default();
    if text.is_empty() {
        return Ok(0);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let index = text.and_then(|text| text.strip_prefix('i')?.parse().ok());
    index.ok_or_else(bad_marker)
}

fn bad_marker() -> Failure {
    let text = "The input parameter marker is not valid";
    Failure::new(400, "InvalidParameterNotMatch.Marker", text)
}

impl Marker {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("a marker is plain data"))
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    fn place(&self) -> Option<(Timestamp, u64)> {
        match self.key {
            Key::Nanoseconds(at) => {
                Some((Timestamp::from_nanosecond(at.into()).ok()?, self.serial))
            }
            Key::Bytes(_) | Key::Text(_) => None,
        }
    }

    /// The same place in other letters, since a repeated marker is an error of its own.
    pub(crate) fn respelled(text: &str) -> Option<String> {
        let mut marker = Self::decode(text)?;
        marker.is_past_empty_page = !marker.is_past_empty_page;
        Some(marker.encode())
    }
}

impl PageRequest {
    /// `of` names what is listed.
    pub(crate) fn read(
        call: &Call,
        knobs: &Knobs,
        of: &str,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let order_by = match call.text("order_by").unwrap_or_default() {
            "" | "created_at" | "create_time" => OrderBy::Created,
            "updated_at" | "update_time" => OrderBy::Updated,
            "size" => OrderBy::Size,
            "name" => OrderBy::Name,
            _ => return Err(Failure::wrong_format("order_by")),
        };
        let direction = call.text("order_direction").unwrap_or("ASC");
        let is_descending = match direction.to_ascii_uppercase().as_str() {
            "" | "ASC" => false,
            "DESC" => true,
            _ => return Err(Failure::wrong_format("order_direction")),
        };
        let default = knobs.page_size_default.min(knobs.page_size_max);
        let request = Self {
            limit: limit(call, default, knobs.page_size_max)?,
            of: format!("{of} {order_by:?} {is_descending}"),
            order_by,
            is_descending,
            after: None,
            now,
        };
        let after = call.text("marker").filter(|marker| !marker.is_empty());
        let after = after.map(|text| request.check(text, knobs)).transpose()?;
        Ok(Self { after, ..request })
    }

    fn check(&self, text: &str, knobs: &Knobs) -> Result<Marker, Failure> {
        let marker = Marker::decode(text).filter(|marker| marker.of == self.of);
        let marker = marker.ok_or_else(bad_marker)?;
        let issued = Timestamp::from_second(marker.issued_s).map_err(|_| bad_marker())?;
        let life = knobs.marker_life_s.map(Duration::from_secs);
        if life.is_some_and(|life| self.now >= issued + life) {
            let text = "The input parameter marker has expired";
            return Err(Failure::new(400, "InvalidParameterExpired.Marker", text));
        }
        Ok(marker)
    }

    fn marker(&self, node: &Node) -> Marker {
        let time = |at: Timestamp| {
            let at = i64::try_from(at.as_nanosecond());
            Key::Nanoseconds(at.unwrap_or(i64::MAX))
        };
        let key = match self.order_by {
            OrderBy::Created => time(node.created),
            OrderBy::Updated => time(node.modified),
            OrderBy::Size => Key::Bytes(node.size()),
            OrderBy::Name => Key::Text(node.name.clone()),
        };
        Marker {
            of: self.of.clone(),
            key,
            serial: node.serial,
            issued_s: self.now.as_second(),
            is_past_empty_page: false,
        }
    }

    /// A marker before the first item of any listing by creation, and after nothing of others.
    pub(crate) fn start(&self) -> String {
        let key = match self.order_by {
            OrderBy::Created | OrderBy::Updated => Key::Nanoseconds(i64::MIN),
            OrderBy::Size => Key::Bytes(0),
            OrderBy::Name => Key::Text(String::new()),
        };
        let marker = Marker {
            of: self.of.clone(),
            key,
            serial: 0,
            issued_s: self.now.as_second(),
            is_past_empty_page: true,
        };
        marker.encode()
    }

    fn compare(&self, left: &Marker, right: &Marker) -> Ordering {
        let order = (&left.key, left.serial).cmp(&(&right.key, right.serial));
        if self.is_descending {
            order.reverse()
        } else {
            order
        }
    }
}

impl Page {
    /// Takes one page of the children of a folder.
    pub(crate) fn of_folder(
        tree: &Tree,
        folder: &str,
        request: &PageRequest,
        knobs: &Knobs,
        wanted: impl Fn(&Node) -> bool,
    ) -> Self {
        if request.order_by != OrderBy::Created || request.is_descending {
            let children = tree.children(folder).into_iter();
            return Self::of_nodes(tree, children.filter(|node| wanted(node)), request, knobs);
        }
        let place = request.after.as_ref().and_then(Marker::place);
        let nodes = tree.children_after(folder, place, request.limit + 1, &wanted);
        Self::cut(nodes, request, knobs).repeating(tree, request, knobs)
    }

    /// Takes one page of nodes gathered otherwise.
    pub(crate) fn of_nodes(
        tree: &Tree,
        nodes: impl Iterator<Item = Arc<Node>>,
        request: &PageRequest,
        knobs: &Knobs,
    ) -> Self {
        let mut keyed: Vec<_> = nodes.map(|node| (request.marker(&node), node)).collect();
        if let Some(after) = &request.after {
            keyed.retain(|(key, _)| request.compare(key, after).is_gt());
        }
        keyed.sort_by(|left, right| request.compare(&left.0, &right.0));
        let nodes = keyed.into_iter().map(|(_, node)| node);
        let nodes = nodes.take(request.limit + 1).collect();
        Self::cut(nodes, request, knobs).repeating(tree, request, knobs)
    }

    /// `nodes` holds one more than the page when more follow.
    fn cut(mut nodes: Vec<Arc<Node>>, request: &PageRequest, knobs: &Knobs) -> Self {
        let after = request.after.as_ref();
        if let Some(marker) = after.filter(|marker| !marker.is_past_empty_page)
            && knobs.has_empty_pages
        {
            let mut next = marker.clone();
            next.is_past_empty_page = true;
            return Self {
                nodes: Vec::new(),
                next: next.encode(),
            };
        }
        let size = request.limit.min(knobs.page_items_max.max(1));
        let more = nodes.len() > size;
        if more {
            nodes.truncate(size.saturating_sub(knobs.page_short_by).max(1));
        }
        let goes_on = more || (knobs.has_trailing_marker && !nodes.is_empty());
        let last = nodes.last().filter(|_| goes_on);
        let next = last.map(|node| request.marker(node).encode());
        Self {
            nodes,
            next: next.unwrap_or_default(),
        }
    }

    fn repeating(mut self, tree: &Tree, request: &PageRequest, knobs: &Knobs) -> Self {
        let Some(after) = &request.after else {
            return self;
        };
        if knobs.repeats_items && !self.nodes.is_empty() {
            let mut all = tree.all().into_iter();
            let last = all.find(|node| node.serial == after.serial);
            self.nodes.splice(0..0, last);
        }
        self
    }
}
