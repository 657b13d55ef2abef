use linkfs_provider::{ByteCount, ErrorKind, ProviderError, Result, Usage};
use linkfs_provider_http::{path, value};
use serde_json::{Map, Value};

use crate::client::Call;
use crate::envelope::Envelope;

/// Asks for the space by its id.
///
/// # Errors
/// `Invalid` for an id that cannot stand in a path.
pub(crate) fn call(container: &str) -> Result<Call> {
    let id = path::segment(container)?;
    Ok(Call::get(
        "usage",
        format!("/koodrive/ose/v1/space/container/{id}"),
    ))
}

/// How full the space is; `unit` is how many bytes one of `spaceUsed` means.
///
/// # Errors
/// `Broken` when the answer does not tell.
pub(crate) fn read(answer: &Envelope, container: &str, unit: u64) -> Result<Usage> {
    let space = space(answer, container);
    let used = space.and_then(|space| number(space, "spaceUsed"));
    let (Some(space), Some(used)) = (space, used) else {
        let message = "the answer does not tell how much of the space is used";
        return Err(ProviderError::new(ErrorKind::Broken, message));
    };
    let total = total(space);
    Ok(Usage {
        total: total.map(ByteCount),
        used: ByteCount(used_bytes(used, unit, total)),
    })
}

/// One object, or the one of a list that is about our space.
fn space<'a>(answer: &'a Envelope, container: &str) -> Option<&'a Map<String, Value>> {
    if let Some(space) = answer.object_with("spaceUsed") {
        return Some(space);
    }
    let spaces = value::elements(answer.at("data")?);
    let spaces: Vec<_> = spaces.iter().filter_map(Value::as_object).collect();
    let is_ours = |space: &&&Map<String, Value>| {
        value::text_of(space, "containerId").as_deref() == Some(container)
    };
    match spaces.as_slice() {
        [only] => Some(*only),
        several => several.iter().find(is_ours).copied(),
    }
}

/// Gigabytes, to which the carrier edition adds kilobytes. Nothing, zero or less means no limit.
fn total(space: &Map<String, Value>) -> Option<u64> {
    let gb = number(space, "capacity").unwrap_or(0.0);
    let kb = number(space, "capacityKb").unwrap_or(0.0);
    let bytes = gb * f64::from(1 << 30) + kb.max(0.0) * 1024.0;
    (gb >= 0.0 && bytes >= 1.0).then_some(bytes as u64)
}

/// The unit is not documented everywhere: when it makes more than there is, the number was bytes.
/// When even that is more, the space is simply full.
fn used_bytes(used: f64, unit: u64, total: Option<u64>) -> u64 {
    let used = used.max(0.0);
    let bytes = (used * unit as f64) as u64;
    match total {
        Some(total) if bytes > total => (used as u64).min(total),
        _ => bytes,
    }
}

/// A number that may be text and may have a fraction.
fn number(space: &Map<String, Value>, name: &str) -> Option<f64> {
    let number: f64 = value::text_of(space, name)?.trim().parse().ok()?;
    number.is_finite().then_some(number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const GB: u64 = 1 << 30;

    fn usage(data: Value) -> Result<Usage> {
        let answer = json!({"code": 0, "data": data}).to_string();
        read(&Envelope::parse(answer.as_bytes()).unwrap(), "C1", 1024)
    }

    fn check(data: Value, total: Option<u64>, used: u64) {
        let usage = usage(data.clone()).unwrap();
        assert_eq!(usage.total, total.map(ByteCount), "{data}");
        assert_eq!(usage.used, ByteCount(used), "{data}");
    }

    #[test]
    fn capacity_is_gigabytes_and_use_kilobytes() {
        check(
            json!({"capacity": "20", "spaceUsed": "5242880"}),
            Some(20 * GB),
            5 * GB,
        );
        check(
            json!({"capacity": 20, "spaceUsed": 5_242_880}),
            Some(20 * GB),
            5 * GB,
        );
        let with_kb = json!({"capacity": 1, "capacityKb": "1024", "spaceUsed": 0});
        check(with_kb, Some(GB + (1 << 20)), 0);
        check(
            json!({"capacity": 0, "capacityKb": 8, "spaceUsed": 0}),
            Some(8192),
            0,
        );
    }

    #[test]
    fn too_much_use_was_bytes() {
        check(
            json!({"capacity": 1, "spaceUsed": 5_242_880}),
            Some(GB),
            5_242_880,
        );
        check(json!({"capacity": 1, "spaceUsed": 9 * GB}), Some(GB), GB);
    }

    #[test]
    fn no_capacity_is_no_limit() {
        for capacity in [json!(""), json!(null), json!(0), json!("-1")] {
            check(json!({"capacity": capacity, "spaceUsed": 1}), None, 1024);
        }
    }

    #[test]
    fn of_several_spaces_ours_counts() {
        let space = |id, used| json!({"containerId": id, "capacity": "20", "spaceUsed": used});
        check(json!([space("C1", 1), space("C2", 2)]), Some(20 * GB), 1024);
        check(json!([space("C9", 3)]), Some(20 * GB), 3072);
        assert!(usage(json!([space("C8", 1), space("C9", 2)])).is_err());
    }

    #[test]
    fn an_answer_that_does_not_tell_is_broken() {
        assert_eq!(
            usage(json!({"capacity": "20"})).unwrap_err().kind,
            ErrorKind::Broken
        );
        assert!(usage(json!({"spaceUsed": "lots"})).is_err());
        assert!(usage(json!("88")).is_err());
    }
}
