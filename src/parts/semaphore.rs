//! `Semaphore`: a number of permits, each of which one attachment at a time has.
//!
//! # State
//!
//! Everything is changed under an inner lock, which is held for some instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `permits` | how many there are; constant |
//! | a slot's mark | how many of them this attachment has |
//! | `available` | how many nobody has: a sum that the marks of the living can always be asked for again |
//! | `change` | raised whenever permits come back; sleepers sleep on it |
//! | `waiting` | 1 when somebody may be asleep |
//!
//! # Invariants
//!
//! 1. `available` is at most `permits` less the marks of the living. While nobody has the inner lock, and nobody has died with permits since
//!    it was last recounted, it is exactly that.
//! 2. Who takes permits marks them first, then lowers `available`; who gives them back unmarks them first, then raises it.
//! 3. Who takes the inner lock over from the dead recounts before anything else.
//! 4. Who finds too few, having slept, asks whether those who have some live, and recounts. So what the dead had comes back as soon as
//!    somebody wants it.
//! 5. Who sleeps has stored 1 into `waiting` and seen `change`, both under the inner lock.
//!
//! | death of | leaves | and then |
//! |---|---|---|
//! | one who has permits | its mark | one who waits proves it dead, and recounts |
//! | one inside of the inner lock | that lock, and perhaps `available` too low or high | the next one takes over, and recounts |
//! | one who gives back, before it wakes anybody | them asleep | they look again after their period |
//! | one who waits | `waiting` 1 | one superfluous wake-up |

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::place::Place;
use super::{Draft, Part, Walk, briefly, damaged, refused, until};
use crate::error::{Error, ErrorKind, Result};
use crate::memory::format::SemaphoreWords;
use crate::schema::{Description, Primitive};
use crate::segment::Segment;
use crate::sync::part::{Held, PartLock};
use crate::sync::waiting::{Look, Wait, block};
use crate::sync::{FIRST_SLEEP, Until, longer};
use crate::sys;

const ACQUIRE: &str = "acquire a permit of";
const RELEASE: &str = "release permits of";
const CREATE: &str = "create";

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
        let words: &SemaphoreWords = self.place.words(RELEASE)?;
        let _held = self.hold(words, Until::Acquired)?;
        if self.place.own(0) < count {
            let detail = format!(
                "this attachment has {}, not {count}; release what it has",
                self.place.own(0)
            );
            let error = Error::new(ErrorKind::InvalidOption, RELEASE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        self.give_back(words, count);
        Ok(())
    }

    /// Returns how many permits nobody living has. The answer may be outdated when it arrives.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    pub fn available(&self) -> Result<u32> {
        let words: &SemaphoreWords = self.place.words(ACQUIRE)?;
        let _held = self.hold(words, Until::Acquired)?;
        self.recount(words);
        Ok(words.available.load(Ordering::Relaxed))
    }

    /// Returns the segment that it is in, for its key, its attachments and its end.
    pub fn segment(&self) -> &Segment {
        self.place.segment()
    }

    fn permit(&self, count: u32, until: Until) -> Result<Permit<'_>> {
        let words: &SemaphoreWords = self.place.words(ACQUIRE)?;
        let most = words.permits.load(Ordering::Relaxed);
        if count > most {
            let detail = format!("there are {most} permits in all, not {count}; ask for fewer");
            let error = Error::new(ErrorKind::InvalidOption, ACQUIRE, detail);
            return Err(error.with_key(self.segment().key()));
        }
        let mut wanted = Wanted {
            semaphore: self,
            words,
            count,
            period: FIRST_SLEEP,
            asks: until == Until::Now,
            until,
        };
        if let Some(taken) = block(&mut wanted, until.deadline()) {
            taken?;
            let semaphore = self;
            return Ok(Permit { semaphore, count });
        }
        let holder = self.place.marked(0).find_map(|mark| mark.maker);
        Err(refused(self.segment(), holder, until))
    }

    /// Takes the inner lock, and sees to what a dead one left.
    fn hold<'a>(&'a self, words: &'a SemaphoreWords, until: Until) -> Result<Held<'a>> {
        let lock = PartLock::threadless(self.segment(), &words.lock);
        let held = lock.acquire(briefly(until))?;
        if held.dead().is_some() {
            self.recount(words);
        }
        Ok(held)
    }

    /// Finds out how many permits nobody living has. Called with the inner lock.
    fn recount(&self, words: &SemaphoreWords) {
        let mut taken = 0_u32;
        for mark in self.place.marked(0) {
            match mark.maker {
                Some(hold) if !self.segment().is_gone(hold) => {
                    taken = taken.saturating_add(mark.value);
                }
                _ => mark.clear(),
            }
        }
        let permits = words.permits.load(Ordering::Relaxed);
        let available = permits.saturating_sub(taken);
        words.available.store(available, Ordering::SeqCst);
    }

    /// Called with the inner lock.
    fn try_take(&self, words: &SemaphoreWords, count: u32) -> bool {
        let available = words.available.load(Ordering::Relaxed);
        let Some(left) = available.checked_sub(count) else {
            return false;
        };
        self.place
            .set_own(0, self.place.own(0).saturating_add(count));
        words.available.store(left, Ordering::SeqCst);
        true
    }

    /// Called with the inner lock.
    fn give_back(&self, words: &SemaphoreWords, count: u32) {
        self.place
            .set_own(0, self.place.own(0).saturating_sub(count));
        words.available.fetch_add(count, Ordering::SeqCst);
        words.change.fetch_add(1, Ordering::SeqCst);
        if words.waiting.load(Ordering::Relaxed) != 0 {
            words.waiting.store(0, Ordering::SeqCst);
            sys::wake_all(&words.change);
        }
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
        // It fails in a forked child, which has a copy of the permit and none of the permits.
        let _ = self.semaphore.release(self.count);
    }
}

/// One that wants permits.
struct Wanted<'a> {
    semaphore: &'a Semaphore,
    words: &'a SemaphoreWords,
    count: u32,
    period: Duration,
    /// Whether it asks for the dead, which costs system calls: once it has slept, or when it tries only once.
    asks: bool,
    until: Until,
}

impl Wait for Wanted<'_> {
    type Output = Result<()>;

    fn look(&mut self) -> Look<'_, Result<()>> {
        let words = self.words;
        let held = match self.semaphore.hold(words, self.until) {
            Ok(held) => held,
            Err(error) => return Look::Ready(Err(error)),
        };
        let mut taken = self.semaphore.try_take(words, self.count);
        if !taken && self.asks {
            self.semaphore.recount(words);
            taken = self.semaphore.try_take(words, self.count);
        }
        if taken {
            return Look::Ready(Ok(()));
        }
        words.waiting.store(1, Ordering::SeqCst);
        let seen = words.change.load(Ordering::SeqCst);
        drop(held);
        let limit = Some(self.period);
        self.period = longer(self.period);
        self.asks = true;
        Look::Sleep {
            word: (&words.change).into(),
            seen,
            limit,
        }
    }
}
