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
use crate::range::{ByteRange, RangeHabit};
use crate::refusal::{Refusal, error_body, unsatisfiable};
use crate::signed_url::{LinkTerms, Signable, SignedQuery, SigningKey};
use crate::{Action, Cloud, Content, Node};

/// Revoked links are told from forged ones this many revocations back.
pub(crate) const REMEMBERED_EPOCHS: u64 = 16;

/// The store of one emulated drive. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct ObjectStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cloud: Cloud,
    key: SigningKey,
    /// `host:port` of the data port.
    host: String,
    ranges: RangeHabit,
    objects: Mutex<HashMap<String, Object>>,
}

/// What an object key stands for.
#[derive(Clone, Debug)]
enum Object {
    /// A file of the tree; with a revision, that revision alone.
    File { id: String, revision: Option<u64> },
    /// One version of a file, which the drive keeps when the file gets another.
    Kept {
        id: String,
        revision: u64,
        content: Content,
    },
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
            ranges: RangeHabit::Standard,
            objects: Mutex::default(),
        }))
    }

    /// A store that takes ranges as OSS does, whose ports make and check links themselves.
    pub(crate) fn oss(cloud: Cloud) -> Self {
        let key = SigningKey {
            access_key: String::new(),
            secret: String::new(),
        };
        Self(Arc::new(Shared {
            cloud,
            key,
            host: String::new(),
            ranges: RangeHabit::Oss,
            objects: Mutex::default(),
        }))
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(serve).with_state(self.clone())
    }

    /// A new link to the content of a file. `query` holds further parameters, encoded.
    pub(crate) fn link(&self, node: &Node, query: &str) -> String {
        let key = self.publish(node);
        self.0.cloud.counters.link(&node.id);
        self.sign(&key, query)
    }

    /// The key of a file's content, as the link policy wants it.
    pub(crate) fn publish(&self, node: &Node) -> String {
        let policy = self.0.cloud.links.get();
        let revision = policy.key_per_revision.then_some(node.revision);
        let key = object_key(&node.id, revision);
        let id = node.id.clone();
        self.put(&key, Object::File { id, revision });
        key
    }

    /// A new link to content that is no file of the tree.
    pub(crate) fn link_to_loose(&self, name: &str, content: Content) -> String {
        let key = object_key(name, Some(0));
        self.put(&key, Object::Loose(content));
        self.sign(&key, "")
    }

    /// The key of one version of a file. It stays readable whatever becomes of the file.
    pub(crate) fn keep(&self, id: &str, revision: u64, content: Content) -> String {
        let key = object_key(id, Some(revision));
        let object = Object::Kept {
            id: id.into(),
            revision,
            content,
        };
        self.put(&key, object);
        key
    }

    /// The key of whatever a file's content is when it is read.
    pub(crate) fn follow(&self, id: &str) -> String {
        let key = object_key(id, None);
        let object = Object::File {
            id: id.into(),
            revision: None,
        };
        self.put(&key, object);
        key
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

    /// The file that a key stands for; empty for other things.
    pub(crate) fn file_id(&self, key: &str) -> String {
        let objects = self.0.objects.lock().expect("object lock");
        match objects.get(key) {
            Some(Object::File { id, .. } | Object::Kept { id, .. }) => id.clone(),
            Some(Object::Loose(_)) | None => String::new(),
        }
    }

    fn version(&self, key: &str) -> Option<Version> {
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
            Object::Kept {
                id,
                revision,
                content,
            } => {
                // Versions go when their file is deleted for good.
                self.0.cloud.tree.node(&id)?;
                Some(Version {
                    etag: etag(&id, revision),
                    content,
                    file: id,
                    modified: None,
                })
            }
            Object::File { id, revision } => {
                let node = self.0.cloud.tree.node(&id)?;
                let is_current = revision.is_none_or(|revision| revision == node.revision);
                let content = node.content.clone().filter(|_| is_current)?;
                let etag = etag(&node.id, node.revision);
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
        self.misuse_refusal(request)
            .or_else(|| self.signature_refusal(request))
    }

    /// Why a request is refused before its signature is looked at, if it is.
    pub(crate) fn misuse_refusal(&self, request: &Request) -> Option<Refusal> {
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
        None
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
    let key = request.uri().path().trim_start_matches('/').to_owned();
    let check = |request: &Request| store.refusal(request);
    let visit = Visit {
        port: "data",
        key: &key,
        connection,
    };
    store.answer(visit, request, check).await
}

/// One request to a data port.
pub(crate) struct Visit<'a> {
    /// The port's name in fault rules.
    pub(crate) port: &'a str,
    /// The object asked for.
    pub(crate) key: &'a str,
    pub(crate) connection: Connection,
}

impl ObjectStore {
    /// Answers a request that `refusal` lets pass, as slowly and wrongly as it was told to.
    pub(crate) async fn answer(
        &self,
        visit: Visit<'_>,
        request: Request,
        refusal: impl FnOnce(&Request) -> Option<Refusal>,
    ) -> Response {
        let cloud = &self.0.cloud;
        let file = self.file_id(visit.key);
        let latency = cloud.pacing.get().data_latency_ms;
        if latency > 0 {
            sleep(Duration::from_millis(latency)).await;
        }
        let port = visit.port.to_owned();
        let files = [file.clone()];
        let strikes = cloud.faults.strike(visit.port, &files);
        let gate = pass_gate(cloud, &strikes, &files, &visit.connection, error_body).await;
        let range = request
            .headers()
            .get(header::RANGE)
            .and_then(|range| range.to_str().ok());
        let range = range.unwrap_or_default().to_owned();
        let mut response = match gate {
            Some(response) => response,
            None => match refusal(&request) {
                Some(refusal) => refusal.response(),
                None => self.deliver(&request, visit, &strikes),
            },
        };
        let date = header_value(&http_date(cloud.clock.now()));
        response.headers_mut().insert(header::DATE, date);
        let status = response.status().as_u16();
        cloud.counters.data_request(DataRequest {
            port,
            file,
            range,
            status,
        });
        response
    }

    fn deliver(&self, request: &Request, visit: Visit<'_>, strikes: &[Strike]) -> Response {
        let Some(version) = self.version(visit.key) else {
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
        let habit = self.0.ranges.of(request.headers());
        match ByteRange::parse_with(habit, range, version.content.size()) {
            ByteRange::Unsatisfiable => unsatisfiable(version.content.size()),
            range => self.send(version, range, strikes, visit.connection),
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
        let pacing = cloud.pacing.get();
        let limit = |rate: u64| (rate > 0).then_some(rate);
        conduct.bytes_per_second = conduct.bytes_per_second.or(limit(pacing.rate_per_stream));
        conduct.line_rate = limit(pacing.link_rate);
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
pub(crate) fn etag_condition_holds(
    headers: &HeaderMap,
    name: header::HeaderName,
    etag: &str,
) -> bool {
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
        "x-share-token",
    ];
    for name in names.into_iter().filter(|name| headers.contains_key(*name)) {
        cloud
            .counters
            .violation(&format!("header {name} on the data port"));
    }
}

fn etag(id: &str, revision: u64) -> String {
    let hash = sha256_hex(format!("{id}\n{revision}").as_bytes());
    format!("\"{}\"", &hash[..32])
}

/// Object keys say nothing about the file.
fn object_key(id: &str, revision: Option<u64>) -> String {
    let revision = revision.unwrap_or_default();
    sha256_hex(format!("object\n{id}\n{revision}").as_bytes())[..24].into()
}
