//! The robust event as an algorithm over indivisible steps: whoever waits sleeps until it is set, whoever dies.
//!
//! It knows neither shared memory nor the system: see [`Steps`].
//!
//! # State
//!
//! | word | meaning |
//! |---|---|
//! | 0 | not set, and nobody sleeps |
//! | `SET` | set, and nobody sleeps |
//! | `WAITERS` | not set, and somebody may be asleep |
//!
//! # Invariants
//!
//! 1. Who sleeps has seen `WAITERS` in the word, and sleeps while it is there.
//! 2. `WAITERS` goes only by the one step in which the system stores `SET` and wakes everybody: no death comes between the two. So nobody
//!    has to look again by itself, and nothing is polled.
//! 3. An event that resets itself is taken by compare-exchange from `SET` to 0: by one. The others, who were woken too, wait again; so one who
//!    is killed as it wakes up keeps nothing from them.
//! 4. Where the system has no such step it is two, and a death may come between them. There nobody sleeps without end.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | one who sets it, before | the word as it was | |
//! | one who sets it, after | `SET`, and everybody awake | |
//! | one who sets it in two steps, between them | `SET`, and somebody asleep | that one looks again after its period |
//! | one who waits, asleep or awake | `WAITERS` | one superfluous wake-up |
//! | one who took it, in it | 0 | what it took is gone with it: it had happened once |
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.
//! (Left out: that the system has the one step for some processes, and a filter keeps it from another one, which dies between its two.)

use std::time::Duration;

use super::protocol::LONGEST_SLEEP;

pub(crate) const CLEAR: u32 = 0;
pub(crate) const SET: u32 = 1;
pub(crate) const WAITERS: u32 = 2;

/// What the algorithm is made of; each step is indivisible and sequentially consistent, and a process may die between any two.
pub(crate) trait Steps {
    /// Whether the first who waits resets it.
    fn resets(&self) -> bool;
    /// Loads the word.
    fn state(&self) -> u32;
    /// Changes the word from one value to another, if it is that one.
    fn change(&self, from: u32, to: u32) -> bool;
    /// Whether the system can store and wake in one step.
    fn has_one_step(&self) -> bool;
    /// Stores `SET` and wakes everybody who sleeps on the word, in one step; false, with nothing done, where the system has no such step.
    fn store_and_wake(&self) -> bool;
    /// Stores `SET`.
    fn store(&self);
    /// Wakes everybody who sleeps on the word.
    fn wake(&self);
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Happened,
    /// Sleep while the word is `WAITERS`, at most so long.
    Sleep(Option<Duration>),
}

/// Looks once, for one who waits.
pub(crate) fn look(steps: &impl Steps) -> Found {
    loop {
        let found = steps.state();
        let next = match found {
            SET if !steps.resets() => return Found::Happened,
            SET => CLEAR,
            WAITERS => return Found::Sleep((!steps.has_one_step()).then_some(LONGEST_SLEEP)),
            _ => WAITERS,
        };
        if steps.change(found, next) && found == SET {
            return Found::Happened;
        }
    }
}

/// Sets it.
pub(crate) fn set(steps: &impl Steps) {
    loop {
        match steps.state() {
            SET => return,
            WAITERS => {
                if !steps.store_and_wake() {
                    steps.store();
                    steps.wake();
                }
                return;
            }
            found => {
                if steps.change(found, SET) {
                    return;
                }
            }
        }
    }
}

/// Resets it. Of those who wait nobody is forgotten.
pub(crate) fn reset(steps: &impl Steps) {
    steps.change(SET, CLEAR);
}
