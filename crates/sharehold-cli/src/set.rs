//! `sharehold set`: changes fields and sets events.

use std::collections::HashSet;
use std::process::ExitCode;

use anyhow::{Context, Result};
use serde_json::{Map, json};
use sharehold::{ErrorKind, Event};

use crate::change;
use crate::exit::{Exit, Failure};
use crate::output::{self, Format};
use crate::{format, target, users};

/// Change fields of a typed value, or set an event
///
/// All named fields change in one committed update: a reader gets the old value or the new one. An
/// invalid value changes nothing. A field may belong to the value that a part guards: config.limit
/// is the field limit of the part config. The name of an event alone sets the event.
///
/// With --json, the values and the answer are JSON, as in `sharehold get --json`. An object changes
/// only the fields that it names.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sharehold set com.example.tally value 7
  sharehold set com.example.tally by_worker '[0, 0, 0, 7, 0, 0, 0, 0]'
  sharehold set com.example.job name 'import of Monday'
  sharehold set com.example.job name x --timeout 1s           fails if it stays locked for longer
  sharehold set com.example.job open=true count=7             several fields in one update
  sharehold set com.example.job open true count=7             the same
  sharehold set com.example.job . '{\"open\": true}' --json     as get --json prints it
  sharehold set com.example.config limits.max 20              in the value of the part `limits`
  sharehold set com.example.config ready                      the event `ready` happens

Exit status: 0 changed, 2 wrong usage, or the field cannot have the value, 3 no such key or field, 4 not in time,
5 damaged, abandoned, or plain bytes, 6 not permitted.")]
pub(crate) struct Args {
    /// The segment's key
    key: String,

    #[command(flatten)]
    owner: users::Owner,

    /// The field, such as value, limits.max or moves[3]; `.` is the whole; or FIELD=VALUE; or an
    /// event
    #[arg(value_name = "FIELD")]
    field: String,

    /// The new value, as `sharehold get` would print it; or FIELD=VALUE
    #[arg(allow_hyphen_values = true)]
    value: Option<String>,

    /// More fields, each FIELD=VALUE
    #[arg(value_name = "FIELD=VALUE")]
    more: Vec<String>,

    #[command(flatten)]
    patience: change::Patience,

    #[command(flatten)]
    format: Format,
}

/// Runs `sharehold set`.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let Some(pairs) = pairs(args)? else {
        let options = args.owner.options();
        target::expect_users(&options, &args.key)?;
        let parts = options.attach_any_parts(&args.key);
        let parts = parts.map_err(|error| match error.kind() {
            ErrorKind::TypeMismatch => {
                let (key, field) = (format::visible(&args.key), format::visible(&args.field));
                let detail =
                    format!("say what `{field}` shall be, such as: sharehold set {key} {field} 7");
                anyhow::Error::from(Failure::new(Exit::Usage, detail))
            }
            _ => error.into(),
        })?;
        parts.part::<Event>(&args.field)?.set()?;
        return Ok(Exit::Done.into());
    };
    let paths: Vec<&str> = pairs.iter().map(|(path, _)| *path).collect();
    let changed = change::fields(&args.key, args.owner, &paths, args.patience, |field| {
        let (path, text) = pairs[field.index];
        if !args.format.json {
            return field.set(text);
        }
        let json = serde_json::from_str(text).map_err(|error| {
            let detail = format!("`{path}` cannot be changed: `{text}` is no JSON: {error}");
            Failure::new(Exit::Usage, detail)
        })?;
        field.set_json(&json)
    })?;
    if args.format.json {
        let answers = paths.iter().zip(&changed);
        let answers = answers.map(|(path, changed)| ((*path).to_owned(), json!(changed.answer())));
        if let [changed] = changed.as_slice() {
            changed.answered(output::document(&changed.answer()))?;
        } else {
            let answered = output::document(&answers.collect::<Map<_, _>>());
            answered.context("the changes are made")?;
        }
    }
    Ok(Exit::Done.into())
}

/// The fields and what each shall be; `None` for an event.
fn pairs(args: &Args) -> Result<Option<Vec<(&str, &str)>>> {
    let field = args.field.as_str();
    let more = args.more.iter().map(String::as_str);
    let mut pairs = Vec::new();
    let words: Vec<&str> = match args.value.as_deref() {
        None if !field.contains('=') => return Ok(None),
        Some(value) if !field.contains('=') => {
            pairs.push((field, value));
            more.collect()
        }
        value => [field].into_iter().chain(value).chain(more).collect(),
    };
    for word in words {
        let pair = word.split_once('=').ok_or_else(|| {
            let detail = format!("`{word}` is not FIELD=VALUE, such as count=7");
            Failure::new(Exit::Usage, detail)
        })?;
        pairs.push(pair);
    }
    let mut seen = HashSet::new();
    if let Some((path, _)) = pairs.iter().find(|(path, _)| !seen.insert(*path)) {
        let detail = format!("`{path}` is named twice; say once what it shall be");
        return Err(Failure::new(Exit::Usage, detail).into());
    }
    Ok(Some(pairs))
}
