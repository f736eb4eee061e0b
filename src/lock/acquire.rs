//! Acquiring and releasing a raw lock: at once, blocking, or one look at a time.

use std::mem;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::attempt::{Attempt, WaitState};
use super::error::AcquireError;
use super::protocol::{self, Acquired, LockMemory, LockPolled, LockWaiter, YIELDS};
use super::raw::RawLock;
use crate::deadline::Deadline;
use crate::segment::id::AttachmentId;
use crate::wait::future::WaitFuture;
use crate::wait::poll::{Polled, Wait, complete};

impl<'a> RawLock<'a> {
    /// Acquires the lock if it is free.
    #[inline(always)]
    pub(crate) fn try_acquire(self) -> Option<RawLockGuard<'a>> {
        let is_ours = self.segment.attached().is_ours();
        let is_free = is_ours && Attempt::new(self).try_acquire().is_ok();
        is_free.then(|| RawLockGuard::acquired(self, 0))
    }

    /// Acquires the lock.
    ///
    /// # Errors
    ///
    /// As [`Segment::lock`](crate::Segment::lock), without an abandonment.
    #[inline]
    pub(crate) fn acquire(self, deadline: Deadline) -> Result<RawLockGuard<'a>, AcquireError> {
        match self.try_acquire() {
            Some(held) => Ok(held),
            None => self.acquire_contended(deadline),
        }
    }

    /// Acquires the lock, which the caller then owns without a guard. Returns the dead owner from
    /// which it was taken over, if it was.
    ///
    /// # Errors
    ///
    /// As [`RawLock::acquire`].
    #[inline]
    pub(crate) fn acquire_unguarded(
        self,
        deadline: Deadline,
    ) -> Result<Option<AttachmentId>, AcquireError> {
        // An uncontended acquisition builds no guard in memory.
        if let Some(held) = self.try_acquire() {
            held.keep();
            return Ok(None);
        }
        self.acquire_contended(deadline)
            .map(RawLockGuard::unguarded)
    }

    /// Acquires the lock that the caller just saw held.
    ///
    /// # Errors
    ///
    /// As [`RawLock::acquire`].
    #[cold]
    pub(super) fn acquire_contended(
        self,
        deadline: Deadline,
    ) -> Result<RawLockGuard<'a>, AcquireError> {
        complete(&mut AcquireWait::new(self, WaitMode::Thread(deadline)))
    }

    /// Acquires the lock, waiting as long as it takes, without blocking a thread.
    ///
    /// # Errors
    ///
    /// As [`RawLock::acquire`].
    pub(crate) async fn acquire_async(self) -> Result<RawLockGuard<'a>, AcquireError> {
        WaitFuture::new(AcquireWait::new(self, WaitMode::Task)).await
    }

    /// Takes the lock over if this owner is proven dead.
    pub(crate) fn take_over(self, owner: u64) -> Option<RawLockGuard<'a>> {
        let attempt = Attempt::new(self);
        let taken = attempt.is_gone(owner) && attempt.try_take_over(owner);
        taken.then(|| {
            attempt.record_recovery(owner);
            RawLockGuard::acquired(self, owner)
        })
    }

    /// Makes the guard of a lock that the calling thread or task owns without one.
    #[inline(always)]
    pub(super) fn guard(self) -> RawLockGuard<'a> {
        RawLockGuard {
            lock: self,
            dead: None,
        }
    }

    /// Releases the lock, which the calling thread or task owns without a guard.
    #[inline(always)]
    pub(crate) fn release(self) {
        self.clear_thread();
        protocol::release(&Attempt::new(self));
    }

    /// Ends the recovery of a lock that was taken over. Only from here on may the death of this
    /// owner leave other data than the dead owner left.
    pub(super) fn end_recovery(self) {
        let owner = &self.words.owner;
        owner.store(self.own_word(), Ordering::Release);
    }

    /// Whether the calling thread owns the lock, through any handle. Never of a lock that does not
    /// belong to a thread.
    pub(crate) fn is_own(self) -> bool {
        let attempt = Attempt::new(self);
        self.segment.attached().is_ours() && attempt.is_own(attempt.owner())
    }
}

/// A guard that owns a raw lock; dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct RawLockGuard<'a> {
    lock: RawLock<'a>,
    dead: Option<NonZeroU64>,
}

impl<'a> RawLockGuard<'a> {
    /// Starts to own a lock that was just acquired. `dead`: the owner word that it was taken over
    /// from, or 0.
    #[inline(always)]
    fn acquired(lock: RawLock<'a>, dead: u64) -> RawLockGuard<'a> {
        lock.store_thread();
        RawLockGuard {
            lock,
            dead: NonZeroU64::new(dead),
        }
    }

    /// The dead owner from which the lock was taken over, if it was.
    #[inline]
    pub(crate) fn dead(&self) -> Option<AttachmentId> {
        self.dead_word().map(AttachmentId::from_word)
    }

    /// The owner word of that owner.
    #[inline(always)]
    pub(super) fn dead_word(&self) -> Option<u64> {
        self.dead.map(NonZeroU64::get)
    }

    /// Makes the caller own the lock without a guard; returns [`RawLockGuard::dead`].
    #[inline]
    pub(crate) fn unguarded(self) -> Option<AttachmentId> {
        let dead = self.dead();
        self.keep();
        dead
    }

    /// Returns the lock, which the caller then owns without a guard.
    #[inline(always)]
    pub(crate) fn keep(self) -> RawLock<'a> {
        let lock = self.lock;
        mem::forget(self);
        lock
    }
}

impl Drop for RawLockGuard<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        // A forked child has a copy of this guard, but does not own the lock.
        if self.lock.segment.attached().is_ours() {
            self.lock.release();
        }
    }
}

/// The kind of waiter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum WaitMode {
    /// A thread, which waits until then.
    Thread(Deadline),
    /// A task, which waits as long as it takes and never yields its processor.
    Task,
}

/// A wait for a lock. Dropping it before its end passes a wake-up on, so that no other waiter stays
/// asleep for it.
#[derive(Debug)]
pub(crate) struct AcquireWait<'a> {
    lock: RawLock<'a>,
    mode: WaitMode,
    waiter: LockWaiter,
    state: WaitState,
    is_done: bool,
}

impl<'a> AcquireWait<'a> {
    pub(crate) fn new(lock: RawLock<'a>, mode: WaitMode) -> AcquireWait<'a> {
        AcquireWait {
            lock,
            mode,
            waiter: LockWaiter::new(),
            state: WaitState::default(),
            is_done: false,
        }
    }

    /// Looks once; `Err` when it must sleep, at most this long.
    fn look_once(&mut self) -> Result<Result<RawLockGuard<'a>, AcquireError>, Duration> {
        let lock = self.lock;
        if !lock.segment.attached().is_ours() {
            self.is_done = true;
            return Ok(Err(AcquireError::forked(lock.segment)));
        }
        let (deadline, yields) = match self.mode {
            WaitMode::Thread(deadline) => (deadline, YIELDS),
            WaitMode::Task => (Deadline::Never, 0),
        };
        let attempt = Attempt::resume(lock, self.state);
        match self.waiter.look(&attempt, deadline, yields) {
            LockPolled::Sleep(limit) => {
                attempt.begin_sleep();
                self.state = attempt.state();
                Err(limit)
            }
            LockPolled::Done(acquired) => {
                self.is_done = true;
                attempt.end_wait();
                let dead = match acquired {
                    Ok(Acquired::Free) => 0,
                    Ok(Acquired::TakenOver(dead)) => {
                        attempt.record_recovery(dead);
                        dead
                    }
                    Err(refused) => return Ok(Err(attempt.refused(refused, deadline))),
                };
                Ok(Ok(RawLockGuard::acquired(lock, dead)))
            }
        }
    }
}

impl<'a> Wait for AcquireWait<'a> {
    type Output = Result<RawLockGuard<'a>, AcquireError>;

    fn look(&mut self) -> Polled<'_, Self::Output> {
        match self.look_once() {
            Ok(acquired) => Polled::Ready(acquired),
            Err(limit) => Polled::Sleep {
                word: (&self.lock.words.waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }
}

impl Drop for AcquireWait<'_> {
    fn drop(&mut self) {
        if !self.is_done && self.lock.segment.attached().is_ours() {
            let attempt = Attempt::resume(self.lock, self.state);
            self.waiter.give_up(&attempt);
            attempt.end_wait();
        }
    }
}
