//! `sharehold get`: a typed value, or one field of it, as it was at one moment.

use std::process::ExitCode;

use anyhow::Result;
use sharehold::{AnyShared, FieldValue};

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::table::{Align, Table};
use crate::{hint, human, value};

/// Print a typed value, or one field of it
///
/// The value is a snapshot: old or new, never a mixture. Nobody is kept waiting, and nobody waits.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold get com.example.tally                 every field
  sharehold get com.example.tally value           one field, without its name
  sharehold get com.example.tally by_worker[3]    one element
  sharehold get --json com.example.tally          all of it for a program

Exit status: 0 printed, 2 wrong usage, 3 no such key or field, 5 damaged, or it holds plain bytes: see `sharehold read`,
6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    /// The field, such as value, limits.max or moves[3]; `.` is the whole
    field: Option<String>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold get`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let shared = AnyShared::attach_read_only(&args.key)?;
    let schema = shared.schema();
    let bytes = shared.get()?;
    let path = args.field.as_deref().unwrap_or(".");
    let found = schema
        .get(&bytes, path)
        .map_err(|error| hint::for_field(error, schema))?;
    match found {
        found if args.format.json => output::document(&value::to_json(&found))?,
        FieldValue::Struct(members) if args.field.is_none() => {
            output::text(&table(&members).to_text())?;
        }
        found => output::line(&found.to_string())?,
    }
    Ok(Exit::Done.into())
}

fn table(members: &[(String, FieldValue)]) -> Table {
    let mut table = Table::new([("FIELD", Align::Left), ("VALUE", Align::Left)]);
    for (name, value) in members {
        let value = human::visible(&value.to_string());
        table.row([name.as_str().into(), value.into()]);
    }
    table
}
