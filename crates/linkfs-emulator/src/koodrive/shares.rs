use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::files::item;
use super::knobs::{Knobs, ShareShape};
use super::share_book::Share;
use crate::clock::json_date;

const FILES_MAX: usize = 100;
const DAYS_MAX: u64 = 365;
const CODE_LENGTH: usize = 8;
const COMMENT_MAX: usize = 512;
const AUDIENCES: [&str; 3] = ["userIds", "deptIds", "groupIds"];

/// Why a share call is refused, in the one of the two error shapes that fits.
enum Refusal {
    Failure(Failure),
    Parameter {
        name: &'static str,
        text: &'static str,
        conflict: Option<String>,
    },
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// `POST share`
pub(crate) fn create(drive: &Drive, call: &Call) -> Answer {
    to_answer(drive, try_create(drive, call))
}

/// `PUT share/{shareId}`
pub(crate) fn update(drive: &Drive, call: &Call, id: &str) -> Answer {
    to_answer(drive, try_update(drive, call, id))
}

/// `GET share`, newest first
pub(crate) fn list(drive: &Drive, call: &Call) -> Answer {
    reveal_hidden(drive);
    to_answer(
        drive,
        page(drive, call, |share| !share.is_foreign).map_err(Refusal::from),
    )
}

/// `GET share/received`
pub(crate) fn received(drive: &Drive, call: &Call) -> Answer {
    to_answer(
        drive,
        page(drive, call, |share| share.is_foreign).map_err(Refusal::from),
    )
}

/// `POST share/cancel`
pub(crate) fn cancel(drive: &Drive, call: &Call) -> Answer {
    to_answer(drive, try_cancel(drive, call).map_err(Refusal::from))
}

fn try_create(drive: &Drive, call: &Call) -> Result<Value, Refusal> {
    drive.check_container(call.text("containerId"))?;
    let knobs = drive.knobs.get();
    let now = drive.cloud.clock.now();
    let scope = read_scope(call, &knobs)?;
    let audience = read_audience(call);
    if scope == 3 && audience.is_empty() {
        return Err(parameter(
            "userIds",
            "scope 3 needs users, departments or groups",
        ));
    }
    let days = read_days(call, if knobs.accepts_zero_terms { 0 } else { 1 })?.max(1);
    let expires = read_expiry(call, now, days)?;
    let files = read_files(drive, call)?;
    let extract_code = read_code(call)?.unwrap_or_default();
    let comment = read_comment(call)?.unwrap_or_default();
    let mut pages = drive.shares.pages();
    let task = pages.next_task() + pages.shares.len() as u64;
    let share = pages.add_share(&drive.space.container, files, now);
    share.scope = scope;
    share.audience = audience;
    share.expires = expires;
    share.extract_code = extract_code;
    share.comment = comment;
    share.permission = call.field("permission").cloned().unwrap_or_default();
    if knobs.share_shape == ShareShape::TaskId {
        share.hidden_for = knobs.share_visible_after;
        return Ok(json!({"msg": "OK", "data": {"taskId": task.to_string()}}));
    }
    Ok(wrap(&knobs, link(drive, &knobs, share)))
}

fn try_update(drive: &Drive, call: &Call, id: &str) -> Result<Value, Refusal> {
    let knobs = drive.knobs.get();
    let now = drive.cloud.clock.now();
    let days = read_days(call, 0)?;
    let code = read_code(call)?;
    let comment = read_comment(call)?;
    let audience = read_audience(call);
    let mut pages = drive.shares.pages();
    let share = pages.own_share(id)?;
    if days > 0 || call.field("expireTime").is_some() {
        share.expires = read_expiry(call, now, if days > 0 { days } else { DAYS_MAX })?;
    }
    share.extract_code = code.unwrap_or_else(|| share.extract_code.clone());
    share.comment = comment.unwrap_or_else(|| share.comment.clone());
    if !audience.is_empty() {
        share.audience = audience;
    }
    if let Some(permission) = call.field("permission") {
        share.permission = permission.clone();
    }
    share.updated = now;
    Ok(wrap(&knobs, link(drive, &knobs, share)))
}

fn try_cancel(drive: &Drive, call: &Call) -> Outcome {
    let ids = call.texts("shareIds");
    if ids.is_empty() || ids.len() > FILES_MAX {
        return Err(Failure::parameter("shareIds"));
    }
    let mut pages = drive.shares.pages();
    let responses = ids.iter().map(|id| match pages.own_share(id) {
        Ok(share) => {
            share.is_cancelled = true;
            json!({"shareId": id, "code": "0", "msg": "success"})
        }
        Err(failure) => {
            json!({"shareId": id, "code": failure.code.to_string(), "msg": failure.message})
        }
    });
    Ok(json!({"subResponseList": responses.collect::<Vec<_>>()}))
}

/// The cursor is the number of the last share shown, so new shares do not shift the pages.
fn page(drive: &Drive, call: &Call, wanted: impl Fn(&Share) -> bool) -> Outcome {
    let size: usize = match call.query("pageSize") {
        Some(text) => text.parse().map_err(|_| Failure::parameter("pageSize"))?,
        None => 100,
    };
    if !(1..=100).contains(&size) {
        return Err(Failure::parameter("pageSize"));
    }
    let cursor: u64 = match call.query("pageCursor").as_deref() {
        None | Some("" | "0") => u64::MAX,
        Some(text) => text.parse().map_err(|_| Failure::parameter("pageCursor"))?,
    };
    let knobs = drive.knobs.get();
    let name = call.query("displayName").unwrap_or_default();
    let pages = drive.shares.pages();
    let older = pages.shares.range(..cursor).rev().map(|(_, share)| share);
    let mut found: Vec<&Share> = older
        .filter(|share| wanted(share) && !share.is_cancelled && share.hidden_for == 0)
        .filter(|share| display_name(drive, share).contains(&name))
        .take(size + 1)
        .collect();
    let has_more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| has_more);
    let next = last.map(|share| share.id()).unwrap_or_default();
    let links: Vec<Value> = found
        .iter()
        .map(|share| link(drive, &knobs, share))
        .collect();
    Ok(json!({"nextCursor": next, "shareLinks": links}))
}

fn reveal_hidden(drive: &Drive) {
    for share in drive.shares.pages().shares.values_mut() {
        share.hidden_for = share.hidden_for.saturating_sub(1);
    }
}

/// The user's shares that are not cancelled, oldest first, each as the list shows it, also while the list
/// does not.
pub(crate) fn open_shares(drive: &Drive) -> Vec<Value> {
    let knobs = drive.knobs.get();
    let pages = drive.shares.pages();
    let shares = pages.shares.values();
    let open = shares.filter(|share| !share.is_cancelled && !share.is_foreign);
    open.map(|share| link(drive, &knobs, share)).collect()
}

/// A share as create, update and list show it.
fn link(drive: &Drive, knobs: &Knobs, share: &Share) -> Value {
    let nodes = share
        .files
        .iter()
        .filter_map(|id| drive.cloud.tree.node(id));
    let files: Vec<Value> = nodes.map(|node| item(drive, knobs, &node)).collect();
    json!({
        "shareId": share.id(),
        "shortUrl": share.short_url,
        "linkUrl": share.link_url(),
        "scope": share.scope,
        "displayName": display_name(drive, share),
        "extractCode": share.extract_code,
        "createTime": time(knobs, share.created),
        "shareTime": time(knobs, share.created),
        "updateTime": time(knobs, share.updated),
        "expireTime": time(knobs, share.expires),
        "status": u64::from(share.is_cancelled),
        "comment": share.comment,
        "permission": share.permission,
        "viewCnt": share.views.to_string(),
        "downloadCnt": share.downloads.to_string(),
        "saveCnt": share.saves.to_string(),
        "containerId": share.container,
        "containerName": "My space",
        "files": files,
    })
}

fn display_name(drive: &Drive, share: &Share) -> String {
    let first = share.files.first().and_then(|id| drive.cloud.tree.node(id));
    first.map(|node| node.name.clone()).unwrap_or_default()
}

fn wrap(knobs: &Knobs, link: Value) -> Value {
    match knobs.share_shape {
        ShareShape::ShareLink | ShareShape::TaskId => json!({"shareLink": link}),
        ShareShape::DataShareLink => json!({"data": {"shareLink": link}}),
        ShareShape::Data => json!({"data": link}),
    }
}

fn time(knobs: &Knobs, at: Timestamp) -> Value {
    if knobs.carrier_times {
        return json!(at.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }
    json!(json_date(at))
}

fn read_scope(call: &Call, knobs: &Knobs) -> Result<u64, Refusal> {
    let refusal = parameter("scope", "scope out of range");
    match call.number("scope") {
        Some(0) if knobs.accepts_zero_terms => Ok(1),
        Some(1) if !knobs.allows_public_shares => Err(refusal),
        Some(scope @ 1..=3) => Ok(scope),
        _ => Err(refusal),
    }
}

fn read_days(call: &Call, least: u64) -> Result<u64, Refusal> {
    let days = call
        .number("validDays")
        .filter(|days| (least..=DAYS_MAX).contains(days));
    days.ok_or_else(|| parameter("validDays", "validDays out of range"))
}

/// The earlier of the two ways to say it, in either of the two spellings of a time.
fn read_expiry(call: &Call, now: Timestamp, days: u64) -> Result<Timestamp, Refusal> {
    let by_days = now + Duration::from_secs(days * 86_400);
    let Some(text) = call.text("expireTime") else {
        return Ok(by_days);
    };
    let spaced = || jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok();
    let in_utc = |civil: jiff::civil::DateTime| civil.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = text.parse::<Timestamp>().ok();
    let at = at.or_else(|| Some(spaced().and_then(in_utc)?.timestamp()));
    match at {
        Some(at) if at.duration_since(now) > SignedDuration::ZERO => Ok(at.min(by_days)),
        _ => Err(parameter("expireTime", "expireTime is no time to come")),
    }
}

fn read_files(drive: &Drive, call: &Call) -> Result<Vec<String>, Refusal> {
    let files = call.texts("fileIds");
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(parameter("fileIds", "1 to 100 files"));
    }
    match files.iter().find(|id| drive.usable_node(id).is_err()) {
        Some(gone) => Err(Refusal::Parameter {
            name: "fileIds",
            text: "the file does not exist",
            conflict: Some(gone.clone()),
        }),
        None => Ok(files),
    }
}

fn read_code(call: &Call) -> Result<Option<String>, Refusal> {
    let code = call.text("extractCode").filter(|code| !code.is_empty());
    let is_good = |code: &str| {
        code.len() == CODE_LENGTH && code.chars().all(|letter| letter.is_ascii_alphanumeric())
    };
    match code {
        Some(code) if !is_good(code) => Err(parameter("extractCode", "8 letters and digits")),
        code => Ok(code.map(str::to_owned)),
    }
}

fn read_comment(call: &Call) -> Result<Option<String>, Refusal> {
    match call.text("comment") {
        Some(text) if text.chars().count() >= COMMENT_MAX => {
            Err(parameter("comment", "comment too long"))
        }
        text => Ok(text.map(str::to_owned)),
    }
}

fn read_audience(call: &Call) -> BTreeMap<&'static str, Vec<String>> {
    let lists = AUDIENCES.map(|name| (name, call.texts(name)));
    lists
        .into_iter()
        .filter(|(_, ids)| !ids.is_empty())
        .collect()
}

fn parameter(name: &'static str, text: &'static str) -> Refusal {
    Refusal::Parameter {
        name,
        text,
        conflict: None,
    }
}

/// Shares write their code as text, as their table says, unless the knobs want the example.
fn to_answer(drive: &Drive, outcome: Result<Value, Refusal>) -> Answer {
    let knobs = drive.knobs.get();
    match outcome {
        Ok(fields) => {
            let mut body = json!({"code": 0, "msg": "success"});
            if knobs.share_code_is_text {
                body["code"] = json!("0");
            }
            super::answer::extend(&mut body, fields);
            Answer::json(&body)
        }
        Err(Refusal::Failure(failure)) => failure.answer(knobs.failure_status),
        Err(Refusal::Parameter {
            name,
            text,
            conflict,
        }) => Answer::share_refusal(name, text, conflict.as_deref()),
    }
}
