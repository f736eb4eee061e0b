//! Files with holes, as copying programs make them: on a full file system each use is an error,
//! never a signal.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sharehold::{ErrorKind, Policy, Segment, Shared};
use sharehold_testkit::raw::load;
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, kind};
use crate::shortage::{fill_up, free_memory, in_little_memory, make_room};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_reader_of_a_copy_with_holes_gets_an_error_and_no_signal)
        .test(a_value_in_a_copy_with_holes_is_read_or_refused)
        .test(memory_behind_the_data_does_not_make_up_for_holes_in_them)
        .test(a_size_that_reaches_into_holes_is_not_believed)
        .test(a_value_that_seems_to_change_is_not_read_from_holes)
        .test(a_stale_file_takes_no_memory_whatever_size_it_claims)
        .role(reads_bytes)
        .role(reads_a_value)
        .role(writes_before_a_tail)
        .role(learns_a_size)
        .role(looks_at_a_value)
        .role(may_grow_far)
        .role(asks_for_a_large_one)
}

fn path() -> PathBuf {
    directory().join(&left_in_directory()[0])
}

fn persistent() -> sharehold::SegmentOptions {
    Segment::options().policy(Policy::Persistent)
}

/// Replaces the file by a copy that has no page of zeros, and `tail` bytes that are not zero behind
/// its end.
fn copy_with_holes(path: &Path, tail: usize) {
    let whole = fs::read(path).expect("it is there");
    let file = File::create(path).expect("it is ours");
    let len = u64::try_from(whole.len()).expect("it is small");
    file.set_len(len).expect("it takes no memory");
    let pages = whole.chunks(4096).zip((0..).step_by(4096));
    for (page, offset) in pages.filter(|(page, _)| page.iter().any(|&byte| byte != 0)) {
        file.write_all_at(page, offset).expect("there is room");
    }
    file.write_all_at(&vec![1; tail], len)
        .expect("there is room");
}

/// Loads a byte of each page.
fn load_all(segment: &sharehold::ReadOnlySegment) {
    for page in (0..segment.size()).step_by(4096) {
        let address = segment.as_ptr().as_ptr().wrapping_add(page);
        load(std::ptr::NonNull::new(address).expect("it is not null"));
    }
}

fn reads_bytes(_: &mut Talk) {
    drop(persistent().size(1 << 18).create(KEY).expect("it fits"));
    copy_with_holes(&path(), 0);
    fill_up();
    assert_eq!(
        kind(Segment::attach_read_only(KEY)),
        Some(ErrorKind::OutOfMemory)
    );
    make_room();
    let reader = Segment::attach_read_only(KEY).expect("there is memory");
    fill_up();
    load_all(&reader);
}

fn a_reader_of_a_copy_with_holes_gets_an_error_and_no_signal() {
    in_little_memory(reads_bytes);
}

fn reads_a_value(_: &mut Talk) {
    type Value = [[u64; 64]; 16];
    let value: Value = [[0; 64]; 16];
    drop(persistent().create_shared(KEY, &value).expect("it fits"));
    copy_with_holes(&path(), 0);
    fill_up();
    let refused = Shared::<Value>::attach_read_only(KEY);
    assert_eq!(kind(refused), Some(ErrorKind::OutOfMemory));
    make_room();
    let reader = Shared::<Value>::attach_read_only(KEY).expect("there is memory");
    fill_up();
    assert_eq!(reader.get().expect("it is whole"), value);
}

fn a_value_in_a_copy_with_holes_is_read_or_refused() {
    in_little_memory(reads_a_value);
}

fn writes_before_a_tail(_: &mut Talk) {
    let options = persistent().size(1 << 16).max_size(1 << 18);
    drop(options.create(KEY).expect("it fits"));
    // More than the holes.
    copy_with_holes(&path(), 1 << 17);
    fill_up();
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::OutOfMemory));
    make_room();
    let segment = Segment::attach(KEY).expect("there is memory");
    fill_up();
    let mut bytes = segment.lock().expect("it is free");
    bytes.fill(0..1 << 16, 7).expect("there is room");
}

fn memory_behind_the_data_does_not_make_up_for_holes_in_them() {
    in_little_memory(writes_before_a_tail);
}

fn learns_a_size(_: &mut Talk) {
    const SIZE_WORD: u64 = 64;
    let options = persistent().size(4096).max_size(1 << 18);
    drop(options.create(KEY).expect("it fits"));
    let path = path();
    let file = File::options().write(true).open(&path).expect("it is ours");
    let len = file.metadata().expect("it is there").len();
    file.set_len(len + (1 << 17)).expect("it takes no memory");
    let segment = Segment::attach(KEY).expect("its data are whole");
    let reader = Segment::attach_read_only(KEY).expect("its data are whole");
    fill_up();
    let said: u64 = 1 << 17;
    file.write_all_at(&said.to_le_bytes(), SIZE_WORD)
        .expect("it is there");
    assert_eq!((segment.size(), reader.size()), (4096, 4096));
    let mut bytes = segment.lock().expect("it is free");
    assert_eq!(
        kind(bytes.write(1 << 16, &[1])),
        Some(ErrorKind::OutOfBounds)
    );
    // With room it is as good as any other size.
    make_room();
    bytes.write(1 << 16, &[1]).expect("there is memory now");
    fill_up();
    bytes.fill(0..1 << 17, 7).expect("so large it is");
    assert_eq!(reader.size(), 1 << 17);
    load_all(&reader);
}

fn a_size_that_reaches_into_holes_is_not_believed() {
    in_little_memory(learns_a_size);
}

fn looks_at_a_value(_: &mut Talk) {
    type Value = [[u64; 64]; 16];
    drop(
        persistent()
            .create_shared::<Value>(KEY, &[[0; 64]; 16])
            .expect("it fits"),
    );
    let path = path();
    copy_with_holes(&path, 0);
    let file = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("it is ours");
    let mut data_offset = [0; 8];
    file.read_exact_at(&mut data_offset, 24)
        .expect("it is there");
    // As if a writer were always quicker: then files are not read, but memory.
    let writing = u64::from_le_bytes(data_offset) + 8;
    file.write_all_at(&99_u64.to_le_bytes(), writing)
        .expect("it is there");
    fill_up();
    let seen = sharehold::inspect(KEY).expect("one may look");
    assert_eq!(kind(seen.content), Some(ErrorKind::Damaged));
}

fn a_value_that_seems_to_change_is_not_read_from_holes() {
    in_little_memory(looks_at_a_value);
}

/// Creates a segment that may grow far, and stays until it is killed.
fn may_grow_far(test: &mut Talk) {
    let options = Segment::options().size(100).max_size(LARGE);
    let _segment = options.create(KEY).expect("it fits");
    test.say("created");
    test.wait_for_end();
}

/// More than the file system has, and most machines.
const LARGE: usize = 20 << 30;

fn asks_for_a_large_one(_: &mut Talk) {
    let free = free_memory();
    let mut child = Child::of(may_grow_far);
    child.hears("created");
    child.kill();
    let file = File::options()
        .write(true)
        .open(path())
        .expect("it is ours");
    let size = LARGE as u64;
    file.write_all_at(&size.to_le_bytes(), 64)
        .expect("it is there");
    file.set_len(size + (1 << 20)).expect("it takes no memory");
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::NotFound));
    assert!(left_in_directory().is_empty());
    drop(file);
    assert_eq!(free_memory(), free);
}

fn a_stale_file_takes_no_memory_whatever_size_it_claims() {
    in_little_memory(asks_for_a_large_one);
}
