use serde_json::{Map, Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::data_port::BUCKET;
use super::drive::Drive;
use super::knobs::{Knobs, StatedLife};
use crate::Node;

const TEN_YEARS_S: u64 = 315_360_000;

/// `POST storage/spaces/{spaceId}/dentries/{dentryId}/downloadInfos/query`
pub(crate) fn download(drive: &Drive, call: &Call, space: &str, id: &str) -> Outcome {
    let knobs = drive.knobs.get();
    let node = downloadable(drive, &knobs, space, id)?;
    let key = object_key(drive, &knobs, &node, call)?;
    let resource = format!("/{BUCKET}/{key}");
    let headers = drive.links.sign(&drive.cloud, &knobs, &resource);
    drive.cloud.counters.link(&node.id);
    let headers: Map<String, Value> = headers
        .into_iter()
        .map(|(name, value)| (name, value.into()))
        .collect();
    // Whoever does not decline the inner network gets its address first.
    let prefers_intranet = call.field("option.preferIntranet") != Some(&Value::Bool(false));
    let mut urls: Vec<String> = Vec::new();
    if prefers_intranet {
        urls.push(format!("{}{resource}", drive.closed_host));
    }
    let hosts = drive.data_hosts.iter().take(knobs.url_count).enumerate();
    urls.extend(hosts.map(|(index, host)| {
        let is_closed = knobs.closed_ports.contains(&index);
        let host = if is_closed { &drive.closed_host } else { host };
        format!("{host}{resource}")
    }));
    let inner_url = format!("{}{resource}", drive.closed_host);
    let mut info = json!({
        "resourceUrls": urls,
        "headers": headers,
        "region": knobs.region,
        "internalResourceUrls": [inner_url],
    });
    if let Some(seconds) = stated_life(drive, &knobs) {
        info["expirationSeconds"] = json!(seconds);
    }
    if knobs.flat_link {
        info["protocol"] = json!(knobs.protocol);
        return Ok(info);
    }
    Ok(json!({"protocol": knobs.protocol, "headerSignatureInfo": info}))
}

/// `GET drive/spaces/{spaceId}/files/{fileId}/downloadInfos`: one URL that needs no headers.
pub(crate) fn drive_download(drive: &Drive, call: &Call, space: &str, id: &str) -> Outcome {
    let knobs = drive.knobs.get();
    let node = downloadable(drive, &knobs, space, id)?;
    let key = object_key(drive, &knobs, &node, call)?;
    let resource = format!("/{BUCKET}/{key}");
    let query = drive.links.sign_query(&drive.cloud, &resource);
    drive.cloud.counters.link(&node.id);
    let host = &drive.data_hosts[0];
    let mut info = json!({"resourceUrl": format!("{host}{resource}?{query}"), "headers": {}});
    if let Some(seconds) = stated_life(drive, &knobs) {
        info["expirationSeconds"] = json!(seconds);
    }
    let is_true = |name: &str| call.query(name).as_deref() == Some("true");
    if is_true("withInternalResourceUrl") {
        info["internalResourceUrl"] = json!(format!("{}{resource}", drive.closed_host));
    }
    let mut body = json!({"downloadInfo": info});
    if is_true("withRegion") {
        body["region"] = json!(knobs.region);
    }
    Ok(body)
}

/// The file, unless there is a reason why it cannot be downloaded.
fn downloadable(
    drive: &Drive,
    knobs: &Knobs,
    space: &str,
    id: &str,
) -> Result<std::sync::Arc<Node>, Failure> {
    drive.check_space(space)?;
    let node = drive.dentry(id)?;
    if knobs.org_level_is_low {
        let text = "the organisation is not certified";
        return Err(Failure::new("orgAuthLevelNotEnough", text));
    }
    if node.is_folder() || drive.is_online(&node) {
        let text = "there is nothing to download";
        return Err(Failure::new("operationNotSupported", text));
    }
    if knobs.archived.contains(&node.id) && !is_thawed(drive, knobs, &node.id) {
        return Err(Failure::new("fileArchived", "the file is being thawed"));
    }
    Ok(node)
}

fn is_thawed(drive: &Drive, knobs: &Knobs, id: &str) -> bool {
    let mut thaws = drive.thaws.lock().expect("thaw lock");
    let refused = thaws.entry(id.into()).or_default();
    if *refused >= knobs.thaw_calls {
        return true;
    }
    *refused += 1;
    false
}

/// The key of the version that the call names, or of the newest.
fn object_key(drive: &Drive, knobs: &Knobs, node: &Node, call: &Call) -> Result<String, Failure> {
    let wanted = match call.field("option.version") {
        None => node.revision,
        Some(_) => call
            .number("option.version")
            .ok_or_else(|| Failure::parameter("option.version"))?,
    };
    drive.versions.note(node);
    if !knobs.keeps_versions {
        return if wanted == node.revision {
            Ok(drive.store.publish(node))
        } else {
            Err(Failure::parameter("option.version"))
        };
    }
    let version = drive
        .versions
        .find(&node.id, wanted)
        .ok_or_else(|| Failure::parameter("option.version"))?;
    Ok(drive.store.keep(&node.id, version.number, version.content))
}

fn stated_life(drive: &Drive, knobs: &Knobs) -> Option<u64> {
    match knobs.stated_life {
        StatedLife::True => Some(drive.cloud.links.get().life_s),
        StatedLife::Zero => Some(0),
        StatedLife::Missing => None,
        StatedLife::Huge => Some(TEN_YEARS_S),
    }
}
