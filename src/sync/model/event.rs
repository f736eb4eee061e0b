//! The event in all interleavings, with deaths: `event`, as it is, among those who set, reset and wait.
//!
//! # What holds
//!
//! - Nobody sleeps for long while it is set; where the system stores and wakes in one step, nobody has to look by itself for that, whoever dies.
//! - One that resets itself lets at most one pass for each time that it is set; and what was set is taken by somebody who lives, unless one
//!   has died having taken it.
//! - One that stays set lets everybody pass.

mod tests;

use std::cell::Cell;

use super::crowd::{Crowd, Law, Op, Part, State, Who};
use super::places::Answers;
use crate::sync::event::{self, CLEAR, Found, SET, Steps, WAITERS};

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
    /// A reset forgets that somebody waits.
    ResetByStore,
    /// The one step wakes one only.
    WakesOne,
}

/// A step on the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    State,
    Change(u32, u32),
    Store(u32),
    StoreAndWake,
    /// For the judge: it is about to be set.
    BeginsToSet,
    HasSet,
    Passes,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stage {
    turn: usize,
    rests: bool,
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
    /// For [`Mistake::NoAnnouncement`]: it is said to have announced itself.
    pretends: Cell<bool>,
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

    /// Whether it is at the end of its turn, else at the beginning of a sleep.
    fn segment(&self, rests: bool) -> bool {
        match self.turn {
            Set => {
                self.word(Word::BeginsToSet);
                event::set(self);
                self.word(Word::HasSet);
                return true;
            }
            Reset => {
                event::reset(self);
                return true;
            }
            Wait | WaitFor => {}
        }
        if rests {
            if self.turn == WaitFor && self.ask(Op::Either) == 1 {
                return true;
            }
            let unannounced = self.is(Mistake::NoAnnouncement);
            self.ask(Op::Sleep(if unannounced { CLEAR } else { WAITERS }));
        }
        let passes = event::look(self) == Found::Happened;
        if passes {
            self.word(Word::Passes);
        }
        passes
    }
}

impl Steps for Replay<'_> {
    fn resets(&self) -> bool {
        self.part.resets
    }

    fn state(&self) -> u32 {
        if self.pretends.take() {
            return WAITERS;
        }
        match self.word(Word::State) {
            WAITERS if self.is(Mistake::SeesSet) && self.turn == Set => SET,
            found => found,
        }
    }

    fn change(&self, from: u32, to: u32) -> bool {
        let by_store = match self.part.mistake {
            Mistake::TakeByStore => self.turn == Wait && to == CLEAR,
            Mistake::ResetByStore => self.turn == Reset,
            Mistake::AnnounceByStore => to == WAITERS,
            _ => false,
        };
        if by_store {
            self.word(Word::Store(to));
            return true;
        }
        if to == WAITERS && self.is(Mistake::NoAnnouncement) {
            self.pretends.set(true);
            return true;
        }
        self.word(Word::Change(from, to)) == 1
    }

    fn has_one_step(&self) -> bool {
        self.part.one_step
    }

    fn store_and_wake(&self) -> bool {
        if !self.part.one_step {
            return false;
        }
        match self.part.mistake {
            Mistake::SplitWake => return false,
            Mistake::WakesOne => {
                self.word(Word::Store(SET));
                self.ask(Op::Wake(1));
            }
            _ => {
                self.word(Word::StoreAndWake);
            }
        }
        true
    }

    fn store(&self) {
        if self.is(Mistake::WakeFirst) {
            self.ask(Op::Wake(u32::MAX));
        }
        if !self.is(Mistake::NoStore) {
            self.word(Word::Store(SET));
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
            state: CLEAR,
            sets: 0,
            ended: 0,
            taken: 0,
            passed: 0,
            was_reset: false,
        }
    }

    fn first(&self) -> Stage {
        Stage {
            turn: 0,
            rests: false,
        }
    }

    fn run(&self, thread: usize, stage: Stage, answers: &Answers<'_>) -> Option<Stage> {
        let turn = *self.turns[thread].get(stage.turn)?;
        let replay = Replay {
            part: self,
            answers,
            turn,
            pretends: Cell::new(false),
        };
        let ends = replay.segment(stage.rests);
        Some(Stage {
            turn: stage.turn + usize::from(ends),
            rests: !ends,
        })
    }

    fn perform(&self, words: &mut Words, who: Who, step: Word) -> Result<u64, Law> {
        let waits = matches!(self.turns[who.thread], [Wait | WaitFor, ..]);
        match step {
            Word::State => return Ok(words.state.into()),
            Word::Change(from, _) if words.state != from => return Ok(0),
            Word::Change(SET, to) | Word::Store(to) if to == CLEAR => {
                words.state = to;
                if waits {
                    words.taken += 1;
                } else {
                    words.was_reset = true;
                }
            }
            Word::Change(_, to) | Word::Store(to) => words.state = to,
            Word::StoreAndWake => words.state = SET,
            Word::BeginsToSet => words.sets += 1,
            Word::HasSet => {
                words.ended += 1;
                let lost = words.state != SET && words.taken == 0 && !words.was_reset;
                if lost {
                    return Err(Law::Miscounted);
                }
            }
            Word::Passes => {
                words.passed += 1;
                if words.sets == 0 || self.resets && words.passed > words.sets {
                    return Err(Law::TooMany);
                }
            }
        }
        Ok(1)
    }

    fn is_guarded(_step: Word) -> bool {
        false
    }

    fn wakes(step: Word) -> bool {
        step == Word::StoreAndWake
    }

    fn bed(words: &Words) -> u32 {
        words.state
    }

    fn judge(&self, crowd: &Crowd<Event>, state: &State<Words>) -> Result<(), Law> {
        let words = &state.words;
        let lost = words.ended > 0 && words.taken == 0 && !words.was_reset && words.state != SET;
        let all_live = crowd.threads().all(|it| !crowd.is_dead(state, it));
        if lost && all_live {
            return Err(Law::Miscounted);
        }
        Ok(())
    }

    fn has_to_wait(&self, _: &Crowd<Event>, state: &State<Words>, _: Stage) -> bool {
        state.words.state != SET
    }
}
