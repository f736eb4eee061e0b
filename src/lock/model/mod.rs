//! A model check of the lock in all interleavings, with deaths. It runs the code of `protocol`
//! itself, in a world small enough to search completely.
//!
//! | module | content |
//! |---|---|
//! | `program` | turns threads that run the code into machines with few states |
//! | `state` | the words of the lock, and the threads |
//! | `world` | the effect of each step on them |
//! | `tests` | the questions |
//! | `slots` | the same for the proof of death, which the lock takes as given |
//!
//! [`search`](crate::model::search) goes through all states and judges them.
//!
//! # What holds
//!
//! In every state that two threads with three acquisitions each can reach, or three threads of
//! which two acquire twice:
//!
//! - No thread acquires while another thread, living or stopped, is between acquiring and
//!   releasing. Of the waiters for a dead owner one takes over, once.
//! - A release frees nothing but its own ownership. What a dead owner leaves is recorded before any
//!   release.
//! - No thread goes to sleep a third time on a dead owner without a liveness check. A separate test
//!   checks the lengths of the two sleeps, for every order of owners.
//! - Without deaths, every run ends with all threads done and the lock free, even if no sleep ends
//!   by itself. A sleep may end by itself, as by a signal, and a deadline may pass at any moment.
//! - With deaths (up to two, of any process, before any step), and with threads that stop for good,
//!   every sleep ends eventually. Every run in which all threads that can continue do so ends with
//!   all living threads done. Only a waiter for a stopped owner waits on.
//!
//! Nothing is cut off: the search bounds neither how often threads interrupt each other nor the
//! length of a run.
//!
//! # What the model keeps of the machine
//!
//! - Every plain store goes into the store buffer of its thread and becomes visible at any later
//!   moment, in order; the thread itself sees it at once. The store that frees behaves so on x86.
//!   The store that announces is an exchange there; the model treats it in the same way, as some
//!   processors would if it were a weaker store.
//! - A compare-exchange of `owner` waits only for this thread's stores to `owner`; an exchange of
//!   `waiting` waits for all of its stores.
//! - A barrier ends when all stores that were in buffers at its beginning are visible, at a
//!   separate moment for each thread; meanwhile the other threads go on.
//! - Comparing `waiting` and falling asleep is one step; a wake-up reaches any one of the sleepers.
//! - A death makes the stores of the dead thread visible, then it is provable. Threads of one
//!   process die one after another, and the attachment is dead with the last of them.
//!
//! # What is left out
//!
//! - Loads happen in order, at once. Some processors may load `waiting` early, before the store
//!   that frees is even made. To other threads that looks like a store that becomes visible late,
//!   and the model has that.
//! - What orders the data under the lock (acquiring and releasing `owner`), which is the common
//!   pattern.
//! - Of the tries of a spin, the model makes one: see `relax` in `program`. The lengths of periods
//!   and deadlines.
//! - A process without barriers attaches, and says that releases must be fences, while a release is
//!   under way: a waiter may sleep through that one release, for one period.
//! - Threads that acquire forever: the lock is not fair, and a waiter can be overtaken any number
//!   of times.
//!
//! Existing checkers do not fit: they follow executions, not states, so that the tries, sleeps and
//! deaths of this lock would have to be bounded, and they know no barrier in other processes.

mod program;
mod slots;
mod state;
mod tests;
mod world;

use std::time::Duration;

use super::protocol::{Acquired, LockMemory, LockPolled, LockRefusal, LockWaiter, YIELDS};
use crate::deadline::Deadline;

/// Acquires a held lock as a thread does: looks, and sleeps between two looks.
fn acquire_held(
    steps: &impl LockMemory,
    deadline: Deadline,
    sleep: impl Fn(Duration),
) -> Result<Acquired, LockRefusal> {
    let mut waiter = LockWaiter::new();
    loop {
        match waiter.look(steps, deadline, YIELDS) {
            LockPolled::Done(acquired) => return acquired,
            LockPolled::Sleep(limit) => sleep(limit),
        }
    }
}
