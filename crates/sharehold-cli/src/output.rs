//! Writes answers to standard output as text or JSON, and ends quietly when the reader has gone.
//!
//! Each command formats its own answer, with `table`, `format` and `value`.

use std::io::{self, ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::LazyLock;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::hint;

/// Whether people or programs are answered.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Format {
    /// JSON instead of text
    #[arg(long)]
    pub(crate) json: bool,
}

/// The reader of the output has gone, such as `head`. The command ends without a failure.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub(crate) struct ReaderGone;

/// Prints text as it is.
pub(crate) fn text(text: &str) -> Result<()> {
    bytes(text.as_bytes())
}

/// Prints a line of text.
pub(crate) fn line(line: &str) -> Result<()> {
    text(&format!("{line}\n"))
}

/// Prints bytes as they are.
pub(crate) fn bytes(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    written(out.write_all(bytes).and_then(|()| out.flush()))
}

/// Prints one JSON document, for a command that answers once.
pub(crate) fn document(answer: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string_pretty(answer)?)
}

/// Prints one JSON object on a line of its own, for a command that answers again and again.
pub(crate) fn object(answer: &impl Serialize) -> Result<()> {
    line(&serde_json::to_string(answer)?)
}

/// Prints a warning on standard error. A failure to write it is ignored.
pub(crate) fn warn(what: &str) {
    let _ = writeln!(stderr(), "sharehold: {what}");
}

/// Says on standard error what went wrong, and what may have been meant.
pub(crate) fn complain(error: &anyhow::Error) {
    warn(&all_of(error));
}

/// What was said of an error, then the error. The library's own say all of their reasons
/// themselves.
fn all_of(error: &anyhow::Error) -> String {
    let mut said = Vec::new();
    for cause in error.chain() {
        if let Some(error) = cause.downcast_ref() {
            said.push(hint::text(error));
            break;
        }
        said.push(cause.to_string());
    }
    said.join(": ")
}

/// What became of writing to standard output.
pub(crate) fn written(done: io::Result<()>) -> Result<()> {
    match done {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(ReaderGone.into()),
        done => done.context("cannot write to standard output"),
    }
}

/// Fails if the reader has gone, which a command that writes seldom would notice late.
pub(crate) fn expect_reader() -> Result<()> {
    let out = stdout();
    let mut polled = [PollFd::new(&out, PollFlags::empty())];
    // Without time it only looks; if it cannot, writing will tell.
    let _ = poll(&mut polled, Some(&Timespec::default()));
    let [out] = polled;
    if out.revents().intersects(PollFlags::ERR | PollFlags::HUP) {
        return Err(ReaderGone.into());
    }
    Ok(())
}

/// How a piece of text is meant, which a terminal shows by colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// A heading.
    Strong,
    /// All is well.
    Good,
    /// Worth a look.
    Warning,
    /// Broken.
    Bad,
    /// Of less interest.
    Faint,
}

impl Tone {
    /// The text, coloured if standard output is a terminal and `NO_COLOR` is unset.
    pub(crate) fn paint(self, text: &str) -> String {
        let code = match self {
            _ if text.is_empty() => return String::new(),
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
            Tone::Faint => "2",
        };
        if is_coloured() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// As <https://no-color.org> asks.
pub(crate) fn is_coloured() -> bool {
    static IS_COLOURED: LazyLock<bool> = LazyLock::new(|| {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        stdout().is_terminal() && !refused
    });
    *IS_COLOURED
}
