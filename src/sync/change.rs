//! Waiting for a version to change, as an algorithm over indivisible steps: no change is slept through, whoever dies.
//!
//! It knows neither shared memory nor the system, nor what has versions: see [`Steps`].
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `version` | raised by each commit, by the holder of a lock; sleepers sleep on it |
//! | `watched` | 1 when somebody may be asleep on `version`, or about to be |
//! | `owner` | the lock's holder, living or dead; 0 for nobody |
//!
//! # Protocol
//!
//! Who commits looks at `watched`. If it is 0 it stores the version. If it is 1 it takes the 1 away, and then stores the version and
//! wakes everybody in one step.
//!
//! Who waits stores 1 into `watched`, passes a barrier in all processes, and looks at `owner`. Then it sleeps while `version` is what
//! it has seen. While the lock is held it sleeps for bounded periods, until it is not, or its holder is proven dead; otherwise until
//! it is woken.
//!
//! # Why nobody sleeps through a change
//!
//! 1. A waiter that sees the lock free, or its holder dead: whoever acquires it later sees the 1, and commits by the one step, unless
//!    another commit has taken the 1 away, which then woke this waiter, or changed the version before it slept. The barrier
//!    orders acquiring the lock and looking at `watched`, on the waiter's behalf. Where the system makes no barrier (any more), the waiter
//!    sleeps for bounded periods.
//! 2. A waiter that sees the lock held: the holder may have looked at `watched` already. The periods are for that; the longest
//!    only while one and the same holder stays.
//! 3. A 1 is taken away only before a commit by the one step, never after one: a waiter that has seen the new version
//!    announces itself for the next change.
//! 4. A holder that dies between taking the 1 away and its commit leaves a 0 though somebody sleeps. So whoever takes a lock over
//!    from the dead stores 1 before it does anything else.
//!
//! | death of | leaves | and then |
//! |---|---|---|
//! | a committer, before its commit | the old version, and perhaps `watched` 0 | the next one to lock stores 1 (4) |
//! | a committer, after its commit | the new version; sleepers are awake, or wake up after their period (2) | |
//! | a committer in two steps, between them | the new version, and somebody asleep | that one looks again after its period |
//! | a waiter | `watched` 1 | one commit by the one step that wakes nobody |
//!
//! Why not look at `watched` again after a plain commit, and wake? It would spare a waiter one period if it comes in the few nanoseconds
//! between look and commit; and its price is a second load in each commit, and a death between the two.
//!
//! All of this is held against every interleaving, with deaths, by the tests in `model`, which also show how each rule is needed.

use std::time::Duration;

/// The first sleep while the lock is held; it doubles from there.
const FIRST_SLEEP: Duration = Duration::from_millis(1);
/// The longest sleep while the lock is held, without a barrier, and where a commit and its wake-up are two steps.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(8);

/// The steps of who commits, which has the lock; each is indivisible, and a process may die between any two.
pub(crate) trait CommitSteps {
    /// Loads `watched`, after everything before it in the program.
    fn is_watched(&self) -> bool;
    /// Stores 0 into `watched`, before anything after it.
    fn take_announcement(&self);
    /// Stores `version`. A release operation.
    fn store(&self, version: u64);
    /// Stores `version` and wakes everybody who sleeps on it, in one step. A release operation. (Where the system has no such step, and
    /// when the low half of the version carries, it is two.)
    fn store_and_wake(&self, version: u64);
}

/// The steps of who waits.
pub(crate) trait WatchSteps {
    /// Loads `version`. An acquire operation.
    fn version(&self) -> u64;
    /// Stores 1 into `watched`.
    fn announce(&self);
    /// Has all processes pass a memory barrier; false when the system did not do it.
    fn barrier(&self) -> bool;
    /// Loads `owner`.
    fn owner(&self) -> u64;
    /// Whether the hold is proven dead.
    fn is_gone(&self, owner: u64) -> bool;
    /// Whether the commit that follows `seen` is one step with its wake-up.
    fn is_one_step(&self, seen: u64) -> bool;
}

/// Commits `version`, for the holder of the lock.
#[inline(always)]
pub(crate) fn commit(steps: &impl CommitSteps, version: u64) {
    if steps.is_watched() {
        steps.take_announcement();
        steps.store_and_wake(version);
    } else {
        steps.store(version);
    }
}

/// Waits for a version other than `seen`: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    seen: u64,
    /// The owner at the last look, 0 for nobody.
    suspect: u64,
    /// A hold that is proven dead.
    gone: u64,
    period: Duration,
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Changed,
    /// Sleep while the version is the one that was seen, at most so long.
    Same(Option<Duration>),
}

impl Watch {
    pub(crate) fn new(seen: u64) -> Watch {
        Watch {
            seen,
            suspect: 0,
            gone: 0,
            period: FIRST_SLEEP,
        }
    }

    /// The version that is to change.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks once.
    pub(crate) fn look(&mut self, steps: &impl WatchSteps) -> Found {
        if steps.version() != self.seen {
            return Found::Changed;
        }
        steps.announce();
        let passed = steps.barrier();
        let owner = steps.owner();
        let stays = owner == self.suspect;
        self.suspect = owner;
        if stays && owner != 0 && owner != self.gone && steps.is_gone(owner) {
            self.gone = owner;
        }
        if owner == 0 || owner == self.gone {
            // Without a barrier the next committer may miss the announcement; where commit and wake-up are two steps, a death may
            // come between them.
            let is_woken = passed && steps.is_one_step(self.seen);
            return Found::Same((!is_woken).then_some(LONGEST_SLEEP));
        }
        self.period = if stays {
            LONGEST_SLEEP.min(self.period * 2)
        } else {
            FIRST_SLEEP
        };
        Found::Same(Some(self.period))
    }
}
