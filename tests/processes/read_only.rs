//! Read-only attachments: present, but unable to change anything.

use std::os::unix::process::ExitStatusExt;

use sharehold::{ErrorKind, Segment};
use sharehold_testkit::{Child, Suite, Talk, left_in_directory, raw};

use crate::roles::{KEY, attached, created, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(a_reader_sees_what_others_write)
        .test(a_store_of_a_reader_faults)
        .test(a_reader_counts_as_attached_and_keeps_the_segment)
        .test(the_last_reader_out_removes_the_segment)
        .test(a_killed_reader_keeps_nothing)
        .test(a_reader_of_nothing_gets_an_error)
        .role(reader)
}

/// Attaches read-only, and loads or stores a byte when told.
fn reader(test: &mut Talk) {
    let segment = Segment::attach_read_only(KEY).expect("it is there");
    test.say("attached");
    loop {
        match test.hear().as_str() {
            "" => break,
            "load" => test.say(raw::load(segment.as_ptr())),
            "store" => {
                raw::store(segment.as_ptr(), 1);
                test.say("stored");
            }
            "size" => test.say(segment.size()),
            other => panic!("no such order: {other}"),
        }
    }
}

pub(crate) fn reading() -> Child {
    let mut child = Child::of(reader);
    child.hears("attached");
    child
}

fn a_reader_sees_what_others_write() {
    let options = Segment::options().size(8).max_size(1 << 20);
    let segment = options.create(KEY).expect("nothing has the key");
    let mut child = reading();
    assert_eq!(child.ask("load"), "0");
    let mut bytes = segment.lock().expect("it is free");
    bytes.write(0, &[42]).expect("there is room");
    assert_eq!(child.ask("load"), "42");
    assert_eq!(child.ask("size"), "8");
    bytes.grow(1 << 19).expect("there is memory");
    assert_eq!(child.ask("size"), (1 << 19).to_string());
    let own = Segment::attach_read_only(KEY).expect("it is there");
    assert_eq!(
        (own.key(), own.size(), own.policy()),
        (KEY, 1 << 19, segment.policy())
    );
    assert_eq!(raw::load(own.as_ptr()), 42);
}

fn a_store_of_a_reader_faults() {
    let segment = created();
    let mut child = reading();
    child.tell("store");
    assert_eq!(
        child.end().signal(),
        Some(11),
        "it stored, or ended otherwise"
    );
    assert_eq!(raw::load(segment.as_ptr()), 0);
    assert_eq!(segment.attachments().expect("one may look").len(), 1);
}

fn a_reader_counts_as_attached_and_keeps_the_segment() {
    let segment = created();
    let mut child = reading();
    let own = Segment::attach_read_only(KEY).expect("it is there");
    for all in [segment.attachments(), own.attachments()] {
        let all = all.expect("one may look");
        assert_eq!(all.len(), 3, "{all:?}");
        assert!(
            all.iter()
                .any(|it| it.pid == child.pid() && it.slot.is_none()),
            "{all:?}"
        );
        let own = |it: &&sharehold::Attachment| it.pid == std::process::id();
        assert_eq!(all.iter().filter(own).count(), 2, "{all:?}");
    }
    drop(segment);
    drop(own);
    assert!(Segment::exists(KEY).expect("one may look"));
    assert_eq!(
        kind(Segment::create(KEY, 8)),
        Some(ErrorKind::AlreadyExists)
    );
    drop(Segment::attach(KEY).expect("the reader keeps it"));
    child.ends_well();
    assert!(left_in_directory().is_empty());
}

fn the_last_reader_out_removes_the_segment() {
    let segment = created();
    let mut readers: Vec<Child> = (0..3).map(|_| reading()).collect();
    let own = [
        Segment::attach_read_only(KEY),
        Segment::attach_read_only(KEY),
    ];
    segment.detach().expect("it can leave");
    for reader in &mut readers {
        reader.ends_well();
        assert!(Segment::exists(KEY).expect("one may look"));
    }
    for reader in own {
        assert!(Segment::exists(KEY).expect("one may look"));
        drop(reader.expect("it was there"));
    }
    assert!(left_in_directory().is_empty());
}

fn a_killed_reader_keeps_nothing() {
    let segment = created();
    let mut child = reading();
    let other = attached();
    drop(segment);
    drop(other);
    child.kill();
    assert!(!Segment::exists(KEY).expect("one may look"));
    assert_eq!(
        kind(Segment::attach_read_only(KEY)),
        Some(ErrorKind::NotFound)
    );
    assert!(left_in_directory().is_empty());
}

fn a_reader_of_nothing_gets_an_error() {
    assert_eq!(
        kind(Segment::attach_read_only(KEY)),
        Some(ErrorKind::NotFound)
    );
    assert_eq!(
        kind(Segment::attach_read_only("")),
        Some(ErrorKind::InvalidKey)
    );
}
