//! Our own source, held to the rules that a compiler does not know.
//!
//! A rule is a function from what it reads to its findings. It has two tests: one holds the whole
//! tree to it, the other shows on a small bad sample that the rule can fail. A finding names the
//! line and the mend.

mod cycles;
mod deaths;
mod dependencies;
mod documents;
mod layers;
mod platform;
mod primitives;
mod prose;
mod source;
mod tree;
mod unfinished;
mod unsafety;

use std::fmt;

/// A place where a rule is broken.
#[derive(Debug)]
pub(crate) struct Finding {
    path: String,
    line: usize,
    /// What is wrong, and what mends it.
    message: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Fails the test with all that was found, if anything was.
#[track_caller]
pub(crate) fn assert_none(findings: impl IntoIterator<Item = Finding>) {
    let found: Vec<String> = findings
        .into_iter()
        .map(|finding| finding.to_string())
        .collect();
    assert!(
        found.is_empty(),
        "the rule is broken:\n{}",
        found.join("\n")
    );
}

/// The lines of the findings, for a test on a bad sample.
pub(crate) fn lines(findings: &[Finding]) -> Vec<usize> {
    findings.iter().map(|finding| finding.line).collect()
}
