//! The drive's questions as a server sees them.

use std::time::Duration;

use axum::response::IntoResponse;
use linkfs_provider::{ErrorKind, ItemId};
use serde_json::{Value, json};

use crate::test_server::*;

#[tokio::test]
async fn a_listing_asks_as_documented() {
    let server = Server::start(|_| {
        answer(json!({"code": 0, "nextCursor": "c2", "files": [
            {"id": "F1", "fileName": "a", "fileType": "45", "size": "7"}]}))
    })
    .await;
    let drive = server
        .drive(json!({"token": "fake-token-1", "language": "zh-CN"}))
        .await;
    let page = drive.list(&root(), None).await.unwrap();
    assert_eq!(page.items[0].size().0, 7);
    drive.list(&root(), page.next.as_ref()).await.unwrap_err();
    let calls = server.calls(LIST);
    assert_eq!(calls[0].authorization(), "Bearer fake-token-1");
    assert_eq!(calls[0].header("language"), "zh-CN");
    assert_eq!(calls[0].header("content-type"), "application/json");
    assert_eq!(calls[0].header("x-user-id"), "");
    assert_eq!(
        calls[0].body,
        json!({"containerId": "C1", "parentFileId": "root", "pageInfo": {"pageSize": 100},
            "sortInfo": {"sortType": 3, "sortDirection": 1}})
    );
    assert_eq!(
        calls[1].body["pageInfo"],
        json!({"pageSize": 100, "pageCursor": "c2"})
    );
}

#[tokio::test]
async fn a_smart_folder_that_cannot_be_listed_is_empty_also_to_a_process_that_has_not_shown_it() {
    let refused = || refusal(400, json!({"code": 13000102, "msg": "invalid parameter"}));
    let server = Server::start(move |call| match call.path.as_str() {
        "/koodrive/ose/v1/files/S1/detail" => answer(json!({"code": 0,
            "id": "S1", "fileName": "smart", "fileType": "11"})),
        "/koodrive/ose/v1/files/D1/detail" => answer(json!({"code": 0,
            "id": "D1", "fileName": "plain", "fileType": "10"})),
        _ => refused(),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let listed = drive.list(&"S1".into(), None).await.unwrap();
    assert!(listed.items.is_empty());
    let error = drive.list(&"D1".into(), None).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
}

#[tokio::test]
async fn a_team_space_is_listed_through_its_group() {
    let server = Server::start(|_| empty_list()).await;
    let config = json!({"token": "fake", "group": "g-55", "team_type": 2, "user_id": "u-1"});
    server
        .drive(config)
        .await
        .list(&root(), None)
        .await
        .unwrap();
    let call = &server.calls("/koodrive/ose/v1/files/g-55/0")[0];
    assert_eq!(call.query, "team_type=2");
    assert_eq!(call.header("x-user-id"), "u-1");
    assert_eq!(call.header("x-date").len(), 16);
}

#[tokio::test]
async fn one_item_is_looked_at_by_its_id() {
    let server = Server::start(|call| match call.path.as_str() {
        "/koodrive/ose/v1/files/Fq2Plan/detail" => answer(json!({"code": 0, "id": "Fq2Plan",
            "fileName": "plan.pdf", "fileType": "45", "size": 184320})),
        "/koodrive/ose/v1/files/FqBin/detail" => answer(json!({"data": {"id": "FqBin",
            "fileName": "x", "fileType": "45", "size": 1, "recycled": true}})),
        LIST => empty_list(),
        _ => answer(json!({"code": 13000309, "msg": "resource does not exist"})),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let stat = async |id: &str| drive.stat(&id.into()).await;
    assert_eq!(stat("Fq2Plan").await.unwrap().name, "plan.pdf");
    assert!(stat("root").await.unwrap().is_folder());
    assert_eq!(stat("FqBin").await.unwrap_err().kind, ErrorKind::NotFound);
    let gone = stat("FqGone").await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    assert_eq!(
        gone.message,
        "look at item FqGone: code 13000309: resource does not exist"
    );
}

#[tokio::test]
async fn links_come_in_the_order_asked() {
    let server = Server::start(|call| {
        let ids = call.body["fileIds"].as_array().unwrap().iter().rev();
        let downloads: Vec<Value> = ids
            .map(|id| json!({"fileId": id, "code": "0", "url": format!("https://{}/x", id.as_str().unwrap())}))
            .collect();
        answer(json!({"code": 0, "batchCode": 2, "downloads": downloads}))
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let ids = ["b", "a", "b"].map(ItemId::from);
    let links = drive.links(&ids).await;
    let hosts: Vec<&str> = links
        .iter()
        .map(|link| link.as_ref().unwrap().urls[0].host())
        .collect();
    assert_eq!(hosts, ["b", "a", "b"]);
    assert_eq!(server.calls(DOWNLOAD).len(), 1);
}

#[tokio::test]
async fn an_id_missing_from_a_batch_is_asked_for_once_more_alone() {
    let server = Server::start(|call| {
        let ids = call.body["fileIds"].as_array().unwrap();
        let mut downloads = vec![];
        let mut mention = |id: &str| {
            downloads.push(json!({"fileId": id, "code": "0", "url": "https://h/x"}));
        };
        if ids.contains(&json!("a")) {
            mention("a");
        }
        if ids.as_slice() == [json!("late")] {
            mention("late");
        }
        answer(json!({"code": 0, "downloads": downloads}))
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let links = drive.links(&["a", "late", "never"].map(ItemId::from)).await;
    assert!(links[0].is_ok() && links[1].is_ok());
    let never = links[2].as_ref().unwrap_err();
    assert_eq!(never.kind, ErrorKind::Broken);
    assert_eq!(server.calls(DOWNLOAD).len(), 3);
}

#[tokio::test]
async fn an_answer_that_mentions_none_of_the_files_is_not_asked_about_one_by_one() {
    let server = Server::start(|_| answer(json!({"code": 0, "downloads": []}))).await;
    let drive = server.drive(token_mode()).await;
    let ids: Vec<ItemId> = (0..100).map(|id| ItemId(id.to_string())).collect();
    let links = drive.links(&ids).await;
    let kinds: Vec<ErrorKind> = links
        .into_iter()
        .map(|link| link.unwrap_err().kind)
        .collect();
    assert_eq!(kinds, [ErrorKind::Broken; 100]);
    assert_eq!(server.calls(DOWNLOAD).len(), 1);
}

#[tokio::test]
async fn when_the_whole_call_fails_every_link_is_that_failure() {
    let server = Server::start(|_| refusal(503, json!({}))).await;
    let drive = server.drive(token_mode()).await;
    let links = drive.links(&["a", "b"].map(ItemId::from)).await;
    for link in links {
        assert_eq!(link.unwrap_err().kind, ErrorKind::Unavailable);
    }
    assert_eq!(server.calls(DOWNLOAD).len(), 1);
}

#[tokio::test]
async fn link_life_is_measured_by_the_drives_clock() {
    let server = Server::start(|_| {
        let url = "https://h/x?X-Amz-Date=20300105T080910Z&X-Amz-Expires=3600";
        let body = json!({"downloads": [{"fileId": "a", "code": "0", "url": url}]});
        (
            [("date", "Sat, 05 Jan 2030 08:19:10 GMT")],
            body.to_string(),
        )
            .into_response()
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let link = drive.links(&["a".into()]).await.remove(0).unwrap();
    let expected = Duration::from_secs(3000);
    assert!(link.valid_for <= expected && link.valid_for > expected - Duration::from_secs(30));
}

#[tokio::test]
async fn usage_is_that_of_the_space() {
    let server = Server::start(|call| match call.path.as_str() {
        "/koodrive/ose/v1/space/container/C1" => answer(json!({"code": 0, "data": {
            "type": "1", "containerId": "C1", "capacity": "20", "spaceUsed": "5242880"}})),
        _ => unauthorized(),
    })
    .await;
    let usage = server.drive(token_mode()).await.usage().await.unwrap();
    assert_eq!(usage.total.unwrap().0, 20 << 30);
    assert_eq!(usage.used.0, 5 << 30);
}
