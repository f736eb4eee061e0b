//! What we depend on: under licences we may ship, in one version each, and for a written reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

use crate::tree::ROOT;
use crate::{Finding, assert_none, lines};

/// Licences that ask for no more than to be passed on with the program.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Crates that are there in more than one version, and why that is accepted.
const SEVERAL_VERSIONS: &[(&str, &str)] = &[(
    "syn",
    "the derives of zerocopy and thiserror stand on different ones; it only runs in the compiler",
)];

/// The document that says why we depend on what we name in our manifests.
const REASONS: &str = "docs/dependencies.md";

/// What cargo knows of our crates and of all they depend on, on every platform.
static METADATA: LazyLock<Value> = LazyLock::new(|| {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(ROOT)
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata writes JSON")
});

/// Every crate's licence lets us ship it.
fn licences_allowed(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in array(&metadata["packages"]) {
        let licence = package["license"].as_str().unwrap_or("");
        if !is_allowed(licence) {
            let message = format!(
                "{} is under `{licence}`, which is not on the list; do without it",
                text(&package["name"])
            );
            findings.push(Finding::new("Cargo.lock", 1, message));
        }
    }
    findings
}

/// Whether a licence expression leaves a choice that is on our list.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let allowed = any_of(&mut words);
    allowed && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn any_of(words: &mut Words) -> bool {
    let mut allowed = all_of(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= all_of(words);
    }
    allowed
}

fn all_of(words: &mut Words) -> bool {
    let mut allowed = one(words);
    while words.next_if_eq(&"AND").is_some() {
        allowed &= one(words);
    }
    allowed
}

fn one(words: &mut Words) -> bool {
    match words.next() {
        Some("(") => {
            let allowed = any_of(words);
            words.next() == Some(")") && allowed
        }
        Some(name) if words.next_if_eq(&"WITH").is_some() => {
            let exception = words.next().unwrap_or("");
            LICENCES.contains(&format!("{name} WITH {exception}").as_str())
        }
        Some(name) => LICENCES.contains(&name),
        None => false,
    }
}

/// Every crate is there in one version, or its versions are accepted for a reason.
fn one_version_each(metadata: &Value, accepted: &[(&str, &str)]) -> Vec<Finding> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in array(&metadata["packages"]) {
        versions
            .entry(text(&package["name"]))
            .or_default()
            .push(text(&package["version"]));
    }
    let mut findings = Vec::new();
    for (name, versions) in &versions {
        let is_accepted = accepted.iter().any(|(it, _)| it == name);
        let message = match (versions.len(), is_accepted) {
            (1, true) => format!("{name} is there in one version; take it off SEVERAL_VERSIONS"),
            (1, false) | (2.., true) => continue,
            _ => format!(
                "{name} is there in versions {}; see who asks for each (cargo tree -i {name}) and \
                 agree on one",
                versions.join(" and ")
            ),
        };
        findings.push(Finding::new("Cargo.lock", 1, message));
    }
    findings
}

/// Every dependency that a manifest of ours names has its reason, and every reason its dependency.
fn reasons_given(metadata: &Value, document: &str) -> Vec<Finding> {
    let members: Vec<&Value> = array(&metadata["workspace_members"]).collect();
    let ours = array(&metadata["packages"]).filter(|package| members.contains(&&package["id"]));
    let named: BTreeSet<&str> = ours
        .flat_map(|package| array(&package["dependencies"]))
        .filter(|dependency| dependency["path"].is_null())
        .map(|dependency| text(&dependency["name"]))
        .collect();
    let explained: BTreeMap<&str, usize> = (1..)
        .zip(document.lines())
        .filter_map(|(number, line)| Some((line.strip_prefix("| `")?.split_once('`')?.0, number)))
        .collect();

    let without_reason = named
        .iter()
        .filter(|name| !explained.contains_key(*name))
        .map(|name| {
            let message = format!("no reason is given for `{name}`; add its row, or do without it");
            Finding::new(REASONS, 1, message)
        });
    let without_crate = explained.iter().filter(|(name, _)| !named.contains(*name));
    let without_crate = without_crate.map(|(name, &line)| {
        let message = format!("no manifest names `{name}`; take its row out");
        Finding::new(REASONS, line, message)
    });
    without_reason.chain(without_crate).collect()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata gives a text here")
}

#[test]
fn licences_are_allowed() {
    assert_none(licences_allowed(&METADATA));
}

#[test]
fn a_licence_that_is_not_allowed_is_found() {
    for expression in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/Apache-2.0",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception AND MIT",
    ] {
        assert!(is_allowed(expression), "{expression}");
    }
    for expression in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT",
        "MIT MIT",
        "MIT WITH some-exception",
        "GPL-3.0 AND (MIT OR Zlib)",
    ] {
        assert!(!is_allowed(expression), "{expression}");
    }
    let metadata = serde_json::json!({"packages": [
        {"name": "good", "license": "MIT OR Apache-2.0"},
        {"name": "none", "license": null},
        {"name": "bad", "license": "AGPL-3.0"},
    ]});
    assert_eq!(licences_allowed(&metadata).len(), 2);
}

#[test]
fn crates_are_there_in_one_version() {
    assert_none(one_version_each(&METADATA, SEVERAL_VERSIONS));
}

#[test]
fn a_second_version_is_found() {
    let metadata = serde_json::json!({"packages": [
        {"name": "one", "version": "1.0.0"},
        {"name": "two", "version": "1.0.0"},
        {"name": "two", "version": "2.0.0"},
        {"name": "accepted", "version": "1.0.0"},
        {"name": "accepted", "version": "2.0.0"},
    ]});
    let found = one_version_each(&metadata, &[("accepted", "a reason")]);
    assert!(
        found.len() == 1 && found[0].message.starts_with("two "),
        "{found:?}"
    );
    let found = one_version_each(
        &metadata,
        &[
            ("accepted", "a reason"),
            ("two", "a reason"),
            ("one", "a reason"),
        ],
    );
    assert!(
        found.len() == 1 && found[0].message.starts_with("one "),
        "{found:?}"
    );
}

#[test]
fn dependencies_have_their_reasons() {
    let document =
        fs::read_to_string(Path::new(ROOT).join(REASONS)).expect("the document can be read");
    assert_none(reasons_given(&METADATA, &document));
}

#[test]
fn a_missing_reason_is_found() {
    let metadata = serde_json::json!({
        "workspace_members": ["ours"],
        "packages": [
            {"id": "ours", "dependencies": [
                {"name": "explained"},
                {"name": "unexplained"},
                {"name": "beside", "path": "crates/beside"},
            ]},
            {"id": "theirs", "dependencies": [{"name": "theirs"}]},
        ],
    });
    let found = reasons_given(
        &metadata,
        "\
| crate | why |
| `explained` | so |
| `unused` | so |
",
    );
    assert_eq!(lines(&found), [1, 3]);
}
