//! Shortage of memory, of descriptors, of time without interruption: an error, and everything as it
//! was.

use std::fs::{self, File};
use std::io::Write;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use sharehold::{DestroyMode, ErrorKind, LockError, Policy, Segment};
use sharehold_testkit::raw::{Fork, end_after, interrupt_every};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory, need_root};

use crate::roles::{KEY, LONG, created, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(what_does_not_fit_is_an_error_and_leaves_nothing)
        .test(a_lack_of_inodes_is_distinguished_from_a_lack_of_memory)
        .test(growth_that_does_not_fit_leaves_everything_as_it_was)
        .test(on_a_full_file_system_segments_go_on_and_no_store_faults)
        .test(a_process_that_is_interrupted_all_the_time_creates_and_grows)
        .test(limits_of_the_process_are_errors_and_no_signals)
        .test(a_process_that_attached_with_few_descriptors_sees_deaths)
        .role(creates_too_much)
        .role(creates_one_file_too_many)
        .role(grows_too_much)
        .role(goes_on_when_full)
        .role(is_interrupted)
        .role(is_limited)
        .role(attaches_with_few_descriptors)
        .role(leaves_its_byte_to_a_child)
}

/// Starts a child whose directory is a file system of its own with one MiB of memory.
pub(crate) fn in_little_memory<F: Fn(&mut Talk)>(role: F) {
    on_a_small_file_system("size=1m", role);
}

fn on_a_small_file_system<F: Fn(&mut Talk)>(limit: &str, role: F) {
    let mount =
        format!(r#"mount -t tmpfs -o {limit},mode=755 none "$SHAREHOLD_DIR" && exec "$0" "$@""#);
    need_root("mount a small file system");
    let wrapper = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        &mount,
    ];
    Child::under(wrapper, role, [""; 0]).ends_well();
    assert!(
        left_in_directory().is_empty(),
        "it was written beside its file system"
    );
}

pub(crate) fn free_memory() -> u64 {
    rustix::fs::statvfs(directory())
        .expect("it is there")
        .f_bfree
}

fn creates_too_much(_: &mut Talk) {
    let before = free_memory();
    for size in [(1 << 20) + 1, 1 << 20, 4 << 20, 1 << 30] {
        let options = Segment::options().size(size);
        let error = options.create(KEY).expect_err("it does not fit");
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
        let place = format!(
            "the file system of {} has no memory left for it",
            directory().display()
        );
        assert!(error.to_string().contains(&place), "{error}");
        assert_eq!(
            kind(options.open_or_create(KEY)),
            Some(ErrorKind::OutOfMemory)
        );
        assert!(!Segment::exists(KEY).expect("one may look"));
        assert!(left_in_directory().is_empty());
        assert_eq!(free_memory(), before);
    }
    let segment = Segment::create(KEY, 1 << 19).expect("it fits");
    drop(segment);
    assert_eq!(free_memory(), before);
}

fn what_does_not_fit_is_an_error_and_leaves_nothing() {
    in_little_memory(creates_too_much);
}

/// Creates where there is memory, but no file more.
fn creates_one_file_too_many(_: &mut Talk) {
    // One is the directory itself.
    let _segment = Segment::create("com.example.first", 8).expect("there is one file left");
    let error = Segment::create(KEY, 8).expect_err("there is none left");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    let place = format!(
        "the file system of {} has no memory left for another file; remove files there",
        directory().display()
    );
    assert!(error.to_string().contains(&place), "{error}");
}

fn a_lack_of_inodes_is_distinguished_from_a_lack_of_memory() {
    on_a_small_file_system("nr_inodes=2", creates_one_file_too_many);
}

fn grows_too_much(_: &mut Talk) {
    let options = Segment::options().size(1 << 18).max_size(8 << 20);
    let segment = options.create(KEY).expect("it fits");
    let other = Segment::attach(KEY).expect("it is there");
    let mut bytes = segment.lock().expect("it is free");
    bytes.fill(0..1 << 18, 7).expect("there is room");
    let before = free_memory();
    let length = || {
        let file = directory().join(&left_in_directory()[0]);
        fs::metadata(file).expect("it is there").len()
    };
    let old_length = length();
    for size in [1 << 20, 8 << 20] {
        assert_eq!(kind(bytes.grow(size)), Some(ErrorKind::OutOfMemory));
        assert_eq!((bytes.size(), other.size()), (1 << 18, 1 << 18));
        assert_eq!((free_memory(), length()), (before, old_length));
    }
    let mut data = vec![0; 1 << 18];
    bytes.read(0, &mut data).expect("so large it is");
    assert!(data.iter().all(|&byte| byte == 7));
    // What fits is still to be had.
    bytes.grow(1 << 19).expect("it fits");
    bytes.fill(1 << 18..1 << 19, 8).expect("there is room");
    assert_eq!(other.size(), 1 << 19);
}

fn growth_that_does_not_fit_leaves_everything_as_it_was() {
    in_little_memory(grows_too_much);
}

/// Frees what [`fill_up`] took.
pub(crate) fn make_room() {
    fs::remove_file(directory().join("filler")).expect("it is there");
}

/// Fills the file system to its last page.
pub(crate) fn fill_up() {
    let mut file = File::create(directory().join("filler")).expect("there is an inode");
    while file.write(&[1; 4096]).is_ok() {}
    assert_eq!(free_memory(), 0);
}

fn goes_on_when_full(_: &mut Talk) {
    let options = Segment::options().size(1 << 18).policy(Policy::Persistent);
    drop(options.create(KEY).expect("it fits"));
    let path = directory().join(&left_in_directory()[0]);
    let whole = fs::read(&path).expect("it is there");
    fill_up();
    // All of its memory was reserved when it was created.
    let segment = Segment::attach(KEY).expect("it takes no memory");
    let mut bytes = segment.lock().expect("it is free");
    bytes.fill(0..1 << 18, 7).expect("there is room");
    drop(bytes);
    drop(segment);
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("nobody is left");

    // A copy that keeps no page of zeros, as copying programs make it, has no memory for them.
    let file = File::create(&path).expect("there is room now");
    let len = u64::try_from(whole.len()).expect("it is small");
    file.set_len(len).expect("it takes no memory");
    let pages = whole.chunks(4096).zip((0..).step_by(4096));
    for (page, offset) in pages.filter(|(page, _)| page.iter().any(|&byte| byte != 0)) {
        std::os::unix::fs::FileExt::write_all_at(&file, page, offset).expect("there is room");
    }
    fill_up();
    assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::OutOfMemory));
    // With room it is made whole.
    make_room();
    let segment = Segment::attach(KEY).expect("there is memory");
    fill_up();
    let mut bytes = segment.lock().expect("it is free");
    bytes.fill(0..1 << 18, 7).expect("there is room");
}

fn on_a_full_file_system_segments_go_on_and_no_store_faults() {
    in_little_memory(goes_on_when_full);
}

/// Creates and grows a segment that takes longer to reserve than the time between two signals.
fn is_interrupted(_: &mut Talk) {
    interrupt_every(Duration::from_micros(200));
    let options = Segment::options().size(64 << 20).max_size(128 << 20);
    let segment = options.create(KEY).expect("there is memory");
    segment.grow(128 << 20).expect("there is memory");
    assert_eq!(segment.size(), 128 << 20);
    drop(segment.lock().expect("it is free"));
}

fn a_process_that_is_interrupted_all_the_time_creates_and_grows() {
    Child::of(is_interrupted).ends_well();
}

/// Creates within limits that do not let it.
fn is_limited(test: &mut Talk) {
    let limit = |of: Resource, value: u64| {
        let lower = Rlimit {
            current: Some(value),
            ..getrlimit(of)
        };
        setrlimit(of, lower).expect("it may");
    };
    match test.argument(0).as_str() {
        "file size" => {
            limit(Resource::Fsize, 1 << 16);
            assert_eq!(kind(Segment::create(KEY, 1 << 20)), Some(ErrorKind::System));
            let options = Segment::options().size(8).max_size(1 << 20);
            let segment = options.create(KEY).expect("it is within the limit");
            assert_eq!(kind(segment.grow(1 << 20)), Some(ErrorKind::System));
            assert_eq!(segment.size(), 8);
        }
        "address space" => {
            limit(Resource::As, 1 << 30);
            let options = Segment::options().size(8).max_size(1 << 40);
            assert_eq!(kind(options.create(KEY)), Some(ErrorKind::OutOfMemory));
        }
        "descriptors" => {
            // The three that it has, and one for the directory.
            limit(Resource::Nofile, 4);
            assert_eq!(kind(Segment::create(KEY, 8)), Some(ErrorKind::System));
            assert_eq!(kind(Segment::attach(KEY)), Some(ErrorKind::System));
        }
        other => panic!("no such limit: {other}"),
    }
}

fn limits_of_the_process_are_errors_and_no_signals() {
    for limit in ["file size", "address space", "descriptors"] {
        Child::with(is_limited, [limit]).ends_well();
        assert!(left_in_directory().is_empty());
    }
}

/// Holds the lock, with a child that has its files and lives on.
fn leaves_its_byte_to_a_child(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let _bytes = segment.lock().expect("it is free");
    let child = Fork::Clone.start(|| {
        end_after(60);
        loop {
            thread::park();
        }
    });
    test.say(child.pid());
    test.wait_for_end();
}

/// Attaches at its first try that succeeds, each of which has one descriptor more than the one
/// before.
fn attaches_with_few_descriptors(test: &mut Talk) {
    let limit = getrlimit(Resource::Nofile);
    let with_descriptors = |most| {
        let lower = Rlimit {
            current: Some(most),
            ..limit
        };
        setrlimit(Resource::Nofile, lower).expect("it may");
        let attached = Segment::attach(KEY);
        setrlimit(Resource::Nofile, limit).expect("it may");
        attached
    };
    let segment = (4..20).find_map(|most| match with_descriptors(most) {
        Ok(segment) => Some(segment),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::System, "{error}");
            None
        }
    });
    let segment = segment.expect("so many are enough");
    test.say("attached");
    test.hear();
    let found = segment.lock_timeout(LONG);
    test.say(matches!(found, Err(LockError::Abandoned(_))));
}

fn a_process_that_attached_with_few_descriptors_sees_deaths() {
    let _segment = created();
    let mut waiter = Child::of(attaches_with_few_descriptors);
    waiter.hears("attached");
    let mut holder = Child::of(leaves_its_byte_to_a_child);
    let child = i32::try_from(holder.hear_number()).expect("it is small");
    holder.kill();
    assert_eq!(waiter.ask("go"), "true");
    waiter.ends_well();
    let child = Pid::from_raw(child).expect("it is not 0");
    kill_process(child, Signal::KILL).expect("it lives");
}
