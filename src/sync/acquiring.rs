//! Acquiring the segment's own lock one look at a time, for those who are no thread.

use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use super::error::NotAcquired;
use super::hold::{Asked, Attempt, Lock, Manner, Trouble};
use super::protocol::{self, Until, Waiter};
use super::waiting::{Look, Wait};
use crate::memory::format::LockWords;
use crate::segment::Segment;

/// A segment's own lock, for those who are no thread: a task may go on in another one.
#[derive(Debug)]
struct Threadless<'a>(&'a Segment);

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

/// Waits for a segment's own lock, to change data in place, for a task. Who drops it before its end leaves nobody asleep.
#[derive(Debug)]
pub(super) struct Acquiring<'a> {
    lock: Threadless<'a>,
    waiter: Waiter,
    asked: Asked,
    is_done: bool,
}

impl<'a> Acquiring<'a> {
    pub(super) fn new(segment: &'a Segment) -> Acquiring<'a> {
        Acquiring {
            lock: Threadless(segment),
            waiter: Waiter::new(),
            asked: Asked::default(),
            is_done: false,
        }
    }

    /// Looks once; `None` when it has to sleep, at most so long.
    fn look_until(&mut self, until: Until) -> Result<Result<(), Trouble>, Duration> {
        let segment = self.lock.0;
        if !segment.attached().is_ours() {
            return Ok(Err(Trouble::NotAcquired(NotAcquired::forked(segment))));
        }
        let attempt = Attempt::new(&self.lock, Manner::Plain);
        attempt.asked.set(self.asked);
        let look = self.waiter.look(&attempt, until, 0);
        match look {
            protocol::Look::Sleep(limit) => {
                attempt.begin_sleep();
                self.asked = attempt.asked.get();
                Err(limit)
            }
            protocol::Look::Done(acquired) => {
                self.is_done = true;
                attempt.end_wait();
                Ok(segment.begin(&attempt, acquired, until))
            }
        }
    }
}

impl Wait for Acquiring<'_> {
    type Output = Result<(), Trouble>;

    fn look(&mut self) -> Look<'_, Result<(), Trouble>> {
        match self.look_until(Until::Acquired) {
            Ok(result) => Look::Ready(result),
            Err(limit) => Look::Sleep {
                word: (&self.lock.words().waiting).into(),
                seen: 1,
                limit: Some(limit),
            },
        }
    }
}

impl Drop for Acquiring<'_> {
    fn drop(&mut self) {
        // As one whose time is over: it may have been woken, and then somebody else has to be.
        if !self.is_done && self.waiter.has_slept() {
            let over = Until::Deadline(Instant::now());
            if let Ok(Ok(()) | Err(Trouble::Left(_))) = self.look_until(over) {
                self.lock.leave();
            }
        }
    }
}
