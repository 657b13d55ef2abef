//! Tokens that are got, refused and renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use linkfs_provider::{ErrorKind, Secret};
use serde_json::json;

use crate::login::Login;
use crate::test_server::*;
use crate::token_store::{Token, TokenStore};

#[tokio::test]
async fn the_token_is_got_when_it_is_first_needed_and_kept() {
    let server = Server::start(|call| match (call.path.as_str(), call.token()) {
        (LOGIN, "") => new_token("fake-1", 7200),
        (LIST, "fake-1") => empty_list(),
        _ => bad_token(),
    })
    .await;
    let state = tempfile::tempdir().unwrap();
    let drive = server.drive_in(app_mode(), state.path()).await;
    assert!(server.calls(LOGIN).is_empty());
    drive.list(&root(), None).await.unwrap();
    drive.list(&root(), None).await.unwrap();
    let again = server.drive_in(app_mode(), state.path()).await;
    again.list(&root(), None).await.unwrap();
    let logins = server.calls(LOGIN);
    assert_eq!(logins.len(), 1, "the next process uses the kept token");
    assert_eq!(logins[0].header("content-type"), "application/json");
    assert_eq!(
        logins[0].body,
        json!({"appKey": "ding1", "appSecret": "fake-app-secret"})
    );
}

#[tokio::test]
async fn the_newer_form_names_the_organisation() {
    const CORP_LOGIN: &str = "/v1.0/oauth2/dingc0ffee/token";
    let server = Server::start(|call| match (call.path.as_str(), call.token()) {
        (CORP_LOGIN, "") => answer(json!({"access_token": "fake-1", "expires_in": 7200})),
        (LIST, "fake-1") => empty_list(),
        _ => bad_token(),
    })
    .await;
    let drive = server.drive(corp_mode()).await;
    drive.list(&root(), None).await.unwrap();
    assert_eq!(
        server.calls(CORP_LOGIN)[0].body,
        json!({"client_id": "ding1", "client_secret": "fake-client-secret",
            "grant_type": "client_credentials"})
    );
}

#[tokio::test]
async fn a_hundred_refused_calls_renew_once() {
    let logins = Arc::new(AtomicUsize::new(0));
    let server = Server::start(move |call| match (call.path.as_str(), call.token()) {
        (LOGIN, _) if logins.fetch_add(1, Ordering::SeqCst) == 0 => new_token("fake-old", 7200),
        (LOGIN, _) => new_token("fake-new", 7200),
        (LIST, "fake-new") => empty_list(),
        _ => bad_token(),
    })
    .await;
    let drive = server.drive(app_mode()).await;
    let (drive, root) = (&drive, &root());
    let answers = join_all((0..100).map(|_| drive.list(root, None))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.calls(LOGIN).len(), 2);
}

/// A folder in which an earlier process kept a token that has 100 of its 7200 seconds left.
fn kept_near_its_end(server: &Server) -> tempfile::TempDir {
    let login = Login::App {
        app_key: "ding1".into(),
        app_secret: Secret::new("fake-app-secret".into()),
    };
    let dir = tempfile::tempdir().unwrap();
    let owner = login.fingerprint(&format!("{}/", server.endpoint));
    let token = Token {
        access: Secret::new("fake-old".into()),
        issued: SystemTime::now() - Duration::from_secs(7100),
        life: Some(Duration::from_secs(7200)),
    };
    TokenStore::new(dir.path(), owner).save(&token).unwrap();
    dir
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_before_the_call() {
    let server = Server::start(|call| match call.path.as_str() {
        LOGIN => new_token("fake-new", 7200),
        _ => empty_list(),
    })
    .await;
    let state = kept_near_its_end(&server);
    let drive = server.drive_in(app_mode(), state.path()).await;
    drive.list(&root(), None).await.unwrap();
    assert_eq!(server.calls(LIST)[0].token(), "fake-new");
}

#[tokio::test]
async fn a_token_near_its_end_is_used_while_no_other_can_be_had() {
    let server = Server::start(|call| match (call.path.as_str(), call.token()) {
        (LIST, "fake-old") => empty_list(),
        _ => refusal(503, "operationTimeout", "later"),
    })
    .await;
    let state = kept_near_its_end(&server);
    let drive = server.drive_in(app_mode(), state.path()).await;
    drive.list(&root(), None).await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_refused_even_when_new_says_what_to_do() {
    let server = Server::start(|call| match call.path.as_str() {
        LOGIN => new_token("fake-same", 7200),
        _ => bad_token(),
    })
    .await;
    let drive = server.drive(app_mode()).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginExpired);
    let words = "list folder 0: the drive refuses the app: check `app_key` and `app_secret`";
    assert!(error.message.starts_with(words), "{error}");
    assert_eq!(server.calls(LIST).len(), 2);
}

#[tokio::test]
async fn a_refused_app_is_not_tried_again_at_once() {
    let server = Server::start(|_| refusal(400, "invalid.client", "no such app")).await;
    let drive = server.drive(app_mode()).await;
    for _ in 0..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginExpired);
        assert!(error.message.contains("no such app"), "{error}");
    }
    assert_eq!(server.calls(LOGIN).len(), 1);
}

#[tokio::test]
async fn a_drive_that_cannot_give_a_token_now_may_do_so_later() {
    let server = Server::start(|_| refusal(503, "operationTimeout", "later")).await;
    let drive = server.drive(app_mode()).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert_eq!(
        error.message,
        "list folder 0: get a token: HTTP 503, code operationTimeout: later"
    );
}

#[tokio::test]
async fn a_ready_token_is_used_and_never_renewed() {
    let server = Server::start(|call| match call.path.as_str() {
        LIST => empty_list(),
        _ => bad_token(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    drive.list(&root(), None).await.unwrap();
    assert_eq!(server.calls(LIST)[0].token(), "fake-token-1");
    let error = drive.usage().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginExpired);
    assert!(error.message.contains("put a new one there"), "{error}");
    assert!(server.calls(LOGIN).is_empty());
}
