use axum::http::StatusCode;
use serde_json::{Value, json};

use super::knobs::ErrorStyle;
use crate::Action;

/// An answer of the API before it becomes HTTP.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) is_error: bool,
}

/// An answer's fields, or the failure that takes the answer's place.
pub(crate) type Outcome = Result<Value, Failure>;

/// A refusal by DingTalk's own code, which brings its HTTP status with it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    status: u16,
    pub(crate) code: String,
    message: String,
    detail: Option<Value>,
}

/// A fault that refuses calls as the drive itself does, with the status that belongs to `code`.
pub fn refusal(code: &str) -> Action {
    let failure = Failure::new(code, "refused by a fault rule");
    Action::Status {
        code: failure.status,
        retry_after: None,
        body: Some(failure.body(ErrorStyle::Documented).to_string()),
    }
}

impl Failure {
    pub(crate) fn new(code: &str, message: &str) -> Self {
        Self {
            status: status_of(code),
            code: code.into(),
            message: message.into(),
            detail: None,
        }
    }

    pub(crate) fn parameter(name: &str) -> Self {
        Self::new("paramError", &format!("{name} is not valid"))
    }

    pub(crate) fn no_dentry(id: &str) -> Self {
        Self::new("dentryNotExist", &format!("file {id} not found"))
    }

    pub(crate) fn denied() -> Self {
        Self::new("permissionDenied", "the operator may not do this")
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        let code = "Forbidden.AccessDenied.AccessTokenPermissionDenied";
        Self {
            detail: Some(json!({"requiredScopes": [scope]})),
            ..Self::new(code, "no permission")
        }
    }

    /// The refusal of a token.
    pub(crate) fn unauthorized(status: u16) -> Self {
        Self {
            status,
            ..Self::new("InvalidAuthentication", "invalid access_token")
        }
    }

    pub(crate) fn answer(&self, style: ErrorStyle) -> Answer {
        Answer {
            status: self.status,
            body: self.body(style),
            is_error: true,
        }
    }

    fn body(&self, style: ErrorStyle) -> Value {
        let mut body = match style {
            ErrorStyle::Documented => {
                json!({"code": self.code, "requestid": REQUEST_ID, "message": self.message})
            }
            ErrorStyle::CamelCase => {
                json!({"code": self.code, "requestId": REQUEST_ID, "message": self.message})
            }
            ErrorStyle::OldHost => {
                json!({"errcode": self.code, "request_id": REQUEST_ID, "errmsg": self.message})
            }
        };
        if let Some(detail) = &self.detail {
            body["accessdenieddetail"] = detail.clone();
        }
        body
    }
}

/// The body of an error status that a fault asked for: the code that most often has it.
pub(crate) fn error_body(status: StatusCode) -> (&'static str, String) {
    let code = match status.as_u16() {
        400 | 401 => "InvalidAuthentication",
        403 | 429 => "Forbidden.AccessDenied.QpsLimitForApi",
        404 => "dentryNotExist",
        503 => "operationTimeout",
        _ => "systemError",
    };
    let failure = Failure::new(code, "refused by a fault rule");
    (
        "application/json",
        failure.body(ErrorStyle::Documented).to_string(),
    )
}

const REQUEST_ID: &str = "7A1C0F5E-22B4-7D31-9C55-0E6F1A2B3C4D";

/// The documented HTTP status of a code.
fn status_of(code: &str) -> u16 {
    match code {
        "orgAuthLevelNotEnough" | "permissionDenied" => 403,
        "spaceNotExist" | "dentryNotExist" | "InvalidAction.NotFound" => 404,
        "systemError" | "unknownError" => 500,
        "operationTimeout" => 503,
        code if code.starts_with("Forbidden.") => 403,
        _ => 400,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: &str, expected: u16) {
        assert_eq!(Failure::new(code, "").status, expected, "{code}");
    }

    #[test]
    fn codes_have_their_documented_status() {
        check("InvalidAuthentication", 400);
        check("paramError.dentryId", 400);
        check("operationNotSupported", 400);
        check("fileArchived", 400);
        check("orgAuthLevelNotEnough", 403);
        check("Forbidden.AccessDenied.QpsLimitForApi", 403);
        check("dentryNotExist", 404);
        check("unknownError", 500);
        check("operationTimeout", 503);
    }
}
