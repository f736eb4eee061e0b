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
//! 1. `owner` leaves 0 only by compare-exchange, and becomes 0 only by its living owner, once: what that one stored is there before
//!    its death can be proven. It goes from one hold to another only by compare-exchange from a hold that is proven dead,
//!    which never owns again; so of several that prove it one takes over.
//! 2. Who sleeps has stored 1 into `waiting`, *then* passed a barrier in all processes, *then* seen `owner` held.
//!    Who releases stores 0 into `owner`, *then* loads `waiting`. The barrier orders the two plain accesses of the releaser on
//!    behalf of the sleeper (Dekker's pattern with the fence moved to the rare side), so that one of the two sees the other.
//! 3. Sleeping is on `waiting` itself while it is 1: a release that has taken the 1 away is never slept through.
//! 4. While somebody sleeps, `waiting` is 1, or whoever took the 1 away is about to wake one, or a woken one is under way, who
//!    stores 1 again: when it acquires, or before it looks at the owner again, be it then to sleep or to give up. So one
//!    wake at a time is under way, and a release in between costs no system call.
//! 5. Who wakes up, finds `waiting` still 1 and the owner that it slept on, may sleep again as it is: the 1 is its own, or another
//!    one's who has yet to look at the owner, and covers both. So while nobody releases, a waiter does nothing but ask.
//! 6. Who gives up has seen a holder after its 1 and the barrier, or has released once more itself. That holder's release is still to
//!    come, and sees the 1.
//!    Who only tries once has never slept: it uses up no wake, announces nothing, and troubles nobody.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | a holder | its hold in `owner` | a waiter proves it dead and takes over |
//! | one who took over, before it recorded that | the same | the same: the data count as left by this one |
//! | a releaser between storing 0 and waking | `waiting` 1, or a wake that never comes | sleepers look again after their period |
//! | a waiter, asleep or about to | `waiting` 1 | one superfluous wake |
//! | a woken one | a wake used up (4 broken) | sleepers look again after their period, and restore 4 |
//!
//! A process that is stopped is like a dead one, except that what it holds it keeps.
//!
//! Of those who wait a few ask often: their sleeps, and everybody's first ones, end after at most [`LONGEST_SLEEP`]. A holder is asked about by whoever finds it again after a sleep. So from a
//! death to the question it takes a waiter what is left of one sleep, and at most one [`FIRST_SLEEP`] more, if the holder was new to it.
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.

use std::iter;
use std::time::{Duration, Instant};

/// The first sleep; they get longer from there while the same holder stays.
pub(super) const FIRST_SLEEP: Duration = Duration::from_micros(250);
/// The longest time between two questions whether the holder lives: with waking up and asking, below 10 ms.
pub(super) const LONGEST_SLEEP: Duration = Duration::from_millis(8);
/// The longest time for one who leaves it to others to ask often.
const LONGEST_SLEEP_OF_OTHERS: Duration = Duration::from_millis(64);
/// After this one each sleep is a little longer than the one before: a death is seen within a small part of the time that was
/// waited already, and who waits for long hardly asks.
const QUICK_SLEEP: Duration = Duration::from_micros(500);
const LITTLE: u32 = 64;
/// How often a waiter polls before it yields: after 1, 2, 4 … pauses of the processor, some microseconds in all.
const POLLS: u32 = 8;
/// How often a waiter gives its processor away before its first sleep.
pub(super) const YIELDS: usize = 10;

/// The steps that the lock is made of; each is indivisible, and a process may die between any two.
pub(super) trait Steps {
    /// Changes `owner` from 0 to this attachment, or returns the owner. An acquire operation, and a release operation: whoever sees
    /// the owner sees its slot taken.
    fn try_acquire(&self) -> Result<(), u64>;
    /// Changes `owner` from a dead hold to this attachment. The same.
    fn try_take_over(&self, dead: u64) -> bool;
    /// Loads `owner`. An acquire operation.
    fn owner(&self) -> u64;
    /// Stores 0 into `owner`. A release operation, and no fence for loads that follow.
    fn free(&self);
    /// Loads `waiting`, after everything before it in the program.
    fn is_awaited(&self) -> bool;
    /// Loads `waiting`, before everything after it in the program.
    fn is_announced(&self) -> bool;
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
    /// Whether this waiter is one of the few that ask often, or becomes one.
    fn asks_often(&self) -> bool;
    /// Whether the hold is the calling thread's own.
    fn is_own(&self, owner: u64) -> bool;
    /// Whether nobody gets this lock any more.
    fn is_closed(&self, _owner: u64) -> bool {
        false
    }
    /// Passes a little time: spins `pauses` times, or gives the processor away for 0.
    fn relax(&self, pauses: u32);
    /// The time, for deadlines.
    fn now(&self) -> Instant;
}

/// How long a lock is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    Acquired,
    Deadline(Instant),
    /// One try.
    Now,
}

impl Until {
    /// So long from now; for as long as it takes, if no clock reaches that far.
    pub(crate) fn after(limit: Duration) -> Until {
        let end = Instant::now().checked_add(limit);
        end.map_or(Until::Acquired, Until::Deadline)
    }

    /// The moment after which nobody waits any more.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Until::Acquired => None,
            Until::Deadline(end) => Some(end),
            Until::Now => Some(Instant::now()),
        }
    }

    /// The time left, at most `period`; `None` when there is none.
    fn left(self, steps: &impl Steps, period: Duration) -> Option<Duration> {
        match self {
            Until::Acquired => Some(period),
            Until::Now => None,
            Until::Deadline(end) => {
                let left = end.saturating_duration_since(steps.now());
                (!left.is_zero()).then(|| left.min(period))
            }
        }
    }
}

/// How the lock was acquired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
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
    /// Nobody gets it any more.
    Closed,
}

/// Acquires a lock that was just seen to be held.
#[cold]
pub(super) fn acquire(steps: &impl Steps, until: Until) -> Result<Acquired, Refused> {
    let mut waiter = Waiter::new();
    loop {
        match waiter.look(steps, until, YIELDS) {
            Look::Done(result) => return result,
            Look::Sleep(limit) => steps.sleep(limit),
        }
    }
}

/// One that wants the lock: what it knows between two looks.
#[derive(Debug)]
pub(super) struct Waiter {
    /// The owner that it slept on last; 0 before it has slept.
    suspect: u64,
    period: Duration,
}

/// What a look found.
pub(super) enum Look {
    Done(Result<Acquired, Refused>),
    /// Sleep while `waiting` is 1, at most so long.
    Sleep(Duration),
}

impl Waiter {
    pub(super) fn new() -> Waiter {
        Waiter {
            suspect: 0,
            period: FIRST_SLEEP,
        }
    }

    /// Whether it has been told to sleep, so that a wake-up may have been meant for it.
    pub(super) fn has_slept(&self) -> bool {
        self.suspect != 0
    }

    /// Looks once: takes the lock if it can, else says how long to sleep. `yields` is how often it may give its processor away
    /// before its first sleep.
    pub(super) fn look(&mut self, steps: &impl Steps, until: Until, yields: usize) -> Look {
        loop {
            let owner = if self.is_still_announced(steps) {
                self.suspect
            } else {
                match self.try_acquire(steps, until, yields) {
                    Ok(()) => return Look::Done(Ok(Acquired::Free)),
                    Err(owner) => owner,
                }
            };
            if steps.is_own(owner) {
                return Look::Done(Err(Refused::Own));
            }
            if steps.is_closed(owner) {
                return Look::Done(Err(Refused::Closed));
            }
            let stays = owner == self.suspect;
            self.period = if stays {
                self.longer(steps)
            } else {
                FIRST_SLEEP
            };
            let left = until.left(steps, self.period);
            // Asking costs system calls: a holder is asked only when somebody has slept on it.
            if (stays || left.is_none()) && steps.is_gone(owner) {
                if steps.try_take_over(owner) {
                    return Look::Done(Ok(Acquired::TakenOver(owner)));
                }
                continue;
            }
            let Some(left) = left else {
                return Look::Done(Err(Refused::HeldBy(owner)));
            };
            self.suspect = owner;
            return Look::Sleep(left);
        }
    }

    /// Gives up. It may have been woken, and then somebody else has to be.
    pub(super) fn give_up(&self, steps: &impl Steps) {
        if self.has_slept() && self.try_acquire(steps, Until::Acquired, 0).is_ok() {
            release(steps);
        }
    }

    /// The next period while the same holder stays.
    fn longer(&self, steps: &impl Steps) -> Duration {
        next_period(self.period, || steps.asks_often())
    }

    /// Whether its period has merely passed: nobody has released since it fell asleep, or another one's announcement stands for its
    /// own. Then there is nothing to do but ask.
    fn is_still_announced(&self, steps: &impl Steps) -> bool {
        self.has_slept() && steps.is_announced() && steps.owner() == self.suspect
    }

    /// Tries to acquire; announces itself first, unless it tries only once.
    fn try_acquire(&self, steps: &impl Steps, until: Until, yields: usize) -> Result<(), u64> {
        if until != Until::Now {
            // Who has slept may have a dead holder to ask about: on a busy machine each turn given away would delay that.
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

/// The sleep that follows one of this length while nothing changes, for one that may be of the few that ask often.
pub(super) fn next_period(period: Duration, asks_often: impl FnOnce() -> bool) -> Duration {
    if period < LONGEST_SLEEP || asks_often() {
        longer(period)
    } else {
        LONGEST_SLEEP_OF_OTHERS.min(period * 2)
    }
}

fn longer(period: Duration) -> Duration {
    let longer = if period < QUICK_SLEEP {
        period * 2
    } else {
        period + period / LITTLE
    };
    longer.min(LONGEST_SLEEP)
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

/// Tries for some microseconds, then for some turns of the scheduler.
fn spin(steps: &impl Steps, yields: usize) -> bool {
    let polls = (0..POLLS).map(|poll| 1 << poll);
    for pauses in polls.chain(iter::repeat_n(0, yields)) {
        steps.relax(pauses);
        if steps.owner() == 0 && steps.try_acquire().is_ok() {
            return true;
        }
    }
    false
}
