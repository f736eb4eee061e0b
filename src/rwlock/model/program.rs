//! The code of the threads that use the read-write lock: the states that the code of `sharing` can
//! be in, cut into segments.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::THREADS;
use crate::rwlock::protocol::{
    self, Mark, MarkChange, ReadAcquire, RwLockMemory, RwLockOutcome, Tasks, WriteAcquire,
};

/// One use of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Read,
    /// One look.
    TryRead,
    /// May give up at any of its sleeps.
    ReadFor,
    /// In a task.
    ReadTask,
    /// In a task that may be dropped at any of its sleeps.
    DropTask,
    /// In a task that is no longer polled once it must wait.
    ForgetTask,
    Write,
    TryWrite,
    WriteFor,
    /// Reads, then writes if no other thread wants to.
    Upgrade,
    /// Writes, then reads.
    Downgrade,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    /// A reader does not check again whether a writer has come.
    NoSecondLook,
    /// A waiting reader does not check whether its mark came in time.
    LateMark,
    /// A writer frees the lock before it raises the phase.
    FreeFirst,
    /// A writer that gives up raises the phase as well.
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
    /// A writer waits for tasks as for readers.
    KeepTasks,
    /// A task that was sent away enters all the same.
    NotSentAway,
    /// A task that enters changes `tasks` before its mark.
    TasksFirst,
    /// A task that waits does not check whether it was counted in time.
    LateTask,
    /// A task joins `tasks` whatever its value has become.
    JoinsAny,
}

/// A step, as it is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Owner,
    TakeOver(u32),
    Acquire,
    TryAcquire,
    Free,
    Phase,
    EndPhase,
    Remark(MarkChange),
    Tasks,
    ChangeTasks(Tasks, Tasks),
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
pub(crate) enum Bed {
    Turn(u32),
    Draining,
}

/// The place of a thread between two segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    Next,
    Entering(ReadAcquire),
    /// Asleep, or about to sleep.
    Resting(ReadAcquire, u32),
    Reading,
    Draining(WriteAcquire),
    DrainRests(WriteAcquire),
    Writing,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Point {
    program: usize,
    turn: usize,
    stage: Stage,
    answers: Vec<u64>,
    op: Op,
}

/// The states of all threads, by number.
pub(crate) struct Programs {
    pub(crate) turns: Vec<&'static [Turn]>,
    /// The slot of each thread.
    pub(crate) slots: [usize; THREADS],
    pub(crate) mistake: Mutation,
    places: RefCell<Vec<Point>>,
    numbers: RefCell<HashMap<Point, u32>>,
    next: RefCell<HashMap<(u32, u64), u32>>,
}

impl Programs {
    pub(crate) fn new(turns: &[&'static [Turn]], mistake: Mutation) -> Programs {
        Programs {
            turns: turns.to_vec(),
            slots: [0, 1, 2],
            mistake,
            places: RefCell::default(),
            numbers: RefCell::default(),
            next: RefCell::default(),
        }
    }
    fn place(&self, node: u32) -> Point {
        self.places.borrow()[node as usize].clone()
    }

    /// Whether a thread is inside here, and whether it writes.
    pub(crate) fn inside(&self, node: u32) -> Option<bool> {
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

    /// The phase since which a thread, not a task, waits here, asleep or about to sleep: it has
    /// seen that its mark was in time.
    pub(crate) fn waits_since(&self, node: u32) -> Option<u32> {
        let places = self.places.borrow();
        let place = &places[node as usize];
        match place.stage {
            Stage::Resting(enter, _) if place.answers.is_empty() => enter.thread_since(),
            _ => None,
        }
    }

    pub(crate) fn op(&self, node: u32) -> Op {
        self.places.borrow()[node as usize].op
    }

    pub(crate) fn next(&self, node: u32, answer: u64) -> u32 {
        let known = self.next.borrow().get(&(node, answer)).copied();
        known.unwrap_or_else(|| {
            let mut place = self.place(node);
            place.answers.push(answer);
            let next = self.run(place.program, place.turn, place.stage, place.answers);
            self.next.borrow_mut().insert((node, answer), next);
            next
        })
    }

    /// Continues from the beginning of a segment with these answers, and through segments that need
    /// none.
    pub(crate) fn run(&self, program: usize, turn: usize, stage: Stage, answers: Vec<u64>) -> u32 {
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
                task: Cell::new(None),
                owes_mark: Cell::new(false),
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
        let place = Point {
            program,
            turn,
            stage,
            answers,
            op,
        };
        if let Some(&number) = self.numbers.borrow().get(&place) {
            return number;
        }
        let number = small(self.places.borrow().len() as u64);
        self.places.borrow_mut().push(place.clone());
        self.numbers.borrow_mut().insert(place, number);
        number
    }
}

/// Replays the answers to a segment, and stops it at the first step without an answer.
pub(crate) struct Replay<'a> {
    answers: &'a [u64],
    at: Cell<usize>,
    slot: usize,
    /// How many there are.
    slots: usize,
    mistake: Mutation,
    /// For [`Mutation::NoSecondLook`]: it has just marked itself as inside.
    entered: Cell<bool>,
    /// For [`Mutation::LateMark`] and [`Mutation::LateTask`]: the phase that it saw before its
    /// mark.
    seen: Cell<Option<u32>>,
    /// Of a task: the phase since which it waits.
    task: Cell<Option<u32>>,
    /// For [`Mutation::TasksFirst`]: its mark is still to be changed.
    owes_mark: Cell<bool>,
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

    /// A writer that has slept has waited long enough for tasks, since any sleep may end early; one
    /// that only tries does not wait.
    fn is_late(&self, how: Turn, drain: WriteAcquire) -> bool {
        (drain.has_slept() || how == Turn::TryWrite) && self.mistake != Mutation::KeepTasks
    }

    fn segment(&self, how: Turn, stage: Stage) -> Stage {
        match stage {
            Stage::Next => match how {
                Turn::Read | Turn::TryRead | Turn::ReadFor | Turn::Upgrade => {
                    Stage::Entering(ReadAcquire::new(false))
                }
                Turn::ReadTask | Turn::DropTask | Turn::ForgetTask => {
                    Stage::Entering(ReadAcquire::new(true))
                }
                Turn::TryWrite if !self.is(Op::TryAcquire) => Stage::Next,
                Turn::TryWrite => Stage::Draining(WriteAcquire::new(0)),
                Turn::Write | Turn::WriteFor | Turn::Downgrade => {
                    self.ask(Op::Acquire);
                    Stage::Draining(WriteAcquire::new(0))
                }
            },
            Stage::Entering(mut enter) => {
                self.task.set(enter.task_since());
                match enter.look(self, how == Turn::TryRead) {
                    RwLockOutcome::Acquired | RwLockOutcome::TakenOver(_) => Stage::Reading,
                    RwLockOutcome::Sleep(..) if how == Turn::TryRead => {
                        enter.give_up(self);
                        Stage::Next
                    }
                    RwLockOutcome::Sleep(..) if how == Turn::ForgetTask => Stage::Next,
                    RwLockOutcome::Sleep(turn, _) => Stage::Resting(enter, turn),
                }
            }
            Stage::Resting(mut enter, turn) => {
                self.ask(Op::Sleep(Bed::Turn(turn)));
                if matches!(how, Turn::ReadFor | Turn::DropTask) && self.is(Op::Deadline) {
                    enter.give_up(self);
                    return Stage::Next;
                }
                Stage::Entering(enter)
            }
            Stage::Reading if how == Turn::Upgrade && self.is(Op::TryAcquire) => {
                Stage::Draining(WriteAcquire::new(1))
            }
            Stage::Reading => {
                protocol::leave_reading(self);
                Stage::Next
            }
            Stage::Draining(mut drain) => {
                match drain.look(self, how == Turn::TryWrite, self.is_late(how, drain)) {
                    RwLockOutcome::Acquired | RwLockOutcome::TakenOver(_) => Stage::Writing,
                    RwLockOutcome::Sleep(..) if how == Turn::TryWrite => {
                        WriteAcquire::give_up(self);
                        Stage::Next
                    }
                    RwLockOutcome::Sleep(..) => Stage::DrainRests(drain.timeless()),
                }
            }
            Stage::DrainRests(drain) => {
                self.ask(Op::Sleep(Bed::Draining));
                if how == Turn::WriteFor && self.is(Op::Deadline) {
                    if self.mistake == Mutation::PhaseUnused {
                        self.ask(Op::EndPhase);
                    }
                    WriteAcquire::give_up(self);
                    return Stage::Next;
                }
                Stage::Draining(drain)
            }
            Stage::Writing if how == Turn::Downgrade => {
                protocol::downgrade(self);
                // It leaves as any reader does.
                protocol::leave_reading(self);
                Stage::Next
            }
            Stage::Writing => {
                if self.mistake == Mutation::FreeFirst {
                    self.ask(Op::Free);
                    self.ask(Op::EndPhase);
                    return Stage::Next;
                }
                protocol::leave_writing(self);
                Stage::Next
            }
        }
    }
}

impl RwLockMemory for Replay<'_> {
    fn owner(&self) -> u64 {
        if self.mistake == Mutation::NoSecondLook && self.entered.take() {
            return 0;
        }
        self.ask(Op::Owner)
    }

    fn take_over(&self, owner: u64) -> bool {
        self.mistake != Mutation::NoTakeOver && self.is(Op::TakeOver(small(owner)))
    }

    fn free(&self) {
        self.ask(Op::Free);
    }

    fn phase(&self) -> u32 {
        if let Some(seen) = self.seen.take() {
            return seen;
        }
        small(self.ask(Op::Phase))
    }

    fn end_phase(&self) {
        self.ask(Op::EndPhase);
    }

    fn remark(&self, change: MarkChange) -> bool {
        let comes_in = self.task.get().is_some() && change == MarkChange::Holds;
        if comes_in && self.mistake == Mutation::TasksFirst {
            self.owes_mark.set(true);
            return true;
        }
        let changed = self.is(Op::Remark(change));
        match (self.mistake, change) {
            (Mutation::NoSecondLook, MarkChange::Holds) => self.entered.set(changed),
            (Mutation::LateMark, MarkChange::WaitsSince(phase)) => self.seen.set(Some(phase)),
            _ => {}
        }
        changed
    }

    fn tasks(&self) -> Tasks {
        match self.task.get() {
            // One is always left to be taken.
            Some(since) if self.mistake == Mutation::NotSentAway => Tasks::new(since, 1),
            _ => Tasks(self.ask(Op::Tasks)),
        }
    }

    fn change_tasks(&self, from: Tasks, to: Tasks) -> bool {
        let joins = to.count() > from.count();
        let (mut from, mut to) = (from, to);
        match self.mistake {
            Mutation::NotSentAway if self.task.get().is_some() => return true,
            Mutation::JoinsAny if joins => {
                from = self.tasks();
                match from.with(to.since()) {
                    Some(joined) => to = joined,
                    None => return false,
                }
            }
            _ => {}
        }
        let changed = self.is(Op::ChangeTasks(from, to));
        if changed && joins && self.mistake == Mutation::LateTask {
            self.seen.set(Some(to.since()));
        }
        if changed && self.owes_mark.take() {
            self.ask(Op::Remark(MarkChange::Holds));
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
            Mutation::ForgetLiving => true,
            Mutation::KeepDead => false,
            _ => may && self.is(Op::IsGone(slot, may)),
        }
    }

    fn forget(&self, slot: usize, mark: Mark) {
        self.ask(Op::Forget(slot, mark));
    }

    fn announce_reader(&self) {
        if self.mistake != Mutation::NoReaderAnnouncement {
            self.ask(Op::Readers(true));
        }
    }

    fn take_readers(&self) -> bool {
        self.is(Op::Readers(false))
    }

    fn turn(&self) -> u32 {
        small(self.ask(Op::Turn))
    }

    fn end_turn(&self) {
        self.ask(Op::EndTurn);
    }

    fn wake_readers(&self) {
        if self.mistake != Mutation::NoReaderWakeUp {
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
        if self.mistake != Mutation::NoWriterWakeUp {
            self.ask(Op::WakeWriter);
        }
    }
}

/// Numbers are small here.
fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
