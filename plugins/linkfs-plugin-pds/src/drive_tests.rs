//! The drive's questions as a server sees them, and its refusals.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{ErrorKind, ItemId, ProviderError};
use serde_json::json;

use crate::test_server::*;

async fn list_error(
    play: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
) -> ProviderError {
    let server = Server::start(play).await;
    server.drive().await.list(&root(), None).await.unwrap_err()
}

#[tokio::test]
async fn a_listing_asks_as_documented() {
    let server = Server::start(|_| {
        answer(json!({"next_marker": "m2", "items": [
            {"file_id": "f1", "name": "a", "type": "file", "size": 7}]}))
    })
    .await;
    let drive = server.drive().await;
    let page = drive.list(&root(), None).await.unwrap();
    assert_eq!(page.items[0].size().0, 7);
    drive.list(&root(), page.next.as_ref()).await.unwrap_err();
    let calls = server.calls(LIST);
    assert_eq!(calls[0].authorization(), "Bearer fake-token-1");
    assert_eq!(
        calls[0].header("content-type"),
        "application/json; charset=utf-8"
    );
    assert_eq!(
        calls[0].body,
        json!({"drive_id": "1", "parent_file_id": "root", "limit": 100,
            "order_by": "created_at", "order_direction": "ASC"})
    );
    assert_eq!(calls[1].body["marker"], "m2");
}

#[tokio::test]
async fn one_item_is_looked_at_by_its_id() {
    let server = Server::start(|call| match (call.path.as_str(), call.body["file_id"].as_str()) {
        (GET, Some(id @ ("f1" | "up"))) => {
            let status = if id == "up" { "uploading" } else { "available" };
            answer(json!({"file_id": id, "name": "a", "type": "file", "size": 1, "status": status}))
        }
        (GET, Some("odd")) => answer(json!({"file_id": "f2", "name": "a", "type": "folder"})),
        (LIST, None) => empty_list(),
        _ => refusal(404, json!({"code": "NotFound.File", "message": "file not exist"})),
    })
    .await;
    let drive = server.drive().await;
    let stat = async |id: &str| drive.stat(&id.into()).await;
    assert_eq!(stat("f1").await.unwrap().name, "a");
    assert!(stat("root").await.unwrap().is_folder());
    assert_eq!(
        server.calls(GET)[0].body,
        json!({"drive_id": "1", "file_id": "f1"})
    );
    assert_eq!(stat("up").await.unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(stat("odd").await.unwrap_err().kind, ErrorKind::Broken);
    let gone = stat("gone").await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    assert_eq!(
        gone.message,
        "look at item gone: HTTP 404, code NotFound.File: file not exist"
    );
}

#[tokio::test]
async fn links_are_signed_one_by_one_and_measured_by_the_drives_clock() {
    let server = Server::start(|call| match call.body["file_id"].as_str() {
        Some("a") => {
            // 2030-01-05T09:09:10Z.
            let body = json!({"url": "https://h/x?Expires=1893834550&Signature=s", "size": 1});
            let date = [("date", "Sat, 05 Jan 2030 08:19:10 GMT")];
            (date, body.to_string()).into_response()
        }
        _ => refusal(
            403,
            json!({"code": "ForbiddenNoPermission", "message": "no"}),
        ),
    })
    .await;
    let drive = server.drive().await;
    assert_eq!(drive.about().links_per_call, 1);
    let links = drive.links(&["a", "b"].map(ItemId::from)).await;
    let left = links[0].as_ref().unwrap().valid_for;
    assert!(
        left <= Duration::from_secs(3000) && left > Duration::from_secs(2970),
        "{left:?}"
    );
    assert_eq!(links[1].as_ref().unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(
        server.calls(DOWNLOAD)[0].body,
        json!({"drive_id": "1", "file_id": "a", "expire_sec": 3600})
    );
}

#[tokio::test]
async fn usage_is_that_of_the_drive() {
    let server = Server::start(|call| match call.path.as_str() {
        "/v2/drive/get" if call.body == json!({"drive_id": "1"}) => {
            answer(json!({"drive_id": "1", "total_size": 1_099_511_627_776_u64, "used_size": 7}))
        }
        _ => expired(),
    })
    .await;
    let usage = server.drive().await.usage().await.unwrap();
    assert_eq!((usage.total.unwrap().0, usage.used.0), (1 << 40, 7));
}

#[tokio::test]
async fn spaces_are_those_of_the_account_and_of_its_groups() {
    let play = |has_groups: bool| {
        move |call: &Seen| match (call.path.as_str(), call.body["marker"].as_str()) {
            ("/v2/drive/list_my_drives", None) => answer(json!({"next_marker": "m",
                "items": [{"drive_id": "1", "drive_name": "Default", "owner_type": "user"}]})),
            ("/v2/drive/list_my_drives", Some("m")) => answer(json!({"next_marker": "",
                "items": [{"drive_id": "2", "drive_name": "Photos", "owner_type": "user"}]})),
            ("/v2/drive/list_my_group_drive", None) if has_groups => answer(json!({"items": [
                {"drive_id": "7", "drive_name": "Team", "owner_type": "group"}]})),
            _ => refusal(403, json!({"code": "Forbidden", "message": "no groups"})),
        }
    };
    for (has_groups, expected) in [(true, vec!["1", "2", "7"]), (false, vec!["1", "2"])] {
        let server = Server::start(play(has_groups)).await;
        let drive = server.drive().await;
        let spaces = drive.spaces().unwrap().spaces().await.unwrap();
        let ids: Vec<&str> = spaces.iter().map(|space| space.id.as_str()).collect();
        assert_eq!(ids, expected);
    }
}

#[tokio::test]
async fn a_gateway_without_a_body_tells_in_headers() {
    let error = list_error(|_| {
        let told = [
            ("x-ca-error-code", "D504TO"),
            ("x-ca-error-message", "Backend timeout"),
            ("x-ca-request-id", "R2"),
        ];
        (StatusCode::GATEWAY_TIMEOUT, told).into_response()
    });
    let error = error.await;
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(
        error.message,
        "list folder root: HTTP 504, code D504TO: Backend timeout (request R2)"
    );
    let bare = list_error(|_| StatusCode::FORBIDDEN.into_response()).await;
    assert_eq!(
        (bare.kind, bare.message.as_str()),
        (ErrorKind::Denied, "list folder root: HTTP 403")
    );
    let capital = list_error(|_| refusal(400, json!({"Code": "NotFound", "Message": "gone"})));
    assert_eq!(capital.await.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_throttled_call_tells_how_long_to_wait() {
    let error = list_error(|_| {
        let said = json!({"code": "TooManyRequests", "message": "slow down"}).to_string();
        (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "2")], said).into_response()
    });
    let error = error.await;
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(2)));
    let odd = list_error(|_| "<html>".into_response()).await;
    assert_eq!(odd.kind, ErrorKind::Broken);
}

/// Where a test's log lines go.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_error_and_no_log_line_repeats_a_secret() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE);
    let subscriber = subscriber.with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(|call| {
        let told = format!("{} {:?} {}", call.authorization(), call.headers, call.text);
        match (call.path.as_str(), call.form("refresh_token")) {
            (TOKEN, "fake-r0") => tokens(1, 7200),
            (DOWNLOAD, _) if call.body["file_id"] == "a" => {
                answer(json!({"url": "https://h/x?sig=fake-signature"}))
            }
            _ => refusal(401, json!({"code": call.authorization(), "message": told})),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut shown = String::new();
    for drive in [
        server.drive().await,
        server.drive_in(refresh_mode(), dir.path()).await,
    ] {
        let links = drive.links(&["a", "b"].map(ItemId::from)).await;
        let error = drive.list(&root(), None).await.unwrap_err();
        shown += &format!("{error} {error:?} {links:?}");
    }
    shown += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let secrets = [
        "fake-token-1",
        "fake-secret",
        "fake-r0",
        "fake-a1",
        "fake-r1",
        "fake-signature",
    ];
    for secret in secrets {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}
