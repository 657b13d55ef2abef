use std::time::{Duration, SystemTime};

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use linkfs_provider_http::{status, timestamp, value};
use serde_json::{Map, Value};

use crate::assertion::{Claims, SigningKey};
use crate::client::{Call, Client, Refusal};
use crate::config::App;
use crate::token::Token;

const PATH: &str = "/v2/oauth/token";

/// A clock this wrong explains a refused assertion, which holds for a minute.
const SKEW: Duration = Duration::from_secs(10);

/// What a token is asked for with.
#[derive(Debug)]
pub(crate) enum Grant<'a> {
    /// What a person brought back from the browser.
    Code {
        code: &'a Secret<String>,
        redirect_uri: &'a str,
    },
    /// The token before.
    Refresh(&'a Secret<String>),
    /// An application's word.
    Assertion(&'a Secret<String>),
}

/// Asks for a token. Its serial number is the caller's to set.
///
/// # Errors
/// Whatever the drive says; `Broken` for an answer without a token.
pub(crate) async fn token(client: &Client, app: &App, grant: &Grant<'_>) -> Result<Token, Refusal> {
    let answer = client.send(&call(app, grant), None).await?;
    let token = read(&answer, client.http.clock.now())?;
    learn(client, &token);
    Ok(token)
}

/// Asks for a token with an assertion; once more when the first was refused by a drive whose clock
/// turns out to be another than ours.
///
/// # Errors
/// As [`token`].
pub(crate) async fn token_for_assertion(
    client: &Client,
    app: &App,
    key: &SigningKey,
    claims: &Claims,
) -> Result<Token, Refusal> {
    let attempt = async || {
        let assertion = key.assertion(claims, client.http.clock.now())?;
        client.http.redactor.learn(assertion.expose());
        token(client, app, &Grant::Assertion(&assertion)).await
    };
    let before = ahead(client);
    match attempt().await {
        Err(refusal) if is_final(&refusal) && before.abs_diff(ahead(client)) > SKEW.as_millis() => {
            attempt().await
        }
        answer => answer,
    }
}

/// Whether the drive has decided: everything it says about a login stays so until a person acts,
/// but that it cannot answer now.
pub(crate) fn is_final(refusal: &Refusal) -> bool {
    !status::is_temporary(refusal.error.kind)
}

/// Keeps what is secret about `token` out of messages.
pub(crate) fn learn(client: &Client, token: &Token) {
    client.http.redactor.learn(token.access.expose());
    if let Some(refresh) = &token.refresh {
        client.http.redactor.learn(refresh.expose());
    }
}

/// How many milliseconds the drive's clock is ahead of ours.
fn ahead(client: &Client) -> i128 {
    let ms = |time| timestamp::ms(time).unwrap_or_default();
    i128::from(ms(client.http.clock.now())) - i128::from(ms(SystemTime::now()))
}

fn call(app: &App, grant: &Grant<'_>) -> Call {
    let mut fields = match grant {
        Grant::Code { code, redirect_uri } => vec![
            ("grant_type", "authorization_code"),
            ("code", code.expose().as_str()),
            ("redirect_uri", *redirect_uri),
        ],
        Grant::Refresh(refresh) => vec![
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh.expose().as_str()),
        ],
        Grant::Assertion(assertion) => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose().as_str()),
        ],
    };
    fields.push(("client_id", &app.client_id));
    if let Some(secret) = &app.client_secret {
        fields.push(("client_secret", secret.expose()));
    }
    Call::form(PATH, &fields)
}

fn read(answer: &Map<String, Value>, now: SystemTime) -> Result<Token> {
    let Some(access) = value::text_of(answer, "access_token") else {
        let message = "the answer to the login holds no token";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    };
    if access.chars().any(|c| !c.is_ascii_graphic()) {
        let message = "the answer to the login holds a token that no header can carry";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    }
    Ok(Token {
        refresh: value::text_of(answer, "refresh_token").map(Secret::new),
        issued: now,
        expires: expires(answer, now),
        ..Token::given(Secret::new(access))
    })
}

/// The earlier of the end that is told and the end that follows from the life that is told.
fn expires(answer: &Map<String, Value>, now: SystemTime) -> Option<SystemTime> {
    let life = answer.get("expires_in").and_then(value::count);
    let end = life.and_then(|life| now.checked_add(Duration::from_secs(life)));
    let told = answer.get("expire_time").and_then(timestamp::read);
    // A new token that is over already is a badly written time.
    end.into_iter().chain(told).filter(|end| *end > now).min()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_767_600_550);

    fn token(answer: Value) -> Result<Token> {
        read(answer.as_object().unwrap(), SystemTime::UNIX_EPOCH + NOW)
    }

    fn check(life: Value, seconds: Option<u64>) {
        let mut answer = json!({"access_token": "fake", "refresh_token": "fake-r"});
        let fields = answer.as_object_mut().unwrap();
        fields.extend(life.as_object().unwrap().clone());
        let token = token(answer).unwrap();
        let left = token
            .expires
            .map(|end| end.duration_since(token.issued).unwrap());
        assert_eq!(left, seconds.map(Duration::from_secs), "{life}");
    }

    #[test]
    fn the_earlier_end_counts() {
        check(json!({"expires_in": 7200}), Some(7200));
        check(json!({"expires_in": "7200"}), Some(7200));
        let told = "2026-01-05T09:09:10.000Z";
        check(json!({"expires_in": 7200, "expire_time": told}), Some(3600));
        check(json!({"expires_in": 60, "expire_time": told}), Some(60));
        check(
            json!({"expires_in": 60, "expire_time": "2006-01-02T15:04:05Z"}),
            Some(60),
        );
        check(json!({"expires_in": 0, "expire_time": ""}), None);
    }

    #[test]
    fn an_answer_without_a_usable_token_is_broken() {
        for answer in [
            json!({}),
            json!({"access_token": ""}),
            json!({"access_token": "two\nlines"}),
        ] {
            assert_eq!(token(answer).unwrap_err().kind, ErrorKind::Broken);
        }
    }
}
