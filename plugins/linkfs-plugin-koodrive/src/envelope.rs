use linkfs_provider_http::value::{elements, is_zero, text};
use serde_json::{Map, Value};

/// An answer of the drive: a JSON object whose fields stand at the top or under `data`, whose numbers
/// may be text and whose nulls mean nothing.
#[derive(Debug)]
pub(crate) struct Envelope(Map<String, Value>);

impl Envelope {
    /// The answer in `body`, when it is a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().map(Envelope)
    }

    /// The value at a path like `data.files`. `null` counts as absent.
    pub(crate) fn at(&self, path: &str) -> Option<&Value> {
        let (first, rest) = match path.split_once('.') {
            Some((first, rest)) => (first, Some(rest)),
            None => (path, None),
        };
        let start = self.0.get(first);
        let end = match rest {
            Some(rest) => rest.split('.').fold(start, |value, name| value?.get(name)),
            None => start,
        };
        end.filter(|value| !value.is_null())
    }

    /// The field at the top, else under `data`.
    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        self.at(name).or_else(|| self.under_data(name))
    }

    /// Whether the field is there at all, even as `null`.
    pub(crate) fn names(&self, name: &str) -> bool {
        let data = self.0.get("data").and_then(Value::as_object);
        self.0.contains_key(name) || data.is_some_and(|data| data.contains_key(name))
    }

    /// The object that holds `name`: the answer itself or its `data`.
    pub(crate) fn object_with(&self, name: &str) -> Option<&Map<String, Value>> {
        if self.at(name).is_some() {
            return Some(&self.0);
        }
        self.under_data(name)?;
        self.at("data")?.as_object()
    }

    /// Whether the answer itself says that the call succeeded. Without any code it does: then the
    /// payload has to prove it.
    pub(crate) fn is_success(&self) -> bool {
        let is_error = self.at("error").is_some() || self.at("error_code").is_some();
        !is_error && self.at("code").is_none_or(is_zero)
    }

    /// The error code that says most.
    pub(crate) fn error_code(&self) -> Option<String> {
        let codes = [
            self.error_detail("errorCode"),
            self.at("error_code"),
            self.at("code"),
            self.at("error.code"),
        ];
        let mut told = codes.into_iter().flatten().filter(|code| !is_zero(code));
        told.find_map(text).filter(|code| !code.is_empty())
    }

    /// The error message that says most.
    pub(crate) fn error_message(&self) -> Option<String> {
        let messages = [
            self.error_detail("description"),
            self.at("error_msg"),
            self.at("msg"),
            self.at("error.description"),
        ];
        let mut told = messages.into_iter().flatten().filter_map(text);
        told.find(|message| !message.is_empty())
    }

    fn under_data(&self, name: &str) -> Option<&Value> {
        let value = self.at("data")?.get(name)?;
        (!value.is_null()).then_some(value)
    }

    fn error_detail(&self, name: &str) -> Option<&Value> {
        let first = elements(self.at("error.errorDetail")?).first()?;
        first.get(name).filter(|value| !value.is_null())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope(value: Value) -> Envelope {
        Envelope::parse(value.to_string().as_bytes()).unwrap()
    }

    fn check(answer: Value, is_success: bool, code: Option<&str>, message: Option<&str>) {
        let read = envelope(answer.clone());
        assert_eq!(read.is_success(), is_success, "{answer}");
        assert_eq!(read.error_code().as_deref(), code, "{answer}");
        assert_eq!(read.error_message().as_deref(), message, "{answer}");
    }

    #[test]
    fn success_is_code_zero_or_no_code() {
        check(json!({"code": 0, "msg": "ok"}), true, None, Some("ok"));
        check(json!({"code": "0"}), true, None, None);
        check(json!({"files": []}), true, None, None);
        check(json!({"code": null, "files": []}), true, None, None);
    }

    #[test]
    fn every_error_shape_is_read() {
        let business = json!({"code": 13000201, "msg": "inner"});
        check(business, false, Some("13000201"), Some("inner"));
        let text = json!({"code": "13000201"});
        check(text, false, Some("13000201"), None);
        let gateway = json!({"error_code": "APIGW.0301", "error_msg": "no", "request_id": "1"});
        check(gateway, false, Some("APIGW.0301"), Some("no"));
        let detail = json!({"errorCode": "13000102", "description": "days"});
        let nested = json!({"error": {"code": 400, "description": "Bad", "errorDetail": [detail]}});
        check(nested, false, Some("13000102"), Some("days"));
        let one = json!({"error": {"errorDetail": {"errorCode": 13000102}}});
        check(one, false, Some("13000102"), None);
        let bare = json!({"error": {"code": 0, "description": "Bad", "errorDetail": []}});
        check(bare, false, None, Some("Bad"));
        let status = json!({"error": {"code": 400, "description": "Bad"}});
        check(status, false, Some("400"), Some("Bad"));
    }

    #[test]
    fn fields_are_found_flat_and_under_data() {
        let flat = envelope(json!({"accessToken": "a", "data": {"accessToken": "b"}}));
        assert_eq!(flat.field("accessToken"), Some(&json!("a")));
        let nested = envelope(json!({"accessToken": null, "data": {"accessToken": "b"}}));
        assert_eq!(nested.field("accessToken"), Some(&json!("b")));
        assert_eq!(nested.at("data.accessToken"), Some(&json!("b")));
        assert!(
            nested
                .object_with("accessToken")
                .unwrap()
                .contains_key("accessToken")
        );
        let bare = envelope(json!({"data": "88"}));
        assert_eq!(bare.field("accessToken"), None);
        assert_eq!(bare.at("data.x.y"), None);
    }

    #[test]
    fn what_is_no_object_is_no_answer() {
        for body in [
            "",
            "<html>",
            "[]",
            "\"x\"",
            "{\"code\":0,\"accessToken\":Bearer+x}",
        ] {
            assert!(Envelope::parse(body.as_bytes()).is_none(), "{body}");
        }
    }
}
