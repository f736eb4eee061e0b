//! The robust semaphore as an algorithm over indivisible steps: no death loses a permit or creates
//! one.
//!
//! The algorithm knows neither shared memory nor the system: see [`SemaphoreMemory`].
//!
//! # State
//!
//! Everything is changed under an inner lock, the lock of `protocol`, held for a few instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `permits` | the total number of permits; constant |
//! | a slot's mark | the number of permits that this attachment holds |
//! | `available` | the number of free permits; it can be recomputed from the marks of living attachments at any time |
//! | `change` | raised whenever permits are released; waiters sleep on it |
//! | `waiting` | 0: no waiter is asleep; 1: a waiter that wants one permit may be asleep; 2: a waiter that wants several may be asleep |
//!
//! # Invariants
//!
//! 1. `available` is at most `permits` minus the marks of living attachments. It is exactly that
//!    while the inner lock is free and no holder of permits has died since the last recount.
//! 2. A process that takes the inner lock over from a dead owner first recounts, and wakes waiters
//!    as a releaser does (5), before it does anything else.
//! 3. A waiter that has slept and finds too few permits checks whether the holders live, and
//!    recounts. Of many long waiters only a few checkers do so often. So the permits of a dead
//!    holder come back as soon as a waiter wants them. The checker releases those that it does not
//!    take, with the same wake-ups as their owner's release: the other waiters need not look.
//! 4. A waiter that sleeps has stored 1 or 2 into `waiting` and has read `change`, both under the
//!    inner lock. So while a waiter sleeps, or is about to, `waiting` says so or `change` has
//!    another value.
//! 5. A releaser raises `change`, then wakes one waiter for each available permit. It wakes all
//!    waiters if `waiting` is 2, because a woken waiter might leave what it cannot use. It stores 0
//!    into `waiting` only if fewer waiters were asleep than it would have woken.
//!
//! # Deaths
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | a holder of permits | its mark | a waiter proves the death, and recounts |
//! | the owner of the inner lock | that lock, and perhaps `available` too low or too high | the next process takes over, and recounts |
//! | a waiter, asleep | `waiting` 1 or 2 | one superfluous wake-up |
//! | a woken waiter | a permit for which no other waiter was woken | a waiter takes it when it looks again after its period |
//!
//! A stopped process is like a dead one, except that it keeps its permits, and the inner lock if it
//! is stopped while it owns that.
//!
//! A waiter here waits for holders, which may die, so each sleep is bounded: see `protocol`.
//!
//! The tests in `model` check all of this against every interleaving, and show that each rule is
//! needed.

/// The steps of the algorithm. Each is indivisible and sequentially consistent, and a process may
/// die between any two.
pub(crate) trait SemaphoreMemory {
    /// Why the inner lock was not acquired.
    type Refusal;

    /// Acquires the inner lock; returns whether it was taken over from a dead owner.
    fn lock(&self) -> Result<bool, Self::Refusal>;
    /// Releases the inner lock.
    fn unlock(&self);
    /// The total number of permits.
    fn permits(&self) -> u32;
    /// Loads `available`.
    fn available(&self) -> u32;
    /// Stores into `available`.
    fn set_available(&self, count: u32);
    /// Loads this attachment's mark.
    fn own(&self) -> u32;
    /// Stores this attachment's mark.
    fn set_own(&self, count: u32);
    /// Whether this waiter, which has slept, checks liveness in this look: one of the sleeping
    /// waiters does so again and again.
    fn asks(&self) -> bool;
    /// Loads the mark of a slot; `None` beyond the last.
    fn mark(&self, slot: usize) -> Option<u32>;
    /// Whether the attachment that made a slot's mark is proven gone.
    fn is_gone(&self, slot: usize) -> bool;
    /// Clears the mark of an attachment that is gone.
    fn forget(&self, slot: usize);
    /// Loads `change`; needs no inner lock.
    fn change(&self) -> u32;
    /// Adds 1 to `change`.
    fn raise_change(&self);
    /// Loads `waiting`.
    fn waiting(&self) -> u32;
    /// Stores into `waiting`.
    fn set_waiting(&self, waiting: u32);
    /// Wakes at most `most` of the waiters that sleep on `change`; returns how many it woke.
    fn wake(&self, most: u32) -> u32;
}

const NOBODY: u32 = 0;
const FOR_ONE: u32 = 1;
const FOR_MORE: u32 = 2;

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SemaphoreOutcome {
    Taken,
    /// Sleep while `change` is this.
    Sleep(u32),
}

/// A waiter for permits: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    count: u32,
    /// Whether the first look is the only one.
    now: bool,
    /// The value of `change` at the last sleep.
    seen: Option<u32>,
    /// While it waits for the inner lock: whether it checks liveness after acquiring it.
    asks: Option<bool>,
}

impl Wanted {
    /// A waiter for `count` permits. `now`: the first look is the only one.
    pub(crate) fn new(count: u32, now: bool) -> Wanted {
        Wanted {
            count,
            now,
            seen: None,
            asks: None,
        }
    }

    /// Looks once. A waiter that gives up after it may have been woken must [pass the wake-up
    /// on](pass_on).
    pub(crate) fn look<S: SemaphoreMemory>(
        &mut self,
        steps: &S,
    ) -> Result<SemaphoreOutcome, S::Refusal> {
        let asks = match (self.asks, self.seen) {
            (Some(asks), _) => asks,
            // A liveness check makes system calls: only a waiter that has slept, or looks only
            // once, makes one.
            (None, None) => self.now,
            (None, Some(seen)) => {
                let asks = steps.asks();
                if !asks && steps.change() == seen {
                    return Ok(SemaphoreOutcome::Sleep(seen));
                }
                asks
            }
        };
        self.asks = Some(asks);
        enter(steps)?;
        self.asks = None;
        let mut taken = take(steps, self.count);
        if !taken && asks {
            let before = steps.available();
            recount(steps);
            taken = take(steps, self.count);
            if steps.available() > before {
                come_back(steps);
            }
        }
        let found = if taken {
            SemaphoreOutcome::Taken
        } else {
            self.announce(steps);
            let seen = steps.change();
            self.seen = Some(seen);
            SemaphoreOutcome::Sleep(seen)
        };
        steps.unlock();
        Ok(found)
    }

    /// Whether a look has returned [`SemaphoreOutcome::Sleep`], so that a wake-up may have been
    /// meant for it.
    pub(crate) fn has_slept(&self) -> bool {
        self.seen.is_some()
    }

    #[cfg(test)]
    pub(crate) fn count(self) -> u32 {
        self.count
    }

    fn announce(&self, steps: &impl SemaphoreMemory) {
        let wants = if self.count > 1 { FOR_MORE } else { FOR_ONE };
        if steps.waiting() < wants {
            steps.set_waiting(wants);
        }
    }
}

/// Releases `count` permits if this attachment holds as many; returns how many it held.
pub(crate) fn give_back<S: SemaphoreMemory>(steps: &S, count: u32) -> Result<u32, S::Refusal> {
    enter(steps)?;
    let had = steps.own();
    if let Some(left) = had.checked_sub(count) {
        steps.set_own(left);
        steps.set_available(steps.available().saturating_add(count));
        come_back(steps);
    }
    steps.unlock();
    Ok(had)
}

/// Recounts, and returns how many permits no living attachment holds.
pub(crate) fn count<S: SemaphoreMemory>(steps: &S) -> Result<u32, S::Refusal> {
    enter(steps)?;
    let before = steps.available();
    recount(steps);
    let available = steps.available();
    if available > before {
        come_back(steps);
    }
    steps.unlock();
    Ok(available)
}

/// Wakes other waiters, for a waiter that may have been woken and gives up.
pub(crate) fn pass_on<S: SemaphoreMemory>(steps: &S) -> Result<(), S::Refusal> {
    enter(steps)?;
    if steps.available() > 0 {
        come_back(steps);
    }
    steps.unlock();
    Ok(())
}

/// Acquires the inner lock, and repairs what a dead owner of it left.
fn enter<S: SemaphoreMemory>(steps: &S) -> Result<(), S::Refusal> {
    if steps.lock()? {
        recount(steps);
        if steps.available() > 0 {
            come_back(steps);
        }
    }
    Ok(())
}

/// Takes `count` permits if as many are available.
fn take(steps: &impl SemaphoreMemory, count: u32) -> bool {
    let left = steps.available().checked_sub(count);
    if let Some(left) = left {
        steps.set_own(steps.own().saturating_add(count));
        steps.set_available(left);
    }
    left.is_some()
}

fn recount(steps: &impl SemaphoreMemory) {
    let mut taken = 0_u32;
    let mut slot = 0;
    while let Some(has) = steps.mark(slot) {
        if has > 0 && steps.is_gone(slot) {
            steps.forget(slot);
        } else {
            taken = taken.saturating_add(has);
        }
        slot += 1;
    }
    steps.set_available(steps.permits().saturating_sub(taken));
}

/// Wakes waiters after `available` has risen.
fn come_back(steps: &impl SemaphoreMemory) {
    steps.raise_change();
    let most = match steps.waiting() {
        NOBODY => return,
        FOR_ONE => steps.available(),
        _ => u32::MAX,
    };
    if steps.wake(most) < most {
        steps.set_waiting(NOBODY);
    }
}
