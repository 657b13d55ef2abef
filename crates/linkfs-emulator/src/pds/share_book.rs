use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::answer::Failure;
use crate::digest::sha256_hex;

/// Every share link of the drive, oldest first, and the tokens of who visits them.
#[derive(Debug, Default)]
pub(crate) struct ShareBook(Mutex<Pages>);

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) shares: Vec<Share>,
    tokens: HashMap<String, ShareToken>,
    issued: u64,
}

/// A share link, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    pub id: String,
    pub name: String,
    /// The tree's ids of what is shared; empty when all of the drive is.
    pub files: Vec<String>,
    pub shares_all_files: bool,
    /// Empty for none.
    pub password: String,
    pub description: String,
    /// `None` for never.
    pub expires: Option<Timestamp>,
    pub switches: Switches,
    pub limits: Limits,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub is_cancelled: bool,
    pub visits: u64,
    pub previews: u64,
    pub downloads: u64,
    pub saves: u64,
}

/// What visitors may not do, or have to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    pub disable_preview: bool,
    pub disable_save: bool,
    pub disable_download: bool,
    pub office_editable: bool,
    pub require_login: bool,
    pub creatable: bool,
}

/// How often visitors may do something; 0 is as often as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub preview: u64,
    pub save: u64,
    pub download: u64,
}

#[derive(Debug)]
struct ShareToken {
    share: String,
    ends: Timestamp,
}

impl ShareBook {
    pub(crate) fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("share lock")
    }
}

impl Pages {
    /// The next share to be entered: of `files`, for everyone and for ever.
    pub(crate) fn draft(&self, files: Vec<String>, name: String, now: Timestamp) -> Share {
        let number = self.shares.len();
        let id = sha256_hex(format!("share link\n{number}").as_bytes())[..11].to_owned();
        Share {
            id,
            name,
            files,
            shares_all_files: false,
            password: String::new(),
            description: String::new(),
            expires: None,
            switches: Switches::default(),
            limits: Limits::default(),
            created: now,
            updated: now,
            is_cancelled: false,
            visits: 0,
            previews: 0,
            downloads: 0,
            saves: 0,
        }
    }

    /// The share with this id, in whatever state.
    pub(crate) fn share(&mut self, id: &str) -> Result<&mut Share, Failure> {
        let share = self.shares.iter_mut().find(|share| share.id == id);
        share.ok_or_else(|| Failure::gone("ShareLink"))
    }

    /// The share with this id, while it is open.
    pub(crate) fn open_share(&mut self, id: &str, now: Timestamp) -> Result<&mut Share, Failure> {
        let share = self.share(id)?;
        match share.is_open(now) {
            true => Ok(share),
            false => Err(Failure::gone("ShareLink")),
        }
    }

    /// A token for the visitors of a share. `secret` makes it hard to guess.
    pub(crate) fn token(&mut self, share: &str, secret: &str, ends: Timestamp) -> String {
        self.issued += 1;
        let hash = sha256_hex(format!("{secret}\nvisit\n{share}\n{}", self.issued).as_bytes());
        let token = format!("fake-share-token-{}", &hash[..24]);
        let share = share.to_owned();
        self.tokens
            .insert(token.clone(), ShareToken { share, ends });
        token
    }

    /// Refuses a token that is not of this share, or is over.
    pub(crate) fn check_token(
        &self,
        token: &str,
        share: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let known = self.tokens.get(token);
        if known.is_some_and(|known| known.share == share && now < known.ends) {
            return Ok(());
        }
        let text = "ShareLinkToken is invalid";
        Err(Failure::new(401, "ShareLinkTokenInvalid", text))
    }

    /// Ends every token of visitors.
    pub(crate) fn expire_tokens(&mut self) {
        self.tokens.clear();
    }
}

impl Share {
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        !self.is_cancelled && !self.is_expired(now)
    }
}

/// When a token that is asked for now ends.
pub(crate) fn token_end(now: Timestamp, life_s: u64) -> Timestamp {
    now + Duration::from_secs(life_s)
}
