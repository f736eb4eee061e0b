//! Programs that do not have the same types, or none: they refuse each other by name, or read what
//! a segment says of itself.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use sharehold::{ErrorKind, Shareable, Shared};
use sharehold_testkit::{Child, Suite, Talk, directory};

use super::KEY;

pub(crate) fn suite() -> Suite {
    Suite::new()
        .test(two_builds_with_different_fields_refuse_each_other_by_name)
        .test(a_build_that_only_renamed_the_type_is_welcome)
        .test(a_program_without_the_type_lists_the_fields)
        .role(attacher::<older::Account>)
        .role(attacher::<newer::Account>)
        .role(attacher::<renamed::Konto>)
}

/// The program as it was.
mod older {
    #[derive(sharehold::Shareable, Default)]
    #[repr(C)]
    pub(super) struct Account {
        pub(super) id: u64,
        pub(super) limit: u32,
        pub(super) used: u32,
    }
}

/// The program as it is now.
mod newer {
    #[derive(sharehold::Shareable, Default)]
    #[repr(C)]
    pub(super) struct Account {
        pub(super) id: u64,
        pub(super) limit: u64,
    }
}

/// The older program, whose type has another name.
mod renamed {
    #[derive(sharehold::Shareable, Default)]
    #[repr(C)]
    pub(super) struct Konto {
        id: u64,
        limit: u32,
        used: u32,
    }
}

/// Attaches as a program with this type does, in every way there is.
fn attacher<T: Shareable + Default>(test: &mut Talk) {
    let attempts = [
        Shared::<T>::attach(KEY).map(drop),
        Shared::<T>::attach_read_only(KEY).map(drop),
        Shared::<T>::open_or_create(KEY, T::default).map(drop),
    ];
    for attempt in attempts {
        match attempt {
            Ok(()) => test.say("attached"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::TypeMismatch);
                test.say(error);
            }
        }
    }
    test.wait_for_end();
}

/// What each attempt of a program with the type `T` says.
#[track_caller]
fn all_say<T: Shareable + Default>(expected: &str) {
    let mut child = Child::of(attacher::<T>);
    for _ in 0..3 {
        let said = child.hear();
        assert!(said.contains(expected), "{said}");
    }
    child.ends_well();
}

fn two_builds_with_different_fields_refuse_each_other_by_name() {
    let first = older::Account {
        id: 7,
        limit: 100,
        used: 3,
    };
    let made_by_older = Shared::create(KEY, &first).expect("nothing has the key");
    all_say::<newer::Account>("field `limit`: here u64 at 8, there u32 at 8");
    all_say::<older::Account>("attached");
    let value = made_by_older.get().expect("it is whole");
    assert_eq!((value.id, value.limit, value.used), (7, 100, 3));
    drop(made_by_older);

    let first = newer::Account { id: 7, limit: 100 };
    let made_by_newer = Shared::create(KEY, &first).expect("nothing has the key");
    all_say::<older::Account>("field `limit`: here u32 at 8, there u64 at 8");
    all_say::<newer::Account>("attached");
    let value = made_by_newer.get().expect("it is whole");
    assert_eq!((value.id, value.limit), (7, 100));
}

fn a_build_that_only_renamed_the_type_is_welcome() {
    let _value = Shared::create(KEY, &older::Account::default()).expect("nothing has the key");
    all_say::<renamed::Konto>("attached");
}

/// Reads a segment's file by docs/format.md, and a value by docs/schema.md.
const READER: &str = r#"
import sys

with open(sys.argv[1], "rb") as file:
    segment = file.read()
slots, key_len, data_offset = struct.unpack_from("=IIQ", segment, 16)
schema_len, = struct.unpack_from("=Q", segment, 48)
key_at = 2048 + 192 * slots
schema_at = key_at + key_len
text = segment[schema_at:schema_at + schema_len].decode()
size = int(text.split(" ")[1])
version, = struct.unpack_from("=Q", segment, data_offset)
copy_at = data_offset + 64 + version % 2 * ((size + 63) // 64 * 64)
print(segment[key_at:schema_at].decode())
print(text, end="")
for path, number in numbers(text, segment[copy_at:copy_at + size]):
    print(path, "=", number)
"#;

/// The Python of docs/schema.md.
fn documented() -> &'static str {
    let document = include_str!("../../docs/schema.md");
    let (_, rest) = document.split_once("```python\n").expect("it has Python");
    rest.split_once("```").expect("the block ends").0
}

fn a_program_without_the_type_lists_the_fields() {
    let value = Shared::create(KEY, &older::Account::default()).expect("nothing has the key");
    let mut entries = fs::read_dir(directory()).expect("the test's directory is readable");
    let entry = entries.next().expect("there is a segment");
    let path = entry.expect("the test's directory is readable").path();
    // From either copy.
    for used in 1..3 {
        let account = older::Account {
            id: 1 << 40,
            limit: 100,
            used,
        };
        value.set(&account).expect("it can be changed");
        let mut python = Command::new("python3")
            .arg("-")
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is there: see ci/setup");
        let mut program = python.stdin.take().expect("it is piped");
        write!(program, "{}{READER}", documented()).expect("Python reads");
        drop(program);
        let output = python.wait_with_output().expect("Python ends");
        let fields = "size 16 version 1 type Account\n0 8 id u64\n8 4 limit u32\n12 4 used u32\n";
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!("{KEY}\n{fields}id = 1099511627776\nlimit = 100\nused = {used}\n")
        );
    }
}
