//! Ids in addresses.

use linkfs_provider::{ErrorKind, ProviderError, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a path or query: RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An id as one segment of a path.
///
/// # Errors
/// `Invalid` for what would name another path.
pub fn segment(id: &str) -> Result<String> {
    if matches!(id, "" | "." | "..") {
        let message = "an id that is empty or made of dots cannot be asked for";
        return Err(ProviderError::new(ErrorKind::Invalid, message));
    }
    Ok(escaped(id))
}

/// `text` percent-encoded, for a segment of a path, a query or a form.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, ESCAPED).to_string()
}

/// `name=value` pairs joined by `&`, for a query or a form.
pub fn pairs(fields: &[(&str, &str)]) -> String {
    let pairs = fields.iter();
    let pairs = pairs.map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_inside_their_segment() {
        assert_eq!(segment("a/b?c").unwrap(), "a%2Fb%3Fc");
        assert_eq!(segment("é%2F").unwrap(), "%C3%A9%252F");
        for id in ["", ".", ".."] {
            assert_eq!(segment(id).unwrap_err().kind, ErrorKind::Invalid);
        }
    }

    #[test]
    fn values_stay_inside_their_pair() {
        assert_eq!(pairs(&[("q", "1 2&3"), ("e", "")]), "q=1%202%263&e=");
        assert_eq!(pairs(&[]), "");
    }
}
