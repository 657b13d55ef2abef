//! A plugin's proxy: whom it lets in, where it leads, and what passes.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use linkfs_host::proxy::{AllowedHosts, Proxy, ProxyAddress};
use linkfs_host::sandbox::{Program, Sandbox, missing_pieces};
use linkfs_provider::Secret;
use support::{Client, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A proxy that leads to `port` of this machine, as the user's configuration would have it.
async fn proxy_to(port: u16) -> Proxy {
    let allowed = AllowedHosts::new();
    allowed.allow_configured("127.0.0.1", port);
    Proxy::start(Arc::new(allowed)).await.unwrap()
}

async fn client_of(proxy: &Proxy) -> Client {
    Client::connect(proxy.address()).await
}

#[tokio::test]
async fn requests_share_connections_on_both_sides() {
    let server = Server::start().await;
    let proxy = proxy_to(server.port).await;
    let mut client = client_of(&proxy).await;
    for _ in 0..3 {
        let answer = client.get(&server.url("/a?b=c")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.starts_with("GET /a?b=c\n"), "{answer:?}");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_concerns_the_connection_stays_on_it() {
    let server = Server::start().await;
    let proxy = proxy_to(server.port).await;
    let mut client = client_of(&proxy).await;
    let extra = "Host: other.example\r\nX-Own: kept\r\nConnection: x-drop, keep-alive\r\nX-Drop: gone\r\nProxy-Connection: keep-alive\r\n";
    let answer = client.ask("GET", &server.url("/"), extra, "").await;
    let seen = answer.body.to_lowercase();
    assert!(seen.contains("x-own: kept"), "{seen}");
    assert!(
        seen.contains(&format!("host: 127.0.0.1:{}\n", server.port)),
        "{seen}"
    );
    for header in ["other.example", "x-drop", "proxy-", "connection:"] {
        assert!(!seen.contains(header), "{header} in {seen}");
    }
}

#[tokio::test]
async fn bodies_pass_in_both_directions() {
    let server = Server::start().await;
    let proxy = proxy_to(server.port).await;
    let mut client = client_of(&proxy).await;
    let body = "0123456789abcdef".repeat(1 << 16);
    let length = format!("Content-Length: {}\r\n", body.len());
    let answer = client
        .ask("POST", &server.url("/echo"), &length, &body)
        .await;
    assert!(answer.body == body, "{} bytes came back", answer.body.len());
    let chunked = "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let answer = client
        .ask(
            "POST",
            &server.url("/echo"),
            "Transfer-Encoding: chunked\r\n",
            chunked,
        )
        .await;
    assert_eq!(answer.body, "hello world");
}

#[tokio::test]
async fn a_tunnel_carries_bytes_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = proxy_to(port).await;
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap()
    });
    let mut client = client_of(&proxy).await;
    assert_eq!(
        client.tunnel(&format!("127.0.0.1:{port}")).await.status,
        200
    );
    let mut stream = client.into_stream();
    stream.write_all(b"\x16\x03\x01 not http").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).await.unwrap();
    assert_eq!(back, b"\x16\x03\x01 not http");
    assert_eq!(echo.await.unwrap(), 12);
}

#[tokio::test]
async fn other_hosts_are_refused_by_name() {
    let server = Server::start().await;
    let proxy = Proxy::start(Arc::new(AllowedHosts::new())).await.unwrap();
    let mut client = client_of(&proxy).await;
    let asked = client.get("http://evil.example/secret?token=t").await;
    let tunnel = client.tunnel("evil.example:443").await;
    let local = client.get(&server.url("/")).await;
    for (answer, host) in [
        (asked, "evil.example:80"),
        (tunnel, "evil.example:443"),
        (local, "127.0.0.1"),
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(
            answer.body.contains(host) && answer.body.contains("configuration"),
            "{answer:?}"
        );
        assert_eq!(answer.body.lines().count(), 1);
        assert!(!answer.body.contains("secret"), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_declared_host_is_not_one_of_this_machine() {
    let server = Server::start().await;
    let allowed = Arc::new(AllowedHosts::new());
    // What a name resolves to is looked at, and a number resolves to itself.
    allowed
        .allow_declared(&format!("127.0.0.1:{}", server.port))
        .unwrap();
    let proxy = Proxy::start(allowed.clone()).await.unwrap();
    let mut client = client_of(&proxy).await;
    let here = format!("127.0.0.1:{}", server.port);
    for answer in [
        client.get(&server.url("/")).await,
        client.tunnel(&here).await,
    ] {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert!(answer.body.contains("local network"), "{answer:?}");
    }
    assert_eq!(server.connections(), 0);
    // The user's word counts, also while the proxy runs.
    allowed.allow_configured("127.0.0.1", server.port);
    assert_eq!(client.get(&server.url("/")).await.status, 200);
}

#[tokio::test]
async fn nobody_comes_in_without_the_password() {
    let server = Server::start().await;
    let proxy = proxy_to(server.port).await;
    let wrong = ProxyAddress {
        port: proxy.address().port,
        password: Secret::new("0".repeat(32)),
        network: None,
    };
    let mut stranger = Client::connect(&wrong).await;
    let answer = stranger.get(&server.url("/")).await;
    assert_eq!(answer.status, 407, "{answer:?}");
    assert!(
        answer
            .head
            .to_lowercase()
            .contains("proxy-authenticate: basic"),
        "{answer:?}"
    );
    let mut stranger = Client::connect(&wrong).await;
    let here = format!("127.0.0.1:{}", server.port);
    assert_eq!(stranger.tunnel(&here).await.status, 407);
    assert_eq!(server.connections(), 0);
    assert!(!format!("{proxy:?}").contains(proxy.address().password.expose()));
}

#[tokio::test]
async fn a_host_that_does_not_answer_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let proxy = proxy_to(port).await;
    let mut client = client_of(&proxy).await;
    let here = format!("127.0.0.1:{port}");
    for answer in [
        client.get(&format!("http://{here}/")).await,
        client.tunnel(&here).await,
    ] {
        assert_eq!(answer.status, 502, "{answer:?}");
        assert!(
            answer.body.contains(&format!("cannot connect to {here}")),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_request_to_a_proxy_is_refused() {
    let proxy = proxy_to(1).await;
    let mut client = client_of(&proxy).await;
    assert_eq!(client.get("/").await.status, 400);
    assert_eq!(client.get("https://127.0.0.1:1/").await.status, 400);
    assert_eq!(client.tunnel("127.0.0.1").await.status, 400);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let proxy = proxy_to(1).await;
    let mut client = client_of(&proxy).await;
    let long = format!("X-Long: {}\r\n", "x".repeat(100_000));
    let answer = client.ask("GET", "http://127.0.0.1:1/", &long, "").await;
    assert_eq!(answer.status, 431, "{answer:?}");
}

#[tokio::test]
async fn everything_ends_with_the_proxy() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = proxy_to(port).await;
    let address = proxy.address().clone();
    let mut client = client_of(&proxy).await;
    assert_eq!(
        client.tunnel(&format!("127.0.0.1:{port}")).await.status,
        200
    );
    let (mut host, _) = listener.accept().await.unwrap();
    drop(proxy);
    let mut rest = Vec::new();
    assert_eq!(host.read_to_end(&mut rest).await.unwrap_or(0), 0);
    assert_eq!(
        client
            .into_stream()
            .read_to_end(&mut rest)
            .await
            .unwrap_or(0),
        0
    );
    let again = tokio::net::TcpStream::connect(("127.0.0.1", address.port)).await;
    assert!(again.is_err());
}

/// The two together: a plugin's own HTTP client finds the proxy, and nothing beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_confined_program_asks_through_its_proxy() {
    if !Path::new("/usr/bin/python3").exists() || !missing_pieces().is_empty() {
        eprintln!(
            "!!! SKIPPED: no /usr/bin/python3, or {:?}",
            missing_pieces()
        );
        return;
    }
    let server = Server::start().await;
    let proxy = proxy_to(server.port).await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("plugin.py");
    fs::write(&script, PYTHON).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let program = Program::at(&script, &[&server.url("/list"), &server.port.to_string()]).unwrap();
    let sandbox = Sandbox::new(
        program,
        &folder.path().join("state"),
        Some(proxy.address().clone()),
    );
    let run = move || sandbox.spawn().unwrap().wait_with_output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text, "200 GET /list\n403\ntunnel 403\nEACCES\n", "{errors}");
    assert_eq!(server.connections(), 1);
}

const PYTHON: &str = r#"#!/usr/bin/python3
import errno, socket, sys, urllib.error, urllib.request

with urllib.request.urlopen(sys.argv[1]) as answer:
    print(answer.status, answer.readline().decode().strip())
try:
    urllib.request.urlopen("http://evil.example/")
except urllib.error.HTTPError as error:
    print(error.code)
try:
    urllib.request.urlopen("https://evil.example/")
except urllib.error.URLError as error:
    print("tunnel", "403" if "403" in str(error) else error)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[2])))
except OSError as error:
    print(errno.errorcode[error.errno])
"#;
