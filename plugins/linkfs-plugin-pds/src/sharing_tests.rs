//! Shares as a server sees them being made, changed, listed and revoked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{
    ErrorKind, ItemId, Provider, ProviderError, Secret, Share, ShareId, SharePassword, ShareState,
    ShareTerms,
};
use serde_json::{Value, json};

use crate::share_terms::tests::terms;
use crate::test_server::*;

const CREATE: &str = "/v2/share_link/create";
const SHARES: &str = "/v2/share_link/list";
const UPDATE: &str = "/v2/share_link/update";
const READ: &str = "/v2/share_link/get";
const CANCEL: &str = "/v2/share_link/cancel";

async fn drive(server: &Server) -> Arc<dyn Provider> {
    let config = json!({"auth_mode": "token", "token": "fake-token-1", "domain": "bj9"});
    server
        .drive_in(config, std::path::Path::new("/nonexistent/linkfs"))
        .await
}

async fn share(drive: &Arc<dyn Provider>, terms: &ShareTerms) -> Result<Share, ProviderError> {
    drive.sharing().unwrap().share(&["f1".into()], terms).await
}

/// The share that a call for one makes, with what an answer adds to it.
fn made(call: &Seen) -> Value {
    let mut share = call.body.clone();
    share["share_id"] = json!("S1");
    share["share_name"] = json!("a.txt");
    share["status"] = json!("enabled");
    share["created_at"] = json!("2030-01-05T08:19:10.000Z");
    share
}

/// An answer at 2030-01-05T08:19:10Z.
fn dated(body: &Value) -> Response {
    let date = [("date", "Sat, 05 Jan 2030 08:19:10 GMT")];
    (date, body.to_string()).into_response()
}

fn page(shares: &[Value]) -> Response {
    dated(&json!({"items": shares, "next_marker": ""}))
}

#[tokio::test]
async fn a_share_is_asked_for_as_documented() {
    let server = Server::start(|call| match call.path.as_str() {
        LIST => dated(&json!({"items": [], "next_marker": ""})),
        _ => dated(&made(call)),
    })
    .await;
    let drive = drive(&server).await;
    // The end is one by the drive's clock.
    drive.list(&root(), None).await.unwrap();
    let given = SharePassword::Given(Secret::new("abcd".into()));
    let terms = ShareTerms {
        password: given.clone(),
        note: Some("plan".into()),
        ..terms()
    };
    let share = share(&drive, &terms).await.unwrap();
    let mut body = server.calls(CREATE)[0].body.clone();
    let end = body["expiration"].as_str().unwrap().to_owned();
    assert!(end.starts_with("2030-01-12T08:19:1"), "{end}");
    let description = body["description"].as_str().unwrap().to_owned();
    assert!(description.starts_with("plan linkfs:"), "{description}");
    for varies in ["expiration", "description"] {
        body.as_object_mut().unwrap().remove(varies);
    }
    assert_eq!(
        body,
        json!({"drive_id": "1", "file_id_list": ["f1"], "share_pwd": "abcd",
            "disable_preview": false, "disable_download": false, "disable_save": true,
            "office_editable": false})
    );
    assert_eq!(share.url, "https://bj9.apps.aliyunpds.com/disk/s/S1");
    assert_eq!((share.id.0.as_str(), share.name.as_str()), ("S1", "a.txt"));
    assert_eq!(share.items, [ItemId::from("f1")]);
    assert_eq!(
        (share.terms.password, share.terms.note),
        (given, Some("plan".into()))
    );
    assert_eq!(share.terms.permissions, terms.permissions);
    assert_eq!(share.state, ShareState::Open);
    let left = share.terms.valid_for.unwrap();
    assert!(left > Duration::from_secs(7 * 86_400 - 30), "{left:?}");
}

#[tokio::test]
async fn a_bad_term_is_refused_before_anything_is_asked() {
    let server = Server::start(|_| expired()).await;
    let terms = ShareTerms {
        password: SharePassword::Given(Secret::new("s3cret word".into())),
        ..terms()
    };
    let drive = drive(&server).await;
    let error = share(&drive, &terms).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    let sharing = drive.sharing().unwrap();
    let nothing = sharing.share(&[], &self::terms()).await.unwrap_err();
    assert_eq!(nothing.message, "share: there is nothing to share");
    let changed = sharing.reshare(&ShareId("S1".into()), &terms).await;
    assert_eq!(changed.unwrap_err().kind, ErrorKind::Invalid);
    let nameless = server.drive().await;
    let error = share(&nameless, &self::terms()).await.unwrap_err();
    assert!(error.message.contains("`share_url_template`"), "{error}");
    assert!(server.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_share_whose_answer_was_lost_is_found_and_not_made_again() {
    let server = Server::start({
        let last = Arc::new(std::sync::Mutex::new(json!(null)));
        move |call| match call.path.as_str() {
            CREATE => {
                *last.lock().unwrap() = made(call);
                StatusCode::GATEWAY_TIMEOUT.into_response()
            }
            _ => {
                let mut other = last.lock().unwrap().clone();
                other["share_id"] = json!("S0");
                other["description"] = json!("linkfs:00000000");
                page(&[other, last.lock().unwrap().clone()])
            }
        }
    })
    .await;
    let drive = drive(&server).await;
    let share = share(&drive, &terms()).await.unwrap();
    assert_eq!(share.id.0, "S1");
    let sent = &server.calls(CREATE)[0].body["share_pwd"];
    assert_eq!(share.password.unwrap().expose(), sent.as_str().unwrap());
    assert_eq!(
        server.calls(SHARES)[0].body,
        json!({"limit": 100, "order_by": "created_at", "order_direction": "DESC"})
    );
}

#[tokio::test]
async fn what_may_have_been_made_is_looked_for_before_it_is_asked_for_again() {
    let number = Arc::new(AtomicU32::new(0));
    let server = Server::start({
        let (number, last) = (number.clone(), Arc::new(std::sync::Mutex::new(None)));
        move |call| match call.path.as_str() {
            CREATE => {
                *last.lock().unwrap() = Some(made(call));
                StatusCode::BAD_GATEWAY.into_response()
            }
            // The share turns up late.
            _ if number.fetch_add(1, Ordering::SeqCst) == 0 => page(&[]),
            _ => page(&last.lock().unwrap().clone().into_iter().collect::<Vec<_>>()),
        }
    })
    .await;
    let drive = drive(&server).await;
    let error = share(&drive, &terms()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(share(&drive, &terms()).await.unwrap().id.0, "S1");
    assert_eq!(server.calls(CREATE).len(), 1);
    assert_eq!(number.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_call_that_was_given_up_is_looked_for_too() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start({
        let last = Arc::new(std::sync::Mutex::new(None));
        move |call| match call.path.as_str() {
            CREATE => {
                *last.lock().unwrap() = Some(made(call));
                tell.send(()).unwrap();
                // Long after the caller went away.
                StatusCode::BAD_GATEWAY.into_response()
            }
            _ => page(&last.lock().unwrap().clone().into_iter().collect::<Vec<_>>()),
        }
    })
    .await;
    let drive = drive(&server).await;
    let terms = terms();
    {
        let asking = share(&drive, &terms);
        tokio::select! {
            biased;
            _ = told.recv() => {}
            _ = asking => panic!("it was to be given up"),
        }
    }
    assert_eq!(share(&drive, &terms).await.unwrap().id.0, "S1");
    assert_eq!(server.calls(CREATE).len(), 1);
}

#[tokio::test]
async fn a_refusal_is_no_lost_answer() {
    let server = Server::start(|_| {
        let said = json!({"code": "TooManyRequests", "message": "slow down"}).to_string();
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")], said).into_response()
    })
    .await;
    let drive = drive(&server).await;
    for _ in 0..2 {
        let error = share(&drive, &terms()).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    }
    assert_eq!(server.calls(CREATE).len(), 2);
    assert!(server.calls(SHARES).is_empty());
}

#[tokio::test]
async fn a_share_gets_all_its_terms_anew() {
    let server = Server::start(|call| match call.path.as_str() {
        // As the example has it: what was changed, alone.
        UPDATE => dated(&json!({"share_id": "S1", "expiration": "", "status": "enabled"})),
        _ => dated(
            &json!({"share_id": "S1", "share_name": "a.txt", "file_id_list": ["f1"],
            "share_pwd": "", "expiration": "", "access_count": 4, "disable_save": true}),
        ),
    })
    .await;
    let drive = drive(&server).await;
    let terms = ShareTerms {
        valid_for: None,
        password: SharePassword::None,
        ..terms()
    };
    let sharing = drive.sharing().unwrap();
    let share = sharing
        .reshare(&ShareId("S1".into()), &terms)
        .await
        .unwrap();
    assert_eq!(
        server.calls(UPDATE)[0].body,
        json!({"share_id": "S1", "share_pwd": "", "expiration": "", "description": "",
            "disable_preview": false, "disable_download": false, "disable_save": true,
            "office_editable": false})
    );
    assert_eq!(server.calls(READ)[0].body, json!({"share_id": "S1"}));
    assert_eq!((share.terms, share.counters.views), (terms, Some(4)));
}

#[tokio::test]
async fn a_share_that_is_gone_is_revoked() {
    let play = |status: u16| {
        move |_: &Seen| match status {
            204 => StatusCode::NO_CONTENT.into_response(),
            404 => refusal(
                404,
                json!({"code": "NotFound.ShareLink", "message": "gone"}),
            ),
            status => refusal(status, json!({"code": "Forbidden", "message": "no"})),
        }
    };
    for (status, outcome) in [(204, Ok(())), (404, Ok(())), (403, Err(ErrorKind::Denied))] {
        let server = Server::start(play(status)).await;
        let drive = drive(&server).await;
        let gone = drive
            .sharing()
            .unwrap()
            .unshare(&ShareId("S1".into()))
            .await;
        assert_eq!(gone.map_err(|error| error.kind), outcome, "{status}");
        assert_eq!(server.calls(CANCEL)[0].body, json!({"share_id": "S1"}));
    }
}

#[tokio::test]
async fn only_this_drives_shares_are_listed() {
    let server = Server::start(|call| match call.body["marker"].as_str() {
        None => dated(&json!({"next_marker": "m", "items": [
            {"share_id": "S3", "drive_id": 1, "file_id_list": ["a"]},
            {"share_id": "S2", "drive_id": "2", "file_id_list": ["b"]}]})),
        _ => dated(&json!({"next_marker": "", "items": [
            {"share_id": "S1", "drive_id": "1", "file_id_list": ["c"], "expired": true,
             "description": "linkfs:0a1b2c3d"}]})),
    })
    .await;
    let drive = drive(&server).await;
    let sharing = drive.sharing().unwrap();
    let first = sharing.shares(None).await.unwrap();
    let ids =
        |shares: &[Share]| -> Vec<_> { shares.iter().map(|share| share.id.0.clone()).collect() };
    assert_eq!(ids(&first.shares), ["S3"]);
    let last = sharing.shares(first.next.as_ref()).await.unwrap();
    assert_eq!(ids(&last.shares), ["S1"]);
    assert_eq!(last.shares[0].state, ShareState::Expired);
    assert_eq!((&last.shares[0].terms.note, &last.next), (&None, &None));
}

#[tokio::test]
async fn a_share_whose_address_is_not_known_can_be_revoked() {
    let server = Server::start(|call| match call.path.as_str() {
        SHARES => page(&[
            json!({"share_id": "S2", "drive_id": "1", "file_id_list": ["a"]}),
            json!({"share_id": "S1", "drive_id": "1", "file_id_list": ["b"],
                "share_url": "https://x.example.test/s"}),
        ]),
        _ => StatusCode::NO_CONTENT.into_response(),
    })
    .await;
    // With an endpoint alone nothing tells where shares are shown.
    let drive = server.drive().await;
    let sharing = drive.sharing().unwrap();
    let listed = sharing.shares(None).await.unwrap().shares;
    let urls: Vec<&str> = listed.iter().map(|share| share.url.as_str()).collect();
    assert_eq!(urls, ["", "https://x.example.test/s"]);
    sharing.unshare(&listed[0].id).await.unwrap();
    assert_eq!(server.calls(CANCEL)[0].body, json!({"share_id": "S2"}));
}

#[tokio::test]
async fn a_login_that_ends_between_calls_is_renewed() {
    let rotation = Rotation::default();
    let server = Server::start({
        let rotation = rotation.clone();
        move |call| match call.path.as_str() {
            TOKEN => rotation.sell(call),
            _ if rotation.takes(call) && rotation.count() > 1 => dated(&made(call)),
            _ => expired(),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut config = refresh_mode();
    config["domain"] = json!("bj9");
    let drive = server.drive_in(config, dir.path()).await;
    share(&drive, &terms()).await.unwrap();
    assert_eq!((rotation.count(), server.calls(CREATE).len()), (2, 2));
}

#[tokio::test]
async fn no_refusal_repeats_the_password() {
    let server = Server::start(|call| {
        let password = call.body["share_pwd"].as_str().unwrap_or_default();
        refusal(403, json!({"code": password, "message": call.text}))
    })
    .await;
    let drive = drive(&server).await;
    let terms = ShareTerms {
        password: SharePassword::Given(Secret::new("s3cret".into())),
        ..terms()
    };
    let error = share(&drive, &terms).await.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    let changed = drive.sharing().unwrap();
    let changed = changed.reshare(&ShareId("S1".into()), &terms).await;
    let error = changed.unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
}
