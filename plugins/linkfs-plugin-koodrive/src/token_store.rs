use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use linkfs_provider::Secret;
use linkfs_provider_http::{TokenFile, TokenLock, timestamp, value};
use serde_json::{Map, Value, json};

use crate::token::{Life, Token};

/// Keeps renewed tokens on disk.
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

    /// Waits until nobody else gets a token.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) async fn lock(&self) -> io::Result<TokenLock> {
        self.0.lock().await
    }

    /// Keeps `token`: after this call either it or the one before is on disk, whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn save(&self, lock: &TokenLock, token: &Token) -> io::Result<()> {
        self.0.save(lock, fields(token))
    }
}

fn fields(token: &Token) -> Map<String, Value> {
    let (life, is_sliding) = match token.life {
        Life::Sliding(life) => (life, true),
        Life::Fixed(life) => (life, false),
    };
    let fields = json!({
        "access_token": token.access.expose(),
        "refresh_token": token.refresh.as_ref().map(Secret::expose),
        "issued_ms": timestamp::ms(token.issued),
        "life_s": life.as_secs(),
        "is_sliding": is_sliding,
        "serial": token.serial,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn read(kept: &Map<String, Value>) -> Option<Token> {
    let life = Duration::from_secs(value::count(kept.get("life_s")?)?);
    let is_sliding = value::flag(kept.get("is_sliding")?);
    Some(Token {
        access: Secret::new(value::text_of(kept, "access_token")?),
        refresh: value::text_of(kept, "refresh_token").map(Secret::new),
        issued: kept
            .get("issued_ms")
            .and_then(timestamp::read)
            .unwrap_or(SystemTime::UNIX_EPOCH),
        life: if is_sliding {
            Life::Sliding(life)
        } else {
            Life::Fixed(life)
        },
        // What an older linkfs kept has none.
        serial: kept.get("serial").and_then(value::count).unwrap_or(0),
        is_adopted: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(life: Life) -> Token {
        Token {
            access: Secret::new("fake-1".into()),
            refresh: Some(Secret::new("fake-refresh".into())),
            issued: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_600_550_123),
            life,
            serial: 7,
            is_adopted: false,
        }
    }

    #[tokio::test]
    async fn a_token_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(&dir.path().join("koodrive"), "owner-1".into());
        assert!(store.load().is_none());
        let life = Duration::from_secs(1800);
        for life in [Life::Sliding(life), Life::Fixed(life)] {
            let lock = store.lock().await.unwrap();
            store.save(&lock, &token(life)).unwrap();
            let kept = store.load().unwrap();
            assert_eq!(kept.access.expose(), "fake-1");
            assert_eq!(kept.refresh, token(life).refresh);
            assert_eq!((kept.issued, kept.life), (token(life).issued, life));
            assert_eq!((kept.serial, kept.is_adopted), (7, true));
        }
    }

    #[test]
    fn fields_that_are_missing_are_no_token() {
        let mut kept = fields(&token(Life::Fixed(Duration::from_secs(1))));
        kept.remove("serial");
        assert_eq!(read(&kept).unwrap().serial, 0, "an older linkfs kept it");
        kept.remove("access_token");
        assert!(read(&kept).is_none());
    }
}
