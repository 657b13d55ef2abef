//! From a host's name to a connection, if the plugin may have one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::{StatusCode, Uri};
use hyper_util::rt::TokioIo;
use linkfs_provider::is_public_address;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::CONNECT_TIMEOUT;
use super::allowed::{AllowedHosts, Reach};

/// Why there is no connection, in words for the plugin's log.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            message: message.into(),
        }
    }

    fn forbidden(message: String) -> Refusal {
        Refusal::new(StatusCode::FORBIDDEN, message)
    }

    fn unreachable(host: &str, port: u16, reason: impl fmt::Display) -> Refusal {
        let message = format!("cannot connect to {host}:{port}: {reason}");
        Refusal::new(StatusCode::BAD_GATEWAY, message)
    }
}

/// Connects to allowed hosts.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    allowed: Arc<AllowedHosts>,
}

impl Connector {
    pub(super) fn new(allowed: Arc<AllowedHosts>) -> Connector {
        Connector { allowed }
    }

    /// A connection to an allowed host.
    pub(super) async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, Refusal> {
        let reach = self.check(host, port)?;
        match timeout(CONNECT_TIMEOUT, connect_within(host, port, reach)).await {
            Ok(done) => done,
            Err(_) => Err(Refusal::unreachable(host, port, "no answer in time")),
        }
    }

    /// Whether the host is one of the plugin's.
    pub(super) fn check(&self, host: &str, port: u16) -> Result<Reach, Refusal> {
        self.allowed.reach(host, port).ok_or_else(|| {
            Refusal::forbidden(format!(
                "{host}:{port} is not among the hosts of this drive; if it should be, name it in the drive's configuration"
            ))
        })
    }
}

async fn connect_within(host: &str, port: u16, reach: Reach) -> Result<TcpStream, Refusal> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found = tokio::net::lookup_host((bare, port)).await;
    let found: Vec<_> = found
        .map_err(|error| Refusal::unreachable(host, port, error))?
        .collect();
    // What was looked at is what is connected to: a second answer may be another one.
    let usable: Vec<_> = found
        .into_iter()
        .filter(|address| reach == Reach::Any || is_public_address(address.ip()))
        .collect();
    if usable.is_empty() {
        return Err(Refusal::forbidden(format!(
            "{host}:{port} leads to this machine or its local network, where a plugin may go only if the drive's configuration names the host"
        )));
    }
    let stream = connect_to_first(&usable).await;
    stream.map_err(|error| Refusal::unreachable(host, port, error))
}

/// Tries the addresses in the resolver's order, each for its share of the time.
async fn connect_to_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let share = CONNECT_TIMEOUT / addresses.len() as u32;
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for &address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// How the pool of connections for plain `http` makes a new one.
impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Refusal;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Refusal>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let host = uri.host().unwrap_or_default();
            let stream = connector.connect(host, uri.port_u16().unwrap_or(80)).await;
            stream.map(TokioIo::new)
        })
    }
}
