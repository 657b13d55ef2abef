use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::Value;
use tokio::time::sleep;

use super::answer::{Answer, Failure, Outcome, error_body, usual_code};
use super::drive::{Drive, named_files};
use super::{batch, drives, files, links, listing, oauth, share_links, share_visits};
use crate::Action;
use crate::body::{BodyPlan, Conduct};
use crate::call::Call;
use crate::clock::http_date;
use crate::connection::Connection;
use crate::faults::Strike;
use crate::gate::{header_value, pass_gate};

/// The calls: method, path below `/v2/`, and the name that counters and fault scripts know.
const ROUTES: &[(&str, &str, &str)] = &[
    ("POST", "oauth/token", "token"),
    ("GET", "oauth/authorize", "authorize"),
    ("POST", "file/list", "list"),
    ("POST", "file/get", "get"),
    ("POST", "file/get_by_path", "get_by_path"),
    ("POST", "file/scan", "scan"),
    ("POST", "file/get_download_url", "download"),
    ("GET", "file/download", "redirect"),
    ("POST", "file/get_share_link_download_url", "share.download"),
    ("POST", "share_link/create", "share.create"),
    ("POST", "share_link/get", "share.get"),
    ("POST", "share_link/list", "share.list"),
    ("POST", "share_link/update", "share.update"),
    ("POST", "share_link/cancel", "share.cancel"),
    ("POST", "share_link/get_by_anonymous", "share.look"),
    ("POST", "share_link/get_share_token", "share.token"),
    ("POST", "batch", "batch"),
    ("POST", "drive/get", "drive"),
    ("POST", "drive/get_default_drive", "drive.default"),
    ("POST", "drive/list_my_drives", "drive.list"),
    ("POST", "drive/list", "drive.list"),
    ("POST", "drive/list_my_group_drive", "drive.groups"),
    ("POST", "domain/get_quota", "quota"),
    ("POST", "user/get", "user"),
];

pub(crate) fn router(drive: Drive) -> Router {
    Router::new().fallback(serve).with_state(drive)
}

/// The name of the call behind a path below `/v2/`.
pub(crate) fn call_name(method: &str, path: &str) -> Option<&'static str> {
    let mut routes = ROUTES.iter();
    routes
        .find(|route| route.0 == method && route.1 == path)
        .map(|route| route.2)
}

async fn serve(
    State(drive): State<Drive>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    let cloud = &drive.cloud;
    let Ok(call) = Call::read(request).await else {
        return Response::new(Body::from("the body was not sent completely"));
    };
    let path = call.path.strip_prefix("/v2/").unwrap_or_default();
    let name = call_name(call.method.as_str(), path).unwrap_or("unknown");
    let files = named_files(&call);
    cloud.counters.call(name);
    if matches!(name, "download" | "share.download") {
        cloud.counters.download_batch(&files);
    }
    let latency = cloud.pacing.get().api_latency_ms;
    if latency > 0 {
        sleep(Duration::from_millis(latency)).await;
    }
    let strikes = cloud.faults.strike(name, &files);
    let mut response = match pass_gate(cloud, &strikes, &files, &connection, error_body).await {
        Some(mut response) => {
            let status = response.status().as_u16();
            if status >= 400 {
                cloud.counters.error(name);
            }
            if matches!(status, 502 | 504) {
                dress_gateway_failure(status, response.headers_mut());
            }
            response
        }
        None => {
            let answer = answer(&drive, &call, name, &strikes);
            if answer.is_error() {
                cloud.counters.error(name);
            }
            to_response(&drive, answer, &strikes, connection)
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::DATE, header_value(&http_date(cloud.clock.now())));
    headers.insert("x-ca-request-id", header_value("0B0A7F1E-5C1B-138A-109F"));
    response
}

fn dress_gateway_failure(status: u16, headers: &mut HeaderMap) {
    headers.insert("x-ca-error-code", header_value(usual_code(status)));
    headers.insert("x-ca-error-message", header_value("Backend timeout"));
}

fn answer(drive: &Drive, call: &Call, name: &str, strikes: &[Strike]) -> Answer {
    let knobs = drive.knobs.get();
    let outcome = admitted(drive, call, name, strikes).and_then(|()| match name {
        "token" => Ok(oauth::token(drive, call)),
        "authorize" => oauth::authorize(drive, call),
        "redirect" => links::redirect(drive, call),
        "share.cancel" => share_links::cancel(drive, call),
        "batch" => batch::batch(drive, call).map(|body| Answer::json(&body)),
        name => dispatch(drive, call, name, strikes).map(|body| Answer::json(&body)),
    });
    outcome.unwrap_or_else(|failure| failure.answer(knobs.error_shape))
}

/// Refuses a call that is to fail, lacks a token, or is no JSON.
fn admitted(drive: &Drive, call: &Call, name: &str, strikes: &[Strike]) -> Result<(), Failure> {
    struck(call, strikes)?;
    if matches!(name, "token" | "authorize") {
        return Ok(());
    }
    let admitted = match name {
        // Whoever holds the link may look, and ask for a token with its password.
        "share.look" | "share.token" => Ok(()),
        "list" | "get" | "share.download" if call.field("share_id").is_some() => {
            admit_visitor(drive, call)
        }
        _ => admit_user(drive, call),
    };
    if admitted
        .as_ref()
        .is_err_and(|failure| failure.status == 401)
    {
        drive.cloud.counters.unauthorized();
    }
    admitted?;
    if call.method == "POST" && !call.body.is_object() {
        let text = "The request body is not a JSON object";
        return Err(Failure::new(400, "InvalidRequestJSONFormat", text));
    }
    Ok(())
}

fn admit_user(drive: &Drive, call: &Call) -> Result<(), Failure> {
    let now = drive.cloud.clock.now();
    let header = call.header("authorization");
    drive.accounts.admit(header, &drive.knobs.get(), now)
}

/// Inside a share its own token is enough, unless it asks for users of the domain.
fn admit_visitor(drive: &Drive, call: &Call) -> Result<(), Failure> {
    match share_visits::visited(drive, call)? {
        Some(share) if !share.switches.require_login => Ok(()),
        _ => admit_user(drive, call),
    }
}

/// The failure that a fault asks for.
pub(crate) fn struck(call: &Call, strikes: &[Strike]) -> Result<(), Failure> {
    let files = named_files(call);
    for strike in strikes {
        match &strike.action {
            Action::DriveError { code, message } => return Err(Failure::struck(*code, message)),
            Action::ItemError { code, message } if files.iter().any(|id| strike.concerns(id)) => {
                return Err(Failure::struck(*code, message));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The calls that answer JSON and may stand in a batch.
pub(crate) fn dispatch(drive: &Drive, call: &Call, name: &str, strikes: &[Strike]) -> Outcome {
    match name {
        "list" => listing::list(drive, call, strikes),
        "scan" => listing::scan(drive, call, strikes),
        "get" => files::get(drive, call),
        "get_by_path" => files::get_by_path(drive, call),
        "download" => links::get_download_url(drive, call),
        "share.create" => share_links::create(drive, call),
        "share.get" => share_links::get(drive, call),
        "share.list" => share_links::list(drive, call),
        "share.update" => share_links::update(drive, call),
        "share.look" => share_visits::look(drive, call),
        "share.token" => share_visits::token(drive, call),
        "share.download" => share_visits::download(drive, call),
        "drive" => drives::get(drive, call),
        "drive.default" => drives::default(drive),
        "drive.list" => drives::mine(drive, call),
        "drive.groups" => drives::groups(drive, call),
        "quota" => drives::quota(drive),
        "user" => drives::user(drive, call),
        _ => Err(Failure::new(404, "NotFound", "The API is not found")),
    }
}

fn to_response(
    drive: &Drive,
    answer: Answer,
    strikes: &[Strike],
    connection: Connection,
) -> Response {
    let length = answer.body.len();
    let plan = BodyPlan::whole(answer.body.into(), Conduct::from_strikes(strikes));
    let mut response = Response::new(plan.into_body(&drive.cloud, connection));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    if length > 0 {
        let kind = header_value("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, kind);
    }
    for (name, value) in answer.headers {
        headers.insert(name, header_value(&value));
    }
    response
}

/// The `Null` of a body that is absent, in calls made up for a batch.
pub(crate) fn object(value: &Value) -> Value {
    value
        .as_object()
        .cloned()
        .map_or(Value::Null, Value::Object)
}
