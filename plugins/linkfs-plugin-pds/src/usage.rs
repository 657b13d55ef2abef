use linkfs_provider::{ByteCount, ErrorKind, ProviderError, Result, Usage};
use linkfs_provider_http::value;
use serde_json::{Map, Value, json};

use crate::client::Call;

/// Asks for the drive itself.
pub(crate) fn call(drive_id: &str) -> Call {
    Call::json("/v2/drive/get", &json!({"drive_id": drive_id}))
}

/// How full the drive is. No capacity, or none of zero or less, is no limit.
///
/// # Errors
/// `Broken` when the answer does not tell what is used.
pub(crate) fn read(drive: &Map<String, Value>) -> Result<Usage> {
    let used = drive.get("used_size").and_then(value::count);
    let used = used.ok_or_else(|| {
        let message = "the answer does not tell how much of the drive is used";
        ProviderError::new(ErrorKind::Broken, message)
    })?;
    let total = drive.get("total_size").and_then(value::count);
    Ok(Usage {
        total: total.filter(|total| *total > 0).map(ByteCount),
        used: ByteCount(used),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(drive: Value, total: Option<u64>, used: u64) {
        let usage = read(drive.as_object().unwrap()).unwrap();
        assert_eq!(usage.total, total.map(ByteCount), "{drive}");
        assert_eq!(usage.used, ByteCount(used), "{drive}");
    }

    #[test]
    fn sizes_are_bytes_and_no_capacity_is_no_limit() {
        check(json!({"total_size": 1000, "used_size": 7}), Some(1000), 7);
        check(
            json!({"total_size": "1000", "used_size": "7"}),
            Some(1000),
            7,
        );
        check(json!({"total_size": 0, "used_size": 7}), None, 7);
        check(json!({"total_size": -1, "used_size": 7}), None, 7);
        check(json!({"used_size": 0}), None, 0);
    }

    #[test]
    fn an_answer_that_does_not_tell_is_broken() {
        let error = read(json!({"total_size": 1}).as_object().unwrap()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
    }
}
