//! The robust event as an algorithm over indivisible steps: a waiter sleeps until the event is set, whatever dies.
//!
//! It knows neither shared memory nor the system: see [`Steps`].
//!
//! # State
//!
//! One word: three bits, and the generation above them.
//!
//! | bit | meaning |
//! |---|---|
//! | `SET` | the event is set, and nobody sleeps |
//! | `WAITERS` | while `SET` is 0: somebody may be asleep |
//! | `OWED` | only if the event resets itself: it was set and then reset before a waiter had taken that |
//!
//! # Moves
//!
//! | move | when | changes |
//! |---|---|---|
//! | set | `SET` 0, `WAITERS` 0 | `SET` to 1, by compare-exchange |
//! | | `SET` 0, `WAITERS` 1 | `SET` to 1 by an *or*, and wakes everybody in the same step |
//! | reset | `SET` 1 | raises the generation, `SET` and `WAITERS` to 0; `OWED` to 1 if the event resets itself |
//! | pass, the event stays set | `SET` 1, or the generation is another than at the first look | nothing |
//! | take, the event resets itself | `OWED` 1, and the generation is another than at the first look | `OWED` to 0 |
//! | | `SET` 1 | `SET` and `WAITERS` to 0 |
//! | sleep | none of these | `WAITERS` to 1, then sleeps while the word is as it is |
//!
//! # Invariants
//!
//! 1. A waiter sleeps on a word with `WAITERS` and without `SET`.
//! 2. `SET` comes to such a word only by the one step in which the system changes it and wakes everybody. No death comes between the two, so
//!    no waiter has to look again by itself, and nothing is polled. The step only adds a bit. So it does no harm when the word is another
//!    one by then: two that set it at once set it once, and a generation is never lost.
//! 3. Only a reset of an event that is set raises the generation. So a waiter that finds another generation than at its first look knows
//!    that the event was set after that look, and passes although it was reset since.
//! 4. An event that resets itself lets one pass for each time that it is set, by compare-exchange: the waiter that takes `SET`, or after
//!    a reset one that began to wait before it, which takes `OWED`. The others, which were woken too, wait again; so one
//!    that is killed as it wakes up keeps nothing from them.
//! 5. `OWED` is for waiters of an earlier generation. Where none is left it stays, and lets nobody pass who comes later. It is one bit: of two
//!    sets that are each reset before any waiter has woken up, one counts.
//! 6. Where the system has no such step it is two, and a death may come between them. There nobody sleeps without end.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | one that sets it, before the step | the word as it was | |
//! | one that sets it, after the step | `SET`, and everybody awake | |
//! | one that sets it in two steps, between them | `SET`, and somebody asleep | the sleeper looks again after its period |
//! | one that resets it | the word before, or after: one step | |
//! | one that waits, asleep or awake | `WAITERS`, perhaps `OWED` | one superfluous wake-up |
//! | one that took it, in it | the word without `SET` or `OWED` | what it took is gone with it: it had happened once |
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.
//! (Left out: that the system has the one step for some processes, and a filter keeps it from another one, which dies between its two. And a
//! generation is 29 bits: a waiter that is not given the processor for exactly so many resets takes the last for none.)

use std::time::Duration;

use super::protocol::LONGEST_SLEEP;

/// The bits of the word; the generation is above them.
pub(crate) const SET: u32 = 1;
pub(crate) const WAITERS: u32 = 1 << 1;
pub(crate) const OWED: u32 = 1 << 2;
const BITS: u32 = SET | WAITERS | OWED;

/// What the algorithm is made of; each step is indivisible and sequentially consistent, and a process may die between any two.
pub(crate) trait Steps {
    /// Whether the first waiter that passes resets it.
    fn resets(&self) -> bool;
    /// Loads the word.
    fn state(&self) -> u32;
    /// Changes the word from one value to another, if it is that one.
    fn change(&self, from: u32, to: u32) -> bool;
    /// Whether the system can change the word and wake in one step.
    fn has_one_step(&self) -> bool;
    /// Adds `SET` to the word and wakes everybody who sleeps on it, in one step; false, with nothing done, where the system has no
    /// such step.
    fn set_and_wake(&self) -> bool;
    /// Adds `SET` to the word.
    fn set(&self);
    /// Wakes everybody who sleeps on the word.
    fn wake(&self);
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Happened,
    /// Sleep while the word is this, at most so long.
    Sleep(u32, Option<Duration>),
}

/// One that waits: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiter {
    /// The generation that it found at its first look.
    since: Option<u32>,
}

impl Waiter {
    pub(crate) fn new() -> Waiter {
        Waiter { since: None }
    }

    /// Looks once.
    pub(crate) fn look(&mut self, steps: &impl Steps) -> Found {
        loop {
            let found = steps.state();
            let generation = found & !BITS;
            let was_set = generation != *self.since.get_or_insert(generation);
            if !steps.resets() {
                if was_set || found & SET != 0 {
                    return Found::Happened;
                }
            } else if let Some(without) = taken(found, was_set) {
                if steps.change(found, without) {
                    return Found::Happened;
                }
                continue;
            }
            let announced = found | WAITERS;
            if found == announced || steps.change(found, announced) {
                let limit = (!steps.has_one_step()).then_some(LONGEST_SLEEP);
                return Found::Sleep(announced, limit);
            }
        }
    }
}

/// The word without what a waiter takes from it; `None` if there is nothing for this one. `was_set`: since it began to wait.
fn taken(found: u32, was_set: bool) -> Option<u32> {
    if was_set && found & OWED != 0 {
        Some(found & !OWED)
    } else {
        (found & SET != 0).then_some(found & !(SET | WAITERS))
    }
}

/// Sets it.
pub(crate) fn set(steps: &impl Steps) {
    loop {
        let found = steps.state();
        if found & SET != 0 {
            return;
        }
        if found & WAITERS != 0 {
            if !steps.set_and_wake() {
                steps.set();
                steps.wake();
            }
            return;
        }
        if steps.change(found, found | SET) {
            return;
        }
    }
}

/// Resets it. Of the waiters that it was set for none is forgotten.
pub(crate) fn reset(steps: &impl Steps) {
    loop {
        let found = steps.state();
        if found & SET == 0 {
            return;
        }
        let next = (found | BITS).wrapping_add(1);
        let owed = if steps.resets() { OWED } else { 0 };
        if steps.change(found, next | owed) {
            return;
        }
    }
}
