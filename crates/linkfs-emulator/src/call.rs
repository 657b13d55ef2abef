use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// Bodies of the API are small; this is far above a call with 1000 ids.
const BODY_MAX: usize = 4 << 20;

/// One call of a drive's API, read completely.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// As received, still encoded.
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) raw_body: Bytes,
    /// `Null` when the body is empty or no JSON.
    pub(crate) body: Value,
}

impl Call {
    pub(crate) async fn read(request: Request) -> Result<Self, axum::Error> {
        let (parts, body) = request.into_parts();
        let raw_body = to_bytes(body, BODY_MAX).await?;
        Ok(Self {
            method: parts.method,
            path: parts.uri.path().into(),
            query: parts.uri.query().unwrap_or_default().into(),
            headers: parts.headers,
            body: serde_json::from_slice(&raw_body).unwrap_or_default(),
            raw_body,
        })
    }

    /// The path's segments below `prefix`, decoded: an escaped slash does not part them.
    pub(crate) fn segments(&self, prefix: &str) -> Vec<String> {
        let below = self.path.strip_prefix(prefix).unwrap_or_default();
        let segments = below.split('/').filter(|segment| !segment.is_empty());
        segments.map(decode).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a query parameter, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self
            .query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .find(|(key, _)| decode(key) == name)
            .map(|(_, value)| decode(&value.replace('+', " ")))
    }

    /// A text of the body; `name` may lead into objects with dots.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_str()
    }

    /// A whole number of the body, written as a number or as text.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        number(self.field(name)?)
    }

    /// The texts of an array of the body; absent is empty.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let values = self.field(name).and_then(Value::as_array);
        let texts = values.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&Value> {
        let value = name
            .split('.')
            .try_fold(&self.body, |value, part| value.get(part));
        value.filter(|value| !value.is_null())
    }
}

/// A whole number, written as a number or as text.
pub(crate) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
