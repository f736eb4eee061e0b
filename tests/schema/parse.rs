//! Any text either is a schema, written as we write it, or is refused.

use proptest::prelude::*;
use sharehold::{List, Schema};

use crate::{Everything, Move};

#[test]
fn a_text_is_read_back() {
    for schema in [
        Schema::of::<Everything>(),
        Schema::of::<u8>(),
        Schema::of::<[[List<[Move; 2], 3>; 4]; 5]>(),
    ] {
        let found = Schema::parse(&schema.to_text()).expect("our own text");
        assert_eq!(found, schema);
    }
}

const PARTS: &str = "\
size 1280 version 1 type Config
0 384 limits Mutex<struct>
0 8 limits[].min u64
8 8 limits[].max u64
384 768 inner struct
384 512 inner.names RwLock<[Text<8>; 1]>
896 256 inner.permits Semaphore
1152 128 ready Event
";

#[test]
fn parts_are_read_back() {
    let found = Schema::parse(PARTS).expect("as it stands in a segment");
    assert_eq!(found.to_text(), PARTS);
    assert!(found.is_of_parts());
    assert!(!Schema::of::<Everything>().is_of_parts());
    let field = found.field("inner.permits").expect("it is there");
    assert_eq!((field.offset, field.kind.size()), (896, 256));
    let bytes = vec![0; found.size()];
    assert!(found.get(&bytes, "ready").is_err(), "it is no value");
    let mut bytes = bytes;
    assert!(found.set(&mut bytes, "ready", "1").is_err());
}

#[test]
fn what_is_no_part_is_refused() {
    for text in [
        // A part among values, or in one.
        "size 136 version 1 type T\n0 8 a u64\n8 128 b Event\n",
        "size 256 version 1 type T\n0 256 a [Event; 2]\n",
        "size 640 version 1 type T\n0 640 a Mutex<Event>\n",
        // One that guards what it cannot, or nothing.
        "size 384 version 1 type T\n0 384 a Event<u64>\n",
        "size 128 version 1 type T\n0 128 a Mutex\n",
        "size 384 version 1 type T\n0 384 a Latch\n",
    ] {
        assert!(Schema::parse(text).is_err(), "{text}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, line) in [
        ("", 1),
        ("size 8 version 1 type T", 1),
        ("size 8 version 1 type \n0 8 a u64\n", 1),
        ("size 8 version x type T\n0 8 a u64\n", 1),
        ("size 9 version 1 type T\n0 8 a u64\n", 1),
        ("size 8 version 2 type T\n0 8 . u64\n", 1),
        ("size 8 version 1 type T\n", 1),
        ("size 8 version 1 type T\n0 8 a u64", 2),
        ("size 8 version 1 type T\n0 8 a u64\r\n", 2),
        ("size 8 version 1 type T\n0 8 a\n", 2),
        ("size 8 version 1 type T\n0 8 a u65\n", 2),
        ("size 8 version 1 type T\n1 8 a u64\n", 2),
        ("size 8 version 1 type T\n0 08 a u64\n", 2),
        ("size 8 version 1 type T\n0 8 a[] u64\n", 2),
        ("size 8 version 1 type T\n0 8 a.b u64\n", 2),
        ("size 8 version 1 type T\n0 8 a  u64\n", 2),
        ("size 8 version 1 type T\n0 8 a [u8;8]\n", 2),
        ("size 8 version 1 type T\n0 8 a [u8; +8]\n", 2),
        ("size 0 version 1 type T\n0 0 a struct\n", 1),
        ("size 0 version 1 type T\n0 0 a [u8; 0]\n", 1),
        ("size 2 version 1 type T\n0 1 a u8\n1 1 a u8\n", 1),
        ("size 1 version 1 type T\n0 1 a enum u8 {A=256}\n", 1),
        ("size 1 version 1 type T\n0 1 a enum u8 {A=1, B=1}\n", 1),
        ("size 4 version 1 type T\n0 4 a enum f32 {A=1}\n", 1),
        ("size 1 version 1 type T\n0 1 a enum u8 {}\n", 2),
        ("size 1 version 1 type T\n0 1 . u8\n0 1 a u8\n", 3),
    ] {
        let error = Schema::parse(text).expect_err(text).to_string();
        let start = format!("not a schema: line {line} ");
        assert!(error.starts_with(&start), "{text:?}: {error}");
    }
}

#[test]
fn sizes_beyond_all_memory_are_refused() {
    let max = usize::MAX;
    for kind in [
        format!("[u64; {max}]"),
        format!("List<[u8; {max}], {max}>"),
        format!("Text<{max}>"),
        "[[u8; 4294967296]; 4294967296]".to_owned(),
    ] {
        for size in [0, 8, max] {
            let text = format!("size {size} version 1 type T\n0 {size} a {kind}\n");
            assert!(Schema::parse(&text).is_err(), "{text}");
        }
    }
}

#[test]
fn deep_nesting_is_refused_before_it_hurts() {
    let deep = format!("{}u8{}", "[".repeat(100_000), "; 1]".repeat(100_000));
    assert!(Schema::parse(&format!("size 1 version 1 type T\n0 1 a {deep}\n")).is_err());

    let path = |level| ["a"].repeat(level).join(".");
    let structs = (1..1000).map(|level| format!("0 1 {} struct\n", path(level)));
    let structs: String = structs.collect();
    let text = format!("size 1 version 1 type T\n{structs}0 1 {} u8\n", path(1000));
    assert!(Schema::parse(&text).is_err());
}

/// A schema whose path has `paths` levels, each a struct in `arrays` arrays.
fn nested(paths: usize, arrays: usize) -> String {
    let (open, close, inside) = (
        "[".repeat(arrays),
        "; 1]".repeat(arrays),
        "[]".repeat(arrays),
    );
    let level = format!("a{inside}.");
    let line = |above: usize| format!("0 1 {}a {open}struct{close}\n", level.repeat(above));
    let structs: String = (0..paths - 1).map(line).collect();
    let last = level.repeat(paths - 1);
    format!("size 1 version 1 type T\n{structs}0 1 {last}a u8\n")
}

#[test]
fn nested_kinds_in_nested_paths_are_refused() {
    for (paths, arrays) in [(32, 32), (5, 10), (17, 1)] {
        let refused = Schema::parse(&nested(paths, arrays)).expect_err("it is too deep");
        assert!(refused.to_string().contains("levels"), "{refused}");
    }
}

#[test]
fn the_deepest_schema_is_usable_on_a_small_stack() {
    let work = || {
        for (paths, arrays) in [(31, 0), (2, 29), (11, 2), (16, 1)] {
            let text = nested(paths, arrays);
            let schema = Schema::parse(&text).expect("it is deep, but not too deep");
            assert_eq!(schema.to_text(), text);
            let mut bytes = schema.blank().expect("one byte");
            schema.check(&bytes).expect("a value");
            let whole = schema.get(&bytes, ".").expect("a value").to_string();
            schema
                .set(&mut bytes, ".", &whole.replace('0', "7"))
                .expect("a value");
            assert_eq!(bytes, [7]);
            assert_eq!(schema.first_difference(&schema.clone()), None);
        }
    };
    let thread = std::thread::Builder::new().stack_size(256 << 10);
    let thread = thread.spawn(work).expect("threads can be started");
    thread.join().expect("nothing failed on a stack of 256 KiB");
}

proptest! {
    /// Whatever is accepted is exactly what would be written.
    #[test]
    fn any_text_is_a_schema_or_none(text in any::<String>()) {
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(schema.to_text(), text);
        }
    }

    #[test]
    fn words_of_schemas_in_any_order_are_a_schema_or_none(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "size", "version", "type", "T", " ", " ", " ", "\n", "\n", "0", "1", "2", "8", "16", ".", "a",
                "b", "a.b", "a[]", "[]", "[].a", "u8", "u64", "f32", "bool", "struct", "enum", "{", "}", "A=1",
                ", ", "=", "[", "]", "; ", "List<", "Text<", ">", "-", "\r", "é",
            ]),
            0..60,
        )
    ) {
        let text = words.concat();
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(schema.to_text(), text);
        }
    }

    /// A real schema in which some bytes were overwritten.
    #[test]
    fn a_changed_schema_is_a_schema_or_none(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 9_u8..127), 1..4),
    ) {
        let original = Schema::of::<Everything>();
        let mut bytes = original.to_text().into_bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let text = String::from_utf8(bytes).expect("ASCII stays ASCII");
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(schema.to_text(), text.as_str());
            let differs = original.first_difference(&schema).is_some();
            prop_assert_eq!(differs, original.fingerprint() != schema.fingerprint());
            let bytes = vec![0; schema.size()];
            // No value of it makes trouble either.
            let _ = schema.get(&bytes, ".");
        }
    }
}
