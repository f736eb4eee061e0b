//! A model check of the read-write lock in all interleavings, with deaths: it runs the code of
//! `sharing` itself, with a few threads of a few processes.
//!
//! The code of a thread is cut into segments: a look, a leave. For every step its segment runs anew
//! from its beginning, with the answers that its steps have had so far, until it needs one more
//! answer. So the state of a thread is its place in its program, what the algorithm keeps between
//! two looks, and these answers.
//!
//! # What holds
//!
//! - No thread is inside together with a living writer. A thread that a leaving writer lets in is
//!   inside before the next writer is.
//! - A task that is no longer polled keeps no thread out forever, and leaves nothing in the marks.
//! - Without deaths and without giving up, every run ends, even if no sleep ends by itself.
//! - With deaths of any process before any step, every run ends with all living threads done, and
//!   nothing of theirs left in `owner` and the marks.
//!
//! # What is left out
//!
//! - The writers' lock is one step, which is possible when the lock is free or its owner dead: see
//!   `program` and `world` for its parts.
//! - Weaker orderings: steps are sequentially consistent, as the real ones are; where the lock uses
//!   a weaker ordering, a fence follows.
//! - Earlier attachments of a slot: marks are of the slot's present generation.

mod program;
mod tests;

use std::fmt;

use super::protocol::{Mark, Tasks};
use crate::model::search::{Model, Step};
use program::{Bed, Mutation, Op, Programs, Stage, Turn};

const THREADS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    /// A thread is inside together with a writer.
    Together,
    /// A writer came in before a thread that had been let in.
    Overtaken,
    Robbed,
    FreedAnothers,
    Stuck,
    Starved,
    /// All threads are done, and something of theirs is left.
    Left,
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
    tasks: Tasks,
    readers_wait: bool,
    draining: bool,
    deaths: u8,
}

/// A few threads that use one lock.
struct Sharing {
    programs: Programs,
    deaths: u8,
    /// Sleeps end by themselves.
    timed: bool,
}

impl Sharing {
    fn new(turns: &[&'static [Turn]]) -> Sharing {
        Sharing::with(turns, Mutation::None)
    }

    fn with(turns: &[&'static [Turn]], mistake: Mutation) -> Sharing {
        Sharing {
            programs: Programs::new(turns, mistake),
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
    fn judge(&self, before: &State, after: &State) -> Result<(), Property> {
        for writer in self.threads() {
            if self.inside(after, writer) != Some(true) {
                continue;
            }
            let mut others = self.threads().filter(|&it| it != writer);
            if others.any(|it| self.inside(after, it).is_some()) {
                return Err(Property::Together);
            }
            let comes = self.inside(before, writer) != Some(true);
            let was_let_in = |it: usize| {
                let since = self.programs.waits_since(after.nodes[it]);
                after.lives[it] != Life::Dead
                    && since.is_some_and(|since| since != u32::from(after.phase))
            };
            if comes && self.threads().any(was_let_in) {
                return Err(Property::Overtaken);
            }
        }
        Ok(())
    }

    fn step(&self, from: State, thread: usize, answer: u64, to: State) -> Step<Sharing> {
        let mut to = to;
        to.nodes[thread] = self.programs.next(from.nodes[thread], answer);
        Step {
            deed: Action(
                thread,
                Does::Step(self.programs.op(from.nodes[thread]), answer),
            ),
            agent: small(thread),
            sure: true,
            to: self.judge(&from, &to).map(|()| to),
        }
    }

    fn broken(thread: usize, op: Op, law: Property) -> Step<Sharing> {
        Step {
            deed: Action(thread, Does::Step(op, 0)),
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
                let owner = u8::try_from(owner).unwrap_or(u8::MAX);
                let dead = self.is_dead_owner(&from, owner);
                let takes =
                    from.owner == owner && (dead || self.programs.mistake == Mutation::NoProof);
                if takes && !dead {
                    return into.push(Sharing::broken(thread, op, Property::Robbed));
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
                    return into.push(Sharing::broken(thread, op, Property::FreedAnothers));
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
            Op::Remark(_) | Op::Mark(_) | Op::Tasks | Op::ChangeTasks(..) => {
                step_on_marks(op, slot, &mut to)
            }
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
                        deed: Action(thread, Does::Sleep(bed)),
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

/// Executes a step of a thread of this slot on the marks or on `tasks`; returns the answer.
fn step_on_marks(op: Op, slot: usize, state: &mut State) -> u64 {
    match op {
        Op::Remark(change) => {
            let changed = state.marks[slot].changed(change);
            state.marks[slot] = changed.unwrap_or(state.marks[slot]);
            changed.is_some().into()
        }
        Op::Mark(other) => state.marks[other].0,
        Op::ChangeTasks(found, next) => {
            let is_found = state.tasks == found;
            if is_found {
                state.tasks = next;
            }
            is_found.into()
        }
        _ => state.tasks.0,
    }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

struct Action(usize, Does);

enum Does {
    Step(Op, u64),
    Sleep(Bed),
    Die,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.1 {
            Does::Step(op, answer) => write!(f, "{}: {op:?} gives {answer}", self.0),
            Does::Sleep(bed) => write!(f, "{}: sleeps on {bed:?}", self.0),
            Does::Die => write!(f, "{}: dies", self.0),
        }
    }
}

impl Model for Sharing {
    type State = State;
    type Property = Property;
    type Action = Action;

    fn start(&self) -> State {
        let mut state = State {
            nodes: [0; THREADS],
            lives: [Life::Dead; THREADS],
            owner: 0,
            phase: 0,
            turn: 0,
            marks: [Mark(0); THREADS],
            tasks: Tasks(0),
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
                    // The place of its death makes no difference to the others.
                    to.nodes[other] = 0;
                }
                into.push(Step {
                    deed: Action(thread, Does::Die),
                    agent: small(thread),
                    sure: false,
                    to: Ok(to),
                });
            }
        }
    }

    fn end(&self, state: State) -> Result<(), Property> {
        for thread in self.threads().filter(|&it| state.lives[it] != Life::Dead) {
            if self.programs.op(state.nodes[thread]) != Op::End {
                return Err(Property::Stuck);
            }
            if !state.marks[self.programs.slots[thread]].is_empty() {
                return Err(Property::Left);
            }
        }
        let left = state.owner != 0 && !self.is_dead_owner(&state, state.owner);
        if left { Err(Property::Left) } else { Ok(()) }
    }

    fn endless(&self) -> Property {
        Property::Starved
    }
}
