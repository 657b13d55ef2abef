//! Refusals, and what is told about them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{ErrorKind, ProviderError};
use serde_json::json;

use crate::test_server::*;

async fn list_error(
    play: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
) -> ProviderError {
    let server = Server::start(play).await;
    let drive = server.drive(token_mode()).await;
    drive.list(&root(), None).await.unwrap_err()
}

#[tokio::test]
async fn a_throttle_is_no_denial_and_tells_its_end() {
    let code = "Forbidden.AccessDenied.QpsLimitForApi";
    let in_text = list_error(move |_| {
        let answer = refusal(403, code, "limit ends at 2026-01-05 16:09:17");
        ([("date", "Mon, 05 Jan 2026 08:09:10 GMT")], answer).into_response()
    });
    let in_text = in_text.await;
    assert_eq!(in_text.kind, ErrorKind::RateLimited);
    let wait = in_text.retry_after.unwrap();
    assert!(wait <= Duration::from_secs(7), "{wait:?}");
    let in_header = list_error(move |_| {
        ([("retry-after", "5")], refusal(403, code, "slow down")).into_response()
    });
    assert_eq!(in_header.await.retry_after, Some(Duration::from_secs(5)));
    let silent = list_error(move |_| refusal(403, code, "slow down")).await;
    assert_eq!(
        (silent.kind, silent.retry_after),
        (ErrorKind::RateLimited, None)
    );
}

#[tokio::test]
async fn a_spent_month_says_how_much_this_mount_took() {
    let error = list_error(|_| {
        refusal(
            403,
            "Forbidden.AccessDenied.ApiCountLimitForOrg",
            "count used up",
        )
    });
    let error = error.await;
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3600)));
    let words = "list folder 0: the organisation's calls of this month are used up; this mount has \
                 made 1 since it started";
    assert!(error.message.starts_with(words), "{error}");
}

#[tokio::test]
async fn a_blocked_address_is_left_alone_for_five_minutes() {
    let json_form = list_error(|_| {
        let body =
            json!({"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "b"});
        (StatusCode::FORBIDDEN, body.to_string()).into_response()
    });
    let page = list_error(|_| (StatusCode::FORBIDDEN, "<html>x5</html>").into_response());
    for error in [json_form.await, page.await] {
        assert_eq!(error.kind, ErrorKind::RateLimited);
        assert_eq!(error.retry_after, Some(Duration::from_secs(300)));
    }
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let error = list_error(|_| {
        let body = json!({"code": "Forbidden.AccessDenied.AccessTokenPermissionDenied",
            "requestid": "7A1C-23", "message": "no permission",
            "accessdenieddetail": {"requiredScopes": ["Storage.File.Read"]}});
        (StatusCode::FORBIDDEN, body.to_string()).into_response()
    });
    let error = error.await;
    assert_eq!(error.kind, ErrorKind::Denied);
    let words = "the app lacks the permission Storage.File.Read: grant it";
    assert!(error.message.contains(words), "{error}");
}

#[tokio::test]
async fn codes_decide_and_not_statuses() {
    for (status, code, kind) in [
        (403, "orgAuthLevelNotEnough", ErrorKind::Denied),
        (403, "permissionDenied", ErrorKind::Denied),
        (400, "paramError.spaceId", ErrorKind::Invalid),
        (404, "spaceNotExist", ErrorKind::NotFound),
        (500, "systemError", ErrorKind::Unavailable),
        (200, "unknownError", ErrorKind::Unavailable),
        (401, "InvalidAuthentication", ErrorKind::LoginExpired),
        (200, "40014", ErrorKind::LoginExpired),
        (418, "newCode", ErrorKind::Broken),
        (500, "newCode", ErrorKind::Unavailable),
        (401, "newCode", ErrorKind::LoginExpired),
    ] {
        let error = list_error(move |_| refusal(status, code, "%s")).await;
        assert_eq!(error.kind, kind, "{status} {code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_broken() {
    for body in ["<html>gateway</html>", "", "[]", "{}"] {
        let error = list_error(move |_| body.into_response()).await;
        assert_eq!(error.kind, ErrorKind::Broken, "{body}");
        assert!(!error.message.contains("gateway"), "{error}");
    }
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
    // While there is one subscriber only, a log line that another test's thread comes to first is
    // switched off for good, because that thread listens to none.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(|call| {
        let told = format!(
            "{} {} https://h/?sig=fake-signature",
            call.token(),
            call.body
        );
        match call.path.as_str() {
            LOGIN => new_token("fake-new-token", 7200),
            LINK => download_info(),
            LIST => refusal(500, call.token(), &told),
            _ => refusal(400, "InvalidAuthentication", &told),
        }
    })
    .await;
    let mut shown = String::new();
    for config in [token_mode(), app_mode(), corp_mode()] {
        let drive = server.drive(config).await;
        let list = drive.list(&root(), None).await;
        let links = drive.links(&["5521".into()]).await;
        let usage = drive.usage().await;
        shown += &format!("{list:?} {links:?} {usage:?}");
    }
    shown += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("dingtalk"), "the log was captured");
    for secret in [
        "fake-token-1",
        "fake-new-token",
        "fake-app-secret",
        "fake-client-secret",
        "fake-signature",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}
