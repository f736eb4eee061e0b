//! The robust lock as an algorithm over indivisible steps: what is stored and loaded in which
//! order, and where a process may die.
//!
//! The algorithm knows neither shared memory nor the system: see [`LockMemory`]. `attempt`
//! implements the steps with both, and the model with threads that die.
//!
//! # State
//!
//! | word | value | meaning |
//! |---|---|---|
//! | `owner` | 0 | the lock is free |
//! | | an attachment ID | that attachment, living or dead, owns the lock |
//! | `waiting` | 0 | the next release need not wake a waiter |
//! | | 1 | a waiter may be asleep: the next release stores 0 and wakes one |
//!
//! # Invariants
//!
//! 1. `owner` changes in three ways only:
//!    - from 0 to an attachment ID, by compare-exchange;
//!    - from an attachment ID to 0, by its living owner, once. So when the owner's death can be
//!      proven, everything it stored is visible;
//!    - from an attachment ID that is proven dead to another one, by compare-exchange. The dead
//!      attachment never owns the lock again. So of several waiters that prove the death one takes
//!      over.
//! 2. A waiter that sleeps has stored 1 into `waiting`, *then* passed a barrier in all processes,
//!    *then* read `owner` as held. A releaser stores 0 into `owner`, *then* loads `waiting`. The
//!    barrier orders the two plain accesses of the releaser on behalf of the waiter (Dekker's
//!    pattern with the fence moved to the rare side). So at least one of the two sees the other.
//! 3. A waiter sleeps on `waiting` itself, while it is 1. So it cannot sleep through a release that
//!    has taken the 1 away.
//! 4. While a waiter sleeps, one of these holds:
//!    - `waiting` is 1;
//!    - the releaser that took the 1 away is about to wake a waiter;
//!    - a woken waiter is under way. It stores 1 again when it acquires the lock, or before it
//!      reads `owner` again, whether it sleeps or gives up then.
//!
//!    So one wake-up at a time is under way, and a release meanwhile makes no system call.
//! 5. A waiter that wakes up and finds `waiting` still 1, and the owner that it slept on, may sleep
//!    again without another store or barrier. The 1 is its own, or belongs to another waiter that
//!    has yet to read `owner`, and covers both. So while no owner releases, a waiter only checks
//!    liveness.
//! 6. A waiter that gives up has done one of these:
//!    - it has read `owner` as held after its 1 and the barrier. The release by that owner is still
//!      to come, and sees the 1;
//!    - it has itself released the lock once more.
//!
//!    A caller that only tries once never sleeps: it uses up no wake-up, stores no 1, and makes no
//!    other process pass a barrier.
//!
//! # Deaths
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | an owner | its ID in `owner` | a waiter proves the death and takes over |
//! | an owner that took over, before it completed the recovery | its ID in `owner` | a waiter takes over; the data count as left by this owner |
//! | a releaser between storing 0 and waking | `waiting` 1, or a wake-up that never comes | sleeping waiters look again after their period |
//! | a waiter, asleep or about to sleep | `waiting` 1 | one superfluous wake-up |
//! | a woken waiter | a wake-up used up (4 is broken) | sleeping waiters look again after their period, and restore 4 |
//!
//! A stopped process is like a dead one, except that it keeps the lock if it owns it.
//!
//! A few of the waiters, the checkers, check liveness often: their sleeps end after at most
//! [`LONGEST_SLEEP`], and so do the first sleeps of every waiter. A waiter checks the owner when it
//! finds the same owner again after a sleep. So the delay from a death to the liveness check is at
//! most what is left of one sleep, and one [`FIRST_SLEEP`] more if the owner was new to the waiter.
//!
//! The tests in `model` check all of this against every interleaving, and show that each rule is
//! needed.

use crate::deadline::Deadline;
use crate::timing::{FIRST_SLEEP, next_period};
use std::iter;
use std::time::{Duration, Instant};

/// How often a waiter polls before it yields: after 1, 2, 4 … processor pauses, some microseconds
/// in all.
const POLLS: u32 = 8;
/// How often a waiter yields its processor before its first sleep.
pub(crate) const YIELDS: usize = 10;

/// The steps of the lock. Each is indivisible, and a process may die between any two.
pub(crate) trait LockMemory {
    /// Changes `owner` from 0 to this attachment, or returns the owner. An acquire operation, and a
    /// release operation: a thread that reads the owner also sees that its slot is taken.
    fn try_acquire(&self) -> Result<(), u64>;
    /// Changes `owner` from a dead owner to this attachment. The same kind of operation.
    fn try_take_over(&self, dead: u64) -> bool;
    /// Loads `owner`. An acquire operation.
    fn owner(&self) -> u64;
    /// Stores 0 into `owner`. A release operation; it does not order the loads that follow.
    fn free(&self);
    /// Loads `waiting`, after everything before it in the program.
    fn is_awaited(&self) -> bool;
    /// Loads `waiting`, before everything after it in the program.
    fn is_announced(&self) -> bool;
    /// Stores 1 into `waiting`.
    fn announce(&self);
    /// Changes `waiting` to 0; returns whether it was 1.
    fn take_announcement(&self) -> bool;
    /// Makes all processes pass a memory barrier.
    fn barrier(&self);
    /// Wakes one sleeping waiter.
    fn wake(&self);
    /// Whether the owner is proven dead.
    fn is_gone(&self, owner: u64) -> bool;
    /// Whether this waiter is a checker, or becomes one.
    fn checks_often(&self) -> bool;
    /// Whether the owner is the calling thread itself.
    fn is_own(&self, owner: u64) -> bool;
    /// Whether this lock can no longer be acquired.
    fn is_closed(&self, _owner: u64) -> bool {
        false
    }
    /// Passes a little time: spins `pauses` times, or yields the processor for 0.
    fn relax(&self, pauses: u32);
    /// The current time, for deadlines.
    fn now(&self) -> Instant;
}

/// How the lock was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    Free,
    /// Taken over from this owner, which is dead.
    TakenOver(u64),
}

/// Why the lock was not acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockRefusal {
    /// This owner, not proven dead, kept it until the end of the wait.
    HeldBy(u64),
    /// The calling thread itself owns it.
    Own,
    /// It can no longer be acquired.
    Closed,
}

/// A waiter for the lock: what it knows between two looks.
#[derive(Debug)]
pub(crate) struct LockWaiter {
    /// The owner that it slept on last; 0 before it has slept.
    suspect: u64,
    period: Duration,
}

/// The result of a look.
pub(crate) enum LockPolled {
    Done(Result<Acquired, LockRefusal>),
    /// Sleep while `waiting` is 1, at most this long.
    Sleep(Duration),
}

impl LockWaiter {
    pub(crate) fn new() -> LockWaiter {
        LockWaiter {
            suspect: 0,
            period: FIRST_SLEEP,
        }
    }

    /// Whether a look has returned [`LockPolled::Sleep`], so that a wake-up may have been meant for
    /// it.
    pub(crate) fn has_slept(&self) -> bool {
        self.suspect != 0
    }

    /// Looks once: takes the lock if it can, else returns how long to sleep. `yields` is how often
    /// it may yield its processor before its first sleep.
    pub(crate) fn look(
        &mut self,
        steps: &impl LockMemory,
        deadline: Deadline,
        yields: usize,
    ) -> LockPolled {
        loop {
            let owner = if self.is_still_announced(steps) {
                self.suspect
            } else {
                match self.try_acquire(steps, deadline, yields) {
                    Ok(()) => return LockPolled::Done(Ok(Acquired::Free)),
                    Err(owner) => owner,
                }
            };
            if steps.is_own(owner) {
                return LockPolled::Done(Err(LockRefusal::Own));
            }
            if steps.is_closed(owner) {
                return LockPolled::Done(Err(LockRefusal::Closed));
            }
            let stays = owner == self.suspect;
            self.period = if stays {
                self.longer(steps)
            } else {
                FIRST_SLEEP
            };
            let left = deadline.left(|| steps.now(), self.period);
            // A liveness check makes system calls: only a waiter that has slept on this owner, or
            // has no time left, makes one.
            if (stays || left.is_none()) && steps.is_gone(owner) {
                if steps.try_take_over(owner) {
                    return LockPolled::Done(Ok(Acquired::TakenOver(owner)));
                }
                continue;
            }
            let Some(left) = left else {
                return LockPolled::Done(Err(LockRefusal::HeldBy(owner)));
            };
            self.suspect = owner;
            return LockPolled::Sleep(left);
        }
    }

    /// Gives up. If it was woken, it passes the wake-up on to another waiter.
    pub(crate) fn give_up(&self, steps: &impl LockMemory) {
        if self.has_slept() && self.try_acquire(steps, Deadline::Never, 0).is_ok() {
            release(steps);
        }
    }

    /// The next period while the owner stays the same.
    fn longer(&self, steps: &impl LockMemory) -> Duration {
        next_period(self.period, || steps.checks_often())
    }

    /// Whether its period has merely passed: no owner has released since it fell asleep, or the
    /// announcement of another waiter replaces its own. Then it only has to check liveness.
    fn is_still_announced(&self, steps: &impl LockMemory) -> bool {
        self.has_slept() && steps.is_announced() && steps.owner() == self.suspect
    }

    /// Tries to acquire. Announces itself first, unless it tries only once.
    fn try_acquire(
        &self,
        steps: &impl LockMemory,
        deadline: Deadline,
        yields: usize,
    ) -> Result<(), u64> {
        if deadline != Deadline::Now {
            // A waiter that has slept may have to check a dead owner: on a busy machine each yield
            // would delay that.
            if spin(steps, if self.has_slept() { 0 } else { yields }) {
                if self.has_slept() {
                    steps.announce();
                }
                return Ok(());
            }
            steps.announce();
            steps.barrier();
        }
        steps.try_acquire()
    }
}

/// Releases the lock, for its owner.
#[inline(always)]
pub(crate) fn release(steps: &impl LockMemory) {
    steps.free();
    if steps.is_awaited() {
        wake_one(steps);
    }
}

// Inlined, so that `steps` stay in registers; the only call is the system call that wakes.
#[inline(always)]
fn wake_one(steps: &impl LockMemory) {
    if steps.take_announcement() {
        steps.wake();
    }
}

/// Tries for some microseconds, then for some yields; returns whether it acquired the lock.
fn spin(steps: &impl LockMemory, yields: usize) -> bool {
    let polls = (0..POLLS).map(|poll| 1 << poll);
    for pauses in polls.chain(iter::repeat_n(0, yields)) {
        steps.relax(pauses);
        if steps.owner() == 0 && steps.try_acquire().is_ok() {
            return true;
        }
    }
    false
}
