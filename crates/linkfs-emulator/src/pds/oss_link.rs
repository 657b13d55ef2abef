use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::knobs::Signature;
use crate::clock::{compact_date, parse_compact_date};
use crate::digest::{hex, hmac_sha256};

/// Hides the time of issue from a client that would read it.
const TICKET_MASK: u64 = 0x0f1e_2d3c_4b5a_6978;

/// Signs links, and knows its own. The signature covers host, path and query byte for byte, which
/// is more than OSS covers in its first version: whoever changes any of them has broken the rule
/// that a signed link is used as it came.
pub(crate) struct OssKey {
    pub(crate) access_key: String,
    pub(crate) secret: String,
}

/// What a link promises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OssTerms {
    pub(crate) issued: Timestamp,
    pub(crate) life: Duration,
    pub(crate) signature: Signature,
    /// The `Referer` header is signed too.
    pub(crate) signs_referer: bool,
    /// Links of another epoch have been revoked.
    pub(crate) epoch: u64,
}

/// A query as a link carries it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OssQuery {
    /// The query with the value of the signature left out.
    unsigned: String,
    signature: String,
    pub(crate) issued: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) signs_referer: bool,
}

impl OssKey {
    /// `path?query`, where `more` holds further parameters, encoded.
    pub(crate) fn sign(&self, host: &str, path: &str, more: &str, terms: OssTerms) -> String {
        let name = match terms.signature {
            Signature::V1 | Signature::V1Joined => "Signature",
            Signature::V2 | Signature::V4 => "x-oss-signature",
        };
        let mut query = format!("{}&{name}=", self.fields(terms));
        let at = query.len();
        if !more.is_empty() {
            query = format!("{query}&{more}");
        }
        let digest = self.digest(host, path, &query, terms.epoch);
        let signature = match terms.signature {
            Signature::V4 => hex(&digest),
            _ => {
                let text = STANDARD.encode(&digest[..20]);
                utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
            }
        };
        query.insert_str(at, &signature);
        format!("{path}?{query}")
    }

    /// Whether this key made the signature, in this epoch, for this host and path.
    pub(crate) fn verifies(&self, host: &str, path: &str, query: &OssQuery, epoch: u64) -> bool {
        let digest = self.digest(host, path, &query.unsigned, epoch);
        let short = STANDARD.encode(&digest[..20]);
        let short = utf8_percent_encode(&short, NON_ALPHANUMERIC).to_string();
        query.signature == hex(&digest) || query.signature == short
    }

    fn fields(&self, terms: OssTerms) -> String {
        let key = &self.access_key;
        let seconds = terms.life.as_secs();
        let issued = terms.issued.as_second();
        let expires = issued + seconds.cast_signed();
        let ticket = hex(&(issued.cast_unsigned() ^ TICKET_MASK).to_be_bytes());
        match terms.signature {
            Signature::V1 => format!("Expires={expires}&OSSAccessKeyId={key}&u={ticket}"),
            Signature::V1Joined => format!("Expires={expires}OSSAccessKeyId={key}&u={ticket}"),
            Signature::V2 => format!(
                "x-oss-signature-version=OSS2&x-oss-access-key-id={key}&x-oss-expires={expires}&u={ticket}"
            ),
            Signature::V4 => {
                let date = compact_date(terms.issued);
                let scope = format!(
                    "{key}%2F{}%2Fcn-hangzhou%2Foss%2Faliyun_v4_request",
                    &date[..8]
                );
                let referer = if terms.signs_referer {
                    "&x-oss-additional-headers=referer"
                } else {
                    ""
                };
                format!(
                    "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-date={date}\
                     &x-oss-expires={seconds}&x-oss-credential={scope}{referer}"
                )
            }
        }
    }

    fn digest(&self, host: &str, path: &str, query: &str, epoch: u64) -> Vec<u8> {
        let key = format!("OSS{}{epoch}", self.secret);
        let text = format!("GET\n{host}\n{path}\n{query}");
        hmac_sha256(key.as_bytes(), text.as_bytes())
    }
}

impl std::fmt::Debug for OssKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "OssKey({}, ..)", self.access_key)
    }
}

impl OssQuery {
    /// Reads a raw query; `None` when it lacks what a link has.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let field = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(name, _)| *name == wanted)
                .map(|(_, value)| value)
        };
        let names = ["Signature", "x-oss-signature"];
        let (name, signature) = names.iter().find_map(|name| Some((name, field(name)?)))?;
        let unsigned = query.replacen(&format!("{name}={signature}"), &format!("{name}="), 1);
        let (issued, expires) = match field("x-oss-signature-version") {
            None => (ticket(field("u")?)?, leading_number(field("Expires")?)?),
            Some("OSS2") => (
                ticket(field("u")?)?,
                leading_number(field("x-oss-expires")?)?,
            ),
            Some(_) => {
                let issued = parse_compact_date(field("x-oss-date")?)?.as_second();
                let life: i64 = field("x-oss-expires")?.parse().ok()?;
                (issued, issued.checked_add(life)?)
            }
        };
        Some(Self {
            unsigned,
            signature: signature.into(),
            issued: Timestamp::from_second(issued).ok()?,
            expires: Timestamp::from_second(expires).ok()?,
            signs_referer: field("x-oss-additional-headers") == Some("referer"),
        })
    }
}

fn ticket(text: &str) -> Option<i64> {
    let bits = u64::from_str_radix(text, 16).ok()?;
    Some((bits ^ TICKET_MASK).cast_signed())
}

/// The number a text begins with; see [`Signature::V1Joined`].
fn leading_number(text: &str) -> Option<i64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit());
    text[..end.unwrap_or(text.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLES: [Signature; 4] = [
        Signature::V1,
        Signature::V1Joined,
        Signature::V2,
        Signature::V4,
    ];

    fn sign(signature: Signature) -> String {
        let key = OssKey {
            access_key: "AKEXAMPLE".into(),
            secret: "not-a-secret".into(),
        };
        let terms = OssTerms {
            issued: "2026-01-05T08:09:10Z".parse().unwrap(),
            life: Duration::from_secs(900),
            signature,
            signs_referer: false,
            epoch: 3,
        };
        key.sign("h:1", "/hz9%2Fa%2Fb", "a=%2541", terms)
    }

    fn verifies(host: &str, url: &str, epoch: u64) -> bool {
        let key = OssKey {
            access_key: "AKEXAMPLE".into(),
            secret: "not-a-secret".into(),
        };
        let (path, query) = url.split_once('?').unwrap();
        OssQuery::parse(query).is_some_and(|query| key.verifies(host, path, &query, epoch))
    }

    #[test]
    fn every_style_verifies_and_says_when_it_ends() {
        for style in STYLES {
            let url = sign(style);
            assert!(verifies("h:1", &url, 3), "{url}");
            let query = OssQuery::parse(url.split_once('?').unwrap().1).unwrap();
            let at = |text: &str| text.parse::<Timestamp>().unwrap();
            assert_eq!(query.issued, at("2026-01-05T08:09:10Z"), "{url}");
            assert_eq!(query.expires, at("2026-01-05T08:24:10Z"), "{url}");
        }
        assert!(sign(Signature::V1).contains("?Expires=1767601450&OSSAccessKeyId=AKEXAMPLE&"));
        assert!(sign(Signature::V1Joined).contains("?Expires=1767601450OSSAccessKeyId="));
        assert!(sign(Signature::V2).contains("x-oss-expires=1767601450&"));
        assert!(sign(Signature::V4).contains("x-oss-date=20260105T080910Z&x-oss-expires=900&"));
    }

    #[test]
    fn any_change_to_a_link_is_noticed() {
        for style in STYLES {
            let url = sign(style);
            let last = format!("{}x", &url[..url.len() - 1]);
            let changes = [
                url.replace("%2Fa", "/a"),
                url.replace("%2541", "%41"),
                url.replace("%2Fb?", "%2Fc?"),
                url.replace("1767601450", "1767609999")
                    .replace("=900&", "=901&"),
                format!("{url}&c=1"),
                last,
            ];
            for changed in changes {
                assert_ne!(changed, url);
                assert!(!verifies("h:1", &changed, 3), "{changed}");
            }
            assert!(!verifies("h:2", &url, 3) && !verifies("h:1", &url, 4));
        }
    }
}
