use std::time::{Duration, SystemTime};

use linkfs_provider::Secret;
use linkfs_provider_http::{timestamp, value};
use serde_json::{Map, Value, json};

/// A token is renewed this long before it ends, so that no call meets its end on the way.
const MARGIN: Duration = Duration::from_secs(60);

/// An access token and what is known about its life, in the drive's time.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) access: Secret<String>,
    /// Buys the next token, once.
    pub(crate) refresh: Option<Secret<String>>,
    pub(crate) issued: SystemTime,
    /// `None` when the drive does not tell: then its refusal does.
    pub(crate) expires: Option<SystemTime>,
    /// Counts the tokens of one account on this machine: the one with the larger number is newer,
    /// whatever the clocks say. A login leaps to the microseconds since 1970, if that is more.
    pub(crate) serial: u64,
    /// Whether somebody else got it: then a refusal may be older than our asking.
    pub(crate) is_adopted: bool,
}

impl Token {
    /// A ready token from the settings.
    pub(crate) fn given(access: Secret<String>) -> Self {
        Token {
            access,
            refresh: None,
            issued: SystemTime::UNIX_EPOCH,
            expires: None,
            serial: 0,
            is_adopted: false,
        }
    }

    /// Whether the token should be renewed before it is used again. One that lives for less than
    /// five minutes is used for most of them all the same.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let Some(expires) = self.expires else {
            return false;
        };
        let life = expires.duration_since(self.issued).unwrap_or_default();
        // The drive's time is told in whole seconds: a moment later it may seem a little earlier.
        let age = now.duration_since(self.issued).unwrap_or_default();
        age >= life - MARGIN.min(life / 5)
    }

    /// What is kept of it.
    pub(crate) fn fields(&self) -> Map<String, Value> {
        let fields = json!({
            "access_token": self.access.expose(),
            "refresh_token": self.refresh.as_ref().map(Secret::expose),
            "issued_ms": timestamp::ms(self.issued),
            "expires_ms": self.expires.and_then(timestamp::ms),
            "serial": self.serial,
        });
        match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }

    /// What was kept, possibly by another process.
    pub(crate) fn read(kept: &Map<String, Value>) -> Option<Self> {
        let time = |name| kept.get(name).and_then(timestamp::read);
        Some(Token {
            access: Secret::new(value::text_of(kept, "access_token")?),
            refresh: value::text_of(kept, "refresh_token").map(Secret::new),
            issued: time("issued_ms").unwrap_or(SystemTime::UNIX_EPOCH),
            expires: time("expires_ms"),
            serial: value::count(kept.get("serial")?)?,
            is_adopted: true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_600_000 + seconds)
    }

    fn token(life: Option<u64>) -> Token {
        Token {
            refresh: Some(Secret::new("fake-r".into())),
            issued: at(0),
            expires: life.map(at),
            serial: 7,
            ..Token::given(Secret::new("fake-a".into()))
        }
    }

    fn check(life: Option<u64>, now: u64, is_due: bool) {
        assert_eq!(token(life).is_due(at(now)), is_due, "{life:?} at {now}");
    }

    #[test]
    fn a_token_is_due_a_minute_before_its_end() {
        check(Some(7200), 7139, false);
        check(Some(7200), 7140, true);
        check(Some(7200), 9999, true);
        check(Some(10), 7, false);
        check(Some(10), 8, true);
        check(Some(0), 0, true);
        check(None, 99_999, false);
        assert!(token(Some(0)).is_due(at(0) - Duration::from_millis(1)));
    }

    #[test]
    fn a_token_comes_back_as_it_was() {
        for life in [Some(7200), None] {
            let (token, kept) = (token(life), Token::read(&token(life).fields()).unwrap());
            assert_eq!(
                (&kept.access, &kept.refresh),
                (&token.access, &token.refresh)
            );
            assert_eq!((kept.issued, kept.expires), (token.issued, token.expires));
            assert_eq!((kept.serial, kept.is_adopted), (7, true));
        }
        assert!(Token::read(&Map::new()).is_none());
    }
}
