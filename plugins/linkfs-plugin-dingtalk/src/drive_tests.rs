//! The drive's questions as a server sees them.

use std::time::Duration;

use linkfs_provider::{ErrorKind, ItemId};
use serde_json::json;

use crate::test_server::*;

#[tokio::test]
async fn a_listing_asks_as_documented() {
    let server = Server::start(|call| match call.query.contains("nextToken") {
        false => answer(json!({"dentries": [hello()], "nextToken": "bm+V4"})),
        true => empty_list(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    assert!(drive.about().lists_oldest_first);
    assert_eq!(drive.about().root, root());
    assert_eq!(drive.about().listing_ttl, Some(Duration::from_secs(300)));
    let page = drive.list(&root(), None).await.unwrap();
    assert_eq!(page.items[0].name, "hello.txt");
    let page = drive.list(&root(), page.next.as_ref()).await.unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let calls = server.calls(LIST);
    assert_eq!(calls[0].method, "GET");
    let first = "unionId=u%2FOwn&parentId=0&maxResults=50&orderBy=CREATE_TIME&order=ASC";
    assert_eq!(calls[0].query, first);
    assert_eq!(calls[1].query, format!("{first}&nextToken=bm%2BV4"));
}

#[tokio::test]
async fn a_chosen_folder_is_the_root() {
    let server = Server::start(|_| empty_list()).await;
    let mut config = token_mode();
    config["root"] = json!("55/00+x");
    let drive = server.drive(config).await;
    drive.list(&drive.about().root, None).await.unwrap();
    assert!(
        server.calls(LIST)[0]
            .query
            .contains("&parentId=55%2F00%2Bx&")
    );
}

#[tokio::test]
async fn one_item_is_looked_at_by_its_id() {
    let server = Server::start(|call| match call.path.strip_prefix(LIST) {
        Some("") => empty_list(),
        Some("/5521/query") => answer(json!({"dentry": hello()})),
        Some("/a%2Fb%2B/query") => {
            let mut dentry = hello();
            dentry["id"] = json!("a/b+");
            answer(json!({"dentry": dentry}))
        }
        Some("/gone/query") => {
            let mut dentry = hello();
            (dentry["id"], dentry["status"]) = (json!("gone"), json!("DELETED"));
            answer(json!({"dentry": dentry}))
        }
        Some("/other/query") => answer(json!({"dentry": hello()})),
        Some("/odd/query") => refusal(400, "paramError.dentryId", "bad id"),
        _ => refusal(404, "dentryNotExist", "file not found"),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let stat = async |id: &str| drive.stat(&id.into()).await;
    assert_eq!(stat("5521").await.unwrap().version.0, "2-13-1767323100000");
    assert_eq!(stat("a/b+").await.unwrap().id.as_str(), "a/b+");
    assert!(stat("0").await.unwrap().is_folder());
    assert!(server.calls(&format!("{LIST}/0/query")).is_empty());
    assert!(server.calls(LIST)[0].query.contains("maxResults=1&"));
    for (id, kind) in [
        ("gone", ErrorKind::NotFound),
        ("odd", ErrorKind::NotFound),
        ("never", ErrorKind::NotFound),
        ("other", ErrorKind::Broken),
        ("..", ErrorKind::Invalid),
    ] {
        assert_eq!(stat(id).await.unwrap_err().kind, kind, "{id}");
    }
    let call = &server.calls(&format!("{LIST}/5521/query"))[0];
    assert_eq!(
        (call.method.as_str(), call.query.as_str()),
        ("POST", "unionId=u%2FOwn")
    );
    assert_eq!(call.body, json!({"option": {"withThumbnail": false}}));
}

#[tokio::test]
async fn a_link_is_asked_for_in_the_version_that_was_shown() {
    let server = Server::start(|call| match call.path.as_str() {
        LIST => answer(json!({"dentries": [hello()]})),
        _ => download_info(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let file = [ItemId::from("5521")];
    drive.links(&file).await.remove(0).unwrap();
    drive.list(&root(), None).await.unwrap();
    let link = drive.links(&file).await.remove(0).unwrap();
    assert_eq!(link.valid_for, Duration::from_secs(900));
    let hosts: Vec<&str> = link.urls.iter().map(|url| url.host()).collect();
    assert_eq!(hosts, ["sg-a.example.test", "sg-b.example.test"]);
    assert_eq!(link.headers.len(), 2);
    let calls = server.calls(LINK);
    assert_eq!(calls[0].query, "unionId=u%2FOwn");
    assert_eq!(calls[0].body, json!({"option": {"preferIntranet": false}}));
    assert_eq!(
        calls[1].body,
        json!({"option": {"preferIntranet": false, "version": 2}})
    );
}

#[tokio::test]
async fn a_link_is_asked_for_in_the_version_that_an_earlier_process_has_shown() {
    let server = Server::start(|call| match call.path.as_str() {
        LIST => answer(json!({"dentries": [hello()]})),
        _ => download_info(),
    })
    .await;
    let earlier = server.drive(token_mode()).await;
    let page = earlier.list(&root(), None).await.unwrap();
    let drive = server.drive(token_mode()).await;
    drive.recall(&page.items);
    drive.links(&["5521".into()]).await.remove(0).unwrap();
    assert_eq!(
        server.calls(LINK)[0].body,
        json!({"option": {"preferIntranet": false, "version": 2}})
    );
    assert_eq!(server.calls(LIST).len(), 1);
}

#[tokio::test]
async fn a_version_that_is_gone_is_asked_for_as_it_is_now() {
    let server = Server::start(|call| match call.path.as_str() {
        LIST => answer(json!({"dentries": [hello()]})),
        _ if call.body["option"].get("version").is_some() => refusal(400, "paramError", "version"),
        _ => download_info(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    drive.list(&root(), None).await.unwrap();
    for _ in 0..2 {
        drive.links(&["5521".into()]).await.remove(0).unwrap();
    }
    assert_eq!(server.calls(LINK).len(), 3, "and then no more with it");
}

#[tokio::test]
async fn each_file_has_its_own_answer() {
    let server = Server::start(|call| match call.path.as_str() {
        LINK => download_info(),
        path if path.contains("/doc/") => refusal(400, "operationNotSupported", "no"),
        path if path.contains("/cold/") => refusal(400, "fileArchived", "thawing"),
        _ => refusal(404, "dentryNotExist", "no"),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    assert_eq!(drive.about().links_per_call, 1);
    let links = drive
        .links(&["doc", "5521", "cold", "gone"].map(ItemId::from))
        .await;
    let kinds: Vec<_> = links
        .iter()
        .map(|link| link.as_ref().err().map(|e| e.kind))
        .collect();
    let expected = [
        Some(ErrorKind::Unsupported),
        None,
        Some(ErrorKind::RateLimited),
        Some(ErrorKind::NotFound),
    ];
    assert_eq!(kinds, expected);
    let cold = links[2].as_ref().unwrap_err();
    assert_eq!(cold.retry_after, None);
    let words = "link file cold: the file is being thawed from the archive";
    assert!(cold.message.starts_with(words), "{cold}");
}

#[tokio::test]
async fn usage_is_that_of_the_space() {
    let server = Server::start(|_| {
        answer(json!({"space": {"id": "854001", "quota": 1, "usedQuota": 1, "partitions": [
            {"partitionType": "PUBLIC_OSS_PARTITION",
             "quota": {"type": "PRIVATE", "max": 107_374_182_400_u64, "used": 5_368_709_120_u64}}]}}))
    })
    .await;
    let usage = server.drive(token_mode()).await.usage().await.unwrap();
    assert_eq!(usage.total.unwrap().0, 107_374_182_400);
    assert_eq!(usage.used.0, 5_368_709_120);
    assert_eq!(server.calls(SPACE)[0].query, "unionId=u%2FOwn");
}
