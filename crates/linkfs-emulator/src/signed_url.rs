use std::time::Duration;

use jiff::Timestamp;

use crate::LinkStyle;
use crate::clock::{compact_date, parse_compact_date};
use crate::digest::{hex, hmac_sha256, sha256_hex, unhex};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const REGION: &str = "ap-3";

/// Hides issue and expiry of [`LinkStyle::Hidden`] from a client that would read them.
const TICKET_MASK: u64 = 0x5ca1_ab1e_0b5e_55ed;

/// The key that links are signed with. Only whoever holds it can make or change a link.
pub(crate) struct SigningKey {
    pub(crate) access_key: String,
    pub(crate) secret: String,
}

/// What a link promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkTerms {
    pub(crate) issued: Timestamp,
    pub(crate) life: Duration,
    pub(crate) style: LinkStyle,
    /// Links of another epoch have been revoked.
    pub(crate) epoch: u64,
}

/// The part of a request that its signature covers, byte for byte as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signable<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: &'a str,
    pub(crate) path: &'a str,
    /// The raw query without the signature.
    pub(crate) query: &'a str,
}

/// A query as a signed link carries it.
#[derive(Debug)]
pub(crate) struct SignedQuery<'a> {
    pub(crate) unsigned: &'a str,
    pub(crate) signature: &'a str,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    stamp: String,
}

impl SigningKey {
    /// `path?query` with the signature last. `query` holds what else the link must carry, encoded.
    pub(crate) fn sign(&self, host: &str, path: &str, query: &str, terms: LinkTerms) -> String {
        let (fields, stamp) = self.fields(terms);
        let query = if query.is_empty() {
            fields
        } else {
            format!("{query}&{fields}")
        };
        let signable = Signable {
            method: "GET",
            host,
            path,
            query: &query,
        };
        let signature = self.signature(signable, &stamp, terms.epoch);
        format!(
            "{path}?{query}&{}={signature}",
            terms.style.signature_name()
        )
    }

    /// Whether the signature of `query` was made by this key, in this epoch, for this request.
    pub(crate) fn verifies(
        &self,
        request: Signable<'_>,
        query: &SignedQuery<'_>,
        epoch: u64,
    ) -> bool {
        self.signature(request, &query.stamp, epoch) == query.signature
    }

    fn fields(&self, terms: LinkTerms) -> (String, String) {
        let date = compact_date(terms.issued);
        let seconds = terms.life.as_secs();
        let issued = terms.issued.as_second();
        let expires = issued + seconds as i64;
        match terms.style {
            LinkStyle::Expires => {
                let fields = format!("AccessKeyId={}&Expires={expires}", self.access_key);
                (fields, expires.to_string())
            }
            LinkStyle::Hidden => {
                let ticket = [issued as u64 ^ TICKET_MASK, expires as u64 ^ TICKET_MASK];
                let ticket = hex(&ticket.map(u64::to_be_bytes).concat());
                (format!("ticket={ticket}"), ticket)
            }
            style => {
                let prefix = style.prefix();
                let scope = format!(
                    "{}%2F{}%2F{REGION}%2Fs3%2Faws4_request",
                    self.access_key,
                    &date[..8]
                );
                let names = [
                    "Algorithm",
                    "Date",
                    "SignedHeaders",
                    "Expires",
                    "Credential",
                ];
                let names = names.map(|name| style.name(prefix, name));
                let fields = format!(
                    "{}={ALGORITHM}&{}={date}&{}=host&{}={seconds}&{}={scope}",
                    names[0], names[1], names[2], names[3], names[4]
                );
                (fields, date)
            }
        }
    }

    fn signature(&self, request: Signable<'_>, stamp: &str, epoch: u64) -> String {
        let Signable {
            method,
            host,
            path,
            query,
        } = request;
        let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let day = stamp.get(..8).unwrap_or(stamp);
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let text = format!(
            "{ALGORITHM}\n{stamp}\n{scope}\n{}",
            sha256_hex(canonical.as_bytes())
        );
        let mut key = format!("AWS4{}{epoch}", self.secret).into_bytes();
        for part in [day, REGION, "s3", "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        hex(&hmac_sha256(&key, text.as_bytes()))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "SigningKey({}, ..)", self.access_key)
    }
}

impl<'a> SignedQuery<'a> {
    /// Reads a raw query; `None` when it lacks what a signed link has, or the signature is not last.
    pub(crate) fn parse(query: &'a str) -> Option<Self> {
        let (unsigned, last) = query.rsplit_once('&')?;
        let (name, signature) = last.split_once('=')?;
        let name = name.to_ascii_lowercase();
        let field = |wanted: &str| {
            let pairs = unsigned.split('&').filter_map(|pair| pair.split_once('='));
            let mut values = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            values.next().map(|(_, value)| value)
        };
        let (stamp, issued, expires) = match name.as_str() {
            "signature" => {
                let expires: i64 = field("Expires")?.parse().ok()?;
                (expires.to_string(), expires, expires)
            }
            "sign" => {
                let ticket = field("ticket")?;
                let (issued, expires) = read_ticket(ticket)?;
                (ticket.to_owned(), issued, expires)
            }
            other => {
                let prefix = other.strip_suffix("signature")?;
                let date = field(&format!("{prefix}date"))?;
                let life: i64 = field(&format!("{prefix}expires"))?.parse().ok()?;
                let issued = parse_compact_date(date)?.as_second();
                (date.to_owned(), issued, issued.checked_add(life)?)
            }
        };
        Some(Self {
            unsigned,
            signature,
            issued: Timestamp::from_second(issued).ok()?,
            expires: Timestamp::from_second(expires).ok()?,
            stamp,
        })
    }
}

impl LinkStyle {
    fn prefix(self) -> &'static str {
        match self {
            LinkStyle::Obs => "X-Obs-",
            LinkStyle::Oss => "x-oss-",
            LinkStyle::Amz | LinkStyle::AmzLower | LinkStyle::Expires | LinkStyle::Hidden => {
                "X-Amz-"
            }
        }
    }

    fn name(self, prefix: &str, name: &str) -> String {
        let name = format!("{prefix}{name}");
        match self {
            LinkStyle::AmzLower | LinkStyle::Oss => name.to_ascii_lowercase(),
            _ => name,
        }
    }

    fn signature_name(self) -> String {
        match self {
            LinkStyle::Expires => "Signature".into(),
            LinkStyle::Hidden => "sign".into(),
            style => style.name(style.prefix(), "Signature"),
        }
    }
}

fn read_ticket(ticket: &str) -> Option<(i64, i64)> {
    let bytes = unhex(ticket)?;
    let (issued, expires) = bytes.split_at_checked(8)?;
    let read = |bytes: &[u8]| Some(u64::from_be_bytes(bytes.try_into().ok()?) ^ TICKET_MASK);
    Some((read(issued)?.cast_signed(), read(expires)?.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey {
            access_key: "AKEXAMPLE".into(),
            secret: "not-a-secret".into(),
        }
    }

    fn terms(style: LinkStyle) -> LinkTerms {
        let issued = "2026-01-05T08:09:10Z".parse().unwrap();
        LinkTerms {
            issued,
            life: Duration::from_secs(3600),
            style,
            epoch: 0,
        }
    }

    fn verifies(host: &str, url: &str) -> bool {
        let (path, query) = url.split_once('?').unwrap();
        let Some(query) = SignedQuery::parse(query) else {
            return false;
        };
        let request = Signable {
            method: "GET",
            host,
            path,
            query: query.unsigned,
        };
        key().verifies(request, &query, 0)
    }

    #[test]
    fn every_style_verifies_and_says_when_it_ends() {
        use LinkStyle::{Amz, AmzLower, Expires, Hidden, Obs, Oss};
        for style in [Amz, AmzLower, Obs, Oss, Expires, Hidden] {
            let url = key().sign("h:1", "/k", "a=%2541", terms(style));
            assert!(verifies("h:1", &url), "{style:?}");
            let query = SignedQuery::parse(url.split_once('?').unwrap().1).unwrap();
            assert_eq!(
                query.expires,
                "2026-01-05T09:09:10Z".parse().unwrap(),
                "{style:?}"
            );
        }
    }

    #[test]
    fn any_change_to_the_link_is_noticed() {
        let url = key().sign("h:1", "/k", "a=%2541&b=1", terms(LinkStyle::Amz));
        assert!(url.contains("X-Amz-Date=20260105T080910Z"));
        assert!(url.contains("X-Amz-Expires=3600"));
        let changes = [
            url.replace("/k?", "/l?"),
            url.replace("%2541", "%41"),
            url.replace("a=%2541&b=1", "b=1&a=%2541"),
            url.replace("%2F", "/"),
            url.replace("Expires=3600", "Expires=7200"),
            format!("{url}&c=1"),
        ];
        for changed in changes {
            assert_ne!(changed, url);
            assert!(!verifies("h:1", &changed), "{changed}");
        }
        assert!(!verifies("other:1", &url));
    }
}
