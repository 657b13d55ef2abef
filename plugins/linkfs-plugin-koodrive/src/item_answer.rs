//! One item's own answer in the answer to a call about several.

use linkfs_provider::{ProviderError, Result};
use linkfs_provider_http::value;
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error_codes::Said;

/// Whether the drive did what was asked for this item: its own code decides, and none is success.
///
/// # Errors
/// What the drive says.
pub(crate) fn check(fields: &Map<String, Value>, client: &Client) -> Result<()> {
    let code = fields.get("code").filter(|code| !code.is_null());
    let Some(code) = code.filter(|code| !value::is_zero(code)) else {
        return Ok(());
    };
    let code = value::text(code);
    let message = value::text_of(fields, "msg").unwrap_or_default();
    let said = Said {
        status: 200,
        code: code.as_deref(),
        message: &message,
    };
    Err(ProviderError::new(said.kind().0, client.words(said)))
}
