//! A link as a request needs it: parsed once, for a large file is asked for in thousands of ranges.

use std::fmt;

use linkfs_provider::{Link, SignedUrl};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// The addresses and headers of a link, exactly as they must be sent.
pub(crate) struct PreparedLink {
    pub(crate) urls: Vec<Url>,
    pub(crate) headers: HeaderMap,
}

impl fmt::Debug for PreparedLink {
    /// Shows nothing: addresses and headers are keys.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PreparedLink")
            .finish_non_exhaustive()
    }
}

impl PreparedLink {
    /// # Errors
    /// Why the link cannot be sent, without the link.
    pub(crate) fn new(link: &Link) -> Result<PreparedLink, String> {
        let urls = link.urls.iter().map(|url| exact_url(url.expose()));
        Ok(PreparedLink {
            urls: urls.collect::<Result<_, _>>()?,
            headers: headers(link)?,
        })
    }

    /// Whether `url` leads to a host of this link's: no other is told its headers.
    pub(crate) fn is_own_host(&self, url: &Url) -> bool {
        let host = url.host_str();
        let port = url.port_or_known_default();
        let mut own = self.urls.iter();
        own.any(|own| own.host_str() == host && own.port_or_known_default() == port)
    }
}

/// Host and port of an address, however it spells them.
pub(crate) fn host_and_port(url: &SignedUrl) -> String {
    let parsed = Url::parse(url.expose()).ok();
    let parts = parsed
        .as_ref()
        .map(|url| (url.host_str(), url.port_or_known_default()));
    match parts {
        Some((Some(host), Some(port))) => format!("{host}:{port}"),
        _ => url.host().to_owned(),
    }
}

/// A signature covers the address byte for byte: one that parsing would rewrite cannot be sent.
fn exact_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("the link is no address: {error}"))?;
    let after_authority = |whole: &str| {
        let rest = whole.split_once("://").map_or("", |(_, rest)| rest);
        let at = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let tail = rest[at..].split('#').next().unwrap_or_default();
        if tail.starts_with('/') {
            tail.to_owned()
        } else {
            format!("/{tail}")
        }
    };
    if after_authority(url.as_str()) != after_authority(text) {
        return Err("the link holds characters that cannot be sent unchanged, which would break its signature".into());
    }
    Ok(url)
}

fn headers(link: &Link) -> Result<HeaderMap, String> {
    let unusable = |name: &str| format!("the link's header {name:?} cannot be sent");
    let mut headers = HeaderMap::new();
    for (name, value) in &link.headers {
        let header = HeaderName::try_from(name.as_str()).map_err(|_invalid| unusable(name))?;
        let mut value =
            HeaderValue::try_from(value.expose().as_str()).map_err(|_invalid| unusable(name))?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linkfs_provider::Secret;

    use super::*;

    fn link(urls: &[&str], headers: &[(&str, &str)]) -> Link {
        let headers = headers.iter();
        Link {
            urls: urls
                .iter()
                .map(|url| SignedUrl::new(*url).unwrap())
                .collect(),
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
                .collect(),
            valid_for: Duration::from_secs(900),
        }
    }

    #[test]
    fn nothing_of_a_link_is_shown() {
        let headers = [("Authorization", "s3cret")];
        let prepared = PreparedLink::new(&link(
            &["https://s3cret.example/s3cret?sig=s3cret"],
            &headers,
        ));
        let prepared = prepared.unwrap();
        assert_eq!(prepared.headers["authorization"], "s3cret");
        assert!(!format!("{prepared:?}").contains("s3cret"));
        for (urls, headers) in [
            (["https://s3cret.example/s3cret?sig='s3cret'"], [("A", "b")]),
            (["https://h.example/"], [("A", "s3cret\n")]),
            (["https://h.example/"], [("A b", "s3cret")]),
        ] {
            let refused = PreparedLink::new(&link(&urls, &headers)).unwrap_err();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }

    #[test]
    fn a_host_is_the_same_with_its_usual_port_written_out() {
        let prepared = |url: &str| PreparedLink::new(&link(&[url], &[])).unwrap();
        for (own, other, is_same) in [
            ("https://H.example:443/a", "https://h.example/b", true),
            ("http://h.example:80/", "http://h.example/", true),
            ("https://h.example:444/", "https://h.example/", false),
            ("http://h.example/", "https://h.example/", false),
        ] {
            let other_url = Url::parse(other).unwrap();
            assert_eq!(
                prepared(own).is_own_host(&other_url),
                is_same,
                "{own} {other}"
            );
        }
    }

    #[test]
    fn a_host_is_known_by_its_name_and_port_alone() {
        for (url, expected) in [
            (
                "https://u:s3cret@H.example/s3cret?sig=s3cret",
                "h.example:443",
            ),
            ("http://h.example:8080/s3cret", "h.example:8080"),
            ("https://[::1]/s3cret", "[::1]:443"),
        ] {
            assert_eq!(host_and_port(&SignedUrl::new(url).unwrap()), expected);
        }
    }

    #[test]
    fn an_address_that_parsing_would_rewrite_is_refused() {
        for good in [
            "https://a.example/k%2Fey?x=%25E5&sig=a%2Bb",
            "http://127.0.0.1:80/k",
            "https://a.example?x=1",
            "https://A.example/a;b,c=d:e@f!$&()*+~",
        ] {
            assert!(exact_url(good).is_ok(), "{good}");
        }
        for bad in [
            "https://a.example/a/../b",
            "https://a.example/?q='x'",
            "https://a.example/a b",
            "no address",
        ] {
            let error = format!("{:?}", exact_url(bad).unwrap_err());
            assert!(!error.contains("a.example"), "{error}");
        }
    }
}
