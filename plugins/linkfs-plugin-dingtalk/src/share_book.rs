//! What was given to others by us, kept on disk: DingTalk does not know of shares, and revoking one must
//! take from people what we gave them and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fmt, io};

use linkfs_provider::{ErrorKind, ProviderError, Result};
use linkfs_provider_http::{TokenFile, TokenLock};
use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::permissions::Scope;
use crate::share_terms::{Member, Role};

/// The name of the file, and of the records among its fields.
const SHARES: &str = "shares";

/// Whoever opens the drive revokes what was shared, whatever its login then was.
const OWNER: &str = "dingtalk";

/// One file or folder that was shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) space: String,
    pub(crate) item: String,
    pub(crate) name: String,
    /// Counts the shares: the one with the larger number is newer, whatever the clock says.
    pub(crate) serial: u64,
    pub(crate) created_ms: i64,
    pub(crate) note: Option<String>,
    pub(crate) role: Role,
    pub(crate) members: Vec<Given>,
    /// How the scope was before it was set for the whole organisation.
    pub(crate) scope_before: Option<Scope>,
}

/// What one member was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Given {
    pub(crate) member: Member,
    /// The role it had without us.
    pub(crate) before: Option<Role>,
}

/// The records, by the lasting id of what was shared.
pub(crate) type Records = BTreeMap<String, Record>;

/// Where records are kept. Who changes them holds the lock, also while the drive is asked: so two do
/// not take what the other has just given for what was there before.
#[derive(Debug)]
pub(crate) struct ShareBook(TokenFile);

/// The records, to be changed by nobody else meanwhile.
#[derive(Debug)]
pub(crate) struct OpenBook<'a> {
    book: &'a ShareBook,
    lock: TokenLock,
    pub(crate) records: Records,
}

impl ShareBook {
    pub(crate) fn new(state_dir: &Path) -> Self {
        ShareBook(TokenFile::named(SHARES, state_dir, OWNER.into()))
    }

    /// The records as they are now.
    ///
    /// # Errors
    /// `Unavailable` for records that cannot be read: to go on without them would lose them.
    pub(crate) fn records(&self) -> Result<Records> {
        let kept = self.0.load_or_fail().map_err(|error| cannot_read(&error))?;
        let Some(mut kept) = kept else {
            return Ok(Records::new());
        };
        // A file without records is as damaged as one with bad ones.
        let records = kept.remove(SHARES).unwrap_or_default();
        serde_json::from_value(records).map_err(|error| {
            let name = format!("{SHARES}.json");
            cannot_read(&format_args!("{name}: {error}"))
        })
    }

    /// The records, to be changed.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be read or kept.
    pub(crate) async fn open(&self) -> Result<OpenBook<'_>> {
        let lock = self.0.lock().await.map_err(|error| cannot_keep(&error))?;
        Ok(OpenBook {
            book: self,
            lock,
            records: self.records()?,
        })
    }
}

impl OpenBook<'_> {
    /// The number of the next share.
    pub(crate) fn next_serial(&self) -> u64 {
        let used = self.records.values().map(|record| record.serial).max();
        used.map_or(1, |used| used + 1)
    }

    /// Keeps the records as they are.
    ///
    /// # Errors
    /// `Unavailable` when they cannot be kept.
    pub(crate) fn save(&self) -> Result<()> {
        let records = serde_json::to_value(&self.records);
        let records = records.map_err(|error| cannot_keep(&error.into()))?;
        let fields = Map::from_iter([(SHARES.to_owned(), records)]);
        // A few kilobytes, for each change of a share: not worth a thread of its own.
        let kept = self.book.0.save(&self.lock, fields);
        kept.map_err(|error| cannot_keep(&error))
    }
}

impl Record {
    /// What was given to `member`.
    pub(crate) fn given(&self, member: &Member) -> Option<&Given> {
        self.members.iter().find(|given| given.member == *member)
    }

    /// Whom something was given, whatever they had before.
    pub(crate) fn members_alone(&self) -> BTreeSet<Member> {
        let members = self.members.iter();
        members.map(|given| given.member.clone()).collect()
    }

    pub(crate) fn is_for_all(&self) -> bool {
        self.scope_before.is_some()
    }
}

fn cannot_read(error: &dyn fmt::Display) -> ProviderError {
    let message = format!("the records of shares cannot be read: {error}");
    ProviderError::new(ErrorKind::Unavailable, message)
}

fn cannot_keep(error: &io::Error) -> ProviderError {
    let message = format!("the records of shares cannot be kept: {error}");
    ProviderError::new(ErrorKind::Unavailable, message)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    pub(crate) fn record() -> Record {
        let member = Member {
            kind: "USER".into(),
            id: "u1".into(),
        };
        Record {
            space: "854001".into(),
            item: "5521".into(),
            name: "hello.txt".into(),
            serial: 1,
            created_ms: 1_767_600_550_000,
            note: Some("for Lin".into()),
            role: Role::Reader,
            members: vec![Given {
                member,
                before: Some(Role::Reader),
            }],
            scope_before: None,
        }
    }

    #[tokio::test]
    async fn records_come_back_as_they_were_for_the_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let book = ShareBook::new(&dir.path().join("state"));
        assert!(book.records().unwrap().is_empty());
        let mut open = book.open().await.unwrap();
        open.records.insert("Bn77Qx".into(), record());
        open.save().unwrap();
        drop(open);
        assert_eq!(book.records().unwrap()["Bn77Qx"], record());
        let file = dir.path().join("state/shares.json");
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[tokio::test]
    async fn records_that_cannot_be_read_are_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shares.json");
        let check = async || {
            let error = ShareBook::new(dir.path()).open().await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unavailable);
            assert!(error.message.contains("shares.json"), "{error}");
        };
        for text in [
            json!({"owner": OWNER, "shares": {"Bn77Qx": {"space": 1}}}).to_string(),
            json!({"owner": OWNER}).to_string(),
            json!({"owner": "another", "shares": {}}).to_string(),
            "{\"owner\": \"dingtalk\", \"sha".to_owned(),
            String::new(),
        ] {
            std::fs::write(&path, &text).unwrap();
            check().await;
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::remove_file(&path).unwrap();
        // What the system cannot read, whoever runs the test.
        std::fs::create_dir(&path).unwrap();
        check().await;
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_not_begun() {
        // No folder can be below a file, whoever runs the test.
        let file = tempfile::NamedTempFile::new().unwrap();
        let book = ShareBook::new(&file.path().join("state"));
        let error = book.open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
    }
}
