//! A server on the loopback that plays a given part, and drives opened on it.

use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use linkfs_provider::{ItemId, Provider, Secret, Settings};
use serde_json::{Value, json};

pub(crate) const LOGIN: &str = "/v1.0/oauth2/accessToken";
pub(crate) const SPACE: &str = "/v1.0/storage/spaces/854001";
pub(crate) const LIST: &str = "/v1.0/storage/spaces/854001/dentries";
pub(crate) const LINK: &str = "/v1.0/storage/spaces/854001/dentries/5521/downloadInfos/query";

/// A call as the server saw it; the path as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn token(&self) -> &str {
        self.header("x-acs-dingtalk-access-token")
    }
}

/// A server that answers each call by `play` and remembers it.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    seen: Arc<Mutex<Vec<Seen>>>,
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

    pub(crate) async fn drive(&self, config: Value) -> Arc<dyn Provider> {
        let state_dir = tempfile::tempdir().unwrap();
        self.drive_in(config, state_dir.path()).await
    }

    pub(crate) async fn drive_in(&self, mut config: Value, state_dir: &Path) -> Arc<dyn Provider> {
        config["endpoint"] = json!(self.endpoint);
        config["space"] = json!("854001");
        config["union_id"] = json!("u/Own");
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
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or("").to_owned(),
        headers: parts.headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
    }
}

pub(crate) fn answer(body: Value) -> Response {
    body.to_string().into_response()
}

pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = json!({"code": code, "requestid": "7A1C-40", "message": message});
    (StatusCode::from_u16(status).unwrap(), body.to_string()).into_response()
}

/// What a bad token gets: no 401.
pub(crate) fn bad_token() -> Response {
    refusal(400, "InvalidAuthentication", "invalid access_token")
}

pub(crate) fn new_token(token: &str, seconds: u64) -> Response {
    answer(json!({"accessToken": token, "expireIn": seconds}))
}

pub(crate) fn empty_list() -> Response {
    answer(json!({"dentries": [], "nextToken": ""}))
}

pub(crate) fn hello() -> Value {
    json!({"id": "5521", "spaceId": "854001", "parentId": "0", "type": "FILE", "name": "hello.txt",
        "extension": "txt", "size": 13, "version": 2, "status": "NORMAL",
        "storageDriver": "DINGTALK", "createTime": "Fri Jan 02 11:05:00 CST 2026",
        "modifiedTime": "2026-01-02T03:05:00Z"})
}

pub(crate) fn download_info() -> Response {
    answer(
        json!({"protocol": "HEADER_SIGNATURE", "headerSignatureInfo": {
        "resourceUrls": ["https://sg-a.example.test/y/1", "https://sg-b.example.test/y/1"],
        "headers": {"Authorization": "OSS AKEX:fake-signature",
            "x-oss-date": "Mon, 05 Jan 2026 08:09:10 GMT"},
        "expirationSeconds": 900, "region": "SINGAPORE", "internalResourceUrls": []}}),
    )
}

pub(crate) fn root() -> ItemId {
    ItemId::from("0")
}

pub(crate) fn token_mode() -> Value {
    json!({"token": "fake-token-1"})
}

pub(crate) fn app_mode() -> Value {
    json!({"app_key": "ding1", "app_secret": "fake-app-secret"})
}

pub(crate) fn corp_mode() -> Value {
    json!({"corp_id": "dingc0ffee", "client_id": "ding1", "client_secret": "fake-client-secret"})
}
