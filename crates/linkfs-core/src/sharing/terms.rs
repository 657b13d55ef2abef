//! What the words of the terms mean.

use std::time::{Duration, SystemTime};

use linkfs_provider::{Audience, Permissions, Secret, SharePassword, ShareTerms};

use super::expiry::{self, Expiry};
use super::words::{self, Place, Word};
use crate::{Error, Result};

/// The longest access code; no drive takes one that is longer.
const LONGEST_CODE: usize = 64;

/// What terms are called.
pub(crate) const KEYS: [&str; 8] = [
    "expires",
    "password",
    "audience",
    "users",
    "groups",
    "departments",
    "allow",
    "note",
];

/// The terms that were given: `None` for what stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TermsPatch {
    pub(crate) expires: Option<Expiry>,
    pub(crate) password: Option<SharePassword>,
    pub(crate) audience: Option<Audience>,
    pub(crate) permissions: Option<Permissions>,
    /// An empty note is none.
    pub(crate) note: Option<String>,
}

impl TermsPatch {
    /// Reads what somebody wrote. Empty text gives no terms at all.
    ///
    /// # Errors
    /// `BadTerms`: what is wrong, and where.
    pub(crate) fn parse(text: &[u8]) -> Result<TermsPatch> {
        read(text).map_err(|why| Error::BadTerms(format!("bad terms: {why}")))
    }

    /// Whether nothing was given.
    pub(crate) fn is_empty(&self) -> bool {
        *self == TermsPatch::default()
    }

    /// `base` with what was given in its place.
    ///
    /// # Errors
    /// `BadTerms` for an end that is over.
    pub(crate) fn over(self, base: ShareTerms, now: SystemTime) -> Result<ShareTerms> {
        let valid_for = match self.expires {
            None => base.valid_for,
            Some(expires) => expires.valid_for(now).map_err(Error::BadTerms)?,
        };
        let note = self.note.or(base.note);
        Ok(ShareTerms {
            valid_for,
            password: self.password.unwrap_or(base.password),
            audience: self.audience.unwrap_or(base.audience),
            permissions: self.permissions.unwrap_or(base.permissions),
            note: note.filter(|note| !note.is_empty()),
        })
    }
}

/// Reads an `expires` term.
///
/// # Errors
/// What is expected, in words.
pub fn parse_expiry(text: &str) -> Result<Option<Duration>, String> {
    match expiry::parse(text)? {
        Expiry::In(time) => Ok(Some(time)),
        Expiry::Never => Ok(None),
        Expiry::At(_) => {
            Err("expected a duration such as \"7d\" or \"12h\", or \"never\"".to_owned())
        }
    }
}

fn read(text: &[u8]) -> Result<TermsPatch, String> {
    let mut patch = TermsPatch::default();
    let mut who = Who::default();
    for word in words::read(text)? {
        let place = place_of(&word);
        read_word(word, &mut patch, &mut who).map_err(|why| match why.starts_with(&place) {
            true => why,
            false => format!("{place}: {why}"),
        })?;
    }
    patch.audience = who.audience()?;
    Ok(patch)
}

/// Where a word stands, for an error: in an object its key says it best, if it is one that we know.
fn place_of(word: &Word) -> String {
    match &word.place {
        Place::Key(_) if KEYS.contains(&word.key.as_str()) => word.key.clone(),
        place => place.to_string(),
    }
}

fn read_word(word: Word, patch: &mut TermsPatch, who: &mut Who) -> Result<(), String> {
    let values = word.values;
    match word.key.as_str() {
        "expires" => patch.expires = Some(expiry::parse(&only(values)?)?),
        "password" => patch.password = Some(read_password(only(values)?)?),
        "audience" => who.kind = Some(AudienceKind::parse(&only(values)?)?),
        "users" => who.users = read_list(&values)?,
        "groups" => who.groups = read_list(&values)?,
        "departments" => who.departments = read_list(&values)?,
        "allow" => patch.permissions = Some(read_permissions(&read_list(&values)?)?),
        "note" => patch.note = Some(only(values)?),
        _ => return Err(format!("unknown key, expected one of {}", KEYS.join(", "))),
    }
    Ok(())
}

fn only(values: Vec<String>) -> Result<String, String> {
    <[String; 1]>::try_from(values)
        .map(|[value]| value)
        .map_err(|_| "expected one value".to_owned())
}

fn read_password(text: String) -> Result<SharePassword, String> {
    match text.as_str() {
        "auto" => Ok(SharePassword::Auto),
        "none" => Ok(SharePassword::None),
        "" => Err("password: expected auto, none or a code".to_owned()),
        code if code.len() > LONGEST_CODE
            || code.contains(|c: char| c.is_control() || c == ' ') =>
        {
            Err(format!(
                "password: expected a code of at most {LONGEST_CODE} bytes without blanks"
            ))
        }
        _ => Ok(SharePassword::Given(Secret::new(text))),
    }
}

/// The values of a list; quoted ones may hold commas too.
fn read_list(values: &[String]) -> Result<Vec<String>, String> {
    let values = values.iter().flat_map(|value| value.split(','));
    let values: Vec<_> = values
        .map(str::trim)
        .filter(|value| !value.is_empty())
        .map(str::to_owned)
        .collect();
    match values.is_empty() {
        true => Err("the list is empty".to_owned()),
        false => Ok(values),
    }
}

/// What `allow` lists is permitted, and nothing else.
///
/// # Errors
/// What is expected, in words.
pub fn read_permissions(names: &[String]) -> Result<Permissions, String> {
    let mut permissions = Permissions {
        preview: false,
        download: false,
        edit: false,
        save: false,
    };
    for name in names {
        let permission = match name.as_str() {
            "preview" => &mut permissions.preview,
            "download" => &mut permissions.download,
            "edit" => &mut permissions.edit,
            "save" => &mut permissions.save,
            _ => return Err("allow: expected some of preview, download, edit, save".to_owned()),
        };
        *permission = true;
    }
    Ok(permissions)
}

/// Which people a share is for, by the word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudienceKind {
    /// Whoever holds the link.
    Anyone,
    /// Everyone in the organization.
    Organization,
    /// Named people, groups and departments.
    Members,
}

impl AudienceKind {
    /// Reads `anyone`, `org` or `members`.
    ///
    /// # Errors
    /// What is expected, in words.
    pub fn parse(text: &str) -> Result<AudienceKind, String> {
        match text {
            "anyone" => Ok(AudienceKind::Anyone),
            "org" => Ok(AudienceKind::Organization),
            "members" => Ok(AudienceKind::Members),
            _ => Err("audience: expected anyone, org or members".to_owned()),
        }
    }

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            AudienceKind::Anyone => "anyone",
            AudienceKind::Organization => "org",
            AudienceKind::Members => "members",
        }
    }

    pub(crate) fn of(audience: &Audience) -> AudienceKind {
        match audience {
            Audience::Anyone => AudienceKind::Anyone,
            Audience::Organization => AudienceKind::Organization,
            Audience::Members { .. } => AudienceKind::Members,
        }
    }
}

/// The words about people, put together when all have been read.
#[derive(Default)]
struct Who {
    kind: Option<AudienceKind>,
    users: Vec<String>,
    groups: Vec<String>,
    departments: Vec<String>,
}

impl Who {
    fn audience(self) -> Result<Option<Audience>, String> {
        let names_some = [&self.users, &self.groups, &self.departments]
            .iter()
            .any(|names| !names.is_empty());
        Ok(match (self.kind, names_some) {
            (None, false) => None,
            (Some(AudienceKind::Anyone), false) => Some(Audience::Anyone),
            (Some(AudienceKind::Organization), false) => Some(Audience::Organization),
            (Some(AudienceKind::Members) | None, true) => Some(Audience::Members {
                users: self.users,
                groups: self.groups,
                departments: self.departments,
            }),
            (Some(AudienceKind::Members), false) => {
                return Err("audience=members needs users, groups or departments".to_owned());
            }
            (Some(_), true) => {
                return Err("users, groups and departments go with audience=members".to_owned());
            }
        })
    }
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
