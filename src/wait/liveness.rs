//! Checkers: of all waiters for one thing, a few check every few milliseconds whether its holders
//! live, and the others check rarely.
//!
//! So the cost of long waits does not grow with the number of waiters. A checker has one of four
//! seats. A seat affects only how long its waiter sleeps. A checker may be killed or stopped, or be
//! a task that is no longer polled, so it keeps its seat only by using it:
//!
//! | content of a seat | meaning |
//! |---|---|
//! | a slot, and a number | a checker of this attachment has the seat, and raises the number at each of its checks: a beat |
//! | no slot, and a number | the seat is free |
//!
//! # Rules
//!
//! 1. Every change of a seat is a compare-exchange that raises its number. So a checker that finds
//!    another number than it stored has lost its seat.
//! 2. A waiter without a seat takes one that is free, or silent: its number was raised less than
//!    once in [`CHECKER_TIMEOUT`] since this waiter last looked. A checker beats twice as often.
//!    The waiter measures the time itself, so no two clocks are compared.
//! 3. At most one waiter of an attachment has a seat, since the threads of an attachment die and
//!    stop together. Another waiter of the attachment takes the seat over when it is silent.
//! 4. A checker that could miss a death that other checkers could see, because it is in another PID
//!    namespace, does not beat. So it keeps its seat only until another waiter wants it. It takes a
//!    silent seat only after twice the time, so that several such checkers, which take a seat from
//!    each other, do not make the seat look used.
//!
//! A checker that leaves frees its seat, and wakes a waiter that may take it. When a holder and all
//! checkers die or stop at once, the other waiters check after their own, longer sleep. The tests
//! in `model` check all of this against every order of looks, and show that each rule is needed.

use std::array;
use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::segment::Segment;
use crate::segment::id::AttachmentId;
use crate::sys;
use crate::timing::{CHECKER_TIMEOUT, FIRST_SLEEP, next_period};

/// The number of seats.
pub(crate) const SEATS: usize = 4;

/// The seats of the waiters for one thing.
pub(crate) type Seats = [AtomicU64; SEATS];

/// The steps on seats. Each is indivisible, and a process may die or stop between any two.
pub(crate) trait CheckerMemory {
    /// Loads a seat.
    fn seat(&self, index: usize) -> Seat;
    /// Changes a seat from `from` to `to` by compare-exchange.
    fn change(&self, index: usize, from: Seat, to: Seat) -> bool;
}

/// A seat: the slot of its checker plus 1, or 0 if it is free (bits 0 to 12), and how often it was
/// changed (the bits above).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Seat(pub(crate) u64);

impl Seat {
    const BEAT: u64 = 1 << 13;

    fn beats(self) -> u64 {
        self.0 / Seat::BEAT
    }

    fn is_free(self) -> bool {
        self.0.is_multiple_of(Seat::BEAT)
    }

    fn is_of(self, slot: usize) -> bool {
        self.0 % Seat::BEAT == slot as u64 + 1
    }

    /// The seat after a step of a checker in this slot, or after a checker has left it (`None`).
    pub(crate) fn changed(self, slot: Option<usize>) -> Seat {
        let who = slot.map_or(0, |slot| slot as u64 + 1);
        Seat((self.0 - self.0 % Seat::BEAT).wrapping_add(Seat::BEAT) | who)
    }
}

/// What a waiter knows of the seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Checker {
    /// Its seat, and the value that it stored there last.
    own: Option<(usize, Seat)>,
    /// The seats when it last looked for one.
    seen: [Seat; SEATS],
}

impl Checker {
    /// Beats, or looks for a seat, for a waiter of the attachment in this slot; returns whether it
    /// has a seat. `patience`: how often [`CHECKER_TIMEOUT`] has passed since it last looked for a
    /// silent seat, `None` if it has not looked yet. `sees`: whether it could see every death.
    pub(crate) fn look(
        &mut self,
        steps: &impl CheckerMemory,
        slot: usize,
        patience: Option<u64>,
        sees: bool,
    ) -> bool {
        if let Some((index, stored)) = self.own.take() {
            let beat = if sees {
                stored.changed(Some(slot))
            } else {
                stored
            };
            if steps.change(index, stored, beat) {
                self.own = Some((index, beat));
                return true;
            }
        }
        let needed = if sees {
            patience
        } else {
            patience.map(|it| it / 2)
        };
        let found: [Seat; SEATS] = array::from_fn(|index| steps.seat(index));
        let is_silent = |&index: &usize| {
            let (now, before) = (found.get(index), self.seen.get(index));
            let beats = now
                .zip(before)
                .map(|(now, before)| now.beats().wrapping_sub(before.beats()));
            beats
                .zip(needed)
                .is_some_and(|(beats, needed)| beats < needed)
        };
        let own = found.iter().position(|it| it.is_of(slot));
        let wanted = own.map_or_else(
            || {
                let free = found.iter().position(|it| it.is_free());
                free.or_else(|| (0..SEATS).find(is_silent))
            },
            |own| Some(own).filter(is_silent),
        );
        if patience != Some(0) {
            self.seen = found;
        }
        let taken = wanted.and_then(|index| {
            let from = *found.get(index)?;
            let to = from.changed(Some(slot));
            steps.change(index, from, to).then_some((index, to))
        });
        self.own = taken;
        taken.is_some()
    }

    /// The seat that it last had, and the value that it stored there.
    #[cfg(test)]
    pub(crate) fn own(self) -> Option<(usize, Seat)> {
        self.own
    }

    /// Leaves its seat; returns whether it had one.
    pub(crate) fn leave(&mut self, steps: &impl CheckerMemory) -> bool {
        let own = self.own.take();
        own.is_some_and(|(index, stored)| steps.change(index, stored, stored.changed(None)))
    }
}

impl CheckerMemory for Seats {
    fn seat(&self, index: usize) -> Seat {
        let seat = self.get(index);
        Seat(seat.map_or(0, |seat| seat.load(Ordering::Relaxed)))
    }

    fn change(&self, index: usize, from: Seat, to: Seat) -> bool {
        let order = Ordering::Relaxed;
        let change = |seat: &AtomicU64| seat.compare_exchange(from.0, to.0, order, order).is_ok();
        self.get(index).is_some_and(change)
    }
}

/// The part of a waiter that checks liveness on behalf of other waiters, while it has a seat.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CheckerSeat {
    checker: Checker,
    /// When it last looked for a silent seat.
    looked: Option<Instant>,
}

impl CheckerSeat {
    /// Keeps its seat, or looks for one: see [`Checker::look`].
    pub(crate) fn keep(&mut self, segment: &Segment, seats: &Seats, sees: bool) -> bool {
        let patience = self.looked.map(|looked| {
            let passed = looked.elapsed().as_nanos() / CHECKER_TIMEOUT.as_nanos();
            u64::try_from(passed).unwrap_or(u64::MAX)
        });
        if patience != Some(0) {
            self.looked = Some(Instant::now());
        }
        let slot = segment.id().index();
        self.checker.look(seats, slot, patience, sees)
    }

    /// Leaves its seat, and wakes a waiter that sleeps on `word` and may take it.
    pub(crate) fn leave(&mut self, seats: &Seats, word: &AtomicU32) {
        if self.checker.leave(seats) {
            sys::wake_one(word);
        }
    }
}

/// Whether this process could see that the process of an attachment has ended, even if a child
/// keeps that attachment's byte.
pub(crate) fn sees(segment: &Segment, id: AttachmentId) -> bool {
    let found = segment.recorded(id).zip(sys::identity().ok());
    found.is_none_or(|(found, me)| me.namespaces != 0 && found.who.namespaces == me.namespaces)
}

/// Checks whether an attachment is proven gone. Mostly the attachment still keeps its byte, and
/// that ends the check. A thorough check looks at its process, too, which is far more expensive: it
/// finds a dead process whose child keeps the byte.
pub(crate) fn is_gone(segment: &Segment, id: AttachmentId, thorough: bool) -> bool {
    (thorough || !segment.is_kept(id)) && segment.is_gone(id)
}

/// The liveness checks of a waiter for something that several holders have, any of which may die:
/// how long the waiter sleeps, and when it checks. Dropping this leaves the seat.
///
/// The holders may be numerous. So a waiter checks only if no other waiter has checked since it
/// looked last. While one waiter checks every few milliseconds the others do not; another one does
/// when that waiter is gone, has stopped, or is no longer polled. A waiter that could not see every
/// death checks as well, and does not keep other waiters from checking.
#[derive(Debug)]
pub(crate) struct LivenessChecker<'a> {
    segment: &'a Segment,
    seats: &'a Seats,
    /// Raised by each waiter that checks and could see every death.
    asked: &'a AtomicU32,
    /// The word on which the waiters sleep.
    word: &'a AtomicU32,
    state: Cell<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    period: Duration,
    seat: CheckerSeat,
    /// Whether its last check found a holder that may die without this process seeing it.
    is_blind: bool,
    /// The value of `asked` at its last look.
    seen: u32,
    looks: u32,
}

/// One in this many checks of an attachment is thorough.
const THOROUGH_EVERY: usize = 64;

impl<'a> LivenessChecker<'a> {
    pub(crate) fn new(
        segment: &'a Segment,
        seats: &'a Seats,
        asked: &'a AtomicU32,
        word: &'a AtomicU32,
    ) -> LivenessChecker<'a> {
        LivenessChecker {
            segment,
            seats,
            asked,
            word,
            state: Cell::new(State {
                period: FIRST_SLEEP,
                seat: CheckerSeat::default(),
                is_blind: false,
                seen: asked.load(Ordering::Relaxed),
                looks: 0,
            }),
        }
    }

    /// Begins another look, after a sleep; returns whether to check liveness in it.
    pub(crate) fn asks(&self) -> bool {
        let mut state = self.state.get();
        state.looks = state.looks.wrapping_add(1);
        let sees = !state.is_blind;
        state.period = next_period(state.period, || {
            state.seat.keep(self.segment, self.seats, sees)
        });
        let asked = self.asked.load(Ordering::Relaxed);
        let asks = asked == state.seen;
        state.seen = if asks && sees {
            self.asked.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
        } else {
            asked
        };
        state.is_blind &= !asks;
        self.state.set(state);
        asks
    }

    /// How long to sleep after this look.
    pub(crate) fn period(&self) -> Duration {
        self.state.get().period
    }

    /// Whether an attachment is proven gone.
    pub(crate) fn is_gone(&self, id: AttachmentId) -> bool {
        // The thorough check takes another attachment each time, if there are many.
        let turn = (self.state.get().looks as usize).wrapping_add(id.index());
        let gone = is_gone(self.segment, id, turn.is_multiple_of(THOROUGH_EVERY));
        if !gone {
            self.found(id);
        }
        gone
    }

    /// Notes an attachment that is not proven gone.
    pub(crate) fn found(&self, id: AttachmentId) {
        if !sees(self.segment, id) {
            let is_blind = true;
            self.state.set(State {
                is_blind,
                ..self.state.get()
            });
        }
    }
}

impl Drop for LivenessChecker<'_> {
    fn drop(&mut self) {
        // A forked child has a copy of the seat's number, not the seat.
        if self.segment.attached().is_ours() {
            let mut state = self.state.get();
            state.seat.leave(self.seats, self.word);
        }
    }
}
