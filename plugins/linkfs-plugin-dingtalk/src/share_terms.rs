//! The terms of a share as DingTalk can keep them: roles for people of the organisation, or reading for
//! all of it. Whatever else is asked for is refused here, before anything is asked of the drive.

use std::collections::BTreeSet;

use linkfs_provider::{Audience, Permissions, Result, SharePassword, ShareTerms};
use linkfs_provider_http::settings::invalid;
use serde::{Deserialize, Serialize};

/// What somebody may do, the least first: who may do more may do all that comes before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Role {
    Reader,
    Downloader,
    Editor,
    Manager,
    Owner,
}

/// Somebody who can be given a role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Member {
    /// As DingTalk calls it: `USER`, `CONVERSATION`, `DEPT`.
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// Checked terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// These have a role.
    Members(Role, BTreeSet<Member>),
    /// The whole organisation may read.
    Organization,
}

impl Role {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Role::Reader => "READER",
            Role::Downloader => "DOWNLOADER",
            Role::Editor => "EDITOR",
            Role::Manager => "MANAGER",
            Role::Owner => "OWNER",
        }
    }

    /// The role with this name; an unknown one may do anything.
    pub(crate) fn of(word: &str) -> Role {
        let all = [Role::Reader, Role::Downloader, Role::Editor, Role::Manager];
        let mut all = all.into_iter();
        let known = all.find(|role| role.word().eq_ignore_ascii_case(word));
        known.unwrap_or(Role::Owner)
    }

    pub(crate) fn permissions(self) -> Permissions {
        Permissions {
            preview: true,
            download: self >= Role::Downloader,
            edit: self >= Role::Editor,
            save: false,
        }
    }
}

/// Kinds of members, with the ids of the terms.
pub(crate) const USER: &str = "USER";
pub(crate) const CONVERSATION: &str = "CONVERSATION";
pub(crate) const DEPARTMENT: &str = "DEPT";

/// Checks terms. All that is wrong with them is told at once, since the usual terms of other drives are
/// wrong here in several ways.
///
/// # Errors
/// `Invalid`, naming each term that cannot be honoured and what to give instead.
pub(crate) fn check(terms: &ShareTerms) -> Result<Wanted> {
    let mut instead = Vec::new();
    let audience = match &terms.audience {
        Audience::Anyone => {
            instead
                .push("audience=members users=ID,.. (or groups=, departments=), or audience=org");
            None
        }
        audience => Some(audience),
    };
    if terms.password != SharePassword::None {
        instead.push("password=none");
    }
    if terms.valid_for.is_some() {
        instead.push("expires=never");
    }
    let is_for_all = terms.audience == Audience::Organization;
    let role = role(terms.permissions, is_for_all);
    if let Err(permissions) = role {
        instead.push(permissions);
    }
    let (Some(audience), Ok(role), true) = (audience, role, instead.is_empty()) else {
        return Err(invalid(format!(
            "DingTalk has no links that anyone can open, with a password or an end: it gives roles to \
             members of the organization. Give {}",
            listed(&instead)
        )));
    };
    match audience {
        Audience::Members {
            users,
            groups,
            departments,
        } => Ok(Wanted::Members(role, members(users, groups, departments)?)),
        Audience::Organization | Audience::Anyone => Ok(Wanted::Organization),
    }
}

/// The role that allows just this, or the permissions to ask for instead.
fn role(asked: Permissions, is_for_all: bool) -> Result<Role, &'static str> {
    match asked {
        Permissions { save: true, .. } => Err("allow without save"),
        Permissions { preview: false, .. } => Err("allow with preview"),
        Permissions { edit, download, .. } if is_for_all && (edit || download) => {
            Err("allow=preview, which is all that an organization gets")
        }
        Permissions {
            download: false,
            edit: true,
            ..
        } => Err("allow=preview,download,edit: who may edit may download"),
        Permissions { edit: true, .. } => Ok(Role::Editor),
        Permissions { download: true, .. } => Ok(Role::Downloader),
        _ => Ok(Role::Reader),
    }
}

fn members(
    users: &[String],
    groups: &[String],
    departments: &[String],
) -> Result<BTreeSet<Member>> {
    let of = |kind: &'static str, ids: &[String]| -> Vec<Member> {
        let member = |id: &String| Member {
            kind: kind.to_owned(),
            id: id.clone(),
        };
        ids.iter().map(member).collect()
    };
    let all = [
        of(USER, users),
        of(CONVERSATION, groups),
        of(DEPARTMENT, departments),
    ];
    let all: BTreeSet<Member> = all.into_iter().flatten().collect();
    if all.is_empty() {
        return Err(invalid("a share for members must name at least one"));
    }
    match all.iter().any(|member| member.id.is_empty()) {
        true => Err(invalid("a member's id is empty")),
        false => Ok(all),
    }
}

fn listed(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{}; and {last}", first.join("; ")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use linkfs_provider::{ErrorKind, Secret};

    use super::*;

    pub(crate) fn to_users(users: &[&str]) -> ShareTerms {
        ShareTerms {
            valid_for: None,
            password: SharePassword::None,
            audience: Audience::Members {
                users: users.iter().map(|id| (*id).to_owned()).collect(),
                groups: vec![],
                departments: vec![],
            },
            permissions: Role::Downloader.permissions(),
            note: None,
        }
    }

    fn refused(terms: &ShareTerms, words: &[&str]) {
        let error = check(terms).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Invalid);
        for word in words {
            assert!(error.message.contains(word), "{word}: {error}");
        }
        assert!(!error.message.contains("s3cret"), "{error}");
    }

    #[test]
    fn the_usual_terms_of_other_drives_are_refused_with_those_to_give() {
        let usual = ShareTerms {
            valid_for: Some(Duration::from_secs(7 * 86_400)),
            password: SharePassword::Auto,
            audience: Audience::Anyone,
            ..to_users(&[])
        };
        refused(
            &usual,
            &["audience=members", "password=none", "expires=never"],
        );
        let timed = ShareTerms {
            valid_for: Some(Duration::from_secs(60)),
            ..to_users(&["u1"])
        };
        refused(&timed, &["Give expires=never"]);
        let guarded = ShareTerms {
            password: SharePassword::Given(Secret::new("s3cret".into())),
            ..to_users(&["u1"])
        };
        refused(&guarded, &["Give password=none"]);
    }

    #[test]
    fn permissions_ask_for_a_role() {
        let check = |preview, download, edit, save, expected| {
            let mut terms = to_users(&["u1"]);
            terms.permissions = Permissions {
                preview,
                download,
                edit,
                save,
            };
            let role = match super::check(&terms) {
                Ok(Wanted::Members(role, _)) => Some(role),
                _ => None,
            };
            assert_eq!(role, expected, "{:?}", terms.permissions);
        };
        check(true, false, false, false, Some(Role::Reader));
        check(true, true, false, false, Some(Role::Downloader));
        check(true, true, true, false, Some(Role::Editor));
        check(true, false, true, false, None);
        check(false, true, false, false, None);
        check(true, true, false, true, None);
    }

    #[test]
    fn an_organization_gets_no_more_than_reading() {
        let mut terms = to_users(&[]);
        terms.audience = Audience::Organization;
        refused(&terms, &["Give allow=preview, which"]);
        terms.permissions = Role::Reader.permissions();
        assert_eq!(check(&terms).unwrap(), Wanted::Organization);
    }

    #[test]
    fn members_are_named_each_once() {
        let wanted = check(&to_users(&["u1", "u2", "u1"])).unwrap();
        let Wanted::Members(_, members) = wanted else {
            panic!("not for members")
        };
        assert_eq!(members.len(), 2);
        refused(&to_users(&[]), &["at least one"]);
        refused(&to_users(&[""]), &["id is empty"]);
    }

    #[test]
    fn roles_have_an_order_and_strange_ones_are_the_highest() {
        assert!(Role::of("downloader") < Role::of("EDITOR"));
        assert_eq!(Role::of("SUPERVISOR"), Role::Owner);
    }
}
