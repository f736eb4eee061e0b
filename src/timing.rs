//! Every period that decides how soon a waiter notices a change or a death.
//!
//! A sleep ends early when the waiter is woken. These limits cover the wake-ups that a death
//! swallows, and the deaths themselves, of which nobody tells.

use std::time::Duration;

/// The first sleep of a waiter. The sleeps grow from there while the same owner stays.
pub(crate) const FIRST_SLEEP: Duration = Duration::from_micros(250);

/// The longest sleep of a waiter that checks often whether the owner is alive: together with waking
/// up and checking, it stays below 10 ms.
pub(crate) const LONGEST_SLEEP: Duration = Duration::from_millis(8);

/// The longest sleep of a waiter that leaves frequent checks to others.
const LONGEST_SLEEP_OF_OTHERS: Duration = Duration::from_millis(64);

/// From here on each sleep is a little longer than the one before. So a waiter sees a death within
/// a small part of the time that it has waited already, and a long wait costs few checks.
const QUICK_SLEEP: Duration = Duration::from_micros(500);

/// A longer sleep exceeds the one before by this fraction of it.
const GROWTH: u32 = 64;

/// The first sleep of a waiter for a change of a value. A committer wakes it, so it hardly ever
/// sleeps to the end.
pub(crate) const FIRST_SLEEP_FOR_CHANGE: Duration = Duration::from_millis(1);

/// The longest sleep of a waiter that the kernel tells of deaths, for those that it misses.
pub(crate) const LONGEST_SLEEP_WITH_HINTS: Duration = Duration::from_secs(1);

/// How long a writer leaves to tasks that it let in to read, and that no executor polls.
pub(crate) const TASK_GRACE: Duration = LONGEST_SLEEP;

/// How long a checker may be silent before another waiter takes its place.
pub(crate) const CHECKER_TIMEOUT: Duration = LONGEST_SLEEP.saturating_mul(2);

/// The least time that a call with a limit waits for an inner lock, which a living process holds
/// for some instructions.
pub(crate) const INNER_LOCK_LIMIT: Duration = Duration::from_millis(20);

/// Returns the sleep that follows one of `period` while nothing changes.
pub(crate) fn next_period(period: Duration, checks_often: impl FnOnce() -> bool) -> Duration {
    if period < LONGEST_SLEEP || checks_often() {
        longer(period)
    } else {
        LONGEST_SLEEP_OF_OTHERS.min(period * 2)
    }
}

fn longer(period: Duration) -> Duration {
    let longer = if period < QUICK_SLEEP {
        period * 2
    } else {
        period + period / GROWTH
    };
    longer.min(LONGEST_SLEEP)
}
