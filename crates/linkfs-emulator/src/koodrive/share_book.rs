use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::answer::Failure;
use super::call::Call;
use super::share_tasks::Task;
use crate::digest::sha256_hex;

/// Where shares are shown to people; nothing answers there.
const LINK_BASE: &str = "https://console.example.test/cloudfile/#/sharelink/i/";

/// The space that other people share from.
const OTHERS_SPACE: &str = "IAACothers0001";

/// Share and task ids look alike and count apart, so that one taken for the other shows.
const FIRST_SHARE: u64 = 1_990_000_000_000_000_001;
const FIRST_TASK: u64 = 1_990_000_000_000_500_001;

/// Every share and share task of the drive.
#[derive(Debug, Default)]
pub(crate) struct ShareBook(Mutex<Pages>);

#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// By number, and so in the order of their creation.
    pub(crate) shares: BTreeMap<u64, Share>,
    pub(crate) tasks: BTreeMap<u64, Task>,
}

/// One share.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    pub(crate) number: u64,
    pub(crate) short_url: String,
    pub(crate) scope: u64,
    /// The space that the files are in.
    pub(crate) container: String,
    pub(crate) files: Vec<String>,
    pub(crate) extract_code: String,
    pub(crate) comment: String,
    pub(crate) permission: Value,
    pub(crate) audience: BTreeMap<&'static str, Vec<String>>,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) is_cancelled: bool,
    /// Made by somebody else, for the user of this drive.
    pub(crate) is_foreign: bool,
    /// Share listings to come before it is in one.
    pub(crate) hidden_for: u32,
    pub(crate) views: u64,
    pub(crate) downloads: u64,
    pub(crate) saves: u64,
    /// How often its code was verified; each time gives another token.
    pub(crate) verifications: u64,
    pub(crate) visit_tokens: HashSet<String>,
}

impl ShareBook {
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("share lock")
    }
}

impl Pages {
    /// Enters a share of `files` in a space for seven days, for everyone; the caller changes what
    /// differs.
    pub(crate) fn add_share(
        &mut self,
        container: &str,
        files: Vec<String>,
        now: Timestamp,
    ) -> &mut Share {
        let number = FIRST_SHARE + self.shares.len() as u64;
        let short_url = sha256_hex(format!("share\n{number}").as_bytes())[..8].to_owned();
        self.shares.entry(number).or_insert(Share {
            number,
            short_url,
            scope: 1,
            container: container.into(),
            files,
            extract_code: String::new(),
            comment: String::new(),
            permission: Value::Null,
            audience: BTreeMap::new(),
            created: now,
            updated: now,
            expires: now + Duration::from_secs(7 * 86_400),
            is_cancelled: false,
            is_foreign: false,
            hidden_for: 0,
            views: 0,
            downloads: 0,
            saves: 0,
            verifications: 0,
            visit_tokens: HashSet::new(),
        })
    }

    /// As [`Pages::add_share`], made by somebody else.
    pub(crate) fn add_share_of_others(&mut self, files: Vec<String>, now: Timestamp) -> &mut Share {
        let share = self.add_share(OTHERS_SPACE, files, now);
        share.is_foreign = true;
        share
    }

    /// The share with this id, whoever made it.
    pub(crate) fn share(&mut self, id: u64) -> Result<&mut Share, Failure> {
        self.shares.get_mut(&id).ok_or_else(Failure::gone)
    }

    pub(crate) fn next_task(&self) -> u64 {
        FIRST_TASK + self.tasks.len() as u64
    }

    /// A share of this drive's user that is not cancelled.
    pub(crate) fn own_share(&mut self, id: &str) -> Result<&mut Share, Failure> {
        let share = id
            .parse()
            .ok()
            .and_then(|number: u64| self.shares.get_mut(&number));
        let share = share.filter(|share| !share.is_cancelled && !share.is_foreign);
        share.ok_or_else(Failure::gone)
    }

    /// The share that a visitor names by its short address.
    pub(crate) fn visited(&mut self, short_url: &str) -> Result<&mut Share, Failure> {
        let mut shares = self.shares.values_mut();
        shares
            .find(|share| share.short_url == short_url)
            .ok_or_else(Failure::gone)
    }

    /// As [`Pages::visited`], where the visit is allowed to go on to the files.
    pub(crate) fn entered(&mut self, call: &Call, now: Timestamp) -> Result<&mut Share, Failure> {
        let short_url = call
            .text("shortUrl")
            .ok_or_else(|| Failure::parameter("shortUrl"))?;
        let share = self.visited(short_url)?;
        share.check_visit(call.text("kdstoken"), now)?;
        Ok(share)
    }
}

impl Share {
    pub(crate) fn id(&self) -> String {
        self.number.to_string()
    }

    pub(crate) fn link_url(&self) -> String {
        format!("{LINK_BASE}{}", self.short_url)
    }

    /// 1 deleted, 3 expired, 0 open.
    pub(crate) fn state(&self, now: Timestamp) -> u64 {
        match (self.is_cancelled, now >= self.expires) {
            (true, _) => 1,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    /// Refuses calls that are about another space than the one that the files are in.
    pub(crate) fn check_container(&self, container: Option<&str>) -> Result<(), Failure> {
        match container {
            None | Some("") => Err(Failure::parameter("containerId")),
            Some(id) if id == self.container => Ok(()),
            Some(_) => Err(Failure::new(13_000_301, "space does not exist")),
        }
    }

    /// Whether a visitor with this token may use the share.
    pub(crate) fn check_visit(&self, token: Option<&str>, now: Timestamp) -> Result<(), Failure> {
        if self.state(now) != 0 {
            return Err(Failure::gone());
        }
        let is_known = token.is_some_and(|token| self.visit_tokens.contains(token));
        if self.extract_code.is_empty() || is_known {
            return Ok(());
        }
        Err(Failure::new(
            13_000_410,
            "the extract code must be verified first",
        ))
    }
}
