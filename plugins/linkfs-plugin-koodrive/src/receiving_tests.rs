//! Visits of somebody's share as a server sees them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::response::Response;
use linkfs_provider::{
    ErrorKind, ItemId, Provider, ProviderError, Received, Receiving, Secret, TaskId, TaskState,
};
use serde_json::{Value, json};

use crate::test_server::*;

const VISIT: &str = "/koodrive/ose/v1/share/visit";
const VERIFY: &str = "/koodrive/ose/v1/share/verify";
const FILES: &str = "/koodrive/ose/v1/share/files";
const TASKS: &str = "/koodrive/ose/v1/share/tasks";
const TASK: &str = "/koodrive/ose/v1/share/taskDetail";

const CODE: &str = "Zx81kk02";
const ADDRESS: &str = "https://console.example.test/cloudfile/#/sharelink/i/aB3dE5";

/// A share of a folder and a file, which asks for its code.
#[derive(Clone, Default)]
struct Shared {
    /// Whether the tokens given so far are worth nothing.
    is_stale: Arc<AtomicBool>,
}

impl Shared {
    fn play(&self, call: &Seen) -> Response {
        let is_admitted = call.body["kdstoken"] == "fake-kds-1"
            && !self.is_stale.load(Ordering::Relaxed)
            || call.body["kdstoken"] == "fake-kds-2";
        match call.path.as_str() {
            VISIT if call.query == "shortUrl=aB3dE5" => answer(json!({"code": 0,
                "data": {"shareId": "7", "needExtractCode": true, "status": 0}})),
            VISIT => answer(json!({"code": 0, "data": {"shareId": "6", "status": 3}})),
            VERIFY if call.body["extractCode"] != CODE => {
                let said = format!("{} is wrong", call.body["extractCode"]);
                answer(json!({"code": 13_000_102, "msg": said}))
            }
            VERIFY => {
                let token = if self.is_stale.load(Ordering::Relaxed) {
                    2
                } else {
                    1
                };
                answer(json!({"code": 0, "kdstoken": format!("fake-kds-{token}")}))
            }
            TASK if call.body["kdstoken"].is_null() => Self::task(),
            _ if !is_admitted => {
                let said = format!("kdstoken {} is over", call.body["kdstoken"]);
                refusal(400, json!({"code": 13_000_410, "msg": said}))
            }
            FILES => Self::files(call),
            TASKS => answer(json!({"code": 0, "msg": "Success", "taskId": "77"})),
            TASK => Self::task(),
            DOWNLOAD if call.header("x-hw-share-folder-id") == "7" => {
                let links = call.body["fileIds"].as_array().unwrap().iter().map(
                    |id| json!({"fileId": id, "code": "0", "url": "https://h/x?X-Amz-Expires=1"}),
                );
                answer(json!({"code": 0, "downloads": links.collect::<Vec<_>>()}))
            }
            "/koodrive/ose/v1/files/Fq2Plan/detail" => answer(file("Fq2Plan")),
            _ => answer(json!({"code": 13_000_309, "msg": "resource does not exist"})),
        }
    }

    fn files(call: &Seen) -> Response {
        let link = json!({"shareId": "7", "containerId": "C-others"});
        let (files, next) = match (&call.body["parentFolder"], call.body["pageCursor"].as_str()) {
            (Value::Null, Some("0")) => (
                json!([{"id": "Fq1", "fileName": "d", "fileType": "10"}]),
                "c2",
            ),
            (Value::Null, _) => (json!([file("Fq2Plan")]), ""),
            _ => (json!([file("inside")]), ""),
        };
        answer(json!({"code": 0, "files": files, "nextCursor": next, "link": link}))
    }

    fn task() -> Response {
        answer(
            json!({"code": 0, "jobInfo": {"taskStatus": 2, "taskResultCode": 1,
            "downloadUrl": "https://h/zip?X-Amz-Signature=aa"}}),
        )
    }

    async fn start(&self) -> Server {
        let shared = self.clone();
        Server::start(move |call| shared.play(call)).await
    }
}

fn file(id: &str) -> Value {
    json!({"id": id, "fileName": id, "fileType": "45", "size": 7})
}

fn receiving(drive: &Arc<dyn Provider>) -> &dyn Receiving {
    drive.receiving().expect("the drive takes shares")
}

fn code(text: &str) -> Option<Secret<String>> {
    Some(Secret::new(text.to_owned()))
}

async fn accept(drive: &Arc<dyn Provider>) -> Received {
    let accepted = receiving(drive).accept(ADDRESS, code(CODE).as_ref()).await;
    accepted.unwrap()
}

fn ids(received: &Received) -> Vec<&str> {
    received.top.iter().map(|item| item.id.as_str()).collect()
}

#[tokio::test]
async fn a_share_is_visited_as_documented() {
    let server = Shared::default().start().await;
    let drive = server.drive(token_mode()).await;
    let received = accept(&drive).await;
    assert_eq!(received.id.0, "7");
    assert_eq!(ids(&received), ["Fq1", "Fq2Plan"], "both pages");
    assert_eq!(server.calls(VISIT)[0].query, "shortUrl=aB3dE5");
    assert_eq!(
        server.calls(VERIFY)[0].body,
        json!({"shortUrl": "aB3dE5", "extractCode": CODE})
    );
    assert_eq!(
        server.calls(FILES)[1].body,
        json!({"shortUrl": "aB3dE5", "kdstoken": "fake-kds-1", "pageSize": 100,
            "pageCursor": "c2", "sortType": 1, "sortDirection": 1})
    );
}

#[tokio::test]
async fn a_share_that_does_not_open_says_why_and_nothing_else() {
    let server = Shared::default().start().await;
    let drive = server.drive(token_mode()).await;
    let refused = async |url: &str, password: Option<Secret<String>>| {
        let answer = receiving(&drive).accept(url, password.as_ref()).await;
        answer.expect_err(url)
    };
    let wrong = refused(ADDRESS, code("s3cret77")).await;
    assert_eq!(wrong.kind, ErrorKind::Denied);
    assert!(!wrong.message.contains("s3cret77"), "{wrong}");
    let missing = refused(ADDRESS, None).await;
    assert_eq!(missing.kind, ErrorKind::Denied);
    assert_eq!(
        missing.message,
        "open the share: the share asks for an access code"
    );
    let over = refused("fake0", code(CODE)).await;
    assert_eq!(over.kind, ErrorKind::NotFound);
    let before = server.seen.lock().unwrap().len();
    assert_eq!(refused("no address!", None).await.kind, ErrorKind::Invalid);
    assert_eq!(server.seen.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_share_without_a_code_is_not_verified() {
    let server = Server::start(|call| match call.path.as_str() {
        VISIT => answer(json!({"code": 0, "data": {"needExtractCode": false, "status": 0}})),
        FILES => answer(json!({"code": 0, "nextCursor": "", "files": [file("a")],
            "link": {"shareId": "7", "containerId": "C-others"}})),
        _ => refusal(400, json!({"code": 13_000_102, "msg": "no"})),
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let received = receiving(&drive)
        .accept("aB3dE5", code(CODE).as_ref())
        .await;
    let received = received.unwrap();
    assert_eq!((received.id.0.as_str(), ids(&received)), ("7", vec!["a"]));
    assert_eq!(server.calls(FILES)[0].body.get("kdstoken"), None);
}

#[tokio::test]
async fn what_is_shared_is_saved_and_packed_by_tasks() {
    let server = Shared::default().start().await;
    let drive = server.drive(token_mode()).await;
    let share = accept(&drive).await;
    let items = ["Fq1", "Fq2Plan"].map(ItemId::from);
    let saved = receiving(&drive).save(&share, &items, &"root".into()).await;
    let packed = receiving(&drive).pack(&share, &items, "all.zip").await;
    assert_eq!(saved.unwrap(), TaskId("7/77".into()));
    let calls = server.calls(TASKS);
    assert_eq!(
        calls[0].body,
        json!({"taskType": 2, "containerId": "C-others", "fileIds": ["Fq1", "Fq2Plan"],
            "shareId": "7", "kdstoken": "fake-kds-1",
            "targetFileId": {"fileId": "root", "containerId": "C1"}})
    );
    assert_eq!(calls[1].body["zipName"], "all.zip");
    assert_eq!(calls[1].body["taskType"], 1);
    let task = receiving(&drive).task(&packed.unwrap()).await.unwrap();
    assert_eq!(task.state, TaskState::Done);
    assert_eq!(
        task.archive.unwrap().expose(),
        "https://h/zip?X-Amz-Signature=aa"
    );
    assert_eq!(
        server.calls(TASK)[0].body,
        json!({"taskId": "77", "shareId": "7", "kdstoken": "fake-kds-1"})
    );
}

#[tokio::test]
async fn a_task_is_known_after_a_restart() {
    let server = Shared::default().start().await;
    let drive = server.drive(token_mode()).await;
    let task = receiving(&drive)
        .task(&TaskId("7/77".into()))
        .await
        .unwrap();
    assert_eq!((task.state, task.progress), (TaskState::Done, 100));
    assert_eq!(
        server.calls(TASK)[0].body,
        json!({"taskId": "77", "shareId": "7"})
    );
    let error = receiving(&drive).task(&TaskId("odd".into())).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_share_accepted_by_another_process_is_opened_again() {
    let server = Shared::default().start().await;
    let share = accept(&server.drive(token_mode()).await).await;
    let drive = server.drive(token_mode()).await;
    let items = [ItemId::from("Fq2Plan")];
    let saved = receiving(&drive)
        .save(&share, &items, &"Fmine".into())
        .await;
    assert_eq!(saved.unwrap().0, "7/77");
    assert_eq!(server.calls(VERIFY).len(), 2);
}

#[tokio::test]
async fn too_much_or_nothing_is_refused_without_a_call() {
    let server = Shared::default().start().await;
    let drive = server.drive(token_mode()).await;
    let share = accept(&drive).await;
    let before = server.seen.lock().unwrap().len();
    let into = ItemId::from("root");
    let many = vec![into.clone(); 1001];
    for items in [&many[..], &[]] {
        let error = receiving(&drive).save(&share, items, &into).await;
        assert_eq!(error.unwrap_err().kind, ErrorKind::Invalid);
    }
    let nameless = receiving(&drive).pack(&share, &many[..1], "").await;
    assert_eq!(nameless.unwrap_err().kind, ErrorKind::Invalid);
    assert_eq!(server.seen.lock().unwrap().len(), before);
}

#[tokio::test]
async fn a_refused_visit_is_verified_again_once() {
    let shared = Shared::default();
    let server = shared.start().await;
    let drive = server.drive(token_mode()).await;
    let share = accept(&drive).await;
    shared.is_stale.store(true, Ordering::Relaxed);
    let items = [ItemId::from("Fq2Plan")];
    let task = receiving(&drive).save(&share, &items, &"root".into()).await;
    assert_eq!(task.unwrap().0, "7/77");
    // The other token is remembered.
    let task = receiving(&drive).pack(&share, &items, "a.zip").await;
    task.unwrap();
    assert_eq!(server.calls(VERIFY).len(), 2);
    assert_eq!(server.calls(TASKS).len(), 3);
}

#[tokio::test]
async fn a_visit_that_stays_refused_is_denied_without_its_token() {
    let server = Server::start(|call| match call.path.as_str() {
        VISIT => answer(json!({"code": 0, "data": {"needExtractCode": true}})),
        VERIFY => answer(json!({"code": 0, "kdstoken": "fake-kds-0"})),
        _ => {
            let said = format!("kdstoken {} is over", call.body["kdstoken"]);
            refusal(400, json!({"code": 13_000_410, "msg": said}))
        }
    })
    .await;
    let drive = server.drive(token_mode()).await;
    let error = receiving(&drive).accept(ADDRESS, code(CODE).as_ref()).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(!error.message.contains("fake-kds"), "{error}");
    assert_eq!(
        (server.calls(VERIFY).len(), server.calls(FILES).len()),
        (2, 2)
    );
}

#[tokio::test]
async fn nothing_received_shows_its_code_or_token() {
    let server = Shared::default().start().await;
    let share = accept(&server.drive(token_mode()).await).await;
    let shown = format!("{share:?}");
    assert!(
        !shown.contains(CODE) && !shown.contains("fake-kds"),
        "{shown}"
    );
}

async fn shared_drive(server: &Server) -> Arc<dyn Provider> {
    let config = json!({"token": "fake-token-1", "share": ADDRESS, "password": CODE});
    server.drive(config).await
}

#[tokio::test]
async fn a_share_is_a_drive() {
    let server = Shared::default().start().await;
    let drive = shared_drive(&server).await;
    let root = drive.about().root.clone();
    let first = drive.list(&root, None).await.unwrap();
    let second = drive.list(&root, first.next.as_ref()).await.unwrap();
    assert_eq!(first.items[0].id.as_str(), "Fq1");
    assert_eq!(second.items[0].id.as_str(), "Fq2Plan");
    assert_eq!(second.next, None);
    let inside = drive.list(&"Fq1".into(), None).await.unwrap();
    assert_eq!(inside.items[0].id.as_str(), "inside");
    assert_eq!(server.calls(FILES)[2].body["parentFolder"], "Fq1");
    assert_eq!(server.calls(VISIT).len(), 1, "one visit for all");
    assert!(drive.sharing().is_none() && drive.receiving().is_none());
    assert!(drive.spaces().is_none());
    let usage = drive.usage().await.unwrap_err();
    assert_eq!(usage.kind, ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_shared_drive_looks_and_links_inside_the_share() {
    let server = Shared::default().start().await;
    let drive = shared_drive(&server).await;
    let links = drive.links(&["b", "a"].map(ItemId::from)).await;
    assert!(links.iter().all(Result::is_ok), "{links:?}");
    let call = &server.calls(DOWNLOAD)[0];
    assert_eq!(call.header("x-hw-share-folder-id"), "7");
    assert_eq!(
        call.body,
        json!({"containerId": "C-others", "fileIds": ["a", "b"], "kdstoken": "fake-kds-1"})
    );
    let plan = drive.stat(&"Fq2Plan".into()).await.unwrap();
    assert_eq!(plan.size().0, 7);
    assert!(drive.stat(&drive.about().root).await.unwrap().is_folder());
    let gone = drive.stat(&"FqGone".into()).await.unwrap_err();
    assert_eq!(gone.kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_shared_drive_goes_on_when_its_visit_ends() {
    let shared = Shared::default();
    let server = shared.start().await;
    let drive = shared_drive(&server).await;
    let root = drive.about().root.clone();
    drive.list(&root, None).await.unwrap();
    shared.is_stale.store(true, Ordering::Relaxed);
    let (links, page) = (
        drive.links(&["a".into()]).await.remove(0),
        drive.list(&root, None).await,
    );
    assert!(links.is_ok() && page.is_ok(), "{links:?} {page:?}");
    assert_eq!(server.calls(VERIFY).len(), 2);
}

#[tokio::test]
async fn a_shared_drive_with_a_wrong_code_is_denied_without_it() {
    let server = Shared::default().start().await;
    let config = json!({"token": "fake-token-1", "share": "aB3dE5", "password": "s3cret77"});
    let drive = server.drive(config).await;
    let errors: [ProviderError; 3] = [
        drive.list(&root(), None).await.unwrap_err(),
        drive.stat(&"a".into()).await.unwrap_err(),
        drive.links(&["a".into()]).await.remove(0).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::Denied, "{error}");
        assert!(!format!("{error:?}").contains("s3cret77"), "{error}");
    }
}
