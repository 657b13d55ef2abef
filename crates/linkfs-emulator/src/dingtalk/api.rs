use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::json;
use tokio::time::sleep;

use super::answer::{Answer, Failure, Outcome, error_body};
use super::call::Call;
use super::drive::Drive;
use super::knobs::Knobs;
use super::route::{Actor, Route};
use super::{accounts, dentries, doc, downloads, permissions, spaces};
use crate::Action;
use crate::body::{BodyPlan, Conduct};
use crate::clock::http_date;
use crate::connection::Connection;
use crate::faults::Strike;
use crate::gate::{header_value, pass_gate};

const TOKEN_HEADER: &str = "x-acs-dingtalk-access-token";

pub(crate) fn router(drive: Drive) -> Router {
    Router::new().fallback(serve).with_state(drive)
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
    let route = Route::of(&call.method, &call.segments("/"));
    let name = route.as_ref().map_or("unknown", Route::name);
    let files = named_files(&drive, &call, route.as_ref());
    cloud.counters.call(name);
    if let Some(Route::Download { id, .. } | Route::DriveDownload { id, .. }) = &route {
        cloud.counters.download_batch(&[drive.tree_id(id)]);
    }
    let latency = cloud.pacing.get().api_latency_ms;
    if latency > 0 {
        sleep(Duration::from_millis(latency)).await;
    }
    let strikes = cloud.faults.strike(name, &files);
    let mut response = match pass_gate(cloud, &strikes, &files, &connection, error_body).await {
        Some(response) => {
            if !response.status().is_success() {
                cloud.counters.error(name);
            }
            response
        }
        None => {
            let answer = answer(&drive, &call, route.as_ref(), &strikes);
            if answer.is_error {
                cloud.counters.error(name);
            }
            to_response(&drive, &answer, &strikes, connection)
        }
    };
    let date = header_value(&http_date(cloud.clock.now()));
    response.headers_mut().insert(header::DATE, date);
    response
}

fn answer(drive: &Drive, call: &Call, route: Option<&Route>, strikes: &[Strike]) -> Answer {
    let knobs = drive.knobs.get();
    if knobs.blocks_address {
        return Answer {
            status: knobs.block_status,
            body: json!({"status": 1111, "wait": 5, "source": "x5", "punish": "deny", "uuid": "b1"}),
            is_error: true,
        };
    }
    let outcome = match route {
        None => Err(Failure::new("InvalidAction.NotFound", "no such API")),
        Some(route) => admit(drive, call, route, &knobs, strikes)
            .and_then(|()| dispatch(drive, call, route, strikes)),
    };
    match outcome {
        Ok(body) => Answer {
            status: 200,
            body,
            is_error: false,
        },
        Err(failure) => failure.answer(knobs.error_style),
    }
}

/// Whether the call may be answered: who asks, and how often.
fn admit(
    drive: &Drive,
    call: &Call,
    route: &Route,
    knobs: &Knobs,
    strikes: &[Strike],
) -> Result<(), Failure> {
    if !route.needs_no_token() {
        let now = drive.cloud.clock.now();
        let token = call.header(TOKEN_HEADER).unwrap_or_default();
        if !drive.accounts.admits(token, knobs, now) {
            drive.cloud.counters.unauthorized();
            return Err(Failure::unauthorized(knobs.unauthorized_status));
        }
        drive.meter.admit(knobs, now)?;
    }
    let missing = route
        .scope()
        .filter(|scope| knobs.missing_scopes.contains(*scope));
    if let Some(scope) = missing {
        return Err(Failure::missing_scope(scope));
    }
    check_actor(drive, call, route.actor())?;
    if !call.raw_body.is_empty() && call.body.is_null() {
        return Err(Failure::new("paramError", "the body is not JSON"));
    }
    for strike in strikes {
        if let Action::DriveError { message, .. } = &strike.action {
            return Err(Failure::new(message, "refused by a fault rule"));
        }
    }
    Ok(())
}

fn check_actor(drive: &Drive, call: &Call, actor: Actor) -> Result<(), Failure> {
    let name = match actor {
        Actor::Nobody => return Ok(()),
        Actor::UnionId => "unionId",
        Actor::OperatorId => "operatorId",
    };
    match call.query(name) {
        Some(id) if id == drive.accounts.credentials.union_id => Ok(()),
        Some(id) if !id.is_empty() => Err(Failure::denied()),
        _ => Err(Failure::parameter(name)),
    }
}

fn dispatch(drive: &Drive, call: &Call, route: &Route, strikes: &[Strike]) -> Outcome {
    match route {
        Route::AppToken => accounts::app_token(drive, call),
        Route::CorpToken { corp } => accounts::corp_token(drive, call, corp),
        Route::UserToken => accounts::user_token(drive, call),
        Route::WhoAmI => accounts::who_am_i(drive, call.header(TOKEN_HEADER).unwrap_or_default()),
        Route::OrgSpaces => spaces::of_org(drive, call),
        Route::MySpace => spaces::mine(drive),
        Route::Space { space } => spaces::get(drive, space),
        Route::Org { corp } => spaces::org(drive, corp),
        Route::List { space } => dentries::list(drive, call, space, strikes),
        Route::ListAll { space } => dentries::list_all(drive, call, space, strikes),
        Route::Dentry { space, id } => dentries::get(drive, space, id),
        Route::Dentries { space } => dentries::batch(drive, call, space, strikes),
        Route::Versions { space, id } => dentries::versions(drive, call, space, id),
        Route::Download { space, id } => downloads::download(drive, call, space, id),
        Route::DriveDownload { space, id } => downloads::drive_download(drive, call, space, id),
        Route::Thumbnails { space } => dentries::thumbnails(drive, call, space, strikes),
        Route::OpenInfo { space, id } => permissions::open_info(drive, call, space, id),
        Route::Permissions { target, verb } => permissions::change(drive, call, target, *verb),
        Route::Scopes { uuid, sets: false } => permissions::scope(drive, uuid),
        Route::Scopes { uuid, sets: true } => permissions::set_scope(drive, call, uuid),
        Route::Workspaces => doc::workspaces(drive),
        Route::MyWorkspace => doc::my_workspace(drive),
        Route::WikiNodes => doc::nodes(drive, call),
        Route::WikiNodeByUrl => doc::node_by_url(drive, call),
        Route::DentryId { uuid } => doc::dentry_id(drive, uuid),
        Route::DentryUuid { id } => doc::dentry_uuid(drive, call, id),
        Route::Search => dentries::search(drive, call),
    }
}

/// The files and folders a call is about, by their ids in the tree.
fn named_files(drive: &Drive, call: &Call, route: Option<&Route>) -> Vec<String> {
    let mut ids = call.texts("dentryIds");
    ids.extend(call.query("parentId"));
    ids.extend(route.and_then(Route::id).map(str::to_owned));
    ids.iter().map(|id| drive.tree_id(id)).collect()
}

fn to_response(
    drive: &Drive,
    answer: &Answer,
    strikes: &[Strike],
    connection: Connection,
) -> Response {
    let body = answer.body.to_string();
    let length = body.len();
    let plan = BodyPlan::whole(body.into(), Conduct::from_strikes(strikes));
    let mut response = Response::new(plan.into_body(&drive.cloud, connection));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = response.headers_mut();
    let kind = header_value("application/json;charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, length.into());
    response
}
