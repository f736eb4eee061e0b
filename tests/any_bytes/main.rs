//! Any bytes: whatever stands in a segment's file, asking for its key gives an error or a segment
//! that works.
//!
//! Files are made by changing whole ones, or of nothing but chance; every way into the library is
//! tried on them. The second half scribbles over segments that are in use. What stands in parts is
//! in `parts`. A crash, a signal or a hang fails the test, which is a process of its own.

mod own;
mod parts;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sharehold::{DestroyMode, Error, ErrorKind, LockError, Policy, Segment, Shared, UntypedShared};
use sharehold_testkit::{Suite, directory, left_in_directory};

fn main() -> ExitCode {
    let suite = Suite::new()
        .test(a_changed_file_is_an_error_or_a_segment_that_works)
        .test(a_changed_unused_file_never_blocks_its_key)
        .test(a_random_file_is_an_error_and_can_be_destroyed)
        .test(a_slot_that_claims_to_have_had_too_many_owners_is_not_used)
        .test(a_segment_that_is_scribbled_over_in_use_neither_crashes_nor_hangs)
        .test(a_value_that_seems_to_change_all_the_time_is_damaged);
    sharehold_testkit::main([suite, own::suite(), parts::suite()])
}

const KEY: &str = "com.example.any-bytes";
const SLOTS: usize = 4;
/// As long as anything may wait that another one seems to hold.
const SHORT: Duration = Duration::from_millis(3);
/// Longer than anything takes that does not hang.
const LONG: Duration = Duration::from_secs(20);

/// Where one of a file's bytes are changed, and to what.
#[derive(Debug, Clone)]
enum Change {
    /// A field of the header or the table becomes a value at which something might break.
    Field {
        offset: usize,
        wide: bool,
        value: u64,
    },
    Bytes {
        offset: usize,
        bytes: Vec<u8>,
    },
    Cut {
        len: usize,
    },
    Extend {
        by: usize,
    },
}

/// The length of a whole file, as made by [`options`].
const LEN: usize = 2 * 4096;
/// Where the table begins, and the bytes before it that more than people depend on.
const TABLE: usize = 2048;
const HEAD: usize = 256;
const SLOT: usize = 192;

/// Numbers at which something might break.
fn value() -> impl Strategy<Value = u64> {
    prop_oneof![
        3 => 0..16_u64,
        1 => 4090..4110_u64,
        1 => 8180..8200_u64,
        1 => (0..64_u32).prop_map(|bit| 1 << bit),
        1 => (0..64_u32).prop_map(|bit| (1 << bit) - 1),
        1 => (0..16_u64).prop_map(|less| u64::MAX - less),
        // A hold: generation and slot, as lock words have it.
        2 => (0..4_u64, 0..5_u64).prop_map(|(generation, slot)| generation << 12 | slot),
        1 => any::<u64>(),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let place = prop_oneof![
        3 => 0..HEAD / 4,
        2 => TABLE / 4..(TABLE + SLOTS * SLOT) / 4,
        1 => 0..LEN / 4,
    ];
    prop_oneof![
        6 => (place, any::<bool>(), value()).prop_map(|(word, wide, value)| {
            Change::Field { offset: 4 * word, wide, value }
        }),
        2 => (0..LEN, prop::collection::vec(any::<u8>(), 1..24))
            .prop_map(|(offset, bytes)| Change::Bytes { offset, bytes }),
        1 => (0..=LEN).prop_map(|len| Change::Cut { len }),
        1 => (1..3 * 4096_usize).prop_map(|by| Change::Extend { by }),
    ]
}

fn apply(file: &mut Vec<u8>, change: &Change) {
    let mut put = |offset: usize, bytes: &[u8]| {
        let end = file.len().min(offset + bytes.len());
        if let Some(place) = file.get_mut(offset..end) {
            place.copy_from_slice(&bytes[..place.len()]);
        }
    };
    match change {
        Change::Field {
            offset,
            wide,
            value,
        } => {
            put(*offset, &value.to_ne_bytes()[..if *wide { 8 } else { 4 }]);
        }
        Change::Bytes { offset, bytes } => put(*offset, bytes),
        Change::Cut { len } => file.truncate(*len),
        Change::Extend { by } => file.resize(file.len() + by, 0),
    }
}

/// A way to ask for the key.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Attach,
    AttachReadOnly,
    AttachShared,
    AttachAny,
    Create,
    OpenOrCreate,
    Exists,
    RemoveStale,
    List,
    Inspect,
    DestroyNow,
    DestroyUnused,
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![
        4 => Just(Ask::Attach),
        2 => Just(Ask::AttachReadOnly),
        2 => Just(Ask::AttachShared),
        2 => Just(Ask::AttachAny),
        1 => Just(Ask::RemoveStale),
        1 => Just(Ask::Create),
        1 => Just(Ask::OpenOrCreate),
        1 => Just(Ask::Exists),
        1 => Just(Ask::List),
        2 => Just(Ask::Inspect),
        1 => Just(Ask::DestroyNow),
        1 => Just(Ask::DestroyUnused),
    ]
}

fn options() -> sharehold::SegmentOptions {
    Segment::options()
        .size(200)
        .max_size(1 << 20)
        .slots(SLOTS)
        .log(256)
}

fn persistent() -> sharehold::SegmentOptions {
    Segment::options().policy(Policy::Persistent)
}

/// The path that the key's file has.
fn path() -> PathBuf {
    drop(
        options()
            .policy(Policy::Persistent)
            .create(KEY)
            .expect("nothing has the key"),
    );
    let path = directory().join(left_in_directory().remove(0));
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
    path
}

/// The bytes of a whole segment that nobody is attached to.
fn whole(policy: Policy, typed: bool) -> Vec<u8> {
    let options = options().policy(policy);
    let (segment, shared) = if typed {
        (None, options.create_shared::<[u32; 8]>(KEY, &[7; 8]).ok())
    } else {
        (options.create(KEY).ok(), None)
    };
    let bytes = fs::read(directory().join(&left_in_directory()[0])).expect("it is there");
    drop((segment, shared));
    // Gone with its last user, or not.
    let _ = Segment::destroy(KEY, DestroyMode::Immediate);
    bytes
}

/// Asks, and uses what there is.
fn asked(ask: Ask) -> Result<(), Error> {
    match ask {
        Ask::Attach => used(&Segment::attach(KEY)?),
        Ask::AttachReadOnly => {
            let segment = Segment::attach_read_only(KEY)?;
            assert!(!segment.attachments()?.is_empty());
            assert_eq!(segment.key(), KEY);
            assert!(segment.size() > 0);
        }
        Ask::AttachShared => {
            let shared = Shared::<[u32; 8]>::attach(KEY)?;
            if free_of_others(shared.segment()) {
                shared.update(|value| value[3] += 0)?;
            }
        }
        Ask::AttachAny => {
            let reader = UntypedShared::attach_read_only(KEY)?;
            let read = reader.get();
            if let Ok(value) = &read {
                reader.schema().check(value).expect("only values are read");
            }
            drop(reader);
            let any = UntypedShared::attach(KEY)?;
            if free_of_others(any.segment()) {
                let schema = any.schema();
                let first = any.update(|bytes| schema.get(bytes, "."))?;
                let _ = format!("{first:?}");
                any.set(&schema.blank().expect("it is as large as the file"))?;
            }
        }
        Ask::RemoveStale => drop(Segment::remove_stale(KEY)?),
        Ask::Create => used(&options().create(KEY)?),
        Ask::OpenOrCreate => used(&options().open_or_create(KEY)?),
        Ask::Exists => drop(Segment::exists(KEY)?),
        Ask::List => {
            for listed in sharehold::list()? {
                let _ = format!("{listed:?}");
            }
        }
        Ask::Inspect => {
            let seen = sharehold::inspect(KEY)?;
            let _ = format!("{seen:?}");
            assert_eq!(seen.summary.key, KEY);
            if let Some(schema) = seen.schema? {
                let _ = schema.get(&seen.content?, ".");
            }
        }
        Ask::DestroyNow => Segment::destroy(KEY, DestroyMode::Immediate)?,
        Ask::DestroyUnused => Segment::destroy(KEY, DestroyMode::WhenUnusedWithin(SHORT))?,
    }
    Ok(())
}

/// Takes the lock if nobody living seems to have it, vouches for the data, and releases it.
fn free_of_others(segment: &Segment) -> bool {
    match segment.lock_timeout(SHORT) {
        Ok(_) => true,
        Err(LockError::Abandoned(found)) => {
            let _ = format!("{found} {found:?}");
            drop(found.mark_consistent());
            true
        }
        Err(error) => {
            // An overwritten owner word can also say that the segment was replaced.
            let expected = [ErrorKind::Timeout, ErrorKind::Deadlock, ErrorKind::Migrated];
            assert!(expected.contains(&error.kind()), "{error}");
            false
        }
    }
}

/// Does everything that can be done with a segment.
fn used(segment: &Segment) {
    let size = segment.size();
    assert!(size > 0 && size <= segment.max_size());
    let _ = format!("{segment:?} {:?}", segment.attachments());
    if size < 1 << 20 {
        let _ = segment.grow(size + 5000);
    }
    if !free_of_others(segment) {
        return;
    }
    let mut bytes = segment.lock().expect("it was vouched for");
    let size = bytes.size();
    let mut data = vec![0; size];
    match bytes.read(0, &mut data) {
        // What has a type is not used by offset.
        Err(error) if error.kind() == ErrorKind::TypeMismatch => return,
        read => read.expect("so large it is"),
    }
    bytes.write(0, &data).expect("so large it is");
    bytes.fill(size / 2..size, 0x55).expect("so large it is");
    assert_eq!(bytes.read_at::<u8>(size - 1).expect("so large it is"), 0x55);
    drop(bytes);
    let changed = segment.transaction(|tx| tx.write_at(0, &1_u8));
    let expected = [None, Some(ErrorKind::LogFull)];
    assert!(expected.contains(&changed.err().map(|error| error.kind())));
}

fn run<S: Strategy>(
    cases: u32,
    strategy: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..Config::default()
    };
    if let Err(error) = TestRunner::new(config).run(strategy, test) {
        panic!("{error}");
    }
}

fn lay_down(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).expect("there is memory");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("it is there");
}

/// Lays the file down, asks for the key, and takes away what is left.
fn try_file(path: &Path, bytes: &[u8], asks: &[Ask]) {
    lay_down(path, bytes);
    for &ask in asks {
        if let Err(error) = asked(ask) {
            let _ = format!("{error} {error:?}");
            assert_ne!(error.kind(), ErrorKind::System, "{ask:?}: {error}");
        }
    }
    match Segment::destroy(KEY, DestroyMode::Immediate) {
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
    }
    assert!(left_in_directory().is_empty());
}

fn a_changed_file_is_an_error_or_a_segment_that_works() {
    let path = path();
    let bases = [
        whole(Policy::Persistent, false),
        whole(Policy::Persistent, true),
        whole(Policy::RemoveOnLastDetach, false),
    ];
    assert!(bases.iter().all(|base| base.len() == LEN));
    let changes = prop::collection::vec(change(), 1..5);
    let asks = prop::collection::vec(ask(), 1..4);
    run(
        6000,
        &(0..bases.len(), changes, asks),
        |(base, changes, asks)| {
            let mut bytes = bases[base].clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            try_file(&path, &bytes, &asks);
            Ok(())
        },
    );
}

fn a_changed_unused_file_never_blocks_its_key() {
    const PREFIX: usize = 16;
    let path = path();
    let bases = [false, true].map(|typed| {
        let mut base = whole(Policy::RemoveOnLastDetach, typed);
        // This process lives, and was attached.
        base[TABLE..TABLE + SLOTS * SLOT].fill(0);
        base
    });
    let changes = prop::collection::vec(change(), 1..5);
    let asks = prop_oneof![
        Just(Ask::Create),
        Just(Ask::OpenOrCreate),
        Just(Ask::AttachAny)
    ];
    run(
        2000,
        &(0..bases.len(), changes, asks),
        |(base, changes, ask)| {
            let mut bytes = bases[base].clone();
            for change in &changes {
                apply(&mut bytes, change);
            }
            if bytes.len() < PREFIX {
                return Ok(());
            }
            // Any version, and nothing else of the prefix changed.
            bytes[..8].copy_from_slice(b"sharehld");
            bytes[12..PREFIX].fill(0);
            lay_down(&path, &bytes);
            prop_assert!(!Segment::exists(KEY).expect("one may look"));
            let answer = asked(ask).map_err(|error| error.kind());
            let expected = match ask {
                Ask::AttachAny => Err(ErrorKind::NotFound),
                _ => Ok(()),
            };
            prop_assert_eq!(answer, expected, "{:?}", ask);
            prop_assert!(left_in_directory().is_empty());
            Ok(())
        },
    );
}

fn a_random_file_is_an_error_and_can_be_destroyed() {
    let path = path();
    let bytes = prop_oneof![
        1 => Just(Vec::new()),
        4 => prop::collection::vec(any::<u8>(), 0..600),
        1 => prop::collection::vec(any::<u8>(), 0..20_000),
        1 => (0..20_000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ];
    run(
        1000,
        &(bytes, any::<bool>(), ask()),
        |(mut bytes, with_magic, ask)| {
            if with_magic && bytes.len() >= 12 {
                bytes[..12].copy_from_slice(b"sharehld\x01\0\0\0");
            }
            try_file(&path, &bytes, &[ask]);
            Ok(())
        },
    );
}

fn a_slot_that_claims_to_have_had_too_many_owners_is_not_used() {
    let path = path();
    let options = Segment::options()
        .size(8)
        .slots(1)
        .policy(Policy::Persistent);
    drop(options.create(KEY).expect("nothing has the key"));
    let base = fs::read(&path).expect("it is there");
    for bit in 48..64 {
        for value in [
            (1_u64 << bit) - 2,
            (1 << bit) - 1,
            1 << bit,
            (1 << bit) + 1,
            u64::MAX << bit,
        ] {
            let mut bytes = base.clone();
            bytes[TABLE..TABLE + 8].copy_from_slice(&value.to_ne_bytes());
            fs::write(&path, &bytes).expect("there is memory");
            match Segment::attach(KEY) {
                Ok(segment) => {
                    // Then it is as good as any other: seen, and not given away again.
                    assert_eq!(
                        segment.attachments().expect("one may look").len(),
                        1,
                        "{value:#x}"
                    );
                    let again = Segment::attach(KEY).map_err(|error| error.kind());
                    assert_eq!(
                        again.err(),
                        Some(ErrorKind::TooManyAttachments),
                        "{value:#x}"
                    );
                    used(&segment);
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::TooManyAttachments, "{value:#x}"),
            }
        }
    }
    Segment::destroy(KEY, DestroyMode::WhenUnused).expect("it is there");
}

/// Changes the bytes of a file that processes have mapped, without cutting it.
fn scribble(file: &File, changes: &[Change]) {
    for change in changes {
        let written = match change {
            Change::Field {
                offset,
                wide,
                value,
            } => file.write_all_at(
                &value.to_ne_bytes()[..if *wide { 8 } else { 4 }],
                *offset as u64,
            ),
            Change::Bytes { offset, bytes } => file.write_all_at(bytes, *offset as u64),
            // A file that shrinks under its users is not what the library promises to survive.
            Change::Cut { .. } | Change::Extend { .. } => Ok(()),
        };
        written.expect("there is memory");
    }
}

fn a_segment_that_is_scribbled_over_in_use_neither_crashes_nor_hangs() {
    let path = path();
    let changes = prop::collection::vec(change(), 1..6);
    let asks = prop::collection::vec(ask(), 1..4);
    run(
        2000,
        &(changes, asks, any::<bool>()),
        |(changes, asks, held)| {
            let segment = options().create(KEY).expect("nothing has the key");
            let other = Segment::attach(KEY).expect("it is there");
            let reader = Segment::attach_read_only(KEY).expect("it is there");
            let file = File::options()
                .write(true)
                .open(&path)
                .expect("it is there");
            let guard = held.then(|| other.lock().expect("it is free"));
            scribble(&file, &changes);
            used(&segment);
            let _ = format!("{:?} {}", reader.attachments(), reader.size());
            drop(guard);
            used(&other);
            for ask in asks {
                if let Err(error) = asked(ask) {
                    let _ = format!("{error} {error:?}");
                }
            }
            let _ = segment.detach();
            let _ = other.detach();
            drop(reader);
            match Segment::destroy(KEY, DestroyMode::Immediate) {
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
            }
            assert!(left_in_directory().is_empty());
            Ok(())
        },
    );
}

/// A reader without the lock does not wait for the owner of the lock.
fn a_value_that_seems_to_change_all_the_time_is_damaged() {
    let options = options().policy(Policy::Persistent);
    let shared = options.create_shared::<[u32; 8]>(KEY, &[7; 8]);
    let shared = shared.expect("nothing has the key");
    let path = directory().join(&left_in_directory()[0]);
    let file = File::options().read(true).write(true).open(path);
    let file = file.expect("it is there");
    let mut data = [0; 8];
    file.read_exact_at(&mut data, 24).expect("it is so long");
    let begun = u64::from_le_bytes(data) + 8;
    let guard = shared.segment().lock().expect("it is free");
    let written = file.write_all_at(&7_u64.to_ne_bytes(), begun);
    written.expect("it is there");
    std::thread::scope(|scope| {
        let read = scope.spawn(|| shared.get().map_err(|error| error.kind()));
        let read = read.join().expect("it does not panic");
        assert_eq!(read, Err(ErrorKind::Damaged));
    });
    drop(guard);
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
}
