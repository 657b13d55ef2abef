use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::header_signature::{Covered, HeaderKey};
use super::knobs::{DateStyle, Knobs};
use crate::Cloud;
use crate::clock::{compact_date, http_date};
use crate::refusal::Refusal;

/// Links that ended this long ago are forgotten; late requests get to know the difference between
/// ended and forged until then.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// How many new links pass between two sweeps for links to forget.
const SWEEP_INTERVAL: usize = 4096;

/// The signed headers that were handed out, by their `Authorization`.
#[derive(Debug)]
pub(crate) struct LinkBook {
    key: HeaderKey,
    bundles: Mutex<HashMap<String, Bundle>>,
}

#[derive(Clone, Debug)]
struct Bundle {
    headers: Vec<(String, String)>,
    issued: Timestamp,
    ends: Timestamp,
    dies: Option<Timestamp>,
    epoch: u64,
}

impl LinkBook {
    pub(crate) fn new(key: HeaderKey) -> Self {
        Self {
            key,
            bundles: Mutex::default(),
        }
    }

    /// The headers that open `resource` on every data port.
    pub(crate) fn sign(
        &self,
        cloud: &Cloud,
        knobs: &Knobs,
        resource: &str,
    ) -> Vec<(String, String)> {
        let (policy, issued) = (cloud.links.get(), cloud.clock.now());
        let date = match knobs.date_style {
            DateStyle::Http => http_date(issued),
            DateStyle::Compact => compact_date(issued),
        };
        let mut headers = vec![("x-oss-date".to_owned(), date.clone())];
        let extra = knobs.extra_headers.iter();
        headers.extend(extra.map(|(name, value)| (name.clone(), value.clone())));
        let epoch = cloud.link_epoch();
        let authorization = self.key.authorization(&Covered {
            method: "GET",
            content_md5: "",
            content_type: "",
            date: &date,
            oss_headers: oss_headers(&headers),
            resource,
            epoch,
        });
        headers.push(("Authorization".into(), authorization.clone()));
        let after = |seconds| issued + Duration::from_secs(seconds);
        let bundle = Bundle {
            headers: headers.clone(),
            issued,
            ends: after(policy.life_s),
            dies: policy.dies_after_s.map(after),
            epoch,
        };
        self.remember(authorization, bundle);
        headers
    }

    /// The query of a URL to `resource` that needs no headers.
    pub(crate) fn sign_query(&self, cloud: &Cloud, resource: &str) -> String {
        let life = Duration::from_secs(cloud.links.get().life_s);
        let expires = (cloud.clock.now() + life).as_second().to_string();
        self.signed_query(resource, &expires, cloud.link_epoch())
    }

    /// Why a `GET` of `resource` with this query is refused, if it is.
    pub(crate) fn query_refusal(
        &self,
        cloud: &Cloud,
        resource: &str,
        query: &str,
    ) -> Option<Refusal> {
        let expires = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("Expires="))
            .unwrap_or_default();
        let epoch = cloud.link_epoch();
        let is_signed = |epoch| self.signed_query(resource, expires, epoch) == query;
        let Some(signed_in) = (0..=epoch).rev().find(|epoch| is_signed(*epoch)) else {
            cloud.counters.bad_signature();
            return Some(mismatch());
        };
        let status = cloud.links.get().refusal_status;
        let is_over = expires
            .parse()
            .is_ok_and(|end: i64| cloud.clock.now().as_second() >= end);
        if is_over {
            cloud.counters.expired_link();
            return Some(Refusal::new(status, "AccessDenied", "Request has expired"));
        }
        (signed_in != epoch).then(|| {
            cloud.counters.revoked_link();
            Refusal::new(status, "AccessDenied", "Access Denied")
        })
    }

    fn signed_query(&self, resource: &str, expires: &str, epoch: u64) -> String {
        let signature = self.key.signature(&Covered {
            method: "GET",
            content_md5: "",
            content_type: "",
            date: expires,
            oss_headers: Vec::new(),
            resource,
            epoch,
        });
        let access_key = &self.key.access_key;
        let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
        format!("Expires={expires}&OSSAccessKeyId={access_key}&Signature={signature}")
    }

    /// Why a `GET` of `resource` with these headers is refused, if it is.
    pub(crate) fn refusal(
        &self,
        cloud: &Cloud,
        resource: &str,
        headers: &HeaderMap,
    ) -> Option<Refusal> {
        let Some(bundle) = self.verified(resource, headers) else {
            cloud.counters.bad_signature();
            return Some(mismatch());
        };
        let (policy, now) = (cloud.links.get(), cloud.clock.now());
        if now >= bundle.ends {
            cloud.counters.expired_link();
            let text = "Request has expired";
            return Some(Refusal::new(
                policy.refusal_status,
                "RequestTimeTooSkewed",
                text,
            ));
        }
        if bundle.epoch != cloud.link_epoch() || bundle.dies.is_some_and(|dies| now >= dies) {
            cloud.counters.revoked_link();
            let status = policy.refusal_status;
            return Some(Refusal::new(status, "AccessDenied", "Access Denied"));
        }
        None
    }

    /// The bundle whose headers these are, each of them and byte for byte, signed for `resource`.
    fn verified(&self, resource: &str, headers: &HeaderMap) -> Option<Bundle> {
        let authorization = only(headers, header::AUTHORIZATION.as_str())?;
        let bundles = self.bundles.lock().expect("link lock");
        let bundle = bundles.get(authorization)?;
        let is_complete = bundle
            .headers
            .iter()
            .all(|(name, value)| only(headers, name) == Some(value));
        let received: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes());
                (name.as_str().to_owned(), value.into_owned())
            })
            .collect();
        let covered = Covered {
            method: "GET",
            content_md5: only(headers, "content-md5").unwrap_or_default(),
            content_type: only(headers, "content-type").unwrap_or_default(),
            date: only(headers, "x-oss-date").unwrap_or_default(),
            oss_headers: oss_headers(&received),
            resource,
            epoch: bundle.epoch,
        };
        let holds = is_complete && self.key.authorization(&covered) == authorization;
        holds.then(|| bundle.clone())
    }

    fn remember(&self, authorization: String, bundle: Bundle) {
        let mut bundles = self.bundles.lock().expect("link lock");
        if bundles.len() % SWEEP_INTERVAL == SWEEP_INTERVAL - 1 {
            let now = bundle.issued;
            bundles.retain(|_, bundle| bundle.ends + REMEMBERED > now);
        }
        bundles.insert(authorization, bundle);
    }
}

fn mismatch() -> Refusal {
    let text = "The request signature does not match";
    Refusal::new(403, "SignatureDoesNotMatch", text)
}

fn oss_headers(headers: &[(String, String)]) -> Vec<(String, String)> {
    let lower = headers
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    lower
        .filter(|(name, _)| name.starts_with("x-oss-"))
        .collect()
}

/// The value of a header that is there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    value.to_str().ok()
}
