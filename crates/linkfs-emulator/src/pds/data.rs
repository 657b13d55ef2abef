use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use super::drive::Drive;
use super::oss_link::{OssKey, OssQuery, OssTerms};
use crate::Node;
use crate::clock::json_date;
use crate::connection::Connection;
use crate::gate::header_value;
use crate::object_store::{REMEMBERED_EPOCHS, Visit};
use crate::refusal::Refusal;

/// The addresses that lead to the same objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Url,
    Cdn,
    Internal,
    /// Nobody listens there.
    Dead,
}

/// What links are made of, and where they lead.
#[derive(Debug)]
pub(crate) struct DataPorts {
    pub(crate) key: OssKey,
    /// `host:port` of `url`, `cdn_url`, `internal_url` and of nobody.
    pub(crate) hosts: [String; 4],
}

impl Line {
    /// The name that fault rules and counters know.
    fn name(self) -> &'static str {
        match self {
            Line::Url => "data.url",
            Line::Cdn => "data.cdn",
            Line::Internal => "data.internal",
            Line::Dead => "data.dead",
        }
    }
}

impl DataPorts {
    pub(crate) fn host(&self, line: Line) -> &str {
        &self.hosts[line as usize]
    }
}

pub(crate) fn router(drive: Drive, line: Line) -> Router {
    Router::new().fallback(serve).with_state((drive, line))
}

/// A new link to a file over one line. `more` holds further parameters, encoded.
pub(crate) fn link(drive: &Drive, node: &Node, line: Line, life: Duration, more: &str) -> String {
    let knobs = drive.knobs.get();
    let terms = OssTerms {
        issued: drive.cloud.clock.now(),
        life,
        signature: knobs.signature,
        signs_referer: knobs.signed_referer.is_some(),
        epoch: drive.cloud.link_epoch(),
    };
    let host = drive.ports.host(line);
    let path = object_path(&drive.store.publish(node));
    let signed = drive.ports.key.sign(host, &path, more, terms);
    format!("http://{host}{signed}")
}

async fn serve(
    State((drive, line)): State<(Drive, Line)>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let key = object_key(request.uri().path());
    let query = request.uri().query().unwrap_or_default().to_owned();
    let visit = Visit {
        port: line.name(),
        key: &key,
        connection,
    };
    let check = |request: &Request| refusal(&drive, line, request);
    let mut response = drive.store.answer(visit, request, check).await;
    dress(&drive, &key, &query, &mut response);
    response
}

/// Adds what OSS says beside the bytes.
fn dress(drive: &Drive, key: &str, query: &str, response: &mut Response) {
    let status = response.status();
    let headers = response.headers_mut();
    headers.insert("x-oss-request-id", header_value("5C1B138A109F4E405B2D8AEF"));
    if !status.is_success() {
        return;
    }
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = match name {
            "response-content-type" => header::CONTENT_TYPE,
            "response-content-disposition" => header::CONTENT_DISPOSITION,
            _ => continue,
        };
        let value = percent_decode_str(value).decode_utf8_lossy();
        headers.insert(name, header_value(&value));
    }
    let node = drive.cloud.tree.node(&drive.store.file_id(key));
    let checksum = node
        .filter(|_| status == StatusCode::OK)
        .and_then(|node| drive.checksum(&node));
    if let Some(checksum) = checksum {
        let text = header_value(&checksum.crc64.to_string());
        headers.insert("x-oss-hash-crc64ecma", text);
    }
}

/// Why a request is refused, if it is.
fn refusal(drive: &Drive, line: Line, request: &Request) -> Option<Refusal> {
    let cloud = &drive.cloud;
    if let Some(refusal) = drive.store.misuse_refusal(request) {
        return Some(refusal);
    }
    let mismatch = || {
        cloud.counters.bad_signature();
        let text = "The request signature we calculated does not match the signature you provided.";
        Some(Refusal::new(403, "SignatureDoesNotMatch", text))
    };
    let Some(query) = request.uri().query().and_then(OssQuery::parse) else {
        return mismatch();
    };
    let header = |name| {
        let value = request.headers().get(name);
        value.and_then(|value| value.to_str().ok())
    };
    let is_here = header(header::HOST) == Some(drive.ports.host(line));
    let epoch = cloud.link_epoch();
    let mut epochs = (epoch.saturating_sub(REMEMBERED_EPOCHS)..=epoch).rev();
    let (host, path) = (drive.ports.host(line), request.uri().path());
    let signed_in = epochs.find(|epoch| drive.ports.key.verifies(host, path, &query, *epoch));
    let Some(signed_in) = signed_in.filter(|_| is_here) else {
        return mismatch();
    };
    let referer = header(header::REFERER).unwrap_or_default();
    let wanted = drive.knobs.get().signed_referer.unwrap_or_default();
    if query.signs_referer && referer != wanted {
        return mismatch();
    }
    lateness(drive, &query, signed_in)
}

fn lateness(drive: &Drive, query: &OssQuery, signed_in: u64) -> Option<Refusal> {
    let cloud = &drive.cloud;
    let (policy, now) = (cloud.links.get(), cloud.clock.now());
    let refused = |text| Refusal::new(policy.refusal_status, "AccessDenied", text);
    if now >= query.expires {
        cloud.counters.expired_link();
        let refusal = refused("Request has expired.")
            .with("Expires", &json_date(query.expires))
            .with("ServerTime", &json_date(now));
        return Some(refusal);
    }
    let died = policy
        .dies_after_s
        .is_some_and(|life| now >= query.issued + Duration::from_secs(life));
    if died || signed_in != cloud.link_epoch() {
        cloud.counters.revoked_link();
        return Some(refused("You have no right to access this object."));
    }
    None
}

/// Paths hold encoded slashes, which a client must leave as they are.
fn object_path(key: &str) -> String {
    format!("/{}%2F{}%2F{}", &key[..3], &key[3..11], &key[11..])
}

fn object_key(path: &str) -> String {
    path.trim_start_matches('/').replace("%2F", "")
}
