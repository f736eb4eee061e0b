//! Waiting for parts in tasks: what a dropped future leaves, which waiter a death wakes, and
//! what a forked child finds.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt as _;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use pollster::block_on;
use sharehold::{Barrier, BarrierOptions, DeathPolicy, ErrorKind, Mutex, Part, Result, Semaphore};
use sharehold_testkit::raw::Fork;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use super::{KEY, LONG, SHORT, attach, create, whole};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(guards_of_tasks_may_be_sent)
        .test(any_executor_will_do)
        .test(a_dropped_wait_for_a_mutex_leaves_it_to_others)
        .test(a_dropped_wait_for_a_value_leaves_nothing)
        .test(a_dropped_writer_lets_readers_in)
        .test(a_dropped_reader_blocks_no_task)
        .test(a_reader_that_is_not_polled_keeps_no_writer_out)
        .test(a_reader_that_is_polled_comes_in_before_the_next_writer)
        .test(a_dropped_upgrade_blocks_no_task)
        .test(the_next_task_makes_a_value_after_its_maker_was_dropped)
        .test(a_dropped_wait_for_permits_takes_none)
        .test(a_dropped_wait_for_an_event_takes_nothing)
        .test(a_dropped_wait_at_a_barrier_has_not_arrived)
        .test(a_task_has_what_the_dead_held)
        .test(a_task_learns_of_a_broken_round)
        .test(a_task_that_dies_waiting_blocks_no_task)
        .test(a_task_that_dies_before_it_comes_in_does_not_block_a_try)
        .test(a_forked_child_has_no_part_in_what_its_parent_waits_for)
        .test(a_task_stopped_inside_blocks_no_other)
        .role(holder)
        .role(waiter)
        .role(reads_later)
        .role(stopped)
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn assert_waits<F: Future>(future: Pin<&mut F>) {
    assert!(poll(future).is_pending(), "it does not wait");
}

#[track_caller]
fn assert_in_the_way<T>(tried: Result<T>) {
    let kind = tried.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::WouldBlock));
}

/// Holds something until it is killed.
fn holder(test: &mut Talk) {
    let family = attach();
    match test.argument(0).as_str() {
        "mutex" => std::mem::forget(family.mutex.lock()),
        "reader" => std::mem::forget(family.inner.rwlock.read()),
        "writer" => std::mem::forget(family.inner.rwlock.write()),
        "permits" => std::mem::forget(family.inner.permits.acquire_many(2)),
        "barrier" => {
            test.say("arrives");
            drop(family.inner.strict.wait());
        }
        _ => drop(family.once.get_or_init(|| {
            test.say("holds");
            test.wait_for_end();
            [1; 16]
        })),
    }
    test.say("holds");
    test.wait_for_end();
}

fn that_holds(what: &str) -> Child {
    let mut child = Child::with(holder, [what]);
    child.hears("holds");
    child
}

/// Waits in tasks until it is killed.
fn waiter(test: &mut Talk) {
    let family = attach();
    let mut write = pin!(family.inner.rwlock.write_async());
    let mut lock = pin!(family.mutex.lock_async());
    let mut wait = pin!(family.once.wait_async());
    assert_waits(write.as_mut());
    assert_waits(lock.as_mut());
    assert_waits(wait.as_mut());
    test.say("waits");
    test.wait_for_end();
}

/// Waits to read in a task that is polled once.
fn reads_later(test: &mut Talk) {
    let family = attach();
    let mut read = pin!(family.inner.rwlock.read_async());
    assert_waits(read.as_mut());
    test.say("waits");
    test.wait_for_end();
}

fn guards_of_tasks_may_be_sent() {
    let family = create();
    block_on(async {
        let guard = family.mutex.lock_async().await.expect("it is free");
        let writer = family.inner.rwlock.write_async().await;
        let mut writer = writer.expect("it is free");
        thread::scope(|scope| {
            scope.spawn(|| {
                *writer = [1; 16];
                drop((guard, writer));
            });
        });
    });
    let reader = block_on(family.inner.rwlock.read_async());
    assert_eq!(whole(&reader.expect("it was left")), 1);
    drop(family.mutex.try_lock().expect("it was released"));
}

fn any_executor_will_do() {
    let family = create();
    let guard = family.mutex.lock().expect("it is free");
    let writer = family.inner.rwlock.write().expect("it is free");
    thread::scope(|scope| {
        let locks = scope.spawn(|| {
            block_on(async {
                let guard = family.mutex.lock_async().await?;
                let guard = guard.wait_while_async(|it| whole(it) < 2).await?;
                Ok::<_, sharehold::Error>(whole(&guard))
            })
        });
        let reads = scope.spawn(|| block_on(family.inner.rwlock.read_async()).map(drop));
        let waits = scope.spawn(|| block_on(family.once.wait_async()));
        drop((guard, writer));
        for value in 1..=2 {
            let mut guard = family.mutex.lock_timeout(LONG).expect("it comes free");
            *guard = [value; 16];
        }
        let made = block_on(family.once.get_or_init_async(async || [3; 16]));
        assert_eq!(whole(&made.expect("nobody makes it")), 3);
        let ended = (locks.join(), reads.join(), waits.join());
        let (Ok(locked), Ok(read), Ok(waited)) = ended else {
            panic!("a waiter panicked");
        };
        assert_eq!(locked.expect("it is changed"), 2);
        read.expect("the writer leaves");
        assert_eq!(whole(&waited.expect("it is made")), 3);
    });
}

fn a_dropped_wait_for_a_mutex_leaves_it_to_others() {
    let family = create();
    for _ in 0..20 {
        let guard = family.mutex.lock().expect("it is free");
        let mut dropped = Box::pin(family.mutex.lock_async());
        assert_waits(dropped.as_mut());
        thread::scope(|scope| {
            let other = scope.spawn(|| family.mutex.lock_timeout(LONG).map(drop));
            drop(guard);
            drop(dropped);
            other.join().expect("it ends").expect("it comes free");
        });
        drop(family.mutex.try_lock().expect("nobody has it"));
    }
}

fn a_dropped_wait_for_a_value_leaves_nothing() {
    let family = create();
    let mut guard = block_on(family.mutex.lock_async()).expect("it is free");
    *guard = [5; 16];
    let mut waiting = Box::pin(guard.wait_while_async(|it| whole(it) == 5));
    assert_waits(waiting.as_mut());
    // What was changed before is committed, and the lock released.
    assert_eq!(whole(&family.mutex.get().expect("it is whole")), 5);
    *family.mutex.try_lock().expect("it was released") = [6; 16];
    drop(waiting);
    drop(family.mutex.try_lock().expect("nobody has it"));
}

fn a_dropped_writer_lets_readers_in() {
    let family = create();
    let rwlock = &family.inner.rwlock;
    let reader = rwlock.read().expect("nobody is inside");
    let mut waiting = Box::pin(rwlock.write_async());
    assert_waits(waiting.as_mut());
    assert_in_the_way(rwlock.try_read());
    // One that waits for the first to leave, and one that it is to let in.
    let mut second = Box::pin(rwlock.write_async());
    assert_waits(second.as_mut());
    thread::scope(|scope| {
        let late = scope.spawn(|| rwlock.read_timeout(LONG).map(drop));
        drop(second);
        drop(waiting);
        late.join().expect("it ends").expect("nobody writes");
    });
    drop(rwlock.try_read().expect("nobody writes"));
    drop(reader);
    drop(rwlock.try_write().expect("nobody is inside"));
}

fn a_dropped_reader_blocks_no_task() {
    let family = create();
    let rwlock = &family.inner.rwlock;
    let writer = rwlock.write().expect("nobody is inside");
    let mut waiting = Box::pin(rwlock.read_async());
    assert_waits(waiting.as_mut());
    drop(waiting);
    let mut let_in = Box::pin(rwlock.read_async());
    assert_waits(let_in.as_mut());
    drop(writer);
    // It may come in, and is not polled: that does not keep out an attempt without waiting.
    drop(rwlock.try_write().expect("nobody is inside"));
    drop(let_in);
    drop(rwlock.try_write().expect("nobody is inside"));
}

fn a_reader_that_is_not_polled_keeps_no_writer_out() {
    let family = create();
    let rwlock = &family.inner.rwlock;
    let writer = rwlock.write().expect("nobody is inside");
    let mut waiting = Box::pin(rwlock.read_async());
    let mut forgotten = Box::pin(rwlock.read_async());
    assert_waits(waiting.as_mut());
    assert_waits(forgotten.as_mut());
    std::mem::forget(forgotten);
    drop(writer);
    // They may come in, and are not polled.
    let writer = rwlock.write_timeout(LONG).expect("nobody is inside");
    assert_waits(waiting.as_mut());
    drop(writer);
    let mut upgraded = rwlock.read().expect("nobody writes");
    upgraded = match upgraded.upgrade_timeout(LONG) {
        Ok(writer) => writer.downgrade().expect("there is room"),
        Err(refused) => panic!("{refused}"),
    };
    drop(upgraded);
    drop(block_on(rwlock.write_async()).expect("nobody is inside"));
    drop(block_on(waiting).expect("nobody writes"));
    drop(rwlock.try_write().expect("nobody is inside"));
}

fn a_reader_that_is_polled_comes_in_before_the_next_writer() {
    let family = create();
    let rwlock = &family.inner.rwlock;
    let writer = rwlock.write().expect("nobody is inside");
    let mut waiting = pin!(rwlock.read_async());
    assert_waits(waiting.as_mut());
    let mut next = pin!(rwlock.write_async());
    assert_waits(next.as_mut());
    drop(writer);
    assert_waits(next.as_mut());
    let reader = match poll(waiting.as_mut()) {
        Poll::Ready(reader) => reader.expect("it is no fork"),
        // A machine that stopped in between: then it was sent away.
        Poll::Pending => return drop(block_on(next).expect("nobody is inside")),
    };
    assert_waits(next.as_mut());
    drop(reader);
    drop(block_on(next).expect("nobody is inside"));
}

fn a_dropped_upgrade_blocks_no_task() {
    let family = create();
    let other = attach();
    let rwlock = &family.inner.rwlock;
    let reader = other.inner.rwlock.read().expect("nobody is inside");
    let own = rwlock.read().expect("readers share");
    let mut upgrading = Box::pin(own.upgrade_async());
    assert_waits(upgrading.as_mut());
    assert_in_the_way(rwlock.try_read());
    drop(upgrading);
    drop(rwlock.try_read().expect("nobody writes"));
    drop(reader);
    let own = rwlock.try_read().expect("nobody writes");
    let upgraded = block_on(own.upgrade_async());
    let mut writer = upgraded.expect("it is alone");
    *writer = [8; 16];
    drop(writer);
    assert_eq!(whole(&rwlock.get().expect("it is whole")), 8);
}

fn the_next_task_makes_a_value_after_its_maker_was_dropped() {
    let family = create();
    let never = async || std::future::pending().await;
    let mut makes = Box::pin(family.once.get_or_init_async(never));
    assert_waits(makes.as_mut());
    let mut next = Box::pin(family.once.get_or_init_async(async || [2; 16]));
    assert_waits(next.as_mut());
    drop(makes);
    assert_eq!(whole(&block_on(next).expect("it comes free")), 2);
}

fn a_dropped_wait_for_permits_takes_none() {
    let family = create();
    let permits = &family.inner.permits;
    for _ in 0..20 {
        let both = permits.acquire_many(2).expect("nobody has any");
        let mut dropped = Box::pin(permits.acquire_async());
        assert_waits(dropped.as_mut());
        thread::scope(|scope| {
            let other = scope.spawn(|| permits.acquire_many_timeout(2, LONG).map(drop));
            drop(both);
            drop(dropped);
            other.join().expect("it ends").expect("they come back");
        });
        assert_eq!(permits.available().expect("it is no fork"), 2);
    }
}

fn a_dropped_wait_for_an_event_takes_nothing() {
    let family = create();
    let event = &family.inner.auto;
    let mut dropped = Box::pin(event.wait_async());
    assert_waits(dropped.as_mut());
    let mut other = Box::pin(event.wait_async());
    assert_waits(other.as_mut());
    event.set().expect("it is no fork");
    drop(dropped);
    block_on(other).expect("it is set");
    assert!(!event.is_set().expect("it is no fork"), "it was taken");
}

fn a_dropped_wait_at_a_barrier_has_not_arrived() {
    let meeting = BarrierOptions {
        participants: 2,
        death_policy: DeathPolicy::BreakRound,
    };
    let step = Barrier::create(KEY, meeting).expect("nothing has the key");
    for _ in 0..3 {
        let mut dropped = Box::pin(step.wait_async());
        assert_waits(dropped.as_mut());
        drop(dropped);
        let late = step.wait_timeout(SHORT).expect_err("nobody else comes");
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }
    let mut first = Box::pin(step.wait_async());
    assert_waits(first.as_mut());
    let last = block_on(step.wait_async()).expect("the other one has come");
    assert!(last.is_leader());
    let first = block_on(first).expect("all have come");
    assert!(!first.is_leader());
}

fn a_task_learns_of_a_broken_round() {
    let family = create();
    let mut child = Child::with(holder, ["barrier"]);
    child.hears("arrives");
    child.waits_for_memory();
    let mut waits = pin!(family.inner.strict.wait_async());
    assert_waits(waits.as_mut());
    child.kill();
    let broken = block_on(waits).expect_err("one of the three is dead");
    assert_eq!(broken.kind(), ErrorKind::Broken);
}

fn a_task_has_what_the_dead_held() {
    let family = create();
    let mut holder = that_holds("permits");
    let mut acquire = pin!(family.inner.permits.acquire_many_async(2));
    assert_waits(acquire.as_mut());
    holder.kill();
    drop(block_on(acquire).expect("they come back"));

    let mut holder = that_holds("mutex");
    let mut lock = pin!(family.mutex.lock_async());
    assert_waits(lock.as_mut());
    holder.kill();
    let guard = block_on(lock).expect("it comes free");
    assert_eq!(guard.recovered_from().map(|it| it.pid), Some(holder.pid()));

    let mut holder = that_holds("writer");
    let mut read = pin!(family.inner.rwlock.read_async());
    assert_waits(read.as_mut());
    holder.kill();
    let reader = block_on(read).expect("it comes free");
    let dead = reader.recovered_from().map(|it| it.pid);
    assert_eq!(dead, Some(holder.pid()));
    drop(reader);

    let mut holder = that_holds("reader");
    let mut write = pin!(family.inner.rwlock.write_async());
    assert_waits(write.as_mut());
    holder.kill();
    drop(block_on(write).expect("it comes free"));

    let mut holder = that_holds("once");
    let mut make = pin!(family.once.get_or_init_async(async || [4; 16]));
    assert_waits(make.as_mut());
    holder.kill();
    assert_eq!(whole(&block_on(make).expect("it comes free")), 4);
}

fn a_task_that_dies_waiting_blocks_no_task() {
    let family = create();
    let guard = family.mutex.lock().expect("it is free");
    let reader = family.inner.rwlock.read().expect("nobody is inside");
    let mut child = Child::of(waiter);
    child.hears("waits");
    assert_in_the_way(family.inner.rwlock.try_read());
    child.kill();
    let mut read = pin!(family.inner.rwlock.read_async());
    let second = block_on(read.as_mut()).expect("the writer is dead");
    drop((guard, reader, second));
    drop(family.mutex.lock_timeout(LONG).expect("it is free"));
    let writer = family.inner.rwlock.write_timeout(LONG);
    drop(writer.expect("nobody is inside"));
}

fn a_task_that_dies_before_it_comes_in_does_not_block_a_try() {
    let family = create();
    let short = [None, Some(Duration::ZERO), Some(Duration::from_millis(1))];
    for limit in short {
        let writer = family.inner.rwlock.write().expect("nobody is inside");
        let mut child = Child::of(reads_later);
        child.hears("waits");
        // It is let in, and not polled.
        drop(writer);
        child.kill();
        let rwlock = &family.inner.rwlock;
        let writer = limit.map_or_else(|| rwlock.try_write(), |limit| rwlock.write_timeout(limit));
        drop(writer.expect("it is dead"));
    }
}

fn a_forked_child_has_no_part_in_what_its_parent_waits_for() {
    let family = create();
    let guard = family.mutex.lock().expect("it is free");
    let reader = family.inner.rwlock.read().expect("nobody is inside");
    let mut lock = Box::pin(family.mutex.lock_async());
    let mut write = Box::pin(family.inner.rwlock.write_async());
    let mut read = Box::pin(family.inner.rwlock.read_async());
    let mut wait = Box::pin(family.once.wait_async());
    let permits = family.inner.permits.acquire_many(2);
    let mut acquire = Box::pin(family.inner.permits.acquire_async());
    let mut happen = Box::pin(family.inner.auto.wait_async());
    let mut meet = Box::pin(family.inner.strict.wait_async());
    assert_waits(lock.as_mut());
    assert_waits(write.as_mut());
    assert_waits(read.as_mut());
    assert_waits(wait.as_mut());
    assert_waits(acquire.as_mut());
    assert_waits(happen.as_mut());
    assert_waits(meet.as_mut());
    let forked = |error: &sharehold::Error| error.kind() == ErrorKind::Forked;
    // The other thread is the helper, which sleeps.
    let child = Fork::Fork.start_beside(1, || {
        let refused = matches!(poll(lock.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(write.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(read.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(wait.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(acquire.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(happen.as_mut()), Poll::Ready(Err(error)) if forked(&error))
            && matches!(poll(meet.as_mut()), Poll::Ready(Err(error)) if forked(&error));
        i32::from(!refused)
    });
    assert_eq!(child.exit_code(), Some(0));
    // Everybody waits still.
    assert_waits(write.as_mut());
    assert_waits(meet.as_mut());
    drop((guard, reader, permits));
    drop(block_on(acquire).expect("they come back"));
    drop(block_on(lock).expect("it is released"));
    drop(block_on(write).expect("nobody is inside"));
    drop(block_on(read).expect("nobody writes"));
}

/// Parts of which the first one's lock is like the inner locks of the others.
#[derive(Part)]
struct Crowd {
    lock: Mutex<u64>,
    permits: Semaphore,
    meeting: Barrier,
}

/// Holds a lock until it is killed.
fn stopped(test: &mut Talk) {
    let crowd = Crowd::attach(KEY).expect("it is there");
    let _guard = crowd.lock.lock().expect("it is free");
    test.say("holds");
    test.wait_for_end();
}

/// The file of the one segment that there is.
fn the_file() -> File {
    let name = left_in_directory().remove(0);
    let path = directory().join(name);
    let file = File::options().read(true).write(true).open(path);
    file.expect("it is there")
}

fn word_at(file: &File, at: usize) -> u64 {
    let mut word = [0; 8];
    let read = file.read_exact_at(&mut word, at as u64);
    read.expect("it is so long");
    u64::from_ne_bytes(word)
}

/// One process is made to look as if it were stopped inside of the inner locks: nobody could step
/// it there by chance.
fn a_task_stopped_inside_blocks_no_other() {
    // A number that stands nowhere else, so that the words are found.
    const PERMITS: u32 = 0x5a17;
    let first = || CrowdInit {
        lock: 0,
        permits: PERMITS,
        meeting: BarrierOptions {
            participants: 2,
            death_policy: DeathPolicy::RemoveParticipant,
        },
    };
    let crowd = Crowd::create(KEY, first()).expect("nothing has the key");
    let mut child = Child::of(stopped);
    child.hears("holds");
    let file = the_file();
    let data = usize::try_from(word_at(&file, 24)).expect("it is in the file");
    let is_there = |at: &usize| word_at(&file, *at) == u64::from(PERMITS) * ((1 << 32) + 1);
    let permits_at = (data..data + 4096).step_by(128).find(is_there);
    let permits_at = permits_at.expect("it is one of the words") - 128;
    let meeting_at = permits_at + 256;

    let permit = block_on(crowd.permits.acquire_async()).expect("nobody has any");
    let mut arrived = Box::pin(crowd.meeting.wait_async());
    assert_waits(arrived.as_mut());
    let owner = word_at(&file, data).to_ne_bytes();
    for at in [permits_at, meeting_at] {
        file.write_all_at(&owner, at as u64).expect("it is there");
    }
    // None of this comes to an end, and none keeps this thread.
    let mut dropped = Box::pin(crowd.permits.acquire_async());
    assert_waits(dropped.as_mut());
    let mut all = Box::pin(crowd.permits.acquire_many_async(PERMITS));
    assert_waits(all.as_mut());
    let mut meets = Box::pin(crowd.meeting.wait_async());
    assert_waits(meets.as_mut());
    drop((permit, arrived, dropped));
    let refused = crowd.permits.try_acquire().map(drop);
    let refused = refused.expect_err("the other one is inside").to_string();
    assert!(
        refused.contains(&format!("pid {}", child.pid())),
        "{refused}"
    );
    assert_waits(all.as_mut());
    assert_waits(meets.as_mut());
    drop(meets);

    child.kill();
    drop(block_on(all).expect("what was dropped is given back"));
    let start = Instant::now();
    while word_at(&file, meeting_at) != 0 {
        assert!(start.elapsed() < LONG, "nobody takes the arrival back");
        thread::yield_now();
    }
    let late = crowd.meeting.wait_timeout(SHORT);
    let late = late.expect_err("who was dropped has not arrived");
    assert_eq!(late.kind(), ErrorKind::Timeout);
}
