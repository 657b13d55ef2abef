use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;

use super::drive::Drive;
use crate::connection::Connection;
use crate::object_store::Visit;
use crate::refusal::Refusal;

/// The bucket that all files are in; it is the first segment of every path.
pub(crate) const BUCKET: &str = "yundisk0";

/// Carries the API's token, which nobody but the API may see.
const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";

/// Headers that any HTTP client may send beside those of the link.
const ORDINARY: [&str; 18] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "date",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "pragma",
    "range",
    "te",
    "user-agent",
];

/// One of the ports that links name; `data.0` is the first in fault rules, `data` means all.
#[derive(Clone, Debug)]
pub(crate) struct DataPort {
    pub(crate) drive: Drive,
    pub(crate) index: usize,
}

impl DataPort {
    pub(crate) fn router(self) -> Router {
        Router::new().fallback(serve).with_state(self)
    }

    fn refusal(&self, request: &Request, key: &str) -> Option<Refusal> {
        let drive = &self.drive;
        let counters = &drive.cloud.counters;
        note_stray_headers(drive, request.headers());
        if request.method() == Method::HEAD {
            counters.violation("HEAD on the data port");
            return Some(Refusal::new(403, "AccessDenied", "Access Denied"));
        }
        if request.method() != Method::GET {
            counters.violation("neither GET nor HEAD on the data port");
            return Some(Refusal::new(405, "MethodNotAllowed", "GET only"));
        }
        if request.headers().contains_key(TOKEN_HEADER) {
            return Some(Refusal::new(403, "AccessDenied", "Access Denied"));
        }
        let resource = format!("/{BUCKET}/{key}");
        let has_headers = request.headers().contains_key(header::AUTHORIZATION);
        match request.uri().query().filter(|_| !has_headers) {
            Some(query) => drive.links.query_refusal(&drive.cloud, &resource, query),
            None => drive
                .links
                .refusal(&drive.cloud, &resource, request.headers()),
        }
    }
}

async fn serve(
    State(port): State<DataPort>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let below = path
        .strip_prefix(BUCKET)
        .and_then(|rest| rest.strip_prefix('/'));
    let key = below.unwrap_or(path).to_owned();
    let visit = Visit {
        port: &format!("data.{}", port.index),
        key: &key,
        connection,
    };
    let check = |request: &Request| port.refusal(request, &key);
    port.drive.store.answer(visit, request, check).await
}

/// Counts what leaks something, or shows a confused client.
fn note_stray_headers(drive: &Drive, headers: &HeaderMap) {
    let extra = drive.knobs.get().extra_headers;
    let is_known = |name: &str| {
        ORDINARY.contains(&name)
            || name == "x-oss-date"
            || extra.keys().any(|known| known.eq_ignore_ascii_case(name))
    };
    let strays = headers.keys().filter(|name| !is_known(name.as_str()));
    for name in strays {
        let text = format!("header {name} on the data port");
        drive.cloud.counters.violation(&text);
    }
}
