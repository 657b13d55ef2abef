use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard};

use linkfs_provider::{ErrorKind, ItemId, Link, ProviderError};
use lru::LruCache;
use tokio::sync::SetOnce;
use tokio::time::Instant;

use crate::admission::Urgency;
use crate::drive::Ask;
use crate::lease::Lease;
use crate::listing::Listing;
use crate::node::NodeId;
use crate::walk::Walk;
use crate::{Drive, Error, Result, retry};

/// A link is about 1 KiB, and twice that once it was used: this many are the links of the last few hundred
/// folders in use, in 16 to 32 MiB.
const MOST_LINKS: NonZeroUsize = NonZeroUsize::new(16 * 1024).expect("not zero");

/// The next batch is signed ahead when this part of one is left, or less: time for a call that takes as long as
/// reading so many files.
const LEFT_AHEAD: usize = 4;
/// Folders in which somebody may be walking.
const MOST_WALKS: NonZeroUsize = NonZeroUsize::new(64).expect("not zero");

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
#[path = "links_ahead_tests.rs"]
mod ahead_tests;
