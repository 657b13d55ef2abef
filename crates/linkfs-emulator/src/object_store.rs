//! The object storage that signed links lead to.
//!
//! It checks what real object storage checks, so that a client which gets away with a mistake here
//! does not exist: the signature covers method, host, path and query byte for byte, links end when
//! they say, `HEAD` and `Authorization` are refused. The API port never carries file bytes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use tokio::time::sleep;

use crate::body::{BodyPlan, Conduct};
use crate::clock::http_date;
use crate::connection::Connection;
use crate::counters::DataRequest;
use crate::digest::sha256_hex;
use crate::faults::Strike;
use crate::gate::{header_value, pass_gate};
use crate::lies::Lies;
use crate::range::ByteRange;
use crate::refusal::{Refusal, error_body, unsatisfiable};
use crate::signed_url::{LinkTerms, Signable, SignedQuery, SigningKey};
use crate::{Action, Cloud, Content, Node};

/// Revoked links are told from forged ones this many revocations back.
const REMEMBERED_EPOCHS: u64 = 16;

/// The store of one emulated drive. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ObjectStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cloud: Cloud,
    key: SigningKey,
    /// `host:port` of the data port.
    host: String,
    objects: Mutex<HashMap<String, Object>>,
}

/// What an object key stands for.
#[derive(Clone, Debug)]
enum Object {
    /// A file of the tree; with a revision, that revision alone.
    File { id: String, revision: Option<u64> },
    /// Something made on the way, such as an archive.
    Loose(Content),
}

/// One version of an object, as far as a response needs it.
struct Version {
    content: Content,
    file: String,
    etag: String,
    modified: Option<jiff::Timestamp>,
}

impl ObjectStore {
    pub(crate) fn new(cloud: Cloud, key: SigningKey, host: String) -> Self {
        Self(Arc::new(Shared {
            cloud,
            key,
            host,
            objects: Mutex::default(),
        }))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// A new link to the content of a file. `query` holds further parameters, encoded.
    pub(crate) fn link(&self, node: &Node, query: &str) -> String {
        let policy = self.0.cloud.links.get();
        let revision = policy.key_per_revision.then_some(node.revision);
        let key = object_key(&node.id, revision);
        self.put(
            &key,
            Object::File {
                id: node.id.clone(),
                revision,
            },
        );
        self.0.cloud.counters.link(&node.id);
        self.sign(&key, query)
    }

    /// A new link to content that is no file of the tree.
    pub(crate) fn link_to_loose(&self, name: &str, content: Content) -> String {
        let key = object_key(name, Some(0));
        self.put(&key, Object::Loose(content));
        self.sign(&key, "")
    }

    fn put(&self, key: &str, object: Object) {
        self.0
            .objects
            .lock()
            .expect("object lock")
            .insert(key.into(), object);
    }

    fn sign(&self, key: &str, query: &str) -> String {
        let policy = self.0.cloud.links.get();
        let terms = LinkTerms {
            issued: self.0.cloud.clock.now(),
            life: Duration::from_secs(policy.life_s),
            style: policy.style,
            epoch: self.0.cloud.link_epoch(),
        };
        let path = format!("/{key}");
        let signed = self.0.key.sign(&self.0.host, &path, query, terms);
        format!("http://{}{signed}", self.0.host)
    }

    fn file_id(&self, path: &str) -> String {
        let objects = self.0.objects.lock().expect("object lock");
        match objects.get(path.trim_start_matches('/')) {
            Some(Object::File { id, .. }) => id.clone(),
            Some(Object::Loose(_)) | None => String::new(),
        }
    }

    fn version(&self, path: &str) -> Option<Version> {
        let key = path.trim_start_matches('/');
        let object = self
            .0
            .objects
            .lock()
            .expect("object lock")
            .get(key)
            .cloned()?;
        match object {
            Object::Loose(content) => Some(Version {
                etag: format!("\"{}\"", &sha256_hex(key.as_bytes())[..32]),
                content,
                file: String::new(),
                modified: None,
            }),
            Object::File { id, revision } => {
                let node = self.0.cloud.tree.node(&id)?;
                let is_current = revision.is_none_or(|revision| revision == node.revision);
                let content = node.content.clone().filter(|_| is_current)?;
                let etag = etag(&node);
                Some(Version {
                    content,
                    file: id,
                    etag,
                    modified: Some(node.modified),
                })
            }
        }
    }

    /// Why a request is refused, if it is.
    fn refusal(&self, request: &Request) -> Option<Refusal> {
        let counters = &self.0.cloud.counters;
        note_stray_headers(&self.0.cloud, request.headers());
        if request.method() == Method::HEAD {
            counters.violation("HEAD on the data port");
            return Some(Refusal::new(403, "AccessDenied", "Access Denied"));
        }
        if request.method() != Method::GET {
            counters.violation("neither GET nor HEAD on the data port");
            return Some(Refusal::new(405, "MethodNotAllowed", "GET only"));
        }
        if request.headers().contains_key(header::AUTHORIZATION) {
            let text = "Only one auth mechanism allowed";
            return Some(Refusal::new(400, "InvalidArgument", text));
        }
        self.signature_refusal(request)
    }

    fn signature_refusal(&self, request: &Request) -> Option<Refusal> {
        let cloud = &self.0.cloud;
        let mismatch = Refusal::new(403, "SignatureDoesNotMatch", "The signature does not match");
        let Some(query) = request.uri().query().and_then(SignedQuery::parse) else {
            cloud.counters.bad_signature();
            return Some(mismatch);
        };
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        let signable = Signable {
            method: request.method().as_str(),
            host: host.unwrap_or_default(),
            path: request.uri().path(),
            query: query.unsigned,
        };
        let epoch = cloud.link_epoch();
        let epochs = (epoch.saturating_sub(REMEMBERED_EPOCHS)..=epoch).rev();
        let Some(signed_in) = epochs
            .into_iter()
            .find(|epoch| self.0.key.verifies(signable, &query, *epoch))
        else {
            cloud.counters.bad_signature();
            return Some(mismatch);
        };
        let policy = cloud.links.get();
        let now = cloud.clock.now();
        if now >= query.expires {
            cloud.counters.expired_link();
            return Some(Refusal::new(
                policy.refusal_status,
                "AccessDenied",
                "Request has expired",
            ));
        }
        let died = policy
            .dies_after_s
            .is_some_and(|life| now >= query.issued + Duration::from_secs(life));
        if died || signed_in != epoch {
            cloud.counters.revoked_link();
            return Some(Refusal::new(
                policy.refusal_status,
                "AccessDenied",
                "Access Denied",
            ));
        }
        None
    }
}

async fn serve(
    State(store): State<ObjectStore>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let cloud = &store.0.cloud;
    let file = store.file_id(request.uri().path());
    let latency = cloud.pacing.get().data_latency_ms;
    if latency > 0 {
        sleep(Duration::from_millis(latency)).await;
    }
    let files = [file.clone()];
    let strikes = cloud.faults.strike("data", &files);
    let gate = pass_gate(cloud, &strikes, &files, &connection, error_body).await;
    let range = request
        .headers()
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let range = range.unwrap_or_default().to_owned();
    let mut response = match gate {
        Some(response) => response,
        None => store.answer(&request, &strikes, connection),
    };
    let date = header_value(&http_date(cloud.clock.now()));
    response.headers_mut().insert(header::DATE, date);
    let status = response.status().as_u16();
    cloud.counters.data_request(DataRequest {
        file,
        range,
        status,
    });
    response
}

impl ObjectStore {
    fn answer(&self, request: &Request, strikes: &[Strike], connection: Connection) -> Response {
        if let Some(refusal) = self.refusal(request) {
            return refusal.response();
        }
        let Some(version) = self.version(request.uri().path()) else {
            return Refusal::new(404, "NoSuchKey", "The specified key does not exist").response();
        };
        if !etag_condition_holds(request.headers(), header::IF_MATCH, &version.etag) {
            return Refusal::new(412, "PreconditionFailed", "The object has changed").response();
        }
        let ignores_range = strikes
            .iter()
            .any(|strike| strike.action == Action::IgnoreRange)
            || !etag_condition_holds(request.headers(), header::IF_RANGE, &version.etag);
        let range = request
            .headers()
            .get(header::RANGE)
            .filter(|_| !ignores_range);
        let range = range.and_then(|range| range.to_str().ok());
        match ByteRange::parse(range, version.content.size()) {
            ByteRange::Unsatisfiable => unsatisfiable(version.content.size()),
            range => self.send(version, range, strikes, connection),
        }
    }

    fn send(
        &self,
        version: Version,
        range: ByteRange,
        strikes: &[Strike],
        connection: Connection,
    ) -> Response {
        let cloud = &self.0.cloud;
        let size = version.content.size();
        let (first, length) = range.span(size);
        let lies = Lies::from_strikes(strikes);
        let mut conduct = Conduct::from_strikes(strikes);
        let rate = cloud.pacing.get().rate_per_stream;
        conduct.bytes_per_second = conduct.bytes_per_second.or((rate > 0).then_some(rate));
        let length = lies.short_at.map_or(length, |at| at.min(length));
        let plan = BodyPlan {
            first: lies.first_sent(first, length, size),
            length,
            content: version.content,
            file: Some(version.file),
            conduct,
        };
        let mut response = Response::new(plan.into_body(cloud, connection));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(
            header::CONTENT_TYPE,
            header_value("application/octet-stream"),
        );
        headers.insert(header::ACCEPT_RANGES, header_value("bytes"));
        let etag = lies.etag.as_deref().unwrap_or(&version.etag);
        headers.insert(header::ETAG, header_value(etag));
        if let Some(modified) = version.modified {
            headers.insert(header::LAST_MODIFIED, header_value(&http_date(modified)));
        }
        if let ByteRange::Part { first, last } = range {
            let text = lies.content_range(first, last, size);
            headers.insert(header::CONTENT_RANGE, header_value(&text));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }
}

/// Whether a conditional header is absent, `*`, or names the entity tag.
fn etag_condition_holds(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    let condition = headers.get(name).and_then(|value| value.to_str().ok());
    condition.is_none_or(|text| text == "*" || text.split(',').any(|tag| tag.trim() == etag))
}

/// Headers that belong to the API and leak something, or show a confused client, when sent here.
fn note_stray_headers(cloud: &Cloud, headers: &HeaderMap) {
    let names = [
        "authorization",
        "cookie",
        "x-user-id",
        "x-date",
        "x-traceid",
        "x-hw-agentname",
        "x-session-id",
        "x-hw-share-folder-id",
    ];
    for name in names.into_iter().filter(|name| headers.contains_key(*name)) {
        cloud
            .counters
            .violation(&format!("header {name} on the data port"));
    }
}

fn etag(node: &Node) -> String {
    let hash = sha256_hex(format!("{}\n{}", node.id, node.revision).as_bytes());
    format!("\"{}\"", &hash[..32])
}

/// Object keys say nothing about the file.
fn object_key(id: &str, revision: Option<u64>) -> String {
    let revision = revision.unwrap_or_default();
    sha256_hex(format!("object\n{id}\n{revision}").as_bytes())[..24].into()
}
