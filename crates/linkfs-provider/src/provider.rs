use std::time::Duration;

use crate::{
    ByteCount, Item, ItemId, Link, Page, PageToken, Process, ProviderError, Receiving, Result,
    Secret, Sharing, Spaces, async_trait,
};

/// One account on one drive, answering questions.
///
/// What the implementer promises:
/// - every method asks the drive once (a token refresh and the one repetition it allows aside) and
///   returns; it neither retries nor caches nor limits its rate, the caller does;
/// - a call may be dropped at any point (the caller's deadline) and leaves nothing half-done;
/// - calls may run at the same time, up to [`About::calls_in_flight`];
/// - no message, log line or `Debug` text holds a secret.
///
/// What the caller promises:
/// - ids and page tokens come from this provider, unchanged;
/// - `links` gets at least one and at most [`About::links_per_call`] ids.
///
/// An ability the drive may lack is a value: `sharing()` is `Some` or it is not, and there is no flag
/// beside it that could disagree.
///
/// ```
/// use linkfs_provider::*;
///
/// #[derive(Debug)]
/// struct EmptyDrive(About);
///
/// #[async_trait]
/// impl Provider for EmptyDrive {
///     fn about(&self) -> &About {
///         &self.0
///     }
///     async fn list(&self, _folder: &ItemId, _after: Option<&PageToken>) -> Result<Page> {
///         Ok(Page::default())
///     }
///     async fn stat(&self, item: &ItemId) -> Result<Item> {
///         Err(ProviderError::new(ErrorKind::NotFound, format!("no item {item}")))
///     }
///     async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>> {
///         let gone = |id: &ItemId| Err(ProviderError::new(ErrorKind::NotFound, format!("no file {id}")));
///         files.iter().map(gone).collect()
///     }
/// }
/// ```
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What the drive is like. Answers from memory, never from the network.
    fn about(&self) -> &About;

    /// One page of a folder's children, the first one for `after: None`.
    ///
    /// # Errors
    /// `NotFound` when the folder is gone, and whatever the drive says.
    async fn list(&self, folder: &ItemId, after: Option<&PageToken>) -> Result<Page>;

    /// One item as it is now.
    ///
    /// # Errors
    /// `NotFound` when it is gone, in the recycle bin included.
    async fn stat(&self, item: &ItemId) -> Result<Item>;

    /// A link for each file, in the order asked: one answer per id, each its own success or failure.
    /// When the whole call fails, every answer is that failure.
    async fn links(&self, files: &[ItemId]) -> Vec<Result<Link>>;

    /// Takes note of items that an earlier process listed and that are shown again without a call, as
    /// if `list` had just given them: for a provider that remembers what it has shown. Answers from
    /// memory, never from the network.
    fn recall(&self, _items: &[Item]) {}

    /// How full the drive is.
    ///
    /// # Errors
    /// `Unsupported` where the drive does not tell.
    async fn usage(&self) -> Result<Usage> {
        Err(ProviderError::unsupported("tell how full it is"))
    }

    /// Making links for other people.
    fn sharing(&self) -> Option<&dyn Sharing> {
        None
    }

    /// Taking what others shared.
    fn receiving(&self) -> Option<&dyn Receiving> {
        None
    }

    /// Telling which spaces the account can open.
    fn spaces(&self) -> Option<&dyn Spaces> {
        None
    }

    /// Logging in with a person's help.
    fn login(&self) -> Option<&dyn Login> {
        None
    }

    /// The process that the provider runs in, when it is not this one.
    fn process(&self) -> Option<&dyn Process> {
        None
    }
}

/// What a drive is like, known without the network.
#[derive(Clone, Debug)]
pub struct About {
    /// The folder that is mounted.
    pub root: ItemId,
    /// How many files one `links` call may name; at least 1.
    pub links_per_call: usize,
    /// How many calls may run at the same time; at least 1.
    pub calls_in_flight: usize,
    /// Whether `list` gives older children before younger ones. Then a page's names are final as
    /// soon as it is there: of two equal names the older keeps it.
    pub lists_oldest_first: bool,
    /// The least time that a listing should be answered from memory: for a drive that counts calls
    /// against a quota. The mount's own setting holds where it is longer, and for `None`.
    pub listing_ttl: Option<Duration>,
}

/// How full a drive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The whole capacity; `None` when there is no limit.
    pub total: Option<ByteCount>,
    /// What is taken of it.
    pub used: ByteCount,
}

/// A login that needs a person: open an address, come back with a code.
#[async_trait]
pub trait Login: Send + Sync {
    /// Starts a login.
    ///
    /// # Errors
    /// Whatever the drive says.
    async fn begin(&self) -> Result<LoginStep>;

    /// Ends it with what the person brought back; the new tokens are kept by the provider.
    ///
    /// # Errors
    /// `Denied` when the drive does not take the code.
    async fn finish(&self, code: Secret<String>) -> Result<()>;
}

/// What a person has to do to log in.
#[derive(Clone, Debug)]
pub struct LoginStep {
    /// The page to open.
    pub url: String,
    /// What to do there and what to bring back.
    pub instructions: String,
}
