//! `Semaphore`: a fixed number of permits, each held by at most one attachment.
//!
//! The algorithm, its states and its deaths are in `semaphore::protocol`. This module contains its
//! operations on the words of a segment, and the public types.

#[cfg(test)]
mod model;
mod protocol;
mod state;

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::WaitMode;
use crate::memory::format::{LockWords, SemaphoreWords};
use crate::parts::inner_lock::{Guarded, InnerLockRefusal, InnerLockWait, Locked, soon};
use crate::parts::layout::PartRef;
use crate::parts::{Initializer, LayoutCursor, Part, damaged, refused};
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::segment::id::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::wait::future;
use crate::wait::liveness::LivenessChecker;
use crate::wait::poll::{Polled, Wait, block, complete};
use protocol::{SemaphoreMemory, SemaphoreOutcome, Wanted};

pub use state::SemaphoreState;

const ACQUIRE: &str = "acquire a permit of";
const RELEASE: &str = "release permits of";
const CREATE: &str = "create";

/// The mode of a thread that waits without a limit.
const ALWAYS: WaitMode = WaitMode::Thread(Deadline::Never);

/// The number of the mark that counts an attachment's permits.
const MARK: usize = 0;

/// A fixed number of permits that processes acquire and release.
///
/// # When a process dies
///
/// If a holder dies, its permits are released: a waiter has one within 10 ms. A waiter that dies
/// has no effect. A process that is merely stopped keeps its permits.
///
/// # Examples
///
/// ```
/// use sharehold::{Part, Semaphore};
///
/// let jobs = Semaphore::open_or_create("com.example.slots", || 3)?;
/// let one = jobs.acquire()?;
/// let two = jobs.acquire_many(2)?;
/// assert_eq!(jobs.available()?, 0);
/// drop(one); // comes back
/// assert_eq!(jobs.available()?, 1);
/// # drop(two);
/// # Ok::<(), sharehold::Error>(())
/// ```
#[doc(alias = "sem_t")]
#[doc(alias = "QSystemSemaphore")]
#[derive(Debug)]
pub struct Semaphore {
    place: PartRef,
}

impl Semaphore {
    /// Acquires a permit, and waits without a limit.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Deadline::Never)
    }

    /// Acquires a permit if one is available, without waiting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`], which names one holder; [`ErrorKind::Forked`].
    pub fn try_acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Deadline::Now)
    }

    /// Acquires a permit, and waits at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], which names one holder; [`ErrorKind::Forked`].
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>> {
        self.permit(1, Deadline::after(limit))
    }

    /// Acquires a permit, and waits at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>> {
        self.permit(1, Deadline::At(deadline))
    }

    /// Acquires `count` permits together, and waits without a limit. Waiters that want fewer
    /// permits may go first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] if the semaphore has fewer permits in all;
    /// [`ErrorKind::Forked`].
    pub fn acquire_many(&self, count: u32) -> Result<Permit<'_>> {
        self.permit(count, Deadline::Never)
    }

    /// Acquires `count` permits together, and waits at most for `limit`. With a `limit` of zero it
    /// does not wait.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_many`] and [`Semaphore::acquire_timeout`].
    pub fn acquire_many_timeout(&self, count: u32, limit: Duration) -> Result<Permit<'_>> {
        self.permit(count, Deadline::after(limit))
    }

    /// Releases permits that this attachment acquired and [forgot](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] if this attachment has fewer permits, [`ErrorKind::Forked`].
    pub fn release(&self, count: u32) -> Result<()> {
        let words = Pool::of(&self.place, RELEASE, ALWAYS)?;
        let act = |pool: &Pool<'_>| protocol::give_back(pool, count);
        let had = complete(&mut InnerLockWait { words, act })?;
        if had < count {
            let detail =
                format!("this attachment has {had} permits, not {count}; release at most {had}");
            let error = Error::new(ErrorKind::InvalidOption, RELEASE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        Ok(())
    }

    /// Returns the number of permits that no live process has. It may have changed by the time the
    /// caller uses it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn available(&self) -> Result<u32> {
        let words = Pool::of(&self.place, ACQUIRE, ALWAYS)?;
        let act = |pool: &Pool<'_>| protocol::count(pool);
        complete(&mut InnerLockWait { words, act })
    }

    /// Returns the segment that contains this semaphore.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    /// As [`Semaphore::acquire`], asynchronously: see [`Segment::lock_async`]. A future that is
    /// dropped before it completes takes no permit. Dropping the permit never blocks: if the permit
    /// cannot be released at once, a helper thread releases it shortly after.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire`].
    ///
    /// # Examples
    ///
    /// ```
    /// use sharehold::{Part, Semaphore};
    ///
    /// # pollster::block_on(async {
    /// let slots = Semaphore::open_or_create("com.example.slots.async", || 3)?;
    /// let one = slots.acquire_async().await?;
    /// let two = slots.acquire_many_async(2).await?;
    /// assert_eq!((one.count(), two.count()), (1, 2));
    /// # Ok::<(), sharehold::Error>(())
    /// # })?;
    /// # Ok::<(), sharehold::Error>(())
    /// ```
    pub async fn acquire_async(&self) -> Result<Permit<'_>> {
        self.acquire_many_async(1).await
    }

    /// As [`Semaphore::acquire_many`], asynchronously: see [`Semaphore::acquire_async`].
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_many`].
    pub async fn acquire_many_async(&self, count: u32) -> Result<Permit<'_>> {
        future::WaitFuture::new(self.acquiring(count, WaitMode::Task)?).await
    }

    fn permit(&self, count: u32, deadline: Deadline) -> Result<Permit<'_>> {
        let mut acquiring = self.acquiring(count, WaitMode::Thread(deadline))?;
        block(&mut acquiring, deadline.instant()).unwrap_or_else(|| {
            // The last look was after its last sleep, so it has no wake-up to pass on.
            acquiring.is_done = true;
            Err(refused(self.segment(), self.holder(), deadline))
        })
    }

    /// Returns an attachment that has permits.
    fn holder(&self) -> Option<AttachmentId> {
        self.place.marked(MARK).find_map(|mark| mark.maker)
    }

    fn acquiring(&self, count: u32, who: WaitMode) -> Result<PermitWait<'_>> {
        let pool = Pool::of(&self.place, ACQUIRE, who)?;
        let most = pool.permits();
        if count > most {
            let detail = format!("it has {most} permits in all, not {count}; acquire fewer");
            let error = Error::new(ErrorKind::InvalidOption, ACQUIRE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        let now = matches!(who, WaitMode::Thread(Deadline::Now));
        Ok(PermitWait {
            semaphore: self,
            pool,
            who,
            count,
            wanted: Wanted::new(count, now),
            is_done: false,
            record: None,
        })
    }
}

impl Part for Semaphore {
    type Init = u32;

    const SIZE: usize = Primitive::Semaphore.size(None);
    const MARKS: usize = Primitive::Semaphore.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Semaphore, None)
    }

    fn begin(first: u32, at: &mut Initializer<'_>) -> Result<()> {
        if first == 0 {
            let detail = "a semaphore without permits blocks every caller; give it at least 1";
            return Err(Error::new(ErrorKind::InvalidOption, CREATE, detail));
        }
        let offset = at.next(Self::SIZE);
        let words: Option<&SemaphoreWords> = at.attached().memory.data_block(offset);
        let words = words.ok_or_else(|| damaged(at.attached(), CREATE))?;
        words.permits.store(first, Ordering::Relaxed);
        words.available.store(first, Ordering::Relaxed);
        Ok(())
    }

    fn find(at: &mut LayoutCursor) -> Semaphore {
        Semaphore {
            place: at.next(Primitive::Semaphore, Self::SIZE),
        }
    }
}

/// Permits of a [`Semaphore`]. Dropping them releases them.
///
/// # When a process dies
///
/// See [`Semaphore`].
#[derive(Debug)]
#[must_use = "the permits are released when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
    /// Whether a thread or a task acquired them: this decides how to release them.
    who: WaitMode,
}

impl Permit<'_> {
    /// Keeps the permits until [`Semaphore::release`] releases them or this attachment ends.
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Returns the number of permits.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let count = self.count;
        // Both branches do nothing in a forked child, which has a copy of the permit but none of
        // the permits.
        match self.who {
            WaitMode::Thread(_) => drop(self.semaphore.release(count)),
            WaitMode::Task => soon(&self.semaphore.place, RELEASE, move |pool: &Pool<'_>| {
                protocol::give_back(pool, count)
            }),
        }
    }
}

impl Locked for SemaphoreWords {
    fn lock(&self) -> &LockWords {
        &self.lock
    }

    fn asker<'a>(&'a self, segment: &'a Segment) -> LivenessChecker<'a> {
        LivenessChecker::new(segment, &self.checkers, &self.asked, &self.change)
    }
}

/// The words of a semaphore.
type Pool<'a> = Guarded<'a, SemaphoreWords>;

impl SemaphoreMemory for Pool<'_> {
    type Refusal = InnerLockRefusal;

    fn lock(&self) -> Result<bool, InnerLockRefusal> {
        self.enter()
    }

    fn unlock(&self) {
        self.leave();
    }

    fn permits(&self) -> u32 {
        self.words.permits.load(Ordering::Relaxed)
    }

    fn available(&self) -> u32 {
        self.words.available.load(Ordering::SeqCst)
    }

    fn set_available(&self, count: u32) {
        self.words.available.store(count, Ordering::SeqCst);
    }

    fn own(&self) -> u32 {
        self.place.own(MARK)
    }

    fn set_own(&self, count: u32) {
        self.place.set_own(MARK, count);
    }

    fn mark(&self, slot: usize) -> Option<u32> {
        Some(self.place.mark(MARK, slot)?.value)
    }

    fn is_gone(&self, slot: usize) -> bool {
        self.is_proven_gone(MARK, slot, true)
    }

    fn asks(&self) -> bool {
        self.has_to_ask()
    }

    fn forget(&self, slot: usize) {
        self.place.forget(MARK, slot);
    }

    fn change(&self) -> u32 {
        self.words.change.load(Ordering::SeqCst)
    }

    fn raise_change(&self) {
        self.words.change.fetch_add(1, Ordering::SeqCst);
    }

    fn waiting(&self) -> u32 {
        self.words.waiting.load(Ordering::SeqCst)
    }

    fn set_waiting(&self, waiting: u32) {
        self.words.waiting.store(waiting, Ordering::SeqCst);
    }

    fn wake(&self, most: u32) -> u32 {
        sys::wake_some(&self.words.change, most)
    }
}

/// The wait for permits.
struct PermitWait<'a> {
    semaphore: &'a Semaphore,
    pool: Pool<'a>,
    who: WaitMode,
    count: u32,
    wanted: Wanted,
    is_done: bool,
    record: Option<WaitHandle>,
}

impl<'a> Wait for PermitWait<'a> {
    type Output = Result<Permit<'a>>;

    fn look(&mut self) -> Polled<'_, Result<Permit<'a>>> {
        if let Err(forked) = self.semaphore.place.words::<SemaphoreWords>(ACQUIRE) {
            return Polled::Ready(Err(forked));
        }
        match self.wanted.look(&self.pool) {
            Ok(SemaphoreOutcome::Taken) => {
                self.is_done = true;
                Polled::Ready(Ok(Permit {
                    semaphore: self.semaphore,
                    count: self.count,
                    who: self.who,
                }))
            }
            Ok(SemaphoreOutcome::Sleep(seen)) => {
                self.record = self.pool.record_wait(self.record, self.semaphore.holder());
                Polled::Sleep {
                    word: (&self.pool.words.change).into(),
                    seen,
                    limit: Some(self.pool.period()),
                }
            }
            Err(refused) => self.pool.refused(refused),
        }
    }
}

impl Drop for PermitWait<'_> {
    fn drop(&mut self) {
        self.pool.clear_wait(self.record);
        if !self.is_done && self.wanted.has_slept() {
            // It may have consumed a wake-up, which then another waiter must get.
            soon(&self.semaphore.place, ACQUIRE, |pool: &Pool<'_>| {
                protocol::pass_on(pool)
            });
        }
    }
}
