//! Acquiring a lock one look at a time: the segment's own lock for a task, or the lock of a part.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::attempt::{Attempt, Lock, UpdateMode, WaitState};
use super::error::AcquireError;
use super::hold::AcquireFailure;
use super::protocol::{self, Acquired, LockWaiter, YIELDS};
use crate::deadline::Deadline;
use crate::memory::format::LockWords;
use crate::segment::Segment;
use crate::wait::poll::{Polled, Wait};

/// A lock that is acquired one look at a time.
pub(crate) trait Begin: Lock + Sized {
    /// The result of an acquisition: the lock, or the reason why it was not acquired.
    type Had;

    const UPDATE_MODE: UpdateMode;

    /// Starts to own the lock, if it was acquired.
    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, AcquireError>,
    ) -> Self::Had;
}

/// A segment's own lock for tasks, which may move to another thread.
#[derive(Debug)]
pub(crate) struct Threadless<'a>(pub(crate) &'a Segment);

impl Lock for Threadless<'_> {
    fn segment(&self) -> &Segment {
        self.0
    }

    fn words(&self) -> &LockWords {
        self.0.words()
    }

    fn thread_of(&self, _index: usize) -> Option<&AtomicU32> {
        None
    }
}

impl Begin for Threadless<'_> {
    type Had = Result<(), AcquireFailure>;

    const UPDATE_MODE: UpdateMode = UpdateMode::InPlace;

    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, AcquireError>,
    ) -> Result<(), AcquireFailure> {
        let acquired = acquired.map_err(AcquireFailure::NotAcquired)?;
        self.0.begin(attempt, Ok(acquired), Deadline::Never)
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
pub(crate) struct AcquireWait<L: Begin> {
    lock: L,
    who: WaitMode,
    waiter: LockWaiter,
    asked: WaitState,
    is_done: bool,
}

impl<L: Begin> AcquireWait<L> {
    pub(crate) fn new(lock: L, who: WaitMode) -> AcquireWait<L> {
        AcquireWait {
            lock,
            who,
            waiter: LockWaiter::new(),
            asked: WaitState::default(),
            is_done: false,
        }
    }

    /// Looks once; `Err` when it must sleep, at most this long.
    fn try_acquire(&mut self) -> Result<L::Had, Duration> {
        let lock = &self.lock;
        let segment = lock.segment();
        let attempt = Attempt::new(lock, L::UPDATE_MODE);
        attempt.asked.set(self.asked);
        if !segment.attached().is_ours() {
            self.is_done = true;
            return Ok(lock.begin(&attempt, Err(AcquireError::forked(segment))));
        }
        let (deadline, yields) = match self.who {
            WaitMode::Thread(deadline) => (deadline, YIELDS),
            WaitMode::Task => (Deadline::Never, 0),
        };
        match self.waiter.look(&attempt, deadline, yields) {
            protocol::LockPolled::Sleep(limit) => {
                attempt.begin_sleep();
                self.asked = attempt.asked.get();
                Err(limit)
            }
            protocol::LockPolled::Done(acquired) => {
                self.is_done = true;
                attempt.end_wait();
                let acquired = acquired.map_err(|refused| attempt.refused(refused, deadline));
                Ok(lock.begin(&attempt, acquired))
            }
        }
    }
}

impl<L: Begin> Wait for AcquireWait<L> {
    type Output = L::Had;

    fn look(&mut self) -> Polled<'_, L::Had> {
        match self.try_acquire() {
            Ok(had) => Polled::Ready(had),
            Err(limit) => Polled::Sleep {
                word: (&self.lock.words().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }
}

impl<L: Begin> Drop for AcquireWait<L> {
    fn drop(&mut self) {
        if !self.is_done && self.lock.segment().attached().is_ours() {
            let attempt = Attempt::new(&self.lock, L::UPDATE_MODE);
            attempt.asked.set(self.asked);
            self.waiter.give_up(&attempt);
            attempt.end_wait();
        }
    }
}
