use std::time::Duration;

use linkfs_emulator::pds::{ExpirationShape, Signature, UrlShape};
use linkfs_emulator::{Action, EmulatedDrive, Rule};
use serde_json::{Value, json};

use crate::client::{Drive, SIZE, bytes, header};

#[tokio::test]
async fn a_link_answer_states_size_hashes_and_end() {
    let drive = Drive::start();
    drive
        .emulator
        .clock()
        .freeze("2026-01-05T08:09:10Z".parse().unwrap());
    let mut body = drive.about();
    body["expire_sec"] = json!(3600);
    let links = drive.call("file/get_download_url", body).await;
    assert_eq!(links["expiration"], "2026-01-05T09:09:10.000Z");
    assert!(
        links["url"]
            .as_str()
            .unwrap()
            .contains("Expires=1767604150&OSSAccessKeyId=AKFAKE&")
    );
    let item = drive.call("file/get", drive.about()).await;
    for name in ["size", "content_hash", "content_hash_name", "crc64_hash"] {
        assert_eq!(links[name], item[name], "{name}");
    }
    let counts = drive.emulator.counters().snapshot();
    assert_eq!(counts.download_batches, [[drive.file.clone()]]);
    assert_eq!(counts.files[&drive.file].links, 1);
}

#[tokio::test]
async fn a_range_of_a_link_is_the_true_bytes() {
    let drive = Drive::start();
    let response = drive.range(&drive.link().await, "bytes=1001-70000").await;
    assert_eq!(response.status(), 206);
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes 1001-70000/{SIZE}")
    );
    let disposition = header(&response, "content-disposition");
    assert_eq!(disposition, "attachment;filename*=UTF-8''a.bin");
    assert_eq!(response.bytes().await.unwrap(), bytes(1001, 69_000));
}

#[tokio::test]
async fn a_range_that_does_not_fit_brings_the_whole_unless_asked_to_keep_to_the_standard() {
    let drive = Drive::start();
    let url = drive.link().await;
    let item = drive.call("file/get", drive.about()).await;
    let (to_end, past_end) = (format!("bytes=299990-{SIZE}"), format!("bytes={SIZE}-"));
    for (range, standard) in [(&*to_end, 206), (&*past_end, 416), ("bytes=0-1,5-6", 416)] {
        let response = drive.range(&url, range).await;
        assert_eq!(response.status(), 200, "{range}");
        assert_eq!(
            header(&response, "x-oss-hash-crc64ecma"),
            item["crc64_hash"]
        );
        assert_eq!(response.bytes().await.unwrap().len() as u64, SIZE);
        let request = drive.client.get(&url).header("Range", range);
        let request = request.header("x-oss-range-behavior", "standard");
        assert_eq!(request.send().await.unwrap().status(), standard, "{range}");
    }
}

#[tokio::test]
async fn links_of_every_version_work_and_end_by_the_drives_clock() {
    for signature in [
        Signature::V1,
        Signature::V1Joined,
        Signature::V2,
        Signature::V4,
    ] {
        let drive = Drive::start();
        drive
            .emulator
            .knobs()
            .update(|knobs| knobs.signature = signature);
        let url = drive.link().await;
        assert_eq!(drive.range(&url, "bytes=0-0").await.status(), 206, "{url}");
        drive.emulator.clock().advance(Duration::from_secs(901));
        let response = drive.range(&url, "bytes=0-0").await;
        assert_eq!(response.status(), 403, "{url}");
        let text = response.text().await.unwrap();
        for part in ["Request has expired.", "<Expires>", "<ServerTime>"] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(drive.emulator.counters().snapshot().expired_links, 1);
    }
}

#[tokio::test]
async fn an_altered_link_is_refused() {
    let drive = Drive::start();
    let url = drive.link().await;
    let (own, cdn) = (
        drive.emulator.data_endpoint(),
        drive.emulator.cdn_endpoint(),
    );
    let changes = [
        url.replacen("%2F", "/", 1),
        url.replace("Expires=1", "Expires=2"),
        url.replace("a.bin", "a%2Ebin"),
        url.replace(&own, &cdn),
    ];
    for changed in changes {
        assert_ne!(changed, url);
        let response = drive.client.get(&changed).send().await.unwrap();
        assert_eq!(response.status(), 403, "{changed}");
        assert!(
            response
                .text()
                .await
                .unwrap()
                .contains("SignatureDoesNotMatch")
        );
    }
    assert_eq!(drive.client.head(&url).send().await.unwrap().status(), 403);
    let with_token = drive
        .client
        .get(&url)
        .bearer_auth("x")
        .send()
        .await
        .unwrap();
    assert_eq!(with_token.status(), 400);
}

#[tokio::test]
async fn links_may_be_revoked_die_early_or_be_cut_short() {
    let drive = Drive::start();
    let old = drive.link().await;
    drive.emulator.revoke_links();
    assert_eq!(drive.range(&old, "bytes=0-0").await.status(), 403);
    drive
        .emulator
        .links()
        .update(|links| links.dies_after_s = Some(5));
    let url = drive.link().await;
    assert_eq!(drive.range(&url, "bytes=0-0").await.status(), 206);
    drive.emulator.clock().advance(Duration::from_secs(6));
    assert_eq!(drive.range(&url, "bytes=0-0").await.status(), 403);
    assert_eq!(drive.emulator.counters().snapshot().revoked_links, 2);
    drive.emulator.links().update(|links| links.life_s = 3);
    let url = drive.link().await;
    drive.emulator.clock().advance(Duration::from_secs(4));
    assert_eq!(drive.range(&url, "bytes=0-0").await.status(), 403);
    assert_eq!(drive.emulator.counters().snapshot().expired_links, 1);
}

#[tokio::test]
async fn each_line_can_fail_alone() {
    let drive = Drive::start();
    let links = drive.links().await;
    let (url, cdn) = (
        links["url"].as_str().unwrap(),
        links["cdn_url"].as_str().unwrap(),
    );
    assert!(url.starts_with(&drive.emulator.data_endpoint()));
    assert!(cdn.starts_with(&drive.emulator.cdn_endpoint()));
    drive
        .emulator
        .faults()
        .add(Rule::on("data.url", Action::CloseConnection));
    let broken = drive.client.get(url).send().await;
    assert!(broken.is_err());
    assert_eq!(drive.range(cdn, "bytes=0-0").await.status(), 206);
    let log = drive.emulator.counters().snapshot().data_log;
    assert_eq!(log.back().unwrap().port, "data.cdn");
    drive.emulator.faults().clear();
    let status = Action::Status {
        code: 503,
        retry_after: None,
        body: None,
    };
    drive.emulator.faults().add(Rule::on("data", status));
    for url in [url, cdn] {
        assert_eq!(drive.range(url, "bytes=0-0").await.status(), 503);
    }
}

#[tokio::test]
async fn the_knobs_shape_the_link_answer() {
    let drive = Drive::start();
    drive.emulator.knobs().update(|knobs| {
        knobs.url = UrlShape::Dead;
        knobs.cdn_url = UrlShape::Same;
        knobs.internal_url = UrlShape::Absent;
        knobs.expiration = ExpirationShape::Layout;
        knobs.omits_link_facts = true;
    });
    let links = drive.links().await;
    let error = drive
        .client
        .get(links["url"].as_str().unwrap())
        .send()
        .await;
    assert!(error.unwrap_err().is_connect());
    let cdn = links["cdn_url"].as_str().unwrap();
    assert_eq!(drive.range(cdn, "bytes=0-0").await.status(), 206);
    assert_eq!(links.get("internal_url"), None);
    assert_eq!(links["expiration"], "2006-01-02T15:04:05.999Z07:00");
    assert_eq!(
        (&links["size"], &links["crc64_hash"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_signed_referer_must_come_as_it_was_signed() {
    let drive = Drive::start();
    drive.emulator.knobs().update(|knobs| {
        knobs.signature = Signature::V4;
        knobs.signed_referer = Some("https://pds.example.test/".into());
    });
    let url = drive.link().await;
    assert!(url.contains("x-oss-additional-headers=referer"));
    assert_eq!(drive.range(&url, "bytes=0-0").await.status(), 403);
    let request = drive
        .client
        .get(&url)
        .header("Referer", "https://pds.example.test/");
    assert_eq!(request.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn link_calls_keep_to_their_limits() {
    let drive = Drive::start();
    let with = |name: &str, value: Value| {
        let mut body = drive.about();
        body[name] = value;
        body
    };
    let rows = [
        with("expire_sec", json!(0)),
        with("expire_sec", json!(115_201)),
        with("file_name", json!("x".repeat(1025))),
    ];
    for body in rows {
        let refusal = drive.refusal("file/get_download_url", body).await;
        assert_eq!(refusal, (400, "InvalidParameterOutOfRange".to_owned()));
    }
    let folder = json!({"drive_id": "1", "file_id": "root"});
    assert_eq!(drive.refusal("file/get_download_url", folder).await.0, 400);
    let body = with("expire_sec", json!(115_200));
    assert!(drive.call("file/get_download_url", body).await["url"].is_string());
}

#[tokio::test]
async fn a_stable_address_redirects_to_the_data() {
    let drive = Drive::start();
    let id = drive.emulator.wire_id(&drive.file);
    let url = drive.url(&format!("file/download?drive_id=1&file_id={id}"));
    let request = drive.client.get(url).bearer_auth(drive.emulator.token());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 302);
    let bytes = drive
        .range(header(&response, "location"), "bytes=0-9")
        .await;
    assert_eq!(bytes.bytes().await.unwrap(), crate::client::bytes(0, 10));
}
