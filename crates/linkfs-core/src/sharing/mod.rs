//! Links for other people, made, read and revoked by extended attributes.
//!
//! Setting `user.linkfs.share` goes down through these modules, one step each: `terms` (what was asked for) ->
//! `policy` (what the configuration allows) -> `audit` (that it was asked for) -> `shares` (what there is
//! already) -> the drive.

mod audit;
mod denied;
mod expiry;
#[cfg(test)]
pub(crate) mod fake;
mod known;
mod policy;
mod share_files;
mod sharer;
mod shares;
mod shown;
mod terms;
mod words;

pub use audit::{AuditFile, Caller};
pub use denied::DeniedPaths;
pub use policy::SharePolicy;
pub(crate) use share_files::{OpenShares, ShareFiles};
pub use sharer::SetMode;
pub(crate) use sharer::{ShareFact, Sharer, Target};
pub(crate) use shares::Shares;
pub(crate) use shown::{
    as_lines as share_text, as_words as share_words, end as end_of, of_file as of_share_file,
};
pub use terms::{AudienceKind, parse_expiry, read_permissions};
pub(crate) use terms::{KEYS as TERM_KEYS, TermsPatch};
pub(crate) use words::read_pairs as read_words;
