//! `sharehold get`: a typed value, or one field of it, as it was at one moment.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, Value};
use sharehold::{FieldValue, Inspection, Kind, Schema};

use crate::exit::Exit;
use crate::output::{self, Format};
use crate::table::{Align, Table};
use crate::{format, hint, target, users, value};

/// Print a typed value, or one field of it
///
/// The value is a snapshot: old or new, never a mixture. Reading it waits for no process and delays
/// none. In a segment of parts, each part shows the value that it guards, whether it is set (an
/// event), or its number of permits (a semaphore) or arrivals (a barrier). Fields that only fill
/// padding (reserved, reserved2 ...) are shown only when they are named. On a terminal, control
/// characters in text are escaped; elsewhere text is written unchanged.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold get com.example.tally                 every field
  sharehold get com.example.tally value           one field, without its name
  sharehold get com.example.tally by_worker[3]    one element
  sharehold get --json com.example.tally          all of it for a program
  sharehold get com.example.config limits.max     a field of what the part `limits` guards

Exit status: 0 printed, 2 wrong usage, 3 no such key or field, 5 damaged, or it holds plain bytes: see `sharehold read`,
6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, such as value, limits.max or moves[3]; `.` is the whole
    field: Option<String>,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold get`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let seen = target::look(&args.owner.options(), &args.key)?;
    if args.field.is_none()
        && let Ok(Some(schema)) = &seen.schema
        && schema.is_of_parts()
    {
        return all_parts(&seen, schema, args.format);
    }
    let seen = target::value_at(seen, args.field.as_deref().unwrap_or(target::WHOLE))?;
    let kind = seen.schema.field(&seen.path);
    let kind = kind
        .map_err(|error| hint::for_field(error, &seen.schema))?
        .kind;
    match (seen.value()?, kind) {
        (found, kind) if args.format.json => output::document(&value::to_json(&found, &kind))?,
        (FieldValue::Struct(values), Kind::Struct { members, .. }) if args.field.is_none() => {
            let members = members.iter().zip(values);
            let shown = members.filter(|(it, _)| !target::is_padding(&it.name, &it.kind));
            output::text(&table(shown.map(|(_, value)| value)).to_text())?;
        }
        // Text may come from another user: it must not control the terminal.
        (found, _) if io::stdout().is_terminal() => {
            output::line(&format::visible(&found.to_string()))?;
        }
        (found, _) => output::line(&found.to_string())?,
    }
    Ok(Exit::Done.into())
}

/// What every part says, by its path.
fn all_parts(seen: &Inspection, schema: &Schema, format: Format) -> Result<ExitCode> {
    let mut values = Vec::new();
    let mut json = Map::new();
    for part in &seen.parts {
        let found = target::of_part(schema, part, target::WHOLE.to_owned());
        let path = format::visible(&part.path);
        if let Some(found) = found {
            let value = found.value()?;
            json.insert(path.clone(), value::to_json(&value, found.schema.kind()));
            values.push((path, value.to_string()));
        } else {
            json.insert(path.clone(), Value::Null);
            values.push((path, "-".to_owned()));
        }
    }
    if format.json {
        output::document(&json)?;
    } else {
        output::text(&table(values).to_text())?;
    }
    Ok(Exit::Done.into())
}

fn table<T: ToString>(values: impl IntoIterator<Item = (String, T)>) -> Table {
    let mut table = Table::new([("FIELD", Align::Left), ("VALUE", Align::Left)]);
    for (name, value) in values {
        let value = format::visible(&value.to_string());
        table.row([name.into(), value.into()]);
    }
    table
}
