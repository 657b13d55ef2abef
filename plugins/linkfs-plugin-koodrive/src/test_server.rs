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

pub(crate) const LIST: &str = "/koodrive/ose/v1/files/0";
pub(crate) const DOWNLOAD: &str = "/koodrive/ose/v1/files/download";
pub(crate) const LOGIN: &str = "/koodrive/ose/v1/auth/login";
pub(crate) const REFRESH: &str = "/koodrive/ose/v1/auth/refreshToken";
pub(crate) const SESSION_REFRESH: &str = "/koodrive/ose/v1/session/refresh";

/// A call as the server saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn authorization(&self) -> &str {
        self.header("authorization")
    }
}

/// A server that answers each call by `play` and remembers it.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) task: tokio::task::JoinHandle<()>,
    state: tempfile::TempDir,
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
            state: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn calls(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|call| call.path == path)
            .cloned()
            .collect()
    }

    pub(crate) async fn drive(&self, config: Value) -> Arc<dyn Provider> {
        self.drive_in(config, self.state.path()).await
    }

    pub(crate) async fn drive_in(&self, mut config: Value, state_dir: &Path) -> Arc<dyn Provider> {
        config["endpoint"] = json!(self.endpoint);
        if config.get("share").is_none() {
            config["space"] = json!("C1");
        }
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

pub(crate) async fn read(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body: Bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

pub(crate) fn answer(body: Value) -> Response {
    body.to_string().into_response()
}

pub(crate) fn refusal(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

pub(crate) fn unauthorized() -> Response {
    refusal(401, json!({"code": 401, "msg": "token expired"}))
}

pub(crate) fn empty_list() -> Response {
    answer(json!({"code": 0, "files": []}))
}

pub(crate) fn root() -> ItemId {
    ItemId::from("root")
}

pub(crate) fn token_mode() -> Value {
    json!({"token": "fake-token-1"})
}

pub(crate) fn carrier_mode() -> Value {
    json!({"auth_mode": "carrier", "carrier": "carrier-a", "account": "lin",
        "password": "fake-password"})
}

pub(crate) fn session_mode() -> Value {
    json!({"auth_mode": "session", "token": "fake-old", "session_id": "fake-session"})
}

pub(crate) fn session_info(access: &str, refresh: &str) -> Response {
    answer(
        json!({"code": 0, "data": {"sessionInfo": {"accessToken": format!("AT {access}"),
        "expiresIn": 1800, "issuedAt": "1767600550123", "refreshToken": refresh}}}),
    )
}
