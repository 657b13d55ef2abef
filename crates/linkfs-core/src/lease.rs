use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use linkfs_provider::{ErrorKind, Link, ProviderError, SignedUrl};
use tokio::time::Instant;

use crate::Result;
use crate::host_scores::HostScores;
use crate::prepared_link::{self, PreparedLink};

/// Links are renewed this long before they end, because one range request may take that long ...
const MARGIN: Duration = Duration::from_secs(60);
/// ... or after this share of their life, when they live shorter than five minutes.
const SHARE_OF_LIFE: f64 = 0.8;
/// Signatures of this kind hold a week at the most; a longer life would be a mistake of the drive's.
const LONGEST_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

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
    pub(crate) fn new(link: Link, hosts: Arc<HostScores>) -> Result<Lease, ProviderError> {
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

#[cfg(test)]
mod tests {
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
