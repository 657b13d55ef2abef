//! Who comes in, and where each request goes.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use linkfs_provider::Secret;
use linkfs_provider::wire::REFUSAL_HEADER;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ProxyAddress;
use super::allowed::AllowedHosts;
use super::connect::{Connector, Refusal};
use super::forward::Forwarder;

/// A plugin makes a handful of calls at a time as a rule, a hundred when it has to; it has descriptors for so many.
const MOST_CONNECTIONS: usize = 200;
/// Signed addresses and tokens are long; nothing of a request's head is as long as this.
const LONGEST_HEAD: usize = 64 * 1024;
/// Longer than HTTP clients keep idle connections (90 s is usual), so that they close them first.
const HEAD_TIMEOUT: Duration = Duration::from_secs(120);
/// After a failed `accept`: descriptors are short then, and come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// A warning is given once for a host, for so many hosts.
const MOST_WARNINGS: usize = 64;

type Body = Either<Incoming, Full<Bytes>>;

/// Both ends of a tunnel, once the plugin's has stopped speaking HTTP.
type Tunnel = (OnUpgrade, TcpStream);

/// Lets one plugin in, and no one else.
pub(super) struct Door {
    credentials: Secret<String>,
    connector: Connector,
    forwarder: Forwarder,
    traffic: Arc<Traffic>,
}

/// What has come of a plugin's connections so far.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    has_passed: bool,
    /// A client of a tunnel does not learn why it has none.
    last_refusal: Option<(Instant, String)>,
    /// Why hosts were forbidden: once for each, for so many of them.
    forbidden: BTreeSet<String>,
}

impl Traffic {
    fn note_passed(&self) {
        self.lock().has_passed = true;
    }

    /// Whether nobody has been told of that refusal before.
    fn note_refusal(&self, refusal: &Refusal) -> bool {
        let mut seen = self.lock();
        let reason = refusal.message.clone();
        seen.last_refusal = Some((Instant::now(), reason.clone()));
        let is_forbidden = refusal.status == StatusCode::FORBIDDEN;
        is_forbidden && seen.forbidden.len() < MOST_WARNINGS && seen.forbidden.insert(reason)
    }

    /// The last refusal after `then`.
    pub(super) fn refusal_since(&self, then: Instant) -> Option<String> {
        let seen = self.lock();
        let (when, reason) = seen.last_refusal.as_ref()?;
        (*when >= then).then(|| reason.clone())
    }

    pub(super) fn has_passed(&self) -> bool {
        self.lock().has_passed
    }

    pub(super) fn forbidden(&self) -> Vec<String> {
        self.lock().forbidden.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Door {
    pub(super) fn new(address: &ProxyAddress, allowed: Arc<AllowedHosts>) -> Door {
        let connector = Connector::new(allowed);
        Door {
            credentials: address.credentials(),
            forwarder: Forwarder::new(connector.clone()),
            connector,
            traffic: Arc::default(),
        }
    }

    pub(super) fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// Serves until it is dropped, and its connections with it.
    pub(super) async fn serve(self, listener: TcpListener) {
        let door = Arc::new(self);
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let place = room.clone().acquire_owned().await;
            while connections.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let door = door.clone();
                    connections.spawn(async move {
                        door.serve_connection(stream).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a plugin's proxy cannot take a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn serve_connection(&self, stream: TcpStream) {
        let _only_slower = stream.set_nodelay(true);
        let tunnel = Mutex::new(None);
        let service = service_fn(|request| self.answer(request, &tunnel));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_header_size(LONGEST_HEAD)
            .max_buf_size(LONGEST_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "a plugin's connection ended");
        }
        let tunnel = tunnel.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some((plugin, mut host)) = tunnel
            && let Ok(plugin) = plugin.await
        {
            // How it ends is between the two.
            let _ended = tokio::io::copy_bidirectional(&mut TokioIo::new(plugin), &mut host).await;
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        tunnel: &Mutex<Option<Tunnel>>,
    ) -> Result<Response<Body>, Infallible> {
        if !self.admits(request.headers()) {
            return Ok(asking_for_password());
        }
        let answer = match *request.method() {
            Method::CONNECT => self.open_tunnel(request, tunnel).await,
            _ => self
                .forwarder
                .forward(request)
                .await
                .map(|r| r.map(Either::Left)),
        };
        Ok(match answer {
            Ok(answer) => {
                self.traffic.note_passed();
                answer
            }
            Err(refusal) => self.refuse(&refusal),
        })
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::PROXY_AUTHORIZATION);
        let given = given.and_then(|value| value.to_str().ok()).unwrap_or("");
        let (scheme, given) = given.split_once(' ').unwrap_or((given, ""));
        scheme.eq_ignore_ascii_case("basic") && is_same(given.trim(), self.credentials.expose())
    }

    async fn open_tunnel(
        &self,
        mut request: Request<Incoming>,
        tunnel: &Mutex<Option<Tunnel>>,
    ) -> Result<Response<Body>, Refusal> {
        let target = request.uri().authority();
        let target = target.and_then(|target| Some((target.host().to_owned(), target.port_u16()?)));
        let Some((host, port)) = target else {
            let message = "CONNECT takes host:port";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, message));
        };
        let stream = self.connector.connect(&host, port).await?;
        tracing::debug!(host, port, "a plugin has a tunnel");
        let ends = (hyper::upgrade::on(&mut request), stream);
        *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(ends);
        Ok(Response::new(Either::Right(Full::default())))
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        let reason = refusal.message.as_str();
        if self.traffic.note_refusal(refusal) {
            tracing::warn!(reason, "a plugin asked for a host that it may not reach");
        } else {
            tracing::debug!(reason, "a plugin's request was refused");
        }
        text(refusal.status, reason)
    }
}

/// Looks at all of it, so the time it takes tells nothing of where they differ.
fn is_same(given: &str, wanted: &str) -> bool {
    let pairs = given.bytes().zip(wanted.bytes());
    given.len() == wanted.len() && pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

fn asking_for_password() -> Response<Body> {
    let message = "this proxy is for one plugin, which has its password";
    let mut response = text(StatusCode::PROXY_AUTHENTICATION_REQUIRED, message);
    let headers = response.headers_mut();
    let challenge = HeaderValue::from_static("Basic realm=\"linkfs\"");
    headers.insert(header::PROXY_AUTHENTICATE, challenge);
    // A stranger does not keep a place that the plugin may need.
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    let line = format!("linkfs: {message}\n");
    let mut response = Response::new(Either::Right(Full::from(line)));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    // A message has no line breaks, and host names are ASCII.
    if let Ok(reason) = HeaderValue::try_from(message) {
        headers.insert(REFUSAL_HEADER, reason);
    }
    response
}
