//! Creation: whole or not at all, by one of many.

use std::time::{Duration, Instant};

use sharehold::{ErrorKind, LockError, Policy, Result, Segment};
use sharehold_testkit::{Child, Suite, Talk, left_in_directory};

use crate::roles::{KEY, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_creator_killed_at_any_moment_leaves_nothing_visible)
        .test(a_half_made_segment_is_never_seen)
        .test(of_fifty_that_race_one_creates_and_all_get_the_same_segment)
        .test(fifty_that_race_for_a_stale_segment_get_one_fresh_one)
        .test(what_is_created_is_zero_unless_the_creator_writes_it)
        .test(a_creator_that_gives_up_leaves_nothing)
        .test(a_living_segment_is_not_created_again)
        .test(impossible_options_are_refused)
        .role(creator)
        .role(watcher)
        .role(racer)
}

const SIZE: usize = 64 * 1024;

/// Creates and drops the segment for ever, with `SIZE` equal bytes that are not zero.
fn creator(test: &mut Talk) {
    test.say("ready");
    for round in 1_u32.. {
        let byte = u8::try_from(round % 255 + 1).expect("it is at most 255");
        let created = Segment::options().size(SIZE).create_with(KEY, |bytes| {
            bytes.fill(0..SIZE / 2, byte)?;
            bytes.fill(SIZE / 2..SIZE, byte)
        });
        match created {
            Ok(segment) => drop(segment),
            // The watcher, or another creator, has it.
            Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{error}"),
        }
    }
}

/// A length of time that differs from round to round, and is not in step with anything.
fn moment(round: u64) -> Duration {
    let mixed = (round + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    Duration::from_nanos(mixed % 600_000)
}

/// Passes so little time without sleeping, which takes longer.
fn pass(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        std::hint::spin_loop();
    }
}

fn a_creator_killed_at_any_moment_leaves_nothing_visible() {
    for round in 0..300 {
        let mut child = Child::of(creator);
        child.hears("ready");
        pass(moment(round));
        child.kill();
        assert!(
            !Segment::exists(KEY).expect("one may look"),
            "round {round}"
        );
        assert_eq!(
            kind(Segment::attach(KEY)),
            Some(ErrorKind::NotFound),
            "round {round}"
        );
        assert!(left_in_directory().is_empty(), "round {round}");
    }
}

/// Attaches again and again, looks whether the segment is whole, and says so the first time that it
/// sees one.
fn watcher(test: &mut Talk) {
    test.say("ready");
    let mut has_seen = false;
    loop {
        let segment = match Segment::attach(KEY) {
            Ok(segment) => segment,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                continue;
            }
        };
        assert_eq!((segment.size(), segment.key()), (SIZE, KEY));
        let bytes = match segment.lock() {
            Ok(bytes) => bytes,
            // The other watcher was killed; it only reads.
            Err(LockError::Abandoned(found)) => found.mark_consistent(),
            Err(other) => panic!("{other}"),
        };
        let mut data = vec![0; SIZE];
        bytes.read(0, &mut data).expect("so large it is");
        assert!(
            data[0] != 0 && data.iter().all(|&byte| byte == data[0]),
            "a half-made segment"
        );
        if !has_seen {
            test.say("seen");
            has_seen = true;
        }
    }
}

fn a_half_made_segment_is_never_seen() {
    let mut watchers = [Child::of(watcher), Child::of(watcher)];
    for watcher in &mut watchers {
        watcher.hears("ready");
    }
    for round in 0..150 {
        let mut child = Child::of(creator);
        child.hears("ready");
        pass(moment(round) * 4);
        child.kill();
    }
    let mut last = Child::of(creator);
    for watcher in &mut watchers {
        watcher.hears("seen");
        // Fails if it found something amiss and ended by itself.
        watcher.kill();
    }
    last.kill();
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));
}

/// Opens or creates the segment when told; the first value is the creator's own number.
fn racer(test: &mut Talk) {
    test.say("ready");
    test.hear();
    let me = u64::from(std::process::id());
    let segment = Segment::options()
        .size(16)
        .open_or_create_with(KEY, |bytes| bytes.write_at(0, &me))
        .expect("there is room for all");
    let mut bytes = segment.lock().expect("nobody dies");
    let arrived: u64 = bytes.read_at(8).expect("there is room");
    bytes.write_at(8, &(arrived + 1)).expect("there is room");
    test.say(bytes.read_at::<u64>(0).expect("there is room"));
    drop(bytes);
    test.wait_for_end();
    segment.detach().expect("it can leave");
}

fn race() {
    const RACERS: usize = 50;
    let mut racers: Vec<Child> = (0..RACERS).map(|_| Child::of(racer)).collect();
    for racer in &mut racers {
        racer.hears("ready");
    }
    for racer in &mut racers {
        racer.tell("go");
    }
    let first: Vec<u64> = racers.iter_mut().map(Child::hear_number).collect();
    assert!(
        first.iter().all(|value| *value == first[0]),
        "several first values: {first:?}"
    );
    let created_by = racers
        .iter()
        .filter(|racer| u64::from(racer.pid()) == first[0]);
    assert_eq!(created_by.count(), 1, "the first value is one racer's own");

    let segment = Segment::attach(KEY).expect("all are attached");
    assert_eq!(
        segment.attachments().expect("one may look").len(),
        RACERS + 1
    );
    let bytes = segment.lock().expect("nobody died");
    assert_eq!(
        bytes.read_at::<u64>(8).expect("there is room"),
        RACERS as u64
    );
    drop(bytes);
    drop(segment);
    for racer in &mut racers {
        racer.ends_well();
    }
    assert!(left_in_directory().is_empty());
}

fn of_fifty_that_race_one_creates_and_all_get_the_same_segment() {
    for _ in 0..3 {
        race();
    }
}

fn fifty_that_race_for_a_stale_segment_get_one_fresh_one() {
    for _ in 0..3 {
        let mut dead = Child::of(racer);
        dead.hears("ready");
        dead.tell("go");
        dead.hear();
        dead.kill();
        assert_eq!(left_in_directory().len(), 1, "a stale segment stands there");
        race();
    }
}

fn what_is_created_is_zero_unless_the_creator_writes_it() {
    let read = |segment: &Segment| {
        let mut data = vec![0xff; segment.size()];
        let bytes = segment.lock().expect("it is free");
        bytes.read(0, &mut data).expect("so large it is");
        data
    };
    let segment = Segment::create(KEY, 10_001).expect("nothing has the key");
    assert_eq!(read(&segment), vec![0; 10_001]);
    assert_eq!((segment.size(), segment.max_size()), (10_001, 10_001));
    assert_eq!(segment.policy(), Policy::RemoveOnLastDetach);
    drop(segment);
    let segment = Segment::options()
        .size(5)
        .create_with(KEY, |bytes| bytes.write(1, b"abc"))
        .expect("nothing has the key");
    assert_eq!(read(&segment), b"\0abc\0");
}

fn a_creator_that_gives_up_leaves_nothing() {
    let too_much =
        |bytes: &mut sharehold::SegmentData<'_>| -> Result<()> { bytes.write(0, b"too long") };
    let created = Segment::options().size(4).create_with(KEY, too_much);
    assert_eq!(kind(created), Some(ErrorKind::OutOfBounds));
    assert!(!Segment::exists(KEY).expect("one may look"));
    let created = Segment::options()
        .size(4)
        .open_or_create_with(KEY, too_much);
    assert_eq!(kind(created), Some(ErrorKind::OutOfBounds));
    let panicked = std::panic::catch_unwind(|| {
        Segment::options()
            .size(4)
            .create_with(KEY, |_| panic!("on purpose"))
    });
    assert!(panicked.is_err());
    assert!(!Segment::exists(KEY).expect("one may look"));
    assert!(left_in_directory().is_empty());
}

fn a_living_segment_is_not_created_again() {
    let first = Segment::create(KEY, 8).expect("nothing has the key");
    let error = Segment::create(KEY, 8).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.key(), Some(KEY));
    drop(first);
    let persistent = Segment::options().size(8).policy(Policy::Persistent);
    drop(persistent.create(KEY).expect("nothing has the key"));
    assert_eq!(
        kind(Segment::create(KEY, 8)),
        Some(ErrorKind::AlreadyExists)
    );
    assert_eq!(kind(persistent.create(KEY)), Some(ErrorKind::AlreadyExists));
    Segment::destroy(KEY, sharehold::DestroyMode::Immediate).expect("it is there");
}

fn impossible_options_are_refused() {
    let options = || Segment::options().size(8);
    for refused in [
        options().size(0),
        options().max_size(7),
        options().slots(0),
        options().slots(4001),
        options().mode(0o400),
        options().mode(0o060),
        options().mode(0o700),
        options().mode(0o4600),
        options().max_size(usize::MAX),
        options().size(usize::MAX),
        options().max_size(isize::MAX.unsigned_abs()),
    ] {
        assert_eq!(
            kind(refused.create(KEY)),
            Some(ErrorKind::InvalidOption),
            "{refused:?}"
        );
        assert_eq!(
            kind(refused.open_or_create(KEY)),
            Some(ErrorKind::InvalidOption),
            "{refused:?}"
        );
    }
    // More than any machine has, but not more than can be said.
    let much = kind(options().size(1 << 46).create(KEY));
    assert_eq!(much, Some(ErrorKind::OutOfMemory));
    assert!(left_in_directory().is_empty());
}
