use std::time::Duration;

use linkfs_emulator::ROOT_ID;
use linkfs_emulator::pds::file_id;
use reqwest::Response;
use serde_json::{Value, json};

use crate::client::{Drive, SIZE, bytes, names, refusal};

const CREATE: &str = "share_link/create";
const LIST: &str = "share_link/list";
const UPDATE: &str = "share_link/update";
const CANCEL: &str = "share_link/cancel";
const TOKEN: &str = "share_link/get_share_token";
const LOOK: &str = "share_link/get_by_anonymous";
const DOWNLOAD: &str = "file/get_share_link_download_url";

/// The body of a new share of the one file.
fn terms(drive: &Drive, more: Value) -> Value {
    let mut body = json!({"drive_id": "1", "file_id_list": [file_id(&drive.file)]});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body
}

async fn share(drive: &Drive, more: Value) -> Value {
    drive.call(CREATE, terms(drive, more)).await
}

fn id(share: &Value) -> String {
    share["share_id"].as_str().unwrap().to_owned()
}

/// A call without a login; `token` is that of the share.
async fn visit(drive: &Drive, token: &str, path: &str, body: Value) -> Response {
    let request = drive.client.post(drive.url(path));
    let request = request.header("x-share-token", token).json(&body);
    request.send().await.unwrap()
}

async fn share_token(drive: &Drive, id: &str, password: &str) -> String {
    let body = json!({"share_id": id, "share_pwd": password});
    let answer: Value = visit(drive, "", TOKEN, body).await.json().await.unwrap();
    assert_eq!(answer["expires_in"], 7200);
    answer["share_token"].as_str().unwrap().to_owned()
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn a_share_is_made_read_changed_and_cancelled() {
    let drive = Drive::start();
    let more = json!({"share_pwd": "abcd", "description": "plan", "disable_save": true});
    let made = share(&drive, more).await;
    let id = id(&made);
    assert_eq!(made["share_name"], "a.bin");
    assert_eq!(
        (&made["status"], &made["expired"]),
        (&json!("enabled"), &json!(false))
    );
    assert_eq!(made["file_id_list"], json!([file_id(&drive.file)]));
    let body = json!({"share_id": id, "share_pwd": "", "disable_save": false});
    let changed = drive.call(UPDATE, body).await;
    assert_eq!(
        (&changed["share_pwd"], &changed["description"]),
        (&json!(""), &json!("plan"))
    );
    let read = drive.call("share_link/get", json!({"share_id": id})).await;
    assert_eq!(read, changed);
    let cancel = || drive.post(CANCEL, json!({"share_id": id}));
    assert_eq!(cancel().await.status(), 204);
    let gone = refused(404, "NotFound.ShareLink");
    assert_eq!(refusal(cancel().await).await, gone);
    let update = drive.refusal(UPDATE, json!({"share_id": id, "share_pwd": "x"}));
    assert_eq!(update.await, gone);
    assert!(drive.emulator.shares()[0].is_cancelled);
    let again = drive
        .call(UPDATE, json!({"share_id": id, "status": "enabled"}))
        .await;
    assert_eq!(again["status"], "enabled");
    assert_eq!(drive.emulator.counters().calls("share.cancel"), 2);
}

#[tokio::test]
async fn what_the_documents_forbid_is_refused_and_enters_nothing() {
    let drive = Drive::start();
    let folder = drive.emulator.tree().add_folder(ROOT_ID, "f");
    let below = drive.emulator.tree().add_file(&folder, "b", "b");
    let many = vec![file_id(&drive.file); 101];
    let out = "InvalidParameterOutOfRange";
    let format = "InvalidParameterWrongFormat";
    for (more, status, code) in [
        (json!({"drive_id": null}), 400, "InvalidParameterMissing"),
        (json!({"drive_id": "77"}), 404, "NotFound.Drive"),
        (
            json!({"file_id_list": null}),
            400,
            "InvalidParameterMissing",
        ),
        (json!({"file_id_list": []}), 400, out),
        (json!({"file_id_list": many}), 400, out),
        (json!({"file_id_list": ["x"]}), 404, "NotFound.File"),
        (
            json!({"file_id_list": [file_id(&drive.file), file_id(&below)]}),
            400,
            "InvalidParameterNotMatch.FileIdList",
        ),
        (json!({"share_pwd": "x".repeat(65)}), 400, out),
        (json!({"share_pwd": "a b"}), 400, format),
        (json!({"share_name": "x".repeat(129)}), 400, out),
        (json!({"description": "x".repeat(1025)}), 400, out),
        (json!({"expiration": "tomorrow"}), 400, format),
        (json!({"expiration": "2001-01-01T00:00:00Z"}), 400, out),
        (json!({"disable_save": "yes"}), 400, format),
        (json!({"download_limit": -1}), 400, format),
        (
            json!({"password": "x"}),
            400,
            "InvalidParameterNotSupported",
        ),
        (json!({"user_id": "u9"}), 403, "ForbiddenNoPermission.User"),
    ] {
        let answer = drive.refusal(CREATE, terms(&drive, more.clone())).await;
        assert_eq!(answer, refused(status, code), "{more}");
    }
    assert!(drive.emulator.shares().is_empty());
    let made = id(&share(&drive, json!({})).await);
    let body = json!({"share_id": made, "description": "new", "share_pwd": "x".repeat(65)});
    assert_eq!(drive.refusal(UPDATE, body).await, refused(400, out));
    assert_eq!(drive.emulator.shares()[0].description, "");
}

#[tokio::test]
async fn another_drive_holds_nothing_to_share() {
    let drive = Drive::start();
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.other_drives = 1);
    let answer = drive.refusal(CREATE, terms(&drive, json!({"drive_id": "1001"})));
    assert_eq!(answer.await, refused(404, "NotFound.File"));
}

#[tokio::test]
async fn listings_page_in_order_and_new_shares_do_not_shift_them() {
    let drive = Drive::start();
    for name in ["a", "b", "c"] {
        share(&drive, json!({"share_name": name})).await;
    }
    let list = async |marker: &str| {
        let body = json!({"limit": 2, "marker": marker, "order_direction": "DESC"});
        let page = drive.call(LIST, body).await;
        let items = page["items"].as_array().unwrap().iter();
        let names: Vec<_> = items
            .map(|item| item["share_name"].as_str().unwrap().to_owned())
            .collect();
        (names, page["next_marker"].as_str().unwrap().to_owned())
    };
    let (first, marker) = list("").await;
    assert_eq!(first, ["c", "b"]);
    share(&drive, json!({"share_name": "d"})).await;
    assert_eq!(list(&marker).await, (vec!["a".to_owned()], String::new()));
    for body in [
        json!({"limit": 101}),
        json!({"order_by": "size"}),
        json!({"marker": "b3BhcXVl"}),
        json!({"query": "x"}),
    ] {
        assert_eq!(drive.refusal(LIST, body.clone()).await.0, 400, "{body}");
    }
    let others = drive.call(LIST, json!({"creator": "u9"})).await;
    assert_eq!(others["items"], json!([]));
}

#[tokio::test]
async fn cancelled_shares_are_listed_when_asked_for_and_expired_ones_say_so() {
    let drive = Drive::start();
    let first = id(&share(&drive, json!({})).await);
    let now = drive.emulator.clock().now();
    let end = now + Duration::from_secs(60);
    share(&drive, json!({"expiration": end.to_string()})).await;
    drive.post(CANCEL, json!({"share_id": first})).await;
    drive.emulator.clock().advance(Duration::from_secs(61));
    let page = drive.call(LIST, json!({})).await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    assert_eq!(page["items"][0]["expired"], true);
    let page = drive.call(LIST, json!({"include_cancelled": true})).await;
    assert_eq!(page["items"][0]["status"], "disabled");
}

#[tokio::test]
async fn visitors_need_the_password_and_see_what_is_shared() {
    let drive = Drive::start();
    let tree = drive.emulator.tree();
    let folder = tree.add_folder(ROOT_ID, "shared");
    let below = tree.add_generated(&folder, "b.bin", 42, SIZE);
    let body = json!({"drive_id": "1", "file_id_list": [file_id(&folder)], "share_pwd": "abcd"});
    let id = id(&drive.call(CREATE, body).await);
    let seen: Value = visit(&drive, "", LOOK, json!({"share_id": id}))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&seen["has_pwd"], &seen["creator_name"]),
        (&json!(true), &json!("l***n"))
    );
    assert!(seen.get("share_pwd").is_none());
    let wrong = json!({"share_id": id, "share_pwd": "wrong"});
    let denied = refusal(visit(&drive, "", TOKEN, wrong).await).await;
    assert_eq!(denied, refused(403, "ForbiddenNoPermission.SharePwd"));
    let token = share_token(&drive, &id, "abcd").await;
    let list = async |token: &str, parent: &str| {
        let body = json!({"share_id": id, "parent_file_id": parent, "drive_id": "ignored"});
        visit(&drive, token, "file/list", body).await
    };
    let top: Value = list(&token, "root").await.json().await.unwrap();
    assert_eq!(names(&top), ["shared"]);
    let inner: Value = list(&token, &file_id(&folder)).await.json().await.unwrap();
    assert_eq!(names(&inner), ["b.bin"]);
    let invalid = refused(401, "ShareLinkTokenInvalid");
    assert_eq!(refusal(list("", "root").await).await, invalid);
    let get = |file: &str| json!({"share_id": id, "file_id": file_id(file)});
    let inside = visit(&drive, &token, "file/get", get(&below)).await;
    assert_eq!(inside.status(), 200);
    let outside = visit(&drive, &token, "file/get", get(&drive.file)).await;
    assert_eq!(refusal(outside).await, refused(404, "NotFound.File"));
    let link: Value = visit(&drive, &token, DOWNLOAD, get(&below))
        .await
        .json()
        .await
        .unwrap();
    let answer = drive
        .range(link["url"].as_str().unwrap(), "bytes=0-99")
        .await;
    assert_eq!(answer.bytes().await.unwrap(), bytes(0, 100));
    assert_eq!(drive.emulator.shares()[0].downloads, 1);
    let share = &drive.emulator.shares()[0];
    assert_eq!((share.visits, share.files.as_slice()), (1, &[folder][..]));
}

#[tokio::test]
async fn tokens_and_links_of_visitors_have_limits() {
    let drive = Drive::start();
    let id = id(&share(&drive, json!({"download_limit": 1})).await);
    for life in [0, 7201] {
        let body = json!({"share_id": id, "expire_sec": life});
        assert_eq!(visit(&drive, "", TOKEN, body).await.status(), 400);
    }
    let token = share_token(&drive, &id, "").await;
    let download = async |life: u64| {
        let body = json!({"share_id": id, "file_id": file_id(&drive.file), "expire_sec": life});
        visit(&drive, &token, DOWNLOAD, body).await
    };
    assert_eq!(download(601).await.status(), 400);
    assert_eq!(download(600).await.status(), 200);
    assert_eq!(
        refusal(download(600).await).await.0,
        403,
        "the limit is reached"
    );
    drive.emulator.clock().advance(Duration::from_secs(7201));
    let over = refused(401, "ShareLinkTokenInvalid");
    assert_eq!(refusal(download(600).await).await, over);
    assert_eq!(drive.emulator.counters().snapshot().unauthorized, 1);
    let token = share_token(&drive, &id, "").await;
    drive.emulator.expire_share_tokens();
    let body = json!({"share_id": id, "parent_file_id": "root"});
    let list = visit(&drive, &token, "file/list", body).await;
    assert_eq!(refusal(list).await, over);
}

#[tokio::test]
async fn a_share_that_is_over_lets_nobody_in() {
    let drive = Drive::start();
    let now = drive.emulator.clock().now();
    let end = (now + Duration::from_secs(60)).to_string();
    let expiring = id(&share(&drive, json!({"expiration": end})).await);
    let token = share_token(&drive, &expiring, "").await;
    drive.emulator.clock().advance(Duration::from_secs(60));
    let over = refused(404, "NotFound.ShareLink");
    let body = json!({"share_id": expiring, "parent_file_id": "root"});
    assert_eq!(
        refusal(visit(&drive, &token, "file/list", body).await).await,
        over
    );
    for path in [TOKEN, LOOK] {
        let answer = visit(&drive, "", path, json!({"share_id": expiring})).await;
        assert_eq!(refusal(answer).await, over, "{path}");
    }
}

#[tokio::test]
async fn a_share_may_ask_for_users_of_the_domain() {
    let drive = Drive::start();
    let id = id(&share(&drive, json!({"require_login": true})).await);
    let body = json!({"share_id": id});
    assert_eq!(visit(&drive, "", TOKEN, body.clone()).await.status(), 401);
    let answer = drive.call(TOKEN, body).await;
    let token = answer["share_token"].as_str().unwrap();
    let body = json!({"share_id": id, "parent_file_id": "root"});
    assert_eq!(
        visit(&drive, token, "file/list", body.clone())
            .await
            .status(),
        401
    );
    let request = drive.client.post(drive.url("file/list")).json(&body);
    let request = request
        .header("x-share-token", token)
        .bearer_auth(drive.emulator.token());
    assert_eq!(request.send().await.unwrap().status(), 200);
}
