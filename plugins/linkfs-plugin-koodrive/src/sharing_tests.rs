//! Shares as a server sees them being made, changed and revoked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{
    Audience, ErrorKind, ItemId, PageToken, Permissions, Provider, ProviderError, Secret, Share,
    ShareId, SharePassword, ShareState, ShareTerms, Sharing,
};
use serde_json::{Value, json};

use crate::test_server::*;

const SHARE: &str = "/koodrive/ose/v1/share";
const CANCEL: &str = "/koodrive/ose/v1/share/cancel";
const CHANGE: &str = "/koodrive/ose/v1/share/7";

fn terms() -> ShareTerms {
    ShareTerms {
        valid_for: Some(Duration::from_secs(7 * 86_400)),
        password: SharePassword::Given(Secret::new("Zx81kk02".into())),
        audience: Audience::Members {
            users: vec!["u-9".into()],
            groups: Vec::new(),
            departments: Vec::new(),
        },
        permissions: Permissions {
            preview: true,
            download: true,
            edit: false,
            save: false,
        },
        note: Some("for Lin".into()),
    }
}

fn sharing(drive: &Arc<dyn Provider>) -> &dyn Sharing {
    drive.sharing().expect("the drive shares")
}

async fn share(drive: &Arc<dyn Provider>) -> Result<Share, ProviderError> {
    let items = [ItemId::from("Fq2Plan")];
    sharing(drive).share(&items, &terms()).await
}

/// A share as the drive shows it.
fn link(id: &str, comment: &str) -> Value {
    json!({"shareId": id, "shortUrl": format!("short{id}"), "linkUrl": format!("https://h/#/i/{id}"),
        "scope": 3, "extractCode": "Zx81kk02", "expireTime": "2999-01-12T08:09:10.000Z",
        "status": 0, "comment": comment, "files": [{"id": "Fq2Plan", "fileName": "plan.pdf"}]})
}

fn list(links: &[Value]) -> Response {
    answer(json!({"code": 0, "nextCursor": "", "shareLinks": links}))
}

/// A drive that answers a new share with `made` and has it in the list from the look after `looks` on.
#[derive(Clone)]
struct Slow {
    made: fn() -> Response,
    looks: usize,
    comments: Arc<Mutex<Vec<String>>>,
    looked: Arc<AtomicUsize>,
}

impl Slow {
    fn new(made: fn() -> Response, looks: usize) -> Self {
        Slow {
            made,
            looks,
            comments: Arc::default(),
            looked: Arc::default(),
        }
    }

    fn play(&self, call: &Seen) -> Response {
        let mut comments = self.comments.lock().unwrap();
        match call.path.as_str() {
            SHARE if call.body.is_null() => {
                let looked = self.looked.fetch_add(1, Ordering::Relaxed);
                let is_there = looked >= self.looks;
                let links = comments.iter().filter(|_| is_there);
                list(&links.map(|comment| link("7", comment)).collect::<Vec<_>>())
            }
            SHARE => {
                comments.push(call.body["comment"].as_str().unwrap().to_owned());
                (self.made)()
            }
            CHANGE => answer(json!({"code": "0", "shareLink": link("7", "")})),
            _ => answer(json!({"subResponseList": [{"shareId": "7", "code": "13000309"}]})),
        }
    }

    async fn start(&self) -> Server {
        let slow = self.clone();
        Server::start(move |call| slow.play(call)).await
    }

    fn made(&self) -> usize {
        self.comments.lock().unwrap().len()
    }
}

fn task() -> Response {
    answer(json!({"code": 0, "msg": "OK", "data": {"taskId": "1990000000000000002"}}))
}

fn bad_gateway() -> Response {
    (StatusCode::BAD_GATEWAY, "<html>").into_response()
}

#[tokio::test]
async fn a_share_is_asked_for_as_documented() {
    let server = Server::start(|_| answer(json!({"code": "0", "shareLink": link("7", "")}))).await;
    let drive = server.drive(token_mode()).await;
    let made = share(&drive).await.unwrap();
    assert_eq!(made.id, ShareId("7".into()));
    assert_eq!(made.url, "https://h/#/i/7");
    // The answer to a new share has neither its audience nor its note.
    assert_eq!(made.terms.audience, terms().audience);
    assert_eq!(made.terms.note, terms().note);
    let call = server.calls(SHARE).remove(0);
    let comment = call.body["comment"].as_str().unwrap().to_owned();
    let nonce = comment.strip_prefix("for Lin linkfs:").unwrap();
    assert_eq!(nonce.len(), 8);
    assert_eq!(
        call.body,
        json!({"scope": 3, "fileIds": ["Fq2Plan"], "containerId": "C1", "validDays": 7,
            "userIds": ["u-9"], "groupIds": [], "deptIds": [], "extractCode": "Zx81kk02",
            "permission": {"preview": true, "edit": false, "download": true},
            "comment": comment})
    );
}

#[tokio::test]
async fn a_share_is_taken_from_wherever_it_stands() {
    for shape in [
        json!({"code": "0", "shareLink": link("7", "")}),
        json!({"code": 0, "data": {"shareLink": link("7", "")}}),
        json!({"code": 0, "data": link("7", "")}),
    ] {
        let server = Server::start(move |_| answer(shape.clone())).await;
        let drive = server.drive(token_mode()).await;
        let made = share(&drive).await.unwrap();
        assert_eq!(made.id, ShareId("7".into()));
        assert_eq!(server.calls(SHARE).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_made_by_a_task_is_waited_for() {
    for looks in [0, 3] {
        let slow = Slow::new(task, looks);
        let server = slow.start().await;
        let drive = server.drive(token_mode()).await;
        let made = share(&drive).await.unwrap();
        assert_eq!((made.id.0.as_str(), made.state), ("7", ShareState::Open));
        assert_eq!(made.terms.note, terms().note, "the mark is not in the note");
        assert_eq!(slow.made(), 1);
        assert_eq!(server.calls(SHARE).len(), 1 + looks + 1);
        assert_eq!(server.calls(SHARE)[1].query, "pageSize=100&pageCursor=0");
    }
}

#[tokio::test(start_paused = true)]
async fn a_share_that_takes_too_long_is_pending_and_found_later() {
    let slow = Slow::new(task, 6);
    let server = slow.start().await;
    let drive = server.drive(token_mode()).await;
    let pending = share(&drive).await.unwrap();
    assert_eq!(pending.id.0, "pending:1990000000000000002");
    assert_eq!(pending.state, ShareState::Pending);
    assert_eq!(pending.password.as_ref().unwrap().expose(), "Zx81kk02");
    assert_eq!(pending.terms, terms());
    // Asked for again, it is the same.
    let found = share(&drive).await.unwrap();
    assert_eq!(found.id.0, "7");
    assert_eq!(slow.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pending_share_is_changed_and_revoked_by_its_name() {
    let slow = Slow::new(task, 7);
    let server = slow.start().await;
    let drive = server.drive(token_mode()).await;
    let pending = share(&drive).await.unwrap().id;
    let early = sharing(&drive).unshare(&pending).await.unwrap_err();
    assert_eq!(early.kind, ErrorKind::RateLimited, "{early}");
    assert!(early.is_about_item, "the drive is well");
    let changed = sharing(&drive).reshare(&pending, &terms()).await;
    assert_eq!(changed.unwrap().id.0, "7");
    let revoked = sharing(&drive).unshare(&pending).await;
    assert_eq!(revoked, Ok(()), "it is gone");
    let cancelled = &server.calls(CANCEL)[0];
    assert_eq!(cancelled.body, json!({"shareIds": ["7"]}));
    let unknown = ShareId("pending:1".into());
    let error = sharing(&drive).unshare(&unknown).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::NotFound, "it may be there");
}

#[tokio::test]
async fn a_share_whose_answer_is_lost_is_found() {
    let slow = Slow::new(bad_gateway, 0);
    let server = slow.start().await;
    let drive = server.drive(token_mode()).await;
    assert_eq!(share(&drive).await.unwrap().id.0, "7");
    assert_eq!(slow.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_is_looked_for_before_it_is_asked_for_again() {
    let slow = Slow::new(bad_gateway, 6);
    let server = slow.start().await;
    let drive = server.drive(token_mode()).await;
    let lost = share(&drive).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::Unavailable);
    assert_eq!(lost.message, "share item Fq2Plan: HTTP 502");
    assert_eq!(share(&drive).await.unwrap().id.0, "7");
    assert_eq!(slow.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_share_that_was_never_made_is_asked_for_again_with_its_mark() {
    let slow = Slow::new(bad_gateway, 7);
    let server = slow.start().await;
    let drive = server.drive(token_mode()).await;
    share(&drive).await.unwrap_err();
    assert_eq!(share(&drive).await.unwrap().id.0, "7");
    let comments = slow.comments.lock().unwrap().clone();
    assert_eq!(comments.len(), 2);
    assert_eq!(comments[0], comments[1]);
}

#[tokio::test]
async fn a_refused_share_is_not_looked_for() {
    let server = Server::start(|_| {
        let detail = json!({"domain": "share", "reason": "paramInvalid", "errorCode": "13000102",
            "description": "bad code Zx81kk02", "errorParam": "extractCode"});
        refusal(400, json!({"error": {"code": 0, "errorDetail": [detail]}}))
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let error = share(&drive).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(
        error.message,
        "share item Fq2Plan: HTTP 400, code 13000102: bad code ?"
    );
    assert_eq!(server.calls(SHARE).len(), 1);
}

#[tokio::test]
async fn a_login_that_ends_is_renewed_and_the_share_made_once() {
    let server = Server::start(|call| match call.path.as_str() {
        LOGIN => session_info("one", "r-1"),
        REFRESH => session_info("two", "r-2"),
        _ if call.authorization() == "AT two" => {
            answer(json!({"code": "0", "shareLink": link("7", "")}))
        }
        _ => unauthorized(),
    })
    .await;
    let drive = server.drive(carrier_mode()).await;
    assert_eq!(share(&drive).await.unwrap().id.0, "7");
    let taken = server.calls(SHARE);
    let taken = taken.iter().filter(|call| call.authorization() == "AT two");
    assert_eq!(taken.count(), 1);
}

#[tokio::test]
async fn a_carriers_share_has_its_end_in_the_carriers_form() {
    let server = Server::start(|call| match call.path.as_str() {
        LOGIN => session_info("one", "r-1"),
        _ => answer(json!({"code": "0", "shareLink": link("7", "")})),
    })
    .await;
    let drive = server.drive(carrier_mode()).await;
    let hour = ShareTerms {
        valid_for: Some(Duration::from_secs(3600)),
        ..terms()
    };
    let items = [ItemId::from("Fq2Plan")];
    sharing(&drive).share(&items, &hour).await.unwrap();
    let call = server.calls(SHARE).remove(0);
    assert_eq!(call.header("x-hw-agentname"), "carrier-a");
    let end = call.body["expireTime"].as_str().unwrap();
    assert_eq!((end.len(), &end[10..11]), (19, " "), "{end}");
}

/// A drive with one share, and the answer to its change.
async fn one_share(changed: Value) -> Server {
    Server::start(move |call| match call.path.as_str() {
        SHARE => list(&[link("8", ""), link("7", "old linkfs:0a1b2c3d")]),
        _ => answer(changed.clone()),
    })
    .await
}

#[tokio::test]
async fn an_open_share_gets_the_terms_that_are_asked_for() {
    let server = one_share(json!({"code": "0", "shareLink": link("7", "")})).await;
    let drive = server.drive(token_mode()).await;
    let asked = ShareTerms {
        password: SharePassword::Auto,
        ..terms()
    };
    let changed = sharing(&drive).reshare(&ShareId("7".into()), &asked).await;
    let changed = changed.unwrap();
    assert_eq!(changed.terms.note.as_deref(), Some("for Lin"));
    assert_eq!(
        server.calls(CHANGE)[0].body,
        json!({"validDays": 7, "userIds": ["u-9"], "groupIds": [], "deptIds": [],
            "extractCode": "Zx81kk02", "comment": "for Lin linkfs:0a1b2c3d"})
    );
}

/// The terms that share 7 of the list has for those who read them there.
async fn listed_terms(drive: &Arc<dyn Provider>) -> ShareTerms {
    let shares = sharing(drive).shares(None).await.unwrap().shares;
    let share = shares.into_iter().find(|share| share.id.0 == "7");
    share.unwrap().terms
}

#[tokio::test]
async fn what_the_list_leaves_out_stays_as_it_is() {
    let server = one_share(json!({"code": "0", "shareLink": link("7", "")})).await;
    let drive = server.drive(token_mode()).await;
    let asked = ShareTerms {
        valid_for: Some(Duration::from_secs(3 * 86_400)),
        ..listed_terms(&drive).await
    };
    let id = ShareId("7".into());
    sharing(&drive).reshare(&id, &asked).await.unwrap();
    assert_eq!(
        server.calls(CHANGE)[0].body,
        json!({"validDays": 3, "extractCode": "Zx81kk02", "comment": "old linkfs:0a1b2c3d"})
    );
}

#[tokio::test]
async fn permissions_and_members_are_sent_when_they_change() {
    let known = |permission: Value| {
        let mut link = link("7", "old linkfs:0a1b2c3d");
        link["userIds"] = json!(["u-9"]);
        link["permission"] = permission;
        link
    };
    let before = known(json!({"preview": true, "download": false, "edit": false}));
    let server = Server::start(move |call| match call.path.as_str() {
        SHARE => list(std::slice::from_ref(&before)),
        _ => answer(json!({"code": "0", "shareLink": known(Value::Null)})),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let id = ShareId("7".into());
    let mut asked = listed_terms(&drive).await;
    asked.valid_for = terms().valid_for;
    let nobody = ShareTerms {
        audience: Audience::Members {
            users: Vec::new(),
            groups: Vec::new(),
            departments: Vec::new(),
        },
        ..asked.clone()
    };
    let error = sharing(&drive).reshare(&id, &nobody).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    asked.permissions.download = true;
    sharing(&drive).reshare(&id, &asked).await.unwrap();
    asked.permissions.download = false;
    let Audience::Members { users, .. } = &mut asked.audience else {
        panic!("not for members")
    };
    users.push("u-10".into());
    sharing(&drive).reshare(&id, &asked).await.unwrap();
    let calls = server.calls(CHANGE);
    assert_eq!(
        calls[0].body["permission"],
        json!({"preview": true, "edit": false, "download": true})
    );
    assert!(calls[0].body.get("userIds").is_none());
    assert!(calls[1].body.get("permission").is_none());
    assert_eq!(calls[1].body["userIds"], json!(["u-9", "u-10"]));
}

#[tokio::test]
async fn a_changed_share_keeps_what_the_answer_leaves_out() {
    let documented = json!({"shareId": "7", "shortUrl": "s7", "status": 0,
        "expireTime": "2026-02-04T08:09:10.000Z"});
    let server = one_share(json!({"code": "0", "shareLink": documented})).await;
    let drive = server.drive(token_mode()).await;
    let listed = sharing(&drive).shares(None).await.unwrap().shares;
    let known = listed.iter().find(|share| share.id.0 == "7").unwrap();
    assert!(
        known.url.contains("://") && !known.name.is_empty(),
        "{known:?}"
    );
    let changed = sharing(&drive).reshare(&known.id, &terms()).await.unwrap();
    assert_eq!((&changed.url, &changed.name), (&known.url, &known.name));
    assert_eq!(changed.counters, known.counters);
    assert_eq!(changed.created, known.created);
    assert_ne!(changed.expires, known.expires);
}

#[tokio::test]
async fn a_change_without_a_share_in_its_answer_is_read_from_the_list() {
    let server = one_share(json!({"code": 0, "msg": "success"})).await;
    let drive = server.drive(token_mode()).await;
    let changed = sharing(&drive)
        .reshare(&ShareId("7".into()), &terms())
        .await;
    assert_eq!(changed.unwrap().url, "https://h/#/i/7");
}

#[tokio::test]
async fn what_would_need_another_address_is_not_changed() {
    let server = one_share(json!({})).await;
    let drive = server.drive(token_mode()).await;
    let id = ShareId("7".into());
    let wider = ShareTerms {
        audience: Audience::Anyone,
        ..terms()
    };
    let bare = ShareTerms {
        password: SharePassword::None,
        ..terms()
    };
    for (asked, words) in [(wider, "the audience"), (bare, "the access code")] {
        let error = sharing(&drive).reshare(&id, &asked).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsupported);
        assert!(error.message.contains(words), "{error}");
    }
    let gone = sharing(&drive)
        .reshare(&ShareId("9".into()), &terms())
        .await;
    assert_eq!(gone.unwrap_err().kind, ErrorKind::NotFound);
    assert!(server.calls(CHANGE).is_empty());
}

#[tokio::test]
async fn a_revoked_share_has_its_own_answer() {
    let revoke = async |entries: Value| {
        let body = json!({"code": 0, "subResponseList": entries});
        let server = Server::start(move |_| answer(body.clone())).await;
        let drive = server.drive(token_mode()).await;
        sharing(&drive).unshare(&ShareId("7".into())).await
    };
    let entry = |code: &str| json!([{"shareId": "7", "code": code, "msg": "words of the drive"}]);
    assert_eq!(revoke(entry("0")).await, Ok(()));
    assert_eq!(revoke(entry("13000309")).await, Ok(()), "it is gone");
    let error = revoke(entry("13000410")).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        error.message,
        "revoke share 7: code 13000410: words of the drive"
    );
    let other = json!([{"shareId": "8", "code": "0"}]);
    assert_eq!(revoke(other).await.unwrap_err().kind, ErrorKind::Broken);
}

#[tokio::test]
async fn shares_come_in_pages() {
    let server = Server::start(|call| {
        let next = match call.query.as_str() {
            "pageSize=100&pageCursor=0" => "c9",
            _ => "",
        };
        answer(json!({"code": "0", "nextCursor": next, "shareLinks": [link("7", "old")]}))
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let first = sharing(&drive).shares(None).await.unwrap();
    assert_eq!(first.next, Some(PageToken("c9".into())));
    assert_eq!(first.shares[0].terms.note.as_deref(), Some("old"));
    let last = sharing(&drive).shares(first.next.as_ref()).await.unwrap();
    assert_eq!(last.next, None);
    assert_eq!(server.calls(SHARE)[1].query, "pageSize=100&pageCursor=c9");
}
