use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::connection::Connection;
use crate::object_store::{ObjectStore, Visit};
use crate::refusal::Refusal;

/// Another host that data ports may redirect to. It gives files to everybody, signed headers or
/// not, and writes down what came. Clones share what was written.
#[derive(Clone, Debug)]
pub struct RedirectTarget {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

/// One request that came to the redirect target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl RedirectTarget {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            received: Arc::default(),
        }
    }

    pub(crate) fn router(&self, store: ObjectStore) -> Router {
        Router::new()
            .fallback(serve)
            .with_state((self.clone(), store))
    }

    /// `http://127.0.0.2:PORT`: another host than those of links, not only another port.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it gives the content of a file, for [`Action::Redirect`](crate::Action::Redirect).
    pub fn url_of(&self, file: &str) -> String {
        let file = utf8_percent_encode(file, NON_ALPHANUMERIC);
        format!("{}/{file}", self.endpoint())
    }

    /// What came so far, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("redirect lock").clone()
    }

    /// How many requests came with a header of this name.
    pub fn requests_with(&self, header: &str) -> usize {
        let received = self.received();
        let has = |request: &&Received| {
            request
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case(header))
        };
        received.iter().filter(has).count()
    }

    fn note(&self, request: &Request) {
        let headers = request.headers().iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            (name.as_str().to_owned(), value.into_owned())
        });
        let received = Received {
            method: request.method().to_string(),
            target: request.uri().to_string(),
            headers: headers.collect(),
        };
        self.received.lock().expect("redirect lock").push(received);
    }
}

async fn serve(
    State((target, store)): State<(RedirectTarget, ObjectStore)>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    target.note(&request);
    let path = request.uri().path().trim_start_matches('/');
    let file = percent_decode_str(path).decode_utf8_lossy();
    let visit = Visit {
        port: "redirect",
        key: &store.follow(&file),
        connection,
    };
    let admit = |_: &Request| -> Option<Refusal> { None };
    store.answer(visit, request, admit).await
}
