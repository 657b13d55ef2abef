use linkfs_provider::ErrorKind::{self, *};
use linkfs_provider_http::status;

/// What a refusal says about our login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LoginVerdict {
    /// It was not the reason.
    Fine,
    /// It was the reason: only a new one helps.
    Refused,
    /// The drive gives no reason. It refuses bad logins that way too.
    Unclear,
}

/// What a refused call says: HTTP status, error code and message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) message: &'a str,
}

impl Said<'_> {
    /// The kind of refusal. The code knows better than the status: business refusals come with
    /// 200, 400 and 500 alike.
    pub(crate) fn kind(self) -> (ErrorKind, LoginVerdict) {
        if self.is_about_login() {
            return (LoginExpired, LoginVerdict::Refused);
        }
        let by_code = self.code.and_then(|code| {
            business(code)
                .or_else(|| gateway(code, self.message))
                .or_else(|| drive_kit(code))
        });
        let kind = by_code.unwrap_or_else(|| status::kind(self.status));
        let is_unclear = self.status == 400 && self.is_vague();
        match is_unclear {
            true => (kind, LoginVerdict::Unclear),
            false => (kind, LoginVerdict::Fine),
        }
    }

    fn is_about_login(self) -> bool {
        let code = self.code.unwrap_or("");
        let is_login_code = matches!(code, "401")
            || matches!(
                gateway_number(code),
                Some("0301" | "0303" | "0305" | "0307")
            )
            || matches!(drive_kit_number(code), Some(4011 | 4014..=4017));
        // A precise code outweighs any word in the message, and the status too.
        let is_login_status = match self.status {
            401 => true,
            400 => speaks_of_login(self.message),
            _ => false,
        };
        is_login_code || (is_login_status && self.is_vague())
    }

    /// Whether the code, if any, names no precise reason.
    fn is_vague(self) -> bool {
        match self.code {
            None | Some("400" | "13000101" | "13000102") => true,
            Some(code) => business(code).is_none() && gateway(code, self.message).is_none(),
        }
    }
}

/// KooDrive's own codes.
fn business(code: &str) -> Option<ErrorKind> {
    Some(match code {
        "13000101" | "13000102" => Invalid, // bad request, bad parameters
        "13000201" => Unavailable,          // a call inside the drive failed
        "13000301" => NotFound,             // no such space
        "13000302" | "13000309" | "13000411" | "13000407" => NotFound, // gone, or nothing to download
        "13000303" => NotFound,                                        // not in the recycle bin
        "13000304" => Broken,                                          // target folder abnormal
        "13000305" | "13000306" | "13000404" => NotFound,              // in the recycle bin
        "13000307" | "13000310" => Invalid, // folders nested in each other, too deep
        "13000308" => Broken,               // metadata incorrect
        "13000311" => Denied,               // no room
        "13000312" | "13000405" => Invalid, // already there
        "13000401" | "13000402" => Broken,  // upload task missing, integrity check failed
        "13000403" | "13000408" | "13000409" => Unavailable, // change, download, upload failed
        "13000406" => Invalid,              // not for folders
        "13000410" | "13000412" => Denied,  // no permission on the space, space not active
        "13000413" | "13000414" => Invalid, // wrong search type
        _ => return None,
    })
}

/// The API gateway before the drive.
fn gateway(code: &str, message: &str) -> Option<ErrorKind> {
    let number = gateway_number(code)?;
    let message = message.to_lowercase();
    let is_throttled = ["throttl", "too many", "rate limit", "flow control"]
        .iter()
        .any(|words| message.contains(words));
    match number {
        _ if is_throttled => Some(RateLimited),
        "0308" => Some(RateLimited),
        "0101" | "0103" => Some(Invalid), // no such API: the endpoint is wrong
        "0302" | "0304" | "0306" => Some(Denied),
        "0201" | "0202" | "0203" => Some(Unavailable), // backend not reached, too slow
        _ => None,
    }
}

fn gateway_number(code: &str) -> Option<&str> {
    code.strip_prefix("APIGW.")
        .or_else(|| code.strip_prefix("APIG."))
}

/// The last four digits of an unknown eight-digit code often follow a sibling product's table.
fn drive_kit(code: &str) -> Option<ErrorKind> {
    match drive_kit_number(code)? {
        4001..=4008 => Some(Invalid),
        4009 | 4906 => Some(NotFound),
        4020 | 4034..=4036 | 4039 => Some(Denied),
        4931 => Some(RateLimited),
        _ => None,
    }
}

fn drive_kit_number(code: &str) -> Option<u16> {
    let is_long = code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit());
    if is_long && business(code).is_none() {
        return code[4..].parse().ok();
    }
    None
}

fn speaks_of_login(message: &str) -> bool {
    let message = message.to_lowercase();
    let words = [
        "authentic",
        "authoriz",
        "token",
        "login",
        "log in",
        "sign in",
        "session",
        "认证",
        "鉴权",
        "登录",
    ];
    // Cursors are tokens to some: "invalid page token" is no matter of the login. Nor is what a visitor
    // of a share has.
    let others = ["page token", "pagetoken", "kdstoken"];
    let message = others
        .iter()
        .fold(message, |message, other| message.replace(other, ""));
    words.iter().any(|word| message.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, code: Option<&str>, message: &str, kind: ErrorKind) {
        let said = Said {
            status,
            code,
            message,
        };
        assert_eq!(said.kind().0, kind, "{said:?}");
    }

    #[test]
    fn business_codes_decide_whatever_the_status() {
        let table = [
            ("13000101", Invalid),
            ("13000201", Unavailable),
            ("13000301", NotFound),
            ("13000309", NotFound),
            ("13000306", NotFound),
            ("13000403", Unavailable),
            ("13000408", Unavailable),
            ("13000409", Unavailable),
            ("13000410", Denied),
            ("13000412", Denied),
        ];
        for (code, kind) in table {
            for status in [200, 400, 500] {
                check(status, Some(code), "words", kind);
            }
        }
    }

    #[test]
    fn without_a_known_code_the_status_decides() {
        check(200, Some("77"), "", Broken);
        check(500, Some("77"), "", Unavailable);
        check(503, None, "", Unavailable);
        check(429, None, "", RateLimited);
        check(403, None, "", Denied);
        check(404, None, "", NotFound);
        check(302, None, "", Broken);
        check(400, None, "", Invalid);
    }

    #[test]
    fn logins_are_refused_in_many_words() {
        check(401, None, "", LoginExpired);
        check(401, Some("13000101"), "", LoginExpired);
        check(401, Some("13000410"), "", Denied);
        check(400, None, "Authentication failed", LoginExpired);
        check(400, Some("13000101"), "access token expired", LoginExpired);
        check(400, Some("APIGW.0301"), "", LoginExpired);
        check(200, Some("401"), "", LoginExpired);
        check(200, Some("21004011"), "", LoginExpired);
        check(400, Some("13000102"), "invalid page token", Invalid);
        check(400, Some("13000102"), "invalid kdstoken", Invalid);
        check(400, Some("13000410"), "not authorized", Denied);
        check(500, None, "token service down", Unavailable);
    }

    #[test]
    fn the_gateway_throttles_in_words() {
        check(400, Some("APIGW.0308"), "", RateLimited);
        check(503, Some("APIGW.9999"), "Throttled by policy", RateLimited);
        check(404, Some("APIGW.0101"), "no such API", Invalid);
    }

    #[test]
    fn unknown_long_codes_follow_the_sibling_table() {
        check(400, Some("21004009"), "", NotFound);
        check(400, Some("21004034"), "", Denied);
        check(400, Some("21004931"), "", RateLimited);
    }

    #[test]
    fn a_refusal_without_a_reason_leaves_the_login_in_doubt() {
        let verdict = |status, code| {
            let message = "Bad Request";
            Said {
                status,
                code,
                message,
            }
            .kind()
            .1
        };
        assert_eq!(verdict(400, None), LoginVerdict::Unclear);
        assert_eq!(verdict(400, Some("13000101")), LoginVerdict::Unclear);
        assert_eq!(verdict(400, Some("13000309")), LoginVerdict::Fine);
        assert_eq!(verdict(200, Some("13000101")), LoginVerdict::Fine);
        assert_eq!(verdict(500, None), LoginVerdict::Fine);
    }
}
