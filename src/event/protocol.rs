//! The robust event as an algorithm over indivisible steps: a waiter sleeps until the event is set,
//! whatever process dies.
//!
//! The algorithm knows neither shared memory nor the system: see [`EventMemory`].
//!
//! # State
//!
//! One word: three bits, and the generation above them.
//!
//! | bit | meaning |
//! |---|---|
//! | `SET` | the event is set, and no waiter sleeps |
//! | `WAITERS` | while `SET` is 0: a waiter may be asleep |
//! | `OWED` | only in auto-reset mode: the event was set and then reset before a waiter had taken the signal |
//!
//! # Moves
//!
//! | move | condition | changes |
//! |---|---|---|
//! | set | `SET` 0, `WAITERS` 0 | `SET` to 1, by compare-exchange |
//! | | `SET` 0, `WAITERS` 1 | `SET` to 1 by an *or*, and wakes all waiters in the same step |
//! | reset | `SET` 1 | raises the generation, `SET` and `WAITERS` to 0; `OWED` to 1 in auto-reset mode |
//! | pass (manual reset) | `SET` 1, or the generation differs from that of the first look | nothing |
//! | take (auto-reset) | `OWED` 1, and the generation differs from that of the first look | `OWED` to 0 |
//! | | `SET` 1 | `SET` and `WAITERS` to 0 |
//! | sleep | none of these | `WAITERS` to 1, then sleeps while the word keeps this value |
//!
//! # Invariants
//!
//! 1. A waiter sleeps only on a word with `WAITERS` and without `SET`.
//! 2. `SET` is added to such a word only by one step, in which the system changes the word and
//!    wakes all waiters. No death comes between the two, so no waiter has to look again by itself,
//!    and none polls. The step only adds a bit, so it is harmless if the word has changed by then:
//!    two processes that set the event at once set it once, and no generation is lost.
//! 3. Only a reset of an event that is set raises the generation. So a waiter that finds another
//!    generation than at its first look knows that the event was set after that look, and passes
//!    although it was reset since.
//! 4. In auto-reset mode one waiter passes for each set, by compare-exchange: the waiter that takes
//!    `SET`, or, after a reset, a waiter that began to wait before the reset and takes `OWED`. The
//!    other waiters, which were woken too, wait again. So a waiter that is killed as it wakes up
//!    takes nothing from them.
//! 5. `OWED` is for waiters of an earlier generation. If no such waiter is left the bit stays, and
//!    lets no later waiter pass. It is one bit: of two sets that are each reset before any waiter
//!    has woken up, one counts.
//! 6. On a system without such a step, setting and waking are two steps, and a death may come
//!    between them. There every sleep is bounded.
//!
//! # Deaths
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | a setter, before the step | the word as it was | none |
//! | a setter, after the step | `SET`, and all waiters awake | none |
//! | a setter in two steps, between them | `SET`, and a waiter asleep | the waiter looks again after its period |
//! | a resetter | the word before or after: it is one step | none |
//! | a waiter, asleep or awake | `WAITERS`, perhaps `OWED` | one superfluous wake-up |
//! | a waiter that took the signal, in that call | the word without `SET` or `OWED` | the signal is gone with the waiter: it counts as delivered |
//!
//! The tests in `model` check all of this against every interleaving, and show that each rule is
//! needed. Two cases are left out:
//!
//! - The system has the one step for some processes, a filter denies it to another process, and
//!   that process dies between its two steps.
//! - A generation has 29 bits: a waiter that gets no processor for exactly 2^29 resets takes the
//!   last one for none.

use std::time::Duration;

use crate::timing::LONGEST_SLEEP;

/// The bits of the word; the generation is above them.
pub(crate) const SET: u32 = 1;
pub(crate) const WAITERS: u32 = 1 << 1;
pub(crate) const OWED: u32 = 1 << 2;
const BITS: u32 = SET | WAITERS | OWED;

/// The steps of the algorithm. Each is indivisible and sequentially consistent, and a process may
/// die between any two.
pub(crate) trait EventMemory {
    /// Whether the event is in auto-reset mode: the first waiter that passes resets it.
    fn resets(&self) -> bool;
    /// Loads the word.
    fn state(&self) -> u32;
    /// Changes the word from `from` to `to` by compare-exchange.
    fn change(&self, from: u32, to: u32) -> bool;
    /// Whether the system can change the word and wake waiters in one step.
    fn has_one_step(&self) -> bool;
    /// Adds `SET` to the word and wakes all waiters that sleep on it, in one step; false, without
    /// an effect, where the system has no such step.
    fn set_and_wake(&self) -> bool;
    /// Adds `SET` to the word.
    fn set(&self);
    /// Wakes all waiters that sleep on the word.
    fn wake(&self);
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventOutcome {
    Happened,
    /// Sleep while the word has this value, at most this long.
    Sleep(u32, Option<Duration>),
}

/// A waiter for the event: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EventWaiter {
    /// The generation at its first look.
    since: Option<u32>,
}

impl EventWaiter {
    pub(crate) fn new() -> EventWaiter {
        EventWaiter { since: None }
    }

    /// Looks once.
    pub(crate) fn look(&mut self, steps: &impl EventMemory) -> EventOutcome {
        loop {
            let found = steps.state();
            let generation = found & !BITS;
            let was_set = generation != *self.since.get_or_insert(generation);
            if !steps.resets() {
                if was_set || found & SET != 0 {
                    return EventOutcome::Happened;
                }
            } else if let Some(without) = taken(found, was_set) {
                if steps.change(found, without) {
                    return EventOutcome::Happened;
                }
                continue;
            }
            let announced = found | WAITERS;
            if found == announced || steps.change(found, announced) {
                let limit = (!steps.has_one_step()).then_some(LONGEST_SLEEP);
                return EventOutcome::Sleep(announced, limit);
            }
        }
    }
}

/// The word without the signal that this waiter takes; `None` if there is none for it. `was_set`:
/// the event was set after the waiter began to wait.
fn taken(found: u32, was_set: bool) -> Option<u32> {
    if was_set && found & OWED != 0 {
        Some(found & !OWED)
    } else {
        (found & SET != 0).then_some(found & !(SET | WAITERS))
    }
}

/// Sets the event.
pub(crate) fn set(steps: &impl EventMemory) {
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

/// Resets the event. The waiters for which it was set still pass (in auto-reset mode: one of them).
pub(crate) fn reset(steps: &impl EventMemory) {
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
