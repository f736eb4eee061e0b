//! The robust barrier as an algorithm over indivisible steps: a fixed number of participants meet
//! in each round, and no death keeps the others in a round.
//!
//! The algorithm knows neither shared memory nor the system: see [`BarrierMemory`].
//!
//! # State
//!
//! Everything is changed under an inner lock, the lock of `protocol`, held for a few instructions.
//!
//! | word | meaning |
//! |---|---|
//! | `participants` | the number of participants of a round; constant |
//! | `round` | raised whenever a round ends; participants that have arrived sleep on it |
//! | a slot's mark | the number of threads of this attachment that take part (the most that ever arrived in one round), and how many of them have arrived in the round that the mark names |
//! | `broken` | one bit for each of the last rounds: whether a death broke it |
//! | `left_out` | the number of dead participants that are left out, if the barrier leaves the dead out, and the slot of the mark that is still to be cleared |
//!
//! # Invariants
//!
//! 1. Arrivals count only in the round that their mark names.
//!    - So ending a round is one store: afterwards all marks name an earlier round, and only say
//!      which attachments take part.
//!    - The first arrival of a slot in a round stores 0 arrivals into the mark, then the round,
//!      then 1 arrival.
//!    - A participant that has arrived counts as arrived even if it dies afterwards: if the others
//!      arrive before a waiter has checked its liveness, the round completes.
//! 2. A process ends a round under the lock, when it finds one of these: arrivals and left-out
//!    participants together are as many as `participants`, or a participant is proven dead and a
//!    death breaks the round.
//! 3. A process that breaks a round stores the bit of that round in `broken` first, then clears the
//!    marks of the dead, then ends the round. If the bit of a round that has not ended is set, the
//!    next process that takes the lock over from a dead owner breaks the round once more.
//! 4. A process that leaves a dead participant out stores one word, with the new number of left-out
//!    participants and the slot of the mark to clear. Then it clears the mark, then it
//!    stores that the mark is cleared. So no participant is left out twice.
//! 5. Before a round ends, the bit of the next round in `broken` is cleared. So a participant can
//!    read how its round ended until 63 more rounds have ended after it.
//!
//! # Deaths
//!
//! | death of | leaves | consequence |
//! |---|---|---|
//! | a participant, arrived or not | its mark | a waiter proves the death: see 2. Of many long waiters a few checkers check often |
//! | the owner of the inner lock, before it ends the round | that lock, and perhaps an unfinished step of 3 or 4 | the next process takes over, and finishes the step |
//! | a process that ends a round, before it wakes the others | that lock, and the others asleep | the next process takes over, and wakes them |
//!
//! A thread that withdraws changes its attachment's mark by one store, under the lock. If it dies
//! before that store, a participant has died; after it, its death has no effect.
//!
//! A stopped process is like a dead one, except that its round waits for it, and so does the inner
//! lock if the process is stopped while it owns that.
//!
//! A waiter here waits for participants, which may die, so each sleep is bounded: see `protocol`.
//!
//! The tests in `model` check all of this against every interleaving, and show that each rule is
//! needed.

/// The most participants.
pub(crate) const MOST: u32 = u16::MAX as u32;

/// The steps of the algorithm. Each is indivisible and sequentially consistent, and a process may
/// die between any two.
pub(crate) trait BarrierMemory {
    /// Why the inner lock was not acquired.
    type Refusal;

    /// Acquires the inner lock; returns whether it was taken over from a dead owner.
    fn lock(&self) -> Result<bool, Self::Refusal>;
    /// Releases the inner lock.
    fn unlock(&self);
    /// The number of participants of a round.
    fn participants(&self) -> u32;
    /// Whether dead participants are left out; otherwise they break the round.
    fn leaves_out(&self) -> bool;
    /// Whether this waiter, which has slept, checks liveness in this look: one of the sleeping
    /// waiters does so again and again.
    fn asks(&self) -> bool;
    /// Loads `round`; needs no inner lock.
    fn round(&self) -> u32;
    /// Adds 1 to `round`.
    fn raise_round(&self);
    /// Wakes all participants that sleep on `round`.
    fn wake(&self);
    /// Loads `broken`; needs no inner lock.
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
    /// Whether the attachment that made a slot's mark is proven gone; makes system calls only if it
    /// `may`.
    fn is_gone(&self, slot: usize, may: bool) -> bool;
    /// Clears the threads in the mark of an attachment that is gone.
    fn forget(&self, slot: usize);
}

/// How many threads of an attachment take part, and how many of them have arrived; both 0 if none
/// takes part.
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

/// How many participants are left out, and the slot of the mark that is still to be cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct LeftOut(pub(crate) u64);

impl LeftOut {
    const COUNT: u32 = 48;
    const SLOT: u32 = 32;

    pub(crate) fn count(self) -> u64 {
        self.0 >> LeftOut::COUNT
    }

    /// The slot of the mark that is to be cleared.
    pub(crate) fn pending(self) -> Option<usize> {
        let slot = (self.0 >> LeftOut::SLOT & u64::from(MOST)).checked_sub(1)?;
        usize::try_from(slot).ok()
    }

    fn with(self, more: u16, slot: usize) -> LeftOut {
        let count = (self.count() + u64::from(more)).min(MOST.into());
        LeftOut(count << LeftOut::COUNT | (slot as u64 + 1) << LeftOut::SLOT)
    }

    pub(crate) fn cleared(self) -> LeftOut {
        LeftOut(self.count() << LeftOut::COUNT)
    }
}

/// The result of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BarrierOutcome {
    /// All participants have arrived; `true` for the one that arrived last.
    Met(bool),
    /// A participant has died.
    Broken,
    /// Sleep while `round` is this.
    Sleep(u32),
}

/// A participant that arrives and waits for the others: what it knows between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Arrival {
    /// The round in which it has arrived.
    round: Option<u32>,
    /// While it waits for the inner lock: whether it checks liveness after acquiring it.
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
    pub(crate) fn look<S: BarrierMemory>(
        &mut self,
        steps: &S,
    ) -> Result<BarrierOutcome, S::Refusal> {
        if let Some(over) = self.over(steps) {
            return Ok(over);
        }
        let asks = match (self.asks, self.round) {
            (Some(asks), _) => asks,
            // A liveness check makes system calls: only a participant that has slept makes one.
            (None, None) => false,
            (None, Some(round)) => {
                let asks = steps.asks();
                if !asks {
                    return Ok(BarrierOutcome::Sleep(round));
                }
                asks
            }
        };
        self.asks = Some(asks);
        enter(steps)?;
        self.asks = None;
        let met = self.over(steps).or_else(|| self.meet(steps, asks));
        let found = met.unwrap_or_else(|| BarrierOutcome::Sleep(steps.round()));
        steps.unlock();
        Ok(found)
    }

    /// Whether it has arrived in a round, which may be over.
    pub(crate) fn has_arrived(&self) -> bool {
        self.round.is_some()
    }

    /// Withdraws its arrival, unless the round has ended: then returns how it ended.
    pub(crate) fn take_back<S: BarrierMemory>(
        &self,
        steps: &S,
    ) -> Result<Option<BarrierOutcome>, S::Refusal> {
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
    pub(crate) fn round(self) -> Option<u32> {
        self.round
    }

    /// How the round of its arrival ended; `None` if it has not ended or this participant has not
    /// arrived.
    fn over(&self, steps: &impl BarrierMemory) -> Option<BarrierOutcome> {
        let round = self.round.filter(|&it| it != steps.round())?;
        Some(if is_broken(steps, round) {
            BarrierOutcome::Broken
        } else {
            BarrierOutcome::Met(false)
        })
    }

    /// Handles dead participants, arrives unless it has arrived, and ends the round if it is
    /// complete.
    fn meet(&mut self, steps: &impl BarrierMemory, asks: bool) -> Option<BarrierOutcome> {
        let round = steps.round();
        if bury(steps, round, asks) {
            return Some(BarrierOutcome::Broken);
        }
        let is_new = self.round.is_none();
        if is_new {
            arrive(steps, round);
            self.round = Some(round);
        }
        is_complete(steps, round).then(|| {
            end(steps, round);
            BarrierOutcome::Met(is_new)
        })
    }
}

/// Ends the participation of one thread that has met the others: its end does not count as a death,
/// and another thread may take its place.
pub(crate) fn withdraw<S: BarrierMemory>(steps: &S) -> Result<(), S::Refusal> {
    enter(steps)?;
    let own = steps.own();
    let is_here = steps.own_round() == steps.round();
    let arrived = if is_here { own.arrived } else { 0 };
    let members = own.members.saturating_sub(1).max(arrived);
    steps.set_own(Threads { members, arrived });
    steps.unlock();
    Ok(())
}

/// Acquires the inner lock, and finishes what a dead owner of it left unfinished.
fn enter<S: BarrierMemory>(steps: &S) -> Result<(), S::Refusal> {
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

fn arrive(steps: &impl BarrierMemory, round: u32) {
    let mut own = steps.own();
    if own.arrived == 0 || steps.own_round() != round {
        own = own.with(0);
        steps.set_own(own);
        steps.set_own_round(round);
    }
    steps.set_own(own.with(own.arrived.saturating_add(1)));
}

/// Whether all participants that are not left out have arrived in the round.
fn is_complete(steps: &impl BarrierMemory, round: u32) -> bool {
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

/// Looks for participants that are gone, and leaves them out or breaks the round; returns whether
/// it broke the round. Makes system calls only if it `may`.
fn bury(steps: &impl BarrierMemory, round: u32, may: bool) -> bool {
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

/// Clears the mark of a participant that was left out, if that is still to be done.
fn clear_pending(steps: &impl BarrierMemory) {
    let left_out = steps.left_out();
    if let Some(slot) = left_out.pending() {
        steps.forget(slot);
        steps.set_left_out(left_out.cleared());
    }
}

fn break_up(steps: &impl BarrierMemory, round: u32) {
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

fn end(steps: &impl BarrierMemory, round: u32) {
    let broken = steps.broken();
    let next = bit(round.wrapping_add(1));
    if broken & next != 0 {
        steps.set_broken(broken & !next);
    }
    steps.raise_round();
    steps.wake();
}

fn is_broken(steps: &impl BarrierMemory, round: u32) -> bool {
    steps.broken() & bit(round) != 0
}

/// The bit of a round in `broken`.
fn bit(round: u32) -> u64 {
    1 << (round % u64::BITS)
}
