//! The lock, and processes that die, stop, panic or wait with it.

use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use sharehold::{
    AbandonCause, Abandoned, AcquireError, ErrorKind, LockError, Segment, SegmentGuard,
};
use sharehold_testkit::{Child, Suite, Talk};

use crate::roles::{KEY, LONG, attached, created, describe, holding};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_killed_owners_lock_is_recovered_and_names_the_dead_process)
        .test(a_death_is_reported_until_the_data_are_marked_consistent)
        .test(recover_repairs_before_it_vouches)
        .test(lock_or_recover_repairs_only_what_was_abandoned)
        .test(a_recovering_process_may_die_too)
        .test(a_waiter_that_is_killed_takes_no_turn_with_it)
        .test(a_holder_that_panicked_is_reported_and_the_lock_is_free)
        .test(a_stopped_holder_is_not_robbed_as_long_as_it_is_stopped)
        .test(a_timeout_names_the_living_holder)
        .test(try_lock_never_waits_and_takes_over_from_the_dead)
        .test(locking_twice_on_one_thread_is_an_error)
        .test(threads_that_share_a_handle_exclude_each_other)
        .test(holders_of_every_kind_are_listed)
        .test(a_forgotten_guard_is_released_by_detaching)
        .test(counts_of_threads_and_processes_are_exact)
        .test(counts_are_exact_while_counters_are_killed)
        .role(mortal)
        .role(counter)
}

/// What was left behind, where a lock must report it.
#[track_caller]
fn left<'a>(locked: Result<SegmentGuard<'a>, LockError<'a>>) -> Abandoned<'a> {
    match locked {
        Err(LockError::Abandoned(found)) => found,
        other => panic!("{}", describe(other)),
    }
}

/// Why it was refused, where it must be.
#[track_caller]
fn refusal(locked: Result<SegmentGuard<'_>, LockError<'_>>) -> AcquireError {
    match locked {
        Err(LockError::NotAcquired(refusal)) => refusal,
        other => panic!("{}", describe(other)),
    }
}

/// As much of this program's file name as a record holds.
fn own_name() -> String {
    let program = std::env::current_exe().expect("the program knows where it is");
    let name = program.file_name().expect("it is a file").to_string_lossy();
    name.chars().take(16).collect()
}

fn a_killed_owners_lock_is_recovered_and_names_the_dead_process() {
    let segment = created();
    let mut child = attached();
    let slot: usize = child.ask("slot").parse().expect("a number");
    child.tell("lock");
    child.hears("locked");
    child.kill();

    let found = left(segment.lock_timeout(LONG));
    assert_eq!(found.cause(), AbandonCause::Died);
    let previous_owner = found.previous_owner().expect("nobody had its slot since");
    assert_eq!(previous_owner.pid, child.pid());
    assert_eq!(previous_owner.slot, Some(slot));
    assert_eq!(previous_owner.executable, Some(own_name()));
    assert!(
        previous_owner
            .since
            .is_some_and(|since| since.elapsed().is_ok())
    );
    assert_eq!(
        found.to_string(),
        format!("pid {} ({}) died holding it", child.pid(), own_name())
    );
}

fn a_death_is_reported_until_the_data_are_marked_consistent() {
    let segment = created();
    let mut child = holding();
    child.kill();
    let dead = child.pid();
    // Every later lock reports the death until the data are marked consistent.
    drop(left(segment.lock()));
    drop(left(segment.lock()).into_guard());
    drop(left(segment.try_lock()));
    let mut other = attached();
    let told = other.ask("lock");
    assert!(
        told.starts_with(&format!("Abandoned: pid {dead} ")),
        "{told}"
    );
    other.ends_well();
    let late = Segment::attach(KEY).expect("it is there");
    assert_eq!(
        left(late.lock())
            .previous_owner()
            .expect("it is remembered")
            .pid,
        dead
    );
    let error = sharehold::Error::from(late.lock().expect_err("nobody has vouched"));
    assert_eq!(error.kind(), ErrorKind::Abandoned);

    drop(left(segment.lock()).mark_consistent());
    drop(segment.lock().expect("somebody has vouched"));
    drop(late.lock().expect("somebody has vouched"));
}

fn recover_repairs_before_it_vouches() {
    let segment = created();
    let mut child = holding();
    assert_eq!(child.ask("write 13"), "written");
    child.kill();
    let failed = left(segment.lock()).recover(|_| Err("beyond repair"));
    assert_eq!(failed.err(), Some("beyond repair"));
    let guard = left(segment.lock())
        .recover(|bytes| {
            assert_eq!(bytes.read_at::<u64>(0)?, 13);
            bytes.write_at(0, &0_u64)
        })
        .expect("the repair succeeds");
    assert_eq!(guard.read_at::<u64>(0).expect("there is room"), 0);
    drop(guard);
    drop(segment.lock().expect("it was repaired"));
}

/// Acquires the lock, adds the previous owner and itself to the list in the segment, and dies
/// holding the lock.
fn mortal(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    test.say("ready");
    let (before, mut bytes) = match segment.lock() {
        Ok(bytes) => (0, bytes),
        Err(LockError::Abandoned(found)) => {
            let before = found.previous_owner().expect("it is remembered").pid;
            (before, found.mark_consistent())
        }
        Err(other) => panic!("{other}"),
    };
    let len: u64 = bytes.read_at(0).expect("there is room");
    let entry = [before, std::process::id()];
    let offset = 8 + 8 * usize::try_from(len).expect("it is short");
    bytes.write_at(offset, &entry).expect("there is room");
    bytes.write_at(0, &(len + 1)).expect("there is room");
    let me = rustix::process::getpid();
    rustix::process::kill_process(me, rustix::process::Signal::KILL).expect("it may");
}

fn lock_or_recover_repairs_only_what_was_abandoned() {
    let segment = created();
    let mut child = holding();
    assert_eq!(child.ask("write 1"), "written");
    child.kill();

    // A repair that fails leaves the data abandoned for the next caller.
    let refused = segment.lock_or_recover(|bytes| bytes.fill(0..usize::MAX, 0));
    assert_eq!(
        refused.expect_err("it fails").kind(),
        ErrorKind::OutOfBounds
    );

    let repaired = segment.lock_or_recover(|bytes| bytes.write_at(0, &7_u64));
    let bytes = repaired.expect("it is repaired");
    assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), 7);

    let twice = segment.lock_or_recover(|_| Ok::<(), sharehold::Error>(()));
    assert_eq!(
        twice.expect_err("this thread has it").kind(),
        ErrorKind::Deadlock
    );
    drop(bytes);

    let calm = segment.lock_or_recover(|_| -> Result<(), Box<dyn std::error::Error>> {
        panic!("nothing was abandoned")
    });
    drop(calm.expect("it is free"));
}

fn a_recovering_process_may_die_too() {
    const MORTALS: usize = 30;
    let segment = created();
    let mut first = holding();
    let mut mortals: Vec<Child> = (0..MORTALS).map(|_| Child::of(mortal)).collect();
    for mortal in &mut mortals {
        mortal.hears("ready");
        mortal.waits_for_memory();
    }
    first.kill();
    for mortal in &mut mortals {
        assert_eq!(mortal.end().signal(), Some(9));
    }
    let found = left(segment.lock_timeout(LONG));
    let bytes = found.mark_consistent();
    assert_eq!(
        bytes.read_at::<u64>(0).expect("there is room"),
        MORTALS as u64
    );
    let mut last = first.pid();
    for number in 0..MORTALS {
        let [before, own]: [u32; 2] = bytes.read_at(8 + 8 * number).expect("there is room");
        assert_eq!(before, last, "each took over from the one before it");
        last = own;
    }
}

fn a_waiter_that_is_killed_takes_no_turn_with_it() {
    let segment = created();
    for _ in 0..20 {
        let guard = segment.lock().expect("nobody died holding it");
        let mut waiting: Vec<Child> = (0..4).map(|_| attached()).collect();
        for child in &mut waiting {
            child.tell("pass");
            child.waits_for_memory();
        }
        waiting[0].kill_soon();
        waiting[2].kill_soon();
        drop(guard);
        // One that was killed may have had the lock just before.
        for index in [1, 3] {
            let said = waiting[index].hear();
            assert!(said == "locked" || said.starts_with("Abandoned"), "{said}");
        }
        if let Err(LockError::Abandoned(found)) = segment.lock_timeout(LONG) {
            drop(found.mark_consistent());
        }
    }
}

/// Locks the segment when it is dropped.
struct LocksWhenDropped<'a>(&'a Segment);

impl Drop for LocksWhenDropped<'_> {
    fn drop(&mut self) {
        drop(self.0.lock().expect("it is free"));
    }
}

fn a_holder_that_panicked_is_reported_and_the_lock_is_free() {
    let segment = created();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = segment.lock().expect("it is free");
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    let mut other = attached();
    let told = other.ask("try");
    assert!(
        told.starts_with("Abandoned") && told.contains("panicked holding it"),
        "{told}"
    );
    let found = left(segment.lock());
    assert_eq!(found.cause(), AbandonCause::Panicked);
    assert_eq!(
        found.previous_owner().expect("it is this one").pid,
        std::process::id()
    );
    drop(found.mark_consistent());
    assert_eq!(other.ask("try"), "locked");

    // A guard that is made and dropped while something else unwinds is an ordinary one.
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _locks = LocksWhenDropped(&segment);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    drop(segment.lock().expect("nobody panicked holding it"));
}

fn a_stopped_holder_is_not_robbed_as_long_as_it_is_stopped() {
    let segment = created();
    let mut child = holding();
    assert_eq!(child.ask("write 1"), "written");
    child.stop();
    let start = Instant::now();
    // Long enough for a hundred questions whether it lives.
    let refused = refusal(segment.lock_timeout(Duration::from_secs(1)));
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    assert_eq!(refused.holder().expect("it is known").pid, child.pid());
    child.resume();
    assert_eq!(child.ask("write 2"), "written");
    assert_eq!(child.ask("unlock"), "unlocked");
    let bytes = segment.lock().expect("nobody died");
    assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), 2);
    drop(bytes);
    // Killed while it is stopped, it is dead.
    assert_eq!(child.ask("lock"), "locked");
    child.stop();
    child.kill();
    assert_eq!(left(segment.lock_timeout(LONG)).cause(), AbandonCause::Died);
}

fn a_timeout_names_the_living_holder() {
    let segment = created();
    let mut child = attached();
    let slot: usize = child.ask("slot").parse().expect("a number");
    assert_eq!(child.ask("lock"), "locked");
    let limit = Duration::from_millis(20);
    let start = Instant::now();
    let refused = refusal(segment.lock_timeout(limit));
    assert!(start.elapsed() >= limit);
    let holder = refused.holder().expect("it is known");
    assert_eq!((holder.pid, holder.slot), (child.pid(), Some(slot)));
    assert_eq!(holder.executable, Some(own_name()));
    let text = refused.to_string();
    assert!(
        text.contains(&format!("pid {} ({})", child.pid(), own_name())),
        "{text}"
    );
    assert!(text.contains(KEY), "{text}");

    let refused = refusal(segment.lock_deadline(Instant::now()));
    assert_eq!(refused.kind(), ErrorKind::Timeout);
    assert_eq!(child.ask("unlock"), "unlocked");
    drop(segment.lock_timeout(Duration::ZERO).expect("it is free"));
    drop(segment.lock_timeout(Duration::MAX).expect("it is free"));
}

fn try_lock_never_waits_and_takes_over_from_the_dead() {
    let segment = created();
    let mut child = holding();
    let refused = refusal(segment.try_lock());
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert_eq!(refused.holder().expect("it is known").pid, child.pid());
    child.kill();
    drop(left(segment.try_lock()).mark_consistent());
    drop(segment.try_lock().expect("it is free"));
}

fn locking_twice_on_one_thread_is_an_error() {
    let one = created();
    let other = Segment::attach(KEY).expect("it is there");
    let guard = one.lock().expect("it is free");
    for segment in [&one, &other] {
        for locked in [
            segment.lock(),
            segment.try_lock(),
            segment.lock_timeout(LONG),
        ] {
            assert_eq!(refusal(locked).kind(), ErrorKind::Deadlock);
        }
    }
    drop(guard);
    drop(other.lock().expect("it is free"));
    // Holding two segments' locks is no deadlock.
    let third = Segment::create("com.example.another", 8).expect("nothing has the key");
    let _one = one.lock().expect("it is free");
    let _third = third.lock().expect("it is free");
    // Nor is waiting for another thread of the same process.
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| refusal(other.try_lock()).kind());
        assert_eq!(refused.join().expect("no panic"), ErrorKind::WouldBlock);
        let refused = scope.spawn(|| refusal(one.lock_timeout(Duration::from_millis(5))).kind());
        assert_eq!(refused.join().expect("no panic"), ErrorKind::Timeout);
    });
}

fn threads_that_share_a_handle_exclude_each_other() {
    let segment = created();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let mut bytes = segment.lock().expect("nobody dies");
                    let inside: u32 = bytes.read_at(8).expect("there is room");
                    assert_eq!(inside, 0, "somebody else is inside");
                    bytes.write_at(8, &1_u32).expect("there is room");
                    std::hint::spin_loop();
                    bytes.write_at(8, &0_u32).expect("there is room");
                }
            });
        }
    });
}

fn holders_of_every_kind_are_listed() {
    let holder = || {
        let mut listed = sharehold::list().expect("one may look");
        let segment = listed.remove(0).summary.expect("it is whole");
        assert_eq!((segment.key.as_str(), segment.attachments.len()), (KEY, 2));
        segment.holder().cloned()
    };
    let options = Segment::options().size(64).log(64);
    let segment = options.create(KEY).expect("nothing has the key");
    let mut child = attached();
    assert_eq!(holder(), None);
    assert_eq!(child.ask("lock"), "locked");
    assert_eq!(holder().map(|it| it.pid), Some(child.pid()));
    assert_eq!(child.ask("unlock"), "unlocked");
    let inside: sharehold::Result<_> = segment.transaction(|_| Ok(holder()));
    let inside = inside.expect("it is free").expect("this process holds it");
    assert_eq!(
        (inside.pid, inside.executable),
        (std::process::id(), Some(own_name()))
    );
    assert_eq!(holder(), None);
}

fn a_forgotten_guard_is_released_by_detaching() {
    let segment = created();
    let forgetful = Segment::attach(KEY).expect("it is there");
    std::mem::forget(forgetful.lock().expect("it is free"));
    assert_eq!(refusal(segment.try_lock()).kind(), ErrorKind::Deadlock);
    forgetful.detach().expect("it can leave");
    drop(left(segment.try_lock()).mark_consistent());
}

/// Adds 1, as often as it is told, to the number that all share, and to its own.
fn counter(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let (own, times) = (8 * test.number(0), test.number(1));
    test.say("ready");
    test.hear();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..times / 2 {
                    add_one(&segment, own);
                }
            });
        }
    });
    test.say("counted");
    test.wait_for_end();
}

/// Keeps the rule that the first number is the sum of all others, which a death may have broken.
fn add_one(segment: &Segment, own: usize) {
    let mut bytes = match segment.lock() {
        Ok(bytes) => bytes,
        Err(LockError::Abandoned(found)) => found
            .recover(|bytes| {
                let sum: sharehold::Result<u64> =
                    (1..64).map(|at| bytes.read_at::<u64>(8 * at)).sum();
                bytes.write_at(0, &sum?)
            })
            .expect("there is room"),
        Err(other) => panic!("{other}"),
    };
    for at in [0, own] {
        let count: u64 = bytes.read_at(at).expect("there is room");
        bytes.write_at(at, &(count + 1)).expect("there is room");
    }
}

fn counts_of_threads_and_processes_are_exact() {
    const EACH: u64 = 20_000;
    let segment = created();
    let each = EACH.to_string();
    let start = |number: u64| Child::with(counter, [number.to_string(), each.clone()]);
    let mut counters: Vec<Child> = (1..=6).map(start).collect();
    for counter in &mut counters {
        counter.hears("ready");
    }
    for counter in &mut counters {
        counter.tell("go");
    }
    for counter in &mut counters {
        counter.hears("counted");
        counter.ends_well();
    }
    let bytes = segment.lock().expect("nobody died");
    let count = |at: usize| bytes.read_at::<u64>(8 * at).expect("there is room");
    assert_eq!(count(0), 6 * EACH);
    assert!((1..=6).all(|number| count(number) == EACH));
}

fn counts_are_exact_while_counters_are_killed() {
    const COUNTERS: usize = 6;
    let segment = created();
    let born = |number: usize| {
        let mut child = Child::with(counter, [(number + 1).to_string(), u32::MAX.to_string()]);
        child.hears("ready");
        child.tell("go");
        child
    };
    let mut counters: Vec<Child> = (0..COUNTERS).map(born).collect();
    for round in 0..300 {
        let number = round % COUNTERS;
        counters[number].kill();
        counters[number] = born(number);
    }
    for counter in &mut counters {
        counter.kill();
    }
    let before_last = segment.lock_timeout(LONG).is_err();
    let mut sum = 0;
    if before_last {
        drop(left(segment.lock()).mark_consistent());
    }
    let bytes = segment.lock().expect("it was vouched for");
    for at in 1..64 {
        sum += bytes.read_at::<u64>(8 * at).expect("there is room");
    }
    let total: u64 = bytes.read_at(0).expect("there is room");
    // The last one to die may have been between its two steps, which the report says.
    assert!(
        total == sum || before_last && total == sum + 1,
        "{total} counted, {sum} told"
    );
    assert!(total > 0);
}
