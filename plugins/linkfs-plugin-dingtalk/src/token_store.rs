use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use linkfs_provider::Secret;
use linkfs_provider_http::{TokenFile, timestamp, value};
use serde_json::{Map, Value, json};

/// Tokens are renewed this long before their end, as the drive's guide suggests: at 7000 of 7200
/// seconds.
const RENEWED_BEFORE: Duration = Duration::from_secs(200);

/// What authorizes calls, and what is known about its life.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) access: Secret<String>,
    pub(crate) issued: SystemTime,
    /// `None` for a token of the settings, which says nothing of it.
    pub(crate) life: Option<Duration>,
}

impl Token {
    /// Whether the token should be renewed before it is used again.
    pub(crate) fn is_due(&self, now: SystemTime) -> bool {
        let Some(life) = self.life else { return false };
        let age = now.duration_since(self.issued).unwrap_or_default();
        // Half of a short life must be left to use it.
        age >= life - RENEWED_BEFORE.min(life / 2)
    }
}

/// Keeps the app's token on disk: the next process needs no new one, which would cost a call.
#[derive(Debug)]
pub(crate) struct TokenStore(TokenFile);

impl TokenStore {
    pub(crate) fn new(dir: &Path, owner: String) -> Self {
        TokenStore(TokenFile::new(dir, owner))
    }

    /// The kept token, when there is one of the same settings.
    pub(crate) fn load(&self) -> Option<Token> {
        read(&self.0.load()?)
    }

    /// Keeps `token`: after this call either it or the one before is on disk, whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn save(&self, token: &Token) -> io::Result<()> {
        self.0.save(&self.0.lock_now()?, fields(token))
    }
}

fn fields(token: &Token) -> Map<String, Value> {
    let fields = json!({
        "access_token": token.access.expose(),
        "issued_ms": timestamp::ms(token.issued),
        "life_s": token.life.map(|life| life.as_secs()),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn read(kept: &Map<String, Value>) -> Option<Token> {
    Some(Token {
        access: Secret::new(value::text_of(kept, "access_token")?),
        issued: timestamp::read(kept.get("issued_ms")?)?,
        life: Some(Duration::from_secs(value::count(kept.get("life_s")?)?)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(life_s: u64) -> Token {
        Token {
            access: Secret::new("fake-1".into()),
            issued: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_600_550_123),
            life: Some(Duration::from_secs(life_s)),
        }
    }

    #[test]
    fn a_token_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(&dir.path().join("dingtalk"), "owner-1".into());
        assert!(store.load().is_none());
        store.save(&token(7200)).unwrap();
        let kept = store.load().unwrap();
        assert_eq!(kept.access, token(7200).access);
        assert_eq!(
            (kept.issued, kept.life),
            (token(7200).issued, token(7200).life)
        );
    }

    #[test]
    fn fields_that_are_missing_are_no_token() {
        for name in ["access_token", "issued_ms", "life_s"] {
            let mut kept = fields(&token(7200));
            kept.remove(name);
            assert!(read(&kept).is_none(), "{name}");
        }
    }

    #[test]
    fn renewal_comes_before_the_end() {
        let due = |token: &Token, age_s| token.is_due(token.issued + Duration::from_secs(age_s));
        assert!(!due(&token(7200), 6999) && due(&token(7200), 7000));
        assert!(!due(&token(60), 29) && due(&token(60), 30));
        let given = Token {
            life: None,
            ..token(1)
        };
        assert!(!due(&given, 1_000_000));
    }
}
