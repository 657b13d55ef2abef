use std::time::Duration;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use serde_json::{Value, json};

use super::accounts::Grant;
use super::answer::{Answer, Failure};
use super::drive::Drive;
use super::knobs::Knobs;
use crate::call::Call;
use crate::clock::json_date;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// `oauth/token`
pub(crate) fn token(drive: &Drive, call: &Call) -> Answer {
    let knobs = drive.knobs.get();
    let grant = grant(drive, &knobs, &Form::read(call));
    match grant {
        Ok(grant) => Answer::json(&token_answer(drive, &knobs, &grant)),
        Err(failure) => {
            if failure.status == 401 {
                drive.cloud.counters.unauthorized();
            }
            refusal(failure, &knobs)
        }
    }
}

/// `GET oauth/authorize`: the browser step, with a person who agrees at once.
pub(crate) fn authorize(drive: &Drive, call: &Call) -> Result<Answer, Failure> {
    let query = |name: &str| call.query(name).ok_or_else(|| Failure::missing(name));
    if query("client_id")? != drive.accounts.credentials.client_id {
        return Err(Failure::gone("App"));
    }
    if query("response_type")? != "code" {
        return Err(Failure::wrong_format("response_type"));
    }
    let back = query("redirect_uri")?;
    let code = drive.accounts.new_code(&back);
    let state = call.query("state").unwrap_or_default();
    let state = utf8_percent_encode(&state, NON_ALPHANUMERIC);
    let joint = if back.contains('?') { '&' } else { '?' };
    Ok(Answer::redirect(format!(
        "{back}{joint}code={code}&state={state}"
    )))
}

fn grant(drive: &Drive, knobs: &Knobs, form: &Form) -> Result<Grant, Failure> {
    let credentials = &drive.accounts.credentials;
    let now = drive.cloud.clock.now();
    if form.get("client_id")? != credentials.client_id {
        return Err(Failure::gone("App"));
    }
    let secret = form.0.iter().find(|(name, _)| name == "client_secret");
    let is_right = secret.is_none_or(|(_, secret)| *secret == credentials.client_secret);
    if !is_right || (secret.is_none() && knobs.requires_client_secret) {
        let text = "client_secret is wrong or missing";
        return Err(Failure::new(400, "InvalidParameterNotMatch", text));
    }
    match form.get("grant_type")? {
        "refresh_token" => {
            let token = form.get("refresh_token")?;
            let grant = drive.accounts.refresh(token, knobs, now);
            grant.ok_or_else(|| {
                let text = "refresh token is expired";
                Failure::new(401, "RefreshTokenExpired", text)
            })
        }
        "authorization_code" => {
            let (code, back) = (form.get("code")?, form.get("redirect_uri")?);
            if !drive.accounts.take_code(code, back) {
                let text = "code is wrong, used, or of another redirect_uri";
                return Err(Failure::new(400, "InvalidParameterNotMatch", text));
            }
            Ok(drive.accounts.sign_in(now))
        }
        JWT_BEARER => {
            check_assertion(drive, form.get("assertion")?)?;
            Ok(drive.accounts.sign_in(now))
        }
        _ => Err(Failure::new(
            400,
            "InvalidParameterNotSupported",
            "grant_type",
        )),
    }
}

/// Checks shape, claims, times and signature of an assertion, and that it is new. Without the
/// app's public key, the signature need only be as long as one of RS256.
fn check_assertion(drive: &Drive, assertion: &str) -> Result<(), Failure> {
    let wrong = |what: &str| {
        let text = format!("The input parameter assertion is not valid: {what}");
        Failure::new(400, "InvalidParameterNotMatch", &text)
    };
    let parts: Vec<Option<Vec<u8>>> = assertion
        .split('.')
        .map(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .collect();
    let [Some(head), Some(claims), Some(signature)] = parts.as_slice() else {
        return Err(wrong("three parts of base64url"));
    };
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let (head, claims) = (read(head), read(claims));
    if head["alg"] != "RS256" || signature.len() < 256 {
        return Err(wrong("alg"));
    }
    let credentials = &drive.accounts.credentials;
    if let Some(key) = &credentials.app_public_key {
        let signed = assertion.rsplit_once('.').map_or("", |(signed, _)| signed);
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key)
            .verify(signed.as_bytes(), signature)
            .map_err(|_| wrong("signature"))?;
    }
    let subject = match claims["sub_type"].as_str().unwrap_or("user") {
        "user" => &credentials.user_id,
        "service" => &drive.domain,
        _ => return Err(wrong("sub_type")),
    };
    for (name, expected) in [
        ("iss", &credentials.client_id),
        ("sub", subject),
        ("aud", &drive.domain),
    ] {
        if claims[name] != expected.as_str() {
            return Err(wrong(name));
        }
    }
    let now = drive.cloud.clock.now().as_second();
    if claims["exp"].as_i64().is_none_or(|end| end <= now) {
        return Err(wrong("exp"));
    }
    if claims["nbf"].as_i64().is_some_and(|start| start > now) {
        return Err(wrong("nbf"));
    }
    let id = claims["jti"].as_str().unwrap_or_default();
    if id.is_empty() || !drive.accounts.take_assertion(id) {
        return Err(wrong("jti"));
    }
    Ok(())
}

fn token_answer(drive: &Drive, knobs: &Knobs, grant: &Grant) -> Value {
    let credentials = &drive.accounts.credentials;
    let life = Duration::from_secs(knobs.access_life_s);
    let mut body = json!({
        "access_token": grant.access,
        "refresh_token": grant.refresh,
        "token_type": "Bearer",
        "user_id": credentials.user_id,
        "user_name": credentials.user_name,
        "nick_name": credentials.user_name,
        "avatar": "",
        "role": "user",
        "status": "enabled",
        "state": "",
        "domain_id": drive.domain,
        "default_drive_id": knobs.drive_id(&drive.drive_id),
        "default_sbox_drive_id": "",
        "device_name": "",
        "is_first_login": false,
        "need_link": false,
        "exist_link": [],
        "user_data": {},
    });
    if !knobs.omits_expires_in {
        body["expires_in"] = json!(knobs.access_life_s);
    }
    if !knobs.omits_expire_time {
        body["expire_time"] = json!(json_date(drive.cloud.clock.now() + life));
    }
    body
}

fn refusal(failure: Failure, knobs: &Knobs) -> Answer {
    if !knobs.has_oauth_errors {
        return failure.answer(knobs.error_shape);
    }
    let error = match failure.status {
        401 => "invalid_grant",
        404 => "invalid_client",
        _ => "invalid_request",
    };
    let body = json!({"error": error, "error_description": failure.message});
    Answer {
        status: 400,
        ..Answer::json(&body)
    }
}

/// The fields of a form, decoded.
struct Form(Vec<(String, String)>);

impl Form {
    /// A body of another kind has no fields.
    fn read(call: &Call) -> Self {
        let kind = call.header("content-type").unwrap_or_default();
        if !kind.starts_with("application/x-www-form-urlencoded") {
            return Self(Vec::new());
        }
        let decode = |bytes: &[u8]| {
            let spaced: Vec<u8> = bytes
                .iter()
                .map(|byte| if *byte == b'+' { b' ' } else { *byte })
                .collect();
            percent_decode(&spaced).decode_utf8_lossy().into_owned()
        };
        let pairs = call.raw_body.split(|byte| *byte == b'&');
        let pairs = pairs.filter_map(|pair| {
            let at = pair.iter().position(|byte| *byte == b'=')?;
            Some((decode(&pair[..at]), decode(&pair[at + 1..])))
        });
        Self(pairs.collect())
    }

    fn get(&self, name: &str) -> Result<&str, Failure> {
        let field = self.0.iter().find(|(known, _)| known == name);
        let value = field.map(|(_, value)| value.as_str());
        value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Failure::missing(name))
    }
}
