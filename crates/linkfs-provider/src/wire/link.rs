use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeSeq};

use super::time;
use crate::{ErrorKind, ProviderError, Secret, SignedUrl};

/// How the bytes of one file can be fetched for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Link {
    /// Addresses of the same bytes, best first; at least one.
    #[serde(serialize_with = "addresses")]
    pub urls: Vec<Secret<String>>,
    /// Headers that must be sent along, as `[name, value]`.
    #[serde(
        default,
        serialize_with = "headers",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub headers: Vec<(String, Secret<String>)>,
    /// How long the link holds from now on.
    pub valid_for_ms: u64,
}

fn addresses<S: Serializer>(urls: &[Secret<String>], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(urls.iter().map(Secret::expose))
}

fn headers<S: Serializer>(headers: &[(String, Secret<String>)], to: S) -> Result<S::Ok, S::Error> {
    let mut list = to.serialize_seq(Some(headers.len()))?;
    for (name, value) in headers {
        list.serialize_element(&(name, value.expose()))?;
    }
    list.end()
}

impl From<crate::Link> for Link {
    fn from(link: crate::Link) -> Self {
        let urls = link.urls.iter();
        Link {
            urls: urls
                .map(|url| Secret::new(url.expose().to_owned()))
                .collect(),
            headers: link.headers,
            valid_for_ms: time::from_duration(link.valid_for),
        }
    }
}

impl TryFrom<Link> for crate::Link {
    type Error = ProviderError;

    fn try_from(link: Link) -> Result<Self, ProviderError> {
        if link.urls.is_empty() {
            let message = "the plugin gave a link without an address";
            return Err(ProviderError::new(ErrorKind::Broken, message));
        }
        let urls = link.urls.into_iter();
        Ok(crate::Link {
            urls: urls
                .map(|url| SignedUrl::new(url.into_exposed()))
                .collect::<Result<_, _>>()?,
            headers: link.headers,
            valid_for: Duration::from_millis(link.valid_for_ms),
        })
    }
}
