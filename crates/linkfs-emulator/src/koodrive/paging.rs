use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::answer::Failure;
use super::call::Call;
use super::knobs::Knobs;
use crate::digest::{hex, unhex};
use crate::mime::suffix;
use crate::{Node, Tree};

/// Where a listing goes on. It names the last item that was shown by its sort key, not by its
/// index, so items that come and go meanwhile neither hide nor repeat others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    key: Key,
    serial: u64,
    /// The empty page before this one has been shown.
    #[serde(default)]
    pub(crate) is_past_empty_page: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Key {
    Nanoseconds(i64),
    Bytes(u64),
    Text(String),
}

/// The order of a listing, by the codes of the API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sort {
    kind: u64,
    is_descending: bool,
}

/// What a call says about the page it wants.
#[derive(Debug)]
pub(crate) struct PageRequest {
    pub(crate) size: usize,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) sort: Sort,
}

/// One page and the way to the next.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) next: Option<Cursor>,
}

impl Cursor {
    /// Before the first item of any listing by creation.
    pub(crate) fn start() -> Self {
        Self {
            key: Key::Nanoseconds(i64::MIN),
            serial: 0,
            is_past_empty_page: true,
        }
    }

    /// The same place in other letters, since a repeated cursor is an error of its own.
    pub(crate) fn respelled(mut self) -> Self {
        self.is_past_empty_page = !self.is_past_empty_page;
        self
    }

    pub(crate) fn encode(&self) -> String {
        let json = serde_json::to_vec(self).expect("a cursor is plain data");
        format!("c2_{}", hex(&json))
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&unhex(text.strip_prefix("c2_")?)?).ok()
    }

    fn place(&self) -> Option<(Timestamp, u64)> {
        match self.key {
            Key::Nanoseconds(at) => {
                Some((Timestamp::from_nanosecond(at.into()).ok()?, self.serial))
            }
            Key::Bytes(_) | Key::Text(_) => None,
        }
    }
}

impl Sort {
    fn read(kind: Option<u64>, direction: Option<u64>) -> Result<Self, Failure> {
        let kind = kind.unwrap_or(3);
        let direction = direction.unwrap_or(1);
        if !(1..=6).contains(&kind) || !(1..=2).contains(&direction) {
            return Err(Failure::parameter("sortInfo"));
        }
        Ok(Self {
            kind,
            is_descending: direction == 2,
        })
    }

    fn is_by_creation(self) -> bool {
        self.kind == 3 && !self.is_descending
    }

    fn cursor(self, node: &Node) -> Cursor {
        let time = |at: Timestamp| {
            let at = i64::try_from(at.as_nanosecond());
            Key::Nanoseconds(at.unwrap_or(i64::MAX))
        };
        let key = match self.kind {
            1 => Key::Text(node.name.clone()),
            2 => Key::Bytes(node.size()),
            3 => time(node.created),
            6 => Key::Text(suffix(&node.name).into()),
            _ => time(node.modified),
        };
        Cursor {
            key,
            serial: node.serial,
            is_past_empty_page: false,
        }
    }

    fn compare(self, left: &Cursor, right: &Cursor) -> Ordering {
        let order = (&left.key, left.serial).cmp(&(&right.key, right.serial));
        if self.is_descending {
            order.reverse()
        } else {
            order
        }
    }
}

impl PageRequest {
    /// Reads size, cursor and order where listings of files have them.
    pub(crate) fn read(call: &Call, knobs: &Knobs) -> Result<Self, Failure> {
        let sort = Sort::read(
            call.number("sortInfo.sortType"),
            call.number("sortInfo.sortDirection"),
        )?;
        let cursor = call.text("pageInfo.pageCursor").unwrap_or_default();
        Self::checked(call.field("pageInfo.pageSize"), cursor, sort, knobs)
    }

    /// Reads them where listings of shared files have them, all at the top. These are sorted by name,
    /// size or change.
    pub(crate) fn read_flat(call: &Call, knobs: &Knobs) -> Result<Self, Failure> {
        let kind = call.number("sortType").unwrap_or(1);
        if ![1, 2, 4].contains(&kind) {
            return Err(Failure::parameter("sortType"));
        }
        let sort = Sort::read(Some(kind), call.number("sortDirection"))?;
        let cursor = call
            .text("pageCursor")
            .filter(|cursor| *cursor != "0")
            .unwrap_or_default();
        Self::checked(call.field("pageSize"), cursor, sort, knobs)
    }

    fn checked(
        size: Option<&serde_json::Value>,
        cursor: &str,
        sort: Sort,
        knobs: &Knobs,
    ) -> Result<Self, Failure> {
        let size = size.map_or(Some(100), super::call::number);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|size| (1..=knobs.page_size_max).contains(size));
        let cursor = match cursor {
            "" => None,
            text => Some(Cursor::decode(text).ok_or_else(|| Failure::parameter("pageCursor"))?),
        };
        Ok(Self {
            size: size.ok_or_else(|| Failure::parameter("pageSize"))?,
            cursor,
            sort,
        })
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
        let after = request.cursor.as_ref();
        let limit = request.size + 1;
        let nodes = if request.sort.is_by_creation() {
            tree.children_after(folder, after.and_then(Cursor::place), limit, &wanted)
        } else {
            let children = tree.children(folder).into_iter();
            sorted_after(children.filter(|node| wanted(node)), request, limit)
        };
        let page = Self::cut(nodes, request, knobs);
        match after {
            Some(_) if knobs.repeats_items => page.repeating(tree, after),
            _ => page,
        }
    }

    /// Takes one page of nodes gathered otherwise.
    pub(crate) fn of_nodes(
        nodes: impl Iterator<Item = Arc<Node>>,
        request: &PageRequest,
        knobs: &Knobs,
    ) -> Self {
        let nodes = sorted_after(nodes, request, request.size + 1);
        Self::cut(nodes, request, knobs)
    }

    /// `nodes` holds one more than the page when more follow.
    fn cut(mut nodes: Vec<Arc<Node>>, request: &PageRequest, knobs: &Knobs) -> Self {
        let skips_to = request
            .cursor
            .as_ref()
            .filter(|cursor| !cursor.is_past_empty_page);
        if let Some(cursor) = skips_to.filter(|_| knobs.has_empty_pages) {
            let next = Cursor {
                is_past_empty_page: true,
                ..cursor.clone()
            };
            return Self {
                nodes: Vec::new(),
                next: Some(next),
            };
        }
        let size = request.size.min(knobs.page_items_max.max(1));
        let more = nodes.len() > size;
        if more {
            nodes.truncate(size.saturating_sub(knobs.page_short_by).max(1));
        }
        let goes_on = more || (knobs.has_trailing_cursor && !nodes.is_empty());
        let next = nodes
            .last()
            .filter(|_| goes_on)
            .map(|node| request.sort.cursor(node));
        Self { nodes, next }
    }

    fn repeating(mut self, tree: &Tree, after: Option<&Cursor>) -> Self {
        let serial = after.map(|cursor| cursor.serial);
        let last = tree
            .all()
            .into_iter()
            .find(|node| Some(node.serial) == serial);
        if let Some(last) = last.filter(|_| !self.nodes.is_empty()) {
            self.nodes.insert(0, last);
        }
        self
    }
}

fn sorted_after(
    nodes: impl Iterator<Item = Arc<Node>>,
    request: &PageRequest,
    limit: usize,
) -> Vec<Arc<Node>> {
    let sort = request.sort;
    let mut keyed: Vec<_> = nodes.map(|node| (sort.cursor(&node), node)).collect();
    if let Some(cursor) = &request.cursor {
        keyed.retain(|(key, _)| sort.compare(key, cursor).is_gt());
    }
    keyed.sort_by(|left, right| sort.compare(&left.0, &right.0));
    keyed
        .into_iter()
        .map(|(_, node)| node)
        .take(limit)
        .collect()
}
