//! `sharehold incr`: adds to a number; concurrent additions are all counted.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, Result};
use sharehold::FieldValue;

use crate::change;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::users;

/// Add to a number in a typed value, and print the result
///
/// Reading, adding and committing are one step: additions by several processes are all counted. A
/// sum that does not fit into the field changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold incr com.example.tally value        add 1
  sharehold incr com.example.tally value 10     add 10
  sharehold incr com.example.tally value -1     take 1 away

Exit status: 0 added, 1 the sum does not fit, and nothing is changed, or it is added and the output cannot be written, 2 wrong usage, or the field is no number, 3 no such key or
field, 4 not in time, 5 damaged, abandoned, or plain bytes, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, which must be a number
    field: String,

    /// How much to add
    #[arg(allow_hyphen_values = true, default_value = "1")]
    by: String,

    #[command(flatten)]
    patience: change::Patience,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold incr`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let changed = change::field(&args.key, args.owner, &args.field, args.patience, |field| {
        sum(field, &args.by).with_context(|| format!("cannot add to `{}`", args.field))
    })?;
    changed.answered(if args.format.json {
        output::document(&changed.answer())
    } else {
        output::line(&changed.after.to_string())
    })?;
    Ok(Exit::Done.into())
}

/// The sum, as the text of a value that the field can have.
fn sum(field: &change::Field<'_>, by: &str) -> Result<String> {
    let (sum, whole) = match field.value {
        FieldValue::Unsigned(value) => {
            let sum = value.checked_add_signed(number(by)?);
            (sum.map(|sum| sum.to_string()), true)
        }
        FieldValue::Signed(value) => {
            let sum = value.checked_add(number(by)?);
            (sum.map(|sum| sum.to_string()), true)
        }
        FieldValue::F32(value) => (Some((value + number::<f32>(by)?).to_string()), false),
        FieldValue::F64(value) => (Some((value + number::<f64>(by)?).to_string()), false),
        _ => return Err(Failure::new(Exit::Usage, "it is no number").into()),
    };
    match sum {
        Some(sum) if !whole || field.parse(&sum).is_ok() => Ok(sum),
        _ => {
            let detail = format!(
                "{} and {by} make a number that does not fit in {}; nothing is changed",
                field.value,
                field.kind()?
            );
            Err(Failure::new(Exit::Failed, detail).into())
        }
    }
}

fn number<T: FromStr>(text: &str) -> Result<T> {
    let refused = |_| Failure::new(Exit::Usage, format!("`{text}` is no number to add"));
    Ok(text.parse().map_err(refused)?)
}
