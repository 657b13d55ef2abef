use linkfs_emulator::pds::{CrcShape, ErrorShape, Knobs, file_id};
use linkfs_emulator::{Action, ROOT_ID, Rule};
use serde_json::{Value, json};

use crate::client::{Drive, SIZE, header, names};

fn plant(drive: &Drive, names: &[&str]) {
    for name in names {
        drive.emulator.tree().add_file(ROOT_ID, name, "x");
    }
}

async fn walk(drive: &Drive, limit: usize) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut marker = String::new();
    loop {
        let (names, next) = drive.page(limit, &marker).await;
        pages.push(names);
        if next.is_empty() {
            return pages;
        }
        marker = next;
    }
}

#[tokio::test]
async fn an_item_has_the_documented_fields() {
    let drive = Drive::start();
    plant(&drive, &["b.txt"]);
    let body = json!({"drive_id": "1", "parent_file_id": "root", "limit": 100});
    let items = drive.call("file/list", body).await["items"].clone();
    let (big, small) = (&items[0], &items[1]);
    assert_eq!(big["file_id"], file_id(&drive.file).as_str());
    assert_eq!(
        (&big["size"], &big["parent_file_id"]),
        (&json!(SIZE), &json!("root"))
    );
    assert_eq!(small["type"], "file");
    assert_eq!(
        small["content_hash"],
        "11F6AD8EC52A2984ABAAFD7C3B516503785C2072"
    );
    assert_eq!(small["content_hash_name"], "sha1");
    assert!(small["crc64_hash"].as_str().unwrap().parse::<u64>().is_ok());
    let got = drive.call("file/get", drive.about()).await;
    assert_eq!(&got, big);
    let body = json!({"drive_id": "1", "file_path": "/a.bin"});
    assert_eq!(&drive.call("file/get_by_path", body).await, big);
}

#[tokio::test]
async fn pages_survive_changes_of_the_folder() {
    let drive = Drive::start();
    plant(&drive, &["b", "c", "d"]);
    let (first, marker) = drive.page(2, "").await;
    assert_eq!(first, ["a.bin", "b"]);
    let tree = drive.emulator.tree();
    tree.remove(&drive.file);
    tree.remove(&tree.id_at("/b").unwrap());
    plant(&drive, &["e"]);
    let (second, marker) = drive.page(2, &marker).await;
    assert_eq!(second, ["c", "d"]);
    assert_eq!(
        drive.page(2, &marker).await,
        (vec!["e".into()], String::new())
    );
}

#[tokio::test]
async fn every_order_pages_through_all() {
    let drive = Drive::start();
    plant(&drive, &["d.txt", "b.csv", "c"]);
    for order_by in ["created_at", "updated_at", "size", "name"] {
        let mut orders = Vec::new();
        for direction in ["ASC", "DESC"] {
            let body = |marker: &str| {
                json!({"drive_id": "1", "parent_file_id": "root", "limit": 3, "marker": marker,
                    "order_by": order_by, "order_direction": direction})
            };
            let one = drive.call("file/list", body("")).await;
            let marker = one["next_marker"].as_str().unwrap();
            let two = drive.call("file/list", body(marker)).await;
            orders.push([names(&one), names(&two)].concat());
        }
        orders[1].reverse();
        assert_eq!(orders[0], orders[1], "{order_by}");
        assert_eq!(orders[0].len(), 4, "{order_by}");
    }
}

#[tokio::test]
async fn the_knobs_make_pages_odd() {
    let drive = Drive::start();
    plant(&drive, &["b", "c"]);
    let set = |change: fn(&mut Knobs)| {
        drive.emulator.knobs().set(Knobs::default());
        drive.emulator.knobs().update(change);
    };
    set(|knobs| knobs.page_short_by = 1);
    assert_eq!(walk(&drive, 2).await, [vec!["a.bin"], vec!["b", "c"]]);
    set(|knobs| knobs.has_empty_pages = true);
    assert_eq!(
        walk(&drive, 2).await,
        [vec!["a.bin", "b"], vec![], vec!["c"]]
    );
    set(|knobs| knobs.has_trailing_marker = true);
    assert_eq!(walk(&drive, 3).await, [vec!["a.bin", "b", "c"], vec![]]);
    set(|knobs| knobs.repeats_items = true);
    assert_eq!(walk(&drive, 2).await, [vec!["a.bin", "b"], vec!["b", "c"]]);
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name() {
    let drive = Drive::start();
    plant(&drive, &["b", "c"]);
    let (_, marker) = drive.page(1, "").await;
    let rows = [
        (
            json!({"parent_file_id": "root"}),
            400,
            "InvalidParameterMissing",
        ),
        (json!({"drive_id": "1"}), 400, "InvalidParameterMissing"),
        (
            json!({"drive_id": "1", "parent_file_id": "root", "limit": 101}),
            400,
            "InvalidParameterOutOfRange",
        ),
        (
            json!({"drive_id": "1", "parent_file_id": "root", "limit": 0}),
            400,
            "InvalidParameterOutOfRange",
        ),
        (
            json!({"drive_id": "1", "parent_file_id": "root", "marker": "b"}),
            400,
            "InvalidParameterNotMatch.Marker",
        ),
        (
            json!({"drive_id": "1", "parent_file_id": "root", "marker": marker, "order_by": "name"}),
            400,
            "InvalidParameterNotMatch.Marker",
        ),
        (
            json!({"drive_id": "1", "parent_file_id": "nowhere"}),
            404,
            "NotFound.File",
        ),
        (
            json!({"drive_id": "77", "parent_file_id": "root"}),
            404,
            "NotFound.Drive",
        ),
        (json!([]), 400, "InvalidRequestJSONFormat"),
    ];
    for (body, status, code) in rows {
        let text = body.to_string();
        let refusal = drive.refusal("file/list", body).await;
        assert_eq!(refusal, (status, code.to_owned()), "{text}");
    }
    assert_eq!(drive.refusal("file/unheard", json!({})).await.0, 404);
}

#[tokio::test]
async fn what_is_uploaded_or_recycled_is_not_there() {
    let drive = Drive::start();
    let gone = (404, "NotFound.File".to_owned());
    drive.emulator.set_uploading(&drive.file, true);
    assert_eq!(drive.refusal("file/get", drive.about()).await, gone);
    assert!(drive.page(9, "").await.0.is_empty());
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.lists_uploading = true);
    assert_eq!(drive.page(9, "").await.0, ["a.bin"]);
    drive.emulator.set_uploading(&drive.file, false);
    drive.emulator.tree().remove(&drive.file);
    assert_eq!(drive.refusal("file/get", drive.about()).await, gone);
    assert!(drive.page(9, "").await.0.is_empty());
}

#[tokio::test]
async fn hashes_are_of_the_content_as_it_is_and_not_of_large_files() {
    let drive = Drive::start();
    let hash = async || drive.call("file/get", drive.about()).await["content_hash"].clone();
    let old = hash().await;
    assert_eq!(old.as_str().unwrap().len(), 40);
    drive.emulator.tree().replace_content(&drive.file, "abc");
    assert_eq!(hash().await, "A9993E364706816ABA3E25717850C26C9CD0D89D");
    drive
        .emulator
        .tree()
        .replace_generated(&drive.file, 1 << 30);
    assert_eq!(hash().await, Value::Null);
}

#[tokio::test]
async fn numbers_may_come_as_text_and_text_as_numbers() {
    let drive = Drive::start();
    drive.emulator.knobs().update(|knobs| {
        knobs.ids_are_numbers = true;
        knobs.sizes_are_text = true;
        knobs.crc_shape = CrcShape::Number;
    });
    let item = drive.call("file/get", drive.about()).await;
    assert_eq!(
        (&item["drive_id"], &item["size"]),
        (&json!(1), &json!(SIZE.to_string()))
    );
    assert!(item["crc64_hash"].is_u64());
}

#[tokio::test]
async fn drives_and_quotas_say_what_is_used() {
    let drive = Drive::start();
    drive.emulator.knobs().update(|knobs| {
        knobs.other_drives = 2;
        knobs.group_drives = 1;
    });
    let one = drive.call("drive/get", json!({"drive_id": "1"})).await;
    assert_eq!(
        (&one["used_size"], &one["total_size"]),
        (&json!(SIZE), &json!(1_u64 << 40))
    );
    let page = drive
        .call("drive/list_my_drives", json!({"limit": 2}))
        .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let body = json!({"limit": 2, "marker": page["next_marker"]});
    let rest = drive.call("drive/list_my_drives", body).await;
    assert_eq!(
        (
            rest["items"].as_array().unwrap().len(),
            &rest["next_marker"]
        ),
        (1, &json!(""))
    );
    let groups = drive.call("drive/list_my_group_drive", json!({})).await;
    assert_eq!(groups["items"][0]["owner_type"], "group");
    let quota = drive.call("domain/get_quota", json!({})).await;
    assert_eq!(quota["size_used"], SIZE);
    let scan = drive.call("file/scan", json!({"drive_id": "1"})).await;
    assert_eq!(names(&scan), ["a.bin"]);
}

#[tokio::test]
async fn refusals_have_the_shape_that_is_asked_for() {
    let drive = Drive::start();
    let call = || drive.post("file/get", json!({"drive_id": "1", "file_id": "x"}));
    let set = |shape| {
        drive
            .emulator
            .knobs()
            .update(|knobs| knobs.error_shape = shape)
    };
    set(ErrorShape::Upper);
    let body: Value = call().await.json().await.unwrap();
    assert_eq!(body["Code"], "NotFound.File");
    set(ErrorShape::Headers);
    let response = call().await;
    assert_eq!(response.status(), 404);
    assert_eq!(header(&response, "x-ca-error-code"), "NotFound.File");
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn faults_strike_by_name_and_file_and_a_gateway_fails_without_a_body() {
    let drive = Drive::start();
    let faults = drive.emulator.faults();
    let status = |code| Action::Status {
        code,
        retry_after: None,
        body: None,
    };
    faults.add(Rule::on("get", status(504)).file(&drive.file).nth(1));
    let response = drive.post("file/get", drive.about()).await;
    assert_eq!(response.status(), 504);
    assert_eq!(header(&response, "x-ca-error-code"), "D504TO");
    assert!(response.bytes().await.unwrap().is_empty());
    faults.add(Rule::on("list", status(429)).nth(1));
    let body = json!({"drive_id": "1", "parent_file_id": "root"});
    let throttled = (429, "TooManyRequests".to_owned());
    assert_eq!(drive.refusal("file/list", body).await, throttled);
    let action = Action::DriveError {
        code: 403,
        message: "UserNotAllowedAccessResource".into(),
    };
    faults.add(Rule::on("download", action));
    let refused = (403, "UserNotAllowedAccessResource".to_owned());
    assert_eq!(
        drive.refusal("file/get_download_url", drive.about()).await,
        refused
    );
    assert_eq!(drive.emulator.counters().snapshot().errors["download"], 1);
}

#[tokio::test]
async fn a_batch_answers_each_call_by_itself() {
    let drive = Drive::start();
    let request = |id: &str, url: &str, body: Value| json!({"id": id, "method": "POST", "url": url, "body": body});
    let requests = json!([
        request("a", "/file/get", drive.about()),
        request("b", "/file/get", json!({"drive_id": "1", "file_id": "x"})),
        request("c", "/file/get_download_url", drive.about()),
    ]);
    let body = json!({"resource": "file", "requests": requests});
    let answer = drive.call("batch", body).await;
    let responses = answer["responses"].as_array().unwrap();
    let statuses: Vec<&Value> = responses.iter().map(|part| &part["status"]).collect();
    assert_eq!(statuses, [200, 404, 200]);
    assert_eq!(responses[1]["body"]["code"], "NotFound.File");
    assert!(responses[2]["body"]["url"].is_string());
    let counts = drive.emulator.counters().snapshot();
    assert_eq!((counts.calls["batch"], counts.calls["get"]), (1, 2));
    assert_eq!(counts.download_batches, [[drive.file.clone()]]);
}
