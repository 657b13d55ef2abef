//! A plugin's only way out: an HTTP proxy on this machine that knows which hosts its drive has.
//!
//! Each plugin process has a proxy of its own, with a password of its own. It opens tunnels
//! (`CONNECT`) and hands on requests for plain `http` addresses, streaming both ways; nothing is
//! kept and nothing is changed but what concerns the connection. Logs name hosts, never what is
//! asked of them.

mod allowed;
mod connect;
mod door;
mod forward;

use door::Traffic;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use linkfs_provider::Secret;
use rustix::rand::GetRandomFlags;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::Network;
pub use allowed::{AllowedHosts, BadPattern};

/// The name beside the password; it says whose connections these are.
const USER: &str = "linkfs";

/// Where a plugin finds its proxy.
#[derive(Clone, Debug)]
pub struct ProxyAddress {
    /// The TCP port on `127.0.0.1`.
    pub port: u16,
    /// What the proxy asks for.
    pub password: Secret<String>,
    /// Where that port is, if not in this machine's own network.
    pub network: Option<Network>,
}

impl ProxyAddress {
    /// As `HTTPS_PROXY` takes it. It holds the password.
    pub fn url(&self) -> Secret<String> {
        let password = self.password.expose();
        Secret::new(format!("http://{USER}:{password}@127.0.0.1:{}", self.port))
    }

    /// What follows `Basic` in the header that the proxy asks for.
    fn credentials(&self) -> Secret<String> {
        let password = self.password.expose();
        Secret::new(BASE64_STANDARD.encode(format!("{USER}:{password}")))
    }
}

/// A running proxy. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: ProxyAddress,
    serving: AbortHandle,
    traffic: Arc<Traffic>,
}

impl Proxy {
    /// Starts a proxy that leads to `allowed` hosts, for whoever is on this machine and has its password.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start(allowed: Arc<AllowedHosts>) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        Proxy::serve(listener, None, allowed)
    }

    /// The same in a network of its own, for a process that is confined to it. Where that is not to be had, which
    /// takes root, it is as [`Proxy::start`].
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub async fn start_apart(allowed: Arc<AllowedHosts>) -> io::Result<Proxy> {
        match Network::new().await {
            Ok((network, listener)) => {
                listener.set_nonblocking(true)?;
                Proxy::serve(TcpListener::from_std(listener)?, Some(network), allowed)
            }
            Err(error) => {
                tracing::debug!(%error, "a plugin gets no network of its own");
                Proxy::start(allowed).await
            }
        }
    }

    fn serve(
        listener: TcpListener,
        network: Option<Network>,
        allowed: Arc<AllowedHosts>,
    ) -> io::Result<Proxy> {
        let address = ProxyAddress {
            port: listener.local_addr()?.port(),
            password: random_password()?,
            network,
        };
        let door = door::Door::new(&address, allowed);
        let traffic = door.traffic();
        let serving = tokio::spawn(door.serve(listener)).abort_handle();
        Ok(Proxy {
            address,
            serving,
            traffic,
        })
    }

    /// Where it listens, and what it asks for.
    pub fn address(&self) -> &ProxyAddress {
        &self.address
    }

    /// Whether any request was handed on, or any tunnel opened.
    pub fn has_passed_any(&self) -> bool {
        self.traffic.has_passed()
    }

    /// Why hosts that were asked for may not be reached, each once.
    pub fn forbidden(&self) -> Vec<String> {
        self.traffic.forbidden()
    }

    /// Why the last connection after `then` that was not to be had, was not.
    pub fn refusal_since(&self, then: Instant) -> Option<String> {
        self.traffic.refusal_since(then)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// 128 bits, so nobody on this machine guesses it.
fn random_password() -> io::Result<Secret<String>> {
    let mut bytes = [0; 16];
    // A request of up to 256 bytes is answered in full.
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    let password = format!("{:032x}", u128::from_ne_bytes(bytes));
    Ok(Secret::new(password))
}

/// How long finding and reaching a host may take: less than a call of a drive waits for its answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
