//! Logins that are refused and renewed.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::future::join_all;
use linkfs_provider::{ErrorKind, Result};
use serde_json::json;

use crate::test_server::*;

#[tokio::test]
async fn a_refused_token_that_nobody_can_renew_says_what_to_do() {
    let server = Server::start(|_| unauthorized()).await;
    let drive = server.drive(token_mode()).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginExpired);
    let words = "list folder root: the token in `token` is no longer accepted: put a new one there";
    assert!(error.message.starts_with(words), "{error}");
    let tried: Vec<String> = server
        .calls(LIST)
        .iter()
        .map(|c| c.authorization().into())
        .collect();
    assert_eq!(
        tried,
        ["Bearer fake-token-1", "Bearer+fake-token-1", "fake-token-1"]
    );
    drive.list(&root(), None).await.unwrap_err();
    assert_eq!(server.calls(LIST).len(), 4, "the other ways are tried once");
}

#[tokio::test]
async fn the_way_to_join_scheme_and_token_is_found_out() {
    let server = Server::start(|call| match call.authorization() {
        "Bearer+fake-token-1" => empty_list(),
        _ => unauthorized(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    drive.list(&root(), None).await.unwrap();
    drive.list(&root(), None).await.unwrap();
    assert_eq!(server.calls(LIST).len(), 3);
}

#[tokio::test]
async fn a_hundred_refused_calls_renew_once() {
    let server = Server::start(|call| match (call.path.as_str(), call.authorization()) {
        (LIST, "Bearer fake-new") => empty_list(),
        (SESSION_REFRESH, "Bearer fake-old") if call.header("x-session-id") == "fake-session" => {
            answer(json!({"code": 0, "msg": "success", "accessToken": "fake-new"}))
        }
        _ => unauthorized(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(session_mode(), dir.path()).await;
    let folder = root();
    let calls = (0..100).map(|_| drive.list(&folder, None));
    let failed = join_all(calls)
        .await
        .into_iter()
        .filter(Result::is_err)
        .count();
    assert_eq!(failed, 0);
    assert_eq!(server.calls(SESSION_REFRESH).len(), 1);
    let again = server.drive_in(session_mode(), dir.path()).await;
    again.list(&folder, None).await.unwrap();
    assert_eq!(
        server.calls(SESSION_REFRESH).len(),
        1,
        "the new token is kept"
    );
}

/// A session whose token is traded in once, and then forgotten.
#[derive(Clone, Default)]
struct OneSession(Arc<Mutex<Trades>>);

#[derive(Default)]
struct Trades {
    count: usize,
    is_lapsed: bool,
}

impl OneSession {
    /// Nothing but a new token helps from now on.
    fn lapse(&self) {
        self.0.lock().unwrap().is_lapsed = true;
    }

    fn play(&self, call: &Seen) -> Response {
        let mut trades = self.0.lock().unwrap();
        let is_newest = match trades.count {
            0 => call.authorization() == "Bearer fake-old",
            count => call.authorization() == format!("Bearer fake-{count}"),
        };
        match call.path.as_str() {
            LIST if is_newest && !trades.is_lapsed => empty_list(),
            SESSION_REFRESH if is_newest => {
                trades.count += 1;
                trades.is_lapsed = false;
                let token = format!("fake-{}", trades.count);
                answer(json!({"code": 0, "msg": "success", "accessToken": token}))
            }
            _ => unauthorized(),
        }
    }
}

#[tokio::test]
async fn a_session_that_somebody_else_renewed_is_adopted_and_renewed_in_turn() {
    let session = OneSession::default();
    let play = session.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let first = server.drive_in(session_mode(), dir.path()).await;
    let second = server.drive_in(session_mode(), dir.path()).await;
    session.lapse();
    first.list(&root(), None).await.unwrap();
    second.list(&root(), None).await.unwrap();
    assert_eq!(
        server.calls(SESSION_REFRESH).len(),
        1,
        "the first's token serves the second"
    );
    session.lapse();
    first.list(&root(), None).await.unwrap();
    session.lapse();
    second.list(&root(), None).await.unwrap();
    first.list(&root(), None).await.unwrap();
    assert_eq!(
        server.calls(SESSION_REFRESH).len(),
        3,
        "what was adopted was refused as well"
    );
}

#[tokio::test]
async fn two_providers_of_one_session_renew_it_once() {
    let session = OneSession::default();
    let play = session.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let first = server.drive_in(session_mode(), dir.path()).await;
    let second = server.drive_in(session_mode(), dir.path()).await;
    session.lapse();
    let folder = root();
    let calls = (0..20).map(|i| if i % 2 == 0 { &first } else { &second });
    let pages = join_all(calls.map(|drive| drive.list(&folder, None))).await;
    assert_eq!(pages.into_iter().filter(Result::is_err).count(), 0);
    assert_eq!(server.calls(SESSION_REFRESH).len(), 1);
}

#[tokio::test]
async fn a_session_is_renewed_although_it_cannot_be_kept() {
    let session = OneSession::default();
    let play = session.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("in-the-way");
    std::fs::write(&in_the_way, "").unwrap();
    let drive = server.drive_in(session_mode(), &in_the_way).await;
    for renewals in 1..3 {
        session.lapse();
        drive.list(&root(), None).await.unwrap();
        assert_eq!(server.calls(SESSION_REFRESH).len(), renewals);
    }
}

#[tokio::test]
async fn a_hundred_refused_calls_fail_at_one_renewal() {
    let server = Server::start(|call| match call.path.as_str() {
        // As the documents print it: a token without quotes.
        SESSION_REFRESH => "{\"code\":0,\"accessToken\":Bearer+fake}".into_response(),
        _ => unauthorized(),
    })
    .await;
    let drive = server.drive(session_mode()).await;
    let folder = root();
    for page in join_all((0..100).map(|_| drive.list(&folder, None))).await {
        assert_eq!(page.unwrap_err().kind, ErrorKind::LoginExpired);
    }
    drive.list(&folder, None).await.unwrap_err();
    assert_eq!(server.calls(SESSION_REFRESH).len(), 1);
}

/// A carrier account whose first token is good for one folder alone.
fn play_carrier(call: &Seen) -> Response {
    match (call.path.as_str(), call.authorization()) {
        (LOGIN, "") => session_info("fake-1", "fake-r1"),
        (LIST, "AT fake-1") if call.body["parentFileId"] == "root" => empty_list(),
        (REFRESH, "AT fake-1") if call.body["refreshToken"] == "fake-r1" => {
            session_info("fake-2", "fake-r2")
        }
        (LIST, "AT fake-2") => empty_list(),
        (REFRESH, "AT fake-2") if call.body["refreshToken"] == "fake-r2" => {
            session_info("fake-3", "fake-r3")
        }
        (LIST, "AT fake-3") => empty_list(),
        _ => unauthorized(),
    }
}

#[tokio::test]
async fn a_carrier_account_logs_in_and_renews_with_the_newest_token() {
    let server = Server::start(play_carrier).await;
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("koodrive");
    let drive = server.drive_in(carrier_mode(), &state).await;
    drive.list(&root(), None).await.unwrap();
    drive.list(&"F2".into(), None).await.unwrap();
    assert_eq!(server.calls(REFRESH).len(), 1);
    let login = &server.calls(LOGIN)[0];
    assert_eq!(
        login.body,
        json!({"account": "lin", "authType": "1", "password": "fake-password"})
    );
    assert!(
        server
            .seen
            .lock()
            .unwrap()
            .iter()
            .all(|c| c.header("x-hw-agentname") == "carrier-a")
    );
    let kept = std::fs::read_to_string(state.join("token.json")).unwrap();
    assert!(kept.contains("fake-r2") && !kept.contains("fake-r1"));
    let next = server.drive_in(carrier_mode(), &state).await;
    next.list(&"F2".into(), None).await.unwrap();
    assert_eq!(
        server.calls(LOGIN).len(),
        1,
        "the next process goes on with the kept token"
    );
}

#[tokio::test]
async fn two_providers_of_one_carrier_account_log_in_and_renew_once() {
    let server = Server::start(play_carrier).await;
    let dir = tempfile::tempdir().unwrap();
    let first = server.drive_in(carrier_mode(), dir.path()).await;
    let second = server.drive_in(carrier_mode(), dir.path()).await;
    for folder in [root(), "F2".into()] {
        first.list(&folder, None).await.unwrap();
        second.list(&folder, None).await.unwrap();
    }
    assert_eq!(
        (server.calls(LOGIN).len(), server.calls(REFRESH).len()),
        (1, 1)
    );
}

#[tokio::test]
async fn a_refused_refresh_token_leads_to_the_password() {
    let server = Server::start({
        let logins = Arc::new(Mutex::new(0));
        move |call| match (call.path.as_str(), call.authorization()) {
            (LOGIN, _) => {
                let mut logins = logins.lock().unwrap();
                *logins += 1;
                session_info(&format!("fake-{logins}"), "fake-r")
            }
            (LIST, "AT fake-1") if call.body["parentFileId"] == "root" => empty_list(),
            (LIST, "AT fake-2") => empty_list(),
            _ => unauthorized(),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(carrier_mode(), dir.path()).await;
    drive.list(&root(), None).await.unwrap();
    drive.list(&"F2".into(), None).await.unwrap();
    assert_eq!(
        (server.calls(LOGIN).len(), server.calls(REFRESH).len()),
        (2, 1)
    );
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_again_and_again() {
    let server =
        Server::start(|_| answer(json!({"code": 13009999, "msg": "wrong password fake-password"})))
            .await;
    let drive = server.drive(carrier_mode()).await;
    for _ in 0..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginExpired);
        assert!(
            error
                .message
                .contains("check `account`, `password` and `carrier`")
        );
        assert!(error.message.contains("wrong password ?"), "{error}");
    }
    assert_eq!(server.calls(LOGIN).len(), 1);
}

#[tokio::test]
async fn a_login_service_that_is_down_is_no_lost_login() {
    let server = Server::start(|call| match call.path.as_str() {
        SESSION_REFRESH => refusal(503, json!({})),
        _ => unauthorized(),
    })
    .await;
    let drive = server.drive(session_mode()).await;
    for calls in 1..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(server.calls(SESSION_REFRESH).len(), calls);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_call_does_not_lose_the_token_it_asked_for() {
    let (arrived, arrival) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = Arc::new(Mutex::new(released));
    let server = Server::start(
        move |call| match (call.path.as_str(), call.authorization()) {
            (LOGIN, _) => {
                arrived.send(()).unwrap();
                tokio::task::block_in_place(|| released.lock().unwrap().recv().unwrap());
                session_info("fake-1", "fake-r1")
            }
            (LIST, "AT fake-1") => empty_list(),
            _ => unauthorized(),
        },
    );
    let server = server.await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(carrier_mode(), dir.path()).await;
    let caller = tokio::spawn({
        let drive = drive.clone();
        async move { drive.list(&root(), None).await }
    });
    tokio::task::spawn_blocking(move || arrival.recv().unwrap())
        .await
        .unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    release.send(()).unwrap();
    drive.list(&root(), None).await.unwrap();
    assert_eq!(server.calls(LOGIN).len(), 1);
}

#[tokio::test]
async fn an_application_signs_every_call_and_learns_the_time() {
    let server = Server::start(|call| {
        let late = [("date", "Sat, 05 Jan 2030 08:19:10 GMT")];
        match call.header("x-date").starts_with("20300105T0819") {
            true => (late, json!({"files": []}).to_string()).into_response(),
            false => (StatusCode::UNAUTHORIZED, late, "").into_response(),
        }
    })
    .await;
    let config = json!({"auth_mode": "app", "app_id": "app-1", "app_secret": "fake-secret",
        "user_id": "u-42"});
    let drive = server.drive(config).await;
    drive.list(&root(), None).await.unwrap();
    let calls = server.calls(LIST);
    assert_eq!(calls.len(), 2);
    let start = "HMAC-SHA256 AppId=app-1,SignedHeaders=host;x-date;x-user-id,Signature=";
    assert!(calls[1].authorization().starts_with(start));
    assert_ne!(calls[0].authorization(), calls[1].authorization());
    assert_eq!(calls[1].header("x-user-id"), "u-42");
}

#[tokio::test]
async fn a_vague_refusal_of_a_young_token_is_not_blamed_on_it() {
    let server = Server::start(|_| refusal(400, json!({"error": {"description": "Bad"}}))).await;
    let drive = server.drive(session_mode()).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(server.calls(SESSION_REFRESH).len(), 0);
}
