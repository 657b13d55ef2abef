//! Somebody's share as a drive, as a server sees it being opened.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::response::Response;
use linkfs_provider::{ErrorKind, ItemId, Provider, Secret, Settings};
use serde_json::{Value, json};

use crate::test_server::*;

const OPEN: &str = "/v2/share_link/get_share_token";
const SHARE_LINK: &str = "/v2/file/get_share_link_download_url";

async fn drive(server: &Server, more: Value) -> Arc<dyn Provider> {
    let mut config = json!({"share": "https://h/s/S1", "password": "s3cret",
        "endpoint": server.endpoint});
    let fields = config.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let settings = Settings {
        config: Secret::new(fields.clone()),
        state_dir: Path::new("/nonexistent/linkfs").to_owned(),
    };
    (crate::PLUGIN.open)(settings).await.unwrap()
}

fn share_token(number: u32, life: u64) -> Response {
    answer(json!({"share_token": format!("fake-share-{number}"), "expires_in": life}))
}

fn over() -> Response {
    let said = json!({"code": "ShareLinkTokenInvalid", "message": "ShareLinkToken is invalid"});
    refusal(401, said)
}

/// A share whose tokens live so long, and of which only the ones from `good` on are taken.
fn play(life: u64, good: u32) -> impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static {
    let sold = Arc::new(AtomicU32::new(0));
    move |call| {
        if call.path == OPEN {
            return share_token(sold.fetch_add(1, Ordering::SeqCst) + 1, life);
        }
        let number = call.header("x-share-token").strip_prefix("fake-share-");
        let number: u32 = number.and_then(|number| number.parse().ok()).unwrap_or(0);
        match (call.path.as_str(), number >= good) {
            (_, false) => over(),
            (LIST, true) => answer(json!({"next_marker": "", "items": [
                {"file_id": "f1", "name": "a", "type": "file", "size": 7}]})),
            (GET, true) => answer(json!({"file_id": "f1", "name": "a", "type": "file", "size": 7})),
            _ => answer(json!({"url": "https://h/x?Expires=1893834550", "size": 7})),
        }
    }
}

#[tokio::test]
async fn a_share_is_opened_without_a_login_and_read_as_documented() {
    let server = Server::start(play(7200, 1)).await;
    let drive = drive(&server, json!({})).await;
    assert_eq!(drive.about().root, root());
    assert!(drive.sharing().is_none() && drive.spaces().is_none() && drive.login().is_none());
    let page = drive.list(&root(), None).await.unwrap();
    assert_eq!(page.items[0].id, ItemId::from("f1"));
    assert_eq!(drive.stat(&"f1".into()).await.unwrap().size().0, 7);
    assert!(drive.stat(&root()).await.unwrap().is_folder());
    let links = drive.links(&["f1".into()]).await;
    assert_eq!(links[0].as_ref().unwrap().urls[0].host(), "h");
    let opened = server.calls(OPEN);
    assert_eq!(opened.len(), 1);
    assert_eq!(
        opened[0].body,
        json!({"share_id": "S1", "share_pwd": "s3cret", "expire_sec": 7200})
    );
    assert_eq!(
        server.calls(LIST)[0].body,
        json!({"share_id": "S1", "parent_file_id": "root", "limit": 100,
            "order_by": "created_at", "order_direction": "ASC"})
    );
    assert_eq!(
        server.calls(GET)[0].body,
        json!({"share_id": "S1", "file_id": "f1"})
    );
    let signed = &server.calls(SHARE_LINK)[0];
    assert_eq!(
        signed.body,
        json!({"share_id": "S1", "file_id": "f1", "expire_sec": 600})
    );
    assert_eq!(signed.header("x-share-token"), "fake-share-1");
    assert_eq!(
        (signed.authorization(), drive.usage().await.is_err()),
        ("", true)
    );
}

#[tokio::test]
async fn a_token_that_is_refused_is_renewed_once() {
    let server = Server::start(play(7200, 2)).await;
    let open = drive(&server, json!({})).await;
    open.list(&root(), None).await.unwrap();
    assert_eq!((server.calls(OPEN).len(), server.calls(LIST).len()), (2, 2));
    let server = Server::start(play(7200, 9)).await;
    let closed = drive(&server, json!({})).await;
    let error = closed.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!((server.calls(OPEN).len(), server.calls(LIST).len()), (2, 2));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let check = async |life: u64, opened: usize| {
        let server = Server::start(play(life, 1)).await;
        let drive = drive(&server, json!({})).await;
        for _ in 0..2 {
            drive.list(&root(), None).await.unwrap();
        }
        assert_eq!(server.calls(OPEN).len(), opened, "{life}");
    };
    check(7200, 1).await;
    check(0, 2).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_and_not_tried_again_and_again() {
    let server = Server::start(|call| {
        refusal(
            403,
            json!({"code": "ForbiddenNoPermission.SharePwd", "message": call.text}),
        )
    })
    .await;
    let drive = drive(&server, json!({})).await;
    for _ in 0..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginExpired);
        assert!(error.message.contains("`password`"), "{error}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
    assert_eq!(server.calls(OPEN).len(), 1);
}

#[tokio::test]
async fn a_share_that_is_over_is_not_found() {
    let server = Server::start(|_| {
        refusal(
            404,
            json!({"code": "NotFound.ShareLink", "message": "gone"}),
        )
    })
    .await;
    let error = drive(&server, json!({})).await.list(&root(), None).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_share_that_asks_for_a_login_says_so_and_gets_one_that_is_set() {
    let play = |call: &Seen| match call.authorization() {
        "Bearer fake-token-1" if call.path == OPEN => share_token(1, 7200),
        "Bearer fake-token-1" => empty_list(),
        _ => expired(),
    };
    let server = Server::start(play).await;
    let error = drive(&server, json!({})).await.list(&root(), None).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginExpired);
    assert!(error.message.contains("`client_id`"), "{error}");
    let login = json!({"auth_mode": "token", "token": "fake-token-1"});
    let drive = drive(&server, login).await;
    assert!(drive.list(&root(), None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn no_refusal_repeats_what_opens_the_share() {
    let server = Server::start(|call| match call.path.as_str() {
        OPEN => share_token(1, 7200),
        _ => {
            let told = format!("{:?} {}", call.headers, call.text);
            refusal(
                403,
                json!({"code": call.header("x-share-token"), "message": told}),
            )
        }
    })
    .await;
    let drive = drive(&server, json!({})).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    let shown = format!("{error:?} {:?}", drive.links(&["f1".into()]).await);
    assert!(
        !shown.contains("fake-share-1") && !shown.contains("s3cret"),
        "{shown}"
    );
}
