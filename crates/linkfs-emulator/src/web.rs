use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use percent_encoding::percent_decode_str;

use crate::Content;
use crate::digest::sha256_hex;
use crate::gate::header_value;
use crate::mime::mime_of;
use crate::object_store::etag_condition_holds;
use crate::range::ByteRange;
use crate::refusal::unsatisfiable;
use crate::server::Server;

/// Bytes read from disk at a time.
const CHUNK: u64 = 256 * 1024;

/// A plain web server: the files of a folder, in ranges. No drive, but all that a plugin for one needs to lead
/// to. Dropping it closes its port and every connection.
#[derive(Debug)]
pub struct WebServer {
    address: SocketAddr,
    _server: Server,
}

impl WebServer {
    /// Serves the files below `root` on `address`. Symbolic links that lead out of it are not followed.
    ///
    /// # Errors
    /// When `root` is no folder, or the address cannot be bound.
    pub fn start_blocking(root: &Path, address: SocketAddr) -> io::Result<Self> {
        let root = root.canonicalize()?;
        if !root.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let listener = TcpListener::bind(address)?;
        let server = Server::new(2, "web-server")?;
        let address = listener.local_addr()?;
        let router = Router::new().fallback(respond).with_state(root);
        server.serve(listener, router)?;
        Ok(WebServer {
            address,
            _server: server,
        })
    }

    /// Its address, `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn respond(State(root): State<PathBuf>, request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n").into_response();
    }
    match find(&root, request.uri().path()) {
        Ok(found) => found.response(request.headers()),
        Err(_) => (StatusCode::NOT_FOUND, "there is no such file\n").into_response(),
    }
}

/// A file that can be sent.
struct Found {
    path: PathBuf,
    size: u64,
    etag: String,
}

fn find(root: &Path, url_path: &str) -> io::Result<Found> {
    let relative = percent_decode_str(url_path.trim_start_matches('/'));
    let relative = relative.decode_utf8().map_err(io::Error::other)?;
    let path = root.join(&*relative).canonicalize()?;
    let about = path.metadata()?;
    if !path.starts_with(root) || !about.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let modified = about.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    let nanos = modified.unwrap_or_default().as_nanos();
    let version = sha256_hex(format!("{nanos} {}", about.len()).as_bytes());
    Ok(Found {
        path,
        size: about.len(),
        etag: format!("\"{}\"", &version[..32]),
    })
}

impl Found {
    fn response(self, asked: &HeaderMap) -> Response {
        if !etag_condition_holds(asked, header::IF_MATCH, &self.etag) {
            return (StatusCode::PRECONDITION_FAILED, "the file has changed\n").into_response();
        }
        let is_current = etag_condition_holds(asked, header::IF_RANGE, &self.etag);
        let range = asked.get(header::RANGE).filter(|_| is_current);
        let range = ByteRange::parse(range.and_then(|range| range.to_str().ok()), self.size);
        if range == ByteRange::Unsatisfiable {
            return unsatisfiable(self.size);
        }
        let (first, length) = range.span(self.size);
        let mime = mime_of(&self.path.to_string_lossy());
        let etag = header_value(&self.etag);
        let size = self.size;
        let mut response = Response::new(self.body(first, length));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_LENGTH, length.into());
        headers.insert(header::CONTENT_TYPE, header_value(mime));
        headers.insert(header::ACCEPT_RANGES, header_value("bytes"));
        headers.insert(header::ETAG, etag);
        if let ByteRange::Part { first, last } = range {
            let text = format!("bytes {first}-{last}/{size}");
            headers.insert(header::CONTENT_RANGE, header_value(&text));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    }

    /// The bytes, read as they are sent.
    fn body(self, first: u64, length: u64) -> Body {
        let end = first + length;
        let content = Content::File {
            path: self.path,
            size: self.size,
        };
        let start = Some((content, first));
        Body::from_stream(stream::unfold(start, move |state| async move {
            let (content, at) = state?;
            let wanted = (end - at).min(CHUNK);
            if wanted == 0 {
                return None;
            }
            let length = usize::try_from(wanted).expect("a chunk fits memory");
            match content.read(at, length) {
                Ok(bytes) => Some((Ok(bytes), Some((content, at + wanted)))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn get(url: String, range: Option<&str>) -> (u16, Option<String>, String) {
        let mut request = reqwest::Client::new().get(url);
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let response = request.send().await.unwrap();
        let sent = response.headers().get(header::CONTENT_RANGE);
        let sent = sent.map(|text| text.to_str().unwrap().to_owned());
        (
            response.status().as_u16(),
            sent,
            response.text().await.unwrap(),
        )
    }

    #[tokio::test]
    async fn files_are_sent_whole_and_in_ranges_and_nothing_from_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("a folder")).unwrap();
        fs::write(root.join("a folder/b.txt"), "0123456789").unwrap();
        fs::write(outside.path().join("secret"), "no").unwrap();
        std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
        let server = WebServer::start_blocking(&root, SocketAddr::from(([127, 0, 0, 1], 0)));
        let server = server.unwrap();
        let url = |path: &str| format!("{}/{path}", server.endpoint());

        let whole = get(url("a%20folder/b.txt"), None).await;
        assert_eq!(whole, (200, None, "0123456789".to_owned()));
        let part = get(url("a%20folder/b.txt"), Some("bytes=3-5")).await;
        let sent = Some("bytes 3-5/10".to_owned());
        assert_eq!(part, (206, sent, "345".to_owned()));
        assert_eq!(get(url("a%20folder/b.txt"), Some("bytes=10-")).await.0, 416);
        for path in [
            "none",
            "a%20folder",
            "link",
            "..%2fsecret",
            "%2fetc/hostname",
        ] {
            assert_eq!(get(url(path), None).await.0, 404, "{path}");
        }
    }
}
