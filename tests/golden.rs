//! One request and its answer for each call that a plugin makes, as the drive's documents have them.
//!
//! Each is a file in `golden/DRIVE/`, and both sides are held against it: the emulator answers the request
//! with the answer, and the plugin makes the request and understands the answer. So neither can take over a
//! misreading of the other.
//!
//! The answer is the least that the drive says: the emulator may say more. At the places named in `varies`
//! only the kind of value counts, and so it does for what a plugin makes up for each request: the `state` of a
//! login, the number and the times of an assertion, the mark of a share. What an answer is about and the
//! emulator does not have from the start is made by the calls in `before`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use linkfs_emulator::{Content, EmulatedDrive, NewNode, ROOT_ID, Tree};
use linkfs_emulator::{dingtalk, koodrive, pds};
use linkfs_provider::{
    Audience, Item, ItemId, ItemKind, Link, Permissions, Plugin, Provider, ProviderError, Received,
    Receiving, Secret, Settings, Share, ShareId, SharePassword, ShareTerms, Sharing, Space, TaskId,
};
use linkfs_tests::AppKey;
use reqwest::Url;
use serde_json::{Map, Value, json};

/// The time of every golden answer.
const DATE: &str = "Mon, 05 Jan 2026 08:09:10 GMT";

/// The token that golden requests carry.
const TOKEN: &str = "fake-golden-token";

/// The share that golden requests are about, its address and its access code.
const SHARE: &str = "1990000000000000001";
const SHARE_URL: &str = "https://console.example.test/cloudfile/#/sharelink/i/286c13d0";
const SHARE_CODE: &str = "Zx81kk02";

/// The key of the application that golden requests come from.
static APP_KEY: LazyLock<AppKey> = LazyLock::new(AppKey::generate);

/// What the tests need to know of a drive.
struct Sides {
    name: &'static str,
    plugin: Plugin,
    /// The configuration of the plugin without its login.
    config: Value,
    /// The file that is looked at and linked, and one that is not there.
    file: &'static str,
    gone: &'static str,
    /// Starts the emulator, with this token valid.
    emulate: fn(&str) -> Box<dyn EmulatedDrive>,
}

/// One file of `golden/`.
struct Golden {
    name: String,
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Option<Value>,
    form: Option<BTreeMap<String, String>>,
    /// What a signed field of the form claims.
    assertion: Option<Value>,
    status: u16,
    response: Value,
    varies: Vec<String>,
    /// What the emulator is asked first.
    before: Vec<Value>,
    /// How the plugin logs in; `None` is with the ready token.
    config: Option<Value>,
    /// What the plugin makes of it.
    understood: Value,
}

/// A request as the golden server got it.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: String,
}

fn koodrive() -> Sides {
    Sides {
        name: "koodrive",
        plugin: linkfs_plugin_koodrive::PLUGIN,
        config: json!({"space": "IAACq0f3b6d1c9e4a72"}),
        file: "Fq2Plan",
        gone: "FqGone",
        emulate: |token| {
            let options = koodrive::Options {
                space: "IAACq0f3b6d1c9e4a72".into(),
                credentials: koodrive::Credentials {
                    token: token.into(),
                    user_id: "u-7f21".into(),
                    session_id: "fake-golden-session".into(),
                    account: "fake-golden-account".into(),
                    password: "fake-golden-password".into(),
                    ..koodrive::Credentials::default()
                },
                knobs: koodrive::Knobs {
                    capacity: "20".into(),
                    used_bytes: Some(5 << 30),
                    ..koodrive::Knobs::default()
                },
                ..koodrive::Options::with_tree(tree(
                    "Fq1Reports",
                    ("Fq2Plan", "plan.pdf"),
                    Content::Generated {
                        seed: 1,
                        size: 184_320,
                    },
                ))
            };
            Box::new(koodrive::Emulator::start_blocking(options).expect("KooDrive starts"))
        },
    }
}

fn pds() -> Sides {
    Sides {
        name: "pds",
        plugin: linkfs_plugin_pds::PLUGIN,
        config: json!({"drive": "1", "domain": "bj9"}),
        file: "65a0c1d2e3f405162738495a6b7c8d9e0f1a2b3c5e",
        gone: "65a0c1d2e3f405162738495a6b7c8d9e0f1a2b3c99",
        emulate: |token| {
            let options = pds::Options {
                credentials: pds::Credentials {
                    token: token.into(),
                    refresh_token: "fake-golden-refresh".into(),
                    client_id: "fake-golden-app".into(),
                    client_secret: "fake-golden-secret".into(),
                    app_public_key: Some(APP_KEY.public()),
                    auth_code: "fake-golden-code".into(),
                    redirect_uri: "http://127.0.0.1/callback".into(),
                    ..pds::Credentials::default()
                },
                knobs: pds::Knobs {
                    total_size: 1 << 40,
                    group_drives: 1,
                    used_bytes: Some(73_400_320),
                    ..pds::Knobs::default()
                },
                ..pds::Options::with_tree(tree(
                    "95a6b7c8d9e0f1a2b3c4d",
                    ("95a6b7c8d9e0f1a2b3c5e", "hello.txt"),
                    "Hello, world!".into(),
                ))
            };
            let drive = pds::Emulator::start_blocking(options).expect("PDS starts");
            drive.share(&["95a6b7c8d9e0f1a2b3c5e".into()], |share| {
                share.name = "hello.txt".into();
                share.password = "abcd".into();
            });
            Box::new(drive)
        },
    }
}

fn dingtalk() -> Sides {
    Sides {
        name: "dingtalk",
        plugin: linkfs_plugin_dingtalk::PLUGIN,
        config: json!({"space": "854001", "union_id": "uOwn"}),
        file: "5521",
        gone: "9999",
        emulate: |token| {
            let options = dingtalk::Options {
                space: "854001".into(),
                credentials: dingtalk::Credentials {
                    token: token.into(),
                    app_key: "fake-golden-app".into(),
                    app_secret: "fake-golden-secret".into(),
                    union_id: "uOwn".into(),
                    corp_id: "dingc0ffee".into(),
                    ..dingtalk::Credentials::default()
                },
                knobs: dingtalk::Knobs {
                    quota_bytes: 100 << 30,
                    other_spaces: 1,
                    used_bytes: Some(5 << 30),
                    ..dingtalk::Knobs::default()
                },
                ..dingtalk::Options::with_tree(with_document(tree(
                    "5500",
                    ("5521", "hello.txt"),
                    "Hello, world!".into(),
                )))
            };
            Box::new(dingtalk::Emulator::start_blocking(options).expect("DingTalk starts"))
        },
    }
}

/// The content that golden answers tell of: a folder and a file.
fn tree(folder: &str, (file, name): (&str, &str), content: Content) -> Tree {
    let tree = Tree::new();
    let at = |text: &str| Some(text.parse().expect("a time"));
    tree.add(NewNode {
        parent: ROOT_ID.into(),
        name: "Reports".into(),
        id: Some(folder.into()),
        created: at("2026-01-02T03:04:05Z"),
        modified: at("2026-01-03T03:04:05Z"),
        ..NewNode::default()
    });
    tree.add(NewNode {
        parent: ROOT_ID.into(),
        name: name.into(),
        content: Some(content),
        id: Some(file.into()),
        created: at("2026-01-02T03:05:00.120Z"),
        modified: at("2026-01-02T03:05:00.120Z"),
        ..NewNode::default()
    });
    tree
}

/// With an online document.
fn with_document(tree: Tree) -> Tree {
    let at = |text: &str| Some(text.parse().expect("a time"));
    tree.add(NewNode {
        parent: ROOT_ID.into(),
        name: "Plan.adoc".into(),
        content: Some("".into()),
        id: Some("5530".into()),
        created: at("2026-01-02T03:06:00Z"),
        modified: at("2026-01-04T03:06:00Z"),
        ..NewNode::default()
    });
    tree
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().expect("an object of texts").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    fields.map(|(k, v)| (k.to_lowercase(), text(v))).collect()
}

/// Names as they are: those of queries and forms have capitals.
fn named_texts(value: &Value) -> BTreeMap<String, String> {
    let fields = value.as_object().expect("an object of texts").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    fields.map(|(k, v)| (k.clone(), text(v))).collect()
}

impl Golden {
    fn read(path: &Path) -> Golden {
        let text = fs::read_to_string(path).expect("a golden file");
        let file: Value = serde_json::from_str(&text).expect("a golden file is JSON");
        let request = &file["request"];
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let varies = file["varies"].as_array().expect("places that vary");
        Golden {
            name: path.display().to_string(),
            method: text(&request["method"]),
            path: text(&request["path"]),
            query: named_texts(&request["query"]),
            headers: texts(&request["headers"]),
            body: request.get("body").cloned(),
            form: request.get("form").map(named_texts),
            assertion: request.get("assertion").cloned(),
            status: file.get("status").map_or(200, |status| {
                let status = status.as_u64().and_then(|status| status.try_into().ok());
                status.expect("an HTTP status")
            }),
            response: file["response"].clone(),
            varies: varies.iter().map(text).collect(),
            before: file["before"].as_array().cloned().unwrap_or_default(),
            config: file.get("config").cloned(),
            understood: file["understood"].clone(),
        }
    }

    /// All files of a drive.
    fn all(drive: &str) -> Vec<Golden> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
        let files = fs::read_dir(folder.join(drive)).expect("the drive's golden files");
        let mut paths: Vec<_> = files.map(|file| file.expect("an entry").path()).collect();
        paths.sort();
        assert!(paths.len() >= 5, "{drive} has golden files");
        paths.iter().map(|path| Golden::read(path)).collect()
    }

    fn is_named(&self, call: &str) -> bool {
        Path::new(&self.name)
            .file_stem()
            .is_some_and(|stem| stem == call)
    }

    /// Whether the call is one of several for the same answer: `WHAT` or `WHAT-PART`.
    fn is_about(&self, what: &str) -> bool {
        let stem = Path::new(&self.name).file_stem();
        let stem = stem.and_then(|stem| stem.to_str()).unwrap_or_default();
        stem.split('-').next() == Some(what)
    }

    fn is_asked_by(&self, seen: &Seen) -> bool {
        seen.path == self.path && seen.method == self.method
    }

    /// The token of the request.
    fn token(&self) -> &str {
        let bearer = self.headers.get("authorization");
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        bearer.unwrap_or(TOKEN)
    }

    fn encoded_body(&self) -> String {
        match (&self.body, &self.form) {
            (Some(body), _) => body.to_string(),
            (None, Some(form)) => {
                let mut form = form.clone();
                if let Some(claims) = &self.assertion {
                    form.insert("assertion".into(), APP_KEY.assert(claims));
                }
                pairs(&form)
            }
            (None, None) => String::new(),
        }
    }

    /// Whether the plugin asked as the golden request does.
    fn check_request(&self, seen: &Seen) {
        assert_eq!(seen.method, self.method, "{}", self.name);
        let mut query = seen.query.clone();
        // Nobody may guess it, so it is never the golden one.
        if let Some(state) = query.get_mut("state") {
            assert!(state.len() >= 16, "{}: {state}", self.name);
            self.query["state"].clone_into(state);
        }
        assert_eq!(query, self.query, "{}", self.name);
        for (name, value) in &self.headers {
            let sent = seen.headers.get(name).and_then(|value| value.to_str().ok());
            assert_eq!(sent, Some(value.as_str()), "{}: header {name}", self.name);
        }
        if let Some(form) = &self.form {
            let mut sent = split_pairs(&seen.body);
            let assertion = sent.remove("assertion");
            let claims = assertion.map(|assertion| APP_KEY.read(&assertion));
            assert_eq!(claims, self.assertion, "{}", self.name);
            assert_eq!(&sent, form, "{}", self.name);
        }
        if let Some(body) = &self.body {
            let mut sent: Value = serde_json::from_str(&seen.body).expect("a body of JSON");
            for key in ["comment", "description"] {
                if let Some(note) = body.get(key).and_then(Value::as_str) {
                    sent[key] = with_mark_of(note, &sent[key]).into();
                }
            }
            assert_eq!(&sent, body, "{}", self.name);
        }
    }
}

/// A note with the mark of the golden one in the place of its own, which no other share has.
fn with_mark_of(golden: &str, sent: &Value) -> String {
    let sent = sent.as_str().expect("a text").to_owned();
    match (golden.split_once("linkfs:"), sent.split_once("linkfs:")) {
        (Some((_, mark)), Some((note, own))) if own.len() == mark.len() => {
            format!("{note}linkfs:{mark}")
        }
        _ => sent,
    }
}

/// Fields as queries and forms have them.
fn pairs(fields: &BTreeMap<String, String>) -> String {
    let url = Url::parse_with_params("http://golden.test/", fields).expect("an address");
    url.query().unwrap_or_default().to_owned()
}

fn split_pairs(text: &str) -> BTreeMap<String, String> {
    let url = Url::parse(&format!("http://golden.test/?{text}")).expect("an address");
    url.query_pairs().into_owned().collect()
}

/// Panics where `real` lacks something of `golden`, or has it otherwise.
#[track_caller]
fn check_answer(golden: &Value, real: &Value, varies: &[String], at: &str) {
    let kind = std::mem::discriminant(golden);
    assert_eq!(std::mem::discriminant(real), kind, "{at}: {real}");
    if varies
        .iter()
        .any(|place| at.ends_with(&format!(":{place}")))
    {
        return;
    }
    match (golden, real) {
        (Value::Object(golden), Value::Object(real)) => {
            for (name, value) in golden {
                let at = format!("{at}/{name}");
                let real = real.get(name).unwrap_or_else(|| panic!("{at} is missing"));
                check_answer(value, real, varies, &at);
            }
        }
        (Value::Array(golden), Value::Array(real)) => {
            assert_eq!(golden.len(), real.len(), "{at}");
            for (index, (golden, real)) in golden.iter().zip(real).enumerate() {
                check_answer(golden, real, varies, &format!("{at}/{index}"));
            }
        }
        _ => assert_eq!(real, golden, "{at}"),
    }
}

/// A browser whose address is looked at before it goes there.
fn browser() -> reqwest::Client {
    let stays = reqwest::redirect::Policy::none();
    let browser = reqwest::Client::builder().redirect(stays).build();
    browser.expect("an HTTP client")
}

fn leads_to(answer: &reqwest::Response) -> Option<String> {
    let location = answer.headers().get("location")?;
    Some(location.to_str().expect("an address").to_owned())
}

fn of_location(location: &str) -> Value {
    let (address, query) = location.split_once('?').unwrap_or((location, ""));
    json!({"location": address, "query": split_pairs(query)})
}

/// Asks the emulator for what the golden answer is about.
async fn prepare(golden: &Golden, endpoint: &str) {
    for call in &golden.before {
        let text = |name: &str| call[name].as_str().expect("a text");
        let method = text("method").parse().expect("a method");
        let request = browser().request(method, format!("{endpoint}{}", text("path")));
        let request = request.bearer_auth(golden.token()).json(&call["body"]);
        let answer = request.send().await.expect("the emulator answers");
        assert_eq!(answer.status(), 200, "{}: {call}", golden.name);
    }
}

/// The emulator gives the golden answers to the golden requests.
async fn check_emulator(sides: Sides) {
    for golden in Golden::all(sides.name) {
        let drive = (sides.emulate)(golden.token());
        prepare(&golden, &drive.endpoint()).await;
        let query = pairs(&golden.query);
        let url = format!("{}{}?{query}", drive.endpoint(), golden.path);
        let method = golden.method.parse().expect("a method");
        let mut request = browser().request(method, url);
        for (name, value) in &golden.headers {
            request = request.header(name, value);
        }
        let answer = request.body(golden.encoded_body()).send().await;
        let answer = answer.expect("the emulator answers");
        let status = answer.status().as_u16();
        let real = match leads_to(&answer) {
            Some(location) => of_location(&location),
            None => {
                let body = answer.bytes().await.expect("a body");
                match body.is_empty() {
                    true => Value::Null,
                    false => serde_json::from_slice(&body).expect("an answer of JSON"),
                }
            }
        };
        assert_eq!(status, golden.status, "{}: {real}", golden.name);
        let at = format!("{}:", golden.name);
        check_answer(&golden.response, &real, &golden.varies, &at);
        assert_eq!(drive.counters().calls("unknown"), 0, "{}", golden.name);
    }
}

/// The plugin makes the golden requests and understands the golden answers.
async fn check_plugin(sides: Sides) {
    let all = Arc::new(Golden::all(sides.name));
    for golden in &*all {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let endpoint = serve(all.clone(), golden.name.clone(), seen.clone()).await;
        let state = tempfile::tempdir().expect("a folder for tokens");
        let provider = open(&sides, golden, &endpoint, state.path()).await;
        let understood = ask(&*provider, golden, &sides).await;
        check_understood(&understood, golden);
        let seen = seen.lock().expect("the requests").clone();
        let ours = seen.iter().find(|seen| golden.is_asked_by(seen));
        let ours = ours.unwrap_or_else(|| panic!("{} was not asked: {seen:?}", golden.name));
        golden.check_request(ours);
    }
}

/// A server that gives the answer of the golden file named `main`, and pages to those who log in well.
async fn serve(all: Arc<Vec<Golden>>, main: String, seen: Arc<Mutex<Vec<Seen>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = async move |request: Request| {
        let call = read(request).await;
        seen.lock().expect("the requests").push(call.clone());
        let is_asked = |golden: &&Golden| golden.is_asked_by(&call);
        let mut choices: Vec<&Golden> = all.iter().filter(is_asked).collect();
        choices.sort_by_key(|golden| golden.name != main);
        match choices.first() {
            None => StatusCode::NOT_FOUND.into_response(),
            Some(golden) if !has_login(golden, &call.headers) => {
                StatusCode::UNAUTHORIZED.into_response()
            }
            Some(golden) => to_response(golden, &call),
        }
    };
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

/// Whether a request has the token of the golden one.
fn has_login(golden: &Golden, headers: &HeaderMap) -> bool {
    ["authorization", "x-acs-dingtalk-access-token"]
        .iter()
        .filter_map(|name| Some((name, golden.headers.get(*name)?)))
        .all(|(name, value)| headers.get(*name).is_some_and(|sent| sent == value))
}

fn to_response(golden: &Golden, call: &Seen) -> Response {
    let status = StatusCode::from_u16(golden.status).expect("an HTTP status");
    if let Some(location) = golden.response["location"].as_str() {
        let mut query = named_texts(&golden.response["query"]);
        query.extend(
            call.query
                .get_key_value("state")
                .map(|(k, v)| (k.clone(), v.clone())),
        );
        let location = format!("{location}?{}", pairs(&query));
        return (status, [("location", location)]).into_response();
    }
    let headers = [("date", DATE), ("content-type", "application/json")];
    if golden.response.is_null() {
        return (status, [("date", DATE)]).into_response();
    }
    (status, headers, golden.response.to_string()).into_response()
}

async fn read(request: Request) -> Seen {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await;
    Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: split_pairs(parts.uri.query().unwrap_or("")),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body.expect("a whole body")).into_owned(),
    }
}

async fn open(sides: &Sides, golden: &Golden, endpoint: &str, state: &Path) -> Arc<dyn Provider> {
    let ready = match sides.name {
        "pds" => json!({"auth_mode": "token", "token": TOKEN}),
        _ => json!({"token": TOKEN}),
    };
    let mut config = Map::new();
    config.insert("endpoint".into(), endpoint.into());
    for part in [&sides.config, golden.config.as_ref().unwrap_or(&ready)] {
        config.extend(part.as_object().expect("keys").clone());
    }
    if golden.assertion.is_some() {
        config.insert("jwt_key".into(), APP_KEY.pem().into());
    }
    let settings = Settings {
        config: Secret::new(config),
        state_dir: state.to_owned(),
    };
    let opened = (sides.plugin.open)(settings).await;
    opened.expect("the provider opens")
}

/// Asks what the golden file is about, and gives what the provider made of the answer.
async fn ask(provider: &dyn Provider, golden: &Golden, sides: &Sides) -> Value {
    let is = |call| golden.is_named(call);
    let is_koodrive = sides.name == "koodrive";
    let page = async || provider.list(&provider.about().root, None).await;
    let answer = match () {
        () if is("list") => page().await.map(|page| {
            let items: Vec<_> = page.items.iter().map(of_item).collect();
            json!({"items": items, "next": page.next})
        }),
        () if is("stat") => stat(provider, sides.file).await,
        () if is("stat-gone") => stat(provider, sides.gone).await,
        () if is("sign") => {
            let files = [ItemId::from(sides.file)];
            let link = provider.links(&files).await.remove(0);
            link.as_ref().map(of_link).map_err(Clone::clone)
        }
        () if is("usage") => {
            let usage = provider.usage().await;
            usage.map(|usage| json!({"total": usage.total, "used": usage.used}))
        }
        () if is("login-page") || is("token-code") => {
            let logged_in = log_in(provider, is("login-page")).await;
            match logged_in {
                Ok(()) => page().await.map(|page| json!({"items": page.items.len()})),
                Err(error) => Err(error),
            }
        }
        () if is_koodrive && is("share") => {
            let items = [ItemId::from(sides.file)];
            let terms = koodrive_terms(7, SHARE_CODE);
            let made = sharing(provider).share(&items, &terms).await;
            made.as_ref().map(of_koodrive_share).map_err(Clone::clone)
        }
        () if is_koodrive && is("shares") => {
            let page = sharing(provider).shares(None).await;
            page.map(|page| {
                let shares: Vec<_> = page.shares.iter().map(of_koodrive_share).collect();
                json!({"shares": shares, "next": page.next})
            })
        }
        () if is_koodrive && is("reshare") => {
            let (share, terms) = (ShareId(SHARE.into()), koodrive_terms(30, "Qq72mm55"));
            let changed = sharing(provider).reshare(&share, &terms).await;
            changed
                .as_ref()
                .map(of_koodrive_share)
                .map_err(Clone::clone)
        }
        () if is_koodrive && is("unshare") => {
            let revoked = sharing(provider).unshare(&ShareId(SHARE.into())).await;
            revoked.map(|()| json!({"revoked": true}))
        }
        () if is("shares") => sharing(provider).shares(None).await.map(|page| {
            let shares: Vec<_> = page.shares.iter().map(of_share).collect();
            json!({"shares": shares, "next": page.next})
        }),
        () if is("reshare") => {
            let share = golden.body.as_ref().expect("a body")["share_id"].clone();
            let share = serde_json::from_value(share).expect("an id");
            let terms = share_terms(golden, sides);
            let changed = sharing(provider).reshare(&share, &terms).await;
            changed.as_ref().map(of_share).map_err(Clone::clone)
        }
        () if is("unshare") => {
            let share = golden.body.as_ref().expect("a body")["share_id"].clone();
            let share = serde_json::from_value(share).expect("an id");
            let gone = sharing(provider).unshare(&share).await;
            gone.map(|()| json!({"revoked": true}))
        }
        () if golden.is_about("share") => {
            let files = [ItemId::from(sides.file)];
            let terms = share_terms(golden, sides);
            let made = sharing(provider).share(&files, &terms).await;
            made.as_ref().map(of_share).map_err(Clone::clone)
        }
        () if golden.is_about("spaces") => {
            let spaces = provider.spaces().expect("the drive tells").spaces().await;
            spaces.map(|spaces| json!({"spaces": spaces.iter().map(of_space).collect::<Vec<_>>()}))
        }
        () if golden.is_about("accept") => {
            let received = accept(provider).await;
            received.map(|received| {
                let top: Vec<_> = received.top.iter().map(|item| &item.id).collect();
                json!({"id": received.id, "top": top})
            })
        }
        () if is("save") => {
            let share = accept(provider).await.expect("a share");
            let items = [ItemId::from(sides.file)];
            let task = receiving(provider).save(&share, &items, &provider.about().root);
            task.await.map(|task| json!({"task": task}))
        }
        () if is("task") => {
            let task = TaskId(format!("{SHARE}/1990000000000500001"));
            let task = receiving(provider).task(&task).await;
            task.map(|task| {
                let archive = task.archive.as_ref().map(|url| url.expose());
                json!({"state": format!("{:?}", task.state), "progress": task.progress,
                    "archive": archive})
            })
        }
        // A login shows in what it opens.
        () => page().await.map(|page| json!({"items": page.items.len()})),
    };
    answer.unwrap_or_else(|error| json!({"error": format!("{:?}", error.kind)}))
}

/// Does a person's part: opens the page and brings back where it leads, or a code got before.
async fn log_in(provider: &dyn Provider, opens_page: bool) -> Result<(), ProviderError> {
    let login = provider.login().expect("a person can log in");
    if !opens_page {
        return login.finish(Secret::new("fake-golden-code".into())).await;
    }
    let step = login.begin().await?;
    let answer = browser().get(&step.url).send().await.expect("the page");
    let location = leads_to(&answer).expect("the page leads back");
    login.finish(Secret::new(location)).await
}

async fn stat(provider: &dyn Provider, id: &str) -> Result<Value, ProviderError> {
    provider
        .stat(&id.into())
        .await
        .as_ref()
        .map(of_item)
        .map_err(Clone::clone)
}

fn sharing(provider: &dyn Provider) -> &dyn Sharing {
    provider.sharing().expect("the drive shares")
}

fn receiving(provider: &dyn Provider) -> &dyn Receiving {
    provider.receiving().expect("the drive takes shares")
}

async fn accept(provider: &dyn Provider) -> Result<Received, ProviderError> {
    let code = Secret::new(SHARE_CODE.to_owned());
    receiving(provider).accept(SHARE_URL, Some(&code)).await
}

/// The terms of golden shares: for one person, to look at and download.
fn koodrive_terms(days: u64, code: &str) -> ShareTerms {
    ShareTerms {
        valid_for: Some(Duration::from_secs(days * 86_400)),
        password: SharePassword::Given(Secret::new(code.into())),
        audience: Audience::Members {
            users: vec!["u-9".into()],
            groups: Vec::new(),
            departments: Vec::new(),
        },
        permissions: Permissions {
            preview: true,
            download: true,
            edit: false,
            save: false,
        },
        note: None,
    }
}

fn of_koodrive_share(share: &Share) -> Value {
    let code = share.password.as_ref().map(Secret::expose);
    let counters = [
        share.counters.views,
        share.counters.downloads,
        share.counters.saves,
    ];
    json!({"id": share.id, "url": share.url, "name": share.name, "items": share.items,
        "code": code, "state": format!("{:?}", share.state), "expires_ms": ms(share.expires),
        "counters": counters, "note": share.terms.note})
}

fn ms(time: Option<SystemTime>) -> Option<u64> {
    let since = time.and_then(|at| at.duration_since(UNIX_EPOCH).ok())?;
    Some(u64::try_from(since.as_millis()).expect("a near time"))
}

fn of_item(item: &Item) -> Value {
    let ms = ms(item.modified);
    let mut told = json!({"id": item.id, "name": item.name, "size": null, "modified_ms": ms});
    match &item.kind {
        ItemKind::Folder => {}
        ItemKind::File { size } => told["size"] = json!(size),
        ItemKind::WebDocument { address } => told["page"] = json!(address.as_str()),
    }
    told
}

/// The terms that golden shares have: as much as the drive can do.
fn share_terms(golden: &Golden, sides: &Sides) -> ShareTerms {
    let permissions = Permissions {
        preview: true,
        download: sides.name != "dingtalk",
        edit: false,
        save: false,
    };
    let members = Audience::Members {
        users: vec!["uFriend".into()],
        groups: Vec::new(),
        departments: Vec::new(),
    };
    ShareTerms {
        valid_for: None,
        password: match sides.name {
            "dingtalk" => SharePassword::None,
            _ => SharePassword::Given(Secret::new("abcd".into())),
        },
        audience: match sides.name {
            "dingtalk" if golden.name.contains("scope") => Audience::Organization,
            "dingtalk" => members,
            _ => Audience::Anyone,
        },
        permissions,
        note: Some("for Lin".into()),
    }
}

fn of_share(share: &Share) -> Value {
    let may = share.terms.permissions;
    let may = [
        ("preview", may.preview),
        ("download", may.download),
        ("edit", may.edit),
        ("save", may.save),
    ];
    let may = may.iter().filter(|(_, may)| *may).map(|(name, _)| *name);
    json!({
        "id": share.id, "name": share.name, "items": share.items, "url": share.url,
        "password": share.password.as_ref().map(Secret::expose), "note": share.terms.note,
        "expires": share.expires.is_some(), "state": format!("{:?}", share.state),
        "may": may.collect::<Vec<_>>().join(" "),
    })
}

fn of_space(space: &Space) -> Value {
    json!({"id": space.id, "name": space.name, "kind": format!("{:?}", space.kind)})
}

fn of_link(link: &Link) -> Value {
    let urls: Vec<_> = link.urls.iter().map(|url| url.expose()).collect();
    let headers = link.headers.iter();
    let headers: Map<_, _> = headers
        .map(|(name, value)| (name.clone(), value.expose().as_str().into()))
        .collect();
    json!({"urls": urls, "headers": headers, "valid_for_s": link.valid_for.as_secs()})
}

/// A link may be taken to end a little early: the time of the answer has whole seconds, and some have
/// passed since.
fn check_understood(understood: &Value, golden: &Golden) {
    let mut understood = understood.clone();
    if let Some(wanted) = golden.understood.get("valid_for_s").and_then(Value::as_u64) {
        let told = understood["valid_for_s"].as_u64().expect("a life");
        let spare = Duration::from_secs(10).as_secs();
        assert!(told <= wanted && told + spare >= wanted, "{told} s");
        understood["valid_for_s"] = wanted.into();
    }
    assert_eq!(understood, golden.understood, "{}", golden.name);
}

macro_rules! golden {
    ($($drive:ident),*) => {
        $(mod $drive {
            #[tokio::test]
            async fn the_emulator_answers_as_documented() {
                crate::check_emulator(crate::$drive()).await;
            }

            #[tokio::test]
            async fn the_plugin_asks_and_understands_as_documented() {
                crate::check_plugin(crate::$drive()).await;
            }
        })*
    };
}

mod tests {
    golden!(koodrive, pds, dingtalk);
}
