//! A model check of the checkers' seats in every order of looks: it runs the code of `checkers`
//! itself, with waiters that stop, are polled rarely, or cannot see every death.
//!
//! Time is counted in sleeps of a checker. A waiter looks when its sleep is over, and time advances
//! when all waiters that can look have looked. A look is two steps, so that other waiters come
//! between its loads and its change of a seat.
//!
//! # What holds
//!
//! - While a waiter is able to check for others, an able waiter has a seat and uses it, except for
//!   a bounded time after each change.
//! - No two waiters keep using the same seat.
//!
//! # What is left out
//!
//! - The four loads of a look are one step: a seat that changes in between counts as loaded before
//!   or after the change, as the compare-exchange decides.
//! - Clocks that run unevenly, and looks that are late by too little to make a checker lose its
//!   seat.

mod tests;

use std::cell::{Cell, RefCell};
use std::fmt;

use super::liveness::{Checker, CheckerMemory, SEATS, Seat};
use crate::model::search::{Model, Step};

const WAITERS: usize = 3;
/// How often time passes.
const END: u8 = 48;
/// The longest sleep of a waiter without a seat, and twice that: it may have looked just before a
/// checker stopped.
const LONGEST: u8 = 8;
const PATIENT: u8 = 2 * LONGEST + 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Looks whenever its sleep is over, and sees every death.
    Able,
    /// Likewise, until it stops at any moment; it may continue at any later moment.
    Stops,
    /// A task that is polled once in this many sleeps of a checker.
    Rarely(u8),
    /// Could miss a death that other waiters could see.
    Blind,
}
use Kind::{Able, Blind, Rarely, Stops};

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// A seat is kept forever.
    NoTakeOver,
    /// One beat counts as much as many.
    AnyBeat,
    /// A checker that cannot see every death beats.
    BlindBeats,
    /// Such a checker takes a seat from others of its kind as often as it could beat.
    BlindHurries,
    /// A seat is changed by a store, whatever it has become.
    ByStore,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    /// Able waiters rely on checkers that do not check.
    Unchecked,
    /// Two waiters keep using one seat.
    Shared,
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Waiter {
    checker: Checker,
    /// When it last looked for a silent seat.
    looked: Option<u8>,
    period: u8,
    /// When it looks next.
    due: u8,
    /// What it has loaded, in the middle of a look.
    loaded: Option<[Seat; SEATS]>,
    stopped: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    seats: [Seat; SEATS],
    waiters: [Waiter; WAITERS],
    /// For how long no able waiter has used a seat.
    unchecked: u8,
    /// For how long two waiters have both taken the same seat for their own.
    shared: u8,
    stops: u8,
}

struct Crew {
    /// Each waiter's slot and kind.
    waiters: Vec<(usize, Kind)>,
    /// This many seats are in use, by checkers outside of the model.
    used: usize,
    mistake: Mutation,
}

/// Seats as they were loaded, and as they are.
struct CheckerView<'a> {
    loaded: [Seat; SEATS],
    seats: RefCell<&'a mut [Seat; SEATS]>,
    mistake: Mutation,
    has_changed: Cell<bool>,
}

impl CheckerMemory for CheckerView<'_> {
    fn seat(&self, index: usize) -> Seat {
        // After a beat that came too late it loads again.
        if self.has_changed.get() {
            return self.seats.borrow()[index];
        }
        self.loaded[index]
    }

    fn change(&self, index: usize, from: Seat, to: Seat) -> bool {
        self.has_changed.set(true);
        let mut seats = self.seats.borrow_mut();
        let is_from = seats[index] == from || self.mistake == Mutation::ByStore;
        if is_from {
            seats[index] = to;
        }
        is_from
    }
}

impl Crew {
    fn new(used: usize, waiters: &[(usize, Kind)]) -> Crew {
        Crew {
            waiters: waiters.to_vec(),
            used,
            mistake: Mutation::None,
        }
    }

    fn with(self, mistake: Mutation) -> Crew {
        Crew { mistake, ..self }
    }

    fn numbers(&self) -> std::ops::Range<usize> {
        0..self.waiters.len()
    }

    fn is_able(&self, state: &State, number: usize) -> bool {
        matches!(self.waiters[number].1, Able | Stops) && !state.waiters[number].stopped
    }

    fn look(&self, state: &mut State, number: usize, loaded: [Seat; SEATS]) {
        let (slot, kind) = self.waiters[number];
        let waiter = &mut state.waiters[number];
        let patience = waiter
            .looked
            .map(|looked| u64::from((state.now - looked) / 2));
        if patience != Some(0) {
            waiter.looked = Some(state.now);
        }
        let patience = match self.mistake {
            Mutation::NoTakeOver => None,
            Mutation::AnyBeat => patience.map(|patience| patience.min(1)),
            _ => patience,
        };
        let look = CheckerView {
            loaded,
            seats: RefCell::new(&mut state.seats),
            mistake: self.mistake,
            has_changed: Cell::new(false),
        };
        let sees = kind != Blind || self.mistake == Mutation::BlindBeats;
        let hurries = kind == Blind && self.mistake == Mutation::BlindHurries;
        let patience = patience.map(|it| if hurries { 2 * it } else { it });
        let has_seat = waiter.checker.look(&look, slot, patience, sees);
        waiter.period = if has_seat {
            1
        } else {
            LONGEST.min(waiter.period * 2)
        };
        waiter.due = state.now
            + if let Rarely(period) = kind {
                period
            } else {
                waiter.period
            };
        waiter.loaded = None;
        if has_seat && self.is_able(state, number) {
            state.unchecked = 0;
        }
    }

    fn pass(&self, state: &mut State) -> Result<(), Property> {
        state.now += 1;
        for seat in &mut state.seats[..self.used] {
            *seat = seat.changed(Some(100));
        }
        let any_able = self.numbers().any(|it| self.is_able(state, it));
        state.unchecked = if any_able { state.unchecked + 1 } else { 0 };
        let seats = |number: usize| {
            let own = state.waiters[number].checker.own();
            own.filter(|_| self.is_able(state, number))
                .map(|(index, _)| index)
        };
        let mut pairs = self
            .numbers()
            .flat_map(|one| (0..one).map(move |two| (one, two)));
        let shares = pairs.any(|(one, two)| seats(one).is_some() && seats(one) == seats(two));
        state.shared = if shares { state.shared + 1 } else { 0 };
        if state.shared > 2 {
            return Err(Property::Shared);
        }
        if state.unchecked > PATIENT {
            Err(Property::Unchecked)
        } else {
            Ok(())
        }
    }
}

/// A step out of a state.
fn step(
    deed: Action,
    from: &State,
    does: impl FnOnce(&mut State) -> Result<(), Property>,
) -> Step<Crew> {
    let mut to = *from;
    let done = does(&mut to);
    Step {
        agent: deed.agent(),
        sure: !matches!(deed, Action::Stops(_) | Action::GoesOn(_)),
        deed,
        to: done.map(|()| to),
    }
}

enum Action {
    Loads(usize),
    Looks(usize),
    Stops(usize),
    GoesOn(usize),
    Passes,
}

impl Action {
    fn agent(&self) -> u8 {
        match self {
            Action::Loads(it) | Action::Looks(it) | Action::Stops(it) | Action::GoesOn(it) => {
                u8::try_from(*it).unwrap_or(0)
            }
            Action::Passes => 10,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Loads(it) => write!(f, "{it}: loads the seats"),
            Action::Looks(it) => write!(f, "{it}: looks"),
            Action::Stops(it) => write!(f, "{it}: stops"),
            Action::GoesOn(it) => write!(f, "{it}: goes on"),
            Action::Passes => write!(f, "time passes"),
        }
    }
}

impl Model for Crew {
    type State = State;
    type Property = Property;
    type Action = Action;

    fn start(&self) -> State {
        let waiter = Waiter {
            checker: Checker::default(),
            looked: None,
            period: 1,
            due: 0,
            loaded: None,
            stopped: false,
        };
        // One seat is free; attachments that do nothing more have taken the others.
        let mut seats = [Seat::default().changed(Some(99)); SEATS];
        seats[self.used] = Seat::default();
        State {
            now: 0,
            seats,
            waiters: [waiter; WAITERS],
            unchecked: 0,
            shared: 0,
            stops: 1,
        }
    }

    fn steps(&self, from: State, into: &mut Vec<Step<Crew>>) {
        if from.now == END {
            return;
        }
        let mut is_busy = false;
        for number in self.numbers() {
            let waiter = from.waiters[number];
            if waiter.stopped {
                into.push(step(Action::GoesOn(number), &from, |state| {
                    let waiter = &mut state.waiters[number];
                    waiter.stopped = false;
                    waiter.due = waiter.due.max(state.now);
                    Ok(())
                }));
                continue;
            }
            if self.waiters[number].1 == Stops && from.stops > 0 {
                into.push(step(Action::Stops(number), &from, |state| {
                    state.stops -= 1;
                    state.waiters[number].stopped = true;
                    Ok(())
                }));
            }
            match waiter.loaded {
                Some(loaded) => into.push(step(Action::Looks(number), &from, |state| {
                    self.look(state, number, loaded);
                    Ok(())
                })),
                None if waiter.due <= from.now => {
                    into.push(step(Action::Loads(number), &from, |state| {
                        state.waiters[number].loaded = Some(state.seats);
                        Ok(())
                    }));
                }
                None => continue,
            }
            is_busy = true;
        }
        if !is_busy {
            into.push(step(Action::Passes, &from, |state| self.pass(state)));
        }
    }

    fn end(&self, _state: State) -> Result<(), Property> {
        Ok(())
    }

    fn endless(&self) -> Property {
        Property::Endless
    }
}
