use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use tokio::time::sleep;

use super::answer::{Answer, Failure, error_body};
use super::call::Call;
use super::drive::{Drive, named_files};
use super::route::Route;
use super::{downloads, files, listing, sessions, share_tasks, share_visits, shares, spaces};
use crate::Action;
use crate::body::{BodyPlan, Conduct};
use crate::clock::http_date;
use crate::connection::Connection;
use crate::faults::Strike;
use crate::gate::{header_value, pass_gate};

/// The length that `X-Traceid` must have when it is sent and checked.
const TRACE_ID_LENGTH: usize = 58;

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
    let segments = call.segments("/koodrive/ose/");
    let route = Route::of(&call.method, &segments);
    let name = route.as_ref().map_or("unknown", Route::name);
    let files = named_files(&call, &segments);
    cloud.counters.call(name);
    if route == Some(Route::Download) {
        cloud.counters.download_batch(&call.texts("fileIds"));
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
            to_response(&drive, answer, &strikes, connection)
        }
    };
    let date = header_value(&http_date(cloud.clock.now()));
    response.headers_mut().insert(header::DATE, date);
    response
}

fn answer(drive: &Drive, call: &Call, route: Option<&Route>, strikes: &[Strike]) -> Answer {
    let knobs = drive.knobs.get();
    let failure_status = knobs.failure_status;
    for strike in strikes {
        if let Action::DriveError { code, message } = &strike.action {
            return Failure::new(*code, message).answer(failure_status);
        }
    }
    let Some(route) = route else {
        let body = r#"{"error_code":"APIGW.0101","error_msg":"The API does not exist"}"#;
        return Answer {
            status: 404,
            body: body.into(),
            is_error: true,
            request_id: None,
        };
    };
    let now = drive.cloud.clock.now();
    let is_admitted = route.needs_no_token()
        || drive
            .accounts
            .admits(call, &knobs, now, !route.refuses_app_auth());
    if !is_admitted {
        drive.cloud.counters.unauthorized();
        return Answer::unauthorized(knobs.unauthorized_status);
    }
    if let Err(failure) = check_headers(drive, call) {
        return failure.answer(failure_status);
    }
    dispatch(drive, call, route, strikes)
}

fn check_headers(drive: &Drive, call: &Call) -> Result<(), Failure> {
    let knobs = drive.knobs.get();
    let trace_id = call.header("x-traceid").filter(|_| knobs.checks_trace_id);
    if trace_id.is_some_and(|id| id.chars().count() != TRACE_ID_LENGTH) {
        return Err(Failure::parameter("X-Traceid"));
    }
    let carrier = &drive.accounts.credentials.carrier;
    if knobs.requires_agent_name && call.header("x-hw-agentname") != Some(carrier) {
        return Err(Failure::parameter("X-Hw-Agentname"));
    }
    if !call.raw_body.is_empty() && call.body.is_null() {
        return Err(Failure::new(13_000_101, "the body is not JSON"));
    }
    Ok(())
}

fn dispatch(drive: &Drive, call: &Call, route: &Route, strikes: &[Strike]) -> Answer {
    let outcome = match route {
        Route::List { group, kind } => listing::list(drive, call, kind, group.as_deref(), strikes),
        Route::Detail { file } => files::detail(drive, call, file),
        Route::Path => files::path(drive, call),
        Route::Search => files::search(drive, call),
        Route::Download => downloads::download(drive, call, strikes),
        Route::Spaces { owner } => spaces::spaces(drive, call, owner),
        Route::Container { id } => spaces::container(drive, id),
        Route::Usage => spaces::usage(drive),
        Route::Quota => spaces::quota(drive),
        Route::SessionUrl => sessions::url(call),
        Route::SessionCreate => sessions::create(drive, call),
        Route::SessionAuth => sessions::who_am_i(drive),
        Route::SessionLogoff => sessions::logoff(drive, call),
        Route::Login => sessions::login(drive, call),
        Route::Logout => sessions::logout(drive, call),
        Route::SessionRefresh => return sessions::refresh(drive, call),
        Route::LoginRefresh => return sessions::login_refresh(drive, call),
        Route::SharedFolders => Ok(serde_json::json!({"data": []})),
        Route::ShareVisit => share_visits::visit(drive, call),
        Route::ShareUserInfo => share_visits::user_info(drive, call),
        Route::ShareVerify => share_visits::verify(drive, call),
        Route::ShareFiles => share_visits::files(drive, call),
        Route::ShareTasks => share_tasks::start(drive, call),
        Route::ShareTaskDetail => share_tasks::detail(drive, call),
        Route::ShareCreate => return shares::create(drive, call),
        Route::ShareUpdate { id } => return shares::update(drive, call, id),
        Route::ShareList => return shares::list(drive, call),
        Route::ShareReceived => return shares::received(drive, call),
        Route::ShareCancel => return shares::cancel(drive, call),
    };
    files::answer(&drive.knobs.get(), outcome)
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
    headers.insert(
        header::CONTENT_TYPE,
        header_value("application/json;charset=utf-8"),
    );
    headers.insert(header::CONTENT_LENGTH, length.into());
    if let Some(id) = answer.request_id {
        headers.insert("x-request-id", header_value(id));
    }
    response
}
