use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tracing::warn;

use crate::value;

/// The field for what was kept under other settings, the newest first: a mount that still runs with them, or
/// another configuration with a drive of this name, goes on with it.
const OTHERS: &str = "others";
/// Settings that are given up for good leave nothing behind for ever.
const MOST_OTHERS: usize = 3;

/// Keeps renewed tokens on disk: a refresh token works once, so the next process needs the newest. In
/// the same way it keeps other things that must outlive the process.
#[derive(Clone, Debug)]
pub struct TokenFile {
    dir: PathBuf,
    /// What the files are called, without their endings.
    stem: &'static str,
    /// Of which settings the kept token is. Another account's token is not looked at, and a new
    /// token in the settings wins over what came of the old one.
    owner: String,
}

/// Holds the file against every other process until it is dropped, the process's own end included.
#[derive(Debug)]
pub struct TokenLock(#[expect(dead_code, reason = "open is what it does")] File);

impl TokenFile {
    /// The file in `dir`, which is made when it is first written to. `owner` names the settings and
    /// must not give them away: a fingerprint.
    pub fn new(dir: &Path, owner: String) -> Self {
        Self::named("token", dir, owner)
    }

    /// As [`TokenFile::new`], for something else than tokens, called `stem`.
    pub fn named(stem: &'static str, dir: &Path, owner: String) -> Self {
        TokenFile {
            dir: dir.to_owned(),
            stem,
            owner,
        }
    }

    /// The fields that were kept, when they are of the same settings. Needs no lock: what is found is
    /// always whole.
    pub fn load(&self) -> Option<Map<String, Value>> {
        match self.read() {
            Ok(kept) => self.own(kept?),
            Err(error) => {
                warn!(%error, "the kept token cannot be read");
                None
            }
        }
    }

    /// As [`TokenFile::load`], for what cannot be got anew: nothing is what there is without a file,
    /// and only then.
    ///
    /// # Errors
    /// Whatever the file system says, and `InvalidData` for a file that is damaged or of other
    /// settings; each names the file.
    pub fn load_or_fail(&self) -> io::Result<Option<Map<String, Value>>> {
        let Some(kept) = self.read()? else {
            return Ok(None);
        };
        let own = self.own(kept);
        own.map(Some)
            .ok_or_else(|| self.damaged("it is not of this drive"))
    }

    fn read(&self) -> io::Result<Option<Map<String, Value>>> {
        let file = self.file();
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let message = format!("{}: {error}", file.display());
                return Err(io::Error::new(error.kind(), message));
            }
        };
        let kept = serde_json::from_slice(&text);
        // The parser's own words may repeat what it found, which may be a token.
        let kept = kept.map_err(|error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            self.damaged(&format!("no JSON object at line {line} column {column}"))
        });
        kept.map(Some)
    }

    /// What was kept under these settings.
    fn own(&self, kept: Map<String, Value>) -> Option<Map<String, Value>> {
        by_owner(kept)
            .into_iter()
            .find(|kept| self.is_of_owner(kept))
    }

    fn is_of_owner(&self, kept: &Map<String, Value>) -> bool {
        value::text_of(kept, "owner").as_ref() == Some(&self.owner)
    }

    fn damaged(&self, what: &str) -> io::Error {
        let message = format!("{}: {what}", self.file().display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    }

    /// Waits until no other process, and nobody else in this one, holds the lock.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub async fn lock(&self) -> io::Result<TokenLock> {
        let file = self.clone();
        let (tell, told) = oneshot::channel();
        // A thread of its own, because the end of the runtime would wait for one of the runtime's.
        // When nobody waits any more, the lock is dropped as soon as it is there.
        thread::Builder::new().spawn(move || tell.send(file.lock_now()))?;
        told.await.map_err(io::Error::other)?
    }

    /// Like [`TokenFile::lock`], on this thread: for who holds the lock for a moment only.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn lock_now(&self) -> io::Result<TokenLock> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)?;
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.path("lock"))?;
        file.lock()?;
        Ok(TokenLock(file))
    }

    /// Keeps `fields`: after this call either they or the ones before are on disk, whole.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn save(&self, _lock: &TokenLock, mut fields: Map<String, Value>) -> io::Result<()> {
        // What cannot be read is nothing that anybody could go on with.
        let before = self.read().ok().flatten().map(by_owner).unwrap_or_default();
        let others = before.into_iter().filter(|kept| !self.is_of_owner(kept));
        let others: Vec<_> = others.take(MOST_OTHERS).map(Value::Object).collect();
        if !others.is_empty() {
            fields.insert(OTHERS.into(), Value::Array(others));
        }
        fields.insert("owner".into(), Value::String(self.owner.clone()));
        let text = Value::Object(fields).to_string();
        let temporary = self.path("json.new");
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.file())?;
        File::open(&self.dir)?.sync_all()
    }

    fn file(&self) -> PathBuf {
        self.path("json")
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.dir.join(format!("{}.{ending}", self.stem))
    }
}

/// What a file holds, the newest first.
fn by_owner(mut newest: Map<String, Value>) -> Vec<Map<String, Value>> {
    let others = match newest.remove(OTHERS) {
        Some(Value::Array(others)) => others,
        _ => Vec::new(),
    };
    let others = others.into_iter().filter_map(|kept| match kept {
        Value::Object(kept) => Some(kept),
        _ => None,
    });
    let all = std::iter::once(newest).chain(others);
    all.filter(|kept| kept.contains_key("owner")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn save(file: &TokenFile, access: &str) {
        let fields = json!({"access": access}).as_object().unwrap().clone();
        file.save(&file.lock_now().unwrap(), fields).unwrap();
    }

    #[test]
    fn the_newest_token_of_the_same_settings_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state/drive");
        let file = TokenFile::new(&state, "owner-1".into());
        assert!(file.load().is_none());
        save(&file, "fake-1");
        save(&file, "fake-2");
        assert_eq!(file.load().unwrap()["access"], "fake-2");
        assert!(TokenFile::new(&state, "owner-2".into()).load().is_none());
        let other = TokenFile::named("other", &state, "owner-1".into());
        assert!(other.load().is_none());
        save(&other, "fake-3");
        assert_eq!(file.load().unwrap()["access"], "fake-2");
    }

    #[test]
    fn tokens_of_a_few_settings_stand_side_by_side() {
        let dir = tempfile::tempdir().unwrap();
        let files: Vec<_> = (0..5)
            .map(|number| TokenFile::new(dir.path(), format!("owner-{number}")))
            .collect();
        let access = |number: usize| {
            let kept: Option<Map<String, Value>> = files[number].load();
            kept.map(|kept| value::text_of(&kept, "access").unwrap())
        };
        save(&files[0], "fake-old");
        save(&files[1], "fake-new");
        // A mount with the old settings still runs.
        save(&files[0], "fake-old-2");
        assert_eq!(access(0).as_deref(), Some("fake-old-2"));
        assert_eq!(access(1).as_deref(), Some("fake-new"));
        assert_eq!(
            files[1].load_or_fail().unwrap().unwrap()["access"],
            "fake-new"
        );
        for file in &files[2..] {
            save(file, "fake");
        }
        assert_eq!(access(0).as_deref(), Some("fake-old-2"));
        assert_eq!(access(1), None, "only the last few are kept");
        assert_eq!(files[0].load().unwrap().get(OTHERS), None);
    }

    #[test]
    fn only_the_owner_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        save(&TokenFile::new(&state, "owner-1".into()), "fake-1");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        for entry in fs::read_dir(&state).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{path:?}");
            assert!(path.ends_with("token.json") || path.ends_with("token.lock"));
        }
    }

    #[test]
    fn a_damaged_file_is_no_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path(), "owner-1".into());
        for text in ["", "{", "[]", "{}"] {
            fs::write(file.file(), text).unwrap();
            assert!(file.load().is_none(), "{text}");
        }
    }

    #[test]
    fn only_a_file_that_is_not_there_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path(), "owner-1".into());
        assert_eq!(file.load_or_fail().unwrap(), None);
        let other = r#"{"owner":"owner-2"}"#;
        for text in ["", "{", "\"s3cret\"", "{}", other] {
            fs::write(file.file(), text).unwrap();
            let error = file.load_or_fail().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{text}");
            let said = error.to_string();
            assert!(
                said.contains("token.json") && !said.contains("s3cret"),
                "{said}"
            );
        }
        fs::remove_file(file.file()).unwrap();
        // What cannot be read, whoever runs the test.
        fs::create_dir(file.file()).unwrap();
        let error = file.load_or_fail().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
        assert!(error.to_string().contains("token.json"), "{error}");
        assert!(file.load().is_none(), "a token can be got anew");
    }

    #[tokio::test]
    async fn the_lock_is_one_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let file = TokenFile::new(dir.path(), "owner-1".into());
        let held = file.lock().await.unwrap();
        let other = TokenFile::new(dir.path(), "owner-2".into());
        let mut waiting = Box::pin(other.lock());
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("two hold the lock"),
            () = std::future::ready(()) => {}
        }
        drop(held);
        waiting.await.unwrap();
    }
}
