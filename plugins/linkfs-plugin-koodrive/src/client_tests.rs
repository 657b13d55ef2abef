//! Answers that are none, and what is told about them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{ErrorKind, ItemId, ProviderError};
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
async fn a_throttled_call_tells_how_long_to_wait() {
    let seconds =
        list_error(|_| (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]).into_response());
    let seconds = seconds.await;
    assert_eq!(seconds.kind, ErrorKind::RateLimited);
    assert_eq!(seconds.retry_after, Some(Duration::from_secs(7)));
    let date = list_error(|_| {
        let now = ("date", "Sat, 05 Jan 2030 08:19:10 GMT");
        let until = ("retry-after", "Sat, 05 Jan 2030 08:19:40 GMT");
        (StatusCode::TOO_MANY_REQUESTS, [now, until]).into_response()
    });
    let wait = date.await.retry_after.unwrap();
    assert!(
        wait <= Duration::from_secs(30) && wait > Duration::from_secs(15),
        "{wait:?}"
    );
    let gateway = json!({"error_code": "APIGW.0308", "error_msg": "throttled"});
    let plain = list_error(move |_| refusal(400, gateway.clone())).await;
    assert_eq!(
        (plain.kind, plain.retry_after),
        (ErrorKind::RateLimited, None)
    );
}

#[tokio::test]
async fn an_answer_that_is_no_answer_is_broken() {
    for body in ["<html>gateway</html>", "", "[]", "{\"code\":0}"] {
        let error = list_error(move |_| body.into_response()).await;
        assert_eq!(error.kind, ErrorKind::Broken, "{body}");
        assert!(!error.message.contains("gateway"), "{error}");
    }
    let html = list_error(|_| (StatusCode::BAD_GATEWAY, "<html>").into_response()).await;
    assert_eq!(
        (html.kind, html.message.as_str()),
        (ErrorKind::Unavailable, "list folder root: HTTP 502")
    );
}

#[tokio::test]
async fn an_oversized_answer_is_broken() {
    let error = list_error(|_| " ".repeat((16 << 20) + 1).into_response()).await;
    assert_eq!(
        error.message,
        "list folder root: the answer is longer than 16 MiB"
    );
    // Without a length it shows only while reading.
    let error = list_error(|_| {
        let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 1 << 20]));
        let chunks = futures_util::stream::iter((0..17).map(move |_| chunk()));
        axum::body::Body::from_stream(chunks).into_response()
    });
    assert_eq!(error.await.kind, ErrorKind::Broken);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Server::start(|_| empty_list()).await;
    let target = format!("{}{LIST}", server.endpoint);
    let error = list_error(move |_| {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [("location", target.clone())],
        )
            .into_response()
    });
    assert_eq!(error.await.kind, ErrorKind::Broken);
    assert!(
        server.calls(LIST).is_empty(),
        "the token stays with its host"
    );
}

#[tokio::test]
async fn a_drive_that_is_not_there_is_unavailable() {
    let server = Server::start(|_| empty_list()).await;
    let drive = server.drive(token_mode()).await;
    server.task.abort();
    while !server.task.is_finished() {
        tokio::task::yield_now().await;
    }
    let error = drive.list(&root(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(
        error
            .message
            .starts_with("list folder root: no connection to 127.0.0.1: "),
        "{error}"
    );
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
    // With one subscriber alone, a line that a test on another thread comes by first is off for good.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let server = Server::start(|call| {
        let told = format!("{} {:?} {}", call.authorization(), call.headers, call.body);
        match call.path.as_str() {
            DOWNLOAD => answer(json!({"downloads": [
                {"fileId": "a", "code": "1", "msg": told},
                {"fileId": "b", "code": "0", "url": "https://h/x?sig=fake-signature"}]})),
            _ => refusal(500, json!({"code": call.authorization(), "msg": told})),
        }
    })
    .await;
    let mut shown = String::new();
    for config in [token_mode(), session_mode(), carrier_mode()] {
        let drive = server.drive(config).await;
        let error = drive.list(&root(), None).await.unwrap_err();
        let links = drive.links(&["a", "b"].map(ItemId::from)).await;
        shown += &format!("{error} {error:?} {links:?}");
    }
    shown += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(shown.contains("koodrive"), "the log was captured");
    let secrets = [
        "fake-token-1",
        "fake-old",
        "fake-session",
        "fake-password",
        "fake-signature",
    ];
    for secret in secrets {
        assert!(!shown.contains(secret), "{shown}");
    }
}
