//! Which addresses a link may lead to: public ones only, unless the drive's configuration says otherwise.
//! A drive that is broken into, or a share that somebody made, must not turn the mount into a way to
//! ask services of this machine or of the local network.

use std::net::{IpAddr, SocketAddr};

use linkfs_provider::is_public_address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Resolves names and drops every address that is not public.
#[derive(Debug)]
pub(crate) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public = found.filter(|address| is_public_address(address.ip()));
            let public: Vec<SocketAddr> = public.collect();
            if public.is_empty() {
                return Err("the link's host has no public address".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether a host written as a number is public. Host names are checked when they are resolved.
pub(crate) fn is_public_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().map_or(true, is_public_address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        for host in [
            "8.8.8.8",
            "[2001:4860:4860::8888]",
            "obs.example",
            "172.32.0.1",
        ] {
            assert!(is_public_host(host), "{host}");
        }
        for host in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.64.0.1",
            "224.0.0.1",
            "[::1]",
            "[::]",
            "[fe80::1]",
            "[fd00::1]",
            "[::ffff:127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
        ] {
            assert!(!is_public_host(host), "{host}");
        }
    }
}
