//! `sharehold cas`: changes a field if it has the expected value.

use std::cell::RefCell;
use std::process::ExitCode;

use anyhow::Result;

use crate::change;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::users;

/// Change one field of a typed value if it has the expected value
///
/// Comparison and commit are one step: if several processes do it at once, one succeeds. If the
/// field has another value, `cas` prints that value and changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold cas com.example.job state Idle Busy     take the job, if it is idle
  sharehold cas com.example.job owner 0 $$ || exit  be the owner, or leave

Exit status: 0 changed, 2 wrong usage, or the field cannot have such a value, 3 no such key or field, 4 it has another value,
which is printed, or not in time, 5 damaged, abandoned, or plain bytes, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, such as value, limits.max or moves[3]; `.` is the whole
    field: String,

    /// The expected value
    #[arg(allow_hyphen_values = true)]
    old: String,

    /// The new value
    #[arg(allow_hyphen_values = true)]
    new: String,

    #[command(flatten)]
    patience: change::Patience,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold cas`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let other = RefCell::new(None);
    let changed = change::field(&args.key, args.owner, &args.field, args.patience, |field| {
        // An invalid value is an error whatever the field holds, and must not look like a lost
        // race.
        field.parse(&args.new)?;
        // The printed forms are compared, so that values that look equal are equal.
        if field.parse(&args.old)?.to_string() == field.value.to_string() {
            return Ok(args.new.clone());
        }
        other.replace(Some((field.value.clone(), field.json()?)));
        Err(Failure::new(Exit::Busy, "it has another value").into())
    });
    match other.into_inner() {
        None => {
            let changed = changed?;
            if args.format.json {
                changed.answered(output::document(&changed.answer()))?;
            }
            Ok(Exit::Done.into())
        }
        Some((found, json)) => {
            if args.format.json {
                output::document(&serde_json::json!({ "found": json }))?;
            } else {
                output::line(&found.to_string())?;
            }
            Ok(Exit::Busy.into())
        }
    }
}
