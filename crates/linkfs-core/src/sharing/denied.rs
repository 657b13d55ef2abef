use glob::{MatchOptions, Pattern};

/// `*` and `?` stay within one name, and a pattern means what it says.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Patterns of what may not be shared. One without a slash is held against every name on an item's path; one
/// with a slash against the path from the drive's top. What lies below a match is denied too, and so is
/// a folder that may hold one, by its path alone: sharing it would share what is in it, now or later.
#[derive(Clone, Debug, Default)]
pub struct DeniedPaths(Vec<Denied>);

#[derive(Clone, Debug)]
struct Denied {
    written: String,
    pattern: Pattern,
    /// The folders that may hold what the pattern names.
    above: Vec<Pattern>,
}

/// What a pattern means for an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cover {
    Item,
    /// Something that may be in the folder.
    Inside,
}

impl DeniedPaths {
    /// Reads patterns: `*`, `?`, `[...]`, and `**` for any number of folders.
    ///
    /// # Errors
    /// What is wrong with one of them, in words.
    pub fn new(patterns: &[String]) -> Result<DeniedPaths, String> {
        let denied = patterns.iter().map(|written| Denied::new(written));
        Ok(DeniedPaths(denied.collect::<Result<_, _>>()?))
    }

    /// Why the item at `path` may not be shared, by the first pattern that says so.
    pub(super) fn refusal(&self, path: &str, is_folder: bool) -> Option<String> {
        let refusal = |denied: &Denied| {
            let written = &denied.written;
            Some(match denied.covers(path, is_folder)? {
                Cover::Item => format!("deny = \"{written}\" covers it"),
                Cover::Inside => format!("deny = \"{written}\" covers what the folder may hold"),
            })
        };
        self.0.iter().find_map(refusal)
    }
}

impl Denied {
    fn new(written: &str) -> Result<Denied, String> {
        let trimmed = written.trim_matches('/');
        if trimmed.is_empty() {
            return Err("a pattern is empty".to_owned());
        }
        let parse = |text: &str| {
            Pattern::new(text).map_err(|error| format!("\"{written}\" is no pattern: {error}"))
        };
        let path = match written.trim_end_matches('/').contains('/') {
            true => trimmed.to_owned(),
            false => format!("**/{trimmed}"),
        };
        let names: Vec<_> = path.split('/').collect();
        let fixed = names.iter().take_while(|name| **name != "**").count();
        let mut above: Vec<_> = (1..=fixed.min(names.len() - 1))
            .map(|count| names[..count].join("/"))
            .collect();
        if fixed < names.len() {
            // Any folder below the fixed part may hold what the rest means.
            above.push([&names[..fixed], &["**"]].concat().join("/"));
        }
        let above = above.iter().map(|text| parse(text));
        let above = above.collect::<Result<_, _>>()?;
        Ok(Denied {
            written: written.to_owned(),
            pattern: parse(&path)?,
            above,
        })
    }

    fn covers(&self, path: &str, is_folder: bool) -> Option<Cover> {
        let is_it = |path: &str| self.pattern.matches_with(path, OPTIONS);
        if prefixes(path).any(is_it) {
            return Some(Cover::Item);
        }
        let is_above = |pattern: &Pattern| pattern.matches_with(path, OPTIONS);
        let may_hold_it = is_folder && (path.is_empty() || self.above.iter().any(is_above));
        may_hold_it.then_some(Cover::Inside)
    }
}

/// `a`, `a/b`, `a/b/c` of `a/b/c`.
fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let inner = path.match_indices('/').map(|(at, _)| &path[..at]);
    inner.chain([path])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, is_folder: bool, expected: bool) {
        let denied = DeniedPaths::new(&[pattern.to_owned()]).unwrap();
        let covers = denied.refusal(path, is_folder).is_some();
        assert_eq!(covers, expected, "{pattern} {path} {denied:?}");
    }

    #[test]
    fn a_pattern_without_a_slash_is_held_against_every_name() {
        for (path, expected) in [
            ("x.key", true),
            ("a/b/x.key", true),
            ("old.key/readme", true),
            (".key", true),
            ("x.keys", false),
            ("", false),
        ] {
            check("*.key", path, false, expected);
        }
        check("private/", "a/private/x", false, true);
        check("**", "a/x", false, true);
        check("[ab]?", "b1", false, true);
    }

    #[test]
    fn a_pattern_with_a_slash_is_held_against_the_path() {
        for (path, is_folder, expected) in [
            ("hr/pay/2027", true, true),
            ("hr/pay/2027/may.xls", false, true),
            ("hr/pay", true, true),
            ("hr", true, true),
            ("", true, true),
            ("hr/pay.txt", false, false),
            ("hr/other", true, false),
            ("work/hr/pay/2027", true, false),
        ] {
            check("hr/pay/*", path, is_folder, expected);
            check("/hr/pay/*", path, is_folder, expected);
        }
        check("/top.txt", "top.txt", false, true);
        check("/top.txt", "a/top.txt", false, false);
    }

    #[test]
    fn two_stars_stand_for_any_number_of_folders() {
        for (pattern, path, expected) in [
            ("hr/**", "hr/a", true),
            ("hr/**", "hr", true),
            ("hr/**", "other", false),
            ("hr/**/x", "hr/x", true),
            ("hr/**/x", "hr/a", true),
            ("hr/**/x", "hr/a/b/x", true),
            ("**/secret", "a/b/secret", true),
            ("**/secret", "secret", true),
            ("**/secret", "a", true),
            ("hr/**/x", "other", false),
        ] {
            check(pattern, path, true, expected);
        }
    }

    #[test]
    fn a_folder_that_may_hold_what_is_denied_is_not_shared() {
        for pattern in ["*.key", "deep.txt", "**/deep.txt", "private/"] {
            for path in ["", "sub", "sub/deeper"] {
                check(pattern, path, true, true);
            }
            check(pattern, "sub/other.txt", false, false);
        }
        let denied = DeniedPaths::new(&["*.key".to_owned()]).unwrap();
        let why = |path, is_folder| denied.refusal(path, is_folder).unwrap();
        assert!(why("sub", true).ends_with("covers what the folder may hold"));
        assert!(why("sub/x.key", false).ends_with("covers it"));
        assert!(why("old.key", true).ends_with("covers it"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for pattern in ["", "/", "[a", "a**"] {
            assert!(
                DeniedPaths::new(&[pattern.to_owned()]).is_err(),
                "{pattern}"
            );
        }
    }
}
