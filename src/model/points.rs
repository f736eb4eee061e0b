//! The places of a model's threads: code is cut into segments. A segment runs anew from its
//! beginning, with the answers that its steps have had so far, until it needs one more answer.
//!
//! So the state of a thread is what the code keeps between two segments, and these answers; here it
//! is a small number.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// The code of the threads.
pub(crate) trait Code {
    /// The state between two segments.
    type Stage: Copy + Eq + Hash;
    /// A step, as it is about to happen.
    type Op: Copy + Eq + Hash + Send + 'static;
    /// The step of a thread that has finished.
    const END: Self::Op;

    /// Runs a segment to its end; `None` when the program ends before it.
    fn run(&self, thread: usize, stage: Self::Stage, steps: &Answers<'_>) -> Option<Self::Stage>;
}

/// The answers to the steps of a segment; the segment stops where they end.
pub(crate) struct Answers<'a> {
    given: &'a [u64],
    at: Cell<usize>,
}

impl Answers<'_> {
    /// Takes a step: its answer, if it has one yet.
    pub(crate) fn ask<O: Send + 'static>(&self, op: O) -> u64 {
        let at = self.at.get();
        let Some(&answer) = self.given.get(at) else {
            resume_unwind(Box::new(op));
        };
        self.at.set(at + 1);
        answer
    }
}

/// One place.
#[derive(Clone, Copy)]
pub(crate) struct Point<C: Code> {
    /// What the thread does next.
    pub(crate) op: C::Op,
    /// The state at the beginning of its segment.
    pub(crate) stage: C::Stage,
    /// Whether it has done nothing since then.
    pub(crate) is_at_start: bool,
}

/// The places of all threads, by number.
pub(crate) struct Points<C: Code> {
    known: RefCell<Vec<Known<C>>>,
    numbers: RefCell<Numbers<C>>,
    next: RefCell<HashMap<(u32, u64), u32>>,
}

type Numbers<C> = HashMap<(usize, <C as Code>::Stage, Vec<u64>), u32>;

struct Known<C: Code> {
    thread: usize,
    answers: Vec<u64>,
    place: Point<C>,
}

impl<C: Code> Points<C> {
    pub(crate) fn new() -> Points<C> {
        Points {
            known: RefCell::default(),
            numbers: RefCell::default(),
            next: RefCell::default(),
        }
    }

    /// The place of a thread that begins in this state.
    pub(crate) fn start(&self, code: &C, thread: usize, stage: C::Stage) -> u32 {
        self.number(code, thread, stage, Vec::new())
    }

    /// Reads a place without copying it, since this happens millions of times.
    pub(crate) fn at<R>(&self, number: u32, look: impl FnOnce(&Point<C>) -> R) -> R {
        look(&self.known.borrow()[number as usize].place)
    }

    /// The place of a thread after the answer to its step.
    pub(crate) fn next(&self, code: &C, number: u32, answer: u64) -> u32 {
        let known = self.next.borrow().get(&(number, answer)).copied();
        known.unwrap_or_else(|| {
            let (thread, stage, mut answers) = {
                let known = &self.known.borrow()[number as usize];
                (known.thread, known.place.stage, known.answers.clone())
            };
            answers.push(answer);
            let next = self.number(code, thread, stage, answers);
            self.next.borrow_mut().insert((number, answer), next);
            next
        })
    }

    /// Continues from the beginning of a segment with these answers, and through segments that need
    /// none.
    fn number(&self, code: &C, thread: usize, stage: C::Stage, answers: Vec<u64>) -> u32 {
        let (mut stage, mut answers) = (stage, answers);
        let op = loop {
            let steps = Answers {
                given: &answers,
                at: Cell::new(0),
            };
            match catch_unwind(AssertUnwindSafe(|| code.run(thread, stage, &steps))) {
                Ok(None) => break C::END,
                Ok(Some(after)) => (stage, answers) = (after, Vec::new()),
                Err(payload) => match payload.downcast::<C::Op>() {
                    Ok(op) => break *op,
                    Err(other) => resume_unwind(other),
                },
            }
        };
        let key = (thread, stage, answers);
        if let Some(&number) = self.numbers.borrow().get(&key) {
            return number;
        }
        let mut known = self.known.borrow_mut();
        let number = u32::try_from(known.len()).unwrap_or(u32::MAX);
        known.push(Known {
            thread,
            answers: key.2.clone(),
            place: Point {
                op,
                stage,
                is_at_start: key.2.is_empty(),
            },
        });
        self.numbers.borrow_mut().insert(key, number);
        number
    }
}
