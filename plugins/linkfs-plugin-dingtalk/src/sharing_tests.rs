//! Shares as a server sees roles being given and taken.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use linkfs_provider::{
    Audience, ErrorKind, ItemId, Provider, Share, ShareId, SharePage, ShareState, ShareTerms,
};
use serde_json::{Value, json};

use crate::share_book::tests::record;
use crate::share_book::{Record, ShareBook};
use crate::share_terms::Role;
use crate::share_terms::tests::to_users;
use crate::test_server::*;

const NODE: &str = "/v2.0/storage/spaces/dentries/Bn77Qx/permissions";
const DETAIL: &str = "/v1.0/storage/spaces/854001/dentries/5521/query";

/// A drive with one file, whose members it knows.
#[derive(Clone, Default)]
struct Node(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    roles: BTreeMap<String, String>,
    scope: Option<String>,
    /// Calls that change roles and still succeed.
    changes_left: Option<u32>,
    is_gone: bool,
}

impl Node {
    async fn start(&self) -> Server {
        let node = self.clone();
        Server::start(move |call| node.play(call)).await
    }

    fn play(&self, call: &Seen) -> Response {
        let mut state = self.0.lock().unwrap();
        let tail = call.path.strip_prefix(NODE);
        if state.is_gone && tail.is_some() {
            return refusal(404, "dentryNotExist", "file not found");
        }
        match (call.method.as_str(), tail) {
            (_, None) if call.path == DETAIL => {
                let mut dentry = hello();
                dentry["uuid"] = json!("Bn77Qx");
                answer(json!({"dentry": dentry}))
            }
            (_, None) => answer(json!({"space": {"id": "854001", "corpId": "dingc0ffee"}})),
            ("POST", Some("/query")) => answer(state.members()),
            ("GET", Some("/scopes")) => {
                answer(json!({"scope": state.scope, "option": {"canSearch": true}}))
            }
            ("PUT", Some("/scopes")) => {
                state.scope = call.body["scope"].as_str().map(str::to_owned);
                answer(json!({"success": true}))
            }
            (_, Some("/remove")) => state.change(call, None),
            _ => state.change(call, call.body["roleId"].as_str()),
        }
    }

    fn roles(&self) -> Vec<String> {
        let state = self.0.lock().unwrap();
        let roles = state.roles.iter();
        roles.map(|(id, role)| format!("{id}={role}")).collect()
    }

    fn give(&self, id: &str, role: &str) {
        let mut state = self.0.lock().unwrap();
        state.roles.insert(id.into(), role.into());
    }
}

impl State {
    fn members(&self) -> Value {
        let members = self.roles.iter().map(|(id, role)| {
            let member = json!({"type": "USER", "id": id, "corpId": "dingc0ffee"});
            json!({"role": {"id": role, "name": role}, "member": member})
        });
        json!({"permissions": members.collect::<Vec<_>>(), "nextToken": ""})
    }

    fn change(&mut self, call: &Seen, role: Option<&str>) -> Response {
        if self.changes_left == Some(0) {
            let body = json!({"code": "Forbidden.AccessDenied.QpsLimitForApi", "message": "slow"});
            let wait = [("retry-after", "3")];
            return (StatusCode::FORBIDDEN, wait, body.to_string()).into_response();
        }
        self.changes_left = self.changes_left.map(|left| left - 1);
        for member in call.body["members"].as_array().unwrap() {
            let id = member["id"].as_str().unwrap().to_owned();
            match role {
                Some(role) => self.roles.insert(id, role.to_owned()),
                None => self.roles.remove(&id),
            };
        }
        answer(json!({"success": true}))
    }
}

/// A drive that keeps its shares in `dir`.
async fn drive(server: &Server, dir: &Path) -> Arc<dyn Provider> {
    server.drive_in(token_mode(), dir).await
}

async fn share(drive: &Arc<dyn Provider>, terms: &ShareTerms) -> linkfs_provider::Result<Share> {
    drive
        .sharing()
        .unwrap()
        .share(&["5521".into()], terms)
        .await
}

async fn shares(drive: &Arc<dyn Provider>) -> SharePage {
    drive.sharing().unwrap().shares(None).await.unwrap()
}

fn id() -> ShareId {
    ShareId("Bn77Qx".into())
}

fn users(share: &Share) -> Vec<String> {
    match &share.terms.audience {
        Audience::Members { users, .. } => users.clone(),
        _ => panic!("not for members"),
    }
}

#[tokio::test]
async fn members_get_a_role_as_documented() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    let mut terms = to_users(&["uFriend"]);
    terms.note = Some("for Lin".into());
    let made = share(&drive, &terms).await.unwrap();
    let given = &server.calls(NODE)[0];
    assert_eq!(
        (given.method.as_str(), given.query.as_str()),
        ("POST", "unionId=u%2FOwn")
    );
    assert_eq!(
        given.body,
        json!({"roleId": "DOWNLOADER",
            "members": [{"type": "USER", "id": "uFriend", "corpId": "dingc0ffee"}]})
    );
    assert_eq!(made.id, id());
    assert_eq!(made.url, "https://alidocs.dingtalk.com/i/nodes/Bn77Qx");
    assert_eq!(
        (made.items.as_slice(), made.name.as_str()),
        (&[ItemId::from("5521")][..], "hello.txt")
    );
    assert_eq!((&made.terms, made.state), (&terms, ShareState::Open));
    assert_eq!((made.expires, &made.password), (None, &None));
    let listed = shares(&drive).await;
    assert_eq!(listed.shares[0].terms, terms);
    assert!(listed.next.is_none());
}

#[tokio::test]
async fn departments_and_groups_are_members_too() {
    let dir = tempfile::tempdir().unwrap();
    let server = Node::default().start().await;
    let drive = drive(&server, dir.path()).await;
    let mut terms = to_users(&[]);
    terms.audience = Audience::Members {
        users: vec![],
        groups: vec!["g1".into()],
        departments: vec!["d1".into()],
    };
    share(&drive, &terms).await.unwrap();
    let given = &server.calls(NODE)[0].body["members"];
    let kinds: Vec<_> = given
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["type"].clone())
        .collect();
    assert_eq!(kinds, ["CONVERSATION", "DEPT"]);
    assert_eq!(given[1]["corpId"], "dingc0ffee");
}

#[tokio::test]
async fn what_dingtalk_cannot_do_is_refused_before_anything_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|_| bad_token()).await;
    let drive = drive(&server, dir.path()).await;
    let mut usual = to_users(&[]);
    usual.audience = Audience::Anyone;
    usual.valid_for = Some(Duration::from_secs(7 * 86_400));
    let error = share(&drive, &usual).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(
        error.message,
        "share: DingTalk has no links that anyone can open, with a password or an end: it gives \
         roles to members of the organization. Give audience=members users=ID,.. (or groups=, \
         departments=), or audience=org; and expires=never"
    );
    let sharing = drive.sharing().unwrap();
    for items in [vec![], vec!["5521".into(), "5522".into()], vec![root()]] {
        let error = sharing.share(&items, &to_users(&["u1"])).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
    }
    assert!(server.calls(DETAIL).is_empty());
}

#[tokio::test]
async fn revoking_takes_what_was_given_and_nothing_else() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    for (id, role) in [
        ("uBoss", "MANAGER"),
        ("uReader", "READER"),
        ("uOther", "EDITOR"),
    ] {
        node.give(id, role);
    }
    let terms = to_users(&["uBoss", "uReader", "uNew"]);
    share(&drive, &terms).await.unwrap();
    let during = [
        "uBoss=MANAGER",
        "uNew=DOWNLOADER",
        "uOther=EDITOR",
        "uReader=DOWNLOADER",
    ];
    assert_eq!(node.roles(), during);
    // Another process revokes it.
    let later = self::drive(&server, dir.path()).await;
    let sharing = later.sharing().unwrap();
    sharing.unshare(&id()).await.unwrap();
    assert_eq!(
        node.roles(),
        ["uBoss=MANAGER", "uOther=EDITOR", "uReader=READER"]
    );
    assert!(shares(&later).await.shares.is_empty());
    let calls = server.calls(&format!("{NODE}/query")).len();
    sharing.unshare(&id()).await.unwrap();
    assert_eq!(
        server.calls(&format!("{NODE}/query")).len(),
        calls,
        "it is gone already"
    );
}

#[tokio::test]
async fn new_terms_replace_all_of_the_old() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    let made = share(&drive, &to_users(&["u1", "u2"])).await.unwrap();
    let mut terms = to_users(&["u2", "u3"]);
    terms.permissions = Role::Editor.permissions();
    let sharing = drive.sharing().unwrap();
    let changed = sharing.reshare(&made.id, &terms).await.unwrap();
    assert_eq!(node.roles(), ["u2=EDITOR", "u3=EDITOR"]);
    assert_eq!(
        (users(&changed), changed.created),
        (vec!["u2".into(), "u3".into()], made.created)
    );
    let strange = sharing.reshare(&ShareId("Other".into()), &terms).await;
    assert_eq!(strange.unwrap_err().kind, ErrorKind::NotFound);
    let again = share(&drive, &to_users(&["u3"])).await.unwrap();
    assert_eq!(
        (again.id, node.roles()),
        (made.id, vec!["u3=DOWNLOADER".to_owned()])
    );
}

#[tokio::test]
async fn a_throttle_half_way_is_told_and_what_was_given_is_known() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    let ids: Vec<String> = (0..45).map(|number| format!("u{number:02}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    node.0.lock().unwrap().changes_left = Some(1);
    let error = share(&drive, &to_users(&ids)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::RateLimited);
    assert_eq!(error.retry_after, Some(Duration::from_secs(3)));
    assert_eq!(node.roles().len(), 30);
    let listed = shares(&drive).await;
    assert_eq!(users(&listed.shares[0]).len(), 30);
    node.0.lock().unwrap().changes_left = None;
    share(&drive, &to_users(&ids)).await.unwrap();
    let given = server.calls(NODE);
    let sizes = given
        .iter()
        .map(|call| call.body["members"].as_array().unwrap().len());
    assert_eq!(sizes.collect::<Vec<_>>(), [30, 15, 15]);
    drive.sharing().unwrap().unshare(&id()).await.unwrap();
    assert!(node.roles().is_empty());
}

#[tokio::test]
async fn an_organization_is_let_in_by_the_scope_and_out_again() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    let mut terms = to_users(&[]);
    terms.audience = Audience::Organization;
    terms.permissions = Role::Reader.permissions();
    let untold = share(&drive, &terms).await.unwrap_err();
    assert_eq!(untold.kind, ErrorKind::Unsupported);
    assert!(untold.message.contains("audience=members"), "{untold}");
    node.0.lock().unwrap().scope = Some("PRIVATE".into());
    let made = share(&drive, &terms).await.unwrap();
    assert_eq!(made.terms, terms);
    let path = format!("{NODE}/scopes");
    let set = |server: &Server| -> Vec<Value> {
        let calls = server.calls(&path).into_iter();
        let set = calls.filter(|call| call.method == "PUT");
        set.map(|call| call.body).collect()
    };
    let for_all = json!({"scope": "ORG_READ", "option": {"canSearch": false}});
    assert_eq!(set(&server), std::slice::from_ref(&for_all));
    assert_eq!(shares(&drive).await.shares[0].state, ShareState::Open);
    drive.sharing().unwrap().unshare(&made.id).await.unwrap();
    let before = json!({"scope": "PRIVATE", "option": {"canSearch": true}});
    assert_eq!(set(&server), [for_all, before]);
    // What somebody else has set since is theirs.
    share(&drive, &terms).await.unwrap();
    node.0.lock().unwrap().scope = Some("EVERYBODY".into());
    assert_eq!(shares(&drive).await.shares[0].state, ShareState::Closed);
    drive.sharing().unwrap().unshare(&made.id).await.unwrap();
    assert_eq!(set(&server).len(), 3);
}

#[tokio::test]
async fn shares_are_listed_as_they_are_now() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    share(&drive, &to_users(&["u1", "u2"])).await.unwrap();
    let lose = |id: &str| node.0.lock().unwrap().roles.remove(id);
    lose("u1");
    let left = shares(&drive).await.shares.remove(0);
    assert_eq!(
        (users(&left), left.state),
        (vec!["u2".to_owned()], ShareState::Open)
    );
    lose("u2");
    assert_eq!(shares(&drive).await.shares[0].state, ShareState::Closed);
    node.0.lock().unwrap().is_gone = true;
    let written = shares(&drive).await.shares.remove(0);
    assert_eq!(users(&written), ["u1", "u2"]);
    drive.sharing().unwrap().unshare(&id()).await.unwrap();
    node.0.lock().unwrap().is_gone = false;
    assert!(shares(&drive).await.shares.is_empty());
}

/// Writes down shares with these lasting ids, the last one the newest.
async fn write_down(dir: &Path, uuids: &[&str]) {
    let book = ShareBook::new(dir);
    let mut open = book.open().await.unwrap();
    for uuid in uuids {
        let record = Record {
            serial: open.next_serial(),
            ..record()
        };
        open.records.insert((*uuid).to_owned(), record);
    }
    open.save().unwrap();
}

fn ids(page: &SharePage) -> Vec<&str> {
    let shares = page.shares.iter();
    shares.map(|share| share.id.0.as_str()).collect()
}

#[tokio::test]
async fn a_share_that_cannot_be_checked_is_listed_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let reason = Arc::new(Mutex::new((403, "permissionDenied")));
    let (node, refused) = (Node::default(), reason.clone());
    node.give("u1", "READER");
    let server = Server::start(move |call| match call.path.contains("/Other/") {
        true => {
            let (status, code) = *refused.lock().unwrap();
            refusal(status, code, "no")
        }
        false => node.play(call),
    })
    .await;
    let drive = drive(&server, dir.path()).await;
    write_down(dir.path(), &["Bn77Qx", "Other"]).await;
    for lasting in [
        (403, "permissionDenied"),
        (404, "dentryNotExist"),
        (400, "paramError.option"),
        (400, "fileArchived"),
    ] {
        *reason.lock().unwrap() = lasting;
        let page = shares(&drive).await;
        assert_eq!(ids(&page), ["Other", "Bn77Qx"], "{lasting:?}");
        assert_eq!(page.shares[0].state, ShareState::Open);
        assert_eq!(users(&page.shares[0]), ["u1"]);
    }
    for (status, code, kind) in [
        (500, "systemError", ErrorKind::Unavailable),
        (
            403,
            "Forbidden.AccessDenied.QpsLimitForApi",
            ErrorKind::RateLimited,
        ),
        (400, "InvalidAuthentication", ErrorKind::LoginExpired),
    ] {
        *reason.lock().unwrap() = (status, code);
        let error = drive.sharing().unwrap().shares(None).await.unwrap_err();
        assert_eq!(error.kind, kind, "{code}");
    }
}

#[tokio::test]
async fn a_page_costs_few_calls() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let server = Server::start(move |_| answer(node.0.lock().unwrap().members())).await;
    let drive = drive(&server, dir.path()).await;
    write_down(dir.path(), &["a", "b", "c", "d", "e", "f"]).await;
    let first = shares(&drive).await;
    assert_eq!(ids(&first), ["f", "e", "d", "c", "b"]);
    let path = |uuid: &str| format!("/v2.0/storage/spaces/dentries/{uuid}/permissions/query");
    assert!(server.calls(&path("a")).is_empty());
    let sharing = drive.sharing().unwrap();
    let last = sharing.shares(first.next.as_ref()).await.unwrap();
    assert_eq!((ids(&last), last.next.is_none()), (vec!["a"], true));
    assert_eq!(server.calls(&path("b")).len(), 1);
}

#[tokio::test]
async fn nothing_is_given_while_the_record_of_shares_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::default();
    let server = node.start().await;
    let drive = drive(&server, dir.path()).await;
    let path = dir.path().join("shares.json");
    std::fs::write(&path, "{").unwrap();
    let error = share(&drive, &to_users(&["u1"])).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("shares.json"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{");
    assert!(node.roles().is_empty());
}

#[tokio::test]
async fn a_token_that_ends_half_way_is_renewed() {
    let (node, dir) = (Node::default(), tempfile::tempdir().unwrap());
    let number = Arc::new(Mutex::new(0));
    let server = Server::start({
        let (node, number) = (node.clone(), number.clone());
        move |call| {
            let mut number = number.lock().unwrap();
            if call.path == LOGIN {
                *number += 1;
                return new_token(&format!("fake-{number}"), 7200);
            }
            // The first token ends with the change of roles.
            match call.path == NODE && call.token() == "fake-1" {
                true => bad_token(),
                false => node.play(call),
            }
        }
    })
    .await;
    let drive = server.drive_in(app_mode(), dir.path()).await;
    share(&drive, &to_users(&["u1"])).await.unwrap();
    assert_eq!((*number.lock().unwrap(), node.roles().len()), (2, 1));
}
