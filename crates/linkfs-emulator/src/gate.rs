use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use tokio::time::sleep;

use crate::clock::http_date;
use crate::connection::Connection;
use crate::faults::Strike;
use crate::{Action, Cloud, RetryAfter};

/// A body for an error status, in the language of the port.
pub(crate) type ErrorBody = fn(StatusCode) -> (&'static str, String);

/// Lets the strikes on a call act that come before its answer, or instead of it.
pub(crate) async fn pass_gate(
    cloud: &Cloud,
    strikes: &[Strike],
    files: &[String],
    connection: &Connection,
    error_body: ErrorBody,
) -> Option<Response> {
    for strike in strikes {
        match &strike.action {
            Action::Delay { ms } => sleep(Duration::from_millis(*ms)).await,
            Action::NeverAnswer => cloud.faults.released().await,
            Action::CloseConnection => {
                connection.doom();
                return Some(Response::new(Body::empty()));
            }
            Action::DeleteFile { for_good } => delete(cloud, strike, files, *for_good),
            Action::RevokeLinks => cloud.revoke_links(),
            Action::Status {
                code,
                retry_after,
                body,
            } => {
                return Some(status(
                    cloud,
                    *code,
                    retry_after.as_ref(),
                    body.as_ref(),
                    error_body,
                ));
            }
            Action::Redirect { to } => return Some(redirect(to)),
            Action::Garbage { body } => return Some(garbage(body.clone())),
            _ => {}
        }
    }
    None
}

fn delete(cloud: &Cloud, strike: &Strike, files: &[String], for_good: bool) {
    let chosen = strike.file.as_ref().map_or(files, std::slice::from_ref);
    for id in chosen {
        if for_good {
            cloud.tree.purge(id);
        } else {
            cloud.tree.remove(id);
        }
    }
}

fn status(
    cloud: &Cloud,
    code: u16,
    retry_after: Option<&RetryAfter>,
    body: Option<&String>,
    error_body: ErrorBody,
) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, made_up) = error_body(code);
    let mut response = Response::new(Body::from(body.cloned().unwrap_or(made_up)));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(text) = retry_after.map(|after| retry_after_text(cloud, after)) {
        headers.insert(header::RETRY_AFTER, header_value(&text));
    }
    response
}

fn retry_after_text(cloud: &Cloud, after: &RetryAfter) -> String {
    match after {
        RetryAfter::Seconds(seconds) => seconds.to_string(),
        RetryAfter::DateIn(seconds) => http_date(cloud.clock.now() + Duration::from_secs(*seconds)),
        RetryAfter::Text(text) => text.clone(),
    }
}

fn redirect(to: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response
        .headers_mut()
        .insert(header::LOCATION, header_value(to));
    response
}

fn garbage(body: Option<String>) -> Response {
    let page = || "<html><body><h1>Service is being upgraded</h1></body></html>".into();
    let mut response = Response::new(Body::from(body.unwrap_or_else(page)));
    let kind = HeaderValue::from_static("text/html");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Scripts may ask for text that no header can hold; they get a visible placeholder.
pub(crate) fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"))
}
