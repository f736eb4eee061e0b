//! A Rust file as the rules see it: its code as tokens, and its comments.

use std::collections::HashSet;
use std::ops::Range;

use proc_macro2::{Delimiter, Spacing, Span, TokenStream, TokenTree};

use crate::Finding;

/// One token of the code. A path's `::` is one token; a comment is none, nor is a doc comment.
pub(crate) struct Token {
    pub(crate) text: String,
    /// Counted from one.
    pub(crate) line: usize,
    /// The index of the closing bracket, for an opening one; of the token itself, for any other.
    pub(crate) end: usize,
}

pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    pub(crate) tokens: Vec<Token>,
    /// For each line, what stands in comments, in its place; code is replaced by spaces.
    pub(crate) comments: Vec<String>,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let stream: TokenStream = text
            .parse()
            .unwrap_or_else(|error| panic!("{path} is not made of Rust's tokens: {error}"));
        let mut lexer = Lexer {
            text,
            tokens: Vec::new(),
            code: Vec::new(),
        };
        lexer.stream(stream);
        let comments = blank(text, &lexer.code);
        Self {
            path: path.to_owned(),
            lines: text.lines().map(str::to_owned).collect(),
            tokens: lexer.tokens,
            comments: comments.lines().map(str::to_owned).collect(),
        }
    }

    /// The token at `index`, or nothing past the end.
    pub(crate) fn text(&self, index: usize) -> &str {
        self.tokens.get(index).map_or("", |token| &token.text)
    }

    pub(crate) fn finding(&self, index: usize, message: impl Into<String>) -> Finding {
        Finding::new(&self.path, self.tokens[index].line, message)
    }

    /// Where the tokens of `pattern` stand in a row: the index of the first.
    pub(crate) fn find(&self, pattern: &[&str]) -> impl Iterator<Item = usize> {
        (0..self.tokens.len()).filter(move |&start| {
            pattern
                .iter()
                .enumerate()
                .all(|(offset, &wanted)| self.text(start + offset) == wanted)
        })
    }

    /// The indices of the tokens that stand in items that are compiled for tests only.
    pub(crate) fn test_code(&self) -> HashSet<usize> {
        let path = &self.path;
        if path.ends_with("/tests.rs") || path.ends_with("/model.rs") || path.contains("/tests/") {
            return (0..self.tokens.len()).collect();
        }
        let mut inside = HashSet::new();
        for start in self.find(&["#", "[", "cfg", "("]) {
            let condition = &self.tokens[start + 3..self.tokens[start + 3].end];
            let has = |word| condition.iter().any(|token| token.text == word);
            if !has("test") || has("not") {
                continue;
            }
            let mut end = start;
            while !matches!(self.text(end), "{" | "}" | ";" | "") {
                end = self.tokens[end].end + 1;
            }
            let end = self.tokens.get(end).map_or(end, |token| token.end);
            inside.extend(start..=end);
        }
        inside
    }

    /// What the comments that belong to the token at `index` say after `marker`, as in
    /// `// SAFETY: ...`.
    pub(crate) fn reason(&self, index: usize, marker: &str) -> Option<String> {
        let comments = self.comments_before(index);
        let (_, after) = comments.rsplit_once(marker)?;
        Some(after.trim().to_owned())
    }

    /// The comments that belong to the token at `index`, one a line, without their slashes: those
    /// above and in the statement or item that it stands in, up to the end of its line.
    pub(crate) fn comments_before(&self, index: usize) -> String {
        let boundary = (0..index)
            .rev()
            .find(|&before| matches!(self.text(before), "{" | "}" | ";"));
        let start = self.tokens[boundary.map_or(0, |before| before + 1)].line;
        let mut first = boundary.map_or(1, |before| self.tokens[before].line + 1);
        if first > start {
            // The statement begins on the line on which the one before it ends.
            first = start;
            while first > 1 && self.is_comment(first - 1) {
                first -= 1;
            }
        }
        let belonging = &self.comments[first - 1..self.tokens[index].line];
        let texts = belonging
            .iter()
            .map(|comment| comment.trim().trim_start_matches(['/', '!', '*']).trim());
        texts.collect::<Vec<_>>().join("\n")
    }

    /// Whether the line, counted from one, holds a comment and nothing else.
    fn is_comment(&self, line: usize) -> bool {
        let comment = self.comments[line - 1].trim();
        !comment.is_empty() && comment == self.lines[line - 1].trim()
    }
}

struct Lexer<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// Where the tokens stand in the text.
    code: Vec<Range<usize>>,
}

impl Lexer<'_> {
    fn stream(&mut self, stream: TokenStream) {
        let mut trees = stream.into_iter().peekable();
        while let Some(tree) = trees.next() {
            let written = &self.text[tree.span().byte_range()];
            if written.starts_with("//") || written.starts_with("/*") {
                continue; // a doc comment, which comes as the attribute that it stands for
            }
            match tree {
                TokenTree::Group(group) => {
                    assert_ne!(
                        group.delimiter(),
                        Delimiter::None,
                        "text has no invisible brackets"
                    );
                    let open = self.tokens.len();
                    self.push(group.span_open());
                    self.stream(group.stream());
                    self.tokens[open].end = self.tokens.len();
                    self.push(group.span_close());
                }
                TokenTree::Punct(punct)
                    if punct.as_char() == ':' && punct.spacing() == Spacing::Joint =>
                {
                    self.push(punct.span());
                    if let Some(second) = trees.next_if(|next| next.to_string() == ":") {
                        self.code.push(second.span().byte_range());
                        self.tokens
                            .last_mut()
                            .expect("one was just pushed")
                            .text
                            .push(':');
                    }
                }
                other => self.push(other.span()),
            }
        }
    }

    fn push(&mut self, span: Span) {
        let range = span.byte_range();
        self.tokens.push(Token {
            text: self.text[range.clone()].to_owned(),
            line: span.start().line,
            end: self.tokens.len(),
        });
        self.code.push(range);
    }
}

/// `text` with spaces in place of `ranges`, which are in order; lines stay lines.
fn blank(text: &str, ranges: &[Range<usize>]) -> String {
    let mut blanked = String::with_capacity(text.len());
    let mut kept = 0;
    for range in ranges {
        blanked.push_str(&text[kept..range.start]);
        blanked.extend(
            text[range.clone()]
                .chars()
                .map(|it| if it == '\n' { '\n' } else { ' ' }),
        );
        kept = range.end;
    }
    blanked.push_str(&text[kept..]);
    blanked
}

/// Whether a reason states a fact: two words that are more than a claim that all is well.
pub(crate) fn states_a_fact(reason: &str) -> bool {
    const EMPTY: &str = "a above all already always and as be because been before below by can \
        cannot caller checked correct fail fine for guaranteed has have here in is it just know \
        known of ok okay never not obvious obviously our panic safe safely see since so sound sure \
        that the therefore this to trivial trivially unsafe valid verified was we will works";
    let words = reason.split(|it: char| !it.is_alphanumeric() && it != '_');
    let telling = words.filter(|word| {
        let word = word.to_lowercase();
        !word.is_empty() && !EMPTY.split_whitespace().any(|empty| empty == word)
    });
    telling.count() >= 2
}

#[test]
fn code_and_comments_are_distinguished() {
    let source = Source::parse(
        "sample.rs",
        "\
//! One.
fn a() { // two
    \"/* no */ // comment\"; /* three
    four */ a::b('\"')
}
",
    );
    let texts: Vec<&str> = source
        .tokens
        .iter()
        .map(|token| token.text.as_str())
        .collect();
    assert_eq!(
        texts.join(" "),
        "fn a ( ) { \"/* no */ // comment\" ; a :: b ( '\"' ) }"
    );
    let comments: Vec<&str> = source.comments.iter().map(|line| line.trim()).collect();
    assert_eq!(comments, ["//! One.", "// two", "/* three", "four */", ""]);
    assert_eq!(source.tokens[4].end, 13);
    assert_eq!(source.tokens[13].line, 5);
}

#[test]
fn test_code_is_known() {
    let source = Source::parse(
        "src/sample.rs",
        "\
fn a() {}
#[cfg(test)]
#[allow(x)]
mod t { fn b() {} }
#[cfg(all(test, loom))]
use z;
fn c() {}
",
    );
    let tests = source.test_code();
    let outside: Vec<&str> = (0..source.tokens.len())
        .filter(|index| !tests.contains(index))
        .map(|index| source.text(index))
        .collect();
    assert_eq!(outside.join(" "), "fn a ( ) { } fn c ( ) { }");
}

#[test]
fn a_reason_belongs_to_its_statement() {
    let source = Source::parse(
        "sample.rs",
        "\
// R: one
fn a() { here() }
// R: two
// lines
#[x]
let b =
    here();
let c = d(); here();
here(); // R: behind
",
    );
    let reasons: Vec<Option<String>> = source
        .find(&["here"])
        .map(|index| source.reason(index, "R:"))
        .collect();
    let reasons: Vec<Option<&str>> = reasons.iter().map(Option::as_deref).collect();
    assert_eq!(
        reasons,
        [Some("one"), Some("two\nlines"), None, Some("behind")]
    );
}

#[test]
fn a_reason_states_a_fact() {
    for claim in [
        "",
        "safe",
        "This is ok.",
        "checked above",
        "we know it cannot fail",
        "see caller",
    ] {
        assert!(!states_a_fact(claim), "{claim}");
    }
    for fact in [
        "this code is never executed",
        "`fd` is open.",
        "the range lies within the mapping",
        "the array has 8 elements",
    ] {
        assert!(states_a_fact(fact), "{fact}");
    }
}
