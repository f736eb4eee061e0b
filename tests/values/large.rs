//! Values that are larger than the stack.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use sharehold::{
    ErrorKind, List, Mutex, OnceLock, Part, RwLock, Schema, Segment, Shareable, Shared, Text,
    UntypedShared, Versioned,
};
use sharehold_testkit::{Suite, directory};

use super::{KEY, MEBIBYTE, Uniform, uniform, version_of};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_box_of_a_value_is_used_in_every_way)
        .test(a_boxed_value_in_parts)
        .test(a_large_value_is_changed_without_a_box)
        .test(a_value_by_value_takes_a_few_times_its_size)
        .test(a_large_value_without_its_type)
        .test(a_large_value_that_is_none_is_an_error)
        .test(a_box_is_in_shared_memory_what_it_holds)
}

/// Ten mebibytes of everything that a value can be made of.
#[derive(Debug, PartialEq, Shareable)]
#[repr(C)]
struct Frame {
    number: u64,
    state: State,
    lit: bool,
    reserved: [u8; 6],
    name: Text<{ 1 << 20 }>,
    marks: List<Mark, 131_072>,
    rows: [[u32; 1024]; 1024],
    states: [State; 1 << 20],
    wide: [u128; 131_072],
}

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(C)]
struct Mark {
    at: u32,
    state: State,
    reserved: [u8; 3],
}

/// All zeros are none of it.
#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(u8)]
enum State {
    Idle = 3,
    Busy = 9,
}

/// Runs it on a stack that has room for no value here.
fn on_a_small_stack(run: fn()) {
    on_a_stack_of(256 << 10, run);
}

fn on_a_stack_of(size: usize, run: fn()) {
    let thread = std::thread::Builder::new().stack_size(size).spawn(run);
    let done = thread.expect("a thread starts").join();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn a_box_of_a_value_is_used_in_every_way() {
    on_a_small_stack(|| {
        let blank = Frame::blank();
        assert_eq!(
            (blank.number, blank.state, blank.lit),
            (0, State::Idle, false)
        );
        assert!(blank.name.is_empty() && blank.marks.is_empty());
        assert!(blank.states.iter().all(|it| *it == State::Idle));
        assert!(blank.wide.iter().all(|it| *it == 0));

        let shared = Shared::open_or_create(KEY, Frame::blank).expect("there is room");
        let read_only = Shared::<Box<Frame>>::attach_read_only(KEY).expect("it is there");
        assert_eq!(shared.get().expect("it is whole"), blank);
        shared.update(fill).expect("it can be changed");
        let filled = shared.get().expect("it is whole");
        let expected = full();
        assert_eq!(filled, expected);
        assert_eq!(read_only.get().expect("it is whole"), expected);

        let failed = shared.try_update(|it| {
            it.number = 77;
            Err::<(), _>(Box::<dyn std::error::Error>::from("no"))
        });
        failed.expect_err("it fails");
        assert_eq!(shared.get().expect("it is whole"), expected);

        let swapped = shared.compare_exchange(&blank, &blank);
        assert_eq!(swapped.expect("it is whole"), Err(full()));
        let swapped = shared.compare_exchange(&expected, &blank);
        assert_eq!(swapped.expect("it is whole"), Ok(full()));
        assert_eq!(shared.get().expect("it is whole"), blank);
        shared.set(&expected).expect("it can be changed");
        let old = shared.replace(Frame::blank()).expect("it is whole");
        assert_eq!(old, expected);

        let mut watch = shared.watch().expect("it is ours");
        shared.set(&expected).expect("it can be changed");
        let Versioned { value, version } = watch.changed().expect("it was changed");
        assert_eq!(
            (value, version),
            (full(), shared.version().expect("it is ours"))
        );
        let limit = Duration::from_secs(60);
        let seen = shared.wait_while_timeout(limit, |it| it.number == 0);
        assert_eq!(seen.expect("it is not 0"), expected);
        let seen = read_only.wait_while(|it| it.number == 0);
        assert_eq!(seen.expect("it is not 0"), expected);
        let seen = shared.get_versioned().expect("it is whole");
        assert_eq!(seen.value, expected);
        drop((shared, read_only));

        let shared = Shared::create(KEY, &expected).expect("nothing has the key");
        assert_eq!(shared.get().expect("it is whole"), expected);
    });
}

fn full() -> Box<Frame> {
    let mut frame = Frame::blank();
    fill(&mut frame);
    frame
}

/// Says something in every field, to its end.
fn fill(frame: &mut Box<Frame>) {
    frame.number = 5;
    frame.state = State::Busy;
    frame.lit = true;
    while frame.name.push_str("some text ").is_ok() {}
    for at in 0..131_072 {
        let mark = Mark {
            at,
            state: State::Busy,
            reserved: [1; 3],
        };
        frame.marks.push(mark).expect("there is room");
    }
    frame.marks.pop().expect("it was just put there");
    for (index, row) in (1..).zip(&mut frame.rows) {
        row.fill(index);
    }
    frame.states.fill(State::Busy);
    frame.wide.fill(u128::MAX - 5);
}

fn a_boxed_value_in_parts() {
    on_a_small_stack(|| {
        let mutex = Mutex::<Box<Frame>>::open_or_create(KEY, Frame::blank).expect("there is room");
        fill(&mut mutex.lock().expect("it is free"));
        let expected = mutex.get().expect("it is whole");
        assert_eq!(*mutex.lock().expect("it is free"), expected);
        let guard = mutex.lock().expect("it is free");
        drop(guard.wait_while(|it| it.number == 0).expect("it is 5"));
        drop(mutex);

        let rwlock =
            RwLock::<Box<Frame>>::open_or_create(KEY, Frame::blank).expect("there is room");
        fill(&mut rwlock.write().expect("it is free"));
        assert_eq!(*rwlock.read().expect("it is free"), expected);
        assert_eq!(rwlock.get().expect("it is whole"), expected);
        let reader = rwlock.read().expect("it is free");
        let mut writer = reader.upgrade().expect("nobody else reads");
        writer.number = 6;
        assert_eq!(writer.downgrade().expect("nobody else reads").number, 6);
        drop(rwlock);

        let once = OnceLock::<Box<Frame>>::open_or_create(KEY, || ()).expect("there is room");
        let made = once.get_or_init(full).expect("it is made");
        assert_eq!(made, expected);
        assert_eq!(once.get().expect("it is whole"), Some(expected));
    });
}

fn a_large_value_is_changed_without_a_box() {
    on_a_small_stack(|| {
        let blank = Uniform::<MEBIBYTE>::blank();
        let shared = Shared::<Uniform<MEBIBYTE>>::create(KEY, &blank).expect("there is room");
        let boxed = Shared::<Box<Uniform<MEBIBYTE>>>::attach(KEY).expect("it is the same type");
        shared.update(|it| it.fill(7)).expect("it can be changed");
        assert_eq!(version_of(&boxed.get().expect("it is whole")), 7);
        shared.set(&blank).expect("it can be changed");
        assert_eq!(version_of(&boxed.get().expect("it is whole")), 0);
    });
}

/// A mebibyte by value, where there are eight, as on a main thread.
fn a_value_by_value_takes_a_few_times_its_size() {
    on_a_stack_of(8 << 20, || {
        let shared = Shared::open_or_create(KEY, || uniform::<MEBIBYTE>(1)).expect("there is room");
        shared.update(|it| it.fill(2)).expect("it can be changed");
        drop(shared);
    });
    on_a_stack_of(8 << 20, || {
        let blank = Uniform::<MEBIBYTE>::blank();
        let shared = Shared::create(KEY, &*blank).expect("nothing has the key");
        assert_eq!(version_of(&shared.get().expect("it is whole")), 0);
    });
    on_a_stack_of(8 << 20, || {
        let mut new = Uniform::<MEBIBYTE>::blank();
        let shared = Shared::create(KEY, &*new).expect("nothing has the key");
        let old = Uniform::<MEBIBYTE>::blank();
        new.fill(2);
        let swapped = shared.compare_exchange(&old, &new).expect("it is whole");
        assert_eq!(version_of(&swapped.expect("they are equal")), 0);
    });
}

fn a_large_value_without_its_type() {
    on_a_small_stack(|| {
        let shared = Shared::create(KEY, &Frame::blank()).expect("there is room");
        let any = UntypedShared::attach(KEY).expect("it is there");
        let schema = any.schema().clone();
        assert_eq!(schema, Schema::of::<Frame>());
        let blank = any.get().expect("it is whole");
        assert_eq!(schema.blank().expect("there is room"), blank);
        any.update(|it| schema.set(it, "states[5]", "Busy"))
            .expect("it is whole")
            .expect("there is such a field");
        any.update(|it| schema.set(it, "marks", "[{at: 7, state: Busy, reserved: [0, 0, 0]}]"))
            .expect("it is whole")
            .expect("there is such a field");
        let seen = shared.get().expect("it is whole");
        assert_eq!((seen.states[5], seen.marks[0].at), (State::Busy, 7));
        let bytes = any.get_versioned().expect("it is whole").value;
        let rows = schema.get(&bytes, "rows").expect("there is such a field");
        assert!(rows.to_string().starts_with("[[0, "));
        any.set(&blank).expect("it is a value");
        let seen = any.wait_while(|it| *it != blank).expect("it is blank");
        assert_eq!(seen, blank);
        let seen = sharehold::inspect(KEY).expect("it is there");
        assert_eq!(seen.content.expect("it is whole"), blank);
    });
}

fn a_large_value_that_is_none_is_an_error() {
    on_a_small_stack(|| {
        let shared = Shared::create(KEY, &Frame::blank()).expect("there is room");
        let any = UntypedShared::attach(KEY).expect("it is there");
        let states = any.schema().field("states[1000000]").expect("it is there");
        let mut entries = std::fs::read_dir(directory()).expect("it is readable");
        let path = entries
            .next()
            .expect("it is there")
            .expect("readable")
            .path();
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.expect("it is there");
        let mut word = [0; 8];
        file.read_exact_at(&mut word, 24)
            .expect("it is long enough");
        let data = u64::from_le_bytes(word) + 64;
        let second = 64 + (any.schema().size() as u64).next_multiple_of(64);
        for copy in [64, second] {
            let at = data - 64 + copy + states.offset as u64;
            file.write_all_at(&[1], at).expect("it is long enough");
        }
        let damaged = shared.get().expect_err("no state has that number");
        assert_eq!(damaged.kind(), ErrorKind::Damaged);
        let damaged = shared.update(|_| ()).expect_err("no state has that number");
        assert_eq!(damaged.kind(), ErrorKind::Damaged);
    });
}

fn a_box_is_in_shared_memory_what_it_holds() {
    assert_eq!(Schema::of::<Box<Mark>>(), Schema::of::<Mark>());
    assert_eq!(Schema::of::<[Box<Mark>; 3]>(), Schema::of::<[Mark; 3]>());
    let marks = [1, 2, 3].map(|at| Mark {
        at,
        state: State::Idle,
        reserved: [0; 3],
    });
    let shared = Shared::create(KEY, &marks.map(Box::new)).expect("nothing has the key");
    let plain = Shared::<[Mark; 3]>::attach(KEY).expect("it is the same type");
    assert_eq!(plain.get().expect("it is whole"), marks);
    let list = Shared::<List<Box<Mark>, 3>>::attach(KEY).expect_err("a list is another type");
    assert_eq!(list.kind(), ErrorKind::TypeMismatch);
    drop(shared);
    drop(plain);
    let list = List::<Box<Mark>, 3>::try_from_iter(marks[1..].iter().copied().map(Box::new));
    let list = list.expect("there is room for two");
    let shared = Shared::create(KEY, &list).expect("nothing has the key");
    let plain = Shared::<List<Mark, 3>>::attach(KEY).expect("it is the same type");
    assert_eq!(plain.get().expect("it is whole"), marks[1..]);
    assert_eq!(shared.get().expect("it is whole"), list);
    let segment: &Segment = shared.segment();
    assert_eq!(segment.key(), KEY);
}
