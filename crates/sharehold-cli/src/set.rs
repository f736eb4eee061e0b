//! `sharehold set`: one field becomes what is said.

use std::process::ExitCode;

use anyhow::Result;

use crate::change;
use crate::exit::Exit;
use crate::output::{self, Format};

/// Change one field of a typed value
///
/// It is one committed update: whoever reads meanwhile gets the old value or the new one. A value that the field cannot
/// have changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold set com.example.tally value 7
  sharehold set com.example.tally by_worker '[0, 0, 0, 7, 0, 0, 0, 0]'
  sharehold set com.example.job name 'import of Monday'
  sharehold set com.example.job name x --timeout 1s           not if somebody has it locked for longer
  sharehold set com.example.job . '{open: true, count: 7}'    all fields at once

Exit status: 0 changed, 2 wrong usage, or the field cannot have the value, 3 no such key or field, 4 not in time,
5 damaged, abandoned, or plain bytes, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    /// The field, such as value, limits.max or moves[3]; `.` is the whole
    field: String,

    /// What it shall be, as `sharehold get` would print it
    #[arg(allow_hyphen_values = true)]
    value: String,

    #[command(flatten)]
    patience: change::Patience,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold set`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let changed = change::field(&args.key, &args.field, args.patience, |_| {
        Ok(args.value.clone())
    })?;
    if args.format.json {
        changed.answered(output::document(&changed.answer()))?;
    }
    Ok(Exit::Done.into())
}
