use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::answer::Failure;
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::share_visits::Place;
use crate::faults::Strike;
use crate::{Action, Node};

/// All but the characters that RFC 3986 never escapes.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `POST files/download`: a link for each file, or the reason why there is none.
pub(crate) fn download(drive: &Drive, call: &Call, strikes: &[Strike]) -> Outcome {
    let place = Place::of(drive, call)?;
    let ids = call.texts("fileIds");
    if ids.is_empty() || ids.len() > drive.knobs.get().download_max {
        return Err(Failure::parameter("fileIds"));
    }
    let kept = ids.iter().filter(|id| !is_dropped(strikes, id));
    let mut entries: Vec<Value> = kept.map(|id| entry(drive, &place, id, strikes)).collect();
    if strikes
        .iter()
        .any(|strike| strike.action == Action::ReverseItems)
    {
        entries.reverse();
    }
    let succeeded = entries.iter().filter(|entry| entry["code"] == "0").count();
    let batch_code = match succeeded {
        0 => 2,
        some if some == ids.len() => 1,
        _ => 0,
    };
    Ok(json!({"msg": "Success.", "batchCode": batch_code, "downloads": entries}))
}

fn entry(drive: &Drive, place: &Place, id: &str, strikes: &[Strike]) -> Value {
    match link(drive, place, id, strikes) {
        Ok((node_name, url)) => json!({
            "fileId": id, "fileName": translated(&node_name), "code": "0", "msg": "success", "url": url}),
        Err(failure) => json!({
            "fileId": id, "code": failure.code.to_string(), "msg": failure.message}),
    }
}

fn link(
    drive: &Drive,
    place: &Place,
    id: &str,
    strikes: &[Strike],
) -> Result<(String, String), Failure> {
    if let Some(failure) = struck(strikes, id) {
        return Err(failure);
    }
    place.check(drive, id)?;
    let node = drive.usable_node(id)?;
    if node.is_folder() {
        return Err(Failure::new(
            13_000_406,
            "operation is not supported for folders",
        ));
    }
    let url = drive.store.link(&node, &disposition(&node));
    Ok((node.name.clone(), url))
}

/// The name is escaped inside the header value, and the value once more inside the query.
fn disposition(node: &Node) -> String {
    let name = utf8_percent_encode(&node.name, ESCAPED);
    let value = format!("attachment; filename=\"{name}\"");
    format!(
        "response-content-disposition={}",
        utf8_percent_encode(&value, ESCAPED)
    )
}

/// The JSON shows another name than the file has, as the service's own example does.
fn translated(name: &str) -> String {
    format!("Translation of {name}")
}

fn is_dropped(strikes: &[Strike], id: &str) -> bool {
    let mut drops = strikes
        .iter()
        .filter(|strike| strike.action == Action::DropItem);
    drops.any(|strike| strike.concerns(id))
}

fn struck(strikes: &[Strike], id: &str) -> Option<Failure> {
    strikes.iter().find_map(|strike| match &strike.action {
        Action::ItemError { code, message } if strike.concerns(id) => {
            Some(Failure::new(*code, message))
        }
        _ => None,
    })
}
