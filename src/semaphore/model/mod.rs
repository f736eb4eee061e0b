//! A model check of the semaphore in all interleavings, with deaths: it runs the code of `permits`
//! itself, with a few threads of a few processes.
//!
//! # What holds
//!
//! - Living processes hold no more permits than there are.
//! - While the inner lock is free, each mark says what its process holds, and marks and `available`
//!   add up to all permits.
//! - No waiter sleeps for long while the permits that it wants are free or held by the dead.
//! - A waiter that gives up, or is dropped after a wake-up, leaves no other waiter asleep.

mod tests;

use std::cell::Cell;
use std::convert::Infallible;

use super::protocol::{self, SemaphoreMemory, SemaphoreOutcome, Wanted};
use crate::model::points::Answers;
use crate::model::threads::{Op, Part, Property, State, THREADS, ThreadModel, WaitMode};

/// One way to use the semaphore once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Takes this many, and releases them.
    Take(u32),
    /// One look.
    Try(u32),
    /// May give up before any of its sleeps.
    TakeFor(u32),
    /// May be dropped after any of its sleeps.
    Task(u32),
    /// Takes this many, and keeps them to the end.
    Keep(u32),
    /// Counts the free permits.
    Count,
}
use Turn::{Count, Keep, Take, TakeFor, Task, Try};

impl Turn {
    fn count(self) -> u32 {
        match self {
            Take(count) | Try(count) | TakeFor(count) | Task(count) | Keep(count) => count,
            Count => 0,
        }
    }
}

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    /// A taker makes no mark.
    NoMark,
    /// A taker leaves `available` unchanged.
    NoCount,
    /// A releaser keeps its mark.
    MarkStays,
    /// There is no inner lock.
    NoLock,
    /// A process that takes the inner lock over does not recount.
    NoRecount,
    /// No process is ever taken for dead.
    NeverGone,
    /// Every other process is taken for dead.
    AlwaysGone,
    /// A waiter stores nothing into `waiting`.
    NoAnnouncement,
    /// A waiter for several permits announces itself as if it wanted one.
    SmallAnnouncement,
    NoWake,
    /// A releaser does not raise `change`.
    NoChange,
    /// The first wake-up takes the announcement away even if other waiters sleep.
    TakesAnnouncement,
    /// A waiter that gives up after a wake-up does not pass it on.
    DroppedSilently,
    /// A waiter that recovers permits of the dead wakes no other waiter.
    KeepsToItself,
}

/// A step on the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Available,
    SetAvailable(u32),
    Mark(usize),
    SetOwn(u32),
    Forget(usize),
    Change,
    RaiseChange,
    Waiting,
    SetWaiting(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Words {
    available: u32,
    change: u32,
    waiting: u32,
    marks: [u32; THREADS],
}

/// The place of a thread: its turn, and its progress in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stage {
    turn: usize,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Begins,
    Wants(Wanted),
    Rests(Wanted, u32),
    Drops,
    Has,
    Ends,
}

struct Semaphore {
    permits: u32,
    turns: Vec<&'static [Turn]>,
    /// The slot of each thread.
    slots: [usize; THREADS],
    mistake: Mutation,
}

fn of(permits: u32, turns: &[&'static [Turn]]) -> Semaphore {
    with(permits, turns, Mutation::None)
}

fn with(permits: u32, turns: &[&'static [Turn]], mistake: Mutation) -> Semaphore {
    Semaphore {
        permits,
        turns: turns.to_vec(),
        slots: [0, 1, 2, 3],
        mistake,
    }
}

/// Replays the answers to the code.
struct Replay<'a> {
    part: &'a Semaphore,
    slot: usize,
    answers: &'a Answers<'a>,
    /// Whether it has found a dead process.
    found_dead: Cell<bool>,
}

impl Replay<'_> {
    fn ask(&self, op: Op<Word>) -> u64 {
        self.answers.ask(op)
    }

    fn word(&self, word: Word) -> u32 {
        small(self.ask(Op::Word(word)))
    }

    fn is(&self, mistake: Mutation) -> bool {
        self.part.mistake == mistake
    }

    fn segment(&self, turn: Turn, at: At) -> At {
        match at {
            At::Begins if turn == Count => {
                let Ok(_) = protocol::count(self);
                At::Ends
            }
            At::Begins => At::Wants(Wanted::new(turn.count(), matches!(turn, Try(_)))),
            At::Wants(mut wanted) => match wanted.look(self) {
                Ok(SemaphoreOutcome::Taken) => At::Has,
                Ok(SemaphoreOutcome::Sleep(..)) if matches!(turn, Try(_)) => At::Ends,
                Ok(SemaphoreOutcome::Sleep(seen)) => At::Rests(wanted, seen),
            },
            At::Rests(wanted, seen) => {
                if matches!(turn, TakeFor(_)) && self.ask(Op::Either) == 1 {
                    return At::Ends;
                }
                self.ask(Op::Sleep(seen));
                if matches!(turn, Task(_)) && self.ask(Op::Either) == 1 {
                    return if self.is(Mutation::DroppedSilently) {
                        At::Ends
                    } else {
                        At::Drops
                    };
                }
                At::Wants(wanted)
            }
            At::Drops => {
                let Ok(()) = protocol::pass_on(self);
                At::Ends
            }
            At::Has => {
                let Ok(_) = protocol::give_back(self, turn.count());
                At::Ends
            }
            At::Ends => at,
        }
    }
}

impl SemaphoreMemory for Replay<'_> {
    type Refusal = Infallible;

    fn lock(&self) -> Result<bool, Infallible> {
        let dead = !self.is(Mutation::NoLock) && self.ask(Op::Lock) == 1;
        Ok(dead && !self.is(Mutation::NoRecount))
    }

    fn unlock(&self) {
        if !self.is(Mutation::NoLock) {
            self.ask(Op::Unlock);
        }
    }

    fn permits(&self) -> u32 {
        self.part.permits
    }

    fn available(&self) -> u32 {
        self.word(Word::Available)
    }

    fn set_available(&self, count: u32) {
        if !self.is(Mutation::NoCount) {
            self.word(Word::SetAvailable(count));
        }
    }

    fn own(&self) -> u32 {
        self.word(Word::Mark(self.slot))
    }

    fn set_own(&self, count: u32) {
        let left_out = match self.part.mistake {
            Mutation::NoMark => count > 0,
            Mutation::MarkStays => count == 0,
            _ => false,
        };
        if !left_out {
            self.word(Word::SetOwn(count));
        }
    }

    fn mark(&self, slot: usize) -> Option<u32> {
        let last = *self.part.slots[..self.part.turns.len()].iter().max()?;
        (slot <= last).then(|| self.word(Word::Mark(slot)))
    }

    fn is_gone(&self, slot: usize) -> bool {
        let gone = match self.part.mistake {
            Mutation::NeverGone => false,
            Mutation::AlwaysGone => slot != self.slot,
            _ => self.ask(Op::IsGone(slot)) == 1,
        };
        self.found_dead.set(gone);
        gone
    }

    fn asks(&self) -> bool {
        self.ask(Op::Asks) == 1
    }

    fn forget(&self, slot: usize) {
        self.word(Word::Forget(slot));
    }

    fn change(&self) -> u32 {
        self.word(Word::Change)
    }

    fn raise_change(&self) {
        if !self.is(Mutation::NoChange) {
            self.word(Word::RaiseChange);
        }
    }

    fn waiting(&self) -> u32 {
        if self.is(Mutation::KeepsToItself) && self.found_dead.get() {
            return 0;
        }
        self.word(Word::Waiting)
    }

    fn set_waiting(&self, waiting: u32) {
        let waiting = match self.part.mistake {
            Mutation::NoAnnouncement => 0,
            Mutation::SmallAnnouncement => waiting.min(1),
            _ => waiting,
        };
        self.word(Word::SetWaiting(waiting));
    }

    fn wake(&self, most: u32) -> u32 {
        match self.part.mistake {
            Mutation::NoWake => most,
            Mutation::TakesAnnouncement => {
                self.ask(Op::Wake(most));
                0
            }
            _ => small(self.ask(Op::Wake(most))),
        }
    }
}

impl Semaphore {
    /// How many permits a thread holds here, by its own knowledge.
    fn had_at(&self, thread: usize, stage: Stage) -> u32 {
        let turn = self.turns[thread].get(stage.turn);
        let kept = self.turns[thread]
            .last()
            .filter(|last| matches!(last, Keep(_)) && stage.turn == self.turns[thread].len());
        match (turn, stage.at, kept) {
            (Some(turn), At::Has, _) => turn.count(),
            (_, _, Some(kept)) => kept.count(),
            _ => 0,
        }
    }
}

impl Part for Semaphore {
    type Words = Words;
    type Word = Word;
    type Stage = Stage;

    fn threads(&self) -> usize {
        self.turns.len()
    }

    fn slot(&self, thread: usize) -> usize {
        self.slots[thread]
    }

    fn words(&self) -> Words {
        Words {
            available: self.permits,
            change: 0,
            waiting: 0,
            marks: [0; THREADS],
        }
    }

    fn first(&self) -> Stage {
        let at = At::Begins;
        Stage { turn: 0, at }
    }

    fn run(&self, thread: usize, stage: Stage, answers: &Answers<'_>) -> Option<Stage> {
        let turn = *self.turns[thread].get(stage.turn)?;
        let replay = Replay {
            part: self,
            slot: self.slots[thread],
            answers,
            found_dead: Cell::new(false),
        };
        let at = match (stage.at, turn) {
            (At::Has, Keep(_)) => At::Ends,
            (at, _) => replay.segment(turn, at),
        };
        Some(if at == At::Ends {
            let turn = stage.turn + 1;
            Stage {
                turn,
                at: At::Begins,
            }
        } else {
            Stage { at, ..stage }
        })
    }

    fn perform(&self, words: &mut Words, who: WaitMode, step: Word) -> Result<u64, Property> {
        Ok(match step {
            Word::Available => words.available.into(),
            Word::Mark(slot) => words.marks[slot].into(),
            Word::Change => words.change.into(),
            Word::Waiting => words.waiting.into(),
            Word::SetAvailable(count) => {
                words.available = count;
                0
            }
            Word::SetOwn(count) => {
                words.marks[who.slot] = count;
                0
            }
            Word::Forget(slot) => {
                words.marks[slot] = 0;
                0
            }
            Word::RaiseChange => {
                words.change += 1;
                0
            }
            Word::SetWaiting(waiting) => {
                words.waiting = waiting;
                0
            }
        })
    }

    fn is_guarded(step: Word) -> bool {
        step != Word::Change
    }

    fn bed(words: &Words) -> u32 {
        words.change
    }

    fn judge(&self, crowd: &ThreadModel<Semaphore>, state: &State<Words>) -> Result<(), Property> {
        let had = |thread| {
            let place = crowd.stage(state, thread);
            place.map_or(0, |place| self.had_at(thread, place))
        };
        if crowd.threads().map(had).sum::<u32>() > self.permits {
            return Err(Property::TooMany);
        }
        let words = &state.words;
        if state.owner != 0 {
            return Ok(());
        }
        if words.available + words.marks.iter().sum::<u32>() != self.permits {
            return Err(Property::Miscounted);
        }
        for thread in crowd.threads() {
            let slot = self.slots[thread];
            let theirs: u32 = crowd.threads_in(slot).map(had).sum();
            if !crowd.is_dead(state, slot) && words.marks[slot] != theirs {
                return Err(Property::Miscounted);
            }
        }
        Ok(())
    }

    fn has_to_wait(
        &self,
        crowd: &ThreadModel<Semaphore>,
        state: &State<Words>,
        place: Stage,
    ) -> bool {
        let living = (0..THREADS).filter(|&it| !crowd.is_dead(state, it));
        let had: u32 = living.map(|it| state.words.marks[it]).sum();
        let wants = match place.at {
            At::Rests(wanted, _) => wanted.count(),
            _ => 0,
        };
        had + wants > self.permits
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
