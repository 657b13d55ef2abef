use std::future::Future;
use std::task::{Context, Poll, Waker};

use linkfs_core::Result;
use tokio::runtime::Handle;

/// Answers a kernel request: at once when `work` is done at its first poll, as it is when everything is
/// in memory, and otherwise from a task. Handing every answer to another thread would cost a sixth of
/// the throughput.
pub(crate) fn answer<T: 'static>(
    runtime: &Handle,
    work: impl Future<Output = Result<T>> + Send + 'static,
    reply: impl FnOnce(Result<T>) + Send + 'static,
) {
    let mut work = Box::pin(work);
    let first_poll = {
        // Timers inside need the runtime's context. The waker is of no use: a task polls again.
        let _context = runtime.enter();
        work.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    match first_poll {
        Poll::Ready(result) => reply(result),
        Poll::Pending => {
            runtime.spawn(async move { reply(work.await) });
        }
    }
}
