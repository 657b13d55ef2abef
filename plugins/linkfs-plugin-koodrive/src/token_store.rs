use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use linkfs_provider::Secret;
use serde_json::{Map, Value, json};
use tracing::warn;

use crate::envelope;
use crate::timestamp;
use crate::token::{Life, Token};

/// Keeps renewed tokens on disk: a refresh token works once, so the next process needs the newest.
#[derive(Debug)]
pub(crate) struct TokenStore {
    dir: PathBuf,
    /// Of which settings the kept token is. Another account's token is not looked at, and a new
    /// token in the settings wins over what came of the old one.
    owner: String,
}

impl TokenStore {
    pub(crate) fn new(dir: &Path, owner: String) -> Self {
        TokenStore {
            dir: dir.to_owned(),
            owner,
        }
    }

    /// The kept token, when there is one of the same settings.
    pub(crate) fn load(&self) -> Option<Token> {
        let text = match fs::read(self.file()) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                warn!(%error, "the kept token cannot be read");
                return None;
            }
        };
        let kept: Map<String, Value> = serde_json::from_slice(&text).ok()?;
        let is_ours = envelope::text_of(&kept, "owner")? == self.owner;
        if is_ours { read(&kept) } else { None }
    }

    /// Keeps `token`: after this call either it or the one before is on disk, whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub(crate) fn save(&self, token: &Token) -> io::Result<()> {
        let text = write(&self.owner, token).to_string();
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let temporary = self.dir.join(format!("token.json.{}", std::process::id()));
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.file())?;
        File::open(&self.dir)?.sync_all()
    }

    fn file(&self) -> PathBuf {
        self.dir.join("token.json")
    }
}

fn write(owner: &str, token: &Token) -> Value {
    let (life, is_sliding) = match token.life {
        Life::Sliding(life) => (life, true),
        Life::Fixed(life) => (life, false),
    };
    json!({
        "owner": owner,
        "access_token": token.access.expose(),
        "refresh_token": token.refresh.as_ref().map(Secret::expose),
        "issued_ms": timestamp::ms(token.issued),
        "life_s": life.as_secs(),
        "is_sliding": is_sliding,
    })
}

fn read(kept: &Map<String, Value>) -> Option<Token> {
    let life = Duration::from_secs(envelope::count(kept.get("life_s")?)?);
    let is_sliding = envelope::flag(kept.get("is_sliding")?);
    Some(Token {
        access: Secret::new(envelope::text_of(kept, "access_token")?),
        refresh: envelope::text_of(kept, "refresh_token").map(Secret::new),
        issued: kept
            .get("issued_ms")
            .and_then(timestamp::read)
            .unwrap_or(SystemTime::UNIX_EPOCH),
        life: if is_sliding {
            Life::Sliding(life)
        } else {
            Life::Fixed(life)
        },
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn token(access: &str) -> Token {
        Token {
            access: Secret::new(access.into()),
            refresh: Some(Secret::new("fake-refresh".into())),
            issued: SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_600_550_123),
            life: Life::Fixed(Duration::from_secs(1800)),
        }
    }

    #[test]
    fn the_newest_token_of_the_same_settings_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/koodrive");
        let store = TokenStore::new(&state, "owner-1".into());
        assert!(store.load().is_none());
        store.save(&token("fake-1")).unwrap();
        store.save(&token("fake-2")).unwrap();
        let kept = store.load().unwrap();
        assert_eq!(kept.access.expose(), "fake-2");
        assert_eq!(kept.refresh, token("").refresh);
        assert_eq!((kept.issued, kept.life), (token("").issued, token("").life));
        assert!(TokenStore::new(&state, "owner-2".into()).load().is_none());
    }

    #[test]
    fn only_the_owner_may_read_it_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let store = TokenStore::new(&state, "owner-1".into());
        store.save(&token("fake-1")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join("token.json")), 0o600);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_file_is_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let store = TokenStore::new(dir.path(), "owner-1".into());
        for text in ["", "{", "[]", "{\"owner\":\"owner-1\"}"] {
            fs::write(store.file(), text).unwrap();
            assert!(store.load().is_none(), "{text}");
        }
    }
}
