//! `Semaphore`: a number of permits, each of which one attachment at a time has.
//!
//! The algorithm, its states and its deaths are in `sync::permits`; here are its steps on the words of a segment, and what callers see.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::inner::{Doing, Guarded, Refused, soon};
use super::place::Place;
use super::{Draft, Part, Walk, damaged, refused, until};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::SemaphoreWords;
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::segment::table::Hold;
use crate::segment::waits::Note;
use crate::sync::permits::{self, Found, Steps, Wanted};
use crate::sync::waiting::{Look, Wait, block, complete};
use crate::sync::{Until, Who, future};
use crate::sys;

const ACQUIRE: &str = "acquire a permit of";
const RELEASE: &str = "release permits of";
const CREATE: &str = "create";

/// A thread that waits as long as it takes.
const ALWAYS: Who = Who::Thread(Until::Acquired);

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
    place: Place,
}

impl Semaphore {
    /// Takes a permit, waiting as long as it takes.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Until::Acquired)
    }

    /// Takes a permit if there is one that nobody living has.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WouldBlock`], which names one who has some; [`ErrorKind::Forked`].
    pub fn try_acquire(&self) -> Result<Permit<'_>> {
        self.permit(1, Until::Now)
    }

    /// Takes a permit, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`], which names one who has some; [`ErrorKind::Forked`].
    pub fn acquire_timeout(&self, limit: Duration) -> Result<Permit<'_>> {
        self.permit(1, until(limit))
    }

    /// Takes a permit, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_timeout`].
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>> {
        self.permit(1, Until::Deadline(deadline))
    }

    /// Takes so many permits together, waiting as long as it takes. Others who want fewer may go first.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when there are not so many in all; [`ErrorKind::Forked`].
    pub fn acquire_many(&self, count: u32) -> Result<Permit<'_>> {
        self.permit(count, Until::Acquired)
    }

    /// Takes so many permits together, waiting at most for `limit`; with no limit left, it tries once.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::acquire_many`] and [`Semaphore::acquire_timeout`].
    pub fn acquire_many_timeout(&self, count: u32, limit: Duration) -> Result<Permit<'_>> {
        self.permit(count, until(limit))
    }

    /// Gives back permits that this attachment took and [forgot](Permit::forget).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidOption`] when it has not so many, [`ErrorKind::Forked`].
    pub fn release(&self, count: u32) -> Result<()> {
        let words = Pool::of(&self.place, RELEASE, ALWAYS)?;
        let act = |pool: &Pool<'_>| permits::give_back(pool, count);
        let had = complete(&mut Doing { words, act })?;
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
        let act = |pool: &Pool<'_>| permits::count(pool);
        complete(&mut Doing { words, act })
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
        future::Until::new(self.acquiring(count, Who::Task)?).await
    }

    fn permit(&self, count: u32, until: Until) -> Result<Permit<'_>> {
        let mut acquiring = self.acquiring(count, Who::Thread(until))?;
        block(&mut acquiring, until.deadline()).unwrap_or_else(|| {
            // It has looked since it slept.
            acquiring.is_done = true;
            Err(refused(self.segment(), self.holder(), until))
        })
    }

    /// One who has permits.
    fn holder(&self) -> Option<Hold> {
        self.place.marked(MARK).find_map(|mark| mark.maker)
    }

    fn acquiring(&self, count: u32, who: Who) -> Result<Acquiring<'_>> {
        let pool = Pool::of(&self.place, ACQUIRE, who)?;
        let most = pool.permits();
        if count > most {
            let detail = format!("there are {most} permits in all, not {count}; ask for fewer");
            let error = Error::new(ErrorKind::InvalidOption, ACQUIRE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        let now = matches!(who, Who::Thread(Until::Now));
        Ok(Acquiring {
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
    type First = u32;

    const SIZE: usize = Primitive::Semaphore.size(None);
    const MARKS: usize = Primitive::Semaphore.marks();

    fn describe() -> Description {
        Description::of_part(Primitive::Semaphore, None)
    }

    fn begin(first: u32, at: &mut Draft<'_>) -> Result<()> {
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

    fn find(at: &mut Walk) -> Semaphore {
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
    who: Who,
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
            Who::Thread(_) => drop(self.semaphore.release(count)),
            Who::Task => soon(&self.semaphore.place, RELEASE, move |pool: &Pool<'_>| {
                permits::give_back(pool, count)
            }),
        }
    }
}

/// The words of a semaphore.
type Pool<'a> = Guarded<'a, SemaphoreWords>;

impl Steps for Pool<'_> {
    type Refused = Refused;

    fn lock(&self) -> Result<bool, Refused> {
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
struct Acquiring<'a> {
    semaphore: &'a Semaphore,
    pool: Pool<'a>,
    who: Who,
    count: u32,
    wanted: Wanted,
    is_done: bool,
    note: Option<Note>,
}

impl<'a> Wait for Acquiring<'a> {
    type Output = Result<Permit<'a>>;

    fn look(&mut self) -> Look<'_, Result<Permit<'a>>> {
        if let Err(forked) = self.semaphore.place.words::<SemaphoreWords>(ACQUIRE) {
            return Look::Ready(Err(forked));
        }
        match self.wanted.look(&self.pool) {
            Ok(Found::Taken) => {
                self.is_done = true;
                Look::Ready(Ok(Permit {
                    semaphore: self.semaphore,
                    count: self.count,
                    who: self.who,
                }))
            }
            Ok(Found::Sleep(seen)) => {
                self.note = self.pool.note(self.note, self.semaphore.holder());
                Look::Sleep {
                    word: (&self.pool.words.change).into(),
                    seen,
                    limit: Some(self.pool.period()),
                }
            }
            Err(refused) => self.pool.refused(refused),
        }
    }
}

impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        self.pool.wipe_out(self.note);
        if !self.is_done && self.wanted.has_slept() {
            // It may have been woken, and then somebody else has to be.
            soon(&self.semaphore.place, ACQUIRE, |pool: &Pool<'_>| {
                permits::pass_on(pool)
            });
        }
    }
}
