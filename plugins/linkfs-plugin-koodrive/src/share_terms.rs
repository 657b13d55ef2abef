//! The terms of a share as the drive takes them. What it cannot honour is refused here, before
//! anything is asked.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use linkfs_provider::{
    Audience, ErrorKind, ItemId, Permissions, ProviderError, Result, Secret, SharePassword,
    ShareTerms,
};
use serde_json::{Value, json};

use crate::random;

/// How many items one share takes.
const ITEMS: usize = 100;

/// How long a share may stay open, in days.
const LONGEST_DAYS: u64 = 365;

const DAY: Duration = Duration::from_secs(86_400);

/// How long an access code is, in letters and digits.
const CODE_LENGTH: usize = 8;

/// How long a comment may be: shorter than 512 characters.
const COMMENT_LENGTH: usize = 511;

/// Leads the mark in a comment by which a share is known again.
const MARK: &str = "linkfs:";

/// How long a mark is: `linkfs:` and eight digits.
const MARK_LENGTH: usize = MARK.len() + 8;

/// How times are written: in the standard edition, and in the carriers'.
const TIME: &str = "%Y-%m-%dT%H:%M:%S.%3fZ";
const CARRIER_TIME: &str = "%Y-%m-%d %H:%M:%S";

/// Checks what is to be shared.
///
/// # Errors
/// `Invalid` for nothing, or more than one share takes.
pub(crate) fn check_items(items: &[ItemId]) -> Result<()> {
    match items.len() {
        0 => Err(invalid("there is nothing to share")),
        1..=ITEMS => Ok(()),
        count => Err(invalid(format!(
            "a share takes at most {ITEMS} items, not {count}"
        ))),
    }
}

/// Checks terms; what they hold is not asked of the drive before.
///
/// # Errors
/// `Invalid` for a term that the drive cannot honour, saying which.
pub(crate) fn check(terms: &ShareTerms) -> Result<()> {
    check_audience(&terms.audience)?;
    check_change(terms)
}

/// As [`check`], for a share that is there: whom it is for is checked against what the list tells.
///
/// # Errors
/// As [`check`].
pub(crate) fn check_change(terms: &ShareTerms) -> Result<()> {
    check_time(terms.valid_for)?;
    check_permissions(terms.permissions)?;
    if let SharePassword::Given(code) = &terms.password {
        check_code(code)?;
    }
    let longest = COMMENT_LENGTH - MARK_LENGTH - 1;
    let note = terms.note.as_deref().unwrap_or("");
    if note.chars().count() > longest {
        return Err(invalid(format!(
            "the note may have at most {longest} characters"
        )));
    }
    Ok(())
}

fn check_time(valid_for: Option<Duration>) -> Result<()> {
    let longest = DAY * LONGEST_DAYS as u32;
    match valid_for {
        None => Err(invalid(format!(
            "a share must have an end: at most {LONGEST_DAYS} days from now"
        ))),
        Some(Duration::ZERO) => Err(invalid("a share must stay open for some time")),
        Some(time) if time > longest => Err(invalid(format!(
            "a share stays open for at most {LONGEST_DAYS} days"
        ))),
        Some(_) => Ok(()),
    }
}

/// Checks whom a share is to be for.
///
/// # Errors
/// `Invalid` for members of whom none is named, or one by nothing.
pub(crate) fn check_audience(audience: &Audience) -> Result<()> {
    if names_nobody(audience) {
        return Err(invalid("a share for members must name at least one"));
    }
    match members(audience).any(String::is_empty) {
        true => Err(invalid("a member's id is empty")),
        false => Ok(()),
    }
}

/// Whether a share is for members and no one is named: the list of shares leaves them out.
pub(crate) fn names_nobody(audience: &Audience) -> bool {
    matches!(audience, Audience::Members { .. }) && members(audience).next().is_none()
}

fn members(audience: &Audience) -> impl Iterator<Item = &String> {
    let kinds: [&[String]; 3] = match audience {
        Audience::Members {
            users,
            groups,
            departments,
        } => [users, groups, departments],
        Audience::Anyone | Audience::Organization => [&[], &[], &[]],
    };
    kinds.into_iter().flatten()
}

/// The drive knows a permission to edit and reserves it; of saving it says nothing, and lets everyone
/// do it.
fn check_permissions(permissions: Permissions) -> Result<()> {
    let refused = [("edit", permissions.edit), ("save", permissions.save)];
    match refused.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => Err(invalid(format!(
            "this drive's shares cannot grant the permission `{name}`"
        ))),
        None if !permissions.preview && !permissions.download => {
            Err(invalid("a share must allow `preview` or `download`"))
        }
        None => Ok(()),
    }
}

fn check_code(code: &Secret<String>) -> Result<()> {
    let code = code.expose();
    let is_good =
        code.len() == CODE_LENGTH && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match is_good {
        true => Ok(()),
        false => Err(invalid(format!(
            "the access code must be {CODE_LENGTH} letters and digits"
        ))),
    }
}

/// The access code that these terms want.
///
/// # Errors
/// `Unavailable` when the system gives no randomness.
pub(crate) fn code(password: &SharePassword) -> Result<Option<Secret<String>>> {
    match password {
        SharePassword::None => Ok(None),
        SharePassword::Auto => random::code(CODE_LENGTH).map(Some),
        SharePassword::Given(code) => Ok(Some(code.clone())),
    }
}

/// For whom: 1 whoever holds the link, 2 the enterprise, 3 the named ones.
pub(crate) fn scope(audience: &Audience) -> u8 {
    match audience {
        Audience::Anyone => 1,
        Audience::Organization => 2,
        Audience::Members { .. } => 3,
    }
}

/// How long, in days. Parts of one count as a whole: the exact time is sent beside them.
pub(crate) fn days(valid_for: Option<Duration>) -> u64 {
    let time = valid_for.unwrap_or_default();
    let whole = time.as_secs() / DAY.as_secs();
    let has_rest = time > DAY * u32::try_from(whole).unwrap_or(u32::MAX);
    (whole + u64::from(has_rest)).clamp(1, LONGEST_DAYS)
}

/// What calls that make and change shares have in common, for `terms` that are checked. `now` is the
/// drive's time.
pub(crate) fn fields(
    terms: &ShareTerms,
    code: Option<&Secret<String>>,
    comment: &str,
    now: SystemTime,
    is_carrier: bool,
) -> Value {
    let Permissions {
        preview,
        download,
        edit,
        ..
    } = terms.permissions;
    let mut fields = json!({
        "validDays": days(terms.valid_for),
        "comment": comment,
        "permission": {"preview": preview, "edit": edit, "download": download},
    });
    if let Audience::Members {
        users,
        groups,
        departments,
    } = &terms.audience
    {
        fields["userIds"] = json!(users);
        fields["groupIds"] = json!(groups);
        fields["deptIds"] = json!(departments);
    }
    if let Some(code) = code {
        fields["extractCode"] = json!(code.expose());
    }
    if let Some(end) = end(terms.valid_for, now, is_carrier) {
        fields["expireTime"] = json!(end);
    }
    fields
}

/// What of `fields` changes a share that is told to have the terms `known`. Members and permissions
/// that stay are not sent: what the list leaves out would be sent as if it were not so.
pub(crate) fn changes(mut fields: Value, terms: &ShareTerms, known: &ShareTerms) -> Value {
    let mut stays = Vec::new();
    if terms.audience == known.audience {
        stays.extend(["userIds", "groupIds", "deptIds"]);
    }
    if terms.permissions == known.permissions {
        stays.push("permission");
    }
    if let Some(fields) = fields.as_object_mut() {
        fields.retain(|name, _| !stays.contains(&name.as_str()));
    }
    fields
}

/// The exact end, where days do not tell it.
fn end(valid_for: Option<Duration>, now: SystemTime, is_carrier: bool) -> Option<String> {
    let time = valid_for.filter(|time| *time != DAY * days(Some(*time)) as u32)?;
    let end = Timestamp::try_from(now.checked_add(time)?).ok()?;
    let form = if is_carrier { CARRIER_TIME } else { TIME };
    Some(end.strftime(form).to_string())
}

/// A note with the mark of its share behind it.
pub(crate) fn comment(note: Option<&str>, nonce: Option<&str>) -> String {
    let note = note.filter(|note| !note.is_empty()).map(str::to_owned);
    let mark = nonce.map(|nonce| format!("{MARK}{nonce}"));
    let parts: Vec<String> = [note, mark].into_iter().flatten().collect();
    parts.join(" ")
}

/// A comment's note and, without its lead, the mark behind it.
pub(crate) fn split_comment(comment: &str) -> (Option<String>, Option<String>) {
    let (note, last) = comment.rsplit_once(' ').unwrap_or(("", comment));
    let nonce = last.strip_prefix(MARK).filter(|nonce| {
        last.len() == MARK_LENGTH && nonce.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    let note = if nonce.is_some() { note } else { comment };
    let note = (!note.is_empty()).then(|| note.to_owned());
    (note, nonce.map(str::to_owned))
}

fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

#[cfg(test)]
mod tests {
    use linkfs_provider_http::timestamp;

    use super::*;

    fn terms() -> ShareTerms {
        ShareTerms {
            valid_for: Some(7 * DAY),
            password: SharePassword::None,
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

    fn members(users: &[&str]) -> Audience {
        Audience::Members {
            users: users.iter().map(|id| (*id).to_owned()).collect(),
            groups: Vec::new(),
            departments: Vec::new(),
        }
    }

    fn refused(change: impl Fn(&mut ShareTerms), words: &str) {
        let mut terms = terms();
        change(&mut terms);
        let error = check(&terms).expect_err(words);
        assert_eq!(error.kind, ErrorKind::Invalid);
        assert_eq!(error.message, words);
    }

    #[test]
    fn a_term_that_the_drive_cannot_honour_is_named() {
        assert_eq!(check(&terms()), Ok(()));
        refused(
            |terms| terms.valid_for = None,
            "a share must have an end: at most 365 days from now",
        );
        refused(
            |terms| terms.valid_for = Some(Duration::ZERO),
            "a share must stay open for some time",
        );
        refused(
            |terms| terms.valid_for = Some(365 * DAY + Duration::from_secs(1)),
            "a share stays open for at most 365 days",
        );
        refused(
            |terms| terms.audience = members(&[]),
            "a share for members must name at least one",
        );
        refused(
            |terms| terms.audience = members(&["u-1", ""]),
            "a member's id is empty",
        );
        for code in ["short", "ninechars", "with spc", "ümlaut1"] {
            refused(
                |terms| terms.password = SharePassword::Given(Secret::new(code.into())),
                "the access code must be 8 letters and digits",
            );
        }
        refused(
            |terms| terms.note = Some("é".repeat(496)),
            "the note may have at most 495 characters",
        );
    }

    #[test]
    fn a_permission_that_no_share_grants_is_refused() {
        refused(
            |terms| terms.permissions.edit = true,
            "this drive's shares cannot grant the permission `edit`",
        );
        refused(
            |terms| terms.permissions.save = true,
            "this drive's shares cannot grant the permission `save`",
        );
        refused(
            |terms| {
                terms.permissions.preview = false;
                terms.permissions.download = false;
            },
            "a share must allow `preview` or `download`",
        );
    }

    #[test]
    fn one_to_a_hundred_items_make_a_share() {
        let items = |count| vec![ItemId::from("a"); count];
        assert_eq!(check_items(&items(100)), Ok(()));
        assert_eq!(
            check_items(&items(0)).unwrap_err().message,
            "there is nothing to share"
        );
        assert_eq!(
            check_items(&items(101)).unwrap_err().message,
            "a share takes at most 100 items, not 101"
        );
    }

    fn sent(valid_for: Duration, is_carrier: bool) -> Value {
        let terms = ShareTerms {
            valid_for: Some(valid_for),
            ..terms()
        };
        let now = timestamp::compact("20260105T080910Z").unwrap();
        fields(&terms, None, "", now, is_carrier)
    }

    #[test]
    fn whole_days_are_sent_as_such_and_others_with_their_end() {
        let check = |valid_for, is_carrier, days, end: Value| {
            let sent = sent(valid_for, is_carrier);
            assert_eq!(sent["validDays"], days, "{valid_for:?}");
            assert_eq!(sent["expireTime"], end, "{valid_for:?}");
        };
        let hours = |count: u64| Duration::from_secs(count * 3600);
        check(7 * DAY, false, 7, Value::Null);
        check(365 * DAY, true, 365, Value::Null);
        check(hours(36), false, 2, json!("2026-01-06T20:09:10.000Z"));
        check(hours(36), true, 2, json!("2026-01-06 20:09:10"));
        check(hours(1), false, 1, json!("2026-01-05T09:09:10.000Z"));
    }

    #[test]
    fn members_are_sent_by_kind() {
        let terms = ShareTerms {
            audience: Audience::Members {
                users: vec!["u-9".into()],
                groups: vec!["g-1".into(), "g-2".into()],
                departments: vec![],
            },
            ..terms()
        };
        let code = Secret::new("Zx81kk02".to_owned());
        let sent = fields(&terms, Some(&code), "c", SystemTime::UNIX_EPOCH, false);
        assert_eq!(scope(&terms.audience), 3);
        assert_eq!(sent["userIds"], json!(["u-9"]));
        assert_eq!(sent["groupIds"], json!(["g-1", "g-2"]));
        assert_eq!(sent["deptIds"], json!([]));
        assert_eq!(sent["extractCode"], "Zx81kk02");
    }

    #[test]
    fn a_comment_is_a_note_and_a_mark() {
        let check = |note: Option<&str>, nonce: Option<&str>, text: &str| {
            assert_eq!(comment(note, nonce), text);
            let read = (note.map(str::to_owned), nonce.map(str::to_owned));
            assert_eq!(split_comment(text), read, "{text}");
        };
        check(Some("for Lin"), Some("0a1b2c3d"), "for Lin linkfs:0a1b2c3d");
        check(None, Some("0a1b2c3d"), "linkfs:0a1b2c3d");
        check(Some("for Lin"), None, "for Lin");
        check(Some("linkfs:0a1b"), None, "linkfs:0a1b");
        check(Some("linkfs:0a1b2c3x"), None, "linkfs:0a1b2c3x");
        check(None, None, "");
    }
}
