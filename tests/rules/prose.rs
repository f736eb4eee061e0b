//! Comments and pages are wrapped, and name their actors.

use crate::source::Source;
use crate::tree::{FILES, File, SOURCES, has_extension};
use crate::{Finding, assert_none, lines};

/// The columns of a line of prose. Tables, addresses and pictures may be wider.
const COLUMNS: usize = 100;

/// Pronouns that make a reader look for the actor, such as a waiter, an owner or a process.
const PRONOUNS: &[&str] = &["who", "whoever", "whom", "whose"];
/// How many of them there may be in two thousand words.
const PER_2000: usize = 3;
/// The folders and pages in which they are counted, each by itself.
const COUNTED: &[&str] = &["src/", "docs/", "README.md", "crates/sharehold-cli/src/"];

fn may_be_wide(text: &str) -> bool {
    text.starts_with(['|', '!', '#']) || text.contains("http")
}

/// The lines of prose of a page, with their numbers: all but code.
fn prose(page: &File) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(page.text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        !in_code && !is_fence
    })
}

/// The text of comments, with the numbers of their lines.
fn comments(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let all = (1..).zip(&source.comments);
    all.map(|(number, line)| (number, line.trim().trim_start_matches(['/', '!']).trim()))
        .filter(|(_, text)| !text.is_empty())
}

fn too_wide(path: &str, number: usize) -> Finding {
    Finding::new(
        path,
        number,
        format!("more than {COLUMNS} columns; wrap the paragraph"),
    )
}

/// No line of a comment is too wide.
fn wide_comments(source: &Source) -> Vec<Finding> {
    let mut in_code = false;
    let mut findings = Vec::new();
    for (number, text) in comments(source) {
        in_code ^= text.starts_with("```");
        let is_wide = source.lines[number - 1].chars().count() > COLUMNS;
        if is_wide && !in_code && !may_be_wide(text) {
            findings.push(too_wide(&source.path, number));
        }
    }
    findings
}

/// No line of a page is too wide.
fn wide_lines(page: &File) -> Vec<Finding> {
    let wide = prose(page).filter(|(_, line)| line.chars().count() > COLUMNS);
    wide.filter(|(_, line)| !may_be_wide(line.trim_start()))
        .map(|(number, _)| too_wide(&page.path, number))
        .collect()
}

/// The words of a text, and the pronouns among them. Code in backticks does not count.
fn count<'a>(texts: impl Iterator<Item = &'a str>) -> (usize, usize) {
    let mut counted = (0, 0);
    for text in texts {
        for part in text.split('`').step_by(2) {
            for word in part.split(|it: char| !it.is_alphanumeric()) {
                counted.0 += usize::from(!word.is_empty());
                counted.1 += usize::from(PRONOUNS.contains(&word.to_lowercase().as_str()));
            }
        }
    }
    counted
}

/// The pages of the project.
fn pages() -> impl Iterator<Item = &'static File> {
    FILES.iter().filter(|file| has_extension(&file.path, "md"))
}

#[test]
fn prose_is_wrapped() {
    let refused = |source: &&Source| !source.path.contains("tests/refused/");
    assert_none(SOURCES.iter().filter(refused).flat_map(wide_comments));
    assert_none(pages().flat_map(wide_lines));
}

#[test]
fn prose_names_its_actors() {
    for place in COUNTED {
        let sources = SOURCES.iter().filter(|it| it.path.starts_with(place));
        let pages = pages().filter(|it| it.path.starts_with(place));
        let texts = sources.flat_map(comments).chain(pages.flat_map(prose));
        let (words, pronouns) = count(texts.map(|(_, text)| text));
        assert!(words > 0, "{place} has prose");
        assert!(
            pronouns * 2000 <= words * PER_2000,
            "{place}: {pronouns} of {words} words are {PRONOUNS:?}; name the actor in their place"
        );
    }
}

#[test]
fn wide_prose_and_pronouns_are_found() {
    let long = "word ".repeat(25);
    let source =
        format!("/// {long}\n/// | {long}|\n// ```\n// {long}\n// ```\nfn a() {{}} // {long}\n");
    let source = Source::parse("src/a.rs", &source);
    assert_eq!(lines(&wide_comments(&source)), [1, 6]);
    let page = File {
        path: "pages/a.md".into(),
        text: format!("{long}\n```\n{long}\n```\n| {long}\nhttps://example.com/{long}\n"),
    };
    assert_eq!(lines(&wide_lines(&page)), [1]);
    let text = "Whoever wakes `who`, whom whose.";
    assert_eq!(count([text].into_iter()), (4, 3));
}
