use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Claims that are new in each assertion.
const NEW_CLAIMS: [&str; 4] = ["jti", "iat", "nbf", "exp"];

/// An application's new RSA key, and what it asserts, written down here a third time so that drive and
/// plugin are both held against it.
#[derive(Debug)]
pub struct AppKey(KeyPair);

impl AppKey {
    /// A new key.
    ///
    /// # Panics
    /// When the system gives no randomness.
    pub fn generate() -> AppKey {
        AppKey(KeyPair::generate(KeySize::Rsa2048).expect("a new key"))
    }

    /// As configurations have it.
    ///
    /// # Panics
    /// When the key cannot be written down.
    pub fn pem(&self) -> String {
        let der: Pkcs8V1Der<'_> = self.0.as_der().expect("a key is written as PKCS #8");
        let (marker, text) = ("PRIVATE KEY", STANDARD.encode(der.as_ref()));
        format!("-----BEGIN {marker}-----\n{text}\n-----END {marker}-----\n")
    }

    /// As drives have it.
    pub fn public(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// An assertion of `claims` that holds for a minute from now on.
    ///
    /// # Panics
    /// When the key cannot sign.
    pub fn assert(&self, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a time after 1970").as_secs();
        let mut claims = claims.clone();
        for (name, value) in NEW_CLAIMS.into_iter().zip([
            json!("fake-assertion-1"),
            json!(now),
            json!(now),
            json!(now + 60),
        ]) {
            claims[name] = value;
        }
        let head = json!({"alg": "RS256", "typ": "JWT"}).to_string();
        let parts = [head, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part));
        let text = parts.join(".");
        let mut signature = vec![0; self.0.public_modulus_len()];
        let random = SystemRandom::new();
        let signed = self
            .0
            .sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature);
        signed.expect("a signature");
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What an assertion of this key claims, without what is new in each.
    ///
    /// # Panics
    /// When another key has signed it, or it does not hold for a while.
    #[track_caller]
    pub fn read(&self, assertion: &str) -> Value {
        let (text, signature) = assertion.rsplit_once('.').expect("three parts");
        let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.public());
        let verified = public.verify(text.as_bytes(), &signature);
        assert!(verified.is_ok(), "another key has signed {text}");
        let (head, claims) = text.split_once('.').expect("three parts");
        let [head, mut claims] = [head, claims].map(|part| -> Value {
            let part = URL_SAFE_NO_PAD.decode(part).expect("base64url");
            serde_json::from_slice(&part).expect("JSON")
        });
        assert_eq!(head, json!({"alg": "RS256", "typ": "JWT"}));
        let fields = claims.as_object_mut().expect("an object of claims");
        let [id, issued, start, end] = NEW_CLAIMS.map(|name| fields.remove(name));
        assert!(id.is_some_and(|id| id.as_str().is_some_and(|id| !id.is_empty())));
        let seconds = [issued, start, end].map(|time| time.and_then(|time| time.as_u64()));
        let [issued, start, end] = seconds.map(|time| time.expect("a time in seconds"));
        assert!(issued == start && start < end && end <= start + 900);
        claims
    }
}
