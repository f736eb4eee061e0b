//! Stale segments: whatever the dead leave under a key does not exist, and what anybody needs is
//! never taken for stale.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use sharehold::{DestroyMode, ErrorKind, Mutex, Part, Policy, Segment, Shared};
use sharehold_testkit::{Child, Suite, Talk, directory, left_in_directory};

use crate::roles::{KEY, kind};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(what_the_dead_left_does_not_exist_whatever_it_contains)
        .test(what_the_dead_left_is_replaced_by_any_other_type)
        .test(what_the_dead_left_is_listed_as_stale_and_removed)
        .test(what_the_living_use_is_refused_and_stays_whatever_it_contains)
        .test(what_is_persistent_stays_whatever_it_contains)
        .test(what_is_no_segment_is_never_taken_for_stale)
        .role(user)
}

/// Creates a segment of one kind, with a policy, and uses it until it is killed.
fn user(test: &mut Talk) {
    let policy = match test.argument(1).as_str() {
        "persistent" => Policy::Persistent,
        _ => Policy::RemoveOnLastDetach,
    };
    let options = Segment::options().policy(policy);
    let failed = "nothing has the key";
    let _used: Box<dyn std::any::Any> = match test.argument(0).as_str() {
        "bytes" => Box::new(options.size(100).create(KEY).expect(failed)),
        "value" => Box::new(options.create_shared(KEY, &[7_u64; 3]).expect(failed)),
        "parts" => {
            let part: Mutex<u8> = options.create_part(KEY, 7).expect(failed);
            Box::new(part)
        }
        other => panic!("no such kind: {other}"),
    };
    test.say("uses it");
    test.wait_for_end();
}

fn path() -> PathBuf {
    let names = left_in_directory();
    assert_eq!(names.len(), 1, "{names:?}");
    directory().join(&names[0])
}

/// What may have become of a file before anybody asks for it.
const FATES: [&str; 6] = [
    "as it was",
    "older version",
    "newer version",
    "other header",
    "cut to its header",
    "cut to its prefix",
];

fn suffer(fate: &str) {
    let file = File::options()
        .write(true)
        .open(path())
        .expect("it is there");
    let put = |bytes: &[u8], at| file.write_all_at(bytes, at).expect("there is memory");
    match fate {
        "as it was" => {}
        "older version" => put(&2_u32.to_le_bytes(), 8),
        "newer version" => {
            put(&77_u32.to_le_bytes(), 8);
            // Whatever that means there.
            put(&[0xff; 4000], 16);
        }
        "other header" => put(&[0xff; 4000], 16),
        "cut to its header" => file.set_len(2048).expect("it shrinks"),
        "cut to its prefix" => file.set_len(16).expect("it shrinks"),
        other => panic!("no such fate: {other}"),
    }
}

/// Starts a user of such a segment, whose file then suffers that.
fn used(what: &str, policy: &str, fate: &str) -> Child {
    let mut child = Child::with(user, [what, policy]);
    child.hears("uses it");
    suffer(fate);
    child
}

/// Leaves such a segment behind.
fn left(what: &str, fate: &str) {
    used(what, "transient", fate).kill();
    assert!(path().exists());
}

fn everything(mut test: impl FnMut(&str, &str)) {
    for what in ["bytes", "value", "parts"] {
        for fate in FATES {
            test(what, fate);
        }
    }
}

type Ask = fn() -> sharehold::Result<()>;

fn what_the_dead_left_does_not_exist_whatever_it_contains() {
    let asks: [Ask; 6] = [
        || Segment::attach(KEY).map(drop),
        || Segment::attach_read_only(KEY).map(drop),
        || Shared::<u32>::attach(KEY).map(drop),
        || Shared::<u32>::attach_read_only(KEY).map(drop),
        || sharehold::UntypedShared::attach(KEY).map(drop),
        || Mutex::<u64>::attach(KEY).map(drop),
    ];
    everything(|what, fate| {
        for ask in asks {
            left(what, fate);
            assert!(!Segment::exists(KEY).expect("one may look"), "{fate}");
            assert_eq!(kind(ask()), Some(ErrorKind::NotFound), "{what}, {fate}");
            assert!(left_in_directory().is_empty(), "{what}, {fate}");
        }
    });
}

fn what_the_dead_left_is_replaced_by_any_other_type() {
    let asks: [Ask; 7] = [
        || Segment::create(KEY, 5000).map(drop),
        || Segment::options().size(5000).open_or_create(KEY).map(drop),
        || Shared::create(KEY, &1_u32).map(drop),
        || Shared::open_or_create(KEY, || 1_u32).map(drop),
        || Mutex::<u64>::create(KEY, 1).map(drop),
        || Mutex::<u64>::open_or_create(KEY, || 1).map(drop),
        || {
            let persistent = Segment::options().policy(Policy::Persistent);
            let shared = persistent.open_or_create_shared(KEY, || [1_u8; 9])?;
            assert_eq!(shared.get()?, [1; 9]);
            Segment::destroy(KEY, DestroyMode::Immediate)
        },
    ];
    everything(|what, fate| {
        for ask in asks {
            left(what, fate);
            if let Err(error) = ask() {
                panic!("{what}, {fate}: {error}");
            }
            assert!(left_in_directory().is_empty(), "{what}, {fate}");
        }
    });
}

fn what_the_dead_left_is_listed_as_stale_and_removed() {
    everything(|what, fate| {
        left(what, fate);
        let listed = sharehold::list().expect("one may look").remove(0);
        assert!(listed.is_stale(), "{what}, {fate}");
        assert!(listed.remove_stale().expect("one may"), "{what}, {fate}");
        assert!(!listed.remove_stale().expect("one may"), "{what}, {fate}");

        left(what, fate);
        assert!(
            Segment::remove_stale(KEY).expect("one may"),
            "{what}, {fate}"
        );
        assert!(left_in_directory().is_empty(), "{what}, {fate}");
    });
}

/// Asks for a segment that somebody needs, in ways that its file does not admit.
fn is_refused_and_stays(what: &str, fate: &str) {
    let there = fs::read(path()).expect("it is there");
    let listed = sharehold::list().expect("one may look").remove(0);
    assert!(!listed.is_stale(), "{what}, {fate}");
    assert!(!listed.remove_stale().expect("one may"), "{what}, {fate}");
    assert!(
        !Segment::remove_stale(KEY).expect("one may"),
        "{what}, {fate}"
    );
    assert!(
        Segment::exists(KEY).expect("one may look"),
        "{what}, {fate}"
    );
    let expected = match fate {
        "as it was" => ErrorKind::TypeMismatch,
        "older version" | "newer version" => ErrorKind::WrongVersion,
        _ => ErrorKind::Damaged,
    };
    let answer = kind(Shared::<u32>::attach(KEY));
    assert_eq!(answer, Some(expected), "{what}, {fate}");
    let answer = kind(Shared::open_or_create(KEY, || 1_u32));
    assert_eq!(answer, Some(expected), "{what}, {fate}");
    let expected = match expected {
        ErrorKind::TypeMismatch => ErrorKind::AlreadyExists,
        other => other,
    };
    let answer = kind(Shared::create(KEY, &1_u32));
    assert_eq!(answer, Some(expected), "{what}, {fate}");
    assert!(
        fs::read(path()).expect("it is there") == there,
        "{what}, {fate}"
    );
}

fn what_the_living_use_is_refused_and_stays_whatever_it_contains() {
    everything(|what, fate| {
        // Not cut: a file that shrinks under its users is not what is promised to be survived.
        if fate.starts_with("cut") {
            return;
        }
        let mut child = used(what, "transient", fate);
        is_refused_and_stays(what, fate);
        child.kill();
        assert!(
            Segment::remove_stale(KEY).expect("one may"),
            "{what}, {fate}"
        );
    });
}

fn what_is_persistent_stays_whatever_it_contains() {
    everything(|what, fate| {
        used(what, "persistent", fate).kill();
        is_refused_and_stays(what, fate);
        Segment::destroy(KEY, DestroyMode::WhenUnused).expect("it can be destroyed");
    });
}

fn what_is_no_segment_is_never_taken_for_stale() {
    left("bytes", "as it was");
    let path = path();
    for bytes in [
        &b""[..],
        b"sharehld",
        b"sharehld\x03\0\0\0\0\0\0",
        b"Sharehld\x03\0\0\0\0\0\0\0 and more",
        b"somebody's notes, kept in a strange place",
    ] {
        fs::write(&path, bytes).expect("there is memory");
        let damaged = Some(ErrorKind::Damaged);
        assert_eq!(kind(Segment::attach(KEY)), damaged);
        assert_eq!(kind(Segment::create(KEY, 1)), damaged);
        assert_eq!(
            kind(Segment::options().size(1).open_or_create(KEY)),
            damaged
        );
        assert_eq!(kind(Segment::exists(KEY)), damaged);
        assert_eq!(kind(Segment::remove_stale(KEY)), damaged);
        let listed = sharehold::list().expect("one may look").remove(0);
        assert!(!listed.is_stale());
        assert_eq!(kind(listed.remove_stale()), damaged);
        assert_eq!(fs::read(&path).expect("it is there"), bytes);
    }
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it can be destroyed");
}
