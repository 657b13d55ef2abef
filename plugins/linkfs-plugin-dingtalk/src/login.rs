use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{path, settings, status, value};
use serde_json::json;

use crate::client::{Call, Client, Fields};
use crate::token_store::Token;

/// A token lives two hours where the answer does not say.
const USUAL_LIFE: Duration = Duration::from_secs(7200);

/// How calls are authorized.
#[derive(Debug)]
pub(crate) enum Login {
    /// A ready token that nobody here can renew.
    Token { token: Secret<String> },
    /// An organisation's own app.
    App {
        app_key: String,
        app_secret: Secret<String>,
    },
    /// The same in the newer form, which names the organisation.
    Corp {
        corp_id: String,
        client_id: String,
        client_secret: Secret<String>,
    },
}

impl Login {
    /// Every secret of the settings, as a message could hold it.
    pub(crate) fn secrets(&self) -> Vec<Secret<String>> {
        match self {
            Login::Token { token: secret }
            | Login::App {
                app_secret: secret, ..
            }
            | Login::Corp {
                client_secret: secret,
                ..
            } => vec![secret.clone()],
        }
    }

    /// The organisation's id, where the login names it.
    pub(crate) fn organization(&self) -> Option<&str> {
        match self {
            Login::Corp { corp_id, .. } => Some(corp_id),
            Login::App { .. } | Login::Token { .. } => None,
        }
    }

    /// A name for these credentials that gives none of them away.
    pub(crate) fn fingerprint(&self, endpoint: &str) -> String {
        match self {
            Login::Token { token } => settings::fingerprint(&[endpoint, "token", token.expose()]),
            Login::App {
                app_key,
                app_secret,
            } => settings::fingerprint(&[endpoint, "app", app_key, app_secret.expose()]),
            Login::Corp {
                corp_id,
                client_id,
                client_secret,
            } => {
                let secret = client_secret.expose();
                settings::fingerprint(&[endpoint, "corp", corp_id, client_id, secret])
            }
        }
    }

    /// Gets a token. While one holds, the drive may well give the same again with a longer life.
    ///
    /// # Errors
    /// `LoginExpired` when only a person can help; `Unavailable` and `RateLimited` when later will do.
    pub(crate) async fn next_token(&self, client: &Client) -> Result<Token> {
        let Some(call) = self.call()? else {
            return Err(ProviderError::new(ErrorKind::LoginExpired, self.advice()));
        };
        let answer = client.send(&call, None).await;
        match answer.map_err(|refusal| refusal.error) {
            Ok(fields) => read(&fields, SystemTime::now()),
            Err(error) if status::is_temporary(error.kind) => Err(error.during("get a token")),
            Err(error) => Err(self.over(&error)),
        }
    }

    /// What a person has to do, with what the drive said.
    pub(crate) fn over(&self, said: &ProviderError) -> ProviderError {
        let message = format!("{} (the drive said: {said})", self.advice());
        ProviderError::new(ErrorKind::LoginExpired, message)
    }

    fn call(&self) -> Result<Option<Call>> {
        Ok(match self {
            Login::Token { .. } => None,
            Login::App {
                app_key,
                app_secret,
            } => {
                let body = json!({"appKey": app_key, "appSecret": app_secret.expose()});
                Some(Call::post("log in", "/v1.0/oauth2/accessToken", &body))
            }
            Login::Corp {
                corp_id,
                client_id,
                client_secret,
            } => {
                let path = format!("/v1.0/oauth2/{}/token", path::segment(corp_id)?);
                let body = json!({
                    "client_id": client_id,
                    "client_secret": client_secret.expose(),
                    "grant_type": "client_credentials",
                });
                Some(Call::post("log in", path, &body))
            }
        })
    }

    fn advice(&self) -> &'static str {
        match self {
            Login::Token { .. } => {
                "the token in `token` is no longer accepted: put a new one there, or the app's keys, \
                 with which tokens renew themselves"
            }
            Login::App { .. } => "the drive refuses the app: check `app_key` and `app_secret`",
            Login::Corp { .. } => {
                "the drive refuses the app: check `corp_id`, `client_id` and `client_secret`"
            }
        }
    }
}

fn read(fields: &Fields, now: SystemTime) -> Result<Token> {
    let first = |names: [&str; 2]| names.iter().find_map(|name| value::text_of(fields, name));
    let Some(access) = first(["accessToken", "access_token"]) else {
        let message = "the answer to the login holds no token";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    };
    settings::check_header("the new token", Some(&access))?;
    let seconds = first(["expireIn", "expires_in"]).and_then(|text| text.parse().ok());
    let life = seconds.filter(|seconds| *seconds > 0);
    Ok(Token {
        access: Secret::new(access),
        issued: now,
        life: Some(life.map_or(USUAL_LIFE, Duration::from_secs)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn check(answer: Value, life_s: u64) {
        let token = read(answer.as_object().unwrap(), SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(token.access.expose(), "fake", "{answer}");
        assert_eq!(token.life, Some(Duration::from_secs(life_s)), "{answer}");
    }

    #[test]
    fn both_spellings_are_read() {
        check(json!({"accessToken": "fake", "expireIn": 60}), 60);
        check(json!({"access_token": "fake", "expires_in": "60"}), 60);
        check(json!({"accessToken": "fake", "expires_in": 60}), 60);
        check(json!({"accessToken": "fake"}), 7200);
        check(json!({"accessToken": "fake", "expireIn": 0}), 7200);
    }

    #[test]
    fn an_answer_without_a_usable_token_is_refused() {
        for answer in [
            json!({}),
            json!({"accessToken": ""}),
            json!({"accessToken": "a\nb"}),
        ] {
            assert!(read(answer.as_object().unwrap(), SystemTime::now()).is_err());
        }
    }

    #[test]
    fn fingerprints_tell_credentials_apart_and_hide_them() {
        let app = |secret: &str| Login::App {
            app_key: "ding1".into(),
            app_secret: Secret::new(secret.into()),
        };
        assert_eq!(app("fake").fingerprint("h"), app("fake").fingerprint("h"));
        assert_ne!(app("fake").fingerprint("h"), app("fake2").fingerprint("h"));
        assert_ne!(app("fake").fingerprint("h"), app("fake").fingerprint("h2"));
        assert!(!app("fake").fingerprint("h").contains("fake"));
    }
}
