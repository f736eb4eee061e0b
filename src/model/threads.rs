//! A model check of the parts of a segment in all interleavings, with deaths: a few threads of a
//! few processes use one part in every possible order.
//!
//! This module has what all parts have in common: the inner lock, sleeping and waking, deaths, and
//! stopped processes. `permits`, `event` and `rounds` define their words, run their code on them,
//! and judge the states.
//!
//! # What holds
//!
//! In addition to what each part states:
//!
//! - Only the owner of the inner lock changes what it protects, and only its owner releases it.
//! - Without deaths every run ends, even if no sleep ends by itself: no thread sleeps that need not
//!   wait.
//! - With deaths of any process before any step, and with processes that stop for good, every sleep
//!   ends eventually, and every run in which all threads that can continue do so ends.
//!
//! # What is left out
//!
//! - The inner lock is one step, which is possible when the lock is free or its owner dead: see
//!   `program` and `world` for its parts.
//! - Earlier attachments of a slot: marks are of the slot's present generation. The lengths of
//!   periods.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::ops::Range;

use super::points::{Answers, Code, Points};
use super::search::{Model, Step};

/// The largest number of threads.
pub(crate) const THREADS: usize = 4;

/// A violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// A thread changed protected words without the inner lock.
    Unguarded,
    /// A thread released the inner lock of another thread.
    FreedAnothers,
    /// A thread waits that need not, and nothing further is sure to happen.
    Stuck,
    /// A thread looks again and again although it need not wait.
    Starved,
    /// More threads than allowed hold something, or have passed.
    TooMany,
    /// Something was lost, or was created.
    Miscounted,
    /// A thread got a result that did not happen.
    Untrue,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op<W> {
    /// The answer is whether it was taken over from a dead owner.
    Lock,
    Unlock,
    /// Whether the process in this slot is proven dead.
    IsGone(usize),
    /// Whether it checks liveness.
    Asks,
    /// Sleeps while the word has this value.
    Sleep(u32),
    /// Wakes at most this many; the answer is how many it woke.
    Wake(u32),
    /// Any answer, 0 or 1.
    Either,
    Word(W),
    End,
}

/// The thread that takes a step, and the other threads.
#[derive(Clone, Copy)]
pub(crate) struct WaitMode {
    pub(crate) thread: usize,
    pub(crate) slot: usize,
    /// A bit for each dead thread.
    pub(crate) dead: u8,
}

/// A part: its words, its code, and its laws.
pub(crate) trait Part: Sized {
    /// The words, and what the judge must remember.
    type Words: Copy + Eq + Hash;
    /// A step on them.
    type Word: Copy + Eq + Hash + Debug + Send + 'static;
    type Stage: Copy + Eq + Hash;

    /// The number of threads that use it.
    fn threads(&self) -> usize;
    /// The slot of a thread's process.
    fn slot(&self, thread: usize) -> usize;
    fn words(&self) -> Self::Words;
    fn first(&self) -> Self::Stage;
    /// Runs a segment of a thread's program.
    fn run(&self, thread: usize, stage: Self::Stage, answers: &Answers<'_>) -> Option<Self::Stage>;
    /// Executes a step, and returns its answer.
    fn perform(
        &self,
        words: &mut Self::Words,
        who: WaitMode,
        step: Self::Word,
    ) -> Result<u64, Property>;
    /// Whether only the owner of the inner lock may take this step.
    fn is_guarded(step: Self::Word) -> bool;
    /// Whether this step also wakes all sleepers.
    fn wakes(_step: Self::Word) -> bool {
        false
    }
    /// The word on which threads sleep.
    fn bed(words: &Self::Words) -> u32;
    /// Judges a state.
    fn judge(&self, crowd: &ThreadModel<Self>, state: &State<Self::Words>) -> Result<(), Property>;
    /// Whether a sleeping thread must wait for a living one.
    fn has_to_wait(
        &self,
        crowd: &ThreadModel<Self>,
        state: &State<Self::Words>,
        place: Self::Stage,
    ) -> bool;
}

pub(crate) struct Threads<P>(pub(crate) P);

impl<P: Part> Code for Threads<P> {
    type Stage = P::Stage;
    type Op = Op<P::Word>;
    const END: Op<P::Word> = Op::End;

    fn run(&self, thread: usize, stage: P::Stage, answers: &Answers<'_>) -> Option<P::Stage> {
        self.0.run(thread, stage, answers)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Life {
    Running,
    Asleep,
    Stopped,
    /// What wakes it up is used up.
    StoppedAsleep,
    Dead,
}

impl Life {
    fn is_stopped(self) -> bool {
        matches!(self, Life::Stopped | Life::StoppedAsleep)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State<W> {
    pub(crate) words: W,
    nodes: [u32; THREADS],
    pub(crate) lives: [Life; THREADS],
    /// The thread that owns the inner lock, plus one.
    pub(crate) owner: u8,
    deaths: u8,
    stops: u8,
}

/// Executes a step; returns its answer, unless the step must wait.
type Effect<'a, P> = dyn Fn(&mut State<<P as Part>::Words>) -> Result<Option<u64>, Property> + 'a;

/// A few threads that use one part.
pub(crate) struct ThreadModel<P: Part> {
    pub(crate) part: Threads<P>,
    places: Points<Threads<P>>,
    deaths: u8,
    stops: u8,
    sleeps: Sleeps,
}

/// Which sleeps end by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleeps {
    Nobodys,
    /// One of the sleeping threads looks for all of them.
    Ones,
    Everybodys,
}

impl<P: Part> ThreadModel<P> {
    pub(crate) fn new(part: P) -> ThreadModel<P> {
        ThreadModel {
            part: Threads(part),
            places: Points::new(),
            deaths: 0,
            stops: 0,
            sleeps: Sleeps::Nobodys,
        }
    }

    /// This many processes may die; all sleeps end eventually.
    pub(crate) fn deaths(self, deaths: u8) -> ThreadModel<P> {
        ThreadModel {
            deaths,
            sleeps: Sleeps::Everybodys,
            ..self
        }
    }

    /// This many processes may stop for good, without being dead; all sleeps end eventually.
    pub(crate) fn stops(self, stops: u8) -> ThreadModel<P> {
        ThreadModel {
            stops,
            sleeps: Sleeps::Everybodys,
            ..self
        }
    }

    /// Sleeps end in this way, whatever dies.
    pub(crate) fn sleeps(self, sleeps: Sleeps) -> ThreadModel<P> {
        ThreadModel { sleeps, ..self }
    }

    pub(crate) fn threads(&self) -> Range<usize> {
        0..self.part.0.threads()
    }

    /// The threads of the process in a slot.
    pub(crate) fn threads_in(&self, slot: usize) -> impl Iterator<Item = usize> {
        self.threads()
            .filter(move |&it| self.part.0.slot(it) == slot)
    }

    pub(crate) fn is_dead(&self, state: &State<P::Words>, slot: usize) -> bool {
        self.threads_in(slot)
            .any(|it| state.lives[it] == Life::Dead)
    }

    /// The stage of a living thread, if the thread has done nothing since the stage began.
    pub(crate) fn stage(&self, state: &State<P::Words>, thread: usize) -> Option<P::Stage> {
        if state.lives[thread] == Life::Dead {
            return None;
        }
        self.places.at(state.nodes[thread], |place| {
            place.is_at_start.then_some(place.stage)
        })
    }

    fn op(&self, state: &State<P::Words>, thread: usize) -> Op<P::Word> {
        self.places.at(state.nodes[thread], |place| place.op)
    }

    /// Whether a thread may wait as it does.
    fn may_wait(&self, state: &State<P::Words>, thread: usize) -> bool {
        let owner = state.owner.checked_sub(1).map(usize::from);
        if owner.is_some_and(|it| state.lives[it].is_stopped()) {
            return true;
        }
        let place = self.places.at(state.nodes[thread], |place| place.stage);
        state.lives[thread] == Life::Asleep && self.part.0.has_to_wait(self, state, place)
    }

    /// Whether the end of its period wakes this sleeper, and it is time for that: while all threads
    /// must wait they go on looking and sleeping, which is correct.
    fn is_woken(&self, state: &State<P::Words>, thread: usize) -> bool {
        let asleep = |it: &usize| state.lives[*it] == Life::Asleep;
        let mut sleepers = self.threads().filter(asleep);
        match self.sleeps {
            Sleeps::Nobodys => false,
            Sleeps::Ones => {
                sleepers.clone().next() == Some(thread)
                    && sleepers.any(|it| !self.may_wait(state, it))
            }
            Sleeps::Everybodys => !self.may_wait(state, thread),
        }
    }

    fn answer(&self, state: &mut State<P::Words>, thread: usize, answer: u64) {
        state.nodes[thread] = self.places.next(&self.part, state.nodes[thread], answer);
    }

    fn wake(&self, state: &mut State<P::Words>, thread: usize) {
        if state.lives[thread] == Life::StoppedAsleep {
            state.lives[thread] = Life::Stopped;
        } else {
            state.lives[thread] = Life::Running;
        }
        self.answer(state, thread, 0);
    }

    fn step(
        &self,
        from: &State<P::Words>,
        thread: usize,
        does: Does<P::Word>,
        effect: impl FnOnce(&mut State<P::Words>) -> Result<Option<u64>, Property>,
    ) -> Step<ThreadModel<P>> {
        let mut to = *from;
        let effect = effect(&mut to).and_then(|answer| {
            if let Some(answer) = answer {
                self.answer(&mut to, thread, answer);
            }
            self.part.0.judge(self, &to)
        });
        Step {
            deed: Action(thread, does),
            agent: small(thread),
            sure: true,
            to: effect.map(|()| to),
        }
    }

    /// The steps of a thread that runs.
    fn run(&self, from: &State<P::Words>, thread: usize, into: &mut Vec<Step<ThreadModel<P>>>) {
        let op = self.op(from, thread);
        let me = small(thread) + 1;
        let mut take = |does, effect: &Effect<P>| {
            into.push(self.step(from, thread, does, effect));
        };
        let does = Does::Step(op);
        match op {
            Op::End => {}
            Op::Lock => {
                let owner = from.owner.checked_sub(1).map(usize::from);
                let dead = owner.is_some_and(|it| from.lives[it] == Life::Dead);
                if owner.is_none() || dead {
                    take(does, &|state| {
                        state.owner = me;
                        Ok(Some(dead.into()))
                    });
                }
            }
            Op::Unlock => take(does, &|state| {
                if state.owner != me {
                    return Err(Property::FreedAnothers);
                }
                state.owner = 0;
                Ok(Some(0))
            }),
            Op::IsGone(slot) => {
                let gone = slot != self.part.0.slot(thread) && self.is_dead(from, slot);
                take(does, &|_| Ok(Some(gone.into())));
            }
            Op::Asks => {
                let sleepers = self.sleepers(from);
                let asks = self.sleeps != Sleeps::Ones || sleepers >> thread << thread == sleepers;
                take(does, &|_| Ok(Some(asks.into())));
            }
            Op::Sleep(seen) => {
                let sleeps = P::bed(&from.words) == seen;
                take(does, &|state| {
                    if sleeps {
                        state.lives[thread] = Life::Asleep;
                    }
                    Ok((!sleeps).then_some(0))
                });
            }
            Op::Wake(most) => {
                let sleepers = self.sleepers(from);
                let count = most.min(sleepers.count_ones());
                // Any choice of this many sleepers.
                for chosen in (0..=sleepers).filter(|it| it & !sleepers == 0) {
                    if chosen.count_ones() == count {
                        take(Does::Wakes(chosen), &|state| {
                            self.wake_all(state, chosen);
                            Ok(Some(count.into()))
                        });
                    }
                }
            }
            Op::Either => {
                for answer in [0, 1] {
                    take(does, &|_| Ok(Some(answer)));
                }
            }
            Op::Word(word) => take(does, &|state| {
                if P::is_guarded(word) && state.owner != me {
                    return Err(Property::Unguarded);
                }
                let dead = self.threads().filter(|&it| from.lives[it] == Life::Dead);
                let who = WaitMode {
                    thread,
                    slot: self.part.0.slot(thread),
                    dead: dead.fold(0, |dead, it| dead | 1 << it),
                };
                let answer = self.part.0.perform(&mut state.words, who, word)?;
                if P::wakes(word) {
                    self.wake_all(state, self.sleepers(state));
                }
                Ok(Some(answer))
            }),
        }
    }

    /// A bit for each thread that sleeps.
    fn sleepers(&self, state: &State<P::Words>) -> u8 {
        let asleep = |it: &usize| matches!(state.lives[*it], Life::Asleep | Life::StoppedAsleep);
        let sleepers = self.threads().filter(asleep);
        sleepers.fold(0, |sleepers, it| sleepers | 1 << it)
    }

    fn wake_all(&self, state: &mut State<P::Words>, sleepers: u8) {
        for sleeper in self.threads().filter(|it| sleepers >> it & 1 == 1) {
            self.wake(state, sleeper);
        }
    }
}

pub(crate) struct Action<W>(usize, Does<W>);

#[derive(Clone, Copy)]
enum Does<W> {
    Step(Op<W>),
    /// A bit for each.
    Wakes(u8),
    Rises,
    Dies,
    Stops,
}

impl<W: Debug> fmt::Display for Action<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thread = self.0;
        match &self.1 {
            Does::Step(op) => write!(f, "{thread}: {op:?}"),
            Does::Wakes(sleepers) => write!(f, "{thread}: wakes {sleepers:#b}"),
            Does::Rises => write!(f, "{thread}: wakes up by itself"),
            Does::Dies => write!(f, "{thread}: dies with its process"),
            Does::Stops => write!(f, "{thread}: stops with its process"),
        }
    }
}

impl<P: Part> Model for ThreadModel<P> {
    type State = State<P::Words>;
    type Property = Property;
    type Action = Action<P::Word>;

    fn start(&self) -> State<P::Words> {
        let mut state = State {
            words: self.part.0.words(),
            nodes: [0; THREADS],
            lives: [Life::Dead; THREADS],
            owner: 0,
            deaths: self.deaths,
            stops: self.stops,
        };
        for thread in self.threads() {
            let first = self.part.0.first();
            state.nodes[thread] = self.places.start(&self.part, thread, first);
            state.lives[thread] = Life::Running;
        }
        state
    }

    fn steps(&self, from: State<P::Words>, into: &mut Vec<Step<ThreadModel<P>>>) {
        for thread in self.threads() {
            match from.lives[thread] {
                Life::Dead => continue,
                Life::Running => self.run(&from, thread, into),
                Life::Asleep => {
                    let mut rises = self.step(&from, thread, Does::Rises, |state| {
                        self.wake(state, thread);
                        Ok(None)
                    });
                    rises.sure = self.is_woken(&from, thread);
                    into.push(rises);
                }
                Life::Stopped | Life::StoppedAsleep => {}
            }
            let slot = self.part.0.slot(thread);
            if self.threads_in(slot).next() != Some(thread) {
                continue;
            }
            if from.deaths > 0 {
                let mut dies = self.step(&from, thread, Does::Dies, |state| {
                    state.deaths -= 1;
                    for other in self.threads_in(slot) {
                        state.lives[other] = Life::Dead;
                        state.nodes[other] = 0;
                    }
                    Ok(None)
                });
                dies.sure = false;
                into.push(dies);
            }
            if from.stops > 0 && !from.lives[thread].is_stopped() {
                let mut stops = self.step(&from, thread, Does::Stops, |state| {
                    state.stops -= 1;
                    for other in self.threads_in(slot) {
                        state.lives[other] = match state.lives[other] {
                            Life::Asleep => Life::StoppedAsleep,
                            _ => Life::Stopped,
                        };
                    }
                    Ok(None)
                });
                stops.sure = false;
                into.push(stops);
            }
        }
    }

    fn end(&self, state: State<P::Words>) -> Result<(), Property> {
        let waits = |&it: &usize| {
            state.lives[it] != Life::Dead
                && !state.lives[it].is_stopped()
                && self.op(&state, it) != Op::End
        };
        if self
            .threads()
            .filter(waits)
            .all(|it| self.may_wait(&state, it))
        {
            Ok(())
        } else {
            Err(Property::Stuck)
        }
    }

    fn endless(&self) -> Property {
        Property::Starved
    }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
