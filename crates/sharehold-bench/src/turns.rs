//! Two processes that take turns by waiting for a value to change, or for an event: in threads, and
//! in tasks.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use anyhow::Result;
use sharehold::{Event, Part, Policy, ResetMode, Segment, Shared};

use crate::harness::{say, start_line, times};

pub(crate) fn make(key: &str) -> Result<()> {
    let options = Segment::options().policy(Policy::Persistent);
    Ok(options.create_shared(key, &0_u64)?.detach()?)
}

/// Takes `number` turns, those where the value is even for `me` = 0.
pub(crate) fn take(key: &str, number: u64, me: u64) -> Result<()> {
    let turn = Shared::<u64>::attach(key)?;
    let begin = start_line()?;
    for _ in 0..number {
        let found = turn.wait_while(|turn| turn % 2 != me)?;
        turn.set(&(found + 1))?;
    }
    say(&times(begin, number))
}

/// The same in a task.
pub(crate) fn take_in_task(key: &str, number: u64, me: u64) -> Result<()> {
    let turn = Shared::<u64>::attach(key)?;
    let begin = start_line()?;
    for _ in 0..number {
        let found = block_on(turn.wait_while_async(|turn| turn % 2 != me))?;
        turn.set(&(found + 1))?;
    }
    say(&times(begin, number))
}

/// Whose turn it is.
#[derive(Part)]
struct Turns {
    first: Event,
    second: Event,
}

impl Turns {
    /// The event that `me` waits for, and the one that lets the other one go on.
    fn of(&self, me: usize) -> (&Event, &Event) {
        match me {
            0 => (&self.first, &self.second),
            _ => (&self.second, &self.first),
        }
    }
}

pub(crate) fn make_events(key: &str) -> Result<()> {
    let options = Segment::options().policy(Policy::Persistent);
    let (first, second) = (ResetMode::Auto, ResetMode::Auto);
    let turns: Turns = options.create_part(key, TurnsInit { first, second })?;
    Ok(turns.first.set()?)
}

/// Takes `number` turns, the first one first if `me` is 0.
pub(crate) fn take_by_event(key: &str, number: u64, me: usize) -> Result<()> {
    let turns = Turns::attach(key)?;
    let (mine, theirs) = turns.of(me);
    let begin = start_line()?;
    for _ in 0..number {
        mine.wait()?;
        theirs.set()?;
    }
    say(&times(begin, number))
}

/// The same in a task.
pub(crate) fn take_by_event_in_task(key: &str, number: u64, me: usize) -> Result<()> {
    let turns = Turns::attach(key)?;
    let (mine, theirs) = turns.of(me);
    let begin = start_line()?;
    for _ in 0..number {
        block_on(mine.wait_async())?;
        theirs.set()?;
    }
    say(&times(begin, number))
}

/// The least that runs a future: a thread that sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Sleeper(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Sleeper(Thread);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
