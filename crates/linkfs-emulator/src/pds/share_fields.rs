use jiff::Timestamp;
use serde_json::Value;

use super::answer::Failure;
use super::share_book::{Limits, Share, Switches};
use crate::call::Call;

const NAME_MAX: usize = 128;
const PASSWORD_MAX: usize = 64;
const DESCRIPTION_MAX: usize = 1024;

/// The terms that both making and changing a share may give. What is absent stays as it is.
const TERMS: [&str; 11] = [
    "share_name",
    "share_pwd",
    "expiration",
    "description",
    "disable_preview",
    "disable_save",
    "disable_download",
    "office_editable",
    "preview_limit",
    "save_limit",
    "download_limit",
];

/// The further fields of a new share.
pub(crate) const OF_NEW: [&str; 7] = [
    "drive_id",
    "file_id_list",
    "share_all_files",
    "require_login",
    "creatable",
    "creatable_file_id_list",
    "user_id",
];

/// The further fields of a change.
pub(crate) const OF_CHANGE: [&str; 2] = ["share_id", "status"];

/// Refuses a body with a field that neither `own` nor the terms have.
pub(crate) fn check_terms_and(call: &Call, own: &[&str]) -> Result<(), Failure> {
    let known: Vec<&str> = TERMS.iter().chain(own).copied().collect();
    check_known(call, &known)
}

/// Refuses a body with a field that is none of `known`.
pub(crate) fn check_known(call: &Call, known: &[&str]) -> Result<(), Failure> {
    let fields = call.body.as_object().into_iter().flatten();
    let mut names = fields.map(|(name, _)| name.as_str());
    match names.find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let text = format!("The input parameter {name} is not supported");
            Err(Failure::new(400, "InvalidParameterNotSupported", &text))
        }
    }
}

/// Puts the terms of a call into a share. On a refusal the share may be half changed: give a copy.
pub(crate) fn put_terms(share: &mut Share, call: &Call, now: Timestamp) -> Result<(), Failure> {
    if let Some(name) = text(call, "share_name")?.filter(|name| !name.is_empty()) {
        share.name = short(name, "share_name", NAME_MAX)?;
    }
    if let Some(password) = text(call, "share_pwd")? {
        let is_visible = password.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_visible {
            return Err(Failure::wrong_format("share_pwd"));
        }
        share.password = short(password, "share_pwd", PASSWORD_MAX)?;
    }
    if let Some(description) = text(call, "description")? {
        share.description = short(description, "description", DESCRIPTION_MAX)?;
    }
    if let Some(expiration) = text(call, "expiration")? {
        share.expires = end(expiration, now)?;
    }
    put_switches(&mut share.switches, call)?;
    put_limits(&mut share.limits, call)
}

/// A text of the body.
pub(crate) fn text<'a>(call: &'a Call, name: &str) -> Result<Option<&'a str>, Failure> {
    match call.field(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Failure::wrong_format(name)),
    }
}

/// A text of the body that has to be there.
pub(crate) fn needed<'a>(call: &'a Call, name: &str) -> Result<&'a str, Failure> {
    let found = text(call, name)?.filter(|text| !text.is_empty());
    found.ok_or_else(|| Failure::missing(name))
}

/// A switch of the body.
pub(crate) fn flag(call: &Call, name: &str) -> Result<Option<bool>, Failure> {
    match call.field(name) {
        None => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Failure::wrong_format(name)),
    }
}

fn end(text: &str, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    let end: Timestamp = text
        .parse()
        .map_err(|_| Failure::wrong_format("expiration"))?;
    match end > now {
        true => Ok(Some(end)),
        false => Err(Failure::out_of_range("expiration")),
    }
}

fn short(text: &str, name: &str, max: usize) -> Result<String, Failure> {
    match text.chars().count() <= max {
        true => Ok(text.into()),
        false => Err(Failure::out_of_range(name)),
    }
}

fn put_switches(switches: &mut Switches, call: &Call) -> Result<(), Failure> {
    for (name, switch) in [
        ("disable_preview", &mut switches.disable_preview),
        ("disable_save", &mut switches.disable_save),
        ("disable_download", &mut switches.disable_download),
        ("office_editable", &mut switches.office_editable),
        ("require_login", &mut switches.require_login),
        ("creatable", &mut switches.creatable),
    ] {
        *switch = flag(call, name)?.unwrap_or(*switch);
    }
    Ok(())
}

fn put_limits(limits: &mut Limits, call: &Call) -> Result<(), Failure> {
    for (name, limit) in [
        ("preview_limit", &mut limits.preview),
        ("save_limit", &mut limits.save),
        ("download_limit", &mut limits.download),
    ] {
        if call.field(name).is_some() {
            let told = call.number(name);
            *limit = told.ok_or_else(|| Failure::wrong_format(name))?;
        }
    }
    Ok(())
}
