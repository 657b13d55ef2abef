use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{settings, status, value};
use serde_json::{Map, Value, json};

use crate::client::{Authorization, Call, Client, Refusal};
use crate::config::AuthMode;
use crate::envelope::Envelope;
use crate::token::{Life, SchemeJoin, Token};

/// A carrier's token lives half an hour where the answer does not say.
const CARRIER_LIFE: Duration = Duration::from_secs(1800);

impl AuthMode {
    /// The token of the settings, if they hold one.
    pub(crate) fn given(&self, now: SystemTime) -> Option<Token> {
        match self {
            AuthMode::Token { token } | AuthMode::Session { token, .. } => {
                Some(Token::given(token.clone(), now))
            }
            AuthMode::Carrier { .. } | AuthMode::App(_) => None,
        }
    }

    /// The scheme word for tokens without one.
    pub(crate) fn scheme(&self) -> &'static str {
        match self {
            AuthMode::Carrier { .. } => "AT",
            _ => "Bearer",
        }
    }

    /// Every secret of the settings, as a message could hold it.
    pub(crate) fn secrets(&self) -> Vec<Secret<String>> {
        let bare = |token: &Secret<String>| {
            let token = Token::given(token.clone(), SystemTime::UNIX_EPOCH);
            Secret::new(token.bare().to_owned())
        };
        match self {
            AuthMode::Token { token } => vec![bare(token)],
            AuthMode::Session { token, session_id } => vec![bare(token), session_id.clone()],
            AuthMode::Carrier { password, .. } => vec![password.clone()],
            AuthMode::App(key) => vec![key.app_secret.clone()],
        }
    }

    /// A name for these credentials that gives none of them away.
    pub(crate) fn fingerprint(&self, endpoint: &str) -> String {
        let parts = match self {
            AuthMode::Token { token } => ["token", token.expose(), ""],
            AuthMode::Session { token, session_id } => {
                ["session", token.expose(), session_id.expose()]
            }
            AuthMode::Carrier { account, password } => {
                ["carrier", account.expose(), password.expose()]
            }
            AuthMode::App(key) => ["app", &key.app_id, key.app_secret.expose()],
        };
        let [mode, who, proof] = parts;
        settings::fingerprint(&[endpoint, mode, who, proof])
    }

    /// What a person has to do when the login is over.
    pub(crate) fn advice(&self) -> &'static str {
        match self {
            AuthMode::Token { .. } => {
                "the token in `token` is no longer accepted: put a new one there"
            }
            AuthMode::Session { .. } => {
                "the session is over: sign in again in the browser, and put its token into `token` \
                 and its id into `session_id`"
            }
            AuthMode::Carrier { .. } => {
                "the drive refuses the login: check `account`, `password` and `carrier`"
            }
            AuthMode::App(_) => {
                "the drive refuses the signature: check `app_id`, `app_secret`, `user_id` and the \
                 `sign_` settings"
            }
        }
    }

    /// The advice, with what the drive said.
    pub(crate) fn login_over(&self, said: &ProviderError) -> ProviderError {
        let message = format!("{} (the drive said: {said})", self.advice());
        ProviderError::new(ErrorKind::LoginExpired, message)
    }
}

/// Gets the token after `old`: the first one for `None`.
///
/// # Errors
/// `LoginExpired` when only a person can help; `Unavailable` and `RateLimited` when later will do.
pub(crate) async fn next_token(
    mode: &AuthMode,
    client: &Client,
    old: Option<&Token>,
    join: SchemeJoin,
) -> Result<Token> {
    match (mode, old) {
        (AuthMode::Session { session_id, .. }, Some(old)) => {
            let call = session_refresh(session_id);
            let answer = renew(mode, client, &call, old, join).await;
            answer.map_err(|refusal| final_word(mode, refusal))
        }
        (AuthMode::Carrier { account, password }, old) => {
            if let Some(token) = carrier_refresh(mode, client, old, join).await? {
                return Ok(token);
            }
            let call = carrier_login(account, password);
            let answer = client.send(&call, &Authorization::None).await;
            let token = answer.and_then(|answer| Ok(read(&answer, None, CARRIER_LIFE)?));
            token.map_err(|refusal| final_word(mode, refusal))
        }
        // Nothing here can be renewed; what the drive said is added by the caller.
        _ => Err(ProviderError::new(ErrorKind::LoginExpired, mode.advice())),
    }
}

/// The next token for a refresh token, or none when that is worth nothing any more.
async fn carrier_refresh(
    mode: &AuthMode,
    client: &Client,
    old: Option<&Token>,
    join: SchemeJoin,
) -> Result<Option<Token>> {
    let Some((old, refresh)) = old.and_then(|old| Some((old, old.refresh.as_ref()?))) else {
        return Ok(None);
    };
    let body = json!({"refreshToken": refresh.expose()});
    let call = Call::post("refresh token", "/koodrive/ose/v1/auth/refreshToken", &body);
    match renew(mode, client, &call, old, join).await {
        Ok(token) => Ok(Some(token)),
        Err(refusal) if status::is_temporary(refusal.error.kind) => Err(refusal.error),
        Err(_) => Ok(None),
    }
}

async fn renew(
    mode: &AuthMode,
    client: &Client,
    call: &Call,
    old: &Token,
    join: SchemeJoin,
) -> Result<Token, Refusal> {
    let header = old.header(mode.scheme(), join);
    let answer = client.send(call, &Authorization::Header(header)).await?;
    Ok(read(&answer, Some(old), CARRIER_LIFE)?)
}

fn session_refresh(session_id: &Secret<String>) -> Call {
    Call::post(
        "refresh session",
        "/koodrive/ose/v1/session/refresh",
        &json!({}),
    )
    .with_header("x-session-id", session_id.clone())
}

fn carrier_login(account: &Secret<String>, password: &Secret<String>) -> Call {
    let body = json!({
        "account": account.expose(),
        "authType": "1",
        "password": password.expose(),
    });
    Call::post("log in", "/koodrive/ose/v1/auth/login", &body)
}

/// Asks who is logged in: a cheap call, that keeps a session from lapsing as well.
pub(crate) fn who_am_i() -> Call {
    Call::get("who am I", "/koodrive/ose/v1/session/auth")
}

/// The token in an answer: its fields stand at the top, under `data` or under `data.sessionInfo`.
fn read(answer: &Envelope, old: Option<&Token>, usual_life: Duration) -> Result<Token> {
    let info = answer.at("data.sessionInfo").and_then(Value::as_object);
    let fields = info.filter(|info| info.contains_key("accessToken"));
    let fields = fields.or_else(|| answer.object_with("accessToken"));
    let access = fields.and_then(|fields| value::text_of(fields, "accessToken"));
    let (Some(fields), Some(access)) = (fields, access) else {
        let message = "the answer to the login holds no token";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    };
    let refresh = value::text_of(fields, "refreshToken").map(Secret::new);
    let life = match old.map(|old| old.life) {
        Some(sliding @ Life::Sliding(_)) => sliding,
        _ => Life::Fixed(life(fields).unwrap_or(usual_life)),
    };
    Ok(Token {
        access: Secret::new(access),
        // A drive that does not rotate the refresh token need not repeat it.
        refresh: refresh.or_else(|| old?.refresh.clone()),
        issued: SystemTime::now(),
        life,
        // Numbered by who knows the newest one.
        serial: 0,
        is_adopted: false,
    })
}

fn life(fields: &Map<String, Value>) -> Option<Duration> {
    let seconds = value::count(fields.get("expiresIn")?)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// What a refused login means: a drive that cannot answer now may do so later; everything else it
/// says stays so until a person acts.
fn final_word(mode: &AuthMode, refusal: Refusal) -> ProviderError {
    match status::is_temporary(refusal.error.kind) {
        true => refusal.error,
        false => mode.login_over(&refusal.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(answer: Value, old: Option<&Token>) -> Result<Token> {
        let answer = Envelope::parse(answer.to_string().as_bytes()).unwrap();
        read(&answer, old, CARRIER_LIFE)
    }

    fn check(answer: Value, access: &str, refresh: Option<&str>) {
        let token = token(answer.clone(), None).unwrap();
        assert_eq!(token.access.expose(), access, "{answer}");
        let found = token.refresh.as_ref().map(|token| token.expose().as_str());
        assert_eq!(found, refresh, "{answer}");
    }

    #[test]
    fn tokens_are_found_flat_and_nested() {
        let info = json!({"accessToken": "AT fake-1", "expiresIn": 1800,
            "issuedAt": "1767600550123", "refreshToken": "fake-r"});
        let nested = json!({"code": 0, "data": {"userInfo": {}, "sessionInfo": info.clone()}});
        check(nested, "AT fake-1", Some("fake-r"));
        check(
            json!({"code": 0, "data": info}),
            "AT fake-1",
            Some("fake-r"),
        );
        check(json!({"code": 0, "accessToken": "fake-2"}), "fake-2", None);
    }

    #[test]
    fn a_token_lives_as_long_as_the_answer_says() {
        let life = |expires: Value| {
            let answer = json!({"accessToken": "fake", "expiresIn": expires});
            token(answer, None).unwrap().life
        };
        assert_eq!(life(json!(60)), Life::Fixed(Duration::from_secs(60)));
        assert_eq!(life(json!("60")), Life::Fixed(Duration::from_secs(60)));
        assert_eq!(life(json!(0)), Life::Fixed(CARRIER_LIFE));
        assert_eq!(life(json!(null)), Life::Fixed(CARRIER_LIFE));
    }

    #[test]
    fn a_session_stays_a_session_and_a_refresh_token_stays_unless_replaced() {
        let mut old = Token::given(Secret::new("fake-1".into()), SystemTime::UNIX_EPOCH);
        old.refresh = Some(Secret::new("fake-r".into()));
        let next = token(json!({"accessToken": "fake-2"}), Some(&old)).unwrap();
        assert_eq!((next.life, next.refresh), (old.life, old.refresh));
    }

    #[test]
    fn an_answer_without_a_token_is_broken() {
        for answer in [
            json!({"code": 0}),
            json!({"data": {"sessionInfo": {"accessToken": ""}}}),
        ] {
            assert_eq!(token(answer, None).unwrap_err().kind, ErrorKind::Broken);
        }
    }

    #[test]
    fn fingerprints_tell_credentials_apart_and_hide_them() {
        let mode = |token: &str| AuthMode::Token {
            token: Secret::new(token.into()),
        };
        assert_eq!(mode("fake").fingerprint("h"), mode("fake").fingerprint("h"));
        assert_ne!(
            mode("fake").fingerprint("h"),
            mode("fake-2").fingerprint("h")
        );
        assert_ne!(
            mode("fake").fingerprint("h"),
            mode("fake").fingerprint("h2")
        );
        assert!(!mode("fake").fingerprint("h").contains("fake"));
    }
}
