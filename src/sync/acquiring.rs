//! Acquiring a lock one look at a time: the segment's own lock for a task, or the lock of a part.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::attempt::{Asked, Attempt, Lock, Manner};
use super::error::NotAcquired;
use super::hold::Trouble;
use super::protocol::{self, Acquired, Until, Waiter, YIELDS};
use super::waiting::{Look, Wait};
use crate::memory::format::LockWords;
use crate::segment::Segment;

/// A lock that is acquired one look at a time.
pub(crate) trait Begin: Lock + Sized {
    /// The result of an acquisition: the lock, or the reason why it was not acquired.
    type Had;

    const MANNER: Manner;

    /// Starts to own the lock, if it was acquired.
    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, NotAcquired>,
    ) -> Self::Had;
}

/// A segment's own lock for tasks, which may move to another thread.
#[derive(Debug)]
pub(super) struct Threadless<'a>(pub(super) &'a Segment);

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
    type Had = Result<(), Trouble>;

    const MANNER: Manner = Manner::Plain;

    fn begin(
        &self,
        attempt: &Attempt<'_, Self>,
        acquired: Result<Acquired, NotAcquired>,
    ) -> Result<(), Trouble> {
        let acquired = acquired.map_err(Trouble::NotAcquired)?;
        self.0.begin(attempt, Ok(acquired), Until::Acquired)
    }
}

/// The kind of waiter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// A thread, which waits until then.
    Thread(Until),
    /// A task, which waits as long as it takes and never yields its processor.
    Task,
}

/// A wait for a lock. Dropping it before its end passes a wake-up on, so that no other waiter stays
/// asleep for it.
#[derive(Debug)]
pub(crate) struct Acquiring<L: Begin> {
    lock: L,
    who: Who,
    waiter: Waiter,
    asked: Asked,
    is_done: bool,
}

impl<L: Begin> Acquiring<L> {
    pub(crate) fn new(lock: L, who: Who) -> Acquiring<L> {
        Acquiring {
            lock,
            who,
            waiter: Waiter::new(),
            asked: Asked::default(),
            is_done: false,
        }
    }

    /// Looks once; `Err` when it must sleep, at most this long.
    fn try_acquire(&mut self) -> Result<L::Had, Duration> {
        let lock = &self.lock;
        let segment = lock.segment();
        let attempt = Attempt::new(lock, L::MANNER);
        attempt.asked.set(self.asked);
        if !segment.attached().is_ours() {
            self.is_done = true;
            return Ok(lock.begin(&attempt, Err(NotAcquired::forked(segment))));
        }
        let (until, yields) = match self.who {
            Who::Thread(until) => (until, YIELDS),
            Who::Task => (Until::Acquired, 0),
        };
        match self.waiter.look(&attempt, until, yields) {
            protocol::Look::Sleep(limit) => {
                attempt.begin_sleep();
                self.asked = attempt.asked.get();
                Err(limit)
            }
            protocol::Look::Done(acquired) => {
                self.is_done = true;
                attempt.end_wait();
                let acquired = acquired.map_err(|refused| attempt.refused(refused, until));
                Ok(lock.begin(&attempt, acquired))
            }
        }
    }
}

impl<L: Begin> Wait for Acquiring<L> {
    type Output = L::Had;

    fn look(&mut self) -> Look<'_, L::Had> {
        match self.try_acquire() {
            Ok(had) => Look::Ready(had),
            Err(limit) => Look::Sleep {
                word: (&self.lock.words().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }
}

impl<L: Begin> Drop for Acquiring<L> {
    fn drop(&mut self) {
        if !self.is_done && self.lock.segment().attached().is_ours() {
            let attempt = Attempt::new(&self.lock, L::MANNER);
            attempt.asked.set(self.asked);
            self.waiter.give_up(&attempt);
            attempt.end_wait();
        }
    }
}
