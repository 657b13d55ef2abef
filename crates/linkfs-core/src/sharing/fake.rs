//! A drive that shares, for tests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use linkfs_provider::{
    About, ErrorKind, Item, ItemId, Link, Page, PageToken, Provider, ProviderError,
    Result as Answer, Secret, Share, ShareCounters, ShareId, SharePage, SharePassword, ShareState,
    ShareTerms, Sharing, async_trait,
};

use super::SharePolicy;
use crate::{Drive, DriveOptions};

/// An open share with usual terms.
pub(crate) fn share(id: &str, items: &[&str]) -> Share {
    let terms = SharePolicy::default().defaults;
    Share {
        id: ShareId(id.to_owned()),
        name: format!("{}.txt", items[0]),
        items: items.iter().map(|item| ItemId::from(*item)).collect(),
        url: format!("https://example.test/{id}"),
        password: None,
        created: None,
        expires: terms.valid_for.map(|time| SystemTime::now() + time),
        terms,
        state: ShareState::Open,
        counters: ShareCounters::default(),
    }
}

/// How long a share may stay open there.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Answers like a drive, unless its script says otherwise.
#[derive(Debug)]
pub(crate) struct FakeDrive {
    pub(crate) about: About,
    pub(crate) state: Mutex<State>,
    /// How long each call takes.
    pub(crate) delay: Duration,
    pub(crate) can_share: bool,
    pub(crate) can_reshare: bool,
    /// New shares stay pending.
    pub(crate) is_slow: bool,
    pub(crate) page_size: usize,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    shares: Vec<Share>,
    /// What the next calls answer instead.
    script: VecDeque<ProviderError>,
    /// Which calls were made.
    calls: Vec<&'static str>,
    count: usize,
}

impl Default for FakeDrive {
    fn default() -> Self {
        FakeDrive {
            about: About {
                root: "0".into(),
                links_per_call: 1,
                calls_in_flight: 4,
                lists_oldest_first: true,
                listing_ttl: None,
            },
            state: Mutex::default(),
            delay: Duration::ZERO,
            can_share: true,
            can_reshare: true,
            is_slow: false,
            page_size: 100,
        }
    }
}

impl FakeDrive {
    /// The drive as the core uses it.
    pub(crate) fn open(self) -> (Arc<Drive>, Arc<FakeDrive>) {
        let provider = Arc::new(self);
        let options = DriveOptions {
            deadline: Duration::from_secs(10),
            allow_private_hosts: false,
            root: None,
            identity: None,
            saved_listings: None,
        };
        let drive = Drive::new("work", provider.clone(), options).unwrap();
        (drive, provider)
    }

    /// Somebody shares elsewhere.
    pub(crate) fn add(&self, share: Share) {
        self.lock().shares.insert(0, share);
    }

    /// Somebody revokes all shares elsewhere.
    pub(crate) fn clear(&self) {
        self.lock().shares.clear();
    }

    /// The next call answers with an error.
    pub(crate) fn refuse(&self, kind: ErrorKind, retry_after: Option<u64>) {
        let error = ProviderError::new(kind, "no");
        let error = error.with_retry_after(retry_after.map(Duration::from_secs));
        self.lock().script.push_back(error);
    }

    /// The calls since this was asked last.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.lock().calls)
    }

    pub(crate) fn shares(&self) -> Vec<Share> {
        self.lock().shares.clone()
    }

    async fn answer(&self, call: &'static str) -> Answer<()> {
        self.lock().calls.push(call);
        tokio::time::sleep(self.delay).await;
        match self.lock().script.pop_front() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl Provider for FakeDrive {
    fn about(&self) -> &About {
        &self.about
    }

    async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Answer<Page> {
        self.answer("list").await?;
        Ok(Page::default())
    }

    async fn stat(&self, _item: &ItemId) -> Answer<Item> {
        Err(ProviderError::unsupported("stat"))
    }

    async fn links(&self, _files: &[ItemId]) -> Vec<Answer<Link>> {
        Vec::new()
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        self.can_share.then_some(self)
    }
}

#[async_trait]
impl Sharing for FakeDrive {
    async fn check(&self, terms: &ShareTerms) -> Answer<()> {
        match terms.valid_for {
            Some(time) if time > LONGEST => Err(ProviderError::new(ErrorKind::Invalid, "too long")),
            _ => Ok(()),
        }
    }

    async fn share(&self, items: &[ItemId], terms: &ShareTerms) -> Answer<Share> {
        self.answer("share").await?;
        let mut state = self.lock();
        state.count += 1;
        let items: Vec<_> = items.iter().map(|item| item.as_str()).collect();
        let mut made = share(&format!("s{}", state.count), &items);
        apply(&mut made, terms);
        if self.is_slow {
            // Its number and what was asked for is all that is known of it.
            made.state = ShareState::Pending;
            (made.name, made.expires) = (String::new(), None);
        } else {
            state.shares.insert(0, made.clone());
        }
        Ok(made)
    }

    async fn reshare(&self, share: &ShareId, terms: &ShareTerms) -> Answer<Share> {
        self.answer("reshare").await?;
        if !self.can_reshare {
            return Err(ProviderError::unsupported("change a share"));
        }
        let mut state = self.lock();
        let known = state.shares.iter_mut().find(|known| known.id == *share);
        let known =
            known.ok_or_else(|| ProviderError::new(ErrorKind::NotFound, "no such share"))?;
        apply(known, terms);
        Ok(known.clone())
    }

    async fn unshare(&self, share: &ShareId) -> Answer<()> {
        self.answer("unshare").await?;
        self.lock().shares.retain(|known| known.id != *share);
        Ok(())
    }

    async fn shares(&self, after: Option<&PageToken>) -> Answer<SharePage> {
        self.answer("shares").await?;
        let start = after.map_or(0, |token| token.0.parse().unwrap());
        let state = self.lock();
        let end = (start + self.page_size).min(state.shares.len());
        Ok(SharePage {
            shares: state.shares[start..end].to_vec(),
            next: (end < state.shares.len()).then(|| PageToken(end.to_string())),
        })
    }
}

fn apply(share: &mut Share, terms: &ShareTerms) {
    share.expires = terms.valid_for.map(|time| SystemTime::now() + time);
    share.password = match &terms.password {
        SharePassword::None => None,
        SharePassword::Auto => Some(Secret::new("auto-code".to_owned())),
        SharePassword::Given(code) => Some(code.clone()),
    };
    share.terms = terms.clone();
}
