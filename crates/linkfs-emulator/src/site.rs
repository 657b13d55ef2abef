//! A drive's files as a plain web site, with indexes and without signatures: for clients that know no drive.

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::clock::http_date;
use crate::connection::Connection;
use crate::gate::header_value;
use crate::object_store::{ObjectStore, Visit};
use crate::{Node, Tree};

#[derive(Clone)]
struct Site {
    tree: Tree,
    store: ObjectStore,
}

/// Serves the files of `tree` as `store` would: as slowly, and counted with the rest.
pub(crate) fn router(tree: Tree, store: ObjectStore) -> Router {
    Router::new()
        .fallback(respond)
        .with_state(Site { tree, store })
}

async fn respond(
    State(site): State<Site>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let Some(id) = site.tree.id_at(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let file = site.tree.node(&id).filter(|node| !node.is_folder());
    match (file, request.method()) {
        (None, &Method::GET | &Method::HEAD) => Html(index(&site.tree, &id)).into_response(),
        (Some(file), &Method::HEAD) => head(&file),
        (Some(file), &Method::GET) => {
            let visit = Visit {
                port: "site",
                key: &site.store.follow(&file.id),
                connection,
            };
            site.store.answer(visit, request, |_| None).await
        }
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

fn index(tree: &Tree, folder: &str) -> String {
    let children = tree.children(folder).into_iter();
    let lines = children.filter(|node| !node.recycled).map(|node| {
        let name = utf8_percent_encode(&node.name, NON_ALPHANUMERIC);
        let end = if node.is_folder() { "/" } else { "" };
        format!("<a href=\"{name}{end}\">{name}{end}</a>\n")
    });
    format!("<!DOCTYPE html>\n{}", lines.collect::<String>())
}

fn head(file: &Node) -> Response {
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, file.size().into());
    headers.insert(header::ACCEPT_RANGES, header_value("bytes"));
    let modified = header_value(&http_date(file.modified));
    headers.insert(header::LAST_MODIFIED, modified);
    response
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use crate::koodrive::{Emulator, Options};
    use crate::{ROOT_ID, Tree};

    #[tokio::test]
    async fn files_are_found_by_indexes_and_read_in_ranges() {
        let tree = Tree::new();
        let folder = tree.add_folder(ROOT_ID, "a folder");
        tree.add_file(&folder, "50 %?.txt", b"0123456789".to_vec());
        let emulator = Emulator::start(Options::with_tree(tree)).await.unwrap();
        let site = emulator.serve_site().unwrap();
        let client = reqwest::Client::new();
        let get = async |path: &str| {
            let answer = client.get(format!("{site}/{path}")).send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (_, top) = get("").await;
        assert!(top.contains("<a href=\"a%20folder/\">"), "{top}");
        let (_, inside) = get("a%20folder/").await;
        assert!(
            inside.contains("<a href=\"50%20%25%3F%2Etxt\">"),
            "{inside}"
        );
        let path = "a%20folder/50%20%25%3F%2Etxt";
        assert_eq!(get(path).await, (200, "0123456789".to_owned()));
        assert_eq!(get("none").await.0, 404);

        let url = format!("{site}/{path}");
        let part = client.get(&url).header("range", "bytes=3-5");
        let part = part.send().await.unwrap();
        assert_eq!(
            (part.status().as_u16(), part.text().await.unwrap()),
            (206, "345".to_owned())
        );
        let head = client.head(&url).send().await.unwrap();
        let length = HeaderValue::from_static("10");
        assert_eq!(head.headers().get("content-length"), Some(&length));
        assert_eq!(emulator.counters().snapshot().data_bytes, 13);
    }
}
