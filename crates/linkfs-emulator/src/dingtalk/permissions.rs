use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::drive::{Drive, uuid};
use super::route::{Target, Verb};
use crate::Node;

const ROLES: [&str; 5] = ["OWNER", "MANAGER", "EDITOR", "DOWNLOADER", "READER"];
const MEMBER_TYPES: [&str; 7] = [
    "USER",
    "ORG",
    "DEPT",
    "TAG",
    "CONVERSATION",
    "GG",
    "ALL_USERS",
];

/// The most members of one call.
const MEMBERS_MAX: usize = 30;

/// The most members on a page.
const PAGE_MAX: u64 = 50;

/// The one scope that the documents name. Beside it there is what a file has from the start.
const FOR_THE_ORGANISATION: &str = "ORG_READ";

/// Who may do what with which files, beside the operator.
#[derive(Debug, Default)]
pub(crate) struct PermissionBook(Mutex<BTreeMap<String, Permissions>>);

#[derive(Debug, Default)]
struct Permissions {
    roles: BTreeMap<Member, String>,
    scope: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    kind: String,
    id: String,
    corp: String,
}

impl PermissionBook {
    /// Gives somebody a role, as another program would.
    pub(crate) fn grant(&self, file: &str, kind: &str, id: &str, corp: &str, role: &str) {
        let mut book = self.0.lock().expect("permission lock");
        let member = Member {
            kind: kind.into(),
            id: id.into(),
            corp: corp.into(),
        };
        let roles = &mut book.entry(file.into()).or_default().roles;
        roles.insert(member, role.into());
    }

    /// The members of a file, each as `TYPE:id=ROLE`, in order.
    pub(crate) fn members(&self, file: &str) -> Vec<String> {
        let book = self.0.lock().expect("permission lock");
        let roles = book.get(file).into_iter().flat_map(|file| &file.roles);
        roles
            .map(|(member, role)| format!("{}:{}={role}", member.kind, member.id))
            .collect()
    }

    /// Who but the members may see a file, as it was set.
    pub(crate) fn scope(&self, file: &str) -> Option<String> {
        let book = self.0.lock().expect("permission lock");
        book.get(file)?.scope.clone()
    }
}

/// `POST|PUT .../permissions` and `POST .../permissions/remove|query`
pub(crate) fn change(drive: &Drive, call: &Call, target: &Target, verb: Verb) -> Outcome {
    let node = match target {
        Target::Uuid(uuid) => drive.by_uuid(uuid)?,
        Target::Id { space, id } => {
            drive.check_space(space)?;
            drive.dentry(id)?
        }
    };
    if verb == Verb::Query {
        return query(drive, call, &node);
    }
    let known: &[&str] = match verb {
        Verb::Remove => &["roleId", "members"],
        _ => &["roleId", "members", "option"],
    };
    check_known(call, known)?;
    let role = call.text("roleId").unwrap_or_default();
    if !ROLES.contains(&role) {
        return Err(Failure::parameter("roleId"));
    }
    if call.field("option.duration").is_some() {
        // Spaces that a person owns take lasting grants only.
        return Err(Failure::parameter("option.duration"));
    }
    let members = members(call)?;
    let mut book = drive.permissions.0.lock().expect("permission lock");
    let roles = &mut book.entry(node.id.clone()).or_default().roles;
    // Who has no role has none to change.
    if verb == Verb::Update && members.iter().any(|member| !roles.contains_key(member)) {
        return Err(Failure::parameter("members"));
    }
    for member in members {
        match verb {
            Verb::Remove if roles.get(&member).is_some_and(|its| its == role) => {
                roles.remove(&member);
            }
            Verb::Remove => {}
            _ => {
                roles.insert(member, role.into());
            }
        }
    }
    Ok(json!({"success": true}))
}

/// `GET .../permissions/scopes`
pub(crate) fn scope(drive: &Drive, wanted: &str) -> Outcome {
    let node = drive.by_uuid(wanted)?;
    let knobs = drive.knobs.get();
    if knobs.hides_scopes {
        return Ok(json!({"option": {"canSearch": false}}));
    }
    let scope = drive.permissions.scope(&node.id);
    let scope = scope.unwrap_or(knobs.first_scope);
    Ok(json!({"scope": scope, "option": {"canSearch": false}}))
}

/// `PUT .../permissions/scopes`
pub(crate) fn set_scope(drive: &Drive, call: &Call, wanted: &str) -> Outcome {
    let node = drive.by_uuid(wanted)?;
    let scope = call.text("scope").filter(|scope| !scope.is_empty());
    let scope = scope.ok_or_else(|| Failure::parameter("scope"))?;
    check_known(call, &["scope", "option"])?;
    let first = drive.knobs.get().first_scope;
    if scope != FOR_THE_ORGANISATION && scope != first {
        return Err(Failure::parameter("scope"));
    }
    let mut book = drive.permissions.0.lock().expect("permission lock");
    book.entry(node.id.clone()).or_default().scope = (scope != first).then(|| scope.into());
    Ok(json!({"success": true}))
}

/// `POST .../openInfos/query`: a page that shows the file.
pub(crate) fn open_info(drive: &Drive, call: &Call, space: &str, id: &str) -> Outcome {
    drive.check_space(space)?;
    let node = drive.dentry(id)?;
    if !matches!(call.text("option.type"), None | Some("PREVIEW" | "EDIT")) {
        return Err(Failure::parameter("option.type"));
    }
    if node.is_folder() {
        return Err(Failure::new(
            "operationNotSupported",
            "a folder has no page",
        ));
    }
    let mark = call.field("option.waterMark") == Some(&Value::Bool(true));
    let page = uuid(&format!("page\n{}", node.id));
    let url = format!("https://preview.example.test/p/{page}");
    Ok(json!({"url": url, "hasWaterMark": mark}))
}

/// One page of the members. The token is where it goes on, as a number.
fn query(drive: &Drive, call: &Call, node: &Node) -> Outcome {
    check_known(call, &["option"])?;
    let size = call.number("option.maxResults").unwrap_or(PAGE_MAX);
    if !(1..=PAGE_MAX).contains(&size) {
        return Err(Failure::parameter("option.maxResults"));
    }
    let token = call.text("option.nextToken").unwrap_or_default();
    let start: usize = match token {
        "" => 0,
        token => token
            .parse()
            .map_err(|_| Failure::parameter("option.nextToken"))?,
    };
    let book = drive.permissions.0.lock().expect("permission lock");
    let roles = book.get(&node.id).into_iter().flat_map(|file| &file.roles);
    let mut permissions: Vec<Value> = roles
        .skip(start)
        .take(size as usize + 1)
        .map(|(member, role)| {
            json!({
                "role": {"id": role, "name": role},
                "member": {"type": member.kind, "id": member.id, "corpId": member.corp}})
        })
        .collect();
    let has_more = permissions.len() > size as usize;
    permissions.truncate(size as usize);
    let next = match has_more {
        true => (start + permissions.len()).to_string(),
        false => String::new(),
    };
    Ok(json!({"permissions": permissions, "nextToken": next}))
}

/// Refuses a body with a field that is none of `known`.
fn check_known(call: &Call, known: &[&str]) -> Result<(), Failure> {
    let fields = call.body.as_object().into_iter().flatten();
    let mut names = fields.map(|(name, _)| name.as_str());
    match names.find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::parameter(name)),
    }
}

fn members(call: &Call) -> Result<Vec<Member>, Failure> {
    let members = call.field("members").and_then(Value::as_array);
    let members = members.filter(|members| (1..=MEMBERS_MAX).contains(&members.len()));
    let members = members.ok_or_else(|| Failure::parameter("members"))?;
    members
        .iter()
        .map(|member| {
            let text = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
            let (kind, id, corp) = (text("type"), text("id"), text("corpId"));
            let is_complete = !id.is_empty() && (kind != "DEPT" || !corp.is_empty());
            if !MEMBER_TYPES.contains(&kind.as_str()) || !is_complete {
                return Err(Failure::parameter("members"));
            }
            Ok(Member { kind, id, corp })
        })
        .collect()
}
