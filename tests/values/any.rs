//! Values without their type: `UntypedShared` beside programs that have it, by schemas that nobody
//! wrote, and against bytes that are no value.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use sharehold::{
    DestroyMode, ErrorKind, Kind, List, Policy, Schema, Segment, Shareable, Shared, Text,
    UntypedShared,
};
use sharehold_testkit::{Child, Suite, Talk, directory};

use super::{KEY, uniform, version_of};

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(agrees_with_a_program_that_has_the_type)
        .test(any_schema_has_a_segment_and_values)
        .test(what_is_no_value_is_not_committed)
        .test(what_was_overwritten_is_an_error)
        .test(plain_bytes_and_missing_keys_are_errors)
        .test(data_too_small_for_their_type_are_refused)
        .test(a_death_in_the_middle_of_a_change_leaves_the_old_value)
        .role(counter)
}

#[derive(Debug, Clone, PartialEq, Shareable)]
#[repr(C)]
struct Account {
    id: u64,
    rate: i16,
    open: bool,
    state: State,
    reserved: [u8; 4],
    name: Text<13>,
    codes: [u8; 3],
    moves: List<i32, 2>,
}

#[derive(Debug, Clone, Copy, PartialEq, Shareable)]
#[repr(u8)]
enum State {
    Idle = 3,
    Busy = 9,
}

fn first() -> Account {
    Account {
        id: 0,
        rate: 0,
        open: false,
        state: State::Idle,
        reserved: [0; 4],
        name: Text::new(),
        codes: [0; 3],
        moves: List::new(),
    }
}

/// Runs the property for many cases; the files that proptest writes are of no use here.
fn check<S: Strategy>(strategy: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let done = TestRunner::new(config).run(strategy, property);
    done.unwrap_or_else(|error| panic!("{error}"));
}

fn agrees_with_a_program_that_has_the_type() {
    let typed = Shared::create(KEY, &first()).expect("the key is free");
    let untyped = UntypedShared::attach(KEY).expect("it is there");
    let reader = UntypedShared::attach_read_only(KEY).expect("it is there");
    assert_eq!(untyped.schema(), &Schema::of::<Account>());
    assert_eq!(untyped.schema(), reader.schema());
    let blank = untyped.schema().blank().expect("it is small");
    assert_eq!(untyped.get().expect("a value"), blank);

    let accounts = (
        any::<u64>(),
        any::<i16>(),
        any::<bool>(),
        any::<bool>(),
        "[a-zé\"\\\\]{0,6}",
        any::<[u8; 3]>(),
        proptest::collection::vec(any::<i32>(), 0..3),
    );
    check(&accounts, |(id, rate, open, busy, name, codes, moves)| {
        let state = if busy { State::Busy } else { State::Idle };
        let account = Account {
            id,
            rate,
            open,
            state,
            reserved: [0; 4],
            name: Text::try_from(name.as_str()).expect("it fits"),
            codes,
            moves: List::try_from_iter(moves.clone()).expect("they fit"),
        };
        let fields = [
            ("id", id.to_string()),
            ("rate", rate.to_string()),
            ("open", open.to_string()),
            ("state", format!("{state:?}")),
            ("name", name),
            ("codes", format!("{codes:?}")),
            ("moves", format!("{moves:?}")),
        ];

        // What the program writes is read by fields.
        typed.set(&account)?;
        let bytes = untyped.get()?;
        prop_assert_eq!(&bytes, &reader.get()?);
        for (path, text) in &fields {
            prop_assert_eq!(&untyped.schema().get(&bytes, path)?.to_string(), text);
        }

        // What is written by fields is read by the program.
        untyped.set(&blank)?;
        prop_assert_eq!(typed.get()?, first());
        untyped.try_update(|bytes| -> Result<(), TestCaseError> {
            for (path, text) in &fields {
                untyped.schema().set(bytes, path, text)?;
            }
            Ok(())
        })?;
        prop_assert_eq!(typed.get()?, account);
        prop_assert_eq!(untyped.version()?, typed.version()?);
        prop_assert_eq!(reader.version()?, typed.version()?);
        Ok(())
    });
    untyped.detach().expect("others are there");
}

/// Kinds as people write them.
fn kinds() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        proptest::sample::select(vec![
            "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64", "bool",
        ])
        .prop_map(str::to_owned),
        (1..40_usize).prop_map(|capacity| format!("Text<{capacity}>")),
        Just("enum i16 {Low=-2, High=300}".to_owned()),
    ];
    leaf.prop_recursive(2, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), 1..5_usize).prop_map(|(kind, len)| format!("[{kind}; {len}]")),
            (inner, 1..5_usize).prop_map(|(kind, most)| format!("List<{kind}, {most}>")),
        ]
    })
}

fn any_schema_has_a_segment_and_values() {
    let fields = proptest::collection::vec(kinds(), 1..6);
    check(&fields, |kinds| {
        let fields = (0..).zip(&kinds).map(|(index, kind)| {
            let kind: Kind = kind.parse().expect("it is one");
            (format!("field{index}"), kind)
        });
        let schema = Schema::from_fields("Any", fields.collect())?;
        let mut expected = schema.blank().expect("it is small");
        let made = UntypedShared::create(KEY, &schema, &expected)?;
        let found = UntypedShared::attach(KEY)?;
        prop_assert_eq!(found.schema(), &schema);
        // Reserved bytes may be anything: a copy that leaves them out shows.
        for field in schema
            .fields()
            .iter()
            .filter(|it| it.path.starts_with("reserved"))
        {
            let size = field.kind.size();
            expected[field.offset..][..size].fill(0xA5);
        }
        for (index, kind) in kinds.iter().enumerate() {
            let path = format!("field{index}");
            let text = match kind.as_str() {
                "bool" => "true".to_owned(),
                "f32" | "f64" => "-1.5".to_owned(),
                kind if kind.starts_with("enum") => "High".to_owned(),
                kind if kind.starts_with(['u', 'i']) => "101".to_owned(),
                _ => schema.get(&expected, &path)?.to_string(),
            };
            schema.set(&mut expected, &path, &text)?;
        }
        found.set(&expected)?;
        prop_assert_eq!(made.get()?, &expected[..]);
        let before = made.update(|bytes| bytes.to_vec())?;
        prop_assert_eq!(before, &expected[..]);
        prop_assert_eq!(found.get()?, expected);
        Ok(())
    });
}

fn what_is_no_value_is_not_committed() {
    let any = Shared::create(KEY, &first()).expect("the key is free");
    let found = UntypedShared::attach(KEY).expect("it is there");
    let schema = found.schema();
    let at = |path: &str| schema.field(path).expect("there is such a field").offset;
    let before = found.get().expect("a value");
    let refused = |path: &str, byte: u8| {
        let error = found.update(|bytes| bytes[at(path)] = byte).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TypeMismatch, "{path}");
        assert!(error.to_string().contains(&format!("`{path}`")), "{error}");
        let mut bytes = before.clone();
        bytes[at(path)] = byte;
        let error = found.set(&bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TypeMismatch, "{path}");
    };
    refused("open", 2);
    refused("state", 0);
    refused("name", 14);
    refused("moves", 3);
    let error = found.set(&before[1..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    let error = found
        .try_update(|bytes| {
            bytes.fill(1);
            Segment::attach("com.example.none").map(drop)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(found.get().expect("a value"), before);
    assert_eq!(any.get().expect("a value"), first());

    // The lock is free after each of them.
    let limit = Duration::from_secs(30);
    drop(found.segment().lock_timeout(limit).expect("it is free"));

    let error = UntypedShared::create("com.example.other", schema, &[1; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    assert!(!Segment::exists("com.example.other").expect("the directory is fine"));
}

/// The one segment's file.
fn file() -> File {
    let mut entries = fs::read_dir(directory()).expect("the test's directory is readable");
    let entry = entries.next().expect("there is a segment");
    let path = entry.expect("the test's directory is readable").path();
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .open(path)
        .expect("it is ours")
}

fn put(file: &File, offset: u64, word: u64) {
    file.write_all_at(&word.to_ne_bytes(), offset)
        .expect("the file is long enough");
}

fn word(file: &File, offset: u64) -> u64 {
    let mut word = [0; 8];
    file.read_exact_at(&mut word, offset)
        .expect("the file is long enough");
    u64::from_ne_bytes(word)
}

fn what_was_overwritten_is_an_error() {
    let found = Shared::create(KEY, &first()).expect("the key is free");
    let any = UntypedShared::attach(KEY).expect("it is there");
    let reader = UntypedShared::attach_read_only(KEY).expect("it is there");
    let file = file();
    let data = word(&file, 24);
    file.write_all_at(&[7; 256], data + 64)
        .expect("the file is long enough");
    assert_eq!(any.get().unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(reader.get().unwrap_err().kind(), ErrorKind::Damaged);
    let error = any.update(|bytes| bytes.fill(0)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);

    // A process with a whole value can still write it.
    any.set(&any.schema().blank().expect("it is small"))
        .expect("it needs nothing of the old one");
    assert_eq!(found.get().expect("a value"), first());
}

fn plain_bytes_and_missing_keys_are_errors() {
    let error = UntypedShared::attach(KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let _plain = Segment::create(KEY, 100).expect("the key is free");
    let error = UntypedShared::attach(KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    let error = UntypedShared::attach_read_only(KEY).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TypeMismatch);
    assert_eq!(error.key(), Some(KEY));
}

/// A header that promises less than the type needs, and a file that has no more: a store behind it
/// would fault.
fn data_too_small_for_their_type_are_refused() {
    type Large = [u64; 1024];
    let options = Segment::options().policy(Policy::Persistent);
    let large = options.create_shared::<Large>(KEY, &[1; 1024]);
    drop(large.expect("the key is free"));
    let file = file();
    let data = word(&file, 24);
    put(&file, 32, 1 << 20);
    put(&file, 64, 4096);
    file.set_len(data + 4096).expect("it can be cut");

    let refused = [
        Shared::<Large>::attach(KEY).map(drop),
        Shared::<Large>::attach_read_only(KEY).map(drop),
        UntypedShared::attach(KEY).map(drop),
        UntypedShared::attach_read_only(KEY).map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Damaged);
    }
    Segment::destroy(KEY, DestroyMode::Immediate).expect("it is there");
}

const WORDS: usize = 512;

/// Raises all words of the value, for ever.
fn counter(_: &mut Talk) {
    let any = UntypedShared::attach(KEY).expect("it is there");
    loop {
        any.update(|bytes| {
            for word in bytes.as_chunks_mut::<8>().0 {
                *word = (u64::from_ne_bytes(*word) + 1).to_ne_bytes();
            }
        })
        .expect("nobody's death keeps the lock");
    }
}

fn a_death_in_the_middle_of_a_change_leaves_the_old_value() {
    let value = Shared::create(KEY, &uniform::<WORDS>(0)).expect("the key is free");
    for _ in 0..20 {
        let mut child = Child::of(counter);
        let before = value.version().expect("it is ours");
        while value.version().expect("it is ours") < before + 20 {
            std::thread::yield_now();
            version_of(&value.get().expect("a value"));
        }
        child.kill();
        let left = version_of(&value.get().expect("a value"));
        value
            .update(|words| words[0] += 0)
            .expect("the lock is free");
        assert_eq!(version_of(&value.get().expect("a value")), left);
    }
}
