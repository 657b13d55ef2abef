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
        return Ok(query(drive, &node));
    }
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
    for member in members {
        match verb {
            Verb::Remove => {
                roles.remove(&member);
            }
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
    let scope = drive.permissions.scope(&node.id);
    Ok(json!({"scope": scope, "option": {"canSearch": false}}))
}

/// `PUT .../permissions/scopes`
pub(crate) fn set_scope(drive: &Drive, call: &Call, wanted: &str) -> Outcome {
    let node = drive.by_uuid(wanted)?;
    let scope = call.text("scope").filter(|scope| !scope.is_empty());
    let scope = scope.ok_or_else(|| Failure::parameter("scope"))?;
    let mut book = drive.permissions.0.lock().expect("permission lock");
    book.entry(node.id.clone()).or_default().scope = Some(scope.into());
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

fn query(drive: &Drive, node: &Node) -> Value {
    let book = drive.permissions.0.lock().expect("permission lock");
    let roles = book.get(&node.id).into_iter().flat_map(|file| &file.roles);
    let permissions = roles.map(|(member, role)| {
        json!({
            "role": {"id": role, "name": role},
            "member": {"type": member.kind, "id": member.id, "corpId": member.corp}})
    });
    json!({"permissions": permissions.collect::<Vec<_>>(), "nextToken": ""})
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
