use axum::http::StatusCode;
use serde_json::{Map, Value, json};

/// An answer of the API before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) is_error: bool,
    pub(crate) request_id: Option<&'static str>,
}

impl Answer {
    /// 200 with a body that is complete.
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            body: body.to_string(),
            is_error: false,
            request_id: None,
        }
    }

    /// 200 with `code` 0 and the fields of an object.
    pub(crate) fn success(fields: Value) -> Self {
        let mut body = json!({"code": 0, "msg": "success"});
        extend(&mut body, fields);
        Self::json(&body)
    }

    /// The refusal of a token or signature.
    pub(crate) fn unauthorized(status: u16) -> Self {
        let body = match status {
            400 => json!({"error": {
                "code": 0, "description": "Authentication failed", "errorData": {},
                "errorDetail": [{"domain": "auth", "reason": "authInvalid", "errorCode": "401",
                    "description": "Authentication failed: access token is invalid or expired"}]}}),
            _ => json!({"error_code": "APIGW.0301", "request_id": REQUEST_ID,
                "error_msg": "Incorrect authentication information: access token is invalid or expired"}),
        };
        Self {
            status,
            body: body.to_string(),
            is_error: true,
            request_id: Some(REQUEST_ID),
        }
    }

    /// The error shape of shares: HTTP 400 with a detail.
    pub(crate) fn share_refusal(
        parameter: &str,
        description: &str,
        conflict: Option<&str>,
    ) -> Self {
        let body = json!({"error": {
            "code": 0, "description": "Bad Request",
            "errorData": conflict.map_or(json!({}), |id| json!({"conflictFileId": id})),
            "errorDetail": [{"domain": "share", "reason": "paramInvalid", "errorCode": "13000102",
                "description": description, "errorPos": "body", "errorParam": parameter}]}});
        Self {
            status: 400,
            body: body.to_string(),
            is_error: true,
            request_id: None,
        }
    }
}

/// A refusal by KooDrive's own code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u64,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(code: u64, message: &str) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(crate) fn parameter(name: &str) -> Self {
        Self::new(13_000_102, &format!("invalid parameter: {name}"))
    }

    pub(crate) fn gone() -> Self {
        Self::new(13_000_309, "resource does not exist")
    }

    pub(crate) fn answer(&self, status: u16) -> Answer {
        let body = json!({"code": self.code, "msg": self.message}).to_string();
        Answer {
            status,
            body,
            is_error: true,
            request_id: None,
        }
    }
}

pub(crate) const REQUEST_ID: &str = "5f0e7a1c9b2d4e6f8a0b1c2d3e4f5a6b";

/// Takes over the fields of an object.
pub(crate) fn extend(body: &mut Value, fields: Value) {
    if let (Value::Object(body), Value::Object(fields)) = (body, fields) {
        body.extend(fields);
    }
}

/// Puts `value` where `path` leads, through objects that are made on the way.
pub(crate) fn put(body: &mut Value, path: &str, value: Value) {
    let mut place = body;
    for part in path.split('.') {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[part];
    }
    *place = value;
}

/// The body of an error status that a fault asked for.
pub(crate) fn error_body(status: StatusCode) -> (&'static str, String) {
    let body = match status.as_u16() {
        401 => Answer::unauthorized(401).body,
        429 => json!({"error_code": "APIGW.0308", "request_id": REQUEST_ID,
            "error_msg": "The throttling threshold has been reached: policy user over ratelimit"})
        .to_string(),
        400 => json!({"code": 13_000_101, "msg": "bad request"}).to_string(),
        _ => json!({"error_code": "APIGW.0201", "request_id": REQUEST_ID,
            "error_msg": "Backend unavailable"})
        .to_string(),
    };
    ("application/json", body)
}
