//! The steps of `protocol` on the words of a lock, and what one attempt at the lock knows while it
//! waits.

use std::cell::Cell;
use std::hint;
use std::sync::atomic::{Ordering, compiler_fence, fence};
use std::thread;
use std::time::{Duration, Instant};

use super::error::AcquireError;
use super::protocol::{LockMemory, LockRefusal};
use super::raw::{RawLock, UpdateMode};
use crate::deadline::Deadline;
use crate::segment::id::AttachmentId;
use crate::segment::recoveries::{self, RecoveryRecord};
use crate::segment::waits::WaitHandle;
use crate::sys;
use crate::wait::liveness::{self, CheckerSeat};

/// One in this many liveness checks is thorough.
const THOROUGH_EVERY: u32 = 4;

/// What a waiter knows of the owner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct WaitState {
    /// When the owner was last seen alive, or when this attempt began to sleep.
    last_sign: Option<Instant>,
    /// The number of liveness checks.
    checks: u32,
    /// Its seat as a checker, if it has one.
    seat: CheckerSeat,
    /// Its wait record.
    record: Option<WaitHandle>,
}

impl WaitState {
    fn saw_life(self) -> WaitState {
        WaitState {
            last_sign: Some(Instant::now()),
            ..self
        }
    }
}

/// One attempt at a lock, by a thread or a task.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    lock: RawLock<'a>,
    state: Cell<WaitState>,
}

impl<'a> Attempt<'a> {
    #[inline(always)]
    pub(super) fn new(lock: RawLock<'a>) -> Attempt<'a> {
        Attempt::resume(lock, WaitState::default())
    }

    /// Continues an attempt with what it knew after its last look.
    #[inline(always)]
    pub(super) fn resume(lock: RawLock<'a>, state: WaitState) -> Attempt<'a> {
        Attempt {
            lock,
            state: Cell::new(state),
        }
    }

    pub(super) fn state(&self) -> WaitState {
        self.state.get()
    }

    /// Prepares to sleep: the owner counts as alive from here on, and the wait record becomes
    /// visible.
    pub(super) fn begin_sleep(&self) {
        let state = self.state.get();
        if state.last_sign.is_none() {
            self.state.set(state.saw_life());
        }
        let owner = self.owner();
        if owner != 0 {
            let state = self.state.get();
            let owner = AttachmentId::from_word(owner);
            let record = self.lock.record_wait(state.record, owner);
            self.state.set(WaitState { record, ..state });
        }
    }

    /// Leaves the checker's seat and clears the wait record, at the end of the wait.
    pub(super) fn end_wait(&self) {
        let mut state = self.state.get();
        let words = self.lock.words;
        state.seat.leave(&words.checkers, &words.waiting);
        self.lock.clear_wait(state.record.take());
        self.state.set(state);
    }

    /// Writes the recovery record of a take-over by this attempt.
    pub(super) fn record_recovery(&self, dead: u64) {
        let last_sign = self.state.get().last_sign;
        let segment = self.lock.segment;
        let memory = &segment.attached().memory;
        let dead = AttachmentId::from_word(dead);
        let record = RecoveryRecord {
            lock: memory.place_of(self.lock.words),
            dead,
            previous_owner: segment.recorded(dead),
            by: segment.id(),
            took: last_sign.map_or(Duration::ZERO, |sign| sign.elapsed()),
        };
        recoveries::append(memory.header(), &record);
    }

    /// Returns the error of an attempt that did not acquire the lock.
    #[cold]
    pub(super) fn refused(&self, refused: LockRefusal, deadline: Deadline) -> AcquireError {
        match refused {
            LockRefusal::Own => AcquireError::deadlock(self.lock.segment),
            LockRefusal::Closed => AcquireError::replaced(self.lock.segment),
            LockRefusal::HeldBy(owner) => {
                let owner = AttachmentId::from_word(owner);
                self.lock.held_by(owner, deadline)
            }
        }
    }
}

impl LockMemory for Attempt<'_> {
    #[inline(always)]
    fn try_acquire(&self) -> Result<(), u64> {
        let owner = &self.lock.words.owner;
        owner
            .compare_exchange(0, self.lock.own_word(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
    }

    fn try_take_over(&self, dead: u64) -> bool {
        // With the update mode of the dead owner: until recovery is complete, a death of this owner
        // leaves the same data.
        let me = UpdateMode::of(dead).owner(self.lock.segment.id());
        let owner = &self.lock.words.owner;
        let taken = owner
            .compare_exchange(dead, me, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if taken {
            // The dead owner may have taken away the 1 of waiters for a change: see `change`.
            self.lock.words.watched.store(1, Ordering::Release);
            compiler_fence(Ordering::SeqCst);
        }
        taken
    }

    fn owner(&self) -> u64 {
        self.lock.words.owner.load(Ordering::Acquire)
    }

    #[inline(always)]
    fn free(&self) {
        // One word for all locks of the segment.
        let attached = self.lock.segment.attached();
        if attached.memory.header().lock.fenced.load(Ordering::Relaxed) == 0 {
            self.lock.words.owner.store(0, Ordering::Release);
            // The other half of the fence is the waiter's `barrier`.
            compiler_fence(Ordering::SeqCst);
        } else {
            self.lock.words.owner.store(0, Ordering::Release);
            fence(Ordering::SeqCst);
        }
    }

    #[inline(always)]
    fn is_awaited(&self) -> bool {
        self.lock.words.waiting.load(Ordering::Relaxed) != 0
    }

    fn is_announced(&self) -> bool {
        self.lock.words.waiting.load(Ordering::Acquire) != 0
    }

    fn announce(&self) {
        self.lock.words.waiting.store(1, Ordering::SeqCst);
    }

    #[inline(always)]
    fn take_announcement(&self) -> bool {
        self.lock.words.waiting.swap(0, Ordering::SeqCst) != 0
    }

    fn barrier(&self) {
        self.lock.segment.attached().barrier();
    }

    #[inline(always)]
    fn wake(&self) {
        sys::wake_one(&self.lock.words.waiting);
    }

    fn is_gone(&self, owner: u64) -> bool {
        let state = self.state.get();
        let id = AttachmentId::from_word(owner);
        let thorough = state.checks.is_multiple_of(THOROUGH_EVERY);
        let gone = liveness::is_gone(self.lock.segment, id, thorough);
        let state = if gone { state } else { state.saw_life() };
        let checks = state.checks.wrapping_add(1);
        self.state.set(WaitState { checks, ..state });
        gone
    }

    fn checks_often(&self) -> bool {
        let mut state = self.state.get();
        let segment = self.lock.segment;
        let sees = liveness::sees(segment, AttachmentId::from_word(self.owner()));
        let often = state.seat.keep(segment, &self.lock.words.checkers, sees);
        self.state.set(state);
        often
    }

    fn is_own(&self, owner: u64) -> bool {
        let id = AttachmentId::from_word(owner);
        let segment = self.lock.segment;
        let attached = segment.attached();
        let Some(holding_thread) = self.lock.thread_word(id.index()) else {
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
