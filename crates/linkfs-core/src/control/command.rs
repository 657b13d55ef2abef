//! What a line of `.linkfs/control` asks for: `verb key=value ... path`, the path being the rest of the line.

use linkfs_provider::Secret;

use crate::sharing::{TERM_KEYS, TermsPatch, read_words};
use crate::{Error, Result};

/// A longer line is no command.
pub(super) const LONGEST_LINE: usize = 64 << 10;

/// What `help` answers.
pub(crate) const HELP: &str = "\
share [TERM=VALUE ...] PATH             share a file or folder, or change its share; [\"PATH\", ...] shares several by one link
unshare PATH                            revoke the share of a file or folder
shares                                  list the open shares
refresh PATH                            ask the drive for a folder anew
save url=URL [password=CODE] to=FOLDER  save what somebody shared into a folder
pack url=URL [password=CODE] name=NAME FOLDER  have the drive of a folder pack what somebody shared
task NAME                               tell how far a task of .linkfs/tasks is
reload [DRIVE]                          take a new version of a drive's plugin, without a break
restart [DRIVE]                         end a drive's plugin at once, and start it anew
help                                    this list";

/// The keys that may stand before the path of other commands than `share`.
const SAVE: &[&str] = &["url", "password", "to"];
const PACK: &[&str] = &["url", "password", "name"];

/// One command. Paths are from the top of the mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    /// One share of all that the paths name.
    Share {
        terms: Secret<String>,
        paths: Vec<String>,
    },
    Unshare {
        path: String,
    },
    Shares,
    Refresh {
        path: String,
    },
    Save(TakeShare),
    /// Into an archive with that name.
    Pack(TakeShare, String),
    Task {
        name: String,
    },
    /// Of the drive with that name; of the only one when it is empty.
    Reload {
        drive: String,
    },
    /// The same.
    Restart {
        drive: String,
    },
}

/// What somebody else shared, and the folder for it: or one on the drive that is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TakeShare {
    pub(crate) url: String,
    pub(crate) password: Option<Secret<String>>,
    pub(crate) folder: String,
}

impl Command {
    /// Reads a line.
    ///
    /// # Errors
    /// `BadCommand` and `BadTerms`: what was expected. What was written is not shown, since it may be a code.
    pub(crate) fn parse(line: &[u8]) -> Result<Command> {
        if line.len() > LONGEST_LINE {
            return Err(bad(format!("a line has at most {LONGEST_LINE} bytes")));
        }
        let line = std::str::from_utf8(line).map_err(|_| bad("this is no text"))?;
        let line = line.trim();
        let (verb, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim_start();
        match verb {
            "help" => nothing_more(rest).map(|()| Command::Help),
            "shares" => nothing_more(rest).map(|()| Command::Shares),
            "share" => read_share(rest),
            "unshare" => Ok(Command::Unshare { path: path(rest)? }),
            "refresh" => Ok(Command::Refresh { path: path(rest)? }),
            "task" => read_task(rest),
            "reload" => Ok(Command::Reload {
                drive: rest.to_owned(),
            }),
            "restart" => Ok(Command::Restart {
                drive: rest.to_owned(),
            }),
            "save" => read_save(rest),
            "pack" => read_pack(rest),
            _ => Err(bad("unknown verb; `help` lists those there are")),
        }
    }
}

fn read_share(rest: &str) -> Result<Command> {
    let (terms, rest) = split_words(rest, &TERM_KEYS);
    // Its mistakes are told before anything is looked for.
    TermsPatch::parse(terms.as_bytes())?;
    let several: Option<Vec<String>> = serde_json::from_str(rest).ok();
    let paths = match several {
        Some(paths) if paths.is_empty() => return Err(bad("expected a path at the end")),
        Some(paths) => paths,
        None => vec![path(rest)?],
    };
    Ok(Command::Share {
        terms: Secret::new(terms.to_owned()),
        paths,
    })
}

fn read_task(rest: &str) -> Result<Command> {
    match rest {
        "" => Err(bad("expected the name of a task, as in .linkfs/tasks")),
        name => Ok(Command::Task { name: name.into() }),
    }
}

/// Why nothing is found at the path of a `share`, where it begins like a term and goes on: a key that is misspelt
/// leaves its term to the path.
pub(crate) fn misread_path(path: &str) -> Option<Error> {
    let (first, _rest) = path.split_once(char::is_whitespace)?;
    let (key, _value) = first.split_once('=')?;
    let is_key = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphabetic());
    is_key.then(|| {
        let keys = TERM_KEYS.join(", ");
        bad(format!(
            "nothing is found there; if the path begins with a term, its key is unknown, expected one of {keys}"
        ))
    })
}

fn read_save(rest: &str) -> Result<Command> {
    let (words, rest) = split_words(rest, SAVE);
    nothing_more(rest)?;
    let mut words = Words::read(words)?;
    Ok(Command::Save(TakeShare {
        url: words.needed("url")?,
        password: words.take("password").map(Secret::new),
        folder: words.needed("to")?,
    }))
}

fn read_pack(rest: &str) -> Result<Command> {
    let (words, rest) = split_words(rest, PACK);
    let mut words = Words::read(words)?;
    let name = words.needed("name")?;
    let take = TakeShare {
        url: words.needed("url")?,
        password: words.take("password").map(Secret::new),
        folder: path(rest)?,
    };
    Ok(Command::Pack(take, name))
}

/// `key=value` words, each with one value.
struct Words(Vec<(String, String)>);

impl Words {
    fn read(text: &str) -> Result<Words> {
        read_words(text.as_bytes()).map(Words).map_err(bad)
    }

    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        Some(self.0.swap_remove(at).1)
    }

    fn needed(&mut self, key: &str) -> Result<String> {
        let value = self.take(key).filter(|value| !value.is_empty());
        value.ok_or_else(|| bad(format!("expected {key}=...")))
    }
}

fn path(rest: &str) -> Result<String> {
    match rest {
        "" => Err(bad("expected a path at the end")),
        path => Ok(path.to_owned()),
    }
}

fn nothing_more(rest: &str) -> Result<()> {
    match rest {
        "" => Ok(()),
        _ => Err(bad("expected nothing more on the line")),
    }
}

fn bad(why: impl Into<String>) -> Error {
    Error::BadCommand(why.into())
}

/// The words with one of `keys` that a text begins with, and the rest of it. A path that looks like such a word can be
/// written with `./` before it.
fn split_words<'a>(text: &'a str, keys: &[&str]) -> (&'a str, &'a str) {
    let mut at = 0;
    loop {
        let rest = &text[at..];
        let begins = |key: &&str| {
            let value = rest.strip_prefix(*key);
            value.is_some_and(|value| value.starts_with('='))
        };
        if !keys.iter().any(begins) {
            return (text[..at].trim_end(), rest);
        }
        at += end_of_word(rest);
        at += text[at..].len() - text[at..].trim_start().len();
    }
}

/// Where a word ends: at the first blank outside of quotes.
fn end_of_word(text: &str) -> usize {
    let mut quote = None;
    let mut is_escaped = false;
    for (at, character) in text.char_indices() {
        match quote {
            _ if is_escaped => is_escaped = false,
            Some('"') if character == '\\' => is_escaped = true,
            Some(open) if character == open => quote = None,
            Some(_) => {}
            None if character.is_whitespace() => return at,
            None if matches!(character, '"' | '\'') => quote = Some(character),
            None => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(terms: &str, paths: &[&str]) -> Command {
        Command::Share {
            terms: Secret::new(terms.to_owned()),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn the_path_is_the_rest_of_the_line() {
        for (line, expected) in [
            ("share a.txt", share("", &["a.txt"])),
            ("share  my plan.pdf ", share("", &["my plan.pdf"])),
            (
                "share expires=7d note=\"for you\" my plan.pdf",
                share("expires=7d note=\"for you\"", &["my plan.pdf"]),
            ),
            ("share a=b.txt", share("", &["a=b.txt"])),
            ("share ./note=1.txt", share("", &["./note=1.txt"])),
            (
                r#"share password=auto ["a b", "c"]"#,
                share("password=auto", &["a b", "c"]),
            ),
            ("unshare a b", Command::Unshare { path: "a b".into() }),
            ("refresh /", Command::Refresh { path: "/".into() }),
            ("shares", Command::Shares),
            ("help", Command::Help),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_others_shared_is_named_by_words() {
        let take = |folder: &str| TakeShare {
            url: "https://drive.example.test/s/1?a=b".into(),
            password: Some(Secret::new("fake".into())),
            folder: folder.into(),
        };
        let line = "save url=https://drive.example.test/s/1?a=b password=fake to=\"my folder\"";
        assert_eq!(
            Command::parse(line.as_bytes()),
            Ok(Command::Save(take("my folder")))
        );
        let line = "pack name=x.zip url=https://drive.example.test/s/1?a=b password=fake reports";
        let expected = Command::Pack(take("reports"), "x.zip".into());
        assert_eq!(Command::parse(line.as_bytes()), Ok(expected));
    }

    #[test]
    fn a_term_with_an_unknown_key_is_told_from_a_path() {
        for (path, expected) in [
            ("expire=7d koo/b.txt", true),
            ("a=b.txt", false),
            ("koo/a=b c.txt", false),
            ("plan for=me.txt", false),
            ("missing.txt", false),
        ] {
            assert_eq!(misread_path(path).is_some(), expected, "{path}");
        }
        let told = misread_path("passwort=fake a.txt").unwrap().to_string();
        assert!(told.contains("unknown") && !told.contains("fake"), "{told}");
    }

    #[test]
    fn mistakes_are_told_and_not_shown() {
        for line in [
            "",
            "dance",
            "share",
            "share expires=soon a.txt",
            "share note=\"open a.txt",
            "share []",
            "unshare",
            "shares all",
            "save url=x",
            "save to=x",
            "save url=x to=y z",
            "pack url=x name=y",
            "task",
        ] {
            let error = Command::parse(line.as_bytes()).unwrap_err();
            let is_told = matches!(error, Error::BadCommand(_) | Error::BadTerms(_));
            assert!(is_told, "{line}: {error}");
        }
        let error = Command::parse(b"share password=\"fake secret").unwrap_err();
        assert!(!error.to_string().contains("fake"), "{error}");
        for line in [&b"share \xff"[..], &[b'x'; LONGEST_LINE + 1]] {
            let error = Command::parse(line).unwrap_err();
            assert!(matches!(error, Error::BadCommand(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in "\\PC*") {
            let _either = Command::parse(line.as_bytes());
        }

        #[test]
        fn a_quoted_term_does_not_reach_into_the_path(note in "[^\\x00-\\x1f\"\\\\]{0,20}", path in "[a-z][a-z ]{0,10}[a-z]") {
            let line = format!("share note=\"{note}\" {path}");
            match Command::parse(line.as_bytes()) {
                Ok(Command::Share { paths, .. }) => prop_assert_eq!(paths, [path]),
                Ok(other) => prop_assert!(false, "{other:?}"),
                Err(_) => {}
            }
        }
    }
}
