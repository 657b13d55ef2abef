//! Who asked for which share, and what came of it: one JSON line each in a file that only grows.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::shown;
use crate::{Error, Result};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub uid: u32,
    /// The process.
    pub pid: u32,
    /// What the process is called.
    pub program: Option<String>,
}

/// Where requests about shares are written down.
#[derive(Clone, Debug)]
pub struct AuditFile {
    /// The file; it is made when there is something to write.
    pub path: PathBuf,
    /// Whether nothing may be shared that cannot be written down.
    pub is_required: bool,
}

/// Writes the audit, if there is one.
#[derive(Debug)]
pub(super) struct Audit {
    file: Option<AuditFile>,
    attempts: AtomicU64,
}

/// One request about a share.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    number: u64,
    caller: Caller,
    action: &'static str,
    drive: String,
    path: String,
    terms: Option<Value>,
}

/// A line as it is written.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    /// Tells the lines of one request from those of others, with the process that serves the mount.
    attempt: String,
    uid: u32,
    pid: u32,
    program: Option<&'a str>,
    action: &'a str,
    drive: &'a str,
    path: &'a str,
    terms: Option<&'a Value>,
    result: &'a str,
    error: Option<String>,
}

impl Audit {
    pub(super) fn new(file: Option<AuditFile>) -> Audit {
        Audit {
            file,
            attempts: AtomicU64::new(0),
        }
    }

    pub(super) fn attempt(
        &self,
        caller: &Caller,
        action: &'static str,
        drive: &str,
        path: &str,
    ) -> Attempt {
        Attempt {
            number: self.attempts.fetch_add(1, Ordering::Relaxed) + 1,
            caller: caller.clone(),
            action,
            drive: drive.to_owned(),
            path: path.to_owned(),
            terms: None,
        }
    }

    /// Writes that the drive is about to be asked: what is not written down is not done, when it must be.
    ///
    /// # Errors
    /// `Forbidden`.
    pub(super) async fn note_asked(&self, attempt: &Attempt) -> Result<()> {
        self.write(attempt, "asked", None).await
    }

    /// Writes what came of it.
    ///
    /// # Errors
    /// `Forbidden`, as for a request that cannot be written down.
    pub(super) async fn note_result(
        &self,
        attempt: &Attempt,
        result: &Result<&'static str>,
    ) -> Result<()> {
        match result {
            Ok(word) => self.write(attempt, word, None).await,
            Err(error) => {
                self.write(attempt, "refused", Some(error.to_string()))
                    .await
            }
        }
    }

    async fn write(&self, attempt: &Attempt, result: &str, error: Option<String>) -> Result<()> {
        let Some(file) = self.file.clone() else {
            return Ok(());
        };
        let text = line(attempt, result, error);
        let path = file.path.clone();
        let written = tokio::task::spawn_blocking(move || append(&path, &text)).await;
        let written = written.unwrap_or_else(|panic| Err(io::Error::other(panic)));
        match written {
            Ok(()) => Ok(()),
            Err(error) => {
                let path = file.path.display();
                let why = format!("the audit of shares cannot be written to {path}: {error}");
                tracing::warn!("{why}");
                match file.is_required {
                    true => Err(Error::Forbidden(why)),
                    false => Ok(()),
                }
            }
        }
    }
}

impl Attempt {
    /// The terms that are asked for; of a code only that there is one.
    pub(super) fn terms(&mut self, terms: &linkfs_provider::ShareTerms) {
        self.terms = Some(shown::terms(terms));
    }
}

fn line(attempt: &Attempt, result: &str, error: Option<String>) -> String {
    let caller = &attempt.caller;
    let line = Line {
        time: shown::time(SystemTime::now()).unwrap_or_default(),
        attempt: format!("{}-{}", std::process::id(), attempt.number),
        uid: caller.uid,
        pid: caller.pid,
        program: caller.program.as_deref(),
        action: attempt.action,
        drive: &attempt.drive,
        path: &attempt.path,
        terms: attempt.terms.as_ref(),
        result,
        error,
    };
    serde_json::to_string(&line).expect("a line is plain data") + "\n"
}

/// One line in one write, so that the lines of several mounts do not mix.
fn append(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use linkfs_provider::{Secret, SharePassword};

    use super::super::SharePolicy;
    use super::*;

    fn audit(path: PathBuf, is_required: bool) -> Audit {
        Audit::new(Some(AuditFile { path, is_required }))
    }

    fn attempt(audit: &Audit) -> Attempt {
        let caller = Caller {
            uid: 1000,
            pid: 7,
            program: Some("setfattr".to_owned()),
        };
        let mut attempt = audit.attempt(&caller, "share", "work", "a/b \"c\"\n");
        let mut terms = SharePolicy::default().defaults;
        terms.password = SharePassword::Given(Secret::new("s3cret".to_owned()));
        attempt.terms(&terms);
        attempt
    }

    #[tokio::test]
    async fn each_step_is_a_line_and_no_line_holds_the_code() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/audit.log");
        let audit = audit(path.clone(), true);
        let attempt = attempt(&audit);
        audit.note_asked(&attempt).await.unwrap();
        audit.note_result(&attempt, &Ok("shared")).await.unwrap();
        audit
            .note_result(&attempt, &Err(Error::NotFound))
            .await
            .unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        let lines: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let results: Vec<_> = lines
            .iter()
            .map(|line| line["result"].as_str().unwrap())
            .collect();
        assert_eq!(results, ["asked", "shared", "refused"]);
        assert_eq!(lines[0]["attempt"], lines[1]["attempt"]);
        assert_eq!(
            (&lines[0]["uid"], &lines[0]["program"]),
            (&1000.into(), &"setfattr".into())
        );
        assert_eq!(lines[0]["path"], "a/b \"c\"\n");
        assert_eq!(lines[0]["terms"]["password"], "given");
        assert_eq!(lines[2]["error"], Error::NotFound.to_string());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn what_must_be_written_down_is_refused_without() {
        let nowhere = PathBuf::from("/dev/null/audit.log");
        let required = audit(nowhere.clone(), true);
        let refused = required.note_asked(&attempt(&required)).await;
        assert!(matches!(refused, Err(Error::Forbidden(_))), "{refused:?}");
        let wanted = audit(nowhere, false);
        wanted.note_asked(&attempt(&wanted)).await.unwrap();
        let none = Audit::new(None);
        none.note_asked(&attempt(&none)).await.unwrap();
    }
}
