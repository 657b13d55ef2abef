use serde::{Deserialize, Serialize};

/// Every place where KooDrive's documents are silent or disagree, and the odd behaviours a client
/// must bear. The defaults are the likeliest reading and the best behaviour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knobs {
    /// How the scheme word and the token may be joined in `Authorization`.
    pub auth_scheme: AuthScheme,
    /// HTTP status of a refused token: 401, or 400 as some pages say.
    pub unauthorized_status: u16,
    /// Life of the token that was handed out ready; without one it never ends.
    pub token_life_s: Option<u64>,
    /// Life of a session token, renewed by every successful call.
    pub session_life_s: u64,
    /// Life of a carrier token; calls do not renew it.
    pub carrier_life_s: u64,
    /// An expired token may still be exchanged for a new one.
    pub refreshes_expired: bool,
    /// A refresh leaves the old token valid.
    pub keeps_old_token: bool,
    pub refresh_shape: RefreshShape,
    /// `X-Traceid`, when sent, must have exactly 58 characters.
    pub checks_trace_id: bool,
    /// Every call must name the carrier.
    pub requires_agent_name: bool,
    /// Share tasks must come with `X-User-Id`, `X-Date` and `X-Hw-Agentname`.
    pub requires_task_headers: bool,
    /// Whether the signing time is a line of the text that app calls sign.
    pub app_time_line: Tolerance,
    /// Whether `host` must be (`Required`), may be (`Either`) or must not be (`Forbidden`) signed.
    pub app_signs_host: Tolerance,
    /// The oldest `X-Date` of an app call.
    pub app_date_max_age_s: u64,

    /// HTTP status of business failures.
    pub failure_status: u16,
    /// Successful answers carry no `code`.
    pub omits_code: bool,
    /// The top `code` of files and spaces is a string.
    pub code_is_text: bool,
    /// The detail answer nests the item in `data`.
    pub detail_under_data: bool,
    /// Times are Unix milliseconds instead of text.
    pub times_in_ms: bool,
    /// Sizes of items are strings in listings too.
    pub sizes_are_text: bool,
    /// Top-level items name the root folder's id, not the word `root`, as their parent.
    pub names_root_id: bool,

    /// The largest page a client may ask for; more answers 13000102.
    pub page_size_max: usize,
    /// The most items on a page, whatever was asked.
    pub page_items_max: usize,
    /// Pages that are not the last come this many items short of what was asked.
    pub page_short_by: usize,
    /// Before each page but the first, an empty one with a cursor.
    pub has_empty_pages: bool,
    /// The last page of items has a cursor, to an empty page.
    pub has_trailing_cursor: bool,
    /// Each page but the first begins with the last item of the page before.
    pub repeats_items: bool,
    /// Recycled items stay in listings, marked.
    pub lists_recycled: bool,
    pub list_array: ArrayShape,
    /// Where the cursor is: `nextCursor`, `nextPageCursor`, `pageInfo.pageCursor`, `data.nextCursor`...
    pub list_cursor: String,
    /// The last page says `""` (or `null`) instead of leaving the cursor out.
    pub ends_with_empty_cursor: bool,

    /// The most ids of one download call; more answers 13000102.
    pub download_max: usize,

    /// The `code` of share answers is a string, as in the table, not an integer, as in the example.
    pub share_code_is_text: bool,
    pub share_shape: ShareShape,
    /// With [`ShareShape::TaskId`], how many share listings pass before the share is in one.
    pub share_visible_after: u32,
    /// A `scope` or `validDays` of 0 is taken, as in the example, and means 1.
    pub accepts_zero_terms: bool,
    /// `scope` 1, everyone, is allowed.
    pub allows_public_shares: bool,
    /// Share times look like `2026-02-01 00:00:00`, as in the carrier edition.
    pub carrier_times: bool,
    /// Status questions it takes for a share task to be done.
    pub task_steps: u32,

    /// Capacity of the space in GB, as the answer writes it; empty, `0` or negative is unlimited.
    pub capacity: String,
    /// Carrier edition: to be added to the capacity.
    pub capacity_kb: Option<u64>,
    /// Bytes that one unit of `spaceUsed` stands for.
    pub used_unit: u64,
    /// Overrides the sum of the files' sizes.
    pub used_bytes: Option<u64>,
}

/// How the scheme word and the token are joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthScheme {
    #[default]
    Any,
    /// `Bearer <token>`.
    Space,
    /// `Bearer+<token>`.
    Plus,
    /// The token alone.
    Raw,
}

/// Whether a thing must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tolerance {
    #[default]
    Either,
    Required,
    Forbidden,
}

impl Tolerance {
    pub(crate) fn allows(self, is_there: bool) -> bool {
        match self {
            Tolerance::Either => true,
            Tolerance::Required => is_there,
            Tolerance::Forbidden => !is_there,
        }
    }
}

/// Where a refreshed token is in the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefreshShape {
    /// Session: flat. Carrier: in `data.sessionInfo`. As the documents' examples.
    #[default]
    Documented,
    /// In `data`.
    UnderData,
    /// The token without quotes, so that the answer is not JSON.
    Unquoted,
}

/// Where the items of a listing are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrayShape {
    #[default]
    Files,
    FileList,
    DataFiles,
    DataFileList,
    /// `data` is the array itself.
    Data,
}

/// How a created share is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShareShape {
    #[default]
    ShareLink,
    DataShareLink,
    /// `data` is the share itself.
    Data,
    /// `data.taskId` only; the share is in a later listing.
    TaskId,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            auth_scheme: AuthScheme::Any,
            unauthorized_status: 401,
            token_life_s: None,
            session_life_s: 20 * 60,
            carrier_life_s: 1800,
            refreshes_expired: true,
            keeps_old_token: false,
            refresh_shape: RefreshShape::Documented,
            checks_trace_id: false,
            requires_agent_name: false,
            requires_task_headers: false,
            app_time_line: Tolerance::Either,
            app_signs_host: Tolerance::Either,
            app_date_max_age_s: 15 * 60,
            failure_status: 200,
            omits_code: false,
            code_is_text: false,
            detail_under_data: false,
            times_in_ms: false,
            sizes_are_text: false,
            names_root_id: false,
            page_size_max: 100,
            page_items_max: 100,
            page_short_by: 0,
            has_empty_pages: false,
            has_trailing_cursor: false,
            repeats_items: false,
            lists_recycled: false,
            list_array: ArrayShape::Files,
            list_cursor: "nextCursor".into(),
            ends_with_empty_cursor: true,
            download_max: 100,
            share_code_is_text: true,
            share_shape: ShareShape::ShareLink,
            share_visible_after: 2,
            accepts_zero_terms: false,
            allows_public_shares: true,
            carrier_times: false,
            task_steps: 2,
            capacity: "100".into(),
            capacity_kb: None,
            used_unit: 1024,
            used_bytes: None,
        }
    }
}
