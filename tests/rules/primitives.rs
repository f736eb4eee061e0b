//! A primitive is declared in tables: no other code has a branch for each of them.

use crate::source::Source;
use crate::tree::library;
use crate::{Finding, assert_none, lines};

/// No `match` of the library has arms for primitives. The tables write theirs in macros.
fn primitives_only_in_tables(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for kind in ["Primitive", "PartState"] {
        for index in source.find(&[kind, "::"]) {
            let mut next = index + 3;
            if source.text(next) == "(" {
                next = source.tokens[next].end + 1;
            }
            let ends_pattern = match source.text(next) {
                "if" => true,
                "=" => source.text(next + 1) == ">",
                "|" => source.text(next + 1) != "|",
                _ => false,
            };
            if ends_pattern {
                let message = format!(
                    "an arm for `{kind}::{}`; add a column to src/schema/primitive.rs, or a \
                     function of the state that src/inspect/parts.rs lists",
                    source.text(index + 2)
                );
                findings.push(source.finding(index, message));
            }
        }
    }
    findings
}

#[test]
fn primitives_are_in_tables() {
    assert_none(library().flat_map(primitives_only_in_tables));
}

#[test]
fn an_arm_for_a_primitive_is_found() {
    let matching = Source::parse(
        "src/parts/layout.rs",
        "\
fn a(it: Primitive) {
    match it {
        Primitive::Mutex | Primitive::RwLock => {}
        Primitive::Event if b() => {}
        _ => {}
    }
}
fn c(it: PartState) {
    match it {
        PartState::Barrier(state) => d(state),
        PartState::Event(_) if b() => {}
        _ => {}
    }
}
",
    );
    assert_eq!(
        lines(&primitives_only_in_tables(&matching)),
        [3, 3, 4, 10, 11]
    );

    let comparing = Source::parse(
        "src/untyped_parts.rs",
        "\
fn a(it: Primitive) -> bool { it == Primitive::OnceLock || it.guards() }
fn b() -> Description { Description::of_part(Primitive::Event, None) }
macro_rules! all { ($($name:ident)+) => { match it { $(Primitive::$name => 1,)+ } } }
",
    );
    assert_none(primitives_only_in_tables(&comparing));
}
