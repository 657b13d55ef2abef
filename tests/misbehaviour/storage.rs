use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use linkfs_emulator::generated_bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The server of the files' bytes: it gives ranges to whoever has a link that still holds.
pub(crate) struct Storage {
    address: SocketAddr,
    size: u64,
    /// The server ends with it.
    _runtime: Runtime,
}

impl Storage {
    /// A server whose files are `size` bytes long.
    pub(crate) fn start(size: u64) -> Storage {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime starts");
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)));
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let routes = Router::new().route("/{file}", axum::routing::get(serve));
        let served = axum::serve(listener, routes.with_state(size));
        runtime.spawn(async move { served.await });
        Storage {
            address,
            size,
            _runtime: runtime,
        }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All bytes of a file.
    pub(crate) fn bytes(&self, file: u64) -> Vec<u8> {
        content(&format!("file-{file}"), 0, self.size as usize)
    }
}

/// Each file has bytes of its own.
fn content(file: &str, offset: u64, length: usize) -> Vec<u8> {
    let seed = file.bytes().map(u64::from);
    let seed = seed.fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte));
    let mut bytes = vec![0; length];
    generated_bytes(seed, offset, &mut bytes);
    bytes
}

async fn serve(
    Path(file): Path<String>,
    Query(query): Query<Value>,
    State(size): State<u64>,
    headers: HeaderMap,
) -> Response {
    // What is not one of the listed files has another length.
    let size = match file.starts_with("file-") {
        true => size,
        false => size + 1000,
    };
    let until = query["until"].as_str().and_then(|until| until.parse().ok());
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.expect("a time after 1970").as_millis();
    if until.is_none_or(|until: u128| until < now) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let range = headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().ok());
    let Some((first, last)) = range.and_then(|range| bounds(range, size)) else {
        return StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    };
    let length = (last - first + 1) as usize;
    Response::builder()
        .status(StatusCode::PARTIAL_CONTENT)
        .header(
            header::CONTENT_RANGE,
            format!("bytes {first}-{last}/{size}"),
        )
        .header(header::ETAG, format!("\"{file}\""))
        .body(Body::from(content(&file, first, length)))
        .expect("a right answer")
}

fn bounds(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = last.parse().unwrap_or(u64::MAX).min(size - 1);
    (first <= last).then_some((first, last))
}
