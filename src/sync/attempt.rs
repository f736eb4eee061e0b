//! One attempt at a lock of a segment: the steps of `protocol` on the words of the lock, and what
//! the attempt knows while it waits.
//!
//! The attempt does not know what the lock protects: see `hold` for the segment's own lock, and
//! `part` for the locks of parts.

use std::cell::Cell;
use std::hint;
use std::sync::atomic::{AtomicU32, Ordering, compiler_fence, fence};
use std::thread;
use std::time::{Duration, Instant};

use super::askers::{self, Checks};
use super::deadlock;
use super::error::NotAcquired;
use super::protocol::{self, Acquired, Refused, Steps, Until};
use crate::memory::format::LockWords;
use crate::segment::recoveries::{self, Certificate};
use crate::segment::table::Hold;
use crate::segment::waits::{self, Note};
use crate::segment::{Attachment, Segment};
use crate::sys;

/// One in this many liveness checks looks at the process of the owner, too.
const THOROUGHLY: u32 = 4;

/// The update mode of an owner. It is a bit of the owner word, so that it is known from the first
/// moment of ownership, even if the owner dies then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// In place: a death can leave half-written data.
    Plain,
    /// All or nothing, by one committing store: a death leaves nothing to repair.
    Atomic,
}

impl Manner {
    const ATOMIC: u64 = 1 << 63;

    /// The update mode in an owner word.
    pub(crate) fn of(owner: u64) -> Manner {
        if owner & Manner::ATOMIC == 0 {
            Manner::Plain
        } else {
            Manner::Atomic
        }
    }

    #[inline(always)]
    fn bit(self) -> u64 {
        match self {
            Manner::Plain => 0,
            Manner::Atomic => Manner::ATOMIC,
        }
    }
}

/// A lock of a segment: its own, or that of a part.
pub(crate) trait Lock {
    fn segment(&self) -> &Segment;
    fn words(&self) -> &LockWords;
    /// The word in which the attachment in the slot `index` stores which of its threads owns the
    /// lock; `None` for a lock that does not belong to a thread.
    fn thread_of(&self, index: usize) -> Option<&AtomicU32>;

    /// The word of this attachment.
    #[inline(always)]
    fn own_thread(&self) -> Option<&AtomicU32> {
        self.thread_of(self.segment().hold().index())
    }

    /// Stores that the calling thread owns the lock that was just acquired.
    #[inline(always)]
    fn enter(&self) {
        if let Some(holding_thread) = self.own_thread() {
            let thread = sys::thread_id(self.segment().attached().generation);
            holding_thread.store(thread, Ordering::Relaxed);
        }
    }

    /// Releases the lock, which the calling thread owns.
    #[inline(always)]
    fn leave(&self) {
        if let Some(holding_thread) = self.own_thread() {
            holding_thread.store(0, Ordering::Relaxed);
        }
        protocol::release(&Attempt::new(self, Manner::Plain));
    }

    /// Returns the error of a wait that ended: names the owner, and the wait cycle if the owner
    /// waits for the calling thread.
    #[cold]
    fn held_by(&self, hold: Hold, until: Until) -> NotAcquired {
        let segment = self.segment();
        let recorded = segment.recorded(hold);
        let holder = recorded.map(|found| Attachment::of(hold, &found));
        let circle = matches!(until, Until::Deadline(_)).then(|| {
            let thread = self.thread_of(hold.index())?;
            deadlock::explain(segment, hold, thread.load(Ordering::Relaxed))
        });
        match (holder, circle.flatten()) {
            (Some(holder), Some(circle)) => NotAcquired::circle(segment, holder, &circle),
            (holder, _) => NotAcquired::held(segment, holder, until == Until::Now),
        }
    }

    /// Records for which owner this thread, or task, sleeps. `note` is its wait record, if it has
    /// one.
    fn note(&self, note: Option<Note>, holder: Hold) -> Option<Note> {
        let segment = self.segment();
        let attached = segment.attached();
        let slot = attached.memory.own_slot();
        let note = note.or_else(|| {
            let place = attached.memory.place_of(self.words());
            let thread = self
                .own_thread()
                .map(|_| sys::thread_id(attached.generation));
            waits::begin(slot, place, thread.unwrap_or(0))
        })?;
        let thread = self.thread_of(holder.index());
        let thread = thread.map_or(0, |it| it.load(Ordering::Relaxed));
        waits::meet(slot, note, holder, thread);
        Some(note)
    }

    /// Clears the wait record at the end of a wait.
    fn wipe_out(&self, note: Option<Note>) {
        if let Some(note) = note {
            waits::end(self.segment().attached().memory.own_slot(), note);
        }
    }
}

/// What a waiter knows of the owner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Asked {
    /// When the owner was last seen alive, or when this attempt began to sleep.
    pub(super) last_sign: Option<Instant>,
    /// The number of liveness checks.
    times: u32,
    /// Its seat as a checker, if it has one.
    checks: Checks,
    /// Its wait record.
    note: Option<Note>,
}

impl Asked {
    pub(super) fn saw_life(self) -> Asked {
        Asked {
            last_sign: Some(Instant::now()),
            ..self
        }
    }
}

/// One thread's attempt at a lock.
pub(crate) struct Attempt<'a, L: ?Sized> {
    lock: &'a L,
    pub(super) words: &'a LockWords,
    /// The owner word of this attachment.
    pub(super) me: u64,
    pub(super) asked: Cell<Asked>,
}

impl<'a, L: Lock + ?Sized> Attempt<'a, L> {
    #[inline(always)]
    pub(super) fn new(lock: &'a L, manner: Manner) -> Attempt<'a, L> {
        let me = lock.segment().hold().word() | manner.bit();
        Attempt {
            lock,
            words: lock.words(),
            me,
            asked: Cell::default(),
        }
    }

    /// Waits for the lock.
    pub(super) fn wait(&self, until: Until) -> Result<Acquired, Refused> {
        let acquired = protocol::acquire(self, until);
        self.end_wait();
        acquired
    }

    /// Prepares to sleep: the owner counts as alive from here on, and the wait record becomes
    /// visible.
    pub(super) fn begin_sleep(&self) {
        let asked = self.asked.get();
        if asked.last_sign.is_none() {
            self.asked.set(asked.saw_life());
        }
        let owner = self.owner();
        if owner != 0 {
            let asked = self.asked.get();
            let note = self.lock.note(asked.note, Hold::from_word(owner));
            self.asked.set(Asked { note, ..asked });
        }
    }

    /// Leaves the checker's seat and clears the wait record, at the end of the wait.
    pub(super) fn end_wait(&self) {
        let mut asked = self.asked.get();
        let words = self.words;
        asked.checks.leave(&words.askers, &words.waiting);
        self.lock.wipe_out(asked.note.take());
        self.asked.set(asked);
    }

    /// Writes the recovery record of a take-over by this attempt.
    pub(super) fn certify_recovery(&self, dead: u64) {
        let last_sign = self.asked.get().last_sign;
        let segment = self.lock.segment();
        let memory = &segment.attached().memory;
        let dead = Hold::from_word(dead);
        let certificate = Certificate {
            lock: memory.place_of(self.words),
            dead,
            culprit: segment.recorded(dead),
            by: segment.hold(),
            took: last_sign.map_or(Duration::ZERO, |sign| sign.elapsed()),
        };
        recoveries::certify(memory.header(), &certificate);
    }

    /// Why the lock was not acquired.
    #[cold]
    pub(super) fn refused(&self, refused: Refused, until: Until) -> NotAcquired {
        let segment = self.lock.segment();
        match refused {
            Refused::Own => NotAcquired::deadlock(segment),
            Refused::Closed => NotAcquired::replaced(segment),
            Refused::HeldBy(owner) => self.lock.held_by(Hold::from_word(owner), until),
        }
    }
}

impl<L: Lock + ?Sized> Steps for Attempt<'_, L> {
    #[inline(always)]
    fn try_acquire(&self) -> Result<(), u64> {
        let owner = &self.words.owner;
        owner
            .compare_exchange(0, self.me, Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }

    fn try_take_over(&self, dead: u64) -> bool {
        // With the update mode of the dead owner: until recovery is complete, a death of this owner
        // leaves the same data.
        let me = self.me & !Manner::ATOMIC | dead & Manner::ATOMIC;
        let owner = &self.words.owner;
        let taken = owner
            .compare_exchange(dead, me, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if taken {
            // The dead owner may have taken away the 1 of waiters for a change: see `change`.
            self.words.watched.store(1, Ordering::Release);
            compiler_fence(Ordering::SeqCst);
        }
        taken
    }

    fn owner(&self) -> u64 {
        self.words.owner.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn free(&self) {
        // One word for all locks of the segment.
        let attached = self.lock.segment().attached();
        if attached.memory.header().lock.fenced.load(Ordering::Relaxed) == 0 {
            self.words.owner.store(0, Ordering::Release);
            // The other half of the fence is the waiter's `barrier`.
            compiler_fence(Ordering::SeqCst);
        } else {
            self.words.owner.store(0, Ordering::Release);
            fence(Ordering::SeqCst);
        }
    }

    #[inline(always)]
    fn is_awaited(&self) -> bool {
        self.words.waiting.load(Ordering::Relaxed) != 0
    }

    fn is_announced(&self) -> bool {
        self.words.waiting.load(Ordering::Acquire) != 0
    }

    fn announce(&self) {
        self.words.waiting.store(1, Ordering::SeqCst);
    }

    #[inline(always)]
    fn take_announcement(&self) -> bool {
        self.words.waiting.swap(0, Ordering::SeqCst) != 0
    }

    fn barrier(&self) {
        self.lock.segment().attached().barrier();
    }

    fn sleep(&self, limit: Duration) {
        self.begin_sleep();
        sys::wait(&self.words.waiting, 1, Some(limit));
    }

    #[inline(always)]
    fn wake(&self) {
        sys::wake_one(&self.words.waiting);
    }

    fn is_gone(&self, owner: u64) -> bool {
        let hold = Hold::from_word(owner);
        let asked = self.asked.get();
        // Mostly the owner still keeps its byte. Only an expensive check shows that a child keeps
        // the byte of a dead owner.
        let segment = self.lock.segment();
        let gone = (asked.times.is_multiple_of(THOROUGHLY) || !segment.is_kept(hold))
            && segment.is_gone(hold);
        let asked = if gone { asked } else { asked.saw_life() };
        let times = asked.times.wrapping_add(1);
        self.asked.set(Asked { times, ..asked });
        gone
    }

    fn asks_often(&self) -> bool {
        let mut asked = self.asked.get();
        let segment = self.lock.segment();
        let sees = askers::sees(segment, Hold::from_word(self.owner()));
        let often = asked.checks.look(segment, &self.words.askers, sees);
        self.asked.set(asked);
        often
    }

    fn is_own(&self, owner: u64) -> bool {
        let hold = Hold::from_word(owner);
        let segment = self.lock.segment();
        let attached = segment.attached();
        let Some(holding_thread) = self.lock.thread_of(hold.index()) else {
            return false;
        };
        let thread = sys::thread_id(attached.generation);
        let slot = attached.memory.slot(hold.index());
        let generation = slot.map(|slot| slot.generation.load(Ordering::Relaxed));
        if generation != Some(hold.generation()) || holding_thread.load(Ordering::Relaxed) != thread
        {
            return false;
        }
        // The thread number is the same, but it may belong to another process in another PID
        // namespace, or to the program that this process executed before: without address
        // randomisation that program recorded the same number.
        let is_recorded_as_own = || {
            let recorded = segment.recorded(hold).zip(sys::identity().ok());
            recorded.is_some_and(|(found, me)| me.is_known() && found.who == me)
        };
        hold == segment.hold() || is_recorded_as_own() && !segment.is_gone(hold)
    }

    fn is_closed(&self, owner: u64) -> bool {
        owner == Hold::REPLACED.word()
    }

    fn relax(&self, pauses: u32) {
        if pauses == 0 {
            thread::yield_now();
        }
        for _ in 0..pauses {
            hint::spin_loop();
        }
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}
