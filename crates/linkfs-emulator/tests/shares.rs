//! Making, reading, changing and visiting shares, and the tasks on them.

mod support;

use std::time::Duration;

use linkfs_emulator::ROOT_ID;
use linkfs_emulator::koodrive::ShareShape;
use serde_json::{Value, json};
use support::{Drive, drive};

fn terms(drive: &Drive) -> Value {
    json!({"containerId": drive.emulator.space(), "fileIds": [drive.file], "scope": 1,
        "validDays": 7, "extractCode": "Zx81kk02"})
}

async fn share(drive: &Drive) -> Value {
    drive.call("v1/share", terms(drive)).await["shareLink"].clone()
}

#[tokio::test]
async fn a_share_is_made_listed_changed_and_cancelled() {
    let drive = drive().await;
    let made = share(&drive).await;
    let id = made["shareId"].as_str().unwrap();
    assert!(
        made["linkUrl"]
            .as_str()
            .unwrap()
            .ends_with(made["shortUrl"].as_str().unwrap())
    );
    let listed = drive.get("v1/share?pageSize=100&pageCursor=0").await;
    assert_eq!(
        (&listed["code"], &listed["shareLinks"][0]["shareId"]),
        (&json!("0"), &json!(id))
    );
    assert_eq!(listed["shareLinks"][0]["files"][0]["id"], drive.file);

    let put = drive.client.put(drive.url(&format!("v1/share/{id}")));
    let put = put.header(
        "Authorization",
        format!("Bearer {}", drive.emulator.token()),
    );
    let body = json!({"validDays": 30, "extractCode": "Qq72mm55"});
    let changed: Value = put.json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(changed["shareLink"]["extractCode"], "Qq72mm55");
    assert_ne!(changed["shareLink"]["expireTime"], made["expireTime"]);

    let cancelled = drive
        .call("v1/share/cancel", json!({"shareIds": [id, "7"]}))
        .await;
    assert_eq!(cancelled["subResponseList"][0]["code"], "0");
    assert_eq!(cancelled["subResponseList"][1]["code"], "13000309");
    assert_eq!(drive.get("v1/share").await["shareLinks"], json!([]));
}

#[tokio::test]
async fn bad_terms_are_refused_in_the_error_shape() {
    let drive = drive().await;
    let rows = [
        ("scope", json!(0)),
        ("scope", json!(4)),
        ("validDays", json!(0)),
        ("validDays", json!(366)),
        ("extractCode", json!("short")),
        ("fileIds", json!(["Fnone"])),
        ("expireTime", json!("2001-01-01 00:00:00")),
        ("comment", json!("x".repeat(512))),
    ];
    for (name, value) in rows {
        let mut body = terms(&drive);
        body[name] = value;
        let response = drive.post("v1/share", body).await;
        assert_eq!(response.status(), 400, "{name}");
        let error: Value = response.json().await.unwrap();
        assert_eq!(error["error"]["errorDetail"][0]["errorParam"], name);
        assert_eq!(error["error"]["code"], 0);
    }
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.accepts_zero_terms = true);
    let mut body = terms(&drive);
    body["scope"] = json!(0);
    assert_eq!(drive.post("v1/share", body).await.status(), 200);
}

#[tokio::test]
async fn the_earlier_of_two_expiries_holds() {
    let drive = drive().await;
    drive
        .emulator
        .clock()
        .freeze("2026-01-05T00:00:00Z".parse().unwrap());
    let mut body = terms(&drive);
    let rows = [
        ("2026-01-06T00:00:00.000Z", "2026-01-06T00:00:00.000Z"),
        ("2026-01-06 00:00:00", "2026-01-06T00:00:00.000Z"),
        ("2026-03-01 00:00:00", "2026-01-12T00:00:00.000Z"),
    ];
    for (asked, expected) in rows {
        body["expireTime"] = json!(asked);
        let made = drive.call("v1/share", body.clone()).await;
        assert_eq!(made["shareLink"]["expireTime"], expected, "{asked}");
    }
}

#[tokio::test]
async fn shares_are_answered_in_every_shape() {
    let drive = drive().await;
    let shape = |shape| {
        drive
            .emulator
            .knobs()
            .update(|knobs| knobs.share_shape = shape)
    };
    shape(ShareShape::DataShareLink);
    assert!(
        drive.call("v1/share", terms(&drive)).await["data"]["shareLink"]["shareId"].is_string()
    );
    shape(ShareShape::Data);
    assert!(drive.call("v1/share", terms(&drive)).await["data"]["shareId"].is_string());
    shape(ShareShape::TaskId);
    assert!(drive.call("v1/share", terms(&drive)).await["data"]["taskId"].is_string());
    let mut counts = Vec::new();
    for _ in 0..2 {
        counts.push(
            drive.get("v1/share").await["shareLinks"]
                .as_array()
                .unwrap()
                .len(),
        );
    }
    assert_eq!(counts, [2, 3], "the third shows after two listings");
}

#[tokio::test]
async fn share_listings_page_newest_first() {
    let drive = drive().await;
    for _ in 0..3 {
        share(&drive).await;
    }
    let first = drive.get("v1/share?pageSize=2&pageCursor=0").await;
    share(&drive).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = drive
        .get(&format!("v1/share?pageSize=2&pageCursor={cursor}"))
        .await;
    let ids = |page: &Value| -> Vec<String> {
        let links = page["shareLinks"].as_array().unwrap().iter();
        links
            .map(|link| link["shareId"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = [ids(&first), ids(&second)].concat();
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by(|left, right| left > right), "{all:?}");
    assert_eq!(second["nextCursor"], "");
}

#[tokio::test]
async fn visitors_need_the_code_and_see_only_what_is_shared() {
    let drive = drive().await;
    let tree = drive.emulator.tree();
    let folder = tree.add_folder(ROOT_ID, "shared");
    let inside = tree.add_file(&folder, "inside.txt", "x");
    let url = drive
        .emulator
        .share_from_others(std::slice::from_ref(&folder), "Zx81kk02");
    let short = url.rsplit('/').next().unwrap();
    let visit = drive.get(&format!("v1/share/visit?shortUrl={short}")).await;
    assert_eq!(visit["data"]["needExtractCode"], true);
    assert_eq!(
        drive.get("v1/share/received").await["shareLinks"][0]["shortUrl"],
        short
    );
    let verify = async |code: &str| {
        drive
            .call(
                "v1/share/verify",
                json!({"shortUrl": short, "extractCode": code}),
            )
            .await
    };
    assert_eq!(verify("wrongone").await["code"], 13_000_102);
    let token = verify("Zx81kk02").await["kdstoken"].clone();
    let files = async |token: &Value, folder: &str| {
        let body = json!({"shortUrl": short, "kdstoken": token, "parentFolder": folder});
        drive.call("v1/share/files", body).await
    };
    assert_eq!(files(&Value::Null, "").await["code"], 13_000_410);
    let top = files(&token, "").await;
    assert_eq!(top["files"][0]["id"], folder);
    let source = top["link"]["containerId"].as_str().unwrap();
    assert_ne!(source, drive.emulator.space(), "it is somebody else's");
    assert_eq!(files(&token, &folder).await["files"][0]["id"], inside);
    assert_eq!(files(&token, ROOT_ID).await["code"], 13_000_309);
    drive
        .emulator
        .clock()
        .advance(Duration::from_secs(8 * 86_400));
    assert_eq!(files(&token, "").await["code"], 13_000_309);
}

#[tokio::test]
async fn a_save_task_runs_and_copies_into_the_space() {
    let drive = drive().await;
    let tree = drive.emulator.tree();
    let target = tree.add_folder(ROOT_ID, "saved");
    let made = share(&drive).await;
    let verify = json!({"shortUrl": made["shortUrl"], "extractCode": "Zx81kk02"});
    let token = drive.call("v1/share/verify", verify).await["kdstoken"].clone();
    let space = drive.emulator.space();
    let mut body = json!({"taskType": 3, "containerId": space, "fileIds": [drive.file],
        "shareId": made["shareId"], "kdstoken": token,
        "targetFileId": {"fileId": target, "containerId": space}});
    assert_eq!(
        drive.call("v1/share/tasks", body.clone()).await["code"],
        13_000_102
    );
    body["taskType"] = json!(2);
    let task = drive.call("v1/share/tasks", body).await["taskId"].clone();
    assert_ne!(task, made["shareId"]);
    let question = json!({"taskId": task, "shareId": made["shareId"]});
    let mut states = Vec::new();
    for _ in 0..3 {
        let detail = drive.call("v1/share/taskDetail", question.clone()).await;
        states.push(detail["jobInfo"]["taskStatus"].as_u64().unwrap());
    }
    assert_eq!(states, [0, 2, 2]);
    assert_eq!(tree.children(&target).len(), 1, "copied once");
    assert_eq!(drive.get("v1/share").await["shareLinks"][0]["saveCnt"], "1");
}

#[tokio::test]
async fn a_pack_task_ends_in_a_link_that_works() {
    let drive = drive().await;
    drive.emulator.knobs().update(|knobs| knobs.task_steps = 1);
    let mut terms = terms(&drive);
    terms["extractCode"] = json!("");
    let id = drive.call("v1/share", terms).await["shareLink"]["shareId"].clone();
    let body = json!({"taskType": 1, "containerId": drive.emulator.space(), "fileIds": [drive.file],
        "shareId": id, "zipName": "all.zip"});
    let task = drive.call("v1/share/tasks", body).await["taskId"].clone();
    let detail = drive
        .call(
            "v1/share/taskDetail",
            json!({"taskId": task, "shareId": id}),
        )
        .await;
    let url = detail["jobInfo"]["downloadUrl"].as_str().unwrap();
    assert_eq!(drive.client.get(url).send().await.unwrap().status(), 200);
}

/// A folder of somebody else with a file in it, behind a code; with the share's address.
fn folder_of_others(drive: &Drive) -> (String, String, String) {
    let tree = drive.emulator.tree();
    let folder = tree.add_folder(ROOT_ID, "theirs");
    let file = tree.add_file(&folder, "inside.txt", "bytes of others");
    let url = drive
        .emulator
        .share_from_others(std::slice::from_ref(&folder), "Zx81kk02");
    let short_url = url.rsplit('/').next().unwrap().to_owned();
    (folder, file, short_url)
}

async fn visit(drive: &Drive, short_url: &str) -> (Value, Value) {
    let verify = json!({"shortUrl": short_url, "extractCode": "Zx81kk02"});
    let token = drive.call("v1/share/verify", verify).await["kdstoken"].clone();
    let files = json!({"shortUrl": short_url, "kdstoken": token});
    let link = drive.call("v1/share/files", files).await["link"].clone();
    (token, link)
}

#[tokio::test]
async fn what_is_shared_is_linked_inside_its_share_alone() {
    let drive = drive().await;
    let (_, file, short_url) = folder_of_others(&drive);
    let (token, link) = visit(&drive, &short_url).await;
    let code = async |body: Value, share: Option<&Value>, call: &str| {
        let bearer = format!("Bearer {}", drive.emulator.token());
        let request = drive.client.post(drive.url(call));
        let request = request.header("Authorization", bearer).json(&body);
        let request = match share {
            Some(id) => request.header("x-hw-share-folder-id", id.as_str().unwrap()),
            None => request,
        };
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        match answer["downloads"][0]["code"].as_str() {
            Some(code) => (code.to_owned(), answer),
            None => (answer["code"].to_string(), answer),
        }
    };
    let source = &link["containerId"];
    let body = |file: &str, container: &Value, token: &Value| json!({"containerId": container, "fileIds": [file], "kdstoken": token});
    let (share, download) = (Some(&link["shareId"]), "v1/files/download");
    let own = json!(drive.emulator.space());
    for (body, share, expected) in [
        (body(&file, source, &token), share, "0"),
        (body(&file, source, &token), None, "13000301"),
        (body(&file, &own, &token), share, "13000301"),
        (body(&file, source, &Value::Null), share, "13000410"),
        (body(&drive.file, source, &token), share, "13000309"),
        (body(&file, source, &token), Some(&json!("7")), "13000309"),
    ] {
        let (code, answer) = code(body, share, download).await;
        assert_eq!(code, expected, "{answer}");
    }
    let answer = code(body(&file, source, &token), share, download).await.1;
    let url = answer["downloads"][0]["url"].as_str().unwrap();
    let bytes = drive.client.get(url).send().await.unwrap().text().await;
    assert_eq!(bytes.unwrap(), "bytes of others");
    let detail = format!("v1/files/{file}/detail");
    let answer = code(body(&file, source, &token), share, &detail).await.1;
    assert_eq!(answer["fileName"], "inside.txt");
    drive.emulator.end_visits();
    let refused = code(body(&file, source, &token), share, download).await;
    assert_eq!(refused.0, "13000410");
}

#[tokio::test]
async fn shared_files_are_sorted_by_name_size_or_change() {
    let drive = drive().await;
    let (_, _, short_url) = folder_of_others(&drive);
    let (token, _) = visit(&drive, &short_url).await;
    for (sort, code) in [(1, 0), (2, 0), (3, 13_000_102), (4, 0), (5, 13_000_102)] {
        let body = json!({"shortUrl": short_url, "kdstoken": token, "sortType": sort});
        let answer = drive.call("v1/share/files", body).await;
        assert_eq!(answer["code"], code, "{sort}");
    }
}

#[tokio::test]
async fn a_task_names_the_space_of_the_files_and_tells_what_it_lost() {
    let drive = drive().await;
    let (folder, file, short_url) = folder_of_others(&drive);
    let (token, link) = visit(&drive, &short_url).await;
    let target = drive.emulator.tree().add_folder(ROOT_ID, "saved");
    let own = drive.emulator.space();
    let start = async |container: &str, files: &[&String]| {
        let body = json!({"taskType": 2, "containerId": container, "fileIds": files,
            "shareId": link["shareId"], "kdstoken": token,
            "targetFileId": {"fileId": target, "containerId": own}});
        drive.call("v1/share/tasks", body).await
    };
    let detail = async |task: &Value| {
        let question = json!({"taskId": task, "shareId": link["shareId"]});
        drive.call("v1/share/taskDetail", question).await
    };
    assert_eq!(start(own, &[&file]).await["code"], 13_000_301);
    let source = link["containerId"].as_str().unwrap();
    let tree = drive.emulator.tree();
    let other = tree.add_file(&folder, "other.txt", "x");
    let partly = start(source, &[&file, &other]).await["taskId"].clone();
    let lost = start(source, &[&other]).await["taskId"].clone();
    assert!(tree.remove(&other));
    for (task, result, statuses) in [(partly, 2, &["2", "0"][..]), (lost, 3, &["0"])] {
        detail(&task).await;
        let told = detail(&task).await;
        assert_eq!(told["jobInfo"]["taskStatus"], 2);
        assert_eq!(told["jobInfo"]["taskResultCode"], result);
        let files = told["taskInfos"].as_array().unwrap().iter();
        let files: Vec<&str> = files.map(|file| file["status"].as_str().unwrap()).collect();
        assert_eq!(files, statuses);
    }
    assert_eq!(tree.children(&target).len(), 1);
}
