//! A thread as a machine with few states, made from the real code by running it again and again.
//!
//! The next step of the code depends on nothing but the answers that its steps have got so far. So
//! a thread is stopped at a step by unwinding out of it, and continued by running the code from the
//! start with the old answers and one more. Each state is made once and stored with its successor
//! for each answer.
//!
//! All answers so far would make too many states: a waiter that has slept a hundred times is
//! equivalent to one that has slept twice. After a sleep, and at the start of an acquisition,
//! `protocol` remembers only its suspect and that it has slept (and how long to sleep, which does
//! not matter here). This is known from reading the code, so the model checks it: it follows a few
//! histories of each merged state side by side, and they must continue in the same way.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use super::acquire_held;
use crate::deadline::Deadline;
use crate::lock::protocol::{self, Acquired, LockMemory, LockPolled, LockRefusal, LockWaiter};

/// A step of a thread on shared memory, as it is about to happen. Owners are numbers, 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// The answer is the owner found; 0 when the lock is now acquired.
    TryAcquire,
    /// The answer is whether this was the owner and is replaced.
    TryTakeOver(u8),
    /// The answer is the owner.
    LoadOwner,
    /// Takes the lock by a store: only a planted mistake does so.
    StoreOwner(Option<u8>),
    Free,
    /// The answer is `waiting`.
    LoadWaiting,
    Announce,
    /// The answer is `waiting` before.
    TakeAnnouncement,
    Barrier,
    Sleep(Bed),
    Wake,
    /// The answer is whether the owner is proven dead.
    IsGone(u8),
    /// The answer is whether the owner is the calling thread itself.
    IsOwn(u8),
    /// The answer is whether the deadline has passed.
    Now,
    /// Records that a dead owner left the data.
    Record,
    /// Nothing further.
    End,
    /// The protocol gave a forbidden result.
    Wrong,
}

/// What a thread sleeps on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Bed {
    /// `waiting`, while it is 1.
    Waiting,
    /// `owner`, while it has this value.
    Owner(u8),
    /// Nothing: whatever has happened meanwhile.
    Bare,
}

/// A planted mistake, which the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    None,
    NoBarrier,
    /// The barrier comes first and the announcement after it.
    BarrierFirst,
    /// No load of the owner between barrier and sleep.
    NoSecondLook,
    /// A woken waiter that acquires does not announce for the waiters that sleep on.
    NoNewAnnouncement,
    SleepOnOwner,
    SleepAnyway,
    /// The release looks for sleepers before it stores.
    LookThenFree,
    /// The release forgets the announcement only after the wake-up.
    WakeThenTake,
    NoWake,
    /// Every owner is taken for dead.
    NoProof,
    /// No owner is ever taken for dead.
    NeverProven,
    /// The take-over replaces the present owner, not the owner that is proven dead.
    TakeFromAnyone,
    TakeOverByStore,
    AcquireByStore,
    NoRecord,
    NoFree,
    FreeTwice,
    /// A waiter gives up as it wakes up, and announces nothing.
    LeaveSilently,
    /// A waiter that wakes up and is still announced takes the owner for unchanged.
    StayAnyway,
    /// No owner is ever taken for dead, and no waiter gets time to sleep.
    NeverProvenAwake,
}

/// One acquisition and release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Waits as long as it takes.
    Wait,
    /// Waits until a deadline, which may pass at any moment.
    Deadline,
    /// Waits as a task, which may be dropped after each sleep.
    Task,
    Once,
    /// Waits, and acquires the lock again while it owns it.
    Twice,
}

/// The states of all threads.
pub(crate) struct Programs {
    mistake: Mutation,
    turns: Vec<&'static [Turn]>,
    nodes: RefCell<Vec<Node>>,
    /// The successors of each state, once they are known. (Separate from the rest, because it is
    /// read millions of times.)
    next: RefCell<Vec<Next>>,
    numbers: RefCell<HashMap<Point, u16>>,
}

struct Node {
    place: Point,
    /// Answers that lead here, by different paths.
    histories: Vec<Vec<u8>>,
}

/// The next step, and the state that follows each answer to it.
#[derive(Clone, Copy)]
struct Next {
    op: Op,
    after: [Option<u16>; ANSWERS],
}

/// The data on which the rest of a thread's run depends.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Point {
    program: usize,
    turn: usize,
    /// The owner seen before the last sleep of this turn.
    suspect: Option<u8>,
    /// The answers since then, or since the turn began.
    since: Vec<u8>,
    op: Op,
}

/// How many paths to a state are compared.
const WAYS: usize = 4;
/// How many different answers there are: the owners, and 0.
const ANSWERS: usize = 5;

impl Programs {
    pub(crate) fn new(turns: &[&'static [Turn]], mistake: Mutation) -> Programs {
        Programs {
            mistake,
            turns: turns.to_vec(),
            nodes: RefCell::default(),
            next: RefCell::default(),
            numbers: RefCell::default(),
        }
    }

    pub(crate) fn start(&self, program: usize) -> u16 {
        self.number(self.run(program, &[]), &[])
    }

    pub(crate) fn op(&self, node: u16) -> Op {
        self.next.borrow()[usize::from(node)].op
    }

    /// The state of a thread after the answer to its step.
    pub(crate) fn next(&self, node: u16, answer: u8) -> u16 {
        let known = self.next.borrow()[usize::from(node)].after[usize::from(answer)];
        if let Some(next) = known {
            return next;
        }
        let histories = self.nodes.borrow()[usize::from(node)].histories.clone();
        let mut found = None;
        for history in histories {
            let next = self.follow(node, &history, answer);
            assert_eq!(*found.get_or_insert(next), next, "one state is two");
        }
        let next = found.unwrap_or(node);
        self.next.borrow_mut()[usize::from(node)].after[usize::from(answer)] = Some(next);
        next
    }

    fn follow(&self, node: u16, history: &[u8], answer: u8) -> u16 {
        let program = self.nodes.borrow()[usize::from(node)].place.program;
        let history: Vec<u8> = history.iter().copied().chain(iter::once(answer)).collect();
        self.number(self.run(program, &history), &history)
    }

    fn number(&self, place: Point, history: &[u8]) -> u16 {
        let known = self.numbers.borrow().get(&place).copied();
        let Some(known) = known else {
            let mut nodes = self.nodes.borrow_mut();
            let number = u16::try_from(nodes.len()).unwrap_or(u16::MAX);
            assert_ne!(number, u16::MAX, "a thread has few states");
            self.numbers.borrow_mut().insert(place.clone(), number);
            self.next.borrow_mut().push(Next {
                op: place.op,
                after: [None; ANSWERS],
            });
            nodes.push(Node {
                place,
                histories: vec![history.to_vec()],
            });
            return number;
        };
        {
            let node = &mut self.nodes.borrow_mut()[usize::from(known)];
            if node.histories.len() == WAYS || node.histories.iter().any(|it| it == history) {
                return known;
            }
            node.histories.push(history.to_vec());
        }
        let after = self.next.borrow()[usize::from(known)].after;
        for (answer, next) in (0..).zip(after) {
            let follows = next.is_none_or(|next| self.follow(known, history, answer) == next);
            assert!(follows, "one state is two");
        }
        known
    }

    /// Runs a program until its answers are used up.
    fn run(&self, program: usize, history: &[u8]) -> Point {
        let replay = Replay {
            history,
            mistake: self.mistake,
            at: Cell::new(0),
            turn: Cell::new(0),
            from: Cell::new(0),
            suspect: Cell::new(None),
            seen: Cell::new(0),
            polled: Cell::new(None),
            leaves: Cell::new(false),
            looked: Cell::new(None),
            known: Cell::new(None),
        };
        let stopped = catch_unwind(AssertUnwindSafe(|| {
            for (turn, how) in self.turns[program].iter().enumerate() {
                replay.begin(turn);
                replay.leaves.set(*how == Turn::Deadline);
                let turn = catch_unwind(AssertUnwindSafe(|| replay.take_turn(*how)));
                if let Err(payload) = turn
                    && !payload.is::<Leaves>()
                {
                    resume_unwind(payload);
                }
            }
            replay.begin(self.turns[program].len());
        }));
        let op = match stopped {
            Ok(()) => Op::End,
            Err(payload) => match payload.downcast::<Op>() {
                Ok(op) => *op,
                Err(other) => resume_unwind(other),
            },
        };
        Point {
            program,
            turn: replay.turn.get(),
            suspect: replay.suspect.get(),
            since: history[replay.from.get()..].to_vec(),
            op,
        }
    }
}

/// Replays the answers to the protocol, and stops it at the first step without an answer.
struct Replay<'a> {
    history: &'a [u8],
    mistake: Mutation,
    at: Cell<usize>,
    turn: Cell<usize>,
    /// From which answer on the history matters.
    from: Cell<usize>,
    suspect: Cell<Option<u8>>,
    /// The owner found last.
    seen: Cell<u8>,
    /// What the next look at the owner is said to see, if it is one of a spin.
    polled: Cell<Option<bool>>,
    /// For [`Mutation::LeaveSilently`]: whether this turn has a deadline.
    leaves: Cell<bool>,
    /// For [`Mutation::LookThenFree`]: what was seen.
    looked: Cell<Option<bool>>,
    /// For [`Mutation::NoSecondLook`]: the owner that is taken for the present one.
    known: Cell<Option<u8>>,
}

impl Replay<'_> {
    fn ask(&self, op: Op) -> u8 {
        let at = self.at.get();
        let Some(&answer) = self.history.get(at) else {
            resume_unwind(Box::new(op));
        };
        self.at.set(at + 1);
        answer
    }

    fn begin(&self, turn: usize) {
        self.turn.set(turn);
        self.from.set(self.at.get());
        self.suspect.set(None);
        self.known.set(None);
    }

    /// What [`Segment::lock`](crate::Segment::lock) and its guard do, as far as other threads can
    /// see it.
    fn take_turn(&self, how: Turn) {
        let deadline = match how {
            Turn::Wait | Turn::Twice | Turn::Task => Deadline::Never,
            Turn::Deadline => Deadline::At(*START + Duration::from_secs(1)),
            Turn::Once => Deadline::Now,
        };
        let acquired = match how {
            Turn::Task => match self.acquire_in_task() {
                Some(acquired) => acquired,
                None => return,
            },
            _ => self.acquire(deadline),
        };
        match acquired {
            Ok(Acquired::Free) => {}
            Ok(Acquired::TakenOver(_)) => {
                if self.mistake != Mutation::NoRecord {
                    self.ask(Op::Record);
                }
            }
            Err(LockRefusal::HeldBy(_)) if deadline != Deadline::Never => return,
            Err(_) => {
                self.ask(Op::Wrong);
            }
        }
        if how == Turn::Twice && self.acquire(deadline) != Err(LockRefusal::Own) {
            self.ask(Op::Wrong);
        }
        protocol::release(self);
    }

    fn acquire(&self, deadline: Deadline) -> Result<Acquired, LockRefusal> {
        match self.try_acquire() {
            Ok(()) => Ok(Acquired::Free),
            Err(_) => acquire_held(self, deadline, |limit| self.sleep(limit)),
        }
    }

    fn sleep(&self, _limit: Duration) {
        let bed = match self.mistake {
            Mutation::SleepOnOwner => Bed::Owner(self.seen.get()),
            Mutation::SleepAnyway => Bed::Bare,
            Mutation::NeverProvenAwake => Bed::Owner(0),
            _ => Bed::Waiting,
        };
        self.ask(Op::Sleep(bed));
        self.suspect.set(Some(self.seen.get()));
        self.from.set(self.at.get());
        if self.mistake == Mutation::LeaveSilently && self.leaves.get() && self.ask(Op::Now) == 1 {
            resume_unwind(Box::new(Leaves));
        }
    }

    /// `None` when it is dropped before it has the lock.
    fn acquire_in_task(&self) -> Option<Result<Acquired, LockRefusal>> {
        let mut waiter = LockWaiter::new();
        loop {
            match waiter.look(self, Deadline::Never, 0) {
                LockPolled::Done(acquired) => return Some(acquired),
                LockPolled::Sleep(limit) => self.sleep(limit),
            }
            if self.ask(Op::Now) == 1 {
                if self.mistake != Mutation::LeaveSilently {
                    waiter.give_up(self);
                }
                return None;
            }
        }
    }
}

/// Ends a turn, for [`Mutation::LeaveSilently`].
struct Leaves;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Owners are small numbers here.
fn small(id: u64) -> u8 {
    u8::try_from(id).unwrap_or(u8::MAX)
}

impl LockMemory for Replay<'_> {
    fn try_acquire(&self) -> Result<(), u64> {
        let owner = match self.known.take() {
            Some(known) => known,
            None if self.mistake == Mutation::AcquireByStore => {
                let owner = self.ask(Op::LoadOwner);
                if owner == 0 {
                    self.ask(Op::StoreOwner(None));
                }
                owner
            }
            None => self.ask(Op::TryAcquire),
        };
        self.seen.set(owner);
        match owner {
            0 => Ok(()),
            owner => Err(owner.into()),
        }
    }

    fn try_take_over(&self, dead: u64) -> bool {
        let dead = small(dead);
        match self.mistake {
            Mutation::TakeFromAnyone => match self.ask(Op::LoadOwner) {
                0 => false,
                owner => self.ask(Op::TryTakeOver(owner)) == 1,
            },
            Mutation::TakeOverByStore => {
                let same = self.ask(Op::LoadOwner) == dead;
                if same {
                    self.ask(Op::StoreOwner(Some(dead)));
                }
                same
            }
            _ => self.ask(Op::TryTakeOver(dead)) == 1,
        }
    }

    fn owner(&self) -> u64 {
        match self.polled.take() {
            Some(polled) => u64::from(!polled),
            None if self.mistake == Mutation::StayAnyway => self.seen.get().into(),
            None => self.ask(Op::LoadOwner).into(),
        }
    }

    fn is_announced(&self) -> bool {
        self.ask(Op::LoadWaiting) == 1
    }

    fn free(&self) {
        if self.mistake == Mutation::LookThenFree {
            self.looked.set(Some(self.ask(Op::LoadWaiting) == 1));
        }
        if self.mistake != Mutation::NoFree {
            self.ask(Op::Free);
        }
        if self.mistake == Mutation::FreeTwice {
            self.ask(Op::Free);
        }
    }

    fn is_awaited(&self) -> bool {
        self.looked
            .take()
            .unwrap_or_else(|| self.ask(Op::LoadWaiting) == 1)
    }

    fn announce(&self) {
        match self.mistake {
            Mutation::NoNewAnnouncement if self.seen.get() == 0 => {}
            Mutation::BarrierFirst if self.seen.get() != 0 => {}
            _ => {
                self.ask(Op::Announce);
            }
        }
    }

    fn take_announcement(&self) -> bool {
        let op = if self.mistake == Mutation::WakeThenTake {
            Op::LoadWaiting
        } else {
            Op::TakeAnnouncement
        };
        self.ask(op) == 1
    }

    fn barrier(&self) {
        if self.mistake != Mutation::NoBarrier {
            self.ask(Op::Barrier);
        }
        if self.mistake == Mutation::BarrierFirst {
            self.ask(Op::Announce);
        }
        if self.mistake == Mutation::NoSecondLook {
            self.known.set(Some(self.seen.get()));
        }
    }

    fn wake(&self) {
        if self.mistake != Mutation::NoWake {
            self.ask(Op::Wake);
        }
        if self.mistake == Mutation::WakeThenTake {
            self.ask(Op::TakeAnnouncement);
        }
    }

    fn is_gone(&self, owner: u64) -> bool {
        match self.mistake {
            Mutation::NoProof => true,
            Mutation::NeverProven | Mutation::NeverProvenAwake => false,
            _ => self.ask(Op::IsGone(small(owner))) == 1,
        }
    }

    fn checks_often(&self) -> bool {
        true
    }

    fn is_own(&self, owner: u64) -> bool {
        self.ask(Op::IsOwn(small(owner))) == 1
    }

    fn now(&self) -> Instant {
        *START + Duration::from_secs(2 * u64::from(self.ask(Op::Now)))
    }

    /// Of the tries that make up a spin the first is made, and may come at any time. The others are
    /// without effect when they find the lock held, and when one of them finds it free the first
    /// might as well have been there. The look before it is left out, because the try looks too.
    fn relax(&self, pauses: u32) {
        self.polled.set(Some(pauses == 1));
    }
}
