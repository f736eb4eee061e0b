//! What depends on the system stands in `sys`, and which system it is asked in one file.

use crate::source::Source;
use crate::tree::{library, shipped};
use crate::{Finding, assert_none, lines};

/// The files that may ask which system they are compiled for.
const EDGES: &[&str] = &["src/sys/mod.rs", "crates/sharehold-sweep/src/ptrace/mod.rs"];

/// Which system it is compiled for is asked at the edge only.
fn systems_distinguished_at_the_edge(source: &Source) -> Vec<Finding> {
    if EDGES.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for word in ["cfg", "cfg_attr", "cfg_select", "cfg_if"] {
        for index in source.find(&[word]) {
            let open = index + 1 + usize::from(source.text(index + 1) == "!");
            if !matches!(source.text(open), "(" | "{" | "[") {
                continue;
            }
            let conditions = open..source.tokens[open].end;
            for condition in conditions.filter(|&it| names_a_system(source, it)) {
                let message = format!(
                    "`{}` in a cfg; put what differs into a folder of src/sys, and let \
                     src/sys/mod.rs choose it",
                    source.text(condition)
                );
                findings.push(source.finding(condition, message));
            }
        }
    }
    findings
}

fn names_a_system(source: &Source, index: usize) -> bool {
    match source.text(index) {
        // Not the module `std::os::unix`, nor the method `slice.windows(2)`.
        "unix" | "windows" => {
            let before = source.text(index - 1);
            before != "::" && before != "." && source.text(index + 1) != "::"
        }
        "sharehold_unsupported" => true,
        word => word.starts_with("target_"),
    }
}

/// Only `sys` calls the system: nothing else may name what a system without it does not have.
fn system_named_in_sys(source: &Source) -> Vec<Finding> {
    if source.path.starts_with("src/sys/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for pattern in [&["libc"][..], &["rustix"], &["os", "::"]] {
        for index in source.find(pattern) {
            let message = format!(
                "`{}` is the system's; call it in src/sys, behind the contract in src/sys/mod.rs",
                pattern.concat()
            );
            findings.push(source.finding(index, message));
        }
    }
    findings
}

#[test]
fn systems_are_distinguished_at_the_edge() {
    assert_none(shipped().flat_map(systems_distinguished_at_the_edge));
}

#[test]
fn a_system_distinguished_elsewhere_is_found() {
    let code = "\
#[cfg(test)]
mod t {}
#[cfg(any(unix, doc))]
fn a() { if cfg!(target_os = \"linux\") {} }
cfg_select! {
    windows => { std::os::windows::b(); c.windows(2) }
    _ => {}
}
fn d(windows: u8) {}
";
    let elsewhere = Source::parse("src/key.rs", code);
    let mut found = lines(&systems_distinguished_at_the_edge(&elsewhere));
    found.sort_unstable();
    assert_eq!(found, [3, 4, 6]);
    let edge = Source::parse("src/sys/mod.rs", code);
    assert_none(systems_distinguished_at_the_edge(&edge));
}

#[test]
fn the_system_is_named_in_sys() {
    assert_none(library().flat_map(system_named_in_sys));
}

#[test]
fn the_system_named_elsewhere_is_found() {
    let code = "\
// libc
use rustix::fs;
fn a() -> libc::c_int { std::os::fd::b() }
";
    let elsewhere = Source::parse("src/segment/mod.rs", code);
    assert_eq!(lines(&system_named_in_sys(&elsewhere)), [3, 2, 3]);
    let inside = Source::parse("src/sys/linux/mod.rs", code);
    assert_none(system_named_in_sys(&inside));
}
