//! Who may do what with one file or folder, asked and changed.

use std::collections::BTreeMap;

use linkfs_provider::{ErrorKind, ProviderError, Result};
use linkfs_provider_http::{path, value};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use crate::account::Account;
use crate::client::{Call, Fields};
use crate::share_terms::{Member, Role};
use crate::space::Space;
use crate::usage;

/// How many members one call names.
const MEMBERS: usize = 30;

/// How many members a page of them has.
const PAGE_SIZE: u32 = 50;

/// The scope in which everyone in the organisation may read.
pub(crate) const FOR_THE_ORGANIZATION: &str = "ORG_READ";

/// The permissions in one space.
#[derive(Debug)]
pub(crate) struct Permissions<'a> {
    pub(crate) account: &'a Account,
    pub(crate) space: &'a Space,
    /// The organisation's id, asked for once.
    pub(crate) organization: &'a OnceCell<String>,
}

/// What is done to the roles of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Give,
    Alter,
    Take,
}

/// Who but the members may see a file: as DingTalk tells it, so that it can be told back.
pub(crate) type Scope = Map<String, Value>;

impl Permissions<'_> {
    /// Everyone with a role on the dentry with this lasting id.
    ///
    /// # Errors
    /// `Broken` when the answer has no list, and whatever the drive says.
    pub(crate) async fn members(&self, uuid: &str) -> Result<BTreeMap<Member, Role>> {
        let mut members = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let mut option = json!({"maxResults": PAGE_SIZE});
            if let Some(after) = &after {
                option["nextToken"] = json!(after);
            }
            let path = path_of(uuid, "/query")?;
            let call = Call::post("ask for permissions", path, &json!({"option": option}));
            let answer = self.call(call).await?;
            members.extend(page(&answer)?);
            let next = value::text_of(&answer, "nextToken");
            if next.is_some() && next == after {
                return Err(broken("the next page is the same page again"));
            }
            after = match next {
                Some(next) => Some(next),
                None => return Ok(members),
            };
        }
    }

    /// Changes the roles of members, in as many calls as it takes.
    ///
    /// # Errors
    /// Whatever the drive says; then some may be changed.
    pub(crate) async fn change(
        &self,
        change: Change,
        uuid: &str,
        role: Role,
        members: &[Member],
    ) -> Result<()> {
        for some in members.chunks(MEMBERS) {
            let organization = self.organization().await?;
            let told = some.iter().map(
                |member| json!({"type": member.kind, "id": member.id, "corpId": organization}),
            );
            let body = json!({"roleId": role.word(), "members": told.collect::<Vec<_>>()});
            let call = match change {
                Change::Give => Call::post("give a role", path_of(uuid, "")?, &body),
                Change::Alter => Call::put("alter a role", path_of(uuid, "")?, &body),
                Change::Take => Call::post("take a role", path_of(uuid, "/remove")?, &body),
            };
            done(&self.call(call).await?)?;
        }
        Ok(())
    }

    /// The scope as it is now; `None` where the drive does not tell.
    ///
    /// # Errors
    /// Whatever the drive says.
    pub(crate) async fn scope(&self, uuid: &str) -> Result<Option<Scope>> {
        let call = Call::get("ask for the scope", path_of(uuid, "/scopes")?);
        let answer = self.call(call).await?;
        let is_told = value::text_of(&answer, "scope").is_some();
        let told = answer.into_iter();
        let told = told.filter(|(name, value)| {
            matches!(name.as_str(), "scope" | "option") && !value.is_null()
        });
        Ok(is_told.then(|| told.collect()))
    }

    /// Sets the scope.
    ///
    /// # Errors
    /// Whatever the drive says.
    pub(crate) async fn set_scope(&self, uuid: &str, scope: &Scope) -> Result<()> {
        let body = Value::Object(scope.clone());
        let call = Call::put("set the scope", path_of(uuid, "/scopes")?, &body);
        done(&self.call(call).await?)
    }

    async fn call(&self, call: Call) -> Result<Fields> {
        self.account.call(&self.space.as_operator(call)).await
    }

    /// The organisation that the space belongs to: members are named with it.
    async fn organization(&self) -> Result<&str> {
        let ask = || async {
            let answer = self.account.call(&usage::call(self.space)?).await?;
            let space = answer.get("space").and_then(Value::as_object);
            let corp = space.and_then(|space| value::text_of(space, "corpId"));
            corp.ok_or_else(|| broken("it does not tell whose the space is"))
        };
        let known = self.organization.get_or_try_init(ask).await;
        known.map(String::as_str)
    }
}

/// The scope that shows a file to everyone in the organisation, and not in its searches.
pub(crate) fn for_the_organization() -> Scope {
    let mut scope = Scope::new();
    scope.insert("scope".into(), json!(FOR_THE_ORGANIZATION));
    scope.insert("option".into(), json!({"canSearch": false}));
    scope
}

fn path_of(uuid: &str, tail: &str) -> Result<String> {
    let uuid = path::segment(uuid)?;
    Ok(format!(
        "/v2.0/storage/spaces/dentries/{uuid}/permissions{tail}"
    ))
}

fn page(answer: &Fields) -> Result<Vec<(Member, Role)>> {
    let list = match answer.get("permissions") {
        Some(list) => value::elements(list),
        None if answer.contains_key("nextToken") => &[],
        None => return Err(broken("it has no list of permissions")),
    };
    let read = list.iter().map(|entry| {
        let object = |name| entry.get(name).and_then(Value::as_object);
        let member = object("member")?;
        let role = object("role").and_then(|role| value::text_of(role, "id"));
        let role = role.or_else(|| entry.get("roleId").and_then(value::text))?;
        let member = Member {
            kind: value::text_of(member, "type")?.to_ascii_uppercase(),
            id: value::text_of(member, "id")?,
        };
        Some((member, Role::of(&role)))
    });
    let read: Option<Vec<_>> = read.collect();
    read.ok_or_else(|| broken("a permission has no member or no role"))
}

/// Refuses an answer that says that nothing was done.
fn done(answer: &Fields) -> Result<()> {
    match answer.get("success") {
        Some(success) if !value::flag(success) => {
            Err(broken("the drive refuses without saying why"))
        }
        _ => Ok(()),
    }
}

fn broken(what: &str) -> ProviderError {
    let message = format!("the answer makes no sense: {what}");
    ProviderError::new(ErrorKind::Broken, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: Value) -> Result<Vec<(Member, Role)>> {
        page(answer.as_object().unwrap())
    }

    #[test]
    fn permissions_name_members_and_roles() {
        let found = read(json!({"permissions": [
            {"role": {"id": "READER"}, "member": {"type": "USER", "id": "u1"}},
            {"roleId": "EDITOR", "member": {"type": "dept", "id": 7}}]}))
        .unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(member, role)| (member.kind.as_str(), member.id.as_str(), *role))
            .collect();
        let expected = [("USER", "u1", Role::Reader), ("DEPT", "7", Role::Editor)];
        assert_eq!(found, expected);
        assert!(read(json!({"nextToken": ""})).unwrap().is_empty());
    }

    #[test]
    fn an_answer_without_what_matters_is_broken() {
        for answer in [
            json!({}),
            json!({"permissions": [{"member": {"type": "USER", "id": "u1"}}]}),
            json!({"permissions": [{"role": {"id": "READER"}}]}),
        ] {
            assert_eq!(read(answer).unwrap_err().kind, ErrorKind::Broken);
        }
    }
}
