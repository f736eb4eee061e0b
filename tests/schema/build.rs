//! Schemas that no Rust type stands behind.

use proptest::prelude::*;
use sharehold::{Kind, Schema, Shareable, Text};

use crate::{Everything, State};

fn fields(fields: &[(&str, &str)]) -> Vec<(String, Kind)> {
    let kind = |text: &str| text.parse().unwrap_or_else(|error| panic!("{error}"));
    fields
        .iter()
        .map(|&(name, text)| (name.to_owned(), kind(text)))
        .collect()
}

/// What a program would write for the same fields.
#[derive(Shareable)]
#[repr(C)]
struct Job {
    open: bool,
    reserved: [u8; 3],
    reserved3: u32,
    huge: u64,
    name: Text<3>,
    state: State,
    reserved2: [u8; 4],
}

#[test]
fn a_program_can_have_the_same_type() {
    let schema = Schema::from_fields(
        "Job",
        fields(&[
            ("open", "bool"),
            ("reserved3", "u32"),
            ("huge", "u64"),
            ("name", "Text<3>"),
            ("state", "enum u8 {Idle=0, Busy=7, Done=8}"),
        ]),
    );
    let schema = schema.expect("the names and kinds are sound");
    assert_eq!(schema, Schema::of::<Job>());
}

#[test]
fn a_kind_is_read_with_or_without_spaces_behind_its_marks() {
    for (written, others) in [
        ("[u32; 4]", &["[u32;4]", "[u32;  4]"][..]),
        ("List<[u8; 2], 3>", &["List<[u8;2],3>", "List<[u8; 2],3>"]),
        (
            "enum u8 {Idle=0, Busy=1}",
            &["enum u8 {Idle=0,Busy=1}", "enum u8 { Idle=0 , Busy=1 }"],
        ),
    ] {
        let kind: Kind = written.parse().expect("it is as a schema has it");
        assert_eq!(kind.to_string(), written);
        for text in others {
            assert_eq!(text.parse(), Ok(kind.clone()), "{text}");
        }
    }
    for text in [
        "[u32 ; 4]",
        "[u32, 4]",
        "[u 32; 4]",
        "[u32; 4 ]",
        " [u32; 4]",
        "[u32; 4] ",
        "[u32; 04]",
        "[u32; 1 0]",
        "Text< 8>",
        "enum u8{A=0}",
        "enum u8 {A =0}",
        "enum u8 {A= 0}",
        "enum u8 {A B=0}",
        "enum u8 {AB=0,}",
    ] {
        assert!(text.parse::<Kind>().is_err(), "{text}");
    }
    let schema = Schema::of::<Job>().to_text();
    assert_eq!(Schema::parse(&schema), Ok(Schema::of::<Job>()));
    let squeezed = schema.replace("[u8; 3]", "[u8;3]");
    assert!(
        Schema::parse(&squeezed).is_err(),
        "what stands in a segment has one form"
    );
}

#[test]
fn what_is_no_struct_is_refused() {
    let none = Schema::from_fields("T", Vec::new());
    assert!(none.is_err());
    for names in [["a", "a"], ["", "b"], ["a.b", "c"], ["a b", "c"]] {
        let pairs = names.map(|name| (name, "u8"));
        assert!(
            Schema::from_fields("T", fields(&pairs)).is_err(),
            "{names:?}"
        );
    }
    assert!(Schema::from_fields("T\n", fields(&[("a", "u8")])).is_err());
    assert!(Schema::from_fields("", fields(&[("a", "u8")])).is_err());
    let huge = format!("[u8; {}]", isize::MAX);
    assert!(Schema::from_fields("T", fields(&[("a", &huge), ("b", &huge)])).is_err());
}

#[test]
fn kinds_are_as_they_are_written() {
    for text in [
        "u8",
        "f64",
        "bool",
        "Text<24>",
        "[[u16; 2]; 3]",
        "List<Text<4>, 2>",
        "enum i8 {Low=-1, High=1}",
    ] {
        assert_eq!(text.parse::<Kind>().expect(text).to_string(), text);
    }
    for text in [
        "",
        "u9",
        " u8",
        "u8 ",
        "U8",
        "string",
        "Text",
        "Text<>",
        "[u8 2]",
        "[u8; 0]",
        "struct",
        "[struct; 2]",
        "enum u8 {}",
        "enum u8 {A=256}",
    ] {
        let error = text.parse::<Kind>().expect_err(text).to_string();
        assert!(
            error.starts_with(&format!("`{text}` is no kind; ")),
            "{error}"
        );
    }
}

#[test]
fn a_blank_value_is_a_value() {
    let schema = Schema::of::<Everything>();
    let blank = schema.blank().expect("it is small");
    assert_eq!(blank.len(), schema.size());
    schema.check(&blank).expect("it is a value");
    assert_eq!(
        schema
            .get(&blank, "level")
            .expect("it is a value")
            .to_string(),
        "Low"
    );
    let beyond = Schema::from_fields("T", fields(&[("a", &format!("[u8; {}]", isize::MAX))]));
    assert_eq!(beyond.expect("a schema").blank(), None);
}

#[test]
fn the_first_field_that_is_none_is_named() {
    let schema = Schema::of::<Everything>();
    let mut bytes = schema.blank().expect("it is small");
    let place = |path: &str| schema.field(path).expect(path).offset;
    for (path, named) in [
        ("grid[1][0].alive", "grid"),
        ("name", "name"),
        ("type[1]", "type"),
        ("state", "state"),
    ] {
        bytes[place(path)] = 77;
        let error = schema.check(&bytes).expect_err("77 is no such value");
        assert!(error.to_string().contains(&format!("`{named}`")), "{error}");
    }
    assert!(schema.check(&bytes[1..]).is_err());
}

proptest! {
    /// What is no value cannot be read, and the other way round.
    #[test]
    fn bytes_are_a_value_exactly_if_they_can_be_read(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0_u8..12), 0..6),
    ) {
        let schema = Schema::of::<Everything>();
        let mut bytes = schema.blank().expect("it is small");
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        prop_assert_eq!(schema.check(&bytes).is_ok(), schema.get(&bytes, ".").is_ok());
    }
}
