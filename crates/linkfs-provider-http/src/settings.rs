//! Addresses and secrets of the configuration, checked. No message repeats a value: it could be a
//! misplaced secret.

use linkfs_provider::{ErrorKind, ProviderError, Result, Secret};
use reqwest::Url;
use reqwest::header::HeaderValue;
use serde_json::json;
use sha2::{Digest, Sha256};

/// The address that all calls start with.
///
/// # Errors
/// `Invalid` for what is no plain http(s) address.
pub fn endpoint(text: &str) -> Result<Url> {
    let wrong = || {
        invalid("`endpoint` must be an address like https://host, without user, query or fragment")
    };
    let url = Url::parse(text.trim_end_matches('/')).map_err(|_| wrong())?;
    let is_bare = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    let is_http = matches!(url.scheme(), "https" | "http") && url.host_str().is_some();
    if is_bare && is_http {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// A credential that travels in a header. Files and commands leave line ends behind: they are cut.
///
/// # Errors
/// `Invalid` when it is missing though `auth_mode` needs it, or no header can carry it.
pub fn secret(mode: &str, key: &str, value: Option<&Secret<String>>) -> Result<Secret<String>> {
    let value = value.map_or("", |value| value.expose().trim());
    if value.is_empty() {
        return Err(missing(mode, key));
    }
    check_header(key, Some(value))?;
    Ok(Secret::new(value.to_owned()))
}

/// Checks that a header can carry the value of `key`.
///
/// # Errors
/// `Invalid` when not.
pub fn check_header(key: &str, value: Option<&str>) -> Result<()> {
    match value.map(HeaderValue::from_str) {
        Some(Err(_)) => Err(invalid(format!(
            "`{key}` holds characters that an HTTP header cannot carry"
        ))),
        _ => Ok(()),
    }
}

/// The error for a key that `auth_mode` needs.
pub fn missing(mode: &str, key: &str) -> ProviderError {
    invalid(format!("auth_mode = \"{mode}\" needs `{key}`"))
}

/// The error for settings that make no sense.
pub fn invalid(message: impl Into<String>) -> ProviderError {
    ProviderError::new(ErrorKind::Invalid, message)
}

/// A name for credentials that gives none of them away: a hash.
pub fn fingerprint(parts: &[&str]) -> String {
    let hash = Sha256::digest(json!(parts).to_string());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_plain_address() {
        assert_eq!(endpoint("http://h:81/base/").unwrap().path(), "/base");
        for text in [
            "h",
            "ftp://h",
            "https://u:s3cret@h",
            "https://h?s3cret",
            "https://h#s3cret",
        ] {
            let error = endpoint(text).unwrap_err();
            assert!(!error.message.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_secret_is_trimmed_and_must_fit_a_header() {
        let read = |text: &str| secret("token", "token", Some(&Secret::new(text.into())));
        assert_eq!(read("fake\n").unwrap().expose(), "fake");
        assert_eq!(
            read(" ").unwrap_err().message,
            "auth_mode = \"token\" needs `token`"
        );
        let error = read("s3\ncret").unwrap_err();
        assert_eq!(
            error.message,
            "`token` holds characters that an HTTP header cannot carry"
        );
    }

    #[test]
    fn fingerprints_tell_credentials_apart_and_hide_them() {
        assert_eq!(fingerprint(&["h", "fake"]), fingerprint(&["h", "fake"]));
        assert_ne!(fingerprint(&["h", "fake"]), fingerprint(&["hf", "ake"]));
        assert!(!fingerprint(&["h", "fake"]).contains("fake"));
    }
}
