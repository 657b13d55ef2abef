use std::collections::HashSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::{Map, Value};

use super::bench::Bench;
use super::findings::{Findings, Tried, missing, unchecked};
use super::promises;
use super::witness::Witness;

/// The port of a host that names none.
const HTTPS: u16 = 443;
/// Names are looked up by the machine's own rules.
const DNS: u16 = 53;
/// How the kernel writes that a connection stands.
const ESTABLISHED: &str = "01";

/// A host that a plugin may talk to.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    /// `None` for a name: which addresses a name has changes from one moment to the next.
    address: Option<IpAddr>,
    port: u16,
}

/// Compares where the plugin's connections led with what it and the configuration name.
pub(super) fn check(bench: &Bench, findings: &mut Findings<'_>) {
    let hello = bench.hello.as_ref();
    let declared = hello.map(|hello| &hello.hosts[..]).unwrap_or_default();
    let peers: Vec<_> = bench.witness.seen().peers.iter().copied().collect();
    findings.note(promises::HOSTS, compare(declared, &bench.config(), &peers));
}

fn compare(declared: &[String], config: &Map<String, Value>, peers: &[SocketAddr]) -> Tried {
    let mut named = Vec::new();
    for text in declared {
        let host = host(text).ok_or_else(|| {
            missing(
                "hosts such as `api.example.com`, `*.example.com` or `example.com:8443`",
                format!("{text:?}"),
            )
        })?;
        named.push(host);
    }
    config.values().for_each(|value| collect(value, &mut named));
    let is_named = |peer: &SocketAddr| {
        named.iter().any(|host| {
            let is_there = host.address.is_none_or(|address| address == peer.ip());
            is_there && host.port == peer.port()
        })
    };
    if let Some(peer) = peers.iter().find(|peer| !is_named(peer)) {
        let expected = "a host in the hello's `hosts` for each that it talks to";
        return Err(missing(expected, format!("a connection to {peer}")));
    }
    match peers {
        [] => Err(unchecked("it was not seen to talk to any host")),
        _ => Ok(()),
    }
}

/// `api.example.com`, `*.example.com`, `127.0.0.1:8080`.
fn host(text: &str) -> Option<Host> {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => {
            (name, port.parse().ok()?)
        }
        _ => (text, HTTPS),
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let address = plain.trim_matches(['[', ']']).parse().ok();
    let is_name = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
    };
    let is_host = address.is_some() || plain.split('.').all(is_name);
    is_host.then_some(Host { address, port })
}

/// The hosts that a value of the configuration names, in an address or alone.
fn collect(value: &Value, hosts: &mut Vec<Host>) {
    match value {
        Value::String(text) => match reqwest::Url::parse(text) {
            Ok(url) if url.has_host() => {
                let name = url.host_str().unwrap_or_default();
                let port = url.port_or_known_default().unwrap_or(HTTPS);
                hosts.extend(host(&format!("{name}:{port}")));
            }
            _ if text.contains(['.', ':']) => hosts.extend(host(text)),
            _ => {}
        },
        Value::Array(values) => values.iter().for_each(|value| collect(value, hosts)),
        Value::Object(map) => map.values().for_each(|value| collect(value, hosts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Writes down where the connections of process `pid` lead now.
pub(super) fn look(pid: u32, witness: &Witness) {
    let sockets = sockets(pid);
    if sockets.is_empty() {
        return;
    }
    for table in ["tcp", "tcp6"] {
        // A process that is gone has no connections.
        let table = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        let peers = table.lines().filter_map(|line| peer(line, &sockets));
        witness.seen().peers.extend(peers);
    }
}

/// The numbers of the sockets that a process has open.
fn sockets(pid: u32) -> HashSet<String> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let targets = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    let numbers = targets.filter_map(|target| {
        let number = target.to_str()?.strip_prefix("socket:[")?;
        Some(number.strip_suffix(']')?.to_owned())
    });
    numbers.collect()
}

/// `0: 0100007F:8F3E 0100007F:1F90 01 ... INODE ...`; see proc_pid_net(5).
fn peer(line: &str, sockets: &HashSet<String>) -> Option<SocketAddr> {
    let words: Vec<_> = line.split_whitespace().collect();
    let is_ours = *words.get(3)? == ESTABLISHED && sockets.contains(*words.get(9)?);
    let (address, port) = words.get(2)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (is_ours && port != DNS).then_some(SocketAddr::new(ip(address)?, port))
}

/// Words of 32 bits as they stand in memory, in hexadecimal digits.
fn ip(digits: &str) -> Option<IpAddr> {
    let word = |start: usize| u32::from_str_radix(digits.get(start..start + 8)?, 16).ok();
    match digits.len() {
        8 => Some(Ipv4Addr::from(word(0)?.to_ne_bytes()).into()),
        32 => {
            let mut bytes = [0; 16];
            for (index, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(8 * index)?.to_ne_bytes());
            }
            Some(Ipv6Addr::from(bytes).to_canonical())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use serde_json::json;

    use super::*;

    fn check(declared: &[&str], config: Value, peers: &[&str], came: Option<&str>) {
        let declared: Vec<_> = declared.iter().map(|&host| host.to_owned()).collect();
        let peers: Vec<SocketAddr> = peers.iter().map(|peer| peer.parse().unwrap()).collect();
        let config = config.as_object().unwrap();
        let expected = match came {
            None => Ok(()),
            Some(came) => Err(came.to_owned()),
        };
        let tried = compare(&declared, config, &peers).map_err(|doubt| match doubt {
            super::super::findings::Doubt::Missing { came, .. } => came,
            super::super::findings::Doubt::Unchecked { why } => why,
        });
        assert_eq!(tried, expected, "{declared:?} {config:?}");
    }

    #[test]
    fn a_connection_has_to_be_named() {
        let none = || json!({});
        let peer = "192.0.2.1:443";
        let came = "a connection to 192.0.2.1:443";
        check(&["api.example.com"], none(), &[peer], None);
        check(&["*.example.com"], none(), &[peer], None);
        check(&[], json!({"url": "https://a.example/x"}), &[peer], None);
        check(&[], json!({"list": [{"host": "a.example"}]}), &[peer], None);
        check(&["192.0.2.1"], none(), &[peer], None);
        check(&["192.0.2.2"], none(), &[peer], Some(came));
        check(&["a.example:8443"], none(), &[peer], Some(came));
        check(&[], json!({"space": "S"}), &[peer], Some(came));
        let emulator = json!({"endpoint": "http://127.0.0.1:8080/"});
        check(&[], emulator, &["127.0.0.1:8080"], None);
        check(&["[::1]:80"], none(), &["[::1]:80"], None);
        check(
            &[],
            none(),
            &[],
            Some("it was not seen to talk to any host"),
        );
        check(
            &["https://a.example"],
            none(),
            &[],
            Some("\"https://a.example\""),
        );
        check(&["a.example/x"], none(), &[peer], Some("\"a.example/x\""));
    }

    #[test]
    fn the_connections_of_a_process_are_seen() {
        let listeners = ["127.0.0.1:0", "[::1]:0"].map(TcpListener::bind);
        for listener in listeners.into_iter().flatten() {
            let address = listener.local_addr().unwrap();
            let _open = TcpStream::connect(address).unwrap();
            let witness = Witness::default();
            look(std::process::id(), &witness);
            let peers = witness.seen().peers.clone();
            assert!(peers.contains(&address), "{address}: {peers:?}");
        }
    }
}
