use glob::{MatchOptions, Pattern};

/// `*` and `?` stay within one name, and a pattern means what it says.
const OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// Patterns of what may not be shared. One without a slash is held against every name on an item's path; one
/// with a slash against the path from the drive's top. What lies below a match is denied too, and so is
/// a folder above the place that a pattern with a slash names: sharing it would share that place.
#[derive(Clone, Debug, Default)]
pub struct DeniedPaths(Vec<Denied>);

#[derive(Clone, Debug)]
struct Denied {
    written: String,
    pattern: Pattern,
    /// The folders above what the pattern names, outermost first; none for a pattern without a slash.
    above: Vec<Pattern>,
    is_path: bool,
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

    /// The pattern that keeps the item at `path` from being shared, as it is written.
    pub(super) fn covers(&self, path: &str, is_folder: bool) -> Option<&str> {
        let denied = self.0.iter().find(|denied| denied.covers(path, is_folder));
        denied.map(|denied| denied.written.as_str())
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
        let names: Vec<_> = trimmed.split('/').collect();
        let is_path = written.trim_end_matches('/').contains('/');
        let fixed = names.iter().take_while(|name| **name != "**").count();
        let above = match is_path {
            true => fixed.min(names.len() - 1),
            false => 0,
        };
        let mut above: Vec<_> = (1..=above).map(|count| names[..count].join("/")).collect();
        if (1..names.len()).contains(&fixed) {
            // Any folder below the fixed part may hold what the rest means.
            above.push(names[..fixed].join("/") + "/**");
        }
        let above = above.iter().map(|text| parse(text));
        let above = above.collect::<Result<_, _>>()?;
        Ok(Denied {
            written: written.to_owned(),
            pattern: parse(trimmed)?,
            above,
            is_path,
        })
    }

    fn covers(&self, path: &str, is_folder: bool) -> bool {
        if !self.is_path {
            return path
                .split('/')
                .any(|name| self.pattern.matches_with(name, OPTIONS));
        }
        let is_above = |pattern: &Pattern| pattern.matches_with(path, OPTIONS);
        let is_top = path.is_empty();
        prefixes(path).any(|prefix| self.pattern.matches_with(prefix, OPTIONS))
            || is_folder && (is_top || self.above.iter().any(is_above))
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
        let covers = denied.covers(path, is_folder).is_some();
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
            ("**/secret", "a", false),
        ] {
            check(pattern, path, true, expected);
        }
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
