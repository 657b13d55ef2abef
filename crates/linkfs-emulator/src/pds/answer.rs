use axum::http::StatusCode;
use serde_json::{Value, json};

use super::knobs::ErrorShape;

/// An answer of the API before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Empty for an answer of headers alone.
    pub(crate) body: String,
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
}

/// The fields of a good answer, or the refusal that takes its place.
pub(crate) type Outcome = Result<Value, Failure>;

impl Answer {
    pub(crate) fn json(body: &Value) -> Self {
        Self {
            status: 200,
            body: body.to_string(),
            headers: Vec::new(),
        }
    }

    /// 204: done, and nothing to tell.
    pub(crate) fn empty() -> Self {
        Self {
            status: 204,
            body: String::new(),
            headers: Vec::new(),
        }
    }

    /// 302 to another address.
    pub(crate) fn redirect(to: String) -> Self {
        Self {
            status: 302,
            body: String::new(),
            headers: vec![("location", to)],
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.status >= 400
    }
}

impl Failure {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self {
            status,
            code: code.into(),
            message: message.into(),
        }
    }

    pub(crate) fn missing(name: &str) -> Self {
        let text = format!("The input parameter {name} is missing");
        Self::new(400, "InvalidParameterMissing", &text)
    }

    pub(crate) fn out_of_range(name: &str) -> Self {
        let text = format!("The input parameter {name} is out of range");
        Self::new(400, "InvalidParameterOutOfRange", &text)
    }

    pub(crate) fn wrong_format(name: &str) -> Self {
        let text = format!("The input parameter {name} is not valid");
        Self::new(400, "InvalidParameterWrongFormat", &text)
    }

    /// `kind` is `File` or `Drive`.
    pub(crate) fn gone(kind: &str) -> Self {
        let text = format!("The resource {kind} cannot be found");
        Self::new(404, &format!("NotFound.{kind}"), &text)
    }

    /// The refusal that a fault asked for: an HTTP status, and the code unless it is empty.
    pub(crate) fn struck(status: u64, code: &str) -> Self {
        let status = u16::try_from(status).unwrap_or(400);
        let usual = usual_code(status);
        let code = if code.is_empty() { usual } else { code };
        Self::new(status, code, "as the fault script wants")
    }

    pub(crate) fn answer(self, shape: ErrorShape) -> Answer {
        let Self {
            status,
            code,
            message,
        } = self;
        let mut answer = Answer {
            status,
            body: String::new(),
            headers: Vec::new(),
        };
        match shape {
            ErrorShape::Lower => {
                answer.body = json!({"code": code, "message": message}).to_string();
            }
            ErrorShape::Upper => {
                answer.body = json!({"Code": code, "Message": message}).to_string();
            }
            ErrorShape::Headers => {
                answer.headers = vec![("x-ca-error-code", code), ("x-ca-error-message", message)];
            }
        }
        answer
    }
}

/// The code that goes with a status when nothing better is known.
pub(crate) fn usual_code(status: u16) -> &'static str {
    match status {
        400 => "InvalidParameter",
        401 => "AccessTokenExpired",
        403 => "ForbiddenNoPermission.File",
        404 => "NotFound.File",
        409 => "StateConflict",
        429 => "TooManyRequests",
        502 | 504 => "D504TO",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    }
}

/// The body of an error status that a fault asked for. A failing gateway has none.
pub(crate) fn error_body(status: StatusCode) -> (&'static str, String) {
    let status = status.as_u16();
    let body = match status {
        502 | 504 => String::new(),
        _ => {
            json!({"code": usual_code(status), "message": "as the fault script wants"}).to_string()
        }
    };
    ("application/json; charset=utf-8", body)
}
