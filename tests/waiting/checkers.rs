//! Long waits for a lock, for a permit, or to read: a few ask whether its holder lives, and nobody
//! depends on them.

use std::fs::File;
use std::future::Future;
use std::os::unix::fs::FileExt;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use sharehold::{LockError, Part, RwLock, Segment, Semaphore};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use super::{KEY, LONG, sleeps_of};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(many_waiters_ask_little_more_than_a_few)
        .test(others_ask_when_the_holder_and_all_askers_die)
        .test(others_ask_while_all_askers_are_stopped)
        .test(many_waiters_for_a_permit_check_little_more_than_a_few)
        .test(others_ask_for_a_permit_when_its_holder_and_all_askers_die)
        .test(many_waiting_readers_check_little_more_than_a_few)
        .test(others_read_when_the_writer_and_all_askers_die)
        .test(a_holder_that_came_in_without_a_wake_up_wakes_the_others)
        .test(a_task_that_cannot_be_counted_finds_the_writer_dead)
        .test(others_check_often_while_all_checkers_are_stopped)
        .test(others_check_often_for_a_permit_while_all_checkers_are_stopped)
        .test(others_check_often_to_read_while_all_checkers_are_stopped)
        .test(a_thread_checks_often_beside_a_task_that_is_not_polled)
        .role(beside_a_task)
        .role(waiter)
        .role(reader)
        .role(permit_waiter)
}

fn create() -> Segment {
    let options = Segment::options().size(8).slots(64);
    options.create(KEY).expect("nothing has the key")
}

/// Waits for the lock, and says that it has it.
fn waiter(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("waits");
    let guard = match segment.lock() {
        Ok(guard) => guard,
        Err(LockError::Abandoned(found)) => found.mark_consistent(),
        Err(other) => panic!("{other}"),
    };
    test.say("locked");
    test.hear();
    drop(guard);
    test.wait_for_end();
}

/// The same for the permit of a semaphore.
fn permit_waiter(test: &mut Talk) {
    let permits = Semaphore::attach(KEY).expect("it is there");
    test.say("waits");
    let permit = permits.acquire().expect("it comes back");
    test.say("locked");
    test.hear();
    drop(permit);
    test.wait_for_end();
}

/// The same for waiting readers, the first of which writes.
fn reader(test: &mut Talk) {
    let rwlock = RwLock::<u64>::attach(KEY).expect("it is there");
    test.say("waits");
    let writes = rwlock.try_write().ok();
    let reads = writes.is_none().then(|| rwlock.read());
    let reads = reads.transpose().expect("the writer leaves");
    test.say("locked");
    test.hear();
    drop((writes, reads));
    test.wait_for_end();
}

fn start() -> Child {
    that_waits(Child::of(waiter))
}

fn start_for_permit() -> Child {
    that_waits(Child::of(permit_waiter))
}

fn start_to_read() -> Child {
    that_waits(Child::of(reader))
}

fn that_waits(mut child: Child) -> Child {
    child.hears("waits");
    child
}

/// After so many sleeps a waiter has asked for half a second, and has a seat, or has seen that all
/// are taken.
const SETTLED: u64 = 200;
/// How many seats a lock has.
const SEATS: usize = 4;

/// A holder, and this many waiters that have waited for long, the checkers first.
fn start_many(start: fn() -> Child, number: usize) -> (Child, Vec<Child>) {
    let mut holder = start();
    holder.hears("locked");
    let mut waiters: Vec<Child> = (0..SEATS).map(|_| start()).collect();
    settle(&waiters);
    waiters.extend((SEATS..number).map(|_| start()));
    settle(&waiters);
    (holder, waiters)
}

fn settle(waiters: &[Child]) {
    for waiter in waiters {
        while sleeps_of(waiter.pid()) < SETTLED {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn many_waiters_ask_little_more_than_a_few() {
    let _segment = create();
    look_little_more_than_a_few(start);
}

fn look_little_more_than_a_few(start: fn() -> Child) {
    const WAITERS: usize = 24;
    let (_holder, waiters) = start_many(start, WAITERS);
    let count = || -> u64 { waiters.iter().map(|it| sleeps_of(it.pid())).sum() };
    let (start, before) = (Instant::now(), count());
    std::thread::sleep(Duration::from_millis(500));
    let slept = count() - before;
    // Four ask every 8 ms, the others every 64 ms; all of them every 8 ms would be three times as
    // much as is allowed here.
    let elapsed = start.elapsed();
    let times = |period, waiters| elapsed.as_millis() / period * waiters;
    let most = (times(8, SEATS as u128) + times(64, (WAITERS - SEATS) as u128)) * 115 / 100;
    assert!(
        u128::from(slept) < most,
        "{slept} sleeps in {elapsed:?}, at most {most}"
    );
}

/// The lock goes to one after another of the remaining waiters.
fn all_get_it(waiters: &mut [Child]) {
    let segment = Segment::attach(KEY).expect("it is there");
    for waiter in &mut *waiters {
        waiter.tell("release it at once");
    }
    for waiter in waiters {
        waiter.hears("locked");
    }
    match segment.lock_timeout(LONG) {
        Ok(_) => {}
        Err(error) => panic!("{error}"),
    }
}

fn others_ask_when_the_holder_and_all_askers_die() {
    let _segment = create();
    let (mut holder, mut waiters) = start_many(start, 8);
    let mut others = waiters.split_off(SEATS);
    for asker in &waiters {
        asker.kill_soon();
    }
    holder.kill();
    all_get_it(&mut others);
}

fn others_ask_while_all_askers_are_stopped() {
    let _segment = create();
    let (mut holder, mut waiters) = start_many(start, 8);
    let mut others = waiters.split_off(SEATS);
    for asker in &waiters {
        asker.stop();
    }
    holder.kill();
    for waiter in &mut others {
        waiter.tell("release it at once");
    }
    for waiter in &mut others {
        waiter.hears("locked");
    }
    for asker in &waiters {
        asker.resume();
    }
    all_get_it(&mut waiters);
}

fn create_permit() -> Semaphore {
    let options = Segment::options().slots(64);
    options.create_part(KEY, 1).expect("nothing has the key")
}

fn many_waiters_for_a_permit_check_little_more_than_a_few() {
    let _permit = create_permit();
    look_little_more_than_a_few(start_for_permit);
}

fn others_ask_for_a_permit_when_its_holder_and_all_askers_die() {
    let permit = create_permit();
    let (mut holder, mut waiters) = start_many(start_for_permit, 8);
    let mut others = waiters.split_off(SEATS);
    for asker in &waiters {
        asker.kill_soon();
    }
    holder.kill();
    for waiter in &mut others {
        waiter.tell("give it back at once");
    }
    for waiter in &mut others {
        waiter.hears("locked");
    }
    drop(permit.acquire_timeout(LONG).expect("it was given back"));
}

fn create_rwlock() -> RwLock<u64> {
    let options = Segment::options().slots(64);
    options.create_part(KEY, 0).expect("nothing has the key")
}

fn many_waiting_readers_check_little_more_than_a_few() {
    let _rwlock = create_rwlock();
    look_little_more_than_a_few(start_to_read);
}

fn others_read_when_the_writer_and_all_askers_die() {
    let rwlock = create_rwlock();
    let (mut writer, mut waiters) = start_many(start_to_read, 8);
    let mut others = waiters.split_off(SEATS);
    for asker in &waiters {
        asker.kill_soon();
    }
    writer.kill();
    for other in &mut others {
        other.hears("locked");
        other.tell("leave");
    }
    drop(rwlock.write_timeout(LONG).expect("they have left"));
}

/// The file of the one segment that there is.
fn the_file() -> File {
    let path = directory().join(&left_in_directory()[0]);
    let file = File::options().read(true).write(true).open(path);
    file.expect("it is there")
}

/// A writer that died as it waited for a task that another one had let in, and that is not polled.
fn a_task_that_cannot_be_counted_finds_the_writer_dead() {
    let rwlock = create_rwlock();
    let mut writer = start_to_read();
    writer.hears("locked");
    let file = the_file();
    let mut word = [0; 8];
    file.read_exact_at(&mut word, 24).expect("so long it is");
    // Where docs/format.md has it, of a lock that is the only part: one task, since another phase
    // than the present one, which is 0.
    let tasks = u64::from_le_bytes(word) + 152;
    let one_let_in = (u64::from(u32::MAX) << 32 | 1).to_le_bytes();
    file.write_all_at(&one_let_in, tasks)
        .expect("so long it is");
    writer.kill();
    let reader = pollster::block_on(rwlock.read_async()).expect("the writer is dead");
    assert_eq!(reader.recovered_from().map(|it| it.pid), Some(writer.pid()));
    drop(reader);
    drop(rwlock.write_timeout(LONG).expect("nobody is inside"));
}

fn a_holder_that_came_in_without_a_wake_up_wakes_the_others() {
    let rwlock = create_rwlock();
    let (mut writer, mut waiters) = start_many(start_to_read, 8);
    let file = the_file();
    let read = |at| {
        let mut word = [0; 8];
        file.read_exact_at(&mut word, at).expect("so long it is");
        u64::from_le_bytes(word)
    };
    // Where docs/format.md has them, of a lock that is the only part.
    let owner = read(24);
    let [phase, turn] = [owner + 128, owner + 132];
    let half = |at| read(at) & 0xffff_ffff;
    // What a writer has done that dies after it has left, and before it wakes anybody.
    writer.stop();
    let (next, before) = (half(phase) + 1, half(turn));
    file.write_all_at(&next.to_le_bytes()[..4], phase)
        .expect("so long it is");
    file.write_all_at(&[0; 8], owner).expect("so long it is");
    for waiter in &mut waiters {
        waiter.hears("locked");
    }
    assert_ne!(half(turn), before, "nobody was told");
    writer.kill();
    for waiter in &mut waiters {
        waiter.tell("leave");
    }
    drop(rwlock.write_timeout(LONG).expect("they have left"));
}

/// The longest time between two checks, on average, of those that check often: four times what it
/// should be, and half of what the others take.
const OFTEN: u128 = 32;

/// Waits until all of these, which have waited for long, check often.
fn wait_until_all_check_often(waiters: &[Child]) {
    let began = Instant::now();
    loop {
        let (start, before) = (Instant::now(), counts(waiters));
        std::thread::sleep(Duration::from_millis(500));
        let least = start.elapsed().as_millis() / OFTEN;
        let slept = counts(waiters).into_iter().zip(before);
        if slept
            .map(|(after, before)| u128::from(after - before))
            .all(|slept| slept > least)
        {
            return;
        }
        assert!(began.elapsed() < LONG, "they leave it to those who do not");
    }
}

fn counts(waiters: &[Child]) -> Vec<u64> {
    waiters.iter().map(|it| sleeps_of(it.pid())).collect()
}

fn check_often_while_all_checkers_are_stopped(start: fn() -> Child) {
    let (mut holder, mut waiters) = start_many(start, 2 * SEATS);
    let mut others = waiters.split_off(SEATS);
    waiters.iter().for_each(Child::stop);
    wait_until_all_check_often(&others);
    holder.kill();
    for child in &mut others {
        child.tell("release it at once");
    }
    for child in &mut others {
        child.hears("locked");
    }
}

fn others_check_often_while_all_checkers_are_stopped() {
    let _segment = create();
    check_often_while_all_checkers_are_stopped(start);
}

fn others_check_often_for_a_permit_while_all_checkers_are_stopped() {
    let _permit = create_permit();
    check_often_while_all_checkers_are_stopped(start_for_permit);
}

fn others_check_often_to_read_while_all_checkers_are_stopped() {
    let _rwlock = create_rwlock();
    check_often_while_all_checkers_are_stopped(start_to_read);
}

/// Polls so often that it has waited for long, and then never again.
fn poll_for_long(future: impl Future) {
    let mut future = Box::pin(future);
    for _ in 0..2 * SETTLED {
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending(), "it is held");
    }
    std::mem::forget(future);
}

/// Has a task that waits and is not polled any more, then waits on its thread.
fn beside_a_task(test: &mut Talk) {
    match test.argument(0).as_str() {
        "lock" => {
            let segment = Segment::attach(KEY).expect("it is there");
            poll_for_long(segment.lock_async());
            test.say("waits");
            match segment.lock() {
                Err(LockError::Abandoned(found)) => drop(found.mark_consistent()),
                other => panic!("{:?}", other.map(drop)),
            }
        }
        "permit" => {
            let permits = Semaphore::attach(KEY).expect("it is there");
            poll_for_long(permits.acquire_async());
            test.say("waits");
            drop(permits.acquire().expect("it comes back"));
        }
        _ => {
            let rwlock = RwLock::<u64>::attach(KEY).expect("it is there");
            poll_for_long(rwlock.read_async());
            test.say("waits");
            drop(rwlock.read().expect("the writer leaves"));
        }
    }
    test.say("locked");
    test.wait_for_end();
}

fn a_thread_checks_often_beside_a_task_that_is_not_polled() {
    let beside = |what: &str, mut holder: Child| {
        holder.hears("locked");
        let waiters = [that_waits(Child::with(beside_a_task, [what]))];
        settle(&waiters);
        wait_until_all_check_often(&waiters);
        holder.kill();
        let [mut waiter] = waiters;
        waiter.hears("locked");
        waiter.ends_well();
    };
    let segment = create();
    beside("lock", start());
    drop(segment);
    let permit = create_permit();
    beside("permit", start_for_permit());
    drop(permit);
    let _rwlock = create_rwlock();
    beside("read", start_to_read());
}
