//! A small HTTP server, and a client that speaks to a proxy in plain text.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use linkfs_host::proxy::ProxyAddress;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Answers with what it was asked: the head as text, or below `/echo` the body.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let io = TokioIo::new(stream);
                tokio::spawn(http1::Builder::new().serve_connection(io, service_fn(answer)));
            }
        });
        Server { port, connections }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// How many were made so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<Response<Either<Incoming, Full<Bytes>>>, Infallible> {
    if request.uri().path() == "/echo" {
        return Ok(Response::new(Either::Left(request.into_body())));
    }
    let mut text = format!("{} {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    Ok(Response::new(Either::Right(Full::from(text))))
}

/// One connection to a proxy.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    credentials: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(proxy: &ProxyAddress) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap();
        let credentials = format!("linkfs:{}", proxy.password.expose());
        Client {
            stream: BufReader::new(stream),
            credentials: BASE64_STANDARD.encode(credentials),
        }
    }

    pub(crate) async fn get(&mut self, url: &str) -> Answer {
        self.ask("GET", url, "", "").await
    }

    /// Asks for a tunnel; its bytes follow when the answer is 200.
    pub(crate) async fn tunnel(&mut self, target: &str) -> Answer {
        self.ask("CONNECT", target, "", "").await
    }

    pub(crate) async fn ask(
        &mut self,
        method: &str,
        target: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let credentials = &self.credentials;
        let text = format!(
            "{method} {target} HTTP/1.1\r\nProxy-Authorization: Basic {credentials}\r\n{headers}\r\n{body}"
        );
        let (from, to) = tokio::io::split(&mut self.stream);
        // A body larger than the buffers on the way comes back while it is still being sent.
        let (sent, answer) = tokio::join!(send(to, text), receive(from, method == "CONNECT"));
        drop(sent);
        answer
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        assert!(self.stream.buffer().is_empty());
        self.stream.into_inner()
    }
}

/// A proxy that refuses the head closes before all of it was sent.
async fn send(mut to: impl AsyncWriteExt + Unpin, text: String) -> std::io::Result<()> {
    to.write_all(text.as_bytes()).await
}

async fn receive(from: impl AsyncReadExt + Unpin, is_tunnel: bool) -> Answer {
    let mut from = ByteReader(from);
    let head = from.until("\r\n\r\n").await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = head.to_lowercase();
    let length = lower
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let body = match length {
        _ if is_tunnel && status == 200 => String::new(),
        Some(length) => from.exactly(length.parse().unwrap()).await,
        None => from.chunks().await,
    };
    Answer { status, head, body }
}

/// Reads no further than it is asked to: what follows belongs to the next answer.
struct ByteReader<R>(R);

impl<R: AsyncReadExt + Unpin> ByteReader<R> {
    async fn until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            text.push(self.0.read_u8().await.expect("the answer goes on"));
        }
        String::from_utf8(text).unwrap()
    }

    async fn exactly(&mut self, count: usize) -> String {
        let mut text = vec![0; count];
        self.0.read_exact(&mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    async fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let size = self.until("\r\n").await;
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            body += &self.exactly(size).await;
            self.exactly(2).await;
            if size == 0 {
                return body;
            }
        }
    }
}
