//! The end of a segment: with its last user, however that one ends, or when it is destroyed.

use std::time::{Duration, Instant};

use sharehold::{DestroyMode, ErrorKind, Policy, Segment};
use sharehold_testkit::{Child, Suite, Talk, left_in_directory};

use crate::roles::{KEY, attached, created, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(the_last_one_out_removes_the_segment)
        .test(when_the_last_users_die_together_the_key_is_free)
        .test(a_handle_of_a_dead_process_does_not_count_among_the_living)
        .test(a_persistent_segment_outlives_its_users_and_keeps_its_data)
        .test(destroy_now_frees_the_key_and_leaves_those_attached_their_memory)
        .test(destroy_waits_for_those_attached_to_leave_or_die)
        .test(destroy_does_not_wait_longer_than_it_may)
        .test(destroy_gets_through_a_storm_of_attachers)
        .test(attachers_creators_and_leavers_that_are_killed_never_meet_a_broken_segment)
        .role(destroyer)
        .role(visitor)
        .role(citizen)
}

fn the_last_one_out_removes_the_segment() {
    let first = created();
    let mut second = attached();
    let mut third = attached();
    assert_eq!(first.attachments().expect("one may look").len(), 3);
    first.detach().expect("it can leave");
    assert!(Segment::exists(KEY).expect("one may look"));
    third.ends_well();
    assert!(Segment::exists(KEY).expect("one may look"));
    second.ends_well();
    assert!(!Segment::exists(KEY).expect("one may look"));
    assert!(left_in_directory().is_empty());
}

fn when_the_last_users_die_together_the_key_is_free() {
    for ask in [
        |()| kind(Segment::attach(KEY)),
        |()| kind(Segment::attach_read_only(KEY)),
        |()| kind(Segment::destroy(KEY, DestroyMode::WhenUnused)),
        |()| kind(Segment::create(KEY, 1).map(drop)),
    ] {
        let segment = created();
        let children: Vec<Child> = (0..5).map(|_| attached()).collect();
        drop(segment);
        children.iter().for_each(Child::kill_soon);
        drop(children);
        assert!(!Segment::exists(KEY).expect("one may look"));
        let answer = ask(());
        assert!(
            matches!(answer, Some(ErrorKind::NotFound) | None),
            "{answer:?}"
        );
        assert!(left_in_directory().is_empty());
    }
}

fn a_handle_of_a_dead_process_does_not_count_among_the_living() {
    let segment = created();
    let mut child = attached();
    assert_eq!(segment.attachments().expect("one may look").len(), 2);
    child.kill();
    let left = segment.attachments().expect("one may look");
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].pid, std::process::id());
    segment.detach().expect("it can leave");
    assert!(left_in_directory().is_empty());
}

fn a_persistent_segment_outlives_its_users_and_keeps_its_data() {
    let options = Segment::options().size(64).policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let mut child = attached();
    child.tell("lock");
    child.hears("locked");
    assert_eq!(child.ask("write 4711"), "written");
    assert_eq!(child.ask("unlock"), "unlocked");
    child.kill();

    assert!(Segment::exists(KEY).expect("one may look"));
    let segment = Segment::attach(KEY).expect("it is persistent");
    assert_eq!(segment.policy(), Policy::Persistent);
    let bytes = segment.lock().expect("nobody died holding it");
    assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), 4711);
    drop(bytes);
    segment.detach().expect("it can leave");
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody uses it");
    assert_eq!(
        kind(Segment::destroy(KEY, DestroyMode::Immediate)),
        Some(ErrorKind::NotFound)
    );
    assert!(left_in_directory().is_empty());
}

fn destroy_now_frees_the_key_and_leaves_those_attached_their_memory() {
    let mut one = {
        let segment = created();
        let child = attached();
        drop(segment);
        child
    };
    let mut other = attached();
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
    assert!(!Segment::exists(KEY).expect("one may look"));
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));

    let successor = created();
    assert_eq!(one.ask("lock"), "locked");
    assert!(other.ask("try").starts_with("WouldBlock"));
    assert_eq!(one.ask("write 1"), "written");
    assert_eq!(one.ask("unlock"), "unlocked");
    assert_eq!(other.ask("lock"), "locked");
    assert_eq!(other.ask("read"), "1");
    let bytes = successor.lock().expect("it is another lock");
    assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), 0);
    drop(bytes);
    // The memory without a name ends with them, and they do not take the successor's name away.
    other.kill();
    assert!(one.ask("recover").contains("died holding it"));
    one.ends_well();
    assert_eq!(successor.attachments().expect("one may look").len(), 1);
    assert!(Segment::exists(KEY).expect("one may look"));
}

/// Destroys the segment once it is unused.
fn destroyer(test: &mut Talk) {
    test.say("begins");
    match kind(Segment::destroy(KEY, DestroyMode::WhenUnused)) {
        // The last attachment removed it before this process looked.
        None | Some(ErrorKind::NotFound) => test.say("destroyed"),
        Some(other) => test.say(format!("{other:?}")),
    }
    test.wait_for_end();
}

fn destroy_waits_for_those_attached_to_leave_or_die() {
    for dies in [false, true] {
        let segment = created();
        let mut child = attached();
        drop(segment);
        let mut waiting = Child::of(destroyer);
        waiting.hears("begins");
        assert_eq!(child.ask("lock"), "locked");
        if dies {
            child.kill();
        } else {
            child.ends_well();
        }
        waiting.hears("destroyed");
        waiting.ends_well();
        assert!(left_in_directory().is_empty());
    }
    // A persistent one, too, which nobody else removes.
    let options = Segment::options().size(64).policy(Policy::Persistent);
    let segment = options.create(KEY).expect("nothing has the key");
    let mut waiting = Child::of(destroyer);
    waiting.hears("begins");
    assert_eq!(
        kind(Segment::destroy(
            KEY,
            DestroyMode::WhenUnusedWithin(Duration::ZERO)
        )),
        Some(ErrorKind::Busy)
    );
    drop(segment);
    waiting.hears("destroyed");
    assert!(left_in_directory().is_empty());
}

fn destroy_does_not_wait_longer_than_it_may() {
    let segment = created();
    let limit = Duration::from_millis(30);
    let start = Instant::now();
    let error =
        Segment::destroy(KEY, DestroyMode::WhenUnusedWithin(limit)).expect_err("it is in use");
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(start.elapsed() >= limit);
    assert!(Segment::exists(KEY).expect("one may look"));
    // A reader is a user.
    let reader = Segment::attach_read_only(KEY).expect("it is there");
    drop(segment);
    assert_eq!(
        kind(Segment::destroy(KEY, DestroyMode::WhenUnusedWithin(limit))),
        Some(ErrorKind::Busy)
    );
    drop(reader);
    assert_eq!(
        kind(Segment::destroy(KEY, DestroyMode::Immediate)),
        Some(ErrorKind::NotFound)
    );
}

/// Attaches and detaches for ever; says so after the first time.
fn visitor(test: &mut Talk) {
    for round in 0_u64.. {
        if let Err(error) = Segment::attach(KEY) {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        }
        if round == 0 {
            test.say("visiting");
        }
    }
}

fn destroy_gets_through_a_storm_of_attachers() {
    let options = Segment::options().size(64).policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let mut storm: Vec<Child> = (0..40).map(|_| Child::of(visitor)).collect();
    for visitor in &mut storm {
        visitor.hears("visiting");
    }
    for _ in 0..20 {
        Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
        drop(options.create(KEY).expect("nothing has the key"));
    }
    drop(storm);
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody is left");
}

/// What a segment holds from the first moment on.
const WHOLE: u64 = 0x5ade_5ade_5ade_5ade;

/// Locks, also after an owner died: no process leaves anything half written here.
fn locked(segment: &Segment) -> sharehold::SegmentGuard<'_> {
    match segment.lock() {
        Ok(bytes) => bytes,
        Err(sharehold::LockError::Abandoned(found)) => found.mark_consistent(),
        Err(other) => panic!("{other}"),
    }
}

/// Comes and goes in every way there is, for ever, and looks whether the segment is whole each
/// time.
fn citizen(test: &mut Talk) {
    test.say("ready");
    for round in std::process::id().. {
        let options = Segment::options().size(4096).slots(16);
        let mine = u64::from(round) << 32 | u64::from(std::process::id());
        // What it is told by, and what shows that it is whole.
        let first = |bytes: &mut sharehold::SegmentData<'_>| {
            bytes.write_at(1024, &mine)?;
            bytes.write_at(2048, &WHOLE)
        };
        let segment = match round % 4 {
            0 => options.create_with(KEY, first),
            1 => Segment::attach(KEY),
            2 => {
                // It may be gone, or have gone on being used.
                drop(Segment::attach_read_only(KEY));
                options.open_or_create_with(KEY, first)
            }
            _ => options.open_or_create_with(KEY, first),
        };
        let segment = match segment {
            Ok(segment) => segment,
            Err(error) => {
                let expected = [ErrorKind::AlreadyExists, ErrorKind::NotFound];
                assert!(expected.contains(&error.kind()), "{error}");
                continue;
            }
        };
        let mut bytes = locked(&segment);
        assert_eq!(bytes.read_at::<u64>(2048).expect("there is room"), WHOLE);
        let told_by: u64 = bytes.read_at(1024).expect("there is room");
        // Nobody else is inside: what is written is still there.
        bytes.write_at(0, &mine).expect("there is room");
        std::thread::yield_now();
        assert_eq!(bytes.read_at::<u64>(0).expect("there is room"), mine);
        drop(bytes);
        // While this one is attached, the key is this segment's.
        let again = Segment::attach(KEY).expect("this process keeps it alive");
        let again_told_by: u64 = locked(&again).read_at(1024).expect("there is room");
        assert_eq!(again_told_by, told_by, "two living segments have one key");
        drop(again);
        if round % 64 == 0 {
            segment.detach().expect("it can leave");
        }
    }
}

fn attachers_creators_and_leavers_that_are_killed_never_meet_a_broken_segment() {
    // Few enough that there is often none.
    const CITIZENS: usize = 4;
    let born = || {
        let mut child = Child::of(citizen);
        child.hears("ready");
        child
    };
    let mut citizens: Vec<Child> = (0..CITIZENS).map(|_| born()).collect();
    for round in 0..400 {
        // Fails if a citizen found something amiss and ended by itself.
        citizens[round % CITIZENS].kill();
        citizens[round % CITIZENS] = born();
    }
    for citizen in &mut citizens {
        citizen.kill();
    }
    assert!(!Segment::exists(KEY).expect("one may look"));
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));
    assert!(left_in_directory().is_empty());
}
