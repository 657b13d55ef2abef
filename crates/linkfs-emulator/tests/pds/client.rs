use linkfs_emulator::pds::{Credentials, Emulator, Options, file_id};
use linkfs_emulator::{ROOT_ID, Tree};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

pub(crate) const SIZE: u64 = 300_000;
pub(crate) const SEED: u64 = 42;

/// A drive with one generated file, `a.bin`, and a client that follows no redirect.
pub(crate) struct Drive {
    pub(crate) emulator: Emulator,
    pub(crate) client: Client,
    /// The tree's id of the file.
    pub(crate) file: String,
}

impl Drive {
    pub(crate) fn start() -> Self {
        Self::start_with(Credentials::default())
    }

    pub(crate) fn start_with(credentials: Credentials) -> Self {
        let tree = Tree::new();
        let file = tree.add_generated(ROOT_ID, "a.bin", SEED, SIZE);
        Self {
            emulator: Emulator::start_blocking(Options {
                credentials,
                ..Options::with_tree(tree)
            })
            .unwrap(),
            client: Client::builder().redirect(Policy::none()).build().unwrap(),
            file,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v2/{path}", self.emulator.endpoint())
    }

    pub(crate) async fn post_as(&self, token: &str, path: &str, body: Value) -> Response {
        let request = self.client.post(self.url(path)).bearer_auth(token);
        request.json(&body).send().await.unwrap()
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        self.post_as(self.emulator.token(), path, body).await
    }

    pub(crate) async fn call(&self, path: &str, body: Value) -> Value {
        let response = self.post(path, body).await;
        assert!(response.status().is_success(), "{path}: {response:?}");
        response.json().await.unwrap()
    }

    /// Status and code of a refusal.
    pub(crate) async fn refusal(&self, path: &str, body: Value) -> (u16, String) {
        refusal(self.post(path, body).await).await
    }

    /// The names on a page, and the marker of the next.
    pub(crate) async fn page(&self, limit: usize, marker: &str) -> (Vec<String>, String) {
        let body = json!({"drive_id": "1", "parent_file_id": "root", "limit": limit,
            "marker": marker});
        let page = self.call("file/list", body).await;
        let marker = page["next_marker"].as_str().unwrap_or_default().to_owned();
        (names(&page), marker)
    }

    /// The body of a call about the one file.
    pub(crate) fn about(&self) -> Value {
        json!({"drive_id": "1", "file_id": file_id(&self.file)})
    }

    pub(crate) async fn links(&self) -> Value {
        self.call("file/get_download_url", self.about()).await
    }

    pub(crate) async fn link(&self) -> String {
        self.links().await["url"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn range(&self, url: &str, range: &str) -> Response {
        let request = self.client.get(url).header("Range", range);
        request.send().await.unwrap()
    }

    pub(crate) async fn form(&self, fields: &[(&str, &str)]) -> Response {
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", value.replace(':', "%3A")))
            .collect();
        let request = self.client.post(self.url("oauth/token"));
        let kind = "application/x-www-form-urlencoded";
        let request = request.header("Content-Type", kind).body(pairs.join("&"));
        request.send().await.unwrap()
    }
}

pub(crate) async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["code"].as_str().unwrap().to_owned())
}

pub(crate) fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["name"].as_str().unwrap().to_owned())
        .collect()
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    let value = response.headers().get(name);
    value.map_or("", |value| value.to_str().unwrap())
}

/// The true bytes of the generated file.
pub(crate) fn bytes(offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    linkfs_emulator::generated_bytes(SEED, offset, &mut buffer);
    buffer
}
