use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use linkfs_provider::{ItemId, Share, ShareId, ShareState};
use tokio::time::Instant;

/// A share that the drive has not finished making is remembered this long when the drive's list does not show
/// it: without that it would be made a second time.
const PENDING_FOR: Duration = Duration::from_secs(600);

/// The shares of an account as they were listed last, and what we did to them since.
#[derive(Debug, Default)]
pub(super) struct KnownShares {
    /// When the drive was asked for the list.
    listed: Option<Instant>,
    shares: HashMap<ShareId, Arc<Share>>,
    /// The shares that an item is in, newest first.
    of_item: HashMap<ItemId, Vec<ShareId>>,
    /// What we did, and when: a list that was asked for before may not show it.
    changes: Vec<(Instant, Change)>,
    /// A change whose outcome nobody knows was tried then: a list from before is of no use.
    unsure_since: Option<Instant>,
    /// When the drive was asked for a list in vain, unless it has given one since.
    failed: Option<Instant>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(Arc<Share>),
    Gone(ShareId),
}

impl KnownShares {
    /// Whether a list is there that was asked for at most `age` ago.
    pub(super) fn is_younger_than(&self, age: Duration) -> bool {
        let listed = self.listed.filter(|listed| listed.elapsed() < age);
        listed.is_some_and(|listed| self.is_sure_of(listed))
    }

    /// Whether a list that was asked for at `listed` shows all that was tried.
    pub(super) fn is_sure_of(&self, listed: Instant) -> bool {
        self.unsure_since.is_none_or(|unsure| unsure < listed)
    }

    /// Something was tried that the drive may have done or not.
    pub(super) fn doubt(&mut self) {
        self.unsure_since = Some(Instant::now());
    }

    /// The drive was asked for a list in vain.
    pub(super) fn note_failure(&mut self) {
        self.failed = Some(Instant::now());
    }

    /// Whether that was so at most `age` ago.
    pub(super) fn has_failed_within(&self, age: Duration) -> bool {
        self.failed.is_some_and(|failed| failed.elapsed() < age)
    }

    /// Takes a list, newest first, that was asked for at `listed`.
    pub(super) fn replace(&mut self, listed: Instant, shares: Vec<Share>) {
        let changes = std::mem::take(&mut self.changes);
        *self = KnownShares {
            listed: Some(listed),
            unsure_since: self.unsure_since,
            ..KnownShares::default()
        };
        for share in shares.into_iter().rev() {
            self.insert(Arc::new(share));
        }
        for (at, change) in changes {
            let is_unseen = match &change {
                Change::Put(share) if share.state == ShareState::Pending => {
                    at.elapsed() < PENDING_FOR && self.of_exactly(&share.items).is_none()
                }
                _ => at >= listed,
            };
            if is_unseen {
                self.apply(at, change);
            }
        }
    }

    /// A share was made or changed by us.
    pub(super) fn put(&mut self, share: Share) -> Arc<Share> {
        let share = Arc::new(share);
        self.apply(Instant::now(), Change::Put(share.clone()));
        share
    }

    /// A share was revoked by us.
    pub(super) fn remove(&mut self, share: &ShareId) {
        self.apply(Instant::now(), Change::Gone(share.clone()));
    }

    fn apply(&mut self, at: Instant, change: Change) {
        match &change {
            Change::Put(share) => self.insert(share.clone()),
            Change::Gone(id) => {
                self.take_out(id);
                // A share that was still being made would come back with the next list.
                let is_of_it =
                    |change: &Change| matches!(change, Change::Put(share) if share.id == *id);
                self.changes.retain(|(_, change)| !is_of_it(change));
            }
        }
        self.changes.push((at, change));
    }

    fn insert(&mut self, share: Arc<Share>) {
        let is_new = !self.shares.contains_key(&share.id);
        if is_new {
            for item in &share.items {
                let ids = self.of_item.entry(item.clone()).or_default();
                // It may name an item twice.
                if ids.first() != Some(&share.id) {
                    ids.insert(0, share.id.clone());
                }
            }
        }
        self.shares.insert(share.id.clone(), share);
    }

    fn take_out(&mut self, id: &ShareId) {
        let Some(share) = self.shares.remove(id) else {
            return;
        };
        for item in &share.items {
            if let Some(ids) = self.of_item.get_mut(item) {
                ids.retain(|known| known != id);
            }
        }
    }

    /// The open share of exactly this item: the newest, and one that has an address before one that is still
    /// being made.
    pub(super) fn open_share_of(&self, item: &ItemId) -> Option<Arc<Share>> {
        self.of_exactly(std::slice::from_ref(item))
    }

    fn of_exactly(&self, items: &[ItemId]) -> Option<Arc<Share>> {
        let open = self.open_shares_of_exactly(items);
        let newest = open.iter().find(|share| share.state == ShareState::Open);
        newest.or_else(|| open.first()).cloned()
    }

    /// The open shares of exactly these items, newest first.
    pub(super) fn open_shares_of_exactly(&self, items: &[ItemId]) -> Vec<Arc<Share>> {
        let first = items.first().map(|item| self.all_of(item));
        let shares = first.unwrap_or_default().into_iter();
        // Drives list them in an order of their own.
        let in_order = |items: &[ItemId]| {
            let mut items = items.to_vec();
            items.sort();
            items.dedup();
            items
        };
        let wanted = in_order(items);
        shares
            .filter(|share| is_open(share) && in_order(&share.items) == wanted)
            .collect()
    }

    /// Every share that the item is in, newest first.
    pub(super) fn all_of(&self, item: &ItemId) -> Vec<Arc<Share>> {
        let ids = self.of_item.get(item).into_iter().flatten();
        ids.filter_map(|id| self.shares.get(id).cloned()).collect()
    }

    /// The share called `id`, when it is open.
    pub(super) fn open_share(&self, id: &ShareId) -> Option<Arc<Share>> {
        let share = self.shares.get(id);
        share.filter(|share| is_open(share)).cloned()
    }

    /// Every open share.
    pub(super) fn open_shares(&self) -> Vec<Arc<Share>> {
        let shares = self.shares.values();
        shares.filter(|share| is_open(share)).cloned().collect()
    }
}

fn is_open(share: &Share) -> bool {
    let is_over = share.expires.is_some_and(|end| end <= SystemTime::now());
    match share.state {
        ShareState::Open => !is_over,
        ShareState::Pending => true,
        ShareState::Expired | ShareState::Closed => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::share;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pending(id: &str) -> Share {
        Share {
            state: ShareState::Pending,
            ..share(id, &["a"])
        }
    }

    fn ids(shares: &[Arc<Share>]) -> Vec<&str> {
        shares.iter().map(|share| share.id.0.as_str()).collect()
    }

    fn open(known: &KnownShares, item: &str) -> Option<String> {
        let share = known.open_share_of(&ItemId::from(item))?;
        Some(share.id.0.clone())
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_open_share_of_just_this_item_counts() {
        let mut known = KnownShares::default();
        let over = Share {
            expires: Some(SystemTime::now() - SECOND),
            ..share("over", &["a"])
        };
        let closed = Share {
            state: ShareState::Closed,
            ..share("closed", &["a"])
        };
        let shares = vec![
            over,
            closed,
            pending("pending"),
            share("both", &["a", "b"]),
            share("2", &["a"]),
            share("1", &["a"]),
        ];
        known.replace(Instant::now(), shares);
        assert_eq!(open(&known, "a").as_deref(), Some("2"));
        assert_eq!(open(&known, "b"), None);
        let all = known.all_of(&ItemId::from("a"));
        assert_eq!(ids(&all), ["over", "closed", "pending", "both", "2", "1"]);
        let exact = known.open_shares_of_exactly(&[ItemId::from("a")]);
        assert_eq!(ids(&exact), ["pending", "2", "1"]);
        assert_eq!(known.open_shares().len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_that_names_its_item_twice_is_one_of_that_item() {
        let mut known = KnownShares::default();
        known.replace(Instant::now(), vec![share("twice", &["a", "a"])]);
        let item = ItemId::from("a");
        assert_eq!(ids(&known.all_of(&item)), ["twice"]);
        let exact = known.open_shares_of_exactly(std::slice::from_ref(&item));
        assert_eq!(ids(&exact), ["twice"]);
        known.remove(&ShareId("twice".to_owned()));
        assert_eq!(open(&known, "a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_asked_for_before_a_change_does_not_undo_it() {
        let mut known = KnownShares::default();
        let asked = Instant::now();
        known.put(share("new", &["a"]));
        known.remove(&ShareId("old".to_owned()));
        known.replace(asked, vec![share("old", &["b"])]);
        assert_eq!(open(&known, "a").as_deref(), Some("new"));
        assert_eq!(open(&known, "b"), None);
        tokio::time::advance(SECOND).await;
        known.replace(Instant::now(), vec![share("old", &["b"])]);
        assert_eq!(
            (open(&known, "a"), open(&known, "b").as_deref()),
            (None, Some("old"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_share_being_made_is_remembered_until_the_list_shows_it() {
        let mut known = KnownShares::default();
        known.put(pending("task"));
        tokio::time::advance(SECOND).await;
        known.replace(Instant::now(), Vec::new());
        assert_eq!(open(&known, "a").as_deref(), Some("task"));
        tokio::time::advance(SECOND).await;
        known.replace(Instant::now(), vec![share("made", &["a"])]);
        assert_eq!(open(&known, "a").as_deref(), Some("made"));
        assert_eq!(known.all_of(&ItemId::from("a")).len(), 1);
        known.put(pending("never"));
        tokio::time::advance(PENDING_FOR).await;
        known.replace(Instant::now(), Vec::new());
        assert_eq!(open(&known, "a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_share_keeps_its_place() {
        let mut known = KnownShares::default();
        known.replace(Instant::now(), vec![share("2", &["a"]), share("1", &["a"])]);
        let changed = Share {
            url: "https://example.test/changed".to_owned(),
            ..share("1", &["a"])
        };
        known.put(changed);
        let all = known.all_of(&ItemId::from("a"));
        assert_eq!(ids(&all), ["2", "1"]);
        assert_eq!(all[1].url, "https://example.test/changed");
        known.remove(&ShareId("2".to_owned()));
        assert_eq!(open(&known, "a").as_deref(), Some("1"));
    }
}
