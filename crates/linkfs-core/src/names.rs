//! How an item's name on the drive becomes a file name: reversible, stable, unique, never dropped.
//!
//! The rule, for all drives alike:
//! 1. `/` becomes `%2F` and NUL `%00`; in such a name a literal `%` before two hex digits becomes `%25`.
//! 2. `.` becomes `%2E`, `..` becomes `%2E%2E`, an empty name `%00unnamed`.
//! 3. Over 255 bytes the stem is cut at a character, then `~` and eight hex digits of the id's SHA-256
//!    follow, then the extension.
//! 4. A web document's name gets `.url` after the escapes of 1 and 2, as its extension.
//! 5. Of equal names the oldest keeps it; the others get ` (<eight hex digits>)` before the extension.
//!    The digits depend on the id alone, so they do not move when siblings come and go.
//!
//! A name is looked up in the listing that presents it and never decoded.

use std::collections::HashSet;
use std::sync::Arc;

use linkfs_provider::ItemId;

use crate::digest::hex_digest;

use crate::shortcut;

/// NAME_MAX of Linux.
const MAX_BYTES: usize = 255;
/// A longer "extension" is taken for a part of the name.
const MAX_EXTENSION_BYTES: usize = 16;

/// The names given so far in one folder. Give them oldest item first.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: HashSet<Arc<str>>,
}

impl Names {
    /// Keeps `name` from being given to an item.
    pub(crate) fn reserve(&mut self, name: &str) {
        self.taken.insert(name.into());
    }

    /// The file name for an item that the drive calls `name`.
    pub(crate) fn give(&mut self, name: &str, id: &ItemId) -> Arc<str> {
        self.give_escaped(escape(name), id)
    }

    /// The file name for a web document that the drive calls `name`.
    pub(crate) fn give_shortcut(&mut self, name: &str, id: &ItemId) -> Arc<str> {
        self.give_escaped(escape(name) + shortcut::EXTENSION, id)
    }

    fn give_escaped(&mut self, name: String, id: &ItemId) -> Arc<str> {
        let given = self.unused(shorten(name, id), id);
        self.taken.insert(given.clone());
        given
    }

    fn unused(&self, name: String, id: &ItemId) -> Arc<str> {
        if !self.taken.contains(name.as_str()) {
            return name.into();
        }
        let digest = hex_digest(id.as_str());
        let (stem, extension) = split_extension(&name);
        // Somebody may have given a file just the name we would make up: then more digits decide.
        (8..=digest.len())
            .step_by(8)
            .map(|digits| format!(" ({})", &digest[..digits]))
            .map(|mark| {
                format!(
                    "{}{mark}{extension}",
                    cut(stem, MAX_BYTES - mark.len() - extension.len())
                )
            })
            .find(|candidate| !self.taken.contains(candidate.as_str()))
            .unwrap_or(digest)
            .into()
    }
}

fn escape(name: &str) -> String {
    match name {
        "" => return "%00unnamed".into(),
        "." => return "%2E".into(),
        ".." => return "%2E%2E".into(),
        _ => {}
    }
    if !name.contains(['/', '\0']) {
        return name.into();
    }
    let bytes = name.as_bytes();
    let is_escape = |at: usize| matches!(bytes.get(at + 1..at + 3), Some(pair) if pair.iter().all(u8::is_ascii_hexdigit));
    let mut escaped = String::with_capacity(name.len() + 8);
    for (at, character) in name.char_indices() {
        match character {
            '/' => escaped.push_str("%2F"),
            '\0' => escaped.push_str("%00"),
            '%' if is_escape(at) => escaped.push_str("%25"),
            other => escaped.push(other),
        }
    }
    escaped
}

fn shorten(name: String, id: &ItemId) -> String {
    if name.len() <= MAX_BYTES {
        return name;
    }
    let mark = format!("~{}", &hex_digest(id.as_str())[..8]);
    let (stem, extension) = split_extension(&name);
    format!(
        "{}{mark}{extension}",
        cut(stem, MAX_BYTES - mark.len() - extension.len())
    )
}

/// Stem and extension, the dot belonging to the extension; no extension for a dot file.
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_BYTES => name.split_at(dot),
        _ => (name, ""),
    }
}

fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn give(names: &[(&str, &str)]) -> Vec<String> {
        let mut given = Names::default();
        names
            .iter()
            .map(|(name, id)| given.give(name, &ItemId::from(*id)).to_string())
            .collect()
    }

    fn check(name: &str, expected: &str) {
        assert_eq!(give(&[(name, "id")]), [expected]);
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in [
            "plan.pdf",
            "a%2Fb",
            "100%",
            " leading and trailing ",
            "空.txt",
            "...",
            "%",
        ] {
            check(name, name);
        }
    }

    #[test]
    fn what_a_file_name_cannot_hold_is_escaped() {
        check("a/b", "a%2Fb");
        check("a%2Fb/c", "a%252Fb%2Fc");
        check("100%/year", "100%%2Fyear");
        check("nul\0", "nul%00");
        check("/", "%2F");
        check(".", "%2E");
        check("..", "%2E%2E");
        check("", "%00unnamed");
    }

    #[test]
    fn long_names_are_cut_at_a_character_and_keep_the_extension() {
        // sha256("id") begins a56145270ce6b3be
        let name = format!("{}.txt", "漢".repeat(250));
        let given = &give(&[(&name, "id")])[0];
        assert_eq!(*given, format!("{}~a5614527.txt", "漢".repeat(80)));
        assert!(given.len() <= MAX_BYTES);
        check(&"x".repeat(255), &"x".repeat(255));
        check(&"x".repeat(256), &format!("{}~a5614527", "x".repeat(246)));
    }

    #[test]
    fn of_equal_names_the_first_keeps_it_and_the_mark_depends_on_the_id_alone() {
        let three = give(&[("a.txt", "1"), ("a.txt", "2"), ("a.txt", "3")]);
        assert_eq!(three, ["a.txt", "a (d4735e3a).txt", "a (4e074085).txt"]);
        let two = give(&[("a.txt", "1"), ("a.txt", "3")]);
        assert_eq!(two[1], three[2]);
        assert_eq!(give(&[("a", "1"), ("a", "2")])[1], "a (d4735e3a)");
        assert_eq!(give(&[(".rc", "1"), (".rc", "2")])[1], ".rc (d4735e3a)");
    }

    #[test]
    fn a_made_up_name_that_exists_already_gets_more_digits() {
        let given = give(&[("a", "1"), ("a (d4735e3a)", "9"), ("a", "2")]);
        assert_eq!(given[2], "a (d4735e3a265e16ee)");
    }

    #[test]
    fn a_web_document_keeps_its_name_and_gets_an_extension() {
        let mut names = Names::default();
        let mut check = |name: &str, id: &str, expected: &str| {
            assert_eq!(&*names.give_shortcut(name, &ItemId::from(id)), expected);
        };
        check("Plan.adoc", "1", "Plan.adoc.url");
        check("Plan.adoc", "2", "Plan.adoc (d4735e3a).url");
        check("Plan.url", "1", "Plan.url.url");
        check("a/b", "1", "a%2Fb.url");
        check("..", "1", "%2E%2E.url");
        check("", "1", "%00unnamed.url");
        let long = format!("{}.adoc", "x".repeat(300));
        check(&long, "2", &format!("{}~d4735e3a.url", "x".repeat(242)));
        // A file of just that name is another item, and gets another name.
        let file = names.give("Plan.adoc.url", &ItemId::from("3"));
        assert_eq!(&*file, "Plan.adoc (4e074085).url");
    }

    #[test]
    fn a_reserved_name_is_treated_as_taken() {
        let mut names = Names::default();
        names.reserve(".linkfs");
        assert_eq!(
            &*names.give(".linkfs", &ItemId::from("2")),
            ".linkfs (d4735e3a)"
        );
    }

    proptest! {
        #[test]
        fn every_item_gets_one_valid_name_of_its_own(
            names in proptest::collection::vec(
                ("[a-b/%.\\x00漢 ]{0,4}|[漢x.]{100,260}|a.url", proptest::bool::ANY),
                1..40,
            )
        ) {
            let mut given = Names::default();
            let mut seen = HashSet::new();
            for (number, (name, is_web_document)) in names.iter().enumerate() {
                let id = ItemId(number.to_string());
                let name = match is_web_document {
                    true => given.give_shortcut(name, &id),
                    false => given.give(name, &id),
                };
                prop_assert!(!is_web_document || name.ends_with(".url"), "{name}");
                prop_assert!(!name.is_empty() && name.len() <= MAX_BYTES);
                prop_assert!(!name.contains(['/', '\0']) && &*name != "." && &*name != "..");
                prop_assert!(seen.insert(name));
            }
        }
    }
}
