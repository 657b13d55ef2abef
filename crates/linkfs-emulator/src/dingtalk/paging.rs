use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::Failure;
use super::drive::Drive;
use super::knobs::{EndOfList, Knobs};
use crate::digest::{hex, unhex};
use crate::faults::Strike;
use crate::{Action, Node, Tree};

/// Where a listing goes on. It names the last entry that was shown by its sort key, not by its
/// index, so a listing by something that does not change neither hides nor repeats entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PageToken {
    after: Option<Key>,
    sort: Sort,
    /// How many empty pages were shown at this place.
    hops: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    value: KeyValue,
    serial: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum KeyValue {
    Nanoseconds(i64),
    Bytes(u64),
    Text(String),
}

/// The order of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sort {
    by: SortKey,
    is_descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SortKey {
    Modified,
    Created,
    Name,
    Size,
}

/// What a call says about the page it wants.
#[derive(Debug)]
pub(crate) struct PageRequest {
    size: usize,
    text: String,
    token: Option<PageToken>,
    sort: Sort,
}

/// One page and the way to the next.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) nodes: Vec<Arc<Node>>,
    next: Option<String>,
}

impl Sort {
    /// The default is the order in which files were last changed, newest first.
    pub(crate) fn read(by: Option<&str>, order: Option<&str>) -> Result<Self, Failure> {
        let by = match by {
            None | Some("MODIFIED_TIME") => SortKey::Modified,
            Some("CREATE_TIME") => SortKey::Created,
            Some("NAME") => SortKey::Name,
            Some("SIZE") => SortKey::Size,
            Some(_) => return Err(Failure::parameter("orderBy")),
        };
        let is_descending = match order {
            None | Some("DESC") => true,
            Some("ASC") => false,
            Some(_) => return Err(Failure::parameter("order")),
        };
        Ok(Self { by, is_descending })
    }

    fn is_by_creation(self) -> bool {
        self.by == SortKey::Created && !self.is_descending
    }

    fn key(self, node: &Node) -> Key {
        let time = |at: Timestamp| {
            let at = i64::try_from(at.as_nanosecond());
            KeyValue::Nanoseconds(at.unwrap_or(i64::MAX))
        };
        let value = match self.by {
            SortKey::Modified => time(node.modified),
            SortKey::Created => time(node.created),
            SortKey::Name => KeyValue::Text(node.name.clone()),
            SortKey::Size => KeyValue::Bytes(node.size()),
        };
        let serial = node.serial;
        Key { value, serial }
    }

    fn compare(self, left: &Key, right: &Key) -> Ordering {
        if self.is_descending {
            right.cmp(left)
        } else {
            left.cmp(right)
        }
    }
}

impl PageRequest {
    /// Checks the size and the token; the token must be of a listing in the same order.
    pub(crate) fn read(
        drive: &Drive,
        size: Option<u64>,
        token: Option<&str>,
        sort: Sort,
    ) -> Result<Self, Failure> {
        let knobs = drive.knobs.get();
        let size = size.map_or(Ok(knobs.page_size_max), usize::try_from);
        let size = size
            .ok()
            .filter(|size| (1..=knobs.page_size_max).contains(size));
        let size = size.ok_or_else(|| Failure::parameter("maxResults"))?;
        let text = token.unwrap_or_default().to_owned();
        let token = match text.as_str() {
            "" => None,
            text => Some(PageToken::decode(text).filter(|token| token.sort == sort))
                .map(|token| token.ok_or_else(|| Failure::parameter("nextToken")))
                .transpose()?,
        };
        if knobs.single_use_tokens && token.is_some() {
            let mut used = drive.used_tokens.lock().expect("token lock");
            if !used.insert(text.clone()) {
                return Err(Failure::parameter("nextToken"));
            }
        }
        Ok(Self {
            size,
            text,
            token,
            sort,
        })
    }

    fn after(&self) -> Option<&Key> {
        self.token.as_ref()?.after.as_ref()
    }

    fn token_after(&self, after: Option<Key>, hops: u64) -> String {
        let sort = self.sort;
        PageToken { after, sort, hops }.encode()
    }
}

impl PageToken {
    fn encode(&self) -> String {
        hex(&serde_json::to_vec(self).expect("a token is plain data"))
    }

    fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&unhex(text)?).ok()
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
        if !request.sort.is_by_creation() {
            let children = tree.children(folder).into_iter();
            return Self::of_nodes(children.filter(|node| wanted(node)), request, knobs);
        }
        let place = request.after().and_then(|key| match key.value {
            KeyValue::Nanoseconds(at) => {
                Some((Timestamp::from_nanosecond(at.into()).ok()?, key.serial))
            }
            KeyValue::Bytes(_) | KeyValue::Text(_) => None,
        });
        let nodes = tree.children_after(folder, place, request.size + 1, wanted);
        Self::cut(nodes, request, knobs)
    }

    /// Takes one page of nodes gathered otherwise.
    pub(crate) fn of_nodes(
        nodes: impl Iterator<Item = Arc<Node>>,
        request: &PageRequest,
        knobs: &Knobs,
    ) -> Self {
        let sort = request.sort;
        let mut keyed: Vec<_> = nodes.map(|node| (sort.key(&node), node)).collect();
        if let Some(after) = request.after() {
            keyed.retain(|(key, _)| sort.compare(key, after).is_gt());
        }
        keyed.sort_by(|left, right| sort.compare(&left.0, &right.0));
        let nodes = keyed.into_iter().map(|(_, node)| node);
        Self::cut(nodes.take(request.size + 1).collect(), request, knobs)
    }

    /// `nodes` holds one more than the page when more follow.
    fn cut(mut nodes: Vec<Arc<Node>>, request: &PageRequest, knobs: &Knobs) -> Self {
        let is_first_visit = request.token.as_ref().is_some_and(|token| token.hops == 0);
        if knobs.has_empty_pages && is_first_visit {
            return Self::empty(request);
        }
        let size = request.size.min(knobs.page_items_max.max(1));
        let goes_on = nodes.len() > size || (knobs.has_trailing_token && !nodes.is_empty());
        nodes.truncate(size);
        let last = nodes.last().filter(|_| goes_on);
        let next = last.map(|node| request.token_after(Some(request.sort.key(node)), 0));
        Self { nodes, next }
    }

    /// No entries, and a token that goes on from the same place.
    fn empty(request: &PageRequest) -> Self {
        let hops = request.token.as_ref().map_or(0, |token| token.hops) + 1;
        Self {
            nodes: Vec::new(),
            next: Some(request.token_after(request.after().cloned(), hops)),
        }
    }

    /// Lets the strikes on a listing change it.
    pub(crate) fn struck(self, request: &PageRequest, strikes: &[Strike]) -> Self {
        strikes
            .iter()
            .fold(self, |page, strike| match strike.action {
                Action::RepeatCursor if !request.text.is_empty() => Self {
                    next: Some(request.text.clone()),
                    ..page
                },
                Action::EmptyPageWithCursor => Self::empty(request),
                _ => page,
            })
    }

    /// Writes the token, or its absence, into an answer.
    pub(crate) fn put_token(&self, knobs: &Knobs, body: &mut Value) {
        match (&self.next, knobs.end_of_list) {
            (Some(token), _) => body["nextToken"] = json!(token),
            (None, EndOfList::Empty) => body["nextToken"] = json!(""),
            (None, EndOfList::Null) => body["nextToken"] = Value::Null,
            (None, EndOfList::Absent) => {}
        }
    }
}
