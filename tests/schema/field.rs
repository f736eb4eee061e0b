//! Fields by their paths, without the type.

use proptest::prelude::*;
use sharehold::{FieldError, FieldValue, Schema};

use crate::Everything;

fn zeros() -> Vec<u8> {
    vec![0; size_of::<Everything>()]
}

#[test]
fn paths_lead_to_places() {
    let schema = Schema::of::<Everything>();
    for (path, line) in [
        ("ratio", "64 8 ratio f64"),
        ("signed", "32 32 signed struct version 2"),
        ("signed.short", "60 2 signed.short i16"),
        ("unsigned.bytes[1]", "31 1 unsigned.bytes[1] u8"),
        ("tags[1]", "112 12 tags[1] Text<4>"),
        ("moves[2].1", "156 4 moves[2].1 u32"),
        ("grid[1][0].alive", "168 1 grid[1][0].alive bool"),
        ("grid[1]", "166 6 grid[1] [struct; 2]"),
    ] {
        let field = schema.field(path).expect(path);
        assert_eq!(field.to_string(), line);
    }
    assert_eq!(schema.field(".").expect("the whole").kind.size(), 192);
}

#[test]
fn paths_that_lead_nowhere_are_refused() {
    let schema = Schema::of::<Everything>();
    for path in [
        "",
        "ratios",
        "Ratio",
        "ratio.",
        ".ratio",
        "ratio.x",
        "ratio[0]",
        "signed..short",
        "tags[",
        "tags[]",
        "tags[x]",
        "tags[-1]",
        "tags]0[",
        "tags[0]x",
        "tags.0",
        "grid[0][0][0]",
        "moves[0].2",
        "signed.",
        "name[0]",
    ] {
        let refused = schema.field(path).map(|it| it.to_string());
        let path = path.to_owned();
        assert_eq!(refused, Err(FieldError::Unknown { path }));
    }
    assert_eq!(
        schema.field("grid[1][2].alive").unwrap_err().to_string(),
        "there is no element 2 in `grid[1]`, which has 2, counted from 0"
    );
}

#[test]
fn values_are_read_and_changed() {
    let schema = Schema::of::<Everything>();
    let mut bytes = zeros();
    for (path, text) in [
        ("unsigned.huge", "340282366920938463463374607431768211455"),
        ("signed.huge", "-170141183460469231731687303715884105728"),
        ("unsigned.short", "65535"),
        ("signed.bytes[1]", "-128"),
        ("signed.bytes", "[127, -128]"),
        ("ratio", "-1.5"),
        ("scale", "0.1"),
        ("open", "true"),
        ("state", "Done"),
        ("type", "[false, true]"),
        ("name", "a \"b\", c]"),
        ("tags", r#"["", "\"\\\n,"]"#),
        ("moves", "[]"),
        ("moves", "[{0: -1, 1: 2}, {0: 3, 1: 4}]"),
        ("moves[1].0", "7"),
        ("grid[0][1]", "{color: [1, 2], alive: true}"),
        ("history", "[Busy, Idle]"),
        ("history[0]", "Done"),
    ] {
        schema.set(&mut bytes, path, text).expect(path);
        let found = schema.get(&bytes, path).expect(path);
        assert_eq!(found.to_string(), text);
    }
    assert_eq!(
        schema.get(&bytes, "moves[1].1"),
        Ok(FieldValue::Unsigned(4))
    );
    assert_eq!(
        schema.get(&bytes, "tags[1]").expect("a text").to_string(),
        "\"\\\n,"
    );
}

#[test]
fn members_may_come_in_any_order_and_json_is_accepted() {
    let schema = Schema::of::<Everything>();
    let mut bytes = zeros();
    for (path, text, printed) in [
        (
            "grid[0][1]",
            "{alive: true, color: [1, 2]}",
            "{color: [1, 2], alive: true}",
        ),
        ("moves", r#"[{"1": 2, "0": -1}]"#, "[{0: -1, 1: 2}]"),
        ("tags", r#"["\u00e9", "\ud83d\ude00"]"#, "[\"é\", \"😀\"]"),
        ("tags", r#"["\u{e9}", "\/"]"#, "[\"é\", \"/\"]"),
        ("history", r#"["Busy", "Idle"]"#, "[Busy, Idle]"),
        ("ratio", "\"NaN\"", "NaN"),
        ("scale", "-inf", "-inf"),
        (
            "unsigned.huge",
            "\"340282366920938463463374607431768211455\"",
            "340282366920938463463374607431768211455",
        ),
    ] {
        schema.set(&mut bytes, path, text).expect(path);
        assert_eq!(schema.get(&bytes, path).expect(path).to_string(), printed);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let schema = Schema::of::<Everything>();
    for (path, text, reason) in [
        (
            "unsigned.short",
            "65536",
            "`65536` is not a u16, a whole number from 0 to 65535",
        ),
        (
            "signed.bytes",
            "[1, -129]",
            "`-129` is not a i8, a whole number from -128 to 127",
        ),
        (
            "signed.bytes",
            "[1]",
            "the array has 2 elements, but 1 are given",
        ),
        (
            "signed.bytes",
            "[1, 2, 3]",
            "there are more than 2 elements",
        ),
        (
            "signed.bytes",
            "[1, 2] 3",
            "there is unexpected text after the value: `3`",
        ),
        (
            "ratio",
            "one",
            "`one` is not a f64, such as -1.5, inf or NaN",
        ),
        ("open", "1", "`1` is neither `true` nor `false`"),
        ("state", "idle", "`idle` is not one of Idle, Busy, Done"),
        (
            "name",
            "0123456789abc",
            "`0123456789abc` has 13 bytes, at most 12 fit",
        ),
        ("tags", "[a, b]", "`\"` is missing before `a, b]`"),
        (
            "tags",
            "[\"a\", \"b",
            "a quoted text does not end with `\"`",
        ),
        (
            "moves",
            "[{0: 1, 1: 2}, {0: 3}]",
            "the field `1` is missing",
        ),
        ("moves", "[{0: 1, 0: 2}]", "`0` is given twice"),
        (
            "moves",
            "[{0: 1, 2: 2}]",
            "there is no field `2`; the fields are 0, 1",
        ),
        ("moves", "[{0: 1", "`,` is missing at the end"),
        ("ratio", "1e400", "`1e400` is beyond the range of f64"),
        ("scale", "-1e39", "`-1e39` is beyond the range of f32"),
        (
            "tags",
            r#"["\ud83d", ""]"#,
            "a `\\u` escape does not name a character",
        ),
        (
            "moves",
            "[{0: 1, 1: 2}, {0: 1, 1: 2}, {0: 1, 1: 2}, {0: 1, 1: 2}]",
            "there are more than 3 elements",
        ),
    ] {
        let mut bytes = zeros();
        let refused = schema.set(&mut bytes, path, text).expect_err(text);
        assert_eq!(
            refused.to_string(),
            format!("`{path}` cannot be changed: {reason}")
        );
        assert_eq!(bytes, zeros());
    }
}

#[test]
fn elements_of_a_list_are_there_or_not() {
    let schema = Schema::of::<Everything>();
    let mut bytes = zeros();
    let none = "there is no element 0 in `history`, which has 0, counted from 0";
    assert_eq!(
        schema.get(&bytes, "history[0]").unwrap_err().to_string(),
        none
    );
    assert_eq!(
        schema
            .set(&mut bytes, "history[0]", "Idle")
            .unwrap_err()
            .to_string(),
        none
    );
    assert!(schema.field("history[9]").is_ok());
}

#[test]
fn bytes_that_are_no_value_are_refused() {
    let schema = Schema::of::<Everything>();
    let wrong = FieldError::WrongSize {
        expected: 192,
        found: 3,
    };
    assert_eq!(schema.get(&[0; 3], "ratio"), Err(wrong));
    for (path, garbage) in [
        ("open", &[2][..]),
        ("state", &[1]),
        ("name", &[13, 0, 0, 0, 0, 0, 0, 0]),
        ("name", &[0xFF; 8]),
        ("name", &[1, 0, 0, 0, 0, 0, 0, 0, 0xFF]),
        ("moves", &[4, 0, 0, 0, 0, 0, 0, 0]),
        ("level", &[0, 0]),
    ] {
        let mut bytes = zeros();
        let field = schema.field(path).expect(path);
        bytes[field.offset..][..garbage.len()].copy_from_slice(garbage);
        let refused = schema.get(&bytes, path).expect_err(path).to_string();
        let kind = field.kind;
        assert_eq!(
            refused,
            format!("the bytes of `{path}` are no value of {kind}")
        );
        assert!(schema.get(&bytes, ".").is_err());
    }
}

proptest! {
    /// Reading any bytes ends well, and what was read is written as the same bytes, but for those
    /// that mean nothing.
    #[test]
    fn what_is_printed_can_be_set(mut bytes in proptest::collection::vec(any::<u8>(), size_of::<Everything>())) {
        let schema = Schema::of::<Everything>();
        for field in schema.fields().iter().filter(|it| !it.path.contains("[]")) {
            if let Ok(value) = schema.get(&bytes, &field.path) {
                schema.set(&mut bytes, &field.path, &value.to_string()).expect("it was printed so");
                let again = schema.get(&bytes, &field.path).expect("it was set");
                prop_assert_eq!(again.to_string(), value.to_string());
            }
        }
    }

    #[test]
    fn any_path_and_text_end_well(path in "[a-z.0-9\\[\\]]{0,12}", text in any::<String>()) {
        let schema = Schema::of::<Everything>();
        let mut bytes = zeros();
        let _ = schema.set(&mut bytes, &path, &text);
        for field in ["name", "tags", "moves", "signed.bytes", "state", "ratio", "."] {
            let _ = schema.set(&mut bytes, field, &text);
        }
    }
}
