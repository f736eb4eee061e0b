//! Any bytes in a segment of parts: in their words, marks and values, before anybody attaches and
//! while they are in use.

use std::fmt::Debug;
use std::fs::{self, File};
use std::future::Future;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

use proptest::prelude::*;
use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, DestroyMode, Error, ErrorKind, Event, Mutex, OnceLock,
    Part, Policy, ResetMode, RwLock, Segment, SegmentOptions, Semaphore,
};
use sharehold_testkit::{Suite, directory, left_in_directory};

use super::{Change, KEY, SHORT, SLOTS, apply, run, scribble, value};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(parts_in_a_changed_file_are_an_error_or_work)
        .test(parts_that_are_scribbled_over_in_use_neither_crash_nor_hang)
        .test(a_value_that_seems_to_change_all_the_time_is_damaged)
}

/// Not all bytes are such a value.
type Flags = [bool; 8];

#[derive(Part)]
struct All {
    mutex: Mutex<Flags>,
    rwlock: RwLock<Flags>,
    once: OnceLock<Flags>,
    permits: Semaphore,
    manual: Event,
    auto: Event,
    strict: Barrier,
    lenient: Barrier,
}

fn first() -> AllInit {
    let meeting = |death_policy| BarrierOptions {
        participants: 2,
        death_policy,
    };
    AllInit {
        mutex: [true; 8],
        rwlock: [true; 8],
        once: (),
        permits: 2,
        manual: ResetMode::Manual,
        auto: ResetMode::Auto,
        strict: meeting(DeathPolicy::BreakRound),
        lenient: meeting(DeathPolicy::RemoveParticipant),
    }
}

fn options() -> SegmentOptions {
    Segment::options().slots(SLOTS).policy(Policy::Persistent)
}

/// The file of a segment of parts, with all that stands there after some use, and where in it they
/// are.
fn whole() -> (Vec<u8>, Range<usize>) {
    let all: All = options().create_part(KEY, first()).expect("it is new");
    used(&all);
    let bytes = fs::read(directory().join(&left_in_directory()[0])).expect("it is there");
    drop(all);
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
    let data = u64::from_le_bytes(bytes[24..32].try_into().expect("eight bytes"));
    let data = usize::try_from(data).expect("it is in the file");
    let parts = data..bytes.len();
    (bytes, parts)
}

/// Changes of words and bytes of the parts.
fn change(parts: Range<usize>) -> impl Strategy<Value = Change> {
    // A mark: the low half of a generation, and what it says.
    let mark = (
        0..4_u64,
        prop_oneof![0..8_u64, any::<u32>().prop_map(u64::from)],
    );
    let mark = mark.prop_map(|(generation, says)| generation << 32 | says);
    let words = (parts.start / 4)..(parts.end / 4);
    prop_oneof![
        6 => (words, any::<bool>(), prop_oneof![3 => value(), 1 => mark]).prop_map(
            |(word, wide, value)| Change::Field { offset: 4 * word, wide, value }
        ),
        1 => (parts, prop::collection::vec(any::<u8>(), 1..24))
            .prop_map(|(offset, bytes)| Change::Bytes { offset, bytes }),
    ]
}

/// What there is, if it is no error; an error can be told.
fn told<T>(result: Result<T, Error>) -> Option<T> {
    if let Err(error) = &result {
        let _ = format!("{error} {error:?}");
        assert_ne!(error.kind(), ErrorKind::System, "{error}");
    }
    result.ok()
}

/// What a task finds that looks once and is dropped.
fn looked<T: Debug>(future: impl Future<Output = Result<T, Error>>) {
    let mut context = Context::from_waker(Waker::noop());
    if let Poll::Ready(found) = pin!(future).poll(&mut context) {
        let _ = format!("{:?}", told(found));
    }
}

/// Does everything that can be done with parts, as far as it has a limit.
fn used(all: &All) {
    told(all.mutex.get());
    if let Some(mut guard) = told(all.mutex.lock_timeout(SHORT)) {
        let _ = format!("{:?}", guard.recovered_from());
        guard[0] = !guard[0];
        told(guard.wait_while_timeout(SHORT, |it| it[1]).map(drop));
    }
    told(all.rwlock.get());
    if let Some(reader) = told(all.rwlock.read_timeout(SHORT)) {
        match reader.upgrade_timeout(SHORT) {
            Ok(writer) => drop(told(writer.downgrade().map_err(Into::into))),
            Err(refused) => drop(told::<()>(Err(refused.into()))),
        }
    }
    if let Some(mut writer) = told(all.rwlock.write_timeout(SHORT)) {
        writer[1] = !writer[1];
    }
    told(all.once.get());
    told(all.once.wait_timeout(SHORT));
    told(all.permits.acquire_many_timeout(2, SHORT).map(drop));
    if let Some(permit) = told(all.permits.try_acquire()) {
        // Its lock was free just now.
        told(all.permits.available());
        drop(permit);
    }
    for event in [&all.manual, &all.auto] {
        told(event.wait_timeout(SHORT));
        told(event.set());
        told(event.is_set());
        told(event.try_wait());
        told(event.reset());
    }
    told(all.strict.wait_timeout(SHORT));
    told(all.lenient.wait_timeout(SHORT));
    looked(all.mutex.lock_async());
    looked(all.rwlock.read_async());
    looked(all.rwlock.write_async());
    looked(all.once.wait_async());
    looked(all.once.get_or_init_async(async || [true; 8]));
    looked(all.permits.acquire_async());
    looked(all.auto.wait_async());
    looked(all.strict.wait_async());
    let _ = format!("{:?}", sharehold::inspect(KEY));
}

fn destroyed() {
    match Segment::destroy(KEY, DestroyMode::Immediate) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
    }
    assert!(left_in_directory().is_empty());
}

fn parts_in_a_changed_file_are_an_error_or_work() {
    let (base, parts) = whole();
    let path = super::path();
    let changes = prop::collection::vec(change(parts), 1..8);
    run(250, &changes, |changes| {
        let mut bytes = base.clone();
        for change in &changes {
            apply(&mut bytes, change);
        }
        super::lay_down(&path, &bytes);
        if let Some(all) = told(options().attach_part::<All>(KEY)) {
            used(&all);
        }
        destroyed();
        Ok(())
    });
}

fn parts_that_are_scribbled_over_in_use_neither_crash_nor_hang() {
    let (_, parts) = whole();
    let path = super::path();
    let changes = prop::collection::vec(change(parts), 1..8);
    run(250, &(changes, any::<bool>()), |(changes, held)| {
        let all: All = options().create_part(KEY, first()).expect("it is new");
        let other: All = options().attach_part(KEY).expect("it is there");
        let file = File::options().write(true).open(&path);
        let guards = held.then(|| {
            let guard = other.mutex.lock().expect("it is free");
            let reader = other.rwlock.read().expect("it is free");
            other.permits.acquire().expect("there are two").forget();
            (guard, reader)
        });
        scribble(&file.expect("it is there"), &changes);
        used(&all);
        drop(guards);
        used(&other);
        drop((all, other));
        destroyed();
        Ok(())
    });
}

/// A reader without the lock does not wait for the owner of the lock.
fn a_value_that_seems_to_change_all_the_time_is_damaged() {
    let all: All = options().create_part(KEY, first()).expect("it is new");
    let path = directory().join(&left_in_directory()[0]);
    let file = File::options().read(true).write(true).open(path);
    let file = file.expect("it is there");
    let mut data = [0; 8];
    file.read_exact_at(&mut data, 24).expect("it is so long");
    let data = u64::from_le_bytes(data);
    let _guards = (all.mutex.lock(), all.rwlock.write());
    // Behind the lock of the mutex, and, as long as its copies and that are, behind the words of
    // the other.
    for begun in [data + 128 + 8, data + 384 + 256 + 8] {
        let far = 7_u64.to_ne_bytes();
        file.write_all_at(&far, begun).expect("it is there");
    }
    thread::scope(|scope| {
        let read = scope.spawn(|| (all.mutex.get(), all.rwlock.get()));
        let (first, second) = read.join().expect("it does not panic");
        let kind = |read: Result<Flags, Error>| read.map_err(|error| error.kind());
        assert_eq!(kind(first), Err(ErrorKind::Damaged));
        assert_eq!(kind(second), Err(ErrorKind::Damaged));
    });
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
}
