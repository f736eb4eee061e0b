//! A model check of the barrier in all interleavings, with deaths: it runs the code of `rounds`
//! itself, with a few threads of a few processes.
//!
//! # What holds
//!
//! - A round that is not broken ends only when every thread has arrived in it, or is dead. Where a
//!   death breaks the round, such a dead thread has arrived.
//! - Every thread learns how the round of its arrival ended, however late it looks; one thread
//!   learns that it was the last.
//! - No more rounds are broken than processes have died; no more participants are left out than
//!   threads have died.
//! - No thread sleeps for long when its round is over, when all have arrived, or when a participant
//!   is dead.

mod tests;

use std::cell::Cell;
use std::convert::Infallible;

use super::protocol::{self, Arrival, BarrierMemory, BarrierOutcome, LeftOut, Threads};
use crate::model::points::Answers;
use crate::model::threads::{Op, Part, Property, State, THREADS, ThreadModel, WaitMode};

/// One use of the barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Meet,
    /// May give up before any of its sleeps.
    MeetFor,
    /// Withdraws at the end: its death after that has no effect on the others.
    MeetOnce,
}
use Turn::{Meet, MeetFor, MeetOnce};

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    NoLock,
    /// A process that takes the inner lock over does not finish what is unfinished.
    NoRecovery,
    /// A participant that arrives stores the round before it stores 0 arrivals.
    NamesRoundFirst,
    /// A mark counts only arrivals, as if no other threads took part.
    ForgetsMembers,
    /// A participant that gives up does not take its arrival back.
    StaysArrived,
    /// A thread that withdraws remains a participant.
    StaysMember,
    /// A process that breaks a round does not store that.
    BreaksSilently,
    /// The marks of the dead that broke a round are kept.
    KeepsMarks,
    /// A process that breaks a round clears the marks before it stores that the round is broken.
    BreaksLate,
    /// A process that leaves a dead participant out clears its mark before it stores the number of
    /// those left out.
    ClearsFirst,
    /// It does not store the slot of the mark that is still to be cleared.
    NoPending,
    /// The bit of the next round stays as it was 64 rounds before.
    KeepsBits,
    NoWake,
    /// A process that takes the inner lock over wakes no participant.
    NoWakeAfterDeath,
    /// No process is ever taken for dead.
    NeverGone,
    /// Every other process is taken for dead.
    AlwaysGone,
}

/// A step on the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Word {
    Round,
    RaiseRound,
    Broken,
    SetBroken(u64),
    LeftOut,
    SetLeftOut(LeftOut),
    Threads(usize),
    SetOwn(Threads),
    /// The same, by a thread that withdraws.
    Withdraw(Threads),
    RoundOf(usize),
    SetOwnRound(u32),
    Forget(usize),
    /// For the judge: how the round ended in which it arrived, or that it has given up.
    Told(u32, Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Outcome {
    Met(bool),
    Broken,
}

/// The largest number of rounds.
const ROUNDS: usize = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Words {
    round: u32,
    broken: u64,
    left_out: LeftOut,
    threads: [Threads; THREADS],
    rounds: [u32; THREADS],
    /// A bit for each thread that has arrived in the present round.
    arrived: u8,
    /// One for each that has ever arrived, and for each death that has broken a round.
    known: u8,
    accounted: u8,
    /// One for each that has withdrawn and not arrived since.
    withdrawn: u8,
    /// How each round ended.
    ended: [Option<bool>; ROUNDS],
    /// A bit for each round that has reported its last participant.
    lasts: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Stage {
    turn: usize,
    at: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Arrives(Arrival),
    Rests(Arrival, u32),
}

struct Barrier {
    leaves_out: bool,
    participants: u32,
    turns: Vec<&'static [Turn]>,
    /// The slot of each thread.
    slots: [usize; THREADS],
    mistake: Mutation,
}

/// A barrier for all threads, where a death breaks the round.
fn strict(turns: &[&'static [Turn]]) -> Barrier {
    Barrier {
        leaves_out: false,
        participants: u32::try_from(turns.len()).unwrap_or(0),
        turns: turns.to_vec(),
        slots: [0, 1, 2, 3],
        mistake: Mutation::None,
    }
}

/// A barrier that leaves the dead out.
fn lenient(turns: &[&'static [Turn]]) -> Barrier {
    Barrier {
        leaves_out: true,
        ..strict(turns)
    }
}

impl Barrier {
    /// The first two threads are of one process.
    fn in_one_process(self) -> Barrier {
        Barrier {
            slots: [0, 0, 1, 2],
            ..self
        }
    }

    /// Fewer participants than threads.
    fn of(self, participants: u32) -> Barrier {
        Barrier {
            participants,
            ..self
        }
    }

    fn with(self, mistake: Mutation) -> Barrier {
        Barrier { mistake, ..self }
    }

    fn slots(&self) -> usize {
        let last = self.slots[..self.turns.len()].iter().max();
        last.map_or(0, |last| last + 1)
    }
}

/// Replays the answers to the code.
struct Replay<'a> {
    part: &'a Barrier,
    slot: usize,
    answers: &'a Answers<'a>,
    /// What it saw of `broken` last.
    seen: Cell<u64>,
    /// For [`Mutation::BreaksLate`]: what it has not stored yet.
    late: Cell<Option<u64>>,
    /// For [`Mutation::NoWakeAfterDeath`]: whether it took over.
    took_over: Cell<bool>,
    withdraws: Cell<bool>,
}

impl Replay<'_> {
    fn ask(&self, op: Op<Word>) -> u64 {
        self.answers.ask(op)
    }

    fn word(&self, word: Word) -> u64 {
        self.ask(Op::Word(word))
    }

    fn is(&self, mistake: Mutation) -> bool {
        self.part.mistake == mistake
    }

    /// `None` at the end of the turn.
    fn segment(&self, turn: Turn, at: At) -> Option<At> {
        let mut arrival = match at {
            At::Arrives(arrival) => arrival,
            At::Rests(arrival, seen) => {
                if turn == MeetFor && self.ask(Op::Either) == 1 {
                    if !self.is(Mutation::StaysArrived)
                        && let Ok(Some(found)) = arrival.take_back(self)
                    {
                        self.tell(arrival, found);
                    }
                    return None;
                }
                self.ask(Op::Sleep(seen));
                arrival
            }
        };
        let Ok(found) = arrival.look(self);
        if let BarrierOutcome::Sleep(seen) = found {
            return Some(At::Rests(arrival, seen));
        }
        self.tell(arrival, found);
        if turn == MeetOnce {
            self.withdraws.set(true);
            let Ok(()) = protocol::withdraw(self);
        }
        None
    }

    fn tell(&self, arrival: Arrival, found: BarrierOutcome) {
        let outcome = match found {
            BarrierOutcome::Met(last) => Outcome::Met(last),
            _ => Outcome::Broken,
        };
        // A thread that found the round broken before it arrived gets the outcome of a round in
        // which it did not arrive.
        if let Some(round) = arrival.round() {
            self.word(Word::Told(round, outcome));
        }
    }
}

impl BarrierMemory for Replay<'_> {
    type Refusal = Infallible;

    fn lock(&self) -> Result<bool, Infallible> {
        let dead = !self.is(Mutation::NoLock) && self.ask(Op::Lock) == 1;
        self.took_over.set(dead);
        Ok(dead && !self.is(Mutation::NoRecovery))
    }

    fn unlock(&self) {
        if !self.is(Mutation::NoLock) {
            self.ask(Op::Unlock);
        }
    }

    fn participants(&self) -> u32 {
        self.part.participants
    }

    fn leaves_out(&self) -> bool {
        self.part.leaves_out
    }

    fn round(&self) -> u32 {
        small(self.word(Word::Round))
    }

    fn raise_round(&self) {
        if let Some(rounds) = self.late.take() {
            self.word(Word::SetBroken(rounds));
        }
        self.word(Word::RaiseRound);
    }

    fn wake(&self) {
        let left_out = match self.part.mistake {
            Mutation::NoWake => true,
            Mutation::NoWakeAfterDeath => self.took_over.take(),
            _ => false,
        };
        if !left_out {
            self.ask(Op::Wake(u32::MAX));
        }
    }

    fn broken(&self) -> u64 {
        let rounds = self.late.get().unwrap_or_else(|| self.word(Word::Broken));
        self.seen.set(rounds);
        rounds
    }

    fn set_broken(&self, rounds: u64) {
        let clears = rounds < self.seen.get();
        match self.part.mistake {
            Mutation::BreaksSilently if !clears => {}
            Mutation::BreaksLate if !clears => self.late.set(Some(rounds)),
            Mutation::KeepsBits if clears => {}
            _ => {
                self.word(Word::SetBroken(rounds));
            }
        }
    }

    fn left_out(&self) -> LeftOut {
        LeftOut(self.word(Word::LeftOut))
    }

    fn set_left_out(&self, left_out: LeftOut) {
        if self.is(Mutation::ClearsFirst)
            && let Some(slot) = left_out.pending()
        {
            self.word(Word::Forget(slot));
        }
        let left_out = if self.is(Mutation::NoPending) {
            left_out.cleared()
        } else {
            left_out
        };
        self.word(Word::SetLeftOut(left_out));
    }

    fn own(&self) -> Threads {
        self.threads(self.slot).unwrap_or_default()
    }

    fn set_own(&self, threads: Threads) {
        if self.withdraws.get() {
            let members = threads
                .members
                .max(u16::from(self.is(Mutation::StaysMember)));
            self.word(Word::Withdraw(Threads { members, ..threads }));
            return;
        }
        match (self.part.mistake, threads.arrived) {
            (Mutation::NamesRoundFirst, 0) => {}
            (Mutation::ForgetsMembers, arrived) => {
                let members = arrived;
                self.word(Word::SetOwn(Threads { members, arrived }));
            }
            _ => {
                self.word(Word::SetOwn(threads));
            }
        }
    }

    fn own_round(&self) -> u32 {
        self.round_of(self.slot)
    }

    fn set_own_round(&self, round: u32) {
        self.word(Word::SetOwnRound(round));
    }

    fn threads(&self, slot: usize) -> Option<Threads> {
        let is_there = slot < self.part.slots();
        is_there.then(|| Threads::of_word(small(self.word(Word::Threads(slot)))))
    }

    fn round_of(&self, slot: usize) -> u32 {
        small(self.word(Word::RoundOf(slot)))
    }

    fn is_gone(&self, slot: usize, may: bool) -> bool {
        match self.part.mistake {
            Mutation::NeverGone => false,
            Mutation::AlwaysGone => may && slot != self.slot,
            // No check is needed when another attachment has the slot of the dead by now.
            _ => self.ask(Op::IsGone(slot)) == 1 && (may || self.ask(Op::Either) == 1),
        }
    }

    fn asks(&self) -> bool {
        self.ask(Op::Asks) == 1
    }

    fn forget(&self, slot: usize) {
        if !self.is(Mutation::KeepsMarks) {
            self.word(Word::Forget(slot));
        }
    }
}

impl Part for Barrier {
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
            round: 0,
            // As the 63 rounds before have left it, if all of them were broken.
            broken: !1,
            left_out: LeftOut::default(),
            threads: [Threads::default(); THREADS],
            rounds: [0; THREADS],
            arrived: 0,
            known: 0,
            accounted: 0,
            withdrawn: 0,
            ended: [None; ROUNDS],
            lasts: 0,
        }
    }

    fn first(&self) -> Stage {
        Stage {
            turn: 0,
            at: At::Arrives(Arrival::new()),
        }
    }

    fn run(&self, thread: usize, stage: Stage, answers: &Answers<'_>) -> Option<Stage> {
        let turn = *self.turns[thread].get(stage.turn)?;
        let replay = Replay {
            part: self,
            slot: self.slots[thread],
            answers,
            seen: Cell::default(),
            late: Cell::default(),
            took_over: Cell::default(),
            withdraws: Cell::default(),
        };
        let at = replay.segment(turn, stage.at);
        Some(Stage {
            turn: stage.turn + usize::from(at.is_none()),
            at: at.unwrap_or(At::Arrives(Arrival::new())),
        })
    }

    fn perform(&self, words: &mut Words, who: WaitMode, step: Word) -> Result<u64, Property> {
        match step {
            Word::Round => return Ok(words.round.into()),
            Word::Broken => return Ok(words.broken),
            Word::LeftOut => return Ok(words.left_out.0),
            Word::Threads(slot) => return Ok(words.threads[slot].word().into()),
            Word::RoundOf(slot) => return Ok(words.rounds[slot].into()),
            Word::RaiseRound => self.end(words, who)?,
            Word::SetBroken(rounds) => {
                let breaks = rounds & !words.broken != 0;
                // The death of a withdrawn thread has no effect on the others.
                if breaks && who.dead & !words.withdrawn == 0 {
                    return Err(Property::Miscounted);
                }
                words.broken = rounds;
            }
            Word::SetLeftOut(left_out) => {
                words.left_out = left_out;
                if left_out.count() > who.dead.count_ones().into() {
                    return Err(Property::TooMany);
                }
            }
            Word::SetOwn(threads) => {
                let before = words.threads[who.slot];
                let bit = 1 << who.thread;
                if threads.arrived == 0 || threads.arrived < before.arrived {
                    words.arrived &= !bit;
                } else {
                    words.arrived |= bit;
                    words.known |= bit;
                    words.withdrawn &= !bit;
                }
                words.threads[who.slot] = threads;
            }
            Word::Withdraw(threads) => {
                words.known &= !(1 << who.thread);
                words.withdrawn |= 1 << who.thread;
                words.threads[who.slot] = threads;
            }
            Word::SetOwnRound(round) => words.rounds[who.slot] = round,
            Word::Forget(slot) => words.threads[slot] = Threads::default(),
            Word::Told(round, outcome) => {
                let ended = words.ended[round as usize];
                let is_true = ended == Some(outcome != Outcome::Broken);
                let last = u8::from(outcome == Outcome::Met(true)) << round;
                if !is_true || words.lasts & last != 0 {
                    return Err(Property::Untrue);
                }
                words.lasts |= last;
            }
        }
        Ok(0)
    }

    fn is_guarded(step: Word) -> bool {
        !matches!(step, Word::Round | Word::Broken | Word::Told(..))
    }

    fn bed(words: &Words) -> u32 {
        words.round
    }

    fn judge(&self, _: &ThreadModel<Barrier>, _: &State<Words>) -> Result<(), Property> {
        Ok(())
    }

    fn has_to_wait(
        &self,
        crowd: &ThreadModel<Barrier>,
        state: &State<Words>,
        place: Stage,
    ) -> bool {
        let words = &state.words;
        let is_over = matches!(place.at, At::Rests(_, seen) if seen != words.round);
        let marked = |slot: usize| words.threads[slot].members > 0;
        let one_is_found = (0..self.slots()).any(|it| crowd.is_dead(state, it) && marked(it));
        let is_undone =
            state.owner != 0 && crowd.is_dead(state, self.slots[usize::from(state.owner) - 1]);
        let count = |threads: u8, dead: bool| {
            let all = crowd.threads().filter(|it| threads >> it & 1 == 1);
            let dead = all.filter(|&it| crowd.is_dead(state, self.slots[it]) == dead);
            dead.count()
        };
        let is_enough = if self.leaves_out {
            count(words.arrived, false) + count(words.known, true) >= self.participants as usize
        } else {
            count(words.known & !words.accounted, true) > 0
                || count(words.arrived, false) >= self.participants as usize
        };
        !(is_over || one_is_found || is_undone || is_enough)
    }
}

impl Barrier {
    /// A round ends.
    fn end(&self, words: &mut Words, who: WaitMode) -> Result<(), Property> {
        let broken = words.broken >> words.round & 1 == 1;
        let all = (1_u8 << self.turns.len()) - 1;
        let here = if self.leaves_out {
            words.arrived | who.dead
        } else {
            words.arrived
        };
        let enough = if self.participants as usize == self.turns.len() {
            here == all
        } else {
            here.count_ones() >= self.participants
        };
        if !broken && !enough {
            return Err(Property::TooMany);
        }
        words.ended[words.round as usize] = Some(!broken);
        let breaks = words.ended.iter().filter(|it| **it == Some(false)).count();
        if breaks > who.dead.count_ones() as usize {
            return Err(Property::Miscounted);
        }
        if broken {
            words.accounted |= words.known & who.dead;
        }
        words.round += 1;
        words.arrived = 0;
        Ok(())
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
