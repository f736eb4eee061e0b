//! Plain locks of a segment with a type: which deaths they report, and what they cannot do to its
//! value.

use sharehold::{
    AbandonCause, DestroyMode, ErrorKind, LockError, Mutex, Part, Policy, Segment, Shared,
    UntypedShared,
};
use sharehold_testkit::{Child, Suite, Talk};

use super::KEY;

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_dead_in_place_owner_does_not_block_changes)
        .test(a_death_in_a_change_keeps_the_in_place_mark_of_the_previous_owner)
        .test(a_panicked_in_place_owner_does_not_block_changes)
        .test(transactions_on_bytes_are_still_refused)
        .test(a_typed_segment_has_no_bytes_to_read_or_write)
        .role(plain_holder)
        .role(changer)
        .role(holder_of_bytes)
}

/// Has the plain lock until it is killed.
fn plain_holder(test: &mut Talk) {
    let value = Shared::<u64>::attach(KEY).expect("it is there");
    let _guard = locked(value.segment());
    test.say("holds");
    test.wait_for_end();
}

/// Is in the middle of a change until it is killed.
fn changer(test: &mut Talk) {
    let value = Shared::<u64>::attach(KEY).expect("it is there");
    let changed = value.update(|it| {
        *it = 1000;
        test.say("changes");
        test.wait_for_end();
    });
    changed.expect("it is killed before");
}

fn holder_of_bytes(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _guard = segment.lock().expect("it is free");
    test.say("holds");
    test.wait_for_end();
}

/// The lock, whatever was left.
fn locked(segment: &Segment) -> sharehold::SegmentGuard<'_> {
    match segment.lock() {
        Ok(guard) => guard,
        Err(LockError::Abandoned(found)) => found.into_guard(),
        Err(other) => panic!("{other}"),
    }
}

/// The owner that left the mark that the next plain lock reports.
#[track_caller]
fn marked_by(segment: &Segment) -> Option<(AbandonCause, Option<u32>)> {
    match segment.lock() {
        Ok(_) => None,
        Err(LockError::Abandoned(found)) => {
            Some((found.cause(), found.previous_owner().map(|it| it.pid)))
        }
        Err(other) => panic!("{other}"),
    }
}

/// Makes a change in every way there is; the value is then seven more.
#[track_caller]
fn change_in_all_ways(value: &Shared<u64>) {
    let old = value.get().expect("it is whole");
    value.update(|it| *it += 1).expect("update goes through");
    value.set(&(old + 2)).expect("set goes through");
    let before = value.replace(old + 3).expect("replace goes through");
    assert_eq!(before, old + 2);
    let exchanged = value.compare_exchange(&(old + 3), &(old + 4));
    assert_eq!(exchanged.expect("it goes through"), Ok(old + 3));
    let any = UntypedShared::attach(KEY).expect("it is there");
    any.update(|it| it[0] += 1)
        .expect("any update goes through");
    let mut bytes = any.get().expect("it is whole");
    bytes[0] += 1;
    any.set(&bytes).expect("any set goes through");
    let limit = std::time::Duration::from_secs(60);
    let changed = any.try_update_timeout(limit, |it| {
        it[0] += 1;
        Ok::<(), sharehold::Error>(())
    });
    changed.expect("any update with a limit goes through");
    assert_eq!(value.get().expect("it is whole"), old + 7);
}

fn a_dead_in_place_owner_does_not_block_changes() {
    let value = Shared::<u64>::create(KEY, &0).expect("nothing has the key");
    for _ in 0..3 {
        let mut holder = Child::of(plain_holder);
        holder.hears("holds");
        holder.kill();
        let dead = Some((AbandonCause::Died, Some(holder.pid())));
        // It is a change that takes the lock over from the dead one.
        change_in_all_ways(&value);
        assert_eq!(marked_by(value.segment()), dead);
        change_in_all_ways(&value);
        assert_eq!(marked_by(value.segment()), dead, "no change clears it");
    }
    let Err(LockError::Abandoned(found)) = value.segment().lock() else {
        panic!("nobody has vouched for it");
    };
    drop(found.mark_consistent());
    assert_eq!(marked_by(value.segment()), None);
    change_in_all_ways(&value);
}

fn a_death_in_a_change_keeps_the_in_place_mark_of_the_previous_owner() {
    let value = Shared::<u64>::create(KEY, &0).expect("nothing has the key");
    let die_in_change = || {
        let mut changer = Child::of(changer);
        changer.hears("changes");
        changer.kill();
    };
    die_in_change();
    change_in_all_ways(&value);
    assert_eq!(marked_by(value.segment()), None, "it leaves none itself");

    let mut holder = Child::of(plain_holder);
    holder.hears("holds");
    holder.kill();
    // It takes over from the dead plain holder, and dies itself.
    die_in_change();
    change_in_all_ways(&value);
    let dead = Some((AbandonCause::Died, Some(holder.pid())));
    assert_eq!(marked_by(value.segment()), dead);
    die_in_change();
    assert_eq!(marked_by(value.segment()), dead);
}

fn a_panicked_in_place_owner_does_not_block_changes() {
    let value = Shared::<u64>::create(KEY, &0).expect("nothing has the key");
    let panicked = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _guard = locked(value.segment());
            panic!("as the test wants");
        });
        thread.join()
    });
    panicked.expect_err("it panics");
    change_in_all_ways(&value);
    let own = Some((AbandonCause::Panicked, Some(std::process::id())));
    assert_eq!(marked_by(value.segment()), own);
}

fn transactions_on_bytes_are_still_refused() {
    let options = Segment::options().size(8).log(256);
    let segment = options.create(KEY).expect("nothing has the key");
    let mut holder = Child::of(holder_of_bytes);
    holder.hears("holds");
    holder.kill();
    for _ in 0..2 {
        let refused = segment.transaction(|tx| tx.write_at(0, &1_u64));
        let refused = refused.expect_err("the bytes may be half written");
        assert_eq!(refused.kind(), ErrorKind::Abandoned);
    }
}

fn a_typed_segment_has_no_bytes_to_read_or_write() {
    let options = Segment::options().policy(Policy::Persistent).log(256);
    let value = options.create_shared(KEY, &[7_u64; 4]);
    let value = value.expect("nothing has the key");
    let plain = Segment::attach(KEY).expect("it is there");
    refuses_bytes(value.segment());
    refuses_bytes(&plain);
    assert_eq!(value.get().expect("it is whole"), [7; 4]);
    drop(value);
    drop(plain);
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");

    let mutex = Mutex::create(KEY, 7_u64).expect("nothing has the key");
    refuses_bytes(mutex.segment());
    assert_eq!(*mutex.lock().expect("it is free"), 7);
}

#[track_caller]
fn refuses_bytes(segment: &Segment) {
    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: sharehold::Result<T>) {
        let error = result.expect_err("there is a type");
        assert_eq!(error.kind(), ErrorKind::TypeMismatch, "{error}");
    }
    let mut guard = segment.lock().expect("it is free");
    refused(guard.write(0, &[1; 8]));
    refused(guard.write(3, &[1; 9]));
    refused(guard.write_at(8, &1_u64));
    refused(guard.fill(0..16, 1));
    refused(guard.copy_from(0..16, &[1; 16][..]));
    refused(guard.read(0, &mut [0; 8]));
    refused(guard.read(3, &mut [0; 9]));
    refused(guard.read_at::<u64>(0));
    refused(guard.read_at::<u32>(4));
    refused(guard.copy_to(0..16, Vec::new()));
    refused(guard.transaction(|tx| tx.write_at(0, &1_u64)));
    drop(guard);
    refused(segment.transaction(|tx| tx.write_at(0, &1_u64)));
    refused(segment.transaction(|tx| tx.read_at::<u64>(0)));
}
