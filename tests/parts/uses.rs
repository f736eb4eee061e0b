//! What parts do without any death: among threads, in forked children, with other types.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sharehold::{
    Barrier, BarrierOptions, DeathPolicy, Error, ErrorKind, Event, GuardError, Mutex, Part,
    ReadGuard, ResetMode, RwLock, Semaphore, UntypedParts, WriteGuard,
};
use sharehold_testkit::Suite;
use sharehold_testkit::raw::Fork;

use super::{Family, KEY, LONG, SHORT, Value, attach, create, whole};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(parts_are_found_by_another_attachment)
        .test(parts_are_used_by_their_paths)
        .test(other_parts_are_refused_by_name)
        .test(the_last_handle_removes_the_segment)
        .test(what_cannot_begin_is_refused)
        .test(a_panic_discards_the_change)
        .test(asking_twice_is_an_error)
        .test(writers_do_not_starve)
        .test(readers_do_not_starve)
        .test(of_two_that_upgrade_one_is_refused)
        .test(an_upgrade_with_a_limit_ends_with_it)
        .test(a_downgraded_writer_lets_readers_in_and_no_writer)
        .test(a_set_event_lets_everybody_pass)
        .test(an_event_that_resets_itself_lets_one_pass)
        .test(a_participant_that_gives_up_has_not_arrived)
        .test(a_forked_child_has_nothing)
}

fn parts_are_found_by_another_attachment() {
    let family = create();
    let other = attach();
    *family.mutex.lock().expect("it is free") = [3; 16];
    *family.inner.rwlock.write().expect("it is free") = [4; 16];
    family.inner.manual.set().expect("it is no fork");
    assert_eq!(other.mutex.get().expect("it is whole"), [3; 16]);
    assert_eq!(*other.inner.rwlock.read().expect("it is free"), [4; 16]);
    assert!(other.inner.manual.is_set().expect("it is no fork"));
    assert!(!other.inner.auto.is_set().expect("it is no fork"));
    let attached = family.mutex.segment().attachments();
    assert_eq!(attached.expect("it is no fork").len(), 2);
}

/// By a program that does not have their types.
fn parts_are_used_by_their_paths() {
    let family = create();
    let parts = UntypedParts::attach(KEY).expect("it is of parts");
    let paths: Vec<_> = parts.paths().map(|(path, _)| path.to_owned()).collect();
    assert_eq!(paths[..3], ["mutex", "inner.rwlock", "inner.permits"]);
    for (path, get) in [
        ("mutex", (|family| family.mutex.get()) as fn(&Family) -> _),
        ("inner.rwlock", |family| family.inner.rwlock.get()),
        ("once", |family| Ok(family.once.get()?.unwrap_or([0; 16]))),
    ] {
        let guarded = parts.guarded(path).expect("it guards a value");
        let schema = guarded.schema();
        let before = guarded.version().expect("it is no fork");
        let set = guarded.update(|bytes| schema.set(bytes, "[3]", "7"));
        set.expect("it is free").expect("it is a number");
        assert_eq!(get(&family).expect("it is whole")[3], 7, "{path}");
        let after = guarded.version().expect("it is no fork");
        assert_eq!(after, before + 1, "{path}");
        let bytes = guarded.get().expect("it is whole").expect("it has a value");
        let found = schema.get(&bytes, "[3]").expect("it is an element");
        assert_eq!(found.to_string(), "7", "{path}");
    }
    // A once has one value only.
    let again = parts.guarded("once").expect("it is one").update(|_| ());
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    // An update by path waits for an owner by type.
    let held = family.mutex.lock().expect("it is free");
    let mutex = parts.guarded("mutex").expect("it is one");
    let late = thread::scope(|scope| {
        let change = || mutex.try_update_timeout(SHORT, |_| Ok::<(), Error>(()));
        scope.spawn(change).join().expect("no panic")
    });
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    drop(held);
    let permits = parts.part::<Semaphore>("inner.permits").expect("it is one");
    let taken = permits.acquire().expect("there are two");
    assert_eq!(family.inner.permits.available().expect("it is no fork"), 1);
    // A second handle leaves the permit of the first one alone.
    let again = parts.part::<Semaphore>("inner.permits");
    let again = again.expect("it is one");
    let rest = again.acquire().expect("one is left");
    let late = again.acquire_timeout(SHORT).map(drop);
    assert_eq!(late.unwrap_err().kind(), ErrorKind::Timeout);
    drop((rest, taken));
    parts
        .part::<Event>("inner.manual")
        .and_then(|event| event.set())
        .expect("it is one");
    assert!(family.inner.manual.is_set().expect("it is no fork"));
    let typed = parts.part::<Mutex<Value>>("mutex").expect("it is one");
    typed.lock().expect("it is free")[0] = 9;
    assert_eq!(family.mutex.get().expect("it is whole")[0], 9);
    let other = parts.part::<Mutex<u64>>("mutex").map(drop).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::TypeMismatch);
    assert!(other.to_string().contains("here u64 at 0"), "{other}");
    for wrong in [
        parts.part::<Event>("inner.permits").map(drop),
        parts.part::<Barrier>("nothing").map(drop),
        parts.guarded("inner.auto").map(drop),
    ] {
        let error = wrong.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TypeMismatch, "{error}");
        assert!(
            error.to_string().contains("its parts are mutex, "),
            "{error}"
        );
    }
}

#[derive(Part)]
struct Other {
    mutex: Mutex<Value>,
    inner: OtherInner,
}

#[derive(Part)]
struct OtherInner {
    rwlock: RwLock<[u32; 32]>,
    permits: Semaphore,
}

fn other_parts_are_refused_by_name() {
    let _family = create();
    let attached = Other::attach(KEY);
    let all = attached.map(|it| drop((it.mutex, it.inner.rwlock, it.inner.permits)));
    let error = all.expect_err("the parts differ");
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    let said = error.to_string();
    assert!(said.contains("inner.rwlock"), "{said}");
    let error = sharehold::Shared::<Value>::attach(KEY).map(drop);
    let kind = error.expect_err("it is no value").kind();
    assert_eq!(kind, ErrorKind::TypeMismatch);
}

fn the_last_handle_removes_the_segment() {
    let Family { mutex, inner, once } = create();
    drop((mutex, once));
    inner.manual.set().expect("it is still there");
    assert!(sharehold::Segment::exists(KEY).expect("one may look"));
    drop(inner);
    assert!(!sharehold::Segment::exists(KEY).expect("one may look"));
}

fn what_cannot_begin_is_refused() {
    let kind = |error: Error| error.kind();
    let none = Semaphore::create(KEY, 0).map(drop).map_err(kind);
    assert_eq!(none, Err(ErrorKind::InvalidOption));
    let nobody = BarrierOptions {
        participants: 0,
        death_policy: DeathPolicy::BreakRound,
    };
    let nobody = Barrier::create(KEY, nobody).map(drop).map_err(kind);
    assert_eq!(nobody, Err(ErrorKind::InvalidOption));
    let permits = Semaphore::create(KEY, 3).expect("nothing has the key");
    let more = permits.acquire_many(4).map(drop).map_err(kind);
    assert_eq!(more, Err(ErrorKind::InvalidOption));
    let not_had = permits.release(1).map_err(kind);
    assert_eq!(not_had, Err(ErrorKind::InvalidOption));
}

fn a_panic_discards_the_change() {
    let family = create();
    let panicked = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let mut guard = family.mutex.lock().expect("it is free");
            let mut writer = family.inner.rwlock.write().expect("it is free");
            *guard = [5; 16];
            *writer = [5; 16];
            panic!("on purpose");
        });
        thread.join().is_err()
    });
    assert!(panicked);
    assert_eq!(*family.mutex.lock().expect("it is free"), [0; 16]);
    assert_eq!(*family.inner.rwlock.write().expect("it is free"), [0; 16]);
}

fn asking_twice_is_an_error() {
    let family = create();
    let _guard = family.mutex.lock().expect("it is free");
    let twice = family.mutex.lock().map(drop);
    assert_eq!(twice.expect_err("it has it").kind(), ErrorKind::Deadlock);
    let _writer = family.inner.rwlock.write().expect("it is free");
    let twice = family.inner.rwlock.write().map(drop);
    assert_eq!(twice.expect_err("it has it").kind(), ErrorKind::Deadlock);
    let inside = family
        .once
        .get_or_try_init(|| family.once.get_or_init(|| [1; 16]));
    assert_eq!(inside.expect_err("it has it").kind(), ErrorKind::Deadlock);
}

/// Runs `beside` in some threads again and again while `body` runs.
fn among(threads: usize, beside: impl Fn() + Sync, body: impl FnOnce()) {
    let ends = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    beside();
                }
            });
        }
        body();
        ends.store(true, Ordering::Relaxed);
    });
}

fn writers_do_not_starve() {
    let family = create();
    let other = attach();
    let read = || {
        let guard = other
            .inner
            .rwlock
            .read_timeout(LONG)
            .expect("it comes free");
        whole(&guard);
    };
    among(3, read, || {
        for number in 1..200 {
            let mut guard = family
                .inner
                .rwlock
                .write_timeout(LONG)
                .expect("it comes free");
            assert_eq!(whole(&guard), number - 1);
            *guard = [number; 16];
        }
    });
}

fn readers_do_not_starve() {
    let family = create();
    let other = attach();
    let write = || {
        let mut guard = other
            .inner
            .rwlock
            .write_timeout(LONG)
            .expect("it comes free");
        let next = whole(&guard) + 1;
        *guard = [next; 16];
    };
    among(2, write, || {
        for _ in 0..200 {
            let guard = family
                .inner
                .rwlock
                .read_timeout(LONG)
                .expect("it comes free");
            let seen = whole(&guard);
            thread::yield_now();
            let now = family.inner.rwlock.get().expect("it is whole");
            assert_eq!(whole(&now), seen, "it changed while somebody read");
        }
    });
}

fn of_two_that_upgrade_one_is_refused() {
    let family = create();
    let other = attach();
    let first = family.inner.rwlock.read().expect("it is free");
    let second = other.inner.rwlock.read().expect("readers share");
    thread::scope(|scope| {
        let upgraded = scope.spawn(|| {
            let mut writer = first.upgrade()?;
            *writer = [6; 16];
            Ok::<_, Error>(())
        });
        let mut second = Some(second);
        loop {
            // Until the first one is under way this one may succeed at nothing but waiting for it.
            let reader = second.take().expect("it comes back");
            if other.inner.rwlock.try_read().is_ok() {
                second = Some(reader);
                continue;
            }
            let refused = reader.upgrade().map(drop).expect_err("another one does");
            assert_eq!(refused.error().kind(), ErrorKind::WouldBlock);
            assert_eq!(whole(&refused.into_guard()), 0);
            break;
        }
        upgraded
            .join()
            .expect("it does not panic")
            .expect("it is alone by now");
    });
    assert_eq!(family.inner.rwlock.get().expect("it is whole"), [6; 16]);
}

fn an_upgrade_with_a_limit_ends_with_it() {
    let family = create();
    let other = attach();
    let reads = other.inner.rwlock.read().expect("it is free");
    let reader = family.inner.rwlock.read().expect("readers share");
    let late = |upgraded: Result<WriteGuard<'_, Value>, GuardError<ReadGuard<'_, Value>>>, kind| {
        let refused = upgraded.map(drop).expect_err("another one reads");
        assert_eq!(refused.error().kind(), kind);
        let told = format!("pid {}", std::process::id());
        assert!(refused.to_string().contains(&told), "{refused}");
    };
    late(reader.try_upgrade(), ErrorKind::WouldBlock);
    // It gave up, and blocks no process.
    let reader = family.inner.rwlock.try_read().expect("nobody writes");
    late(reader.upgrade_timeout(SHORT), ErrorKind::Timeout);
    let reader = family.inner.rwlock.try_read().expect("nobody writes");
    let refused = reader.upgrade_deadline(Instant::now()).map(drop);
    let reader = refused.expect_err("another one reads").into_guard();
    // It reads still.
    drop(reads);
    let refused = other.inner.rwlock.try_write().map(drop);
    let refused = refused.expect_err("one reads");
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    let upgraded = reader.try_upgrade();
    *upgraded.expect("it is alone") = [9; 16];
    assert_eq!(family.inner.rwlock.get().expect("it is whole"), [9; 16]);
}

fn a_downgraded_writer_lets_readers_in_and_no_writer() {
    let family = create();
    let other = attach();
    let mut writer = family.inner.rwlock.write().expect("it is free");
    *writer = [7; 16];
    let reader = writer.downgrade().expect("there is room");
    assert_eq!(*reader, [7; 16]);
    assert_eq!(
        *other.inner.rwlock.try_read().expect("readers share"),
        [7; 16]
    );
    let refused = other.inner.rwlock.try_write().map(drop);
    assert_eq!(
        refused.expect_err("one reads").kind(),
        ErrorKind::WouldBlock
    );
    drop(reader);
    drop(other.inner.rwlock.try_write().expect("nobody is inside"));
}

fn a_set_event_lets_everybody_pass() {
    let event = Event::create(KEY, ResetMode::Manual).expect("nothing has the key");
    let unset = event.try_wait().expect_err("nobody set it");
    assert_eq!(unset.kind(), ErrorKind::WouldBlock);
    let late = event.wait_timeout(SHORT).expect_err("nobody set it");
    assert_eq!(late.kind(), ErrorKind::Timeout);
    thread::scope(|scope| {
        let waiters = [(); 3].map(|()| scope.spawn(|| event.wait_timeout(LONG)));
        event.set().expect("it is no fork");
        for waiter in waiters {
            waiter
                .join()
                .expect("it does not panic")
                .expect("it is set");
        }
    });
    event.try_wait().expect("it is set");
    event.reset().expect("it is no fork");
    assert!(event.try_wait().is_err(), "it was reset");
}

fn an_event_that_resets_itself_lets_one_pass() {
    const SETS: u64 = 500;
    let event = Event::create(KEY, ResetMode::Auto).expect("nothing has the key");
    let passed = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while passed.load(Ordering::SeqCst) < SETS {
                    if event.wait_timeout(Duration::from_millis(20)).is_ok() {
                        passed.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
        for number in 1..=SETS {
            event.set().expect("it is no fork");
            // Each is taken once, and once only.
            while passed.load(Ordering::SeqCst) < number {
                thread::yield_now();
            }
            assert_eq!(passed.load(Ordering::SeqCst), number);
            assert!(!event.is_set().expect("it is no fork"));
        }
    });
}

fn a_participant_that_gives_up_has_not_arrived() {
    let meeting = BarrierOptions {
        participants: 2,
        death_policy: DeathPolicy::BreakRound,
    };
    let step = Barrier::create(KEY, meeting).expect("nothing has the key");
    for _ in 0..3 {
        let late = step.wait_timeout(SHORT).expect_err("nobody else comes");
        assert_eq!(late.kind(), ErrorKind::Timeout);
    }
    thread::scope(|scope| {
        let other = scope.spawn(|| step.wait_timeout(LONG));
        let own = step.wait_timeout(LONG).expect("the other one comes");
        let other = other.join().expect("it does not panic").expect("it comes");
        assert!(own.is_leader() != other.is_leader(), "one is the last");
    });
}

fn a_forked_child_has_nothing() {
    let family = create();
    let guard = family.mutex.lock().expect("it is free");
    let reader = family.inner.rwlock.read().expect("it is free");
    let permit = family.inner.permits.acquire().expect("there are two");
    let Some(child) = Fork::Fork.continue_in_child() else {
        let forked = |error: Error| error.kind() == ErrorKind::Forked;
        let refused = family.mutex.get().is_err_and(forked)
            && family.mutex.lock().is_err_and(forked)
            && family.inner.rwlock.read().is_err_and(forked)
            && family.inner.rwlock.write().is_err_and(forked)
            && family.inner.permits.acquire().is_err_and(forked)
            && family.inner.auto.set().is_err_and(forked)
            && family.inner.strict.wait().is_err_and(forked)
            && family.once.get().is_err_and(forked);
        // Dropped here they give nothing back.
        drop((guard, reader, permit));
        std::process::exit(i32::from(!refused));
    };
    assert_eq!(child.exit_code(), Some(0));
    let other = attach();
    let kind = |error: Error| error.kind();
    // This very thread has it.
    let locked = other.mutex.try_lock().map(drop).map_err(kind);
    assert_eq!(locked, Err(ErrorKind::Deadlock));
    let read = other.inner.rwlock.try_write().map(drop).map_err(kind);
    assert_eq!(read, Err(ErrorKind::WouldBlock));
    assert_eq!(other.inner.permits.available().expect("it is no fork"), 1);
    drop((guard, reader, permit));
}
