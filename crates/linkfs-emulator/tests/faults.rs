//! Every fault, as an HTTP client sees it.

mod support;

use std::time::Duration;

use linkfs_emulator::{Action, RetryAfter, Rule};
use serde_json::json;
use support::{Drive, SIZE, bytes, drive, header};

/// A deadline far above what any answer here takes, for answers that must not come.
const NOT_COMING: Duration = Duration::from_millis(300);

async fn with(call: &str, action: Action) -> Drive {
    let drive = drive().await;
    drive.emulator.faults().add(Rule::on(call, action).times(1));
    drive
}

#[tokio::test]
async fn a_status_comes_with_retry_after_in_both_forms() {
    let after = Some(RetryAfter::Seconds(3));
    let drive = with(
        "list",
        Action::Status {
            code: 429,
            retry_after: after,
            body: None,
        },
    )
    .await;
    let body = json!({"containerId": drive.emulator.space(), "parentFileId": "root"});
    let response = drive.post("v1/files/0", body.clone()).await;
    assert_eq!(
        (response.status().as_u16(), header(&response, "retry-after")),
        (429, "3")
    );
    assert_eq!(drive.post("v1/files/0", body).await.status(), 200);
    assert_eq!(drive.emulator.counters().snapshot().errors["list"], 1);

    let after = Some(RetryAfter::DateIn(60));
    let drive = with(
        "data",
        Action::Status {
            code: 503,
            retry_after: after,
            body: None,
        },
    )
    .await;
    let response = drive.range(&drive.link().await, "bytes=0-9").await.unwrap();
    assert_eq!(response.status(), 503);
    assert!(header(&response, "retry-after").ends_with(" GMT"));
    assert!(response.text().await.unwrap().contains("SlowDown"));
}

#[tokio::test]
async fn drive_and_item_errors_have_the_drives_codes() {
    let drive = with(
        "download",
        Action::DriveError {
            code: 13_000_201,
            message: "inner".into(),
        },
    )
    .await;
    assert_eq!(drive.download(&[&drive.file]).await["code"], 13_000_201);
    let error = Action::ItemError {
        code: 13_000_411,
        message: "gone".into(),
    };
    drive
        .emulator
        .faults()
        .add(Rule::on("download", error).file(&drive.file).times(1));
    let answer = drive.download(&[&drive.file]).await;
    assert_eq!(
        (&answer["code"], &answer["downloads"][0]["code"]),
        (&json!(0), &json!("13000411"))
    );
    drive
        .emulator
        .faults()
        .add(Rule::on("download", Action::DropItem).times(1));
    assert_eq!(drive.download(&[&drive.file]).await["downloads"], json!([]));
}

#[tokio::test]
async fn closed_connections_bring_no_answer() {
    let drive = with("data", Action::CloseConnection).await;
    let url = drive.link().await;
    assert!(drive.range(&url, "bytes=0-9").await.is_err());
    assert_eq!(drive.range(&url, "bytes=0-9").await.unwrap().status(), 206);
}

#[tokio::test]
async fn cut_bodies_end_at_the_byte() {
    for action in [
        Action::CutBody { at: 70_000 },
        Action::ResetBody { at: 70_000 },
    ] {
        let drive = with("data", action.clone()).await;
        let mut response = drive
            .range(&drive.link().await, "bytes=5-199999")
            .await
            .unwrap();
        let mut got = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => got.extend_from_slice(&chunk),
                end => break end,
            }
        };
        assert!(end.is_err(), "{action:?}");
        assert_eq!(got, bytes(5, 70_000), "{action:?}");
    }
}

#[tokio::test]
async fn short_bodies_end_cleanly_too_early() {
    let drive = with("data", Action::ShortBody { at: 10 }).await;
    let response = drive
        .range(&drive.link().await, "bytes=0-99")
        .await
        .unwrap();
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes 0-99/{SIZE}")
    );
    assert_eq!(response.bytes().await.unwrap(), bytes(0, 10));
}

#[tokio::test]
async fn headers_lie_about_range_total_and_tag() {
    let drive = drive().await;
    let url = drive.link().await;
    let faults = drive.emulator.faults();
    let truth = drive.range(&url, "bytes=10-19").await.unwrap();
    faults.add(Rule::on("data", Action::WrongContentRange { shift: 3 }).times(1));
    faults.add(Rule::on("data", Action::WrongTotal { by: -1 }).times(1));
    faults.add(
        Rule::on(
            "data",
            Action::WrongEtag {
                etag: "\"other\"".into(),
            },
        )
        .times(1),
    );
    let response = drive.range(&url, "bytes=10-19").await.unwrap();
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes 13-22/{}", SIZE - 1)
    );
    assert_eq!(header(&response, "etag"), "\"other\"");
    assert_ne!(header(&truth, "etag"), "\"other\"");
    assert_eq!(response.bytes().await.unwrap(), bytes(10, 10));
}

#[tokio::test]
async fn bytes_are_shifted_under_a_right_header() {
    let drive = with("data", Action::ShiftedBytes { shift: 2 }).await;
    let response = drive
        .range(&drive.link().await, "bytes=10-19")
        .await
        .unwrap();
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes 10-19/{SIZE}")
    );
    assert_eq!(response.bytes().await.unwrap(), bytes(12, 10));
}

#[tokio::test]
async fn an_ignored_range_brings_the_whole() {
    let drive = with("data", Action::IgnoreRange).await;
    let response = drive
        .range(&drive.link().await, "bytes=10-19")
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.bytes().await.unwrap().len() as u64, SIZE);
}

#[tokio::test]
async fn garbage_is_a_200_that_is_no_answer() {
    let drive = with("any", Action::Garbage { body: None }).await;
    let body = json!({"containerId": drive.emulator.space(), "parentFileId": "root"});
    let response = drive.post("v1/files/0", body).await;
    assert_eq!(response.status(), 200);
    assert!(response.json::<serde_json::Value>().await.is_err());
}

#[tokio::test]
async fn held_calls_go_on_when_released() {
    let drive = with("list", Action::NeverAnswer).await;
    let page = drive.page("root", 10, "");
    tokio::pin!(page);
    assert!(tokio::time::timeout(NOT_COMING, &mut page).await.is_err());
    drive.emulator.faults().release();
    assert_eq!(page.await["files"][0]["id"], drive.file.as_str());
}

#[tokio::test]
async fn stalled_bodies_stop_and_go_on_when_released() {
    let drive = with("data", Action::StallBody { at: 100 }).await;
    let response = drive
        .range(&drive.link().await, "bytes=0-999")
        .await
        .unwrap();
    let body = response.bytes();
    tokio::pin!(body);
    assert!(tokio::time::timeout(NOT_COMING, &mut body).await.is_err());
    drive.emulator.faults().release();
    assert_eq!(body.await.unwrap(), bytes(0, 1000));
}

#[tokio::test]
async fn slow_and_dripping_bodies_and_delays_take_their_time() {
    let slow = Action::SlowBody {
        bytes_per_second: 5000,
    };
    let drip = Action::DripBody {
        bytes: 100,
        pause_ms: 20,
    };
    for action in [slow, drip, Action::Delay { ms: 150 }] {
        let drive = with("data", action.clone()).await;
        let url = drive.link().await;
        let start = std::time::Instant::now();
        let body = drive
            .range(&url, "bytes=0-999")
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        assert_eq!(body, bytes(0, 1000));
        assert!(start.elapsed() >= Duration::from_millis(140), "{action:?}");
    }
}

#[tokio::test]
async fn an_object_is_replaced_under_a_reader() {
    let drive = with(
        "data",
        Action::ReplaceObject {
            at: 500,
            size: Some(700),
        },
    )
    .await;
    let url = drive.link().await;
    let body = drive
        .range(&url, "bytes=0-999")
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(body, bytes(0, 1000), "a body under way keeps the old bytes");
    let response = drive.range(&url, "bytes=0-99").await.unwrap();
    assert_eq!(header(&response, "content-range"), "bytes 0-99/700");
    assert_ne!(response.bytes().await.unwrap(), bytes(0, 100));
}

#[tokio::test]
async fn a_file_is_deleted_before_the_answer() {
    let drive = with("download", Action::DeleteFile { for_good: true }).await;
    assert_eq!(
        drive.download(&[&drive.file]).await["downloads"][0]["code"],
        "13000309"
    );
    let drive = with("download", Action::DeleteFile { for_good: false }).await;
    assert_eq!(
        drive.download(&[&drive.file]).await["downloads"][0]["code"],
        "13000306"
    );
}

#[tokio::test]
async fn links_are_revoked_by_a_script() {
    let drive = drive().await;
    let url = drive.link().await;
    drive
        .emulator
        .faults()
        .add(Rule::on("data", Action::RevokeLinks).nth(2));
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(
            drive
                .range(&url, "bytes=0-0")
                .await
                .unwrap()
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [206, 403, 403]);
}

#[tokio::test]
async fn redirects_lead_where_they_say() {
    let drive = drive().await;
    let url = drive.link().await;
    drive
        .emulator
        .faults()
        .add(Rule::on("data", Action::Redirect { to: url.clone() }).times(1));
    let response = drive.range(&url, "bytes=0-9").await.unwrap();
    assert_eq!(response.bytes().await.unwrap(), bytes(0, 10));
    assert_eq!(drive.emulator.counters().snapshot().data_requests, 2);
}

#[tokio::test]
async fn listings_repeat_cursors_and_show_empty_pages() {
    let drive = drive().await;
    for name in ["b", "c", "d"] {
        drive
            .emulator
            .tree()
            .add_file(linkfs_emulator::ROOT_ID, name, "x");
    }
    let cursor = drive.page("root", 1, "").await["nextCursor"]
        .as_str()
        .unwrap()
        .to_owned();
    drive
        .emulator
        .faults()
        .add(Rule::on("list", Action::RepeatCursor).times(1));
    assert_eq!(
        drive.page("root", 1, &cursor).await["nextCursor"],
        cursor.as_str()
    );
    drive
        .emulator
        .faults()
        .add(Rule::on("list", Action::EmptyPageWithCursor).times(1));
    let empty = drive.page("root", 1, &cursor).await;
    assert_eq!(empty["files"], json!([]));
    let next = empty["nextCursor"].as_str().unwrap();
    assert_ne!(next, cursor);
    assert_eq!(
        drive.page("root", 1, next).await["files"][0]["fileName"],
        "b"
    );
}
