//! What is committed is finished: short files that say what they are for, no stubs, no panics.

use crate::source::{Source, states_a_fact};
use crate::tree::{SOURCES, library};
use crate::{Finding, assert_none, lines};

/// A file that is longer holds two ideas.
const MOST_LINES: usize = 600;

/// No file is long, and each begins by saying what it is for.
fn short_and_introduced(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !source
        .lines
        .first()
        .is_some_and(|line| line.starts_with("//! "))
    {
        let message = "the file does not say what it is for; begin it with a `//!` paragraph";
        findings.push(Finding::new(&source.path, 1, message));
    }
    if source.lines.len() > MOST_LINES {
        let message = format!("more than {MOST_LINES} lines; divide the file where one idea ends");
        findings.push(Finding::new(&source.path, MOST_LINES + 1, message));
    }
    findings
}

/// Nothing is put off or switched off.
fn nothing_put_off(source: &Source) -> Vec<Finding> {
    const CODE: &[&[&str]] = &[
        &["todo", "!"],
        &["unimplemented", "!"],
        &["dbg", "!"],
        &["dead_code"],
        &["#", "[", "ignore"],
    ];
    let mut findings = Vec::new();
    for pattern in CODE {
        for index in source.find(pattern) {
            let message = format!("`{}`; finish it, or take it out", pattern.concat());
            findings.push(source.finding(index, message));
        }
    }
    for (line, comment) in (1..).zip(&source.comments) {
        let mut words = comment.split(|it: char| !it.is_alphanumeric());
        if let Some(word) = words.find(|word| matches!(*word, "TODO" | "FIXME" | "XXX")) {
            let message =
                format!("{word} in a comment; do it now, or leave it to the issue tracker");
            findings.push(Finding::new(&source.path, line, message));
        }
        if comment.contains("```ignore") {
            let message = "an example that is never compiled; make it compile, or mark it `text`";
            findings.push(Finding::new(&source.path, line, message));
        }
    }
    findings
}

/// The library panics nowhere, unless a comment says why the panic cannot be reached.
fn panics_are_unreachable(source: &Source) -> Vec<Finding> {
    const PANICS: &[&[&str]] = &[
        &[".", "unwrap", "("],
        &[".", "expect", "("],
        &[".", "unwrap_err", "("],
        &[".", "expect_err", "("],
        &["panic", "!"],
        &["unreachable", "!"],
    ];
    let tests = source.test_code();
    let mut findings = Vec::new();
    for pattern in PANICS {
        for index in source.find(pattern).filter(|index| !tests.contains(index)) {
            if source
                .reason(index, "INVARIANT:")
                .as_deref()
                .is_some_and(states_a_fact)
            {
                continue;
            }
            let message = format!(
                "`{}` may end the user's program; return an error, or put `// INVARIANT:` and what \
                 makes it impossible before it",
                pattern.concat().trim_matches(['.', '('])
            );
            findings.push(source.finding(index, message));
        }
    }
    findings
}

#[test]
fn files_are_short_and_introduced() {
    assert_none(SOURCES.iter().flat_map(short_and_introduced));
}

#[test]
fn a_long_or_silent_file_is_found() {
    let long = Source::parse(
        "src/key.rs",
        &format!("//! Keys.\n{}", "fn a() {}\n".repeat(600)),
    );
    assert_eq!(lines(&short_and_introduced(&long)), [601]);
    let silent = Source::parse("src/key.rs", "// Keys.\n");
    assert_eq!(lines(&short_and_introduced(&silent)), [1]);
    let empty = Source::parse("src/key.rs", "");
    assert_eq!(lines(&short_and_introduced(&empty)), [1]);
}

#[test]
fn nothing_is_put_off() {
    assert_none(SOURCES.iter().flat_map(nothing_put_off));
}

#[test]
fn what_is_put_off_is_found() {
    let bad = [
        "fn a() { todo!() }",
        "fn a() { unimplemented!(\"b\") }",
        "fn a() { dbg!(b); }",
        "#[allow(dead_code)]",
        "#![expect(dead_code)]",
        "#[ignore = \"slow\"]",
        concat!("// TO", "DO: more"),
        concat!("/// FIX", "ME later"),
        concat!("/* XX", "X */"),
        concat!("/// ```", "ignore"),
    ];
    for text in bad {
        let source = Source::parse("src/key.rs", text);
        assert_eq!(lines(&nothing_put_off(&source)), [1], "{text}");
    }
    let good = Source::parse(
        "src/key.rs",
        "//! Nothing to do.\nfn todo() { \"TODO\"; }\n",
    );
    assert_none(nothing_put_off(&good));
}

#[test]
fn the_library_does_not_panic() {
    assert_none(library().flat_map(panics_are_unreachable));
}

#[test]
fn a_panic_is_found() {
    let bad = Source::parse(
        "src/key.rs",
        "\
/// a.unwrap()
fn a() {
    b.unwrap();
    // INVARIANT: cannot fail
    b.expect(\"c\");
    panic!();
}
",
    );
    assert_eq!(lines(&panics_are_unreachable(&bad)), [3, 5, 6]);
    let good = Source::parse(
        "src/key.rs",
        "\
fn a() {
    // INVARIANT: the array has four elements.
    b
        .unwrap();
    c.unwrap_or(d);
}
#[cfg(test)]
mod tests { fn e() { f.unwrap() } }
",
    );
    assert_none(panics_are_unreachable(&good));
}
