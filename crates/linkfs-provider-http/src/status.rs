//! What an HTTP status means when the drive has no code of its own.

use linkfs_provider::ErrorKind;

/// The kind of refusal that `status` is. A success that is refused all the same makes no sense, and
/// so does a redirect: drives answer calls themselves.
pub fn kind(status: u16) -> ErrorKind {
    match status {
        400 => ErrorKind::Invalid,
        401 => ErrorKind::LoginExpired,
        403 => ErrorKind::Denied,
        404 | 410 => ErrorKind::NotFound,
        408 | 425 | 500.. => ErrorKind::Unavailable,
        429 => ErrorKind::RateLimited,
        _ => ErrorKind::Broken,
    }
}

/// Whether a failure of this kind may pass by itself.
pub fn is_temporary(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unavailable | ErrorKind::RateLimited)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_a_kind() {
        for (status, expected) in [
            (200, ErrorKind::Broken),
            (307, ErrorKind::Broken),
            (400, ErrorKind::Invalid),
            (401, ErrorKind::LoginExpired),
            (403, ErrorKind::Denied),
            (404, ErrorKind::NotFound),
            (408, ErrorKind::Unavailable),
            (429, ErrorKind::RateLimited),
            (504, ErrorKind::Unavailable),
        ] {
            assert_eq!(kind(status), expected, "{status}");
        }
    }
}
