//! Terms as they are written: words `key=value`, or a JSON object with the same keys.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// Longer texts are refused: thousands of members fit, and nothing that anybody writes by hand is longer.
pub(super) const LONGEST_TEXT: usize = 16 << 10;

/// Keys with several values, which commas separate: `users=a,b`.
const LISTS: [&str; 4] = ["users", "groups", "departments", "allow"];

/// One key with its values: exactly one unless it is a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) key: String,
    pub(super) values: Vec<String>,
    /// Where it stands, for errors.
    pub(super) place: Place,
}

/// Where a word stands in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The number of its first character, from one.
    Character(usize),
    /// A key of the JSON object, by its number, from one.
    Key(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Character(number) => write!(f, "at character {number}"),
            Place::Key(number) => write!(f, "key {number} of the JSON object"),
        }
    }
}

/// The words of a text. An error names the place, and never shows what stands there: it may be a code.
///
/// # Errors
/// In words, what is wrong and where.
pub(super) fn read(text: &[u8]) -> Result<Vec<Word>, String> {
    if text.len() > LONGEST_TEXT {
        return Err(format!("the terms are longer than {LONGEST_TEXT} bytes"));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        format!(
            "the terms are no UTF-8 text from byte {} on",
            error.valid_up_to() + 1
        )
    })?;
    let words = match text.trim_start().starts_with('{') {
        true => read_json(text)?,
        false => Reader::new(text).read_all()?,
    };
    refuse_repeated(&words)?;
    Ok(words)
}

/// The words of a text whose keys have one value each.
///
/// # Errors
/// In words, what is wrong and where.
pub(crate) fn read_pairs(text: &[u8]) -> Result<Vec<(String, String)>, String> {
    let pair = |word: Word| match <[String; 1]>::try_from(word.values) {
        Ok([value]) => Ok((word.key, value)),
        Err(_) => Err(format!("{}: expected one value", word.place)),
    };
    read(text)?.into_iter().map(pair).collect()
}

pub(super) fn is_list(key: &str) -> bool {
    LISTS.contains(&key)
}

fn refuse_repeated(words: &[Word]) -> Result<(), String> {
    for (number, word) in words.iter().enumerate() {
        if words[..number].iter().any(|before| before.key == word.key) {
            return Err(format!("{}: the key stands there twice", word.place));
        }
    }
    Ok(())
}

/// Reads `key=value` words, separated by blanks and commas.
struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

/// What stood between two words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gap {
    Blank,
    Comma,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Reader<'a> {
        Reader {
            text,
            rest: text.char_indices().peekable(),
        }
    }

    fn read_all(mut self) -> Result<Vec<Word>, String> {
        let mut words: Vec<Word> = Vec::new();
        loop {
            let gap = self.skip_gap();
            let place = self.place();
            let Some((key, value)) = self.read_word(&place)? else {
                return Ok(words);
            };
            match (key, words.last_mut()) {
                (Some(key), _) => words.push(Word {
                    key,
                    values: vec![value],
                    place,
                }),
                (None, Some(list)) if gap == Gap::Comma && is_list(&list.key) => {
                    list.values.push(value);
                }
                (None, _) => return Err(format!("{place}: expected key=value")),
            }
        }
    }

    fn skip_gap(&mut self) -> Gap {
        let mut gap = Gap::Blank;
        while let Some((_, character)) = self.rest.next_if(|(_, c)| is_separator(*c)) {
            if character == ',' {
                gap = Gap::Comma;
            }
        }
        gap
    }

    /// The number of the next character, from one.
    fn place(&mut self) -> Place {
        let at = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        Place::Character(self.text[..at].chars().count() + 1)
    }

    /// One word up to the next separator outside of quotes: its key, unless it has none, and its value.
    fn read_word(&mut self, place: &Place) -> Result<Option<(Option<String>, String)>, String> {
        if self.rest.peek().is_none() {
            return Ok(None);
        }
        let (mut key, mut text) = (None, String::new());
        while let Some((_, character)) = self.rest.next_if(|(_, c)| !is_separator(*c)) {
            match character {
                '"' | '\'' => self.read_quoted(character, &mut text, place)?,
                '=' if key.is_none() => key = Some(std::mem::take(&mut text)),
                other => text.push(other),
            }
        }
        Ok(Some((key, text)))
    }

    /// The rest of a quoted part. In double quotes a backslash takes the next character as it is.
    fn read_quoted(&mut self, quote: char, text: &mut String, place: &Place) -> Result<(), String> {
        while let Some((_, character)) = self.rest.next() {
            match character {
                end if end == quote => return Ok(()),
                '\\' if quote == '"' => match self.rest.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                other => text.push(other),
            }
        }
        Err(format!("{place}: a quote is not closed"))
    }
}

fn is_separator(character: char) -> bool {
    character == ',' || character.is_whitespace()
}

fn read_json(text: &str) -> Result<Vec<Word>, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let pairs = reader
        .deserialize_map(Pairs)
        .and_then(|pairs| reader.end().map(|()| pairs));
    let pairs = pairs.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        format!("the JSON object is broken at line {line}, column {column}")
    })?;
    let words = pairs.into_iter().zip(1..).map(|((key, value), number)| {
        let place = Place::Key(number);
        let values = json_values(value, is_list(&key))
            .ok_or_else(|| format!("{place}: expected a text, or an array of texts for a list"))?;
        Ok(Word { key, values, place })
    });
    words.collect()
}

/// A text, or for a list also an array of texts; a text is split at commas then, as in words.
fn json_values(value: Value, is_list: bool) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) if is_list => values.into_iter().map(json_text).collect(),
        _ => None,
    }
}

fn json_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// All pairs of a JSON object in their order, repeated ones too.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words as `key: value|value` lines, or the error.
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let words = read(text.as_bytes());
        let lines = words.as_ref().map(|words| {
            let line = |word: &Word| format!("{}: {}", word.key, word.values.join("|"));
            words.iter().map(line).collect::<Vec<_>>()
        });
        match (lines, expected) {
            (Ok(lines), Ok(expected)) => assert_eq!(lines, expected, "{text}"),
            (Err(error), Err(expected)) => assert_eq!(error, expected, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn words_are_separated_by_blanks_and_commas() {
        check("", Ok(&[]));
        check(" , \n", Ok(&[]));
        check("expires=7d", Ok(&["expires: 7d"]));
        check("a=1 b=2,c=3 , d=4\n", Ok(&["a: 1", "b: 2", "c: 3", "d: 4"]));
        check("note=a=b", Ok(&["note: a=b"]));
        check("note=", Ok(&["note: "]));
    }

    #[test]
    fn lists_go_on_after_a_comma() {
        check("users=a,b groups=c", Ok(&["users: a|b", "groups: c"]));
        check(
            "users=a, b,c expires=1d",
            Ok(&["users: a|b|c", "expires: 1d"]),
        );
        check("users=\"a,b\",c", Ok(&["users: a,b|c"]));
        check("users=a b", Err("at character 9: expected key=value"));
        check("note=a,b", Err("at character 8: expected key=value"));
        check("b", Err("at character 1: expected key=value"));
    }

    #[test]
    fn quotes_keep_separators() {
        check(
            "note=\"for the team, soon\"",
            Ok(&["note: for the team, soon"]),
        );
        check(
            "note='it is \"it\"' a=1",
            Ok(&["note: it is \"it\"", "a: 1"]),
        );
        check(r#"note="a \"b\" \\ c""#, Ok(&[r#"note: a "b" \ c"#]));
        check("note=un\"quo ted\"ly", Ok(&["note: unquo tedly"]));
        check(
            "a=1 note=\"open",
            Err("at character 5: a quote is not closed"),
        );
        check(
            "ü=1 note=\"open\\",
            Err("at character 5: a quote is not closed"),
        );
    }

    #[test]
    fn a_json_object_says_the_same() {
        check("{}", Ok(&[]));
        check(
            r#" {"expires":"7d","users":["a","b,c"],"groups":"x"}"#,
            Ok(&["expires: 7d", "users: a|b,c", "groups: x"]),
        );
        let expected = "key 2 of the JSON object: expected a text, or an array of texts for a list";
        check(r#"{"a":"1","expires":7}"#, Err(expected));
        check(r#"{"a":"1","expires":["7d"]}"#, Err(expected));
        check(r#"{"a":"1","users":[1]}"#, Err(expected));
        check(
            "{\"a\":\n s3cret}",
            Err("the JSON object is broken at line 2, column 2"),
        );
        check("{} x", Err("the JSON object is broken at line 1, column 4"));
    }

    #[test]
    fn what_stands_there_twice_is_refused() {
        check(
            "a=1 b=2 a=1",
            Err("at character 9: the key stands there twice"),
        );
        check(
            r#"{"a":"1","a":"1"}"#,
            Err("key 2 of the JSON object: the key stands there twice"),
        );
    }

    #[test]
    fn what_is_no_text_or_too_long_is_refused() {
        assert_eq!(
            read(b"a=\xff").unwrap_err(),
            "the terms are no UTF-8 text from byte 3 on"
        );
        let long = "x".repeat(LONGEST_TEXT + 1);
        check(&long, Err("the terms are longer than 16384 bytes"));
    }
}
