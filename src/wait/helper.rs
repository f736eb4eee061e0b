//! Threads that sleep on words on behalf of the futures of [`super::future`].
//!
//! They start when they are first needed, and sleep while no future waits. A forked child starts
//! its own. Each thread sleeps on as many words at once as the system allows. The first of them is
//! its own word, which signals new waiters.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::deadline::Deadline;
use crate::sys::{self, Address, Generation, PerProcess, Slept, Word};

/// The most waiters of a helper: one of its words is its own.
const MOST: usize = sys::MOST_WORDS - 1;

/// The helpers of this process.
static HELPERS: PerProcess<Mutex<Vec<Arc<Helper>>>> = PerProcess::new();

/// A thread, and what it sleeps on.
#[derive(Debug, Default)]
struct Helper {
    waiters: Mutex<HelperWaiters>,
    /// Raised, and woken, when there is a new waiter.
    called: AtomicU32,
}

#[derive(Debug, Default)]
struct HelperWaiters {
    last: u64,
    list: Vec<HelperWaiter>,
}

#[derive(Debug)]
struct HelperWaiter {
    number: u64,
    word: Address,
    seen: u32,
    deadline: Option<Instant>,
    waker: Waker,
}

/// The place of a waiter at a helper; dropping it ends the wait. The helper removes the waiter when
/// it calls the waker.
#[derive(Debug)]
pub(crate) struct Ticket {
    helper: Arc<Helper>,
    number: u64,
    generation: Generation,
}

/// Arranges one call of `waker`: when the word is no longer `seen`, when it is woken, or when
/// `limit` has passed.
///
/// # Errors
///
/// No helper thread could be started.
pub(crate) fn wait(
    word: Word<'_>,
    seen: u32,
    limit: Option<Duration>,
    waker: &Waker,
) -> io::Result<Ticket> {
    let generation = Generation::current()?;
    let deadline = limit.and_then(|limit| Deadline::after(limit).instant());
    // Cloned before anything is locked: the clone may run any code, and may itself wait here.
    let waker = waker.clone();
    let mut helpers = lock(HELPERS.get_or_make(|| Ok(Mutex::default()))?);
    let with_room = helpers
        .iter()
        .find(|it| lock(&it.waiters).list.len() < MOST);
    let helper = if let Some(helper) = with_room {
        Arc::clone(helper)
    } else {
        let helper = Helper::start()?;
        helpers.push(Arc::clone(&helper));
        helper
    };
    let mut waiters = lock(&helper.waiters);
    waiters.last += 1;
    let number = waiters.last;
    waiters.list.push(HelperWaiter {
        number,
        word: word.address(),
        seen,
        deadline,
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

/// Locks a mutex and ignores poisoning: no code panics while it is locked, except when memory runs
/// out, and that leaves the list whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // In a forked child the helper thread does not exist, and another thread may have had the
        // mutex locked.
        if self.generation.is_current() {
            drop(self.helper.take(|waiter| waiter.number == self.number));
        }
    }
}

impl Helper {
    fn start() -> io::Result<Arc<Helper>> {
        let helper = Arc::new(Helper::default());
        let of_thread = Arc::clone(&helper);
        sys::start_thread("sharehold-wait", move || of_thread.run())?;
        Ok(helper)
    }

    /// Removes and returns the waiters for which `these` is true.
    fn take(&self, mut these: impl FnMut(&HelperWaiter) -> bool) -> Vec<HelperWaiter> {
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
            let mut deadline = None;
            for waiter in &lock(&self.waiters).list {
                words.push((waiter.word, waiter.seen));
                numbers.push(waiter.number);
                deadline = waiter.deadline.into_iter().chain(deadline).min();
            }
            let limit = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let slept = sys::wait_any(&words, limit);
            let woken = match slept {
                Slept::Woken(0) => continue,
                Slept::Woken(index) => {
                    let number = numbers.get(index - 1).copied();
                    let woken = self.take(|it| Some(it.number) == number);
                    if woken.is_empty()
                        && let Some(&(word, _)) = words.get(index)
                    {
                        // The waiter of this word was dropped; the wake-up may have been meant for
                        // another sleeper.
                        sys::wake_one_at(word);
                    }
                    woken
                }
                Slept::TimedOut | Slept::Unclear => {
                    let now = Instant::now();
                    let any = slept == Slept::Unclear;
                    self.take(|it| {
                        it.deadline.is_some_and(|end| end <= now)
                            || any && sys::differs(it.word, it.seen)
                    })
                }
            };
            // The list is unlocked here, since a waker may run any code. A panic of a waker must
            // not affect the other waiters.
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

    /// Waits until a helper sleeps on its own word and one other word.
    fn wait_until_helper_sleeps() {
        let sleeps = |task: fs::DirEntry| {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            // The number of the system call, the address of the words, and their count.
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
    fn a_wake_up_for_a_dropped_waiter_is_passed_on() {
        for _ in 0..20 {
            let word = AtomicU32::new(0);
            let ticket = wait((&word).into(), 0, None, Waker::noop()).expect("there are threads");
            // No word of another waiter is used: it would wake the helper, and the helper would no
            // longer be the first sleeper on `word`.
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
