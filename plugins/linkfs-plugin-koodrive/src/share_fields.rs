//! Shares as the drive tells of them.

use std::time::SystemTime;

use linkfs_provider::{
    Audience, ErrorKind, ItemId, PageToken, Permissions, ProviderError, Result, Secret, Share,
    ShareCounters, ShareId, SharePassword, ShareState, ShareTerms,
};
use linkfs_provider_http::{timestamp, value};
use serde_json::{Map, Value};

use crate::envelope::Envelope;
use crate::share_terms;

/// The cursor of the first page.
pub(crate) const FIRST_PAGE: &str = "0";

/// What a share allows that does not tell: it is made to be looked at and downloaded.
const USUAL: Permissions = Permissions {
    preview: true,
    download: true,
    edit: false,
    save: false,
};

/// A share, with the mark it was made with.
#[derive(Clone, Debug)]
pub(crate) struct Marked {
    pub(crate) share: Share,
    pub(crate) nonce: Option<String>,
    /// Whether it tells what it allows.
    pub(crate) has_permissions: bool,
}

/// The share in the answer to a call that made or changed one, in any of the documented places.
pub(crate) fn in_answer(answer: &Envelope) -> Option<&Map<String, Value>> {
    let link = answer.field("shareLink").and_then(Value::as_object);
    link.or_else(|| answer.object_with("shareId"))
}

/// The task in an answer: at the top, under `data`, or `data` itself.
pub(crate) fn task_in(answer: &Envelope) -> Option<String> {
    let task = answer.field("taskId").or_else(|| answer.at("data"))?;
    value::text(task).filter(|task| !task.is_empty())
}

/// A page of shares and where the next one starts.
///
/// # Errors
/// `Broken` when there is no list, a share makes no sense, or the cursor stands still.
pub(crate) fn page(
    answer: &Envelope,
    after: Option<&PageToken>,
    now: SystemTime,
) -> Result<(Vec<Marked>, Option<PageToken>)> {
    let links = match answer.field("shareLinks") {
        Some(links) => value::elements(links),
        None if answer.names("shareLinks") => &[],
        None => return Err(broken("it has no list of shares")),
    };
    let share = |link: &Value| {
        let fields = link.as_object();
        read(fields.ok_or_else(|| broken("a share is no object"))?, now)
    };
    let shares = links.iter().map(share).collect::<Result<_>>()?;
    Ok((shares, next(answer, after)?))
}

fn next(answer: &Envelope, after: Option<&PageToken>) -> Result<Option<PageToken>> {
    let cursor = answer.field("nextCursor").and_then(value::text);
    // The first cursor can lead nowhere but back.
    let cursor = cursor.filter(|cursor| !cursor.is_empty() && cursor != FIRST_PAGE);
    let next = cursor.map(PageToken);
    match next.is_some() && next.as_ref() == after {
        true => Err(broken("the next page is the same page again")),
        false => Ok(next),
    }
}

/// A share at the drive's time `now`.
///
/// # Errors
/// `Broken` for one without id.
pub(crate) fn read(fields: &Map<String, Value>, now: SystemTime) -> Result<Marked> {
    let id = value::text_of(fields, "shareId").ok_or_else(|| broken("a share without id"))?;
    let password = value::text_of(fields, "extractCode").map(Secret::new);
    let (created, expires) = (time(fields, "createTime"), time(fields, "expireTime"));
    let comment = value::text_of(fields, "comment").unwrap_or_default();
    let (note, nonce) = share_terms::split_comment(&comment);
    let told = permissions(fields);
    let left = |end: SystemTime| end.duration_since(now).unwrap_or_default();
    let share = Share {
        id: ShareId(id),
        name: name(fields),
        items: items(fields),
        url: url(fields),
        terms: ShareTerms {
            valid_for: expires.map(left),
            password: password
                .clone()
                .map_or(SharePassword::None, SharePassword::Given),
            audience: audience(fields),
            permissions: told.unwrap_or(USUAL),
            note,
        },
        password,
        created: created.or_else(|| time(fields, "shareTime")),
        state: state(fields, expires, now),
        expires,
        counters: ShareCounters {
            views: count(fields, "viewCnt"),
            downloads: count(fields, "downloadCnt"),
            saves: count(fields, "saveCnt"),
        },
    };
    Ok(Marked {
        share,
        nonce,
        has_permissions: told.is_some(),
    })
}

fn name(fields: &Map<String, Value>) -> String {
    let first = files(fields).next();
    value::text_of(fields, "displayName")
        .or_else(|| value::text_of(first?, "fileName"))
        .unwrap_or_default()
}

fn items(fields: &Map<String, Value>) -> Vec<ItemId> {
    let ids = files(fields).filter_map(|file| value::text_of(file, "id"));
    ids.map(ItemId).collect()
}

fn files(fields: &Map<String, Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let files = fields.get("files").map_or(&[][..], value::elements);
    files.iter().filter_map(Value::as_object)
}

fn url(fields: &Map<String, Value>) -> String {
    let link = value::text_of(fields, "linkUrl");
    link.or_else(|| value::text_of(fields, "shortUrl"))
        .unwrap_or_default()
}

/// Whom a share is for. An example has 0, which no table explains: whoever holds the link, since that
/// keeps nobody in false safety.
fn audience(fields: &Map<String, Value>) -> Audience {
    let ids = |name| {
        let ids = fields.get(name).map_or(&[][..], value::elements);
        ids.iter().filter_map(value::text).collect()
    };
    match fields.get("scope").and_then(value::count) {
        Some(2) => Audience::Organization,
        Some(3) => Audience::Members {
            users: ids("userIds"),
            groups: ids("groupIds"),
            departments: ids("deptIds"),
        },
        _ => Audience::Anyone,
    }
}

/// What a share allows, where it tells.
fn permissions(fields: &Map<String, Value>) -> Option<Permissions> {
    let told = fields.get("permission")?.as_object()?;
    let flag = |name| told.get(name).is_some_and(value::flag);
    Some(Permissions {
        preview: flag("preview"),
        download: flag("download"),
        edit: flag("edit"),
        save: false,
    })
}

/// 1 deleted, 2 invalid, 3 expired; 0 leaves it to the time.
fn state(fields: &Map<String, Value>, expires: Option<SystemTime>, now: SystemTime) -> ShareState {
    match fields.get("status").and_then(value::count) {
        Some(1 | 2) => ShareState::Closed,
        Some(3) => ShareState::Expired,
        _ if expires.is_some_and(|end| end <= now) => ShareState::Expired,
        _ => ShareState::Open,
    }
}

fn time(fields: &Map<String, Value>, name: &str) -> Option<SystemTime> {
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

    fn now() -> SystemTime {
        timestamp::compact("20260105T080910Z").unwrap()
    }

    fn fields(changes: Value) -> Map<String, Value> {
        let mut share = json!({"shareId": "1990000000000000001", "shortUrl": "aB3dE5",
            "linkUrl": "https://console.example.test/cloudfile/#/sharelink/i/aB3dE5",
            "scope": 3, "displayName": "plan.pdf", "extractCode": "Zx81kk02",
            "createTime": "2026-01-04T08:09:10.000Z", "expireTime": "2026-01-12T08:09:10.000Z",
            "status": 0, "comment": "for Lin linkfs:0a1b2c3d", "viewCnt": "2",
            "downloadCnt": "1", "saveCnt": "0", "files": [{"id": "Fq2Plan", "fileName": "plan.pdf"}]});
        let share = share.as_object_mut().unwrap();
        share.extend(changes.as_object().unwrap().clone());
        share.clone()
    }

    fn share(changes: Value) -> Share {
        read(&fields(changes), now()).unwrap().share
    }

    #[test]
    fn a_share_of_the_documented_form_is_read() {
        let Marked { share, nonce, .. } = read(&fields(json!({})), now()).unwrap();
        assert_eq!(nonce.as_deref(), Some("0a1b2c3d"));
        assert_eq!(share.id.0, "1990000000000000001");
        assert_eq!(share.name, "plan.pdf");
        assert_eq!(share.items, [ItemId::from("Fq2Plan")]);
        assert!(share.url.ends_with("/i/aB3dE5"));
        assert_eq!(share.password.unwrap().expose(), "Zx81kk02");
        assert_eq!(share.terms.valid_for, Some(Duration::from_secs(7 * 86_400)));
        assert_eq!(share.terms.note.as_deref(), Some("for Lin"));
        assert_eq!(share.terms.permissions, USUAL);
        assert_eq!(share.state, ShareState::Open);
        let counters = (
            share.counters.views,
            share.counters.downloads,
            share.counters.saves,
        );
        assert_eq!(counters, (Some(2), Some(1), Some(0)));
    }

    #[test]
    fn the_status_tells_the_state_and_else_the_time() {
        let check = |status: Value, end: &str, state| {
            let share = share(json!({"status": status, "expireTime": end}));
            assert_eq!(share.state, state, "{status} {end}");
        };
        let (past, future) = ("2026-01-05 08:09:10", "2026-01-05 08:09:11");
        check(json!(0), future, ShareState::Open);
        check(json!("0"), past, ShareState::Expired);
        check(json!(null), past, ShareState::Expired);
        check(json!(1), future, ShareState::Closed);
        check(json!("2"), future, ShareState::Closed);
        check(json!("3"), future, ShareState::Expired);
    }

    #[test]
    fn the_scope_tells_the_audience() {
        let audience = |scope| {
            share(json!({"scope": scope, "userIds": ["u-9"]}))
                .terms
                .audience
        };
        assert_eq!(audience(json!(1)), Audience::Anyone);
        assert_eq!(audience(json!(0)), Audience::Anyone);
        assert_eq!(audience(json!("2")), Audience::Organization);
        let Audience::Members { users, .. } = audience(json!(3)) else {
            panic!("not for members")
        };
        assert_eq!(users, ["u-9"]);
    }

    #[test]
    fn what_is_not_told_is_left_open() {
        let share = share(
            json!({"displayName": "", "linkUrl": null, "extractCode": "",
            "createTime": null, "shareTime": "2026-01-04 08:09:10", "expireTime": null,
            "comment": null, "viewCnt": null,
            "permission": {"preview": true, "download": "false"}}),
        );
        assert_eq!(
            (share.name.as_str(), share.url.as_str()),
            ("plan.pdf", "aB3dE5")
        );
        assert_eq!((share.password, share.terms.note), (None, None));
        assert_eq!(share.terms.password, SharePassword::None);
        assert_eq!((share.terms.valid_for, share.expires), (None, None));
        let made = share.created.unwrap();
        assert_eq!(now().duration_since(made).unwrap().as_secs(), 86_400);
        assert_eq!(share.counters.views, None);
        assert!(!share.terms.permissions.download);
    }

    fn envelope(answer: &Value) -> Envelope {
        Envelope::parse(answer.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_share_is_found_wherever_it_stands() {
        let link = json!({"shareId": "7"});
        for answer in [
            json!({"code": "0", "shareLink": link}),
            json!({"code": 0, "data": {"shareLink": link}}),
            json!({"code": 0, "data": link}),
        ] {
            let found = envelope(&answer);
            let found = in_answer(&found).map(|fields| fields["shareId"].clone());
            assert_eq!(found, Some(json!("7")), "{answer}");
        }
        for answer in [
            json!({"taskId": 8}),
            json!({"data": {"taskId": "8"}}),
            json!({"data": "8"}),
        ] {
            let answer = envelope(&answer);
            assert!(in_answer(&answer).is_none());
            assert_eq!(task_in(&answer).as_deref(), Some("8"));
        }
        assert_eq!(task_in(&envelope(&json!({"code": 0, "data": {}}))), None);
    }

    #[test]
    fn a_page_has_shares_and_a_cursor_that_moves() {
        let read = |answer: Value, after: Option<&str>| {
            let after = after.map(|text| PageToken(text.into()));
            page(&envelope(&answer), after.as_ref(), now())
        };
        let next = |cursor: Value, after| {
            let answer = json!({"shareLinks": [fields(json!({}))], "nextCursor": cursor});
            read(answer, after).map(|(_, next)| next.map(|token| token.0))
        };
        assert_eq!(next(json!(7), None), Ok(Some("7".into())));
        assert_eq!(next(json!("7"), Some("8")), Ok(Some("7".into())));
        assert_eq!(next(json!("0"), Some("8")), Ok(None));
        assert_eq!(next(json!(""), None), Ok(None));
        assert_eq!(
            next(json!("7"), Some("7")).unwrap_err().kind,
            ErrorKind::Broken
        );
        assert!(
            read(json!({"shareLinks": null}), None)
                .unwrap()
                .0
                .is_empty()
        );
        for answer in [
            json!({"code": 0}),
            json!({"shareLinks": [{"shortUrl": "a"}]}),
        ] {
            assert_eq!(read(answer, None).unwrap_err().kind, ErrorKind::Broken);
        }
    }
}
