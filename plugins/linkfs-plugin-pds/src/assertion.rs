use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use linkfs_provider::{Result, Secret};
use linkfs_provider_http::settings::invalid;
use linkfs_provider_http::timestamp;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::random;

/// An assertion buys one token at once; it need not hold longer than that call takes.
const LIFE: Duration = Duration::from_secs(60);

/// An application's RSA key.
pub(crate) struct SigningKey(KeyPair);

/// What an application asserts: that it acts as this subject.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) client_id: String,
    pub(crate) domain: String,
    /// A user's id, or the domain's for the service itself.
    pub(crate) subject: String,
    /// `user` or `service`.
    pub(crate) subject_type: &'static str,
    /// Whether the drive makes a user that it does not know.
    pub(crate) auto_create: bool,
}

impl SigningKey {
    /// The key in PEM form, PKCS #8 or PKCS #1.
    ///
    /// # Errors
    /// `Invalid` for anything else; the message repeats nothing of it.
    pub(crate) fn read(pem: &Secret<String>) -> Result<Self> {
        let key = match PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => KeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            Ok(PrivateKeyDer::Pkcs1(der)) => KeyPair::from_der(der.secret_pkcs1_der()).ok(),
            _ => None,
        };
        let wrong = || invalid("`jwt_key` must be an RSA private key in PEM form");
        key.map(SigningKey).ok_or_else(wrong)
    }

    /// A signed assertion of `claims` at the drive's time `now`.
    ///
    /// # Errors
    /// `Unavailable` when the system gives no randomness.
    pub(crate) fn assertion(&self, claims: &Claims, now: SystemTime) -> Result<Secret<String>> {
        let head = encoded(&json!({"alg": "RS256", "typ": "JWT"}));
        let body = encoded(&claims.at(now, &random::text()?));
        let text = format!("{head}.{body}");
        let mut signature = vec![0; self.0.public_modulus_len()];
        let signed = self.0.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            text.as_bytes(),
            &mut signature,
        );
        signed.map_err(|error| random::none(&error))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::new(format!("{text}.{signature}")))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl Claims {
    fn at(&self, now: SystemTime, id: &str) -> Value {
        let seconds = |time: SystemTime| timestamp::ms(time).unwrap_or_default() / 1000;
        json!({
            "iss": self.client_id,
            "sub": self.subject,
            "sub_type": self.subject_type,
            "aud": self.domain,
            "jti": id,
            "iat": seconds(now),
            "nbf": seconds(now),
            "exp": seconds(now + LIFE),
            "auto_create": self.auto_create,
        })
    }
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use base64::engine::general_purpose::STANDARD;
    use linkfs_provider::ErrorKind;

    use super::*;

    /// A new key in PEM form, and its public half.
    pub(crate) fn key() -> (String, Vec<u8>) {
        let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = key.as_der().unwrap();
        let (marker, text) = ("PRIVATE KEY", STANDARD.encode(der.as_ref()));
        let pem = format!("-----BEGIN {marker}-----\n{text}\n-----END {marker}-----\n");
        (pem, key.public_key().as_ref().to_vec())
    }

    /// The claims of an assertion that `public` signed.
    pub(crate) fn claims(assertion: &str, public: &[u8]) -> Value {
        let (text, signature) = assertion.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        public.verify(text.as_bytes(), &signature).unwrap();
        let (head, body) = text.split_once('.').unwrap();
        let read = |part: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(read(head), json!({"alg": "RS256", "typ": "JWT"}));
        read(body)
    }

    #[test]
    fn an_assertion_says_who_acts_and_is_signed() {
        let (pem, public) = key();
        let key = SigningKey::read(&Secret::new(pem)).unwrap();
        let asserted = Claims {
            client_id: "App1".into(),
            domain: "bj9".into(),
            subject: "u100".into(),
            subject_type: "user",
            auto_create: false,
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_600_550_123);
        let text = key.assertion(&asserted, now).unwrap();
        let mut read = claims(text.expose(), &public);
        let id = read.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(
            read,
            json!({"iss": "App1", "sub": "u100", "sub_type": "user", "aud": "bj9",
                "iat": 1_767_600_550, "nbf": 1_767_600_550, "exp": 1_767_600_610,
                "auto_create": false})
        );
        let again = claims(key.assertion(&asserted, now).unwrap().expose(), &public);
        assert_ne!(id, again["jti"]);
    }

    #[test]
    fn what_is_no_key_is_refused_without_repeating_it() {
        for text in [
            "",
            "s3cret",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            let error = SigningKey::read(&Secret::new(text.into())).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Invalid);
            assert!(!error.message.contains("s3cret"));
        }
    }
}
