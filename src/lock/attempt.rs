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

use super::deadlock;
use super::error::AcquireError;
use super::protocol::{self, Acquired, LockMemory, LockRefusal};
use crate::deadline::Deadline;
use crate::memory::format::LockWords;
use crate::segment::id::AttachmentId;
use crate::segment::recoveries::{self, RecoveryRecord};
use crate::segment::waits::{self, WaitHandle};
use crate::segment::{Attachment, Segment};
use crate::sys;
use crate::wait::liveness::{self, Checks};

/// One in this many liveness checks looks at the process of the owner, too.
const FULL_CHECK_EVERY: u32 = 4;

/// The update mode of an owner. It is a bit of the owner word, so that it is known from the first
/// moment of ownership, even if the owner dies then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateMode {
    /// In place: a death can leave half-written data.
    InPlace,
    /// All or nothing, by one committing store: a death leaves nothing to repair.
    Atomic,
}

impl UpdateMode {
    const ATOMIC: u64 = 1 << 63;

    /// The update mode in an owner word.
    pub(crate) fn of(owner: u64) -> UpdateMode {
        if owner & UpdateMode::ATOMIC == 0 {
            UpdateMode::InPlace
        } else {
            UpdateMode::Atomic
        }
    }

    #[inline(always)]
    fn bit(self) -> u64 {
        match self {
            UpdateMode::InPlace => 0,
            UpdateMode::Atomic => UpdateMode::ATOMIC,
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
        self.thread_of(self.segment().id().index())
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
        protocol::release(&Attempt::new(self, UpdateMode::InPlace));
    }

    /// Returns the error of a wait that ended: names the owner, and the wait cycle if the owner
    /// waits for the calling thread.
    #[cold]
    fn held_by(&self, id: AttachmentId, deadline: Deadline) -> AcquireError {
        let segment = self.segment();
        let recorded = segment.recorded(id);
        let holder = recorded.map(|found| Attachment::of(id, &found));
        let circle = matches!(deadline, Deadline::At(_)).then(|| {
            let thread = self.thread_of(id.index())?;
            deadlock::explain(segment, id, thread.load(Ordering::Relaxed))
        });
        match (holder, circle.flatten()) {
            (Some(holder), Some(circle)) => AcquireError::circle(segment, holder, &circle),
            (holder, _) => AcquireError::held(segment, holder, deadline == Deadline::Now),
        }
    }

    /// Records for which owner this thread, or task, sleeps. `note` is its wait record, if it has
    /// one.
    fn note(&self, note: Option<WaitHandle>, holder: AttachmentId) -> Option<WaitHandle> {
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
    fn wipe_out(&self, note: Option<WaitHandle>) {
        if let Some(note) = note {
            waits::end(self.segment().attached().memory.own_slot(), note);
        }
    }
}

/// What a waiter knows of the owner.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WaitState {
    /// When the owner was last seen alive, or when this attempt began to sleep.
    pub(crate) last_sign: Option<Instant>,
    /// The number of liveness checks.
    times: u32,
    /// Its seat as a checker, if it has one.
    checks: Checks,
    /// Its wait record.
    note: Option<WaitHandle>,
}

impl WaitState {
    pub(crate) fn saw_life(self) -> WaitState {
        WaitState {
            last_sign: Some(Instant::now()),
            ..self
        }
    }
}

/// One thread's attempt at a lock.
pub(crate) struct Attempt<'a, L: ?Sized> {
    lock: &'a L,
    pub(crate) words: &'a LockWords,
    /// The owner word of this attachment.
    pub(crate) me: u64,
    pub(crate) asked: Cell<WaitState>,
}

impl<'a, L: Lock + ?Sized> Attempt<'a, L> {
    #[inline(always)]
    pub(crate) fn new(lock: &'a L, mode: UpdateMode) -> Attempt<'a, L> {
        let me = lock.segment().id().word() | mode.bit();
        Attempt {
            lock,
            words: lock.words(),
            me,
            asked: Cell::default(),
        }
    }

    /// Waits for the lock.
    pub(crate) fn wait(&self, deadline: Deadline) -> Result<Acquired, LockRefusal> {
        let acquired = protocol::acquire(self, deadline);
        self.end_wait();
        acquired
    }

    /// Prepares to sleep: the owner counts as alive from here on, and the wait record becomes
    /// visible.
    pub(crate) fn begin_sleep(&self) {
        let asked = self.asked.get();
        if asked.last_sign.is_none() {
            self.asked.set(asked.saw_life());
        }
        let owner = self.owner();
        if owner != 0 {
            let asked = self.asked.get();
            let note = self.lock.note(asked.note, AttachmentId::from_word(owner));
            self.asked.set(WaitState { note, ..asked });
        }
    }

    /// Leaves the checker's seat and clears the wait record, at the end of the wait.
    pub(crate) fn end_wait(&self) {
        let mut asked = self.asked.get();
        let words = self.words;
        asked.checks.leave(&words.checkers, &words.waiting);
        self.lock.wipe_out(asked.note.take());
        self.asked.set(asked);
    }

    /// Writes the recovery record of a take-over by this attempt.
    pub(crate) fn record_recovery(&self, dead: u64) {
        let last_sign = self.asked.get().last_sign;
        let segment = self.lock.segment();
        let memory = &segment.attached().memory;
        let dead = AttachmentId::from_word(dead);
        let record = RecoveryRecord {
            lock: memory.place_of(self.words),
            dead,
            previous_owner: segment.recorded(dead),
            by: segment.id(),
            took: last_sign.map_or(Duration::ZERO, |sign| sign.elapsed()),
        };
        recoveries::append(memory.header(), &record);
    }

    /// Why the lock was not acquired.
    #[cold]
    pub(crate) fn refused(&self, refused: LockRefusal, deadline: Deadline) -> AcquireError {
        let segment = self.lock.segment();
        match refused {
            LockRefusal::Own => AcquireError::deadlock(segment),
            LockRefusal::Closed => AcquireError::replaced(segment),
            LockRefusal::HeldBy(owner) => {
                self.lock.held_by(AttachmentId::from_word(owner), deadline)
            }
        }
    }
}

impl<L: Lock + ?Sized> LockMemory for Attempt<'_, L> {
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
        let me = self.me & !UpdateMode::ATOMIC | dead & UpdateMode::ATOMIC;
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
        let id = AttachmentId::from_word(owner);
        let asked = self.asked.get();
        // Mostly the owner still keeps its byte. Only an expensive check shows that a child keeps
        // the byte of a dead owner.
        let segment = self.lock.segment();
        let gone = (asked.times.is_multiple_of(FULL_CHECK_EVERY) || !segment.is_kept(id))
            && segment.is_gone(id);
        let asked = if gone { asked } else { asked.saw_life() };
        let times = asked.times.wrapping_add(1);
        self.asked.set(WaitState { times, ..asked });
        gone
    }

    fn checks_often(&self) -> bool {
        let mut asked = self.asked.get();
        let segment = self.lock.segment();
        let sees = liveness::sees(segment, AttachmentId::from_word(self.owner()));
        let often = asked.checks.look(segment, &self.words.checkers, sees);
        self.asked.set(asked);
        often
    }

    fn is_own(&self, owner: u64) -> bool {
        let id = AttachmentId::from_word(owner);
        let segment = self.lock.segment();
        let attached = segment.attached();
        let Some(holding_thread) = self.lock.thread_of(id.index()) else {
            return false;
        };
        let thread = sys::thread_id(attached.generation);
        let slot = attached.memory.slot(id.index());
        let generation = slot.map(|slot| slot.generation.load(Ordering::Relaxed));
        if generation != Some(id.generation()) || holding_thread.load(Ordering::Relaxed) != thread {
            return false;
        }
        // The thread number is the same, but it may belong to another process in another PID
        // namespace, or to the program that this process executed before: without address
        // randomisation that program recorded the same number.
        let is_recorded_as_own = || {
            let recorded = segment.recorded(id).zip(sys::identity().ok());
            recorded.is_some_and(|(found, me)| me.is_known() && found.who == me)
        };
        id == segment.id() || is_recorded_as_own() && !segment.is_gone(id)
    }

    fn is_closed(&self, owner: u64) -> bool {
        owner == AttachmentId::REPLACED.word()
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
