use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit, Mac};
use linkfs_provider::Secret;
use linkfs_provider_http::timestamp;
use sha2::{Digest, Sha256};

/// How far `X-Date` is set back: the drive refuses a time even slightly ahead of its own.
pub(crate) const BACKDATE: Duration = Duration::from_secs(5);

/// An application's key, with which every single call is signed.
#[derive(Debug)]
pub(crate) struct AppKey {
    pub(crate) app_id: String,
    pub(crate) app_secret: Secret<String>,
    pub(crate) user_id: String,
    /// Whether the host is part of what is signed.
    pub(crate) include_host: bool,
    /// Whether the time has a line of its own in what is signed.
    pub(crate) time_line: bool,
}

/// What is signed of a call.
#[derive(Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    /// As sent: percent-encoded, without the query.
    pub(crate) path: &'a str,
    /// As sent: percent-encoded pairs joined by `&`.
    pub(crate) query: &'a str,
    pub(crate) body: &'a [u8],
    /// The value of `X-Date`.
    pub(crate) date: &'a str,
}

/// The value of `X-Date` at the drive's time `now`.
pub(crate) fn date(now: SystemTime) -> String {
    timestamp::to_compact(now.checked_sub(BACKDATE).unwrap_or(now))
}

impl AppKey {
    /// The value of the `Authorization` header.
    pub(crate) fn header(&self, call: &Signed<'_>) -> Secret<String> {
        let (app_id, names) = (&self.app_id, self.signed_names());
        let signature = self.signature(call);
        Secret::new(format!(
            "HMAC-SHA256 AppId={app_id},SignedHeaders={names},Signature={signature}"
        ))
    }

    fn signature(&self, call: &Signed<'_>) -> String {
        let hash = hex(&Sha256::digest(self.canonical(call)));
        let text = match self.time_line {
            true => format!("HMAC-SHA256\n{}\n{hash}", call.date),
            false => format!("HMAC-SHA256\n{hash}"),
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.app_secret.expose().as_bytes())
            .expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    fn canonical(&self, call: &Signed<'_>) -> String {
        let slash = if call.path.ends_with('/') { "" } else { "/" };
        let host = match self.include_host {
            true => format!("host:{}\n", call.host.trim()),
            false => String::new(),
        };
        format!(
            "{method}\n{path}{slash}\n{query}\n{host}x-date:{date}\nx-user-id:{user}\n\n{names}\n{body}",
            method = call.method,
            path = call.path,
            query = sorted(call.query),
            date = call.date.trim(),
            user = self.user_id.trim(),
            names = self.signed_names(),
            body = hex(&Sha256::digest(call.body)),
        )
    }

    fn signed_names(&self) -> &'static str {
        match self.include_host {
            true => "host;x-date;x-user-id",
            false => "x-date;x-user-id",
        }
    }
}

fn sorted(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_by_key(|pair| pair.split('=').next());
    pairs.join("&")
}

/// Bytes in lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: Signed<'static> = Signed {
        method: "POST",
        host: "intl.myhuaweicloud-koodrive.com",
        path: "/koodrive/ose/v1/files/download",
        query: "",
        body: br#"{"containerId":"C1","fileIds":["F1"]}"#,
        date: "20260105T080910Z",
    };

    fn key(time_line: bool) -> AppKey {
        AppKey {
            app_id: "app-1".into(),
            app_secret: Secret::new("app-secret-example".into()),
            user_id: "u-42".into(),
            include_host: true,
            time_line,
        }
    }

    #[test]
    fn the_canonical_request_has_the_known_hash() {
        assert_eq!(
            hex(&Sha256::digest(CALL.body)),
            "1f2f67e180dab2a734075b2ee17b1f734f1631c3925862748291662dcb77af17"
        );
        assert_eq!(
            hex(&Sha256::digest(key(false).canonical(&CALL))),
            "459b1a1db3afbfb36d6d67c0c5ba3a7737d2332ac53a2e3ab870473352acb400"
        );
    }

    #[test]
    fn signatures_are_the_known_ones() {
        assert_eq!(
            key(false).signature(&CALL),
            "d66b200c7b5151673ed15473c2c8dae9d3a057368f5571682132dc32c0e4c4c6"
        );
        assert_eq!(
            key(true).signature(&CALL),
            "2d3c8b6837ba8a772354b96eb6c4e6948c753c64c91090b48dfa9d0df860dd09"
        );
    }

    #[test]
    fn the_header_lists_what_is_signed() {
        let mut key = key(false);
        let start = "HMAC-SHA256 AppId=app-1,SignedHeaders=host;x-date;x-user-id,Signature=d66b";
        assert!(key.header(&CALL).expose().starts_with(start));
        key.include_host = false;
        let canonical = key.canonical(&CALL);
        assert!(!canonical.contains("host"), "{canonical}");
        let start = "HMAC-SHA256 AppId=app-1,SignedHeaders=x-date;x-user-id,Signature=";
        assert!(key.header(&CALL).expose().starts_with(start));
    }

    #[test]
    fn queries_are_sorted_and_keep_empty_values() {
        assert_eq!(sorted("b=2&a=1&c="), "a=1&b=2&c=");
        assert_eq!(sorted(""), "");
    }

    #[test]
    fn the_date_lies_a_little_in_the_past() {
        let now = timestamp::compact("20260105T080910Z").unwrap();
        assert_eq!(date(now), "20260105T080905Z");
    }
}
