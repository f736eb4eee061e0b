//! An event that is set and reset at once: the waiters that slept before are let pass, in whatever
//! way they wait.

use std::fs;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;

use sharehold::{ErrorKind, Event, Mutex, Part, ResetMode};
use sharehold_testkit::{Child, Suite, Talk};

use super::{KEY, LONG};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(every_waiter_passes_an_event_that_is_reset_at_once)
        .test(one_waiter_passes_an_event_that_resets_itself_and_is_reset_at_once)
        .test(a_task_passes_what_was_set_and_reset_between_two_polls)
        .test(one_task_of_two_has_what_was_set_and_reset)
        .test(a_reset_leaves_nothing_for_later_waiters)
        .role(waiter)
}

/// An event, and how many waiters have passed.
#[derive(Part)]
struct Gate {
    event: Event,
    passed: Mutex<u64>,
}

fn create(reset: ResetMode) -> Gate {
    let first = GateInit {
        event: reset,
        passed: 0,
    };
    Gate::create(KEY, first).expect("nothing has the key")
}

impl Gate {
    fn set_and_reset(&self) {
        self.event.set().expect("it is no fork");
        self.event.reset().expect("it is no fork");
    }

    /// Waits until so many have passed; how many they are then.
    fn wait_for(&self, passed: u64) -> u64 {
        let guard = self.passed.lock().expect("it comes free");
        let guard = guard.wait_while_timeout(LONG, |it| *it < passed);
        *guard.expect("a waiter missed what was set")
    }
}

/// How often that is tried: a machine may wake all in time for a set that did not last, but not
/// each time.
const ROUNDS: usize = 20;

/// Waits for the event on its thread, in a task, or on two threads.
fn waiter(test: &mut Talk) {
    let gate = Gate::attach(KEY).expect("it is there");
    let how = test.argument(0);
    let count = || *gate.passed.lock().expect("it comes free") += 1;
    let pass = || {
        gate.event.wait().expect("it is no fork");
        count();
    };
    test.say("waits");
    match how.as_str() {
        "thread" => pass(),
        "task" => {
            pollster::block_on(gate.event.wait_async()).expect("it is no fork");
            count();
        }
        _ => thread::scope(|scope| {
            scope.spawn(pass);
            scope.spawn(pass);
        }),
    }
    test.wait_for_end();
}

/// Waiters of each kind, in processes of their own, and how many of their threads are to sleep.
fn start() -> [(Child, usize); 4] {
    [("thread", 1), ("thread", 1), ("task", 1), ("threads", 3)].map(|(how, threads)| {
        let mut child = Child::with(waiter, [how]);
        child.hears("waits");
        (child, threads)
    })
}

const WAITERS: u64 = 5;

fn wait_until_all_sleep(children: &[(Child, usize)]) {
    for (child, threads) in children {
        while asleep(child.pid()) < *threads {
            thread::yield_now();
        }
    }
}

/// How many threads of a process sleep on a word of memory.
fn asleep(pid: u32) -> usize {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let sleeps = |thread: &fs::DirEntry| {
        let call = fs::read_to_string(thread.path().join("syscall"));
        call.is_ok_and(|call| call.starts_with(&format!("{} ", libc::SYS_futex)))
    };
    threads.flatten().filter(sleeps).count()
}

fn every_waiter_passes_an_event_that_is_reset_at_once() {
    for _ in 0..ROUNDS {
        let gate = create(ResetMode::Manual);
        let mut children = start();
        wait_until_all_sleep(&children);
        gate.set_and_reset();
        assert_eq!(gate.wait_for(WAITERS), WAITERS);
        assert!(!gate.event.is_set().expect("it is no fork"));
        for (child, _) in &mut children {
            child.ends_well();
        }
    }
}

fn one_waiter_passes_an_event_that_resets_itself_and_is_reset_at_once() {
    let gate = create(ResetMode::Auto);
    let mut children = start();
    wait_until_all_sleep(&children);
    for passed in 1..=WAITERS {
        gate.set_and_reset();
        let found = gate.wait_for(passed);
        assert_eq!(found, passed, "two passed what was set once");
    }
    let late = gate.event.try_wait().expect_err("it was reset");
    assert_eq!(late.kind(), ErrorKind::WouldBlock);
    for (child, _) in &mut children {
        child.ends_well();
    }
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn a_task_passes_what_was_set_and_reset_between_two_polls() {
    let gate = create(ResetMode::Manual);
    let mut before = pin!(gate.event.wait_async());
    assert!(poll(before.as_mut()).is_pending(), "it is not set");
    gate.set_and_reset();
    let mut after = pin!(gate.event.wait_async());
    assert!(poll(after.as_mut()).is_pending(), "it was reset");
    assert!(poll(before.as_mut()).is_ready(), "it missed what was set");
    gate.event.set().expect("it is no fork");
    assert!(poll(after.as_mut()).is_ready(), "it is set");
}

fn one_task_of_two_has_what_was_set_and_reset() {
    let gate = create(ResetMode::Auto);
    let mut first = pin!(gate.event.wait_async());
    let mut second = pin!(gate.event.wait_async());
    assert!(poll(first.as_mut()).is_pending(), "it is not set");
    assert!(poll(second.as_mut()).is_pending(), "it is not set");
    gate.set_and_reset();
    let mut late = pin!(gate.event.wait_async());
    assert!(poll(late.as_mut()).is_pending(), "it was reset");
    assert!(poll(second.as_mut()).is_ready(), "it missed what was set");
    assert!(
        poll(first.as_mut()).is_pending(),
        "two had what was set once"
    );
    // What is set now is for anybody, and for one.
    gate.event.set().expect("it is no fork");
    assert!(poll(late.as_mut()).is_ready(), "it is set");
    assert!(poll(first.as_mut()).is_pending(), "it was taken");
    gate.event.set().expect("it is no fork");
    assert!(poll(first.as_mut()).is_ready(), "it is set");
}

fn a_reset_leaves_nothing_for_later_waiters() {
    for reset in [ResetMode::Manual, ResetMode::Auto] {
        let gate = create(reset);
        let mut dropped = Box::pin(gate.event.wait_async());
        assert!(poll(dropped.as_mut()).is_pending(), "it is not set");
        gate.set_and_reset();
        drop(dropped);
        let late = gate.event.try_wait().expect_err("it was reset");
        assert_eq!(late.kind(), ErrorKind::WouldBlock, "{reset:?}");
        let late = gate.event.wait_timeout(std::time::Duration::from_millis(1));
        let late = late.expect_err("nobody has set it since");
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }
}
