//! The errno table: the only place where an error becomes a number.

use fuser::Errno;
use linkfs_core::Error;
use linkfs_provider::ErrorKind;

/// The errno of an error. Both enums are closed: a new variant does not compile until it has a row here.
pub(crate) fn errno(error: &Error) -> Errno {
    match error {
        Error::NotFound => Errno::ENOENT,
        Error::Stale(_) => Errno::ESTALE,
        Error::ReadOnly => Errno::EROFS,
        Error::BadHandle => Errno::EBADF,
        Error::NotAFolder => Errno::ENOTDIR,
        Error::IsAFolder => Errno::EISDIR,
        Error::Deadline { .. } => Errno::ETIMEDOUT,
        Error::Corrupt(_) => Errno::EIO,
        // What Linux calls ENODATA when it speaks of attributes.
        Error::NoAttribute => Errno::NO_XATTR,
        Error::ForeignAttribute => Errno::EOPNOTSUPP,
        Error::FixedAttribute => Errno::EPERM,
        Error::BadCommand(_) | Error::BadTerms(_) => Errno::EINVAL,
        Error::Forbidden(_) => Errno::EPERM,
        Error::AlreadyShared(_) => Errno::EEXIST,
        // As the kernel says of a file that is somebody else's.
        Error::NotOwner => Errno::EACCES,
        Error::NoDiskCache { .. } => Errno::EOPNOTSUPP,
        Error::Drive(error) => match error.kind {
            ErrorKind::NotFound => Errno::ENOENT,
            ErrorKind::Denied | ErrorKind::LoginExpired => Errno::EACCES,
            // Never EAGAIN: no program expects it from a file that blocks.
            ErrorKind::RateLimited => Errno::EBUSY,
            ErrorKind::Unsupported => Errno::EOPNOTSUPP,
            ErrorKind::Invalid => Errno::EINVAL,
            // "Host is down" tells the truth; EIO would blame the bytes.
            ErrorKind::Unavailable => Errno::EHOSTDOWN,
            ErrorKind::Broken => Errno::EIO,
        },
    }
}

/// What an errno of the table is called, for answers to commands.
pub(crate) fn name(error: &Error) -> &'static str {
    match errno(error).code() {
        libc::ENOENT => "ENOENT",
        libc::ESTALE => "ESTALE",
        libc::EROFS => "EROFS",
        libc::EBADF => "EBADF",
        libc::ENOTDIR => "ENOTDIR",
        libc::EISDIR => "EISDIR",
        libc::ETIMEDOUT => "ETIMEDOUT",
        libc::ENODATA => "ENODATA",
        libc::EOPNOTSUPP => "EOPNOTSUPP",
        libc::EPERM => "EPERM",
        libc::EINVAL => "EINVAL",
        libc::EEXIST => "EEXIST",
        libc::EACCES => "EACCES",
        libc::EBUSY => "EBUSY",
        libc::EHOSTDOWN => "EHOSTDOWN",
        _ => "EIO",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use linkfs_provider::ProviderError;

    use super::*;

    fn check(error: Error, number: i32) {
        assert_eq!(errno(&error).code(), number, "{error:?}");
        assert_eq!(name(&error) == "EIO", number == libc::EIO, "{error:?}");
    }

    #[test]
    fn every_error_has_the_documented_number() {
        check(Error::NotFound, libc::ENOENT);
        check(Error::Stale(String::new()), libc::ESTALE);
        let (why, advice) = (String::new(), "");
        check(Error::NoDiskCache { why, advice }, libc::EOPNOTSUPP);
        check(Error::ReadOnly, libc::EROFS);
        check(Error::BadHandle, libc::EBADF);
        check(Error::NotAFolder, libc::ENOTDIR);
        check(Error::IsAFolder, libc::EISDIR);
        let waited = Duration::from_secs(30);
        check(
            Error::Deadline {
                what: String::new(),
                waited,
            },
            libc::ETIMEDOUT,
        );
        check(Error::Corrupt(String::new()), libc::EIO);
        check(Error::NoAttribute, libc::ENODATA);
        check(Error::ForeignAttribute, libc::EOPNOTSUPP);
        check(Error::FixedAttribute, libc::EPERM);
        check(Error::BadCommand(String::new()), libc::EINVAL);
        check(Error::BadTerms(String::new()), libc::EINVAL);
        check(Error::Forbidden(String::new()), libc::EPERM);
        check(Error::AlreadyShared(String::new()), libc::EEXIST);
        check(Error::NotOwner, libc::EACCES);
        for (kind, number) in [
            (ErrorKind::NotFound, libc::ENOENT),
            (ErrorKind::Denied, libc::EACCES),
            (ErrorKind::LoginExpired, libc::EACCES),
            (ErrorKind::RateLimited, libc::EBUSY),
            (ErrorKind::Unsupported, libc::EOPNOTSUPP),
            (ErrorKind::Invalid, libc::EINVAL),
            (ErrorKind::Unavailable, libc::EHOSTDOWN),
            (ErrorKind::Broken, libc::EIO),
        ] {
            check(ProviderError::new(kind, "").into(), number);
        }
    }
}
