use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use linkfs_provider::ByteCount;
use lru::LruCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::open_file::ReaderId;

/// The unit in which reads are admitted; a semaphore counts no further than 2^29 on small machines.
const PERMIT: u64 = 1 << 10;
/// A reader that asked for nothing for this long gives its share of the read-ahead to the others.
const IDLE_AFTER: Duration = Duration::from_secs(5);
/// Whatever the budget: one request of the kernel, which is 1 MiB at most, and the blocks at its edges.
const LEAST_FOR_READS: u64 = 2 << 20;
/// Whatever the names take, content has this part of the budget.
const LEAST_FOR_CONTENT: u64 = 8;
/// Memory for names is set aside in steps, ahead of what they take, so that content gives way in time.
const NAMES_STEP: u64 = 1 << 20;

/// The memory that may be taken, and for what. Names come first. Of what they leave, half is for the bytes that
/// reads wait for and hand over, a quarter for bytes fetched ahead, an eighth for blocks on their way to the
/// disk and an eighth for buffers between two uses; what is left at any moment caches what was read.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    /// What names take.
    names: AtomicU64,
    reads: Arc<Semaphore>,
    /// How many permits `reads` has in all, and how many it is to have: those in use are withdrawn when they
    /// come back.
    most_reads: Mutex<MostReads>,
    /// Readers that go on, by when they last had something fetched.
    readers: Mutex<LruCache<ReaderId, Instant>>,
}

#[derive(Debug)]
struct MostReads {
    now: u32,
    wanted: u32,
}

/// The right of one read to hold bytes. It ends when it is dropped, after the reply.
#[derive(Debug)]
pub(crate) struct Admission {
    permit: Option<OwnedSemaphorePermit>,
    memory: Arc<Memory>,
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.memory.take_back(permit);
        }
    }
}

impl Memory {
    pub(crate) fn new(limit: ByteCount) -> Arc<Memory> {
        let most_reads = permits(for_reads(limit.0));
        Arc::new(Memory {
            limit: limit.0,
            names: AtomicU64::new(0),
            reads: Arc::new(Semaphore::new(most_reads as usize)),
            most_reads: Mutex::new(MostReads {
                now: most_reads,
                wanted: most_reads,
            }),
            readers: Mutex::new(LruCache::unbounded()),
        })
    }

    pub(crate) fn limit(&self) -> ByteCount {
        ByteCount(self.limit)
    }

    /// What names take.
    pub(crate) fn names(&self) -> ByteCount {
        ByteCount(self.names.load(Ordering::Relaxed))
    }

    /// Names take `more` bytes from now on, and no longer `fewer`. Says whether content has to give way.
    pub(crate) fn count_names(&self, more: u64, fewer: u64) -> bool {
        let before = self.for_blocks();
        self.names.fetch_add(more, Ordering::Relaxed);
        self.names.fetch_sub(fewer, Ordering::Relaxed);
        let after = self.for_blocks();
        if after != before {
            self.fit_reads(after);
        }
        after < before
    }

    /// Lets reads have their part of what there is for content. Permits that are in use are withdrawn as they
    /// come back.
    fn fit_reads(&self, for_content: u64) {
        let mut most = self.lock_most_reads();
        most.wanted = permits(for_reads(for_content));
        if most.wanted < most.now {
            let surplus = most.now - most.wanted;
            most.now -= self.reads.forget_permits(surplus as usize) as u32;
        } else {
            self.reads.add_permits((most.wanted - most.now) as usize);
            most.now = most.wanted;
        }
    }

    /// A read has ended: what names have taken meanwhile does not go to the next.
    fn take_back(&self, mut permit: OwnedSemaphorePermit) {
        let mut most = self.lock_most_reads();
        let surplus = most.now.saturating_sub(most.wanted);
        let withdrawn = surplus.min(permit.num_permits() as u32);
        if let Some(gone) = permit.split(withdrawn as usize) {
            gone.forget();
            most.now -= withdrawn;
        }
    }

    fn lock_most_reads(&self) -> MutexGuard<'_, MostReads> {
        self.most_reads
            .lock()
            .expect("no panic while the number of permits is locked")
    }

    /// What blocks and free buffers may take together.
    pub(crate) fn for_blocks(&self) -> u64 {
        let names = (self.names().0 + 1).next_multiple_of(NAMES_STEP);
        let least = self.limit / LEAST_FOR_CONTENT;
        match names {
            // Hardly any: the budget need not be cut for them.
            NAMES_STEP => self.limit,
            names => self.limit.saturating_sub(names).max(least),
        }
    }

    /// What blocks fetched ahead may take together.
    pub(crate) fn for_ahead(&self) -> u64 {
        self.for_blocks() / 4
    }

    /// What blocks may take on their way to the disk.
    pub(crate) fn for_disk(&self) -> ByteCount {
        ByteCount(self.limit / 8)
    }

    /// What buffers may take between two uses: with less, several readers in turn gave back and took anew what
    /// they read into, at a quarter of all the work.
    pub(crate) fn for_free_buffers(&self) -> u64 {
        self.for_blocks() / 8
    }

    /// Lets a read of `bytes` begin when those before it leave room for it; in turn.
    pub(crate) async fn admit(self: &Arc<Self>, bytes: u64) -> Admission {
        let permit = self
            .reads
            .clone()
            .acquire_many_owned(self.wanted(bytes))
            .await;
        Admission {
            permit: Some(permit.expect("the semaphore is never closed")),
            memory: self.clone(),
        }
    }

    /// The same, if it may begin at once.
    pub(crate) fn try_admit(self: &Arc<Self>, bytes: u64) -> Option<Admission> {
        let permit = self
            .reads
            .clone()
            .try_acquire_many_owned(self.wanted(bytes));
        Some(Admission {
            permit: Some(permit.ok()?),
            memory: self.clone(),
        })
    }

    /// Never more than reads have when names take all they can.
    fn wanted(&self, bytes: u64) -> u32 {
        let least = for_reads(self.limit / LEAST_FOR_CONTENT);
        permits(bytes.min(least)).max(1)
    }

    /// Bytes that reads under way may hold.
    pub(crate) fn admitted(&self) -> ByteCount {
        let most = self.lock_most_reads();
        let left = self.reads.available_permits() as u64;
        ByteCount((u64::from(most.now) - left) * PERMIT)
    }

    /// How far ahead `reader` may be fetched for: its share among the readers that go on.
    pub(crate) fn share_of(&self, reader: ReaderId) -> u64 {
        let mut readers = self.lock_readers();
        readers.put(reader, Instant::now());
        while readers
            .peek_lru()
            .is_some_and(|(_, last)| last.elapsed() > IDLE_AFTER)
        {
            readers.pop_lru();
        }
        self.for_ahead() / readers.len() as u64
    }

    /// `reader` is gone.
    pub(crate) fn forget_reader(&self, reader: ReaderId) {
        self.lock_readers().pop(&reader);
    }

    fn lock_readers(&self) -> MutexGuard<'_, LruCache<ReaderId, Instant>> {
        self.readers
            .lock()
            .expect("no panic while the readers are locked")
    }
}

fn for_reads(for_content: u64) -> u64 {
    (for_content / 2).max(LEAST_FOR_READS)
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT)).unwrap_or(u32::MAX >> 3)
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn names_come_first_but_leave_content_an_eighth() {
        let memory = Memory::new(ByteCount(64 * MIB));
        let held = memory.try_admit(4 * MIB);
        for (names, for_blocks) in [
            (0, 64 * MIB),
            (1000, 64 * MIB),
            (MIB, 62 * MIB),
            (20 * MIB + 1, 43 * MIB),
            (60 * MIB, 8 * MIB),
            (1000 * MIB, 8 * MIB),
            (4 * MIB - 1, 60 * MIB),
            (0, 64 * MIB),
        ] {
            let before = (memory.names().0, memory.for_blocks());
            let gives_way = memory.count_names(names, before.0);
            assert_eq!(gives_way, for_blocks < before.1, "{names}");
            assert_eq!(memory.for_blocks(), for_blocks, "{names}");
            let admitted: Vec<_> = std::iter::from_fn(|| memory.try_admit(MIB)).collect();
            let for_reads = for_blocks / 2 - 4 * MIB;
            assert_eq!(admitted.len() as u64, for_reads / MIB, "{names}");
            assert_eq!(memory.admitted().0, for_reads / MIB * MIB + 4 * MIB);
        }
        drop(held);
        assert_eq!(memory.admitted(), ByteCount(0));
    }

    #[test]
    fn reads_beyond_half_the_budget_wait_for_those_before_them() {
        let memory = Memory::new(ByteCount(8 * MIB));
        let first = poll(memory.admit(2 * MIB));
        let second = poll(memory.admit(MIB));
        assert!(first.is_ready() && second.is_ready());
        assert_eq!(memory.admitted(), ByteCount(3 * MIB));
        assert!(poll(memory.admit(2 * MIB)).is_pending());
        assert!(memory.try_admit(2 * MIB).is_none());
        drop(first);
        assert!(memory.try_admit(2 * MIB).is_some());
        assert!(poll(memory.admit(2 * MIB)).is_ready());
    }

    #[test]
    fn what_names_take_while_all_is_in_use_is_withdrawn_as_it_comes_back() {
        let memory = Memory::new(ByteCount(64 * MIB));
        let held: Vec<_> = std::iter::from_fn(|| memory.try_admit(MIB)).collect();
        assert_eq!(memory.admitted(), ByteCount(32 * MIB));
        memory.count_names(40 * MIB - 1, 0);
        drop(held);
        assert_eq!(memory.admitted(), ByteCount(0));
        let again: Vec<_> = std::iter::from_fn(|| memory.try_admit(MIB)).collect();
        assert_eq!(again.len(), 12);
    }

    #[test]
    fn one_read_larger_than_the_budget_is_let_in_alone() {
        let memory = Memory::new(ByteCount(8 * MIB));
        assert!(poll(memory.admit(100 * MIB)).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn readers_that_go_on_share_and_the_idle_give_way() {
        let memory = Memory::new(ByteCount(64 * MIB));
        assert_eq!(memory.share_of(ReaderId(1)), 16 * MIB);
        tokio::time::advance(IDLE_AFTER).await;
        assert_eq!(memory.share_of(ReaderId(2)), 8 * MIB);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(memory.share_of(ReaderId(2)), 16 * MIB);
        assert_eq!(memory.share_of(ReaderId(1)), 8 * MIB);
        memory.forget_reader(ReaderId(2));
        assert_eq!(memory.share_of(ReaderId(1)), 16 * MIB);
    }
}
