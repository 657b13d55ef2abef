use std::fmt;
use std::str::FromStr;

/// A place on a drive, as people write it: `work:/reports/a.pdf`; `work` alone is its top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DrivePath {
    pub(crate) drive: String,
    /// From the drive's top, without slashes in front and behind; empty for the top.
    pub(crate) path: String,
}

impl DrivePath {
    pub(crate) fn is_top(&self) -> bool {
        self.path.is_empty()
    }
}

impl FromStr for DrivePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (drive, path) = text.split_once(':').unwrap_or((text, ""));
        if drive.is_empty() || drive.contains('/') {
            return Err("expected DRIVE:/PATH, such as work:/reports".to_owned());
        }
        let names = path.split('/').filter(|name| !matches!(*name, "" | "."));
        let names: Vec<_> = names.collect();
        if names.contains(&"..") {
            return Err("a path on a drive has no `..`".to_owned());
        }
        Ok(DrivePath {
            drive: drive.to_owned(),
            path: names.join("/"),
        })
    }
}

impl fmt::Display for DrivePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:/{}", self.drive, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let expected = expected.map(|(drive, path)| DrivePath {
            drive: drive.into(),
            path: path.into(),
        });
        assert_eq!(text.parse().ok(), expected, "{text}");
    }

    #[test]
    fn a_place_is_a_drive_and_a_path_from_its_top() {
        check("work", Some(("work", "")));
        check("work:", Some(("work", "")));
        check("work:/", Some(("work", "")));
        check("work:/a/b.pdf", Some(("work", "a/b.pdf")));
        check("work:a//b/", Some(("work", "a/b")));
        check("work:/a/./b/.", Some(("work", "a/b")));
        check("work:/a/../b", None);
        check("work:/a:b", Some(("work", "a:b")));
        check("", None);
        check(":/a", None);
        check("/mnt/x", None);
        check("./x:/a", None);
    }
}
