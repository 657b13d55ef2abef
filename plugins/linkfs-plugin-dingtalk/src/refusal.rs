use std::time::Duration;

use linkfs_provider::{ErrorKind, ProviderError};
use linkfs_provider_http::{Answer, Client, status, value};
use serde_json::Value;

use crate::client::Fields;
use crate::timestamp;

/// An address that made 10,000 calls in 20 seconds is shut out this long.
const BLOCKED_FOR: Duration = Duration::from_secs(5 * 60);

/// A spent month does not come back soon, but the organisation may buy calls: ask once an hour.
const SPENT_FOR: Duration = Duration::from_secs(60 * 60);

/// No throttle holds longer; a time further ahead is a misread one.
const LONGEST_THROTTLE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a call did not succeed. Codes decide, not statuses: an expired token comes with 400, a throttle
/// with 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The token is bad or over.
    Token,
    /// The app lacks a permission.
    Scope,
    /// Too many calls a second.
    Throttled,
    /// The month's calls are used up.
    QuotaSpent,
    /// Too many calls from this network address.
    Blocked,
    /// The file lies in the archive; asking for it has started to bring it back.
    Archived,
    /// The file has no bytes to download.
    NoDownload,
    /// The answer is no JSON object.
    NoAnswer,
    /// Whatever the kind says.
    Other(ErrorKind),
}

/// Codes by their beginning, in lower case, the longer before the shorter.
const CODES: [(&str, Reason); 20] = [
    ("invalidauthentication", Reason::Token),
    (
        "forbidden.accessdenied.accesstokenpermissiondenied",
        Reason::Scope,
    ),
    ("forbidden.accessdenied.qpslimit", Reason::Throttled),
    ("forbidden.accessdenied.apicountlimit", Reason::QuotaSpent),
    // Such as an address that is not in the app's list.
    ("forbidden.accessdenied", Reason::Other(ErrorKind::Denied)),
    ("orgauthlevelnotenough", Reason::Other(ErrorKind::Denied)),
    ("permissiondenied", Reason::Other(ErrorKind::Denied)),
    ("operationnotsupported", Reason::NoDownload),
    ("dentrydownloadprotocolnotsupport", Reason::NoDownload),
    ("filearchived", Reason::Archived),
    ("spacenotexist", Reason::Other(ErrorKind::NotFound)),
    ("dentrynotexist", Reason::Other(ErrorKind::NotFound)),
    // The ids asked for were the drive's own once.
    ("paramerror.dentryid", Reason::Other(ErrorKind::NotFound)),
    ("paramerror", Reason::Other(ErrorKind::Invalid)),
    ("systemerror", Reason::Other(ErrorKind::Unavailable)),
    ("unknownerror", Reason::Other(ErrorKind::Unavailable)),
    ("operationtimeout", Reason::Other(ErrorKind::Unavailable)),
    ("invalid.client", Reason::Other(ErrorKind::Denied)),
    ("unsupported.grant.type", Reason::Other(ErrorKind::Invalid)),
    ("missingbody", Reason::Other(ErrorKind::Invalid)),
];

impl Reason {
    /// Why `answer`, whose body holds `fields`, is no success; `None` when it is one.
    pub(crate) fn of(answer: &Answer, fields: Option<&Fields>) -> Option<Reason> {
        let Some(fields) = fields else {
            return Some(Reason::without_fields(answer.status, answer.body()));
        };
        let code = code(fields);
        match code.as_deref().and_then(Reason::of_code) {
            Some(reason) => Some(reason),
            None if is_block(fields) => Some(Reason::Blocked),
            None if answer.is_success() && code.is_none() => None,
            None => Some(Reason::of_status(answer.status)),
        }
    }

    fn of_code(code: &str) -> Option<Reason> {
        match code {
            // The old host's numbers.
            "40014" | "42001" => return Some(Reason::Token),
            "90002" | "90018" | "90019" => return Some(Reason::Throttled),
            "90020" => return Some(Reason::QuotaSpent),
            _ => {}
        }
        let code = code.to_ascii_lowercase();
        let known = CODES.iter().find(|(start, _)| code.starts_with(start));
        known.map(|(_, reason)| *reason)
    }

    fn of_status(http: u16) -> Reason {
        match status::kind(http) {
            ErrorKind::LoginExpired => Reason::Token,
            kind => Reason::Other(kind),
        }
    }

    /// Whoever calls too fast from one address gets a page for people.
    fn without_fields(http: u16, body: &[u8]) -> Reason {
        let text = String::from_utf8_lossy(body);
        let is_page = text.trim_start().starts_with('<');
        match http {
            200..=299 if is_page && text.contains("punish") => Reason::Blocked,
            200..=299 => Reason::NoAnswer,
            403 | 405 | 429 if is_page => Reason::Blocked,
            _ => Reason::of_status(http),
        }
    }

    fn kind(self) -> ErrorKind {
        match self {
            Reason::Token => ErrorKind::LoginExpired,
            Reason::Scope => ErrorKind::Denied,
            Reason::Throttled | Reason::QuotaSpent | Reason::Blocked | Reason::Archived => {
                ErrorKind::RateLimited
            }
            Reason::NoDownload => ErrorKind::Unsupported,
            Reason::NoAnswer => ErrorKind::Broken,
            Reason::Other(kind) => kind,
        }
    }
}

/// The error for people. `calls` is how many calls this mount has made.
pub(crate) fn error(
    reason: Reason,
    answer: &Answer,
    fields: &Fields,
    http: &Client,
    calls: u64,
) -> ProviderError {
    let code = code(fields);
    let said = http.words(answer.status, code.as_deref(), &told(fields));
    let message = match reason {
        Reason::Scope => format!(
            "the app lacks the permission {}: grant it in the developer console ({said})",
            http.redactor.clean(&missing_scopes(fields))
        ),
        Reason::QuotaSpent => format!(
            "the organisation's calls of this month are used up; this mount has made {calls} since \
             it started ({said})"
        ),
        Reason::Blocked => format!(
            "too many calls came from this network address: DingTalk answers none for five minutes \
             ({said})"
        ),
        Reason::Archived => format!(
            "the file is being thawed from the archive: try again in a few minutes ({said})"
        ),
        Reason::NoDownload => format!(
            "the file has no bytes to download, as online documents have none: open it in DingTalk \
             ({said})"
        ),
        Reason::NoAnswer => "the answer is not a JSON object".to_owned(),
        Reason::Token | Reason::Throttled | Reason::Other(_) => said,
    };
    let error = answer.with_wait(ProviderError::new(reason.kind(), message));
    let wait = match reason {
        Reason::Throttled => throttled_for(fields, http),
        Reason::QuotaSpent => Some(SPENT_FOR),
        Reason::Blocked => Some(BLOCKED_FOR),
        _ => None,
    };
    let wait = wait.or(error.retry_after);
    let error = error.with_retry_after(wait);
    match reason {
        Reason::Archived => error.about_item(),
        _ => error,
    }
}

/// The texts are free, but a throttle's may hold the time of its end.
fn throttled_for(fields: &Fields, http: &Client) -> Option<Duration> {
    let end = timestamp::in_text(&told(fields))?;
    let wait = end.duration_since(http.clock.now()).unwrap_or_default();
    (wait <= LONGEST_THROTTLE).then_some(wait)
}

fn code(fields: &Fields) -> Option<String> {
    let codes = ["code", "errcode"].into_iter();
    let mut codes = codes.filter_map(|name| fields.get(name));
    let code = codes.find(|code| !value::is_zero(code))?;
    value::text(code).filter(|code| !code.is_empty())
}

fn told(fields: &Fields) -> String {
    let messages = ["message", "errmsg"].into_iter();
    let mut messages = messages.filter_map(|name| value::text_of(fields, name));
    messages.next().unwrap_or_default()
}

fn is_block(fields: &Fields) -> bool {
    let has_number = value::text_of(fields, "status").as_deref() == Some("1111");
    has_number && fields.contains_key("punish")
}

fn missing_scopes(fields: &Fields) -> String {
    let details = ["accessdenieddetail", "accessDeniedDetail"];
    let detail = details.iter().find_map(|name| fields.get(*name));
    let scopes = detail.and_then(|detail| detail.get("requiredScopes"));
    let scopes = scopes.map_or(&[][..], value::elements);
    let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
    match scopes.as_slice() {
        [] => "for this call".to_owned(),
        scopes => scopes.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(code: &str, reason: Reason) {
        assert_eq!(Reason::of_code(code), Some(reason), "{code}");
    }

    #[test]
    fn codes_have_a_reason() {
        check("InvalidAuthentication", Reason::Token);
        check("40014", Reason::Token);
        check("42001", Reason::Token);
        let denied = "Forbidden.AccessDenied.";
        check(
            &format!("{denied}AccessTokenPermissionDenied"),
            Reason::Scope,
        );
        check(&format!("{denied}QpsLimitForApi"), Reason::Throttled);
        check(
            &format!("{denied}QpsLimitForAppkeyAndApi"),
            Reason::Throttled,
        );
        check(&format!("{denied}ApiCountLimitForOrg"), Reason::QuotaSpent);
        check(
            &format!("{denied}IpNotInWhiteList"),
            Reason::Other(ErrorKind::Denied),
        );
        check("90018", Reason::Throttled);
        check("90020", Reason::QuotaSpent);
        check("fileArchived", Reason::Archived);
        check("operationNotSupported", Reason::NoDownload);
        check("dentryDownloadProtocolNotSupport", Reason::NoDownload);
        check("dentryDownloadProtocolNotSupported", Reason::NoDownload);
        for (code, kind) in [
            ("orgAuthLevelNotEnough", ErrorKind::Denied),
            ("permissionDenied", ErrorKind::Denied),
            ("paramError", ErrorKind::Invalid),
            ("paramError.spaceId", ErrorKind::Invalid),
            ("paramError.dentryId", ErrorKind::NotFound),
            ("spaceNotExist", ErrorKind::NotFound),
            ("dentryNotExist", ErrorKind::NotFound),
            ("DENTRYNOTEXIST", ErrorKind::NotFound),
            ("systemError", ErrorKind::Unavailable),
            ("unknownError", ErrorKind::Unavailable),
            ("operationTimeout", ErrorKind::Unavailable),
        ] {
            check(code, Reason::Other(kind));
        }
        assert_eq!(Reason::of_code("somethingNew"), None);
    }

    #[test]
    fn answers_without_json_tell_by_status_and_form() {
        let page = b" <html>no</html>";
        for (status, body, reason) in [
            (403, &page[..], Reason::Blocked),
            (429, page, Reason::Blocked),
            (200, b"<a href=\"/_/punish?x=1\">", Reason::Blocked),
            (200, page, Reason::NoAnswer),
            (502, page, Reason::Other(ErrorKind::Unavailable)),
            (404, page, Reason::Other(ErrorKind::NotFound)),
            (429, b"", Reason::Other(ErrorKind::RateLimited)),
            (401, b"", Reason::Token),
        ] {
            assert_eq!(Reason::without_fields(status, body), reason, "{status}");
        }
    }

    #[test]
    fn an_old_answer_with_code_zero_is_no_refusal() {
        let code = |fields: Value| code(fields.as_object().unwrap());
        assert_eq!(code(json!({"errcode": 0, "errmsg": "ok"})), None);
        assert_eq!(code(json!({"errcode": 42001})).as_deref(), Some("42001"));
        assert_eq!(
            code(json!({"code": "x", "errcode": 1})).as_deref(),
            Some("x")
        );
        assert_eq!(code(json!({"code": null})), None);
    }
}
