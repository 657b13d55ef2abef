//! Calls that wait for a disk which may not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::spawn_blocking;

/// The calls to one disk. Each takes a thread, of which there are so many, until the disk answers: so nobody
/// calls one that hangs.
#[derive(Debug, Default)]
pub(crate) struct DiskCalls {
    under_way: AtomicUsize,
    /// One of them was waited for in vain, and none has returned since.
    in_vain: AtomicBool,
}

impl DiskCalls {
    /// Runs `work`, which waits for the disk, where nobody else waits. That it returns, however late, shows that
    /// the disk does not hang.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let call = Call::new(self.clone());
        let answer = spawn_blocking(move || {
            let answer = work();
            drop(call);
            answer
        });
        answer.await.expect("the disk's calls do not panic")
    }

    /// Somebody waited in vain for a call. Says whether that is news.
    pub(crate) fn note_in_vain(&self) -> bool {
        !self.in_vain.swap(true, Ordering::AcqRel)
    }

    /// Whether the disk is better done without. It is not when all calls have returned, whoever gave them up.
    pub(crate) fn is_hanging(&self) -> bool {
        self.in_vain.load(Ordering::Acquire) && self.under_way.load(Ordering::Acquire) > 0
    }
}

/// One call under way.
struct Call(Arc<DiskCalls>);

impl Call {
    fn new(calls: Arc<DiskCalls>) -> Call {
        calls.under_way.fetch_add(1, Ordering::AcqRel);
        Call(calls)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.in_vain.store(false, Ordering::Release);
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_disk_hangs_until_a_call_returns_and_not_when_none_is_left() {
        let calls = Arc::<DiskCalls>::default();
        let (hang, until) = mpsc::channel::<()>();
        let hanging = calls.run(move || until.recv());
        let in_vain = tokio::time::timeout(Duration::ZERO, hanging).await;
        assert!(in_vain.is_err() && !calls.is_hanging());
        assert!(calls.note_in_vain() && calls.is_hanging());
        assert!(!calls.note_in_vain());
        hang.send(()).expect("the call is under way");
        while calls.is_hanging() {
            tokio::task::yield_now().await;
        }
        assert_eq!(calls.run(|| 7).await, 7);
        // Whoever waited may say so only now.
        calls.note_in_vain();
        assert!(!calls.is_hanging());
    }
}
