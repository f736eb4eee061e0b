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
    assert_eq!(schema.parse(), Ok(Schema::of::<Job>()));
    let squeezed = schema.replace("[u8; 3]", "[u8;3]");
    assert!(
        Schema::parse(&squeezed).is_err(),
        "what stands in a segment has one form"
    );
}

#[test]
fn fields_that_no_rust_struct_can_have_are_refused_with_the_reason() {
    let huge = format!("[u8; {}]", isize::MAX);
    for (pairs, reason) in [
        (&[][..], "a struct needs at least one field"),
        (&[("a", "u8"), ("a", "u16")], "two fields have the name `a`"),
        (
            &[("", "u8")],
            "`` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        ),
        (
            &[("1a", "u8")],
            "`1a` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        ),
        (
            &[("a b", "u8")],
            "`a b` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        ),
        (
            &[("a.b", "u8")],
            "`a.b` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        ),
        (
            &[("self", "u8")],
            "`self` cannot be the name of a field: use letters, digits and `_`, beginning with no digit",
        ),
        (
            &[("a", "Event")],
            "the field `a` is a part; a tool can only create values",
        ),
        (
            &[("a", &huge), ("b", &huge)],
            "the fields are larger than the address space",
        ),
    ] {
        let refused = Schema::from_fields("T", fields(pairs)).expect_err(reason);
        assert_eq!(refused.to_string(), reason);
    }
    for name in ["T\n", "", " "] {
        assert!(Schema::from_fields(name, fields(&[("a", "u8")])).is_err());
    }
    for name in ["größe", "_a", "type", "a1"] {
        assert!(Schema::from_fields("T", fields(&[(name, "u8")])).is_ok());
    }
}

#[test]
fn kinds_that_no_rust_type_can_have_are_refused_with_the_reason() {
    for (text, reason) in [
        (
            "List<u128, 4>",
            "has a list of elements that are aligned to more than 8 bytes; use [u64; 2] in place of u128",
        ),
        ("List<u8, 0>", "has a list without room for elements"),
        ("Text<0>", "has a text without room for bytes"),
        ("[u8; 0]", "has an array without elements"),
        (
            "enum u8 {A, B}",
            "each variant needs its number, such as enum u8 {Idle=0, Busy=1}",
        ),
    ] {
        let refused = text.parse::<Kind>().expect_err(text).to_string();
        assert_eq!(refused, format!("`{text}` is not a kind: {reason}"));
    }
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
            error.starts_with(&format!("`{text}` is not a kind: ")),
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
