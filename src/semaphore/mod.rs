//! `Semaphore`: a number of permits, each of which one attachment at a time has.
//!
//! The algorithm, its states and its deaths are in `semaphore::protocol`; here are its steps on the words of a segment, and what callers see.

#[cfg(test)]
mod model;
pub(crate) mod protocol;

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind, Result};
use crate::lock::WaitMode;
use crate::memory::format::SemaphoreWords;
use crate::parts::inner_lock::{Guarded, InnerLockRefusal, InnerLockWait, soon};
use crate::parts::layout::PartRef;
use crate::parts::{Initializer, LayoutCursor, Part, damaged, refused};
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::segment::table::AttachmentId;
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::wait::future;
use crate::wait::poll::{Polled, Wait, block, complete};
use protocol::{SemaphoreMemory, SemaphoreOutcome, Wanted};

const ACQUIRE: &str = "acquire a permit of";
const RELEASE: &str = "release permits of";
const CREATE: &str = "create";

/// A thread that waits as long as it takes.
const ALWAYS: WaitMode = WaitMode::Thread(Deadline::Never);

/// The number of its mark.
const MARK: usize = 0;

/// Holds a number of permits that processes take and give back.
///
/// # When a process dies
///
/// Its permits come back: whoever waits for one has it within 10 ms. A process that is merely stopped keeps what it has.
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
    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Deadline::Never)
    }

    /// Takes a permit if there is one that nobody living has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`], which names one who has some; [`ErrorKind::Forked`].
    pub fn try_acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Deadline::Now)
    }

    /// Takes a permit, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], which names one who has some; [`ErrorKind::Forked`].
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>> {
        self.permit(1, Deadline::after(limit))
    }

    /// Takes a permit, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>> {
        self.permit(1, Deadline::At(deadline))
    }

    /// Takes so many permits together, waiting as long as it takes. Others who want fewer may go first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when there are not so many in all; [`ErrorKind::Forked`].
    pub fn acquire_many(&self, count: u32) -> Result<Permit<'_>> {
        self.permit(count, Deadline::Never)
    }

    /// Takes so many permits together, waiting at most for `limit`; with no limit left, it tries once.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_many`] and [`Semaphore::acquire_timeout`].
    pub fn acquire_many_timeout(&self, count: u32, limit: Duration) -> Result<Permit<'_>> {
        self.permit(count, Deadline::after(limit))
    }

    /// Gives back permits that this attachment took and [forgot](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when it has not so many, [`ErrorKind::Forked`].
    pub fn release(&self, count: u32) -> Result<()> {
        let words = Pool::of(&self.place, RELEASE, ALWAYS)?;
        let act = |pool: &Pool<'_>| protocol::give_back(pool, count);
        let had = complete(&mut InnerLockWait { words, act })?;
        if had < count {
            let detail = format!("this attachment has {had}, not {count}; release what it has");
            let error = Error::new(ErrorKind::InvalidOption, RELEASE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        Ok(())
    }

    /// Returns how many permits nobody living has. The answer may be outdated when it arrives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn available(&self) -> Result<u32> {
        let words = Pool::of(&self.place, ACQUIRE, ALWAYS)?;
        let act = |pool: &Pool<'_>| protocol::count(pool);
        complete(&mut InnerLockWait { words, act })
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    /// As [`Semaphore::acquire`], without keeping a thread: see [`Segment::lock_async`]. A future that is dropped before its end takes
    /// nothing. A permit that is dropped where this process cannot give it back at once is given back a moment later.
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

    /// As [`Semaphore::acquire_many`], without keeping a thread: see [`Semaphore::acquire_async`].
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
            // It has looked since it slept.
            acquiring.is_done = true;
            Err(refused(self.segment(), self.holder(), deadline))
        })
    }

    /// One who has permits.
    fn holder(&self) -> Option<AttachmentId> {
        self.place.marked(MARK).find_map(|mark| mark.maker)
    }

    fn acquiring(&self, count: u32, who: WaitMode) -> Result<PermitWait<'_>> {
        let pool = Pool::of(&self.place, ACQUIRE, who)?;
        let most = pool.permits();
        if count > most {
            let detail = format!("there are {most} permits in all, not {count}; ask for fewer");
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
            note: None,
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
            let detail = "it has no permits, so that nobody would ever get one; give it at least 1";
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
        let place = at.next(Self::SIZE, Self::MARKS);
        place.disown_lock();
        place.disown_mark(MARK);
        Semaphore { place }
    }
}

/// Holds permits of a [`Semaphore`]; gives them back when dropped.
///
/// # When a process dies
///
/// See [`Semaphore`].
#[derive(Debug)]
#[must_use = "the permits are given back when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    count: u32,
    /// Who gives them back.
    who: WaitMode,
}

impl Permit<'_> {
    /// Keeps the permits until they are given back by [`Semaphore::release`], or this attachment ends.
    pub fn forget(self) {
        mem::forget(self);
    }

    /// Returns how many permits they are.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let count = self.count;
        // Neither does anything in a forked child, which has a copy of the permit and none of the permits.
        match self.who {
            WaitMode::Thread(_) => drop(self.semaphore.release(count)),
            WaitMode::Task => soon(&self.semaphore.place, RELEASE, move |pool: &Pool<'_>| {
                protocol::give_back(pool, count)
            }),
        }
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

/// One that wants permits.
struct PermitWait<'a> {
    semaphore: &'a Semaphore,
    pool: Pool<'a>,
    who: WaitMode,
    count: u32,
    wanted: Wanted,
    is_done: bool,
    note: Option<WaitHandle>,
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
                self.note = self.pool.note(self.note, self.semaphore.holder());
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
        self.pool.wipe_out(self.note);
        if !self.is_done && self.wanted.has_slept() {
            // It may have been woken, and then somebody else has to be.
            soon(&self.semaphore.place, ACQUIRE, |pool: &Pool<'_>| {
                protocol::pass_on(pool)
            });
        }
    }
}
