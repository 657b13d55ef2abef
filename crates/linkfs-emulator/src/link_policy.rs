use serde::{Deserialize, Serialize};

/// How links are made and when they are refused. May change while the emulator runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkPolicy {
    /// How long a new link says it holds.
    pub life_s: u64,
    /// Links end this long after they were signed, whatever they say.
    pub dies_after_s: Option<u64>,
    /// Where the link says how long it holds.
    pub style: LinkStyle,
    /// A replaced file gets a new object key, and links to the old one answer 404. Otherwise a
    /// file keeps its key, and an old link serves the new content.
    pub key_per_revision: bool,
    /// The status of an expired or revoked link.
    pub refusal_status: u16,
}

impl Default for LinkPolicy {
    fn default() -> Self {
        Self {
            life_s: 3600,
            dies_after_s: None,
            style: LinkStyle::Amz,
            key_per_revision: false,
            refusal_status: 403,
        }
    }
}

/// The ways in which links are known to state their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkStyle {
    /// `X-Amz-Date` and `X-Amz-Expires`.
    #[default]
    Amz,
    /// `x-amz-date` and `x-amz-expires`.
    AmzLower,
    /// `X-Obs-Date` and `X-Obs-Expires`.
    Obs,
    /// `x-oss-date` and `x-oss-expires`.
    Oss,
    /// `Expires`, a Unix time.
    Expires,
    /// Nowhere that a client could read.
    Hidden,
}
