//! Requests for plain `http` addresses, handed on over pooled connections.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{Connector, Refusal};

/// Small servers close idle connections after a minute; before that, ours are gone.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const MOST_IDLE: usize = 8;

/// Headers that concern one connection alone (RFC 9110, section 7.6.1).
const OF_THE_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Hands requests on.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    client: Client<Connector, Incoming>,
    connector: Arc<Connector>,
}

impl Forwarder {
    pub(super) fn new(connector: Connector) -> Forwarder {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector.clone());
        Forwarder {
            client,
            connector: Arc::new(connector),
        }
    }

    /// Asks the host that the request's address names.
    pub(super) async fn forward(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Incoming>, Refusal> {
        let (mut head, body) = request.into_parts();
        let (host, port) = plain_http(&head.uri)?;
        // An idle connection is used without connecting, so this is asked for each request.
        self.connector.check(&host, port)?;
        tracing::debug!(host, port, "a plugin asks");
        strip(&mut head.headers);
        // One host is allowed and another meant, if these differ.
        head.headers
            .insert(header::HOST, authority(&head.uri, &host)?);
        let answer = self.client.request(Request::from_parts(head, body)).await;
        let mut response = answer.map_err(|error| refusal(&error, &host, port))?;
        strip(response.headers_mut());
        Ok(response)
    }
}

/// Host and port of an address that needs no tunnel.
fn plain_http(uri: &Uri) -> Result<(String, u16), Refusal> {
    match (uri.scheme_str(), uri.host()) {
        (Some("http"), Some(host)) if !host.is_empty() => {
            Ok((host.to_owned(), uri.port_u16().unwrap_or(80)))
        }
        _ => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "this is a proxy: ask for \"http://host/path\", or CONNECT to host:443",
        )),
    }
}

/// What the server is told that it was asked as.
fn authority(uri: &Uri, host: &str) -> Result<HeaderValue, Refusal> {
    let authority = match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    HeaderValue::try_from(authority)
        .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_THE_CONNECTION
        .iter()
        .chain([&PROXY_CONNECTION])
        .chain(&named)
    {
        headers.remove(name);
    }
}

/// The connector's own reason where it gave one. The client's errors name no address.
fn refusal(error: &hyper_util::client::legacy::Error, host: &str, port: u16) -> Refusal {
    let mut reason: Option<&(dyn Error + 'static)> = Some(error);
    let mut message = format!("{host}:{port} did not answer");
    while let Some(source) = reason {
        if let Some(own) = source.downcast_ref::<Refusal>() {
            return Refusal::new(own.status, own.message.clone());
        }
        message = format!("{message}: {source}");
        reason = source.source();
    }
    Refusal::new(StatusCode::BAD_GATEWAY, message)
}
