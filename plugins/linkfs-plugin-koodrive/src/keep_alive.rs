use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::account::Account;
use crate::login;

/// A session lapses after 20 idle minutes; a call every 15 keeps it with time to spare.
const IDLE: Duration = Duration::from_secs(15 * 60);

/// A task that makes a call whenever there was none for a while. It ends with its owner.
#[derive(Debug)]
pub(crate) struct KeepAlive(JoinHandle<()>);

impl KeepAlive {
    /// Keeps the session of an account from lapsing.
    pub(crate) fn of(account: &Arc<Account>) -> Self {
        let (seen, pinged) = (account.clone(), account.clone());
        KeepAlive::start(
            move || seen.last_success(),
            move || {
                let account = pinged.clone();
                async move {
                    if let Err(error) = account.call(&login::who_am_i()).await {
                        debug!(%error, "the session was not kept alive");
                    }
                }
            },
        )
    }

    /// Calls `ping` whenever `last_success` lies [`IDLE`] back.
    fn start<F>(
        last_success: impl Fn() -> Instant + Send + 'static,
        ping: impl Fn() -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send,
    {
        KeepAlive(tokio::spawn(async move {
            let mut due = last_success() + IDLE;
            loop {
                sleep_until(due).await;
                if last_success() + IDLE <= Instant::now() {
                    ping().await;
                    // A ping that failed is repeated after the same time, not at once.
                    due = Instant::now() + IDLE;
                } else {
                    due = last_success() + IDLE;
                }
            }
        }))
    }
}

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn minutes(count: u64) -> Duration {
        Duration::from_secs(60 * count)
    }

    #[tokio::test(start_paused = true)]
    async fn only_idle_time_is_filled() {
        let last = Arc::new(Mutex::new(Instant::now()));
        let pings = Arc::new(AtomicU32::new(0));
        let (seen, counted) = (last.clone(), pings.clone());
        let task = KeepAlive::start(
            move || *seen.lock().unwrap(),
            move || {
                counted.fetch_add(1, Ordering::Relaxed);
                std::future::ready(())
            },
        );
        let count = async |after: Duration| {
            tokio::time::sleep(after).await;
            pings.load(Ordering::Relaxed)
        };
        assert_eq!(count(minutes(14)).await, 0);
        *last.lock().unwrap() = Instant::now();
        assert_eq!(count(minutes(14)).await, 0);
        assert_eq!(count(minutes(2)).await, 1);
        assert_eq!(
            count(minutes(10)).await,
            1,
            "a failed ping is not repeated at once"
        );
        assert_eq!(count(minutes(6)).await, 2);
        drop(task);
        assert_eq!(count(minutes(100)).await, 2);
        assert_eq!(Arc::strong_count(&last), 1, "the task is gone");
    }
}
