//! Waiting for a version to change, as an algorithm over indivisible steps: no waiter sleeps
//! through a change, whatever process dies.
//!
//! The algorithm knows neither shared memory nor the system, nor what the version belongs to: see
//! [`CommitSteps`] and [`WatchSteps`].
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | `version` | raised by each commit, by the owner of a lock; waiters sleep on it |
//! | `watched` | 1 when a waiter may be asleep on `version`, or about to be |
//! | `owner` | the owner of the lock, living or dead; 0 while it is free |
//!
//! # Protocol
//!
//! | actor | steps |
//! |---|---|
//! | committer, `watched` is 0 | stores the version |
//! | committer, `watched` is 1 | takes the 1 away, then stores the version and wakes all waiters in one step |
//! | waiter | stores 1 into `watched`, passes a barrier in all processes, loads `owner`, then sleeps while `version` is the one that it has seen |
//!
//! While the lock is owned, the waiter sleeps for bounded periods, until the lock is free or its
//! owner is proven dead. Otherwise it sleeps until it is woken.
//!
//! # Why no waiter sleeps through a change
//!
//! 1. A waiter sees the lock free, or its owner dead. Any later owner then sees the 1, and commits
//!    by the one step, unless another commit has taken the 1 away. That commit woke this waiter, or
//!    changed the version before it slept. The barrier orders, on behalf of the waiter, the
//!    acquisition of the lock and the load of `watched`. Where the system makes no barrier, or no
//!    longer does, the waiter sleeps for bounded periods.
//! 2. A waiter sees the lock owned. The owner may have loaded `watched` already. The bounded
//!    periods cover that case; they grow to the longest only while the same owner stays.
//! 3. A 1 is taken away only before a commit by the one step, never after a commit: a waiter that
//!    has seen the new version stores 1 for the next change.
//! 4. An owner that dies between taking the 1 away and its commit leaves a 0 although a waiter
//!    sleeps. So a process that takes the lock over from a dead owner stores 1 before it does
//!    anything else.
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | a committer, before its commit | the old version, and perhaps `watched` 0 | the next owner stores 1 (4) |
//! | a committer, after its commit | the new version; waiters are awake, or wake up after their period (2) | none |
//! | a committer in two steps, between them | the new version, and a waiter asleep | the waiter looks again after its period |
//! | a waiter | `watched` 1 | one commit by the one step that wakes no waiter |
//!
//! Why does a plain commit not load `watched` once more, and wake? That would spare a waiter one
//! period if it comes in the few nanoseconds between load and commit. The price is a second load in
//! each commit, and a possible death between the two.
//!
//! The tests in `model` check all of this against every interleaving, with deaths, and show that
//! each rule is needed.

#[cfg(test)]
mod model;

use crate::timing::{FIRST_SLEEP_FOR_CHANGE, LONGEST_SLEEP};
use std::time::Duration;

/// The steps of a committer, which owns the lock. Each is indivisible, and a process may die
/// between any two.
pub(crate) trait CommitSteps {
    /// Loads `watched`, after everything before it in the program.
    fn is_watched(&self) -> bool;
    /// Stores 0 into `watched`, before anything after it.
    fn take_announcement(&self);
    /// Stores `version`. A release operation.
    fn store(&self, version: u64);
    /// Stores `version` and wakes all waiters that sleep on it, in one step. A release operation.
    /// (It is two steps where the system has no such step, and when the low half of the version
    /// carries.)
    fn store_and_wake(&self, version: u64);
}

/// The steps of a waiter.
pub(crate) trait WatchSteps {
    /// Loads `version`. An acquire operation.
    fn version(&self) -> u64;
    /// Stores 1 into `watched`.
    fn announce(&self);
    /// Makes all processes pass a memory barrier; false when the system did not do it.
    fn barrier(&self) -> bool;
    /// Loads `owner`.
    fn owner(&self) -> u64;
    /// Whether the owner is proven dead.
    fn is_gone(&self, owner: u64) -> bool;
    /// Whether the commit after version `seen` and its wake-up are one step.
    fn is_one_step(&self, seen: u64) -> bool;
}

/// Commits `version`, for the owner of the lock.
#[inline(always)]
pub(crate) fn commit(steps: &impl CommitSteps, version: u64) {
    if steps.is_watched() {
        steps.take_announcement();
        steps.store_and_wake(version);
    } else {
        steps.store(version);
    }
}

/// A waiter for a version other than `seen`: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct VersionWatch {
    seen: u64,
    /// The owner at the last look, 0 if the lock was free.
    suspect: u64,
    /// An owner that is proven dead.
    gone: u64,
    period: Duration,
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeOutcome {
    Changed,
    /// Sleep while the version is the one that was seen, at most this long.
    Same(Option<Duration>),
}

impl VersionWatch {
    pub(crate) fn new(seen: u64) -> VersionWatch {
        VersionWatch {
            seen,
            suspect: 0,
            gone: 0,
            period: FIRST_SLEEP_FOR_CHANGE,
        }
    }

    /// The version that the waiter has seen.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Looks once.
    pub(crate) fn look(&mut self, steps: &impl WatchSteps) -> ChangeOutcome {
        if steps.version() != self.seen {
            return ChangeOutcome::Changed;
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
            // Without a barrier the next committer may miss the announcement; where commit and
            // wake-up are two steps, a death may come between them.
            let is_woken = passed && steps.is_one_step(self.seen);
            return ChangeOutcome::Same((!is_woken).then_some(LONGEST_SLEEP));
        }
        self.period = if stays {
            LONGEST_SLEEP.min(self.period * 2)
        } else {
            FIRST_SLEEP_FOR_CHANGE
        };
        ChangeOutcome::Same(Some(self.period))
    }
}
