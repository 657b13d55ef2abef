//! A plain HTTP client of the emulated KooDrive, for the tests of this folder.

#![allow(dead_code, reason = "no test file uses all of it")]

use linkfs_emulator::koodrive::{Emulator, Options};
use linkfs_emulator::{ROOT_ID, Tree};
use reqwest::{Client, Response};
use serde_json::{Value, json};

pub(crate) struct Drive {
    pub(crate) emulator: Emulator,
    pub(crate) client: Client,
    pub(crate) file: String,
}

pub(crate) const SIZE: u64 = 300_000;
pub(crate) const SEED: u64 = 42;

/// A drive with one generated file, `a.bin`.
pub(crate) async fn drive() -> Drive {
    drive_with(Options::default()).await
}

pub(crate) async fn drive_with(options: Options) -> Drive {
    let tree = Tree::new();
    let file = tree.add_generated(ROOT_ID, "a.bin", SEED, SIZE);
    let options = Options { tree, ..options };
    Drive {
        emulator: Emulator::start(options).await.unwrap(),
        client: Client::new(),
        file,
    }
}

impl Drive {
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/koodrive/ose/{path}", self.emulator.endpoint())
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Response {
        let bearer = format!("Bearer {}", self.emulator.token());
        let request = self
            .client
            .post(self.url(path))
            .header("Authorization", bearer);
        request.json(&body).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let bearer = format!("Bearer {}", self.emulator.token());
        let request = self
            .client
            .get(self.url(path))
            .header("Authorization", bearer);
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(crate) async fn call(&self, path: &str, body: Value) -> Value {
        self.post(path, body).await.json().await.unwrap()
    }

    pub(crate) async fn page(&self, folder: &str, size: usize, cursor: &str) -> Value {
        let body = json!({"containerId": self.emulator.space(), "parentFileId": folder,
            "pageInfo": {"pageSize": size, "pageCursor": cursor}});
        self.call("v1/files/0", body).await
    }

    pub(crate) async fn download(&self, ids: &[&str]) -> Value {
        let body = json!({"containerId": self.emulator.space(), "fileIds": ids});
        self.call("v1/files/download", body).await
    }

    /// A link to the one file.
    pub(crate) async fn link(&self) -> String {
        let answer = self.download(&[&self.file]).await;
        answer["downloads"][0]["url"]
            .as_str()
            .expect("a link")
            .to_owned()
    }

    pub(crate) async fn range(&self, url: &str, range: &str) -> reqwest::Result<Response> {
        self.client.get(url).header("Range", range).send().await
    }
}

pub(crate) fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

/// The true bytes of the generated file.
pub(crate) fn bytes(offset: u64, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; length];
    linkfs_emulator::generated_bytes(SEED, offset, &mut buffer);
    buffer
}
