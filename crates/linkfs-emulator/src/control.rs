//! The control port: what the Rust API offers, over HTTP and JSON.
//!
//! | route | body | what it does |
//! | --- | --- | --- |
//! | `GET /counters` | | the counts since the start or the last reset |
//! | `POST /reset` | | counts from zero |
//! | `GET /faults` | | the rules, each with how often it has struck |
//! | `POST /faults` | a rule or an array of rules | adds rules |
//! | `DELETE /faults` | | removes all rules, releases held calls |
//! | `POST /release` | | releases held calls |
//! | `GET /clock` | | the drive's time |
//! | `POST /clock` | `{"advance_ms": n}` or `{"offset_ms": n}` | moves the clock |
//! | `POST /pacing` | fields of [`Pacing`](crate::Pacing) | sets latency and rate |
//! | `POST /links` | fields of [`LinkPolicy`](crate::LinkPolicy) | sets the life of new links |
//! | `POST /knobs` | fields of the drive's knobs | sets how the drive behaves |
//! | `POST /tree` | see below | changes the content |
//! | `GET /tree?path=/a/b` | | the id, size and revision of a file |
//! | `POST /revoke-links` | | refuses all links signed so far |
//! | `POST /expire-tokens` | | ends all tokens |
//!
//! A change of the tree is an object with `do`: `{"do": "add_file", "parent": ID, "name": N}` with
//! `"text": T` or `"size": BYTES` and `"seed": S`; `{"do": "add_folder", "parent": ID, "name": N}`;
//! `{"do": "replace", "id": ID}` with `text` or `size`; `{"do": "rename", "id": ID, "name": N}`;
//! `{"do": "move", "id": ID, "parent": ID}`; `{"do": "remove" | "restore" | "purge", "id": ID}`.
//! Wherever an id is asked for, a path that begins with `/` will do. The answer is `{"id": ID}`.
//!
//! Refusals are 400 with `{"error": TEXT}`, and then nothing has changed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Cloud, Content, Tree};

/// Takes over the named knobs, or says why not; each drive has knobs of its own.
pub(crate) type Merge = Box<dyn Fn(&Value) -> Result<(), String> + Send + Sync>;

/// What the control port of a drive acts on.
pub(crate) struct Controlled {
    pub(crate) cloud: Cloud,
    pub(crate) merge_knobs: Merge,
    pub(crate) expire_tokens: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Controlled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Controlled")
            .field("cloud", &self.cloud)
            .finish_non_exhaustive()
    }
}

type Port = State<Arc<Controlled>>;

pub(crate) fn router(controlled: Controlled) -> Router {
    Router::new()
        .route("/counters", get(counters))
        .route("/reset", post(reset))
        .route(
            "/faults",
            get(list_faults).post(add_faults).delete(clear_faults),
        )
        .route("/release", post(release))
        .route("/clock", get(read_clock).post(set_clock))
        .route("/pacing", post(set_pacing))
        .route("/links", post(set_links))
        .route("/knobs", post(set_knobs))
        .route("/tree", get(find).post(change_tree))
        .route("/revoke-links", post(revoke_links))
        .route("/expire-tokens", post(expire_tokens))
        .with_state(Arc::new(controlled))
}

async fn counters(State(port): Port) -> Response {
    Json(port.cloud.counters.snapshot()).into_response()
}

async fn reset(State(port): Port) -> Response {
    port.cloud.counters.reset();
    done()
}

async fn list_faults(State(port): Port) -> Response {
    let hits = port.cloud.faults.hits().into_iter();
    let rules = hits.map(|(rule, hits)| json!({"rule": rule, "hits": hits}));
    Json(Value::Array(rules.collect())).into_response()
}

async fn add_faults(State(port): Port, Json(rules): Json<Value>) -> Response {
    result(port.cloud.faults.add_json(rules))
}

async fn clear_faults(State(port): Port) -> Response {
    port.cloud.faults.clear();
    done()
}

async fn release(State(port): Port) -> Response {
    port.cloud.faults.release();
    done()
}

async fn read_clock(State(port): Port) -> Response {
    let clock = &port.cloud.clock;
    Json(json!({"now": clock.now().to_string(), "offset_ms": clock.offset_ms()})).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    advance_ms: Option<u64>,
    offset_ms: Option<i64>,
}

async fn set_clock(State(port): Port, Json(change): Json<Value>) -> Response {
    let change: ClockChange = match serde_json::from_value(change) {
        Ok(change) => change,
        Err(error) => return refused(&error.to_string()),
    };
    let clock = &port.cloud.clock;
    if let Some(offset_ms) = change.offset_ms {
        clock.set_offset_ms(offset_ms);
    }
    clock.advance(Duration::from_millis(change.advance_ms.unwrap_or_default()));
    done()
}

async fn set_pacing(State(port): Port, Json(changes): Json<Value>) -> Response {
    result(port.cloud.pacing.merge(&changes))
}

async fn set_links(State(port): Port, Json(changes): Json<Value>) -> Response {
    result(port.cloud.links.merge(&changes))
}

async fn set_knobs(State(port): Port, Json(changes): Json<Value>) -> Response {
    result((port.merge_knobs)(&changes))
}

async fn revoke_links(State(port): Port) -> Response {
    port.cloud.revoke_links();
    done()
}

async fn expire_tokens(State(port): Port) -> Response {
    (port.expire_tokens)();
    done()
}

#[derive(Deserialize)]
struct Find {
    path: String,
}

async fn find(State(port): Port, Query(find): Query<Find>) -> Response {
    let tree = &port.cloud.tree;
    let node = resolve(tree, &find.path).and_then(|id| tree.node(&id));
    match node {
        Some(node) => Json(json!({"id": node.id, "size": node.size(), "revision": node.revision}))
            .into_response(),
        None => refused("no such file or folder"),
    }
}

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum TreeChange {
    AddFolder {
        parent: String,
        name: String,
    },
    AddFile {
        parent: String,
        name: String,
        text: Option<String>,
        size: Option<u64>,
        seed: Option<u64>,
    },
    Replace {
        id: String,
        text: Option<String>,
        size: Option<u64>,
    },
    Rename {
        id: String,
        name: String,
    },
    Move {
        id: String,
        parent: String,
    },
    Remove {
        id: String,
    },
    Restore {
        id: String,
    },
    Purge {
        id: String,
    },
}

async fn change_tree(State(port): Port, Json(change): Json<Value>) -> Response {
    let change = match serde_json::from_value(change) {
        Ok(change) => change,
        Err(error) => return refused(&error.to_string()),
    };
    match apply(&port.cloud.tree, change) {
        Some(id) => Json(json!({"id": id})).into_response(),
        None => refused("no such file or folder"),
    }
}

fn apply(tree: &Tree, change: TreeChange) -> Option<String> {
    let target = |id: &str| resolve(tree, id);
    match change {
        TreeChange::AddFolder { parent, name } => Some(tree.add_folder(&target(&parent)?, &name)),
        TreeChange::AddFile {
            parent,
            name,
            text,
            size,
            seed,
        } => {
            let content = match text {
                Some(text) => Content::from(text.as_str()),
                None => Content::Generated {
                    seed: seed.unwrap_or(1),
                    size: size.unwrap_or(0),
                },
            };
            Some(tree.add_file(&target(&parent)?, &name, content))
        }
        TreeChange::Replace { id, text, size } => {
            let id = target(&id)?;
            let done = match text {
                Some(text) => tree.replace_content(&id, text.as_str()),
                None => tree.replace_generated(&id, size.unwrap_or(tree.node(&id)?.size())),
            };
            done.then_some(id)
        }
        TreeChange::Rename { id, name } => with(target(&id)?, |id| tree.rename(id, &name)),
        TreeChange::Move { id, parent } => {
            let parent = target(&parent)?;
            with(target(&id)?, |id| tree.move_to(id, &parent))
        }
        TreeChange::Remove { id } => with(target(&id)?, |id| tree.remove(id)),
        TreeChange::Restore { id } => with(target(&id)?, |id| tree.restore(id)),
        TreeChange::Purge { id } => with(target(&id)?, |id| tree.purge(id)),
    }
}

fn with(id: String, change: impl FnOnce(&str) -> bool) -> Option<String> {
    change(&id).then_some(id)
}

fn resolve(tree: &Tree, id: &str) -> Option<String> {
    if id.starts_with('/') {
        return tree.id_at(id);
    }
    tree.node(id).map(|node| node.id.clone())
}

fn done() -> Response {
    Json(json!({})).into_response()
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

fn result(result: Result<(), String>) -> Response {
    match result {
        Ok(()) => done(),
        Err(error) => refused(&error),
    }
}
