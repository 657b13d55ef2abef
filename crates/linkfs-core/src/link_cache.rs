use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use linkfs_provider::{ErrorKind, ItemId, Link, ProviderError, SignedUrl};
use lru::LruCache;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::admission::Urgency;
use crate::drive::Ask;
use crate::host_scores::HostScores;
use crate::listing::Listing;
use crate::node::NodeId;
use crate::prepared_link::{self, PreparedLink};
use crate::walk::Walk;
use crate::{Drive, Error, Result, retry};

/// Links are renewed this long before they end, because one range request may take that long ...
const MARGIN: Duration = Duration::from_secs(60);
/// ... or after this share of their life, when they live shorter than five minutes.
const SHARE_OF_LIFE: f64 = 0.8;
/// Signatures of this kind hold a week at the most; a longer life would be a mistake of the drive's.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// A link is about 1 KiB, and twice that once it was used: this many are the links of the last few hundred
/// folders in use, in 16 to 32 MiB.
const MOST_LINKS: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("not zero");

/// The next batch is signed ahead when this part of one is left, or less: time for a call that takes as long as
/// reading so many files.
const LEFT_AHEAD: usize = 4;
/// Folders in which somebody may be walking.
const MOST_WALKS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

/// A link and how long it is good for, by our own clock.
#[derive(Debug)]
pub struct Lease {
    /// The link.
    pub link: Link,
    expires: Instant,
    renew_at: Instant,
    hosts: Arc<HostScores>,
    /// Host and port of each url.
    host_names: Vec<String>,
    /// From its first use on: many links of a batch are never used.
    prepared: OnceLock<Result<PreparedLink, String>>,
    /// Index of the url that failed last, where one has.
    failed_url: AtomicUsize,
}

impl Lease {
    /// # Errors
    /// `Broken` for a link that leads nowhere.
    fn new(link: Link, hosts: Arc<HostScores>) -> Result<Lease, ProviderError> {
        if link.urls.is_empty() {
            return Err(ProviderError::new(
                ErrorKind::Broken,
                "a link without an address",
            ));
        }
        let now = Instant::now();
        let life = link.valid_for.min(LONGEST_LIFE);
        let until_renewal = life.saturating_sub(MARGIN).max(life.mul_f64(SHARE_OF_LIFE));
        Ok(Lease {
            expires: now + life,
            renew_at: now + until_renewal.min(life),
            hosts,
            host_names: link.urls.iter().map(prepared_link::host_and_port).collect(),
            prepared: OnceLock::new(),
            failed_url: AtomicUsize::new(usize::MAX),
            link,
        })
    }

    /// How long the link still holds.
    pub fn time_left(&self) -> Duration {
        self.expires.saturating_duration_since(Instant::now())
    }

    /// The best address, for whoever cannot send headers; `None` where it would be refused without them.
    pub fn plain_address(&self) -> Option<String> {
        let address = self.link.urls.first()?.expose();
        self.link.headers.is_empty().then(|| address.to_owned())
    }

    /// All that is needed to use it: `urls`, the best first, `headers` and `valid_for_seconds`.
    pub fn as_json(&self) -> serde_json::Value {
        let urls: Vec<_> = self.link.urls.iter().map(SignedUrl::expose).collect();
        let headers = self.link.headers.iter();
        let headers: serde_json::Map<_, _> = headers
            .map(|(name, value)| (name.clone(), value.expose().as_str().into()))
            .collect();
        serde_json::json!({
            "urls": urls,
            "headers": headers,
            "valid_for_seconds": self.time_left().as_secs(),
        })
    }

    /// # Errors
    /// Why it cannot be sent as it is.
    pub(crate) fn prepared(&self) -> Result<&PreparedLink, String> {
        let prepared = self.prepared.get_or_init(|| PreparedLink::new(&self.link));
        prepared.as_ref().map_err(String::clone)
    }

    pub(crate) fn is_due(&self) -> bool {
        Instant::now() >= self.renew_at
    }

    /// The url to use: the one whose host does best now.
    pub(crate) fn url_index(&self) -> usize {
        let urls = 0..self.link.urls.len();
        let hosts = &self.host_names;
        if hosts.len() == 1 {
            return 0;
        }
        let best = self.hosts.best(hosts);
        if best != self.failed_url.load(Ordering::Relaxed) {
            return best;
        }
        // Another address at the same host may do better.
        let mut others = urls.filter(|index| *index != best);
        let twin = others.find(|index| hosts[*index] == hosts[best]);
        twin.unwrap_or(best)
    }

    /// The url at `index` failed: it is passed over from now on, and so is its host in other links.
    pub(crate) fn give_up_url(&self, index: usize) {
        self.failed_url.store(index, Ordering::Relaxed);
        self.hosts.failed(self.host_names[index].clone());
    }

    /// The url at `index` gave its first byte after this time.
    pub(crate) fn url_answered(&self, index: usize, first_byte: Duration) {
        self.hosts
            .answered(self.host_names[index].clone(), first_byte);
    }
}

/// The links of one drive: signed in batches, each batch once however many readers want it. They are kept by
/// node, which is one version of an item: a link to a version that was replaced may still give its bytes.
#[derive(Debug)]
pub(crate) struct LinkCache {
    state: Mutex<State>,
}

type Signing = Arc<SetOnce<Result<Arc<Lease>>>>;

#[derive(Debug)]
struct State {
    ready: LruCache<NodeId, Arc<Lease>>,
    signing: HashMap<NodeId, UnderWay>,
    /// By folder.
    walks: LruCache<NodeId, Walk>,
}

/// A link that is being signed.
#[derive(Clone, Debug)]
struct UnderWay {
    signing: Signing,
    /// Its call's, which is begun by whoever waits, or ahead.
    urgency: Arc<Urgency>,
    is_ahead: bool,
}

impl Default for LinkCache {
    fn default() -> Self {
        LinkCache {
            state: Mutex::new(State {
                ready: LruCache::new(MOST_LINKS),
                signing: HashMap::new(),
                walks: LruCache::new(MOST_WALKS),
            }),
        }
    }
}

/// Where a file stands in its folder: the files around it are likely to be read next.
#[derive(Clone, Debug)]
pub(crate) struct Neighbourhood {
    pub(crate) listing: Arc<Listing>,
    pub(crate) folder: NodeId,
    pub(crate) name: Arc<str>,
}

impl LinkCache {
    pub(crate) fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// A link for `file` that is good for a while. When one has to be signed, the rest of the drive's
    /// batch goes to the files around it that have none; and when the folder is walked in order, the next batch is
    /// signed before its first file is wanted.
    ///
    /// # Errors
    /// Whatever the drive says.
    pub(crate) async fn lease(
        &self,
        drive: &Arc<Drive>,
        file: (NodeId, &ItemId),
        around: Option<&Neighbourhood>,
    ) -> Result<Arc<Lease>> {
        match self.take(drive, file, around) {
            Taken::Ready(lease) => Ok(lease),
            Taken::UnderWay(signing) if signing.is_ahead => {
                match signing.signing.wait().await.clone() {
                    // It may have failed for another file, or been tried before anybody waited.
                    Err(error) if error.is_passing() => match self.take(drive, file, around) {
                        Taken::Ready(lease) => Ok(lease),
                        Taken::UnderWay(again) => again.signing.wait().await.clone(),
                    },
                    signed => signed,
                }
            }
            Taken::UnderWay(signing) => signing.signing.wait().await.clone(),
        }
    }

    /// What there is of a link. Starts the calls that are needed.
    fn take(
        &self,
        drive: &Arc<Drive>,
        file: (NodeId, &ItemId),
        around: Option<&Neighbourhood>,
    ) -> Taken {
        let mut state = self.lock();
        let taken = state.take(drive, file, around);
        let ahead = around.and_then(|around| state.start_batch_ahead(drive, around));
        drop(state);
        if let Some(batch) = ahead {
            tokio::spawn(batch.sign());
        }
        taken
    }

    /// Drops a link that the data host refused, unless it has been replaced meanwhile.
    pub(crate) fn refuse(&self, file: NodeId, refused: &Arc<Lease>) {
        let mut state = self.lock();
        if state
            .ready
            .peek(&file)
            .is_some_and(|known| Arc::ptr_eq(known, refused))
        {
            state.ready.pop(&file);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no panic while the link cache is locked")
    }
}

/// What there is of a link.
enum Taken {
    Ready(Arc<Lease>),
    UnderWay(UnderWay),
}

impl State {
    fn has_link(&self, file: NodeId) -> bool {
        let is_ready = |lease: &Arc<Lease>| !lease.is_due();
        self.signing.contains_key(&file) || self.ready.peek(&file).is_some_and(is_ready)
    }

    fn take(
        &mut self,
        drive: &Arc<Drive>,
        file: (NodeId, &ItemId),
        around: Option<&Neighbourhood>,
    ) -> Taken {
        let (node, _) = file;
        if let Some(lease) = self.ready.get(&node).filter(|lease| !lease.is_due()) {
            return Taken::Ready(lease.clone());
        }
        if !self.signing.contains_key(&node) {
            let batch = self.start_batch(drive, file, around);
            tokio::spawn(batch.sign());
        }
        let under_way = &self.signing[&node];
        under_way.urgency.want();
        Taken::UnderWay(under_way.clone())
    }

    /// The batch for the files that a reader who walks through a folder comes to next, when it is time for it.
    fn start_batch_ahead(&mut self, drive: &Arc<Drive>, around: &Neighbourhood) -> Option<Batch> {
        let most = drive.about().links_per_call;
        if most <= 1 {
            return None;
        }
        let enough = most / LEFT_AHEAD;
        let at = around.listing.position(&around.name)?;
        let walk = self.walks.get_or_insert_mut(around.folder, Walk::default);
        if !walk.step_to(at, enough.max(1)) {
            return None;
        }
        let signed_to = walk.signed_to;
        let has_link = |at: usize, file| at < signed_to || self.has_link(file);
        let (files, end) = around.listing.files_ahead(at, enough, most, has_link)?;
        if let Some(walk) = self.walks.get_mut(&around.folder) {
            walk.signed_to = end;
        }
        Some(self.begin(drive, files, true))
    }

    /// Lock order: the link cache's lock is held while the listing's is taken.
    fn start_batch(
        &mut self,
        drive: &Arc<Drive>,
        (node, item): (NodeId, &ItemId),
        around: Option<&Neighbourhood>,
    ) -> Batch {
        let others = drive.about().links_per_call.saturating_sub(1);
        let wanted = |other: NodeId| other != node && !self.has_link(other);
        let neighbours = around
            .filter(|_| others > 0)
            .map(|around| around.listing.files_after(&around.name, others, wanted));
        let mut files = vec![(node, item.clone())];
        files.extend(neighbours.unwrap_or_default());
        self.begin(drive, files, false)
    }

    fn begin(&mut self, drive: &Arc<Drive>, files: Vec<(NodeId, ItemId)>, is_ahead: bool) -> Batch {
        let urgency = Arc::<Urgency>::default();
        let open: HashMap<NodeId, Signing> = files
            .iter()
            .map(|(node, _)| (*node, Signing::default()))
            .collect();
        let under_way = |(node, signing): (&NodeId, &Signing)| {
            let under_way = UnderWay {
                signing: signing.clone(),
                urgency: urgency.clone(),
                is_ahead,
            };
            (*node, under_way)
        };
        self.signing.extend(open.iter().map(under_way));
        Batch {
            drive: drive.clone(),
            files,
            open,
            urgency,
            is_ahead,
        }
    }
}

/// One signing call under way. Whoever is still waiting when it is dropped is told so.
struct Batch {
    drive: Arc<Drive>,
    files: Vec<(NodeId, ItemId)>,
    open: HashMap<NodeId, Signing>,
    urgency: Arc<Urgency>,
    /// Nobody waited for it when it began.
    is_ahead: bool,
}

impl Batch {
    async fn sign(mut self) {
        let what = format!("sign {} links", self.files.len());
        let drive = self.drive.clone();
        let (nodes, items): (Vec<_>, Vec<_>) = std::mem::take(&mut self.files).into_iter().unzip();
        let deadline = Instant::now() + drive.work_time();
        let urgency = self.urgency.clone();
        let how = |what| Ask {
            urgency: &urgency,
            ..drive.usual(what, deadline)
        };
        let answers = match drive.ask(how(&what), || self.ask(&items)).await {
            Ok(answers) => answers,
            Err(error) => return self.settle_rest(&error),
        };
        let mut to_ask_again = None;
        for (number, (node, answer)) in nodes.into_iter().zip(answers).enumerate() {
            match answer {
                // Somebody waits for the first; those who wait for others have their answers.
                Err(error) if number == 0 && !self.is_ahead && is_passing(&error) => {
                    to_ask_again = Some(node);
                }
                answer => self.settle_answer(node, answer),
            }
        }
        if let Some(node) = to_ask_again {
            let ask = || self.ask(&items[..1]);
            match drive.ask(how("sign a link"), ask).await {
                Ok(answers) => answers
                    .into_iter()
                    .for_each(|answer| self.settle_answer(node, answer)),
                Err(error) => self.settle(node, Err(error)),
            }
        }
    }

    /// A call whose answers all have the same reason, and one that is not about a file, has failed.
    async fn ask(
        &self,
        files: &[ItemId],
    ) -> Result<Vec<Result<Link, ProviderError>>, ProviderError> {
        let answers = self.drive.provider().links(files).await;
        if answers.len() != files.len() {
            let message = format!(
                "sign links: {} answers to {} files",
                answers.len(),
                files.len()
            );
            return Err(ProviderError::new(ErrorKind::Broken, message));
        }
        let Some(Err(first)) = answers.first() else {
            return Ok(answers);
        };
        let is_same = |answer: &Result<Link, ProviderError>| {
            answer.as_ref().is_err_and(|error| error.kind == first.kind)
        };
        let is_about_all = is_passing(first) || first.kind == ErrorKind::LoginExpired;
        match is_about_all && answers.iter().all(is_same) {
            true => Err(first.clone()),
            false => Ok(answers),
        }
    }

    fn settle_answer(&mut self, file: NodeId, answer: Result<Link, ProviderError>) {
        let hosts = self.drive.hosts.clone();
        let lease = answer
            .and_then(|link| Lease::new(link, hosts))
            .map(Arc::new);
        self.settle(
            file,
            lease.map_err(|error| Error::Drive(error.during("sign a link"))),
        );
    }

    fn settle(&mut self, file: NodeId, result: Result<Arc<Lease>>) {
        let mut state = self.drive.links.lock();
        state.signing.remove(&file);
        if let Ok(lease) = &result {
            state.ready.put(file, lease.clone());
        }
        drop(state);
        if let Some(signing) = self.open.remove(&file) {
            let _was_open = signing.set(result);
        }
    }

    fn settle_rest(&mut self, error: &Error) {
        let rest: Vec<NodeId> = self.open.keys().copied().collect();
        for file in rest {
            self.settle(file, Err(error.clone()));
        }
    }
}

/// Whether asking again may help.
fn is_passing(error: &ProviderError) -> bool {
    retry::wait_before_retry(error, 1).is_some()
}

impl Drop for Batch {
    fn drop(&mut self) {
        let reason =
            ProviderError::new(ErrorKind::Unavailable, "sign links: the call was given up");
        self.settle_rest(&Error::Drive(reason));
    }
}

#[cfg(test)]
mod tests {
    use linkfs_provider::SignedUrl;

    use super::*;

    fn lease(hosts: &Arc<HostScores>, urls: [&str; 2]) -> Lease {
        let link = Link {
            urls: urls.map(|url| SignedUrl::new(url).unwrap()).into(),
            headers: Vec::new(),
            valid_for: Duration::from_secs(900),
        };
        Lease::new(link, hosts.clone()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_link_learns_of_its_hosts_every_other_knows() {
        let hosts = Arc::default();
        let one = lease(
            &hosts,
            ["https://a.example/1?s=1", "https://b.example/1?s=2"],
        );
        assert_eq!(one.url_index(), 0);
        one.give_up_url(0);
        let other = lease(&hosts, ["https://A.example:443/2", "https://b.example/2"]);
        assert_eq!((one.url_index(), other.url_index()), (1, 1));
        other.url_answered(1, Duration::from_millis(20));
        // The dead host is asked again, and is back.
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!((one.url_index(), other.url_index()), (0, 0));
        one.url_answered(0, Duration::from_millis(20));
        assert_eq!((one.url_index(), other.url_index()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_urls_at_one_host_the_other_is_next() {
        let hosts = Arc::default();
        let link = lease(&hosts, ["https://a.example/1", "https://a.example/2"]);
        link.give_up_url(0);
        assert_eq!(link.url_index(), 1);
        link.give_up_url(1);
        assert_eq!(link.url_index(), 0);
    }
}

#[cfg(test)]
#[path = "links_ahead_tests.rs"]
mod ahead_tests;
