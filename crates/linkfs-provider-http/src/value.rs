//! Fields of JSON answers, read tolerantly: numbers may be text, and nulls mean nothing.

use serde_json::{Map, Value};

/// The elements of an array; a single value where an array is documented is an array of one.
pub fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        Value::Null => &[],
        single => std::slice::from_ref(single),
    }
}

/// A string or a number as text.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of an object's field, when it has one that is not empty.
pub fn text_of(object: &Map<String, Value>, name: &str) -> Option<String> {
    text(object.get(name)?).filter(|text| !text.is_empty())
}

/// A count, as a number or as text.
pub fn count(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(_) => value.as_u64().or_else(|| whole(value.as_f64()?)),
        _ => None,
    }
}

/// A fact, as a boolean, a number or text.
pub fn flag(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => *flag,
        other => matches!(text(other).as_deref(), Some("true" | "1")),
    }
}

/// Whether a code is zero, as a number or as text.
pub fn is_zero(code: &Value) -> bool {
    text(code).is_some_and(|code| code.parse::<i64>() == Ok(0))
}

/// Some serialisers print whole numbers with a fraction: `184320.0`.
fn whole(number: f64) -> Option<u64> {
    // Up to 2^53 every whole number has its own float.
    let is_exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    is_exact.then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_may_be_text() {
        assert_eq!(count(&json!(184320)), Some(184320));
        assert_eq!(count(&json!("184320")), Some(184320));
        assert_eq!(count(&json!(184320.0)), Some(184320));
        assert_eq!(count(&json!(-1)), None);
        assert_eq!(count(&json!(1.5)), None);
        assert_eq!(count(&json!("many")), None);
        assert!(flag(&json!(true)) && flag(&json!("true")) && flag(&json!(1)));
        assert!(!flag(&json!(false)) && !flag(&json!("0")) && !flag(&json!(null)));
        assert!(is_zero(&json!("0")) && is_zero(&json!(0)) && !is_zero(&json!("")));
    }

    #[test]
    fn one_value_counts_as_an_array_of_one() {
        assert_eq!(elements(&json!({"a": 1})), [json!({"a": 1})]);
        assert_eq!(elements(&json!(["a", "b"])).len(), 2);
        assert!(elements(&Value::Null).is_empty());
    }

    #[test]
    fn an_empty_text_is_none() {
        let object = json!({"a": "", "b": 7, "c": null});
        let of = |name| text_of(object.as_object().unwrap(), name);
        assert_eq!(
            (of("a"), of("b").as_deref(), of("c")),
            (None, Some("7"), None)
        );
    }
}
