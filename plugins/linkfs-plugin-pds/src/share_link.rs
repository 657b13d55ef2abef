//! A share as the drive tells of it.

use std::time::SystemTime;

use linkfs_provider::{
    Audience, ErrorKind, ItemId, Permissions, ProviderError, Result, Secret, Share, ShareCounters,
    ShareId, SharePassword, ShareState, ShareTerms,
};
use linkfs_provider_http::settings::invalid;
use linkfs_provider_http::{path, timestamp, value};
use serde_json::{Map, Value};

use crate::item::TOP;
use crate::share_terms;

/// Makes the address of a share from its id. The drive itself does not know it: the page belongs to
/// the domain's own web application.
#[derive(Clone, Debug)]
pub(crate) struct ShareAddress(pub(crate) String);

/// A share, and the mark by which it is known again.
#[derive(Debug)]
pub(crate) struct Marked {
    pub(crate) share: Share,
    pub(crate) nonce: Option<String>,
}

impl ShareAddress {
    /// The place of the id in a template.
    pub(crate) const ID: &str = "{share_id}";

    fn of(&self, id: &str) -> String {
        self.0.replace(Self::ID, &path::escaped(id))
    }
}

/// The address that the drive tells, or else makes by `address`. Without either it is empty: a share
/// that was made elsewhere can still be seen and revoked.
fn url(fields: &Map<String, Value>, id: &str, address: Option<&ShareAddress>) -> String {
    let told = value::text_of(fields, "share_url");
    told.or_else(|| address.map(|address| address.of(id)))
        .unwrap_or_default()
}

/// The error when nothing tells where shares are shown.
pub(crate) fn no_address() -> ProviderError {
    invalid(
        "where shares are shown is not known: set `domain`, or an address with {share_id} in `share_url_template`",
    )
}

/// A share at the drive's time `now`.
///
/// # Errors
/// `Broken` for one without id.
pub(crate) fn read(
    fields: &Map<String, Value>,
    address: Option<&ShareAddress>,
    now: SystemTime,
) -> Result<Marked> {
    let id = value::text_of(fields, "share_id").ok_or_else(|| broken("a share without id"))?;
    let password = value::text_of(fields, "share_pwd").map(Secret::new);
    let expires = time(fields, "expiration");
    let description = value::text_of(fields, "description").unwrap_or_default();
    let (note, nonce) = share_terms::split_description(&description);
    let share = Share {
        url: url(fields, &id, address),
        id: ShareId(id),
        name: value::text_of(fields, "share_name").unwrap_or_default(),
        // Files that are gone leave a share of nothing behind.
        items: items(fields).unwrap_or_default(),
        terms: ShareTerms {
            valid_for: expires.map(|end| end.duration_since(now).unwrap_or_default()),
            password: password
                .clone()
                .map_or(SharePassword::None, SharePassword::Given),
            audience: Audience::Anyone,
            permissions: permissions(fields),
            note,
        },
        password,
        created: time(fields, "created_at"),
        state: state(fields, expires, now),
        expires,
        counters: ShareCounters {
            views: count(fields, "access_count"),
            downloads: count(fields, "download_count"),
            saves: count(fields, "save_count"),
        },
    };
    Ok(Marked { share, nonce })
}

/// Whether the answer names what is shared: that to a change may tell the changes alone.
pub(crate) fn names_items(fields: &Map<String, Value>) -> bool {
    items(fields).is_some()
}

/// Whether a share is of this drive.
pub(crate) fn is_of(fields: &Map<String, Value>, drive_id: &str) -> bool {
    value::text_of(fields, "drive_id").is_none_or(|id| id == drive_id)
}

fn items(fields: &Map<String, Value>) -> Option<Vec<ItemId>> {
    if fields.get("share_all_files").is_some_and(value::flag) {
        return Some(vec![TOP.into()]);
    }
    let ids = value::elements(fields.get("file_id_list")?).iter();
    let ids: Vec<ItemId> = ids.filter_map(value::text).map(ItemId).collect();
    (!ids.is_empty()).then_some(ids)
}

fn permissions(fields: &Map<String, Value>) -> Permissions {
    let flag = |name| fields.get(name).is_some_and(value::flag);
    Permissions {
        preview: !flag("disable_preview"),
        download: !flag("disable_download"),
        edit: flag("office_editable"),
        save: !flag("disable_save"),
    }
}

fn state(fields: &Map<String, Value>, expires: Option<SystemTime>, now: SystemTime) -> ShareState {
    let is_over = fields.get("expired").is_some_and(value::flag);
    match value::text_of(fields, "status").as_deref() {
        Some("disabled") => ShareState::Closed,
        _ if is_over || expires.is_some_and(|end| end <= now) => ShareState::Expired,
        _ => ShareState::Open,
    }
}

fn time(fields: &Map<String, Value>, name: &str) -> Option<SystemTime> {
    // An end that is not set is an empty text.
    fields.get(name).and_then(timestamp::read)
}

fn count(fields: &Map<String, Value>, name: &str) -> Option<u64> {
    fields.get(name).and_then(value::count)
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn share(changes: Value) -> Result<Share> {
        let mut fields = json!({"share_id": "9kQ2xYz1AbC", "share_name": "hello.txt",
            "share_pwd": "abcd", "drive_id": "1", "file_id_list": ["65a0"],
            "expiration": "2026-01-12T08:09:10.000Z", "expired": false, "status": "enabled",
            "description": "for Lin linkfs:0a1b2c3d", "access_count": 4, "download_count": "2",
            "created_at": "2026-01-05T08:09:10.000Z", "updated_at": "2026-01-05T08:09:10.000Z"});
        let fields = fields.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        let address = ShareAddress("https://bj9.apps.example.test/s/{share_id}".into());
        let now = timestamp::compact("20260105T080910Z").unwrap();
        read(fields, Some(&address), now).map(|marked| marked.share)
    }

    #[test]
    fn a_share_of_the_documented_form_is_read() {
        let share = share(json!({})).unwrap();
        assert_eq!(share.url, "https://bj9.apps.example.test/s/9kQ2xYz1AbC");
        assert_eq!(share.items, [ItemId::from("65a0")]);
        assert_eq!(share.password.unwrap().expose(), "abcd");
        assert_eq!(share.terms.valid_for, Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(share.terms.note.as_deref(), Some("for Lin"));
        assert_eq!(
            (share.counters.views, share.counters.downloads),
            (Some(4), Some(2))
        );
        assert_eq!(share.counters.saves, None);
        assert!(share.terms.permissions.save && !share.terms.permissions.edit);
    }

    #[test]
    fn what_is_empty_is_not_set() {
        let empty = json!({"share_pwd": "", "expiration": "", "description": null});
        let share = share(empty).unwrap();
        assert_eq!((share.password, share.expires), (None, None));
        assert_eq!(share.terms.password, SharePassword::None);
        assert_eq!((share.terms.valid_for, share.terms.note), (None, None));
        assert_eq!(share.state, ShareState::Open);
    }

    #[test]
    fn the_state_is_told_or_follows_from_the_end() {
        let check = |changes: Value, state| {
            let share = share(changes.clone()).unwrap();
            assert_eq!(share.state, state, "{changes}");
        };
        check(
            json!({"status": "disabled", "expired": true}),
            ShareState::Closed,
        );
        check(json!({"expired": true}), ShareState::Expired);
        check(
            json!({"expiration": "2026-01-05T08:09:10Z"}),
            ShareState::Expired,
        );
        check(json!({"status": null, "expired": null}), ShareState::Open);
    }

    #[test]
    fn an_address_that_the_drive_tells_comes_first() {
        let told = share(json!({"share_url": "https://x.example.test/s"})).unwrap();
        assert_eq!(told.url, "https://x.example.test/s");
        let odd = share(json!({"share_id": "a/b"})).unwrap();
        assert_eq!(odd.url, "https://bj9.apps.example.test/s/a%2Fb");
    }

    #[test]
    fn a_share_of_the_whole_drive_is_one_of_its_top() {
        let all = share(json!({"share_all_files": true, "file_id_list": []})).unwrap();
        assert_eq!(all.items, [ItemId::from("root")]);
    }

    #[test]
    fn a_share_without_id_is_broken_and_one_without_files_is_empty() {
        let error = share(json!({"share_id": ""})).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
        assert!(
            share(json!({"file_id_list": null}))
                .unwrap()
                .items
                .is_empty()
        );
    }
}
