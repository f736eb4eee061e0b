//! The read-write lock in all interleavings, with deaths: `sharing`, as it is, run by a few threads of a few processes.
//!
//! What a thread does is cut into segments: a look, a leave. Each is run anew from its beginning for every step, with the answers that
//! its steps have had so far, until it asks for one more; so a thread's state is its place in its program, what the algorithm keeps between two
//! looks, and these answers.
//!
//! # What holds
//!
//! - Nobody is inside beside a living writer. Who is let in by a writer that leaves is inside before the next writer is.
//! - Without deaths and without giving up, every run ends, though no sleep ever has to end by itself.
//! - With deaths of any process before any step, every run ends with everybody living done, and nothing of theirs left in owner and marks.
//!
//! # What is left out
//!
//! - The writers' lock is one step, which is possible when the owner is nobody or dead: see `program` and `world` for what it is made of.
//! - Steps are sequentially consistent, as the real ones are.
//! - Which attachment had a slot before: marks are of the slot's present generation.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::search::{Broken, Seen, Step, World, search};
use crate::sync::sharing::{self, Change, Drain, Enter, Found, Mark, Steps};

const THREADS: usize = 3;

/// One way to have the lock once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Read,
    /// One look.
    TryRead,
    /// Gives up at any of its sleeps, or does not.
    ReadFor,
    Write,
    TryWrite,
    WriteFor,
    /// Reads, then writes if nobody else wants to.
    Upgrade,
    /// Writes, then reads.
    Downgrade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mistake {
    None,
    /// A reader does not look again whether a writer has come.
    NoSecondLook,
    /// One that waits does not look whether its mark came in time.
    LateMark,
    /// A writer frees the lock before it raises the phase.
    FreeFirst,
    /// Who gives up raises the phase as well.
    PhaseUnused,
    NoWriterWakeUp,
    NoReaderWakeUp,
    NoReaderAnnouncement,
    NoProof,
    /// Marks of the living are taken for those of the dead.
    ForgetLiving,
    /// A mark of the dead keeps a writer out.
    KeepDead,
    NoTakeOver,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Law {
    /// Somebody is inside beside a writer.
    Together,
    /// A writer came in before somebody who had been let in.
    Overtaken,
    Robbed,
    FreedAnothers,
    Stuck,
    Starved,
    /// All are done, and something of theirs is left.
    Left,
}

/// A step, as it is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Op {
    Owner,
    TakeOver(u8),
    Acquire,
    TryAcquire,
    Free,
    Phase,
    EndPhase,
    Remark(Change),
    Mark(usize),
    IsGone(usize, bool),
    Forget(usize, Mark),
    Readers(bool),
    Turn,
    EndTurn,
    WakeReaders,
    Draining(bool),
    WakeWriter,
    Sleep(Bed),
    /// The answer is whether it gives up.
    Deadline,
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Bed {
    Turn(u32),
    Draining,
}

/// Where a thread is between two segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Stage {
    Next,
    Entering(Enter),
    /// Asleep, or about to.
    Resting(Enter, u32),
    Reading,
    Draining(Drain),
    DrainRests(Drain),
    Writing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    program: usize,
    turn: usize,
    stage: Stage,
    answers: Vec<u64>,
    op: Op,
}

/// The states of all threads, by number.
struct Programs {
    turns: Vec<&'static [Turn]>,
    /// The slot of each thread.
    slots: [usize; THREADS],
    mistake: Mistake,
    places: RefCell<Vec<Place>>,
    numbers: RefCell<HashMap<Place, u32>>,
    next: RefCell<HashMap<(u32, u64), u32>>,
}

impl Programs {
    fn place(&self, node: u32) -> Place {
        self.places.borrow()[node as usize].clone()
    }

    /// Whether a thread is inside here, and whether it writes.
    fn inside(&self, node: u32) -> Option<bool> {
        let places = self.places.borrow();
        let place = &places[node as usize];
        match place.stage {
            Stage::Reading if place.answers.is_empty() => Some(false),
            // A reader that is about to write.
            Stage::Draining(drain) | Stage::DrainRests(drain) if drain.is_reader() => Some(false),
            Stage::Writing if place.answers.is_empty() => Some(true),
            _ => None,
        }
    }

    /// The phase since which a thread waits here, asleep or about to sleep: it has seen that its mark was in time.
    fn waits_since(&self, node: u32) -> Option<u32> {
        let places = self.places.borrow();
        let place = &places[node as usize];
        match place.stage {
            Stage::Resting(enter, _) if place.answers.is_empty() => enter.timeless().0,
            _ => None,
        }
    }

    fn op(&self, node: u32) -> Op {
        self.places.borrow()[node as usize].op
    }

    fn next(&self, node: u32, answer: u64) -> u32 {
        let known = self.next.borrow().get(&(node, answer)).copied();
        known.unwrap_or_else(|| {
            let mut place = self.place(node);
            place.answers.push(answer);
            let next = self.run(place.program, place.turn, place.stage, place.answers);
            self.next.borrow_mut().insert((node, answer), next);
            next
        })
    }

    /// Goes on from the beginning of a segment with these answers, and over segments that need none.
    fn run(&self, program: usize, turn: usize, stage: Stage, answers: Vec<u64>) -> u32 {
        let (mut turn, mut stage, mut answers) = (turn, stage, answers);
        let op = loop {
            let Some(&how) = self.turns[program].get(turn) else {
                break Op::End;
            };
            let replay = Replay {
                answers: &answers,
                at: Cell::new(0),
                slot: self.slots[program],
                slots: self.slots[..self.turns.len()]
                    .iter()
                    .max()
                    .map_or(0, |last| last + 1),
                mistake: self.mistake,
                entered: Cell::new(false),
                seen: Cell::new(None),
            };
            match catch_unwind(AssertUnwindSafe(|| replay.segment(how, stage))) {
                Ok(after) => {
                    turn += usize::from(after == Stage::Next);
                    (stage, answers) = (after, Vec::new());
                }
                Err(payload) => match payload.downcast::<Op>() {
                    Ok(op) => break *op,
                    Err(other) => resume_unwind(other),
                },
            }
        };
        let place = Place {
            program,
            turn,
            stage,
            answers,
            op,
        };
        if let Some(&number) = self.numbers.borrow().get(&place) {
            return number;
        }
        let number = u32::try_from(self.places.borrow().len()).expect("a thread has few states");
        self.places.borrow_mut().push(place.clone());
        self.numbers.borrow_mut().insert(place, number);
        number
    }
}

/// Gives a segment its answers once more, and stops it at the first step that has none yet.
struct Replay<'a> {
    answers: &'a [u64],
    at: Cell<usize>,
    slot: usize,
    /// How many there are.
    slots: usize,
    mistake: Mistake,
    /// For [`Mistake::NoSecondLook`]: it has just marked itself as inside.
    entered: Cell<bool>,
    /// For [`Mistake::LateMark`]: the phase that it saw before its mark.
    seen: Cell<Option<u32>>,
}

impl Replay<'_> {
    fn ask(&self, op: Op) -> u64 {
        let at = self.at.get();
        let Some(&answer) = self.answers.get(at) else {
            resume_unwind(Box::new(op));
        };
        self.at.set(at + 1);
        answer
    }

    fn is(&self, op: Op) -> bool {
        self.ask(op) == 1
    }

    fn segment(&self, how: Turn, stage: Stage) -> Stage {
        match stage {
            Stage::Next => match how {
                Turn::Read | Turn::TryRead | Turn::ReadFor | Turn::Upgrade => {
                    Stage::Entering(Enter::new())
                }
                Turn::TryWrite if !self.is(Op::TryAcquire) => Stage::Next,
                Turn::TryWrite => Stage::Draining(Drain::new(0)),
                Turn::Write | Turn::WriteFor | Turn::Downgrade => {
                    self.ask(Op::Acquire);
                    Stage::Draining(Drain::new(0))
                }
            },
            Stage::Entering(mut enter) => match enter.look(self, how == Turn::TryRead) {
                Found::Inside | Found::TakenOver(_) => Stage::Reading,
                Found::Sleep(..) if how == Turn::TryRead => {
                    enter.give_up(self);
                    Stage::Next
                }
                Found::Sleep(turn, _) => Stage::Resting(enter.timeless().1, turn),
            },
            Stage::Resting(mut enter, turn) => {
                self.ask(Op::Sleep(Bed::Turn(turn)));
                if how == Turn::ReadFor && self.is(Op::Deadline) {
                    enter.give_up(self);
                    return Stage::Next;
                }
                Stage::Entering(enter)
            }
            Stage::Reading if how == Turn::Upgrade && self.is(Op::TryAcquire) => {
                Stage::Draining(Drain::new(1))
            }
            Stage::Reading => {
                sharing::leave_reading(self);
                Stage::Next
            }
            Stage::Draining(mut drain) => match drain.look(self, how == Turn::TryWrite) {
                Found::Inside | Found::TakenOver(_) => Stage::Writing,
                Found::Sleep(..) if how == Turn::TryWrite => {
                    drain.give_up(self);
                    Stage::Next
                }
                Found::Sleep(..) => Stage::DrainRests(drain.timeless()),
            },
            Stage::DrainRests(drain) => {
                self.ask(Op::Sleep(Bed::Draining));
                if how == Turn::WriteFor && self.is(Op::Deadline) {
                    if self.mistake == Mistake::PhaseUnused {
                        self.ask(Op::EndPhase);
                    }
                    drain.give_up(self);
                    return Stage::Next;
                }
                Stage::Draining(drain)
            }
            Stage::Writing if how == Turn::Downgrade => {
                sharing::downgrade(self);
                // It leaves as every reader.
                sharing::leave_reading(self);
                Stage::Next
            }
            Stage::Writing => {
                if self.mistake == Mistake::FreeFirst {
                    self.ask(Op::Free);
                    self.ask(Op::EndPhase);
                    return Stage::Next;
                }
                sharing::leave_writing(self);
                Stage::Next
            }
        }
    }
}

impl Steps for Replay<'_> {
    fn owner(&self) -> u64 {
        if self.mistake == Mistake::NoSecondLook && self.entered.take() {
            return 0;
        }
        self.ask(Op::Owner)
    }

    fn take_over(&self, owner: u64) -> bool {
        self.mistake != Mistake::NoTakeOver && self.is(Op::TakeOver(small(owner as usize)))
    }

    fn free(&self) {
        self.ask(Op::Free);
    }

    fn phase(&self) -> u32 {
        if let Some(seen) = self.seen.take() {
            return seen;
        }
        u32::try_from(self.ask(Op::Phase)).expect("phases are few")
    }

    fn end_phase(&self) {
        self.ask(Op::EndPhase);
    }

    fn remark(&self, change: Change) -> bool {
        let changed = self.is(Op::Remark(change));
        match (self.mistake, change) {
            (Mistake::NoSecondLook, Change::Holds) => self.entered.set(changed),
            (Mistake::LateMark, Change::WaitsSince(phase)) => self.seen.set(Some(phase)),
            _ => {}
        }
        changed
    }

    fn mark(&self, slot: usize) -> Option<Mark> {
        (slot < self.slots).then(|| Mark(self.ask(Op::Mark(slot))))
    }

    fn is_own(&self, slot: usize) -> bool {
        slot == self.slot
    }

    fn is_gone(&self, slot: usize, _mark: Mark, may: bool) -> bool {
        match self.mistake {
            Mistake::ForgetLiving => true,
            Mistake::KeepDead => false,
            _ => may && self.is(Op::IsGone(slot, may)),
        }
    }

    fn forget(&self, slot: usize, mark: Mark) {
        self.ask(Op::Forget(slot, mark));
    }

    fn announce_reader(&self) {
        if self.mistake != Mistake::NoReaderAnnouncement {
            self.ask(Op::Readers(true));
        }
    }

    fn take_readers(&self) -> bool {
        self.is(Op::Readers(false))
    }

    fn turn(&self) -> u32 {
        u32::try_from(self.ask(Op::Turn)).expect("turns are few")
    }

    fn end_turn(&self) {
        self.ask(Op::EndTurn);
    }

    fn wake_readers(&self) {
        if self.mistake != Mistake::NoReaderWakeUp {
            self.ask(Op::WakeReaders);
        }
    }

    fn announce_drain(&self) {
        self.ask(Op::Draining(true));
    }

    fn take_drain(&self) -> bool {
        self.is(Op::Draining(false))
    }

    fn wake_writer(&self) {
        if self.mistake != Mistake::NoWriterWakeUp {
            self.ask(Op::WakeWriter);
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
    Running,
    Asleep,
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    nodes: [u32; THREADS],
    lives: [Life; THREADS],
    owner: u8,
    phase: u8,
    turn: u8,
    marks: [Mark; THREADS],
    readers_wait: bool,
    draining: bool,
    deaths: u8,
}

/// Threads that use one lock.
struct Sharing {
    programs: Programs,
    deaths: u8,
    /// Sleeps end by themselves.
    timed: bool,
}

impl Sharing {
    fn new(turns: &[&'static [Turn]]) -> Sharing {
        Sharing::with(turns, Mistake::None)
    }

    fn with(turns: &[&'static [Turn]], mistake: Mistake) -> Sharing {
        Sharing {
            programs: Programs {
                turns: turns.to_vec(),
                slots: [0, 1, 2],
                mistake,
                places: RefCell::default(),
                numbers: RefCell::default(),
                next: RefCell::default(),
            },
            deaths: 0,
            timed: false,
        }
    }

    fn deaths(self, deaths: u8) -> Sharing {
        let timed = true;
        Sharing {
            deaths,
            timed,
            ..self
        }
    }

    fn timed(self) -> Sharing {
        let timed = true;
        Sharing { timed, ..self }
    }

    /// The first two threads are of one process.
    fn in_one_process(mut self) -> Sharing {
        self.programs.slots = [0, 0, 1];
        self
    }

    fn threads(&self) -> std::ops::Range<usize> {
        0..self.programs.turns.len()
    }

    fn is_dead(&self, state: &State, slot: usize) -> bool {
        self.threads()
            .any(|it| self.programs.slots[it] == slot && state.lives[it] == Life::Dead)
    }

    fn is_dead_owner(&self, state: &State, owner: u8) -> bool {
        let slot = owner.checked_sub(1);
        slot.is_some_and(|slot| self.is_dead(state, slot.into()))
    }

    /// Whether the thread lives and is inside, and whether it writes.
    fn inside(&self, state: &State, thread: usize) -> Option<bool> {
        let inside = self.programs.inside(state.nodes[thread]);
        inside.filter(|_| state.lives[thread] != Life::Dead)
    }

    /// Judges the state after a step.
    fn judge(&self, before: &State, after: &State) -> Result<(), Law> {
        for writer in self.threads() {
            if self.inside(after, writer) != Some(true) {
                continue;
            }
            let mut others = self.threads().filter(|&it| it != writer);
            if others.any(|it| self.inside(after, it).is_some()) {
                return Err(Law::Together);
            }
            let comes = self.inside(before, writer) != Some(true);
            let was_let_in = |it: usize| {
                let since = self.programs.waits_since(after.nodes[it]);
                after.lives[it] != Life::Dead
                    && since.is_some_and(|since| since != after.phase.into())
            };
            if comes && self.threads().any(was_let_in) {
                return Err(Law::Overtaken);
            }
        }
        Ok(())
    }

    fn step(&self, from: State, thread: usize, answer: u64, to: State) -> Step<Sharing> {
        let mut to = to;
        to.nodes[thread] = self.programs.next(from.nodes[thread], answer);
        Step {
            deed: Deed(
                thread,
                Does::Step(self.programs.op(from.nodes[thread]), answer),
            ),
            agent: small(thread),
            sure: true,
            to: self.judge(&from, &to).map(|()| to),
        }
    }

    fn broken(thread: usize, op: Op, law: Law) -> Step<Sharing> {
        Step {
            deed: Deed(thread, Does::Step(op, 0)),
            agent: small(thread),
            sure: true,
            to: Err(law),
        }
    }

    fn run(&self, from: State, thread: usize, into: &mut Vec<Step<Sharing>>) {
        let op = self.programs.op(from.nodes[thread]);
        let slot = self.programs.slots[thread];
        let me = small(slot) + 1;
        let mut to = from;
        let answer = match op {
            Op::End => return,
            Op::Owner => from.owner.into(),
            Op::TakeOver(owner) => {
                let dead = self.is_dead_owner(&from, owner);
                let takes =
                    from.owner == owner && (dead || self.programs.mistake == Mistake::NoProof);
                if takes && !dead {
                    return into.push(Sharing::broken(thread, op, Law::Robbed));
                }
                if takes {
                    to.owner = me;
                }
                takes.into()
            }
            Op::Acquire | Op::TryAcquire => {
                let free = from.owner == 0 || self.is_dead_owner(&from, from.owner);
                if free {
                    to.owner = me;
                } else if op == Op::Acquire {
                    return;
                }
                free.into()
            }
            Op::Free => {
                if from.owner != me {
                    return into.push(Sharing::broken(thread, op, Law::FreedAnothers));
                }
                to.owner = 0;
                0
            }
            Op::Phase => from.phase.into(),
            Op::EndPhase => {
                to.phase += 1;
                0
            }
            Op::Turn => from.turn.into(),
            Op::EndTurn => {
                to.turn += 1;
                0
            }
            Op::Remark(change) => {
                let changed = from.marks[slot].changed(change);
                to.marks[slot] = changed.unwrap_or(from.marks[slot]);
                changed.is_some().into()
            }
            Op::Mark(other) => from.marks[other].0,
            Op::IsGone(other, _) => (other != slot && self.is_dead(&from, other)).into(),
            Op::Forget(other, mark) => {
                if from.marks[other] == mark {
                    to.marks[other] = Mark(0);
                }
                0
            }
            Op::Readers(set) => u64::from(std::mem::replace(&mut to.readers_wait, set)),
            Op::Draining(set) => u64::from(std::mem::replace(&mut to.draining, set)),
            Op::WakeReaders | Op::WakeWriter => {
                for other in self.threads() {
                    let bed = match self.programs.op(from.nodes[other]) {
                        Op::Sleep(bed) if from.lives[other] == Life::Asleep => bed,
                        _ => continue,
                    };
                    if (bed == Bed::Draining) == (op == Op::WakeWriter) {
                        to.lives[other] = Life::Running;
                        to.nodes[other] = self.programs.next(from.nodes[other], 0);
                    }
                }
                0
            }
            Op::Sleep(bed) => {
                let sleeps = match bed {
                    Bed::Turn(turn) => u32::from(from.turn) == turn,
                    Bed::Draining => from.draining,
                };
                if sleeps {
                    to.lives[thread] = Life::Asleep;
                    return into.push(Step {
                        deed: Deed(thread, Does::Sleep(bed)),
                        agent: small(thread),
                        sure: true,
                        to: Ok(to),
                    });
                }
                0
            }
            Op::Deadline => {
                into.push(self.step(from, thread, 0, to));
                1
            }
        };
        into.push(self.step(from, thread, answer, to));
    }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).expect("threads are few")
}

struct Deed(usize, Does);

enum Does {
    Step(Op, u64),
    Sleep(Bed),
    Die,
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.1 {
            Does::Step(op, answer) => write!(f, "{}: {op:?} gives {answer}", self.0),
            Does::Sleep(bed) => write!(f, "{}: sleeps on {bed:?}", self.0),
            Does::Die => write!(f, "{}: dies", self.0),
        }
    }
}

impl World for Sharing {
    type State = State;
    type Law = Law;
    type Deed = Deed;

    fn start(&self) -> State {
        let mut state = State {
            nodes: [0; THREADS],
            lives: [Life::Dead; THREADS],
            owner: 0,
            phase: 0,
            turn: 0,
            marks: [Mark(0); THREADS],
            readers_wait: false,
            draining: false,
            deaths: self.deaths,
        };
        for thread in self.threads() {
            state.nodes[thread] = self.programs.run(thread, 0, Stage::Next, Vec::new());
            state.lives[thread] = Life::Running;
        }
        state
    }

    fn steps(&self, from: State, into: &mut Vec<Step<Sharing>>) {
        for thread in self.threads() {
            match from.lives[thread] {
                Life::Dead => continue,
                Life::Running => self.run(from, thread, into),
                Life::Asleep => {
                    let mut to = from;
                    to.lives[thread] = Life::Running;
                    let mut rises = self.step(from, thread, 0, to);
                    rises.sure = self.timed;
                    into.push(rises);
                }
            }
            let ended = self.programs.op(from.nodes[thread]) == Op::End;
            if from.deaths > 0 && !ended {
                let mut to = from;
                to.deaths -= 1;
                for other in self
                    .threads()
                    .filter(|&it| self.programs.slots[it] == self.programs.slots[thread])
                {
                    to.lives[other] = Life::Dead;
                }
                into.push(Step {
                    deed: Deed(thread, Does::Die),
                    agent: small(thread),
                    sure: false,
                    to: Ok(to),
                });
            }
        }
    }

    fn end(&self, state: State) -> Result<(), Law> {
        for thread in self.threads().filter(|&it| state.lives[it] != Life::Dead) {
            if self.programs.op(state.nodes[thread]) != Op::End {
                return Err(Law::Stuck);
            }
            if !state.marks[self.programs.slots[thread]].is_empty() {
                return Err(Law::Left);
            }
        }
        let left = state.owner != 0 && !self.is_dead_owner(&state, state.owner);
        if left { Err(Law::Left) } else { Ok(()) }
    }

    fn endless(&self) -> Law {
        Law::Starved
    }
}

#[path = "sharing_tests.rs"]
mod tests;
