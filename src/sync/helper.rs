//! Threads that sleep on words for those who must not: the futures of [`super::future`].
//!
//! They start when they are first needed, and sleep when nobody waits. A forked child starts its own. Each sleeps on as many words
//! as the system allows at once, of which the first is its own, to be told of new ones.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::sys::{self, Address, Generation, PerProcess, Slept, Word};

/// One of them is the helper's own.
const MOST: usize = sys::MOST_WORDS - 1;

/// The helpers of this process.
static HELPERS: PerProcess<Mutex<Vec<&'static Helper>>> = PerProcess::new();

/// A thread, and what it sleeps on.
#[derive(Debug, Default)]
struct Helper {
    waiters: Mutex<Waiters>,
    /// Raised, and woken, when there is a new waiter.
    called: AtomicU32,
}

#[derive(Debug, Default)]
struct Waiters {
    last: u64,
    list: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    word: Address,
    seen: u32,
    until: Option<Instant>,
    waker: Waker,
}

/// Waits for somebody until it is dropped. After the waker was called there is nothing left of it.
#[derive(Debug)]
pub(super) struct Ticket {
    helper: &'static Helper,
    number: u64,
    generation: Generation,
}

/// Has `waker` called when the word is no longer `seen`, when it is woken, or when `limit` is over; once.
///
/// # Errors
///
/// There is no thread for it.
pub(super) fn wait(
    word: Word<'_>,
    seen: u32,
    limit: Option<Duration>,
    waker: &Waker,
) -> io::Result<Ticket> {
    let generation = Generation::current()?;
    let until = limit.and_then(|limit| Instant::now().checked_add(limit));
    // Before anything is locked: a clone may run anything, and wait here itself.
    let waker = waker.clone();
    let mut helpers = lock(HELPERS.get_or_make(|| Ok(Mutex::default()))?);
    let with_room = helpers
        .iter()
        .find(|it| lock(&it.waiters).list.len() < MOST);
    let helper = if let Some(helper) = with_room {
        helper
    } else {
        let helper = Helper::start()?;
        helpers.push(helper);
        helper
    };
    let mut waiters = lock(&helper.waiters);
    waiters.last += 1;
    let number = waiters.last;
    waiters.list.push(Waiter {
        number,
        word: word.address(),
        seen,
        until,
        waker,
    });
    drop(waiters);
    drop(helpers);
    helper.called.fetch_add(1, Ordering::Release);
    sys::wake_one(&helper.called);
    Ok(Ticket {
        helper,
        number,
        generation,
    })
}

/// Nobody panics while it is locked, except by running out of memory, which leaves the list whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In a forked child the thread is not there, and somebody may have had the lock.
        if self.generation.is_current() {
            drop(self.helper.take(|waiter| waiter.number == self.number));
        }
    }
}

impl Helper {
    fn start() -> io::Result<&'static Helper> {
        let helper: &'static Helper = Box::leak(Box::default());
        sys::start_thread("sharehold-wait", || helper.run())?;
        Ok(helper)
    }

    /// Takes out those waiters that this says.
    fn take(&self, mut these: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        lock(&self.waiters)
            .list
            .extract_if(.., |it| these(it))
            .collect()
    }

    fn run(&self) {
        loop {
            let called = self.called.load(Ordering::Acquire);
            let mut words = vec![(Word::from(&self.called).address(), called)];
            let mut numbers = Vec::new();
            let mut until = None;
            for waiter in &lock(&self.waiters).list {
                words.push((waiter.word, waiter.seen));
                numbers.push(waiter.number);
                until = waiter.until.into_iter().chain(until).min();
            }
            let limit = until.map(|end| end.saturating_duration_since(Instant::now()));
            let slept = sys::wait_any(&words, limit);
            let woken = match slept {
                Slept::Woken(0) => continue,
                Slept::Woken(index) => {
                    let number = numbers.get(index - 1).copied();
                    let woken = self.take(|it| Some(it.number) == number);
                    if woken.is_empty()
                        && let Some(&(word, _)) = words.get(index)
                    {
                        // Nobody waits there any more, and somebody else may have been left asleep for it.
                        sys::wake_one_at(word);
                    }
                    woken
                }
                Slept::TimedOut | Slept::Unclear => {
                    let now = Instant::now();
                    let any = slept == Slept::Unclear;
                    self.take(|it| {
                        it.until.is_some_and(|end| end <= now)
                            || any && sys::differs(it.word, it.seen)
                    })
                }
            };
            // Not while the list is locked: a waker may run anything. Its panic is not for the other waiters.
            for waiter in woken {
                let _ = catch_unwind(AssertUnwindSafe(|| waiter.waker.wake()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// Waits until a thread of this process sleeps.
    fn wait_until_asleep(thread: u32) {
        let path = format!("/proc/self/task/{thread}/status");
        let sleeps = |status: String| status.contains("State:\tS");
        while !fs::read_to_string(&path).is_ok_and(sleeps) {
            thread::yield_now();
        }
    }

    /// Waits until a helper sleeps on its own word and another one.
    fn wait_until_helper_sleeps() {
        let sleeps = |task: fs::DirEntry| {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            // The number of the call, where the words are, and how many there are.
            let call = read("syscall");
            read("comm").trim() == "sharehold-wait" && call.split(' ').nth(2) == Some("0x2")
        };
        let any = || fs::read_dir("/proc/self/task").map(|it| it.flatten().any(sleeps));
        while !any().expect("/proc is mounted") {
            thread::yield_now();
        }
    }

    /// The thread sleeps without a limit, on a word that does not change.
    #[test]
    fn a_wake_up_for_one_who_was_dropped_is_passed_on() {
        for _ in 0..20 {
            let word = AtomicU32::new(0);
            let ticket = wait((&word).into(), 0, None, Waker::noop()).expect("there are threads");
            // Another waiter's word would wake the helper, which would lose its place as the first to be woken.
            wait_until_helper_sleeps();
            thread::scope(|scope| {
                let (tell, told) = std::sync::mpsc::channel();
                let word = &word;
                let sleeper = scope.spawn(move || {
                    let generation = Generation::current().expect("it is known");
                    tell.send(sys::thread_id(generation)).expect("it listens");
                    sys::wait(word, 0, Some(Duration::from_secs(30)));
                });
                wait_until_asleep(told.recv().expect("it says"));
                drop(ticket);
                let start = Instant::now();
                sys::wake_one(word);
                sleeper.join().expect("it wakes up");
                assert!(start.elapsed() < Duration::from_secs(20), "it slept on");
            });
        }
    }
}
