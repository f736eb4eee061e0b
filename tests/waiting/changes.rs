//! Waiting for a value to change: what which waiter sees, and after which death.

use std::thread;
use std::time::{Duration, Instant};

use sharehold::{DestroyMode, ErrorKind, Segment, Shared, UntypedShared};
use sharehold_testkit::{Child, Suite, Talk};

use super::{KEY, LONG, wait_until_idle};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(only_a_change_wakes_the_waiters)
        .test(every_waiter_is_woken)
        .test(a_read_only_waiter_sees_changes)
        .test(a_waiter_without_the_type_sees_changes)
        .test(a_watch_returns_newer_and_newer_values)
        .test(a_watch_begins_at_the_given_version)
        .test(waiting_ends_in_time_when_nothing_changes)
        .test(a_writer_cannot_wait_for_another_change)
        .test(a_waiter_sees_the_change_of_a_writer_that_was_stopped_in_it)
        .test(a_waiter_survives_the_death_of_a_writer_in_a_change)
        .test(a_dead_waiter_is_not_missed)
        .test(attached_processes_go_on_after_it_was_destroyed)
        .role(waiter)
        .role(reader)
        .role(any_waiter)
        .role(stopped)
}

fn create() -> Shared<u64> {
    Shared::create(KEY, &0).expect("nothing has the key")
}

/// Says each value that it sees until 9.
fn waiter(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    let mut watch = shared.watch_since(0);
    loop {
        let found = watch.changed().expect("it can wait");
        test.say(found.value);
        if found.value == 9 {
            return;
        }
    }
}

/// The same, read-only, and of the last value only.
fn reader(test: &mut Talk) {
    let shared = Shared::<u64>::attach_read_only(KEY).expect("it is there");
    test.say("ready");
    let found = shared.wait_while(|value| *value != 9);
    test.say(found.expect("it can wait"));
}

/// The same without the type.
fn any_waiter(test: &mut Talk) {
    let shared = UntypedShared::attach(KEY).expect("it is there");
    test.say("ready");
    let found = shared.wait_while(|bytes| bytes[0] != 9);
    test.say(found.expect("it can wait")[0]);
}

/// Begins a change, says so, and finishes it when it is told.
fn stopped(test: &mut Talk) {
    let shared = Shared::<u64>::attach(KEY).expect("it is there");
    shared
        .update(|value| {
            test.say("in the change");
            test.hear();
            *value = 9;
        })
        .expect("it can be changed");
    test.say("done");
}

fn only_a_change_wakes_the_waiters() {
    let shared = create();
    let mut child = Child::of(waiter);
    child.hears("0");
    for value in [1, 2, 9] {
        child.waits_for_memory();
        wait_until_idle(child.pid());
        shared.set(&value).expect("it can be changed");
        child.hears(&value.to_string());
    }
    child.ends_well();
}

fn every_waiter_is_woken() {
    let shared = create();
    let mut children: Vec<Child> = (0..8).map(|_| Child::of(waiter)).collect();
    for child in &mut children {
        child.hears("0");
        child.waits_for_memory();
    }
    for value in [1, 2, 3, 9] {
        shared.set(&value).expect("it can be changed");
        for child in &mut children {
            child.hears(&value.to_string());
        }
    }
    for child in &mut children {
        child.ends_well();
    }
}

fn a_read_only_waiter_sees_changes() {
    let shared = create();
    let mut child = Child::of(reader);
    child.hears("ready");
    child.waits_for_memory();
    shared.set(&9).expect("it can be changed");
    child.hears("9");
    child.ends_well();
}

fn a_waiter_without_the_type_sees_changes() {
    let shared = create();
    let mut child = Child::of(any_waiter);
    child.hears("ready");
    child.waits_for_memory();
    wait_until_idle(child.pid());
    shared.set(&9).expect("it can be changed");
    child.hears("9");
    child.ends_well();
}

fn a_watch_returns_newer_and_newer_values() {
    const CHANGES: u64 = 20_000;
    let shared = create();
    let first = shared.version().expect("it is there");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = first;
                for found in shared.watch_since(first) {
                    let found = found.expect("it can wait");
                    assert!(found.version > last, "each is newer than the one before");
                    assert_eq!(found.version - first, found.value, "one snapshot");
                    last = found.version;
                    if found.value == CHANGES {
                        return;
                    }
                }
            });
        }
        for _ in 0..CHANGES {
            shared
                .update(|value| *value += 1)
                .expect("it can be changed");
        }
    });
}

fn a_watch_begins_at_the_given_version() {
    let shared = create();
    shared.set(&1).expect("it can be changed");
    let found = shared.get_versioned().expect("it is there");
    assert_eq!((found.value, found.version), (1, 2));
    let mut present = shared.watch_since(0);
    assert_eq!(present.changed().expect("it is there"), found);
    assert_eq!(present.last_version(), 2);
    let mut later = shared.watch().expect("it is ours");
    let nothing = later.changed_timeout(Duration::from_millis(5));
    assert_eq!(
        nothing.map_err(|error| error.kind()),
        Err(ErrorKind::Timeout)
    );
    shared.set(&1).expect("it can be changed");
    // A change to an equal value is one.
    assert_eq!(later.changed().expect("it is there").version, 3);
    // A version that is not there yet is another one, too: of another segment, perhaps.
    let other = shared.watch_since(7).changed_timeout(LONG);
    assert_eq!(other.expect("it differs").version, 3);
}

fn waiting_ends_in_time_when_nothing_changes() {
    let shared = create();
    let read_only = Shared::<u64>::attach_read_only(KEY).expect("it is there");
    let limit = Duration::from_millis(50);
    let start = Instant::now();
    let waits = [
        shared.wait_while_timeout(limit, |value| *value == 0),
        shared.wait_while_deadline(Instant::now() + limit, |value| *value == 0),
        read_only.wait_while_timeout(limit, |value| *value == 0),
        read_only.wait_while_deadline(Instant::now() + limit, |value| *value == 0),
    ];
    assert!(start.elapsed() >= 4 * limit, "it waits as long as it may");
    for wait in waits {
        let error = wait.expect_err("nothing changes");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.key(), Some(KEY));
    }
    // A wait without time still checks once.
    let now = shared.wait_while_timeout(Duration::ZERO, |value| *value == 1);
    assert_eq!(now.expect("it is so already"), 0);
    let never = shared.wait_while_timeout(Duration::ZERO, |value| *value == 0);
    assert_eq!(never.map_err(|error| error.kind()), Err(ErrorKind::Timeout));
}

fn a_writer_cannot_wait_for_another_change() {
    let shared = create();
    let inside = shared
        .update(|_| shared.wait_while(|value| *value == 0))
        .expect("it can be changed");
    assert_eq!(
        inside.map_err(|error| error.kind()),
        Err(ErrorKind::Deadlock)
    );
}

fn a_waiter_sees_the_change_of_a_writer_that_was_stopped_in_it() {
    let shared = create();
    let mut changer = Child::of(stopped);
    changer.hears("in the change");
    changer.stop();
    let mut child = Child::of(waiter);
    child.hears("0");
    child.waits_for_memory();
    changer.resume();
    changer.tell("go on");
    child.hears("9");
    child.ends_well();
    changer.hears("done");
    assert_eq!(shared.get().expect("it is there"), 9);
}

fn a_waiter_survives_the_death_of_a_writer_in_a_change() {
    let shared = create();
    let mut changer = Child::of(stopped);
    changer.hears("in the change");
    let mut before = Child::of(waiter);
    before.hears("0");
    before.waits_for_memory();
    changer.kill();
    let mut after = Child::of(waiter);
    after.hears("0");
    after.waits_for_memory();
    // Nobody has taken the lock from the dead one.
    wait_until_idle(before.pid());
    wait_until_idle(after.pid());
    for value in [1, 9] {
        shared.set(&value).expect("it can be changed");
        before.hears(&value.to_string());
        after.hears(&value.to_string());
    }
}

fn a_dead_waiter_is_not_missed() {
    let shared = create();
    let mut dead = Child::of(waiter);
    dead.hears("0");
    dead.waits_for_memory();
    let mut living = Child::of(waiter);
    living.hears("0");
    living.waits_for_memory();
    dead.kill();
    for value in [1, 9] {
        shared.set(&value).expect("it can be changed");
        living.hears(&value.to_string());
    }
}

fn attached_processes_go_on_after_it_was_destroyed() {
    let shared = create();
    let mut child = Child::of(waiter);
    child.hears("0");
    child.waits_for_memory();
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
    shared.set(&9).expect("it can be changed");
    child.hears("9");
    child.ends_well();
}
