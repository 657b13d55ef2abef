use linkfs_provider::ErrorKind::{self, *};
use linkfs_provider_http::{Answer, status, value};
use serde_json::{Map, Value};

/// What a refused call says. The gateway before the drive may answer without a body, and tells its
/// reason in headers alone; the login answers in the words of OAuth.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
}

impl Said {
    /// What `answer`, whose body is `fields`, says.
    pub(crate) fn read(answer: &Answer, fields: Option<&Map<String, Value>>) -> Self {
        let field = |names: [&str; 3], header: &str| {
            let told = fields.and_then(|fields| first_of(fields, &names));
            told.or_else(|| answer.header(header).map(str::to_owned))
        };
        let message = ["message", "Message", "error_description"];
        Said {
            status: answer.status,
            code: field(["code", "Code", "error"], "x-ca-error-code"),
            message: field(message, "x-ca-error-message").unwrap_or_default(),
            request_id: answer.header("x-ca-request-id").map(str::to_owned),
        }
    }

    /// The kind of refusal: the code knows better than the status.
    pub(crate) fn kind(&self) -> ErrorKind {
        if self.is_about_login() {
            return LoginExpired;
        }
        let by_code = self.code.as_deref().and_then(by_code);
        by_code.unwrap_or_else(|| status::kind(self.status))
    }

    /// Whether a new token of the share could turn the refusal.
    pub(crate) fn is_about_share(&self) -> bool {
        let code = self.code.as_deref();
        code.is_some_and(|code| is_kind_of(code, SHARE_TOKEN))
    }

    /// Whether a new login could turn the refusal.
    pub(crate) fn is_about_login(&self) -> bool {
        match self.code.as_deref() {
            Some(code) if is_login_code(code) => true,
            Some(code) => self.status == 401 && by_code(code).is_none(),
            None => self.status == 401,
        }
    }
}

/// The token of a share is over, or never was one.
const SHARE_TOKEN: &str = "ShareLinkTokenInvalid";

fn first_of(fields: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| value::text_of(fields, name))
}

fn is_login_code(code: &str) -> bool {
    [
        "AccessTokenInvalid",
        "AccessTokenExpired",
        "RefreshTokenExpired",
    ]
    .iter()
    .any(|login| is_kind_of(code, login))
}

fn by_code(code: &str) -> Option<ErrorKind> {
    let table = [
        ("NotFound", NotFound),
        (SHARE_TOKEN, Denied),
        ("Forbidden", Denied),
        ("UserNotAllowedAccessResource", Denied), // blocked content
        ("QuotaExhausted", Denied),
        ("AlreadyExist", Invalid),
        ("InvalidParameter", Invalid),
        ("InvalidRequestJSONFormat", Invalid),
        ("I400JD", Invalid),
        ("StateConflict", Unavailable), // something else is under way with the item
        ("TooManyRequests", RateLimited),
        ("ParamFlowException", RateLimited),
        ("InternalError", Unavailable),
        ("ServiceUnavailable", Unavailable),
        ("D504TO", Unavailable), // the gateway's time was up
    ];
    let row = table.iter().find(|(start, _)| is_kind_of(code, start));
    row.map(|(_, kind)| *kind)
}

/// Codes are made finer by what follows: `NotFound.File`, `ForbiddenDriveNotValid`.
fn is_kind_of(code: &str, start: &str) -> bool {
    code.starts_with(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, code: &str, kind: ErrorKind, is_about_login: bool) {
        let said = Said {
            status,
            code: (!code.is_empty()).then(|| code.to_owned()),
            ..Said::default()
        };
        assert_eq!(said.kind(), kind, "{said:?}");
        assert_eq!(said.is_about_login(), is_about_login, "{said:?}");
    }

    #[test]
    fn codes_decide_whatever_the_status() {
        check(404, "NotFound.File", NotFound, false);
        check(400, "NotFound", NotFound, false);
        check(403, "ForbiddenNoPermission", Denied, false);
        check(403, "ForbiddenDriveNotValid", Denied, false);
        check(400, "UserNotAllowedAccessResource", Denied, false);
        check(409, "AlreadyExist.File", Invalid, false);
        check(409, "StateConflict", Unavailable, false);
        check(400, "InvalidParameter.Limit", Invalid, false);
        check(400, "InvalidParameterMissing", Invalid, false);
        check(400, "QuotaExhausted.Drive", Denied, false);
        check(400, "TooManyRequests", RateLimited, false);
        check(403, "ParamFlowException", RateLimited, false);
        check(500, "InternalError", Unavailable, false);
        check(503, "ServiceUnavailable", Unavailable, false);
        check(504, "D504TO", Unavailable, false);
    }

    #[test]
    fn logins_are_refused_by_code_or_by_401() {
        check(401, "AccessTokenInvalid", LoginExpired, true);
        check(400, "AccessTokenExpired", LoginExpired, true);
        check(401, "RefreshTokenExpired", LoginExpired, true);
        check(401, "", LoginExpired, true);
        check(401, "A401XX", LoginExpired, true);
        check(401, "ForbiddenNoPermission", Denied, false);
        check(401, "ShareLinkTokenInvalid", Denied, false);
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        check(400, "", Invalid, false);
        check(403, "Odd", Denied, false);
        check(404, "", NotFound, false);
        check(429, "", RateLimited, false);
        check(502, "D502XX", Unavailable, false);
        check(418, "", Broken, false);
    }
}
