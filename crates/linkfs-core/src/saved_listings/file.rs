//! A listing as it stands on disk: a line that names the format and the checksum of what follows, then
//! JSON. Whatever is not exactly that is no listing.

use std::time::{Duration, SystemTime};

use linkfs_provider::{Item, ItemId};
use serde::{Deserialize, Serialize};

use crate::digest::hex_digest;

/// Begins the first line. The number changes when an older program could not read the rest rightly.
const FORMAT: &str = "linkfs listing 1";

/// A listing that was complete at some time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Saved {
    /// When it was made, in milliseconds from 1970 on by this machine's clock.
    made_ms: u64,
    /// In the order in which they were named.
    pub(crate) items: Vec<Item>,
}

/// Of what a file must be the listing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// A digest of the drive's identity.
    pub(super) drive: &'a str,
    pub(super) folder: &'a ItemId,
}

#[derive(Serialize)]
struct Written<'a> {
    made_ms: u64,
    drive: &'a str,
    folder: &'a ItemId,
    items: Vec<&'a Item>,
}

#[derive(Deserialize)]
struct Read {
    made_ms: u64,
    drive: String,
    folder: ItemId,
    items: Vec<Item>,
}

impl Saved {
    /// How old it is at the time `now`; as old as can be when the clock says that it is yet to be made:
    /// then the clock was set back, and nobody knows by how much.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        let now = Duration::from_millis(milliseconds(now));
        now.checked_sub(Duration::from_millis(self.made_ms))
            .unwrap_or(Duration::MAX)
    }
}

/// The bytes of a listing made at the time `made`.
pub(super) fn encode(subject: Subject<'_>, made: SystemTime, items: Vec<&Item>) -> Vec<u8> {
    let written = Written {
        made_ms: milliseconds(made),
        drive: subject.drive,
        folder: subject.folder,
        items,
    };
    let body = serde_json::to_vec(&written).expect("items are plain data");
    let mut bytes = format!("{FORMAT} {}\n", hex_digest(&body)).into_bytes();
    bytes.extend(body);
    bytes
}

/// The listing in a file, if it is whole and one of `subject`.
pub(super) fn decode(bytes: &[u8], subject: Subject<'_>) -> Option<Saved> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (first, body) = (&bytes[..end], &bytes[end + 1..]);
    let checksum = first.strip_prefix(FORMAT.as_bytes())?.strip_prefix(b" ")?;
    if checksum != hex_digest(body).as_bytes() {
        return None;
    }
    let read: Read = serde_json::from_slice(body).ok()?;
    let is_of_subject = read.drive == subject.drive && read.folder == *subject.folder;
    is_of_subject.then_some(Saved {
        made_ms: read.made_ms,
        items: read.items,
    })
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::saved_listings::testing::item;

    const SUBJECT: fn(&ItemId) -> Subject<'_> = |folder| Subject {
        drive: "d1",
        folder,
    };

    fn made() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_323_100_500)
    }

    fn encoded() -> Vec<u8> {
        let items = [item("2", "b"), item("1", "a")];
        encode(SUBJECT(&"f".into()), made(), items.iter().collect())
    }

    #[test]
    fn a_listing_is_read_as_it_was_written_order_included() {
        let saved = decode(&encoded(), SUBJECT(&"f".into())).unwrap();
        assert_eq!(saved.items, [item("2", "b"), item("1", "a")]);
        assert_eq!(saved.age(made()), Duration::ZERO);
        let later = made() + Duration::from_secs(300);
        assert_eq!(saved.age(later), Duration::from_secs(300));
    }

    #[test]
    fn a_listing_from_the_future_is_as_old_as_can_be() {
        let saved = decode(&encoded(), SUBJECT(&"f".into())).unwrap();
        let before = made() - Duration::from_millis(1);
        assert_eq!(saved.age(before), Duration::MAX);
        assert_eq!(saved.age(SystemTime::UNIX_EPOCH), Duration::MAX);
    }

    #[test]
    fn a_file_cut_anywhere_is_no_listing() {
        let whole = encoded();
        for length in 0..whole.len() {
            let cut = decode(&whole[..length], SUBJECT(&"f".into()));
            assert_eq!(cut, None, "{length}");
        }
        let longer = [whole.as_slice(), b"\n"].concat();
        assert_eq!(decode(&longer, SUBJECT(&"f".into())), None);
    }

    #[test]
    fn a_file_garbled_anywhere_is_no_listing() {
        let whole = encoded();
        for at in 0..whole.len() {
            let mut garbled = whole.clone();
            garbled[at] ^= 1;
            assert_eq!(decode(&garbled, SUBJECT(&"f".into())), None, "{at}");
        }
    }

    #[test]
    fn another_version_drive_or_folder_is_no_listing() {
        let text = String::from_utf8(encoded()).unwrap();
        let newer = text.replacen("listing 1", "listing 2", 1);
        assert_eq!(decode(newer.as_bytes(), SUBJECT(&"f".into())), None);
        assert_eq!(decode(text.as_bytes(), SUBJECT(&"g".into())), None);
        let folder = "f".into();
        let other = Subject {
            drive: "d2",
            folder: &folder,
        };
        assert_eq!(decode(text.as_bytes(), other), None);
    }
}
