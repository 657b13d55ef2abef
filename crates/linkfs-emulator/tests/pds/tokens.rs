use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use linkfs_emulator::pds::{Credentials, Rotation};
use reqwest::Response;
use serde_json::{Value, json};

use crate::client::{Drive, refusal};

async fn refresh(drive: &Drive, token: &str) -> Response {
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "fake-app"),
        ("refresh_token", token),
    ];
    drive.form(&fields).await
}

/// The access and the refresh token that a refresh brings.
async fn refreshed(drive: &Drive, token: &str) -> (String, String) {
    let answer: Value = refresh(drive, token).await.json().await.unwrap();
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

fn first(drive: &Drive) -> String {
    drive.emulator.credentials().refresh_token.clone()
}

#[tokio::test]
async fn a_refresh_token_is_good_for_one_trade() {
    let drive = Drive::start();
    let old = first(&drive);
    let (access, new) = refreshed(&drive, &old).await;
    assert_ne!(new, old);
    let expired = (401, "RefreshTokenExpired".to_owned());
    assert_eq!(refusal(refresh(&drive, &old).await).await, expired);
    let response = drive.post_as(&access, "user/get", json!({})).await;
    assert_eq!(response.status(), 200);
    assert_eq!(refresh(&drive, &new).await.status(), 200);
    assert_eq!(drive.emulator.counters().calls("token"), 3);
}

#[tokio::test]
async fn a_lost_answer_can_be_asked_for_again_until_the_new_token_is_used() {
    let drive = Drive::start();
    let rotation = Rotation::WhenNewIsUsed;
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.rotation = rotation);
    let old = first(&drive);
    refreshed(&drive, &old).await;
    let (access, _) = refreshed(&drive, &old).await;
    drive.post_as(&access, "user/get", json!({})).await;
    assert_eq!(refresh(&drive, &old).await.status(), 401);
}

#[tokio::test]
async fn tokens_end_by_the_drives_clock() {
    let drive = Drive::start();
    drive
        .emulator
        .knobs()
        .update(|knobs| knobs.access_life_s = 60);
    let (access, new) = refreshed(&drive, &first(&drive)).await;
    drive.emulator.clock().advance(Duration::from_secs(59));
    let call = || drive.post_as(&access, "drive/get", json!({"drive_id": "1"}));
    assert_eq!(call().await.status(), 200);
    drive.emulator.clock().advance(Duration::from_secs(2));
    let expired = (401, "AccessTokenExpired".to_owned());
    assert_eq!(refusal(call().await).await, expired);
    assert_eq!(refresh(&drive, &new).await.status(), 200);
    drive.emulator.expire_tokens();
    let body = json!({"drive_id": "1"});
    assert_eq!(drive.refusal("drive/get", body).await, expired);
    drive.emulator.revoke_tokens();
    assert_eq!(refresh(&drive, &new).await.status(), 401);
}

#[tokio::test]
async fn a_token_nobody_gave_is_invalid() {
    let drive = Drive::start();
    let response = drive.post_as("made-up", "user/get", json!({})).await;
    let invalid = (401, "AccessTokenInvalid".to_owned());
    assert_eq!(refusal(response).await, invalid);
    assert_eq!(drive.emulator.counters().snapshot().unauthorized, 1);
}

#[tokio::test]
async fn the_browser_step_brings_a_code_for_one_use() {
    let drive = Drive::start();
    let url = drive.url(
        "oauth/authorize?client_id=fake-app&response_type=code&state=s1\
         &redirect_uri=http%3A%2F%2F127.0.0.1%2Fback",
    );
    let response = drive.client.get(url).send().await.unwrap();
    let back = crate::client::header(&response, "location").to_owned();
    let (address, query) = back.split_once("?code=").unwrap();
    let (code, state) = query.split_once("&state=").unwrap();
    assert_eq!((address, state), ("http://127.0.0.1/back", "s1"));
    let trade = |back: &'static str| {
        let drive = &drive;
        async move {
            let fields = [
                ("grant_type", "authorization_code"),
                ("client_id", "fake-app"),
                ("code", code),
                ("redirect_uri", back),
            ];
            drive.form(&fields).await.status().as_u16()
        }
    };
    assert_eq!(trade("http://127.0.0.1/elsewhere").await, 400);
    assert_eq!(trade("http://127.0.0.1/back").await, 200);
    assert_eq!(trade("http://127.0.0.1/back").await, 400);
}

#[tokio::test]
async fn each_mount_has_a_refresh_token_of_its_own() {
    let drive = Drive::start();
    let (one, other) = (drive.emulator.mount_config(), drive.emulator.mount_config());
    assert_eq!(one["plugin"], "pds");
    assert_eq!(one["refresh_token"], first(&drive).as_str());
    assert_ne!(one["refresh_token"], other["refresh_token"]);
    let other = other["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&drive, other).await.status(), 200);
}

fn assertion(key: &KeyPair, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": "RS256"})), part(claims));
    let mut signature = vec![0; key.public_modulus_len()];
    let random = aws_lc_rs::rand::SystemRandom::new();
    key.sign(
        &RSA_PKCS1_SHA256,
        &random,
        signed.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn an_assertion_is_checked_claim_by_claim_and_works_once() {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let other_key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = key.public_key().as_der().unwrap();
    let drive = Drive::start_with(Credentials {
        app_public_key: Some(public.as_ref().to_vec()),
        ..Credentials::default()
    });
    let now = drive.emulator.clock().now().as_second();
    let claims = |name: &str, value: Value| {
        let mut claims = json!({"iss": "fake-app", "sub": "u100", "sub_type": "user",
            "aud": "bj9", "jti": "j1", "iat": now, "nbf": now, "exp": now + 60});
        claims[name] = value;
        claims
    };
    let good = assertion(&key, &claims("jti", json!("j2")));
    let rows = [
        (assertion(&key, &claims("aud", json!("other"))), 400),
        (assertion(&key, &claims("sub", json!("u200"))), 400),
        (assertion(&key, &claims("exp", json!(now))), 400),
        (assertion(&key, &claims("nbf", json!(now + 9))), 400),
        (assertion(&key, &claims("jti", json!(""))), 400),
        (assertion(&other_key, &claims("jti", json!("j3"))), 400),
        (good.clone(), 200),
        (good, 400),
    ];
    for (assertion, status) in rows {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("client_id", "fake-app"),
            ("assertion", assertion.as_str()),
        ];
        let response = drive.form(&fields).await;
        assert_eq!(
            response.status(),
            status,
            "{}",
            response.text().await.unwrap()
        );
    }
}
