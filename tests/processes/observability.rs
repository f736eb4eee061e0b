//! What is visible from outside of waiters, owners and deaths: it is reported while it is so, and
//! not for longer.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::process;
use std::time::{Duration, SystemTime};

use sharehold::{Deadlock, ErrorKind, LockState, Segment, Summary, deadlocks, inspect, summarize};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, attached, attached_to, created, holding};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_waiter_is_named_as_long_as_it_waits)
        .test(the_holder_is_seen_since_it_was_met)
        .test(a_death_has_its_certificate)
        .test(the_last_certificates_are_kept)
        .test(processes_that_wait_for_each_other_are_named)
        .test(a_row_is_no_circle)
        .test(a_note_of_anything_is_no_harm)
        .test(a_waiter_stopped_before_it_notices_is_not_reported_as_waiting)
        .role(both)
}

fn now() -> Summary {
    summarize(KEY).expect("it is there")
}

fn waiting() -> Vec<u32> {
    let waiters = now().waiters.into_iter();
    waiters.map(|it| it.attachment.pid).collect()
}

/// Starts a peer that waits for the lock of the tests' segment.
fn waiter() -> Child {
    let mut child = attached();
    child.tell("lock");
    child.waits_for_memory();
    child
}

fn a_waiter_is_named_as_long_as_it_waits() {
    let segment = created();
    let guard = segment.lock().expect("it is free");
    assert_eq!(waiting(), []);
    let before = SystemTime::now();
    let mut first = waiter();
    let mut second = waiter();
    let seen = now();
    assert_eq!(waiting(), [first.pid(), second.pid()], "the longest first");
    for (waiter, child) in seen.waiters.iter().zip([&first, &second]) {
        // Peers wait with their first thread.
        assert_eq!(waiter.thread, Some(child.pid()));
        assert!(waiter.since >= before && waiter.since <= SystemTime::now());
    }
    assert_eq!(
        inspect(KEY).expect("it is there").summary.waiters,
        seen.waiters
    );
    first.kill();
    assert_eq!(waiting(), [second.pid()], "the dead wait no more");
    drop(guard);
    second.hears("locked");
    assert_eq!(waiting(), []);
    // One that gives up.
    assert!(segment.lock_timeout(Duration::from_millis(1)).is_err());
    assert_eq!(waiting(), []);
    second.ends_well();
}

fn the_holder_is_seen_since_it_was_met() {
    let segment = created();
    let seen_since = || match now().lock {
        LockState::Held(holder) => holder.seen_since,
        other => panic!("it is held, not {other:?}"),
    };
    let guard = segment.lock().expect("it is free");
    assert_eq!(seen_since(), None, "nobody has looked");
    let before = SystemTime::now();
    let first = waiter();
    let met = seen_since().expect("somebody waits");
    assert!(met >= before && met <= SystemTime::now());
    let second = waiter();
    assert_eq!(seen_since(), Some(met), "the first one saw it before");
    drop(guard);
    // Either may be the next; the one that still waits notes the new holder within its period.
    let (mut next, mut last) = if first_of(&first, &second) {
        (first, second)
    } else {
        (second, first)
    };
    next.hears("locked");
    while seen_since().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(seen_since() >= Some(met), "it is another one's hold");
    next.tell("unlock");
    next.hears("unlocked");
    last.hears("locked");
    next.ends_well();
    last.ends_well();
}

/// Whether the lock is the first one's, once one of the two has it.
fn first_of(first: &Child, second: &Child) -> bool {
    loop {
        match now().holder().map(|it| it.pid) {
            Some(pid) if pid == first.pid() => return true,
            Some(pid) if pid == second.pid() => return false,
            _ => std::thread::yield_now(),
        }
    }
}

fn a_death_has_its_certificate() {
    let segment = created();
    let mut previous_owner = holding();
    let mut heir = waiter();
    let before = SystemTime::now();
    previous_owner.kill();
    assert!(heir.hear().starts_with("Abandoned"));
    let seen = inspect(KEY).expect("it is there");
    assert_eq!(seen.recoveries.len(), 1);
    let certificate = &seen.recoveries[0];
    assert_eq!(certificate.number, 1);
    let named = |it: &Option<sharehold::Attachment>| it.as_ref().map(|it| it.pid);
    assert_eq!(named(&certificate.dead), Some(previous_owner.pid()));
    assert_eq!(named(&certificate.by), Some(heir.pid()));
    assert_eq!(certificate.part, None);
    assert!(certificate.at >= before && certificate.at <= SystemTime::now());
    assert_eq!(certificate.took, seen.summary.recoveries.longest);
    heir.ends_well();
    drop(segment);
}

fn the_last_certificates_are_kept() {
    let segment = created();
    let mut dead = Vec::new();
    for _ in 0..18 {
        let mut previous_owner = attached();
        previous_owner.tell(if dead.is_empty() { "lock" } else { "recover" });
        previous_owner.hear();
        dead.push(previous_owner.pid());
        previous_owner.kill();
    }
    let last = segment.lock().map_err(|error| error.kind());
    assert_eq!(last.err(), Some(ErrorKind::Abandoned));
    dead.reverse();
    let seen = inspect(KEY).expect("it is there");
    let certified = seen.recoveries.iter();
    let certified: Vec<_> = certified
        .map(|it| (it.number, it.dead.as_ref().map(|it| it.pid)))
        .collect();
    let expected = (1..=18).rev().zip(dead).take(16);
    let expected: Vec<_> = expected.map(|(number, pid)| (number, Some(pid))).collect();
    assert_eq!(certified, expected);
}

const OTHER: &str = "com.example.other";

fn processes_that_wait_for_each_other_are_named() {
    let both = [created(), Segment::create(OTHER, 1).expect("it is free")];
    let [mut first, mut second] = crossed();
    assert_eq!(deadlocks().expect("one may look"), []);
    first.tell("lock 1");
    first.waits_for_memory();
    assert_eq!(
        deadlocks().expect("one may look"),
        [],
        "one waits for one who does not"
    );
    second.tell("lock 1");
    second.waits_for_memory();
    let found = deadlocks().expect("one may look");
    let [Deadlock { waits, .. }] = found.as_slice() else {
        panic!("there is one: {found:?}");
    };
    let mut told: Vec<_> = waits
        .iter()
        .map(|it| {
            (
                it.waiter.pid,
                it.key.as_str(),
                it.holder.pid,
                it.part.clone(),
            )
        })
        .collect();
    told.sort_unstable_by_key(|it| it.0 != first.pid());
    let expected = [
        (first.pid(), OTHER, second.pid(), None),
        (second.pid(), KEY, first.pid(), None),
    ];
    assert_eq!(told, expected);
    let said = found[0].to_string();
    for part in [
        "waits for the lock of `com.example.",
        ", held by pid ",
        ", which waits for ",
    ] {
        assert!(said.contains(part), "{said}");
    }
    second.kill();
    first.hears("done");
    assert_eq!(deadlocks().expect("one may look"), []);
    first.ends_well();
    drop(both);
}

/// Locks and unlocks two segments as it is told.
fn both(test: &mut Talk) {
    let segments = [0, 1].map(|it| Segment::attach(&test.argument(it)).expect("it is there"));
    let mut guards = [None, None];
    loop {
        let line = test.hear();
        let (order, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number: usize = number.parse().expect("a number");
        match order {
            "lock" => guards[number] = Some(segments[number].lock()),
            "unlock" => guards[number] = None,
            _ => return,
        }
        test.say("done");
    }
}

/// Two processes, each of which has the lock of a segment, and knows the other one's.
fn crossed() -> [Child; 2] {
    [[KEY, OTHER], [OTHER, KEY]].map(|keys| {
        let mut child = Child::with(both, keys);
        child.tell("lock 0");
        child.hears("done");
        child
    })
}

fn a_waiter_stopped_before_it_notices_is_not_reported_as_waiting() {
    let all = [created(), Segment::create(OTHER, 1).expect("it is free")];
    let [mut stopped, mut other] = crossed();
    stopped.tell("lock 1");
    stopped.waits_for_memory();
    stopped.stop();
    other.tell("unlock 0");
    other.hears("done");
    other.tell("lock 1");
    other.waits_for_memory();
    // What the stopped one waits for is free by now.
    assert_eq!(deadlocks().expect("one may look"), []);
    stopped.resume();
    stopped.hears("done");
    stopped.tell("unlock 0");
    stopped.hears("done");
    other.hears("done");
    stopped.ends_well();
    other.ends_well();
    drop(all);
}

fn a_row_is_no_circle() {
    let segment = created();
    let guard = segment.lock().expect("it is free");
    let _other = Segment::create(OTHER, 1).expect("it is free");
    let mut middle = attached_to(OTHER);
    middle.tell("lock");
    middle.hears("locked");
    let mut end = attached_to(OTHER);
    end.tell("lock");
    end.waits_for_memory();
    let mut waiting = waiter();
    assert_eq!(deadlocks().expect("one may look"), []);
    assert_eq!(now().holder().map(|it| it.pid), Some(process::id()));
    drop(guard);
    waiting.hears("locked");
    waiting.ends_well();
    middle.ends_well();
    end.hears("locked");
    end.ends_well();
}

fn a_note_of_anything_is_no_harm() {
    let options = Segment::options().size(1).max_size(1 << 30);
    let segment = options.create(KEY).expect("it is free");
    let _holder = holding();
    let path = directory().join(&left_in_directory()[0]);
    let file = File::options().write(true).open(path).expect("it is there");
    // Of a lock far beyond the file's end, in the second slot; see docs/format.md.
    let note = (1_u64 << 20).to_le_bytes();
    for place in [0, 32] {
        let at = 2048 + 192 + 128 + place;
        file.write_all_at(&[0xff; 32], at).expect("it is open");
        file.write_all_at(&note[..4], at).expect("it is open");
    }
    let error = segment.lock_timeout(Duration::from_millis(1)).map(drop);
    assert_eq!(error.map_err(|it| it.kind()), Err(ErrorKind::Timeout));
    assert_eq!(deadlocks().expect("one may look"), []);
    assert_eq!(now().waiters, []);
    assert!(inspect(KEY).is_ok());
}
