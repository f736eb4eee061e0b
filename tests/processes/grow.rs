//! Growth: for everyone attached, in place, and only ever up.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sharehold::{ErrorKind, Segment};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, attached, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(others_see_the_new_size_at_their_next_call)
        .test(addresses_and_data_stay_and_new_bytes_are_zero)
        .test(growers_beside_each_other_reach_the_largest_size)
        .test(beyond_the_largest_size_is_an_error)
        .test(it_grows_while_another_holds_the_lock)
        .test(growth_repairs_a_size_that_was_overwritten)
        .test(open_or_create_grows_to_the_size_that_it_asks_for)
        .test(a_grower_killed_at_any_moment_leaves_the_old_size_or_the_new)
        .role(grower)
}

const LARGEST: usize = 1 << 22;

fn growing() -> Segment {
    let options = Segment::options().size(100).max_size(LARGEST);
    options.create(KEY).expect("nothing has the key")
}

fn others_see_the_new_size_at_their_next_call() {
    let segment = growing();
    let mut child = attached();
    let reader = Segment::attach_read_only(KEY).expect("it is there");
    assert_eq!(child.ask("size"), "100");
    segment.grow(50_000).expect("there is memory");
    assert_eq!(child.ask("size"), "50000");
    assert_eq!((segment.size(), reader.size()), (50_000, 50_000));
    assert_eq!(child.ask("grow 70000"), "grown");
    assert_eq!((segment.size(), reader.size()), (70_000, 70_000));
    let bytes = segment.lock().expect("it is free");
    assert_eq!(bytes.size(), 70_000);
    bytes.read(69_999, &mut [0]).expect("it is there");
    // One that comes later sees it as well.
    assert_eq!(Segment::attach(KEY).expect("it is there").size(), 70_000);
}

fn addresses_and_data_stay_and_new_bytes_are_zero() {
    let segment = growing();
    let address = segment.as_ptr();
    let mut bytes = segment.lock().expect("it is free");
    bytes.fill(0..100, 7).expect("there is room");
    let mut size = 100;
    while size < LARGEST {
        let larger = (size * 3 + 1).min(LARGEST);
        bytes.grow(larger).expect("there is memory");
        let mut data = vec![1; larger];
        bytes.read(0, &mut data).expect("so large it is");
        assert!(data[..size].iter().all(|&byte| byte == 7));
        assert!(data[size..].iter().all(|&byte| byte == 0));
        bytes.fill(size..larger, 7).expect("there is room");
        assert_eq!(segment.as_ptr(), address);
        size = larger;
    }
}

/// Grows the segment byte by byte, or by as much as it is told, and says when it is at its largest.
fn grower(test: &mut Talk) {
    let segment = Segment::attach(KEY).expect("it is there");
    let step = test.number(0);
    test.say("ready");
    test.hear();
    while segment.size() < LARGEST {
        let size = segment.size();
        segment
            .grow((size + step).min(LARGEST))
            .expect("there is memory");
        assert!(segment.size() > size);
    }
    test.say("grown");
    test.wait_for_end();
}

fn growers_beside_each_other_reach_the_largest_size() {
    let segment = growing();
    let steps = ["811", "1009", "4096", "10007"];
    let mut growers = steps.map(|step| Child::with(grower, [step]));
    for child in &mut growers {
        child.hears("ready");
    }
    for child in &mut growers {
        child.tell("go");
    }
    // It never shrinks, and what is there is usable and zero.
    let mut last = 0;
    while last < LARGEST {
        // Through a handle that remembers nothing.
        let size = Segment::attach(KEY).expect("it is there").size();
        assert!(size >= last, "it shrank from {last} to {size}");
        last = size;
        let bytes = segment.lock().expect("nobody dies");
        assert_eq!(bytes.read_at::<u8>(size - 1).expect("it is there"), 0);
    }
    for child in &mut growers {
        child.hears("grown");
        child.ends_well();
    }
    assert_eq!(segment.size(), LARGEST);
    assert_eq!(Segment::attach(KEY).expect("it is there").size(), LARGEST);
}

fn beyond_the_largest_size_is_an_error() {
    let segment = growing();
    for beyond in [LARGEST + 1, usize::MAX, isize::MAX.unsigned_abs()] {
        let error = segment.grow(beyond).expect_err("it is too much");
        assert_eq!(error.kind(), ErrorKind::InvalidOption);
        assert!(error.to_string().contains(&LARGEST.to_string()), "{error}");
    }
    assert_eq!(segment.size(), 100);
    segment.grow(0).expect("it is larger already");
    segment.grow(99).expect("it is larger already");
    assert_eq!(segment.size(), 100);
    segment.grow(LARGEST).expect("there is memory");
    assert_eq!(segment.size(), segment.max_size());
    drop(segment);
    // Without a largest size, the size is that.
    let fixed = Segment::create(KEY, 100).expect("nothing has the key");
    assert_eq!(kind(fixed.grow(101)), Some(ErrorKind::InvalidOption));
}

fn it_grows_while_another_holds_the_lock() {
    let segment = growing();
    let mut child = attached();
    assert_eq!(child.ask("lock"), "locked");
    segment.grow(5000).expect("it needs no lock");
    assert_eq!(child.ask("write 1"), "written");
    assert_eq!(child.ask("size"), "5000");
    assert_eq!(child.ask("unlock"), "unlocked");
}

fn growth_repairs_a_size_that_was_overwritten() {
    const SIZE_WORD: u64 = 64;
    let segment = growing();
    let path = directory().join(&left_in_directory()[0]);
    let file = File::options().write(true).open(path).expect("it is ours");
    // Beyond the largest size, within it but beyond the file, and too small.
    for (round, said) in [u64::MAX, 1 << 40, 3 << 20, 0, 1].into_iter().enumerate() {
        file.write_all_at(&said.to_le_bytes(), SIZE_WORD)
            .expect("it is there");
        let wanted = 5000 * (round + 1);
        segment.grow(wanted).expect("there is memory");
        assert_eq!(segment.size(), wanted, "{said:#x}");
        assert_eq!(Segment::attach(KEY).expect("it is whole").size(), wanted);
        let mut bytes = segment.lock().expect("it is free");
        bytes.fill(0..wanted, 7).expect("so large it is");
    }
}

fn open_or_create_grows_to_the_size_that_it_asks_for() {
    let segment = growing();
    let opened = Segment::options().size(5000).open_or_create(KEY);
    assert_eq!(opened.expect("it can be had").size(), 5000);
    assert_eq!(segment.size(), 5000);
    // One that is larger is taken as it is: somebody may have grown it.
    let opened = Segment::options().size(17).open_or_create(KEY);
    assert_eq!(opened.expect("it is there").size(), 5000);
    let refused = Segment::options().size(LARGEST + 1).open_or_create(KEY);
    let error = refused.expect_err("it cannot be so large");
    assert_eq!(error.kind(), ErrorKind::InvalidOption);
    for size in [LARGEST, LARGEST + 1] {
        assert!(error.to_string().contains(&size.to_string()), "{error}");
    }
    // An attachment takes it as it is.
    let attached = Segment::options().size(LARGEST).attach(KEY);
    assert_eq!(attached.expect("it is there").size(), 5000);
}

fn a_grower_killed_at_any_moment_leaves_the_old_size_or_the_new() {
    let segment = growing();
    while segment.size() < LARGEST {
        let mut child = Child::with(grower, ["17"]);
        child.hears("ready");
        child.tell("go");
        let before = segment.size();
        child.kill();
        let size = segment.size();
        assert!(
            size >= before && (size == LARGEST || (size - 100).is_multiple_of(17)),
            "{size}"
        );
        let bytes = segment.lock().expect("nobody dies holding it");
        assert_eq!(bytes.read_at::<u8>(size - 1).expect("it is there"), 0);
        drop(bytes);
        segment
            .grow((size + 17 * 2000).min(LARGEST))
            .expect("there is memory");
    }
}
