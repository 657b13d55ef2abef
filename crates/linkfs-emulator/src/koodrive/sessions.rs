use serde_json::{Value, json};

use super::answer::{Answer, Failure};
use super::auth::TokenKind;
use super::call::Call;
use super::drive::{Drive, Outcome};
use super::knobs::RefreshShape;

/// `GET session/authCodeURL`
pub(crate) fn url(call: &Call) -> Outcome {
    let domain = call
        .query("domain")
        .ok_or_else(|| Failure::parameter("domain"))?;
    let url = format!(
        "https://orgid.example.test/oauth2/authorize?client_id=kd&state=s1&domain={domain}"
    );
    Ok(json!({"data": url}))
}

/// `POST session/`
pub(crate) fn create(drive: &Drive, call: &Call) -> Outcome {
    let credentials = &drive.accounts.credentials;
    if call.text("code") != Some(&credentials.auth_code) {
        return Err(Failure::parameter("code"));
    }
    let token = drive
        .accounts
        .issue(TokenKind::Session, drive.cloud.clock.now());
    Ok(json!({"data": {
        "accessToken": token, "sessionId": credentials.session_id, "userId": credentials.user_id,
        "userInfo": {"role": 1, "userName": credentials.account}}}))
}

/// `POST session/refresh`
pub(crate) fn refresh(drive: &Drive, call: &Call) -> Answer {
    let knobs = drive.knobs.get();
    let now = drive.cloud.clock.now();
    let is_session = call.header("x-session-id") == Some(&drive.accounts.credentials.session_id);
    let old = drive
        .accounts
        .refreshable(call, &knobs, now)
        .filter(|_| is_session);
    let Some((old, _)) = old else {
        drive.cloud.counters.unauthorized();
        return Answer::unauthorized(knobs.unauthorized_status);
    };
    let token = drive.accounts.issue(TokenKind::Session, now);
    if !knobs.keeps_old_token {
        drive.accounts.forget(&old);
    }
    match knobs.refresh_shape {
        RefreshShape::Documented => Answer::success(json!({"accessToken": token})),
        RefreshShape::UnderData => Answer::success(json!({"data": {"accessToken": token}})),
        RefreshShape::Unquoted => Answer {
            body: format!("{{\"code\":0,\"msg\":\"success\",\"accessToken\":Bearer+{token}}}"),
            ..Answer::success(Value::Null)
        },
    }
}

/// `GET session/auth`
pub(crate) fn who_am_i(drive: &Drive) -> Outcome {
    let credentials = &drive.accounts.credentials;
    Ok(json!({"data": {
        "role": 1, "innerUserId": "77", "userName": credentials.account, "userId": credentials.user_id,
        "orgId": "o-1", "orgName": "Lin Co", "tenantId": "t-01"}}))
}

/// `GET session/logoff`
pub(crate) fn logoff(drive: &Drive, call: &Call) -> Outcome {
    drive
        .accounts
        .forget(call.header("authorization").unwrap_or_default());
    Ok(json!({}))
}

/// `POST auth/login`
pub(crate) fn login(drive: &Drive, call: &Call) -> Outcome {
    let credentials = &drive.accounts.credentials;
    if call.header("x-hw-agentname") != Some(&credentials.carrier) {
        return Err(Failure::parameter("x-hw-agentName"));
    }
    let is_right = match call.text("authType") {
        Some("1") => call.text("password") == Some(&credentials.password),
        Some("2") => call.text("captchaToken") == Some(&credentials.captcha),
        _ => return Err(Failure::parameter("authType")),
    };
    if call.text("account") != Some(&credentials.account) || !is_right {
        return Err(Failure::new(13_000_101, "account or password is wrong"));
    }
    let user = json!({"userId": credentials.user_id, "firstname": "Lin", "surname": "Mei",
        "phone": "", "email": "lin@example.test"});
    Ok(json!({"data": {"userInfo": user, "sessionInfo": carrier_session(drive)}}))
}

/// `POST auth/refreshToken`
pub(crate) fn login_refresh(drive: &Drive, call: &Call) -> Answer {
    let knobs = drive.knobs.get();
    let asked_with = call.text("refreshToken").unwrap_or_default();
    let Some(old) = drive.accounts.take_refresh(asked_with) else {
        drive.cloud.counters.unauthorized();
        return Answer::unauthorized(knobs.unauthorized_status);
    };
    if !knobs.keeps_old_token {
        drive.accounts.forget(&old);
    }
    let session = carrier_session(drive);
    match knobs.refresh_shape {
        RefreshShape::Documented => Answer::success(json!({"data": {"sessionInfo": session}})),
        RefreshShape::UnderData | RefreshShape::Unquoted => {
            Answer::success(json!({"data": session}))
        }
    }
}

/// `POST auth/logout`
pub(crate) fn logout(drive: &Drive, call: &Call) -> Outcome {
    drive
        .accounts
        .forget(call.text("accessToken").unwrap_or_default());
    Ok(json!({}))
}

fn carrier_session(drive: &Drive) -> Value {
    let now = drive.cloud.clock.now();
    let token = drive.accounts.issue(TokenKind::Carrier, now);
    json!({
        "accessToken": format!("AT {token}"),
        "expiresIn": drive.knobs.get().carrier_life_s,
        "issuedAt": now.as_millisecond().to_string(),
        "refreshToken": drive.accounts.issue_refresh(&token),
    })
}
