//! Words that claim something for an attachment that has only just come into being: no attachment
//! waits for itself.

use std::fs;
use std::os::unix::fs::FileExt;
use std::thread;

use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, ErrorKind, LockError, Mutex, OnceLock, Part, RwLock,
    Semaphore, UntypedParts,
};
use sharehold_testkit::{Suite, directory, left_in_directory};

use super::{KEY, LONG, persistent};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_lock_that_claims_to_be_the_next_attachments_is_taken_over)
        .test(parts_that_claim_to_be_the_next_attachments_come_free)
        .test(parts_found_by_their_paths_come_free)
        .test(a_writer_that_cannot_become_a_reader_stays_the_writer)
}

/// The attachment that the only slot gives next, after two were there.
const NEXT: u64 = 5 << 12;
/// The low half of its generation, as marks have it, with what it has.
fn mark(value: u32) -> u64 {
    5 << 32 | u64::from(value)
}

fn put(word: u64, offset: usize) {
    let path = directory().join(&left_in_directory()[0]);
    let file = fs::File::options()
        .write(true)
        .open(path)
        .expect("it is ours");
    file.write_all_at(&word.to_le_bytes(), offset as u64)
        .expect("it is there");
}

/// Where the data begin in the only segment.
fn data_offset() -> usize {
    let file = fs::read(directory().join(&left_in_directory()[0])).expect("it is there");
    let offset = file[24..32].try_into().expect("eight bytes");
    usize::try_from(u64::from_le_bytes(offset)).expect("it is small")
}

fn a_lock_that_claims_to_be_the_next_attachments_is_taken_over() {
    const OWNER: usize = 128;
    for atomic in [0, 1 << 63] {
        let options = persistent().slots(1).size(100);
        drop(options.create(KEY).expect("nothing has the key"));
        drop(options.attach(KEY).expect("it is there"));
        put(NEXT | atomic, OWNER);
        let segment = options.attach(KEY).expect("it is there");
        match segment.lock_timeout(LONG) {
            Ok(_) => assert_ne!(atomic, 0, "nobody vouched for the data"),
            Err(LockError::Abandoned(found)) => {
                assert_eq!(atomic, 0, "{found}");
                assert_eq!(found.previous_owner(), None);
            }
            Err(error) => panic!("{error}"),
        }
        drop(segment);
        sharehold::Segment::destroy(KEY, sharehold::DestroyMode::Immediate).expect("it is there");
    }
}

#[derive(Part)]
struct All {
    mutex: Mutex<u64>,
    rwlock: RwLock<u64>,
    once: OnceLock<u64>,
    permits: Semaphore,
    barrier: Barrier,
}

/// Where the parts are in the data, and the marks of the only slot behind them.
const MUTEX: usize = 0;
const RWLOCK: usize = 384;
const ONCE: usize = 896;
const PERMITS: usize = 1280;
const BARRIER: usize = 1536;
const MARKS: usize = 1792;

fn attach_by_type() -> All {
    let options = persistent();
    options.attach_part::<All>(KEY).expect("it is there")
}

/// As a program attaches that does not have the type `All`.
fn attach_by_paths() -> All {
    let parts = UntypedParts::attach(KEY).expect("it is there");
    All {
        mutex: parts.part("mutex").expect("it is one"),
        rwlock: parts.part("rwlock").expect("it is one"),
        once: parts.part("once").expect("it is one"),
        permits: parts.part("permits").expect("it is one"),
        barrier: parts.part("barrier").expect("it is one"),
    }
}

fn parts_that_claim_to_be_the_next_attachments_come_free() {
    parts_come_free(attach_by_type);
}

fn parts_found_by_their_paths_come_free() {
    parts_come_free(attach_by_paths);
}

fn parts_come_free(attach: impl Fn() -> All) {
    assert_eq!(All::SIZE, MARKS);
    let first = || AllInit {
        mutex: 1,
        rwlock: 1,
        once: (),
        permits: 2,
        barrier: BarrierOptions {
            participants: 1,
            death_policy: DeathPolicy::RemoveParticipant,
        },
    };
    let options = persistent().slots(1);
    drop(
        options
            .create_part::<All>(KEY, first())
            .expect("nothing has the key"),
    );
    drop(attach());
    let data = data_offset();
    let atomic = 1 << 63;
    for lock in [MUTEX, RWLOCK, ONCE, PERMITS, BARRIER] {
        put(NEXT | atomic, data + lock);
    }
    // The marks in the order of the parts: two threads read, and two permits are taken, so that
    // none is left.
    let marks = data + MARKS;
    put(mark(2 << 17), marks + 8);
    put(mark(2), marks + 32);
    put(0, data + PERMITS + 128 + 4);
    put(2, data + PERMITS + 128);
    let all = attach();
    *all.mutex.lock_timeout(LONG).expect("nobody has it") = 2;
    *all.rwlock.write_timeout(LONG).expect("nobody reads") = 2;
    assert_eq!(all.once.get_or_init(|| 2).expect("nobody makes it"), 2);
    let permits = all.permits.acquire_many_timeout(2, LONG);
    drop(permits.expect("nobody has any"));
    match all.barrier.wait_timeout(LONG) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::Broken, "{error}"),
    }
    drop(all);
    sharehold::Segment::destroy(KEY, sharehold::DestroyMode::Immediate).expect("it is there");
}

/// Its attachment's mark has no room for another reader.
fn a_writer_that_cannot_become_a_reader_stays_the_writer() {
    const FIRST: u64 = 1 << 32;
    const MOST_WAITING: u64 = 32_767 << 2;
    let options = persistent().slots(1);
    let limits = options
        .create_part::<RwLock<u64>>(KEY, 1)
        .expect("nothing has the key");
    let mark = data_offset() + RwLock::<u64>::SIZE;
    let mut guard = limits.write().expect("nobody has it");
    *guard = 2;
    put(FIRST | MOST_WAITING, mark);
    let refused = guard.downgrade().expect_err("the mark is full");
    assert_eq!(refused.error().kind(), ErrorKind::Busy, "{refused}");
    assert_eq!(limits.get().expect("it is valid"), 2, "it is committed");

    let mut guard = refused.into_guard();
    let other = || limits.try_write().map(drop).expect_err("there is a writer");
    let error = thread::scope(|scope| scope.spawn(other).join().expect("it does not panic"));
    assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
    *guard = 3;
    drop(guard);
    put(FIRST, mark);
    assert_eq!(*limits.write_timeout(LONG).expect("nobody has it"), 3);
    drop(limits);
    sharehold::Segment::destroy(KEY, sharehold::DestroyMode::Immediate).expect("it is there");
}
