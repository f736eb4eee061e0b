//! A model check of the event in all interleavings, with deaths: it runs the code of `event`
//! itself, with threads that set, reset and wait.
//!
//! # What holds
//!
//! - No waiter sleeps for long while the event is set. Where the system stores and wakes in one
//!   step, no waiter has to look by itself for that, whatever process dies.
//! - In auto-reset mode at most one waiter passes for each set. A living waiter takes each signal,
//!   unless a waiter has died after it took the signal.
//! - A manual-reset event that stays set lets all waiters pass.
//! - A waiter that began to wait before a set does not wait on because of a reset: all of these
//!   waiters pass or, in auto-reset mode, one of them. A waiter that began after the reset does not
//!   pass because of the earlier set.

mod tests;

use std::cell::Cell;

use super::protocol::{self, EventMemory, EventOutcome, EventWaiter, OWED, SET, WAITERS};
use crate::model::points::Answers;
use crate::model::threads::{Op, Part, Property, State, ThreadModel, WaitMode};

/// One use of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Set,
    Reset,
    Wait,
    /// May give up before any of its sleeps.
    WaitFor,
}
use Turn::{Reset, Set, Wait, WaitFor};

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// A waiter that passes resets the event by a store, whatever the word has become.
    TakeByStore,
    /// A waiter sleeps without setting `WAITERS`.
    NoAnnouncement,
    /// A waiter sets `WAITERS` by a store, whatever the word has become.
    AnnounceByStore,
    /// The store and the wake-up are two steps, and sleeps are not bounded.
    SplitWake,
    /// If they are two steps, the wake-up comes first.
    WakeFirst,
    /// If they are two steps, there is no wake-up.
    NoWake,
    /// If they are two steps, there is no store.
    NoStore,
    /// A setter takes a word with `WAITERS` for set.
    SeesSet,
    /// A reset is a store, whatever the word has become.
    ResetByStore,
    /// A reset leaves the generation as it is.
    KeepsGeneration,
    /// A reset takes the signal away from waiters that waited before the set.
    OwesNothing,
    /// A waiter that begins to wait after a reset takes what earlier waiters are owed.
    TakesOwed,
    /// The one step wakes only one waiter.
    WakesOne,
}

/// A step on the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    State,
    Change(u32, u32),
    Store(u32),
    /// Adds `SET`.
    Add,
    AddAndWake,
    /// For the judge: the event is about to be set.
    BeginsToSet,
    HasSet,
    Passes,
    GivesUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Words {
    state: u32,
    /// How often a set began, and ended.
    sets: u8,
    ended: u8,
    /// How often a passing waiter reset it, and how many waiters have passed.
    taken: u8,
    passed: u8,
    was_reset: bool,
    /// A bit for each thread that waits.
    waits: u8,
    /// Of these, the threads that saw it set: as they began to wait, or since.
    may_pass: u8,
    /// Of these, the threads that waited before a set that no waiter has taken since.
    owed: u8,
}

impl Words {
    /// The value of `state` after a step of a thread.
    fn changes(&mut self, to: u32, waits: bool) {
        let gone = self.state & !to;
        if self.state & SET == 0 && to & SET != 0 {
            self.may_pass |= self.waits;
            self.owed |= self.waits;
        }
        if !waits {
            self.was_reset |= gone & SET != 0;
        } else if gone & OWED != 0 || gone & SET != 0 && to & WAITERS == 0 {
            self.taken += 1;
            self.owed = 0;
        }
        self.state = to;
    }

    /// Whether it was set, and no trace of that is left.
    fn is_lost(&self) -> bool {
        self.state & SET == 0 && self.taken == 0 && !self.was_reset
    }

    /// A thread ends its wait.
    fn ends(&mut self, thread: usize) {
        for threads in [&mut self.waits, &mut self.may_pass, &mut self.owed] {
            *threads &= !(1 << thread);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stage {
    thread: usize,
    turn: usize,
    waiter: EventWaiter,
    /// The word on which it sleeps.
    rests: Option<u32>,
}

struct Event {
    resets: bool,
    /// Whether the system stores and wakes in one step.
    one_step: bool,
    turns: Vec<&'static [Turn]>,
    mistake: Mutation,
}

fn auto(turns: &[&'static [Turn]]) -> Event {
    Event {
        resets: true,
        one_step: true,
        turns: turns.to_vec(),
        mistake: Mutation::None,
    }
}

fn manual(turns: &[&'static [Turn]]) -> Event {
    Event {
        resets: false,
        ..auto(turns)
    }
}

impl Event {
    fn in_two_steps(self) -> Event {
        Event {
            one_step: false,
            ..self
        }
    }

    fn with(self, mistake: Mutation) -> Event {
        Event { mistake, ..self }
    }
}

/// Replays the answers to the code.
struct Replay<'a> {
    part: &'a Event,
    answers: &'a Answers<'a>,
    turn: Turn,
    /// For [`Mutation::TakesOwed`]: the word that it has loaded before any other.
    first: Cell<Option<u32>>,
}

impl Replay<'_> {
    fn ask(&self, op: Op<Word>) -> u64 {
        self.answers.ask(op)
    }

    fn word(&self, word: Word) -> u32 {
        u32::try_from(self.ask(Op::Word(word))).unwrap_or(u32::MAX)
    }

    fn is(&self, mistake: Mutation) -> bool {
        self.part.mistake == mistake
    }

    /// Its place at the end: asleep on a word, or, with `None`, at the end of its turn.
    fn segment(&self, waiter: &mut EventWaiter, rests: Option<u32>) -> Option<u32> {
        match self.turn {
            Set => {
                self.word(Word::BeginsToSet);
                protocol::set(self);
                self.word(Word::HasSet);
                return None;
            }
            Reset => {
                protocol::reset(self);
                return None;
            }
            Wait | WaitFor => {}
        }
        if let Some(word) = rests {
            if self.turn == WaitFor && self.ask(Op::Either) == 1 {
                self.word(Word::GivesUp);
                return None;
            }
            let unannounced = self.is(Mutation::NoAnnouncement);
            self.ask(Op::Sleep(if unannounced { word & !WAITERS } else { word }));
        }
        match waiter.look(self) {
            EventOutcome::Happened => {
                self.word(Word::Passes);
                None
            }
            EventOutcome::Sleep(word, _) => Some(word),
        }
    }
}

impl EventMemory for Replay<'_> {
    fn resets(&self) -> bool {
        self.part.resets
    }

    fn state(&self) -> u32 {
        match self.word(Word::State) {
            found if self.is(Mutation::SeesSet) && self.turn == Set && found & WAITERS != 0 => SET,
            // It looks as if it had begun to wait before.
            found if self.is(Mutation::TakesOwed) && found & OWED != 0 => {
                if self.first.get().is_none() {
                    self.first.set(Some(found));
                    0
                } else {
                    found
                }
            }
            found => found,
        }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        let announces = to & WAITERS != 0 && from & WAITERS == 0;
        let by_store = match self.part.mistake {
            Mutation::TakeByStore => self.turn == Wait && from & SET != 0,
            Mutation::ResetByStore => self.turn == Reset,
            Mutation::AnnounceByStore => announces,
            _ => false,
        };
        if by_store {
            self.word(Word::Store(to));
            return true;
        }
        if announces && self.is(Mutation::NoAnnouncement) {
            return true;
        }
        let to = match self.part.mistake {
            Mutation::KeepsGeneration if self.turn == Reset => from & !(SET | WAITERS),
            Mutation::OwesNothing if self.turn == Reset => to & !OWED,
            _ => to,
        };
        self.word(Word::Change(from, to)) == 1
    }

    fn has_one_step(&self) -> bool {
        self.part.one_step
    }

    fn set_and_wake(&self) -> bool {
        if !self.part.one_step {
            return false;
        }
        match self.part.mistake {
            Mutation::SplitWake => return false,
            Mutation::WakesOne => {
                self.word(Word::Add);
                self.ask(Op::Wake(1));
            }
            _ => {
                self.word(Word::AddAndWake);
            }
        }
        true
    }

    fn set(&self) {
        if self.is(Mutation::WakeFirst) {
            self.ask(Op::Wake(u32::MAX));
        }
        if !self.is(Mutation::NoStore) {
            self.word(Word::Add);
        }
    }

    fn wake(&self) {
        if !self.is(Mutation::WakeFirst) && !self.is(Mutation::NoWake) {
            self.ask(Op::Wake(u32::MAX));
        }
    }
}

impl Part for Event {
    type Words = Words;
    type Word = Word;
    type Stage = Stage;

    fn threads(&self) -> usize {
        self.turns.len()
    }

    fn slot(&self, thread: usize) -> usize {
        thread
    }

    fn words(&self) -> Words {
        Words {
            state: 0,
            sets: 0,
            ended: 0,
            taken: 0,
            passed: 0,
            was_reset: false,
            waits: 0,
            may_pass: 0,
            owed: 0,
        }
    }

    fn first(&self) -> Stage {
        Stage {
            thread: 0,
            turn: 0,
            waiter: EventWaiter::new(),
            rests: None,
        }
    }

    fn run(&self, thread: usize, stage: Stage, answers: &Answers<'_>) -> Option<Stage> {
        let turn = *self.turns[thread].get(stage.turn)?;
        let replay = Replay {
            part: self,
            answers,
            turn,
            first: Cell::new(None),
        };
        let mut waiter = stage.waiter;
        let rests = replay.segment(&mut waiter, stage.rests);
        let ends = rests.is_none();
        Some(Stage {
            thread,
            turn: stage.turn + usize::from(ends),
            waiter: if ends { EventWaiter::new() } else { waiter },
            rests,
        })
    }

    fn perform(&self, words: &mut Words, who: WaitMode, step: Word) -> Result<u64, Property> {
        let waits = matches!(self.turns[who.thread], [Wait | WaitFor, ..]);
        let me = 1 << who.thread;
        match step {
            Word::State => {
                if waits && words.waits & me == 0 {
                    words.waits |= me;
                    if words.state & SET != 0 {
                        words.may_pass |= me;
                    }
                }
                return Ok(words.state.into());
            }
            Word::Change(from, _) if words.state != from => return Ok(0),
            Word::Change(_, to) | Word::Store(to) => words.changes(to, waits),
            Word::Add | Word::AddAndWake => words.changes(words.state | SET, waits),
            Word::BeginsToSet => words.sets += 1,
            Word::HasSet => {
                words.ended += 1;
                if words.is_lost() {
                    return Err(Property::Miscounted);
                }
            }
            Word::Passes => {
                words.passed += 1;
                if self.resets && words.passed > words.sets {
                    return Err(Property::TooMany);
                }
                if words.may_pass & me == 0 {
                    return Err(Property::Untrue);
                }
                words.ends(who.thread);
            }
            Word::GivesUp => words.ends(who.thread),
        }
        Ok(1)
    }

    fn is_guarded(_step: Word) -> bool {
        false
    }

    fn wakes(step: Word) -> bool {
        step == Word::AddAndWake
    }

    fn bed(words: &Words) -> u32 {
        words.state
    }

    fn judge(&self, crowd: &ThreadModel<Event>, state: &State<Words>) -> Result<(), Property> {
        let all_live = crowd.threads().all(|it| !crowd.is_dead(state, it));
        if state.words.ended > 0 && state.words.is_lost() && all_live {
            return Err(Property::Miscounted);
        }
        Ok(())
    }

    fn has_to_wait(&self, _: &ThreadModel<Event>, state: &State<Words>, place: Stage) -> bool {
        state.words.state & SET == 0 && state.words.owed >> place.thread & 1 == 0
    }
}
