//! The robust semaphore as an algorithm over indivisible steps: no permit is lost or made, whoever dies.
//!
//! It knows neither shared memory nor the system: see [`Steps`].
//!
//! # State
//!
//! Everything is changed under an inner lock, the one of `protocol`, which is held for some instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `permits` | how many there are; constant |
//! | a slot's mark | how many of them this attachment has |
//! | `available` | how many nobody has: a sum that the marks of the living can always be asked for again |
//! | `change` | raised whenever permits come back; sleepers sleep on it |
//! | `waiting` | 0 nobody is asleep, 1 somebody may be, and wants one permit, 2 somebody may be who wants more |
//!
//! # Invariants
//!
//! 1. `available` is at most `permits` less the marks of the living. While nobody has the inner lock, and nobody has died with permits since
//!    it was last recounted, it is exactly that.
//! 2. Who takes the inner lock over from the dead recounts, and wakes as one who gives back (5), before anything else.
//! 3. Who finds too few, having slept, asks whether those who have some live, and recounts; of many who wait for long a few do so often. So
//!    what the dead had comes back as soon as somebody wants it; what is too much for the one that finds it is given back by it, as by
//!    its owner: the others need not look.
//! 4. Who sleeps has stored 1 or 2 into `waiting` and seen `change`, both under the inner lock. So while somebody sleeps, or is about to,
//!    `waiting` says so, or `change` is another.
//! 5. Who gives back raises `change`, then wakes as many as there are permits; everybody, where one may want more than
//!    another: the one that is woken might leave what it cannot use. Only where fewer were asleep than it would have woken it stores 0.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | one who has permits | its mark | one who waits proves it dead, and recounts |
//! | one inside of the inner lock | that lock, and perhaps `available` too low or high | the next one takes over, and recounts |
//! | one who waits, asleep | `waiting` 1 or 2 | one superfluous wake-up |
//! | a woken one | a permit that nobody was woken for | who looks again after its period takes it |
//!
//! A process that is stopped is like a dead one, except that what it has it keeps; so does the inner lock, if it is stopped there.
//!
//! Whoever sleeps here waits for holders, so that each sleep is bounded: see `protocol`.
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.

/// What the algorithm is made of; each step is indivisible and sequentially consistent, and a process may die between any two.
pub(crate) trait Steps {
    /// Why the inner lock was not acquired.
    type Refused;

    /// Acquires the inner lock; whether it was taken over from a dead holder.
    fn lock(&self) -> Result<bool, Self::Refused>;
    /// Releases the inner lock.
    fn unlock(&self);
    /// How many permits there are in all.
    fn permits(&self) -> u32;
    /// Loads `available`.
    fn available(&self) -> u32;
    /// Stores into `available`.
    fn set_available(&self, count: u32);
    /// Loads this attachment's mark.
    fn own(&self) -> u32;
    /// Stores this attachment's mark.
    fn set_own(&self, count: u32);
    /// Whether this waiter, which has slept, is to ask in this look: of those who sleep one is to, again and again.
    fn asks(&self) -> bool;
    /// Loads the mark of a slot; `None` beyond the last.
    fn mark(&self, slot: usize) -> Option<u32>;
    /// Whether the attachment that made a slot's mark is proven gone.
    fn is_gone(&self, slot: usize) -> bool;
    /// Clears the mark of one who is gone.
    fn forget(&self, slot: usize);
    /// Loads `change`, also without the inner lock.
    fn change(&self) -> u32;
    /// Adds 1 to `change`.
    fn raise_change(&self);
    /// Loads `waiting`.
    fn waiting(&self) -> u32;
    /// Stores into `waiting`.
    fn set_waiting(&self, waiting: u32);
    /// Wakes so many of those who sleep on `change`, if there are so many; returns how many there were.
    fn wake(&self, most: u32) -> u32;
}

const NOBODY: u32 = 0;
const FOR_ONE: u32 = 1;
const FOR_MORE: u32 = 2;

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    Taken,
    /// Sleep while `change` is this.
    Sleep(u32),
}

/// One that wants permits: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Wanted {
    count: u32,
    /// Whether there is no other look than the first.
    now: bool,
    /// What `change` was as it slept last.
    seen: Option<u32>,
    /// While it waits for the inner lock: whether it is to ask then.
    asks: Option<bool>,
}

impl Wanted {
    /// One that wants so many. `now`: there is no other look than the first.
    pub(crate) fn new(count: u32, now: bool) -> Wanted {
        Wanted {
            count,
            now,
            seen: None,
            asks: None,
        }
    }

    /// Looks once. Who looks no more, though it may have been woken, [passes that on](pass_on).
    pub(crate) fn look<S: Steps>(&mut self, steps: &S) -> Result<Found, S::Refused> {
        let asks = match (self.asks, self.seen) {
            (Some(asks), _) => asks,
            // Asking costs system calls: that is for those who have slept, or look once.
            (None, None) => self.now,
            (None, Some(seen)) => {
                let asks = steps.asks();
                if !asks && steps.change() == seen {
                    return Ok(Found::Sleep(seen));
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
            Found::Taken
        } else {
            self.announce(steps);
            let seen = steps.change();
            self.seen = Some(seen);
            Found::Sleep(seen)
        };
        steps.unlock();
        Ok(found)
    }

    /// Whether it has been told to sleep, so that a wake-up may have been meant for it.
    pub(crate) fn has_slept(&self) -> bool {
        self.seen.is_some()
    }

    #[cfg(test)]
    pub(super) fn count(self) -> u32 {
        self.count
    }

    fn announce(&self, steps: &impl Steps) {
        let wants = if self.count > 1 { FOR_MORE } else { FOR_ONE };
        if steps.waiting() < wants {
            steps.set_waiting(wants);
        }
    }
}

/// Gives back so many, if this attachment has as many; returns how many it had.
pub(crate) fn give_back<S: Steps>(steps: &S, count: u32) -> Result<u32, S::Refused> {
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

/// Finds out how many permits nobody living has.
pub(crate) fn count<S: Steps>(steps: &S) -> Result<u32, S::Refused> {
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

/// Wakes others, for one who may have been woken and does not look any more.
pub(crate) fn pass_on<S: Steps>(steps: &S) -> Result<(), S::Refused> {
    enter(steps)?;
    if steps.available() > 0 {
        come_back(steps);
    }
    steps.unlock();
    Ok(())
}

/// Acquires the inner lock, and sees to what a dead one left.
fn enter<S: Steps>(steps: &S) -> Result<(), S::Refused> {
    if steps.lock()? {
        recount(steps);
        if steps.available() > 0 {
            come_back(steps);
        }
    }
    Ok(())
}

/// Takes so many, if there are as many.
fn take(steps: &impl Steps, count: u32) -> bool {
    let left = steps.available().checked_sub(count);
    if let Some(left) = left {
        steps.set_own(steps.own().saturating_add(count));
        steps.set_available(left);
    }
    left.is_some()
}

fn recount(steps: &impl Steps) {
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

/// Tells those who wait that there is more than before.
fn come_back(steps: &impl Steps) {
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
