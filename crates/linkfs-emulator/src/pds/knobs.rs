use serde::{Deserialize, Serialize};

/// Every place where the documents of PDS are silent or disagree, and the odd behaviours a client
/// must bear. The defaults are the likeliest reading and the best behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// When a refresh token that was traded in ends.
    pub rotation: Rotation,
    /// Life of an access token that the token call gave; the documents say 3600 and 7200.
    pub access_life_s: u64,
    /// Life of the access token that was handed out ready; without one it never ends.
    pub token_life_s: Option<u64>,
    /// Life of a refresh token; without one it never ends.
    pub refresh_life_s: Option<u64>,
    /// The token call must bring the right `client_secret`.
    pub requires_client_secret: bool,
    /// The token call refuses as OAuth does, with `error` and `error_description`.
    pub has_oauth_errors: bool,
    /// Token answers lack `expires_in`.
    pub omits_expires_in: bool,
    /// Token answers lack `expire_time`.
    pub omits_expire_time: bool,

    pub error_shape: ErrorShape,
    /// `drive_id` is a JSON number.
    pub ids_are_numbers: bool,
    pub crc_shape: CrcShape,
    /// Sizes are strings.
    pub sizes_are_text: bool,
    pub time_shape: TimeShape,
    /// Folders show the size of all they hold, even when not asked to.
    pub folders_have_size: bool,
    /// Items and links have no `content_hash` and no `crc64_hash` when their content is larger.
    pub hash_bytes_max: u64,
    /// The hashes of items and links are of other content.
    pub hashes_are_wrong: bool,
    /// Items have no `revision_id`.
    pub omits_revision: bool,
    /// Absent texts are `null` instead of empty.
    pub empty_is_null: bool,

    /// The largest page a client may ask for; more answers 400.
    pub page_size_max: usize,
    /// The page when a call does not say; older documents have 50.
    pub page_size_default: usize,
    /// The most items on a page, whatever was asked.
    pub page_items_max: usize,
    /// Pages that are not the last come this many items short of what was asked.
    pub page_short_by: usize,
    /// Before each page but the first, an empty one with a marker.
    pub has_empty_pages: bool,
    /// The last page of items has a marker, to an empty page.
    pub has_trailing_marker: bool,
    /// Each page but the first begins with the last item of the page before.
    pub repeats_items: bool,
    /// Markers end after this time.
    pub marker_life_s: Option<u64>,
    /// Items that are still uploading are in listings, marked.
    pub lists_uploading: bool,

    /// Life of a link whose call does not say.
    pub link_life_default_s: u64,
    /// The longest life a call may ask for; more answers 400.
    pub link_life_max_s: u64,
    pub signature: Signature,
    /// Links of [`Signature::V4`] also sign the `Referer` header, which must then have this
    /// value; empty means that none may be sent.
    pub signed_referer: Option<String>,
    pub url: UrlShape,
    pub cdn_url: UrlShape,
    pub internal_url: UrlShape,
    pub expiration: ExpirationShape,
    /// Link answers have neither hashes nor size.
    pub omits_link_facts: bool,

    /// Capacity of the drive in bytes; 0 is unlimited.
    pub total_size: u64,
    /// Overrides the sum of the files' sizes.
    pub used_bytes: Option<u64>,
    /// So many further drives, all empty, are in the list of drives.
    pub other_drives: u32,
    /// So many group drives, all empty.
    pub group_drives: u32,
    /// `get_by_path`, which newer documents lack, answers.
    pub has_get_by_path: bool,
    /// `batch` takes `/file/get_download_url`.
    pub batches_links: bool,

    /// Share links come with `share_url`, as in older documents.
    pub tells_share_url: bool,
    /// The answer to a change of a share holds what was changed alone, as in the example.
    pub share_update_tells_changes_only: bool,
}

/// When a refresh token that was traded for a new one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// With the trade.
    #[default]
    AtOnce,
    /// When the new refresh token, or the access token that came with it, is first used: whoever
    /// lost the answer may ask again.
    WhenNewIsUsed,
    /// Never: the answer brings the same refresh token.
    Never,
}

/// How a refused call says why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorShape {
    /// `code` and `message`.
    #[default]
    Lower,
    /// `Code` and `Message`.
    Upper,
    /// No body; `x-ca-error-code` and `x-ca-error-message`.
    Headers,
}

/// How a CRC is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CrcShape {
    #[default]
    Text,
    /// A JSON number, which is larger than many readers take.
    Number,
    /// A JSON number that went through a double.
    Rounded,
    Absent,
}

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeShape {
    /// `2026-01-02T03:04:05.120Z`
    #[default]
    Utc,
    /// `2026-01-02T11:04:05.120+08:00`
    Offset,
    Seconds,
    Milliseconds,
}

/// How the query of a link is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// `Expires`, a Unix time, `OSSAccessKeyId` and `Signature`.
    #[default]
    V1,
    /// As [`Signature::V1`], without the `&` after the time, as one document prints it.
    V1Joined,
    /// `x-oss-expires` is a Unix time.
    V2,
    /// `x-oss-date`, and `x-oss-expires` is a duration.
    V4,
}

/// What one of the addresses of a link answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UrlShape {
    /// A link to a port of its own.
    #[default]
    Own,
    /// The same as `url`.
    Same,
    Empty,
    Absent,
    /// A link to a port where nobody listens.
    Dead,
}

/// What `expiration` of a link answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpirationShape {
    /// The time when the link ends.
    #[default]
    Time,
    /// The layout of a time, as in the example of the documents.
    Layout,
    Absent,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            rotation: Rotation::AtOnce,
            access_life_s: 7200,
            token_life_s: None,
            refresh_life_s: None,
            requires_client_secret: false,
            has_oauth_errors: false,
            omits_expires_in: false,
            omits_expire_time: false,
            error_shape: ErrorShape::Lower,
            ids_are_numbers: false,
            crc_shape: CrcShape::Text,
            sizes_are_text: false,
            time_shape: TimeShape::Utc,
            folders_have_size: false,
            hash_bytes_max: 16 << 20,
            hashes_are_wrong: false,
            omits_revision: false,
            empty_is_null: false,
            page_size_max: 100,
            page_size_default: 50,
            page_items_max: 100,
            page_short_by: 0,
            has_empty_pages: false,
            has_trailing_marker: false,
            repeats_items: false,
            marker_life_s: None,
            lists_uploading: false,
            link_life_default_s: 900,
            link_life_max_s: 115_200,
            signature: Signature::V1,
            signed_referer: None,
            url: UrlShape::Own,
            cdn_url: UrlShape::Own,
            internal_url: UrlShape::Empty,
            expiration: ExpirationShape::Time,
            omits_link_facts: false,
            total_size: 1 << 40,
            used_bytes: None,
            other_drives: 0,
            group_drives: 0,
            has_get_by_path: true,
            batches_links: true,
            tells_share_url: false,
            share_update_tells_changes_only: false,
        }
    }
}
