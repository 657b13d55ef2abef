//! A server on the loopback that plays a given part, and drives opened on it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use linkfs_provider::{ItemId, Provider, Secret, Settings};
use serde_json::{Value, json};

pub(crate) const LIST: &str = "/v2/file/list";
pub(crate) const GET: &str = "/v2/file/get";
pub(crate) const DOWNLOAD: &str = "/v2/file/get_download_url";
pub(crate) const TOKEN: &str = "/v2/oauth/token";

/// A call as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    /// As sent; a form stays text.
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn authorization(&self) -> &str {
        self.header("authorization")
    }

    /// A field of a form, as sent.
    pub(crate) fn form(&self, name: &str) -> &str {
        let mut pairs = self.text.split('&').filter_map(|pair| pair.split_once('='));
        let found = pairs.find_map(|(key, value)| (key == name).then_some(value));
        found.unwrap_or("")
    }
}

/// A server that answers each call by `play` and remembers it.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(
        play: impl Fn(&Seen) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let remembered = seen.clone();
        let answer = async move |request: Request| {
            let call = read(request).await;
            remembered.lock().unwrap().push(call.clone());
            play(&call)
        };
        let router = Router::new().fallback(answer);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Server {
            endpoint,
            seen,
            task,
        }
    }

    pub(crate) fn calls(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        let calls = seen.iter().filter(|call| call.path == path);
        calls.cloned().collect()
    }

    /// A drive with a ready token, which keeps nothing.
    pub(crate) async fn drive(&self) -> Arc<dyn Provider> {
        let config = json!({"auth_mode": "token", "token": "fake-token-1"});
        self.drive_in(config, Path::new("/nonexistent/linkfs"))
            .await
    }

    pub(crate) async fn drive_in(&self, mut config: Value, state_dir: &Path) -> Arc<dyn Provider> {
        config["endpoint"] = json!(self.endpoint);
        config["drive"] = json!("1");
        let Value::Object(config) = config else {
            unreachable!("indexed above")
        };
        let settings = Settings {
            config: Secret::new(config),
            state_dir: state_dir.to_owned(),
        };
        (crate::PLUGIN.open)(settings).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        path: parts.uri.path().to_owned(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&body).into_owned(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

/// A login service whose refresh tokens work once: `fake-r0` buys `fake-a1` and `fake-r1`, that the
/// next pair, and so on. Only the newest access token is taken.
#[derive(Clone, Default)]
pub(crate) struct Rotation(Arc<Mutex<u32>>);

impl Rotation {
    /// How many pairs were sold.
    pub(crate) fn count(&self) -> u32 {
        *self.0.lock().unwrap()
    }

    pub(crate) fn sell(&self, call: &Seen) -> Response {
        let mut count = self.0.lock().unwrap();
        if call.form("refresh_token") != format!("fake-r{count}") {
            let said =
                json!({"code": "RefreshTokenExpired", "message": "refresh token is expired"});
            return refusal(401, said);
        }
        *count += 1;
        tokens(*count, 7200)
    }

    pub(crate) fn takes(&self, call: &Seen) -> bool {
        call.authorization() == format!("Bearer fake-a{}", self.count())
    }

    /// The whole drive: its login, and empty folders.
    pub(crate) fn play(&self, call: &Seen) -> Response {
        match call.path.as_str() {
            TOKEN => self.sell(call),
            _ if self.takes(call) => empty_list(),
            _ => expired(),
        }
    }
}

pub(crate) fn tokens(number: u32, expires_in: u64) -> Response {
    answer(
        json!({"access_token": format!("fake-a{number}"), "token_type": "Bearer",
        "refresh_token": format!("fake-r{number}"), "expires_in": expires_in}),
    )
}

pub(crate) fn answer(body: Value) -> Response {
    body.to_string().into_response()
}

pub(crate) fn refusal(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

pub(crate) fn expired() -> Response {
    let said = json!({"code": "AccessTokenExpired", "message": "AccessToken is expired"});
    refusal(401, said)
}

pub(crate) fn empty_list() -> Response {
    answer(json!({"items": [], "next_marker": ""}))
}

pub(crate) fn root() -> ItemId {
    ItemId::from("root")
}

pub(crate) fn refresh_mode() -> Value {
    json!({"client_id": "App1", "client_secret": "fake-secret", "refresh_token": "fake-r0"})
}
