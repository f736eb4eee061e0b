//! The event in all interleavings, with deaths: `event`, as it is, among those who set, reset and wait.
//!
//! # What holds
//!
//! - Nobody sleeps for long while it is set; where the system stores and wakes in one step, nobody has to look by itself for that, whoever dies.
//! - An event that resets itself lets at most one pass for each time that it is set; and what was set is taken by somebody who lives, unless
//!   one has died having taken it.
//! - One that stays set lets everybody pass.
//! - Whoever began to wait before it was set does not wait on because it was reset: all pass or, if it resets itself, one. Whoever
//!   began after the reset does not pass for what was set before.

mod tests;

use std::cell::Cell;

use super::crowd::{Crowd, Law, Op, Part, State, Who};
use super::places::Answers;
use crate::sync::event::{self, Found, OWED, SET, Steps, WAITERS, Waiter};

/// One use of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Set,
    Reset,
    Wait,
    /// Gives up before any of its sleeps, or does not.
    WaitFor,
}
use Turn::{Reset, Set, Wait, WaitFor};

/// A mistake to build in, so that it is seen to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// Who is let pass resets it by a store, whatever is there by then.
    TakeByStore,
    /// Who waits sleeps without having said so in the word.
    NoAnnouncement,
    /// Who waits says so by a store, whatever is there by then.
    AnnounceByStore,
    /// The store and the wake-up are two steps, and nobody looks by itself.
    SplitWake,
    /// Where they are two steps, the wake-up comes first.
    WakeFirst,
    /// Where they are two steps, there is no wake-up.
    NoWake,
    /// Where they are two steps, there is no store.
    NoStore,
    /// Who sets it takes it for set when somebody waits.
    SeesSet,
    /// A reset is a store, whatever is there by then.
    ResetByStore,
    /// A reset leaves the generation as it is.
    KeepsGeneration,
    /// A reset takes from those who waited before it was set what is theirs.
    OwesNothing,
    /// Who begins to wait after a reset takes what others are owed.
    TakesOwed,
    /// The one step wakes one only.
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
    /// For the judge: it is about to be set.
    BeginsToSet,
    HasSet,
    Passes,
    GivesUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Words {
    state: u32,
    /// How often somebody began, and ended, to set it.
    sets: u8,
    ended: u8,
    /// How often it was reset by one who passes, and how many have passed.
    taken: u8,
    passed: u8,
    was_reset: bool,
    /// A bit for each thread that waits.
    waits: u8,
    /// Of them, those for whom it was set: as they began to wait, or since.
    may_pass: u8,
    /// Of them, those who waited before it was set, where nobody has taken that since.
    owed: u8,
}

impl Words {
    /// What becomes of `state` by a step of a thread.
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

    /// Whether it was set, and nothing is to be seen of that.
    fn is_lost(&self) -> bool {
        self.state & SET == 0 && self.taken == 0 && !self.was_reset
    }

    /// A thread waits no more.
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
    waiter: Waiter,
    /// The word that it sleeps on.
    rests: Option<u32>,
}

struct Event {
    resets: bool,
    /// Whether the system stores and wakes in one step.
    one_step: bool,
    turns: Vec<&'static [Turn]>,
    mistake: Mistake,
}

fn auto(turns: &[&'static [Turn]]) -> Event {
    Event {
        resets: true,
        one_step: true,
        turns: turns.to_vec(),
        mistake: Mistake::None,
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

    fn with(self, mistake: Mistake) -> Event {
        Event { mistake, ..self }
    }
}

/// Gives the code its answers once more.
struct Replay<'a> {
    part: &'a Event,
    answers: &'a Answers<'a>,
    turn: Turn,
    /// For [`Mistake::TakesOwed`]: the word that it has loaded before any other.
    first: Cell<Option<u32>>,
}

impl Replay<'_> {
    fn ask(&self, op: Op<Word>) -> u64 {
        self.answers.ask(op)
    }

    fn word(&self, word: Word) -> u32 {
        u32::try_from(self.ask(Op::Word(word))).unwrap_or(u32::MAX)
    }

    fn is(&self, mistake: Mistake) -> bool {
        self.part.mistake == mistake
    }

    /// Where it is at the end: asleep on a word, or, with none, at the end of its turn.
    fn segment(&self, waiter: &mut Waiter, rests: Option<u32>) -> Option<u32> {
        match self.turn {
            Set => {
                self.word(Word::BeginsToSet);
                event::set(self);
                self.word(Word::HasSet);
                return None;
            }
            Reset => {
                event::reset(self);
                return None;
            }
            Wait | WaitFor => {}
        }
        if let Some(word) = rests {
            if self.turn == WaitFor && self.ask(Op::Either) == 1 {
                self.word(Word::GivesUp);
                return None;
            }
            let unannounced = self.is(Mistake::NoAnnouncement);
            self.ask(Op::Sleep(if unannounced { word & !WAITERS } else { word }));
        }
        match waiter.look(self) {
            Found::Happened => {
                self.word(Word::Passes);
                None
            }
            Found::Sleep(word, _) => Some(word),
        }
    }
}

impl Steps for Replay<'_> {
    fn resets(&self) -> bool {
        self.part.resets
    }

    fn state(&self) -> u32 {
        match self.word(Word::State) {
            found if self.is(Mistake::SeesSet) && self.turn == Set && found & WAITERS != 0 => SET,
            // It looks as if it had begun to wait before.
            found if self.is(Mistake::TakesOwed) && found & OWED != 0 => {
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
            Mistake::TakeByStore => self.turn == Wait && from & SET != 0,
            Mistake::ResetByStore => self.turn == Reset,
            Mistake::AnnounceByStore => announces,
            _ => false,
        };
        if by_store {
            self.word(Word::Store(to));
            return true;
        }
        if announces && self.is(Mistake::NoAnnouncement) {
            return true;
        }
        let to = match self.part.mistake {
            Mistake::KeepsGeneration if self.turn == Reset => from & !(SET | WAITERS),
            Mistake::OwesNothing if self.turn == Reset => to & !OWED,
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
            Mistake::SplitWake => return false,
            Mistake::WakesOne => {
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
        if self.is(Mistake::WakeFirst) {
            self.ask(Op::Wake(u32::MAX));
        }
        if !self.is(Mistake::NoStore) {
            self.word(Word::Add);
        }
    }

    fn wake(&self) {
        if !self.is(Mistake::WakeFirst) && !self.is(Mistake::NoWake) {
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
            waiter: Waiter::new(),
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
            waiter: if ends { Waiter::new() } else { waiter },
            rests,
        })
    }

    fn perform(&self, words: &mut Words, who: Who, step: Word) -> Result<u64, Law> {
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
                    return Err(Law::Miscounted);
                }
            }
            Word::Passes => {
                words.passed += 1;
                if self.resets && words.passed > words.sets {
                    return Err(Law::TooMany);
                }
                if words.may_pass & me == 0 {
                    return Err(Law::Untrue);
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

    fn judge(&self, crowd: &Crowd<Event>, state: &State<Words>) -> Result<(), Law> {
        let all_live = crowd.threads().all(|it| !crowd.is_dead(state, it));
        if state.words.ended > 0 && state.words.is_lost() && all_live {
            return Err(Law::Miscounted);
        }
        Ok(())
    }

    fn has_to_wait(&self, _: &Crowd<Event>, state: &State<Words>, place: Stage) -> bool {
        state.words.state & SET == 0 && state.words.owed >> place.thread & 1 == 0
    }
}
