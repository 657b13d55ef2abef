//! Listings, details, signing calls, tokens and spaces.

mod support;

use std::time::Duration;

use linkfs_emulator::koodrive::{ArrayShape, AuthScheme, Knobs, Options};
use linkfs_emulator::{ROOT_ID, fixtures};
use serde_json::{Value, json};
use support::{Drive, SIZE, drive, drive_with};

fn names(page: &Value) -> Vec<String> {
    let items = page["files"].as_array().unwrap().iter();
    items
        .map(|item| item["fileName"].as_str().unwrap().to_owned())
        .collect()
}

/// All pages of the root folder; runs `between` after each.
async fn walk(
    drive: &Drive,
    size: usize,
    mut between: impl FnMut(&Drive, usize),
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = drive.page("root", size, &cursor).await;
        pages.push(names(&page));
        between(drive, pages.len());
        cursor = page["nextCursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            return pages;
        }
    }
}

fn plant(drive: &Drive, names: &[&str]) {
    for name in names {
        drive.emulator.tree().add_file(ROOT_ID, name, "x");
    }
}

#[tokio::test]
async fn an_item_has_the_documented_fields() {
    let drive = drive().await;
    let item = drive.page("root", 10, "").await["files"][0].clone();
    assert_eq!(
        (&item["id"], &item["size"]),
        (&json!(drive.file), &json!(SIZE))
    );
    assert_eq!(
        (&item["fileType"], &item["parentFolder"]),
        (&json!("45"), &json!(["root"]))
    );
    let path = format!("v1/files/{}/detail", drive.file);
    let detail = drive
        .call(&path, json!({"containerId": drive.emulator.space()}))
        .await;
    assert_eq!(detail["fileName"], item["fileName"]);
    assert_eq!(detail["code"], 0);
}

#[tokio::test]
async fn pages_survive_changes_of_the_folder() {
    let drive = drive().await;
    plant(&drive, &["b", "c", "d", "e"]);
    let pages = walk(&drive, 2, |drive, page| {
        let tree = drive.emulator.tree();
        match page {
            1 => {
                tree.remove(&drive.file);
                tree.remove(&tree.id_at("/b").unwrap());
                tree.rename(&tree.id_at("/c").unwrap(), "c2");
            }
            2 => plant(drive, &["f"]),
            _ => {}
        }
    });
    assert_eq!(
        pages.await,
        [vec!["a.bin", "b"], vec!["c2", "d"], vec!["e", "f"]]
    );
}

#[tokio::test]
async fn the_knobs_make_pages_odd() {
    let drive = drive().await;
    plant(&drive, &["b", "c"]);
    let set = |change: fn(&mut Knobs)| {
        drive.emulator.knobs().set(Knobs::default());
        drive.emulator.knobs().update(change);
    };
    set(|knobs| knobs.page_short_by = 1);
    assert_eq!(
        walk(&drive, 2, |_, _| ()).await,
        [vec!["a.bin"], vec!["b", "c"]]
    );
    set(|knobs| knobs.has_empty_pages = true);
    assert_eq!(
        walk(&drive, 2, |_, _| ()).await,
        [vec!["a.bin", "b"], vec![], vec!["c"]]
    );
    set(|knobs| knobs.has_trailing_cursor = true);
    assert_eq!(
        walk(&drive, 3, |_, _| ()).await,
        [vec!["a.bin", "b", "c"], vec![]]
    );
    set(|knobs| knobs.repeats_items = true);
    assert_eq!(
        walk(&drive, 2, |_, _| ()).await,
        [vec!["a.bin", "b"], vec!["b", "c"]]
    );
    set(|knobs| knobs.list_array = ArrayShape::DataFiles);
    assert_eq!(
        drive.page("root", 9, "").await["data"]["files"][0]["fileName"],
        "a.bin"
    );
}

#[tokio::test]
async fn every_sort_order_pages_through_all() {
    let drive = drive().await;
    plant(&drive, &["d.txt", "b.csv", "c"]);
    let body = |kind: u64, direction: u64, cursor: &str| {
        json!({"containerId": drive.emulator.space(), "parentFileId": "root",
            "pageInfo": {"pageSize": "3", "pageCursor": cursor},
            "sortInfo": {"sortType": kind, "sortDirection": direction}})
    };
    for kind in 1..=6 {
        let mut orders = Vec::new();
        for direction in 1..=2 {
            let first = drive.call("v1/files/0", body(kind, direction, "")).await;
            let cursor = first["nextCursor"].as_str().unwrap();
            let second = drive
                .call("v1/files/0", body(kind, direction, cursor))
                .await;
            orders.push([names(&first), names(&second)].concat());
        }
        orders[1].reverse();
        assert_eq!(orders[0], orders[1], "sort {kind}");
        assert_eq!(orders[0].len(), 4, "sort {kind}");
    }
}

#[tokio::test]
async fn a_wide_folder_lists_quickly() {
    let tree = fixtures::wide_tree(20_000);
    let drive = Drive {
        file: String::new(),
        client: reqwest::Client::new(),
        emulator: linkfs_emulator::koodrive::Emulator::start(Options::with_tree(tree))
            .await
            .unwrap(),
    };
    let folder = drive.emulator.tree().id_at("/wide").unwrap();
    let mut cursor = String::new();
    let mut count = 0;
    loop {
        let page = drive.page(&folder, 100, &cursor).await;
        count += page["files"].as_array().unwrap().len();
        cursor = page["nextCursor"].as_str().unwrap().to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(count, 20_000);
    assert_eq!(drive.emulator.counters().calls("list"), 200);
}

#[tokio::test]
async fn limits_and_wrong_ids_have_their_codes() {
    let drive = drive().await;
    assert_eq!(drive.page("root", 101, "").await["code"], 13_000_102);
    assert_eq!(drive.page("root", 1, "nonsense").await["code"], 13_000_102);
    assert_eq!(drive.page("Fnone", 1, "").await["code"], 13_000_309);
    let other = json!({"containerId": "other", "parentFileId": "root"});
    assert_eq!(drive.call("v1/files/0", other).await["code"], 13_000_301);
    assert_eq!(drive.download(&["F"; 101]).await["code"], 13_000_102);
    assert_eq!(drive.download(&["F"; 100]).await["code"], 0);
}

#[tokio::test]
async fn batches_answer_each_id_for_itself() {
    let drive = drive().await;
    let folder = drive.emulator.tree().add_folder(ROOT_ID, "d");
    let answer = drive.download(&[&drive.file, &folder, "Fnone"]).await;
    let codes: Vec<_> = answer["downloads"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["code"])
        .collect();
    assert_eq!(codes, ["0", "13000406", "13000309"]);
    assert_ne!(answer["downloads"][0]["fileName"], "a.bin");
    let batch_code = |answer: Value| answer["batchCode"].clone();
    assert_eq!(batch_code(answer), 0);
    assert_eq!(batch_code(drive.download(&[&drive.file]).await), 1);
    assert_eq!(batch_code(drive.download(&["Fnone"]).await), 2);
    let batches = drive.emulator.counters().snapshot().download_batches;
    assert_eq!(batches[0], [drive.file.as_str(), &folder, "Fnone"]);
}

async fn status(drive: &Drive, authorization: &str) -> u16 {
    let request = drive.client.get(drive.url("v1/session/auth"));
    request
        .header("Authorization", authorization)
        .send()
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn tokens_are_checked_in_every_spelling() {
    let drive = drive().await;
    let token = drive.emulator.token().to_owned();
    let spellings = [
        format!("Bearer {token}"),
        format!("Bearer+{token}"),
        token.clone(),
    ];
    let rows = [
        (AuthScheme::Any, [200, 200, 200]),
        (AuthScheme::Space, [200, 401, 401]),
        (AuthScheme::Plus, [401, 200, 401]),
        (AuthScheme::Raw, [401, 401, 200]),
    ];
    for (scheme, expected) in rows {
        drive
            .emulator
            .knobs()
            .update(|knobs| knobs.auth_scheme = scheme);
        for (spelling, expected) in spellings.iter().zip(expected) {
            assert_eq!(
                status(&drive, spelling).await,
                expected,
                "{scheme:?} {spelling}"
            );
        }
    }
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.unauthorized_status = 400);
    assert_eq!(status(&drive, "Bearer wrong").await, 400);
}

#[tokio::test]
async fn sessions_slide_and_refresh() {
    let drive = drive().await;
    let code = json!({"code": drive.emulator.credentials().auth_code});
    let session = drive.call("v1/session/", code).await["data"].clone();
    let bearer = format!("Bearer {}", session["accessToken"].as_str().unwrap());
    for _ in 0..2 {
        drive.emulator.clock().advance(Duration::from_secs(19 * 60));
        assert_eq!(
            status(&drive, &bearer).await,
            200,
            "each call renews the session"
        );
    }
    drive.emulator.clock().advance(Duration::from_secs(20 * 60));
    assert_eq!(status(&drive, &bearer).await, 401);
    let refresh = drive
        .client
        .post(drive.url("v1/session/refresh"))
        .header("Authorization", &bearer);
    let refresh = refresh.header("x-session-id", session["sessionId"].as_str().unwrap());
    let answer: Value = refresh.send().await.unwrap().json().await.unwrap();
    let renewed = format!("Bearer {}", answer["accessToken"].as_str().unwrap());
    assert_eq!(status(&drive, &renewed).await, 200);
    assert_eq!(status(&drive, &bearer).await, 401);
}

#[tokio::test]
async fn carriers_sign_in_and_refresh_once_per_token() {
    let drive = drive().await;
    let credentials = drive.emulator.credentials().clone();
    let body =
        json!({"account": credentials.account, "authType": "1", "password": credentials.password});
    let login = || drive.client.post(drive.url("v1/auth/login")).json(&body);
    let without: Value = login().send().await.unwrap().json().await.unwrap();
    assert_eq!(without["code"], 13_000_102);
    let with = login().header("x-hw-agentName", &credentials.carrier);
    let answer: Value = with.send().await.unwrap().json().await.unwrap();
    let session = &answer["data"]["sessionInfo"];
    assert_eq!(session["expiresIn"], 1800);
    let token = session["accessToken"].as_str().unwrap();
    assert!(token.starts_with("AT "));
    assert_eq!(status(&drive, token).await, 200);
    let refresh = json!({"refreshToken": session["refreshToken"]});
    let renewed = drive.call("v1/auth/refreshToken", refresh.clone()).await;
    let new = renewed["data"]["sessionInfo"]["accessToken"]
        .as_str()
        .unwrap();
    assert_eq!(status(&drive, new).await, 200);
    assert_eq!(
        drive.post("v1/auth/refreshToken", refresh).await.status(),
        401
    );
}

#[tokio::test]
async fn the_space_says_what_it_holds() {
    let drive = drive().await;
    let path = format!("v2/space/{}?type=1", drive.emulator.credentials().user_id);
    let space = drive.get(&path).await["data"][0].clone();
    assert_eq!(space["spaceUsed"], (SIZE / 1024).to_string());
    assert_eq!(space["containerId"], drive.emulator.space());
    assert_eq!(drive.get("v2/space/u-other").await["code"], 13_000_410);
    let team = path.replace("type=1", "type=2");
    assert_eq!(drive.get(&team).await["data"], json!([]));
    let untyped = path.replace("?type=1", "");
    assert_ne!(drive.get(&untyped).await["code"], 0);
    assert_eq!(
        drive.get("v1/space/usage/overview").await["data"]["totalUsed"],
        (SIZE / 1024).to_string()
    );
}

#[tokio::test]
async fn teams_are_listed_under_their_group() {
    let drive = drive_with(Options {
        group: Some("g-55".into()),
        ..Options::default()
    })
    .await;
    let body = json!({"containerId": drive.emulator.space(), "parentFileId": "root"});
    assert_eq!(
        drive
            .call("v1/files/g-55/0?team_type=2", body.clone())
            .await["files"][0]["id"],
        drive.file
    );
    assert_eq!(drive.call("v1/files/0", body).await["code"], 13_000_410);
}

#[tokio::test]
async fn paths_and_searches_find_files() {
    let drive = drive().await;
    let folder = drive.emulator.tree().add_folder(ROOT_ID, "Reports");
    let file = drive.emulator.tree().add_file(&folder, "Plan.pdf", "x");
    let space = drive.emulator.space();
    let path = drive
        .get(&format!("v1/files/path?containerId={space}&fileId={file}"))
        .await;
    assert_eq!(path["namePath"], "/My space/Reports/Plan.pdf");
    let found = drive
        .call(
            "v1/files/search",
            json!({"containerId": space, "fileName": "plan"}),
        )
        .await;
    assert_eq!(
        (&found["total"], &found["files"][0]["size"]),
        (&json!(1), &json!("1"))
    );
}

#[tokio::test]
async fn the_control_port_does_what_the_rust_api_does() {
    let drive = drive().await;
    let url = |path: &str| format!("{}/{path}", drive.emulator.control_endpoint());
    let post = async |path: &str, body: Value| {
        drive
            .client
            .post(url(path))
            .json(&body)
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    let add = json!({"do": "add_file", "parent": "/", "name": "n.txt", "text": "hello"});
    assert_eq!(post("tree", add).await, 200);
    assert_eq!(
        post("tree", json!({"do": "remove", "id": "/a.bin"})).await,
        200
    );
    assert_eq!(names(&drive.page("root", 9, "").await), ["n.txt"]);
    assert_eq!(post("knobs", json!({"page_size_max": 10})).await, 200);
    assert_eq!(drive.page("root", 11, "").await["code"], 13_000_102);
    assert_eq!(post("knobs", json!({"nonsense": 10})).await, 400);
    assert_eq!(post("links", json!({"life_s": 9})).await, 200);
    assert_eq!(post("pacing", json!({"api_latency_ms": 1})).await, 200);
    assert_eq!(post("clock", json!({"advance_ms": 5000})).await, 200);
    assert_eq!(drive.emulator.clock().offset_ms(), 5000);
    assert_eq!(
        post(
            "faults",
            json!({"call": "list", "action": {"do": "close_connection"}})
        )
        .await,
        200
    );
    assert_eq!(drive.emulator.faults().hits().len(), 1);
    drive.client.delete(url("faults")).send().await.unwrap();
    assert!(drive.emulator.faults().hits().is_empty());
    let counts: Value = drive
        .client
        .get(url("counters"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(counts["calls"]["list"], 2);
    assert_eq!(
        drive
            .client
            .post(url("reset"))
            .send()
            .await
            .unwrap()
            .status(),
        200
    );
    assert_eq!(drive.emulator.counters().calls("list"), 0);
}

#[tokio::test]
async fn answers_carry_the_drives_date() {
    let drive = drive().await;
    drive
        .emulator
        .clock()
        .freeze("2030-01-02T03:04:05Z".parse().unwrap());
    let response = drive.post("v1/files/0", json!({})).await;
    assert_eq!(
        support::header(&response, "date"),
        "Wed, 02 Jan 2030 03:04:05 GMT"
    );
}

#[tokio::test]
async fn a_stopped_emulator_answers_nothing() {
    let drive = drive().await;
    let url = drive.link().await;
    drive.emulator.faults().add(linkfs_emulator::Rule::on(
        "data",
        linkfs_emulator::Action::NeverAnswer,
    ));
    let held = tokio::spawn(drive.client.get(&url).send());
    drive.emulator.stop();
    assert!(held.await.unwrap().is_err());
    assert!(drive.client.get(&url).send().await.is_err());
}
