use std::fmt;
use std::time::Duration;

use crate::{ErrorKind, ProviderError, Result, Secret};

/// How the bytes of one file can be fetched for a while: by `GET` with a `Range` header.
#[derive(Clone, Debug)]
pub struct Link {
    /// Addresses of the same bytes, best first; at least one.
    pub urls: Vec<SignedUrl>,
    /// Headers that belong to the signature: each is sent exactly so, to the hosts of `urls` only.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long the link holds from now on. The provider measures it against the drive's clock;
    /// the caller counts monotonic time only, and brings its own safety margin.
    pub valid_for: Duration,
}

/// An address whose query is a key. Sent byte for byte; `Debug` shows the host alone.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// Takes an absolute `http` or `https` address.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] for anything else; the message does not repeat the text.
    pub fn new(url: impl Into<String>) -> Result<Self> {
        let url = SignedUrl(url.into());
        if url.host().is_empty() {
            return Err(ProviderError::new(
                ErrorKind::Broken,
                "the drive answered with a link that is no http(s) address",
            ));
        }
        Ok(url)
    }

    /// Host, and port where one is written.
    pub fn host(&self) -> &str {
        let after_scheme = ["https://", "http://"].iter().find_map(|scheme| {
            let (start, rest) = self.0.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some(rest)
        });
        let authority = after_scheme
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .unwrap_or("");
        authority.rsplit('@').next().unwrap_or("")
    }

    /// The whole address, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedUrl({}/..)", self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, host: &str) {
        assert_eq!(SignedUrl::new(url).unwrap().host(), host, "{url}");
    }

    #[test]
    fn the_host_is_what_stands_between_scheme_and_path() {
        check("https://a.example/key?X-Sig=1", "a.example");
        check("http://127.0.0.1:9000/key", "127.0.0.1:9000");
        check("HTTPS://A.example?x=/", "A.example");
        check("https://user:pw@b.example/x", "b.example");
        check("https://[::1]:80/x", "[::1]:80");
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for text in [
            "",
            "ftp://a/b",
            "/relative?sig=s3cret",
            "https://",
            "https:///s3cret",
        ] {
            let error = SignedUrl::new(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken);
            assert!(!error.message.contains("s3cret"));
        }
    }

    #[test]
    fn debug_text_shows_the_host_alone() {
        let link = Link {
            urls: vec![SignedUrl::new("https://u:s3cret@a.example/s3cret?X-Sig=s3cret").unwrap()],
            headers: vec![("Authorization".into(), Secret::new("s3cret".into()))],
            valid_for: Duration::from_secs(1),
        };
        let shown = format!("{link:?}");
        assert!(
            shown.contains("a.example") && !shown.contains("s3cret"),
            "{shown}"
        );
    }
}
