use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{ErrorKind, ProviderError, Result};

/// Where a person opens something in a browser. It is no key to it: whoever may not see it sees
/// nothing there, so it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebAddress(String);

impl WebAddress {
    /// Takes an absolute `http` or `https` address in the characters that addresses are written in:
    /// it is shown as a line of text, and must stay one.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] for anything else.
    pub fn new(address: impl Into<String>) -> Result<Self> {
        let address: String = address.into();
        let host = ["https://", "http://"]
            .iter()
            .find_map(|scheme| address.strip_prefix(scheme));
        let has_host =
            host.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#']));
        if has_host && address.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(WebAddress(address));
        }
        Err(ProviderError::new(
            ErrorKind::Broken,
            "the drive answered with a web page that has no http(s) address",
        ))
    }

    /// The address as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WebAddress {
    type Error = ProviderError;

    fn try_from(address: String) -> Result<Self> {
        WebAddress::new(address)
    }
}

impl From<WebAddress> for String {
    fn from(address: WebAddress) -> String {
        address.0
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_line_that_a_browser_opens() {
        for address in ["https://a.example/i/nodes/b%2Fc", "http://127.0.0.1:1/?x#y"] {
            assert_eq!(WebAddress::new(address).unwrap().as_str(), address);
        }
        for text in [
            "",
            "https://",
            "https:///x",
            "javascript:alert(1)",
            "file:///etc/passwd",
            "https://a.example/x\r\nIconFile=y",
            "https://a.example/ x",
            "https://a.example/空",
        ] {
            let error = WebAddress::new(text).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Broken, "{text}");
        }
    }
}
