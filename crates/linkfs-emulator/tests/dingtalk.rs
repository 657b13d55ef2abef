//! DingTalk: tokens, listings, links with signed headers, errors.

use std::time::Duration;

use linkfs_emulator::dingtalk::{
    DateStyle, Emulator, EndOfList, Options, QuotaShape, StatedLife, TimeFormat, refusal,
};
use linkfs_emulator::{Action, NewNode, ROOT_ID, Rule, Tree, generated_bytes};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

const SIZE: u64 = 300_000;
const SEED: u64 = 42;

struct Drive {
    emulator: Emulator,
    client: Client,
    file: String,
}

/// A link as the API gave it.
#[derive(Clone, Debug)]
struct Link {
    urls: Vec<String>,
    headers: Vec<(String, String)>,
    seconds: Value,
}

/// A drive with one generated file, `a.bin`.
async fn drive() -> Drive {
    let tree = Tree::new();
    let file = tree.add_generated(ROOT_ID, "a.bin", SEED, SIZE);
    let redirects_are_for_tests = reqwest::redirect::Policy::none();
    Drive {
        emulator: Emulator::start(Options::with_tree(tree)).await.unwrap(),
        client: Client::builder()
            .redirect(redirects_are_for_tests)
            .build()
            .unwrap(),
        file,
    }
}

impl Drive {
    fn request(&self, method: Method, path: &str, query: &str) -> RequestBuilder {
        let url = format!("{}/{path}?{query}", self.emulator.endpoint());
        let request = self.client.request(method, url);
        request.header("x-acs-dingtalk-access-token", self.emulator.token())
    }

    async fn get(&self, path: &str, query: &str) -> (u16, Value) {
        let query = format!("unionId=uFakeOwner&operatorId=uFakeOwner&{query}");
        answer(self.request(Method::GET, path, &query)).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let query = "unionId=uFakeOwner&operatorId=uFakeOwner";
        answer(self.request(Method::POST, path, query).json(&body)).await
    }

    async fn list(&self, query: &str) -> (u16, Value) {
        let query = format!("parentId=0&orderBy=CREATE_TIME&order=ASC&{query}");
        self.get("v1.0/storage/spaces/854001/dentries", &query)
            .await
    }

    async fn download(&self, option: Value) -> (u16, Value) {
        let path = format!(
            "v1.0/storage/spaces/854001/dentries/{}/downloadInfos/query",
            escaped(&self.emulator.wire_id(&self.file))
        );
        self.post(&path, json!({"option": option})).await
    }

    /// A link to the one file.
    async fn link(&self) -> Link {
        let (status, answer) = self.download(json!({"preferIntranet": false})).await;
        assert_eq!(status, 200, "{answer}");
        link(&answer["headerSignatureInfo"])
    }

    async fn fetch(&self, link: &Link, index: usize, range: &str) -> Response {
        self.prepare(link, index, range).send().await.unwrap()
    }

    fn prepare(&self, link: &Link, index: usize, range: &str) -> RequestBuilder {
        let request = self.client.get(&link.urls[index]).header("Range", range);
        let headers = link.headers.iter();
        headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    }
}

fn link(info: &Value) -> Link {
    let texts = |value: &Value| value.as_str().unwrap().to_owned();
    Link {
        urls: info["resourceUrls"]
            .as_array()
            .unwrap()
            .iter()
            .map(texts)
            .collect(),
        headers: info["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), texts(value)))
            .collect(),
        seconds: info["expirationSeconds"].clone(),
    }
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn names(page: &Value) -> Vec<&str> {
    let dentries = page["dentries"].as_array().unwrap().iter();
    dentries
        .map(|dentry| dentry["name"].as_str().unwrap())
        .collect()
}

async fn refused_with(response: Response, status: u16, code: &str) {
    assert_eq!(response.status(), status);
    let text = response.text().await.unwrap();
    assert!(text.contains(&format!("<Code>{code}</Code>")), "{text}");
}

#[tokio::test]
async fn a_range_with_the_signed_headers_is_the_true_bytes_on_every_port() {
    let drive = drive().await;
    let link = drive.link().await;
    assert_eq!((link.urls.len(), &link.seconds), (3, &json!(900)));
    let mut expected = vec![0; 69_000];
    generated_bytes(SEED, 1001, &mut expected);
    for index in 0..3 {
        assert!(link.urls[index].starts_with(&drive.emulator.data_endpoints()[index]));
        let response = drive.fetch(&link, index, "bytes=1001-70000").await;
        assert_eq!(response.status(), 206);
        let range = &response.headers()["content-range"];
        assert_eq!(range, &format!("bytes 1001-70000/{SIZE}"));
        assert_eq!(response.bytes().await.unwrap(), expected);
    }
    let counts = drive.emulator.counters().snapshot();
    assert_eq!(counts.violations.len(), 0, "{:?}", counts.violations);
    assert_eq!(counts.files[&drive.file].requests, 3);
}

#[tokio::test]
async fn a_missing_altered_or_extra_header_is_refused() {
    let drive = drive().await;
    let good = drive.link().await;
    let (date, other) = ("x-oss-date".to_owned(), "x".to_owned());
    let mut bad = vec![good.clone(); 6];
    bad[0].headers.retain(|(name, _)| *name != date);
    bad[1].headers.retain(|(name, _)| name != "Authorization");
    for (name, value) in &mut bad[2].headers {
        if *name == date {
            *value = "Mon, 05 Jan 2026 08:09:10 GMT".into();
        }
    }
    bad[3].headers.push(("x-oss-other".into(), other.clone()));
    bad[4]
        .headers
        .push(("Content-Type".into(), "text/plain".into()));
    bad[5].urls[0] += "0";
    for (count, bad) in (1..).zip(&bad) {
        let response = drive.fetch(bad, 0, "bytes=0-9").await;
        refused_with(response, 403, "SignatureDoesNotMatch").await;
        let counts = drive.emulator.counters().snapshot();
        assert_eq!(counts.bad_signatures, count, "{bad:?}");
    }
    assert_eq!(drive.fetch(&good, 0, "bytes=0-9").await.status(), 206);
}

#[tokio::test]
async fn headers_of_any_name_must_come_back_as_they_were_given() {
    let drive = drive().await;
    drive.emulator.knobs().update(|knobs| {
        let extra = [("x-oss-security-token", "t+/="), ("X-Odd", "a  b")];
        knobs.extra_headers = extra
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        knobs.date_style = DateStyle::Compact;
    });
    let link = drive.link().await;
    assert_eq!(link.headers.len(), 4);
    assert_eq!(drive.fetch(&link, 0, "bytes=0-9").await.status(), 206);
    for index in 0..4 {
        let mut altered = link.clone();
        altered.headers[index].1 += "x";
        assert_eq!(drive.fetch(&altered, 0, "bytes=0-9").await.status(), 403);
        altered.headers.remove(index);
        assert_eq!(drive.fetch(&altered, 0, "bytes=0-9").await.status(), 403);
    }
    assert!(drive.emulator.counters().snapshot().violations.is_empty());
}

#[tokio::test]
async fn signed_headers_end_by_the_drives_clock_and_by_decree() {
    let drive = drive().await;
    let old = drive.link().await;
    drive.emulator.clock().advance(Duration::from_secs(890));
    assert_eq!(drive.fetch(&old, 0, "bytes=0-0").await.status(), 206);
    drive.emulator.clock().advance(Duration::from_secs(11));
    let response = drive.fetch(&old, 0, "bytes=0-0").await;
    refused_with(response, 403, "RequestTimeTooSkewed").await;
    let fresh = drive.link().await;
    drive.emulator.revoke_links();
    let newer = drive.link().await;
    let response = drive.fetch(&fresh, 0, "bytes=0-0").await;
    refused_with(response, 403, "AccessDenied").await;
    assert_eq!(drive.fetch(&newer, 0, "bytes=0-0").await.status(), 206);
    let counts = drive.emulator.counters().snapshot();
    assert_eq!((counts.expired_links, counts.revoked_links), (1, 1));
    assert_eq!(counts.bad_signatures, 0);
}

#[tokio::test]
async fn the_data_port_refuses_head_and_the_apis_token() {
    let drive = drive().await;
    let link = drive.link().await;
    let head = link.headers.iter().fold(
        drive.client.head(&link.urls[0]),
        |request, (name, value)| request.header(name, value),
    );
    assert_eq!(head.send().await.unwrap().status(), 403);
    let request = drive.prepare(&link, 0, "bytes=0-0");
    let request = request.header("x-acs-dingtalk-access-token", drive.emulator.token());
    assert_eq!(request.send().await.unwrap().status(), 403);
    let violations = drive.emulator.counters().snapshot().violations;
    assert_eq!(violations["HEAD on the data port"], 1);
    assert_eq!(
        violations["header x-acs-dingtalk-access-token on the data port"],
        1
    );
}

#[tokio::test]
async fn a_range_past_the_end_is_answered_with_the_whole() {
    let drive = drive().await;
    let link = drive.link().await;
    let response = drive.fetch(&link, 0, &format!("bytes=10-{SIZE}")).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.bytes().await.unwrap().len() as u64, SIZE);
}

#[tokio::test]
async fn ports_may_be_closed_slow_and_broken_one_by_one() {
    let drive = drive().await;
    drive.emulator.knobs().update(|knobs| {
        knobs.closed_ports = [0].into();
    });
    let faults = drive.emulator.faults();
    faults.add(Rule::on("data.1", Action::CutBody { at: 100 }));
    let link = drive.link().await;
    let request = drive.prepare(&link, 0, "bytes=0-999");
    assert!(request.send().await.unwrap_err().is_connect());
    let response = drive.fetch(&link, 1, "bytes=0-999").await;
    assert!(response.bytes().await.is_err());
    let response = drive.fetch(&link, 2, "bytes=0-999").await;
    assert_eq!(response.bytes().await.unwrap().len(), 1000);
    faults.clear();
    faults.add(Rule::on("data", refusal("systemError")));
    for index in [1, 2] {
        assert_eq!(drive.fetch(&link, index, "bytes=0-9").await.status(), 500);
    }
}

#[tokio::test]
async fn who_does_not_decline_the_inner_network_gets_a_dead_address_first() {
    let drive = drive().await;
    for option in [json!({}), json!({"preferIntranet": true})] {
        let (_, answer) = drive.download(option).await;
        let link = link(&answer["headerSignatureInfo"]);
        assert_eq!(link.urls.len(), 4);
        let request = drive.prepare(&link, 0, "bytes=0-9");
        assert!(request.send().await.unwrap_err().is_connect());
        assert_eq!(drive.fetch(&link, 1, "bytes=0-9").await.status(), 206);
    }
}

#[tokio::test]
async fn a_redirect_shows_what_headers_came_along() {
    let drive = drive().await;
    let target = drive.emulator.redirect_target();
    let to = target.url_of(&drive.file);
    drive
        .emulator
        .faults()
        .add(Rule::on("data.0", Action::Redirect { to }));
    let link = drive.link().await;
    let response = drive.fetch(&link, 0, "bytes=0-9").await;
    assert_eq!(response.status(), 302);
    let to = response.headers()["location"].to_str().unwrap().to_owned();
    let plain = drive.client.get(&to).header("Range", "bytes=0-9");
    let response = plain.send().await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(response.bytes().await.unwrap().len(), 10);
    assert_eq!(target.requests_with("authorization"), 0);
    let mut careless = link.clone();
    careless.urls[0] = to;
    drive.fetch(&careless, 0, "bytes=0-9").await;
    assert_eq!(target.received().len(), 2);
    assert_eq!(target.requests_with("Authorization"), 1);
    assert_eq!(target.requests_with("x-oss-date"), 1);
}

#[tokio::test]
async fn a_link_is_to_one_version_and_old_ones_stay_readable() {
    let drive = drive().await;
    let (_, before) = drive.list("").await;
    assert_eq!(before["dentries"][0]["version"], 1);
    let link_before = drive.link().await;
    let old = drive.emulator.tree().read(&drive.file, 0, 10).unwrap();
    drive.emulator.tree().replace_generated(&drive.file, 500);
    let response = drive.fetch(&link_before, 0, "bytes=0-9").await;
    assert_eq!(response.bytes().await.unwrap(), old);
    let option = json!({"version": 1, "preferIntranet": false});
    let (_, answer) = drive.download(option).await;
    let link = link(&answer["headerSignatureInfo"]);
    let response = drive.fetch(&link, 0, "bytes=0-9").await;
    assert_eq!(
        response.headers()["content-range"],
        format!("bytes 0-9/{SIZE}")
    );
    assert_eq!(drive.download(json!({"version": 7})).await.0, 400);
    let new = drive.link().await;
    let response = drive.fetch(&new, 0, "bytes=0-9").await;
    assert_eq!(response.headers()["content-range"], "bytes 0-9/500");
    let path = format!(
        "v1.0/storage/spaces/854001/dentries/{}/versions",
        drive.file
    );
    let (_, versions) = drive.get(&path, "maxResults=100").await;
    let numbers = versions["dentries"].as_array().unwrap().iter();
    let numbers: Vec<_> = numbers.map(|entry| entry["version"].clone()).collect();
    assert_eq!(numbers, [2, 1]);
    drive.emulator.tree().purge(&drive.file);
    assert_eq!(drive.fetch(&new, 0, "bytes=0-9").await.status(), 404);
}

#[tokio::test]
async fn links_may_say_odd_things_about_themselves() {
    let drive = drive().await;
    let set = |life| {
        drive
            .emulator
            .knobs()
            .update(|knobs| knobs.stated_life = life)
    };
    set(StatedLife::Missing);
    assert_eq!(drive.link().await.seconds, Value::Null);
    set(StatedLife::Zero);
    assert_eq!(drive.link().await.seconds, 0);
    let path = format!(
        "v1.0/drive/spaces/854001/files/{}/downloadInfos",
        drive.file
    );
    let (_, answer) = drive.get(&path, "withRegion=true").await;
    let url = answer["downloadInfo"]["resourceUrl"].as_str().unwrap();
    let get = |url: String| drive.client.get(url).header("Range", "bytes=0-9").send();
    assert_eq!(get(url.into()).await.unwrap().status(), 206);
    assert_eq!(get(format!("{url}x")).await.unwrap().status(), 403);
    drive.emulator.revoke_links();
    assert_eq!(get(url.into()).await.unwrap().status(), 403);
    let counts = drive.emulator.counters().snapshot();
    assert_eq!((counts.bad_signatures, counts.revoked_links), (1, 1));
    drive.emulator.knobs().update(|knobs| {
        knobs.flat_link = true;
        knobs.url_count = 0;
        knobs.protocol = "OTHER".into();
    });
    let (_, answer) = drive.download(json!({"preferIntranet": false})).await;
    assert_eq!(answer["resourceUrls"], json!([]));
    assert_eq!(answer["protocol"], "OTHER");
}

#[tokio::test]
async fn both_forms_of_asking_give_the_one_token_and_renew_it() {
    let drive = drive().await;
    let app = json!({"appKey": "ding-fake-app", "appSecret": "fake-app-secret"});
    let (_, first) = drive.post("v1.0/oauth2/accessToken", app.clone()).await;
    let client = json!({"client_id": "ding-fake-app", "client_secret": "fake-app-secret",
        "grant_type": "client_credentials"});
    let path = "v1.0/oauth2/dingfakecorp/token";
    drive.emulator.clock().advance(Duration::from_secs(7000));
    let (_, second) = drive.post(path, client).await;
    assert_eq!(first["accessToken"], second["access_token"]);
    assert_eq!(
        (&first["expireIn"], &second["expires_in"]),
        (&json!(7200), &json!(7200))
    );
    drive.emulator.clock().advance(Duration::from_secs(7000));
    assert_eq!(drive.list("").await.0, 200, "renewed by the second call");
    drive.emulator.clock().advance(Duration::from_secs(201));
    let (status, refused) = drive.list("").await;
    assert_eq!(
        (status, &refused["code"]),
        (400, &json!("InvalidAuthentication"))
    );
    let (_, third) = drive.post("v1.0/oauth2/accessToken", app).await;
    assert_ne!(first["accessToken"], third["accessToken"]);
    assert_eq!(drive.list("").await.0, 200);
    let (status, refused) = drive.post(path, json!({"grant_type": "x"})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("invalid.client")));
    assert_eq!(drive.emulator.counters().calls("token.app"), 2);
}

#[tokio::test]
async fn a_persons_token_tells_who_the_person_is() {
    let drive = drive().await;
    let body = json!({"clientId": "ding-fake-app", "clientSecret": "fake-app-secret",
        "grantType": "refresh_token", "refreshToken": "fake-refresh-token"});
    let (_, tokens) = drive
        .post("v1.0/oauth2/userAccessToken", body.clone())
        .await;
    let url = format!("{}/v1.0/contact/users/me", drive.emulator.endpoint());
    let token = tokens["accessToken"].as_str().unwrap();
    let request = drive.client.get(url);
    let (_, me) = answer(request.header("x-acs-dingtalk-access-token", token)).await;
    assert_eq!(me["unionId"], "uFakeOwner");
    let (status, _) = drive.post("v1.0/oauth2/userAccessToken", body).await;
    assert_eq!(status, 400, "a refresh token works once");
}

#[tokio::test]
async fn pages_go_on_where_they_ended_and_are_not_too_large() {
    let drive = drive().await;
    for name in ["b", "c", "d", "e"] {
        drive.emulator.tree().add_file(ROOT_ID, name, "x");
    }
    let (_, first) = drive.list("maxResults=2").await;
    assert_eq!(names(&first), ["a.bin", "b"]);
    drive.emulator.tree().remove(&drive.file);
    let token = first["nextToken"].as_str().unwrap();
    let (_, second) = drive.list(&format!("maxResults=2&nextToken={token}")).await;
    assert_eq!(names(&second), ["c", "d"]);
    let token = second["nextToken"].as_str().unwrap();
    let (_, third) = drive.list(&format!("maxResults=2&nextToken={token}")).await;
    assert_eq!(
        (names(&third), &third["nextToken"]),
        (vec!["e"], &json!(""))
    );
    for bad in [
        "maxResults=51",
        "maxResults=0",
        "maxResults=x",
        "nextToken=zz",
        "orderBy=X",
    ] {
        let path = "v1.0/storage/spaces/854001/dentries";
        let (status, refused) = drive.get(path, &format!("parentId=0&{bad}")).await;
        assert_eq!(
            (status, &refused["code"]),
            (400, &json!("paramError")),
            "{bad}"
        );
    }
    drive.emulator.knobs().update(|knobs| {
        knobs.single_use_tokens = true;
        knobs.has_empty_pages = true;
        knobs.end_of_list = EndOfList::Absent;
    });
    let (_, empty) = drive.list(&format!("maxResults=2&nextToken={token}")).await;
    assert!(names(&empty).is_empty());
    let again = drive.list(&format!("maxResults=2&nextToken={token}")).await;
    assert_eq!(again.0, 400, "a token works once");
    let token = empty["nextToken"].as_str().unwrap();
    let (_, last) = drive.list(&format!("maxResults=2&nextToken={token}")).await;
    assert_eq!((names(&last), last.get("nextToken")), (vec!["e"], None));
}

#[tokio::test]
async fn the_whole_space_and_single_files_are_shown_alike() {
    let drive = drive().await;
    let folder = drive.emulator.tree().add_folder(ROOT_ID, "d");
    drive.emulator.tree().add_file(&folder, "inside.txt", "x");
    let base = "v1.0/storage/spaces/854001/dentries";
    let body = json!({"option": {"maxResults": 50, "order": "ASC"}});
    let (_, all) = drive.post(&format!("{base}/listAll"), body).await;
    assert_eq!(names(&all), ["a.bin", "d", "inside.txt"]);
    assert_eq!(all["dentries"][2]["path"], "/d/inside.txt");
    let (_, one) = drive
        .post(&format!("{base}/{}/query", drive.file), json!({}))
        .await;
    assert_eq!(one["dentry"], all["dentries"][0]);
    let ids = json!({"dentryIds": [drive.file, "9999"]});
    let (_, both) = drive.post(&format!("{base}/query"), ids).await;
    assert_eq!(both["resultItems"][0]["dentry"], one["dentry"]);
    assert_eq!(both["resultItems"][1]["errorCode"], "dentryNotExist");
    let too_many = json!({"dentryIds": vec!["1"; 31]});
    assert_eq!(drive.post(&format!("{base}/query"), too_many).await.0, 400);
    let (status, root) = drive.post(&format!("{base}/0/query"), json!({})).await;
    assert_eq!(
        (status, &root["code"]),
        (400, &json!("paramError.dentryId"))
    );
}

#[tokio::test]
async fn ids_with_slashes_travel_escaped() {
    let drive = drive().await;
    drive.emulator.knobs().update(|knobs| knobs.odd_ids = true);
    let (_, page) = drive.list("").await;
    let id = page["dentries"][0]["id"].as_str().unwrap();
    assert!(id.contains('/') && id.contains('+'), "{id}");
    let link = drive.link().await;
    assert_eq!(drive.fetch(&link, 0, "bytes=0-9").await.status(), 206);
    let path = format!("v1.0/storage/spaces/854001/dentries/{id}/query");
    assert_eq!(drive.post(&path, json!({})).await.0, 404, "not escaped");
}

#[tokio::test]
async fn items_come_in_all_the_forms_they_are_known_in() {
    let drive = drive().await;
    drive.emulator.tree().add(NewNode {
        parent: ROOT_ID.into(),
        name: "plan.adoc".into(),
        id: Some("5521".into()),
        content: Some("".into()),
        created: Some("2026-01-02T03:05:00Z".parse().unwrap()),
        ..NewNode::default()
    });
    drive.emulator.knobs().update(|knobs| {
        knobs.time_format = TimeFormat::ChinaText;
        knobs.lower_case_types = true;
        knobs.ids_are_numbers = true;
        knobs.lists_deleted = true;
    });
    drive.emulator.tree().remove(&drive.file);
    let (_, page) = drive.list("").await;
    let (online, deleted) = (&page["dentries"][0], &page["dentries"][1]);
    assert_eq!(online["id"], 5521);
    assert_eq!(online["createTime"], "Fri Jan 02 11:05:00 CST 2026");
    assert_eq!(
        (&online["type"], &online["storageDriver"]),
        (&json!("file"), &json!("ALIDOC"))
    );
    assert_eq!(online["uuid"], drive.emulator.uuid("5521"));
    assert!(online.get("partitionType").is_none(), "{online}");
    assert_eq!(deleted["status"], "DELETED");
    let path = "v1.0/storage/spaces/854001/dentries/5521/downloadInfos/query";
    let (status, refused) = drive.post(path, json!({})).await;
    assert_eq!(
        (status, &refused["code"]),
        (400, &json!("operationNotSupported"))
    );
}

#[tokio::test]
async fn an_archived_file_thaws_while_it_is_asked_for() {
    let drive = drive().await;
    drive.emulator.knobs().update(|knobs| {
        knobs.archived = [drive.file.clone()].into();
    });
    let mut codes = Vec::new();
    for _ in 0..3 {
        let (status, answer) = drive.download(json!({})).await;
        codes.push((status, answer["code"].clone()));
    }
    let refused = (400, json!("fileArchived"));
    assert_eq!(codes, [refused.clone(), refused, (200, Value::Null)]);
}

#[tokio::test]
async fn limits_are_refused_with_the_documented_codes() {
    let drive = drive().await;
    let code = async || {
        let (status, answer) = drive.list("").await;
        (
            status,
            answer["code"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let knobs = drive.emulator.knobs();
    drive
        .emulator
        .clock()
        .freeze("2026-01-05T08:09:10Z".parse().unwrap());
    drive.emulator.expire_tokens();
    let app = json!({"appKey": "ding-fake-app", "appSecret": "fake-app-secret"});
    drive.post("v1.0/oauth2/accessToken", app).await;
    knobs.update(|knobs| knobs.calls_per_second = Some(1));
    assert_eq!(code().await.0, 200);
    let (status, refused) = drive.list("").await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("Forbidden.AccessDenied.QpsLimitForApi"))
    );
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("2026-01-05 16:09:11")
    );
    drive.emulator.clock().advance(Duration::from_secs(1));
    assert_eq!(code().await.0, 200);
    knobs.update(|knobs| {
        knobs.calls_per_second = None;
        knobs.calls_per_month = Some(10_000);
    });
    assert_eq!(drive.emulator.calls_this_month(), 2);
    drive.emulator.set_calls_this_month(9_999);
    assert_eq!(code().await.0, 200);
    let spent = "Forbidden.AccessDenied.ApiCountLimitForOrg";
    assert_eq!(code().await, (403, spent.into()));
    knobs.update(|knobs| {
        knobs.calls_per_month = None;
        knobs.missing_scopes = ["Storage.File.Read".into()].into();
    });
    let (status, refused) = drive.list("").await;
    let scopes = &refused["accessdenieddetail"]["requiredScopes"];
    assert_eq!((status, scopes), (403, &json!(["Storage.File.Read"])));
    knobs.update(|knobs| knobs.blocks_address = true);
    let (status, page) = drive.list("").await;
    assert_eq!((status, &page["status"]), (403, &json!(1111)));
}

#[tokio::test]
async fn calls_for_others_and_elsewhere_are_refused() {
    let drive = drive().await;
    let path = "v1.0/storage/spaces/854001/dentries";
    let as_nobody = drive.request(Method::GET, path, "parentId=0");
    assert_eq!(answer(as_nobody).await.0, 400);
    let as_other = drive.request(Method::GET, path, "parentId=0&unionId=uOther");
    let (status, refused) = answer(as_other).await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("permissionDenied"))
    );
    let rows = [
        ("v1.0/storage/spaces/1/dentries", 404, "spaceNotExist"),
        ("v1.0/storage/nothing", 404, "InvalidAction.NotFound"),
    ];
    for (path, status, code) in rows {
        let (answered, refused) = drive.get(path, "parentId=0").await;
        assert_eq!((answered, &refused["code"]), (status, &json!(code)));
    }
    drive.emulator.knobs().update(|knobs| {
        knobs.denied = [drive.file.clone()].into();
    });
    let (status, refused) = drive.download(json!({})).await;
    assert_eq!(
        (status, &refused["code"]),
        (403, &json!("permissionDenied"))
    );
    let faults = drive.emulator.faults();
    faults.add(Rule::on("list", refusal("operationTimeout")).times(1));
    let (status, refused) = drive.list("").await;
    assert_eq!(
        (status, &refused["code"]),
        (503, &json!("operationTimeout"))
    );
    assert_eq!(drive.list("").await.0, 200);
}

#[tokio::test]
async fn quotas_stand_where_they_may() {
    let drive = drive().await;
    let space = "v1.0/storage/spaces/854001";
    let (_, answer) = drive.get(space, "").await;
    let quota = &answer["space"]["partitions"][0]["quota"];
    assert_eq!(
        (&quota["max"], &quota["used"]),
        (&json!(100_u64 << 30), &json!(SIZE))
    );
    drive.emulator.knobs().update(|knobs| {
        knobs.quota_shape = QuotaShape::Organisation;
        knobs.used_bytes = Some(7);
    });
    let (_, answer) = drive.get(space, "").await;
    let quota = &answer["space"]["partitions"][0]["quota"];
    assert_eq!((&quota["type"], quota.get("max")), (&json!("SHARE"), None));
    let (_, answer) = drive.get("v1.0/storage/orgs/dingfakecorp", "").await;
    assert_eq!(answer["org"]["partitions"][0]["quota"]["used"], 7);
}

#[tokio::test]
async fn spaces_come_in_pages_and_the_own_one_apart() {
    let drive = drive().await;
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.other_spaces = 2);
    let path = "v1.0/drive/spaces";
    let (_, first) = drive.get(path, "spaceType=org&maxResults=2").await;
    assert_eq!(first["spaces"][0]["spaceId"], "854001");
    assert_eq!(first["spaces"][1]["spaceId"], "900001");
    let token = first["nextToken"].as_str().unwrap();
    let next = format!("spaceType=org&maxResults=2&nextToken={token}");
    let (_, last) = drive.get(path, &next).await;
    assert_eq!(last["spaces"][0]["spaceId"], "900002");
    assert_eq!(
        (last["spaces"].as_array().unwrap().len(), &last["nextToken"]),
        (1, &json!(""))
    );
    let (_, own) = drive.get("v1.0/drive/mySpaces", "").await;
    assert_eq!(
        (&own["spaceId"], &own["spaceType"]),
        (&json!("854777"), &json!("personal"))
    );
    for wrong in [
        "maxResults=2",
        "spaceType=org",
        "spaceType=org&maxResults=51",
        "spaceType=org&maxResults=2&nextToken=x",
    ] {
        let (status, refused) = drive.get(path, wrong).await;
        assert_eq!(
            (status, &refused["code"]),
            (400, &json!("paramError")),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn wiki_nodes_lead_to_files_and_permissions_are_kept() {
    let drive = drive().await;
    let (_, mine) = drive.get("v2.0/wiki/mineWorkspaces", "").await;
    let root = mine["workspace"]["rootNodeId"].as_str().unwrap();
    let (_, nodes) = drive
        .get("v2.0/wiki/nodes", &format!("parentNodeId={root}"))
        .await;
    let uuid = nodes["nodes"][0]["nodeId"].as_str().unwrap();
    let path = format!("v2.0/doc/dentries/{uuid}/queryDentryId");
    let (_, ids) = drive.get(&path, "").await;
    assert_eq!(ids["dentryId"], drive.file.as_str());
    let path = format!("v2.0/storage/spaces/dentries/{uuid}/permissions");
    let members = json!([{"type": "USER", "id": "uFriend", "corpId": "dingfakecorp"}]);
    let body = json!({"roleId": "READER", "members": members});
    assert_eq!(drive.post(&path, body.clone()).await.0, 200);
    assert_eq!(drive.emulator.members(&drive.file), ["USER:uFriend=READER"]);
    drive.post(&format!("{path}/remove"), body).await;
    assert!(drive.emulator.members(&drive.file).is_empty());
}

#[tokio::test]
async fn permissions_keep_to_their_limits_and_come_in_pages() {
    let drive = drive().await;
    let uuid = drive.emulator.uuid(&drive.file);
    let path = format!("v2.0/storage/spaces/dentries/{uuid}/permissions");
    let user =
        |number: usize| json!({"type": "USER", "id": format!("u{number:02}"), "corpId": "c"});
    let users = |range: std::ops::Range<usize>| range.map(user).collect::<Vec<_>>();
    let reader = json!([user(0)]);
    for body in [
        json!({"roleId": "READER"}),
        json!({"roleId": "READER", "members": []}),
        json!({"roleId": "READER", "members": users(0..31)}),
        json!({"roleId": "BOSS", "members": reader}),
        json!({"roleId": "READER", "members": reader, "duration": 60}),
        json!({"roleId": "READER", "members": reader, "option": {"duration": 60}}),
        json!({"roleId": "READER", "members": [{"type": "DEPT", "id": "7"}]}),
        json!({"roleId": "READER", "members": [{"type": "ROBOT", "id": "7"}]}),
    ] {
        let (status, refused) = drive.post(&path, body.clone()).await;
        assert_eq!(
            (status, &refused["code"]),
            (400, &json!("paramError")),
            "{body}"
        );
    }
    for range in [0..30, 30..51] {
        let body = json!({"roleId": "READER", "members": users(range)});
        assert_eq!(drive.post(&path, body).await.0, 200);
    }
    let query = format!("{path}/query");
    let (_, first) = drive
        .post(&query, json!({"option": {"maxResults": 50}}))
        .await;
    assert_eq!(first["permissions"].as_array().unwrap().len(), 50);
    let option = json!({"nextToken": first["nextToken"]});
    let (_, last) = drive.post(&query, json!({"option": option})).await;
    assert_eq!(last["permissions"][0]["member"]["id"], "u50");
    assert_eq!(last["nextToken"], "");
    let (status, _) = drive
        .post(&query, json!({"option": {"maxResults": 51}}))
        .await;
    assert_eq!(status, 400);
    let other_role = json!({"roleId": "EDITOR", "members": reader});
    drive.post(&format!("{path}/remove"), other_role).await;
    assert_eq!(drive.emulator.members(&drive.file).len(), 51);
    drive
        .emulator
        .grant(&drive.file, "USER", "uBoss", "MANAGER");
    let members = drive.emulator.members(&drive.file);
    assert_eq!(members.last().unwrap(), "USER:uBoss=MANAGER");
    let (_, scope) = drive.get(&format!("{path}/scopes"), "").await;
    assert_eq!(scope["scope"], "PRIVATE");
    for (scope, status) in [("EVERYBODY", 400), ("ORG_READ", 200), ("PRIVATE", 200)] {
        let body = json!({"scope": scope, "option": {"canSearch": false}});
        let request = drive.request(Method::PUT, &format!("{path}/scopes"), "unionId=uFakeOwner");
        assert_eq!(answer(request.json(&body)).await.0, status, "{scope}");
        let set = (scope == "ORG_READ").then(|| scope.to_owned());
        assert_eq!(drive.emulator.scope(&drive.file), set);
    }
}
