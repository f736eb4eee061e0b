//! A module names only modules on lower rows.

use crate::source::Source;
use crate::tree::library;
use crate::{Finding, assert_none, lines};

/// The rows of the library, from the top. Modules on one row do not name each other.
const ROWS: &[&[&str]] = &[
    &["lib"],
    &["guide"],
    &["inspect"],
    &["untyped_parts"],
    &[
        "mutex",
        "once_lock",
        "rwlock",
        "semaphore",
        "event",
        "barrier",
    ],
    &["parts"],
    &["value"],
    &["qt", "departures"],
    &["lock"],
    &["wait"],
    &["segment"],
    &["schema", "key"],
    &["memory"],
    &["sys"],
    &["error", "deadline", "timing", "model"],
];

/// The modules that may name only these, whatever stands on lower rows.
const NARROWED: &[(&str, &[&str])] = &[
    // A Qt segment has neither our header nor our locks.
    ("qt", &["memory", "sys", "key", "deadline", "error"]),
];

/// What a file that only documents and re-exports has no use for.
const DEFINITIONS: &[&str] = &[
    "fn",
    "struct",
    "enum",
    "union",
    "trait",
    "impl",
    "static",
    "const",
    "type",
    "macro_rules",
];

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

fn may_name(from: &str, to: &str) -> bool {
    if from == to {
        return true;
    }
    match NARROWED.iter().find(|(module, _)| *module == from) {
        Some((_, allowed)) => allowed.contains(&to),
        None => row(from) < row(to),
    }
}

/// The library's modules name only modules on lower rows.
fn layers(source: &Source) -> Vec<Finding> {
    let file = module_of(&source.path);
    let own = file.first().map_or("lib", String::as_str);
    if row(own).is_none() {
        let message = format!("`{own}` has no row; give it one in tests/rules/layers.rs");
        return vec![Finding::new(&source.path, 1, message)];
    }
    let mut findings = Vec::new();
    for path in paths(source, &file) {
        // What is not a module is an item of the crate's root, or the root itself.
        let named = path.absolute.first().map(String::as_str);
        let to = named.filter(|name| row(name).is_some()).unwrap_or("lib");
        if !may_name(own, to) {
            let mend = if to == "lib" {
                "name it by the module that defines it"
            } else {
                "move what is needed to a lower row, or pass it in"
            };
            let written = path.absolute.join("::");
            let message =
                format!("`{own}` names `crate::{written}`, which is not below it; {mend}");
            findings.push(source.finding(path.start, message));
        }
    }
    findings
}

/// `lib.rs` holds the crate's documentation and re-exports, nothing else.
fn root_defines_nothing(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for keyword in DEFINITIONS {
        for index in source.find(&[keyword]) {
            let message = format!("`{keyword}` in lib.rs; define it in a module and re-export it");
            findings.push(source.finding(index, message));
        }
    }
    findings
}

/// `src/lock/guard.rs` is `lock::guard`; the root is the empty path.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs");
    let mut parts: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

pub(crate) struct Path {
    /// The index of its first token, or of the first in its branch of a `use`.
    pub(crate) start: usize,
    /// From the crate's root.
    pub(crate) absolute: Vec<String>,
}

/// Every path through `crate`, `super` or `self` in the file, the branches of a `use` one by one.
pub(crate) fn paths(source: &Source, file: &[String]) -> Vec<Path> {
    let inline: Vec<usize> = source
        .find(&["mod"])
        .filter(|&index| source.text(index + 2) == "{")
        .collect();
    let mut found = Vec::new();
    for index in 0..source.tokens.len() {
        let starts = matches!(source.text(index), "crate" | "super" | "self")
            && source.text(index + 1) == "::"
            && (index == 0 || source.text(index - 1) != "::");
        if !starts {
            continue;
        }
        let around = inline
            .iter()
            .filter(|&&at| (at..source.tokens[at + 2].end).contains(&index));
        let mut base = file.to_vec();
        base.extend(around.map(|&at| source.text(at + 1).to_owned()));
        follow(source, index, base, &mut found);
    }
    found
}

/// Follows a path from its part at `index`, having come to `base`.
fn follow(source: &Source, mut index: usize, mut base: Vec<String>, found: &mut Vec<Path>) {
    let start = index;
    loop {
        match source.text(index) {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            "{" => {
                let end = source.tokens[index].end;
                let mut branch = index + 1;
                while branch < end {
                    follow(source, branch, base.clone(), found);
                    while branch < end && source.text(branch) != "," {
                        branch = source.tokens[branch].end + 1;
                    }
                    branch += 1;
                }
                return;
            }
            part => base.push(part.to_owned()),
        }
        if source.text(index + 1) != "::" || source.text(index + 2) == "<" {
            found.push(Path {
                start,
                absolute: base,
            });
            return;
        }
        index += 2;
    }
}

#[test]
fn modules_name_lower_rows_only() {
    assert_none(library().flat_map(layers));
}

#[test]
fn a_name_from_a_higher_row_is_found() {
    let upward = Source::parse(
        "src/memory/copy.rs",
        "\
use crate::sys::map;
use crate::{
    error::Error,
    segment::{Segment, Slot},
};
use super::super::lock;
fn a() { crate::memory::b(); crate::Segment::c() }
mod inner { use super::super::super::qt::{self, Key}; use super::*; }
",
    );
    assert_eq!(lines(&layers(&upward)), [4, 4, 6, 7, 8, 8]);

    let qt = Source::parse(
        "src/qt.rs",
        "\
use crate::key::Key;
use crate::segment::Segment;
use super::lock;
",
    );
    assert_eq!(lines(&layers(&qt)), [2, 3]);

    let peers = Source::parse("src/schema.rs", "use crate::key::Key;\nuse crate::error;\n");
    assert_eq!(lines(&layers(&peers)), [1]);

    let rowless = Source::parse("src/util.rs", "fn a() {}\n");
    assert_eq!(lines(&layers(&rowless)), [1]);

    let top = Source::parse(
        "src/lib.rs",
        "\
mod mutex;
pub use crate::mutex::Mutex;
pub use self::error::Error;
",
    );
    assert_none(layers(&top));
}

#[test]
fn the_root_only_re_exports() {
    assert_none(
        library()
            .filter(|source| source.path == "src/lib.rs")
            .flat_map(root_defines_nothing),
    );
}

#[test]
fn a_definition_in_the_root_is_found() {
    let root = Source::parse(
        "src/lib.rs",
        "//! The fn of this struct.\nmod key;\npub use key::Key;\nfn a() {}\n",
    );
    assert_eq!(lines(&root_defines_nothing(&root)), [4]);
}
