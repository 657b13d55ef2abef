//! Shares of files and folders: roles that members have by us, and the address of the page. There is one
//! share of each file, named by its lasting id.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use linkfs_provider::{
    Audience, ErrorKind, ItemId, PageToken, ProviderError, Result, Share, ShareCounters, ShareId,
    SharePage, SharePassword, ShareState, ShareTerms, Sharing, async_trait,
};
use linkfs_provider_http::settings::invalid;
use linkfs_provider_http::{status, timestamp, value};
use serde_json::{Value, json};
use tracing::debug;

use crate::dentry;
use crate::drive::DingTalk;
use crate::permissions::{FOR_THE_ORGANIZATION, Permissions, Scope, for_the_organization};
use crate::share_book::{OpenBook, Record};
use crate::share_plan::{Before, plan};
use crate::share_terms::{self, CONVERSATION, DEPARTMENT, Member, Role, USER, Wanted};
use crate::space::TOP;

/// How many shares a page has. Each costs a call or more, to see whether it is as it was, one after the
/// other: a page of slow ones must still come before whoever asks for it gives up.
const PAGE_SIZE: usize = 5;

/// What is to be shared, as the drive tells of it.
struct Target {
    uuid: String,
    item: ItemId,
    name: String,
}

impl DingTalk {
    fn permissions(&self) -> Permissions<'_> {
        Permissions {
            account: &self.account,
            space: &self.space,
            organization: &self.organization,
        }
    }

    async fn make(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        let wanted = share_terms::check(terms)?;
        let item = match items {
            [item] if item.as_str() == TOP => {
                return Err(invalid(
                    "the top folder of a space cannot be shared: share what is in it",
                ));
            }
            [item] => item,
            _ => return Err(invalid("DingTalk shares one file or folder at a time")),
        };
        let target = self.target(item).await?;
        let mut book = self.shares.open().await?;
        self.settle(&mut book, target, wanted, terms.note.clone())
            .await
    }

    async fn change(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        let wanted = share_terms::check(terms)?;
        let mut book = self.shares.open().await?;
        let known = book.records.get(&share.0);
        let known = known.filter(|record| record.space == self.space.id);
        let known = known.ok_or_else(|| {
            let message = "no such share was made from here";
            ProviderError::new(ErrorKind::NotFound, message)
        })?;
        let target = Target {
            uuid: share.0.clone(),
            item: known.item.as_str().into(),
            name: known.name.clone(),
        };
        self.settle(&mut book, target, wanted, terms.note.clone())
            .await
    }

    /// Takes back what was given, and nothing else.
    async fn revoke(&self, share: &ShareId) -> Result<()> {
        let mut book = self.shares.open().await?;
        let Some(record) = book.records.get(&share.0).cloned() else {
            return Ok(());
        };
        match self.take_back(&share.0, &record).await {
            // With the file went every role on it.
            Err(error) if error.kind == ErrorKind::NotFound => {}
            taken => taken?,
        }
        book.records.remove(&share.0);
        book.save()
    }

    async fn take_back(&self, uuid: &str, record: &Record) -> Result<()> {
        if !record.members.is_empty() {
            let now = self.permissions().members(uuid).await?;
            let before = Before {
                role: record.role,
                members: &record.members,
            };
            let plan = plan(Some(before), record.role, &BTreeSet::new(), &now);
            self.carry_out(uuid, plan.steps).await?;
        }
        match &record.scope_before {
            Some(before) => self.restore_scope(uuid, before).await,
            None => Ok(()),
        }
    }

    /// Gives a file the terms that are wanted, whatever share of it there was. What may have been given
    /// is on disk before it is given.
    async fn settle(
        &self,
        book: &mut OpenBook<'_>,
        target: Target,
        wanted: Wanted,
        note: Option<String>,
    ) -> Result<Share> {
        let uuid = target.uuid.as_str();
        let old = book.records.get(uuid).cloned();
        let (role, members) = match wanted {
            Wanted::Members(role, members) => (role, members),
            Wanted::Organization => (Role::Reader, BTreeSet::new()),
        };
        let is_for_all = members.is_empty();
        let now = self.permissions().members(uuid).await?;
        let before = old.as_ref().map(|old| Before {
            role: old.role,
            members: &old.members,
        });
        let plan = plan(before, role, &members, &now);
        let old_scope = old.as_ref().and_then(|old| old.scope_before.clone());
        let scope_before = match (is_for_all, &old_scope) {
            (true, None) => Some(self.scope_to_restore(uuid).await?),
            _ => old_scope.clone().filter(|_| is_for_all),
        };
        let record = Record {
            space: self.space.id.clone(),
            item: target.item.0.clone(),
            name: target.name.clone(),
            serial: old
                .as_ref()
                .map_or_else(|| book.next_serial(), |old| old.serial),
            created_ms: old
                .as_ref()
                .map_or_else(|| self.now_ms(), |old| old.created_ms),
            note,
            role,
            members: plan.given,
            scope_before,
        };
        let meanwhile = meanwhile(&record, old.as_ref());
        book.records.insert(uuid.to_owned(), meanwhile);
        book.save()?;
        self.carry_out(uuid, plan.steps).await?;
        match (is_for_all, &old_scope) {
            (true, _) => {
                let scope = for_the_organization();
                self.permissions().set_scope(uuid, &scope).await?;
            }
            (false, Some(before)) => self.restore_scope(uuid, before).await?,
            (false, None) => {}
        }
        book.records.insert(uuid.to_owned(), record.clone());
        book.save()?;
        self.told(uuid, &record, Some(&record.members_alone()))
    }

    async fn carry_out(
        &self,
        uuid: &str,
        steps: BTreeMap<(crate::share_plan::Order, Role), Vec<Member>>,
    ) -> Result<()> {
        for ((order, role), members) in steps {
            let permissions = self.permissions();
            permissions
                .change(order.change(), uuid, role, &members)
                .await?;
        }
        Ok(())
    }

    /// The scope to go back to. Without one, sharing could not be taken back.
    async fn scope_to_restore(&self, uuid: &str) -> Result<Scope> {
        let scope = self.permissions().scope(uuid).await?;
        scope.ok_or_else(|| {
            let message = "DingTalk does not tell who can see the file now, so sharing it with the \
                           organization could not be revoked: give audience=members";
            ProviderError::new(ErrorKind::Unsupported, message)
        })
    }

    /// Sets the scope as it was, unless somebody has set another since.
    async fn restore_scope(&self, uuid: &str, before: &Scope) -> Result<()> {
        let permissions = self.permissions();
        match permissions.scope(uuid).await? {
            Some(now) if !is_for_the_organization(&now) => Ok(()),
            _ => permissions.set_scope(uuid, before).await,
        }
    }

    async fn target(&self, item: &ItemId) -> Result<Target> {
        let body = json!({"option": {"withThumbnail": false}});
        let call = self.space.post_dentry("detail", item, "/query", &body)?;
        let answer = self.account.call(&call).await?;
        let fields = answer.get("dentry").and_then(Value::as_object);
        let uuid = fields.and_then(|fields| value::text_of(fields, "uuid"));
        let dentry = crate::drive::dentry_in(&answer, item)?;
        let uuid = uuid.ok_or_else(|| {
            let message = "the answer makes no sense: the item has no lasting id";
            ProviderError::new(ErrorKind::Broken, message)
        })?;
        Ok(Target {
            uuid,
            item: item.clone(),
            name: dentry.item.name,
        })
    }

    /// The shares of this space after `after`, as they are now, newest first.
    async fn share_page(&self, after: Option<&PageToken>) -> Result<SharePage> {
        let after = after.map(|after| after.0.parse::<u64>());
        let after = after.transpose().map_err(|_| invalid("no such page"))?;
        let records = self.shares.records()?;
        let mut ours: Vec<_> = records
            .iter()
            .filter(|(_, record)| record.space == self.space.id)
            .filter(|(_, record)| after.is_none_or(|after| record.serial < after))
            .collect();
        ours.sort_by_key(|(_, record)| Reverse(record.serial));
        let has_more = ours.len() > PAGE_SIZE;
        ours.truncate(PAGE_SIZE);
        let last = ours.last().filter(|_| has_more);
        let next = last.map(|(_, record)| PageToken(record.serial.to_string()));
        let mut shares = Vec::new();
        for (uuid, record) in ours {
            shares.push(self.checked_or_written(uuid, record).await?);
        }
        Ok(SharePage { shares, next })
    }

    /// A share as far as it is still so, or, where the drive does not let that be seen, as it was
    /// written: one file that cannot be checked must not hide what can be revoked.
    async fn checked_or_written(&self, uuid: &str, record: &Record) -> Result<Share> {
        match self.checked(uuid, record).await {
            Err(error) if is_lasting(&error) => {
                debug!(%error, "a share is shown as it was made");
                self.told(uuid, record, Some(&record.members_alone()))
            }
            share => share,
        }
    }

    /// A share as far as it is still so.
    async fn checked(&self, uuid: &str, record: &Record) -> Result<Share> {
        if record.is_for_all() {
            let scope = self.permissions().scope(uuid).await?;
            let is_open = scope.is_none_or(|scope| is_for_the_organization(&scope));
            return self.told(uuid, record, is_open.then(BTreeSet::new).as_ref());
        }
        let now = self.permissions().members(uuid).await?;
        let left = record.members_alone();
        let left: BTreeSet<_> = left.into_iter().filter(|m| now.contains_key(m)).collect();
        self.told(uuid, record, (!left.is_empty()).then_some(&left))
    }

    /// The share that a record is about, which is open for `members`, or for nobody any more.
    fn told(
        &self,
        uuid: &str,
        record: &Record,
        members: Option<&BTreeSet<Member>>,
    ) -> Result<Share> {
        let of = |kind: &str| {
            let all = record.members_alone();
            let members = members.unwrap_or(&all);
            let its = members.iter().filter(|member| member.kind == kind);
            its.map(|member| member.id.clone()).collect()
        };
        let audience = match record.is_for_all() {
            true => Audience::Organization,
            false => Audience::Members {
                users: of(USER),
                groups: of(CONVERSATION),
                departments: of(DEPARTMENT),
            },
        };
        Ok(Share {
            id: ShareId(uuid.to_owned()),
            name: record.name.clone(),
            items: vec![record.item.as_str().into()],
            url: dentry::page_of(uuid)?,
            password: None,
            terms: ShareTerms {
                valid_for: None,
                password: SharePassword::None,
                audience,
                permissions: record.role.permissions(),
                note: record.note.clone(),
            },
            created: time(record.created_ms),
            expires: None,
            state: match members {
                Some(_) => ShareState::Open,
                None => ShareState::Closed,
            },
            counters: ShareCounters::default(),
        })
    }

    fn now_ms(&self) -> i64 {
        let now = self.account.client().http.clock.now();
        timestamp::ms(now).unwrap_or_default()
    }
}

/// What is on disk while roles change: everyone who has something by us, or may have it soon.
fn meanwhile(record: &Record, old: Option<&Record>) -> Record {
    let mut meanwhile = record.clone();
    let Some(old) = old else { return meanwhile };
    let dropped = old.members.iter();
    let dropped = dropped.filter(|given| record.given(&given.member).is_none());
    meanwhile.members.extend(dropped.cloned());
    meanwhile.scope_before = record.scope_before.clone().or(old.scope_before.clone());
    meanwhile
}

/// Whether asking about the same file again would end in the same way, and about others need not.
fn is_lasting(error: &ProviderError) -> bool {
    let is_passing = status::is_temporary(error.kind) || error.kind == ErrorKind::LoginExpired;
    error.is_about_item || !is_passing
}

fn is_for_the_organization(scope: &Scope) -> bool {
    value::text_of(scope, "scope").as_deref() == Some(FOR_THE_ORGANIZATION)
}

fn time(ms: i64) -> Option<SystemTime> {
    let since = Duration::from_millis(ms.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[async_trait]
impl Sharing for DingTalk {
    async fn check(&self, terms: &ShareTerms) -> Result<()> {
        share_terms::check(terms).map(drop)
    }

    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Result<Share> {
        let share = self.make(items, terms).await;
        share.map_err(|error| error.during("share"))
    }

    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Result<Share> {
        let changed = self.change(share, terms).await;
        changed.map_err(|error| error.during("change the share"))
    }

    async fn unshare(&self, share: &ShareId) -> Result<()> {
        let revoked = self.revoke(share).await;
        revoked.map_err(|error| error.during("revoke the share"))
    }

    async fn shares(&self, after: Option<&PageToken>) -> Result<SharePage> {
        let page = self.share_page(after).await;
        page.map_err(|error| error.during("list the shares"))
    }
}
