//! `linkfs share` and `linkfs unshare`: links to files of a mount for other people. What they do is what setting
//! and removing an attribute does.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use rustix::fs::{XattrFlags, removexattr, setxattr};
use serde::{Deserialize, Serialize};

use crate::args::{ShareArgs, TermArgs, UnshareArgs};
use crate::mounted::{Failures, attribute, check_mounted, explain, only_rehearses, read_code};
use crate::output;

const SHARE: &str = "user.linkfs.share";
/// All that is known of the share, as JSON.
pub(crate) const INFO: &str = "user.linkfs.share.info";

pub(crate) fn share(args: &ShareArgs) -> Result<()> {
    let terms = terms(&args.terms)?;
    let mut failures = Failures::default();
    let mut shared = Vec::new();
    for path in &args.paths {
        match share_one(path, &terms) {
            Ok(share) if args.output.json => shared.push(share),
            Ok(share) => show(&share, args.qr)?,
            Err(error) => failures.tell(path, &error),
        }
    }
    if args.output.json {
        output::json(&shared)?;
    }
    failures.result()
}

pub(crate) fn unshare(args: &UnshareArgs) -> Result<()> {
    let mut failures = Failures::default();
    for path in &args.paths {
        if let Err(error) = unshare_one(path) {
            failures.tell(path, &error);
        }
    }
    failures.result()
}

fn unshare_one(path: &Path) -> Result<()> {
    check_mounted(path)?;
    removexattr(path, SHARE).map_err(|error| explain(path, error))?;
    check_done(path, "revoked")
}

/// A rehearsal that goes well has not done what the command was given for.
fn check_done(path: &Path, what: &str) -> Result<()> {
    let rehearsed = only_rehearses(path).context("whether that was only rehearsed is not known")?;
    ensure!(
        !rehearsed,
        "nothing was {what}: `dry_run` in [share] only rehearses"
    );
    Ok(())
}

/// What is told of a share.
#[derive(Serialize)]
struct Shared {
    path: String,
    url: String,
    #[serde(flatten)]
    known: Known,
}

/// What the mount knows of it beside its address.
#[derive(Default, Deserialize, Serialize)]
struct Known {
    password: Option<String>,
    state: String,
    expires: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    share: Option<Known>,
}

fn share_one(path: &Path, terms: &str) -> Result<Shared> {
    check_mounted(path)?;
    setxattr(path, SHARE, terms.as_bytes(), XattrFlags::empty())
        .map_err(|error| explain(path, error))?;
    check_done(path, "shared or changed")?;
    let url = attribute(path, SHARE).context("it is shared, but where cannot be read")?;
    let info = attribute(path, INFO).context("it is shared, but how cannot be read")?;
    let info: Info = serde_json::from_str(&info).context("the mount's answer makes no sense")?;
    Ok(Shared {
        path: path.to_string_lossy().into_owned(),
        url,
        known: info.share.unwrap_or_default(),
    })
}

/// The terms as the mount reads them: only those that were given, so that the others stay as they are.
fn terms(args: &TermArgs) -> Result<String> {
    let mut terms = serde_json::to_value(args).context("cannot write the terms")?;
    if args.password.as_deref() == Some("-") {
        terms["password"] = read_code()?.into();
    }
    match terms.as_object() {
        Some(given) if given.is_empty() => Ok(String::new()),
        _ => Ok(terms.to_string()),
    }
}

fn show(share: &Shared, with_qr: bool) -> Result<()> {
    let mut text = format!("{}\n", output::shown(&share.url));
    if output::is_for_people() {
        if let Some(code) = &share.known.password {
            text += &format!("  code     {}\n", output::shown(code));
        }
        let end = share.known.expires.as_deref().unwrap_or("never");
        text += &format!("  expires  {end}\n");
    }
    if with_qr {
        let code = QrCode::new(&share.url).context("the address does not fit into a QR code")?;
        text += &code.render::<Dense1x2>().build();
        text.push('\n');
    }
    output::text(&text)
}
