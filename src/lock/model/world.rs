//! The lock's two words, the store buffers, the sleepers and the dead: the effect of the threads'
//! steps.

use super::program::{Bed, Mutation, Op, Programs, Turn};
use super::state::{Action, Buffer, Life, State, Store, THREADS, Thread};
use crate::model::search::{Model, Step};

/// A few threads that use one lock.
pub(crate) struct LockModel {
    programs: Programs,
    /// For each thread the number of its attachment, from 1 on. Threads of one process share one.
    holds: Vec<u8>,
    deaths: u8,
    stops: u8,
    fenced: bool,
    timed: bool,
}

/// A violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// Two threads are between acquiring and releasing.
    TwoHolders,
    /// The lock was taken over from a living owner, or while it was free.
    Robbed,
    /// A release freed a lock that the releaser did not own.
    FreedAnothers,
    /// What a dead owner left was passed on without a report.
    NotTold,
    /// A thread went to sleep too often before it checked the liveness of a dead owner.
    AskedLate,
    /// The protocol gave a forbidden result.
    WrongAnswer,
    /// A living thread waits, and nothing further is sure to happen.
    Stuck,
    /// A living thread waits forever, although every thread gets the processor.
    Starved,
    /// All threads are done and the lock is held.
    LeftHeld,
}

/// One sleep with an earlier owner as suspect, of any length, and one short sleep to see whether
/// this owner stays.
const MOST_SLEEPS: u8 = 2;

impl LockModel {
    /// A thread with each of these programs, each an attachment of its own.
    pub(crate) fn new(programs: &[&'static [Turn]]) -> LockModel {
        LockModel::with(programs, Mutation::None)
    }

    pub(crate) fn with(programs: &[&'static [Turn]], mistake: Mutation) -> LockModel {
        LockModel {
            programs: Programs::new(programs, mistake),
            holds: (1..).take(programs.len()).collect(),
            deaths: 0,
            stops: 0,
            fenced: false,
            timed: false,
        }
    }

    /// This many attachments may die; sleeps end eventually.
    pub(crate) fn deaths(self, deaths: u8) -> LockModel {
        LockModel {
            deaths,
            timed: true,
            ..self
        }
    }

    /// This many threads may stop for good, without being dead; sleeps end eventually.
    pub(crate) fn stops(self, stops: u8) -> LockModel {
        LockModel {
            stops,
            timed: true,
            ..self
        }
    }

    /// Sleeps may not end by themselves, whatever dies.
    pub(crate) fn untimed(self) -> LockModel {
        LockModel {
            timed: false,
            ..self
        }
    }

    /// There are no barriers in other processes, and releases are fences.
    pub(crate) fn fenced(self) -> LockModel {
        LockModel {
            fenced: true,
            ..self
        }
    }

    /// The numbers of the attachments, one for each thread.
    pub(crate) fn held_by(self, holds: &[u8]) -> LockModel {
        LockModel {
            holds: holds.to_vec(),
            ..self
        }
    }

    /// Whether sleeps end eventually.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    fn threads(&self) -> std::ops::Range<usize> {
        0..self.holds.len()
    }

    fn op(&self, state: &State, thread: usize) -> Op {
        self.programs.op(state.threads[thread].node)
    }

    /// Whether a thread of the attachment has died, so that all of its threads will.
    fn is_dying(&self, state: &State, id: u8) -> bool {
        self.threads()
            .any(|it| self.holds[it] == id && state.threads[it].life == Life::Dead)
    }

    /// Whether all threads of the attachment have died.
    fn is_dead(&self, state: &State, id: u8) -> bool {
        self.threads()
            .all(|it| self.holds[it] != id || state.threads[it].life == Life::Dead)
    }

    /// Moves a thread on, through every step that changes nothing and would get the same answer
    /// later.
    fn answer(&self, state: &mut State, thread: usize, answer: u8) {
        let mut answer = Some(answer);
        while let Some(given) = answer {
            let node = self.programs.next(state.threads[thread].node, given);
            state.threads[thread].node = node;
            answer = match self.programs.op(node) {
                Op::IsOwn(id) => {
                    let own = self.holds[thread] == id && state.is_holder(thread);
                    Some(own.into())
                }
                Op::IsGone(id) if self.is_dead(state, id) => Some(1),
                Op::IsGone(id) if id == self.holds[thread] => Some(0),
                Op::IsGone(id) if state.deaths == 0 && !self.is_dying(state, id) => Some(0),
                _ => None,
            };
        }
    }

    fn acquire(&self, state: &mut State, thread: usize) -> Result<(), Property> {
        if state.holder != 0 {
            return Err(Property::TwoHolders);
        }
        self.own(state, thread);
        Ok(())
    }

    fn take_over(&self, state: &mut State, thread: usize, id: u8) -> Result<(), Property> {
        let robbed = state
            .holder
            .checked_sub(1)
            .is_none_or(|it| self.holds[usize::from(it)] != id || !self.is_dead(state, id));
        if robbed {
            return Err(Property::Robbed);
        }
        self.own(state, thread);
        Ok(())
    }

    fn own(&self, state: &mut State, thread: usize) {
        state.owner = self.holds[thread];
        state.holder = small(thread) + 1;
        for thread in &mut state.threads {
            thread.sleeps = 0;
        }
    }

    /// Makes the oldest store of a thread visible, if it has one.
    fn drain(&self, state: &mut State, thread: usize) -> Result<(), Property> {
        match state.threads[thread].buffer.pop() {
            None => return Ok(()),
            Some(Store::Announce) => state.waiting = true,
            Some(Store::Free) if state.owner != self.holds[thread] => {
                return Err(Property::FreedAnothers);
            }
            Some(Store::Free) => state.owner = 0,
        }
        for waiter in self.threads() {
            let owed = state.threads[waiter].owed;
            if owed >> (2 * thread) & 0b11 != 0 {
                state.threads[waiter].owed = owed - (1 << (2 * thread));
                if state.threads[waiter].owed == 0 {
                    state.threads[waiter].life = Life::Running;
                    self.answer(state, waiter, 0);
                }
            }
        }
        Ok(())
    }

    /// Makes all stores of a thread visible.
    fn fence(&self, state: &mut State, thread: usize) -> Result<(), Property> {
        while state.threads[thread].buffer != Buffer::EMPTY {
            self.drain(state, thread)?;
        }
        Ok(())
    }

    /// Waits for this thread's earlier stores to the owner, which is what a compare-exchange on it
    /// has to do.
    fn catch_up(&self, state: &mut State, thread: usize) -> Result<(), Property> {
        while state.threads[thread].buffer.has(Store::Free) {
            self.drain(state, thread)?;
        }
        Ok(())
    }

    fn die(&self, state: &mut State, thread: usize) -> Result<(), Property> {
        let id = self.holds[thread];
        if !self.is_dying(state, id) {
            state.deaths -= 1;
        }
        // What was stored is stored, and the kernel knows of a death only after that.
        state.threads[thread].life = Life::Dead;
        state.threads[thread].owed = 0;
        self.fence(state, thread)?;
        state.threads[thread].node = 0;
        state.threads[thread].sleeps = 0;
        state.abandoned |= state.is_holder(thread);
        Ok(())
    }

    /// The steps of a thread that runs.
    fn run(&self, from: State, thread: usize, into: &mut Vec<Step<LockModel>>) {
        let op = self.op(&from, thread);
        let me = self.holds[thread];
        match op {
            Op::End => {}
            Op::Now => {
                for answer in [0, 1] {
                    into.push(self.step(from, thread, op, |_| Ok(answer)));
                }
            }
            Op::Wake => {
                let asleep = |it: &usize| from.threads[*it].life == Life::Asleep;
                let mut anybody = false;
                for sleeper in self.threads().filter(asleep) {
                    anybody = true;
                    let mut step = self.step(from, thread, op, |state| {
                        self.fence(state, thread)?;
                        state.threads[sleeper].life = Life::Running;
                        self.answer(state, sleeper, 0);
                        Ok(0)
                    });
                    step.deed = Action::Wakes(small(thread), small(sleeper));
                    into.push(step);
                }
                if !anybody {
                    into.push(self.step(from, thread, op, |_| Ok(0)));
                }
            }
            Op::Sleep(_) | Op::Barrier => into.push(self.pause(from, thread, op)),
            _ => into.push(self.step(from, thread, op, |state| self.effect(state, thread, op, me))),
        }
    }

    /// Executes a step that need not wait, and returns its answer.
    fn effect(&self, state: &mut State, thread: usize, op: Op, me: u8) -> Result<u8, Property> {
        Ok(match op {
            Op::TryAcquire => {
                self.catch_up(state, thread)?;
                let found = state.owner;
                if found == 0 {
                    self.acquire(state, thread)?;
                }
                found
            }
            Op::TryTakeOver(dead) => {
                self.catch_up(state, thread)?;
                let same = state.owner == dead;
                if same {
                    self.take_over(state, thread, dead)?;
                }
                same.into()
            }
            Op::StoreOwner(None) => {
                self.catch_up(state, thread)?;
                self.acquire(state, thread)?;
                0
            }
            Op::StoreOwner(Some(dead)) => {
                self.catch_up(state, thread)?;
                self.take_over(state, thread, dead)?;
                0
            }
            Op::LoadOwner if state.threads[thread].buffer.has(Store::Free) => 0,
            Op::LoadOwner => state.owner,
            Op::Free => {
                if !state.is_holder(thread) {
                    return Err(Property::FreedAnothers);
                }
                if state.abandoned && !state.recorded {
                    return Err(Property::NotTold);
                }
                state.holder = 0;
                state.threads[thread].buffer.push(Store::Free);
                if self.fenced {
                    self.fence(state, thread)?;
                }
                0
            }
            Op::LoadWaiting => {
                (state.waiting || state.threads[thread].buffer.has(Store::Announce)).into()
            }
            Op::Announce => {
                state.threads[thread].buffer.push(Store::Announce);
                0
            }
            Op::TakeAnnouncement => {
                self.fence(state, thread)?;
                std::mem::take(&mut state.waiting).into()
            }
            Op::IsGone(id) => (id != me && self.is_dead(state, id)).into(),
            Op::Record => {
                state.recorded = true;
                0
            }
            _ => return Err(Property::WrongAnswer),
        })
    }

    /// The steps that may have to wait for another thread.
    fn pause(&self, from: State, thread: usize, op: Op) -> Step<LockModel> {
        let mut state = from;
        let waits = match op {
            Op::Barrier => self.enter_barrier(&mut state, thread),
            Op::Sleep(bed) => self.lie_down(&mut state, thread, bed),
            _ => Ok(false),
        };
        let waits = match waits {
            Ok(true) => Action::Waits(small(thread), op),
            Ok(false) => return self.step(state, thread, op, |_| Ok(0)),
            Err(law) => return self.step(from, thread, op, |_| Err(law)),
        };
        Step {
            deed: waits,
            agent: small(thread),
            sure: true,
            to: Ok(state),
        }
    }

    /// The barrier of each other thread comes at a moment of its own, when what it had stored by
    /// now has become visible.
    fn enter_barrier(&self, state: &mut State, thread: usize) -> Result<bool, Property> {
        self.fence(state, thread)?;
        if self.fenced {
            return Ok(false);
        }
        let mut owed = 0;
        for other in self.threads() {
            owed |= state.threads[other].buffer.len() << (2 * other);
        }
        state.threads[thread].owed = owed;
        if owed != 0 {
            state.threads[thread].life = Life::Fencing;
        }
        Ok(owed != 0)
    }

    fn lie_down(&self, state: &mut State, thread: usize, bed: Bed) -> Result<bool, Property> {
        self.fence(state, thread)?;
        let sleeps = match bed {
            Bed::Waiting => state.waiting,
            Bed::Owner(id) => state.owner == id,
            Bed::Bare => true,
        };
        if sleeps {
            state.threads[thread].life = Life::Asleep;
            let owner = state.owner;
            if owner != 0 && self.is_dead(state, owner) {
                let sleeps = &mut state.threads[thread].sleeps;
                if *sleeps == MOST_SLEEPS {
                    return Err(Property::AskedLate);
                }
                *sleeps += 1;
            }
        }
        Ok(sleeps)
    }

    fn step(
        &self,
        from: State,
        thread: usize,
        op: Op,
        effect: impl FnOnce(&mut State) -> Result<u8, Property>,
    ) -> Step<LockModel> {
        let mut to = from;
        let effect = effect(&mut to);
        if let Ok(answer) = effect {
            self.answer(&mut to, thread, answer);
        }
        Step {
            deed: Action::Does(small(thread), op, effect.unwrap_or(0)),
            agent: small(thread),
            sure: true,
            to: effect.map(|_| to),
        }
    }
}

impl Model for LockModel {
    type State = State;
    type Property = Property;
    type Action = Action;

    fn start(&self) -> State {
        let absent = Thread {
            node: 0,
            life: Life::Dead,
            buffer: Buffer::EMPTY,
            owed: 0,
            sleeps: 0,
        };
        let mut state = State {
            threads: [absent; THREADS],
            owner: 0,
            waiting: false,
            recorded: false,
            deaths: self.deaths,
            stops: self.stops,
            holder: 0,
            abandoned: false,
        };
        for thread in self.threads() {
            state.threads[thread].node = self.programs.start(thread);
            state.threads[thread].life = Life::Running;
        }
        state
    }

    fn steps(&self, from: State, into: &mut Vec<Step<LockModel>>) {
        // While an owner is stopped the others go on sleeping and looking, which is correct.
        let timed = self.timed && !from.holder_is_stopped();
        for thread in self.threads() {
            let here = from.threads[thread];
            let number = small(thread);
            let deed = |agent, sure, deed, effect: &dyn Fn(&mut State) -> Result<(), Property>| {
                let mut to = from;
                let to = effect(&mut to).map(|()| to);
                Step {
                    deed,
                    agent,
                    sure,
                    to,
                }
            };
            if here.buffer != Buffer::EMPTY {
                // Buffers empty themselves whatever the threads do.
                let agent = number + small(THREADS);
                into.push(deed(agent, true, Action::Drains(number), &|state| {
                    self.drain(state, thread)
                }));
            }
            match here.life {
                Life::Running => self.run(from, thread, into),
                Life::Asleep => into.push(deed(number, timed, Action::Rises(number), &|state| {
                    state.threads[thread].life = Life::Running;
                    self.answer(state, thread, 0);
                    Ok(())
                })),
                Life::Fencing | Life::Stopped => {}
                Life::Dead => continue,
            }
            if from.stops > 0 && here.life == Life::Running && self.op(&from, thread) != Op::End {
                into.push(deed(number, false, Action::Stops(number), &|state| {
                    state.stops -= 1;
                    state.threads[thread].life = Life::Stopped;
                    Ok(())
                }));
            }
            let dying = self.is_dying(&from, self.holds[thread]);
            if dying || from.deaths > 0 && self.op(&from, thread) != Op::End {
                let agent = number + 2 * small(THREADS);
                into.push(deed(agent, dying, Action::Dies(number), &|state| {
                    self.die(state, thread)
                }));
            }
        }
    }

    fn end(&self, state: State) -> Result<(), Property> {
        if state.holder_is_stopped() {
            return Ok(());
        }
        let waits = |it: usize| {
            !matches!(state.threads[it].life, Life::Dead | Life::Stopped)
                && self.op(&state, it) != Op::End
        };
        if self.threads().any(waits) {
            return Err(Property::Stuck);
        }
        if state.owner != 0 && !self.is_dead(&state, state.owner) {
            return Err(Property::LeftHeld);
        }
        Ok(())
    }

    fn endless(&self) -> Property {
        Property::Starved
    }
}

fn small(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}
