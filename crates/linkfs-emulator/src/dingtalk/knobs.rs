use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Every place where DingTalk's documents are silent or disagree, and the odd behaviours a client
/// must bear. The defaults are the likeliest reading and the best behaviour.
///
/// Files are named by their ids in the tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// HTTP status of a refused token: 400, or 401 as one would expect.
    pub unauthorized_status: u16,
    /// Life of a token; asking for a token again renews it.
    pub token_life_s: u64,
    pub error_style: ErrorStyle,
    /// An organisation that is not certified enough may not download.
    pub org_level_is_low: bool,
    /// Scopes the app was not granted, such as `Storage.DownloadInfo.Read`.
    pub missing_scopes: BTreeSet<String>,
    /// Files the operator may neither look at nor download.
    pub denied: BTreeSet<String>,

    /// Calls a second; more are refused until the second is over.
    pub calls_per_second: Option<u32>,
    pub throttle_code: ThrottleCode,
    /// Calls a month (of China's calendar); more are refused until it is over.
    pub calls_per_month: Option<u64>,
    /// Every call is answered as if the client's address were blocked.
    pub blocks_address: bool,
    /// HTTP status of that answer.
    pub block_status: u16,

    pub time_format: TimeFormat,
    /// `file` and `folder` instead of `FILE` and `FOLDER`.
    pub lower_case_types: bool,
    /// Ids that are digits alone are written as numbers.
    pub ids_are_numbers: bool,
    /// Ids hold characters that must be escaped in a path, `/` and `+` among them.
    pub odd_ids: bool,
    /// File names that end with a dot and one of these words are online documents.
    pub online_suffixes: BTreeSet<String>,
    /// Files that listings mark `EXPIRED`.
    pub expired: BTreeSet<String>,
    /// Removed files stay in listings, marked `DELETED`.
    pub lists_deleted: bool,

    /// The largest page a client may ask for; more answers `paramError`.
    pub page_size_max: usize,
    /// The most entries on a page, whatever was asked.
    pub page_items_max: usize,
    /// Before each page but the first, an empty one with a token.
    pub has_empty_pages: bool,
    /// The last page of entries has a token, to an empty page.
    pub has_trailing_token: bool,
    /// A token may be used once.
    pub single_use_tokens: bool,
    pub end_of_list: EndOfList,
    /// The most versions on a page.
    pub versions_page_max: usize,
    /// The most ids of a batched question.
    pub batch_max: usize,

    /// What links call their way of signing.
    pub protocol: String,
    /// The fields of `headerSignatureInfo` are at the top instead.
    pub flat_link: bool,
    pub stated_life: StatedLife,
    pub date_style: DateStyle,
    pub region: String,
    /// Links name this many of the data ports, the first ones.
    pub url_count: usize,
    /// Data ports, counted from 0, that links name by an address where nothing listens.
    pub closed_ports: BTreeSet<usize>,
    /// Handed out with every link and demanded with every request, byte for byte.
    pub extra_headers: BTreeMap<String, String>,
    /// A link is to one version of the file, and earlier versions stay readable until the file is
    /// deleted for good. Otherwise links follow
    /// [`LinkPolicy::key_per_revision`](crate::LinkPolicy::key_per_revision), and only the newest
    /// version can be asked for.
    pub keeps_versions: bool,
    /// Files in cold storage. Asking for a link starts the thaw.
    pub archived: BTreeSet<String>,
    /// How many link calls for an archived file are refused before it is thawed.
    pub thaw_calls: u32,

    /// Further spaces of the organisation, which are listed and hold nothing.
    pub other_spaces: u32,
    pub quota_shape: QuotaShape,
    /// -1 is unlimited.
    pub quota_bytes: i64,
    /// Overrides the sum of the files' sizes.
    pub used_bytes: Option<u64>,

    /// What the scope of a file's permissions is called until it is set; the documents do not say.
    pub first_scope: String,
    /// The question for a scope is answered without one.
    pub hides_scopes: bool,
}

/// The names of the fields of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorStyle {
    /// `code`, `requestid`, `message`.
    #[default]
    Documented,
    /// `requestId`.
    CamelCase,
    /// `errcode`, `request_id`, `errmsg`.
    OldHost,
}

/// Which limit a throttled call has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThrottleCode {
    /// `Forbidden.AccessDenied.QpsLimitForApi`.
    #[default]
    Api,
    /// `Forbidden.AccessDenied.QpsLimitForAppkeyAndApi`.
    App,
}

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeFormat {
    /// `2026-01-02T03:04:05Z`.
    #[default]
    Rfc3339,
    /// `2026-01-02T03:04Z`.
    Minutes,
    /// `Fri Jan 02 11:04:05 CST 2026`, in China's time.
    ChinaText,
    /// Milliseconds, a number.
    Milliseconds,
    /// Milliseconds, as text.
    MillisecondsText,
    /// Text that is no time.
    Unreadable,
}

/// What `nextToken` is on the last page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOfList {
    #[default]
    Empty,
    Null,
    Absent,
}

/// What links say about their life. It changes nothing about how long they hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatedLife {
    #[default]
    True,
    Zero,
    Missing,
    /// Ten years.
    Huge,
}

/// How `x-oss-date` is spelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DateStyle {
    /// `Mon, 05 Jan 2026 08:09:10 GMT`.
    #[default]
    Http,
    /// `20260105T080910Z`.
    Compact,
}

/// Where a space states its quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaShape {
    /// In its partition.
    #[default]
    Partition,
    /// In the organisation's partition, which spaces share.
    Organisation,
    /// In the space itself.
    Flat,
}

impl Default for Knobs {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            unauthorized_status: 400,
            token_life_s: 7200,
            error_style: ErrorStyle::Documented,
            org_level_is_low: false,
            missing_scopes: BTreeSet::new(),
            denied: BTreeSet::new(),
            calls_per_second: None,
            throttle_code: ThrottleCode::Api,
            calls_per_month: None,
            blocks_address: false,
            block_status: 403,
            time_format: TimeFormat::Rfc3339,
            lower_case_types: false,
            ids_are_numbers: false,
            odd_ids: false,
            online_suffixes: texts(&["adoc", "axls", "able", "amind", "adraw", "appt"]),
            expired: BTreeSet::new(),
            lists_deleted: false,
            page_size_max: 50,
            page_items_max: 50,
            has_empty_pages: false,
            has_trailing_token: false,
            single_use_tokens: false,
            end_of_list: EndOfList::Empty,
            versions_page_max: 100,
            batch_max: 30,
            protocol: "HEADER_SIGNATURE".into(),
            flat_link: false,
            stated_life: StatedLife::True,
            date_style: DateStyle::Http,
            region: "SINGAPORE".into(),
            url_count: 3,
            closed_ports: BTreeSet::new(),
            extra_headers: BTreeMap::new(),
            keeps_versions: true,
            archived: BTreeSet::new(),
            thaw_calls: 2,
            other_spaces: 0,
            quota_shape: QuotaShape::Partition,
            quota_bytes: 100 << 30,
            used_bytes: None,
            first_scope: "PRIVATE".into(),
            hides_scopes: false,
        }
    }
}
