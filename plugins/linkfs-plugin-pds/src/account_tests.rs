//! Logins that are refused, renewed and kept.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use futures_util::future::join_all;
use linkfs_provider::{ErrorKind, Result, Secret};
use linkfs_provider_http::TokenFile;
use serde_json::{Value, json};

use crate::assertion::tests as rsa;
use crate::test_server::*;

fn kept(state: &std::path::Path) -> Value {
    serde_json::from_slice(&std::fs::read(state.join("token.json")).unwrap()).unwrap()
}

#[tokio::test]
async fn a_refused_token_that_nobody_can_renew_says_what_to_do() {
    let server = Server::start(|_| expired()).await;
    let error = server.drive().await.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::LoginExpired);
    let words = "list folder root: the token in `token` is no longer accepted: put a new one there";
    assert!(error.message.starts_with(words), "{error}");
    assert_eq!(server.calls(LIST).len(), 1);
}

#[tokio::test]
async fn a_refresh_token_buys_the_first_access_token() {
    let rotation = Rotation::default();
    let play = rotation.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    drive.list(&root(), None).await.unwrap();
    let call = &server.calls(TOKEN)[0];
    assert_eq!(
        call.header("content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(call.authorization(), "");
    assert_eq!(
        call.text,
        "grant_type=refresh_token&refresh_token=fake-r0&client_id=App1&client_secret=fake-secret"
    );
    let next = server.drive_in(refresh_mode(), dir.path()).await;
    next.list(&root(), None).await.unwrap();
    assert_eq!(
        rotation.count(),
        1,
        "the next process goes on with the kept token"
    );
}

#[tokio::test]
async fn twenty_refused_calls_renew_once() {
    let rotation = Rotation::default();
    let play = rotation.clone();
    let is_over = Arc::new(Mutex::new(false));
    let over = is_over.clone();
    let server = Server::start(move |call| match call.authorization() {
        "Bearer fake-a1" if *over.lock().unwrap() => expired(),
        _ => play.play(call),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    drive.list(&root(), None).await.unwrap();
    *is_over.lock().unwrap() = true;
    let folder = root();
    let pages = join_all((0..20).map(|_| drive.list(&folder, None))).await;
    assert_eq!(pages.into_iter().filter(Result::is_err).count(), 0);
    assert_eq!((rotation.count(), server.calls(TOKEN).len()), (2, 2));
}

#[tokio::test]
async fn two_providers_of_one_account_do_not_lock_each_other_out() {
    let rotation = Rotation::default();
    let play = rotation.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let first = server.drive_in(refresh_mode(), dir.path()).await;
    let second = server.drive_in(refresh_mode(), dir.path()).await;
    let folder = root();
    let calls = (0..20).map(|i| if i % 2 == 0 { &first } else { &second });
    let pages = join_all(calls.map(|drive| drive.list(&folder, None))).await;
    assert_eq!(pages.into_iter().filter(Result::is_err).count(), 0);
    assert_eq!(
        server.calls(TOKEN).len(),
        1,
        "the loser adopts the winner's token"
    );
    assert_eq!(kept(dir.path())["refresh_token"], "fake-r1");
}

#[tokio::test]
async fn a_token_that_somebody_else_renewed_is_adopted_and_renewed_in_turn() {
    let rotation = Rotation::default();
    let is_over = Arc::new(Mutex::new("nothing yet".to_owned()));
    let (play, over) = (rotation.clone(), is_over.clone());
    let server = Server::start(move |call| match call.authorization() {
        access if access == *over.lock().unwrap() => expired(),
        _ => play.play(call),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let first = server.drive_in(refresh_mode(), dir.path()).await;
    first.list(&root(), None).await.unwrap();
    let second = server.drive_in(refresh_mode(), dir.path()).await;
    *is_over.lock().unwrap() = "Bearer fake-a1".into();
    second.list(&root(), None).await.unwrap();
    first.list(&root(), None).await.unwrap();
    assert_eq!(rotation.count(), 2, "the second's token serves the first");
    *is_over.lock().unwrap() = "Bearer fake-a2".into();
    second.list(&root(), None).await.unwrap();
    *is_over.lock().unwrap() = "Bearer fake-a3".into();
    first.list(&root(), None).await.unwrap();
    assert_eq!(rotation.count(), 4, "what was adopted was refused as well");
}

#[tokio::test]
async fn a_token_is_on_disk_before_it_is_used() {
    let rotation = Rotation::default();
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("drive");
    let (play, looked) = (rotation.clone(), state.clone());
    let server = Server::start(move |call| {
        if call.path != TOKEN {
            let kept = kept(&looked);
            let used = format!("Bearer {}", kept["access_token"].as_str().unwrap());
            assert_eq!(call.authorization(), used);
            assert_eq!(kept["refresh_token"], format!("fake-r{}", play.count()));
        }
        play.play(call)
    })
    .await;
    let drive = server.drive_in(refresh_mode(), &state).await;
    drive.list(&root(), None).await.unwrap();
}

#[tokio::test]
async fn no_token_is_spent_when_the_next_cannot_be_kept() {
    let server = Server::start(|_| expired()).await;
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("in-the-way");
    std::fs::write(&file, "").unwrap();
    let drive = server.drive_in(refresh_mode(), &file).await;
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("could not be kept"), "{error}");
    assert!(server.calls(TOKEN).is_empty());
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let server = Server::start(|call| match call.path.as_str() {
        TOKEN if call.form("refresh_token") == "fake-r0" => tokens(1, 0),
        TOKEN => tokens(2, 7200),
        _ => empty_list(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    drive.list(&root(), None).await.unwrap();
    // A life of zero is none that is told; one that has passed is renewed without a refusal.
    let mut token = kept(dir.path());
    token["expires_ms"] = json!(1);
    token["serial"] = json!(2);
    std::fs::write(dir.path().join("token.json"), token.to_string()).unwrap();
    let next = server.drive_in(refresh_mode(), dir.path()).await;
    next.list(&root(), None).await.unwrap();
    let used: Vec<String> = server
        .calls(LIST)
        .iter()
        .map(|c| c.authorization().into())
        .collect();
    assert_eq!(used, ["Bearer fake-a1", "Bearer fake-a2"]);
}

#[tokio::test]
async fn a_spent_refresh_token_names_the_command_and_is_tried_once() {
    let server = Server::start(|call| match call.path.as_str() {
        TOKEN => refusal(
            400,
            json!({"error": "invalid_grant", "error_description": "used fake-r0"}),
        ),
        _ => expired(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    for _ in 0..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::LoginExpired);
        assert!(
            error.message.contains("run `linkfs login DRIVE`"),
            "{error}"
        );
        assert!(
            error.message.contains("code invalid_grant: used ?"),
            "{error}"
        );
    }
    assert_eq!(server.calls(TOKEN).len(), 1);
}

#[tokio::test]
async fn a_login_service_that_is_down_is_no_lost_login() {
    let server = Server::start(|_| refusal(503, json!({}))).await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    for calls in 1..3 {
        let error = drive.list(&root(), None).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert_eq!(server.calls(TOKEN).len(), calls);
    }
}

#[tokio::test]
async fn who_waits_for_the_lock_and_gives_up_does_not_keep_it() {
    let rotation = Rotation::default();
    let play = rotation.clone();
    let server = Server::start(move |call| play.play(call)).await;
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(refresh_mode(), dir.path()).await;
    let held = TokenFile::new(dir.path(), "another".into())
        .lock()
        .await
        .unwrap();
    let folder = root();
    let mut waiting = Box::pin(drive.list(&folder, None));
    tokio::select! {
        biased;
        page = &mut waiting => panic!("without the lock: {page:?}"),
        () = tokio::task::yield_now() => {}
    }
    drop(waiting);
    assert!(server.calls(TOKEN).is_empty());
    drop(held);
    drive.list(&root(), None).await.unwrap();
    assert_eq!(rotation.count(), 1);
}

#[tokio::test]
async fn a_person_logs_in_and_a_running_drive_goes_on() {
    let server = Server::start(|call| match (call.path.as_str(), call.authorization()) {
        (TOKEN, _) if call.form("code") == "c0%2Bde" => tokens(1, 7200),
        (TOKEN, _) => refusal(
            400,
            json!({"code": "InvalidParameter.Code", "message": "no c0de-2"}),
        ),
        (LIST, "Bearer fake-a1") => empty_list(),
        _ => expired(),
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let config = || {
        json!({"client_id": "App1", "redirect_uri": "https://app.example/cb",
            "scope": "FILE.GET"})
    };
    let mounted = server.drive_in(config(), dir.path()).await;
    let error = mounted.list(&root(), None).await.unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (
            ErrorKind::LoginExpired,
            "list folder root: nobody has logged in yet: run `linkfs login DRIVE`"
        )
    );
    let asked = server.drive_in(config(), dir.path()).await;
    let login = asked.login().unwrap();
    let step = login.begin().await.unwrap();
    let start = format!(
        "{}/v2/oauth/authorize?client_id=App1&redirect_uri=https%3A%2F%2Fapp.example%2Fcb\
         &response_type=code&login_type=default&state=",
        server.endpoint
    );
    assert!(step.url.starts_with(&start) && step.url.ends_with("&scope=FILE.GET"));
    let wrong = login
        .finish(Secret::new("c0de-2".into()))
        .await
        .unwrap_err();
    assert_eq!(wrong.kind, ErrorKind::Denied);
    assert!(wrong.message.ends_with("no ?"), "{wrong}");
    let state = step
        .url
        .split("state=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let back = format!("https://app.example/cb?code=c0%2Bde&state={state}");
    login.finish(Secret::new(back)).await.unwrap();
    let call = &server.calls(TOKEN)[1];
    assert_eq!(call.form("grant_type"), "authorization_code");
    assert_eq!(call.form("redirect_uri"), "https%3A%2F%2Fapp.example%2Fcb");
    asked.list(&root(), None).await.unwrap();
    mounted.list(&root(), None).await.unwrap();
}

#[tokio::test]
async fn a_login_wins_over_a_running_drive_that_kept_its_token_in_a_deleted_folder() {
    for renewals in 0..2 {
        let accepted = Arc::new(Mutex::new(format!("Bearer fake-a{}", 1 + renewals)));
        let now = accepted.clone();
        let server = Server::start(move |call| {
            let asked_with = (call.form("code"), call.form("refresh_token"));
            match (call.path.as_str(), asked_with) {
                (TOKEN, ("c0de-1", _)) => tokens(1, 7200),
                (TOKEN, ("c0de-9", _)) => tokens(9, 7200),
                (TOKEN, (_, "fake-r1")) => tokens(2, 7200),
                (LIST, _) if call.authorization() == *now.lock().unwrap() => empty_list(),
                (LIST, _) => expired(),
                _ => refusal(
                    401,
                    json!({"code": "RefreshTokenExpired", "message": "used"}),
                ),
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("drive");
        let open = async || {
            let config = json!({"client_id": "App1", "redirect_uri": "https://app.example/cb"});
            server.drive_in(config, &state).await
        };
        let log_in = async |code: &str| {
            let asked = open().await;
            let login = asked.login().unwrap();
            login.begin().await.unwrap();
            login.finish(Secret::new(code.into())).await.unwrap();
        };
        log_in("c0de-1").await;
        let mounted = open().await;
        mounted.list(&root(), None).await.unwrap();
        std::fs::remove_dir_all(&state).unwrap();
        *accepted.lock().unwrap() = "Bearer fake-a9".into();
        log_in("c0de-9").await;
        let page = mounted.list(&root(), None).await;
        page.unwrap_or_else(|error| panic!("after {renewals} renewals: {error}"));
        assert_eq!(kept(&state)["access_token"], "fake-a9");
    }
}

#[tokio::test]
async fn an_application_asserts_who_it_is_by_the_drives_clock() {
    let (pem, public) = rsa::key();
    let server = Server::start(move |call| {
        let date = [("date", "Sat, 05 Jan 2030 08:19:10 GMT")];
        if call.path == LIST {
            return empty_list();
        }
        assert_eq!(
            call.form("grant_type"),
            "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
        );
        let claims = rsa::claims(call.form("assertion"), &public);
        assert_eq!(
            (&claims["iss"], &claims["sub"]),
            (&json!("App1"), &json!("bj9"))
        );
        // 2030-01-05T08:19:10Z, the header's time.
        match claims["exp"].as_u64().unwrap().abs_diff(1_893_831_550) < 90 {
            true => (date, tokens(1, 7200)).into_response(),
            false => (StatusCode::UNAUTHORIZED, date, "").into_response(),
        }
    })
    .await;
    let config = json!({"auth_mode": "jwt", "domain": "bj9", "client_id": "App1", "jwt_key": pem,
        "jwt_subject_type": "service"});
    let dir = tempfile::tempdir().unwrap();
    let drive = server.drive_in(config, dir.path()).await;
    drive.list(&root(), None).await.unwrap();
    drive.list(&root(), None).await.unwrap();
    assert_eq!(server.calls(TOKEN).len(), 2);
    assert_eq!(server.calls(LIST)[0].authorization(), "Bearer fake-a1");
    assert!(drive.login().is_none());
}
