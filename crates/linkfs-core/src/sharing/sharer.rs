use std::sync::Arc;
use std::time::SystemTime;

use linkfs_provider::{ErrorKind, ItemId, Share, SharePassword, ShareState, ShareTerms};
use tokio::time::Instant;

use super::audit::{Attempt, Audit, AuditFile, Caller};
use super::shares::{self, DEADLINE};
use super::terms::TermsPatch;
use super::{SharePolicy, shown};
use crate::{Drive, Error, Result};

/// "It is not shared" is said from a list of at most this age: who revokes wants to be sure.
const SURE_AGE: std::time::Duration = std::time::Duration::from_secs(5);

/// Whether setting an attribute may make it, change it, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetMode {
    /// Whichever is needed.
    Any,
    /// It must not be there yet.
    Create,
    /// It must be there already.
    Replace,
}

/// What is to be shared.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) drive: Arc<Drive>,
    pub(crate) item: ItemId,
    pub(crate) is_folder: bool,
    /// From the drive's top, without a slash before it.
    pub(crate) path: String,
    /// The same by the names that the drive has, which may be shown otherwise.
    pub(crate) path_on_drive: String,
}

impl Target {
    /// What a share of it is called: as the drive calls the item, or as the drive itself is called.
    fn name(&self) -> &str {
        match self.path_on_drive.rsplit('/').next() {
            Some("") | None => self.drive.name(),
            Some(name) => name,
        }
    }
}

/// What a request about shares asks to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareFact {
    Address,
    Password,
    Info,
}

/// Makes, shows and revokes shares, within what the configuration allows.
#[derive(Debug)]
pub(crate) struct Sharer {
    policy: SharePolicy,
    audit: Audit,
}

impl Sharer {
    pub(crate) fn new(policy: SharePolicy, audit: Option<AuditFile>) -> Sharer {
        Sharer {
            policy,
            audit: Audit::new(audit),
        }
    }

    /// Whether nothing is made, changed or revoked.
    pub(crate) fn only_rehearses(&self) -> bool {
        self.policy.dry_run
    }

    /// What is known of the share of an item.
    ///
    /// # Errors
    /// `NoAttribute` when there is none, and what the drive says.
    pub(crate) async fn get(
        &self,
        target: &Target,
        fact: ShareFact,
        deadline: Instant,
    ) -> Result<String> {
        let shares = &target.drive.shares;
        shares::sharing(&target.drive)?;
        shares
            .learn_of(&target.drive, &target.item, deadline)
            .await?;
        let known = shares.lock();
        let open = known.open_share_of(&target.item);
        let shown = match fact {
            ShareFact::Address => open.map(|share| shown::address(&share)),
            ShareFact::Password => open.and_then(|share| shown::password(&share)),
            ShareFact::Info => {
                let all = known.all_of(&target.item);
                let drive = target.drive.name();
                (!all.is_empty()).then(|| shown::info(drive, open.as_deref(), &all))
            }
        };
        shown.ok_or(Error::NoAttribute)
    }

    /// Shares an item, or changes the terms of its open share.
    ///
    /// # Errors
    /// `BadTerms`, `Forbidden`, `AlreadyShared`, `NoAttribute`, and what the drive says.
    pub(crate) async fn set(
        &self,
        target: &Target,
        text: &[u8],
        mode: SetMode,
        caller: &Caller,
    ) -> Result<()> {
        let mut attempt = self
            .audit
            .attempt(caller, "share", target.drive.name(), &target.path);
        let result = within("share", self.try_set(target, text, mode, &mut attempt)).await;
        self.conclude(&attempt, result).await
    }

    async fn try_set(
        &self,
        target: &Target,
        text: &[u8],
        mode: SetMode,
        attempt: &mut Attempt,
    ) -> Result<&'static str> {
        let deadline = Instant::now() + DEADLINE;
        shares::sharing(&target.drive)?;
        let patch = TermsPatch::parse(text)?;
        // Before the drive is asked for anything: what is wrong with a new share is wrong with a change too.
        let defaults = &self.policy.defaults;
        let terms = self.allowed(target, patch.clone(), defaults.clone(), attempt)?;
        // Where the drive takes the usual terms, what it does not take is what was given.
        let sharing = shares::sharing(&target.drive)?;
        if sharing.check(defaults).await.is_ok() {
            sharing.check(&terms).await?;
        }
        if self.policy.dry_run {
            return Ok("dry run");
        }
        let shares = &target.drive.shares;
        let _waiting = shares.wait();
        let _turn = shares.turn(&target.item).await;
        shares
            .learn_of(&target.drive, &target.item, deadline)
            .await?;
        self.set_known(target, patch, mode, attempt, deadline).await
    }

    /// Shares an item, or changes its share, as the shares are known now.
    async fn set_known(
        &self,
        target: &Target,
        patch: TermsPatch,
        mode: SetMode,
        attempt: &mut Attempt,
        deadline: Instant,
    ) -> Result<&'static str> {
        let shares = &target.drive.shares;
        let open = shares.lock().open_share_of(&target.item);
        let Some(open) = open else {
            if mode == SetMode::Replace {
                return Err(Error::NoAttribute);
            }
            // Anew: a date is nearer after all the waiting.
            let terms = self.allowed(target, patch, self.policy.defaults.clone(), attempt)?;
            self.audit.note_asked(attempt).await?;
            shares
                .share(
                    &target.drive,
                    std::slice::from_ref(&target.item),
                    target.name(),
                    &terms,
                    deadline,
                )
                .await?;
            return Ok("shared");
        };
        if mode == SetMode::Create {
            return Err(already("it is shared already"));
        }
        if patch.is_empty() {
            return Ok("unchanged");
        }
        if open.state == ShareState::Pending {
            return Err(already(
                "the drive is still making its share; change it when that is done",
            ));
        }
        let terms = self.allowed(target, patch.clone(), terms_in_force(&open), attempt)?;
        self.audit.note_asked(attempt).await?;
        let changed = shares
            .reshare(&target.drive, &open.id, &terms, deadline)
            .await;
        match changed {
            Ok(()) => Ok("changed"),
            // It was revoked elsewhere. Of what is left, the next look decides.
            Err(Error::Drive(error)) if error.kind == ErrorKind::NotFound => {
                shares.lock().remove(&open.id);
                let again = self.set_known(target, patch, mode, attempt, deadline);
                Box::pin(again).await
            }
            Err(error) => Err(cannot_change(error)),
        }
    }

    /// Whether the configuration allows it, by the names that are shown and by those that the drive has.
    fn check(&self, target: &Target, terms: &ShareTerms) -> Result<()> {
        [&target.path, &target.path_on_drive]
            .into_iter()
            .try_for_each(|path| self.policy.check(path, target.is_folder, terms))
    }

    /// `patch` over `base`, when the configuration allows that.
    fn allowed(
        &self,
        target: &Target,
        patch: TermsPatch,
        base: ShareTerms,
        attempt: &mut Attempt,
    ) -> Result<ShareTerms> {
        let terms = patch.over(base, SystemTime::now())?;
        attempt.terms(&terms);
        self.check(target, &terms)?;
        Ok(terms)
    }

    /// What is known of the open share of an item, without asking.
    pub(crate) fn open_share(&self, target: &Target) -> Option<Arc<Share>> {
        target.drive.shares.lock().open_share_of(&target.item)
    }

    /// Shares several items of one drive by one link. Those that are shared so already stay as they are. Gives
    /// nothing when the configuration only rehearses.
    ///
    /// # Errors
    /// As [`Sharer::set`]; `BadTerms` for items of several drives.
    pub(crate) async fn share_together(
        &self,
        targets: &[Target],
        text: &[u8],
        caller: &Caller,
    ) -> Result<Option<Arc<Share>>> {
        let (Some(first), paths) = (targets.first(), paths_of(targets)) else {
            return Err(Error::BadTerms("there is nothing to share".into()));
        };
        let mut attempt = self
            .audit
            .attempt(caller, "share", first.drive.name(), &paths);
        let sharing = self.try_share_together(first, targets, text, &mut attempt);
        let result = within("share", sharing).await;
        let shared = result.as_ref().ok().cloned().flatten();
        let said = match &shared {
            Some(_) => "shared",
            None => "dry run",
        };
        self.conclude(&attempt, result.map(|_| said)).await?;
        Ok(shared)
    }

    async fn try_share_together(
        &self,
        first: &Target,
        targets: &[Target],
        text: &[u8],
        attempt: &mut Attempt,
    ) -> Result<Option<Arc<Share>>> {
        let deadline = Instant::now() + DEADLINE;
        let (drive, shares) = (&first.drive, &first.drive.shares);
        shares::sharing(drive)?;
        if targets
            .iter()
            .any(|target| target.drive.name() != drive.name())
        {
            let why = "what is shared by one link must be on one drive";
            return Err(Error::BadTerms(why.into()));
        }
        let patch = TermsPatch::parse(text)?;
        let terms = self.allowed(first, patch, self.policy.defaults.clone(), attempt)?;
        for target in targets {
            self.check(target, &terms)?;
        }
        if self.policy.dry_run {
            return Ok(None);
        }
        let items: Vec<_> = targets.iter().map(|target| target.item.clone()).collect();
        let _waiting = shares.wait();
        let _turns = shares.turns(&items).await;
        shares.learn(drive, shares::LIST_AGE, deadline).await?;
        if !shares.lock().open_shares_of_exactly(&items).is_empty() {
            return Err(already("these are shared by one link already"));
        }
        self.audit.note_asked(attempt).await?;
        let share = shares
            .share(drive, &items, first.name(), &terms, deadline)
            .await?;
        Ok(Some(share))
    }

    /// Revokes the open shares of exactly this item; when there is none, that is what was wanted.
    ///
    /// # Errors
    /// What the drive says.
    pub(crate) async fn remove(&self, target: &Target, caller: &Caller) -> Result<()> {
        let attempt = self
            .audit
            .attempt(caller, "unshare", target.drive.name(), &target.path);
        let result = within("revoke a share", self.try_remove(target, &attempt)).await;
        self.conclude(&attempt, result).await
    }

    async fn try_remove(&self, target: &Target, attempt: &Attempt) -> Result<&'static str> {
        let deadline = Instant::now() + DEADLINE;
        let (drive, shares) = (&target.drive, &target.drive.shares);
        shares::sharing(drive)?;
        if self.policy.dry_run {
            return Ok("dry run");
        }
        let _turn = shares.turn(&target.item).await;
        shares.learn_of(drive, &target.item, deadline).await?;
        let items = [target.item.clone()];
        let mut open = shares.lock().open_shares_of_exactly(&items);
        if open.is_empty() {
            shares.learn(drive, SURE_AGE, deadline).await?;
            open = shares.lock().open_shares_of_exactly(&items);
        }
        if open.is_empty() {
            return Ok("was not shared");
        }
        // What is open must be closed, whether that can be written down or not.
        let _told = self.audit.note_asked(attempt).await;
        for share in open {
            shares.unshare(drive, &share.id, deadline).await?;
        }
        Ok("revoked")
    }

    /// Revokes a share by itself.
    ///
    /// # Errors
    /// What the drive says.
    pub(crate) async fn revoke(&self, drive: &Drive, share: &Share, caller: &Caller) -> Result<()> {
        let attempt = self
            .audit
            .attempt(caller, "unshare", drive.name(), &share.name);
        let revoked = async {
            let deadline = Instant::now() + DEADLINE;
            if self.policy.dry_run {
                return Ok("dry run");
            }
            let _turns = drive.shares.turns(&share.items).await;
            let _told = self.audit.note_asked(&attempt).await;
            drive.shares.unshare(drive, &share.id, deadline).await?;
            Ok("revoked")
        };
        let result = within("revoke a share", revoked).await;
        self.conclude(&attempt, result).await
    }

    async fn conclude(&self, attempt: &Attempt, result: Result<&'static str>) -> Result<()> {
        // What was done is done: that it was asked for is written down already.
        let _told = self.audit.note_result(attempt, &result).await;
        result.map(drop)
    }
}

/// `work` under the deadline of sharing. The calls in it end by then with what the drive said last, and only what
/// is not a call ends here.
async fn within<T>(what: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let last = DEADLINE + std::time::Duration::from_secs(1);
    let ended = tokio::time::timeout(last, work).await;
    ended.unwrap_or_else(|_elapsed| {
        Err(Error::Deadline {
            what: what.to_owned(),
            waited: DEADLINE,
        })
    })
}

/// The terms of an open share, as they would be given anew.
fn terms_in_force(share: &Share) -> ShareTerms {
    let mut terms = share.terms.clone();
    if let Some(end) = share.expires {
        let left = end.duration_since(SystemTime::now()).unwrap_or_default();
        terms.valid_for = Some(left);
    }
    if let Some(code) = &share.password {
        terms.password = SharePassword::Given(code.clone());
    }
    terms
}

fn paths_of(targets: &[Target]) -> String {
    let paths: Vec<_> = targets.iter().map(|target| target.path.as_str()).collect();
    paths.join(", ")
}

fn already(why: &str) -> Error {
    Error::AlreadyShared(why.to_owned())
}

fn cannot_change(error: Error) -> Error {
    match error {
        Error::Drive(reason) if reason.kind == ErrorKind::Unsupported => already(&format!(
            "it is shared already, and the drive cannot change that share: {reason}"
        )),
        other => other,
    }
}

#[cfg(test)]
#[path = "sharer_tests.rs"]
mod tests;
