//! Who asks, and what only the owner of a mount may ask for.

use std::fs;

use fuser::Request;
use linkfs_core::{Caller, Error, Result, is_for_owner};

use crate::attributes::Owner;

const ROOT: u32 = 0;

/// Whether the user `uid` may read, set or remove the attribute `name`. The kernel has checked the mode, and a mode
/// that lets others read a file must not let them read whom it is shared with, and by which code.
///
/// # Errors
/// `NotOwner`.
pub(crate) fn check(uid: u32, owner: Owner, name: &str) -> Result<()> {
    match is_for_owner(name) && uid != owner.uid && uid != ROOT {
        true => Err(Error::NotOwner),
        false => Ok(()),
    }
}

/// Who sets or removes the attribute `name`. What the process is called is written down for shares.
pub(crate) fn of(request: &Request, name: &str) -> Caller {
    match is_for_owner(name) {
        true => named(request),
        false => Caller::default(),
    }
}

/// Who makes a request.
pub(crate) fn named(request: &Request) -> Caller {
    let pid = request.pid();
    let program = fs::read_to_string(format!("/proc/{pid}/comm"));
    Caller {
        uid: request.uid(),
        pid,
        program: program.ok().map(|name| name.trim_end().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_links_are_for_the_owner_and_root() {
        let owner = Owner {
            uid: 1000,
            gid: 1000,
        };
        for (uid, name, expected) in [
            (1000, "share", Ok(())),
            (0, "share", Ok(())),
            (1001, "share", Err(Error::NotOwner)),
            (1001, "share.password", Err(Error::NotOwner)),
            (1001, "share.info", Err(Error::NotOwner)),
            (1000, "url", Ok(())),
            (1001, "url", Err(Error::NotOwner)),
            (1001, "link", Err(Error::NotOwner)),
            (1001, "id", Ok(())),
            (1001, "error", Ok(())),
        ] {
            let name = format!("user.linkfs.{name}");
            assert_eq!(check(uid, owner, &name), expected, "{uid} {name}");
        }
        assert_eq!(check(1001, owner, "security.selinux"), Ok(()));
    }
}
