//! The robust lock as an algorithm over indivisible steps: what is stored and asked in which order, and where one may die.
//!
//! It knows neither shared memory nor the system: see [`Steps`]. The segment's lock gives it both; the model checker's
//! tests give it threads that die.
//!
//! # State
//!
//! | word | value | meaning |
//! |---|---|---|
//! | `owner` | 0 | free |
//! | | a hold | held by that attachment, living or dead |
//! | `waiting` | 0 | nobody needs to be woken by the next release |
//! | | 1 | somebody may be asleep: the next release takes the 1 away and wakes one |
//!
//! # Invariants
//!
//! 1. `owner` leaves 0 only by compare-exchange, and becomes 0 only by its living owner. It goes from one hold to another only
//!    by compare-exchange from a hold that is proven dead, which never owns again; so of several that prove it one takes over.
//! 2. Who sleeps has stored 1 into `waiting`, *then* passed a barrier in all processes, *then* seen `owner` held.
//!    Who releases stores 0 into `owner`, *then* loads `waiting`. The barrier orders the two plain accesses of the releaser on
//!    behalf of the sleeper (Dekker's pattern with the fence moved to the rare side), so that one of the two sees the other.
//! 3. Sleeping is on `waiting` itself while it is 1: a release that has taken the 1 away is never slept through.
//! 4. While somebody sleeps, `waiting` is 1 or a woken one is under way, who stores 1 again when it acquires or before it
//!    sleeps or gives up. So one wake at a time is under way, and a release in between costs no system call.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | a holder | its hold in `owner` | a waiter proves it dead and takes over |
//! | a releaser between storing 0 and waking | `waiting` 1, or a wake that never comes | sleepers look again after their period |
//! | a sleeper | `waiting` 1 | one superfluous wake |
//! | a woken one | a wake used up (4 broken) | sleepers look again after their period, and restore 4 |
//!
//! Every sleep ends after at most [`LONGEST_SLEEP`], which is what bounds the second and fourth line, and how often the holder is
//! asked to be alive.

use std::time::{Duration, Instant};

/// The first sleep; it doubles from there while the same holder stays.
const FIRST_SLEEP: Duration = Duration::from_micros(250);
/// The longest time between two questions whether the holder lives: with waking up and asking, below 10 ms.
const LONGEST_SLEEP: Duration = Duration::from_millis(8);
/// How often a waiter polls before it yields: after 1, 2, 4 … pauses of the processor, some microseconds in all.
const POLLS: u32 = 8;
/// How often a waiter gives its processor away before it sleeps.
const YIELDS: u32 = 10;

/// The steps that the lock is made of; each is indivisible, and a process may die between any two.
pub(super) trait Steps {
    /// Changes `owner` from 0 to this attachment, or returns the owner. An acquire operation.
    fn try_acquire(&self) -> Result<(), u64>;
    /// Changes `owner` from a dead hold to this attachment. An acquire operation.
    fn try_take_over(&self, dead: u64) -> bool;
    /// Loads `owner`.
    fn is_free(&self) -> bool;
    /// Stores 0 into `owner`. A release operation, and no fence for loads that follow.
    fn free(&self);
    /// Loads `waiting`, after everything before it in the program.
    fn is_awaited(&self) -> bool;
    /// Stores 1 into `waiting`.
    fn announce(&self);
    /// Changes `waiting` to 0; whether it was 1.
    fn take_announcement(&self) -> bool;
    /// Has all processes pass a memory barrier.
    fn barrier(&self);
    /// Sleeps while `waiting` is 1, until woken or until the limit.
    fn sleep(&self, limit: Duration);
    /// Wakes one sleeper.
    fn wake(&self);
    /// Whether the hold is proven dead.
    fn is_gone(&self, owner: u64) -> bool;
    /// Whether the hold is the calling thread's own.
    fn is_own(&self, owner: u64) -> bool;
    /// Passes a little time: spins `pauses` times, or gives the processor away for 0.
    fn relax(&self, pauses: u32);
}

/// How long a lock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    Acquired,
    Deadline(Instant),
    /// One try.
    Now,
}

impl Until {
    /// The time left, at most `period`; `None` when there is none.
    fn left(self, period: Duration) -> Option<Duration> {
        match self {
            Until::Acquired => Some(period),
            Until::Now => None,
            Until::Deadline(end) => {
                let left = end.saturating_duration_since(Instant::now());
                (!left.is_zero()).then(|| left.min(period))
            }
        }
    }
}

/// How the lock was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acquired {
    Free,
    /// From this hold, which is dead.
    TakenOver(u64),
}

/// Why the lock was not acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// This hold, not proven dead, kept it for all of the time.
    HeldBy(u64),
    /// The calling thread itself holds it.
    Own,
}

/// Acquires a lock that was just seen to be held.
#[cold]
pub(super) fn acquire(steps: &impl Steps, until: Until) -> Result<Acquired, Refused> {
    let mut suspect = 0;
    let mut period = FIRST_SLEEP;
    let mut slept = false;
    loop {
        if until != Until::Now && spin(steps) {
            if slept {
                steps.announce();
            }
            return Ok(Acquired::Free);
        }
        steps.announce();
        steps.barrier();
        let Err(owner) = steps.try_acquire() else {
            return Ok(Acquired::Free);
        };
        if steps.is_own(owner) {
            return Err(Refused::Own);
        }
        // Asking costs system calls: a holder is asked only after it has kept somebody waiting for a whole period.
        let stayed = owner == suspect;
        suspect = owner;
        period = if stayed {
            LONGEST_SLEEP.min(period * 2)
        } else {
            FIRST_SLEEP
        };
        let left = until.left(period);
        if (stayed || left.is_none()) && steps.is_gone(owner) {
            if steps.try_take_over(owner) {
                return Ok(Acquired::TakenOver(owner));
            }
            continue;
        }
        let Some(left) = left else {
            pass_on(steps);
            return Err(Refused::HeldBy(owner));
        };
        steps.sleep(left);
        slept = true;
    }
}

/// Releases a lock that is held.
#[inline(always)]
pub(super) fn release(steps: &impl Steps) {
    steps.free();
    if steps.is_awaited() {
        wake_one(steps);
    }
}

// Inlined, so that `steps` stay in registers; the call to wake is the system's.
#[inline(always)]
fn wake_one(steps: &impl Steps) {
    if steps.take_announcement() {
        steps.wake();
    }
}

/// Gives a wake that this one may have used up to another sleeper, since it does not acquire.
fn pass_on(steps: &impl Steps) {
    steps.announce();
    steps.barrier();
    if steps.is_free() {
        wake_one(steps);
    }
}

/// Tries for some microseconds, then some turns of the scheduler.
fn spin(steps: &impl Steps) -> bool {
    let pauses = (0..POLLS).map(|poll| 1 << poll).chain([0; YIELDS as usize]);
    for pauses in pauses {
        steps.relax(pauses);
        if steps.is_free() && steps.try_acquire().is_ok() {
            return true;
        }
    }
    false
}
