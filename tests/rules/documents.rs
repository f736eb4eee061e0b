//! The documents are there, what they refer to is there, and nothing refers to somebody's machine.

use std::collections::BTreeMap;

use crate::tree::{FILES, File, exists, has_extension};
use crate::{Finding, assert_none, lines};

/// The files that a project is expected to have.
const DOCUMENTS: &[&str] = &[
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "docs/dependencies.md",
];

/// The first folders of paths that exist on some machines only.
const MACHINES: &[&str] = &["work", "root", "home", "Users"];

/// No path of one machine stands in the text.
fn no_machine_path(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        for folder in MACHINES {
            let path = format!("/{folder}/");
            // The folder may also stand deeper in a path, or in the address of a page.
            let deeper =
                |it: char| it.is_alphanumeric() || matches!(it, '.' | '_' | '-' | '~' | '}' | ')');
            if line
                .match_indices(&path)
                .any(|(at, _)| !line[..at].ends_with(deeper))
            {
                let message = format!(
                    "`{path}` is on one machine only; name the file from the root of the tree"
                );
                findings.push(Finding::new(&file.path, number, message));
            }
        }
    }
    findings
}

/// Each document of the project that the text names by its path from the root exists.
fn named_documents_exist(file: &File, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let words = line
            .split(|it: char| !it.is_ascii_alphanumeric() && !matches!(it, '/' | '.' | '-' | '_'));
        for word in words {
            // The end of a sentence is no part of the path.
            let word = word.trim_end_matches('.');
            if word.starts_with("docs/") && has_extension(word, "md") && !exists(word) {
                let message =
                    format!("there is no {word}; correct the name, or write the document");
                findings.push(Finding::new(&file.path, number, message));
            }
        }
    }
    findings
}

/// Each relative link of a document leads to a file that exists, and to a heading that it has.
fn links_lead_somewhere(file: &File, read: impl Fn(&str) -> Option<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in prose(&file.text) {
        for target in targets(&line) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if path.is_empty() {
                file.path.clone()
            } else {
                beside(&file.path, path)
            };
            let Some(text) = read(&path) else {
                let message = format!("the link leads to {path}, which does not exist; correct it");
                findings.push(Finding::new(&file.path, number, message));
                continue;
            };
            if !heading.is_empty() && !headings(&text).any(|it| it == heading) {
                let message = format!("{path} has no heading #{heading}; correct the link");
                findings.push(Finding::new(&file.path, number, message));
            }
        }
    }
    findings
}

/// The numbered lines of a document, without its blocks and pieces of code.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut in_block = false;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            return None;
        }
        let outside: String = line.split('`').step_by(2).collect();
        (!in_block).then_some((number, outside))
    })
}

/// Where the links on a line lead: `[text](target)` and `[text]: target`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let inline = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next());
    let defined = line
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]: "))
        .and_then(|(_, rest)| rest.split_whitespace().next());
    inline.chain(defined)
}

/// The path, from the root, of what the document at `from` calls `link`.
fn beside(from: &str, link: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The names by which links reach the headings of a document.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let titles = text.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
        kept.map(|it| if it == ' ' { '-' } else { it }).collect()
    })
}

#[test]
fn no_path_of_a_machine_is_named() {
    assert_none(FILES.iter().flat_map(no_machine_path));
}

#[test]
fn a_path_of_a_machine_is_found() {
    let home = ["", "home", "me", "key.rs"].join("/");
    let text = format!(
        "\
see {home}
see https://example.com{home}
`{home}`
"
    );
    let file = File {
        path: "README.md".into(),
        text,
    };
    assert_eq!(lines(&no_machine_path(&file)), [1, 3]);
}

#[test]
fn documents_are_there() {
    let missing = DOCUMENTS.iter().filter(|path| !exists(path));
    assert_none(missing.map(|path| Finding::new(path, 1, "the document is missing; write it")));
    assert_none(
        FILES
            .iter()
            .flat_map(|file| named_documents_exist(file, exists)),
    );
}

#[test]
fn a_named_document_that_is_missing_is_found() {
    let file = File {
        path: "src/key.rs".into(),
        text: ["design", "missing"]
            .map(|name| format!("//! See `docs/{name}.md`.\n"))
            .concat(),
    };
    let found = named_documents_exist(&file, |path| path.ends_with("design.md"));
    assert_eq!(lines(&found), [2]);
}

#[test]
fn links_lead_to_what_exists() {
    let documents = FILES.iter().filter(|file| has_extension(&file.path, "md"));
    assert_none(documents.flat_map(|file| {
        links_lead_somewhere(file, |path| {
            let text = FILES
                .iter()
                .find(|file| file.path == path)
                .map(|file| file.text.clone());
            text.or_else(|| exists(path).then(String::new))
        })
    }));
}

#[test]
fn a_link_to_nowhere_is_found() {
    let tree = BTreeMap::from([
        ("README.md", "# A tree"),
        ("guide/design.md", "## Why it's so, and what follows"),
    ]);
    let file = File {
        path: "guide/new.md".into(),
        text: "\
# New
[a](design.md#why-its-so-and-what-follows) [b](../README.md) [c](https://example.com/x.md)
[d](missing.md)
`[e](missing.md)`
```
[f](missing.md)
```
[g](design.md#how) [h](#new) [i](#old)
[j]: ../src/missing.rs
"
        .into(),
    };
    let found = links_lead_somewhere(&file, |path| match path {
        "guide/new.md" => Some(file.text.clone()),
        _ => tree.get(path).map(|&text| text.to_owned()),
    });
    assert_eq!(lines(&found), [3, 8, 8, 9]);
}
