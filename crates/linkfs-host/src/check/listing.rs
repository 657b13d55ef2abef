use std::collections::{HashSet, VecDeque};

use linkfs_provider::ItemId;
use linkfs_provider::wire::{Call, ErrorKind, Item, ItemKind, Page, Usage};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::promises;
use super::session::{Session, kind, parse};

/// So many folders are listed, the top first.
const MOST_FOLDERS: usize = 10;
/// So many pages of one folder. A drive with more has a folder of its own to be checked with.
const MOST_PAGES: usize = 1_000;
/// So many items are asked for with `stat`.
const MOST_STATS: usize = 5;
/// So many bytes and more a file must have for its links to be tried.
const LEAST_SIZE: u64 = 1;

/// What the folders hold that were listed.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) items: Vec<Item>,
    /// The names of the top folder.
    names: Vec<String>,
    /// How pages broke a promise, and how ids did.
    pages: Option<String>,
    ids: Option<String>,
}

impl Seen {
    /// Files that have bytes.
    pub(super) fn files(&self) -> impl Iterator<Item = &Item> {
        let is_file = |item: &&Item| item.kind == ItemKind::File && item.size >= Some(LEAST_SIZE);
        self.items.iter().filter(is_file)
    }

    /// Ids that no item has, the likelier ones first: made of another in the drive's own form, and any text.
    pub(super) fn unknown_ids(&self) -> Vec<ItemId> {
        let like = self
            .items
            .iter()
            .rev()
            .find(|item| item.kind == ItemKind::File);
        let like = like
            .or(self.items.last())
            .map(|item| turned(item.id.as_str()));
        let any = "linkfs-check-no-such-item".to_owned();
        let ids = like.into_iter().chain([any]).map(ItemId);
        ids.filter(|id| self.items.iter().all(|item| item.id != *id))
            .collect()
    }
}

/// Every letter and digit replaced by another.
fn turned(id: &str) -> String {
    let turn = |c: char| match c {
        '0'..='9' => char::from_digit((c as u32 - '0' as u32 + 5) % 10, 10).unwrap_or(c),
        'a'..='f' => char::from(b'a' + (c as u8 - b'a' + 3) % 6),
        'A'..='F' => char::from(b'A' + (c as u8 - b'A' + 3) % 6),
        'g'..='z' => char::from(b'g' + (c as u8 - b'g' + 7) % 20),
        'G'..='Z' => char::from(b'G' + (c as u8 - b'G' + 7) % 20),
        other => other,
    };
    id.chars().map(turn).collect()
}

pub(super) async fn check(
    bench: &mut Bench,
    findings: &mut Findings<'_>,
    names: &[String],
) -> Seen {
    let (seen, listed) = walk(bench).await;
    findings.note(promises::LIST, listed.clone());
    let found = |flaw: &Option<String>, expected: &str| match (flaw, &listed) {
        (Some(came), _) => Err(missing(expected, came)),
        (None, Ok(())) => Ok(()),
        (None, Err(_)) => Err(unchecked("a folder could not be listed")),
    };
    findings.note(
        promises::PAGES,
        found(&seen.pages, "a page without `next` in the end"),
    );
    findings.note(promises::IDS, found(&seen.ids, "each item once"));
    findings.note(promises::NAMES, names_are_there(&seen, names, &listed));
    findings.note(promises::STAT, stat(bench, &seen).await);
    findings.note(promises::NOT_FOUND, not_found(bench, &seen).await);
    findings.note(promises::USAGE, usage(bench).await);
    seen
}

/// Lists folders, the nearest to the top first.
async fn walk(bench: &mut Bench) -> (Seen, Tried) {
    let mut seen = Seen::default();
    let top = bench.about.as_ref().map(|about| about.root.clone());
    let mut folders: VecDeque<_> = top.into_iter().collect();
    for number in 0..MOST_FOLDERS {
        let Some(folder) = folders.pop_front() else {
            break;
        };
        let listed = match bench.session().await {
            Ok(session) => list(session, &folder, &mut seen).await,
            Err(doubt) => Err(doubt),
        };
        let items = match listed {
            Ok(items) => items,
            Err(doubt) => return (seen, Err(doubt)),
        };
        if number == 0 {
            seen.names = items.iter().map(|item| item.name.clone()).collect();
        }
        let inner = items.iter().filter(|item| item.kind == ItemKind::Folder);
        folders.extend(inner.map(|item| item.id.clone()));
        seen.items.extend(items);
    }
    (seen, Ok(()))
}

/// Every page of a folder.
async fn list(session: &mut Session, folder: &ItemId, seen: &mut Seen) -> Tried<Vec<Item>> {
    let (mut items, mut ids, mut tokens) = (Vec::new(), HashSet::new(), HashSet::new());
    let mut after = None;
    for _ in 0..MOST_PAGES {
        let call = Call::List {
            folder: folder.clone(),
            after,
        };
        let page: Page = session.value(call).await?;
        for item in page.items {
            form(&item)?;
            if ids.insert(item.id.clone()) {
                items.push(item);
            } else {
                seen.ids = Some(format!("item {} twice in folder {folder}", item.id));
            }
        }
        match page.next {
            None => return Ok(items),
            Some(next) if !tokens.insert(next.clone()) => {
                seen.pages = Some(format!("the same `next` twice in folder {folder}"));
                return Ok(items);
            }
            next => after = next,
        }
    }
    seen.pages = Some(format!("{MOST_PAGES} pages of folder {folder}, and more"));
    Ok(items)
}

/// What an item must have, as linkfs takes it.
fn form(item: &Item) -> Tried {
    let taken = linkfs_provider::Item::try_from(item.clone());
    let taken = taken.map_err(|error| missing("items with all they need", error.message))?;
    match taken.id.as_str() {
        "" => Err(missing("an id for each item", "an empty one")),
        _ => Ok(()),
    }
}

fn names_are_there(seen: &Seen, names: &[String], listed: &Tried) -> Tried {
    if names.is_empty() {
        let why = "what the top folder holds was not said (--expect NAME)";
        return Err(unchecked(why));
    }
    if listed.is_err() {
        return Err(unchecked("a folder could not be listed"));
    }
    match names.iter().find(|name| !seen.names.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let there: Vec<_> = seen.names.iter().take(20).collect();
            Err(missing(
                format!("{name:?} in the top folder"),
                format!("{there:?}"),
            ))
        }
    }
}

async fn stat(bench: &mut Bench, seen: &Seen) -> Tried {
    if seen.items.is_empty() {
        return Err(unchecked("the drive shows no item"));
    }
    let step = seen.items.len().div_ceil(MOST_STATS);
    for listed in seen.items.iter().step_by(step) {
        let call = Call::Stat {
            item: listed.id.clone(),
        };
        let told: Item = bench.session().await?.value(call).await?;
        form(&told)?;
        same(listed, &told)?;
    }
    Ok(())
}

/// Whether two calls tell the same of an item: what its name, its bytes and their version depend on.
pub(super) fn same(listed: &Item, told: &Item) -> Tried {
    let parts = |item: &Item| {
        [
            ("id", format!("{:?}", item.id.as_str())),
            ("name", format!("{:?}", item.name)),
            ("kind", format!("{:?}", item.kind)),
            ("size", format!("{:?}", item.size)),
            // A folder's version says nothing.
            (
                "version",
                match item.kind {
                    ItemKind::Folder => String::new(),
                    _ => format!("{:?} {:?}", item.version, item.modified_ms),
                },
            ),
        ]
    };
    for ((part, listed), (_, told)) in parts(listed).into_iter().zip(parts(told)) {
        if listed != told {
            return Err(missing(format!("`{part}` {listed}, as listed"), told));
        }
    }
    Ok(())
}

async fn not_found(bench: &mut Bench, seen: &Seen) -> Tried {
    let expected = format!("the error {}", kind(ErrorKind::NotFound));
    let mut came = String::new();
    // In which form ids are a drive may check first: one of them has to be taken for an id.
    for item in seen.unknown_ids() {
        let session = bench.session().await?;
        came = match session.ask(Call::Stat { item }).await? {
            Err(error) if error.kind == ErrorKind::NotFound => return Ok(()),
            Err(error) => session.shown(&error),
            Ok(_) => "an item".to_owned(),
        };
    }
    Err(missing(expected, came))
}

async fn usage(bench: &mut Bench) -> Tried {
    let session = bench.session().await?;
    match session.ask(Call::Usage).await? {
        Ok(usage) => parse::<Usage>(usage.get().as_bytes(), "an answer to `usage`").map(drop),
        Err(error) if error.kind == ErrorKind::Unsupported => Ok(()),
        Err(error) => Err(missing("an answer to `usage`", session.shown(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_id_of_the_same_form_is_made() {
        for (id, expected) in [
            ("12", "67"),
            ("9b1c-FF", "4e6f-CC"),
            ("", ""),
            ("zebra", "mbeyd"),
        ] {
            assert_eq!(turned(id), expected);
        }
    }
}
