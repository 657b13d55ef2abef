use std::ops::Range;
use std::path::Path;

use anyhow::anyhow;

/// The text of a configuration file, and where it stands.
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    /// Whether nobody else may read it, so that secrets may stand in it.
    pub(super) is_private: bool,
}

impl Source<'_> {
    /// `file:line:column` of the byte at `offset`, counting from one.
    pub(super) fn place(&self, offset: usize) -> String {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        format!("{}:{line}:{column}", self.path.display())
    }

    /// An error about the text in `span`.
    pub(super) fn error(&self, span: Range<usize>, message: &str) -> anyhow::Error {
        anyhow!("{}: {message}", self.place(span.start))
    }

    /// An error of the TOML reader. Its own `Display` would show the line, and what serde says of a
    /// value of the wrong type repeats the value; either may be a secret.
    pub(super) fn syntax_error(&self, error: &toml::de::Error) -> anyhow::Error {
        let message = error.message();
        let message = match (
            message.strip_prefix("invalid "),
            message.find(", expected "),
        ) {
            (Some(rest), Some(expected))
                if message.starts_with("invalid type: ")
                    || message.starts_with("invalid value: ") =>
            {
                let what = rest.split(':').next().unwrap_or("value");
                format!("invalid {what}{}", &message[expected..])
            }
            _ => message.replacen("unknown field", "unknown key", 1),
        };
        let message = message.replace("expected a map", "expected a table");
        self.error(error.span().unwrap_or_default(), &message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source {
            path: Path::new("f"),
            text: "a\nü = 1\n",
            is_private: true,
        };
        for (offset, place) in [(0, "f:1:1"), (2, "f:2:1"), (5, "f:2:3"), (99, "f:3:1")] {
            assert_eq!(source.place(offset), place);
        }
    }
}
