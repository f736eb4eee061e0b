//! `unsafe` stands where it is fenced in, and says why it is sound.

use crate::source::{Source, states_a_fact};
use crate::tree::{SOURCES, shipped};
use crate::{Finding, assert_none, lines};

/// Where unsafe code may stand: files and folders, by how their paths begin.
const PLACES: &[&str] = &[
    "src/sys/",
    "src/memory/",
    // Lets threads share the guards of their locks.
    "src/lock/guard.rs",
    // Fills places for values, on which the derive for structs stands.
    "src/schema/in_place.rs",
    "crates/sharehold-derive/src/structs.rs",
    // Steps a child through its instructions, and kills it.
    "crates/sharehold-sweep/src/ptrace",
    // Forks, closes and stores as programs do behind the library's back, so that tests can.
    "crates/sharehold-testkit/src/raw.rs",
];

/// Unsafe code stands in a few places only.
fn unsafe_in_its_places(source: &Source) -> Vec<Finding> {
    if PLACES.iter().any(|place| source.path.starts_with(place)) {
        return Vec::new();
    }
    let message =
        "`unsafe` outside its places; use what `lock`, `memory` or `sys` offer, or offer it";
    let written = source.find(&["unsafe"]);
    written
        .map(|index| source.finding(index, message))
        .collect()
}

/// Each unsafe block and impl states the fact that makes it sound, and each unsafe function and
/// trait what it asks for.
fn unsafe_says_why(source: &Source) -> Vec<Finding> {
    let written = source.find(&["unsafe"]);
    written
        .filter_map(|index| {
            let message = unsafe_lacks(source, index)?;
            Some(source.finding(index, message))
        })
        .collect()
}

/// What the `unsafe` at `index` fails to say, if it fails.
fn unsafe_lacks(source: &Source, index: usize) -> Option<&'static str> {
    let reason = source.reason(index, "SAFETY:");
    if reason.as_deref().is_some_and(states_a_fact) {
        return None;
    }
    if reason.is_some() {
        return Some("`SAFETY:` states no fact; say what holds here that makes this sound");
    }
    let mut next = index + 1;
    if source.text(next) == "extern" {
        next += 1;
        if source.text(next).starts_with(['"', 'r']) {
            next += 1;
        }
    }
    let declares = match source.text(next) {
        "fn" if source.text(next + 1) == "(" => return None, // the type of a pointer
        "fn" | "trait" => true,
        _ => false,
    };
    if !declares {
        return Some(
            "`unsafe` without a reason; put `// SAFETY:` and what makes it sound before it",
        );
    }
    if source.comments_before(index).contains("# Safety") {
        return None;
    }
    Some("`unsafe` asks something of its users without saying what; document it under `# Safety`")
}

#[test]
fn unsafe_stands_in_its_places() {
    assert_none(shipped().flat_map(unsafe_in_its_places));
}

#[test]
fn unsafe_out_of_place_is_found() {
    let code = "\
// unsafe
fn a() { \"unsafe\"; }
#![allow(unsafe_code)]
fn b() { unsafe { c() } }
";
    let outside = Source::parse("src/key.rs", code);
    assert_eq!(lines(&unsafe_in_its_places(&outside)), [4]);
    let inside = Source::parse("src/lock/guard.rs", code);
    assert_none(unsafe_in_its_places(&inside));
}

#[test]
fn unsafe_has_its_reason() {
    assert_none(SOURCES.iter().flat_map(unsafe_says_why));
}

#[test]
fn unsafe_without_reason_is_found() {
    let bad = Source::parse(
        "src/sys/linux/mod.rs",
        "\
fn a() { unsafe { b() } }
// SAFETY: this is safe
unsafe impl Send for A {}
unsafe fn c() {}
/// Does.
unsafe trait D {}
#[unsafe(no_mangle)]
fn e() {}
unsafe extern \"C\" {}
",
    );
    assert_eq!(lines(&unsafe_says_why(&bad)), [1, 3, 4, 6, 7, 9]);

    let good = Source::parse(
        "src/sys/linux/mod.rs",
        "\
fn a() {
    // SAFETY: `fd` is open.
    let b =
        unsafe { c() };
}
// SAFETY: the pointer is never dereferenced.
#[allow(x)]
unsafe impl Send for A {}
/// Does.
///
/// # Safety
///
/// `fd` is open.
#[inline]
pub unsafe extern \"C\" fn d() {}
type E = unsafe extern \"C\" fn();
",
    );
    assert_none(unsafe_says_why(&good));
}
