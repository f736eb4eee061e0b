//! A model check of waiting for a change in all interleavings, with deaths: it runs the code of
//! `change` itself, with committers and waiters.
//!
//! The place of a thread contains what the thread knows at the beginning of a look or a commit, and
//! the answers that its steps have returned since. The code runs again from there with one more
//! answer. Plain stores go into the thread's store buffer and become visible later, in order. A
//! barrier empties the buffers of the other threads one after another. The store that acquires the
//! lock goes into the buffer, too, because it is a full fence on some processors only.
//!
//! # What the tests show
//!
//! With one or two waiters and one or two committers, up to three changes, and up to two deaths, of
//! any thread before any step:
//!
//! - When nothing further is sure to happen, every living waiter has seen the last version.
//! - When no living thread owns the lock, no waiter sleeps for bounded periods: every run ends.
//!
//! # What the tests do not cover
//!
//! - The lock, which is one step here: free, or its owner proven dead. The lengths of periods.
//! - A system that cannot commit and wake in one step.

mod tests;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{ChangeOutcome, CommitSteps, VersionWatch, WatchSteps};
use crate::model::search::{Model, Step};
use crate::value::change;

const THREADS: usize = 3;
const START: u8 = 1;

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutation {
    None,
    NoBarrier,
    /// A waiter does not notice that there is no barrier.
    TrustsBarriers,
    /// The barrier comes first and the announcement after it.
    BarrierFirst,
    /// The commit and the wake-up are two steps.
    SplitWake,
    /// The announcement is taken away after the commit.
    TakeLate,
    /// A process that takes the lock over does not announce.
    NoRecovery,
    /// No waiter sleeps for a bounded period.
    NoPeriods,
    /// Deaths are not recognized.
    NeverGone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Property {
    /// A waiter sleeps through a change.
    Missed,
    /// A waiter looks again and again while no living thread owns the lock.
    Polls,
}

/// A step on shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Op {
    /// Takes the lock if it is free or its owner dead; the answer is whether the owner was dead.
    Acquire,
    LoadVersion,
    LoadWatched,
    LoadOwner,
    Put(Store),
    /// Adds 1 to the version and wakes all.
    AddAndWake,
    Wake,
    /// Stores 1 into `watched`, as a fence.
    Announce,
    /// Empties the store buffer of another thread.
    Barrier(u8),
    IsGone(u8),
    /// Sleeps while the version is this one, for a bounded period or not.
    Sleep(u8, bool),
    End,
}

/// A plain store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Store {
    Version(u8),
    Watched(bool),
    Owner(u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Program {
    /// This many changes are left to make.
    Commits(u8),
    Waits(VersionWatch),
    Absent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Life {
    Running,
    /// Whether it wakes up by itself.
    Asleep(bool),
    Dead,
}

/// The answers since the thread's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Answers {
    given: [u8; 12],
    count: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Thread {
    program: Program,
    answers: Answers,
    life: Life,
    buffer: [Option<Store>; 4],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    version: u8,
    watched: bool,
    owner: u8,
    /// The owner of the lock, even if the other threads do not see it yet.
    holder: u8,
    threads: [Thread; THREADS],
    deaths: u8,
}

struct Change {
    start: [Program; THREADS],
    deaths: u8,
    mistake: Mutation,
    /// Whether the system can store and wake in one step.
    is_one_step: bool,
    /// Whether the system makes barriers.
    has_barriers: bool,
}

/// Replays the answers to the code, and stops it at the first step without an answer.
struct Replay {
    me: u8,
    mistake: Mutation,
    is_one_step: bool,
    has_barriers: bool,
    answers: Answers,
    at: Cell<u8>,
}

impl Replay {
    fn ask(&self, op: Op) -> u8 {
        let at = self.at.get();
        if at == self.answers.count {
            resume_unwind(Box::new(op));
        }
        self.at.set(at + 1);
        self.answers.given[usize::from(at)]
    }

    fn put(&self, store: Store) {
        self.ask(Op::Put(store));
    }

    /// A change by a committer that takes the lock and releases it.
    fn commit(&self) {
        if self.ask(Op::Acquire) == 1 && self.mistake != Mutation::NoRecovery {
            self.put(Store::Watched(true));
        }
        let version = self.ask(Op::LoadVersion);
        change::commit(self, u64::from(version) + 1);
        self.put(Store::Owner(0));
    }
}

impl CommitSteps for Replay {
    fn is_watched(&self) -> bool {
        self.ask(Op::LoadWatched) == 1
    }

    fn take_announcement(&self) {
        if self.mistake != Mutation::TakeLate {
            self.put(Store::Watched(false));
        }
    }

    fn store(&self, version: u64) {
        self.put(Store::Version(small(version)));
    }

    fn store_and_wake(&self, version: u64) {
        if self.mistake == Mutation::SplitWake || !self.is_one_step {
            self.store(version);
            self.ask(Op::Wake);
        } else {
            self.ask(Op::AddAndWake);
        }
        if self.mistake == Mutation::TakeLate {
            self.put(Store::Watched(false));
        }
    }
}

impl WatchSteps for Replay {
    fn version(&self) -> u64 {
        self.ask(Op::LoadVersion).into()
    }

    fn announce(&self) {
        if self.mistake != Mutation::BarrierFirst {
            self.ask(Op::Announce);
        }
    }

    fn barrier(&self) -> bool {
        if self.has_barriers && self.mistake != Mutation::NoBarrier {
            for other in (0..small(THREADS as u64)).filter(|other| *other != self.me) {
                self.ask(Op::Barrier(other));
            }
        }
        if self.mistake == Mutation::BarrierFirst {
            self.ask(Op::Announce);
        }
        self.has_barriers || self.mistake == Mutation::TrustsBarriers
    }

    fn owner(&self) -> u64 {
        self.ask(Op::LoadOwner).into()
    }

    fn is_gone(&self, owner: u64) -> bool {
        self.mistake != Mutation::NeverGone && self.ask(Op::IsGone(small(owner))) == 1
    }

    fn is_one_step(&self, _seen: u64) -> bool {
        self.is_one_step
    }
}

fn small(number: u64) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl Change {
    fn new(start: &[Program], mistake: Mutation) -> Change {
        let mut all = [Program::Absent; THREADS];
        all[..start.len()].copy_from_slice(start);
        Change {
            start: all,
            deaths: 0,
            mistake,
            is_one_step: true,
            has_barriers: true,
        }
    }

    /// Where the system cannot store and wake in one step.
    fn in_two_steps(self) -> Change {
        Change {
            is_one_step: false,
            ..self
        }
    }

    /// The system makes no barriers, and committers make no fences (yet).
    fn without_barriers(self) -> Change {
        Change {
            has_barriers: false,
            ..self
        }
    }

    /// Whether looking again and again is allowed: then the waiter must only see the last version.
    fn may_poll(&self) -> bool {
        !self.is_one_step || !self.has_barriers
    }

    fn deaths(self, deaths: u8) -> Change {
        Change { deaths, ..self }
    }

    /// What the thread does next, and where it is when it begins something new before that.
    fn next(&self, me: usize, mut thread: Thread) -> (Thread, Op) {
        loop {
            if let Program::Absent | Program::Commits(0) = thread.program {
                return (thread, Op::End);
            }
            let mut program = thread.program;
            let replay = Replay {
                me: small(me as u64),
                mistake: self.mistake,
                is_one_step: self.is_one_step,
                has_barriers: self.has_barriers,
                answers: thread.answers,
                at: Cell::new(0),
            };
            let run = catch_unwind(AssertUnwindSafe(|| match &mut program {
                Program::Commits(left) => {
                    replay.commit();
                    *left -= 1;
                }
                Program::Waits(watch) => match watch.look(&replay) {
                    ChangeOutcome::Changed => {
                        *watch = VersionWatch::new(replay.ask(Op::LoadVersion).into());
                    }
                    ChangeOutcome::Same(limit) => {
                        let limited = limit.is_some() && self.mistake != Mutation::NoPeriods;
                        replay.ask(Op::Sleep(small(watch.seen()), limited));
                    }
                },
                Program::Absent => {}
            }));
            match run {
                Ok(()) => {
                    thread.program = program;
                    thread.answers = Answers::default();
                }
                Err(payload) => match payload.downcast::<Op>() {
                    Ok(op) => return (thread, *op),
                    Err(other) => resume_unwind(other),
                },
            }
        }
    }

    fn step(&self, state: State, me: usize, into: &mut Vec<Step<Change>>) {
        let (thread, op) = self.next(me, state.threads[me]);
        let mut to = state;
        to.threads[me] = thread;
        let Some(answer) = to.perform(me, op) else {
            return;
        };
        if to.threads[me].life == Life::Running {
            to.threads[me].answer(answer);
        }
        into.push(of(me, true, &format!("{op:?}, answer {answer}"), to));
    }
}

impl Thread {
    fn answer(&mut self, answer: u8) {
        self.answers.given[usize::from(self.answers.count)] = answer;
        self.answers.count += 1;
    }
}

impl State {
    /// The answer to a step; `None` when it must wait.
    fn perform(&mut self, me: usize, op: Op) -> Option<u8> {
        let own = self.threads[me].buffer;
        let buffered =
            |of: &dyn Fn(Store) -> Option<u8>| own.into_iter().flatten().filter_map(of).last();
        let own_version = buffered(&|store| match store {
            Store::Version(version) => Some(version),
            _ => None,
        });
        let own_watched = buffered(&|store| match store {
            Store::Watched(watched) => Some(watched.into()),
            _ => None,
        });
        Some(match op {
            Op::End => return None,
            Op::Acquire => {
                let dead = self.holder != 0;
                if dead && !self.is_dead(self.holder) {
                    return None;
                }
                self.holder = small(me as u64) + 1;
                self.put(me, Store::Owner(self.holder));
                dead.into()
            }
            Op::LoadVersion => own_version.unwrap_or(self.version),
            Op::LoadWatched => own_watched.unwrap_or(self.watched.into()),
            Op::LoadOwner => self.owner,
            Op::Put(store) => {
                self.put(me, store);
                0
            }
            Op::AddAndWake => {
                self.fence(me);
                self.version += 1;
                self.wake();
                0
            }
            Op::Wake => {
                self.fence(me);
                self.wake();
                0
            }
            Op::Announce => {
                self.fence(me);
                self.watched = true;
                0
            }
            Op::Barrier(other) => {
                self.fence(usize::from(other));
                0
            }
            Op::IsGone(id) => self.is_dead(id).into(),
            Op::Sleep(seen, bounded) => {
                self.fence(me);
                if self.version == seen {
                    self.threads[me].life = Life::Asleep(bounded);
                }
                0
            }
        })
    }

    fn put(&mut self, me: usize, store: Store) {
        let buffer = &mut self.threads[me].buffer;
        let used = buffer.iter().flatten().count();
        assert!(
            used < buffer.len(),
            "nobody makes five stores without a fence"
        );
        buffer[used] = Some(store);
    }

    fn is_dead(&self, id: u8) -> bool {
        self.threads[usize::from(id) - 1].life == Life::Dead
    }

    fn drain(&mut self, thread: usize) {
        let buffer = &mut self.threads[thread].buffer;
        match buffer[0].take() {
            None => {}
            Some(Store::Version(version)) => self.version = version,
            Some(Store::Watched(watched)) => self.watched = watched,
            Some(Store::Owner(owner)) => {
                self.owner = owner;
                if owner == 0 {
                    self.holder = 0;
                }
            }
        }
        buffer.rotate_left(1);
    }

    /// Whether the version differs from the one that the waiter has seen.
    fn misses(&self, program: Program) -> bool {
        matches!(program, Program::Waits(watch) if small(watch.seen()) != self.version)
    }

    fn fence(&mut self, thread: usize) {
        while self.threads[thread].buffer[0].is_some() {
            self.drain(thread);
        }
    }

    fn wake(&mut self) {
        for thread in &mut self.threads {
            if matches!(thread.life, Life::Asleep(_)) {
                thread.rise();
            }
        }
    }
}

impl Thread {
    fn rise(&mut self) {
        self.life = Life::Running;
        self.answer(0);
    }
}

fn of(agent: usize, sure: bool, deed: &str, to: State) -> Step<Change> {
    Step {
        deed: format!("{}: {deed}", agent % THREADS),
        agent: small(agent as u64),
        sure,
        to: Ok(to),
    }
}

impl Model for Change {
    type State = State;
    type Property = Property;
    type Action = String;

    fn start(&self) -> State {
        State {
            version: START,
            watched: false,
            owner: 0,
            holder: 0,
            threads: self.start.map(|program| Thread {
                program,
                answers: Answers::default(),
                life: Life::Running,
                buffer: [None; 4],
            }),
            deaths: self.deaths,
        }
    }

    fn steps(&self, state: State, into: &mut Vec<Step<Change>>) {
        for me in 0..THREADS {
            let thread = state.threads[me];
            let changed = |change: &dyn Fn(&mut State)| {
                let mut to = state;
                change(&mut to);
                to
            };
            if thread.buffer[0].is_some() {
                let to = changed(&|state| state.drain(me));
                into.push(of(me + THREADS, true, "a store becomes visible", to));
            }
            match thread.life {
                Life::Dead => continue,
                Life::Running => self.step(state, me, into),
                Life::Asleep(bounded) => {
                    let to = changed(&|state| state.threads[me].rise());
                    let sure = bounded && (!self.may_poll() || state.misses(thread.program));
                    into.push(of(me, sure, "wakes up by itself", to));
                }
            }
            if state.deaths > 0 && self.next(me, thread).1 != Op::End {
                let to = changed(&|state| {
                    state.deaths -= 1;
                    state.fence(me);
                    state.threads[me].life = Life::Dead;
                    state.threads[me].program = Program::Absent;
                    state.threads[me].answers = Answers::default();
                });
                into.push(of(me + 2 * THREADS, false, "dies", to));
            }
        }
    }

    fn end(&self, state: State) -> Result<(), Property> {
        let mut threads = state.threads.iter();
        if threads.any(|thread| state.misses(thread.program)) {
            Err(Property::Missed)
        } else {
            Ok(())
        }
    }

    fn endless(&self) -> Property {
        Property::Polls
    }
}
