//! The robust barrier as an algorithm over indivisible steps: rounds in which so many meet, and no death keeps anybody in one.
//!
//! It knows neither shared memory nor the system: see [`Steps`].
//!
//! # State
//!
//! Everything is changed under an inner lock, the one of `protocol`, which is held for some instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `participants` | how many meet; constant |
//! | `round` | raised whenever a round ends; those who have arrived sleep on it |
//! | a slot's mark | how many threads of this attachment take part: the most that ever arrived in one round; and how many have arrived in the round that it names |
//! | `broken` | a bit for each of the last rounds: whether a death broke it |
//! | `left_out` | how many participants have died, where the dead are left out; and whose mark is still to be cleared |
//!
//! # Invariants
//!
//! 1. Arrivals count in the round that their mark names only. So ending a round is one store: all marks are then of an earlier one, and say
//!    who takes part. Who arrives as the first of its slot makes the mark say nobody, then names the round, then says one.
//!    One that has arrived has arrived, also when it dies after that: if the others come before anybody has asked, they have all met.
//! 2. A round is ended by whoever finds, under the lock, that those who have arrived and those left out are as many as meet, or that a
//!    participant is proven dead where that breaks the round.
//! 3. Who breaks a round stores that first, then clears the marks of the dead, then ends it. A round that is said to be broken and has not
//!    ended is broken once more by the next one who has the lock.
//! 4. Who leaves a dead one out stores one word that says both how many are left out by now, and whose mark is still to be cleared; then
//!    clears it; then says that it is cleared. So nobody is left out twice.
//! 5. Before a round ends, the next one's bit in `broken` is cleared. So who has arrived finds out how its round ended until 63 others have
//!    ended after it.
//!
//! # Deaths
//!
//! | of | leaves | and then |
//! |---|---|---|
//! | a participant, arrived or not | its mark | one that waits proves it dead: 2; of many who wait for long a few ask often |
//! | one inside of the inner lock, before that | that lock, and perhaps a step of 3 or 4 undone | the next one takes over, and does it |
//! | one that ends a round, before it wakes the others | that lock, and them asleep | the next one takes over, and wakes them |
//!
//! A thread that withdraws changes its attachment's mark by one store, under the lock: dying before that it is a participant that died,
//! dying after it, nobody.
//!
//! A process that is stopped is like a dead one, except that its round waits for it; so does the inner lock, if it is stopped there.
//!
//! Whoever sleeps here waits for participants, so that each sleep is bounded: see `protocol`.
//!
//! All of this is held against every interleaving by the tests in `model`, which also show how each rule is needed.

/// The most participants.
pub(crate) const MOST: u32 = u16::MAX as u32;

/// What the algorithm is made of; each step is indivisible and sequentially consistent, and a process may die between any two.
pub(crate) trait Steps {
    /// Why the inner lock was not acquired.
    type Refused;

    /// Acquires the inner lock; whether it was taken over from a dead holder.
    fn lock(&self) -> Result<bool, Self::Refused>;
    /// Releases the inner lock.
    fn unlock(&self);
    /// How many meet.
    fn participants(&self) -> u32;
    /// Whether the dead are left out; else they break the round.
    fn leaves_out(&self) -> bool;
    /// Whether this waiter, which has slept, is to ask in this look: of those who sleep one is to, again and again.
    fn asks(&self) -> bool;
    /// Loads `round`, also without the inner lock.
    fn round(&self) -> u32;
    /// Adds 1 to `round`.
    fn raise_round(&self);
    /// Wakes everybody who sleeps on `round`.
    fn wake(&self);
    /// Loads `broken`, also without the inner lock.
    fn broken(&self) -> u64;
    /// Stores into `broken`.
    fn set_broken(&self, rounds: u64);
    /// Loads `left_out`.
    fn left_out(&self) -> LeftOut;
    /// Stores into `left_out`.
    fn set_left_out(&self, left_out: LeftOut);
    /// Loads the threads of this attachment's mark.
    fn own(&self) -> Threads;
    /// Stores the threads of this attachment's mark.
    fn set_own(&self, threads: Threads);
    /// Stores the round of this attachment's mark.
    fn set_own_round(&self, round: u32);
    /// Loads the round of this attachment's mark.
    fn own_round(&self) -> u32;
    /// Loads the threads of a slot's mark; `None` beyond the last.
    fn threads(&self, slot: usize) -> Option<Threads>;
    /// Loads the round of a slot's mark.
    fn round_of(&self, slot: usize) -> u32;
    /// Whether the attachment that made a slot's mark is proven gone; asks the system only if it `may`.
    fn is_gone(&self, slot: usize, may: bool) -> bool;
    /// Clears the threads of the mark of one who is gone.
    fn forget(&self, slot: usize);
}

/// How many threads of an attachment take part, and how many of them have arrived; all 0 for one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Threads {
    pub(crate) members: u16,
    pub(crate) arrived: u16,
}

impl Threads {
    pub(crate) fn of_word(word: u32) -> Threads {
        let [a, b, c, d] = word.to_le_bytes();
        Threads {
            arrived: u16::from_le_bytes([a, b]),
            members: u16::from_le_bytes([c, d]),
        }
    }

    pub(crate) fn word(self) -> u32 {
        u32::from(self.members) << 16 | u32::from(self.arrived)
    }

    fn with(self, arrived: u16) -> Threads {
        Threads {
            members: self.members.max(arrived),
            arrived,
        }
    }
}

/// How many are left out, and whose mark is still to be cleared for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct LeftOut(pub(crate) u64);

impl LeftOut {
    const COUNT: u32 = 48;
    const SLOT: u32 = 32;

    pub(super) fn count(self) -> u64 {
        self.0 >> LeftOut::COUNT
    }

    /// The slot whose mark is to be cleared.
    pub(super) fn pending(self) -> Option<usize> {
        let slot = (self.0 >> LeftOut::SLOT & u64::from(MOST)).checked_sub(1)?;
        usize::try_from(slot).ok()
    }

    fn with(self, more: u16, slot: usize) -> LeftOut {
        let count = (self.count() + u64::from(more)).min(MOST.into());
        LeftOut(count << LeftOut::COUNT | (slot as u64 + 1) << LeftOut::SLOT)
    }

    pub(super) fn cleared(self) -> LeftOut {
        LeftOut(self.count() << LeftOut::COUNT)
    }
}

/// What a look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Found {
    /// All have met; whether this one was the last.
    Met(bool),
    /// A participant has died.
    Broken,
    /// Sleep while `round` is this.
    Sleep(u32),
}

/// One that arrives, and waits for the others: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Arrival {
    /// The round in which it has arrived.
    round: Option<u32>,
    /// While it waits for the inner lock: whether it is to ask then.
    asks: Option<bool>,
}

impl Arrival {
    pub(crate) fn new() -> Arrival {
        Arrival {
            round: None,
            asks: None,
        }
    }

    /// Looks once.
    pub(crate) fn look<S: Steps>(&mut self, steps: &S) -> Result<Found, S::Refused> {
        if let Some(over) = self.over(steps) {
            return Ok(over);
        }
        let asks = match (self.asks, self.round) {
            (Some(asks), _) => asks,
            // Asking costs system calls: that is for those who have slept.
            (None, None) => false,
            (None, Some(round)) => {
                let asks = steps.asks();
                if !asks {
                    return Ok(Found::Sleep(round));
                }
                asks
            }
        };
        self.asks = Some(asks);
        enter(steps)?;
        self.asks = None;
        let met = self.over(steps).or_else(|| self.meet(steps, asks));
        let found = met.unwrap_or_else(|| Found::Sleep(steps.round()));
        steps.unlock();
        Ok(found)
    }

    /// Whether it has arrived in a round, which may be over.
    pub(crate) fn has_arrived(&self) -> bool {
        self.round.is_some()
    }

    /// Arrives no more, unless the round has ended: then this is how.
    pub(crate) fn take_back<S: Steps>(&self, steps: &S) -> Result<Option<Found>, S::Refused> {
        enter(steps)?;
        let over = self.over(steps);
        if over.is_none() && self.has_arrived() {
            let own = steps.own();
            steps.set_own(own.with(own.arrived.saturating_sub(1)));
        }
        steps.unlock();
        Ok(over)
    }

    #[cfg(test)]
    pub(super) fn round(self) -> Option<u32> {
        self.round
    }

    /// How the round ended in which it has arrived, if it has.
    fn over(&self, steps: &impl Steps) -> Option<Found> {
        let round = self.round.filter(|&it| it != steps.round())?;
        Some(if is_broken(steps, round) {
            Found::Broken
        } else {
            Found::Met(false)
        })
    }

    /// Sees to the dead, arrives if it has not, and ends the round if all have.
    fn meet(&mut self, steps: &impl Steps, asks: bool) -> Option<Found> {
        let round = steps.round();
        if bury(steps, round, asks) {
            return Some(Found::Broken);
        }
        let is_new = self.round.is_none();
        if is_new {
            arrive(steps, round);
            self.round = Some(round);
        }
        is_complete(steps, round).then(|| {
            end(steps, round);
            Found::Met(is_new)
        })
    }
}

/// Takes part no more, with one thread that has met the others: its end is no death to them, and another one may come in its place.
pub(crate) fn withdraw<S: Steps>(steps: &S) -> Result<(), S::Refused> {
    enter(steps)?;
    let own = steps.own();
    let is_here = steps.own_round() == steps.round();
    let arrived = if is_here { own.arrived } else { 0 };
    let members = own.members.saturating_sub(1).max(arrived);
    steps.set_own(Threads { members, arrived });
    steps.unlock();
    Ok(())
}

/// Acquires the inner lock, and does what a dead one left undone.
fn enter<S: Steps>(steps: &S) -> Result<(), S::Refused> {
    if steps.lock()? {
        clear_pending(steps);
        let round = steps.round();
        if is_broken(steps, round) {
            break_up(steps, round);
        }
        steps.wake();
    }
    Ok(())
}

fn arrive(steps: &impl Steps, round: u32) {
    let mut own = steps.own();
    if own.arrived == 0 || steps.own_round() != round {
        own = own.with(0);
        steps.set_own(own);
        steps.set_own_round(round);
    }
    steps.set_own(own.with(own.arrived.saturating_add(1)));
}

/// Whether all have arrived in the round who are not left out.
fn is_complete(steps: &impl Steps, round: u32) -> bool {
    let mut arrived = 0;
    let mut slot = 0;
    while let Some(threads) = steps.threads(slot) {
        if threads.arrived > 0 && steps.round_of(slot) == round {
            arrived += u64::from(threads.arrived);
        }
        slot += 1;
    }
    arrived > 0 && arrived + steps.left_out().count() >= steps.participants().into()
}

/// Looks for participants that are gone, and leaves them out or breaks the round; whether it did that. Asks the system only if it `may`.
fn bury(steps: &impl Steps, round: u32, may: bool) -> bool {
    let mut slot = 0;
    while let Some(threads) = steps.threads(slot) {
        if threads.members > 0 && steps.is_gone(slot, may) {
            if !steps.leaves_out() {
                break_up(steps, round);
                return true;
            }
            steps.set_left_out(steps.left_out().with(threads.members, slot));
            clear_pending(steps);
        }
        slot += 1;
    }
    false
}

/// Clears the mark of one who was left out.
fn clear_pending(steps: &impl Steps) {
    let left_out = steps.left_out();
    if let Some(slot) = left_out.pending() {
        steps.forget(slot);
        steps.set_left_out(left_out.cleared());
    }
}

fn break_up(steps: &impl Steps, round: u32) {
    steps.set_broken(steps.broken() | bit(round));
    let mut slot = 0;
    while let Some(threads) = steps.threads(slot) {
        if threads.members > 0 && steps.is_gone(slot, true) {
            steps.forget(slot);
        }
        slot += 1;
    }
    end(steps, round);
}

fn end(steps: &impl Steps, round: u32) {
    let broken = steps.broken();
    let next = bit(round.wrapping_add(1));
    if broken & next != 0 {
        steps.set_broken(broken & !next);
    }
    steps.raise_round();
    steps.wake();
}

fn is_broken(steps: &impl Steps, round: u32) -> bool {
    steps.broken() & bit(round) != 0
}

/// The bit of a round in `broken`.
fn bit(round: u32) -> u64 {
    1 << (round % u64::BITS)
}
