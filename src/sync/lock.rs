//! The segment's own lock, and the guard through which its data are used.

#![allow(unsafe_code)]

use std::hint;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, compiler_fence};
use std::thread;
use std::time::{Duration, Instant};

use super::error::{Abandoned, Cause, Left, LockError, NotAcquired};
use super::protocol::{self, Acquired, Refused, Steps, Until};
use crate::memory::format::{LockWords, Slot};
use crate::segment::table::{Hold, read_record, write_record};
use crate::segment::{Attachment, Bytes, Segment};
use crate::sys;

/// What the data under the lock are worth.
const CONSISTENT: u32 = 0;
const HOLDER_DIED: u32 = 1;
const HOLDER_PANICKED: u32 = 2;

impl Segment {
    /// Acquires the segment's lock, waiting as long as it takes, and gives access to the data.
    ///
    /// It excludes every other process and every other thread, also one that uses the same handle. It is released when the
    /// guard is dropped. While nobody else wants it, neither makes a system call.
    ///
    /// # When a process dies
    ///
    /// A holder's death frees the lock within 10 ms: the next one gets it as [`LockError::Abandoned`], which says
    /// who died and carries the guard, since the data may be half written. A holder that is merely slow, or stopped, is never robbed.
    ///
    /// # Errors
    ///
    /// [`LockError::Abandoned`], with the lock acquired, also when a holder panicked, and until somebody vouches for the data;
    /// [`LockError::NotAcquired`] with [`Deadlock`](crate::ErrorKind::Deadlock) when this thread has it already, or
    /// [`Forked`](crate::ErrorKind::Forked).
    #[inline(always)]
    pub fn lock(&self) -> Result<Guard<'_>, LockError<'_>> {
        self.acquire(Until::Acquired)
    }

    /// Acquires the lock if nobody living holds it.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with [`WouldBlock`](crate::ErrorKind::WouldBlock), which names the holder.
    #[inline(always)]
    pub fn try_lock(&self) -> Result<Guard<'_>, LockError<'_>> {
        self.acquire(Until::Now)
    }

    /// Acquires the lock, waiting at most for `limit`.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`], and [`LockError::NotAcquired`] with [`Timeout`](crate::ErrorKind::Timeout), which names the holder.
    pub fn lock_timeout(&self, limit: Duration) -> Result<Guard<'_>, LockError<'_>> {
        let until = Instant::now()
            .checked_add(limit)
            .map_or(Until::Acquired, Until::Deadline);
        self.acquire(until)
    }

    /// Acquires the lock, waiting until `deadline` at most.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock_timeout`].
    pub fn lock_deadline(&self, deadline: Instant) -> Result<Guard<'_>, LockError<'_>> {
        self.acquire(Until::Deadline(deadline))
    }

    // What is always inlined makes no call, spills no register and keeps its result in registers: the
    // compare-exchange has to wait for every store before it, so that each one costs.
    #[inline(always)]
    fn acquire(&self, until: Until) -> Result<Guard<'_>, LockError<'_>> {
        let attached = self.attached();
        let words = &attached.memory.header().lock;
        let outcome = if attached.is_ours() && try_acquire(words, self.hold()) {
            self.enter();
            if words.condition.load(Ordering::Relaxed) == CONSISTENT {
                Ok(())
            } else {
                self.report()
            }
        } else {
            self.acquire_contended(until)
        };
        match outcome {
            Ok(()) => Ok(Guard::new(self)),
            Err(Trouble::Left(left)) => {
                Err(LockError::Abandoned(Abandoned::new(Guard::new(self), left)))
            }
            Err(Trouble::NotAcquired(refusal)) => Err(LockError::NotAcquired(refusal)),
        }
    }

    #[cold]
    #[inline(never)]
    fn acquire_contended(&self, until: Until) -> Result<(), Trouble> {
        if !self.attached().is_ours() {
            return Err(Trouble::NotAcquired(NotAcquired::forked(self)));
        }
        let acquired = protocol::acquire(&Attempt::new(self), until);
        let acquired = acquired.map_err(|refused| self.refused(refused, until))?;
        self.enter();
        if let Acquired::TakenOver(dead) = acquired {
            self.record(Hold::from_word(dead), HOLDER_DIED);
            self.attached()
                .memory
                .header()
                .life
                .recoveries
                .fetch_add(1, Ordering::Relaxed);
        }
        self.report()
    }

    /// Notes which thread has the lock that was just acquired.
    #[inline(always)]
    fn enter(&self) {
        if let Some(slot) = self.own_slot() {
            let thread = sys::thread_id(self.attached().generation);
            slot.holding_thread.store(thread, Ordering::Relaxed);
        }
    }

    /// Says what somebody left that nobody has vouched for since. Called with the lock.
    #[cold]
    #[inline(never)]
    fn report(&self) -> Result<(), Trouble> {
        let words = &self.attached().memory.header().lock;
        let cause = match words.condition.load(Ordering::Relaxed) {
            CONSISTENT => return Ok(()),
            HOLDER_PANICKED => Cause::Panicked,
            _ => Cause::Died,
        };
        let hold = Hold::from_word(words.culprit_hold.load(Ordering::Relaxed));
        let culprit = read_record(&words.culprit, hold.generation());
        let culprit = culprit.map(|found| Attachment::of(hold, &found));
        Err(Trouble::Left(Box::new(Left { cause, culprit })))
    }

    /// Records that `culprit` left the data in this condition. Called with the lock: dying in here is itself abandoning it,
    /// so that the next one records again.
    fn record(&self, culprit: Hold, condition: u32) {
        let words = &self.attached().memory.header().lock;
        words.culprit_hold.store(culprit.word(), Ordering::Relaxed);
        match self.recorded(culprit) {
            Some(found) => write_record(&words.culprit, culprit.generation(), &found),
            None => words.culprit.generation.store(0, Ordering::Relaxed),
        }
        words.condition.store(condition, Ordering::Relaxed);
    }

    #[inline]
    fn own_slot(&self) -> Option<&Slot> {
        self.attached().memory.slot(self.hold().index())
    }

    #[cold]
    fn refused(&self, refused: Refused, until: Until) -> Trouble {
        Trouble::NotAcquired(match refused {
            Refused::Own => NotAcquired::deadlock(self),
            Refused::HeldBy(owner) => {
                let hold = Hold::from_word(owner);
                let holder = self
                    .recorded(hold)
                    .map(|found| Attachment::of(hold, &found));
                NotAcquired::held(self, holder, until == Until::Now)
            }
        })
    }
}

/// What keeps a lock operation from simply succeeding; small enough for registers.
enum Trouble {
    /// The lock is acquired, and somebody left this.
    Left(Box<Left>),
    NotAcquired(NotAcquired),
}

/// One thread's attempt at a segment's lock.
struct Attempt<'a> {
    segment: &'a Segment,
    words: &'a LockWords,
}

#[inline(always)]
fn try_acquire(words: &LockWords, me: Hold) -> bool {
    words
        .owner
        .compare_exchange(0, me.word(), Ordering::Acquire, Ordering::Relaxed)
        .is_ok()
}

impl<'a> Attempt<'a> {
    fn new(segment: &'a Segment) -> Attempt<'a> {
        Attempt {
            segment,
            words: &segment.attached().memory.header().lock,
        }
    }
}

impl Steps for Attempt<'_> {
    #[inline]
    fn try_acquire(&self) -> Result<(), u64> {
        let me = self.segment.hold().word();
        self.words
            .owner
            .compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed)
            .map(|_| ())
    }

    fn try_take_over(&self, dead: u64) -> bool {
        let me = self.segment.hold().word();
        self.words
            .owner
            .compare_exchange(dead, me, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    fn is_free(&self) -> bool {
        self.words.owner.load(Ordering::Relaxed) == 0
    }

    #[inline]
    fn free(&self) {
        if self.words.fenced.load(Ordering::Relaxed) == 0 {
            self.words.owner.store(0, Ordering::Release);
            // The other half of the fence is the sleeper's `barrier`.
            compiler_fence(Ordering::SeqCst);
        } else {
            self.words.owner.swap(0, Ordering::SeqCst);
        }
    }

    #[inline]
    fn is_awaited(&self) -> bool {
        self.words.waiting.load(Ordering::Relaxed) != 0
    }

    fn announce(&self) {
        self.words.waiting.store(1, Ordering::SeqCst);
    }

    fn take_announcement(&self) -> bool {
        self.words.waiting.swap(0, Ordering::SeqCst) != 0
    }

    fn barrier(&self) {
        sys::barrier();
    }

    fn sleep(&self, limit: Duration) {
        sys::wait(&self.words.waiting, 1, Some(limit));
    }

    fn wake(&self) {
        sys::wake_one(&self.words.waiting);
    }

    fn is_gone(&self, owner: u64) -> bool {
        self.segment.is_gone(Hold::from_word(owner))
    }

    fn is_own(&self, owner: u64) -> bool {
        let hold = Hold::from_word(owner);
        let attached = self.segment.attached();
        let thread = sys::thread_id(attached.generation);
        let Some(slot) = attached.memory.slot(hold.index()) else {
            return false;
        };
        if slot.generation.load(Ordering::Relaxed) != hold.generation()
            || slot.holding_thread.load(Ordering::Relaxed) != thread
        {
            return false;
        }
        // The same thread number, but perhaps of another process in another PID namespace.
        hold == self.segment.hold()
            || self
                .segment
                .recorded(hold)
                .zip(sys::identity().ok())
                .is_some_and(|(found, me)| found.who == me)
    }

    fn relax(&self, pauses: u32) {
        if pauses == 0 {
            thread::yield_now();
        }
        for _ in 0..pauses {
            hint::spin_loop();
        }
    }
}

/// Holds the lock of a segment and gives access to its data; releases it when dropped.
///
/// It reads and writes through [`Bytes`], by offset and checked.
///
/// # When a process dies
///
/// The process that has the guard: see [`Segment::lock`]. A panic while the guard lives releases the lock, and the
/// next one to lock is told.
#[derive(Debug)]
#[must_use = "the lock is released when the guard is dropped"]
pub struct Guard<'a> {
    segment: &'a Segment,
    bytes: Bytes<'a>,
    was_panicking: bool,
    /// The lock belongs to a thread.
    not_send: PhantomData<*const ()>,
}

// SAFETY: a shared guard offers only loads, which other processes may race with anyway.
unsafe impl Sync for Guard<'_> {}

impl<'a> Guard<'a> {
    #[inline(always)]
    fn new(segment: &'a Segment) -> Guard<'a> {
        let bytes = Bytes::new(segment.attached());
        Guard {
            segment,
            bytes,
            was_panicking: thread::panicking(),
            not_send: PhantomData,
        }
    }

    #[inline]
    fn words(&self) -> &'a LockWords {
        &self.segment.attached().memory.header().lock
    }

    /// Makes the segment at least `new_size` bytes long: see [`Segment::grow`].
    ///
    /// # Errors
    ///
    /// As [`Segment::grow`].
    pub fn grow(&mut self, new_size: usize) -> crate::Result<()> {
        self.segment.grow(new_size)
    }

    /// Returns the data as one slice, for code that needs no copy.
    ///
    /// # Safety
    ///
    /// While the slice lives nobody else touches these bytes: every process that is attached writes only while it holds this lock,
    /// read-only attachments do not read them, and this process does not fork.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        let size = self.bytes.size();
        // SAFETY: `size` bytes are mapped and in the file; the caller vouches that nobody else uses them.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr().as_ptr(), size) }
    }

    #[cold]
    #[inline(never)]
    fn record_panic(&self) {
        if !self.was_panicking {
            self.segment.record(self.segment.hold(), HOLDER_PANICKED);
        }
    }

    /// Vouches for the data: the next one to lock is told nothing of what happened before.
    pub(super) fn vouch(&mut self) {
        // A forked child has a copy of the guard, and no memory behind it.
        if self.segment.attached().is_ours() {
            self.words().condition.store(CONSISTENT, Ordering::Relaxed);
        }
    }

    pub(super) fn segment(&self) -> &'a Segment {
        self.segment
    }
}

impl<'a> Deref for Guard<'a> {
    type Target = Bytes<'a>;

    #[inline]
    fn deref(&self) -> &Bytes<'a> {
        &self.bytes
    }
}

impl<'a> DerefMut for Guard<'a> {
    #[inline]
    fn deref_mut(&mut self) -> &mut Bytes<'a> {
        &mut self.bytes
    }
}

impl Drop for Guard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of the guard, not the lock.
        if !self.segment.attached().is_ours() {
            return;
        }
        if thread::panicking() {
            self.record_panic();
        }
        if let Some(slot) = self.segment.own_slot() {
            slot.holding_thread.store(0, Ordering::Relaxed);
        }
        protocol::release(&Attempt {
            segment: self.segment,
            words: self.words(),
        });
    }
}
