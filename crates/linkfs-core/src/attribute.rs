//! `user.linkfs.*`: what linkfs knows of a file or folder, as extended attributes. They are never listed, so
//! that copy tools do not carry them along, and all but links and shares are answered without the network.

use linkfs_provider::ItemKind;

use crate::node::Node;
use crate::sharing::ShareFact;
use crate::{Error, Result};

const PREFIX: &str = "user.linkfs.";

/// What an attribute asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute<'a> {
    Id,
    Name,
    Drive,
    Version,
    Mime,
    /// A direct address of the bytes.
    Url,
    /// The same with all that is needed to use it.
    Link,
    Hash(&'a str),
    Cached,
    Verified,
    Pin,
    Share(ShareFact),
    Error,
}

/// Whether an attribute is for the user who mounted alone: whoever has a link can read the file.
pub fn is_for_owner(name: &str) -> bool {
    matches!(
        parse(name),
        Ok(Attribute::Share(_) | Attribute::Url | Attribute::Link)
    )
}

/// Reads an attribute's name.
///
/// # Errors
/// `ForeignAttribute` outside of `user.*`: GNU `ls` asks two such names per file and stops asking a file
/// system that says so. `NoAttribute` for a `user.*` name that is not ours or that we do not know.
pub(crate) fn parse(name: &str) -> Result<Attribute<'_>> {
    if !name.starts_with("user.") {
        return Err(Error::ForeignAttribute);
    }
    let ours = name.strip_prefix(PREFIX).ok_or(Error::NoAttribute)?;
    Ok(match ours {
        "id" => Attribute::Id,
        "name" => Attribute::Name,
        "drive" => Attribute::Drive,
        "version" => Attribute::Version,
        "mime" => Attribute::Mime,
        "url" => Attribute::Url,
        "link" => Attribute::Link,
        "cached" => Attribute::Cached,
        "verified" => Attribute::Verified,
        "pin" => Attribute::Pin,
        "share" => Attribute::Share(ShareFact::Address),
        "share.password" => Attribute::Share(ShareFact::Password),
        "share.info" => Attribute::Share(ShareFact::Info),
        "error" => Attribute::Error,
        other => Attribute::Hash(other.strip_prefix("hash.").ok_or(Error::NoAttribute)?),
    })
}

/// Whether setting or removing `name` must be refused because we answer it ourselves.
pub(crate) fn refuse_change(name: &str) -> Error {
    match parse(name) {
        Ok(_) => Error::FixedAttribute,
        Err(Error::NoAttribute) if !name.starts_with(PREFIX) => Error::ReadOnly,
        Err(error) => error,
    }
}

/// The value of an attribute that the listing carries.
///
/// # Errors
/// `NoAttribute` where the drive says nothing of the kind.
pub(crate) fn listed_value(attribute: Attribute<'_>, node: &Node) -> Result<String> {
    let (drive, item) = node.item().ok_or(Error::NoAttribute)?;
    let value = match attribute {
        Attribute::Id => Some(item.id.to_string()),
        Attribute::Name => Some(item.name.clone()),
        Attribute::Drive => Some(drive.name().to_owned()),
        Attribute::Version if !item.is_folder() => Some(item.version.to_string()),
        Attribute::Mime => item.mime.clone(),
        Attribute::Url => match &item.kind {
            ItemKind::WebDocument { address } => Some(address.to_string()),
            ItemKind::Folder | ItemKind::File { .. } => None,
        },
        Attribute::Hash(algorithm) => item.hashes.get(algorithm).cloned(),
        Attribute::Version
        | Attribute::Link
        | Attribute::Cached
        | Attribute::Verified
        | Attribute::Pin
        | Attribute::Share(_)
        | Attribute::Error => None,
    };
    value.ok_or(Error::NoAttribute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ours_unknown_or_foreign() {
        for (name, expected) in [
            ("user.linkfs.id", Ok(Attribute::Id)),
            ("user.linkfs.url", Ok(Attribute::Url)),
            ("user.linkfs.hash.sha1", Ok(Attribute::Hash("sha1"))),
            (
                "user.linkfs.share",
                Ok(Attribute::Share(ShareFact::Address)),
            ),
            (
                "user.linkfs.share.info",
                Ok(Attribute::Share(ShareFact::Info)),
            ),
            ("user.linkfs.unheard-of", Err(Error::NoAttribute)),
            ("user.linkfs.", Err(Error::NoAttribute)),
            ("user.mime_type", Err(Error::NoAttribute)),
            ("security.selinux", Err(Error::ForeignAttribute)),
            ("system.posix_acl_access", Err(Error::ForeignAttribute)),
            ("trusted.x", Err(Error::ForeignAttribute)),
        ] {
            assert_eq!(parse(name), expected, "{name}");
        }
    }

    #[test]
    fn nothing_can_be_set() {
        for name in ["id", "share.password", "share.info"] {
            let refused = refuse_change(&format!("user.linkfs.{name}"));
            assert_eq!(refused, Error::FixedAttribute, "{name}");
        }
        assert_eq!(refuse_change("user.linkfs.unheard-of"), Error::NoAttribute);
        assert_eq!(refuse_change("user.comment"), Error::ReadOnly);
        assert_eq!(
            refuse_change("security.capability"),
            Error::ForeignAttribute
        );
    }
}
