//! Sizes and durations as people write them in the configuration and on the command line.

use std::fmt;
use std::time::Duration;

use linkfs_provider::ByteCount;
use serde::{Deserializer, de};

const SIZE_EXPECTED: &str = "expected a size such as \"512MiB\", \"1GB\" or a number of bytes";
const TIME_EXPECTED: &str = "expected a duration such as \"30s\", \"5m\", \"2h\" or \"500ms\"";

/// Less would leave no room to fetch ahead for two readers.
const LEAST_MEMORY: ByteCount = ByteCount(16 << 20);
/// Less would hold a few blocks and evict them again at once.
const LEAST_DISK: ByteCount = ByteCount(1 << 20);
/// Less would end requests that a healthy drive is about to answer.
const LEAST_DEADLINE: Duration = Duration::from_secs(1);

/// Reads the size of a cache.
pub(crate) fn parse_memory(text: &str) -> Result<ByteCount, String> {
    enough_memory(parse_size(text)?)
}

/// Reads the time that a request may take.
pub(crate) fn parse_deadline(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < LEAST_DEADLINE => Err("expected at least 1s".to_owned()),
        enough => Ok(enough),
    }
}

fn enough_memory(size: ByteCount) -> Result<ByteCount, String> {
    match size {
        little if little < LEAST_MEMORY => Err("expected at least 16MiB".to_owned()),
        enough => Ok(enough),
    }
}

fn enough_disk(size: ByteCount) -> Result<ByteCount, String> {
    match size {
        little if little.0 > 0 && little < LEAST_DISK => {
            Err("expected at least 1MiB, or 0 for none".to_owned())
        }
        enough => Ok(enough),
    }
}

/// Reads `512MiB`, `1GB` or a plain number of bytes.
fn parse_size(text: &str) -> Result<ByteCount, String> {
    let (number, unit) = split(text).ok_or(SIZE_EXPECTED)?;
    let (base, exponent): (u64, u32) = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => (1, 0),
        "kb" => (1000, 1),
        "mb" => (1000, 2),
        "gb" => (1000, 3),
        "tb" => (1000, 4),
        "k" | "kib" => (1024, 1),
        "m" | "mib" => (1024, 2),
        "g" | "gib" => (1024, 3),
        "t" | "tib" => (1024, 4),
        _ => return Err(SIZE_EXPECTED.into()),
    };
    let bytes = number.checked_mul(base.pow(exponent));
    bytes.map(ByteCount).ok_or(SIZE_EXPECTED.into())
}

/// Reads `500ms`, `30s`, `5m` or `2h`. A number alone is refused: it would leave the unit to be guessed.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text).ok_or(TIME_EXPECTED)?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    let duration = milliseconds.map(Duration::from_millis);
    duration.ok_or(TIME_EXPECTED.into())
}

/// `"12 MiB"` as 12 and `"MiB"`.
fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    Some((number.parse().ok()?, unit.trim_start()))
}

/// For `#[serde(deserialize_with)]`: [`parse_memory`], or a number of bytes.
pub(crate) fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteCount, D::Error> {
    deserializer.deserialize_any(SizeVisitor(enough_memory))
}

/// For `#[serde(deserialize_with)]`: a size on disk; 0 is as good as none.
pub(crate) fn disk<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<ByteCount>, D::Error> {
    let size = deserializer.deserialize_any(SizeVisitor(enough_disk))?;
    Ok((size.0 > 0).then_some(size))
}

/// For `#[serde(deserialize_with)]`: [`parse_deadline`].
pub(crate) fn deadline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(TimeVisitor(parse_deadline))
}

/// For `#[serde(deserialize_with)]`: [`parse_duration`].
pub(crate) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_str(TimeVisitor(parse_duration))
}

/// A size, and what it must be.
struct SizeVisitor(fn(ByteCount) -> Result<ByteCount, String>);

impl de::Visitor<'_> for SizeVisitor {
    type Value = ByteCount;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SIZE_EXPECTED.trim_start_matches("expected "))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteCount, E> {
        parse_size(text).and_then(self.0).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteCount, E> {
        let bytes = u64::try_from(bytes).map_err(|_| E::custom(SIZE_EXPECTED))?;
        (self.0)(ByteCount(bytes)).map_err(E::custom)
    }
}

struct TimeVisitor(fn(&str) -> Result<Duration, String>);

impl de::Visitor<'_> for TimeVisitor {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TIME_EXPECTED.trim_start_matches("expected "))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        (self.0)(text).map_err(E::custom)
    }
}

/// A size for a person to read: `3.4 MiB`.
pub(crate) struct Readable(pub(crate) ByteCount);

impl fmt::Display for Readable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut size = self.0.0 as f64;
        let mut units = ["B", "KiB", "MiB", "GiB", "TiB"].iter();
        let mut unit = units.next();
        // 1023.95 would be shown as 1024.0.
        while size >= 1023.95
            && let Some(larger) = units.next()
        {
            size /= 1024.0;
            unit = Some(larger);
        }
        let unit = unit.expect("the list of units is not empty");
        let digits = usize::from(*unit != "B");
        f.pad(&format!("{size:.digits$} {unit}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_decimal_and_binary_units() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("4096b", Some(4096)),
            ("1k", Some(1024)),
            ("1KB", Some(1000)),
            ("512MiB", Some(512 << 20)),
            ("512 MiB", Some(512 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("2TiB", Some(2 << 40)),
            ("99999999999TiB", None),
            ("", None),
            ("MiB", None),
            ("-1", None),
            ("1.5GiB", None),
            ("5 apples", None),
        ] {
            assert_eq!(parse_size(text).ok(), bytes.map(ByteCount), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, milliseconds) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("30 s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("30", None),
            ("s", None),
            ("-3s", None),
            ("1d", None),
            ("99999999999999999h", None),
        ] {
            let expected = milliseconds.map(Duration::from_millis);
            assert_eq!(parse_duration(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_could_not_work_is_refused() {
        assert!(parse_memory("16MiB").is_ok() && parse_memory("15MiB").is_err());
        assert!(enough_disk(ByteCount(1 << 20)).is_ok() && enough_disk(ByteCount(4096)).is_err());
        assert!(parse_deadline("1s").is_ok() && parse_deadline("999ms").is_err());
    }

    #[test]
    fn sizes_are_shown_with_one_digit() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1.0 MiB"),
            (3_565_158, "3.4 MiB"),
            (5 << 50, "5120.0 TiB"),
        ] {
            assert_eq!(Readable(ByteCount(bytes)).to_string(), shown);
        }
    }
}
