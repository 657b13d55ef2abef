//! Signed links and the object store behind them.

mod support;

use std::time::Duration;

use linkfs_emulator::{LinkPolicy, LinkStyle};
use support::{SIZE, bytes, drive, header};

#[tokio::test]
async fn a_range_of_a_signed_link_is_the_true_bytes() {
    let drive = drive().await;
    let response = drive
        .range(&drive.link().await, "bytes=1001-70000")
        .await
        .unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes 1001-70000/{SIZE}")
    );
    assert_eq!(header(&response, "accept-ranges"), "bytes");
    assert!(header(&response, "etag").starts_with('"'));
    assert!(header(&response, "last-modified").ends_with("GMT"));
    assert_eq!(response.bytes().await.unwrap(), bytes(1001, 69_000));
}

#[tokio::test]
async fn a_get_without_a_range_is_the_whole() {
    let drive = drive().await;
    let response = drive.client.get(drive.link().await).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.bytes().await.unwrap(), bytes(0, SIZE as usize));
}

#[tokio::test]
async fn a_range_past_the_end_is_refused_with_the_size() {
    let drive = drive().await;
    let range = format!("bytes={SIZE}-");
    let response = drive.range(&drive.link().await, &range).await.unwrap();
    assert_eq!(response.status(), 416);
    assert_eq!(
        header(&response, "content-range"),
        format!("bytes */{SIZE}")
    );
}

#[tokio::test]
async fn changed_links_are_refused_and_counted() {
    let drive = drive().await;
    drive.emulator.tree().rename(&drive.file, "é.bin");
    let url = drive.link().await;
    assert!(url.contains("%25C3%25A9.bin"), "escaped twice: {url}");
    let (address, query) = url.split_once('?').unwrap();
    let (first, rest) = query.split_once('&').unwrap();
    let changed = [
        format!("{address}?{}", query.replace("%25C3", "%C3")),
        format!(
            "{address}?{}&{first}&{}",
            rest.rsplit_once('&').unwrap().0,
            rest.rsplit_once('&').unwrap().1
        ),
        url.replace("Expires=3600", "Expires=36000"),
        address.to_owned(),
    ];
    for (count, changed) in (1..).zip(&changed) {
        let response = drive.client.get(changed).send().await.unwrap();
        assert_eq!(response.status(), 403, "{changed}");
        assert!(
            response
                .text()
                .await
                .unwrap()
                .contains("SignatureDoesNotMatch")
        );
        assert_eq!(drive.emulator.counters().snapshot().bad_signatures, count);
    }
    assert_eq!(drive.client.get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn links_end_by_the_drives_clock() {
    let drive = drive().await;
    let url = drive.link().await;
    drive.emulator.clock().advance(Duration::from_secs(3590));
    assert_eq!(drive.range(&url, "bytes=0-0").await.unwrap().status(), 206);
    drive.emulator.clock().advance(Duration::from_secs(11));
    let response = drive.range(&url, "bytes=0-0").await.unwrap();
    assert_eq!(response.status(), 403);
    assert!(
        response
            .text()
            .await
            .unwrap()
            .contains("Request has expired")
    );
    assert_eq!(drive.emulator.counters().snapshot().expired_links, 1);
}

#[tokio::test]
async fn links_of_every_style_work_and_end() {
    use LinkStyle::{Amz, AmzLower, Expires, Hidden, Obs, Oss};
    for style in [Amz, AmzLower, Obs, Oss, Expires, Hidden] {
        let drive = drive().await;
        drive.emulator.links().set(LinkPolicy {
            style,
            life_s: 60,
            ..LinkPolicy::default()
        });
        let url = drive.link().await;
        assert_eq!(
            drive.range(&url, "bytes=0-0").await.unwrap().status(),
            206,
            "{style:?}"
        );
        drive.emulator.clock().advance(Duration::from_secs(61));
        assert_eq!(
            drive.range(&url, "bytes=0-0").await.unwrap().status(),
            403,
            "{style:?}"
        );
    }
}

#[tokio::test]
async fn revoked_links_are_refused_and_new_ones_work() {
    let drive = drive().await;
    let old = drive.link().await;
    drive.emulator.revoke_links();
    let new = drive.link().await;
    assert_eq!(drive.range(&old, "bytes=0-0").await.unwrap().status(), 403);
    assert_eq!(drive.range(&new, "bytes=0-0").await.unwrap().status(), 206);
    let counts = drive.emulator.counters().snapshot();
    assert_eq!((counts.revoked_links, counts.bad_signatures), (1, 0));
}

#[tokio::test]
async fn links_may_die_before_they_say() {
    let drive = drive().await;
    drive.emulator.links().update(|links| {
        links.dies_after_s = Some(5);
        links.refusal_status = 401;
    });
    let url = drive.link().await;
    assert_eq!(drive.range(&url, "bytes=0-0").await.unwrap().status(), 206);
    drive.emulator.clock().advance(Duration::from_secs(6));
    assert_eq!(drive.range(&url, "bytes=0-0").await.unwrap().status(), 401);
}

#[tokio::test]
async fn what_a_client_must_not_send_is_refused_and_noted() {
    let drive = drive().await;
    let url = drive.link().await;
    let head = drive.client.head(&url).send().await.unwrap();
    assert_eq!(head.status(), 403);
    let with_token = drive.client.get(&url).header("Authorization", "Bearer x");
    assert_eq!(with_token.send().await.unwrap().status(), 400);
    let with_header = drive.client.get(&url).header("X-User-Id", "u");
    assert_eq!(with_header.send().await.unwrap().status(), 200);
    let violations = drive.emulator.counters().snapshot().violations;
    assert_eq!(violations.get("HEAD on the data port"), Some(&1));
    assert_eq!(
        violations.get("header authorization on the data port"),
        Some(&1)
    );
    assert_eq!(
        violations.get("header x-user-id on the data port"),
        Some(&1)
    );
}

#[tokio::test]
async fn a_replaced_file_shows_in_tag_and_size_or_loses_its_key() {
    let drive = drive().await;
    let url = drive.link().await;
    let before = drive.range(&url, "bytes=0-9").await.unwrap();
    drive.emulator.tree().replace_generated(&drive.file, 500);
    let after = drive.range(&url, "bytes=0-9").await.unwrap();
    assert_ne!(header(&before, "etag"), header(&after, "etag"));
    assert_eq!(header(&after, "content-range"), "bytes 0-9/500");
    let request = drive
        .client
        .get(&url)
        .header("If-Match", header(&before, "etag"));
    assert_eq!(request.send().await.unwrap().status(), 412);

    drive
        .emulator
        .links()
        .update(|links| links.key_per_revision = true);
    let url = drive.link().await;
    drive.emulator.tree().replace_generated(&drive.file, 600);
    let gone = drive.range(&url, "bytes=0-9").await.unwrap();
    assert_eq!(gone.status(), 404);
    assert!(gone.text().await.unwrap().contains("NoSuchKey"));
}

#[tokio::test]
async fn requests_and_bytes_are_counted_by_file() {
    let drive = drive().await;
    let url = drive.link().await;
    for _ in 0..2 {
        drive
            .range(&url, "bytes=0-99")
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    }
    let counts = drive.emulator.counters().snapshot();
    assert_eq!(counts.data_requests, 2);
    assert_eq!(counts.max_streams, 1);
    let file = &counts.files[&drive.file];
    assert_eq!((file.links, file.requests, file.bytes), (1, 2, 200));
    assert_eq!((counts.data_bytes, counts.open_streams), (200, 0));
    assert_eq!(counts.data_log[0].range, "bytes=0-99");
    drive.emulator.counters().reset();
    assert_eq!(drive.emulator.counters().snapshot().data_requests, 0);
}
