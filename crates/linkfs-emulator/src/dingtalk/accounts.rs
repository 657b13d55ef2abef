use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::{Failure, Outcome};
use super::call::Call;
use super::drive::Drive;
use super::emulator::Credentials;
use super::knobs::Knobs;
use crate::digest::sha256_hex;

/// Who may call: the tokens that hold, and how more of them are got.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) credentials: Credentials,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The app's one token.
    app: Option<(String, Timestamp)>,
    /// Tokens of people, with when they were made.
    users: BTreeMap<String, Timestamp>,
    /// What may be exchanged for a person's token, once each.
    exchangeable: HashSet<String>,
    issued: u64,
}

impl Accounts {
    pub(crate) fn new(credentials: Credentials, now: Timestamp) -> Self {
        let exchangeable = [&credentials.auth_code, &credentials.refresh_token];
        let state = State {
            app: Some((credentials.token.clone(), now)),
            exchangeable: exchangeable.into_iter().cloned().collect(),
            ..State::default()
        };
        Self {
            credentials,
            state: Mutex::new(state),
        }
    }

    /// Whether a call with this token may go on.
    pub(crate) fn admits(&self, token: &str, knobs: &Knobs, now: Timestamp) -> bool {
        let state = self.state();
        let app = state.app.as_ref().filter(|(text, _)| text == token);
        let renewed = app.map(|(_, at)| *at);
        let renewed = renewed.or_else(|| state.users.get(token).copied());
        renewed.is_some_and(|renewed| holds(renewed, knobs, now))
    }

    /// Whether the token is a person's and not the app's.
    pub(crate) fn is_of_user(&self, token: &str) -> bool {
        self.state().users.contains_key(token)
    }

    /// The app's token: the one there is, renewed, or a new one when that has ended.
    pub(crate) fn app_token(&self, knobs: &Knobs, now: Timestamp) -> String {
        let mut state = self.state();
        if let Some((token, renewed)) = state.app.as_mut().filter(|app| holds(app.1, knobs, now)) {
            *renewed = now;
            return token.clone();
        }
        let token = state.new_text("app", &self.credentials.token);
        state.app = Some((token.clone(), now));
        token
    }

    /// The app's token as it is now, if it has one; it may have ended by time.
    pub(crate) fn current_app_token(&self) -> Option<String> {
        self.state().app.clone().map(|(token, _)| token)
    }

    /// Ends every token as time would.
    pub(crate) fn expire_all(&self) {
        let mut state = self.state();
        state.app = None;
        state.users.clear();
    }

    /// An access token and a refresh token of the operator, for a code or an older refresh token.
    fn exchange(&self, secret: &str, now: Timestamp) -> Option<(String, String)> {
        let mut state = self.state();
        if !state.exchangeable.remove(secret) {
            return None;
        }
        let access = state.new_text("user", &self.credentials.token);
        let refresh = state.new_text("refresh", &self.credentials.token);
        state.users.insert(access.clone(), now);
        state.exchangeable.insert(refresh.clone());
        Some((access, refresh))
    }

    fn is_app(&self, key: Option<&str>, secret: Option<&str>) -> bool {
        key == Some(&self.credentials.app_key) && secret == Some(&self.credentials.app_secret)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("account lock")
    }
}

impl State {
    fn new_text(&mut self, kind: &str, seed: &str) -> String {
        self.issued += 1;
        let text = format!("{kind}\n{seed}\n{}", self.issued);
        sha256_hex(text.as_bytes())[..32].into()
    }
}

fn holds(renewed: Timestamp, knobs: &Knobs, now: Timestamp) -> bool {
    now < renewed + Duration::from_secs(knobs.token_life_s)
}

/// `POST oauth2/accessToken`
pub(crate) fn app_token(drive: &Drive, call: &Call) -> Outcome {
    if call.body.is_null() {
        return Err(Failure::new("Missingbody", "body is mandatory"));
    }
    if !drive
        .accounts
        .is_app(call.text("appKey"), call.text("appSecret"))
    {
        let text = "the key or the secret is wrong";
        return Err(Failure::new("invalidClientIdOrSecret", text));
    }
    let knobs = drive.knobs.get();
    let token = drive.accounts.app_token(&knobs, drive.cloud.clock.now());
    Ok(json!({"accessToken": token, "expireIn": knobs.token_life_s}))
}

/// `POST oauth2/{corpId}/token`
pub(crate) fn corp_token(drive: &Drive, call: &Call, corp: &str) -> Outcome {
    if call.body.is_null() {
        return Err(Failure::new("Missingbody", "body is mandatory"));
    }
    let is_app = drive
        .accounts
        .is_app(call.text("client_id"), call.text("client_secret"));
    if !is_app || corp != drive.space.corp {
        return Err(Failure::new("invalid.client", "the client is not known"));
    }
    if call.text("grant_type") != Some("client_credentials") {
        let text = "the grant type is not supported";
        return Err(Failure::new("unsupported.grant.type", text));
    }
    let knobs = drive.knobs.get();
    let token = drive.accounts.app_token(&knobs, drive.cloud.clock.now());
    Ok(json!({"access_token": token, "expires_in": knobs.token_life_s}))
}

/// `POST oauth2/userAccessToken`
pub(crate) fn user_token(drive: &Drive, call: &Call) -> Outcome {
    let accounts = &drive.accounts;
    if !accounts.is_app(call.text("clientId"), call.text("clientSecret")) {
        let text = "the key or the secret is wrong";
        return Err(Failure::new("invalidClientIdOrSecret", text));
    }
    let secret = match call.text("grantType") {
        Some("authorization_code") => call.text("code"),
        Some("refresh_token") => call.text("refreshToken"),
        _ => return Err(Failure::parameter("grantType")),
    };
    let now = drive.cloud.clock.now();
    let tokens = accounts.exchange(secret.unwrap_or_default(), now);
    let Some((access, refresh)) = tokens else {
        return Err(Failure::new("invalidParameter.code.notFound", "not found"));
    };
    Ok(json!({
        "accessToken": access, "refreshToken": refresh,
        "expireIn": drive.knobs.get().token_life_s, "corpId": drive.space.corp}))
}

/// `GET contact/users/me`, for tokens of people alone.
pub(crate) fn who_am_i(drive: &Drive, token: &str) -> Result<Value, Failure> {
    if !drive.accounts.is_of_user(token) {
        return Err(Failure::missing_scope("Contact.User.Read"));
    }
    let union_id = &drive.accounts.credentials.union_id;
    Ok(json!({"nick": "Lin", "unionId": union_id, "openId": "o1"}))
}
