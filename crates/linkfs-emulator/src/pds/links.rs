use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

use super::answer::{Answer, Failure, Outcome};
use super::data::{Line, link};
use super::drive::Drive;
use super::ids::file_id;
use super::knobs::{ExpirationShape, UrlShape};
use crate::Node;
use crate::call::Call;

/// All but the characters that RFC 3986 never escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The longest name for a downloaded file, in characters.
const FILE_NAME_MAX: usize = 1024;

/// The example of the documents, which is the layout of a time and no time.
const TIME_LAYOUT: &str = "2006-01-02T15:04:05.999Z07:00";

/// What a call says about the link it wants.
pub(crate) struct LinkTerms<'a> {
    life_s: u64,
    file_name: Option<&'a str>,
    content_type: Option<&'a str>,
}

impl<'a> LinkTerms<'a> {
    pub(crate) fn read(
        call: &'a Call,
        life_default_s: u64,
        life_max_s: u64,
    ) -> Result<Self, Failure> {
        let life_s = match call.field("expire_sec") {
            None => life_default_s,
            Some(_) => call
                .number("expire_sec")
                .ok_or_else(|| Failure::wrong_format("expire_sec"))?,
        };
        if !(1..=life_max_s).contains(&life_s) {
            return Err(Failure::out_of_range("expire_sec"));
        }
        let file_name = call.text("file_name");
        if file_name.is_some_and(|name| name.chars().count() > FILE_NAME_MAX) {
            return Err(Failure::out_of_range("file_name"));
        }
        Ok(Self {
            life_s,
            file_name,
            content_type: call.text("response_content_type"),
        })
    }
}

/// `file/get_download_url`
pub(crate) fn get_download_url(drive: &Drive, call: &Call) -> Outcome {
    let knobs = drive.knobs.get();
    let terms = LinkTerms::read(call, knobs.link_life_default_s, knobs.link_life_max_s)?;
    let node = drive.called_node(call)?;
    of_node(drive, &node, &terms)
}

/// The link to a file, over every line there is.
pub(crate) fn of_node(drive: &Drive, node: &Node, terms: &LinkTerms<'_>) -> Outcome {
    let knobs = drive.knobs.get();
    refuse_folders(node)?;
    let name = terms.file_name.unwrap_or(&node.name);
    let more = overrides(name, terms.content_type);
    drive.cloud.counters.link(&node.id);
    let life = life(drive, terms.life_s);
    let sign = |line| link(drive, node, line, life, &more);
    let mut body = json!({
        "method": "GET",
        "domain_id": drive.domain,
        "drive_id": knobs.drive_id(&drive.drive_id),
        "file_id": file_id(&node.id),
        "revision_id": format!("r{:02}", node.revision),
    });
    let lines = [
        ("url", knobs.url, Line::Url),
        ("cdn_url", knobs.cdn_url, Line::Cdn),
        ("internal_url", knobs.internal_url, Line::Internal),
    ];
    for (name, shape, line) in lines {
        body[name] = match shape {
            UrlShape::Own => json!(sign(line)),
            UrlShape::Same => json!(sign(Line::Url)),
            UrlShape::Dead => json!(sign(Line::Dead)),
            UrlShape::Empty => knobs.maybe(""),
            UrlShape::Absent => continue,
        };
    }
    match knobs.expiration {
        ExpirationShape::Time => body["expiration"] = knobs.time(drive.cloud.clock.now() + life),
        ExpirationShape::Layout => body["expiration"] = json!(TIME_LAYOUT),
        ExpirationShape::Absent => {}
    }
    if !knobs.omits_link_facts {
        body["size"] = knobs.size(node.size());
        if let Some(checksum) = drive.checksum(node) {
            knobs.put_checksum(&mut body, &checksum);
        }
    }
    Ok(body)
}

/// `GET file/download`: the link as a redirect.
pub(crate) fn redirect(drive: &Drive, call: &Call) -> Result<Answer, Failure> {
    let query = |name: &str| call.query(name).ok_or_else(|| Failure::missing(name));
    let has_tree = drive.is_tree_id(&query("drive_id")?)?;
    let id = query("file_id")?;
    if !has_tree {
        return Err(Failure::gone("File"));
    }
    let node = drive.node(&id)?;
    refuse_folders(&node)?;
    let life_s = drive.knobs.get().link_life_default_s;
    Ok(Answer::redirect(plain(drive, &node, life_s)))
}

/// A link over the public line.
pub(crate) fn plain(drive: &Drive, node: &Node, life_s: u64) -> String {
    drive.cloud.counters.link(&node.id);
    let more = overrides(&node.name, None);
    link(drive, node, Line::Url, life(drive, life_s), &more)
}

fn life(drive: &Drive, asked_s: u64) -> Duration {
    let longest = drive.cloud.links.get().life_s;
    Duration::from_secs(asked_s.min(longest))
}

fn refuse_folders(node: &Node) -> Result<(), Failure> {
    if node.is_folder() {
        let text = "The operation is not supported for folders";
        return Err(Failure::new(400, "InvalidParameterNotSupported", text));
    }
    Ok(())
}

/// What a link makes the object store say about the file.
fn overrides(name: &str, content_type: Option<&str>) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let disposition = format!("attachment;filename*=UTF-8''{}", escaped(name));
    let mut query = format!("response-content-disposition={}", escaped(&disposition));
    if let Some(content_type) = content_type {
        query += &format!("&response-content-type={}", escaped(content_type));
    }
    query
}
