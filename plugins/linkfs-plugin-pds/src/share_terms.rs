//! The terms of a share as the drive takes them. What it cannot honour is refused here, before
//! anything is asked.

use std::time::{Duration, SystemTime};

use linkfs_provider::{Audience, ItemId, Permissions, Result, Secret, SharePassword, ShareTerms};
use linkfs_provider_http::settings::invalid;
use linkfs_provider_http::timestamp;
use serde_json::{Map, Value, json};

use crate::item::TOP;
use crate::random;

/// How many items one share takes.
const ITEMS: usize = 100;

/// How long a password may be.
const PASSWORD_LENGTH: usize = 64;

/// How long a password is that is made up here: 40 bits, behind a drive that counts attempts.
const AUTO_LENGTH: usize = 8;

/// How long a description may be.
const DESCRIPTION_LENGTH: usize = 1024;

/// Leads the mark in a description by which a share is known again.
const MARK: &str = "linkfs:";

/// How long a mark is: `linkfs:` and eight digits.
const MARK_LENGTH: usize = MARK.len() + 8;

/// Checks what is to be shared.
///
/// # Errors
/// `Invalid` for nothing, or more than one share takes.
pub(crate) fn check_items(items: &[ItemId]) -> Result<()> {
    if items.iter().any(|item| item.as_str() == TOP) {
        return Err(invalid(
            "the top folder of a drive cannot be shared: share what is in it",
        ));
    }
    match items.len() {
        0 => Err(invalid("there is nothing to share")),
        1..=ITEMS => Ok(()),
        count => Err(invalid(format!(
            "a share takes at most {ITEMS} items, not {count}"
        ))),
    }
}

/// Checks terms without asking the drive.
///
/// # Errors
/// `Invalid` for a term that the drive cannot honour, saying which.
pub(crate) fn check(terms: &ShareTerms) -> Result<()> {
    if terms.valid_for == Some(Duration::ZERO) {
        return Err(invalid("a share must stay open for some time"));
    }
    match terms.audience {
        Audience::Anyone => {}
        Audience::Organization => {
            return Err(invalid(
                "this drive documents no share for the organization alone: give audience=anyone and a password",
            ));
        }
        Audience::Members { .. } => {
            return Err(invalid(
                "this drive cannot share with named members: give audience=anyone and a password",
            ));
        }
    }
    let Permissions {
        preview, download, ..
    } = terms.permissions;
    if !preview && !download {
        return Err(invalid("a share must allow `preview` or `download`"));
    }
    if let SharePassword::Given(password) = &terms.password {
        check_password(password)?;
    }
    let longest = DESCRIPTION_LENGTH - MARK_LENGTH - 1;
    let note = terms.note.as_deref().unwrap_or("");
    match note.chars().count() <= longest {
        true => Ok(()),
        false => Err(invalid(format!(
            "the note may have at most {longest} characters"
        ))),
    }
}

fn check_password(password: &Secret<String>) -> Result<()> {
    let password = password.expose();
    let is_visible = password.bytes().all(|byte| byte.is_ascii_graphic());
    match (1..=PASSWORD_LENGTH).contains(&password.len()) && is_visible {
        true => Ok(()),
        false => Err(invalid(format!(
            "the password must be 1 to {PASSWORD_LENGTH} letters, digits and signs of ASCII, without spaces"
        ))),
    }
}

/// The password that these terms want.
///
/// # Errors
/// `Unavailable` when the system gives no randomness.
pub(crate) fn password(wanted: &SharePassword) -> Result<Option<Secret<String>>> {
    match wanted {
        SharePassword::None => Ok(None),
        SharePassword::Auto => random::code(AUTO_LENGTH).map(Some),
        SharePassword::Given(password) => Ok(Some(password.clone())),
    }
}

/// What calls that make and change shares have in common, for `terms` that are checked: all of them,
/// so that a change leaves none of the old ones. `now` is the drive's time.
pub(crate) fn fields(
    terms: &ShareTerms,
    password: Option<&Secret<String>>,
    description: &str,
    now: SystemTime,
) -> Result<Map<String, Value>> {
    let expiration = match terms.valid_for {
        None => String::new(),
        Some(time) => {
            let end = now.checked_add(time).and_then(timestamp::to_rfc3339);
            end.ok_or_else(|| invalid("a share cannot stay open for so long: leave its end out"))?
        }
    };
    let password = password.map_or("", |password| password.expose());
    let fields = json!({
        "share_pwd": password,
        "expiration": expiration,
        "description": description,
        "disable_preview": !terms.permissions.preview,
        "disable_download": !terms.permissions.download,
        "disable_save": !terms.permissions.save,
        "office_editable": terms.permissions.edit,
    });
    match fields {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

/// A note with the mark of its share behind it.
pub(crate) fn description(note: Option<&str>, nonce: &str) -> String {
    match note.filter(|note| !note.is_empty()) {
        Some(note) => format!("{note} {MARK}{nonce}"),
        None => format!("{MARK}{nonce}"),
    }
}

/// A description's note and, without its lead, the mark behind it.
pub(crate) fn split_description(description: &str) -> (Option<String>, Option<String>) {
    let (note, last) = description.rsplit_once(' ').unwrap_or(("", description));
    let nonce = last.strip_prefix(MARK).filter(|nonce| {
        last.len() == MARK_LENGTH && nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let note = if nonce.is_some() { note } else { description };
    let note = (!note.is_empty()).then(|| note.to_owned());
    (note, nonce.map(str::to_owned))
}

#[cfg(test)]
pub(crate) mod tests {
    use linkfs_provider::ErrorKind;

    use super::*;

    pub(crate) fn terms() -> ShareTerms {
        ShareTerms {
            valid_for: Some(Duration::from_secs(7 * 86_400)),
            password: SharePassword::Auto,
            audience: Audience::Anyone,
            permissions: Permissions {
                preview: true,
                download: true,
                edit: false,
                save: false,
            },
            note: None,
        }
    }

    fn refused(change: impl FnOnce(&mut ShareTerms), words: &str) {
        let mut terms = terms();
        change(&mut terms);
        let error = check(&terms).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert!(error.message.contains(words), "{error}");
        assert!(!error.message.contains("s3cret"), "{error}");
    }

    fn given(password: &str) -> SharePassword {
        SharePassword::Given(Secret::new(password.into()))
    }

    #[test]
    fn what_the_drive_cannot_honour_is_refused_in_words() {
        check(&terms()).unwrap();
        refused(|terms| terms.valid_for = Some(Duration::ZERO), "some time");
        refused(
            |terms| terms.audience = Audience::Organization,
            "organization alone: give audience=anyone and",
        );
        let members = Audience::Members {
            users: vec!["u1".into()],
            groups: vec![],
            departments: vec![],
        };
        refused(
            |terms| terms.audience = members,
            "members: give audience=anyone and",
        );
        refused(|terms| terms.password = given(""), "1 to 64");
        refused(|terms| terms.password = given("s3cret x"), "1 to 64");
        refused(|terms| terms.password = given("s3crét"), "1 to 64");
        refused(|terms| terms.password = given(&"x".repeat(65)), "1 to 64");
        refused(|terms| terms.note = Some("é".repeat(1009)), "1008");
        refused(
            |terms| {
                terms.permissions.preview = false;
                terms.permissions.download = false;
            },
            "`preview` or `download`",
        );
        for count in [0, 101] {
            let items = vec![ItemId::from("a"); count];
            assert_eq!(check_items(&items).unwrap_err().kind, ErrorKind::Invalid);
        }
        check_items(&vec![ItemId::from("a"); 100]).unwrap();
        assert!(check_items(&[TOP.into()]).is_err());
        let mut longest = terms();
        longest.password = given(&"~".repeat(64));
        longest.note = Some("é".repeat(1008));
        check(&longest).unwrap();
    }

    #[test]
    fn every_term_has_its_field() {
        let now = timestamp::compact("20260105T080910Z").unwrap();
        let mut terms = terms();
        let made = fields(&terms, Some(&Secret::new("abcd".into())), "plan", now).unwrap();
        assert_eq!(
            Value::Object(made),
            json!({"share_pwd": "abcd", "expiration": "2026-01-12T08:09:10.000Z",
                "description": "plan", "disable_preview": false, "disable_download": false,
                "disable_save": true, "office_editable": false})
        );
        terms.valid_for = None;
        terms.permissions.edit = true;
        terms.permissions.save = true;
        terms.permissions.preview = false;
        let made = fields(&terms, None, "", now).unwrap();
        assert_eq!(
            Value::Object(made),
            json!({"share_pwd": "", "expiration": "", "description": "",
                "disable_preview": true, "disable_download": false,
                "disable_save": false, "office_editable": true})
        );
        terms.valid_for = Some(Duration::MAX);
        let error = fields(&terms, None, "", now).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }

    #[test]
    fn a_description_is_a_note_with_a_mark() {
        for note in [None, Some("for Lin"), Some("linkfs:1"), Some("a  b ")] {
            let written = description(note, "0a1b2c3d");
            let (read, nonce) = split_description(&written);
            assert_eq!(
                (read.as_deref(), nonce.as_deref()),
                (note, Some("0a1b2c3d"))
            );
        }
        for foreign in ["for linkfs:", "linkfs:0a1b2c3x", "xlinkfs:0a1b2c3d"] {
            assert_eq!(split_description(foreign), (Some(foreign.into()), None));
        }
        assert_eq!(split_description(""), (None, None));
    }

    #[test]
    fn passwords_that_are_made_up_differ_and_fit() {
        let made = || password(&SharePassword::Auto).unwrap().unwrap();
        let (one, other) = (made(), made());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 8);
        check_password(&one).unwrap();
        assert_eq!(password(&SharePassword::None).unwrap(), None);
    }
}
