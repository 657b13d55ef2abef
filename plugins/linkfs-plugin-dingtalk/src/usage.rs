use linkfs_provider::{ByteCount, ErrorKind, ProviderError, Result, Usage};
use linkfs_provider_http::value;
use serde_json::Value;

use crate::client::{Call, Fields};
use crate::space::Space;

/// Asks for the space.
///
/// # Errors
/// `Invalid` for an id that cannot stand in a path.
pub(crate) fn call(space: &Space) -> Result<Call> {
    space.get("usage", "")
}

/// How full the space is: the sum of its partitions where they tell, else what the space says itself.
///
/// # Errors
/// `Broken` when the answer does not tell.
pub(crate) fn read(answer: &Fields) -> Result<Usage> {
    let space = answer.get("space").and_then(Value::as_object);
    let space = space.unwrap_or(answer);
    let partitions = space.get("partitions").map_or(&[][..], value::elements);
    let used = sum(partitions, "used").or_else(|| count(space.get("usedQuota")));
    let Some(used) = used else {
        let message = "the answer does not tell how much of the space is used";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    };
    let total = sum(partitions, "max").filter(|total| *total > 0);
    let total = total.or_else(|| count(space.get("quota")).filter(|total| *total > 0));
    Ok(Usage {
        total: total.map(ByteCount),
        used: ByteCount(used),
    })
}

/// The sum of a number that every partition tells: one without a limit of its own makes no sum.
fn sum(partitions: &[Value], name: &str) -> Option<u64> {
    if partitions.is_empty() {
        return None;
    }
    let quotas = partitions.iter().map(|partition| partition.get("quota"));
    let numbers = quotas.map(|quota| count(quota?.get(name)));
    numbers.sum()
}

/// Negative and absent both mean that there is no number.
fn count(number: Option<&Value>) -> Option<u64> {
    number.and_then(value::count)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(space: Value, total: Option<u64>, used: u64) {
        let answer = json!({"space": space});
        let usage = read(answer.as_object().unwrap()).unwrap();
        assert_eq!(usage.total, total.map(ByteCount), "{space}");
        assert_eq!(usage.used, ByteCount(used), "{space}");
    }

    #[test]
    fn partitions_count_before_the_space() {
        let partition = |max: Value, used: u64| json!({"quota": {"max": max, "used": used}});
        let both = json!([partition(json!(70), 5), partition(json!("30"), 6)]);
        check(
            json!({"quota": 1, "usedQuota": 1, "partitions": both}),
            Some(100),
            11,
        );
        let shared = json!([partition(json!(70), 5), partition(json!(null), 6)]);
        check(
            json!({"quota": 90, "usedQuota": 1, "partitions": shared}),
            Some(90),
            11,
        );
        check(json!({"partitions": shared}), None, 11);
    }

    #[test]
    fn without_partitions_the_space_tells() {
        check(json!({"quota": 100, "usedQuota": 7}), Some(100), 7);
        for quota in [json!(-1), json!(0), json!(null)] {
            check(
                json!({"quota": quota, "usedQuota": 7, "partitions": []}),
                None,
                7,
            );
        }
    }

    #[test]
    fn an_answer_that_does_not_tell_is_broken() {
        let error = read(json!({"space": {"quota": 1}}).as_object().unwrap()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Broken);
    }
}
