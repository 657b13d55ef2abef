//! Shares as they are shown: as JSON in an attribute, as lines in a file.

use std::fmt::Write;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use linkfs_provider::{Audience, Permissions, Share, SharePassword, ShareState, ShareTerms};
use serde_json::{Value, json};

use super::sharer::ShareFact;
use super::terms::AudienceKind;

/// The kernel takes attributes of 64 KiB; shares that do not fit are counted.
const MOST_BYTES: usize = 60 << 10;
/// So many items of one share are named; the others are counted, so that it fits, and twice.
const MOST_ITEMS: usize = 400;

/// What `user.linkfs.share` says.
pub(super) fn address(share: &Share) -> String {
    match share.state {
        // Some drives' numbers of unfinished shares say so themselves.
        ShareState::Pending if share.id.0.starts_with("pending:") => share.id.0.clone(),
        ShareState::Pending => format!("pending:{}", share.id.0),
        _ => share.url.clone(),
    }
}

/// What `user.linkfs.share.info` says: the open share of the item, and every share that it is in.
pub(super) fn info(drive: &str, open: Option<&Share>, all: &[Arc<Share>]) -> String {
    let mut shown = Vec::new();
    let mut length = 0;
    for share in all {
        let value = as_json(drive, share);
        length += value.to_string().len();
        if length > MOST_BYTES / 2 {
            break;
        }
        shown.push(value);
    }
    let info = json!({
        "share": open.map(|share| as_json(drive, share)),
        "shares": shown,
        "more_shares": all.len() - shown.len(),
    });
    info.to_string()
}

/// What an attribute of a share's own file says, in the same words as those of the item.
pub(crate) fn of_file(drive: &str, share: &Arc<Share>, fact: ShareFact) -> Option<String> {
    match fact {
        ShareFact::Address => Some(address(share)),
        ShareFact::Password => password(share),
        ShareFact::Info => Some(info(drive, Some(share), std::slice::from_ref(share))),
    }
}

/// What `user.linkfs.share.password` says.
pub(super) fn password(share: &Share) -> Option<String> {
    share.password.as_ref().map(|code| code.expose().clone())
}

fn as_json(drive: &str, share: &Share) -> Value {
    let items = share.items.iter().take(MOST_ITEMS);
    let items: Vec<_> = items.map(|item| item.as_str()).collect();
    let counters = share.counters;
    json!({
        "id": share.id.0,
        "name": share.name,
        "url": address(share),
        "password": password(share),
        "state": state_word(share.state),
        "created": share.created.and_then(time),
        "expires": share.expires.and_then(time),
        "items": items,
        "more_items": share.items.len() - items.len(),
        "terms": terms(&share.terms),
        "views": counters.views,
        "downloads": counters.downloads,
        "saves": counters.saves,
        "drive": drive,
    })
}

/// Terms without their code, with the keys that they are written with.
pub(super) fn terms(terms: &ShareTerms) -> Value {
    let password = match terms.password {
        SharePassword::None => "none",
        SharePassword::Auto => "auto",
        SharePassword::Given(_) => "given",
    };
    let mut shown = json!({
        "valid_for_seconds": terms.valid_for.map(|time| time.as_secs()),
        "password": password,
        "audience": AudienceKind::of(&terms.audience).word(),
        "allow": permission_words(terms.permissions),
        "note": terms.note,
    });
    if let Audience::Members {
        users,
        groups,
        departments,
    } = &terms.audience
    {
        shown["users"] = json!(users);
        shown["groups"] = json!(groups);
        shown["departments"] = json!(departments);
    }
    shown
}

/// What `cat` shows of an open share, one fact a line.
pub(crate) fn as_lines(drive: &str, share: &Share) -> String {
    let mut text = String::new();
    let mut line = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            let value = value.replace(char::is_control, " ");
            let _ = writeln!(text, "{key}: {value}");
        }
    };
    let terms = &share.terms;
    line("name", Some(share.name.clone()));
    line("url", Some(address(share)));
    line("password", password(share));
    line("state", Some(state_word(share.state).to_owned()));
    line("created", share.created.and_then(time));
    line(
        "expires",
        Some(
            share
                .expires
                .and_then(time)
                .unwrap_or_else(|| "never".to_owned()),
        ),
    );
    line(
        "audience",
        Some(AudienceKind::of(&terms.audience).word().to_owned()),
    );
    if let Audience::Members {
        users,
        groups,
        departments,
    } = &terms.audience
    {
        for (key, names) in [
            ("users", users),
            ("groups", groups),
            ("departments", departments),
        ] {
            line(key, (!names.is_empty()).then(|| names.join(",")));
        }
    }
    line("allow", Some(permission_words(terms.permissions).join(",")));
    line("note", terms.note.clone());
    let counters = share.counters;
    for (key, count) in [
        ("views", counters.views),
        ("downloads", counters.downloads),
        ("saves", counters.saves),
    ] {
        line(key, count.map(|count| count.to_string()));
    }
    line("items", Some(share.items.len().to_string()));
    line("drive", Some(drive.to_owned()));
    line("id", Some(share.id.0.clone()));
    text
}

/// What a command answers of a share, as words.
pub(crate) fn as_words(share: &Share) -> String {
    let mut words = format!("url={}", address(share));
    if let Some(code) = &share.password {
        let _ = write!(words, " password={}", code.expose());
    }
    let end = share.expires.and_then(time);
    let _ = write!(words, " expires={}", end.as_deref().unwrap_or("never"));
    words.replace(char::is_control, " ")
}

/// When a share ends, for the time of its file: one without an end comes after all others.
pub(crate) fn end(share: &Share) -> SystemTime {
    share.expires.unwrap_or_else(|| Timestamp::MAX.into())
}

fn state_word(state: ShareState) -> &'static str {
    match state {
        ShareState::Open => "open",
        ShareState::Pending => "pending",
        ShareState::Expired => "expired",
        ShareState::Closed => "closed",
    }
}

fn permission_words(permissions: Permissions) -> Vec<&'static str> {
    let Permissions {
        preview,
        download,
        edit,
        save,
    } = permissions;
    let words = [
        (preview, "preview"),
        (download, "download"),
        (edit, "edit"),
        (save, "save"),
    ];
    words
        .iter()
        .filter(|(may, _)| *may)
        .map(|(_, word)| *word)
        .collect()
}

/// A time in whole seconds, for people and programs.
pub(super) fn time(time: SystemTime) -> Option<String> {
    let time = Timestamp::try_from(time).ok()?;
    Some(Timestamp::from_second(time.as_second()).ok()?.to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linkfs_provider::Secret;

    use super::super::fake;
    use super::*;

    fn share() -> Share {
        let mut share = fake::share("s1", &["a", "b"]);
        share.name = "two\nlines".to_owned();
        share.password = Some(Secret::new("Zx81kk02".to_owned()));
        share.terms.password = SharePassword::Given(Secret::new("Zx81kk02".to_owned()));
        share.terms.audience = Audience::Members {
            users: vec!["u1".to_owned(), "u2".to_owned()],
            groups: Vec::new(),
            departments: Vec::new(),
        };
        share.created = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(1500));
        share.expires = None;
        share.counters.views = Some(3);
        share
    }

    #[test]
    fn lines_hold_one_fact_each() {
        let expected = "\
name: two lines
url: https://example.test/s1
password: Zx81kk02
state: open
created: 1970-01-01T00:00:01Z
expires: never
audience: members
users: u1,u2
allow: preview,download
views: 3
items: 2
drive: work
id: s1
";
        assert_eq!(as_lines("work", &share()), expected);
    }

    #[test]
    fn the_address_of_a_share_being_made_is_its_number() {
        let mut share = share();
        assert_eq!(address(&share), "https://example.test/s1");
        share.state = ShareState::Pending;
        assert_eq!(address(&share), "pending:s1");
        share.id.0 = "pending:7".to_owned();
        assert_eq!(address(&share), "pending:7");
    }

    #[test]
    fn info_is_json_and_says_what_is_left_out() {
        let all: Vec<_> = (0..2000).map(|_| Arc::new(share())).collect();
        let info = info("work", Some(&all[0]), &all);
        assert!(info.len() < MOST_BYTES, "{}", info.len());
        let info: Value = serde_json::from_str(&info).unwrap();
        assert_eq!(info["share"]["url"], "https://example.test/s1");
        assert_eq!(info["share"]["password"], "Zx81kk02");
        assert_eq!(info["share"]["drive"], "work");
        assert_eq!(info["share"]["terms"]["users"], json!(["u1", "u2"]));
        let shown = info["shares"].as_array().unwrap().len();
        assert_eq!(shown + info["more_shares"].as_u64().unwrap() as usize, 2000);
        assert!(shown > 50, "{shown}");
    }

    #[test]
    fn a_share_of_very_many_items_fits_into_an_attribute() {
        let ids: Vec<_> = (0..3000).map(|id| format!("{id:0>64}")).collect();
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let share = Arc::new(fake::share("s1", &ids));
        let info = of_file("work", &share, ShareFact::Info).unwrap();
        assert!(info.len() < MOST_BYTES, "{}", info.len());
        let info: Value = serde_json::from_str(&info).unwrap();
        let shown = info["share"]["items"].as_array().unwrap().len();
        assert_eq!(info["share"]["more_items"], 3000 - shown);
    }

    #[test]
    fn terms_never_show_the_code() {
        let shown = terms(&share().terms);
        assert_eq!(shown["password"], "given");
        assert!(!shown.to_string().contains("Zx81kk02"));
    }

    #[test]
    fn a_share_without_an_end_comes_last() {
        let limited = fake::share("s2", &["a"]);
        assert!(end(&share()) > end(&limited));
    }
}
