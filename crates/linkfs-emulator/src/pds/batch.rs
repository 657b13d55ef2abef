use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::api::{call_name, dispatch, object, struck};
use super::drive::{Drive, named_files};
use crate::Action;
use crate::call::Call;

/// The most calls in a batch.
const CALLS_MAX: usize = 100;

/// `batch`: several calls in one, each with a status of its own.
///
/// The calls inside count under their own names and suffer from the rules for them, as far as a
/// part of an answer can: errors and statuses, not broken connections.
pub(crate) fn batch(drive: &Drive, call: &Call) -> Outcome {
    let requests = call.field("requests").and_then(Value::as_array);
    let requests = requests.ok_or_else(|| Failure::missing("requests"))?;
    if requests.is_empty() || requests.len() > CALLS_MAX {
        return Err(Failure::out_of_range("requests"));
    }
    if call.text("resource").is_none() {
        return Err(Failure::missing("resource"));
    }
    let mut responses = Vec::with_capacity(requests.len());
    for request in requests {
        let (status, body) = match part(drive, call, request) {
            Ok(body) => (200, body),
            Err(failure) => (
                failure.status,
                json!({"code": failure.code, "message": failure.message}),
            ),
        };
        responses.push(json!({"id": request["id"], "status": status, "body": body}));
    }
    Ok(json!({"responses": responses}))
}

fn part(drive: &Drive, call: &Call, request: &Value) -> Outcome {
    let text = |name: &str| request[name].as_str().ok_or_else(|| Failure::missing(name));
    let (_, method, url) = (text("id")?, text("method")?, text("url")?);
    let path = url.trim_start_matches('/');
    let unknown = || Failure::new(400, "InvalidParameterNotSupported", "url");
    let name = call_name(method, path).ok_or_else(unknown)?;
    let may_stand_here = match name {
        "download" => drive.knobs.get().batches_links,
        "get" | "drive" | "user" => true,
        _ => false,
    };
    if !may_stand_here {
        return Err(unknown());
    }
    let inner = Call {
        method: call.method.clone(),
        path: format!("/v2/{path}"),
        query: String::new(),
        headers: call.headers.clone(),
        raw_body: call.raw_body.clone(),
        body: object(&request["body"]),
    };
    let files = named_files(&inner);
    let counters = &drive.cloud.counters;
    counters.call(name);
    if name == "download" {
        counters.download_batch(&files);
    }
    let strikes = drive.cloud.faults.strike(name, &files);
    let outcome = struck(&inner, &strikes).and_then(|()| {
        for strike in &strikes {
            if let Action::Status { code, .. } = strike.action {
                return Err(Failure::struck(code.into(), ""));
            }
        }
        dispatch(drive, &inner, name, &strikes)
    });
    if outcome.is_err() {
        counters.error(name);
    }
    outcome
}
