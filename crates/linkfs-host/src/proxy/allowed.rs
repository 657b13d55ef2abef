//! Which hosts a plugin may reach.

use std::fmt;
use std::sync::{PoisonError, RwLock};

/// The hosts that a plugin may reach. It can grow while a proxy uses it.
#[derive(Debug, Default)]
pub struct AllowedHosts {
    rules: RwLock<Vec<Rule>>,
}

/// Which addresses of a host may be connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Those of the public internet.
    Public,
    Any,
}

#[derive(Debug)]
struct Rule {
    hosts: Hosts,
    port: u16,
    reach: Reach,
}

#[derive(Debug)]
enum Hosts {
    One(String),
    /// All that end like this, from the point on.
    Under(String),
}

/// Why a pattern of hosts is not taken.
#[derive(Debug, PartialEq, Eq)]
pub struct BadPattern(String);

impl fmt::Display for BadPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "\"{}\" names no hosts: \"api.example.com\", \"*.example.com\" or \"api.example.com:8443\" does",
            self.0.escape_debug()
        )
    }
}

impl std::error::Error for BadPattern {}

impl AllowedHosts {
    /// Nobody.
    pub fn new() -> AllowedHosts {
        AllowedHosts::default()
    }

    /// Adds what a plugin says its drive has: `api.example.com` or `*.example.com`, at port 443
    /// unless one is written. It never leads to this machine or its local network, whatever
    /// address the name is given: the plugin's word is not its user's.
    ///
    /// # Errors
    /// When that is not a pattern of hosts; a whole top-level domain is none.
    pub fn allow_declared(&self, pattern: &str) -> Result<(), BadPattern> {
        let (hosts, port) = parse(pattern).ok_or_else(|| BadPattern(pattern.to_owned()))?;
        self.add(hosts, port, Reach::Public);
        Ok(())
    }

    /// Adds a host that the user wrote into the drive's configuration, wherever it is.
    pub fn allow_configured(&self, host: &str, port: u16) {
        self.add(Hosts::One(plain(host)), port, Reach::Any);
    }

    fn add(&self, hosts: Hosts, port: u16, reach: Reach) {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        rules.push(Rule { hosts, port, reach });
    }

    /// How far a connection to `host` may go; `None` when there may be none.
    pub(super) fn reach(&self, host: &str, port: u16) -> Option<Reach> {
        let host = plain(host);
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let matching = rules.iter().filter(|rule| rule.covers(&host, port));
        let mut reaches = matching.map(|rule| rule.reach).peekable();
        reaches.peek()?;
        let is_configured = reaches.any(|reach| reach == Reach::Any);
        Some(if is_configured {
            Reach::Any
        } else {
            Reach::Public
        })
    }
}

impl Rule {
    fn covers(&self, host: &str, port: u16) -> bool {
        let is_host = match &self.hosts {
            Hosts::One(name) => host == name,
            Hosts::Under(end) => host.len() > end.len() && host.ends_with(end),
        };
        is_host && port == self.port
    }
}

fn parse(pattern: &str) -> Option<(Hosts, u16)> {
    let (hosts, port) = match pattern.rsplit_once(':') {
        Some((hosts, port)) => (hosts, port.parse().ok().filter(|&port| port != 0)?),
        None => (pattern, 443),
    };
    let (name, is_wild) = match hosts.strip_prefix("*.") {
        Some(name) => (plain(name), true),
        None => (plain(hosts), false),
    };
    let labels: Vec<_> = name.split('.').collect();
    if labels.len() < 2 || !labels.iter().all(|label| is_label(label)) {
        return None;
    }
    let hosts = match is_wild {
        true => Hosts::Under(format!(".{name}")),
        false => Hosts::One(name),
    };
    Some((hosts, port))
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !label.is_empty() && label.bytes().all(is_allowed)
}

/// A host as it is compared: names do not know case, and may end in a point.
fn plain(host: &str) -> String {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(allowed: &AllowedHosts, host: &str, port: u16, expected: Option<Reach>) {
        assert_eq!(allowed.reach(host, port), expected, "{host}:{port}");
    }

    #[test]
    fn a_declared_host_is_public_and_at_its_port() {
        let allowed = AllowedHosts::new();
        allowed.allow_declared("api.example.com").unwrap();
        allowed.allow_declared("up.example.com:8443").unwrap();
        check(&allowed, "api.example.com", 443, Some(Reach::Public));
        check(&allowed, "API.Example.com.", 443, Some(Reach::Public));
        check(&allowed, "api.example.com", 80, None);
        check(&allowed, "up.example.com", 8443, Some(Reach::Public));
        check(&allowed, "up.example.com", 443, None);
        check(&allowed, "example.com", 443, None);
        check(&allowed, "x.api.example.com", 443, None);
    }

    #[test]
    fn a_star_stands_for_names_below() {
        let allowed = AllowedHosts::new();
        allowed.allow_declared("*.example.com").unwrap();
        check(&allowed, "a.example.com", 443, Some(Reach::Public));
        check(&allowed, "a.b.example.com", 443, Some(Reach::Public));
        check(&allowed, "example.com", 443, None);
        check(&allowed, "badexample.com", 443, None);
        check(&allowed, "example.com.evil.net", 443, None);
    }

    #[test]
    fn a_configured_host_may_be_anywhere() {
        let allowed = AllowedHosts::new();
        check(&allowed, "nas.local", 5000, None);
        allowed.allow_configured("nas.local", 5000);
        allowed.allow_configured("::1", 5000);
        check(&allowed, "nas.local", 5000, Some(Reach::Any));
        check(&allowed, "[::1]", 5000, Some(Reach::Any));
        check(&allowed, "nas.local", 443, None);
    }

    #[test]
    fn the_users_word_goes_further_than_the_plugins() {
        let allowed = AllowedHosts::new();
        allowed.allow_declared("nas.example.com").unwrap();
        allowed.allow_configured("nas.example.com", 443);
        check(&allowed, "nas.example.com", 443, Some(Reach::Any));
    }

    #[test]
    fn what_names_no_hosts_is_refused() {
        let allowed = AllowedHosts::new();
        for pattern in [
            "",
            "*",
            "*.",
            "*.com",
            "com",
            "a.*.com",
            "*example.com",
            "https://a.com",
            "a.com/x",
            "a.com:",
            "a.com:0",
            "a.com:x",
            "a..com",
            "a b.com",
            "[::1]",
            "é.com",
        ] {
            let error = allowed.allow_declared(pattern).unwrap_err();
            assert_eq!(error, BadPattern(pattern.to_owned()));
        }
    }
}
